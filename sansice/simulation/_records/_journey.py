"""Journeys: what happened to one packet, from the host that it left to all its ends."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from sansice.simulation._world._packets import Fate, Packet


class Stop(NamedTuple):
    """A place that a packet left, on its way.

    Attributes:
        time: virtual seconds.
        place: a host, a NAT or a router.
    """

    time: float
    place: str


class End(NamedTuple):
    """Where a packet ended.

    Attributes:
        time: virtual seconds.
        place: a host, a NAT, a router; of what was lost on a link, the segment.
        fate: what happened there: `Fate.DELIVERED` or a loss.
        on_a_link: it was lost between two places.
    """

    time: float
    place: str
    fate: Fate
    on_a_link: bool


@attrs.define(eq=False)
class Journey:
    """The way of one packet.

    Attributes:
        packet: as its host sent it, or as it was first seen.
        stops: what it left, in order: the host, then the NATs and routers it passed.
        ends: none while it is under way, several where it went to a multicast group.
        is_copy: a link made it of another packet, which has a journey of its own.
    """

    packet: Packet
    stops: list[Stop]
    ends: list[End] = attrs.field(factory=list)
    is_copy: bool = False

    @property
    def time(self) -> float:
        """When it began, virtual seconds."""
        return self.stops[0].time

    @property
    def origin(self) -> str:
        """The host that sent it; "" where nobody saw it leave."""
        return self.stops[0].place

    @property
    def paths(self) -> list[list[str]]:
        """The places that it passed, one list for each of its ends; an end on a link is no place."""
        passed = [stop.place for stop in self.stops if stop.place]
        return [[*passed, *([] if end.on_a_link else [end.place])] for end in self.ends] or [passed]
