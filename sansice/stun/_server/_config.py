"""What a STUN server listens at, and everything about it that may be tuned."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable

import attrs

from sansice.machine import ANY_IPV4, ANY_IPV6, Address, Transport

_MAX_SOFTWARE = 127  # characters; RFC 8489 14.14


def _listener_address(instance: object, attribute: attrs.Attribute[Address], value: Address) -> None:
    if value.host in (ANY_IPV4, ANY_IPV6):
        raise ValueError(f"{value}: an answer must leave from the address that was asked, so name each address to listen at")


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)


@attrs.frozen
class Listener:
    """Where a server listens.

    Attributes:
        transport: UDP, TCP, TLS or DTLS. A TLS listener is a stream that the driver decrypts.
        address: a literal address of this machine; port 0 lets the system choose. Never the wildcard.
        tls: the name under which the driver knows the certificate ("" is its default).
        reuse_port: share the port with other processes (SO_REUSEPORT), so that each has a core of its own.
        trusted_proxies: networks, as text, whose connections begin with a header of the PROXY protocol, which says whose they
            are. Only for streams.

    Raises:
        ValueError: the wildcard address; proxies that are no networks, or of datagrams.
    """

    transport: Transport
    address: Address = attrs.field(validator=_listener_address)
    tls: str = ""
    reuse_port: bool = False
    trusted_proxies: tuple[str, ...] = attrs.field(default=(), converter=_texts)

    def __attrs_post_init__(self) -> None:
        if self.trusted_proxies and not self.transport.is_stream:
            raise ValueError(f"{self}: only over TCP and TLS do proxies say whose a connection is")
        for text in self.trusted_proxies:
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                raise ValueError(f"trusted_proxies: {error}") from None

    def __str__(self) -> str:
        return f"{self.transport.value}:{self.address}"


@attrs.frozen(kw_only=True)
class StunServerConfig:
    """Policy, timers in seconds, and bounds on what a peer can make grow.

    Attributes:
        software: the value of SOFTWARE in every answer; ``None`` leaves it out, so that nobody learns a version to attack
            (RFC 8489 16.1.2) and answers stay small.
        rate: requests a second that are answered for one source prefix (/24 of IPv4, /56 of IPv6), on average; ``None``
            answers all of them. Loopback is limited like any other prefix. An answer that is larger than `AMPLIFICATION`
            allows counts as several.
        burst: requests that may come at once; at least 1.
        max_amplification: how many times as large as a request the challenge may be that it is answered with, over UDP and
            with the headers of IP and UDP counted; ``None`` for no bound. What would be larger is said in brief, see
            `ServerAuthentication.in_brief`, and not at all where that is too large as well.
        vouched_rate, vouched_burst: the same for each client that a parent machine vouches for, see
            `StunServer.handle_vouched_datagrams`: nothing that it asks is counted against its prefix.
        receive_buffer: bytes of datagrams that may wait at each listener, as far as the system allows; 0 for the system's
            default, which holds some 300 requests: less than arrive while the process waits for a processor.
        classic: answer RFC 3489 requests, over UDP only (RFC 8489 12).
        require_fingerprint: drop what has no FINGERPRINT: for a port that other protocols share (RFC 8489 7).
        authenticate_binding: ask for credentials for Binding requests as well, where there is any ``authentication``. A TURN
            server does not: whoever may not relay may still learn an address.
        behavior: be a server for NAT behaviour discovery (RFC 5780). Its UDP listeners are then two addresses with the same
            two ports, for each family; `StunServer.start` refuses anything else.
        alternates: redirect every authenticated request to these (RFC 8489 10): one address a family.
        alternate_domain: the name in the certificate of ``alternates`` where it differs from this server's.
        max_connections: streams at once. Each costs a descriptor and some hundred bytes.
        max_connections_per_prefix: streams from one source prefix, so that one network cannot take them all.
        message_timeout: a stream is closed when a message takes longer than this to arrive, and when the first is not
            complete so long after the stream was accepted.
        idle_timeout: a stream is closed so long after its last message (RFC 8489 6.2.2 leaves closing to the client
            otherwise).
        max_unsent: bytes that may wait for a peer that reads too slowly, before its requests are left unread.
        max_pending: requests that wait for the application: so many for their keys (`CredentialRequested`), and as many that
            have proved whose they are for their answer (`RequestReceived`). A request over a bound is answered with 500.
        pending_timeout: a request that the application has not answered by then is answered with 500.
        remember: a repeated request of an application's method is answered with the same bytes for so long (RFC 8489
            6.3.1): the client's last retransmission comes earlier.
        max_remembered: answers remembered; the oldest is forgotten for a new one.
        drain_grace: `StunServer.drain` closes what is left after this.
        alpn: protocols that TLS and DTLS listeners accept (RFC 7443).

    Raises:
        ValueError: a value that makes no sense; the text names it.
    """

    software: str | None = None
    rate: float | None = 100.0
    burst: int = 200
    max_amplification: float | None = None
    vouched_rate: float = 50.0
    vouched_burst: int = 200
    receive_buffer: int = 2**21
    classic: bool = True
    require_fingerprint: bool = False
    authenticate_binding: bool = True
    behavior: bool = False
    alternates: tuple[Address, ...] = attrs.field(default=(), converter=tuple)
    alternate_domain: str | None = None
    max_connections: int = 1000
    max_connections_per_prefix: int = 100
    message_timeout: float = 10.0
    idle_timeout: float = 120.0
    max_unsent: int = 65536
    max_pending: int = 1000
    pending_timeout: float = 5.0
    remember: float = 40.0
    max_remembered: int = 1000
    drain_grace: float = 5.0
    alpn: tuple[str, ...] = attrs.field(default=("stun.nat-discovery",), converter=_texts)

    def __attrs_post_init__(self) -> None:
        for name in _DURATIONS:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not a number of seconds above 0")
        for name in _BOUNDS:
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below 1")
        if not 0 <= self.receive_buffer < 2**31:
            raise ValueError(f"receive_buffer: {self.receive_buffer!r} is not a number of bytes that systems know")
        if self.max_amplification is not None and not 1 <= self.max_amplification < math.inf:
            raise ValueError(f"max_amplification: {self.max_amplification!r} is not a factor from 1 on; None is for no bound")
        if not 0 < self.vouched_rate < math.inf:
            raise ValueError(f"vouched_rate: {self.vouched_rate!r} is not a number of requests a second above 0")
        if self.rate is not None and not 0 < self.rate < math.inf:
            raise ValueError(f"rate: {self.rate!r} is not a number of requests a second above 0; None is for no limit")
        if self.software is not None and len(self.software) > _MAX_SOFTWARE:
            raise ValueError(f"software: {len(self.software)} characters, over the limit of {_MAX_SOFTWARE} (RFC 8489 14.14)")
        if self.classic and self.require_fingerprint:
            # RFC 5389 12.2: what has no cookie cannot be told from the other protocol; RFC 8489 7: nor has it a FINGERPRINT.
            raise ValueError("classic: RFC 3489 has no FINGERPRINT, so a port shared with other protocols needs classic=False")
        if len({address.is_ipv6 for address in self.alternates}) < len(self.alternates):
            raise ValueError("alternates: more than one address of a family")
        if self.alternate_domain is not None and not self.alternates:
            raise ValueError("alternate_domain: it names the certificate of the alternates, and there are none")
        if self.alternates and self.behavior:
            raise ValueError("alternates: RFC 5780 6.1 forbids ALTERNATE-SERVER beside its own attributes")


_DURATIONS = ("message_timeout", "idle_timeout", "pending_timeout", "remember", "drain_grace")
_BOUNDS = (
    "burst",
    "vouched_burst",
    "max_connections",
    "max_connections_per_prefix",
    "max_unsent",
    "max_pending",
    "max_remembered",
)

DEFAULT_SERVER_CONFIG = StunServerConfig()
