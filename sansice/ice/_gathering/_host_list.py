"""From the addresses that an agent is given to those that it opens sockets for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, Union

from sansice.machine import LocalProtocolError

from ._addresses import usable_addresses
from ._options import GatheringOptions

if TYPE_CHECKING:
    from ._hosts import HostAddress

HostsGiven: TypeAlias = Sequence[Union["HostAddress", str]]
"""The machine's addresses: literals, or values that say more."""

_NOTHING: Mapping[str, str] = MappingProxyType({})


class HostList(NamedTuple):
    """Addresses in the order of preference, and the interfaces of those whose interfaces are known. Agents share one."""

    names: Sequence[str]
    interfaces: Mapping[str, str] = _NOTHING


def host_list(given: HostsGiven, options: GatheringOptions, include_loopback: bool | None, limit: int) -> HostList:
    """The addresses to use, in order.

    Raises:
        LocalProtocolError: what was given is no list of addresses; a cost outside its range.
    """
    if isinstance(given, str):
        raise LocalProtocolError(f"gather(): a list of addresses, not the one text {given!r}")
    # What the application's own functions say may be another thing the next time; the rest is the same at every connection.
    choose = _choose_anew if options.accept is not None or options.cost is not None else _choose
    try:
        return choose(tuple(given), options, include_loopback, limit)
    except ValueError as error:
        raise LocalProtocolError(f"gather(): {error}") from None


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
    return HostList([one.host for one in hosts], {one.host: one.interface for one in hosts})


_choose = lru_cache(16)(_choose_anew)


def _ordered(names: list[str]) -> list[str]:
    ipv6 = [name for name in names if ":" in name]
    if not ipv6 or len(ipv6) == len(names):
        return names
    from ._hosts import intermingle

    return intermingle(ipv6, [name for name in names if ":" not in name])
