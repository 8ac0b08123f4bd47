"""Invariants about what both ends have in the end, and about what is selected."""

from __future__ import annotations

import math
from collections.abc import Mapping

from sansice.ice import CandidatePair, IceRole, IceState, PairSelected
from sansice.simulation._scene._program import is_same_pair

from ._evidence import End, Moment
from ._invariant import Harm, Invariant

TOLERABLE = 2  # exchanges lost: fewer than a check has transmissions, in any configuration that explorations use


class EndsAgree(Invariant):
    """See ``rule``."""

    rule = "both ends agree on the selected pair, or neither is connected (RFC 8445 8.1)"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._since = math.inf

    def quiet(self, harm: Harm) -> str | None:
        """While both have selected and nothing is under way, they have selected the same, or have time to."""
        # Where one end is deaf they cannot come to terms, and go on until consent ends.
        finding = None if harm.broken else self._disagree()
        now = self.ends[0].node.now()
        if finding is None:
            self._since = math.inf
            return None
        self._since = min(self._since, now)
        return finding if now > self._since + self.ends[0].config.schedule.duration else None

    def _disagree(self) -> str | None:
        if len(self.ends) != 2 or not all(end.is_live for end in self.ends):
            return None
        one, two = (end.agent.selected_pair for end in self.ends)
        if one is None or two is None or is_same_pair(one, two):
            return None
        return f"{self.ends[0].name} selected {_text(one)}, {self.ends[1].name} {_text(two)}"

    def ended(self, harm: Harm) -> str | None:
        """When all has settled, either both can send or neither."""
        if len(self.ends) != 2:
            return None
        running = [end for end in self.ends if end.node.running]
        writable = [end.name for end in running if end.agent.writable]
        if len(running) != len(self.ends):  # a peer that was killed consents to nothing
            return f"{writable[0]} is connected to nobody" if writable else None
        if writable and len(writable) < len(self.ends):
            others = [f"{end.name} is {end.agent.state.value}" for end in self.ends if end.name not in writable]
            return f"{', '.join(writable)} can send, but {', '.join(others)}"
        return self._disagree() if writable else None


class RolesDiffer(Invariant):
    """See ``rule``."""

    rule = "two ends that have selected are of different roles (RFC 8445 7.3.1.1)"

    def quiet(self, harm: Harm) -> str | None:
        """While nothing is under way."""
        if len(self.ends) != 2 or any(end.agent.state is not IceState.COMPLETED for end in self.ends):
            return None
        one, two = self.ends
        return f"both are {one.agent.role.value}" if one.agent.role is two.agent.role else None


class OneSelectedPair(Invariant):
    """See ``rule``."""

    rule = "at most one pair a component is selected, and it is the one that was told (RFC 8445 8.1.1)"

    def after(self, moment: Moment) -> str | None:
        """Counted among the pairs, compared with the last event."""
        agent = moment.end.agent
        nominated = sum(pair.nominated for pair in agent.pairs)
        selected = agent.selected_pair
        if nominated > 1 or (nominated and selected is None):
            return f"{moment.end.name} has {nominated} nominated pairs, selected is {_text(selected)}"
        told = [event.pair for event in moment.events if isinstance(event, PairSelected)]
        if told and (selected is None or not _same(told[-1], selected)):
            return f"{moment.end.name} told {_text(told[-1])} and selected {_text(selected)}"
        if not told and selected is not None and (moment.before.selected is None or not _same(moment.before.selected, selected)):
            return f"{moment.end.name} selected {_text(selected)} and did not tell"
        return None


class SelectionLasts(Invariant):
    """See ``rule``."""

    rule = "a selection is undone only by the peer's nomination of another pair, or by a restart (RFC 8445 8.1.1, 9)"

    def after(self, moment: Moment) -> str | None:
        """Compared with the state before the input."""
        old, new = moment.before.selected, moment.end.agent.selected_pair
        if old is None or (new is not None and _is_same_path(old, new)):
            return None
        if new is None:
            return f"{moment.end.name} has no selected pair any more"
        path = moment.end.path_of(new)
        if moment.before.role is IceRole.CONTROLLED and path in moment.end.nominated:
            return None
        return f"{moment.end.name} went from {_text(old)} to {_text(new)}, which the peer did not nominate"


class Connects(Invariant):
    """See ``rule``."""

    rule = "two ends connect in the time of a check's transmissions, where no more than two exchanges were lost"

    def __init__(self, ends: Mapping[str, End]) -> None:
        super().__init__(ends)
        self._selected: set[str] = set()  # asked for membership only

    def after(self, moment: Moment) -> str | None:
        """Note who has selected; a connection may be lost again later."""
        if any(isinstance(event, PairSelected) for event in moment.events):
            self._selected.add(moment.end.name)
        return None

    def ended(self, harm: Harm) -> str | None:
        """All must have, on a tolerable network."""
        missing = [f"{end.name} ({end.agent.state.value})" for end in self.ends if end.name not in self._selected]
        if harm.broken or harm.lost > TOLERABLE or not missing:
            return None
        return f"{', '.join(missing)} never selected a pair, though only {harm.lost} exchanges were disturbed"


def _same(one: CandidatePair, two: CandidatePair) -> bool:
    return (one.local.address, one.remote.address) == (two.local.address, two.remote.address)


def _is_same_path(one: CandidatePair, two: CandidatePair) -> bool:
    """A NAT that maps the base anew gives the pair another local candidate, and what is sent takes the way it took."""
    bases = [pair.local.related_address or pair.local.address for pair in (one, two)]
    return bases[0] == bases[1] and one.remote.address == two.remote.address


def _text(pair: CandidatePair | None) -> str:
    return "nothing" if pair is None else f"{pair.local.address} - {pair.remote.address}"
