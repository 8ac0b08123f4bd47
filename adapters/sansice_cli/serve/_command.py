"""The command line of ``sansice serve``."""

from __future__ import annotations

import os
from collections.abc import Iterable

import click

from sansice import Address, LocalProtocolError, Transport
from sansice.sockets import TlsConfig
from sansice.stun import Listener, StunServerConfig, parse_listeners
from sansice_cli._options import FiniteRange, read_by

from ._logs import FORMATS, Log
from ._service import Settings, serve_until_signal
from ._systemd import inherited_sockets, listener_of
from ._users import Users

_DEFAULT = StunServerConfig()
_AT = read_by(Address.parse)


@click.command()
@click.option("--stun-only", is_flag=True, help="Serve STUN and nothing else. Needed today: TURN is not built yet.")
@click.option(
    "--listen",
    multiple=True,
    metavar="[TRANSPORT:]ADDRESS:PORT",
    help="Where to listen, over udp, tcp, tls or dtls; without a transport UDP and TCP. Port 0 is any port. Repeatable.",
)
@click.option(
    "--rfc5780",
    multiple=True,
    metavar="ADDRESS:PORT",
    callback=_AT,
    help="Let clients discover their NAT's behaviour: the second address and the second port, which the UDP listener of the "
    "same family is completed with. Once for IPv4, once for IPv6.",
)
@click.option("--tls-cert", type=click.Path(), help="PEM file with the certificate chain, for tls: and dtls: listeners.")
@click.option("--tls-key", type=click.Path(), help="PEM file with its private key, where it is not in the same file.")
@click.option("--user", multiple=True, metavar="NAME:PASSWORD", help="A user; others on this machine may see it. Repeatable.")
@click.option("--users-file", type=click.Path(), help="Users, one a line: NAME:PASSWORD or NAME:REALM:MD5[:SHA256].")
@click.option(
    "--secret",
    "secret_files",
    multiple=True,
    type=click.Path(),
    help='Files with secrets, one a line, that issue users whose time is limited (the "REST" scheme). Repeatable.',
)
@click.option("--realm", default="sansice", show_default=True, help="Realm of the users; usually your domain.")
@click.option(
    "--rate",
    type=FiniteRange(min=0),
    default=_DEFAULT.rate,
    show_default=True,
    help="Requests a second that a source network (/24, /56) gets answered; 0 for any number.",
)
@click.option("--burst", type=click.IntRange(1), default=_DEFAULT.burst, show_default=True, help="How many may come at once.")
@click.option("--max-connections", type=click.IntRange(1), default=_DEFAULT.max_connections, show_default=True, help="Streams.")
@click.option("--software", help="Tell clients this name; by default they learn none.")
@click.option("--no-classic", is_flag=True, help="Do not answer clients of RFC 3489.")
@click.option("--reuse-port", is_flag=True, help="Share the ports with other processes of this command, a core each.")
@click.option("--drain-grace", type=FiniteRange(0.1), default=_DEFAULT.drain_grace, show_default=True, help="Seconds.")
@click.option("--metrics", metavar="ADDRESS:PORT", callback=_AT, help="Serve counters for Prometheus here, over HTTP.")
@click.option("--log-format", type=click.Choice(FORMATS), default="text", show_default=True, help="Of the lines on stderr.")
def serve(
    stun_only: bool,
    listen: tuple[str, ...],
    rfc5780: tuple[Address, ...],
    tls_cert: str | None,
    tls_key: str | None,
    user: tuple[str, ...],
    users_file: str | None,
    secret_files: tuple[str, ...],
    realm: str,
    rate: float,
    burst: int,
    max_connections: int,
    software: str | None,
    no_classic: bool,
    reuse_port: bool,
    drain_grace: float,
    metrics: Address | None,
    log_format: str,
) -> int:
    """Run a STUN server.

    When it is ready, the first line of stdout is {"ready": true, "listening": ["udp:127.0.0.1:3478", ...]} with the real
    ports. Either everything that was asked for opens, or the command ends with 1 and says what did not. What happens
    afterwards is told on stderr.

    Anybody may ask, which is how public STUN servers are run. Where users are named (--user, --users-file, --secret),
    only they may: every request then needs long-term credentials.

    SIGTERM drains: what is owed is answered, for --drain-grace seconds at most, then it ends with 0. SIGHUP reads
    certificate, key, users and secrets anew; a file that cannot be used leaves all of the old ones in place, and is logged.
    Under systemd, use Type=notify-reload. Sockets of a .socket unit are served without --listen; one whose
    FileDescriptorName begins with tls or dtls is encrypted.

    Exit codes: 0 ended by SIGTERM; 1 something could not be opened, read or used, or the last listener died; 2 usage;
    130 interrupted.
    """
    if not stun_only:
        raise click.UsageError("only STUN is built yet, and TURN comes later: say --stun-only")
    try:
        config = StunServerConfig(
            software=software,
            rate=rate or None,
            burst=burst,
            max_connections=max_connections,
            classic=not no_classic,
            behavior=bool(rfc5780),
            drain_grace=drain_grace,
        )
        inherited = inherited_sockets(os.environ)
        listeners = [*parse_listeners(listen), *(listener_of(sock, name) for sock, name in inherited)]
        listeners = _shared(_completed(listeners, rfc5780), reuse_port)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    settings = Settings(
        listeners=listeners,
        config=config,
        users=Users(_users(user), users_file, secret_files, realm),
        tls=_tls(listeners, tls_cert, tls_key),
        metrics=metrics,
        inherited=[sock for sock, _ in inherited],
    )
    if not listeners:
        raise click.UsageError("nowhere to listen: say --listen ADDRESS:PORT")
    try:
        return serve_until_signal(settings, Log(log_format))
    except LocalProtocolError as error:
        raise click.UsageError(str(error).removeprefix("start(): ")) from None


