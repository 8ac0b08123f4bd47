"""The life of a server: all of it opens or nothing does, then signals and the control socket decide."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, TypeAlias

import attrs
import click
import trio
from rich.console import Console

from sansice_cli._ended import EndedBySignalError

from ._backend import Backend, ServingError
from ._control import control_socket
from ._http import Answer, Route, serve_http
from ._logs import Log
from ._metrics import metrics_answer
from ._settings import Settings
from ._systemd import notify, notify_reloading, watchdog_interval
from ._table import LiveTable
from ._users import Material
from ._values import changed_limits

MAX_DRAIN = 1e9  # seconds: decades, and a number that every clock can add
READING_TIMEOUT = 10.0
"""Seconds for the files of a reload: a pipe that nobody writes to, or a network file system that is gone, has no end, and
allocations are served meanwhile."""
REDRAW = 1.0  # seconds between two pictures of the table

Open: TypeAlias = Callable[[Settings, Material], AbstractAsyncContextManager[Backend]]


class Service:
    """Runs a backend.

    Args:
        settings: what was asked for.
        reread: reads the command line and its file again.
        log: where to tell what happens.
        console: of the terminal, if a table is to be drawn.
    """

    def __init__(self, settings: Settings, reread: Callable[[], Settings], log: Log, console: Console | None) -> None:
        self._settings = settings
        self._reread = reread
        self._log = log
        self._console = console
        self._limits = settings.limits
        self._is_interrupted = False
        self._is_draining = False
        self._exit_code = 0

    async def run(self, open_backend: Open) -> int:
        """Serve; 0 after SIGTERM, 1 when nothing is left to serve with.

        Raises:
            ServingError: something cannot be opened, read or used. Nothing is left open then.
            ValueError: the same, of a file.
            BrokenPipeError: nobody reads the first line.
            EndedBySignalError: SIGINT.
        """
        settings = self._settings
        material = settings.users.read()
        failures: list[Exception] = []  # kept out of the nurseries below, which would make groups of them
        # Before all else: a signal that comes while sockets are opened must not be lost, nor kill.
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async with AsyncExitStack() as stack:
                self._backend = await stack.enter_async_context(open_backend(settings, material))
                try:
                    await self._open_front(stack)
                except (ServingError, BrokenPipeError) as error:
                    failures.append(error)
                else:
                    await self._live(signals)
                    self._tell_end(await self._backend.snapshot())
        if failures:
            raise failures[0]
        if self._is_interrupted:
            raise EndedBySignalError(signal.SIGINT)
        return self._exit_code

    # ------------------------------------------------------------- opening

    async def _open_front(self, stack: AsyncExitStack) -> None:
        places = await self._open_http(stack)
        await self._open_control(stack)
        self._tell_ready({"ready": True, "listening": list(self._backend.listening), **places})

    async def _open_http(self, stack: AsyncExitStack) -> dict[str, object]:
        settings = self._settings
        routes: dict[Any, dict[str, Route]] = {}
        for address, path, route in ((settings.metrics, "/metrics", self._metrics), (settings.health, "/health", self._health)):
            if address is not None:
                # Two ports that any number will do for are two; a port that is named twice is one.
                place = (address, path) if not address.port else (address, "")
                routes.setdefault(place, {})[path] = route
        found: dict[str, object] = {}
        for (address, _), served in routes.items():
            try:
                local = await stack.enter_async_context(serve_http(address, served))
            except OSError as error:
                what = " and ".join(path.removeprefix("/") for path in served)
                raise ServingError(f"cannot serve {what} at {address}: {_words(error)}") from None
            found |= {path.removeprefix("/"): f"http://{local}{path}" for path in served}
        return found

    async def _open_control(self, stack: AsyncExitStack) -> None:
        path = self._settings.control_socket
        if path is None:
            return
        handlers = {"list": self._list, "kill": self._kill, "drain": self._ask_drain, "limits": self._set_limits}
        try:
            await stack.enter_async_context(control_socket(path, handlers))
        except OSError as error:
            raise ServingError(f"--control-socket {path}: {_words(error)}") from None

    def _tell_ready(self, ready: Mapping[str, Any]) -> None:
        click.echo(json.dumps(ready))
        sys.stdout.flush()
        self._log.info(**{"message": "ready", **ready})
        notify("READY=1", f"STATUS=Listening at {', '.join(ready['listening'])}")

    def _tell_end(self, snapshot: Mapping[str, Any]) -> None:
        stun = snapshot["stun"]
        facts = {"requests": stun["requests"], "responses": stun["responses"], "dropped": sum(stun["dropped"].values())}
        if "turn" in snapshot:
            facts["allocations"] = snapshot["turn"]["opened"]
        self._log.info("ended", **facts)

    # ------------------------------------------------------------- living

    async def _live(self, signals: AsyncIterator[int]) -> None:
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._wait_failed)
            if (interval := watchdog_interval()) is not None:
                nursery.start_soon(_feed_watchdog, interval)
            if self._console is not None:
                nursery.start_soon(self._draw, LiveTable(self._backend.listening, self._console))
            async for number in signals:
                if number == signal.SIGHUP:
                    await self._reload()
                elif number == signal.SIGINT:
                    self._is_interrupted = True
                    nursery.cancel_scope.cancel()
                elif self._is_draining:
                    self._log.warning("told to end a second time: not waiting any longer")
                    nursery.cancel_scope.cancel()
                else:
                    self._drain(self._settings.drain_timeout)

    async def _wait_failed(self) -> None:
        reason = await self._backend.wait_failed()
        self._log.error("nothing is left to serve with", error=reason)
        self._exit_code = 1
        self._nursery.cancel_scope.cancel()

    async def _draw(self, table: LiveTable) -> None:
        with table.live:
            while True:
                table.draw(await self._backend.snapshot(), await self._backend.allocations())
                await trio.sleep(REDRAW)

    def _drain(self, seconds: float) -> None:
        if self._is_draining:
            return
        self._is_draining = True
        self._log.info("draining", seconds=seconds)
        notify("STOPPING=1")
        self._nursery.start_soon(self._drain_and_end, seconds)

    async def _drain_and_end(self, seconds: float) -> None:
        await self._backend.drain(seconds)
        self._nursery.cancel_scope.cancel()

    async def _reload(self) -> None:
        """Read everything anew that may change; what cannot be read or used leaves the old in place."""
        notify_reloading()
        try:
            with trio.fail_after(READING_TIMEOUT):
                settings, material = await trio.to_thread.run_sync(self._read_anew, abandon_on_cancel=True)
            await self._backend.reload(material, settings.limits)
        except (ServingError, ValueError, click.UsageError, trio.TooSlowError) as error:
            reason = error.message if isinstance(error, click.UsageError) else str(error) or "a file takes too long to read"
            self._log.error("reload failed, the old keys and users stay", error=reason)
        else:
            self._limits = settings.limits
            if ignored := _changed(self._settings, settings):
                self._log.warning("these need a restart", changed=ignored)
            self._log.info("reloaded")
        notify("READY=1")

    def _read_anew(self) -> tuple[Settings, Material]:
        settings = self._reread()
        return settings, settings.users.read()

    # ------------------------------------------------------------- what is asked over HTTP

    async def _metrics(self) -> Answer:
        return metrics_answer(await self._backend.snapshot())

    async def _health(self) -> Answer:
        await trio.lowlevel.checkpoint()
        trouble = "draining" if self._is_draining else self._backend.trouble
        said = {"status": "unavailable", "reason": trouble} if trouble else {"status": "ok"}
        return Answer(503 if trouble else 200, "application/json", json.dumps(said).encode() + b"\n")

    # ------------------------------------------------------------- what is asked at the control socket

    async def _list(self, request: Mapping[str, Any]) -> dict[str, object]:
        return {"allocations": await self._backend.allocations()}

    async def _kill(self, request: Mapping[str, Any]) -> dict[str, object]:
        ids = [str(one) for one in request["ids"]]
        found = {id: await self._backend.kill(id) for id in ids}
        self._log.info("allocations killed", ids=[id for id in ids if found[id]])
        return {"killed": [id for id in found if found[id]], "unknown": [id for id in found if not found[id]]}

    async def _ask_drain(self, request: Mapping[str, Any]) -> dict[str, object]:
        await trio.lowlevel.checkpoint()
        asked = request.get("seconds")
        seconds = self._settings.drain_timeout if asked is None else float(asked)
        if not 0 <= seconds <= MAX_DRAIN:
            raise ValueError(f"seconds: {seconds} is not a number from 0 to {MAX_DRAIN:g}")
        self._drain(seconds)
        return {"draining": True}

    async def _set_limits(self, request: Mapping[str, Any]) -> dict[str, object]:
        changes = [str(one) for one in request["changes"]]
        if changes:
            limits = changed_limits(self._limits, changes)
            await self._backend.set_limits(limits)
            self._limits = limits
            self._log.info("limits changed", changes=changes)
        return {"limits": {name.replace("_", "-"): value for name, value in attrs.asdict(self._limits).items()}}


async def _feed_watchdog(interval: float) -> None:
    while True:
        notify("WATCHDOG=1")
        await trio.sleep(interval)


# What a reload changes; everything else of the settings is fixed while a server lives.
_RELOADED = frozenset({"limits", "users"})


def _changed(before: Settings, now: Settings) -> list[str]:
    """What is said otherwise now, and does not count before a restart."""
    names = [field.name for field in attrs.fields(Settings) if field.name not in _RELOADED]
    found = [name.replace("_", "-") for name in names if getattr(before, name) != getattr(now, name)]
    asked = [f"auth-{name}" for name in ("url", "command") if getattr(before.users, name) != getattr(now.users, name)]
    return found + asked


def _words(error: OSError) -> str:
    return error.strerror or str(error)
