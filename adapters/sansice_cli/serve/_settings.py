"""All that the command line and the configuration file say, as one value."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import click

from sansice import Address, Transport
from sansice.sockets import TlsConfig, host_addresses
from sansice.stun import Listener, StunServerConfig, parse_listeners
from sansice.turn import PeerPolicy, TurnLimits, TurnServerConfig

from ._users import Realms, Users
from ._values import changed_limits, relay_addresses, web_address

DEFAULT_PORT = 3478  # RFC 8656 5
FEW_PORTS_FROM = 50_000
STUN_DRAIN, TURN_DRAIN = 5.0, 60.0  # seconds; systemd waits for 90 before it kills

_NEVER_BY_DEFAULT = ("127.", "::1", "fe80:", "169.254.")  # loopback and link-local: nobody else reaches these, or not by them

# What `--stun-only` has no use for.
_OF_TURN = (
    "anonymous",
    "relay_address",
    "external_address",
    "relay_ports",
    "few_ports",
    "allow_peer",
    "deny_peer",
    "tcp_relay",
    "mobility",
    "wide_channels",
    "alternate",
    "max_lifetime",
    "quota",
    "total_quota",
    "max_bps",
    "total_bps",
    "limit",
)

_TURN_FIELDS = tuple(field.name for field in attrs.fields(TurnServerConfig))

NO_CREDENTIALS = """\
nobody is named who may use it, and a relay for everybody is soon somebody else's. Name users:
  sansice serve --user alice:PASSWORD             one user
  sansice serve --users FILE                      NAME:PASSWORD, one a line
  sansice serve --secret FILE                     time-limited users; make the secret with: openssl rand -hex 32 > FILE
                                                  and their credentials with: sansice credentials --secret FILE --ttl 1d NAME
  sansice serve --auth-url URL                    asks a web service
