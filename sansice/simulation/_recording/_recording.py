"""Recordings: what a machine was told and what it answered, and their replay."""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable, Sequence
from inspect import ismethod
from typing import Any, ParamSpec, Protocol, TypeVar

import attrs

from sansice.machine import (
    Address,
    Entropy,
    IcmpError,
    Machine,
    QueryId,
    Record,
    ResolveError,
    SocketError,
    SocketId,
)

from ._values import Json, from_json, to_json

VERSION = 1

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Machine)


class Tap(Protocol):
    """What a machine is constructed with instead of `os.urandom`, so that what it draws is recorded, or replayed."""

    def __call__(self, count: int, /) -> bytes:
        """Bytes: an `Entropy`."""
        ...

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        """``function``, with its answers recorded; in a replay the recorded answers, without asking ``function``.

        Args:
            name: says in the recording whose answer it is.
            function: a policy that the machine is given, such as ``lookup_key``.
        """
        ...


@attrs.define
class Step:
    """One call of a machine and everything that came of it, as JSON forms.

    Attributes:
        method: its name; "" is the machine's construction.
        arguments: the positional ones.
        keywords: the others; ``now`` is one of them.
        drawn: the entropy, in hex, draw by draw.
        answers: [name, answer] of the policy functions asked.
        result: what the call returned.
        raised: the exception it raised instead, as text, or "".
        outputs: what the machine wanted done and known.
        deadline: the machine's afterwards.
    """

    method: str = ""
    arguments: list[Json] = attrs.field(factory=list)
    keywords: dict[str, Json] = attrs.field(factory=dict)
    drawn: list[str] = attrs.field(factory=list)
    answers: list[Json] = attrs.field(factory=list)
    result: Json = None
    raised: str = ""
    outputs: list[Json] = attrs.field(factory=list)
    deadline: float = 0.0

    def __str__(self) -> str:
        if not self.method:
            return "construction"
        arguments = [json.dumps(argument) for argument in self.arguments]
        arguments += [f"{name}={json.dumps(argument)}" for name, argument in self.keywords.items()]
        return f"{self.method}({', '.join(arguments)})"


class Recording:
    """What `Recorded` writes to: an ordered list of steps, in memory.

    It holds all that the machine was given, secrets included.

    Args:
        entropy: where the bytes come from that the machine draws through `tap`.

    Attributes:
        steps: the machine's construction, then a step for every call.
        tap: construct the machine with this in place of its entropy.
    """

    __slots__ = ("_answers", "_drawn", "_source", "steps", "tap")

    def __init__(self, entropy: Entropy = os.urandom) -> None:
        self.steps: list[Step] = []
        self.tap: Tap = _RecordingTap(self)
        self._source = entropy
        self._drawn: list[str] = []
        self._answers: list[Json] = []

    def draw(self, count: int) -> bytes:
        """Draw from the source, and write it down."""
        drawn = self._source(count)
        self._drawn.append(drawn.hex())
        return drawn

    def answer(self, name: str, answer: object) -> None:
        """Write down what a policy function answered."""
        self._answers.append([name, to_json(answer, strict=True)])

    def add(self, step: Step) -> None:
        """Finish a step with what was drawn and answered meanwhile."""
        step.drawn, self._drawn = self._drawn, []
        step.answers, self._answers = self._answers, []
        self.steps.append(step)

    def to_json_lines(self) -> str:
        """The recording as text: a line with the version, then a line of JSON for every step."""
        lines: list[Json] = [{"sansice-recording": VERSION}]
        lines += [attrs.asdict(step, recurse=False) for step in self.steps]
        return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)

    @classmethod
    def from_json_lines(cls, text: str) -> Recording:
        """Read what `to_json_lines` wrote.

        Raises:
            ValueError: not a recording, of another version, or cut or edited; the text names the line.
        """
        recording = cls()
        for number, line in enumerate(text.splitlines(), 1):
            try:
                fields = json.loads(line)
                if number == 1:
                    _check_header(fields)
                else:
                    recording.steps.append(Step(**fields))
            except (ValueError, TypeError) as error:
                raise ValueError(f"line {number} of the recording: {error}") from None
        if not recording.steps:
            raise ValueError("the recording is empty")
        return recording


def _check_header(fields: Json) -> None:
    version = fields.get("sansice-recording") if isinstance(fields, dict) else None
    if version is None:
        raise ValueError("not a sansice recording")
    if version != VERSION:
        raise ValueError(f"version {version} is not version {VERSION}, which this sansice reads")


class _RecordingTap:
    __slots__ = ("_recording",)

    def __init__(self, recording: Recording) -> None:
        self._recording = recording

    def __call__(self, count: int, /) -> bytes:
        return self._recording.draw(count)

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        def asked(*args: P.args, **kwargs: P.kwargs) -> R:
            answer = function(*args, **kwargs)
            self._recording.answer(name, answer)
            return answer

        return asked


