"""The arrows of a diagram: from columns to columns, each in one direction."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from sansice.simulation._world._packets import Fate

from ._fates import is_loss
from ._journey import End, Journey


class Tip(enum.Enum):
    """How an arrow ends."""

    ARRIVES = "arrives"
    TURNS = "goes on in the other direction"
    DIES = "goes no further"
    UNKNOWN = "under way"


class Arrow(NamedTuple):
    """A straight arrow.

    Attributes:
        columns: the numbers of what it begins at, passes and reaches, all rising or all falling; just one where it ends
            before it reaches any other.
        tip: how it ends.
        beyond: it ends half a column after the last of ``columns``, in this direction (1, -1); 0 if at it.
    """

    columns: tuple[int, ...]
    tip: Tip
    beyond: int = 0


def arrows_of(journey: Journey, towards: str, columns: Sequence[str]) -> list[Arrow]:
    """The arrows that show a journey, in order.

    Args:
        journey: whose places have columns.
        towards: for whom it is meant.
        columns: the names of the columns.
    """
    ends: list[End | None] = [*journey.ends]
    found: list[Arrow] = []
    for path, end in zip(journey.paths, ends or [None], strict=True):
        numbers = [columns.index(place) for place in path]
        if numbers:
            found += _arrows(numbers, end, columns.index(towards) if towards in columns else None, len(columns))
    return list(dict.fromkeys(found))


def _arrows(numbers: Sequence[int], end: End | None, target: int | None, count: int) -> Iterator[Arrow]:
    *turns, last = _straight(numbers)
    for run in turns:
        yield Arrow(run, Tip.TURNS)
    if end is not None and end.fate is Fate.DELIVERED:
        yield Arrow(last, Tip.ARRIVES)
    elif end is not None and is_loss(end.fate) and not end.on_a_link:
        yield Arrow(last, Tip.DIES)
    else:
        direction = _direction(last, target, count)
        if len(last) > 1 and (last[-1] > last[0]) != (direction > 0):
            yield Arrow(last, Tip.TURNS)
            last = last[-1:]
        yield Arrow(last, Tip.UNKNOWN if end is None else Tip.DIES, direction)


def _direction(run: tuple[int, ...], target: int | None, count: int) -> int:
    """Which way it would have gone on: to whom it is meant for; else as before; else inwards."""
    at = run[-1]
    if target is not None and target != at:
        return 1 if target > at else -1
    if len(run) > 1:
        return 1 if run[-1] > run[0] else -1
    return 1 if at < count - 1 or at == 0 else -1


def _straight(numbers: Sequence[int]) -> list[tuple[int, ...]]:
    """Cut where the direction changes; a turning point is in both parts."""
    runs: list[list[int]] = [[numbers[0]]]
    for number in numbers[1:]:
        run = runs[-1]
        if number == run[-1]:
            continue
        if len(run) > 1 and (run[-1] > run[-2]) != (number > run[-1]):
            runs.append([run[-1], number])
        else:
            run.append(number)
    return [tuple(run) for run in runs]
