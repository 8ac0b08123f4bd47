"""A machine on asyncio: all its sockets behind one reader, and one timer."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from sansice import Address, CloseMode, Event, LocalProtocolError, Machine, OpenSocket, Resolve, SocketId
from sansice.driver import MAX_DATA_EVENTS, Driver, EventQueueBase, clock
from sansice.sockets import Answer, LookUps, Sockets, TlsConfig

R = TypeVar("R")

LINGER = 1.0  # seconds that leaving a block may take, for what must still go out


class EventQueue(EventQueueBase):
    """Events on their way to the application: an asynchronous iterator that ends when the driver does.

    Args:
        data: the types of event that carry application data. At most ``max_data`` of them wait; then
            the oldest is dropped and counted in ``dropped``. All other events are kept.
    """

    __slots__ = ("_news",)

    def __init__(self, data: Collection[type[Event]] = (), max_data: int = MAX_DATA_EVENTS) -> None:
        super().__init__(data, max_data)
        self._news: asyncio.Event | None = None

    async def get(self) -> Event | None:
        """Wait for the next event; ``None`` once the driver has ended. Cancelling is safe: no event is lost."""
        await asyncio.sleep(0)
        while not self._events:
            if self._closed:
                return None
            if self._news is None:
                self._news = asyncio.Event()
            await self._news.wait()
        return self._take()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self.get()
        if event is None:
            raise StopAsyncIteration
        return event

    def _wake(self) -> None:
        if self._news is not None:
            self._news.set()
            self._news = None


class AsyncioDriver:
    """Runs one machine: ``async with AsyncioDriver(machine, deliver) as driver``.

    All sockets are read by one reader of the loop, and one timer fires; there is no task. Leaving the block calls the
    machine's ``close(now=...)`` where it has one, sends what that wants sent, gives streams a second at most to write
    what is queued, and the machine while it `Driver.lingers`, and releases everything; nothing runs afterwards. An
    exception of the body comes out as it is; a failure of the machine cancels the body, and comes out of the block in
    an `ExceptionGroup`. Applications call `call`; the other methods are the `sansice.driver.Runtime` that the machine
    sees.

    Args:
        machine: any machine.
        deliver: takes each event, at once, and only stores it: it runs inside a step of the machine.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.
    """

    __slots__ = (
        "_armed", "_deliver", "_drained", "_group", "_handle", "_is_open", "_live", "_look_ups", "_loop", "_options",
        "_sockets", "driver",
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
        self.driver: Driver = Driver(machine, self)
        self._options = (ports, tls, inherited)
        self._is_open: bool | None = None  # within the block; None before it
        self._armed = self._live = math.inf
        self._handle: asyncio.TimerHandle | None = None
        self._drained: asyncio.Future[None] | None = None
        self._look_ups: LookUps | None = None

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
            LocalProtocolError: outside of the block.
        """
        return self.call(lambda *, now: self._sockets.lend(id))

    def hand_out(self, id: SocketId) -> socket.socket | None:
        """Take a stream from the machine, for another process. Never waits. See `sansice.sockets.Sockets.hand_out`.

        Raises:
            LocalProtocolError: outside of the block.
        """
        return self.call(lambda *, now: self._sockets.hand_out(id))

    def take_in(self, listener: SocketId, sock: socket.socket, remote: Address, data: bytes) -> None:
        """Have the machine accept a connection of another process's. Never waits. See `sansice.sockets.Sockets.take_in`.

        Raises:
            LocalProtocolError: outside of the block.
        """
        self.call(lambda *, now: self._sockets.take_in(listener, sock, remote, data))

    def look(self) -> None:
        """Feed the machine what has arrived by now: who is about to wait for it need not have the loop find it first."""
        if self._is_open:
            self._read()

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason (``"ENETUNREACH"``, ``"EMSGSIZE"``, ...)."""
        return self._sockets.lost

    async def __aenter__(self) -> Self:
        if self._is_open is not None:
            raise LocalProtocolError("entered a second time: open a new one")
        self._loop = asyncio.get_running_loop()
        ports, tls, inherited = self._options
        self._sockets = sockets = Sockets(ports=ports, tls=tls, inherited=inherited)
        try:
            self._loop.add_reader(sockets.fileno(), self._read)
        except NotImplementedError:
            sockets.close_all()
            raise LocalProtocolError(
                f"{type(self._loop).__name__} has no add_reader(): run on asyncio.SelectorEventLoop or on uvloop"
            ) from None
        self._is_open = True
        # It holds no task until something fails, and then it knows how to cancel the body and how not to be mistaken
        # for a cancellation from outside.
        self._group = asyncio.TaskGroup()
        try:
            await self._group.__aenter__()
            self.driver.start(time.time())
        except BaseException as error:
            await self.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # The group would wrap an exception of the body, though it is no business of the driver's.
        own = error if isinstance(error, Exception) else None
        leaving: tuple[type[BaseException] | None, BaseException | None] = (None, None) if own else (kind, error)
        self._is_open = False
        try:
            try:
                self._close_machine()
                if (cancelled := await self._linger()) is not None and leaving[1] is None:
                    leaving = (type(cancelled), cancelled)
            finally:
                self._stop()
                await self._group.__aexit__(*leaving, trace)
        except asyncio.CancelledError:
            raise
        except BaseException as other:
            if own:
                raise BaseExceptionGroup("the block and its driver failed", [own, other]) from None
            raise
        finally:
            self._sockets.close_all()
            self.driver.end()
            del self._deliver  # it holds who holds us

    def _close_machine(self) -> None:
        close = getattr(self.driver.machine, "close", None)
        if close is not None:
            with contextlib.suppress(LocalProtocolError):  # the application has closed it
                self.driver.call(close)

    async def _linger(self) -> asyncio.CancelledError | None:
        """Wait for streams to be written, and for the machine, whoever cancels; a cancellation is told afterwards."""
        if not self._is_busy():
            return None
        self._drained = drained = self._loop.create_future()
        at_most = self._loop.call_later(LINGER, self._end_linger)
        cancelled = None
        while not drained.done():
            try:
                await asyncio.wait([drained])
            except asyncio.CancelledError as error:
                cancelled = error
        at_most.cancel()
        return cancelled

    def _is_busy(self) -> bool:
        return self._sockets.unsent > 0 or self.driver.lingers

    def _end_linger(self) -> None:
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def _stop(self) -> None:
        """Have the loop call nothing of ours any more."""
        self._loop.remove_reader(self._sockets.fileno())
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        self._live = -math.inf  # no deadline is earlier
        if self._look_ups is not None:
            self._look_ups.close()
        self._end_linger()

    # ------------------------------------------------------------- what the loop calls

    def _read(self) -> None:
        self._step(self._sockets.feed, self.driver)

    def _fire(self) -> None:
        self._handle = None
        fired, self._live = self._live, math.inf
        self._step(self._fire_due, fired)

    def _fire_due(self, fired: float) -> None:
        if self._sockets.deadline() <= fired:
            self._sockets.timer(self.driver, fired)
        if self._armed <= fired:
            self.driver.timer(fired)

    def _answered(self, action: Resolve, answer: Answer) -> None:
        if self._is_open:
            self._step(self.driver.resolved, action, answer)

    def _step(self, feed: Callable[..., None], *args: object) -> None:
        """Feed the machine, see to what it wants next, and have a failure come out of the block."""
        try:
            feed(*args)
        except Exception as error:
            self._stop()
            self._group.create_task(_fail(error))
            return
        self._wake_by(min(self._armed, self._sockets.deadline()))
        if self._drained is not None and not self._is_busy():
            self._end_linger()

    # ------------------------------------------------------------- what the machine asks for

    def now(self) -> float:
        """Seconds on `sansice.driver.clock`."""
        return clock()

    def arm(self, deadline: float) -> None:
        """Have the timer fire at ``deadline``."""
        self._armed = deadline
        self._wake_by(min(deadline, self._sockets.deadline()))

    def _wake_by(self, deadline: float) -> None:
        # A later deadline waits until the timer fires at the earlier one: machines put deadlines off far more often
        # than they let them pass. What fires knows its own deadline, `_live`, even if the loop gets to it late.
        if deadline < self._live:
            if self._handle is not None:
                self._handle.cancel()
            self._live = deadline
            self._handle = self._loop.call_at(self._loop.time() + (deadline - self.driver.now()), self._fire)

    def _catch_up(self) -> None:
        """The machine has slept, and the loop's clock with it: what is due by ours is done now, and the rest in time."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle, self._live = None, math.inf
            self._wake_by(min(self._armed, self._sockets.deadline()))

    def open_socket(self, action: OpenSocket) -> None:
        """Open a socket."""
        self._sockets.open(action, self.driver)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Close a socket."""
        self._sockets.close(socket, mode)

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
        """Look a name up, in a thread."""
        if self._look_ups is None:
            self._look_ups = LookUps(self._answer_of_thread)
        self._look_ups.start(action)

    def publish_name(self, name: str, host: str) -> None:
        """Answer for a name on the link, by the mDNS of this process."""
        self._sockets.publish_name(name, host)

    def withdraw_name(self, name: str) -> None:
        """Answer for it no more."""
        self._sockets.withdraw_name(name)

    def deliver(self, event: Event) -> None:
        """Hand an event over."""
        self._deliver(event)

    def _answer_of_thread(self, action: Resolve, answer: Answer) -> None:
        with contextlib.suppress(RuntimeError):  # the loop was closed, and the block with it
            self._loop.call_soon_threadsafe(self._answered, action, answer)


@contextlib.asynccontextmanager
async def open_driver(
    machine: Machine,
    *,
    data: Collection[type[Event]] = (),
    max_data: int = MAX_DATA_EVENTS,
    ports: Sequence[int] | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
) -> AsyncIterator[tuple[AsyncioDriver, EventQueue]]:
    """Run any machine: an ``async with`` block that yields ``(driver, events)``.

    Give commands with ``driver.call(machine.command, ...)`` and read ``async for event in events``.
    See `AsyncioDriver` for what the block does.

    Args:
        machine: any machine.
        data, max_data: which types of event carry application data, and how many of them may wait; see
            `EventQueue`. A type of event that a peer can cause at will belongs here.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.
    """
    events = EventQueue(data, max_data)
    try:
        async with AsyncioDriver(machine, events.put, ports=ports, tls=tls, inherited=inherited) as driver:
            yield driver, events
    finally:
        events.close()


async def _fail(error: Exception) -> None:
    raise error
