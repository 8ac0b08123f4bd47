"""Worlds of what few sessions have: an agent that is relayed only, a lite one, a pair in use that dies and has a successor."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping as Table

import attrs

from sansice.ice import CandidateType, IceAgent, LiteAgent, PairSelected
from sansice.machine import Address, Machine, Transport
from sansice.simulation import (
    AgentSpec,
    Arena,
    End,
    Harm,
    HostSpec,
    InputKind,
    Invariant,
    MakeInvariant,
    Moment,
    Scene,
    TurnServerSpec,
    scene_arena,
)
from sansice.simulation._exploration._evidence import EPSILON, read
from sansice.simulation._exploration._life_rules import DeadlinesAreAhead
from sansice.simulation._exploration._strangers import STRANGER
from sansice.simulation._scene._program import is_same_pair
from sansice.simulation._world._packets import Packet
from sansice.stun import USE_CANDIDATE, USERNAME, MessageClass, short_term_key

from ._worlds import BEYOND, V4_A, V4_B, PathLasts, Several

TURN = TurnServerSpec("turn", "203.0.113.53")
DIES_AT = 2.0  # seconds from the start
MOVED_BY = 15.0  # from then on: two consent checks 6 s apart at most, their waits, and a nomination
TOLERABLE = 2  # exchanges lost


class OnlyTheRelayIsSeen(Invariant):
    """See ``rule``."""

    rule = "who tells relayed candidates only, sends to his server only (the policy ``relay``)"

    def after(self, moment: Moment) -> str | None:
        """Every datagram of such an agent."""
        told = [one.type for one in moment.end.agent.local_candidates]
        if not told or any(one is not CandidateType.RELAYED for one in told):
            return None
        astray = [sent.path[1] for sent in moment.sent if sent.path[1].host not in TURN.addresses]
        return f"{moment.end.name} sent to {astray[0]}, past its relay" if astray else None


class DeadPairsAreLeft(Invariant):
    """See ``rule``."""

    rule = "a pair in use that dies is left for a living one within seconds, where both know renomination"

    def __init__(self, ends: Table[str, End]) -> None:
        super().__init__(ends)
        self._finding: str | None = None

    def after(self, moment: Moment) -> str | None:
        """Of whoever had that long."""
        agent = moment.end.agent
        is_due = moment.kind is InputKind.TIMER and moment.late <= EPSILON and moment.now > DIES_AT + MOVED_BY
        if is_due and agent.selected_pair is not None:
            used = _host(agent.selected_pair.local.address), _host(agent.selected_pair.remote.address)
            if V4_A[0] in used:
                self._finding = f"{moment.end.name} uses {V4_A[0]} at {moment.now:.3f} s, which died at {DIES_AT} s"
        return None

    def ended(self, harm: Harm) -> str | None:
        """Only then is known what else befell it."""
        return None if harm.broken or harm.lost else self._finding


class LiteAgentsFollow(Invariant):
    """See ``rule``."""

    rule = "a lite agent uses what the peer has nominated, as long as its checks come, and no longer (RFC 8445 7.3.2, RFC 7675 1)"
    subject = Machine

    def __init__(self, ends: Table[str, End]) -> None:
        super().__init__(ends)
        self._nominated: list[Address] = []
        self._heard_at = -math.inf
        self._is_robbed = False

    def after(self, moment: Moment) -> str | None:
        """Authentic checks, selections, and what is sent."""
        lite = moment.end.machine
        if not isinstance(lite, LiteAgent):
            return None
        message = moment.message
        is_check = message is not None and message.get(USERNAME) is not None
        if is_check and message is not None and moment.path is not None and message.verify(short_term_key(lite.credentials.pwd)):
            self._heard_at = moment.now
            if USE_CANDIDATE in message:
                self._is_robbed = self._is_robbed or moment.path[1] in STRANGER.values()
                self._nominated.append(moment.path[1])
        for event in moment.events:
            if isinstance(event, PairSelected) and event.pair.remote.address not in self._nominated:
                return f"{moment.end.name} selected {event.pair.remote.address}, which the peer has not nominated"
        over_at = self._heard_at + moment.end.config.consent_timeout
        if lite.writable and moment.now > over_at + EPSILON and moment.late <= EPSILON:
            return f"{moment.end.name} can send at {moment.now:.3f} s; its peer's last check allowed it until {over_at:.3f} s"
        return None

    def ended(self, harm: Harm) -> str | None:
        """Both agree, if nothing happened; and nobody is connected to who is no more."""
        [lite] = [end for end in self.ends if isinstance(end.machine, LiteAgent)]
        [full] = [end for end in self.ends if isinstance(end.machine, IceAgent)]
        if not lite.node.running or not isinstance(lite.machine, LiteAgent):
            return None
        if not full.node.running:
            return f"{lite.name} is connected to nobody" if lite.machine.writable else None
        # Whose nomination a stranger repeats faster than it comes, has lost it to him.
        if harm.broken or harm.lost > TOLERABLE or self._is_robbed:
            return None
        one, two = full.agent.selected_pair, lite.machine.selected_pair
        if one is None or two is None or not is_same_pair(one, two):
            return f"{full.name} uses {one}, {lite.name} {two}, though only {harm.lost} exchanges were disturbed"
        return None


def _host(address: object) -> str:
    return address.host if isinstance(address, Address) else ""


def _scene(a: AgentSpec, b: AgentSpec, *, turn: bool = False) -> Arena:
    hosts = (HostSpec("A", V4_A), HostSpec("B", V4_B))
    scene = Scene(name="corner", hosts=hosts, agents=(a, b), turn_servers=(TURN,) if turn else (), signalling=0.03)
    return attrs.evolve(scene_arena(scene, seed=1), sound=True, until=4.0, settle=110.0)


def relayed_only() -> Arena:
    """A tells no candidate but its relay's; of B's two addresses the better one does not work."""
    uri = TURN.uri(Transport.UDP)
    arena = _scene(AgentSpec("A", controlling=True, policy="relay", ice_servers=(uri,)), AgentSpec("B"), turn=True)
    arena.network.drop = lambda packet: V4_B[0] in (packet.source[0], packet.destination[0])
    # A server's first answers are signed by nobody (RFC 8489 9.2.4), so that a forger may well be believed before.
    agents = [node.machine for node in arena.agents.values() if isinstance(node.machine, IceAgent)]
    return attrs.evolve(arena, begins=lambda: all(agent.local_candidates and agent.remote_candidates for agent in agents))


def lite_partner() -> Arena:
    """B is lite; A has two addresses, and B has."""
    return _scene(AgentSpec("A", controlling=True), AgentSpec("B", lite=True))


def lite_partner_unheard() -> Arena:
    """The same, and what B answers to the first nomination is lost: A nominates once more what B uses already."""
    arena = lite_partner()
    lost: list[bytes] = []

    def drop(packet: Packet) -> bool:
        message = read(packet.data)
        if message is None:
            return False
        if USE_CANDIDATE in message and not lost:
            lost.append(message.transaction_id)
        if message.message_class is MessageClass.SUCCESS and message.transaction_id in lost and len(lost) == 1:
            lost.append(b"")
            return True
        return False

    arena.network.drop = drop
    return arena


def used_pair_dies() -> Arena:
    """A's first address dies under a call; both know renomination."""
    arena = _scene(AgentSpec("A", controlling=True, nomination="renominating"), AgentSpec("B", nomination="renominating"))

    def die() -> None:
        arena.network.drop = lambda packet: V4_A[0] in (packet.source[0], packet.destination[0])

    arena.network.at(DIES_AT, die)
    return arena


CORNER_WORLDS: dict[str, tuple[Callable[[], Arena], tuple[MakeInvariant, ...]]] = {
    "relayed_only": (relayed_only, (Several, PathLasts, OnlyTheRelayIsSeen)),
    "lite_partner": (lite_partner, (LiteAgentsFollow, DeadlinesAreAhead)),
    "lite_partner_unheard": (lite_partner_unheard, (LiteAgentsFollow, DeadlinesAreAhead)),
    "used_pair_dies": (used_pair_dies, (*BEYOND, DeadPairsAreLeft)),
}
