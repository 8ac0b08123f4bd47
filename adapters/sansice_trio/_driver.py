"""A machine on trio: what it wants is done here, its sockets are read and its timer fires in the `_reactor`."""

from __future__ import annotations

import contextlib
import contextvars
import math
import select
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import trio

from sansice import (
    Address,
    CloseMode,
    Event,
    LocalProtocolError,
    Machine,
    OpenSocket,
    RecordKind,
    Resolve,
    SocketId,
)
from sansice.driver import MAX_DATA_EVENTS, Driver, EventQueueBase, clock
from sansice.sockets import Answer, Sockets, TlsConfig, address_records, look_up, look_up_error

from ._custom import hostname_resolver, socket_factory
from ._fallback import TrioSockets
from ._reactor import FAR, Reactor, on_trio_clock

R = TypeVar("R")

LINGER = 1.0  # seconds that leaving a block may take, for what must still go out

_FAMILIES = {RecordKind.A: socket.AF_INET, RecordKind.AAAA: socket.AF_INET6}


class EventQueue(EventQueueBase):
    """Events on their way to the application: an asynchronous iterator that ends when the driver does.

    Args:
        data: the types of event that carry application data. At most ``max_data`` of them wait; then
            the oldest is dropped and counted in ``dropped``. All other events are kept.
    """

    __slots__ = ("_readers",)

    def __init__(self, data: Collection[type[Event]] = (), max_data: int = MAX_DATA_EVENTS) -> None:
        super().__init__(data, max_data)
        self._readers = trio.lowlevel.ParkingLot()

    async def get(self) -> Event | None:
        """Wait for the next event; ``None`` once the driver has ended. Cancelling is safe: no event is lost."""
        await trio.lowlevel.checkpoint()
        while not self._events:
            if self._closed:
                return None
            await self._readers.park()
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def _wake(self) -> None:
        self._readers.unpark_all()


