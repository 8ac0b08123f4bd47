"""Segments: a stretch of network in which every address means one interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ._link import Line, Link
from ._packets import Fate, Packet
from ._world import World


class Interface:
    """Where a host or a router touches a segment.

    Attributes:
        owner: the name of the host, NAT or router.
        name: of the interface: its owner's and what distinguishes it there, such as an address.
        receive: what takes the packets that arrive. Its second argument says whether no machine is on the stack, so that
            a hop which takes no time may hand the packet over at once.
        router: whether it passes packets on. A router is given a packet that takes no time even under a machine,
            because a router only ever hands it to another segment.
        line: the interface's own access link, where it has one.
    """

    __slots__ = ("line", "name", "owner", "receive", "router", "segment")

    def __init__(
        self,
        owner: str,
        segment: Segment,
        receive: Callable[[Packet, bool], None],
        *,
        label: str = "",
        router: bool = False,
        link: Link | None = None,
    ) -> None:
        self.owner: str = owner
        self.name: str = f"{owner} {label}" if label else owner
        self.segment: Segment = segment
        self.receive: Callable[[Packet, bool], None] = receive
        self.router: bool = router
        self.line: Line | None = None
        if link is not None:
            self.line = Line(segment.world, f"{owner} at {segment.name}", link)

    def arrive(self, packet: Packet) -> None:
        """Take a packet out of the event heap."""
        if self.router:
            self.note_arrival(packet)
        self.receive(packet, True)

    def note_arrival(self, packet: Packet) -> None:
        """Tell who watches that a packet reached a router here."""
        world = self.segment.world
        if world.watched:
            world.note(self.owner, Fate.ARRIVED, packet, self.name)

    def send(self, packet: Packet, direct: bool = False) -> None:
        """Put a packet onto the segment."""
        self.segment.carry(self, packet, direct)


class Place(Protocol):
    """Where an interface can be attached: a segment, or what has one inside, such as a NAT."""

    @property
    def inside(self) -> Segment:
        """The segment that hosts "behind" this place live on."""
        ...

    def attach(self, address: str, interface: Interface) -> None:
        """Give ``address``, a canonical literal, to ``interface``."""
        ...


class Segment:
    """A local network, or the Internet: addresses, one link that they share, perhaps a way out.

    Attributes:
        gateway: takes what is addressed to nobody here.
    """

    __slots__ = ("_interfaces", "_line", "gateway", "name", "world")

    def __init__(self, world: World, name: str, link: Link) -> None:
        self.world: World = world
        self.name: str = name
        self.gateway: Interface | None = None
        self._line = Line(world, name, link)
        self._interfaces: dict[str, Interface] = {}

    @property
    def inside(self) -> Segment:
        """The segment itself: what is attached "behind" a segment is attached to it."""
        return self

    @property
    def link(self) -> Link:
        """How this segment treats packets. May be replaced at any time; packets under way keep their times."""
        return self._line.link

    @link.setter
    def link(self, link: Link) -> None:
        self._line.link = link

    def attach(self, address: str, interface: Interface) -> None:
        """Give ``address``, a canonical literal, to ``interface``.

        Raises:
            ValueError: it is taken.
        """
        if address in self._interfaces:
            raise ValueError(f"{address} is taken at {self.name} by {self._interfaces[address].owner}")
        self._interfaces[address] = interface

    def carry(self, sender: Interface, packet: Packet, direct: bool) -> None:
        """Take a packet from one interface to the one that has its destination, or lose it."""
        world = self.world
        if world.drop is not None and world.drop(packet):
            world.lose(self.name, Fate.DROPPED, packet)
            return
        receiver = self._interfaces.get(packet[1][0], self.gateway)
        if receiver is None or receiver is sender:
            world.lose(self.name, Fate.UNROUTABLE, packet)
            return
        line = self._line
        if line.steady and sender.line is None and receiver.line is None:
            if line.latency == 0.0 and (direct or receiver.router):
                if world.watched and receiver.router:
                    receiver.note_arrival(packet)
                receiver.receive(packet, direct)
            else:
                clock = world.clock
                clock.at(clock.now + line.latency, receiver.arrive, packet)
            return
        self._carry_over_lines(sender, receiver, packet)

    def _carry_over_lines(self, sender: Interface, receiver: Interface, packet: Packet) -> None:
        world = self.world
        delays: list[float] = [0.0]
        for line in (sender.line, self._line, receiver.line):
            if line is not None:
                delays = line.delays(delays)
        if not delays:
            world.lose(self.name, Fate.LOST, packet)
        if len(delays) > 1:
            world.note(self.name, Fate.DUPLICATED, packet)
        for delay in delays:
            world.clock.at(world.clock.now + delay, receiver.arrive, packet)
