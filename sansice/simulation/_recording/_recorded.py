"""A machine that writes down all that happens to another one, and otherwise is that one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import ismethod
from typing import Any, Protocol

from sansice.machine import (
    Action,
    Address,
    Event,
    IcmpError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
)

from ._authentications import tapped
from ._tap import Tap


class StepSink(Protocol):
    """What `Recorded` wants of a recording."""

    @property
    def tap(self) -> Tap:
        """What the machine draws and asks through."""
        ...

    def begin(self, method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        """A step begins. ``None``: nothing is recorded any more."""
        ...

    def end(self, begun: Any, result: object, raised: str, outputs: Sequence[Action | Event], deadline: float) -> None:
        """The step that began has ended."""
        ...


class Recorded(Machine):
    """A machine that writes down all that happens to another one, and otherwise is that one.

    Its commands and properties are those of the machine inside. Every call of a public method becomes a step::

        recording = Recording()
        agent = Recorded(IceAgent(controlling=True, entropy=recording.tap), recording)
        ...                                     # run agent as if it were the IceAgent
        replay(recording, lambda tap: IceAgent(controlling=True, entropy=tap))

    `Recording.make` and `RecordingFile.make` do both at once.

    Args:
        machine: newly constructed, with ``sink.tap`` for its entropy and its policy functions.
        sink: where to write.
    """

    __slots__ = ("__dict__", "_deadline", "_machine", "_sink")  # __dict__ keeps the commands that have been called

    def __init__(self, machine: Machine, sink: StepSink) -> None:
        super().__init__()
        self._machine = machine
        self._sink = sink
        self._feed("", _nothing)

    def _feed(self, method: str, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        begun = self._sink.begin(method, args, kwargs)
        if begun is None:
            try:
                return call(*args, **kwargs)
            finally:
                self._outputs += self._machine.take_outputs()
                self._deadline = self._machine.deadline()
        try:
            result = call(*args, **kwargs)
        except Exception as error:
            self._end(begun, None, text_of(error))
            raise
        self._end(begun, result, "")
        return result

    def _end(self, begun: Any, result: object, raised: str) -> None:
        # Drained at once, so that the step has its own outputs. Draining early or late changes nothing, says the contract.
        machine = self._machine
        outputs = machine.take_outputs()
        if outputs:
            self._outputs += outputs
        self._deadline = deadline = machine.deadline()
        self._sink.end(begun, result, raised, outputs, deadline)

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._machine, name)
        if name.startswith("_") or not ismethod(attribute):
            return attribute

        def command(*args: Any, **kwargs: Any) -> Any:
            if args and type(args[0]) is not bytes:  # which `send` is given, for every packet
                args = tuple(tapped(one, self._sink.tap) for one in args)
            return self._feed(name, attribute, *args, **kwargs)

        self.__dict__[name] = command
        return command

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """Passed on, and written down; so are all the others."""
        self._feed("handle_socket_opened", self._machine.handle_socket_opened, socket, local, now=now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        self._feed("handle_socket_failed", self._machine.handle_socket_failed, socket, error, now=now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        self._feed("handle_accepted", self._machine.handle_accepted, listener, socket, remote, now=now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        self._feed("handle_datagrams", self._machine.handle_datagrams, socket, batch, now=now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        self._feed("handle_stream_data", self._machine.handle_stream_data, socket, data, now=now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        self._feed("handle_stream_sent", self._machine.handle_stream_sent, socket, unsent, now=now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        self._feed("handle_icmp", self._machine.handle_icmp, socket, destination, error, now=now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        self._feed("handle_resolved", self._machine.handle_resolved, query, answer, now=now)

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        self._feed("handle_wall_clock", self._machine.handle_wall_clock, unix, now=now)

    def handle_timer(self, *, now: float) -> None:
        self._feed("handle_timer", self._machine.handle_timer, now=now)

    def deadline(self) -> float:
        """The deadline of the machine inside, as it was after the last step: nothing else moves it."""
        return self._deadline


def _nothing() -> None:
    """What is left to do after a machine's construction."""


def text_of(error: BaseException) -> str:
    """An exception in a recording."""
    return f"{type(error).__qualname__}: {error}"
