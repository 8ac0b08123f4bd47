"""From lines of the trace to journeys: which passages belong to one packet."""

from __future__ import annotations

import functools
import ipaddress
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

from sansice.machine import Address, IcmpError
from sansice.simulation._world._packets import Fate, Packet, Passage, TcpSegment

from ._fates import is_loss
from ._journey import End, Journey, Stop

# Enough to know a datagram by, and its first fragment too: a STUN header with what follows it.
_KNOWN_BY = 40  # bytes: what the smallest MTU, 68 (RFC 791 3.2), leaves of the first fragment's data

_MOST_INSIDE = 64  # datagrams in one place: whatever waits for its other fragments longer is taken for gone

_Key: TypeAlias = tuple[Address, Address, bytes, IcmpError | None, Address, TcpSegment | None]


@functools.lru_cache(1024)
def is_group(host: str) -> bool:
    """Whether an address is a multicast group's, at which one packet arrives many times."""
    return ipaddress.ip_address(host).is_multicast


def _data(packet: Packet) -> bytes:
    return packet.data[:_KNOWN_BY]


def _key(packet: Packet) -> _Key:
    return packet.source, packet.destination, _data(packet), packet.icmp, packet.quoted, packet.tcp


class Tracker:
    """Follows every packet from its host on; an observer for `Network.watch`.

    A fragmented datagram is followed by its first fragment. Of equal packets under way, the one that left first arrives
    first. One to a multicast group arrives wherever somebody listens.

    Args:
        begun: told of each journey when it begins; what becomes of it is added later.

    Attributes:
        reached: at which host packets for an address last arrived, by the address to which they were sent.
    """

    def __init__(self, begun: Callable[[Journey], object]) -> None:
        self._begun = begun
        self._under_way: dict[_Key, deque[Journey]] = {}
        self._to_groups: dict[tuple[Address, Address], Journey] = {}  # the last one from one address to one group
        self._inside: dict[str, deque[tuple[Journey, Packet]]] = {}  # what came to a place and has not left it or ended there
        self._owners: dict[str, str] = {}
        self.reached: dict[Address, str] = {}

    def __call__(self, passage: Passage) -> None:
        """Take a line of the trace."""
        fate, packet = passage.fate, passage.packet
        if packet.fragment is not None and packet.fragment.offset:
            return
        if fate is Fate.SENT:
            self._leave(self._begin(passage, passage.place), packet)
        elif fate is Fate.ARRIVED:
            self._enter(passage)
        elif fate in (Fate.TRANSLATED, Fate.FORWARDED):
            self._pass_on(passage)
        elif fate is Fate.DUPLICATED:
            self._double(packet)
        elif fate is Fate.DELIVERED:
            journey = self._found(passage)
            self.reached[journey.packet.destination] = passage.place
            self._end(journey, passage)
        elif is_loss(fate):
            self._end(self._found(passage, newest=not passage.interface), passage)

    def _begin(self, passage: Passage, origin: str) -> Journey:
        if origin:
            self._owners[passage.packet.source.host] = origin
        journey = Journey(passage.packet, [Stop(passage.time, origin)])
        self._begun(journey)
        return journey

    def _leave(self, journey: Journey, packet: Packet) -> None:
        if is_group(packet.destination.host):
            self._to_groups[packet.source, packet.destination] = journey
        else:
            self._under_way.setdefault(_key(packet), deque()).append(journey)

    def _enter(self, passage: Passage) -> None:
        inside = self._inside.setdefault(passage.place, deque(maxlen=_MOST_INSIDE))
        inside.append((self._take(passage), passage.packet))

    def _take(self, passage: Passage, *, newest: bool = False) -> Journey:
        """The journey of what is under way; a new one if nobody saw it leave."""
        packet = passage.packet
        to_group = self._to_groups.get((packet.source, packet.destination))
        if to_group is not None:
            return to_group
        key = _key(packet)
        waiting = self._under_way.get(key)
        if waiting is None:
            return self._begin(passage, self._owners.get(packet.source.host, ""))
        journey = waiting.pop() if newest else waiting.popleft()
        if not waiting:
            del self._under_way[key]
        return journey

    def _found(self, passage: Passage, *, newest: bool = False) -> Journey:
        """The journey of what ends: it was inside this place, or else it was under way.

        Hosts and NATs lose what came to them first; a link (``newest``) loses what left for it last.
        """
        key = _key(passage.packet)
        inside = self._inside.get(passage.place, ())
        index = next((index for index, (_, packet) in enumerate(inside) if _key(packet) == key), None)
        if index is None:
            return self._take(passage, newest=newest)
        journey = inside[index][0]
        del self._inside[passage.place][index]
        return journey

    def _pass_on(self, passage: Passage) -> None:
        place, packet = passage.place, passage.packet
        inside = self._inside.get(place)
        if not inside:
            self._leave(self._begin(passage, place), packet)
            return
        # By its data, because addresses change; a gateway that changes data too has got it just now.
        index = next((index for index, (_, one) in enumerate(inside) if _data(one) == _data(packet)), -1)
        journey = inside[index][0]
        del inside[index]
        journey.stops.append(Stop(passage.time, place))
        self._owners.setdefault(packet.source.host, place)
        self._leave(journey, packet)

    def _double(self, packet: Packet) -> None:
        waiting = self._under_way.get(_key(packet))
        if waiting is not None:
            original = waiting[-1]
            copy = Journey(original.packet, list(original.stops), is_copy=True)
            self._begun(copy)
            waiting.append(copy)

    def _end(self, journey: Journey, passage: Passage) -> None:
        on_a_link = not passage.interface and passage.place not in self._inside and passage.place != journey.origin
        journey.ends.append(End(passage.time, passage.place, passage.fate, on_a_link))
