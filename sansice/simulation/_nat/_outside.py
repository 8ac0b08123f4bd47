"""The outer addresses of a NAT, and what is forwarded from them: checked, and shared out."""

from __future__ import annotations

from collections.abc import Sequence

from sansice.machine import Address
from sansice.simulation._world._world import World

from ._forwards import Forward
from ._kind import NatKind, PortAssignment
from ._table import Quota, Setting
from ._translator import Translator


def translators(
    world: World, name: str, families: dict[bool, list[str]], kind: NatKind, forwards: Sequence[Forward]
) -> dict[bool, Translator]:
    """What translates each family of `outer_addresses`.

    Raises:
        ValueError: several addresses that nothing says how to share, or a forward from elsewhere.
    """
    _check_forwards(name, [host for hosts in families.values() for host in hosts], forwards)
    quota = Quota(kind.max_mappings, kind.max_mappings_per_host)
    return {
        ipv6: _translator(world, name, hosts, kind, quota, [one for one in forwards if (":" in one.outer.host) is ipv6])
        for ipv6, hosts in families.items()
    }


def outer_addresses(name: str, addresses: Sequence[str]) -> dict[bool, list[str]]:
    """The outer addresses as canonical literals, by whether they are IPv6.

    Raises:
        ValueError: none at all, no literal, or one twice.
    """
    if not addresses:
        raise ValueError(f"{name} has an empty pool: a NAT needs at least one outer address")
    families: dict[bool, list[str]] = {}
    for address in addresses:
        host = Address.of(address, 0).host
        family = families.setdefault(":" in host, [])
        if host in family:
            raise ValueError(f"{name} has the outer address {host} twice")
        family.append(host)
    return families


def _translator(world: World, name: str, hosts: list[str], kind: NatKind, quota: Quota, forwards: list[Forward]) -> Translator:
    whole = [forward.outer.host for forward in forwards if not forward.outer.port]
    # An address that is one inner host's alone serves nobody else, unless there is no other.
    shared = [host for host in hosts if host not in whole] or hosts
    if len(shared) > 1 and kind.pooling is None:
        raise ValueError(
            f"{name}: one outer address a family, not both {shared[0]} and {shared[1]}, unless pooling says who gets which"
        )
    if len(shared) > 1 and kind.ports is PortAssignment.OVERLOADING:
        raise ValueError(f"{name}: ports can be overloaded at one outer address, not at {', '.join(shared)}")
    label = f"{name} IPv6" if ":" in hosts[0] else name
    reserved = frozenset(forward.outer for forward in forwards)
    return Translator(Setting(world, label, tuple(shared), kind, quota, reserved), hosts, forwards)


def _check_forwards(name: str, hosts: Sequence[str], forwards: Sequence[Forward]) -> None:
    seen: set[tuple[str, str, Address]] = set()
    for forward in forwards:
        if forward.outer.host not in hosts:
            raise ValueError(f"{name} cannot forward from {forward.outer.host}: its outer addresses are {', '.join(hosts)}")
        for protocol in forward.protocols:
            for side, address in (("from", forward.outer), ("to", forward.inner)):
                if (protocol, side, address) in seen:
                    raise ValueError(f"{name} forwards {protocol} {side} {address} twice")
                seen.add((protocol, side, address))
