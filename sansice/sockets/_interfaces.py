"""The addresses of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from ._addresses import from_sockaddr, zone_name, zone_number

InterfaceFilter: TypeAlias = Callable[[str, str], bool]
"""``filter(interface name, address)``: whether to use the address."""

LIFETIME = 5.0  # seconds; listing costs as much as connecting, and a laptop may change networks


class Interface(NamedTuple):
    """An address and the interface that has it; link-local IPv6 carries its zone (``fe80::1%eth0``)."""

    name: str
    address: str


class _Listing(NamedTuple):
    interfaces: tuple[Interface, ...] = ()
    expires: float = 0.0


_listing = _Listing()


def interfaces(*, refresh: bool = False) -> tuple[Interface, ...]:
    """Every address of this machine, loopback included, as the system lists them.

    Args:
        refresh: ask the system now, instead of using what it said within the last `LIFETIME` seconds.
    """
    global _listing
    if refresh or time.monotonic() >= _listing.expires:
        zone_name.cache_clear()
        zone_number.cache_clear()
        _listing = _Listing(_list(), time.monotonic() + LIFETIME)
    return _listing.interfaces


def host_addresses(interface_filter: InterfaceFilter | None = None) -> list[str]:
    """The addresses of this machine that the filter lets through, in the system's order."""
    return [address for name, address in interfaces() if interface_filter is None or interface_filter(name, address)]


def _list() -> tuple[Interface, ...]:
    try:
        import ifaddr  # an extra's: only those who list interfaces need it
    except ModuleNotFoundError as error:
        error.msg = "listing interfaces needs ifaddr; install it with: pip install ifaddr"
        raise
    found: list[Interface] = []
    for adapter in ifaddr.get_adapters():
        for ip in adapter.ips:
            # ifaddr writes IPv6 as (address, flow, scope).
            host = ip.ip if isinstance(ip.ip, str) else from_sockaddr((ip.ip[0], 0, 0, ip.ip[2])).host
            found.append(Interface(adapter.nice_name, host))
    return tuple(found)
