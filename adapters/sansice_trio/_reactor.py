"""One task reads for all drivers of a trio run, and fires their timers.

It waits on an epoll in which each driver's own epoll sits, under a scope whose deadline is the earliest of theirs. A task, a
scope and a descriptor in trio's epoll for each driver would be the plain way, and a quarter of the memory of a connected ICE
agent: it had 13.1 KB then, and has 9.9 KB now (aioice: 15.1 KB). Connecting takes 1 % less byte code.

What the plain way gave for nothing is seen to here:

- A driver whose machine fails is out, and hears of it (`TrioDriver._fail`); nothing of that reaches the others, or the run,
  which an exception of a system task would end.
- Nobody is served more than once in a turn, and after each turn every other task of the program has its own.
- A step runs in the context variables that the driver was opened in.
- The task belongs to the run and not to whoever opened a driver first, so that nobody's cancellation is the others'. It is
  there while there are drivers, and Ctrl-C does not reach into it: no machine is left in the middle of a step.
"""

from __future__ import annotations

import math
import select
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeVarTuple

import trio

from sansice.driver import Timers, clock

if TYPE_CHECKING:
    import contextvars

    from ._network import SharedWatch

Ts = TypeVarTuple("Ts")

FAR = 1.0  # seconds from which on a deadline is put off at once, and not when the earlier one has passed
_MAX_TURN = 64  # drivers that are fed, or whose timers fire, before other tasks have their turn

# By the clock that the deadlines are on: a test may let time run while there are drivers.
_REAL: trio.lowlevel.RunVar[Reactor | None] = trio.lowlevel.RunVar("sansice reactor")
_OF_TEST: trio.lowlevel.RunVar[Reactor | None] = trio.lowlevel.RunVar("sansice reactor on the clock of a test")


class Served(Protocol):
    """A driver, or whoever else is served as one."""

    _place: int
    _context: contextvars.Context

    def _read(self) -> None: ...

    def _fire(self, fired: float) -> None: ...

    def _fail(self, error: BaseException) -> None: ...

    def _end(self) -> None: ...

    def __hash__(self) -> int: ...


