"""Which of a machine's addresses become host candidates, and in which order (RFC 8445 5.1.1.1, RFC 8421)."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType
from typing import TypeVar

import attrs

from sansice._enums import IdentityEnum

from ._addresses import AddressKind, look_at

T = TypeVar("T")


class InterfaceKind(IdentityEnum):
    """What an address is reached through, as far as the program knows."""

    UNKNOWN = "unknown"
    WIRED = "wired"
    WIRELESS = "wireless"
    CELLULAR = "cellular"
    VPN = "vpn"
    VIRTUAL = "virtual"


MAX_COST = 999
UNRELIABLE_COST = 900
"""From this cost on an address comes after all others, whatever its family (RFC 8421 3, 5)."""

# The scale is that of the "network-cost" which browsers announce: 0 is the best, 50 what nothing is known of, from 900 on
# somebody pays by the byte. A VPN and a bridge of containers mostly lead where another interface leads more directly.
COSTS = MappingProxyType(
    {
        InterfaceKind.WIRED: 0,
        InterfaceKind.WIRELESS: 10,
        InterfaceKind.UNKNOWN: 50,
        InterfaceKind.VPN: 60,
        InterfaceKind.VIRTUAL: 70,
        InterfaceKind.CELLULAR: UNRELIABLE_COST,
    }
)

_PREFIX = 64  # RFC 4291 2.5.1: interface identifiers have 64 bits


def _check_cost(instance: object, attribute: object, value: int | None) -> None:
    if value is not None and not 0 <= value <= MAX_COST:
        raise ValueError(f"cost: {value} is outside 0..{MAX_COST}")


def _check_count(instance: object, attribute: attrs.Attribute[int], value: int) -> None:
    if value < 0:
        raise ValueError(f"{attribute.name}: {value} is below 0")


@attrs.frozen
class HostAddress:
    """An address of this machine, with what is known about it. A plain literal says the same with nothing known.

    Attributes:
        host: a literal; link-local IPv6 with its zone (``fe80::1%eth0``).
        interface: its name; "" where it is not known.
        kind: of the interface.
        cost: 0 to `MAX_COST`, the lower the earlier; from `UNRELIABLE_COST` on after everything else. Left out, by ``kind``.
        is_temporary: IPv6, made so that nobody is recognised by it (RFC 8981): the permanent addresses of the same interface
            and prefix are not used beside it.
        udp_sockets: how many sockets, and so host candidates, it gives to each component over UDP: more than one where a mux
            listens at several ports of it.
        tcp_listeners: how many passive candidates over TCP, where there are such (RFC 6544).

    Raises:
        ValueError: not a literal, a cost outside its range, or a number below 0.
    """

    host: str = attrs.field(converter=str)
    interface: str = ""
    kind: InterfaceKind = InterfaceKind.UNKNOWN
    cost: int | None = attrs.field(default=None, validator=_check_cost)
    is_temporary: bool = False
    udp_sockets: int = attrs.field(default=1, validator=_check_count)
    tcp_listeners: int = attrs.field(default=1, validator=_check_count)

    def __attrs_post_init__(self) -> None:
        look_at(self.host)

    @property
    def price(self) -> int:
        """``cost``, or what its kind of interface costs."""
        return COSTS[self.kind] if self.cost is None else self.cost


HostFilter = Callable[[HostAddress], bool]
HostCost = Callable[[HostAddress], int]


def choose_hosts(
    addresses: Iterable[HostAddress | str],
    *,
    include_loopback: bool | None = None,
    link_local: bool | None = None,
    accept: HostFilter | None = None,
    cost: HostCost | None = None,
    limit: int | None = None,
) -> list[HostAddress]:
    """The addresses to use, each once, in the order of their local preference.

    Left out are unspecified and multicast addresses, deprecated IPv6 forms, IPv4-mapped IPv6, and permanent IPv6 addresses
    beside temporary ones (RFC 8445 5.1.1.1).

    Args:
        addresses: the machine's own; where nothing else decides, their order does.
        include_loopback: ``None`` takes loopback only where there is nothing else.
        link_local: whether link-local addresses are used; ``None`` takes them only where there is nothing else. Never beside
            a temporary address of the same interface.
        accept: the user's filter.
        cost: what an address costs, instead of what it says itself.
        limit: how many at most.

    Raises:
        ValueError: an address that is none; a cost outside its range.
    """
    ordinary, local, loopback = _sort_out(addresses, accept)
    ordinary = _without_trackable(ordinary)
    usable = _with_link_local(ordinary, local, link_local)
    if include_loopback or (include_loopback is None and not usable):
        usable = usable + loopback
    return order_hosts(usable, cost)[:limit]


def order_hosts(hosts: Sequence[HostAddress], cost: HostCost | None = None) -> list[HostAddress]:
    """By cost, the families intermingled (RFC 8421 4), what is unreliable at the end and so in itself (RFC 8421 5).

    Raises:
        ValueError: a cost outside its range.
    """
    prices = [(host.price if cost is None else cost(host)) for host in hosts]
    for host, price in zip(hosts, prices, strict=True):
        if not 0 <= price <= MAX_COST:
            raise ValueError(f"cost of {host.host}: {price} is outside 0..{MAX_COST}")
    by_price = [hosts[index] for index in sorted(range(len(hosts)), key=prices.__getitem__)]
    cheap = sum(price < UNRELIABLE_COST for price in prices)
    return [one for part in (by_price[:cheap], by_price[cheap:]) for one in _intermingle_families(part)]


def _intermingle_families(hosts: Sequence[HostAddress]) -> list[HostAddress]:
    return intermingle([one for one in hosts if ":" in one.host], [one for one in hosts if ":" not in one.host])


def intermingle(ipv6: Sequence[T], ipv4: Sequence[T]) -> list[T]:
    """An IPv4 entry after each run of IPv6 ones, which go first (RFC 8421 4).

    A run has (N4 + N6) / N4 entries: two IPv4 and six IPv6 addresses make four IPv6, one IPv4, two IPv6, one IPv4.
    """
    if not ipv4:
        return list(ipv6)
    run = (len(ipv4) + len(ipv6)) // len(ipv4)
    mixed: list[T] = []
    for index, one in enumerate(ipv4):
        mixed += ipv6[index * run : (index + 1) * run]
        mixed.append(one)
    return mixed + list(ipv6[len(ipv4) * run :])


def _sort_out(
    addresses: Iterable[HostAddress | str], accept: HostFilter | None
) -> tuple[list[HostAddress], list[HostAddress], list[HostAddress]]:
    """Ordinary, link-local and loopback addresses, canonical, each once."""
    found: dict[AddressKind, dict[str, HostAddress]] = {kind: {} for kind in AddressKind}
    for given in addresses:
        one = HostAddress(given) if isinstance(given, str) else given
        host, kind = look_at(one.host)
        if host != one.host:
            one = attrs.evolve(one, host=host)
        if accept is None or accept(one):
            found[kind].setdefault(host, one)
    kinds = (AddressKind.ORDINARY, AddressKind.LINK_LOCAL, AddressKind.LOOPBACK)
    ordinary, local, loopback = (list(found[kind].values()) for kind in kinds)
    return ordinary, local, loopback


def _without_trackable(hosts: list[HostAddress]) -> list[HostAddress]:
    """Beside a temporary address no permanent one of the same interface and prefix (RFC 8445 5.1.1.1)."""
    private = [(one.interface, _prefix_of(one.host)) for one in hosts if one.is_temporary]
    if not private:
        return hosts
    return [
        one for one in hosts if one.is_temporary or ":" not in one.host or (one.interface, _prefix_of(one.host)) not in private
    ]


def _prefix_of(host: str) -> int:
    return int(ipaddress.IPv6Address(host)) >> _PREFIX


def _with_link_local(ordinary: list[HostAddress], local: list[HostAddress], link_local: bool | None) -> list[HostAddress]:
    if link_local is False or (link_local is None and ordinary):
        return ordinary
    private = [one.interface for one in ordinary if one.is_temporary]
    return ordinary + [one for one in local if ":" not in one.host or one.interface not in private]