class TrioDriver:
    """Runs one machine: ``async with TrioDriver(machine, deliver) as driver``.

    One task reads the sockets and fires the timers of all drivers of a run; it is there while any block is open. Leaving the
    block calls the machine's ``close(now=...)`` where it has one, sends what that wants sent, gives streams a second at most
    to write what is queued, and the machine while it `Driver.lingers`, and releases everything; nothing runs afterwards. An
    exception of the body comes out as it is; a failure of the machine cancels the body, and comes out of the block in an
    `ExceptionGroup`, and of no other driver's. What is called within a step (``deliver``, policies of the machine) finds the
    context variables as they were when the block was entered. Applications call `call`; the other methods are the
    `sansice.driver.Runtime` that the machine sees.

    Args:
        machine: any machine.
        deliver: takes each event, at once, and only stores it: it runs inside a step of the machine.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.
    """

    __slots__ = (
        "_armed", "_clock", "_context", "_deliver", "_is_open", "_live", "_manager", "_nursery", "_options", "_place", "_reactor",
        "_sockets", "_stepped", "driver",
    )  # fmt: skip

    def __init__(
        self,
        machine: Machine,
        deliver: Callable[[Event], None],
        *,
        ports: Sequence[int] | None = None,
        tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
        inherited: Sequence[socket.socket] = (),
    ) -> None:
        self._deliver = deliver
        self._clock = clock if _runs_in_real_time() else trio.current_time
        self.driver: Driver = Driver(machine, self)
        self._options = (ports, tls, inherited)
        self._is_open: bool | None = None  # within the block; None before it
        self._armed = math.inf
        self._live = -math.inf  # when the reactor calls back; nothing is earlier while it does not serve us
        self._stepped: trio.Event | None = None  # set after each step, where somebody waits for the machine's last ones

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run one of the machine's commands with ``now`` filled in, and perform what it wants. Never waits.

        Raises:
            LocalProtocolError: from the command, whose state is then untouched; or outside of the block.
        """
        if not self._is_open:
            raise LocalProtocolError("outside of its block: use it within `async with`")
        return self.driver.call(command, *args, **kwargs)

    def lend(self, id: SocketId) -> socket.socket | None:
        """Have a UDP socket be read by somebody else. Never waits. See `sansice.sockets.Sockets.lend`.

        Raises:
            LocalProtocolError: outside of the block, or where the sockets are trio's own.
        """
        return self.call(lambda *, now: self._own_sockets().lend(id))

    def hand_out(self, id: SocketId) -> socket.socket | None:
        """Take a stream from the machine, for another process. Never waits. See `sansice.sockets.Sockets.hand_out`.

        Raises:
            LocalProtocolError: outside of the block, or where the sockets are trio's own.
        """
        return self.call(lambda *, now: self._own_sockets().hand_out(id))

    def take_in(self, listener: SocketId, sock: socket.socket, remote: Address, data: bytes) -> None:
        """Have the machine accept a connection of another process's. Never waits. See `sansice.sockets.Sockets.take_in`.

        Raises:
            LocalProtocolError: outside of the block, or where the sockets are trio's own.
        """
        self.call(lambda *, now: self._own_sockets().take_in(listener, sock, remote, data))

    def _own_sockets(self) -> Sockets:
        if not isinstance(self._sockets, Sockets):
            raise LocalProtocolError("sockets of trio's own cannot be handed over")
        return self._sockets

    def look(self) -> None:
        """Feed the machine what has arrived by now: who is about to wait for it need not have the driver's task woken first."""
        if self._is_open:
            try:
                self._read()
            except Exception as error:
                self._fail(error)

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason (``"ENETUNREACH"``, ``"EMSGSIZE"``, ...)."""
        return self._sockets.lost

    @trio.lowlevel.enable_ki_protection  # or Ctrl-C might leave the reactor with a driver that nobody will ever take out
    async def __aenter__(self) -> Self:
        if self._is_open is not None:
            raise LocalProtocolError("entered a second time: open a new one")
        self._sockets = sockets = _open_sockets(*self._options)
        try:
            self._reactor = Reactor.of_run(self._clock)
            self._place = self._reactor.join(self, sockets.fileno() if isinstance(sockets, Sockets) else None)
        except BaseException:
            sockets.close_all()
            raise
        self._is_open = True
        self._live = math.inf
        self._context = contextvars.copy_context()
        self._manager = trio.open_nursery()
        self._nursery = nursery = await self._manager.__aenter__()
        if isinstance(sockets, TrioSockets):
            sockets.start(nursery)
        del self._options
        try:
            self.driver.start(time.time())
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        # The nursery would wrap an exception of the body in a group, though it is no business of the driver's.
        own = error if isinstance(error, Exception) else None
        leaving = (None, None, None) if own else (kind, error, trace)
        nursery, sockets = self._nursery, self._sockets
        self._is_open = False
        try:
            try:
                self._close_machine()
                if isinstance(sockets, TrioSockets):
                    await self._finish_in_tasks(sockets)
            finally:
                self._leave()
                nursery.cancel_scope.cancel()
                try:
                    suppressed = await self._manager.__aexit__(*leaving)
                finally:
                    if isinstance(sockets, Sockets):
                        with trio.move_on_after(LINGER, shield=True):
                            await self._finish(sockets)
        except BaseException as other:
            if own:
                raise BaseExceptionGroup("the block and its driver failed", [own, other]) from None
            raise
        finally:
            sockets.close_all()
            self.driver.end()
            del self._deliver  # it holds who holds us
            await self._reactor.ended()
        return suppressed and not own

    async def _finish(self, sockets: Sockets) -> None:
        driver = self.driver
        while sockets.unsent or driver.lingers:
            due = min(self._armed, sockets.deadline())
            with trio.CancelScope(deadline=on_trio_clock(due, self._clock)) as scope:
                await trio.lowlevel.wait_readable(sockets.fileno())
                sockets.feed(driver)
            if scope.cancelled_caught:
                self._fire_due(due)

    async def _finish_in_tasks(self, sockets: TrioSockets) -> None:
        is_cancelled = trio.current_effective_deadline() == -math.inf  # then the tasks that read are over
        with trio.move_on_after(LINGER, shield=True):
            await sockets.finish()
            while self.driver.lingers and not is_cancelled:
                self._stepped = trio.Event()
                await self._stepped.wait()
            await sockets.finish()

    def _close_machine(self) -> None:
        close = getattr(self.driver.machine, "close", None)
        if close is not None:
            with contextlib.suppress(LocalProtocolError):  # the application has closed it
                self.driver.call(close)

    # ------------------------------------------------------------- what the reactor calls

    def _read(self) -> None:
        self._sockets.feed(self.driver)
        self._rearm()

    def _fire(self, fired: float) -> None:
        self._live = math.inf  # the reactor has forgotten it, so that anything that is armed from here on is earlier
        self._fire_due(fired)
        self._rearm()

    def _fail(self, error: BaseException) -> None:
        """Cancel the body, and have the failure come out of the block."""
        self._leave()
        self._nursery.start_soon(_raise, error)

    def _end(self) -> None:
        """Cancel the body: nobody reads for it any more."""
        self._leave()
        self._nursery.cancel_scope.cancel()

    def _leave(self) -> None:
        self._live = -math.inf
        self._reactor.leave(self)

    def _fire_due(self, fired: float) -> None:
        if self._sockets.deadline() <= fired:
            self._sockets.timer(self.driver, fired)
        if self._armed <= fired:
            self.driver.timer(fired)

    # ------------------------------------------------------------- what the machine asks for

    def now(self) -> float:
        """Seconds on `sansice.driver.clock`, or on the clock that a test gave to trio."""
        return self._clock()

    def arm(self, deadline: float) -> None:
        """Have the timer fire at ``deadline``."""
        self._armed = deadline
        if deadline < self._live:  # as it seldom is
            self._wake_by(deadline)
        if self._stepped is not None:
            self._stepped.set()

    def _wake_by(self, deadline: float) -> None:
        if deadline < self._live:
            self._live = deadline
            self._reactor.wake(self, deadline)

    def _rearm(self) -> None:
        """Wake at the next deadline, or somewhat earlier where that is known already: see `Reactor._wake_by`."""
        due = min(self._armed, self._sockets.deadline())
        if due < self._live or due > self._live + FAR:
            self._live = due
            self._reactor.wake(self, due)

    def open_socket(self, action: OpenSocket) -> None:
        """Open a socket."""
        self._sockets.open(action, self.driver)
        self._wake_by(self._sockets.deadline())

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Close a socket."""
        self._sockets.close(socket, mode)
        self._wake_by(self._sockets.deadline())

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Send or lose a datagram."""
        self._sockets.send(socket, destination, data)

    def send_datagrams(self, socket: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        """Send or lose datagrams, all at once where the system can."""
        self._sockets.send_all(socket, items)

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        """Queue bytes on a stream."""
        self._sockets.send_stream(socket, data)

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream."""
        self._sockets.set_reading(socket, enabled)

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        """Say whether datagrams may be fragmented."""
        self._sockets.set_dont_fragment(socket, enabled)

    def resolve(self, action: Resolve) -> None:
        """Ask the system's resolver, in a task of its own."""
        self._nursery.start_soon(self._look_up, action)

    def publish_name(self, name: str, host: str) -> None:
        """Answer for a name on the link, by the mDNS of this process."""
        self._sockets.publish_name(name, host)

    def withdraw_name(self, name: str) -> None:
        """Answer for it no more."""
        self._sockets.withdraw_name(name)

    def deliver(self, event: Event) -> None:
        """Hand an event over."""
        self._deliver(event)

    async def _look_up(self, action: Resolve) -> None:
        try:
            self.driver.resolved(action, await _look_up(action))
        except Exception:
            self._leave()  # a machine that has failed hears nothing more
            raise


