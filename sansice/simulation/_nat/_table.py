"""What every table of translations offers, whatever it remembers and by which rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterator
from typing import Protocol

import attrs

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet
from sansice.simulation._world._world import World

from ._kind import Filtering, Mapping, NatKind, NatMapping

MAPPING_KEY: dict[Mapping, Callable[[Address, Address], Hashable]] = {
    Mapping.ENDPOINT_INDEPENDENT: lambda inner, peer: inner,
    Mapping.ADDRESS_DEPENDENT: lambda inner, peer: (inner, peer[0]),
    Mapping.ADDRESS_AND_PORT_DEPENDENT: lambda inner, peer: (inner, peer),
}

FILTERING_KEY: dict[Filtering, Callable[[Address], Hashable]] = {
    Filtering.ENDPOINT_INDEPENDENT: lambda peer: None,
    Filtering.ADDRESS_DEPENDENT: lambda peer: peer[0],
    Filtering.ADDRESS_AND_PORT_DEPENDENT: lambda peer: peer,
}


class Table(Protocol):
    """The translations of one protocol. Addresses inside are inner ones, those it hands out are outer ones."""

    def leave(self, packet: Packet) -> Address | Fate:
        """Let a packet out: the outer source that it leaves with, or why it does not."""
        ...

    def enter(self, packet: Packet) -> Address | Fate:
        """Let a packet in: the inner destination that it goes to, or why it does not."""
        ...

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """What ``inner`` is for ``peer``, by a translation that lives. Asking keeps nothing alive (RFC 5508 REQ-5)."""
        ...

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """Who ``outer`` is for ``peer``, or why it is nobody. Asking keeps nothing alive."""
        ...

    def mappings(self) -> Iterator[NatMapping]:
        """What lives at present."""
        ...

    def clear(self) -> None:
        """Forget everything."""
        ...


@attrs.frozen
class Setting:
    """What all tables of one family of a NAT are made from.

    Attributes:
        label: the NAT's name, and what else tells the family apart: for the seed.
        hosts: the outer addresses that serve everybody.
        quota: shared with the other tables.
        reserved: outer addresses that are given to nobody, because they are forwarded.
    """

    world: World
    label: str
    hosts: tuple[str, ...]
    kind: NatKind
    quota: Quota
    reserved: frozenset[Address] = frozenset()  # only ever asked for membership


class Quota:
    """How many mappings there may be at a time, in all tables of a NAT together (RFC 6888 REQ-4)."""

    __slots__ = ("_of_host", "_per_host", "_sweepers", "_total", "_used")

    def __init__(self, total: int | None, per_host: int | None) -> None:
        self._total = total
        self._per_host = per_host
        self._used = 0
        self._of_host: Counter[str] = Counter()
        self._sweepers: list[Callable[[], None]] = []

    def share(self, sweep: Callable[[], None]) -> None:
        """Let a table take part: ``sweep()`` gives back what has expired in it."""
        self._sweepers.append(sweep)

    def take(self, host: str) -> bool:
        """Count one more mapping of an inner host, unless that is too many."""
        if self._exceeded(host):
            for sweep in self._sweepers:
                sweep()
            if self._exceeded(host):
                return False
        self._used += 1
        self._of_host[host] += 1
        return True

    def give(self, host: str) -> None:
        """Count one less."""
        self._used -= 1
        self._of_host[host] -= 1
        if not self._of_host[host]:
            del self._of_host[host]

    def _exceeded(self, host: str) -> bool:
        if self._total is not None and self._used >= self._total:
            return True
        return self._per_host is not None and self._of_host[host] >= self._per_host
