"""One face for three runtimes, so that a test is written once.

A test body is an ``async def`` that is given a `Runtime`. What an adapter returns is awaited through it (``await rt.call(
ice.gather())``): under threads that is no coroutine but the result itself, and nothing ever waits in a body's own `await`.
"""

import asyncio
import contextlib
import gc
import os
import threading
import types
from typing import NamedTuple

import trio

import sansice_asyncio
import sansice_blocking
import sansice_trio

HANG = 20  # seconds after which a test that waits for a real socket is stuck


class Left(NamedTuple):
    """What is open and running."""

    files: list
    tasks: int
    threads: list


class Runtime:
    """What the three have in common.

    Attributes:
        name: for people.
        adapter: the package.
        driver: its driver class.
    """

    name = ""
    adapter: types.ModuleType
    driver: type

    def __repr__(self):
        return self.name

    def run(self, body, *args):
        """Run ``body(self, *args)`` as a program of its own, and give back what it returns."""
        raise NotImplementedError

    async def call(self, started):
        """What an adapter's function gives in the end."""
        return await started

    @contextlib.asynccontextmanager
    async def opened(self, block):
        """An adapter's block."""
        async with block as value:
            yield value

    async def each(self, iterator):
        """An adapter's iterator."""
        async for value in iterator:
            yield value

    async def together(self, *bodies):
        """Run several bodies without arguments at the same time, and give back their results in order."""
        raise NotImplementedError

    async def within(self, seconds, function, *args, **kwargs):
        """Call an adapter's function, for so long at most.

        Raises:
            TimeoutError: it was still waiting.
        """
        raise NotImplementedError

    async def sleep(self, seconds):
        """Do nothing meanwhile; only where nothing tells that something is over."""
        raise NotImplementedError

    async def leaves_nothing(self, body):
        """Run a body, and check that what it opened and started is gone."""
        before = self.left()
        result = await body()
        assert self.left() == before
        return result

    def left(self):
        """What is open and running."""
        for thread in threading.enumerate():
            if thread.name == "sansice look-up":
                thread.join(HANG)  # it ends by itself, a moment after it has answered
        gc.collect()
        fds = os.listdir("/proc/self/fd")
        files = sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in fds if os.path.lexists(f"/proc/self/fd/{fd}"))
        threads = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("sansice"))
        return Left(files, self.tasks(), threads)

    def tasks(self):
        """How many tasks there are."""
        return 0


class OnTrio(Runtime):
    name = "trio"
    adapter = sansice_trio
    driver = sansice_trio.TrioDriver

    def run(self, body, *args):
        async def main():
            with trio.fail_after(HANG):
                return await body(self, *args)

        return trio.run(main)

    async def together(self, *bodies):
        results = [None] * len(bodies)

        async def keep(index, body):
            results[index] = await body()

        async with trio.open_nursery() as nursery:
            for index, body in enumerate(bodies):
                nursery.start_soon(keep, index, body)
        return results

    async def within(self, seconds, function, *args, **kwargs):
        with trio.move_on_after(seconds):
            return await function(*args, **kwargs)
        raise TimeoutError

    async def sleep(self, seconds):
        await trio.sleep(seconds)

    def tasks(self):
        return trio.lowlevel.current_statistics().tasks_living


class OnAsyncio(Runtime):
    name = "asyncio"
    adapter = sansice_asyncio
    driver = sansice_asyncio.AsyncioDriver

    def run(self, body, *args):
        async def main():
            async with asyncio.timeout(HANG):
                return await body(self, *args)

        return asyncio.run(main())

    async def together(self, *bodies):
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(body()) for body in bodies]
        return [task.result() for task in tasks]

    async def within(self, seconds, function, *args, **kwargs):
        async with asyncio.timeout(seconds):
            return await function(*args, **kwargs)

    async def sleep(self, seconds):
        await asyncio.sleep(seconds)

    def tasks(self):
        return len(asyncio.all_tasks())


class OnThreads(Runtime):
    name = "blocking"
    adapter = sansice_blocking
    driver = sansice_blocking.BlockingDriver

    def run(self, body, *args):
        return self._finish(body(self, *args))

    async def call(self, started):
        return started

    @contextlib.asynccontextmanager
    async def opened(self, block):
        with block as value:
            yield value

    async def each(self, iterator):
        for value in iterator:
            yield value

    async def together(self, *bodies):
        results = [None] * len(bodies)
        errors = []

        def keep(index, body):
            try:
                results[index] = self._finish(body())
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=keep, args=pair) for pair in enumerate(bodies)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(HANG)
            assert not thread.is_alive()
        if errors:
            raise BaseExceptionGroup("in threads", errors)
        return results

    async def within(self, seconds, function, *args, **kwargs):
        return function(*args, timeout=seconds, **kwargs)

    async def sleep(self, seconds):
        threading.Event().wait(seconds)

    def _finish(self, coroutine):
        try:
            coroutine.send(None)
        except StopIteration as stop:
            return stop.value
        raise AssertionError("a body waited otherwise than through its runtime")


RUNTIMES = (OnTrio(), OnAsyncio(), OnThreads())


@types.coroutine
def cancelled_at(steps, coroutine, cancel):
    """Run a coroutine, and call ``cancel`` at its ``await`` number ``steps``."""
    resume, value, step = coroutine.send, None, 0
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            return stop.value
        step += 1
        if step == steps:
            cancel()
        try:
            value = yield trap
            resume = coroutine.send
        except BaseException as error:
            value = error
            resume = coroutine.throw
