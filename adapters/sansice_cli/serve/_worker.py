"""A worker: a process that serves with the sockets that the supervisor holds, and does what it says.

Started as ``python -m sansice_cli.serve._worker DESCRIPTOR``.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from collections.abc import Sequence

import attrs
import trio

from sansice.turn import TurnLimits

from ._backend import Allocations, ServingError
from ._channel import Channel, Handlers, answer_calls
from ._exchange import Exchange
from ._local import LocalServer, open_local
from ._logs import Log
from ._resources import raise_descriptor_limit
from ._settings import Settings
from ._snapshot import Snapshot
from ._users import Material


@attrs.frozen
class Task:
    """What a worker is told first. With it come its box, the boxes of all workers, and the sockets of its listeners.

    Attributes:
        number: which one it is.
        settings: its own share of them.
        material: who may ask.
        log_format: of its lines.
        is_draining: it takes the place of one that died while all drain, only to send newcomers away as the others do.
    """

    number: int
    settings: Settings
    material: Material
    log_format: str
    is_draining: bool


class _Worker:
    _server: LocalServer

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._is_over = trio.Event()

    async def run(self) -> None:
        """Serve until the supervisor is gone, or says that it is over."""
        async with trio.open_nursery() as self._nursery:
            handlers: Handlers = {
                "start": self._start,
                "ping": self._ping,
                "snapshot": self._snapshot,
                "allocations": self._allocations,
                "kill": self._kill,
                "set_limits": self._set_limits,
                "reload": self._reload,
                "drain": self._drain,
            }
            await answer_calls(self._channel, handlers)
            self._is_over.set()

    async def _start(self, task: Task, descriptors: Sequence[int] = ()) -> None:
        failure = await self._nursery.start(self._serve, task, [socket.socket(fileno=one) for one in descriptors])
        if failure is not None:
            raise failure

    async def _serve(
        self,
        task: Task,
        sockets: Sequence[socket.socket],
        task_status: trio.TaskStatus[ServingError | None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Tells as its status why it could not begin: raised, it would come out of the nursery as a group."""
        log = Log(task.log_format, worker=task.number)
        workers = task.settings.workers
        box, *rest = sockets
        inherited = rest[workers:]
        with contextlib.ExitStack() as stack:
            exchange = stack.enter_context(contextlib.closing(Exchange(box, rest[:workers])))
            for sock in inherited:
                stack.enter_context(sock)
            try:
                async with open_local(task.settings, task.material, log, inherited=inherited, exchange=exchange) as self._server:
                    if task.is_draining:
                        await self._drain(0.0)
                    task_status.started()
                    await self._is_over.wait()
            except ServingError as error:
                task_status.started(error)

    async def _ping(self) -> None:
        await trio.lowlevel.checkpoint()

    async def _snapshot(self) -> Snapshot:
        return await self._server.snapshot()

    async def _allocations(self) -> Allocations:
        return await self._server.allocations()

    async def _kill(self, id: str) -> bool:
        return await self._server.kill(id)

    async def _set_limits(self, limits: TurnLimits) -> None:
        await self._server.set_limits(limits)

    async def _reload(self, material: Material, limits: TurnLimits) -> None:
        await self._server.reload(material, limits)

    async def _drain(self, seconds: float) -> None:
        # What the kernel gives this worker afterwards is still to be answered: others may serve for long.
        await self._server.drain(seconds, close=False)


def main() -> None:
    """Run; the descriptor of the channel is the only argument."""
    # A terminal and a service manager send these to the supervisor's whole group, and it decides what they mean.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise_descriptor_limit()
    descriptor = int(sys.argv[1])
    os.set_inheritable(descriptor, False)
    trio.run(_run, descriptor)


async def _run(descriptor: int) -> None:
    with contextlib.closing(Channel.of_worker(socket.socket(fileno=descriptor))) as channel:
        await _Worker(channel).run()


if __name__ == "__main__":
    main()
