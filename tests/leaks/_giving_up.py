"""Giving a session up at a random place, as each runtime can: cancelling, or where there is nothing of the kind, by force."""

from __future__ import annotations

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import trio

from adapters.conformance._runtimes import OnAsyncio, OnThreads, OnTrio, Runtime, cancelled_at
from sansice import LocalProtocolError
from sansice.ice import IceClosed

MOST_STEPS = 30  # awaits of a whole session, about
LONGEST = 0.05  # seconds of a whole session, about; those with relays take longer
Session = Callable[[Runtime, list[Any]], Coroutine[Any, Any, None]]


class GivenUpError(Exception):
    """A session without cancellation leaves its blocks by an exception."""


async def give_up(rt: Runtime, dice: random.Random, session: Session) -> bool:
    """Run ``session(rt, opened)``, or some of it; whether it came to its end.

    Half of them end at a certain ``await``, half at a certain time, which may be within a wait of another task.
    """
    steps = dice.randrange(1, MOST_STEPS) if dice.random() < 0.5 else None
    seconds = dice.uniform(0, LONGEST)
    if isinstance(rt, OnTrio):
        return await _on_trio(session(rt, []), steps, seconds)
    if isinstance(rt, OnAsyncio):
        return await _on_asyncio(session(rt, []), steps, seconds)
    return await _in_threads(session, steps, seconds)


async def _on_trio(session: Coroutine[Any, Any, None], steps: int | None, seconds: float) -> bool:
    with trio.CancelScope() as scope:
        if steps is not None:
            await cancelled_at(steps, session, scope.cancel)
        else:
            scope.deadline = trio.current_time() + seconds
            await session
    return not scope.cancelled_caught


async def _on_asyncio(session: Coroutine[Any, Any, None], steps: int | None, seconds: float) -> bool:
    if steps is not None:
        task = asyncio.ensure_future(cancelled_at(steps, session, lambda: task.cancel()))
        timer = None
    else:
        task = asyncio.ensure_future(session)
        timer = asyncio.get_running_loop().call_later(seconds, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        return False
    finally:
        if timer is not None:
            timer.cancel()
    return True


class Counting(OnThreads):
    """Leaves by an exception after so many calls."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    async def call(self, started: object) -> object:
        self._left -= 1
        if not self._left:
            raise GivenUpError
        return started


# What is raised where the other thread has closed it: a wait ends, a command is refused.
_GIVEN_UP = (GivenUpError, IceClosed, LocalProtocolError)


async def _in_threads(session: Session, steps: int | None, seconds: float) -> bool:
    opened: list[Any] = []

    def close() -> None:
        for one in opened:
            with contextlib.suppress(LocalProtocolError):  # its block was left
                one.close()

    timer = threading.Timer(seconds, close)
    try:
        if steps is not None:
            await session(Counting(steps), opened)
        else:
            timer.start()
            await session(OnThreads(), opened)
    except BaseExceptionGroup as group:
        if group.split(_GIVEN_UP)[1] is not None:
            raise
        return False
    except _GIVEN_UP:
        return False
    finally:
        timer.cancel()
        if timer.ident is not None:
            timer.join()
    return True
