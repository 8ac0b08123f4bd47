"""IPv4 addresses inside IPv6 ones: who reaches the one may reach the other, whatever a list of networks says."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_TEREDO = int(IPv6Address("2001::")) >> 96
_6TO4 = int(IPv6Address("2002::")) >> 112
_LOCAL_NAT64 = int(IPv6Address("64:ff9b:1::")) >> 80
_LAST_32 = 0xFFFFFFFF
_LOOPBACK = 1

# The last 32 bits are an IPv4 address, by the 96 before them.
_LAST_BY_PREFIX: Final = {
    0: "IPv4-compatible (RFC 4291 2.5.5.1)",
    0xFFFF: "IPv4-mapped (RFC 4291 2.5.5.2)",
    0xFFFF0000: "IPv4-translated (RFC 7915)",
    int(IPv6Address("64:ff9b::")) >> 32: "NAT64 (RFC 6052 2.1)",
}
# An interface identifier of ISATAP ends so, under any prefix; its u bit is set where the IPv4 address is a global one.
_ISATAP: Final = (0x00005EFE, 0x02005EFE)  # RFC 5214 6.1


def parse_host(host: str) -> IPv4Address | IPv6Address:
    """A literal address as a number; a scope is left out, an IPv4-mapped address is the IPv4 address that it is.

    Raises:
        ValueError: it is no literal address.
    """
    if ":" not in host:
        return IPv4Address(host)
    parsed = IPv6Address(host.partition("%")[0])
    return parsed.ipv4_mapped or parsed


def embedded_addresses(address: IPv6Address) -> Iterator[tuple[IPv4Address, str]]:
    """Every IPv4 address that an IPv6 address may lead to, and by what rule; what cannot be told apart is all of it there.

    Not those of 6to4 and Teredo, for `is_tunnelled` is all that anybody needs to know of these.
    """
    number = int(address)
    last = number & _LAST_32
    rule = _LAST_BY_PREFIX.get(number >> 32)
    if rule is not None and number > _LOOPBACK:  # nor is the unspecified address an IPv4-compatible one (RFC 4291 2.5.2, 2.5.3)
        yield IPv4Address(last), rule
    if number >> 80 == _LOCAL_NAT64:  # RFC 8215 leaves open how long the prefixes within are
        for length in (48, 56, 64, 96):
            yield _after_prefix(number, length), f"NAT64 with a prefix of {length} bits (RFC 6052 2.2)"
    if number >> 32 & _LAST_32 in _ISATAP:
        yield IPv4Address(last), "ISATAP (RFC 5214 6.1)"


def _after_prefix(number: int, length: int) -> IPv4Address:
    """The IPv4 address after a prefix of NAT64; bits 64 to 71 are left out (RFC 6052 2.2)."""
    if length == 96:
        return IPv4Address(number & _LAST_32)
    squeezed = number >> 64 << 56 | number & (1 << 56) - 1  # without the eight bits, 120 are left
    return IPv4Address(squeezed >> 120 - 32 - length & _LAST_32)


def is_tunnelled(host: str) -> bool:
    """Whether it is an address of Teredo or 6to4, which a TURN server serves neither as client nor as peer (RFC 8656 21.4)."""
    if not host.startswith("200"):
        return False
    number = int(ipaddress.ip_address(host.partition("%")[0]))
    return number >> 112 == _6TO4 or number >> 96 == _TEREDO
