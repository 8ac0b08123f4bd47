"""A recording without its secrets, that replays as the one with them.

What a machine was told is changed where it holds a secret, and the machine is run anew on that: passwords and keys become
others, the entropy that made them too, messages that they signed are signed with the others, application data becomes zeros
of the same length. What it puts out then has other signatures, and must otherwise be what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

from sansice.machine import Machine
from sansice.stun import Message

from ._difference import differences
from ._draws import Draws, GivenTap, Unlike
from ._file import FileName, RecordingFile
from ._machines import constructor
from ._messages import as_message, blanked, is_like_message, nonce_of, realm_of, resigned, token_of
from ._recorded import text_of
from ._recording import Recording
from ._replay import AnyRecording, method_of, replay
from ._secrets import Secrets
from ._sink import Sink
from ._step import Made, Step
from ._stored import read_recording, read_recording_untrusted
from ._stream_edits import StreamEdits
from ._tap import Tap
from ._values import Json, from_json, to_json

# Of what these draw nothing may stay: a server's keys, and the passwords that a reception draws for agents after it was made.
# Where peers have used such a password, the reception cannot be scrubbed.
_ALL_SECRET = ("sansice.stun:StunServer", "sansice.ice:IceReception")


class ScrubError(ValueError):
    """A recording cannot be scrubbed: without its secrets the machine does something else.

    Attributes:
        index: of the step where that was noticed.
    """

    def __init__(self, index: int, text: str) -> None:
        super().__init__(f"step {index}: {text}")
        self.index = index


def scrub(recording: AnyRecording, factory: Callable[[Tap], Machine] | None = None) -> Recording:
    """A recording without the secrets of another one, that a replay takes to the same end.

    Replaced are: what is marked as secret (passwords, keys: whatever a class leaves out of its repr), also inside of other
    texts; passwords that the machine drew, with the entropy they were made of; all that a `sansice.stun.StunServer` draws;
    and application data: datagrams that are not STUN, what is given to `send`, DATA attributes. Signatures and
    fingerprints are made anew. What stays: addresses, names of users and realms, transaction ids, times and sizes.

    Args:
        recording: in memory, or from `read_recording`.
        factory: see `Replay`. It must give the machine no secret of its own.

    Raises:
        ScrubError: without its secrets the machine does something else.
        ReplayDifference: the recording does not replay as it is.
        ValueError: see `Replay`.
    """
    scrubbed = Recording()
    _scrub(recording, scrubbed, factory)
    _check(scrubbed, factory)
    return scrubbed


def scrub_file(source: FileName, target: FileName, factory: Callable[[Tap], Machine] | None = None) -> None:
    """Write a file without the secrets of another one. See `scrub`. It ends as the other one does, cut or whole.

    Raises:
        OSError: a file cannot be read or written.
        RecordingError: ``source`` is no recording, of a newer version, or damaged.
        ScrubError, ReplayDifference, ValueError: see `scrub`. ``target`` is then left alone.
    """
    recording = read_recording(source)
    memory = _Memory()
    file = RecordingFile(memory, max_bytes=sys.maxsize)
    _scrub(recording, file, factory)
    if not recording.is_cut:
        file.finish(recording.ending)
    file.flush()
    data = b"".join(memory.parts)
    file.close()
    _check(read_recording_untrusted(data), factory)
    with open(target, "wb") as opened:
        opened.write(data)


class _Memory:
    """A file that is none, so that what fails half-way leaves nothing behind."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def write(self, data: memoryview, /) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def close(self) -> None:
        pass


def _check(scrubbed: AnyRecording, factory: Callable[[Tap], Machine] | None) -> None:
    if factory is None:
        replay(scrubbed)
    else:
        replay(scrubbed, factory)


def _scrub(recording: AnyRecording, sink: Sink[Any], factory: Callable[[Tap], Machine] | None) -> None:
    if not recording.steps:
        raise ValueError("the recording is empty")
    made = recording.made
    secrets = Secrets()
    if made is not None:
        secrets.find([made.arguments, made.keywords])
    for step in recording.steps:
        secrets.find([step.arguments, step.keywords, step.answers])
    all_are_keys = made is not None and made.machine in _ALL_SECRET
    index = 0
    try:
        draws = Draws(recording.steps[0], factory or constructor(made), secrets, all_are_keys=all_are_keys)
        streams = StreamEdits(recording.steps)
        for realm in _realms(recording.steps, streams):
            secrets.add_realm(realm)
        if made is not None:
            made = Made(made.machine, secrets.replaced(made.arguments), secrets.replaced(made.keywords))
            sink.describe(made)
        again = _Again(sink, factory or constructor(made), secrets, draws, streams)
        for index, step in enumerate(recording.steps):
            again.run(index, step)
    except Unlike as error:
        name = recording.steps[index].method or "construction"
        raise ScrubError(index, f"{name}: without its secrets the machine does something else: {error}") from None


def _realms(steps: Sequence[Step], streams: StreamEdits) -> list[str]:
    datagrams = [data for index, step in enumerate(steps) if step.method == "handle_datagrams" for data in _batch(index, step)]
    realms = [realm_of(message) for data in (*datagrams, *streams.messages()) if (message := as_message(data)) is not None]
    return list(dict.fromkeys(realm for realm in realms if realm is not None))


