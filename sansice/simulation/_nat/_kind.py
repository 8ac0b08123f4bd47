"""What kinds of NAT there are, as values: the behaviours of RFC 4787, RFC 5382, RFC 5508 and RFC 6888."""

from __future__ import annotations

import enum
import math

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address

FIRST_PORT, LAST_PORT = 1024, 65535  # the well-known ports are left alone, RFC 4787 4.2.2


class Mapping(enum.Enum):
    """When two packets from one inner address and port leave from the same outer one (RFC 4787 4.1)."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class Filtering(enum.Enum):
    """Whose packets a mapping lets in (RFC 4787 5): anyone's, or those of addresses (and ports) sent to before."""

    ENDPOINT_INDEPENDENT = "endpoint-independent"
    ADDRESS_DEPENDENT = "address-dependent"
    ADDRESS_AND_PORT_DEPENDENT = "address-and-port-dependent"


class PortAssignment(enum.Enum):
    """Which outer port a new mapping gets (RFC 4787 4.2.1).

    ``PRESERVATION`` is the inner port where it is free, else a random one. ``OVERLOADING`` is the inner port always, even
    where another inner host has it too: what comes in goes to whoever sent there last.
    """

    RANDOM = "random"
    SEQUENTIAL = "sequential"
    PRESERVATION = "preservation"
    OVERLOADING = "overloading"


class Pooling(enum.Enum):
    """Which of several outer addresses a new mapping gets (RFC 4787 4.1): one an inner host, or any."""

    PAIRED = "paired"
    ARBITRARY = "arbitrary"


class Hairpinning(enum.Enum):
    """Whether hosts inside reach each other by their outer addresses, and by which source (RFC 4787 6)."""

    NONE = "none"
    EXTERNAL_SOURCE = "external-source"
    INTERNAL_SOURCE = "internal-source"


class Refresh(enum.Enum):
    """Packets of which direction keep a mapping alive (RFC 4787 4.3)."""

    OUTBOUND = "outbound"
    INBOUND = "inbound"
    BOTH = "both"


class FragmentPolicy(IdentityEnum):
    """What becomes of datagrams in IP fragments (RFC 4787 11).

    ``ANY_ORDER`` keeps those that come before the first, which alone has the ports; ``IN_ORDER`` drops them;
    ``FIRST_ONLY`` lets nothing but first fragments through, so that no datagram arrives whole; ``DROP`` nothing at all.
    """

    ANY_ORDER = "any-order"
    IN_ORDER = "in-order"
    FIRST_ONLY = "first-only"
    DROP = "drop"


class UnsolicitedSyn(enum.Enum):
    """The answer to a SYN from outside that nothing lets in (RFC 5382 4.3).

    ``UNREACHABLE_LATER`` is what the RFC asks for: "port unreachable" after six seconds, and none if a SYN the other way
    came meanwhile, because the two ends are then opening simultaneously.
    """

    DROP = "drop"
    RESET = "reset"
    UNREACHABLE = "unreachable"
    UNREACHABLE_LATER = "unreachable-later"


class Tracking(enum.Enum):
    """What a NAT keeps in mind.

    ``MAPPINGS``: pairs of inner and outer address, as RFC 4787 describes NATs. ``CONNECTIONS``: every flow with its peer,
    as Linux's conntrack and pf do; an outer port may then serve several inner ones as long as their peers differ.
    """

    MAPPINGS = "mappings"
    CONNECTIONS = "connections"


