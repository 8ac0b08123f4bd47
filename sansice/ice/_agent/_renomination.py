"""When the pair in use gives way to another, and which are kept for that (draft-thatcher-ice-renomination).

The rules of an agent whose policy chooses by none of its own. All of them look at valid pairs of one component.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter

from sansice.ice._candidate import CandidateType
from sansice.ice._nomination import Nomination, Nominee
from sansice.ice._pair import Pair
from sansice.machine import SocketId

MIN_MEASUREMENTS = 3  # before a round trip time is compared: a single one may have met a busy moment
GAIN_RATIO = 0.2  # of what there is, that must be won: 10 ms are much on a LAN and nothing beside 400 ms

_priority = attrgetter("priority")


def relays(pair: Pair) -> int:
    """How many of the two ends are relayed."""
    ends = (pair.local.candidate.type, pair.remote.type)
    return ends.count(CandidateType.RELAYED)


def as_nominee(pair: Pair, *, selected: bool = False) -> Nominee:
    """A valid pair as a policy may see it."""
    rtt = pair.rtt
    return Nominee(
        pair=pair.snapshot(),
        component=pair.local.candidate.component,
        rtt=None if rtt is None else rtt.smoothed,
        measurements=0 if rtt is None else rtt.measurements,
        relays=relays(pair),
        valid_since=pair.valid_since,
        answered_at=pair.answered_at,
        selected=selected,
    )


def find_better(others: Iterable[Pair], used: Pair, policy: Nomination) -> list[Pair]:
    """Those of ``others`` that are worth moving to, the best one first."""
    better = [pair for pair in others if _is_better(pair, used, policy)]
    if policy.prefer_rtt:
        return sorted(better, key=lambda pair: _cost(pair, policy) or 0.0)
    return sorted(better, key=_priority, reverse=True)


def _is_better(other: Pair, used: Pair, policy: Nomination) -> bool:
    if not policy.prefer_rtt:
        return other.priority > used.priority
    here, there = _cost(used, policy), _cost(other, policy)
    if here is None or there is None:
        return False
    enough = max(policy.rtt_gain, GAIN_RATIO * here)
    # The way back by priority is narrower than the way here by time, so that two pairs do not take turns.
    return here - there > enough or (other.priority > used.priority and here - there > -enough / 2)


def _cost(pair: Pair, policy: Nomination) -> float | None:
    """Seconds for a round trip, and what its relays are held to cost; ``None`` before enough was measured."""
    rtt = pair.rtt
    if rtt is None or rtt.smoothed is None or rtt.measurements < MIN_MEASUREMENTS:
        return None
    return rtt.smoothed + policy.relay_cost * relays(pair)


def is_measured(pair: Pair) -> bool:
    """Whether its round trip time may be compared."""
    return pair.rtt is not None and pair.rtt.measurements >= MIN_MEASUREMENTS


def find_refuge(others: Iterable[Pair], since: float) -> Pair | None:
    """Where to go from a dead pair: the one of highest priority that was answered at ``since`` or later."""
    return max((pair for pair in others if pair.answered_at >= since), key=_priority, default=None)


def find_kept(others: Sequence[Pair], policy: Nomination) -> list[Pair]:
    """Which pairs beside the one in use are kept, and so are checked at the pace of keepalives.

    One of each socket comes first: a pair that shares the socket of the one in use will often die with it.
    """
    direct = [pair for pair in sorted(others, key=_priority, reverse=True) if not relays(pair)]
    seen: list[SocketId] = []
    firsts: list[Pair] = []
    for pair in direct:
        if pair.local.socket not in seen:
            seen.append(pair.local.socket)
            firsts.append(pair)
    kept = (firsts + [pair for pair in direct if pair not in firsts])[: policy.max_kept]
    relay = max((pair for pair in others if relays(pair)), key=_priority, default=None)
    if policy.standby and relay is not None:
        kept[policy.max_kept - 1 :] = [relay]
    return kept
