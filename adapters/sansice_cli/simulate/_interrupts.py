"""Signals that end work in one thread, so that what is done by then can be shown."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Any, Self

from sansice_cli._ended import EndedBySignalError


class Interrupts:
    """Within a ``with`` block SIGINT and SIGTERM raise `EndedBySignalError`.

    Args:
        gently: the first one is only noted, for work that looks at `caught` by itself; another one raises.

    Attributes:
        caught: the signal that came.
    """

    def __init__(self, *, gently: bool = False) -> None:
        self._gently = gently
        self._before: list[tuple[signal.Signals, Any]] = []
        self.caught: signal.Signals | None = None

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before.append((number, signal.signal(number, self._handle)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before:
            signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        again = self.caught is not None
        self.caught = signal.Signals(number)
        if again or not self._gently:
            raise EndedBySignalError(self.caught)
