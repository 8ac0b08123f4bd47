"""The addresses of this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ._addresses import from_sockaddr, zone_name, zone_number
from ._links import NOTHING_LOST, LinkState, judge, read_flags

if TYPE_CHECKING:
    from sansice.ice import HostAddress

    from ._host_facts import KnownHost

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
    hosts: tuple[KnownHost, ...] | None = None  # found out for the first who asks
    lost: Mapping[str, float] = NOTHING_LOST  # carriers, and since when
    faltering: bool = False


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
        _listing = _listing._replace(interfaces=_list(), expires=time.monotonic() + LIFETIME, hosts=None)
    return _listing.interfaces


def host_addresses(interface_filter: InterfaceFilter | None = None) -> list[str]:
    """The addresses of this machine that the filter lets through, in the system's order."""
    return [address for name, address in interfaces() if interface_filter is None or interface_filter(name, address)]


def local_hosts(
    interface_filter: InterfaceFilter | None = None, *, in_use: Iterable[HostAddress | str] = (), refresh: bool = False
) -> list[HostAddress]:
    """The same addresses, with what the system knows of them: what `sansice.ice.IceAgent.gather` is given.

    On Linux that is the kind of interface, and which IPv6 addresses are temporary (RFC 8981). Of those, the ones that are not
    to be used for anything new are left out: they are deprecated, or not known to be free yet (RFC 4862 5.4, 5.5.4). So are
    addresses of interfaces that are switched off or have no carrier, by which nothing leaves.

    Args:
        interface_filter: which to use.
        in_use: addresses with which something has begun; they stay as long as the machine has them and their interface is up,
            and `CARRIER_GRACE` longer than its carrier.
        refresh: see `interfaces`.
    """
    global _listing
    interfaces(refresh=refresh)
    from ._host_facts import device_of, known_hosts, usable_hosts  # they bring in sansice.ice, and not everybody uses that

    listing = _listing
    known = listing.hosts
    if known is None:
        devices = dict.fromkeys(device_of(name) for name, _ in listing.interfaces)
        links, lost = judge(read_flags(devices), listing.lost, time.monotonic())
        known = known_hosts(listing.interfaces, links)
        _listing = listing._replace(hosts=known, lost=lost, faltering=LinkState.FALTERING in links.values())
    chosen = [one for one in known if interface_filter is None or interface_filter(one.host.interface, one.host.host)]
    return usable_hosts(chosen, in_use)


def is_faltering() -> bool:
    """Whether an interface had no carrier when `local_hosts` looked last, for so short a time that it may be back soon."""
    return _listing.faltering


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
