"""A machine on threads: one thread waits for all its sockets and its timer, any thread gives it commands."""

from __future__ import annotations

import contextlib
import math
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from sansice import Address, CloseMode, Event, LocalProtocolError, Machine, OpenSocket, Resolve, SocketId
from sansice.driver import MAX_DATA_EVENTS, Driver, EventQueueBase, clock
from sansice.sockets import Answer, LookUps, Sockets, TlsConfig

R = TypeVar("R")

LINGER = 1.0  # seconds that leaving a block may take, for what must still go out
_LONGEST_WAIT = 3600.0  # seconds in one system call, which takes milliseconds in 32 bits


class EventQueue(EventQueueBase):
    """Events on their way to the application: an iterator that ends when the driver does. Any thread may read.

    Args:
        data: the types of event that carry application data. At most ``max_data`` of them wait; then
            the oldest is dropped and counted in ``dropped``. All other events are kept.
    """

    __slots__ = ("_news",)

    def __init__(self, data: Collection[type[Event]] = (), max_data: int = MAX_DATA_EVENTS) -> None:
        super().__init__(data, max_data)
        self._news = threading.Condition()

    def put(self, event: Event) -> None:
        """Append an event, and wake a reader."""
        with self._news:
            super().put(event)

    def close(self) -> None:
        """End the iteration after the events that are waiting."""
        with self._news:
            super().close()

    def get(self, *, timeout: float | None = None) -> Event | None:
        """Wait for the next event; ``None`` once the driver has ended.

        Raises:
            TimeoutError: none came within ``timeout`` seconds.
        """
        with self._news:
            if not self._news.wait_for(lambda: self._events or self._closed, timeout):
                raise TimeoutError(f"no event within {timeout} s")
            return self._take() if self._events else None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        event = self.get()
        if event is None:
            raise StopIteration
        return event

    def _wake(self) -> None:
        self._news.notify_all()


