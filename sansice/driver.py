"""The half of an adapter that knows no runtime: feed a machine, drain it, perform what it asks.

A `Driver` sits between one machine and one `Runtime` (trio, asyncio, blocking sockets, a simulated
network). Feed, drain and perform are one synchronous step, so nothing can interleave and nothing can
be cancelled half-way.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, ParamSpec, Protocol, TypeVar

from ._timers import Timers as Timers
from .machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    Event,
    IcmpError,
    Machine,
    OpenSocket,
    PublishName,
    Record,
    Resolve,
    ResolveError,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetDontFragment,
    SetReading,
    SocketError,
    SocketId,
    WithdrawName,
)

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Machine)


class Runtime(Protocol):
    """What a runtime supplies. No method blocks, waits, or runs application code.

    ``open_socket`` and ``resolve`` answer through the driver, at once or later. ``send_datagram``
    never raises for a network condition: a refused datagram is a lost one, counted by the runtime.

    A runtime may also have ``send_datagrams``, see `BatchRuntime`; one without gets datagrams one by one. Without the methods of
    `NamingRuntime` the names that a machine has in place of addresses are known to nobody.
    """

    def now(self) -> float:
        """Seconds on a clock that never goes back."""
        ...

    def arm(self, deadline: float) -> None:
        """Have `Driver.timer` called at ``deadline``, replacing the earlier one; `math.inf` for never."""
        ...

    def open_socket(self, action: OpenSocket) -> None:
        """Open, then call `Driver.socket_opened` or `Driver.socket_failed`."""
        ...

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Close; afterwards nothing of this socket is fed to the driver."""
        ...

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Send or lose one datagram."""
        ...

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        """Queue bytes on a stream; tell progress through `Driver.stream_sent`."""
        ...

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream."""
        ...

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        """Whether datagrams sent from now on may be fragmented."""
        ...

    def resolve(self, action: Resolve) -> None:
        """Look up, then call `Driver.resolved`."""
        ...

    def deliver(self, event: Event) -> None:
        """Enqueue an event for the application. Only enqueue: it is called inside a flush."""
        ...