or say --stun-only for a server that relays nothing"""


@attrs.frozen(kw_only=True)
class Settings:
    """See the module.

    Attributes:
        listeners: where to listen.
        stun: of the STUN server; under TURN it is part of ``turn``.
        turn: of the TURN server; ``None`` with ``--stun-only``.
        limits: of the TURN server.
        allow, deny: which peers, see `PeerPolicy`.
        users: who may ask.
        realms: where.
        auth_cache: seconds for which a look-up is good.
        tls_certificate, tls_key: files of what TLS and DTLS listeners present.
        workers: processes.
        metrics, health: where they are served, if anywhere.
        control_socket: where ``--control`` is answered, if anywhere.
        drain_timeout: seconds.
        log_format: one of ``FORMATS``.
    """

    listeners: tuple[Listener, ...]
    stun: StunServerConfig
    turn: TurnServerConfig | None
    limits: TurnLimits
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    users: Users
    realms: Realms
    auth_cache: float
    tls_certificate: str | None
    tls_key: str | None
    workers: int
    metrics: Address | None
    health: Address | None
    control_socket: str | None
    drain_timeout: float
    log_format: str

    def tls(self) -> TlsConfig | None:
        """What TLS and DTLS listeners present, not read yet."""
        if self.tls_certificate is None:
            return None
        return TlsConfig(certificate=self.tls_certificate, private_key=self.tls_key)

    def peer_policy(self) -> PeerPolicy:
        """Which peers may be reached."""
        return PeerPolicy(allow=self.allow, deny=self.deny)


def read_settings(given: Mapping[str, Any], inherited: Sequence[Listener] = (), runtime_directory: str | None = None) -> Settings:
    """The settings that the options make.

    Args:
        given: values of all options, by their names in Python.
        inherited: listeners whose sockets the service manager has opened.
        runtime_directory: of the service manager's, for the control socket.

    Raises:
        click.UsageError: options that do not go together.
        ValueError: a value that makes no sense.
    """
    stun_only: bool = given["stun_only"]
    _refuse_useless(given, stun_only)
    listeners = _listeners(given, inherited, stun_only)
    users = Users(
        given=_passwords(given["user"]),
        files=given["users"],
        secret_files=given["secret"],
        url=_url(given["auth_url"]),
        command=tuple(shlex.split(given["auth_command"] or "")),
        nonce_key=given["nonce_key"],
    )
    if not stun_only and users.are_named is given["anonymous"]:
        raise click.UsageError("--anonymous asks nobody, so users are of no use" if users.are_named else NO_CREDENTIALS)
    _check_tls(listeners, given["tls_cert"], given["tls_key"])
    turn = None if stun_only else _turn(given, listeners)
    drain = given["drain_timeout"] or (STUN_DRAIN if stun_only else TURN_DRAIN)
    socket: str | None = given["control_socket"]
    if socket is None and runtime_directory:
        socket = f"{runtime_directory}/control"
    return Settings(
        listeners=listeners,
        stun=_stun(given, drain),
        turn=turn,
        limits=_limits(given),
        # Made here, so that a wrong network is told as what it is.
        allow=_policy("--allow-peer", given["allow_peer"]).allow,
        deny=_policy("--deny-peer", given["deny_peer"]).allow,
        users=users,
        realms=Realms.parse(given["realm"], listeners),
        auth_cache=given["auth_cache"],
        tls_certificate=given["tls_cert"],
        tls_key=given["tls_key"],
        workers=given["workers"],
        metrics=given["metrics"],
        health=given["health"],
        control_socket=socket,
        drain_timeout=drain,
        log_format=given["log_format"],
    )


def _refuse_useless(given: Mapping[str, Any], stun_only: bool) -> None:
    useless = [name for name in _OF_TURN if given[name]] if stun_only else []
    if useless:
        raise click.UsageError(f"--{useless[0].replace('_', '-')} is of no use with --stun-only")
    if given["rfc5780"] and not stun_only:
        raise click.UsageError("--rfc5780 needs --stun-only: a second server on the second address and port")
    if given["few_ports"] and given["relay_ports"]:
        raise click.UsageError("--few-ports and --relay-ports exclude each other")


def _listeners(given: Mapping[str, Any], inherited: Sequence[Listener], stun_only: bool) -> tuple[Listener, ...]:
    listeners = [*parse_listeners(given["listen"]), *inherited]
    if not listeners:
        hosts = [one for one in host_addresses() if not one.startswith(_NEVER_BY_DEFAULT)]
        listeners = [*parse_listeners(str(Address(one, DEFAULT_PORT)) for one in hosts)]
    if not listeners:
        raise click.UsageError("nowhere to listen: say --listen ADDRESS:PORT")
    if stun_only:
        listeners = completed(listeners, given["rfc5780"])
    proxies: tuple[str, ...] = given["proxy_protocol"]
    if proxies and not any(one.transport.is_stream for one in listeners):
        raise click.UsageError("--proxy-protocol is of use with a tcp: or tls: listener only")
    return tuple(
        Listener(one.transport, one.address, one.tls, given["reuse_port"], proxies if one.transport.is_stream else ())
        for one in listeners
    )


def completed(listeners: list[Listener], others: Iterable[Address]) -> list[Listener]:
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


def _check_tls(listeners: Iterable[Listener], certificate: str | None, key: str | None) -> None:
    """A certificate without a listener that presents it is a mistake, and so is the other way round."""
    secure = [str(one) for one in listeners if one.transport.is_secure]
    if certificate is None and (secure or key is not None):
        raise click.UsageError(f"{secure[0] if secure else '--tls-key'} needs --tls-cert FILE")
    if certificate is not None and not secure:
        raise click.UsageError("--tls-cert is of use with a tls: or dtls: listener only")


def _url(text: str | None) -> str | None:
    try:
        return None if text is None else web_address(text)
    except ValueError as error:
        raise ValueError(f"--auth-url: {error}") from None


def _passwords(texts: Iterable[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, _, password = text.partition(":")
        if not (name and password):
            raise click.UsageError("--user is NAME:PASSWORD")
        if name in found:
            raise click.UsageError(f"--user: {name!r} is given twice")
        found[name] = password
    return found


def _stun(given: Mapping[str, Any], drain: float) -> StunServerConfig:
    return StunServerConfig(**_of_stun(given), behavior=bool(given["rfc5780"]), drain_grace=drain)


def _of_stun(given: Mapping[str, Any]) -> dict[str, Any]:
    found = {
        "software": given["software"],
        "rate": given["rate"] or None,
        "burst": given["burst"],
        "classic": not given["no_classic"],
    }
    if given["max_connections"] is not None:
        found["max_connections"] = given["max_connections"]
    return found


def _turn(given: Mapping[str, Any], listeners: Sequence[Listener]) -> TurnServerConfig:
    default = TurnServerConfig()
    hosts = list(given["relay_address"]) or [one.address.host for one in listeners]
    try:
        addresses = relay_addresses(list(dict.fromkeys(hosts)), given["external_address"])
    except ValueError as error:
        raise ValueError(f"--external-address: {error}") from None
    ports = given["relay_ports"] or default.relay_ports
    if given["few_ports"]:
        ports = FEW_PORTS_FROM, FEW_PORTS_FROM + given["few_ports"] - 1
    try:
        return TurnServerConfig(
            stun=attrs.evolve(default.stun, **_of_stun(given)),
            anonymous=given["anonymous"],
            relay_addresses=addresses,
            relay_ports=ports,
            max_lifetime=given["max_lifetime"] or default.max_lifetime,
            tcp_relay=given["tcp_relay"],
            mobility=given["mobility"],
            wide_channels=given["wide_channels"],
            alternates=given["alternate"],
        )
    except ValueError as error:
        raise ValueError(_by_option(str(error))) from None


def _by_option(complaint: str) -> str:
    """What is wrong with a field of `TurnServerConfig`, by the option that fills it."""
    field, colon, words = complaint.partition(": ")
    return f"--{field.replace('_', '-')}{colon}{words}" if field in _TURN_FIELDS else complaint


def _limits(given: Mapping[str, Any]) -> TurnLimits:
    wanted = {
        "allocations": given["total_quota"] or given["few_ports"],
        "allocations_per_user": given["quota"],
        "bytes_per_second": given["total_bps"],
        "bytes_per_second_per_user": given["max_bps"],
    }
    limits = TurnLimits(**{name: value for name, value in wanted.items() if value})
    try:
        return changed_limits(limits, list(given["limit"]))
    except ValueError as error:
        raise ValueError(f"--limit: {error}") from None


def _policy(option: str, networks: Iterable[str]) -> PeerPolicy:
    try:
        return PeerPolicy(allow=networks)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None