@contextlib.asynccontextmanager
async def open_driver(
    machine: Machine,
    *,
    data: Collection[type[Event]] = (),
    max_data: int = MAX_DATA_EVENTS,
    ports: Sequence[int] | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
) -> AsyncIterator[tuple[TrioDriver, EventQueue]]:
    """Run any machine: an ``async with`` block that yields ``(driver, events)``.

    Give commands with ``driver.call(machine.command, ...)`` and read ``async for event in events``.
    See `TrioDriver` for what the block does.

    Args:
        machine: any machine.
        data, max_data: which types of event carry application data, and how many of them may wait; see
            `EventQueue`. A type of event that a peer can cause at will belongs here.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.
    """
    events = EventQueue(data, max_data)
    try:
        async with TrioDriver(machine, events.put, ports=ports, tls=tls, inherited=inherited) as driver:
            yield driver, events
    finally:
        events.close()


def _open_sockets(
    ports: Sequence[int] | None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None,
    inherited: Sequence[socket.socket],
) -> Sockets | TrioSockets:
    if socket_factory() is None and hasattr(select, "epoll"):
        return Sockets(ports=ports, tls=tls, inherited=inherited)
    return TrioSockets(ports)


def _runs_in_real_time() -> bool:
    # Under a test's clock a second may be no wait at all, or never end: machines then live on that clock too.
    clock = trio.lowlevel.current_clock()
    return clock.deadline_to_sleep_time(clock.current_time() + 1) <= 1


async def _raise(error: BaseException) -> None:
    raise error


async def _look_up(action: Resolve) -> Answer:
    resolver = hostname_resolver()
    asked: Callable[[str, RecordKind], Awaitable[Answer]] | None = getattr(resolver, "look_up", None)
    if asked is not None:
        return await asked(action.name, action.kind)
    family = _FAMILIES.get(action.kind)
    if family is None or resolver is None:
        # Trio would wait for the system's resolver even when cancelled: half a minute, where name servers are silent.
        return await trio.to_thread.run_sync(look_up, action, abandon_on_cancel=True)
    try:
        return address_records(await trio.socket.getaddrinfo(action.name, None, family, socket.SOCK_DGRAM))
    except (OSError, UnicodeError) as error:
        return look_up_error(error)
