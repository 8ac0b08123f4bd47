"""A recording, fed to a fresh machine."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from inspect import ismethod
from typing import Generic, ParamSpec, Protocol, TypeVar, cast, overload

import attrs

from sansice import __version__
from sansice.machine import Action, Event, Machine

from ._difference import ReplayDifference, describe
from ._file import FileName
from ._machines import constructor
from ._recorded import text_of
from ._step import Made, Step
from ._stored import StoredRecording, read_recording
from ._tap import Raised, Tap
from ._values import Json, from_json, to_json

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound=Machine)


class AnyRecording(Protocol):
    """A recording, in memory or from a file."""

    @property
    def steps(self) -> Sequence[Step]:
        """The machine's construction, then a step for every call."""
        ...

    @property
    def made(self) -> Made | None:
        """How the machine was constructed."""
        ...


class Replay(Generic[M]):
    """A fresh machine that is fed a recording step by step: what happened can be walked through, and looked at.

    ::

        replay = Replay(read_recording("call.sansice"))
        replay.until(120)
        print(replay.machine.explain())
        replay.step()
        print(replay.outputs)

    Args:
        recording: in memory, or from a file.
        factory: makes the machine as it was made for the recording: same arguments, the tap in place of the entropy, and
            policy functions through `Tap.policy`. Needed only where the recording does not say itself how one of
            sansice's machines was made.

    Attributes:
        machine: in the state after the last step that was replayed. The first, its construction, already was.
        index: how many steps were replayed.
        outputs: what the machine wanted done and known in the last one.

    Raises:
        ReplayDifference: the construction differs already.
        ValueError: the recording is empty; it has a value of a class that is not imported; or there is no ``factory``, and
            the machine is not one of sansice's.
    """

    __slots__ = ("_factory", "_recording", "_tap", "index", "machine", "outputs")

    machine: M
    index: int
    outputs: list[Action | Event]

    @overload
    def __init__(self, recording: AnyRecording, factory: Callable[[Tap], M]) -> None: ...

    @overload
    def __init__(self: Replay[Machine], recording: AnyRecording) -> None: ...

    def __init__(self, recording: AnyRecording, factory: Callable[[Tap], Machine] | None = None) -> None:
        if not recording.steps:
            raise ValueError("the recording is empty")
        self._recording = recording
        self._factory = cast(Callable[[Tap], M], factory or constructor(recording.made))
        self._tap = _ReplayTap()
        self.index = 0
        self._again(recording.steps[0])

    def step(self) -> Step | None:
        """Replay the next step, and compare all that the machine draws, returns, raises and puts out.

        Returns:
            The step; ``None`` at the end of the recording.

        Raises:
            ReplayDifference: something differs.
        """
        if self.index >= len(self._recording.steps):
            return None
        step = self._recording.steps[self.index]
        try:
            self._again(step)
        except ReplayDifference as difference:
            difference.before = self._state_before(self.index)
            raise
        return step

    def until(self, index: int) -> None:
        """Replay until ``index`` steps were replayed, or all. Back is another `Replay`."""
        while self.index < index and self.step() is not None:
            pass

    def _again(self, step: Step) -> None:
        index, tap = self.index, self._tap
        tap.begin(index, step)
        if index == 0:
            self.machine = self._factory(tap)
        else:
            self._call(step)
        tap.end()
        self.outputs = self.machine.take_outputs()
        _compare_outputs(index, step, self.outputs)
        _compare(index, step, "deadline", step.deadline, float(self.machine.deadline()))
        self.index = index + 1

    def _call(self, step: Step) -> None:
        method = method_of(self.machine, self.index, step)
        try:
            arguments = [from_json(argument, self._tap) for argument in step.arguments]
            keywords = {name: from_json(argument, self._tap) for name, argument in step.keywords.items()}
        except ValueError as error:
            raise ValueError(f"step {self.index}, {step.method}: {error}") from None
        raised, result = "", None
        try:
            result = method(*arguments, **keywords)
        except ReplayDifference:
            raise
        except Exception as error:
            raised = text_of(error)
        _compare(self.index, step, "raised", step.raised, raised)
        _compare(self.index, step, "result", step.result, to_json(result, strict=False))

    def _state_before(self, index: int) -> str:
        # The machine has taken the step; one that is led here anew has not.
        try:
            again = Replay(self._recording, self._factory)
            again.until(index)
        except Exception as error:  # its factory does not make the same machine twice, which may be what is wrong
            return f"not the same in a second replay: {error!r}"
        return describe(again.machine)


