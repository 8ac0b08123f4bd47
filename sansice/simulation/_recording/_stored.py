"""A recording that is read from a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

import attrs

from ._file import FileName
from ._format import END, HEADER, Cut, Frame, RecordingError, read_frames_untrusted
from ._step import Made, Step, check_made
from ._values import Json, parse_untrusted
from ._wire import STEPS, read_step_untrusted


class StoredSteps(Sequence[Step]):
    """The steps of a file, each decoded when it is asked for: a recording may be larger than its steps would be in memory.

    Asking for one raises `RecordingError` where its checksum is right but its content makes no sense.
    """

    __slots__ = ("_data", "_frames")

    def __init__(self, data: bytes, frames: Sequence[Frame]) -> None:
        self._data = data
        self._frames = frames

    def __len__(self) -> int:
        return len(self._frames)

    @overload
    def __getitem__(self, index: int) -> Step: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...

    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        if isinstance(index, slice):
            return StoredSteps(self._data, self._frames[index])
        frame = self._frames[index]
        try:
            return read_step_untrusted(self._data[frame.start : frame.end])
        except ValueError as error:
            whole = range(len(self))[index]
            raise RecordingError(f"the recording is damaged: {error}", frame.offset, whole) from None


@attrs.frozen
class StoredRecording:
    """A recording from a file, as `read_recording` gives it.

    Attributes:
        steps: the machine's construction, then a step for every call.
        made: how the machine was constructed; ``None`` where the program did that, and did not say.
        ending: why there is no more: "closed", a limit, or "cut after step N".
        is_cut: whether the process was killed, or is still running: nobody knows what happened after the last step.
        sansice, python: the versions that recorded.
        size: bytes of the file.
    """

    steps: Sequence[Step] = attrs.field(repr=False)
    made: Made | None = attrs.field(repr=False)
    ending: str
    is_cut: bool
    sansice: str
    python: str
    size: int


def read_recording(file: FileName) -> StoredRecording:
    """Read what a `RecordingFile` wrote, also where the process was killed meanwhile.

    Raises:
        OSError: the file cannot be read.
        RecordingError: not a recording, of a newer version, or damaged; the text names the place.
    """
    with open(file, "rb") as opened:
        return read_recording_untrusted(opened.read())


def read_recording_untrusted(data: bytes) -> StoredRecording:
    """The same, of a file's bytes.

    Raises:
        RecordingError: and nothing else, whatever the bytes.
    """
    header: Json = None
    why: Json = None
    frames: list[Frame] = []
    for frame in read_frames_untrusted(data):
        if isinstance(frame, Cut):
            break
        kind = data[frame.start]
        if why is not None or (kind == HEADER) != (header is None) or kind not in _KINDS:
            raise RecordingError("the recording is damaged: a frame is out of its place", frame.offset, len(frames))
        if kind in STEPS:
            frames.append(frame)
        elif kind == HEADER:
            header = _read_form_untrusted(data, frame, len(frames))
        else:
            why = _read_form_untrusted(data, frame, len(frames))
    if header is None:
        raise RecordingError("the recording is cut before its first step", len(data))
    try:
        made = None if header["made"] is None else _made(header["made"])
        ending = _cut_after(len(frames)) if why is None else str(why["why"])
        versions = str(header["sansice"]), str(header["python"])
    except (KeyError, TypeError, ValueError):
        raise RecordingError("the recording is damaged: its header is another one", 0) from None
    return StoredRecording(StoredSteps(data, frames), made, ending, why is None, *versions, len(data))


def _made(form: Json) -> Made:
    made = Made(form["class"], form["arguments"], form["keywords"])
    check_made(made)
    return made


def _cut_after(steps: int) -> str:
    return f"cut after step {steps - 1}" if steps else "cut before the first step"


_KINDS = STEPS | {HEADER, END}


def _read_form_untrusted(data: bytes, frame: Frame, step: int) -> Json:
    try:
        return parse_untrusted(data[frame.start + 1 : frame.end])
    except ValueError as error:
        raise RecordingError(f"the recording is damaged: {error}", frame.offset, step) from None
