"""Who wants to know of changes of this machine's interfaces, and when they look: netlink says so on Linux, and a clock elsewhere.

One watch serves all connections of a runtime. It opens nothing before a connection has lived for a while, and costs nothing while
nothing happens. An adapter supplies the waiting: for `NetworkWatch.source`, and until `NetworkWatch.deadline`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from ._interfaces import is_faltering
from ._links import CARRIER_GRACE
from ._news import Source, open_news

FIRST_LOOK = 1.0  # s until a connection is watched: many live shorter, and pay nothing for this
SETTLE = 0.1  # s without news after which the network has settled: it changes in several steps
MAX_SETTLE = 0.5  # s after which it is looked at all the same: an interface that flaps never settles
LOOK_AGAIN = CARRIER_GRACE + 0.02  # s after a look that found a carrier missing; the grace is measured by another clock
POLL = 2.0  # s from one look to the next, where nothing tells of changes
SLEPT = 0.1  # s by which one clock goes ahead of the other only while the machine sleeps

_MAX_READS = 64  # messages of one burst that are read; what is left is more of the same news
_MESSAGE = 65536

M = TypeVar("M")


class NetworkWatch(Generic[M]):
    """Those who want to know, and when.

    Args:
        interval: seconds from one look to the next; ``None``: whenever there is news, or each `POLL` where none can be had.
        waiting: the clock by which the runtime waits, which may stand still while the machine sleeps.
        open_source: what opens the source of news.
        is_unsettled: whether the last look found something that has to be looked at once more.

    Attributes:
        source: to be waited for, once it is open; it is readable where there is news, and `readable` reads it.
        members: who wants to know, in the order of coming, and whether they have been looked at.
    """

    __slots__ = (
        "_ahead",
        "_first_at",
        "_interval",
        "_is_unsettled",
        "_look_at",
        "_looked_at",
        "_open_source",
        "_settles_by",
        "_started",
        "_waiting",
        "members",
        "source",
    )

    def __init__(
        self,
        interval: float | None = None,
        *,
        waiting: Callable[[], float] = time.monotonic,
        open_source: Callable[[], Source | None] = open_news,
        is_unsettled: Callable[[], bool] = is_faltering,
    ) -> None:
        self._interval = interval
        self._waiting = waiting
        self._ahead = math.inf  # how far our clock is ahead of that one
        self._open_source = open_source
        self._is_unsettled = is_unsettled
        self._started = False
        self._first_at = self._look_at = self._looked_at = self._settles_by = math.inf
        self.source: Source | None = None
        self.members: dict[M, bool] = {}

    @property
    def deadline(self) -> float:
        """When `timer` is to be called."""
        return min(self._first_at, self._look_at, self._again_at)

    @property
    def _again_at(self) -> float:
        return self._looked_at + LOOK_AGAIN if self._is_unsettled() else math.inf

    def join(self, member: M, now: float) -> None:
        """Have a member be looked at, for the first time in a while."""
        if not self.members:
            self._ahead = now - self._waiting()
        self.members[member] = False
        self._first_at = min(self._first_at, now + (FIRST_LOOK if self._interval is None else self._interval))

    def leave(self, member: M) -> bool:
        """Forget a member; whether there is none left: then wait for the source no more, and call `close`."""
        self.members.pop(member, None)
        return not self.members

    def close(self) -> None:
        """Close the source. The watch is as it was when it was new."""
        self.members.clear()
        if self.source is not None:
            self.source.close()
        self.source = None
        self._started = False
        self._first_at = self._look_at = self._looked_at = self._settles_by = math.inf

    def readable(self, now: float) -> None:
        """There is news: what it is does not matter, for all is looked at once it has settled."""
        if self.source is None:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MAX_READS):
                with contextlib.suppress(InterruptedError):
                    self._read(self.source)
        self._settles_by = min(self._settles_by, now + MAX_SETTLE)
        self._look_at = min(now + SETTLE, self._settles_by)

    @staticmethod
    def _read(source: Source) -> None:
        try:
            source.recv(_MESSAGE)
        except BlockingIOError:
            raise
        except OSError:  # ENOBUFS: there was more news than the kernel keeps, which is news enough
            return

    def has_slept(self, now: float) -> bool:
        """Whether the machine has slept since this was asked last: then whoever waits for a deadline waits for too long.

        To be asked whenever there is news, or a timer.
        """
        before, self._ahead = self._ahead, now - self._waiting()
        return self._ahead > before + SLEPT

    def timer(self, now: float) -> list[M]:
        """Who is to look now."""
        if now < self.deadline:
            return []
        if not self._started:
            self._started = True
            self.source = self._open_source() if self._interval is None else None
            if self.source is None:
                self._look_at = now  # the first of many
        due = [one for one, seen in self.members.items() if not seen]
        if min(self._look_at, self._again_at) <= now:
            due = list(self.members)
            self._settles_by = math.inf
            self._look_at = math.inf if self.source is not None else now + (POLL if self._interval is None else self._interval)
        self._first_at = math.inf
        self._looked_at = now
        self.members.update(dict.fromkeys(due, True))
        return due
