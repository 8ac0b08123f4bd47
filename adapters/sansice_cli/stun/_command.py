"""The command line of ``sansice stun``."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import TextIO

import click

from sansice.stun import ServerUri
from sansice_cli._options import (
    FiniteRange,
    credentials_of,
    password_options,
    read_by,
    tls_of,
    tls_options,
    transport_option,
    transports_of,
)
from sansice_cli._running import run

from ._lookups import Question, Result, ask_all


@click.command(short_help="Ask STUN servers for this machine's outer address.")
@click.argument("uris", metavar="URI...", nargs=-1, required=True, callback=read_by(ServerUri.parse))
@click.option("--timeout", type=FiniteRange(0.1, 600), default=5.0, show_default=True, help="Seconds to wait for a server.")
@transport_option
@click.option("--user", help="User name, for servers that want one (long-term, unless --short-term).")
@password_options
@click.option("--short-term", is_flag=True, help="The user name and password are short-term credentials (RFC 8489 9.1).")
@tls_options
@click.option("--any", "first_is_enough", is_flag=True, help="One address is enough: stop at the first, whatever the others do.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
def stun(
    uris: tuple[ServerUri, ...],
    timeout: float,
    transport: tuple[str, ...],
    user: str | None,
    password: str | None,
    password_file: TextIO | None,
    short_term: bool,
    ca: str | None,
    server_name: str | None,
    first_is_enough: bool,
    as_json: bool,
) -> int:
    """Ask STUN servers for the address under which they see this machine.

    All servers are asked at once, and each is reported as soon as it answers or has failed. A URI is stun:HOST[:PORT],
    or stuns:HOST[:PORT] for TLS; names are resolved with their SRV records. turn: and turns: URIs work as well.

    The time is that of one round trip; there is none where a request had to be repeated, because nobody knows which
    one was answered.

    Exit codes: 0 every server gave an address (with --any: one of them did); 1 not so, and why; 2 usage; 130 interrupted.
    """
    question = Question(
        timeout=timeout,
        transports=transports_of(transport),
        credentials=credentials_of(user, password, password_file, short_term=short_term),
        verify_name=server_name,
        tls=tls_of(ca),
    )

    def report(result: Result) -> None:
        click.secho(result.sentence(), fg="green" if result.answer else "red", file=sys.stderr if as_json else sys.stdout)

    results = run(partial(ask_all, uris, question, report, first_is_enough=first_is_enough))
    if as_json:
        click.echo(json.dumps({"results": [result.to_json() for result in results]}))
    enough = any if first_is_enough else all
    return 0 if enough(result.answer is not None for result in results) else 1