def method_of(machine: Machine, index: int, step: Step) -> Callable[..., object]:
    """What a step calls.

    Raises:
        ValueError: the machine has no such public method. A recording must not reach anything else.
    """
    method = None if step.method.startswith("_") else getattr(machine, step.method, None)
    if not ismethod(method):
        raise ValueError(f"step {index}: a {type(machine).__name__} has no method {step.method!r}")
    return method


def _compare_outputs(index: int, step: Step, outputs: Sequence[Action | Event]) -> None:
    forms = [to_json(output, strict=False) for output in outputs]
    for number, (expected, actual) in enumerate(zip(step.outputs, forms, strict=False)):
        _compare(index, step, f"output {number}", expected, actual)
    _compare(index, step, "number of outputs", len(step.outputs), len(forms))


def _compare(index: int, step: Step, what: str, expected: Json, actual: Json) -> None:
    if json.dumps(expected) != json.dumps(actual):  # not ==, to which 1 and True are the same
        raise ReplayDifference(index, step, what, expected, actual)


class _ReplayTap:
    __slots__ = ("_answers", "_drawn", "_index", "_step")

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
            answered = from_json(answer)
            if isinstance(answered, Raised):
                raise answered.error()
            return cast(R, answered)

        return asked


@overload
def replay(recording: AnyRecording, factory: Callable[[Tap], M]) -> M: ...


@overload
def replay(recording: AnyRecording) -> Machine: ...


def replay(recording: AnyRecording, factory: Callable[[Tap], Machine] | None = None) -> Machine:
    """Feed a recording to a fresh machine and compare all that it draws, returns, raises and puts out.

    Args:
        recording: what `Recorded` wrote.
        factory: makes the machine as it was made for the recording; see `Replay`.

    Returns:
        The machine, in the state in which the recording ends.

    Raises:
        ReplayDifference: at the first step where anything differs.
        ValueError: the recording is empty, or holds a value of a class that is not imported; or it takes a factory.
    """
    replay = Replay(recording) if factory is None else Replay(recording, factory)
    replay.until(len(recording.steps))
    return replay.machine


@attrs.frozen
class ReplayReport:
    """What the replay of a file came to.

    Attributes:
        recording: the file's.
        machine: the class of the machine.
        replayed: how many steps were the same.
        outputs: how many outputs were compared in them.
        seconds: of the machine's clock, from the first step to the last one replayed.
        difference: what was not the same, or ``None``.
    """

    recording: StoredRecording
    machine: str
    replayed: int
    outputs: int
    seconds: float
    difference: ReplayDifference | None

    @property
    def same(self) -> bool:
        """Whether everything was."""
        return self.difference is None

    def __str__(self) -> str:
        stored = self.recording
        lines = [
            f"{self.machine}, recorded by sansice {stored.sansice} on Python {stored.python}: {len(stored.steps)} steps, "
            f"{stored.size} bytes, {stored.ending}"
        ]
        if self.difference is None:
            lines.append(f"{self.replayed} steps in {self.seconds:.3f} s replayed: all {self.outputs} outputs are the same")
        else:
            lines += [f"{self.replayed} steps are the same under sansice {__version__}, then:", str(self.difference)]
        return "\n".join(lines)


def replay_file(file: FileName, factory: Callable[[Tap], Machine] | None = None) -> ReplayReport:
    """Replay a file that a `RecordingFile` wrote, as far as it goes.

    Args:
        file: its name.
        factory: see `Replay`.

    Returns:
        How far machine and recording agree. That they do not is no exception here.

    Raises:
        OSError: the file cannot be read.
        RecordingError: it is no recording, of a newer version, or damaged.
        ValueError: it holds a value of a class that is not imported, or no step, or it takes a factory.
    """
    recording = read_recording(file)
    machine = recording.made.machine if recording.made else "a machine"
    outputs = replayed = 0
    first = last = None
    difference: ReplayDifference | None = None
    try:
        replay = Replay(recording) if factory is None else Replay(recording, factory)
        step: Step | None = recording.steps[0]
        while step is not None:
            replayed = replay.index
            outputs += len(step.outputs)
            now = step.keywords.get("now")
            now = now if isinstance(now, int | float) else None
            first, last = (now if first is None else first), (last if now is None else now)
            step = replay.step()
    except ReplayDifference as found:
        difference = found
    return ReplayReport(recording, machine, replayed, outputs, (last or 0.0) - (first or 0.0), difference)