def _duration(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0.0:
        raise ValueError(f"{attribute.name} must be more than 0 seconds, not {value!r}")


def _wait(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value < math.inf:
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on, not {value!r}")


def _limit(instance: object, attribute: attrs.Attribute[int | None], value: int | None) -> None:
    if value is not None and not value >= 1:
        raise ValueError(f"{attribute.name} must be at least 1, or None for no limit, not {value!r}")


def _port_range(instance: object, attribute: attrs.Attribute[tuple[int, int]], value: tuple[int, int]) -> None:
    first, last = value
    if not 1 <= first <= last <= LAST_PORT:
        raise ValueError(f"{attribute.name} must be (first, last) within 1..{LAST_PORT}, not {value!r}: the pool would be empty")


def _as_hairpinning(value: Hairpinning | bool | str) -> Hairpinning:
    if isinstance(value, bool):
        return Hairpinning.EXTERNAL_SOURCE if value else Hairpinning.NONE
    return Hairpinning(value)


@attrs.frozen(kw_only=True)
class TcpTimeouts:
    """Seconds of silence after which a NAT forgets a TCP connection, by the phase it is in (RFC 5382 5).

    Attributes:
        opening: one SYN or both, until the connection is open.
        established: open, or closed by one end only.
        closing: closed by both ends.
        reset: after an RST.

    Raises:
        ValueError: one is not more than 0.
    """

    opening: float = attrs.field(default=240.0, validator=_duration)  # RFC 5382 REQ-5: 4 minutes
    established: float = attrs.field(default=7440.0, validator=_duration)  # RFC 5382 REQ-5: 2 hours 4 minutes
    closing: float = attrs.field(default=240.0, validator=_duration)
    reset: float = attrs.field(default=240.0, validator=_duration)


@attrs.frozen(kw_only=True)
class NatKind:
    """How a NAT behaves, whatever its addresses are. `NAT_PRESETS` has the kinds that have names.

    The defaults are the commonest kind, "port-restricted cone". ``attrs.evolve`` makes another kind of one.

    Attributes:
        mapping, filtering: by the words of RFC 4787.
        tracking: mappings, or connections. The latter filter by address and port, and map endpoint-independently as far as
            ports can be preserved, or by address and port where they are random.
        ports: how outer ports are assigned. ``OVERLOADING`` is of UDP; a TCP connection that would clash gets another port.
        parity: an even inner port gets an even outer one, an odd an odd one (RFC 4787 4.2.2).
        contiguity: of two inner ports n and n+1, n even, the outer ones are neighbours, too, if they can be (RFC 4787 4.2.3).
        port_range: the first and the last port that may be assigned.
        pooling: needed where a NAT has several outer addresses of a family; ``None`` allows only one.
        hairpinning: a bool will do: ``True`` is the external source.
        lifetime: seconds without a packet that counts after which a UDP mapping is gone; `math.inf` for never.
        unreplied: of connections, the same as long as nothing came back, and for the first two seconds.
        refresh: whose packets count.
        filter_lifetime: seconds after the last packet to a peer when its packets are no longer let in; ``None``: it is
            let in as long as the mapping lives.
        hold_down: seconds for which the port of a mapping that is gone is given to nobody (RFC 6888 REQ-8).
        tcp: the timeouts of TCP connections.
        picks_up: a TCP packet from inside in the middle of an unknown connection, as after a reboot, is translated.
        unsolicited_syn: how a SYN that is not let in is answered.
        icmp: whether ICMP errors are translated (RFC 5508 REQ-4, 5); else they are dropped.
        fragments: what becomes of datagrams in fragments.
        max_mappings: at most so many mappings, or connections, at a time, of all protocols.
        max_mappings_per_host: the same of each inner host (RFC 6888 REQ-4).
        open_input: of connections: the NAT takes what is addressed to itself and unknown as a connection of its own, as
            Linux does without a rule that closes its outside; the port is then taken for that peer.
        refuses: what hosts inside send to the NAT itself, and with ``open_input`` what anyone does, is answered with "port
            unreachable".
        alg: rewrite a mapping's outer address to its inner one inside the datagrams that are let in, as a careless
            "application level gateway" does.
        about: one sentence for people.
        source: where this kind is described.

    Raises:
        ValueError: a time or a limit that is none, or behaviours that exclude each other.
    """

    mapping: Mapping = attrs.field(default=Mapping.ENDPOINT_INDEPENDENT, converter=Mapping)
    filtering: Filtering = attrs.field(default=Filtering.ADDRESS_AND_PORT_DEPENDENT, converter=Filtering)
    tracking: Tracking = attrs.field(default=Tracking.MAPPINGS, converter=Tracking)
    ports: PortAssignment = attrs.field(default=PortAssignment.RANDOM, converter=PortAssignment)
    parity: bool = False
    contiguity: bool = False
    port_range: tuple[int, int] = attrs.field(default=(FIRST_PORT, LAST_PORT), validator=_port_range)
    pooling: Pooling | None = attrs.field(default=None, converter=attrs.converters.optional(Pooling))
    hairpinning: Hairpinning = attrs.field(default=Hairpinning.NONE, converter=_as_hairpinning)
    lifetime: float = attrs.field(default=math.inf, validator=_duration)
    unreplied: float | None = attrs.field(default=None, validator=attrs.validators.optional(_duration))
    refresh: Refresh = attrs.field(default=Refresh.OUTBOUND, converter=Refresh)
    filter_lifetime: float | None = attrs.field(default=None, validator=attrs.validators.optional(_duration))
    hold_down: float = attrs.field(default=0.0, validator=_wait)
    tcp: TcpTimeouts = attrs.field(factory=TcpTimeouts)
    picks_up: bool = False
    unsolicited_syn: UnsolicitedSyn = attrs.field(default=UnsolicitedSyn.DROP, converter=UnsolicitedSyn)
    icmp: bool = True
    fragments: FragmentPolicy = attrs.field(default=FragmentPolicy.ANY_ORDER, converter=FragmentPolicy)
    max_mappings: int | None = attrs.field(default=None, validator=_limit)
    max_mappings_per_host: int | None = attrs.field(default=None, validator=_limit)
    open_input: bool = False
    refuses: bool = False
    alg: bool = False
    about: str = ""
    source: str = ""

    def __attrs_post_init__(self) -> None:
        if self.tracking is Tracking.CONNECTIONS:
            self._check_connections()
        else:
            self._check_mappings()

    def _check_connections(self) -> None:
        if self.filtering is not Filtering.ADDRESS_AND_PORT_DEPENDENT:
            raise ValueError("a NAT that tracks connections filters by address and port: only their peers are let in")
        preserves = self.ports is PortAssignment.PRESERVATION
        if not preserves and self.ports is not PortAssignment.RANDOM:
            raise ValueError(f"a NAT that tracks connections preserves ports or draws them, but {self.ports.value} was asked for")
        expected = Mapping.ENDPOINT_INDEPENDENT if preserves else Mapping.ADDRESS_AND_PORT_DEPENDENT
        if self.mapping is not expected:
            raise ValueError(f"the mapping of a NAT that tracks connections with ports by {self.ports.value} is {expected.value}")
        if self.pooling is Pooling.ARBITRARY:
            raise ValueError("a NAT that tracks connections pairs inner with outer addresses: pooling cannot be arbitrary")
        if self.parity or self.contiguity or self.filter_lifetime is not None or self.hold_down:
            raise ValueError("parity, contiguity, filter_lifetime and hold_down are of NATs that track mappings")

    def _check_mappings(self) -> None:
        if self.open_input or self.unreplied is not None:
            raise ValueError("open_input and unreplied are of NATs that track connections")
        if self.mapping is not Mapping.ENDPOINT_INDEPENDENT and (self.contiguity or self.ports is PortAssignment.OVERLOADING):
            raise ValueError("contiguity and overloading need an endpoint-independent mapping")
        if self.filtering is Filtering.ENDPOINT_INDEPENDENT and self.filter_lifetime is not None:
            raise ValueError("endpoint-independent filtering lets everybody in: filter_lifetime has no say in it")
        if self.ports is PortAssignment.OVERLOADING and (self.parity or self.contiguity or self.filter_lifetime is not None):
            raise ValueError("overloading preserves every port: parity, contiguity and filter_lifetime have no say in it")


@attrs.frozen
class NatMapping:
    """One mapping of a NAT at present.

    Attributes:
        protocol: ``"udp"`` or ``"tcp"``.
        inner, outer: one address and port, as seen from either side.
        peer: of a NAT that tracks connections, the other end; else ``None``.
        expires: when it is gone unless a packet comes that counts, virtual seconds.
    """

    protocol: str
    inner: Address
    outer: Address
    peer: Address | None
    expires: float
