"""Nomination as policy: which pair is used, and when it gives way to another (RFC 8445 8.1.1).

The values here say what is wanted; the agent's own rules are in ``_agent``. Renomination is the extension of
draft-thatcher-ice-renomination: where both agents offer the option ``renomination``, the controlling one may change its
mind, and the nomination with the highest number counts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import attrs

from sansice.stun import Attribute
from sansice.stun.shapes import UINT32

from ._candidate import CandidateType
from ._pair import CandidatePair

RENOMINATION = "renomination"  # the ICE option
# As libwebrtc, pion, libnice and mediasoup number it; IANA has given it to nobody. The draft has 24 bits, libwebrtc 32:
# the greatest that is sent fits both.
NOMINATION: Attribute[int] = Attribute(0xC001, "NOMINATION", UINT32)
MAX_NOMINATION = 2**24 - 1

MAX_KEPT = 16  # pairs kept for renomination beside the one in use, at most: each costs a check every Tr for ever


@attrs.frozen
class Nominee:
    """A valid pair as a policy sees it.

    Attributes:
        pair: its candidates, those of the valid pair (RFC 8445 7.2.5.3.2), and its priority.
        component: which it would serve.
        rtt: the smoothed round trip time in seconds; ``None`` before it is known.
        measurements: on how many answers ``rtt`` rests.
        relays: how many of its two ends are relayed: what it costs somebody.
        valid_since: when its first check was answered.
        answered_at: when its latest was.
        selected: whether it is in use by nomination.
    """

    pair: CandidatePair
    component: int = 1
    rtt: float | None = None
    measurements: int = 0
    relays: int = 0
    valid_since: float = 0.0
    answered_at: float = 0.0
    selected: bool = False


@attrs.frozen
class Choice:
    """What a policy wants nominated.

    Attributes:
        nominee: one of those that it was shown.
        at: not before this moment; the policy is asked again then, and whenever something happens earlier.
    """

    nominee: Nominee
    at: float = -math.inf


def _with_types(waits: Mapping[CandidateType, float] | None) -> Mapping[CandidateType, float] | None:
    return None if waits is None else MappingProxyType(dict(waits))


@attrs.frozen
class Nomination:
    """Which pair to nominate, and which nominations to follow.

    Both functions must be pure: they decide by what they are shown, and nothing else.

    Attributes:
        acceptance_waits: by candidate type, seconds: how long after the first valid pair a pair of higher priority is
            waited for, before one with a candidate of this type is nominated. What is left out is as in `IceConfig`. While we
            gather, it is counted from the peer's first check at the earliest: before, the peer may not know us.
        choose: ``choose(nominees, now)``, with the valid pairs of one component by decreasing priority, says what to
            nominate, or ``None``: nothing now. In place of the waits, and of all that is said below of moving.
        accept: ``accept(nominee)`` says whether the peer may nominate this pair; one that it may not is answered
            with an error 400 (RFC 8445 7.3.1.5). ``None``: all.
        renominate: offer renomination. Where the peer offers it too, pairs that work are kept and checked at the pace
            of keepalives; a controlling agent moves to a better one, and at once where the one in use dies.
        prefer_rtt: with ``renominate``: move to the pair whose answers come sooner, in place of the one of higher priority.
        rtt_gain: seconds that must be won to move by ``prefer_rtt``, and at least a fifth of what there is: two pairs that
            are alike would take turns otherwise.
        relay_cost: seconds added to a round trip for each relayed end, where pairs are compared by it.
        settle: seconds that a choice stands before a better pair may replace it; a dead pair is replaced at once.
        standby: with ``renominate``: keep a relayed pair at hand as well. Without it relays that are not in use are
            given back (RFC 8445 8.3), for they cost somebody.
        max_kept: pairs kept beside the one in use, 1 to 16.
        use_candidate_in_consent: repeat USE-CANDIDATE in the consent checks of a controlling agent; some servers select
            by the last check that had it.

    Raises:
        ValueError: a number that is none, or out of range.
    """

    acceptance_waits: Mapping[CandidateType, float] | None = attrs.field(default=None, converter=_with_types)
    choose: Callable[[Sequence[Nominee], float], Choice | None] | None = None
    accept: Callable[[Nominee], bool] | None = None
    renominate: bool = False
    prefer_rtt: bool = False
    rtt_gain: float = 0.01
    relay_cost: float = 0.1
    settle: float = 3.0
    standby: bool = False
    max_kept: int = 4
    use_candidate_in_consent: bool = False

    def __attrs_post_init__(self) -> None:
        for name in ("rtt_gain", "relay_cost", "settle"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not a number of seconds")
        for name in ("prefer_rtt", "standby"):
            if getattr(self, name) and not self.renominate:
                raise ValueError(f"{name}: only with renominate, for a pair that was nominated once stays the only one")
        for type, wait in (self.acceptance_waits or {}).items():
            if not 0 <= wait < math.inf:
                raise ValueError(f"acceptance_waits: {wait!r} for {type.value} is not a number of seconds")
        if not 1 <= self.max_kept <= MAX_KEPT:
            raise ValueError(f"max_kept: {self.max_kept!r} is outside 1..{MAX_KEPT}")

    def waits(self, defaults: Mapping[CandidateType, float]) -> Mapping[CandidateType, float]:
        """The acceptance waits, with ``defaults`` for what is left out."""
        return defaults if self.acceptance_waits is None else {**defaults, **self.acceptance_waits}


REGULAR = Nomination()
