"""Which of a machine's addresses may become host candidates (RFC 8445 5.1.1.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from sansice.machine import Address

_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")  # RFC 3879
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291 2.5.5.1


def usable_addresses(addresses: Iterable[str], include_loopback: bool | None = None) -> list[str]:
    """Filter and canonicalise host addresses, each once, their order kept.

    Left out are loopback, unspecified and multicast addresses, deprecated IPv6 forms, IPv4-mapped IPv6,
    and link-local addresses where there are others.

    Args:
        addresses: literals, link-local IPv6 with a scope.
        include_loopback: ``None`` takes loopback only where the machine has no other address.

    Raises:
        ValueError: not a literal address.
    """
    kinds: dict[str, str] = {}
    for text in addresses:
        host = Address.of(text, 0).host
        if (":" in text) == (":" in host):  # else it was IPv4-mapped, and `Address` unmapped it
            kinds.setdefault(host, _kind(host))
    ordinary = [host for host, kind in kinds.items() if kind == "ordinary"]
    usable = ordinary or [host for host, kind in kinds.items() if kind == "link-local"]
    if include_loopback or (include_loopback is None and not usable):
        usable += [host for host, kind in kinds.items() if kind == "loopback"]
    return usable


@lru_cache(64)  # the same few addresses at every connection; ipaddress takes as long as building a check
def _kind(host: str) -> str:
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return "loopback"
    if address.is_unspecified or address.is_multicast:
        return "unusable"
    if address.is_link_local:
        return "link-local"
    if address.version == 6 and (address in _SITE_LOCAL or address in _IPV4_COMPATIBLE):
        return "unusable"
    return "ordinary"
