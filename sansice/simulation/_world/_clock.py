"""Virtual time: one heap of everything that will happen."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from typing import Any, TypeAlias

Happening: TypeAlias = tuple[float, int, Callable[[Any], object], Any]
"""When, a number that orders what is due at one instant, and a function with its argument."""

STALL_LIMIT = (
    1_000_000  # happenings at one instant; more is a loop that takes no time, such as two echoes on a link without latency
)


class SimulationError(Exception):
    """The simulated world, or a machine in it, does something impossible; the text names what and when."""


class Clock:
    """Seconds that pass only when nothing is left to do at the present instant.

    What is due at the same instant happens in the order in which it was scheduled, so a run depends on
    nothing but its inputs.

    Attributes:
        now: virtual seconds.
    """

    __slots__ = ("_heap", "_sequence", "now")

    def __init__(self, start: float = 0.0) -> None:
        self.now: float = start
        self._heap: list[Happening] = []
        self._sequence = 0

    def at(self, when: float, function: Callable[[Any], object], argument: object) -> None:
        """Have ``function(argument)`` called at ``when``, which is not in the past."""
        self._sequence += 1
        heapq.heappush(self._heap, (when, self._sequence, function, argument))

    @property
    def next_time(self) -> float:
        """When the next thing happens; infinity where nothing will."""
        return self._heap[0][0] if self._heap else math.inf

    def upcoming(self) -> list[Happening]:
        """All that is scheduled, in the order in which it would happen: for who steers the order (see `explore`)."""
        return sorted(self._heap)

    def take(self, happening: Happening, now: float) -> None:
        """Remove one of `upcoming`, for the caller to make it happen or not; time passes up to ``now``."""
        self._heap.remove(happening)
        heapq.heapify(self._heap)
        if now > self.now:
            self.now = now

    def run(self, until: float, when: Callable[[], bool] | None) -> bool:
        """Let things happen until ``when()`` holds, or nothing is left that is due at or before ``until``.

        Returns:
            Whether ``when()`` held.

        Raises:
            SimulationError: a million things happened and no time passed.
        """
        if when is not None and when():
            return True
        heap, pop, stalled = self._heap, heapq.heappop, 0
        while heap and heap[0][0] <= until:
            time, _, function, argument = pop(heap)
            if time > self.now:
                self.now = time
                stalled = 0
            else:
                stalled += 1
                if stalled > STALL_LIMIT:
                    raise SimulationError(f"time stands still at {self.now} s: {STALL_LIMIT} things happened at this instant")
            try:
                function(argument)
            except Exception as error:
                error.add_note(f"raised at virtual time {self.now} s")
                raise
            if when is not None and when():
                return True
        if until != math.inf and until > self.now:
            self.now = until
        return False
