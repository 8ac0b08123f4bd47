"""The life of a server: all of it opens or nothing does, then signals decide."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack
from socket import socket

import attrs
import click
import trio
from prometheus_client.registry import CollectorRegistry

from sansice import Address
from sansice.sockets import TlsConfig
from sansice.stun import Listener, ListenerFailed, StunError, StunServerConfig
from sansice_cli._ended import EndedBySignalError
from sansice_trio import StunService, serve_stun

from ._logs import Log
from ._metrics import StunCollector, metrics_server
from ._systemd import notify, notify_reloading
from ._users import Users


@attrs.frozen(kw_only=True)
class Settings:
    """All that the command line says.

    Attributes:
        listeners: where to listen.
        config: of the server.
        users: who may ask.
        tls: what TLS and DTLS listeners present.
        metrics: where counters are served, if anywhere.
        inherited: sockets of the service manager's.
    """

    listeners: Sequence[Listener]
    config: StunServerConfig
    users: Users
    tls: TlsConfig | None
    metrics: Address | None
    inherited: Sequence[socket] = ()


def serve_until_signal(settings: Settings, log: Log) -> int:
    """Serve; 0 after SIGTERM, 1 when the last listener has died.

    Raises:
        click.ClickException: something could not be opened, read or used. Nothing is left open then.
        EndedBySignalError: SIGINT.
    """
    try:
        return trio.run(_Service(settings, log).run)
    except StunError as error:
        raise click.ClickException(error.reason) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None


class _Service:
    def __init__(self, settings: Settings, log: Log) -> None:
        self._settings = settings
        self._log = log
        self._is_interrupted = False
        self._exit_code = 0

    async def run(self) -> int:
        settings = self._settings
        if settings.tls is not None:
            settings.tls.reload()
        authentication = settings.users.authentication()
        # Before all else: a signal that comes while sockets are opened must not be lost, nor kill.
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals, ExitStack() as stack:
            registry = CollectorRegistry()
            metrics = self._open_metrics(registry, stack)
            async with serve_stun(
                settings.listeners,
                config=settings.config,
                authentication=authentication,
                tls=settings.tls,
                inherited=settings.inherited,
            ) as service:
                registry.register(StunCollector(service.stats))
                self._tell_ready(service, metrics)
                await self._watch(service, signals)
            self._tell_end(service)
        if self._is_interrupted:
            raise EndedBySignalError(signal.SIGINT)
        return self._exit_code

    def _open_metrics(self, registry: CollectorRegistry, stack: ExitStack) -> Address | None:
        address = self._settings.metrics
        if address is None:
            return None
        try:
            return stack.enter_context(metrics_server(address, registry))
        except OSError as error:
            raise ValueError(f"cannot serve metrics at {address}: {error.strerror or error}") from None

    def _tell_ready(self, service: StunService, metrics: Address | None) -> None:
        listening = [f"{transport.value}:{address}" for transport, address in service.listening]
        found: dict[str, object] = {"ready": True, "listening": listening}
        if metrics is not None:
            found["metrics"] = f"http://{metrics}/metrics"
        click.echo(json.dumps(found))
        self._log.info("ready", **found)
        notify("READY=1", f"STATUS=Listening at {', '.join(listening)}")

    def _tell_end(self, service: StunService) -> None:
        stats = service.stats
        self._log.info("ended", requests=stats.requests, responses=stats.responses, dropped=stats.dropped.total())

    async def _watch(self, service: StunService, signals: AsyncIterator[int]) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_listeners, service, nursery.cancel_scope)
            async for number in signals:
                if number == signal.SIGHUP:
                    self._reload(service)
                elif number == signal.SIGINT:
                    self._is_interrupted = True
                    nursery.cancel_scope.cancel()
                else:
                    self._log.info("draining")
                    notify("STOPPING=1")
                    nursery.start_soon(_drain, service, nursery.cancel_scope)

    async def _watch_listeners(self, service: StunService, scope: trio.CancelScope) -> None:
        async for event in service.events:
            if isinstance(event, ListenerFailed):
                self._log.error("listener failed", listener=str(event.listener), error=event.error.text or event.error.kind.value)
                if not service.listening:
                    self._exit_code = 1
                    scope.cancel()

    def _reload(self, service: StunService) -> None:
        """Read keys, certificates and users anew; what cannot be read or used leaves the old ones in place."""
        notify_reloading()
        settings = self._settings
        try:
            authentication = settings.users.authentication()
            if settings.tls is not None:
                settings.tls.reload()  # the last: it takes effect at once
        except ValueError as error:
            self._log.error("reload failed, the old keys and users stay", error=str(error))
        else:
            if authentication is not None:
                service.replace_authentication(authentication)
            self._log.info("reloaded")
        notify("READY=1")


async def _drain(service: StunService, scope: trio.CancelScope) -> None:
    await service.drain()
    scope.cancel()
