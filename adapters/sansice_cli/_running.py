"""Asynchronous work of a command, and the ways in which it ends early."""

from __future__ import annotations

import errno
import signal
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from ._ended import EndedBySignalError

R = TypeVar("R")


def run(work: Callable[[], Awaitable[R]]) -> R:
    """Run ``work()`` under trio; what it raises comes out. SIGINT and SIGTERM cancel it.

    Raises:
        EndedBySignalError: one of them came.
        BrokenPipeError: nobody reads the output any more, which click knows how to take.
    """
    try:
        return trio.run(_watched, work)
    except BaseExceptionGroup as group:
        if group.split(BrokenPipeError)[1] is not None:
            raise
        raise BrokenPipeError(errno.EPIPE, "whoever read the output has left") from group


async def _watched(work: Callable[[], Awaitable[R]]) -> R:
    caught: list[signal.Signals] = []
    results: list[R] = []
    failures: list[Exception] = []  # kept out of the nursery, which would make a group of one of it

    async def watch() -> None:
        async for number in signals:
            caught.append(signal.Signals(number))
            nursery.cancel_scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            try:
                results.append(await work())
            except Exception as error:
                failures.append(error)
            nursery.cancel_scope.cancel()
    if caught:
        raise EndedBySignalError(caught[0])
    if failures:
        raise failures[0]
    return results[0]