class Reactor:
    """See the module. Made by the first driver of a run, and over with the last.

    Attributes:
        now: the clock that all of it is on.
        watches: of the network, by how often they look.
    """

    __slots__ = ("_drivers", "_ended", "_epoll", "_last_place", "_live", "_scope", "_timers", "_token", "now", "watches")

    _token: trio.lowlevel.RunVarToken[Reactor | None]

    def __init__(self, now: Callable[[], float]) -> None:
        self.now: Callable[[], float] = now
        self.watches: dict[float | None, SharedWatch] = {}
        self._drivers: dict[int, Served] = {}  # by the descriptor to be read, or a negative number
        self._last_place = 0
        self._timers: Timers[Served] = Timers()
        self._live = math.inf  # when the scope expires
        self._scope = trio.CancelScope()
        self._ended = trio.Event()
        self._epoll = select.epoll() if hasattr(select, "epoll") else None
        try:
            trio.lowlevel.spawn_system_task(self._run, name="sansice reactor")
        except BaseException:
            self._close()
            raise

    @classmethod
    def of_run(cls, now: Callable[[], float]) -> Reactor:
        """The one that all drivers on a clock share."""
        var = _REAL if now is clock else _OF_TEST
        reactor = var.get(None)
        if reactor is None:
            reactor = cls(now)
            reactor._token = var.set(reactor)
        return reactor

    def join(self, driver: Served, fd: int | None) -> int:
        """Have a driver be served: called back whenever its descriptor is readable, or what it said to `wake` has come.

        Args:
            driver: who joins.
            fd: what to wait for; ``None``: somebody else does.

        Returns:
            Its place here.

        Raises:
            OSError: the system has no room for one more.
        """
        if fd is None or self._epoll is None:
            self._last_place = place = self._last_place - 1
        else:
            try:
                self._epoll.register(fd, select.EPOLLIN)
            except OSError:
                if not self._drivers:
                    self._retire()
                raise
            place = fd
        self._drivers[place] = driver
        return place

    def leave(self, driver: Served) -> None:
        """Serve a driver no more; one that is not here is a no-op. The last one ends the task."""
        place = driver._place
        if self._drivers.get(place) is not driver:
            return
        del self._drivers[place]
        self._timers.cancel(driver)
        if place >= 0 and self._epoll is not None:
            self._epoll.unregister(place)
        if not self._drivers:
            self._retire()

    def wake(self, driver: Served, deadline: float) -> None:
        """Call a driver back at ``deadline``, replacing its earlier one; `math.inf` for never."""
        self._timers.set(driver, deadline)
        self._wake_by(deadline)

    def catch_up(self) -> None:
        """The machine has slept, and trio's clock with it: what is due by ours is done now, and the rest in time."""
        if not self._scope.cancel_called:
            self._expire_at(self._timers.deadline())

    async def ended(self) -> None:
        """Wait for the task's end where the last driver has left, however impatient the caller is: it is a moment away."""
        if not self._drivers and not self._ended.is_set():
            with trio.CancelScope(shield=True):
                await self._ended.wait()

    def _retire(self) -> None:
        (_REAL if self.now is clock else _OF_TEST).reset(self._token)
        self._scope.cancel()

    async def _run(self) -> None:
        try:
            while self._drivers:
                self._live = self._timers.deadline()
                self._scope = trio.CancelScope(deadline=on_trio_clock(self._live, self.now))
                with self._scope:
                    while self._drivers:
                        if self._epoll is None:
                            await trio.sleep_forever()
                        else:
                            await trio.lowlevel.wait_readable(self._epoll.fileno())
                        self._read()
                        self._put_off()
                self._fire()
        finally:
            for driver in tuple(self._drivers.values()):  # the run is over, so they are of other system tasks
                driver._end()
            self._close()
            self._ended.set()

    def _read(self) -> None:
        if self._epoll is None:
            return
        for place, _ in self._epoll.poll(0, _MAX_TURN):
            driver = self._drivers.get(place)
            if driver is not None:  # otherwise it left by what was done a moment ago
                self._step(driver, driver._read)

    def _fire(self) -> None:
        now = max(self.now(), self._live)  # trio may wake us early, by the granularity of its clock
        due: list[Served] = []
        while len(due) < _MAX_TURN and (driver := self._timers.pop_due(now)) is not None:
            due.append(driver)
        for driver in due:
            if self._drivers.get(driver._place) is driver:
                self._step(driver, driver._fire, now)
        if self._timers.deadline() <= now:
            self._read()  # or who has timers without end would keep all sockets waiting

    def _step(self, driver: Served, feed: Callable[[*Ts], None], *args: *Ts) -> None:
        try:
            driver._context.run(feed, *args)
        except BaseException as error:  # even SystemExit goes to whose it is
            driver._fail(error)

    def _wake_by(self, deadline: float) -> None:
        # A later deadline waits until the scope expires at the earlier one, unless it is `FAR`: machines put deadlines off far
        # more often than they let them pass.
        if deadline < self._live:
            self._expire_at(deadline)

    def _put_off(self) -> None:
        """Wake later, where that is far later: to be woken for nothing costs as much as many deadlines."""
        # If the scope has expired meanwhile, then `_live` must stay what it expired at: nobody is called before their time.
        deadline = self._timers.deadline()
        if deadline > self._live + FAR and not self._scope.cancel_called:
            self._expire_at(deadline)

    def _expire_at(self, deadline: float) -> None:
        self._live = deadline
        self._scope.deadline = on_trio_clock(deadline, self.now)

    def _close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()


def on_trio_clock(deadline: float, now: Callable[[], float]) -> float:
    """When trio's clock shows it, if both clocks go on as they do at present."""
    if deadline == math.inf or now is trio.current_time:
        return deadline
    return trio.current_time() + (deadline - now())
