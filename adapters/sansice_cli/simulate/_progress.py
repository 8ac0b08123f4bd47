"""How far work has come: a bar with rate and remaining time on a terminal, a few lines elsewhere."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, Progress as RichProgress, TaskProgressColumn, TextColumn

STEPS = 5  # lines where no bar can be drawn

Clock = Callable[[], float]


class Progress(Protocol):
    """Is told how far work has come, in a ``with`` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, share: float, runs: int) -> None:
        """So much is done, 0 to 1, in so many runs."""
        ...


def rate_and_rest(share: float, runs: int, elapsed: float) -> str:
    """``312 runs/s, 3 s left``."""
    rate = f"{runs / elapsed:.0f} runs/s" if elapsed else f"{runs} runs"
    if not 0.0 < share < 1.0:
        return rate
    minutes, seconds = divmod(round(elapsed * (1.0 - share) / share), 60)
    return f"{rate}, {f'{minutes} min ' if minutes else ''}{seconds} s left"


class Lines:
    """A line now and then."""

    def __init__(self, stream: TextIO, title: str, clock: Clock = time.monotonic) -> None:
        self._stream, self._title, self._clock = stream, title, clock
        self._begun = clock()
        self._shown = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, share: float, runs: int) -> None:
        """Print it, if that is much more than at the last time."""
        step = int(share * STEPS)
        if step > self._shown:
            self._shown = step
            rest = rate_and_rest(share, runs, self._clock() - self._begun)
            click.echo(f"{self._title}: {share:.0%}, {rest}", file=self._stream)


class Bar:
    """A bar that is gone when the work is done."""

    def __init__(self, console: Console, title: str, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._begun = clock()
        columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rest]}"))
        self._progress = RichProgress(*columns, console=console, transient=True)
        self._task = self._progress.add_task(title, total=1.0, rest="")

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, share: float, runs: int) -> None:
        """Move the bar."""
        rest = rate_and_rest(share, runs, self._clock() - self._begun)
        self._progress.update(self._task, completed=share, rest=rest)


def progress(stream: TextIO, title: str) -> Progress:
    """A bar where one can be drawn."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Bar(Console(file=stream), title)
    return Lines(stream, title)
