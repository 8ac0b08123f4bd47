"""One watch of the network for all connections of a process; see `sansice.sockets.NetworkWatch`."""

from __future__ import annotations

import contextlib
import math
import os
import select
import threading
from functools import partial
from typing import TYPE_CHECKING

from sansice.driver import clock
from sansice.sockets import NetworkWatch

if TYPE_CHECKING:
    from ._ice import IceConnection

_LOCK = threading.Lock()
_WATCHES: dict[float | None, SharedWatch] = {}


class SharedWatch:
    """One thread, which is there while there are connections."""

    __slots__ = ("_clock", "_interval", "_thread", "_wake_fd", "_watch", "_woken_fd")

    def __init__(self, interval: float | None) -> None:
        self._clock = clock
        self._interval = interval
        self._watch: NetworkWatch[IceConnection] = NetworkWatch(interval)
        self._woken_fd = self._wake_fd = -1
        self._thread: threading.Thread | None = None

    @classmethod
    def shared(cls, interval: float | None) -> SharedWatch:
        """The one that all connections share that want to look as often, or the next one of these."""
        return _WATCHES.get(interval) or cls(interval)

    def join(self, connection: IceConnection) -> None:
        """Have a connection look at the network whenever that has changed."""
        with _LOCK:
            _WATCHES.setdefault(self._interval, self)._join(connection)  # the last one may just have left this

    def leave(self, connection: IceConnection) -> None:
        """Have it look no more, and wait for a look that has begun. The connection's lock is not held."""
        with _LOCK:
            watch = _WATCHES.get(self._interval)
            if watch is None or connection not in watch._watch.members or not watch._watch.leave(connection):
                return
            del _WATCHES[self._interval]
            watch._wake()
            thread = watch._thread
        if thread is not None:
            thread.join()

    def _join(self, connection: IceConnection) -> None:
        self._watch.join(connection, self._clock())
        if self._thread is None:
            self._woken_fd, self._wake_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
            self._thread = threading.Thread(target=self._run, name="sansice network", daemon=True)
            self._thread.start()
        else:
            self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: it is awake
            os.write(self._wake_fd, b"\0")

    def _run(self) -> None:
        try:
            while self._wait():
                with _LOCK:
                    now = self._clock()
                    woken = list(self._watch.members) if self._watch.has_slept(now) else []
                    due = self._watch.timer(now)
                for connection in woken:
                    self._catch_up(connection)
                refresh = True
                for connection in due:
                    self._look(connection, refresh)
                    refresh = False
        finally:
            self._watch.close()
            os.close(self._woken_fd)
            os.close(self._wake_fd)

    def _wait(self) -> bool:
        """Until there is news, or it is time; ``False``: the last connection has left."""
        with _LOCK:
            source, deadline = self._watch.source, self._watch.deadline
            fd = -1 if source is None else source.fileno()
        poll = select.poll()
        poll.register(self._woken_fd, select.POLLIN)
        if fd >= 0:
            poll.register(fd, select.POLLIN)
        ready = dict(poll.poll(None if deadline == math.inf else max(0, math.ceil((deadline - self._clock()) * 1000))))
        if self._woken_fd in ready:
            os.read(self._woken_fd, 4096)
        with _LOCK:
            if fd in ready:
                self._watch.readable(self._clock())
            return bool(self._watch.members)

    def _catch_up(self, connection: IceConnection) -> None:
        """The machine has slept, and the clock of poll() with it: a thread that waits looks at ours."""
        driver = connection._driver
        with driver.lock:
            if not connection._left:
                driver._wake()

    def _look(self, connection: IceConnection, refresh: bool) -> None:
        driver = connection._driver
        with driver.lock:
            if not connection._left and driver._failure is None:
                driver._step(partial(connection._look_at_network, refresh=refresh))
