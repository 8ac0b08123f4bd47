"""IPv6-only networks that reach IPv4: addresses that hold addresses (RFC 6052), and packets and ICMP errors between the
families (RFC 7915). The mappings are those of a `Translator` whose inner addresses are IPv6 (RFC 6146).
"""

from __future__ import annotations

import functools
import ipaddress

import attrs

from sansice.machine import Address, IcmpError
from sansice.simulation._world._packets import IPV4_HEADER, IPV6_HEADER, Packet

WELL_KNOWN_PREFIX = "64:ff9b::/96"  # RFC 6052 2.1
_LENGTHS = (32, 40, 48, 56, 64, 96)  # RFC 6052 2.2
_RESERVED_BYTE = 8  # bits 64 to 71 are zero, RFC 6052 2.2
_SMALLEST_IPV6_MTU = 1280  # RFC 8200 5

# RFC 6052 3.1: what is not global must not stand in the well-known prefix. Here documentation prefixes are the Internet.
_NOT_GLOBAL = tuple(
    ipaddress.IPv4Network(prefix)
    for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16")
)

# RFC 7915 5.2 and 4.2; an error that is not listed is dropped, and so are those that would need a pointer into the header.
_ERROR_TO_IPV4: dict[tuple[int, int], tuple[int, int]] = {
    (1, 0): (3, 1),
    (1, 1): (3, 10),
    (1, 2): (3, 1),
    (1, 3): (3, 1),
    (1, 4): (3, 3),
    (2, 0): (3, 4),
    (3, 0): (11, 0),
    (3, 1): (11, 1),
    (4, 1): (3, 2),
}
_ERROR_TO_IPV6: dict[tuple[int, int], tuple[int, int]] = {
    **{(3, code): (1, 0) for code in (0, 1, 5, 6, 7, 8, 11, 12)},
    **{(3, code): (1, 1) for code in (9, 10, 13, 15)},
    (3, 3): (1, 4),
    (3, 4): (2, 0),
    (11, 0): (3, 0),
    (11, 1): (3, 1),
}


def _as_prefix(value: str | ipaddress.IPv6Network) -> ipaddress.IPv6Network:
    try:
        prefix = ipaddress.IPv6Network(value)
    except ValueError as error:
        raise ValueError(f"{value!r} is no IPv6 prefix for NAT64: {error}") from None
    if prefix.prefixlen not in _LENGTHS:
        raise ValueError(f"a NAT64 prefix is {', '.join(f'/{length}' for length in _LENGTHS)} long, not {prefix}")
    if prefix.network_address.packed[_RESERVED_BYTE]:
        raise ValueError(f"bits 64 to 71 of the NAT64 prefix {prefix} must be zero (RFC 6052 2.2)")
    return prefix


@attrs.frozen
class Nat64Prefix:
    """The IPv6 prefix behind which all of IPv4 lies (RFC 6052).

    Attributes:
        network: the prefix, 32, 40, 48, 56, 64 or 96 bits long.

    Raises:
        ValueError: it is no such prefix.
    """

    network: ipaddress.IPv6Network = attrs.field(default=ipaddress.IPv6Network(WELL_KNOWN_PREFIX), converter=_as_prefix)

    def embed(self, host: str) -> str:
        """The IPv6 literal that an IPv4 literal has here."""
        return _embed(self.network, host)

    def extract(self, host: str) -> str | None:
        """The IPv4 literal in an IPv6 one, or ``None`` where that is none of this prefix, or none that may be there."""
        return _extract(self.network, host)

    def to_ipv4(self, packet: Packet) -> Packet | None:
        """A packet to this prefix as IPv4 has it, still from its IPv6 source; ``None`` where there is no such thing."""
        host = self.extract(packet.destination.host)
        error = None if packet.icmp is None else _error_to_ipv4(packet.icmp)
        if host is None or (packet.icmp is not None and error is None):
            return None
        # RFC 7915 5.1: what fits everywhere in IPv6 anyway may be cut
        whole = packet.dont_fragment or (packet.fragment is None and packet.size > _SMALLEST_IPV6_MTU)
        return packet._replace(destination=Address(host, packet.destination.port), icmp=error, dont_fragment=whole)

    def to_ipv6(self, packet: Packet) -> Packet | None:
        """A packet to an IPv6 address from an IPv4 one, as IPv6 has it; ``None`` where there is no such thing."""
        source = Address(self.embed(packet.source.host), packet.source.port)
        if packet.icmp is None:
            return packet._replace(source=source)
        error = _error_to_ipv6(packet.icmp)
        if error is None:
            return None
        return packet._replace(source=source, icmp=error, quoted=Address(self.embed(packet.quoted.host), packet.quoted.port))


def _positions(prefix: ipaddress.IPv6Network) -> list[int]:
    start = prefix.prefixlen // 8
    return [position for position in range(start, 16) if position != _RESERVED_BYTE][:4]


@functools.lru_cache(maxsize=4096)
def _embed(prefix: ipaddress.IPv6Network, host: str) -> str:
    data = bytearray(prefix.network_address.packed)
    for position, byte in zip(_positions(prefix), ipaddress.IPv4Address(host).packed, strict=True):
        data[position] = byte
    return str(ipaddress.IPv6Address(bytes(data)))


@functools.lru_cache(maxsize=4096)
def _extract(prefix: ipaddress.IPv6Network, host: str) -> str | None:
    address = ipaddress.IPv6Address(host)
    if address not in prefix:
        return None
    found = ipaddress.IPv4Address(bytes(address.packed[position] for position in _positions(prefix)))
    if str(prefix) == WELL_KNOWN_PREFIX and any(found in other for other in _NOT_GLOBAL):
        return None
    return str(found)


def _error_to_ipv4(error: IcmpError) -> IcmpError | None:
    known = _ERROR_TO_IPV4.get((error.type, error.code))
    if known is None:
        return None
    # The header of IPv4 is shorter, so that more fits (RFC 7915 5.2).
    return IcmpError(*known, mtu=error.mtu and error.mtu - (IPV6_HEADER - IPV4_HEADER))


def _error_to_ipv6(error: IcmpError) -> IcmpError | None:
    known = _ERROR_TO_IPV6.get((error.type, error.code))
    if known is None:
        return None
    mtu = error.mtu and max(error.mtu + IPV6_HEADER - IPV4_HEADER, _SMALLEST_IPV6_MTU)
    return IcmpError(*known, ipv6=True, mtu=mtu)
