"""The other process: how it is started, and how it is certain to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Self

IS_TOLD = "--settings"  # its only argument
GRACE = 1.0  # seconds that it has to end by itself, once its input has ended


class OtherProcess:
    """End B, in a ``with`` block. It ends with its input, so also when this process is killed.

    It is started before this process has imported what it needs itself: the two then load side by side.

    Args:
        is_told: it waits for a line of `Settings`.
    """

    def __init__(self, *, is_told: bool = False) -> None:
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the block
        try:
            self._process = subprocess.Popen(
                # -P: a file in the current directory must not be taken for a module.
                [sys.executable, "-P", "-m", "sansice_cli.demo", *([IS_TOLD] if is_told else [])],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                process_group=0,  # so that Ctrl-C reaches this process only, which then ends that one
            )
        except BaseException:
            self._errors.close()
            raise

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def files(self) -> tuple[int, int]:
        """Descriptors to write to it and to read from it: duplicates, for the caller to close."""
        writing, reading = self._process.stdin, self._process.stdout
        if writing is None or reading is None:
            raise RuntimeError("the other process has no pipes")
        return os.dup(writing.fileno()), os.dup(reading.fileno())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.end()
        self._errors.close()

    def end(self) -> str:
        """Have it end, and wait for that. How it ended, if that is worth telling, else ""."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return "it had to be killed"
        except BaseException:  # a second Ctrl-C
            self._process.kill()
            raise
        if code < 0:
            return f"it was ended by {signal.Signals(-code).name}"
        return f"exit code {code}: {self._last_words()}" if code else ""

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
