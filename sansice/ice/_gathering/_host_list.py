"""From the addresses that an agent is given to those that it opens sockets for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

import attrs

from sansice.ice._candidate import TcpType
from sansice.machine import LocalProtocolError

from ._addresses import usable_addresses
from ._options import GatheringOptions

if TYPE_CHECKING:
    from ._hosts import HostAddress

HostsGiven: TypeAlias = Sequence[Union["HostAddress", str]]
"""The machine's addresses: literals, or values that say more."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class Counts(NamedTuple):
    """How many sockets one address gives to each component. A connection of its own needs no socket before it is made."""

    udp: int = 1
    passive: int = 1

    def of(self, kind: TcpType | None) -> int:
        """Those of a kind of candidate; ``None`` is UDP."""
        if kind is None:
            return self.udp
        return self.passive if kind is TcpType.PASSIVE else 1


_SINGLE = Counts()
_ONE_EACH: Mapping[str, Counts] = MappingProxyType({})


class Seat(NamedTuple):
    """One of the sockets of an address, of each kind: the first one, the second, and so on from 0."""

    host: str
    ordinal: int


@attrs.frozen
class HostList:
    """Addresses in the order of preference, and what is known of them. Agents share one.

    Attributes:
        names: literals.
        interfaces: of those whose interfaces are known.
        counts: of those that do not give one socket of each kind.
        seats: which sockets there are at most, in the order of preference: the first of each address, then the second ones.
    """

    names: Sequence[str]
    interfaces: Mapping[str, str] = _NOTHING
    counts: Mapping[str, Counts] = _ONE_EACH
    seats: tuple[Seat, ...] = attrs.field(init=False, eq=False, default=attrs.Factory(lambda self: _seats(self), takes_self=True))

    def has(self, seat: Seat, kind: TcpType | None) -> bool:
        """Whether an address has such a socket of this kind; ``None`` is UDP."""
        return seat.ordinal < self.counts.get(seat.host, _SINGLE).of(kind)


def _seats(hosts: HostList) -> tuple[Seat, ...]:
    most = {host: max(hosts.counts.get(host, _SINGLE)) for host in hosts.names}
    rounds = range(max(most.values(), default=0))
    return tuple([Seat(host, ordinal) for ordinal in rounds for host in hosts.names if ordinal < most[host]])


NO_HOSTS = HostList(())


def host_list(given: HostsGiven, options: GatheringOptions, include_loopback: bool | None, limit: int) -> HostList:
    """The addresses to use, in order.

    Raises:
        LocalProtocolError: what was given is no list of addresses; a cost outside its range.
    """
    if isinstance(given, str):
        raise LocalProtocolError(f"addresses: a list of addresses, not the one text {given!r}")
    # What the application's own functions say may be another thing the next time; the rest is the same at every connection.
    choose = _choose_anew if options.accept is not None or options.cost is not None else _choose
    try:
        return choose(tuple(given), options, include_loopback, limit)
    except ValueError as error:
        raise LocalProtocolError(f"addresses: {error}") from None


def _choose_anew(
    given: tuple[HostAddress | str, ...], options: GatheringOptions, include_loopback: bool | None, limit: int
) -> HostList:
    literals = [one for one in given if isinstance(one, str)]
    if len(literals) == len(given) and not options.chooses_hosts:
        return HostList(_ordered(usable_addresses(literals, include_loopback))[:limit])
    from ._hosts import choose_hosts  # who says nothing about addresses need not load what weighs it

    hosts = choose_hosts(
        given,
        include_loopback=include_loopback,
        link_local=options.link_local,
        accept=options.accept,
        cost=options.cost,
        limit=limit,
    )
    return HostList([one.host for one in hosts], {one.host: one.interface for one in hosts}, _counts(hosts, limit - len(hosts)))


def _counts(hosts: Sequence[HostAddress], room: int) -> dict[str, Counts]:
    """How many sockets they give, where that is not one of each kind; beside the first ones no more than there is room for."""
    counts: dict[str, Counts] = {}
    for one in hosts:
        more = max(0, min(max(one.udp_sockets, one.tcp_listeners) - 1, room))
        room -= more
        counts[one.host] = Counts(min(one.udp_sockets, 1 + more), min(one.tcp_listeners, 1 + more))
    return {host: given for host, given in counts.items() if given != _SINGLE}


_choose = lru_cache(16)(_choose_anew)


def _ordered(names: list[str]) -> list[str]:
    ipv6 = [name for name in names if ":" in name]
    if not ipv6 or len(ipv6) == len(names):
        return names
    from ._hosts import intermingle

    return intermingle(ipv6, [name for name in names if ":" not in name])
