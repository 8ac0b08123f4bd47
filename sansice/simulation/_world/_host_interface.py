"""Interfaces of hosts: they go down, come up, and change their address while sockets use them."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sansice.machine import Address

from ._link import Link
from ._segment import Interface, Place, Prefix, Segment, belongs, prefix_of

if TYPE_CHECKING:
    from ._host import Host

_MOST_BITS = 129  # a destination on the same segment: better than any prefix


class HostInterface(Interface):
    """One address of a host at one place; what `Host.attach` returns.

    Sockets stay bound through everything that happens here, as on Linux. While the interface is down, or after its
    address has changed, what they send is refused by the system, and nothing reaches them; once the address is back,
    they work as before.

    Attributes:
        address: the literal that it has at present.
        is_up: whether it works.
        has_moved: whether it ever had another address.
        metric: where several interfaces lead to a destination equally well, the host prefers the lowest.
    """

    __slots__ = ("_host", "_named", "_place", "_routes", "address", "has_moved", "is_up", "metric")

    def __init__(
        self,
        host: Host,
        address: str,
        place: Place,
        *,
        link: Link | None,
        downlink: Link | None,
        name: str | None,
        metric: int,
        routes: Iterable[str] | None,
    ) -> None:
        super().__init__(
            host.name, place.inside, host.receive, label=name or address, source=address, link=link, downlink=downlink
        )
        self._host = host
        self._named = name is not None
        self._place = place
        self._routes: tuple[Prefix, ...] | None = None if routes is None else tuple(map(prefix_of, routes))
        self.address: str = address
        self.is_up: bool = True
        self.has_moved: bool = False
        self.metric: int = metric

    @property
    def label(self) -> str:
        """What it is called on its host: the name that it was given, or its address."""
        return self.name[len(self.owner) + 1 :]

    def down(self) -> None:
        """Pull the cable, or leave the radio's range. Nothing happens to one that is down."""
        self.is_up = False
        self._host.settle(self)

    def up(self) -> None:
        """Work again, or for the first time, with the address that it has."""
        self.is_up = True
        self._host.settle(self)

    def readdress(self, address: str, behind: Place | None = None) -> None:
        """Have another address from now on, as after a new lease; sockets bound to the old one stay as they are.

        Args:
            address: a literal of the same family.
            behind: where, if it is somewhere else from now on, as after roaming. The access link stays.

        Raises:
            ValueError: no literal, of the other family, or taken. The interface stays as it was.
        """
        place = behind if behind is not None else self._place
        canonical = Address.of(address, 0).host
        if (":" in canonical) != (":" in self.address):
            raise ValueError(f"{self.name} cannot become {canonical}, which is of the other family")
        self._host.rename(self, self.address, canonical, place)
        self._place = place
        self.segment: Segment = place.inside
        self.address = canonical
        self.has_moved = True
        if not self._named:
            self.name: str = f"{self.owner} {canonical}"
        self._host.settle(self)

    @property
    def place(self) -> Place:
        """Where it is attached."""
        return self._place

    def reach(self, destination: str) -> int:
        """How well this interface leads to a destination: the bits of its longest route there, or -1."""
        if not self.source or (":" in destination) != (":" in self.address):
            return -1
        if self._routes is not None:
            return max((route.prefixlen for route in self._routes if belongs(destination, route)), default=-1)
        segment = self.segment
        if segment.wide:
            return 0
        if segment.holder(destination) is not None or any(belongs(destination, prefix) for prefix in segment.prefixes):
            return _MOST_BITS
        link_local = ipaddress.ip_address(destination).is_link_local
        return 0 if segment.gateway is not None and not link_local else -1
