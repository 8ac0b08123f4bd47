"""What has arrived for a reader of an adapter: bounded, and the oldest gives way."""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

MAX_QUEUED = 1024  # datagrams that wait for a slow reader: half a second of video at 20 Mbit/s
MAX_QUEUED_BYTES = 2**20  # or 16 datagrams of the largest kind


class News(Protocol):
    """How a runtime has somebody wait. The waiting is the adapter's own business."""

    def wake(self) -> None:
        """Have everybody who waits look again. Called within a step of the machine, so it runs nobody."""
        ...


N = TypeVar("N", bound=News)


class Inbox(Generic[T, N]):
    """A queue, and what its readers wait for.

    Args:
        news: of the runtime.
        max_queued, max_queued_bytes: what may wait; over either the oldest is dropped.

    Attributes:
        news: as given.
    """

    __slots__ = ("_items", "_max_queued", "_max_queued_bytes", "_size", "news")

    def __init__(self, news: N, max_queued: int, max_queued_bytes: int) -> None:
        self.news: N = news
        # Many are idle: a list costs 56 bytes, a deque 700.
        self._items: list[tuple[T, int]] = []
        self._size = 0
        self._max_queued = max_queued
        self._max_queued_bytes = max_queued_bytes

    def put(self, item: T, size: int) -> int:
        """Append what has arrived, and wake the readers; how many items had to make room."""
        items = self._items
        items.append((item, size))
        self._size += size
        dropped = 0
        while len(items) > self._max_queued or self._size > self._max_queued_bytes:
            self.take()
            dropped += 1
        self.news.wake()
        return dropped

    def take(self) -> T:
        """The oldest item. There is one: see `len`."""
        item, size = self._items.pop(0)
        self._size -= size
        return item

    def __len__(self) -> int:
        return len(self._items)
