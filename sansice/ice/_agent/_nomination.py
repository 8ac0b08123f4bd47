"""When a controlling agent stops looking for a better pair (RFC 8445 8.1.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from sansice.ice._candidate import CandidateType
from sansice.ice._pair import UNFINISHED, Pair, PairState


@attrs.frozen
class Choice:
    """The pair to nominate, and the earliest moment to do it."""

    pair: Pair
    at: float


def best_valid(pairs: Iterable[Pair]) -> Pair | None:
    """The succeeded pair of highest priority in a checklist, which is in descending order."""
    for pair in pairs:
        if pair.state is PairState.SUCCEEDED and pair.valid is not None:
            return pair
    return None


def choose(pairs: Iterable[Pair], first_valid_at: float, waits: Mapping[CandidateType, float]) -> Choice | None:
    """Choose among the pairs of a checklist, in descending order.

    The best valid pair is nominated at once where no pair of higher priority is still being tried, else
    when its acceptance wait has passed since the first pair became valid. Data flows meanwhile.
    """
    unfinished = False
    for pair in pairs:
        if pair.state is PairState.SUCCEEDED and pair.valid is not None:
            if not unfinished:
                return Choice(pair, first_valid_at)
            types = (pair.valid.local.candidate.type, pair.valid.remote.type)
            return Choice(pair, first_valid_at + max(waits.get(type, 0.0) for type in types))
        unfinished = unfinished or pair.state in UNFINISHED
    return None
