"""Routers: between segments, by the longest prefix, and only so often (RFC 1812)."""

from __future__ import annotations

from typing import NamedTuple

from sansice.machine import Address

from ._icmp import (
    HOPS_EXCEEDED,
    HOST_UNREACHABLE,
    NET_UNREACHABLE,
    PORT_UNREACHABLE,
    PROHIBITED,
    Refusal,
    about,
)
from ._link import Link
from ._packets import Fate, Packet
from ._segment import Interface, Place, Prefix, Reserved, Segment, belongs, check_overlap, prefix_of
from ._world import World

REASONS: dict[str, Refusal | None] = {
    "net": NET_UNREACHABLE,
    "host": HOST_UNREACHABLE,
    "admin": PROHIBITED,
    "silent": None,
}
"""Why a router passes something on to nobody, and what it tells about that."""

MAX_REMEMBERED = 4096  # destinations whose way is at hand; the tables are asked anew after so many


class _Way(NamedTuple):
    """Where packets go from a router: to an interface and perhaps another router there, or nowhere."""

    leg: Interface | None
    hop: str = ""
    refusal: Refusal | None = None


class Router:
    """Passes packets on between the segments that it has a leg at, untranslated.

    It knows every address on segments that it is the gateway of, and makes them known on the segment that it is "behind".
    What it knows no better way for goes there, too. Each passage takes one hop off the packet; who has none left is not
    passed on, and its sender is told.

    Attributes:
        name: for people and seeds.
        icmp: whether it tells senders why their packets are not passed on.
    """

    __slots__ = ("_exact", "_legs", "_outside", "_own", "_remembered", "_reserved", "_table", "_uplink", "_world", "icmp", "name")

    def __init__(
        self,
        world: World,
        name: str,
        outside: Place,
        *,
        address: str | None = None,
        link: Link | None = None,
        downlink: Link | None = None,
    ) -> None:
        self._world = world
        self.name: str = name
        self.icmp: bool = world.icmp
        self._legs: list[Interface] = []
        self._own: dict[str, Interface] = {}
        self._exact: dict[str, Interface] = {}
        self._table: list[tuple[Prefix, _Way]] = []
        self._remembered: dict[str, _Way] = {}
        self._reserved: Reserved = []
        self._outside = outside
        self._uplink = self._add_leg(outside.inside, address, link, downlink)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Its own literals, in the order in which they were given to it."""
        return tuple(self._own)

    @property
    def beyond(self) -> Place:
        """The place that it leads to."""
        return self._outside

    def join(
        self,
        segment: Segment,
        address: str | None = None,
        *,
        gateway: bool = True,
        link: Link | None = None,
        downlink: Link | None = None,
    ) -> Interface:
        """Have a leg at a segment.

        Args:
            segment: where.
            address: the router's own literal there, by which others name it in `route`; none if left out.
            gateway: whether it is the way out of the segment.
            link: the leg's own access link.
            downlink: the same for packets that come to the router, where that differs.

        Raises:
            ValueError: the segment has a way out already, or is what the router leads to; an address or a prefix of it is in use
                elsewhere.
        """
        if any(leg.segment is segment for leg in self._legs):
            raise ValueError(f"{self.name} has a leg at {segment.name} already")
        if gateway and segment.gateway is not None:
            raise ValueError(f"{segment.name} has a way out already: {segment.gateway.owner}. Join it with gateway=False")
        if gateway and self._leads_to(segment):
            raise ValueError(f"{self.name} leads to {segment.name} and cannot be its way out, too. Join it with gateway=False")
        if gateway:
            for prefix, whose in segment.reserved:
                self.reserve(prefix, whose)
        leg = self._add_leg(segment, address, link, downlink)
        if gateway:
            for known in segment.holders():
                if known not in self._own:
                    self.learn(known, segment)
            segment.gateway, segment.way_out = leg, self
        for prefix in segment.prefixes:
            self._add_route(prefix, _Way(leg))
        return leg

    def _leads_to(self, segment: Segment) -> bool:
        place: Place | None = self._outside
        while place is not None and place.inside is not segment:
            place = place.beyond
        return place is not None

    def _add_leg(self, segment: Segment, address: str | None, link: Link | None, downlink: Link | None) -> Interface:
        canonical = "" if address is None else Address.of(address, 0).host
        leg = Interface(
            self.name, segment, self._forward, label=segment.name, router=True, source=canonical, link=link, downlink=downlink
        )
        if canonical:
            segment.attach(canonical, leg)
            self._own[canonical] = leg
        self._legs.append(leg)
        return leg

    def route(self, prefix: str, via: str) -> None:
        """Send what goes to ``prefix`` to another router, where no longer prefix says otherwise.

        Args:
            prefix: such as ``"10.2.0.0/16"`` or ``"::/0"``.
            via: that router's literal address on a segment that this one has a leg at.

        Raises:
            ValueError: no prefix, a route for it is there already, or nobody has that address there.
        """
        hop = Address.of(via, 0).host
        leg = next((leg for leg in self._legs if leg.segment.holder(hop) not in (None, leg)), None)
        if leg is None:
            raise ValueError(f"{self.name} has no leg where somebody else has {hop}")
        self._add_route(prefix_of(prefix), _Way(leg, hop))

    def refuse(self, prefix: str, reason: str = "net") -> None:
        """Pass on nothing that goes to ``prefix``, where no longer prefix says otherwise.

        Args:
            prefix: such as ``"10.2.0.0/16"``.
            reason: what senders are told: ``"net"`` or ``"host"`` unreachable, ``"admin"`` for forbidden, ``"silent"`` for
                nothing.

        Raises:
            ValueError: no prefix, a route for it is there already, or no such reason.
        """
        if reason not in REASONS:
            raise ValueError(f"{reason!r} is no reason to refuse: it is one of {', '.join(REASONS)}")
        self._add_route(prefix_of(prefix), _Way(None, refusal=REASONS[reason]))

    def _add_route(self, prefix: Prefix, way: _Way) -> None:
        if any(known == prefix for known, _ in self._table):
            raise ValueError(f"{self.name} has a route to {prefix} already")
        self._table.append((prefix, way))
        self._table.sort(key=lambda route: -route[0].prefixlen)
        self._remembered.clear()

    # ------------------------------------------------------------- what segments tell

    def learn(self, address: str, segment: Segment) -> None:
        """An address appeared at a segment that this router is the gateway of. See `sansice.simulation.Segment`.

        Raises:
            ValueError: another has it already.
        """
        if address in self._exact or address in self._own:
            raise ValueError(f"{address} at {segment.name} is known to {self.name} from elsewhere already")
        self._outside.attach(address, self._uplink)
        self._exact[address] = next(leg for leg in self._legs if leg.segment is segment)

    def unlearn(self, address: str) -> None:
        """It is gone."""
        del self._exact[address]
        self._outside.detach(address)

    def reserve(self, prefix: Prefix, whose: str) -> None:
        """A segment further in uses a prefix.

        Raises:
            ValueError: it overlaps another's.
        """
        check_overlap(self._reserved, prefix, whose, self.name)
        self._outside.inside.reserve(prefix, whose)
        self._reserved.append((prefix, whose))

    # ------------------------------------------------------------- what packets meet

    def _forward(self, packet: Packet, direct: bool) -> None:
        destination = packet[1][0]
        way = self._way(destination)
        leg = way.leg
        if leg is None:
            self._drop(packet, Fate.NO_ROUTE, way.refusal)
        elif destination in self._own:
            self._drop(packet, Fate.CLOSED_PORT, PORT_UNREACHABLE)
        elif packet.hops <= 1:
            self._drop(packet, Fate.HOPS_EXCEEDED, HOPS_EXCEEDED)
        elif not way.hop and not leg.segment.wide and self._is_absent(leg, destination):
            self._drop(packet, Fate.UNROUTABLE, HOST_UNREACHABLE)
        else:
            packet = packet._replace(hops=packet.hops - 1)
            if self._world.watched:
                self._world.note(self.name, Fate.FORWARDED, packet, leg.name)
            leg.segment.carry(leg, packet, direct, way.hop)

    def _is_absent(self, leg: Interface, destination: str) -> bool:
        segment = leg.segment
        return segment.holder(destination) is None and segment.gateway in (None, leg)

    def _way(self, destination: str) -> _Way:
        exact = self._exact.get(destination) or self._own.get(destination)
        if exact is not None:
            return _Way(exact)
        way = self._remembered.get(destination)
        if way is None:
            if len(self._remembered) >= MAX_REMEMBERED:
                self._remembered.clear()
            way = self._remembered[destination] = self._find(destination)
        return way

    def _find(self, destination: str) -> _Way:
        for prefix, way in self._table:
            if belongs(destination, prefix):
                return way
        return _Way(self._uplink)

    def _drop(self, packet: Packet, fate: Fate, refusal: Refusal | None) -> None:
        self._world.lose(self.name, fate, packet)
        if refusal is None or not self.icmp:
            return
        speaker = next((own for own in self._own if (":" in own) == packet.is_ipv6), "")
        error = about(packet, refusal, speaker)
        back = self._way(packet.source.host)
        if error is not None and back.leg is not None:
            back.leg.segment.carry(back.leg, error, False, back.hop)
