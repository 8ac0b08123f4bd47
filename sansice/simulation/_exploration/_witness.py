"""A witness stands in a machine's place in its driver, passes everything on, and writes down what happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

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

from ._endless import Endless, bounded
from ._evidence import End, InputKind, Moment
from ._invariant import InvariantBroken


class Judge(Protocol):
    """Who hears a witness."""

    def note(self, moment: Moment) -> None:
        """Write down a moment."""
        ...

    def judge(self, moment: Moment) -> None:
        """Write down a moment, and raise `InvariantBroken` if it breaks a rule."""
        ...


class Witness(Machine):
    """Passes on the inputs and outputs of the machine in ``end``, and shows each `Moment` to a `Judge`.

    Commands are called on the machine itself; what they put out is a moment when the driver takes it.
    """

    def __init__(self, end: End, peers: Sequence[End], judge: Judge) -> None:
        super().__init__()
        self._end = end
        self._peers = peers
        self._judge = judge

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """Passed on, as are all inputs."""
        text = f"socket {socket} opened at {local}"
        moment = Moment(self._end, InputKind.OPENED, now, self._end.before(), socket=socket, text=text)
        self._run(moment, partial(self._end.machine.handle_socket_opened, socket, local, now=now))

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        text = f"socket {socket} failed: {error.kind.value}"
        moment = Moment(self._end, InputKind.FAILED, now, self._end.before(), socket=socket, text=text)
        self._run(moment, partial(self._end.machine.handle_socket_failed, socket, error, now=now))

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        text = f"socket {socket} accepted by {listener} from {remote}"
        path = (listener, remote)
        moment = Moment(self._end, InputKind.ACCEPTED, now, self._end.before(), path=path, socket=socket, text=text)
        self._run(moment, partial(self._end.machine.handle_accepted, listener, socket, remote, now=now))

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        text = f"{len(data)} bytes on socket {socket}" if data else f"the end of the stream on socket {socket}"
        moment = Moment(self._end, InputKind.STREAM, now, self._end.before(), socket=socket, data=data, text=text)
        self._run(moment, partial(self._end.machine.handle_stream_data, socket, data, now=now))

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        moment = self._other(f"{unsent} bytes wait on socket {socket}", now)
        self._run(moment, partial(self._end.machine.handle_stream_sent, socket, unsent, now=now))

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        for source, data in batch:
            moment = self._end.arrived(socket, source, data, now, self._peers)
            self._run(moment, partial(self._end.machine.handle_datagrams, socket, [(source, data)], now=now))

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        for asked in self._end.asked.values():
            if error.is_hard and asked.path == (socket, destination):
                asked.in_doubt = True
        moment = self._other(f"ICMP {error.type}/{error.code} about {destination}", now)
        self._run(moment, partial(self._end.machine.handle_icmp, socket, destination, error, now=now))

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        moment = self._other("a name was resolved", now)
        self._run(moment, partial(self._end.machine.handle_resolved, query, answer, now=now))

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        self._end.machine.handle_wall_clock(unix, now=now)

    def handle_timer(self, *, now: float) -> None:
        moment = Moment(self._end, InputKind.TIMER, now, self._end.before(), text="timer")
        self._run(moment, partial(bounded, partial(self._end.machine.handle_timer, now=now)))
        deadline = self._end.machine.deadline()
        if deadline <= now:  # clause 3 of the contract, of whatever machine: the world would stand still
            text = f"{self._end.name} had its timer at {now:.6f} s and wants it again at {deadline:.6f} s"
            raise InvariantBroken("TimeMovesOn", text)

    def deadline(self) -> float:
        """The machine's."""
        return self._end.machine.deadline()

    def take_outputs(self) -> list[Action | Event]:
        """What was taken from the machine after its inputs, and what its commands put out since."""
        outputs = self._end.machine.take_outputs()
        if outputs:
            now = self._end.node.now()
            moment = Moment(self._end, InputKind.COMMAND, now, self._end.before(), text="command")
            moment.late = self._late(now)
            self._close(moment, outputs)
        return super().take_outputs()

    def _late(self, now: float) -> float:
        return max(0.0, now - self._end.machine.deadline())

    def _other(self, text: str, now: float) -> Moment:
        return Moment(self._end, InputKind.OTHER, now, self._end.before(), text=text)

    def _run(self, moment: Moment, feed: Callable[[], None]) -> None:
        moment.late = self._late(moment.now)
        try:
            feed()
        except Endless as error:
            self._judge.note(moment)
            text = f"{moment.end.name} has its timer at {moment.now:.6f} s and is never done with it"
            raise InvariantBroken("TimeMovesOn", text) from error
        except Exception as error:
            self._judge.note(moment)
            text = f"{moment.end.name} raised {type(error).__name__}: {error}"
            raise InvariantBroken("NothingRaises", text) from error
        self._close(moment, self._end.machine.take_outputs())

    def _close(self, moment: Moment, outputs: list[Action | Event]) -> None:
        self._outputs += outputs
        self._end.close(moment, outputs)
        self._judge.judge(moment)
