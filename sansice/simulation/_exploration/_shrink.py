"""Shrinking: from a schedule that breaks an invariant to a small one that breaks it, too."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from ._deviations import Schedule
from ._steering import alternatives
from ._trial import Breach, Run

MAX_RUNS = 400  # that shrinking may take; most schedules have one or two deviations and need fewer

RunSchedule: TypeAlias = Callable[[Schedule], Run]


def shrink(run: RunSchedule, schedule: Schedule, breach: Breach, faults: Sequence[str]) -> tuple[Schedule, Breach]:
    """Fewer deviations first, then fewer events until the breach.

    Args:
        run: runs a schedule.
        schedule: breaks an invariant.
        breach: how; what is returned breaks the same one.
        faults: that the arena has.
    """
    left = MAX_RUNS
    better = True
    while better and left > 0:
        better = False
        for candidate in _smaller(run, schedule, faults):
            left -= 1
            found = run(candidate).breach
            if found is not None and found.invariant == breach.invariant and _size(candidate, found) < _size(schedule, breach):
                schedule, breach, better = candidate, found, True
                break
            if left <= 0:
                break
    return schedule, breach


def _size(schedule: Schedule, breach: Breach) -> tuple[int, int]:
    return len(schedule), breach.events


def _smaller(run: RunSchedule, schedule: Schedule, faults: Sequence[str]) -> Iterator[Schedule]:
    for index in range(len(schedule)):
        yield schedule[:index] + schedule[index + 1 :]
    for index, deviation in reversed(tuple(enumerate(schedule))):
        before, after = schedule[:index], schedule[index + 1 :]
        first = before[-1].step if before else -1
        for other in alternatives(run(before).steps, first, faults):
            if other.step > deviation.step:
                break
            yield (*before, other, *after)
