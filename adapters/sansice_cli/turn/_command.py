"""The command line of ``sansice turn``."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TextIO

import click

from sansice import Address, LocalProtocolError
from sansice.stun import HttpProxy, ServerUri
from sansice.turn import Family
from sansice_cli._options import (
    FiniteRange,
    proxy_option,
    read_by,
    relay_credentials_of,
    relay_user_options,
    tls_of,
    tls_options,
    transport_option,
    transports_of,
)
from sansice_cli._running import run

from ._trial import Trial

_FAMILIES: dict[str, Family] = {"ipv4": 4, "ipv6": 6}


def _turn_uri(text: str) -> ServerUri:
    uri = ServerUri.parse(text)
    if not uri.is_turn:
        raise ValueError(f"{text!r} is not a TURN server's: turn:HOST[:PORT], or turns:HOST[:PORT] for TLS")
    return uri


@click.command(short_help="Find out whether a TURN server relays, and how well.")
@click.argument("uri", callback=read_by(_turn_uri))
@relay_user_options
@proxy_option
@click.option("--peer", callback=read_by(Address.parse), help="Measure by ADDRESS:PORT, where something echoes UDP (RFC 862).")
@click.option("--echo", is_flag=True, help="Measure by a second allocation, which echoes. That is the default.")
@click.option("--allocate-only", is_flag=True, help="Send no data.")
@click.option(
    "--seconds",
    type=FiniteRange(0, 60),
    default=1.0,
    show_default=True,
    help="How long to send as much as possible; 0: not at all.",
)
@click.option("--family", type=click.Choice(list(_FAMILIES)), help="Of the relayed address. Default: what the server gives.")
@click.option("--timeout", type=FiniteRange(0.1, 600), default=10.0, show_default=True, help="Seconds to wait in each step.")
@transport_option
@tls_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
def turn(
    uri: ServerUri,
    user: str | None,
    password: str | None,
    password_file: TextIO | None,
    proxy: HttpProxy | None,
    peer: Address | None,
    echo: bool,
    allocate_only: bool,
    seconds: float,
    family: str | None,
    timeout: float,
    transport: tuple[str, ...],
    ca: str | None,
    server_name: str | None,
    as_json: bool,
) -> int:
    """Find out whether a TURN server relays, and how well.

    URI is turn:HOST[:PORT][?transport=tcp], or turns:HOST[:PORT] for TLS; names are resolved by RFC 5928. An address is
    allocated, a peer permitted and data sent through the relay and back: each step is told as it succeeds, and the first
    that does not with what may be done about it. The allocation is deleted in the end.

    Without --peer two allocations send to each other, so that data goes through the server twice each way. A server that
    does not relay to itself refuses that.

    Exit codes: 0 it relays; 1 it does not, and why; 2 usage; 130 interrupted.
    """
    if sum((peer is not None, echo, allocate_only)) > 1:
        raise click.UsageError("--peer, --echo and --allocate-only exclude each other")
    trial = Trial(
        uri=uri,
        credentials=relay_credentials_of(user, password, password_file),
        peer=peer,
        measure=not allocate_only,
        seconds=seconds,
        family=_FAMILIES.get(family or ""),
        transports=transports_of(transport),
        verify_name=server_name,
        proxy=proxy,
        timeout=timeout,
        tls=tls_of(ca),
    )
    stream = sys.stderr if as_json else sys.stdout

    def report(sentence: str) -> None:
        click.secho(sentence, fg="green", file=stream)

    try:
        outcome = run(partial(trial.run, report))
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from None
    if not outcome.ok:
        click.secho(outcome.failure(), fg="red", file=stream)
    if as_json:
        click.echo(json.dumps(outcome.to_json()))
    return 0 if outcome.ok else 1
