"""The options of ``sansice serve``; a configuration file has the same names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from sansice import Address
from sansice.stun import StunServerConfig
from sansice.turn import TurnServerConfig
from sansice_cli._options import FiniteRange

from ._logs import FORMATS
from ._values import Parsed, byte_rate, external_address, host, port_range

F = TypeVar("F", bound=Callable[..., Any])

COMMANDS = ("list", "kill", "drain", "limits")
MAX_WORKERS = 64  # ours: a process each, and none of them without a processor

_STUN = StunServerConfig()
_ADDRESS = Parsed("address:port", Address.parse)
_HOST = Parsed("address", host)
_RATE = Parsed("bytes/s", byte_rate)
_FILE = click.Path()

_LISTENING = (
    click.option("--stun-only", is_flag=True, help="Serve STUN and nothing else: nobody has to be named then."),
    click.option(
        "--listen",
        multiple=True,
        metavar="[TRANSPORT:]ADDRESS:PORT",
        help="Where to listen, over udp, tcp, tls or dtls; without a transport UDP and TCP. Port 0 is any port. Repeatable. "
        "By default every address of this machine but loopback, at port 3478.",
    ),
    click.option("--tls-cert", type=_FILE, help="PEM file with the certificate chain, for tls: and dtls: listeners."),
    click.option("--tls-key", type=_FILE, help="PEM file with its private key, where it is not in the same file."),
    click.option(
        "--proxy-protocol",
        multiple=True,
        metavar="NETWORK",
        help="Connections from this network begin with a PROXY header (version 1 or 2), which says whose they are. Repeatable.",
    ),
    click.option("--reuse-port", is_flag=True, help="Share the ports with other processes of this command."),
    click.option("--workers", type=click.IntRange(1, MAX_WORKERS), default=1, show_default=True, help="Processes, a core each."),
    click.option(
        "--rfc5780",
        multiple=True,
        metavar="ADDRESS:PORT",
        type=_ADDRESS,
        help="With --stun-only: let clients discover their NAT's behaviour: the second address and the second port, which the "
        "UDP listener of the same family is completed with. Once for IPv4, once for IPv6.",
    ),
)

_USERS = (
    click.option(
        "--realm",
        multiple=True,
        metavar="[LISTENER=]NAME",
        help="Realm of the users, usually your domain; or of one listener, written as in --listen. Repeatable. Default: sansice.",
    ),
    click.option("--user", multiple=True, metavar="NAME:PASSWORD", help="A user; others on this machine may see it. Repeatable."),
    click.option(
        "--users",
        "--users-file",
        "users",
        multiple=True,
        metavar="FILE",
        type=_FILE,
        help="Users, one a line: NAME:PASSWORD or NAME:REALM:MD5[:SHA256]. Repeatable.",
    ),
    click.option(
        "--secret",
        multiple=True,
        metavar="FILE",
        type=_FILE,
        help='Files with secrets, one a line, that issue users whose time is limited (the "REST" scheme; see sansice '
        "credentials). Repeatable.",
    ),
    click.option("--auth-url", metavar="URL", help="Look users up with a POST there, as docs/howto/serve.md has it."),
    click.option("--auth-command", metavar="COMMAND", help="Look users up by running this, without a shell."),
    click.option(
        "--auth-cache", type=FiniteRange(0), default=60.0, show_default=True, help="Seconds for which a look-up is good."
    ),
    click.option(
        "--anonymous", is_flag=True, help="Ask nobody for credentials: whoever reaches the server may relay through it."
    ),
    click.option(
        "--nonce-key", metavar="FILE", type=_FILE, help="Secret that several hosts share, so that each takes nonces of all."
    ),
)

_RELAY = (
    click.option(
        "--relay-address",
        multiple=True,
        metavar="ADDRESS",
        type=_HOST,
        help="Local address of relayed addresses; by default each that is listened at. Repeatable.",
    ),
    click.option(
        "--external-address",
        multiple=True,
        metavar="[PRIVATE=]PUBLIC",
        type=Parsed("[private=]public", external_address),
        help="What clients are told instead of a local address behind a NAT that maps one to one. Repeatable.",
    ),
    click.option(
        "--relay-ports",
        metavar="FIRST-LAST",
        type=Parsed("ports", port_range),
        help="Ports of relayed addresses. Default: 49152-65535.",
    ),
    click.option(
        "--few-ports",
        type=click.IntRange(1, 4096),
        metavar="NUMBER",
        help="For containers, where each port has to be published: so many relayed ports from 50000 on, and no more allocations.",
    ),
    click.option(
        "--allow-peer",
        multiple=True,
        metavar="NETWORK",
        help="Peers that may be reached although they are in a special block (private, loopback, ...). Repeatable.",
    ),
    click.option("--deny-peer", multiple=True, metavar="NETWORK", help="Peers that may not be reached. Repeatable."),
    click.option("--tcp-relay", is_flag=True, help="Peers may be reached over TCP (RFC 6062)."),
    click.option("--mobility", is_flag=True, help="Clients keep their allocation when their address changes (RFC 8016)."),
    click.option(
        "--wide-channels",
        is_flag=True,
        help="Take channel numbers up to 0x7FFF, as clients of RFC 5766 choose them; coturn's tools do.",
    ),
    click.option(
        "--alternate",
        multiple=True,
        metavar="ADDRESS:PORT",
        type=_ADDRESS,
        help="Where new clients are sent while this server drains: one address a family.",
    ),
)

_BOUNDS = (
    click.option(
        "--max-lifetime",
        type=click.IntRange(TurnServerConfig().default_lifetime, 0xFFFFFFFF),  # RFC 8656 7.2: the default is granted in any case
        metavar="SECONDS",
        help="How long an allocation may live from one refresh to the next. Default: 3600.",
    ),
    click.option("--quota", type=click.IntRange(1), metavar="NUMBER", help="Allocations of a user at once."),
    click.option("--total-quota", type=click.IntRange(1), metavar="NUMBER", help="Allocations of all users at once."),
    click.option(
        "--max-bps", type=_RATE, metavar="BYTES", help="Bytes a second that are relayed for a user, as in 250k or 1.5M."
    ),
    click.option("--total-bps", type=_RATE, metavar="BYTES", help="Bytes a second that are relayed for all users together."),
    click.option(
        "--limit", multiple=True, metavar="NAME=VALUE", help="Any other limit; --control limits lists them. Repeatable."
    ),
    click.option(
        "--rate",
        type=FiniteRange(min=0),
        default=_STUN.rate,
        show_default=True,
        help="Requests a second that a source network (/24, /56) gets answered without an allocation; 0 for any number.",
    ),
    click.option("--burst", type=click.IntRange(1), default=_STUN.burst, show_default=True, help="How many may come at once."),
    click.option("--max-connections", type=click.IntRange(1), help="Streams of clients at once."),
    click.option("--software", help="Tell clients this name; by default they learn none."),
    click.option("--no-classic", is_flag=True, help="Do not answer clients of RFC 3489."),
)

_OPERATION = (
    click.option(
        "--config",
        type=click.Path(dir_okay=False),
        help="TOML file with these options, by the same names without dashes in front. What the command line says counts more.",
    ),
    click.option("--metrics", metavar="ADDRESS:PORT", type=_ADDRESS, help="Serve counters for Prometheus here, over HTTP."),
    click.option(
        "--health", metavar="ADDRESS:PORT", type=_ADDRESS, help="Say over HTTP whether the server takes new clients: 200 or 503."
    ),
    click.option(
        "--control-socket",
        metavar="PATH",
        type=_FILE,
        help="Where --control is answered, and asks. Under systemd by default in RUNTIME_DIRECTORY.",
    ),
    click.option(
        "--drain-timeout",
        "--drain-grace",
        "drain_timeout",
        type=FiniteRange(0.1),
        help="Seconds after SIGTERM in which allocations may end by themselves. Default: 60, with --stun-only 5.",
    ),
    click.option(
        "--log-format",
        type=click.Choice(FORMATS),
        default="auto",
        show_default=True,
        help="On stderr: lines of text or JSON, or a table; auto is a table on a terminal and JSON elsewhere.",
    ),
)

_INSTEAD = (
    click.option("--check", is_flag=True, help="Do not serve: say what would be open to whom, and what is risky about it."),
    click.option(
        "--control",
        type=click.Choice(COMMANDS),
        help="Do not serve: ask the server that runs. list its allocations; kill ID...; drain [SECONDS]; limits [NAME=VALUE...].",
    ),
    click.option("--json", "as_json", is_flag=True, help="With --check or --control: one JSON object on the last line."),
    click.argument("words", nargs=-1, metavar="[WORDS OF --control]"),
)

NOT_IN_FILES = frozenset({"config", "check", "control", "as_json", "words", "help"})
"""What a configuration file has no key for."""


def serve_options(command: F) -> F:
    """Add all of them, in the order of the help."""
    for option in reversed((*_LISTENING, *_USERS, *_RELAY, *_BOUNDS, *_OPERATION, *_INSTEAD)):
        command = option(command)
    return command
