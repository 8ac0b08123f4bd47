"""Where datagrams can be sent, and from where (RFC 8445 6.1.2.2)."""

from __future__ import annotations

import ipaddress

from sansice.machine import Address

# What names a host only within some network. Networks for documents are not among them: they stand for real ones.
_PRIVATE = tuple(
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",  # RFC 1918
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",  # RFC 6598
        "169.254.0.0/16",  # RFC 3927
        "127.0.0.0/8",
        "fc00::/7",  # RFC 4193
        "fe80::/10",
        "::1/128",
    )
)


def is_reachable(address: Address) -> bool:
    """Whether a datagram can be sent there: a port, and neither the wildcard nor a group."""
    host = address.host
    if not address.port or host in ("0.0.0.0", "::", "255.255.255.255"):
        return False
    if ":" in host:
        return not host.startswith("ff")
    return not 224 <= int(host.partition(".")[0]) <= 239


def is_loopback(address: Address) -> bool:
    """Whether only this machine can send there."""
    return address.host == "::1" or address.host.startswith("127.")


def is_private(address: Address) -> bool:
    """Whether an address means another host in another network."""
    host = ipaddress.ip_address(address.host)
    return any(host in network for network in _PRIVATE)


def can_pair(base: Address, remote: Address) -> bool:
    """One family; link-local IPv6 with link-local only (RFC 8445 6.1.2.2)."""
    is_ipv6 = ":" in base.host
    if is_ipv6 != (":" in remote.host):
        return False
    return not is_ipv6 or _is_link_local(base) == _is_link_local(remote)


def _is_link_local(address: Address) -> bool:
    return address.host.startswith(("fe8", "fe9", "fea", "feb"))