class Recorded(Machine):
    """A machine that writes down all that happens to another one, and otherwise is that one.

    Its commands and properties are those of the machine inside. Every call of a public method becomes a step::

        recording = Recording()
        agent = Recorded(IceAgent(controlling=True, entropy=recording.tap), recording)
        ...                                     # run agent as if it were the IceAgent
        replay(recording, lambda tap: IceAgent(controlling=True, entropy=tap))

    Args:
        machine: newly constructed, with ``sink.tap`` for its entropy and its policy functions.
        sink: where to write.
    """

    __slots__ = ("_machine", "_sink")

    def __init__(self, machine: Machine, sink: Recording) -> None:
        super().__init__()
        self._machine = machine
        self._sink = sink
        self._add(Step())

    def _add(self, step: Step) -> None:
        # Drained at once, so that the step has its own outputs. Draining early or late changes nothing, says the contract.
        outputs = self._machine.take_outputs()
        self._outputs += outputs
        step.outputs = [to_json(output, strict=False) for output in outputs]
        step.deadline = self._machine.deadline()
        self._sink.add(step)

    def _feed(self, method: str, *args: object, **kwargs: object) -> Any:
        step = Step(method, [to_json(arg, strict=True) for arg in args])
        step.keywords = {name: to_json(arg, strict=True) for name, arg in kwargs.items()}
        try:
            result = getattr(self._machine, method)(*args, **kwargs)
        except Exception as error:
            step.raised = _text(error)
            self._add(step)
            raise
        step.result = to_json(result, strict=False)
        self._add(step)
        return result

    def __getattr__(self, name: str) -> Any:
        attribute = getattr(self._machine, name)
        if name.startswith("_") or not ismethod(attribute):
            return attribute

        def command(*args: object, **kwargs: object) -> Any:
            return self._feed(name, *args, **kwargs)

        return command

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """Passed on, and written down; so are all the others."""
        self._feed("handle_socket_opened", socket, local, now=now)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        self._feed("handle_socket_failed", socket, error, now=now)

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        self._feed("handle_accepted", listener, socket, remote, now=now)

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        self._feed("handle_datagrams", socket, batch, now=now)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        self._feed("handle_stream_data", socket, data, now=now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        self._feed("handle_stream_sent", socket, unsent, now=now)

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        self._feed("handle_icmp", socket, destination, error, now=now)

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        self._feed("handle_resolved", query, answer, now=now)

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        self._feed("handle_wall_clock", unix, now=now)

    def handle_timer(self, *, now: float) -> None:
        self._feed("handle_timer", now=now)

    def deadline(self) -> float:
        """The deadline of the machine inside."""
        return self._machine.deadline()


def _text(error: BaseException) -> str:
    return f"{type(error).__qualname__}: {error}"


class ReplayDifference(Exception):
    """A replayed machine did something else than the recorded one.

    Attributes:
        index: of the step in `Recording.steps`, the first that differs.
        step: the step.
        what: which of its fields differs.
        expected, actual: the field's recorded and replayed JSON form.
    """

    def __init__(self, index: int, step: Step, what: str, expected: Json, actual: Json) -> None:
        super().__init__(
            f"step {index}, {step}: {what} differs\n  recorded: {json.dumps(expected)}\n  replayed: {json.dumps(actual)}"
        )
        self.index = index
        self.step = step
        self.what = what
        self.expected = expected
        self.actual = actual


def replay(recording: Recording, factory: Callable[[Tap], M]) -> M:
    """Feed a recording to a fresh machine and compare all that it draws, returns, raises and puts out.

    Args:
        recording: what `Recorded` wrote.
        factory: makes the machine as it was made for the recording: same arguments, the tap in place of the entropy,
            and policy functions through `Tap.policy`.

    Returns:
        The machine, in the state in which the recording ends.

    Raises:
        ReplayDifference: at the first step where anything differs.
        ValueError: the recording holds a value of a class that is not imported.
    """
    tap = _ReplayTap()
    machine: M | None = None
    for index, step in enumerate(recording.steps):
        tap.begin(index, step)
        if machine is None:
            machine = factory(tap)
        else:
            _again(index, step, machine)
        tap.end()
        _compare_after(index, step, machine)
    if machine is None:
        raise ValueError("the recording is empty")
    return machine


def _again(index: int, step: Step, machine: Machine) -> None:
    arguments = [from_json(argument) for argument in step.arguments]
    keywords = {name: from_json(argument) for name, argument in step.keywords.items()}
    raised, result = "", None
    try:
        result = getattr(machine, step.method)(*arguments, **keywords)
    except ReplayDifference:
        raise
    except Exception as error:
        raised = _text(error)
    _compare(index, step, "raised", step.raised, raised)
    _compare(index, step, "result", step.result, to_json(result, strict=False))


def _compare_after(index: int, step: Step, machine: Machine) -> None:
    outputs = [to_json(output, strict=False) for output in machine.take_outputs()]
    for number, (expected, actual) in enumerate(zip(step.outputs, outputs, strict=False)):
        _compare(index, step, f"output {number}", expected, actual)
    _compare(index, step, "number of outputs", len(step.outputs), len(outputs))
    _compare(index, step, "deadline", step.deadline, machine.deadline())


def _compare(index: int, step: Step, what: str, expected: Json, actual: Json) -> None:
    if json.dumps(expected) != json.dumps(actual):  # not ==, to which 1 and True are the same
        raise ReplayDifference(index, step, what, expected, actual)


class _ReplayTap:
    __slots__ = ("_answers", "_drawn", "_index", "_step")

    def __init__(self) -> None:
        self.begin(0, Step())

    def begin(self, index: int, step: Step) -> None:
        self._index = index
        self._step = step
        self._drawn = deque(step.drawn)
        self._answers = deque(step.answers)

    def end(self) -> None:
        _compare(self._index, self._step, "entropy left over", [], list(self._drawn))
        _compare(self._index, self._step, "policy answers left over", [], list(self._answers))

    def __call__(self, count: int, /) -> bytes:
        drawn = bytes.fromhex(self._drawn.popleft()) if self._drawn else b""
        _compare(self._index, self._step, "bytes of entropy drawn", len(drawn), count)
        return drawn

    def policy(self, name: str, function: Callable[P, R]) -> Callable[P, R]:
        def asked(*args: P.args, **kwargs: P.kwargs) -> R:
            expected, answer = self._answers.popleft() if self._answers else ("no policy", None)
            _compare(self._index, self._step, "policy asked", expected, name)
            answered: R = from_json(answer)
            return answered

        return asked