def _batch(index: int, step: Step) -> list[bytes]:
    """The datagrams of a step, without their sources."""
    try:
        _, batch = from_json(step.arguments)
        return [bytes(memoryview(data)) for _, data in batch]
    except (TypeError, ValueError) as error:
        raise ValueError(f"step {index}, handle_datagrams: {error}") from None


class _Again:
    """Runs a machine anew, on what it is told instead."""

    __slots__ = ("_draws", "_machine", "_make", "_nonces", "_secrets", "_sink", "_streams", "_tap")

    def __init__(
        self, sink: Sink[Any], make: Callable[[Tap], Machine], secrets: Secrets, draws: Draws, streams: StreamEdits
    ) -> None:
        self._sink = sink
        self._make = make
        self._secrets = secrets
        self._draws = draws
        self._streams = streams
        self._tap = GivenTap(sink.note, sink.answer)
        self._nonces: dict[bytes, bytes] = {}
        self._machine: Machine | None = None

    def run(self, index: int, step: Step) -> None:
        """Do a step again.

        Raises:
            Unlike: the machine does something else.
        """
        self._tap.begin(self._draws.of(index, step), self._secrets.replaced(step.answers))
        arguments, keywords = self._told(index, step)
        begun = self._sink.begin(step.method, tuple(arguments), keywords)
        result, raised = None, ""
        if self._machine is None:
            self._machine = self._make(self._tap)
        else:
            method = method_of(self._machine, index, step)
            try:
                result = method(*arguments, **keywords)
            except Unlike:
                raise
            except Exception as error:
                raised = text_of(error)
        outputs = self._machine.take_outputs()
        deadline = float(self._machine.deadline())
        self._sink.end(begun, result, raised, outputs, deadline)
        forms = [to_json(output, strict=False) for output in outputs]
        if self._tap.left:
            raise Unlike("it draws and asks less")
        _compare(step, Step(result=to_json(result, strict=False), raised=raised, outputs=forms, deadline=deadline))
        self._learn_nonces(step.outputs, forms)

    # ------------------------------------------------------------- what the machine is told instead

    def _told(self, index: int, step: Step) -> tuple[list[Any], dict[str, Any]]:
        tap = self._tap
        match step.method, step.arguments:
            case "handle_datagrams", [socket, list()]:
                handed_on = str(step.outputs)
                batch = from_json(step.arguments[1])
                told = [(source, self._datagram(data, data.hex() in handed_on)) for source, data in batch]
                return [socket, told], _keywords(step, tap)
            case "handle_stream_data", [socket, _]:
                return [socket, self._streams.told(index, self._message)], _keywords(step, tap)
        forms = [self._argument(form) for form in self._secrets.replaced(step.arguments)]
        keywords = {name: self._argument(form) for name, form in self._secrets.replaced(step.keywords).items()}
        return [from_json(form, tap) for form in forms], {name: from_json(form, tap) for name, form in keywords.items()}

    def _argument(self, form: Json) -> Json:
        """Bytes that a command is given are the application's."""
        match form:
            case {"bytes": str(text)}:
                return {"bytes": blanked(bytes.fromhex(text)).hex()}
        return self._resigned(form)

    def _resigned(self, form: Json) -> Json:
        """A form with the messages in it changed."""
        match form:
            case list():
                return [self._resigned(item) for item in form]
            case {"message": str(text)}:
                return {"message": self._message(bytes.fromhex(text)).hex()}
            case dict():
                return {name: self._resigned(item) for name, item in form.items()}
        return form

    def _datagram(self, data: bytes, is_handed_on: bool) -> bytes:
        if as_message(data) is not None:
            return self._message(data)
        # What is neither is not looked at by any application, but a machine may answer it, by RFC 3489 for instance.
        return data if is_like_message(data) and not is_handed_on else blanked(data)

    def _message(self, data: bytes) -> bytes:
        message = as_message(data)
        if message is None:
            return data
        token = token_of(message)
        other = None if token is None else self._secrets.token(token)  # which may bring another pair of keys
        return resigned(message, self._secrets.pairs, self._nonces, other)

    def _learn_nonces(self, old: Sequence[Json], new: Sequence[Json]) -> None:
        """Nonces that the machine gave out are others now, and come back in requests."""
        for before, after in zip(map(_message_in, old), map(_message_in, new), strict=True):
            if before is None or after is None:
                continue
            one, other = nonce_of(before), nonce_of(after)
            if one is not None and other is not None and one != other:
                self._nonces[one] = other


def _keywords(step: Step, tap: Tap) -> dict[str, Any]:
    return {name: from_json(form, tap) for name, form in step.keywords.items()}


def _message_in(output: Json) -> Message | None:
    """The message that an action sends, if it does."""
    match output:
        case {"items": [*_, {"bytes": str(text)}]}:
            return as_message(bytes.fromhex(text))
    return None


def _compare(old: Step, new: Step) -> None:
    for name in ("raised", "result", "outputs", "deadline"):
        for difference in differences(_shape(getattr(old, name)), _shape(getattr(new, name))):
            raise Unlike(f"{name}{difference}")


def _shape(form: Json) -> Json:
    """A form without what scrubbing may change: of bytes the length, of secrets that they are there."""
    match form:
        case list():
            return [_shape(item) for item in form]
        case {"bytes": str(text)} | {"message": str(text)}:
            return {"size": len(text) // 2}
        case dict():
            return {name: "..." if name == "secret" else _shape(item) for name, item in form.items()}
    return form
