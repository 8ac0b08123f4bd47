"""What the oracle says of a scene."""

from __future__ import annotations

import enum

import attrs

from sansice.ice import CandidateType


class OracleRule(enum.Enum):
    """Why a prediction leaves something open: all that decides beside reachability."""

    ROLE_CONFLICT = (
        "both agents begin in one role: the larger of two random numbers decides which of them nominates, and until the other "
        "has its new role its checks are refused, and nothing is learned from them (RFC 8445 7.3.1.1)"
    )
    ACCEPTANCE_WAIT = (
        "the controlling agent waits 0.1 s for something better than a pair of hosts, and 0.8 s for something better than a pair "
        "with a reflexive candidate (RFC 8445 8.1.1 leaves this to it): what works only after the peer has sent may be too late"
    )
    UNEVEN_GATHERING = (
        "an agent that is told its peer's candidates while it still asks servers begins to check: what a check reveals first is "
        "peer-reflexive and not server-reflexive (RFC 8445 5.1.1.4, 7.2.5.3.1)"
    )
    CHASE = (
        "two NATs that map by destination and let anyone in show each agent ever new addresses of the other, none of which "
        "works: an agent takes note of a bounded number, and what it checks meanwhile comes late (RFC 8445 19.5.1)"
    )
    OPEN_INPUT = "of two packets that meet at a NAT with an open input, the first decides which outer port the flow has"
    MANY_PAIRS = (
        "checks leave one by one, Ta apart: where there are many pairs the best relay may have its turn when the wait for it, "
        "2 s from the first pair that works, is over (RFC 8445 14.2)"
    )
    LITE = "two lite agents choose a pair by what they have told each other, and check nothing (RFC 8445 8.2)"
    POOLING = "a NAT with arbitrary pooling gives a new mapping any of its outer addresses (RFC 4787 4.1)"


@attrs.frozen
class PredictedPair:
    """A pair of candidates that works: checks succeed in both directions.

    Attributes:
        local, remote: their types, seen from the first agent of the couple.
        local_address, remote_address: the addresses of the interfaces at the two ends.
        priority: of the pair by which the controlling agent orders its checklist (RFC 8445 6.1.2.3), which for its own end
            counts the host candidate, because a reflexive one is checked as its base (6.1.2.4).
        is_prompt: whether the controlling agent finds it without any check of the peer's.
    """

    local: CandidateType
    remote: CandidateType
    local_address: str
    remote_address: str
    priority: int
    is_prompt: bool

    @property
    def type(self) -> str:
        """``"host-srflx"`` and the like."""
        return f"{self.local.value}-{self.remote.value}"


@attrs.frozen
class PredictedOutcome:
    """What becomes of two agents if a certain one of them ends as the controlling one.

    Attributes:
        controlling: its name.
        connected: whether they must connect; ``None``: they may.
        pair_types: of the pair that is selected, as ``local-remote`` seen from the first agent: of the best one, then those of
            others that a rule lets come before it.
        pairs: what works, the best first, if chance falls as well as it can.
    """

    controlling: str
    connected: bool | None
    pair_types: tuple[str, ...]
    pairs: tuple[PredictedPair, ...]


@attrs.frozen
class PredictedCouple:
    """What becomes of two agents that connect with each other.

    Attributes:
        agents: their names, in the scene's order.
        outcomes: one, or one for each agent that may end as the controlling one.
        rules: why something is open.
        losses: where checks of either agent end that do not arrive, a sentence each.
    """

    agents: tuple[str, str]
    outcomes: tuple[PredictedOutcome, ...]
    rules: tuple[OracleRule, ...]
    losses: tuple[str, ...] = attrs.field(repr=False)

    @property
    def connected(self) -> bool | None:
        """Whether they must connect; ``None``: they may."""
        verdicts = [outcome.connected for outcome in self.outcomes]
        return verdicts[0] if verdicts.count(verdicts[0]) == len(verdicts) else None

    @property
    def pair_types(self) -> tuple[str, ...]:
        """Of the pair that is selected, the likeliest first, whoever controls."""
        return tuple(dict.fromkeys(type for outcome in self.outcomes for type in outcome.pair_types))


@attrs.frozen
class Prediction:
    """What becomes of a scene.

    Attributes:
        couples: the agents two by two, in the scene's order.
        ignored: what the scene has and the oracle does not judge, a sentence each: loss, changes, lifetimes. A prediction
            holds as far as these do not matter.
        calls: through relays, by name, of which it says nothing.
    """

    couples: tuple[PredictedCouple, ...]
    ignored: tuple[str, ...]
    calls: tuple[str, ...] = ()

    @property
    def connected(self) -> bool | None:
        """Whether all agents must connect; ``None``: they may."""
        verdicts = [*(couple.connected for couple in self.couples), *(None for _ in self.calls)]
        if not verdicts or False in verdicts:
            return False
        return None if None in verdicts else True
