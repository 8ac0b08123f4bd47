"""When a controlling agent stops looking for a better pair (RFC 8445 8.1.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sansice.ice._candidate import CandidateType
from sansice.ice._nomination import Choice, Nominee
from sansice.ice._pair import UNFINISHED, Pair, PairState
from sansice.machine import LocalProtocolError

from ._renomination import as_nominee


class Nominable(NamedTuple):
    """The pair to nominate, and the earliest moment to do it."""

    pair: Pair
    at: float


def best_valid(pairs: Iterable[Pair]) -> Pair | None:
    """The succeeded pair of highest priority in a checklist, which is in descending order."""
    for pair in pairs:
        if pair.state is PairState.SUCCEEDED and pair.valid is not None:
            return pair
    return None


def choose(pairs: Iterable[Pair], since: float, waits: Mapping[CandidateType, float]) -> Nominable | None:
    """Choose among the pairs of a checklist, in descending order.

    The best valid pair is nominated at once where no pair of higher priority is still being tried, else
    when its acceptance wait has passed ``since`` better ones could be found. Data flows meanwhile.
    """
    unfinished = False
    for pair in pairs:
        if pair.state is PairState.SUCCEEDED and pair.valid is not None:
            if not unfinished:
                return Nominable(pair, -math.inf)
            types = (pair.valid.local.candidate.type, pair.valid.remote.type)
            return Nominable(pair, since + max(waits.get(type, 0.0) for type in types))
        unfinished = unfinished or pair.state in UNFINISHED
    return None


def ask(
    policy: Callable[[Sequence[Nominee], float], Choice | None], valid: Iterable[Pair], selected: Pair | None, now: float
) -> tuple[Pair | None, float]:
    """What the application's own policy wants among valid pairs.

    Returns:
        The pair to nominate now, and until when to wait if there is none.

    Raises:
        LocalProtocolError: the policy wants what it was not shown.
    """
    pairs = sorted(valid, key=lambda pair: pair.priority, reverse=True)
    nominees = [as_nominee(pair, selected=pair is selected) for pair in pairs]
    choice = policy(tuple(nominees), now) if nominees else None
    if choice is None:
        return None, math.inf
    if choice.nominee not in nominees:
        raise LocalProtocolError("Nomination.choose: it chose what it was not shown")
    if choice.at > now:
        return None, choice.at
    return pairs[nominees.index(choice.nominee)], now
