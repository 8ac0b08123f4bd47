"""Everything about a TURN server that may be tuned and is not a bound on what it gives away, see `TurnLimits` for those."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable

import attrs

from sansice.machine import ANY_IPV4, ANY_IPV6, Address
from sansice.stun import StunServerConfig
from sansice.turn._channel_data import LAST_CHANNEL

from ._tickets import MAX_WORKERS, TICKET_KEY

DEFAULT_LIFETIME = 600  # seconds; RFC 8656 3.2
MAX_LIFETIME = 3600  # seconds; RFC 8656 7.2 recommends no more
PERMISSION_LIFETIME = 300.0  # seconds; RFC 8656 9: neither more nor less
CHANNEL_LIFETIME = 600.0  # seconds; RFC 8656 12: 10 minutes
RESERVATION_LIFETIME = 30.0  # seconds; RFC 8656 7.2: at least 30
LOWEST_RELAY_PORT, HIGHEST_RELAY_PORT = 49152, 65535  # RFC 8656 7.2 recommends the dynamic ports of RFC 6335
_LOWEST_ALLOWED_PORT = 1024  # RFC 8656 7.2: never a well-known port

_LAST_RFC5766_CHANNEL = 0x7FFF  # RFC 5766 11


@attrs.frozen
class RelayAddress:
    """An address of this machine at which relayed addresses are made.

    Attributes:
        host: what is bound, a literal. Never the wildcard.
        external: what clients are told, where a NAT maps it one to one; ``None``: the same.

    Raises:
        ValueError: a name, the wildcard, or two families.
    """

    host: str
    external: str | None = None

    def __attrs_post_init__(self) -> None:
        for host in (self.host, self.told):
            if Address.of(host, 0).host != host:
                raise ValueError(f"{host!r}: write it as {Address.of(host, 0).host!r}")
            if host in (ANY_IPV4, ANY_IPV6):
                raise ValueError(f"{host}: a relayed address needs an address that peers can send to")
        if self.is_ipv6 is not (":" in self.told):
            raise ValueError(f"{self.host} and {self.told} are not of one family")

    @property
    def told(self) -> str:
        """The host that clients are told and peers see."""
        return self.host if self.external is None else self.external

    @property
    def is_ipv6(self) -> bool:
        """Whether it is an IPv6 address."""
        return ":" in self.host

    def __str__(self) -> str:
        return self.host if self.external is None else f"{self.host}={self.external}"


def _relay_addresses(values: Iterable[RelayAddress | str]) -> tuple[RelayAddress, ...]:
    return tuple(value if isinstance(value, RelayAddress) else RelayAddress(value) for value in values)


# A stream of a TURN client lasts as long as its calls, and whole offices come from one address.
_STUN = StunServerConfig(max_connections=10_000, max_connections_per_prefix=1000)


@attrs.frozen(kw_only=True)
class TurnServerConfig:
    """Policy and timers of a TURN server; times in seconds.

    Attributes:
        stun: what the STUN server underneath does with requests, streams and sources that ask too often. Clients that have
            an allocation have its ``vouched_rate``, so that a crowd behind one address cannot starve those who are let in.
            Its ``alternates`` and ``behavior`` have no place here: this class has alternates of its own. RFC 3489 requests, which
            libnice sends as such, get no answer here, for they have no cookie, as all that TURN knows has (RFC 8656 5): who
            wants those answered runs a `sansice.stun.StunServer` beside this one, on another port. ``classic``,
            ``alpn``, ``max_amplification``, ``max_unsent`` and ``authenticate_binding`` are overridden.
        anonymous: serve everybody. A server without ``authentication`` refuses to be made otherwise.
        relay_addresses: where relayed addresses are made; texts are literals. By default each address that is listened at.
        relay_ports: the lowest and the highest port of relayed addresses.
        default_lifetime: of an allocation, where the client asks for less or for nothing.
        max_lifetime: of an allocation, where the client asks for more.
        reservation_lifetime: how long a reserved port waits for its Allocate.
        open_attempts: ports that are tried for a relayed address, where the system says that they are in use.
        dont_fragment: DONT-FRAGMENT is understood; otherwise a request that has it is answered with 420 (RFC 8656 7.2).
        tcp_relay: peers may be reached over TCP (RFC 6062).
        mobility: clients may move to another address (RFC 8016).
        wide_channels: take channel numbers up to 0x7FFF, which RFC 5766 had and RFC 8656 reserves, for clients of that time: the
            tools of coturn 4.6 are among them.
        alternates: servers that take new allocations in the place of this one, while it drains, and from ``redirect_from`` on.
        redirect_from: allocations from which on new ones are sent to the alternates; ``None``: only while draining.
        max_unsent: bytes that may wait on the stream of a client that reads too slowly, before relayed data is dropped.
        authenticate_binding: ask for credentials for Binding requests as well.
        drain_grace: `TurnServer.drain` ends the allocations that are left after this, where it is not told another time.
        shared_ports: the lowest and the highest port of relayed addresses of all processes that share the listeners, those of
            this one among them; ``None``: there is but this one.
        worker: the number of this process among those that share the listeners: it is in each token that it hands out.
        workers: how many they are. `DatagramsElsewhere` and `StreamElsewhere` tell of clients that one of the
            others has to serve.
        ticket_key: what these processes, or hosts, have in common to read each other's mobility tickets; ``None`` draws one.

    Raises:
        ValueError: a value that makes no sense; the text names it.
    """

    stun: StunServerConfig = _STUN
    anonymous: bool = False
    relay_addresses: tuple[RelayAddress, ...] = attrs.field(default=(), converter=_relay_addresses)
    relay_ports: tuple[int, int] = (LOWEST_RELAY_PORT, HIGHEST_RELAY_PORT)
    default_lifetime: int = DEFAULT_LIFETIME
    max_lifetime: int = MAX_LIFETIME
    reservation_lifetime: float = RESERVATION_LIFETIME
    open_attempts: int = 8
    dont_fragment: bool = True
    tcp_relay: bool = False
    mobility: bool = False
    wide_channels: bool = False
    alternates: tuple[Address, ...] = attrs.field(default=(), converter=tuple)
    redirect_from: int | None = None
    max_unsent: int = 2**18
    authenticate_binding: bool = False
    drain_grace: float = 3600.0
    shared_ports: tuple[int, int] | None = None
    worker: int = 0
    workers: int = 1
    ticket_key: bytes | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        lowest, highest = self.relay_ports
        if not _LOWEST_ALLOWED_PORT <= lowest <= highest <= 65535:
            raise ValueError(f"relay_ports: {lowest}-{highest} is not a range of ports from {_LOWEST_ALLOWED_PORT} to 65535")
        if not 0 < self.default_lifetime <= self.max_lifetime:
            raise ValueError(f"default_lifetime: {self.default_lifetime} is not above 0, or above max_lifetime")
        if not RESERVATION_LIFETIME <= self.reservation_lifetime < math.inf:
            raise ValueError(f"reservation_lifetime: {self.reservation_lifetime} is below 30 seconds (RFC 8656 7.2)")
        for name in ("open_attempts", "max_unsent"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below 1")
        if not 0 < self.drain_grace < math.inf:
            raise ValueError(f"drain_grace: {self.drain_grace!r} is not a number of seconds above 0")
        if self.shared_ports is not None and not self.shared_ports[0] <= lowest <= highest <= self.shared_ports[1] <= 65535:
            raise ValueError(f"shared_ports: {self.shared_ports[0]}-{self.shared_ports[1]} does not hold {lowest}-{highest}")
        if not 0 <= self.worker < self.workers <= MAX_WORKERS:
            raise ValueError(f"worker: {self.worker} of {self.workers} is none of at most {MAX_WORKERS}")
        if self.ticket_key is not None and len(self.ticket_key) != TICKET_KEY:
            raise ValueError(f"ticket_key: {len(self.ticket_key)} bytes: {TICKET_KEY} are needed")
        if self.redirect_from is not None and (self.redirect_from < 0 or not self.alternates):
            raise ValueError("redirect_from: it needs alternates, and a number of allocations from 0 on")
        if self.stun.alternates or self.stun.behavior:
            raise ValueError("stun: alternates and behavior have no place under a TURN server")

    @property
    def sibling_ports(self) -> Container[int]:
        """The ports of relayed addresses of other processes."""
        if self.shared_ports is None:
            return ()
        (first, last), (low, high) = self.shared_ports, self.relay_ports
        return frozenset((*range(first, low), *range(high + 1, last + 1)))

    @property
    def last_channel(self) -> int:
        """The highest number that a channel may have."""
        return _LAST_RFC5766_CHANNEL if self.wide_channels else LAST_CHANNEL


DEFAULT_TURN_CONFIG = TurnServerConfig()
