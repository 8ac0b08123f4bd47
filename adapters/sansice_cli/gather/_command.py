"""The command line of ``sansice gather``."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TextIO

import click

from sansice import LocalProtocolError
from sansice.ice import IceServer
from sansice.stun import HttpProxy, LongTermCredentials, ServerUri
from sansice_cli._options import FiniteRange, proxy_option, read_by, relay_credentials_of, relay_user_options, tls_of
from sansice_cli._running import run

from ._gathering import Wish, gather_again, gather_once
from ._presenter import presenter
from ._round import Round

_FAMILIES = {"ipv4": (4,), "ipv6": (6,)}


@click.command(short_help="Gather ICE candidates, and see what each server has to say.")
@click.option(
    "--server", "servers", metavar="URI", multiple=True, callback=read_by(ServerUri.parse), help="STUN or TURN; repeat it."
)
@relay_user_options
@proxy_option
@click.option("--interface", "names", metavar="NAME", multiple=True, help="Use the addresses of this interface only; repeat it.")
@click.option("--family", type=click.Choice(list(_FAMILIES)), help="Use addresses of this family only.")
@click.option("--loopback", is_flag=True, help="Use loopback addresses too. They are used anyway where there are no others.")
@click.option("--timeout", type=FiniteRange(0.1, 600), default=5.0, show_default=True, help="Seconds to wait for silent servers.")
@click.option(
    "--ca", type=click.Path(exists=True, dir_okay=False), help="PEM file of the authorities to trust, for turns: servers."
)
@click.option("--watch", is_flag=True, help="Gather again whenever the addresses of this machine change, until Ctrl-C.")
@click.option("--every", type=FiniteRange(1, 86400), help="With --watch: gather again after so many seconds too.")
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print one JSON object on stdout, with --watch one each time; the rest goes to stderr.",
)
def gather(
    servers: tuple[ServerUri, ...],
    user: str | None,
    password: str | None,
    password_file: TextIO | None,
    proxy: HttpProxy | None,
    names: tuple[str, ...],
    family: str | None,
    loopback: bool,
    timeout: float,
    ca: str | None,
    watch: bool,
    every: float | None,
    as_json: bool,
) -> int:
    """Gather the addresses under which this machine might be reached, as an ICE agent does, and show each when it is found.

    A URI is stun:HOST[:PORT], or turn:HOST[:PORT][?transport=tcp], or turns: for TLS. Without servers there are host
    candidates alone. All servers are asked at once, from each address of this machine.

    Candidates are of type host (an address of this machine), srflx (what a server sees beyond the NATs) or relay (an address at
    which a server relays). Their priority is written as its three parts: of the type, of the address, and the component.

    --watch ends with Ctrl-C.

    Exit codes: 0 there are candidates, and every server answered; 1 not so, and why; 2 usage; 130 interrupted.
    """
    if every is not None and not watch:
        raise click.UsageError("--every goes with --watch")
    wish = Wish(
        servers=_servers(servers, relay_credentials_of(user, password, password_file)),
        timeout=timeout,
        proxy=proxy,
        include_loopback=loopback or None,
        families=_FAMILIES.get(family or "", (4, 6)),
        names=names,
        tls=tls_of(ca),
    )
    stream = sys.stderr if as_json else sys.stdout

    def done(round: Round) -> None:
        if as_json:
            click.echo(json.dumps(round.to_json()))

    try:
        if watch:
            say = partial(click.echo, file=stream)
            run(partial(gather_again, wish, every or float("inf"), partial(presenter, stream), say, done))
        result = run(partial(gather_once, wish, wish.addresses(), presenter(stream)))
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from None
    done(result)
    return 0 if result.worked else 1


def _servers(uris: tuple[ServerUri, ...], credentials: LongTermCredentials | None) -> list[IceServer]:
    """The servers; those that relay are told who asks."""
    if credentials is None:
        return [IceServer(str(uri)) for uri in uris]
    known = credentials.username, credentials.password
    return [IceServer(str(uri), *(known if uri.is_turn else ())) for uri in uris]
