"""Which of a machine's addresses may become host candidates (RFC 8445 5.1.1.1)."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from sansice._enums import IdentityEnum
from sansice.machine import Address

_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")  # RFC 3879
_IPV4_COMPATIBLE = ipaddress.IPv6Network("::/96")  # RFC 4291 2.5.5.1


class AddressKind(IdentityEnum):
    """What an address may be used for."""

    ORDINARY = "ordinary"
    LINK_LOCAL = "link-local"
    LOOPBACK = "loopback"
    UNUSABLE = "unusable"


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
    of_kind: dict[AddressKind, list[str]] = {kind: [] for kind in AddressKind}
    for text in addresses:
        host, kind = look_at(text)
        if host not in of_kind[kind]:
            of_kind[kind].append(host)
    usable = of_kind[AddressKind.ORDINARY] or of_kind[AddressKind.LINK_LOCAL]
    if include_loopback or (include_loopback is None and not usable):
        return usable + of_kind[AddressKind.LOOPBACK]
    return usable


@lru_cache(64)  # the same few addresses at every connection; ipaddress takes as long as building a check
def look_at(text: str) -> tuple[str, AddressKind]:
    """The canonical form, and of what kind it is.

    Raises:
        ValueError: not a literal address.
    """
    host = Address.of(text, 0).host
    if (":" in text) != (":" in host):  # it was IPv4-mapped, and `Address` unmapped it
        return host, AddressKind.UNUSABLE
    address = ipaddress.ip_address(host)
    if address.is_loopback:
        return host, AddressKind.LOOPBACK
    if address.is_unspecified or address.is_multicast:
        return host, AddressKind.UNUSABLE
    if address.is_link_local:
        return host, AddressKind.LINK_LOCAL
    if address.version == 6 and (address in _SITE_LOCAL or address in _IPV4_COMPATIBLE):
        return host, AddressKind.UNUSABLE
    return host, AddressKind.ORDINARY
