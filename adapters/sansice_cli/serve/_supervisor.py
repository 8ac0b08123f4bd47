"""Several workers that serve as one: what is asked of the server is asked of all of them, and a dead one is replaced."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

import attrs
import trio

from sansice.turn import TurnLimits

from ._backend import Allocations, ServingError
from ._channel import Caller, Channel, WorkerGoneError
from ._exchange import make_boxes
from ._logs import Log
from ._settings import Settings
from ._snapshot import Snapshot, added, nothing_counted, without_gauges
from ._socket_sets import SocketSets, open_socket_sets
from ._supervision import limits_of_worker, relay_port_shares, settings_of_worker
from ._users import Material, authentication
from ._worker import Task

START_TIMEOUT = 60.0  # seconds until a worker must have opened everything
PING_INTERVAL = 5.0  # seconds
PING_TIMEOUT = 20.0  # seconds: a worker that has not answered by then hangs; a reload of a million users does not take so long
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0  # seconds before a dead worker is replaced: twice as long each time it dies young
YOUNG = 10.0  # seconds
END_TIMEOUT = 3.0  # seconds for a worker to end by itself: TURN clients of ours linger for one
_KEY = 32  # bytes, of the keys that workers share: tickets', and nonces' where none is given


@contextlib.asynccontextmanager
async def open_workers(
    settings: Settings, material: Material, log: Log, log_format: str, *, inherited: Sequence[socket.socket] = ()
) -> AsyncIterator[Workers]:
    """Serve within the block, which is entered when all workers are ready.

    Raises:
        ServingError: something cannot be opened, read or used. No process is left then.
    """
    try:
        if settings.turn is not None:
            relay_port_shares(settings.turn.relay_ports, settings.workers)
    except ValueError as error:
        raise ServingError(str(error)) from None
    _check(settings, material)
    buffer = (settings.stun if settings.turn is None else settings.turn.stun).receive_buffer
    sets = open_socket_sets(settings.listeners, settings.workers, buffer, inherited)
    failures: list[ServingError] = []  # kept out of the nursery, which would make a group of one of it
    with contextlib.closing(sets):
        async with trio.open_nursery() as nursery:
            workers = Workers(settings, material, log, log_format, sets)
            try:
                await workers.start(nursery)
            except ServingError as error:
                failures.append(error)
            else:
                yield workers
            workers.end()
            nursery.cancel_scope.cancel()
    if failures:
        raise failures[0]


def _check(settings: Settings, material: Material) -> None:
    """Try users and certificates as each worker will.

    Raises:
        ServingError: they cannot be used.
    """
    names = settings.realms.names
    try:
        if material.names_anybody:
            for name in names:
                authentication(material, name, others=names)
        if (tls := settings.tls()) is not None:
            tls.reload()
    except ValueError as error:
        raise ServingError(str(error)) from None


class _Process:
    """A worker that runs.

    Attributes:
        caller: asks it.
        process: the process.
    """

    def __init__(self, number: int) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-P", "-m", "sansice_cli.serve._worker", str(theirs.fileno())]
            # It says nothing on stdout, whose first line is the supervisor's.
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
            )
        self.number = number
        self._channel = Channel.of_supervisor(ours)
        self.caller = Caller(self._channel)
        self.last: Snapshot = {}

    async def reap(self) -> int:
        """Have it gone for good: it ends when it hears no more of us, or is killed; its exit code."""
        self._channel.close()
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(self._wait)
        return self.process.returncode

    def _wait(self) -> None:
        try:
            self.process.wait(END_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers:
    """See `Backend`, whose methods these are."""

    _nursery: trio.Nursery

    def __init__(self, settings: Settings, material: Material, log: Log, log_format: str, sets: SocketSets) -> None:
        self._settings = settings
        self._material = material
        self._limits = settings.limits
        self._log = log
        self._log_format = log_format
        self._sets = sets
        self._boxes = make_boxes(settings.workers)
        self._ticket_key, self._nonce_key = os.urandom(_KEY), os.urandom(_KEY)
        self._running: dict[int, _Process] = {}
        self._past: Snapshot = {}  # what dead workers had counted when they were last asked
        self._restarts = 0
        self._is_draining = False
        self._is_ending = False

    async def start(self, nursery: trio.Nursery) -> None:
        """Start all of them.

        Raises:
            ServingError: one could not start.
        """
        self._nursery = nursery
        failures: list[ServingError] = []

        async def start(number: int) -> None:
            failure = await nursery.start(self._keep, number)
            if failure is not None:
                failures.append(failure)

        async with trio.open_nursery() as starting:
            for number in range(self._settings.workers):
                starting.start_soon(start, number)
        if failures:
            raise failures[0]

    def end(self) -> None:
        """Nobody is to be replaced any more."""
        self._is_ending = True
        for box in self._boxes:
            for sock in box:
                sock.close()

    def _keyed(self, material: Material) -> Material:
        """With a key for nonces that all workers take: a client may be handed from one to another."""
        return material if material.nonce_key is not None else attrs.evolve(material, nonce_key=self._nonce_key)

    # ------------------------------------------------------------- keeping a worker

    async def _keep(self, number: int, task_status: trio.TaskStatus[ServingError | None] = trio.TASK_STATUS_IGNORED) -> None:
        """Have a worker, and another one whenever it dies.

        Tells as its status why the first could not start: raised, it would come out of the nursery as a group.
        """
        pause, is_first = FIRST_PAUSE, True
        while True:
            began = trio.current_time()
            process = _Process(number)
            try:
                await self._live(process, task_status if is_first else trio.TASK_STATUS_IGNORED)
            except ServingError as error:
                if is_first:
                    task_status.started(error)
                    return
                self._log.error("worker cannot start", worker=number, error=str(error))
            finally:
                self._running.pop(number, None)
                self._past = added((self._past, without_gauges(process.last)))
                code = await process.reap()
            is_first = False
            if self._is_ending:
                return
            pause = min(2 * pause, LONGEST_PAUSE) if trio.current_time() - began < YOUNG else FIRST_PAUSE
            self._restarts += 1
            self._log.error("worker died, another is started", worker=number, code=code, pause=pause)
            await trio.sleep(pause)

    async def _live(self, process: _Process, task_status: trio.TaskStatus[ServingError | None]) -> None:
        """Returns when the worker has ended.

        Raises:
            ServingError: it could not start.
        """
        failures: list[ServingError] = []

        async def begin() -> None:
            try:
                with trio.fail_after(START_TIMEOUT):
                    await self._begin(process)
            except trio.TooSlowError:
                failures.append(ServingError(f"worker {process.number} was not ready within {START_TIMEOUT:g} seconds"))
            except WorkerGoneError:
                failures.append(ServingError(f"worker {process.number} ended before it was ready"))
            except ServingError as error:
                failures.append(error)
            if failures:
                nursery.cancel_scope.cancel()
                return
            self._running[process.number] = process
            task_status.started()
            await self._watch(process)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(begin)
            await process.caller.run()
            nursery.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _begin(self, process: _Process) -> None:
        number = process.number
        settings = attrs.evolve(self._settings, limits=self._limits)
        own = settings_of_worker(settings, number, self._sets.addresses, self._ticket_key)
        task = Task(number, own, self._keyed(self._material), self._log_format, self._is_draining)
        sockets = [self._boxes[number][0], *(writing for _, writing in self._boxes), *self._sets.of_worker(number)]
        descriptors = [sock.fileno() for sock in sockets]
        await process.caller.call("start", task, descriptors=descriptors)
        if self._is_draining and not task.is_draining:  # the others were told to while it started
            await process.caller.call("drain", 0.0)

    async def _watch(self, process: _Process) -> None:
        """Kill a worker that does not answer: whoever hangs does not die by himself."""
        while True:
            await trio.sleep(PING_INTERVAL)
            try:
                with trio.fail_after(PING_TIMEOUT):
                    await process.caller.call("ping")
            except WorkerGoneError:
                return
            except trio.TooSlowError:
                self._log.error("worker does not answer, it is killed", worker=process.number)
                process.process.send_signal(signal.SIGKILL)
                return

    # ------------------------------------------------------------- as one server

    @property
    def listening(self) -> list[str]:
        """See `Backend`."""
        places = zip(self._settings.listeners, self._sets.addresses, strict=True)
        return [f"{listener.transport.value}:{address}" for listener, address in places]

    @property
    def trouble(self) -> str:
        """See `Backend`."""
        if self._is_draining:
            return "draining"
        return "" if self._running else "no worker is running"

    async def snapshot(self) -> Snapshot:
        """See `Backend`."""
        found = await self._ask_all("snapshot")
        for number, snapshot in found.items():
            if number in self._running:
                self._running[number].last = snapshot
        total = added((nothing_counted(self._settings.turn is not None), self._past, *found.values()))
        return {**total, "workers": {"running": len(self._running), "restarts": self._restarts}}

    async def allocations(self) -> Allocations:
        """See `Backend`; an id begins with the number of its worker."""
        found = await self._ask_all("allocations")
        return [{**one, "id": f"{number}:{one['id']}"} for number in sorted(found) for one in found[number]]

    async def kill(self, id: str) -> bool:
        """See `Backend`."""
        number, colon, own = id.partition(":")
        process = self._running.get(int(number)) if colon and number.isascii() and number.isdigit() else None
        if process is None:
            return False
        try:
            return bool(await process.caller.call("kill", own))
        except WorkerGoneError:
            return False

    async def set_limits(self, limits: TurnLimits) -> None:
        """See `Backend`."""
        self._limits = limits
        await self._ask_all("set_limits", limits_of_worker(limits, self._settings.workers))

    async def reload(self, material: Material, limits: TurnLimits) -> None:
        """See `Backend`. What is wrong is found here, before the first worker has taken it."""
        _check(self._settings, material)
        await self._ask_all("reload", self._keyed(material), limits_of_worker(limits, self._settings.workers))
        self._material, self._limits = material, limits

    async def drain(self, seconds: float) -> None:
        """See `Backend`. Who has nobody left goes on sending newcomers away, as long as the others serve."""
        self._is_draining = True
        await self._ask_all("drain", seconds)

    async def wait_failed(self) -> str:
        """See `Backend`: workers are replaced for ever."""
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    async def _ask_all(self, method: str, *arguments: object) -> dict[int, Any]:
        """What each worker answers; who dies meanwhile is left out.

        Raises:
            ServingError: what one of them raised.
        """
        answers: dict[int, Any] = {}
        failures: list[ServingError] = []

        async def ask(process: _Process) -> None:
            try:
                answers[process.number] = await process.caller.call(method, *arguments)
            except WorkerGoneError:
                pass
            except ServingError as error:
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for process in list(self._running.values()):
                nursery.start_soon(ask, process)
        if failures:
            raise failures[0]
        return answers
