"""Named deadlines, of which the earliest is the machine's.

`Timers` is for any number: a binary heap with lazy deletion. `Timers.set` and `Timers.cancel` cost O(log n),
`Timers.deadline` costs O(1), and dead entries hardly outnumber the live ones, so 100,000 timers are fine.

`FewTimers` does the same for some dozens: a plain dict that knows its earliest deadline, which takes a quarter of
the time and a third of the room, and is searched only when the earliest one goes.

Ties fire in the order in which they were set, which keeps runs reproducible.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)

_SLACK = 8  # dead entries tolerated in any table, so that the smallest ones are not rebuilt all the time


class Timers(Generic[K]):
    """A table from key to absolute deadline."""

    __slots__ = ("_heap", "_live", "_sequence")

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, K]] = []
        self._live: dict[K, tuple[float, int, K]] = {}
        self._sequence = 0

    def set(self, key: K, deadline: float) -> None:
        """Arm ``key``, replacing its earlier deadline; `math.inf` disarms it. The same deadline again changes nothing."""
        if deadline == math.inf:
            self.cancel(key)
            return
        armed = self._live.get(key)
        if armed is not None and armed[0] == deadline:
            return
        self._sequence += 1
        entry = self._live[key] = (deadline, self._sequence, key)
        heapq.heappush(self._heap, entry)
        self._tidy()

    def cancel(self, key: K) -> None:
        """Disarm ``key``; an unknown key is a no-op."""
        if self._live.pop(key, None) is not None:
            self._tidy()

    def clear(self) -> None:
        """Disarm everything."""
        self._heap.clear()
        self._live.clear()

    def deadline(self) -> float:
        """The earliest deadline, or `math.inf`."""
        return self._heap[0][0] if self._heap else math.inf

    def pop_due(self, now: float) -> K | None:
        """Disarm and return the next key whose deadline is at or before ``now``, or ``None``."""
        if not self._heap or self._heap[0][0] > now:
            return None
        key = heapq.heappop(self._heap)[2]
        del self._live[key]
        self._tidy()
        return key

    def __contains__(self, key: K) -> bool:
        return key in self._live

    def __len__(self) -> int:
        return len(self._live)

    def _tidy(self) -> None:
        # The invariant: the top of the heap is live. So deadline() need not search, and stays pure.
        heap, live = self._heap, self._live
        if len(heap) > 2 * len(live) + _SLACK:
            heap[:] = [entry for entry in heap if live.get(entry[2]) is entry]
            heapq.heapify(heap)
        while heap and live.get(heap[0][2]) is not heap[0]:
            heapq.heappop(heap)


class FewTimers(Generic[K]):
    """`Timers` for a few keys.

    Attributes:
        earliest: the earliest deadline, or `math.inf`; to be read only.
    """

    __slots__ = ("_live", "earliest")

    def __init__(self) -> None:
        self._live: dict[K, float] = {}  # in the order of setting
        self.earliest = math.inf

    def set(self, key: K, deadline: float) -> None:
        """Arm ``key``, replacing its earlier deadline; `math.inf` disarms it. The same deadline again changes nothing."""
        armed = self._live.get(key)
        if armed == deadline:
            return
        if armed is not None:
            self.cancel(key)
        if deadline != math.inf:
            self._live[key] = deadline
            if deadline < self.earliest:
                self.earliest = deadline

    def cancel(self, key: K) -> None:
        """Disarm ``key``; an unknown key is a no-op."""
        live = self._live
        if live.pop(key, None) == self.earliest:
            if live:
                self.earliest = min(live.values())
            else:
                live.clear()  # which gives its room back: most tables are empty most of the time
                self.earliest = math.inf

    def clear(self) -> None:
        """Disarm everything."""
        self._live.clear()
        self.earliest = math.inf

    def pop_due(self, now: float) -> K | None:
        """Disarm and return the next key whose deadline is at or before ``now``, or ``None``."""
        earliest = self.earliest
        if earliest > now or earliest == math.inf:
            return None
        key = next(key for key, deadline in self._live.items() if deadline == earliest)
        self.cancel(key)
        return key

    def __contains__(self, key: K) -> bool:
        return key in self._live

    def __len__(self) -> int:
        return len(self._live)
