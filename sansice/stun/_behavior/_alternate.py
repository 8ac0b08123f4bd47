"""Which addresses that a server names are asked at all: it may lie, to have others pestered (RFC 5780 9, RFC 8489 16)."""

from __future__ import annotations

import ipaddress

from sansice.machine import Address

# Where packets from outside do not reach, a server outside has no business to send us: loopback, link-local, private.
_SECLUDED = tuple(
    ipaddress.ip_network(text)
    for text in (
        "127.0.0.0/8",  # RFC 1122 3.2.1.3
        "::1/128",  # RFC 4291 2.5.3
        "169.254.0.0/16",  # RFC 3927
        "fe80::/10",  # RFC 4291 2.5.6
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",  # RFC 1918
        "192.168.0.0/16",  # RFC 1918
        "100.64.0.0/10",  # RFC 6598
        "fc00::/7",  # RFC 4193
    )
)
_THIS_NETWORK = ipaddress.ip_network("0.0.0.0/8")  # RFC 1122 3.2.1.3
_RESERVED = ipaddress.ip_network("240.0.0.0/4")  # RFC 1112 4, with 255.255.255.255


def why_not(named: Address, server: Address) -> str:
    """Why ``named``, which came from ``server``, is not sent to; "" where nothing speaks against it."""
    if named.port == 0:
        return f"{named} has no port"
    if named.is_ipv6 != server.is_ipv6:
        return f"{named} is of another family"
    host = ipaddress.ip_address(named.host.partition("%")[0])
    if host.is_unspecified or host.is_multicast or host in _THIS_NETWORK or host in _RESERVED:
        return f"{named} is no host's address"
    if _seclusion(named) != _seclusion(server):
        return f"{named} is not of the same kind as {server.host}: one is loopback, link-local or private"
    return ""


def why_no_alternate(named: Address, server: Address) -> str:
    """Why ``named`` cannot be the other address of ``server``: it must differ in both parts (RFC 5780 6, table 1)."""
    if named.host == server.host or named.port == server.port:
        return f"{named} does not differ from {server} in both address and port"
    return why_not(named, server)


def _seclusion(address: Address) -> int:
    """Which of the secluded networks the address is in, private ones counting as one; -1 for none."""
    host = ipaddress.ip_address(address.host.partition("%")[0])
    for number, network in enumerate(_SECLUDED):
        if host in network:
            return min(number, 4)
    return -1
