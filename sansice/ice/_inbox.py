"""Datagrams of one component that wait for a reader."""

from __future__ import annotations

from sansice.driver import AsyncEvent

MAX_QUEUED = 1024  # datagrams that wait for a slow reader: half a second of video at 20 Mbit/s
MAX_QUEUED_BYTES = 2**20  # or 16 datagrams of the largest kind


class Inbox:
    """A queue that drops the oldest where it is full.

    Args:
        max_queued, max_queued_bytes: what may wait.

    Attributes:
        max_queued, max_queued_bytes: as given; they may be changed.
        news: what its readers wait for, where a runtime has one for each queue; ``None`` while nobody waits.
    """

    __slots__ = ("_bytes", "_items", "max_queued", "max_queued_bytes", "news")

    def __init__(self, max_queued: int, max_queued_bytes: int) -> None:
        # One for each component of each connection, and many of them idle: a list costs 56 bytes, a deque 700.
        self._items: list[bytes] = []
        self._bytes = 0
        self.max_queued: int = max_queued
        self.max_queued_bytes: int = max_queued_bytes
        self.news: AsyncEvent | None = None

    def put(self, data: bytes) -> int:
        """Append a datagram; how many had to make room."""
        items = self._items
        items.append(data)
        self._bytes += len(data)
        dropped = 0
        while len(items) > self.max_queued or self._bytes > self.max_queued_bytes:
            self.take()
            dropped += 1
        return dropped

    def take(self) -> bytes:
        """The oldest. There is one: see `len`."""
        data = self._items.pop(0)
        self._bytes -= len(data)
        return data

    def __len__(self) -> int:
        return len(self._items)
