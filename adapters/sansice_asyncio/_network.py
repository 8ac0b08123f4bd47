"""One watch of the network for all connections of an event loop; see `sansice.sockets.NetworkWatch`."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from sansice.driver import clock
from sansice.sockets import NetworkWatch

if TYPE_CHECKING:
    from ._ice import IceConnection

_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[float | None, SharedWatch]] = WeakKeyDictionary()


class SharedWatch:
    """A reader and a timer in the event loop, and no task; gone with its last connection."""

    __slots__ = ("_clock", "_fd", "_handle", "_interval", "_loop", "_watch")

    def __init__(self, loop: asyncio.AbstractEventLoop, interval: float | None) -> None:
        self._clock = clock
        self._loop = loop
        self._interval = interval
        self._watch: NetworkWatch[IceConnection] = NetworkWatch(interval, waiting=loop.time)
        self._handle: asyncio.TimerHandle | None = None
        self._fd = -1

    @classmethod
    def shared(cls, interval: float | None) -> SharedWatch:
        """The one that all connections share that want to look as often."""
        loop = asyncio.get_running_loop()
        watches = _WATCHES.setdefault(loop, {})
        watch = watches.get(interval)
        if watch is None:
            watch = watches[interval] = cls(loop, interval)
        return watch

    def join(self, connection: IceConnection) -> None:
        """Have a connection look at the network whenever that has changed."""
        self._watch.join(connection, self._clock())
        self._rearm()

    def leave(self, connection: IceConnection) -> None:
        """Have it look no more."""
        if connection not in self._watch.members or not self._watch.leave(connection):
            return
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            self._fd = -1
        if self._handle is not None:
            self._handle.cancel()
        self._watch.close()
        del _WATCHES[self._loop][self._interval]

    def _rearm(self) -> None:
        source, deadline = self._watch.source, self._watch.deadline
        if source is not None and self._fd < 0:
            self._fd = source.fileno()
            self._loop.add_reader(self._fd, self._read)
        if self._handle is not None:
            self._handle.cancel()
        self._handle = (
            None if deadline == math.inf else self._loop.call_later(max(0.0, deadline - self._clock()), self._fire, deadline)
        )

    def _read(self) -> None:
        self._watch.readable(self._clock())
        self._rearm()
        self._catch_up()

    def _catch_up(self) -> None:
        if self._watch.has_slept(self._clock()):
            for connection in self._watch.members:
                connection._driver._catch_up()

    def _fire(self, fired: float) -> None:
        self._catch_up()
        refresh = True
        for connection in self._watch.timer(max(fired, self._clock())):
            connection._driver._step(partial(connection._look_at_network, refresh=refresh))
            refresh = False
        if self._watch.members:
            self._rearm()