class BatchRuntime(Runtime, Protocol):
    """A runtime that can do better with several datagrams than to send one after the other."""

    def send_datagrams(self, socket: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        """Send or lose each of ``items``, in order: what ``send_datagram`` for each would do."""
        ...


class NamingRuntime(Runtime, Protocol):
    """A runtime that can answer for names on the links of its machine, as long as the driver lives."""

    def publish_name(self, name: str, host: str) -> None:
        """Answer for ``name``, that it has the address ``host``."""
        ...

    def withdraw_name(self, name: str) -> None:
        """Answer for it no more; an unknown one is a no-op."""
        ...


class Driver:
    """Runs one machine on one runtime."""

    __slots__ = ("_flushing", "_last", "_pending", "machine", "runtime")

    def __init__(self, machine: Machine, runtime: Runtime) -> None:
        self.machine: Machine = machine
        self.runtime: Runtime = runtime
        self._last = runtime.now()
        self._pending: Sequence[Action | Event] = ()  # left over from a failure
        self._flushing = False

    def now(self) -> float:
        """The runtime's clock, held so that it never decreases."""
        now = self.runtime.now()
        if now < self._last:
            return self._last
        self._last = now
        return now

    @property
    def lingers(self) -> bool:
        """Whether the machine, which has been closed, is still at something worth a moment: a server that is told to free what
        it holds for us may not have heard it yet. A machine says so by an attribute of this name; most have none.
        """
        return getattr(self.machine, "lingers", False)

    def flush(self) -> None:
        """Perform everything the machine wants, then arm its deadline.

        A flush inside a flush (a socket that opens at once) is left to the outer one, which goes round
        again. What is not yet performed when the runtime raises is kept for the next flush.
        """
        if self._flushing:
            return
        machine, runtime = self.machine, self.runtime
        send = runtime.send_datagram
        self._flushing = True
        try:
            while outputs := self._pending or machine.take_outputs():
                self._pending = ()
                rest = iter(outputs)
                try:
                    for output in rest:
                        if type(output) is SendDatagram:  # as most are
                            socket, destination, data = output  # a call with *output takes twice as long
                            send(socket, destination, data)
                        else:
                            self._perform(output)
                except BaseException:
                    self._pending = tuple(rest)
                    raise
        finally:
            self._flushing = False
        runtime.arm(machine.deadline())

    def _perform(self, output: Action | Event) -> None:
        kind = type(output)
        if kind is SendDatagrams:
            send_all = getattr(self.runtime, "send_datagrams", self._send_one_by_one)
            send_all(*output)  # type: ignore[misc]
        elif isinstance(output, Event):
            self.runtime.deliver(output)
        else:
            _PERFORM[kind](self.runtime, output)

    def _send_one_by_one(self, socket: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        for destination, data in items:
            self.runtime.send_datagram(socket, destination, data)

    # ------------------------------------------------------------- what the runtime calls

    def end(self) -> None:
        """Let go of the runtime, which is over; nothing may be fed afterwards.

        The two hold each other, and with them the machine and its sockets: unless one of them lets go, all of that is left to
        the garbage collector.
        """
        del self.runtime

    def start(self, unix: float | None = None) -> None:
        """Tell the machine the wall clock, where the runtime has one, and perform what it already wants."""
        if unix is not None:
            self.machine.handle_wall_clock(unix, now=self.now())
        self.flush()

    def call(self, method: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run one of the machine's commands with ``now`` filled in, flush, and return what it returned."""
        result = method(*args, now=self.now(), **kwargs)
        self.flush()
        return result

    def timer(self, fired: float) -> None:
        """The deadline ``fired`` passed. Pass the deadline that was armed, not the current one."""
        now = self.now()
        if now < fired:  # a runtime that wakes early, by the granularity of its clock
            self._last = now = fired
        self.machine.handle_timer(now=now)
        self.flush()

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Feed datagrams that arrived together."""
        self.machine.handle_datagrams(socket, batch, now=self.now())
        self.flush()

    def feed_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> None:
        """As `datagrams`, but the clock and the flush are left to the caller, who has more to feed: it costs less.

        Until the flush the machine may be fed from a socket that it has closed already, as if its actions were on their way.

        Args:
            socket: where they arrived.
            batch: sources and data.
            now: what `now` answered when the caller began.
        """
        last = self._last  # what was fed in between may have moved it
        self.machine.handle_datagrams(socket, batch, now=max(last, now))

    def stream_data(self, socket: SocketId, data: bytes) -> None:
        """Feed stream bytes; ``b""`` for the end of the stream."""
        self.machine.handle_stream_data(socket, data, now=self.now())
        self.flush()

    def stream_sent(self, socket: SocketId, unsent: int) -> None:
        """Tell the backlog of a stream in bytes."""
        self.machine.handle_stream_sent(socket, unsent, now=self.now())
        self.flush()

    def accepted(self, listener: SocketId, socket: SocketId, remote: Address) -> None:
        """Tell that a listener accepted a stream; ``socket`` is negative, see `AcceptedIds`."""
        self.machine.handle_accepted(listener, socket, remote, now=self.now())
        self.flush()

    def socket_opened(self, socket: SocketId, local: Address) -> None:
        """Tell that a socket is open."""
        self.machine.handle_socket_opened(socket, local, now=self.now())
        self.flush()

    def socket_failed(self, socket: SocketId, error: SocketError) -> None:
        """Tell that a socket could not be opened or died."""
        self.machine.handle_socket_failed(socket, error, now=self.now())
        self.flush()

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """Tell that a datagram came back."""
        self.machine.handle_icmp(socket, destination, error, now=self.now())
        self.flush()

    def resolved(self, action: Resolve, answer: tuple[Record, ...] | ResolveError) -> None:
        """Answer a question."""
        self.machine.handle_resolved(action.query, answer, now=self.now())
        self.flush()


class Recorder(Protocol):
    """Makes a machine whose life is recorded: what an adapter's ``record=`` comes to, and `sansice.simulation.RecordingFile`."""

    def make(self, kind: Callable[P, M], /, *args: P.args, **kwargs: P.kwargs) -> M:
        """Construct the machine. It takes the keyword ``entropy``."""
        ...

    def close(self) -> None:
        """The machine's life is over."""
        ...


class NoRecorder:
    """Makes machines that nobody records."""

    __slots__ = ()

    def make(self, kind: Callable[P, M], /, *args: P.args, **kwargs: P.kwargs) -> M:
        """Construct the machine."""
        return kind(*args, **kwargs)

    def close(self) -> None:
        """Nothing is to be closed."""


class AcceptedIds:
    """Ids for accepted streams: the driver's own, negative, range."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = 0

    def next(self) -> SocketId:
        """An id never handed out before by this counter."""
        self._last -= 1
        return SocketId(self._last)


MAX_DATA_EVENTS = 1024  # application data that may wait for a slow reader


class AsyncEvent(Protocol):
    """What a runtime's event can do."""

    def set(self) -> object:
        """Wake everybody who waits."""
        ...

    def wait(self) -> Coroutine[Any, Any, object]:
        """Wait until it is set."""
        ...


class EventQueueBase:
    """Events on their way to the application: the part of every adapter's ``EventQueue`` that never waits.

    A runtime supplies `_wake`, which has whoever waits for an event look again.

    Args:
        data: the types of event that carry application data. At most ``max_data`` of them wait; then
            the oldest is dropped and counted in ``dropped``. All other events are kept.
    """

    __slots__ = ("_closed", "_data", "_events", "_max_data", "_waiting_data", "dropped")

    def __init__(self, data: Collection[type[Event]] = (), max_data: int = MAX_DATA_EVENTS) -> None:
        self._events: deque[Event] = deque()
        self._data = data
        self._max_data = max_data
        self._waiting_data = 0
        self._closed = False
        self.dropped: int = 0

    def put(self, event: Event) -> None:
        """Append an event, and wake a reader."""
        if type(event) in self._data:
            if self._waiting_data >= self._max_data:
                self._drop_oldest()
            self._waiting_data += 1
        self._events.append(event)
        self._wake()

    def close(self) -> None:
        """End the iteration after the events that are waiting."""
        self._closed = True
        self._wake()

    def _wake(self) -> None:
        raise NotImplementedError

    def _take(self) -> Event:
        event = self._events.popleft()
        if type(event) in self._data:
            self._waiting_data -= 1
        return event

    def _drop_oldest(self) -> None:
        oldest = next(index for index, event in enumerate(self._events) if type(event) in self._data)
        del self._events[oldest]
        self._waiting_data -= 1
        self.dropped += 1


def _open(runtime: Runtime, action: OpenSocket) -> None:
    runtime.open_socket(action)


def _close(runtime: Runtime, action: CloseSocket) -> None:
    runtime.close_socket(action.socket, action.mode)


def _send_stream(runtime: Runtime, action: SendStream) -> None:
    runtime.send_stream(action.socket, action.data)


def _set_reading(runtime: Runtime, action: SetReading) -> None:
    runtime.set_reading(action.socket, action.enabled)


def _set_dont_fragment(runtime: Runtime, action: SetDontFragment) -> None:
    runtime.set_dont_fragment(action.socket, action.enabled)


def _resolve(runtime: Runtime, action: Resolve) -> None:
    runtime.resolve(action)


def _publish_name(runtime: Runtime, action: PublishName) -> None:
    publish = getattr(runtime, "publish_name", None)
    if publish is not None:
        publish(*action)


def _withdraw_name(runtime: Runtime, action: WithdrawName) -> None:
    withdraw = getattr(runtime, "withdraw_name", None)
    if withdraw is not None:
        withdraw(*action)


_PERFORM: dict[type, Callable[..., None]] = {
    OpenSocket: _open,
    CloseSocket: _close,
    SendStream: _send_stream,
    SetReading: _set_reading,
    SetDontFragment: _set_dont_fragment,
    Resolve: _resolve,
    PublishName: _publish_name,
    WithdrawName: _withdraw_name,
}

# A laptop's CLOCK_MONOTONIC stops while it sleeps; consent and allocations elsewhere do not.
_CLOCK_ID: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Monotonic seconds that go on while the machine sleeps, where the system can tell (Linux)."""
    return time.clock_gettime(_CLOCK_ID)
