"""One watch of the network for all connections of a trio run; see `sansice.sockets.NetworkWatch`."""

from __future__ import annotations

import contextvars
from typing import TYPE_CHECKING

import trio

from sansice.sockets import POLL, NetworkWatch

from ._custom import socket_factory
from ._reactor import Reactor

if TYPE_CHECKING:
    from ._ice import IceConnection


class SharedWatch:
    """Served by the reactor, as drivers are: so there is no task more.

    It has left the reactor when its last connection leaves.
    """

    __slots__ = ("_context", "_interval", "_place", "_reactor", "_watch")

    def __init__(self, reactor: Reactor, interval: float | None) -> None:
        # What a test has put under trio tells nobody of changes.
        wanted = POLL if interval is None and socket_factory() is not None else interval
        self._interval = interval
        self._reactor = reactor
        self._watch: NetworkWatch[IceConnection] = NetworkWatch(wanted, waiting=trio.current_time)
        self._context = contextvars.copy_context()
        self._place = reactor.join(self, None)

    @classmethod
    def shared(cls, reactor: Reactor, interval: float | None) -> SharedWatch:
        """The one that all connections share that want to look as often."""
        watch = reactor.watches.get(interval)
        if watch is None:
            watch = reactor.watches[interval] = cls(reactor, interval)
        return watch

    def join(self, connection: IceConnection) -> None:
        """Have a connection look at the network whenever that has changed."""
        self._watch.join(connection, self._reactor.now())
        self._rearm()

    def leave(self, connection: IceConnection) -> None:
        """Have it look no more."""
        if self._watch.members and self._watch.leave(connection):
            self._close()

    def _close(self) -> None:
        self._reactor.leave(self)
        self._watch.close()
        if self._reactor.watches.get(self._interval) is self:
            del self._reactor.watches[self._interval]

    def _rearm(self) -> None:
        source = self._watch.source
        if source is not None and self._place < 0:  # it was opened a moment ago
            self._reactor.leave(self)
            self._place = self._reactor.join(self, source.fileno())
        self._reactor.wake(self, self._watch.deadline)

    # ------------------------------------------------------------- what the reactor calls

    def _read(self) -> None:
        self._watch.readable(self._reactor.now())
        self._rearm()
        self._catch_up()

    def _catch_up(self) -> None:
        if self._watch.has_slept(self._reactor.now()):
            self._reactor.catch_up()

    def _fire(self, fired: float) -> None:
        self._catch_up()
        refresh = True
        for connection in self._watch.timer(fired):
            driver = connection._driver
            try:
                driver._context.run(connection._look_at_network, refresh=refresh)
            except BaseException as error:  # an application's filter, whose connection ends by it, and no other
                driver._fail(error)
            refresh = False
        if self._watch.members:
            self._rearm()

    def _fail(self, error: BaseException) -> None:
        self._close()

    def _end(self) -> None:
        self._close()
