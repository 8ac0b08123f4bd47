"""What firewalls do, as values: rules, and what a stateful one lets in after the inside has asked for it (RFC 6092)."""

from __future__ import annotations

import enum
import ipaddress
import math
from collections.abc import Iterable

import attrs

from sansice.simulation._world._packets import Packet

from ._kind import Filtering, FragmentPolicy, TcpTimeouts
from ._tcp_states import Side


class Verdict(enum.Enum):
    """What becomes of a packet that begins something: it passes, vanishes, or is answered.

    ``UNREACHABLE`` is the ICMP error "administratively prohibited"; ``RESET`` an RST to TCP, and to all else that error.
    """

    ALLOW = "allow"
    DROP = "drop"
    UNREACHABLE = "unreachable"
    RESET = "reset"


class Direction(enum.Enum):
    """Which way a packet goes."""

    OUT = "out"
    IN = "in"


_PROTOCOLS = ("udp", "tcp")
_Ports = tuple[tuple[int, int], ...]


def _as_prefix(value: str) -> str:
    return str(ipaddress.ip_network(value))


def _as_ports(value: Iterable[int | tuple[int, int]]) -> _Ports:
    return tuple((one, one) if isinstance(one, int) else (one[0], one[1]) for one in value)


def _as_rules(value: Iterable[Rule]) -> tuple[Rule, ...]:
    return tuple(value)


def _ranges(
    instance: object, attribute: attrs.Attribute[tuple[tuple[int, int], ...]], value: tuple[tuple[int, int], ...]
) -> None:
    for first, last in value:
        if not 0 <= first <= last <= 65535:
            raise ValueError(f"{attribute.name}: {first}..{last} is no range of ports within 0..65535")


def _protocol(instance: object, attribute: attrs.Attribute[str | None], value: str | None) -> None:
    if value is not None and value not in _PROTOCOLS:
        raise ValueError(f'{attribute.name} must be "udp", "tcp" or None for both, not {value!r}')


def _lifetime(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not value > 0.0:
        raise ValueError(f"{attribute.name} must be more than 0 seconds, not {value!r}")


@attrs.frozen
class Rule:
    """What becomes of the first packet of a flow; the rest of it, and its answers, follow.

    What is ``None`` or empty matches everything.

    Attributes:
        verdict: what becomes of it.
        protocol: ``"udp"`` or ``"tcp"``.
        direction: which way that first packet goes.
        inside, outside: prefixes of the address at either end, such as ``"192.0.2.0/24"``.
        ports: that it is addressed to, numbers or (first, last).

    Raises:
        ValueError: no prefix, no port, no protocol.
    """

    verdict: Verdict = attrs.field(converter=Verdict)
    protocol: str | None = attrs.field(default=None, validator=_protocol)
    direction: Direction | None = attrs.field(default=None, converter=attrs.converters.optional(Direction), kw_only=True)
    inside: str | None = attrs.field(default=None, converter=attrs.converters.optional(_as_prefix), kw_only=True)
    outside: str | None = attrs.field(default=None, converter=attrs.converters.optional(_as_prefix), kw_only=True)
    ports: _Ports = attrs.field(default=(), converter=_as_ports, validator=_ranges, kw_only=True)

    def matches(self, packet: Packet, side: Side) -> bool:
        """Whether it speaks of a packet that comes from that side."""
        if self.protocol is not None and self.protocol != packet.protocol:
            return False
        out = side is Side.INSIDE
        if self.direction is not None and self.direction is not (Direction.OUT if out else Direction.IN):
            return False
        if self.ports and not any(first <= packet.destination.port <= last for first, last in self.ports):
            return False
        inner, outer = (packet.source, packet.destination) if out else (packet.destination, packet.source)
        return _lies_in(inner.host, self.inside) and _lies_in(outer.host, self.outside)


def _lies_in(host: str, prefix: str | None) -> bool:
    return prefix is None or ipaddress.ip_address(host) in ipaddress.ip_network(prefix)


@attrs.frozen(kw_only=True)
class FirewallKind:
    """How a firewall decides. `FIREWALL_PRESETS` has the kinds that have names.

    The defaults are the simple security of RFC 6092: everything out, answers in.

    Attributes:
        rules: the first that matches decides.
        outbound, inbound: what becomes of a flow's first packet where none matches.
        filtering: who may answer over UDP: those that were sent to, or anyone. Flows over TCP have one peer each.
        lifetime: seconds of silence in both directions after which a UDP flow is forgotten.
        tcp: the timeouts of TCP connections.
        fragments: what becomes of datagrams in fragments.
        about: one sentence for people.
        source: where this kind is described.

    Raises:
        ValueError: a lifetime that is none.
    """

    rules: tuple[Rule, ...] = attrs.field(default=(), converter=_as_rules)
    outbound: Verdict = attrs.field(default=Verdict.ALLOW, converter=Verdict)
    inbound: Verdict = attrs.field(default=Verdict.DROP, converter=Verdict)
    filtering: Filtering = attrs.field(default=Filtering.ADDRESS_AND_PORT_DEPENDENT, converter=Filtering)
    lifetime: float = attrs.field(default=math.inf, validator=_lifetime)
    tcp: TcpTimeouts = attrs.field(factory=TcpTimeouts)
    fragments: FragmentPolicy = attrs.field(default=FragmentPolicy.ANY_ORDER, converter=FragmentPolicy)
    about: str = ""
    source: str = ""

    def verdict(self, packet: Packet, side: Side) -> Verdict:
        """What becomes of the first packet of a flow that comes from that side."""
        for rule in self.rules:
            if rule.matches(packet, side):
                return rule.verdict
        return self.outbound if side is Side.INSIDE else self.inbound
