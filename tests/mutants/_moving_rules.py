"""What must hold of agents whose machines get and lose addresses (RFC 8445 5.1.1.4), judged by what they were told and did."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import attrs

from sansice.ice import CandidatePair, IceRole, IceState, PairSelected, PairState, RestartNeeded
from sansice.machine import Address, CloseSocket, OpenSocket, SendStream, SocketId
from sansice.simulation import End, Harm, InputKind, Invariant, Moment
from sansice.simulation._exploration._evidence import OVER, base_address
from sansice.simulation._exploration._life_rules import DeadlinesAreAhead, TheOverAreSilent
from sansice.simulation._scene._program import is_same_pair

from ._worlds import CONFIG

if TYPE_CHECKING:
    from ._moving_worlds import Roamer

LAST = b"\x90 last words"
PATIENCE = 8.0  # seconds that a program leaves an agent alone which has failed
ROAMING = attrs.evolve(CONFIG, consent_timeout=16.0, pac_timeout=10.0, tcp_first_check_timeout=2.0, tcp_connect_timeout=8.0)
TOLERABLE = 2  # exchanges lost
# Sockets in a second: four openings for each of two addresses, as `IceConfig.update_interval` has it, and as many for those who
# restart meanwhile.
MOST_OPENED = 16
# Seconds from the last change until both use one pair that works: consent that has ended at the end that did not move, or the
# wait for it that a stream has which was cut off; a program's patience with that; checks of which two are lost; and what
# deviates after it.
SETTLED_IN = ROAMING.consent_timeout + PATIENCE + ROAMING.pac_timeout + 9.0


def program_of(end: End) -> Roamer:
    """The program around an agent."""
    return cast("Roamer", end.node.listener.__self__)  # type: ignore[union-attr]


class Open:
    """The sockets of one machine, by what its driver was told and has told; and on which host address they are."""

    def __init__(self, end: End) -> None:
        self._end = end
        self.hosts: dict[SocketId, str] = {socket: local.host for socket, local in end.node.sockets.items()}

    def follow(self, moment: Moment) -> None:
        """In the order of what happens."""
        if moment.kind is InputKind.FAILED and moment.socket is not None:
            self.hosts.pop(moment.socket, None)
        if moment.kind is InputKind.ACCEPTED and moment.socket is not None and moment.path is not None:
            self.hosts[moment.socket] = self.hosts.get(moment.path[0], "")
        for action in moment.others:
            if isinstance(action, OpenSocket):
                self.hosts[action.socket] = action.bind.host
            elif isinstance(action, CloseSocket):
                self.hosts.pop(action.socket, None)


class TheGoneAreGone(Invariant):
    """See ``rule``."""

    rule = "an address that is gone has no socket, no candidate, no live pair, and sends nothing ever again (RFC 8445 5.1.1.4)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._open = {end.name: Open(end) for end in self.ends}
        self._gone: dict[object, None] = {}  # addresses with their ports

    def after(self, moment: Moment) -> str | None:
        """Compared with what the agent was told last."""
        end, there = moment.end, program_of(moment.end).addresses
        sockets = self._open[end.name]
        hosts = dict(sockets.hosts)
        sockets.follow(moment)
        hosts |= sockets.hosts
        for socket, host in sockets.hosts.items():
            if host not in there:
                return f"{end.name} has {' and '.join(there) or 'no address'}, and socket {socket} at {host}"
        used = [sent.path[0] for sent in moment.sent]
        used += [action.socket for action in moment.others if isinstance(action, SendStream)]
        for socket in used:
            if hosts.get(socket, "") not in there:
                return f"{end.name} has {' and '.join(there) or 'no address'}, and sent from {hosts.get(socket)}"
        for action in moment.others:
            base = end.base_of(action.socket) if isinstance(action, CloseSocket) else None
            if base is not None and base.host not in there:
                self._gone[base] = None
        if end.agent.state in OVER:
            return None
        # A candidate whose socket was released before, because another pair was selected (RFC 8445 8.3.1), stays what the peer
        # was told, whatever becomes of the address: nothing is based on it any more.
        for candidate in end.agent.local_candidates:
            if (candidate.related_address or candidate.address) in self._gone:
                return f"{end.name} has {' and '.join(there) or 'no address'}, and the candidate {candidate.address}"
        selected = end.agent.selected_pair
        alive = [pair for pair in end.agent.pairs if pair.state is not PairState.FAILED]  # the others are there to be explained
        for pair in (*alive, *(() if selected is None else (selected,))):
            base = base_address(pair)
            if isinstance(base, Address) and base.host not in there:
                return f"{end.name} has {' and '.join(there) or 'no address'}, and a pair from {base}"
        return None


class SocketsAreFew(Invariant):
    """See ``rule``."""

    rule = "an address has one socket of each kind, however often it comes and goes, and for that few are opened"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._open = {end.name: Open(end) for end in self.ends}
        self._binds: dict[str, dict[SocketId, tuple[str, str]]] = {end.name: {} for end in self.ends}
        self._opened: dict[str, list[float]] = {end.name: [] for end in self.ends}

    def after(self, moment: Moment) -> str | None:
        """Those that no connection is on."""
        end, binds = moment.end, self._binds[moment.end.name]
        self._open[end.name].follow(moment)
        for action in moment.others:
            if isinstance(action, OpenSocket) and action.remote is None:
                binds[action.socket] = action.transport.value, action.bind.host
                self._opened[end.name].append(moment.now)
        for socket in [socket for socket in binds if socket not in self._open[end.name].hosts]:
            del binds[socket]
        self._opened[end.name] = [at for at in self._opened[end.name] if at > moment.now - 1.0]
        if len(self._opened[end.name]) > MOST_OPENED:
            return f"{end.name} has opened {len(self._opened[end.name])} sockets in a second"
        twice = len(binds) - len(dict.fromkeys(binds.values()))
        return f"{end.name} has {twice} sockets too many: {list(binds.values())}" if twice else None


class RestartsAreAskedFor(Invariant):
    """See ``rule``."""

    rule = "a restart is asked for once a generation, from the first address on that there is after the last pair has gone"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._selected: dict[str, tuple[str, CandidatePair]] = {}  # in which generation, what
        self._stranded: dict[str, str] = {}  # in which generation
        self._told: dict[str, str] = {}
        self._there: dict[str, tuple[str, ...]] = {}

    def after(self, moment: Moment) -> str | None:
        """Every wish, every pair that is lost with its address, and every address that comes when all is over."""
        end, agent, name = moment.end, moment.end.agent, moment.end.name
        there, generation = program_of(end).addresses, agent.credentials.ufrag
        for event in moment.events:
            if isinstance(event, PairSelected):
                self._selected[name] = generation, event.pair
            elif isinstance(event, RestartNeeded):
                if not there:
                    return f"{name} is to restart, and has no address"
                if self._told.get(name) == generation:
                    return f"{name} is to restart once more in one generation"
                if agent.selected_pair is not None and agent.state not in OVER:
                    return f"{name} is to restart, and uses {agent.selected_pair.local.address}"
                self._told[name] = generation
        if self._is_cut_off(end, generation, there):
            self._stranded[name] = generation
        if there and self._stranded.get(name) == generation != self._told.get(name) and agent.state not in OVER:
            return f"{name} has lost the pair that it used with its address, has {there[0]}, and does not ask for a restart"
        has_changed = self._there.get(name, there) != there
        self._there[name] = there
        if has_changed and there and agent.state is IceState.FAILED and self._told.get(name) != generation:
            return f"{name} has failed, has other addresses now, and does not ask for a restart"
        return None

    def _is_cut_off(self, end: End, generation: str, there: Sequence[str]) -> bool:
        """Whether the pair of this generation has gone, and nobody here may choose another one (RFC 8445 8.1.1)."""
        of_generation, pair = self._selected.get(end.name, ("", None))
        if of_generation != generation or pair is None:
            return False
        if program_of(end).renominates and end.agent.role is IceRole.CONTROLLING:
            return False
        base = base_address(pair)
        return isinstance(base, Address) and base.host not in there


class BothSettle(Invariant):
    """See ``rule``."""

    rule = "after the last change both use one pair that works, in the rules' time; or each of them says that there is none"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._there: dict[str, tuple[str, ...]] = {}
        self._changed_at = -math.inf
        self._agree_since = math.inf

    def after(self, moment: Moment) -> str | None:
        """When something changed last, and since when both agree."""
        there = program_of(moment.end).addresses
        if self._there.get(moment.end.name) != there:
            self._there[moment.end.name] = there
            self._changed_at, self._agree_since = moment.now, math.inf
        if self._disagree() is not None:
            self._agree_since = math.inf
        elif self._agree_since == math.inf:
            self._agree_since = moment.now
        return None

    def _disagree(self) -> str | None:
        pairs = [end.agent.selected_pair for end in self.ends]
        one, two = pairs
        if one is None or two is None or not is_same_pair(one, two):
            return f"{self.ends[0].name} uses {one}, {self.ends[1].name} {two}"
        mute = [end.name for end in self.ends if not end.agent.writable]
        return f"{mute[0]} cannot send" if mute else None

    def ended(self, harm: Harm) -> str | None:
        """On a tolerable network, where both have an address."""
        running = [end for end in self.ends if end.node.running]
        writable = [end for end in running if end.agent.writable]
        if len(running) < len(self.ends) or not all(program_of(end).addresses for end in running):
            return f"{writable[0].name} is connected to nobody" if writable else None
        if harm.broken or harm.lost > TOLERABLE:
            if len(writable) == 1 and not harm.broken:
                return f"{writable[0].name} can send, and the other cannot"
            return None
        finding = self._disagree()
        if finding is not None:
            return f"{finding}; {' and '.join(end.agent.state.value for end in self.ends)}"
        if self._agree_since > self._changed_at + SETTLED_IN:
            return f"the last change was at {self._changed_at:.3f} s, and both agree since {self._agree_since:.3f} s"
        deaf = [end.name for end in running if not program_of(end).heard_last]
        return f"{deaf[0]} did not hear the last words" if deaf else None


MOVING_RULES = (TheGoneAreGone, SocketsAreFew, RestartsAreAskedFor, BothSettle, DeadlinesAreAhead, TheOverAreSilent)