class BlockingDriver:
    """Runs one machine: ``with BlockingDriver(machine, deliver) as driver``.

    The block owns one thread, in which all sockets are read and the timer fires. Leaving it calls the machine's
    ``close(now=...)`` where it has one, sends what that wants sent, gives streams a second at most to write what is
    queued, and the machine while it `Driver.lingers`, and releases everything; the thread has ended then. An
    exception of the body comes out as it is. A failure of the machine in the thread ends everything that waits,
    refuses further commands, and comes out of the block in an `ExceptionGroup`. Applications call `call`; the other
    methods are the `sansice.driver.Runtime` that the machine sees.

    The thread does not survive a fork: open drivers in the child, or start processes by "spawn". An interrupt
    (`KeyboardInterrupt`) ends a wait and leaves the machine as it is; one that hits the main thread inside `call` may
    lose what the machine wanted done: leave the block after it.

    Args:
        machine: any machine.
        deliver: takes each event, at once, and only stores it: it runs inside a step of the machine, in any thread.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.

    Attributes:
        lock: held during each step of the machine. Hold it (``with driver.lock:``) to look at a machine from outside
            while nothing changes; never wait meanwhile.
    """

    __slots__ = (
        "_armed", "_at_failure", "_deliver", "_failure", "_is_open", "_live", "_look_ups", "_options", "_sockets",
        "_stop_by", "_thread", "_wake_fd", "_woken_fd", "driver", "lock",
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
        self.lock: threading.RLock = threading.RLock()
        self.driver: Driver = Driver(machine, self)
        self._options = (ports, tls, inherited)
        self._is_open: bool | None = None  # within the block; None before it
        self._armed = self._live = math.inf
        self._stop_by = math.inf  # until then the thread may still write; set when the block is left
        self._failure: BaseException | None = None
        self._at_failure: Callable[[], None] | None = None
        self._look_ups: LookUps | None = None

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run one of the machine's commands with ``now`` filled in, and perform what it wants. From any thread.

        Raises:
            LocalProtocolError: from the command, whose state is then untouched; or outside of the block, or after
                the machine has failed.
        """
        with self.lock:
            if not self._is_open:
                raise LocalProtocolError("outside of its block: use it within `with`")
            if self._failure is not None:
                raise LocalProtocolError("the machine has failed: leave the block, which raises why") from self._failure
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

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason (``"ENETUNREACH"``, ``"EMSGSIZE"``, ...)."""
        return self._sockets.lost

    def __enter__(self) -> Self:
        if self._is_open is not None:
            raise LocalProtocolError("entered a second time: open a new one")
        ports, tls, inherited = self._options
        self._sockets = Sockets(ports=ports, tls=tls, inherited=inherited)
        self._woken_fd, self._wake_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_open = True
        self._thread = threading.Thread(target=self._run, name="sansice driver", daemon=True)
        try:
            with self.lock:
                self.driver.start(time.time())
            self._thread.start()
        except BaseException as error:
            self.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            try:
                self._leave()
            finally:
                self._end_thread()
            if self._failure is not None:
                raise BaseExceptionGroup("the driver failed", [self._failure])
        except BaseException as other:
            if error is not None:
                raise BaseExceptionGroup("the block and its driver failed", [error, other]) from None
            raise

    def _leave(self) -> None:
        with self.lock:
            self._is_open = False
            if self._look_ups is not None:
                self._look_ups.close()
            close = getattr(self.driver.machine, "close", None)
            if close is not None and self._failure is None:
                with contextlib.suppress(LocalProtocolError):  # the application has closed it
                    self.driver.call(close)
            self._stop_by = self.driver.now() + LINGER
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()

    def _end_thread(self) -> None:
        with self.lock:  # where closing failed, or was interrupted
            self._stop_by = -math.inf
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._sockets.close_all()
        os.close(self._woken_fd)
        os.close(self._wake_fd)
        self.driver.end()
        self._at_failure = None
        del self._deliver  # it holds who holds us, as that one does

    # ------------------------------------------------------------- in the thread

    def _run(self) -> None:
        poll = select.poll()
        poll.register(self._sockets.fileno(), select.POLLIN)
        poll.register(self._woken_fd, select.POLLIN)
        while True:
            with self.lock:
                if self._is_done():
                    return
                self._live = fired = min(self._armed, self._sockets.deadline(), self._stop_by)
                seconds = min(max(fired - self.driver.now(), 0.0), _LONGEST_WAIT)
            ready = poll.poll(math.ceil(seconds * 1000))
            with self.lock:
                self._live = -math.inf  # awake: whatever is armed now is seen before the next wait
                if self._is_done():
                    return
                self._step(self._serve, ready, fired)

    def _is_done(self) -> bool:
        if self._failure is not None:
            return True
        if self._stop_by == math.inf:
            return False
        return not (self._sockets.unsent or self.driver.lingers) or self._stop_by <= self.driver.now()

    def _serve(self, ready: list[tuple[int, int]], fired: float) -> None:
        for fd, _ in ready:
            if fd == self._woken_fd:
                os.read(fd, 4096)
            else:
                self._sockets.feed(self.driver)
        if self.driver.now() < fired:
            return  # woken, or something arrived; or a wait too long for one system call
        if self._sockets.deadline() <= fired:
            self._sockets.timer(self.driver, fired)
        if self._armed <= fired:
            self.driver.timer(fired)

    def _step(self, feed: Callable[..., None], *args: object) -> None:
        """Feed the machine, and have a failure come out of the block. The lock is held."""
        try:
            feed(*args)
        except BaseException as error:
            self._failure = error
            self._wake()
            if self._at_failure is not None:
                self._at_failure()

    def _answered(self, action: Resolve, answer: Answer) -> None:
        with self.lock:
            if self._is_open and self._failure is None:
                self._step(self.driver.resolved, action, answer)

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # the pipe is full: it is awake
            os.write(self._wake_fd, b"\0")

    # ------------------------------------------------------------- what the machine asks for

    def now(self) -> float:
        """Seconds on `sansice.driver.clock`."""
        return clock()

    def arm(self, deadline: float) -> None:
        """Have the timer fire at ``deadline``."""
        self._armed = deadline
        # A later deadline waits until the thread wakes at the earlier one: machines put deadlines off far more
        # often than they let them pass.
        if min(deadline, self._sockets.deadline()) < self._live:
            self._live = -math.inf
            self._wake()

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
        """Look a name up, in a thread of its own."""
        if self._look_ups is None:
            self._look_ups = LookUps(self._answered)
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


@contextlib.contextmanager
def open_driver(
    machine: Machine,
    *,
    data: Collection[type[Event]] = (),
    max_data: int = MAX_DATA_EVENTS,
    ports: Sequence[int] | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
) -> Iterator[tuple[BlockingDriver, EventQueue]]:
    """Run any machine: a ``with`` block that yields ``(driver, events)``.

    Give commands with ``driver.call(machine.command, ...)`` and read ``for event in events``.
    See `BlockingDriver` for what the block does.

    Args:
        machine: any machine.
        data, max_data: which types of event carry application data, and how many of them may wait; see
            `EventQueue`. A type of event that a peer can cause at will belongs here.
        ports: the local ports to choose from where the machine asks for any.
        tls, inherited: see `sansice.sockets.Sockets`.
    """
    events = EventQueue(data, max_data)
    try:
        driver = BlockingDriver(machine, events.put, ports=ports, tls=tls, inherited=inherited)
        driver._at_failure = events.close
        with driver:
            yield driver, events
    finally:
        events.close()
