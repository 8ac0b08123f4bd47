"""The command line of ``sansice serve``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from socket import socket
from typing import Any

import click
import trio
from click.core import ParameterSource
from rich.console import Console

from sansice import LocalProtocolError

from ._ask_control import ask_control
from ._backend import Backend, ServingError
from ._check import check
from ._config_file import read_config
from ._logs import Log, decided_format
from ._options import serve_options
from ._resources import raise_descriptor_limit
from ._service import Service
from ._settings import Settings, read_settings
from ._systemd import inherited_sockets, listener_of
from ._users import Material


@click.command()
@serve_options
@click.pass_context
def serve(ctx: click.Context, /, **options: Any) -> int:
    """Run a TURN server, which answers STUN as well.

    It relays for the users that are named (--user, --users, --secret, --auth-url, --auth-command) and for nobody else, and to
    peers in the public Internet and nowhere else, as long as --allow-peer does not say more. --check tells what that comes to.
    With --stun-only it relays nothing, and asks for credentials only where users are named.

    When it is ready, the first line of stdout is {"ready": true, "listening": ["udp:192.0.2.1:3478", ...]} with the real ports.
    Either everything that was asked for opens, or the command ends with 1 and says what did not. What happens afterwards is
    told on stderr.

    SIGTERM drains: nobody new is taken, and it ends with 0 when the last allocation does, or after --drain-timeout seconds, or
    at a second SIGTERM. SIGHUP reads the configuration file, users, secrets, certificates and limits anew; no allocation is
    lost, and where something cannot be used all of the old stays. Under systemd, use Type=notify-reload. Sockets of a .socket
    unit are served without --listen; one whose FileDescriptorName begins with tls or dtls is encrypted.

    Exit codes: 0 ended by SIGTERM; 1 something could not be opened, read or used, or the last listener died; 2 usage;
    130 interrupted.
    """
    given = _given(ctx, options)
    if given["control"] is not None:
        path = given["control_socket"]
        runtime = _runtime_directory()
        return ask_control(given["control"], given["words"], path or (runtime and f"{runtime}/control"), given["as_json"])
    if given["words"]:
        raise click.UsageError(f"what is {given['words'][0]!r}? Only --control takes words")
    try:
        inherited = inherited_sockets(os.environ)
        listeners = [listener_of(sock, name) for sock, name in inherited]
        settings = read_settings(given, listeners, _runtime_directory())
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if given["check"]:
        return check(settings, as_json=given["as_json"])

    def reread() -> Settings:
        return read_settings(_given(ctx, options), listeners, _runtime_directory())

    return _serve(settings, reread, [sock for sock, _ in inherited])


def _serve(settings: Settings, reread: Callable[[], Settings], inherited: list[socket]) -> int:
    raise_descriptor_limit()
    form = decided_format(settings.log_format, sys.stderr)
    console = Console(stderr=True) if form == "table" else None
    log = Log(form)

    def open_backend(settings: Settings, material: Material) -> AbstractAsyncContextManager[Backend]:
        if settings.workers > 1:
            from ._supervisor import open_workers

            return open_workers(settings, material, log, form, inherited=inherited)
        from ._local import open_local

        return open_local(settings, material, log, inherited=inherited)

    try:
        return trio.run(Service(settings, reread, log, console).run, open_backend)
    except (ServingError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    except LocalProtocolError as error:
        raise click.UsageError(str(error).removeprefix("start(): ")) from None


def _given(ctx: click.Context, options: dict[str, Any]) -> dict[str, Any]:
    """What the command line says; where it says nothing, the file; where that says nothing either, the default."""
    if options["config"] is None:
        return options
    try:
        filed = read_config(options["config"], ctx.command, ctx)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    said = {name for name in filed if ctx.get_parameter_source(name) is not ParameterSource.DEFAULT}
    return options | {name: value for name, value in filed.items() if name not in said}


def _runtime_directory() -> str | None:
    """What systemd made for this service (RuntimeDirectory=); the first where there are several."""
    return os.environ.get("RUNTIME_DIRECTORY", "").partition(":")[0] or None
