"""The command line of ``sansice nat``."""

from __future__ import annotations

import json
import sys
from functools import partial

import click

from sansice import LocalProtocolError
from sansice.stun import (
    DEFAULT_BEHAVIOR_TESTS,
    MAPPING_LIFETIME_LIMIT,
    BehaviorTest,
    NatBehavior,
    ServerUri,
    StunError,
)
from sansice_cli._options import FiniteRange, read_by
from sansice_cli._running import run
from sansice_trio import discover_nat

from ._progress import presenter
from ._words import TESTS, summary

_FAMILIES = {"ipv4": (4,), "ipv6": (6,)}


@click.command(short_help="Find out what kind of NAT is in the way.")
@click.argument("uri", callback=read_by(ServerUri.parse))
@click.option(
    "--test", "tests", multiple=True, type=click.Choice(TESTS), help="What to test; repeat it. Default: all but lifetime."
)
@click.option("--lifetime", is_flag=True, help="Also find out how long a silent mapping lives. It takes many minutes.")
@click.option(
    "--lifetime-limit",
    type=FiniteRange(1, 86400),
    default=MAPPING_LIFETIME_LIMIT,
    show_default=True,
    help="The longest silence to try, in seconds.",
)
@click.option("--family", type=click.Choice(list(_FAMILIES)), help="Ask over this family only.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest goes to stderr.")
def nat(uri: ServerUri, tests: tuple[str, ...], lifetime: bool, lifetime_limit: float, family: str | None, as_json: bool) -> int:
    """Find out what kind of NAT or firewall is in the way, and what that means for calls.

    URI is stun:HOST[:PORT] of a server with two addresses (RFC 5780), like one run by sansice serve --rfc5780. A server
    with one address can still tell the mapped address. It takes about 20 seconds, because silence has to be waited for.

    The drawing shows what is mapped to what; the words are those of RFC 4787. What is found is true now and for this
    port: a NAT under load may behave worse.

    Exit codes: 0 something was found out; 1 nothing came back, or no test could be run, and why; 2 usage; 130 interrupted.
    """
    chosen = [BehaviorTest(word) for word in tests] or [*DEFAULT_BEHAVIOR_TESTS]
    if lifetime and BehaviorTest.LIFETIME not in chosen:
        chosen.append(BehaviorTest.LIFETIME)
    stream = sys.stderr if as_json else sys.stdout
    try:
        with presenter(stream) as shown:
            discover = partial(
                discover_nat,
                uri,
                progress=shown.show,
                tests=chosen,
                lifetime_limit=lifetime_limit,
                families=_FAMILIES.get(family or "", (4, 6)),
            )
            behavior = run(discover)
    except LocalProtocolError as error:
        raise click.UsageError(str(error)) from None
    except StunError as error:
        if as_json:
            nothing = dict.fromkeys(("mapping", "filtering", "hairpinning", "lifetime_s", "verdict"))
            click.echo(json.dumps(nothing | {"error": error.reason}))
        raise click.ClickException(f"{uri}: {error.reason}") from None
    for line in summary(behavior):
        click.echo(line, file=stream)
    if as_json:
        click.echo(behavior.to_json())
    return 0 if _is_worth_something(behavior, chosen) else 1


def _is_worth_something(behavior: NatBehavior, chosen: list[BehaviorTest]) -> bool:
    return not behavior.blocked and len(behavior.unavailable) < len(chosen)
