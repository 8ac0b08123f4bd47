"""Asynchronous work of a command, and the ways in which it ends early."""

from __future__ import annotations

import errno
import signal
from collections.abc import Awaitable, Callable
from typing import IO, Any, TypeVar

import click
import trio

R = TypeVar("R")


class EndedBySignalError(click.ClickException):
    """A signal ended the work, which has cleaned up. The exit code is what a shell makes of it."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__("Interrupted." if number is signal.SIGINT else f"Ended by {number.name}.")
        self.exit_code = 128 + number

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so, without calling it an error."""
        click.echo(self.message, err=True)


def run(work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work()`` under trio; SIGINT and SIGTERM cancel it.

    Raises:
        EndedBySignalError: one of them came.
        BrokenPipeError: nobody reads the output any more, which click knows how to take.
    """

    async def watched() -> R | signal.Signals:
        caught: list[signal.Signals] = []
        results: list[R] = []

        async def watch() -> None:
            async for number in signals:
                caught.append(signal.Signals(number))
                nursery.cancel_scope.cancel()

        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch)
                results.append(await work())
                nursery.cancel_scope.cancel()
        return caught[0] if caught else results[0]

    try:
        result = trio.run(watched)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        raise BrokenPipeError(errno.EPIPE, "whoever read the output has left") from group
    if isinstance(result, signal.Signals):
        raise EndedBySignalError(result)
    return result