def _completed(listeners: list[Listener], others: Iterable[Address]) -> list[Listener]:
    """With the three listeners more that RFC 5780 needs for each family.

    Raises:
        ValueError: there is not exactly one UDP listener to complete.
    """
    done: set[bool] = set()
    for other in others:
        if other.is_ipv6 in done:
            raise ValueError(f"--rfc5780 is given twice for {_family(other)}")
        done.add(other.is_ipv6)
        udp = [one.address for one in listeners if one.transport is Transport.UDP and one.address.is_ipv6 == other.is_ipv6]
        if len(udp) != 1:
            raise ValueError(f"--rfc5780 {other} completes one UDP listener of {_family(other)}, and there are {len(udp)}")
        [first] = udp
        if not first.port or not other.port or first.port == other.port or first.host == other.host:
            raise ValueError(f"--rfc5780 {other}: address and port must both differ from {first}, and no port be 0")
        for address in (Address(first.host, other.port), Address(other.host, first.port), other):
            listeners = [*listeners, Listener(Transport.UDP, address)]
    return listeners


def _family(address: Address) -> str:
    return "IPv6" if address.is_ipv6 else "IPv4"


def _shared(listeners: list[Listener], reuse_port: bool) -> list[Listener]:
    return [Listener(one.transport, one.address, one.tls, reuse_port) for one in listeners]


def _tls(listeners: Iterable[Listener], certificate: str | None, key: str | None) -> TlsConfig | None:
    """What TLS and DTLS listeners present.

    Raises:
        click.UsageError: a certificate without such a listener, or the other way round.
    """
    secure = [str(one) for one in listeners if one.transport.is_secure]
    if certificate is None:
        if secure or key is not None:
            raise click.UsageError(f"{secure[0] if secure else '--tls-key'} needs --tls-cert FILE")
        return None
    if not secure:
        raise click.UsageError("--tls-cert is of use with a tls: or dtls: listener only")
    return TlsConfig(certificate=certificate, private_key=key)


def _users(texts: Iterable[str]) -> dict[str, str]:
    """Passwords by name.

    Raises:
        click.UsageError: one has no name or no password, or a name comes twice.
    """
    found: dict[str, str] = {}
    for text in texts:
        name, _, password = text.partition(":")
        if not (name and password):
            raise click.UsageError("--user is NAME:PASSWORD")
        if name in found:
            raise click.UsageError(f"--user: {name!r} is given twice")
        found[name] = password
    return found
