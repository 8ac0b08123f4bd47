"""What a person sees while the tests run: a bar on a terminal, lines elsewhere."""

from __future__ import annotations

import os
from types import TracebackType
from typing import Protocol, Self, TextIO

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from sansice import Event
from sansice.stun import BehaviorProgressed

from ._words import finding


class Presenter(Protocol):
    """Takes each event in a ``with`` block."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, event: Event) -> None:
        """Something happened."""
        ...


class Lines:
    """A line for each step."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, event: Event) -> None:
        """Print it."""
        if isinstance(event, BehaviorProgressed):
            click.echo(f"test {event.done + 1} of {event.total}: {event.test.value}", file=self._stream)
        elif found := finding(event):
            click.echo(f"  {found[0]}: {found[1]}", file=self._stream)


class Bar:
    """A bar, with the findings above it as they come."""

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:12}"), BarColumn(), MofNCompleteColumn(separator=" of "))
        self._progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True)
        self._task = self._progress.add_task("asking", total=None)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, event: Event) -> None:
        """Move the bar, or print a finding."""
        if isinstance(event, BehaviorProgressed):
            self._progress.update(self._task, description=event.test.value, completed=event.done, total=event.total)
        elif found := finding(event):
            self._progress.console.print(f"{found[0]}: {found[1]}", markup=False, highlight=False)


def presenter(stream: TextIO) -> Presenter:
    """A bar where one can be drawn."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Bar(Console(file=stream))
    return Lines(stream)
