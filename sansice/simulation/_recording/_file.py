"""A recording that is written to a file while the machine runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, cast

from sansice import __version__
from sansice.machine import Action, Entropy, Event

from ._format import END, FRAME_LENGTH, HEADER, FrameWriter
from ._sink import Sink
from ._step import Made
from ._values import Opaque
from ._wire import Call, write_call, write_step

MAX_BYTES = 2**30  # half a day of a voice call, 160 bytes every 20 ms both ways; a disk that fills up is worse than a cut
FLUSH_BYTES = 2**14  # what a process that is killed may take with it, at most
FLUSH_AFTER = 0.25  # and seconds of it: a crash is looked for in what came just before
_END_ROOM = 256  # bytes that are kept free for the last frame

CLOSED = "closed"
LIMIT = "the limit of {} bytes is reached"


class _Path(Protocol):
    def __fspath__(self) -> str: ...


class BinaryFile(Protocol):
    """What a recording is written to: a file, opened unbuffered."""

    def write(self, data: Any, /) -> int | None:
        """Write some of the bytes, and tell how many; ``None`` for none."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


FileName: TypeAlias = str | _Path


class RecordingFile(Sink[Call]):
    """What `Recorded` writes to: a file that is only ever appended to, so that what a crash leaves can be read.

    ``RecordingFile("call.sansice").make(IceAgent, controlling=True)`` is an agent whose life is in the file;
    `replay_file` replays it. It holds all that the machine was given, secrets included; `scrub_file` makes one without.

    A step that is not packets or time, or that raised, is handed to the system as soon as it is over; the others within
    ``flush_bytes`` and, while steps follow, ``flush_after``. When ``max_bytes`` is reached, or an argument is no value, the
    file ends with a mark that says so, and the machine goes on unrecorded; so it does where the disk is full. A recording that
    lacks its beginning cannot be replayed, so the oldest part is never thrown away for the newest.

    Args:
        file: a name, or a file that is open for writing, unbuffered. A file of that name is overwritten; it is as private
            as the process's umask makes it (the adapters' ``record=`` makes it the user's alone).
        entropy: where the bytes come from that the machine draws through `tap`.
        max_bytes: the most to write.
        flush_bytes: the most that may wait in memory.
        flush_after: seconds, of the machine's clock, that a step may wait while others follow.

    Attributes:
        written: bytes in the file, and those that wait.
        error: why writing has failed, or ``None``.

    Raises:
        OSError: the file cannot be opened.
        ValueError: a limit that leaves room for nothing.
    """

    __slots__ = (
        "_file", "_flush_after", "_flush_at", "_flush_bytes", "_frames", "_max_bytes", "_size", "_started",
        "_stopped", "_waiting", "error", "written",
    )  # fmt: skip

    def __init__(
        self,
        file: FileName | BinaryFile,
        *,
        entropy: Entropy = os.urandom,
        max_bytes: int = MAX_BYTES,
        flush_bytes: int = FLUSH_BYTES,
        flush_after: float = FLUSH_AFTER,
    ) -> None:
        super().__init__(entropy)
        if max_bytes < _END_ROOM or flush_bytes < 0 or not flush_after >= 0:
            raise ValueError(f"max_bytes is at least {_END_ROOM}, and flush_bytes and flush_after are not negative")
        self._max_bytes = max_bytes
        self._flush_bytes = flush_bytes
        self._flush_after = flush_after
        self._flush_at = -float("inf")
        self._frames = FrameWriter()
        self._waiting: list[bytes] = []
        self._size = 0
        self._started = self._stopped = False
        self.written: int = 0
        self.error: OSError | None = None
        opened = open(cast(str, file), "wb", buffering=0) if isinstance(file, str) or hasattr(file, "__fspath__") else file  # noqa: SIM115
        self._file: BinaryFile = cast(BinaryFile, opened)

    @property
    def stopped(self) -> bool:
        """Whether nothing is recorded any more: it is closed, full, or could not be written."""
        return self._stopped

    def describe(self, made: Made) -> None:
        """Say how the machine is constructed; `make` does."""
        super().describe(made)
        self._start()

    def _start(self) -> None:
        self._started = True
        made = self.made
        who = None if made is None else {"class": made.machine, "arguments": made.arguments, "keywords": made.keywords}
        header = {"sansice": __version__, "python": sys.version.partition(" ")[0], "made": who}
        self._append(self._frames.start() + self._frames.frame(bytes((HEADER,)) + json.dumps(header).encode()))

    # ------------------------------------------------------------- steps

    def begin(self, method: str, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Call | None:
        """A step begins: its arguments are kept as they are now. What cannot be recorded ends the recording."""
        if self._stopped:
            return None
        try:
            return write_call(method, arguments, keywords)
        except Opaque as error:
            self.finish(f"{method}() cannot be recorded: {error}")
            return None

    def answer(self, name: str, answer: object) -> None:
        """Write down what a policy function answered. What cannot be written ends the recording."""
        try:
            super().answer(name, answer)
        except Opaque as error:
            self.finish(f"what {name} answers cannot be recorded: {error}")

    def end(self, begun: Call, result: object, raised: str, outputs: Sequence[Action | Event], deadline: float) -> None:
        """The step that began has ended."""
        if self._stopped:  # closed meanwhile, by what the machine's own step called
            return
        if not self._started:
            self._start()
        body = write_step(begun, *self._take_drawn(), result, raised, outputs, deadline)
        if self.written + len(body) + FRAME_LENGTH + _END_ROOM > self._max_bytes:
            self.finish(LIMIT.format(self._max_bytes))
            return
        self._append(self._frames.frame(body))
        if begun.is_frequent and not raised and self._size < self._flush_bytes and begun.now < self._flush_at:
            return
        self._flush_at = begun.now + self._flush_after
        self.flush()

    def _append(self, data: bytes) -> None:
        self._waiting.append(data)
        self._size += len(data)
        self.written += len(data)

    def flush(self) -> None:
        """Hand everything to the system. What it cannot take ends the recording (`error`), and never the program."""
        rest = memoryview(b"".join(self._waiting))
        self._waiting = []
        self._size = 0
        try:
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self.error = error
            self._stop()

    # ------------------------------------------------------------- the end

    def close(self) -> None:
        """End the recording, and close the file. A second call changes nothing."""
        if not self._stopped:
            self.finish(CLOSED)
        self._file.close()

    def finish(self, why: str) -> None:
        """End the recording with a mark that says why."""
        if not self._started:
            self._start()
        self._append(self._frames.frame(bytes((END,)) + json.dumps({"why": why}).encode()))
        self.flush()
        self._stop()

    def _stop(self) -> None:
        self._stopped = True
        self._drawn, self._answers = [], []
