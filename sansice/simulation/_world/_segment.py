"""Segments: a stretch of network in which every address means one interface."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from typing import Protocol, TypeAlias

from ._crossing import fit, reach, set_out
from ._icmp import HOST_UNREACHABLE, about
from ._link import Line, Link
from ._packets import Fate, Packet
from ._world import World

Prefix: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

Reserved: TypeAlias = list[tuple[Prefix, str]]

_GROUP_STARTS = ("22", "23", "ff")  # of every IPv4 and IPv6 multicast address, and of few others


class Interface:
    """Where a host or a router touches a segment.

    Attributes:
        owner: the name of the host, NAT or router.
        name: of the interface: its owner's and what distinguishes it there, such as an address.
        segment: what it is attached to.
        receive: what takes the packets that arrive. Its second argument says whether no machine is on the stack, so that
            a hop which takes no time may hand the packet over at once.
        router: whether it passes packets on. A router is given a packet that takes no time even under a machine,
            because a router only ever hands it to another segment.
        source: the address that packets may leave with; empty where none may, as while a host's interface is down.
        uplink, downlink: the interface's own access link, where it has one: away from it, and towards it.
    """

    __slots__ = ("downlink", "name", "owner", "receive", "router", "segment", "source", "uplink")

    def __init__(
        self,
        owner: str,
        segment: Segment,
        receive: Callable[[Packet, bool], None],
        *,
        label: str = "",
        router: bool = False,
        source: str = "",
        link: Link | None = None,
        downlink: Link | None = None,
    ) -> None:
        self.owner: str = owner
        self.name: str = f"{owner} {label}" if label else owner
        self.segment: Segment = segment
        self.receive: Callable[[Packet, bool], None] = receive
        self.router: bool = router
        self.source: str = source
        self.uplink: Line | None = None
        self.downlink: Line | None = None
        if link is not None or downlink is not None:
            self._make_lines(link or Link(), downlink or link or Link())

    @property
    def link(self) -> Link | None:
        """The access link, as it treats packets that leave here. Setting it sets both directions, at any time."""
        return None if self.uplink is None else self.uplink.link

    @link.setter
    def link(self, link: Link) -> None:
        self._make_lines(link, link)

    def set_links(self, link: Link, downlink: Link) -> None:
        """Set how packets are treated that leave here, and how those are that come here."""
        self._make_lines(link, downlink)

    def _make_lines(self, link: Link, downlink: Link) -> None:
        if self.uplink is None or self.downlink is None:
            label = f"{self.owner} at {self.segment.name}"
            self.uplink = Line(self.segment.world, f"{label}, up", link)
            self.downlink = Line(self.segment.world, f"{label}, down", downlink)
        else:
            self.uplink.link, self.downlink.link = link, downlink

    @property
    def mtu(self) -> int | None:
        """Bytes of the longest packet that can leave here, as far as the owner's own system knows."""
        mtus = [line.mtu for line in (self.uplink, self.segment.line) if line is not None and line.mtu is not None]
        return min(mtus, default=None)

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

    def send(self, packet: Packet, direct: bool = False) -> bool:
        """Put a packet onto the segment. Returns what `Segment.carry` does."""
        return self.segment.carry(self, packet, direct)


class Place(Protocol):
    """Where an interface can be attached: a segment, or what has one inside, such as a NAT."""

    @property
    def inside(self) -> Segment:
        """The segment that hosts "behind" this place live on."""
        ...

    @property
    def beyond(self) -> Place | None:
        """The place that it leads to; ``None`` where it leads nowhere."""
        ...

    def attach(self, address: str, interface: Interface) -> None:
        """Give ``address``, a canonical literal, to ``interface``."""
        ...

    def detach(self, address: str) -> None:
        """Take an address away again."""
        ...


class WayOut(Protocol):
    """What connects a segment with others, and wants to know who lives there: a router."""

    @property
    def beyond(self) -> Place:
        """The place that it leads to."""
        ...

    def learn(self, address: str, segment: Segment) -> None:
        """An address appeared at a segment. Raises ValueError where another has it already."""
        ...

    def unlearn(self, address: str) -> None:
        """It is gone."""
        ...

    def reserve(self, prefix: Prefix, whose: str) -> None:
        """A segment further in uses a prefix. Raises ValueError where that overlaps another."""
        ...


class Segment:
    """A local network, or the Internet: addresses, one link that they share, perhaps a way out.

    Args:
        world: what it is part of.
        name: for people and seeds.
        link: how it treats packets. It is one medium, as radio is: with a bandwidth, all who are on it share that.
        prefixes: of the addresses on it, such as ``"10.1.0.0/16"``; any address where there are none.
        wide: whether every address belongs here that a host knows no better way to, as on the Internet.

    Attributes:
        gateway: takes what is addressed to nobody here.
        way_out: is told of the addresses that appear here.
        reserved: prefixes that are in use here or further in, and whose they are.
        icmp: whether senders are told of packets too big for a link here. Without, it is a "black hole" (RFC 2923 2.1).
        tells_absence: whether senders are told of packets to addresses that nobody has. The Internet mostly says nothing.

    Raises:
        ValueError: prefixes that are none, or overlap.
    """

    __slots__ = (
        "_groups",
        "_interfaces",
        "gateway",
        "icmp",
        "line",
        "name",
        "prefixes",
        "reserved",
        "tells_absence",
        "way_out",
        "wide",
        "world",
    )

    def __init__(self, world: World, name: str, link: Link, prefixes: Iterable[str] = (), *, wide: bool = False) -> None:
        self.world: World = world
        self.name: str = name
        self.wide: bool = wide
        self.gateway: Interface | None = None
        self.way_out: WayOut | None = None
        self.icmp: bool = world.icmp
        self.tells_absence: bool = False
        self.line: Line = Line(world, name, link)
        self._interfaces: dict[str, Interface] = {}
        self._groups: dict[str, Group] = {}
        self.reserved: Reserved = []
        self.prefixes: tuple[Prefix, ...] = tuple(map(prefix_of, prefixes))
        for prefix in self.prefixes:
            self.reserve(prefix, name)

    @property
    def inside(self) -> Segment:
        """The segment itself: what is attached "behind" a segment is attached to it."""
        return self

    @property
    def beyond(self) -> Place | None:
        """The place that its way out leads to."""
        return None if self.way_out is None else self.way_out.beyond

    @property
    def link(self) -> Link:
        """How this segment treats packets. May be replaced at any time; packets under way keep their times."""
        return self.line.link

    @link.setter
    def link(self, link: Link) -> None:
        self.line.link = link

    def attach(self, address: str, interface: Interface) -> None:
        """Give ``address``, a canonical literal, to ``interface``.

        Raises:
            ValueError: it is taken, here or where this segment leads to, or it is none of the segment's prefixes', or one of
                those of a segment further in.
        """
        if address in self._interfaces:
            raise ValueError(f"{address} is taken at {self.name} by {self._interfaces[address].owner}")
        if self.prefixes and not interface.router and not any(belongs(address, prefix) for prefix in self.prefixes):
            raise ValueError(f"{address} is none of {self.name}'s, which has {', '.join(map(str, self.prefixes))}")
        if not interface.router:
            for prefix, whose in self.reserved:
                if whose != self.name:
                    _check_apart(address, interface, prefix, whose, self.name)
        if self.way_out is not None and interface is not self.gateway:
            self.way_out.learn(address, self)
        self._interfaces[address] = interface

    def detach(self, address: str) -> None:
        """Take an address away again."""
        interface = self._interfaces.pop(address)
        if self.way_out is not None and interface is not self.gateway:
            self.way_out.unlearn(address)

    def holder(self, address: str) -> Interface | None:
        """Who has an address here, or passes on what goes there."""
        return self._interfaces.get(address)

    def holders(self) -> dict[str, Interface]:
        """All addresses here, and who has them, in the order in which they were attached."""
        return {address: one for address, one in self._interfaces.items() if address not in self._groups}

    def join(self, group: str, interface: Interface) -> None:
        """Let an interface hear what others here send to a multicast group; it may join more than once."""
        if group not in self._groups:
            self._groups[group] = Group(group, self)
            self._interfaces[group] = self._groups[group].interface
        self._groups[group].members.append(interface)

    def leave(self, group: str, interface: Interface) -> None:
        """Undo one `join`."""
        self._groups[group].members.remove(interface)
        if not self._groups[group].members:
            del self._groups[group], self._interfaces[group]

    def reserve(self, prefix: Prefix, whose: str) -> None:
        """Know that addresses of ``prefix`` are ``whose``, here or further in.

        Raises:
            ValueError: some are another's.
        """
        check_overlap(self.reserved, prefix, whose, self.name)
        for address, interface in self.holders().items():
            if not interface.router:
                _check_apart(address, interface, prefix, whose, self.name)
        if self.way_out is not None:
            self.way_out.reserve(prefix, whose)
        self.reserved.append((prefix, whose))

    def carry(self, sender: Interface, packet: Packet, direct: bool, hop: str = "") -> bool:
        """Take a packet from one interface to the one that has its destination, or lose it.

        Args:
            sender: where it comes from.
            packet: what.
            direct: whether no machine is on the stack, see `Interface.receive`.
            hop: the address of the router to give it to, where not to its destination.

        Returns:
            Whether the sender's own system knew a way.
        """
        world = self.world
        if world.drop is not None and world.drop(packet):
            world.lose(self.name, Fate.DROPPED, packet)
            return True
        receiver = self._interfaces.get(hop or packet[1][0])
        if receiver is None:
            receiver = self.gateway
            if receiver is None or receiver is sender or (packet[1][0][:2] in _GROUP_STARTS and is_group(packet[1][0])):
                return self._lose_unroutable(sender, packet)
        elif receiver is sender:
            return self._lose_unroutable(sender, packet)
        line = self.line
        if line.steady and sender.uplink is None and receiver.downlink is None:
            if line.latency == 0.0 and (direct or receiver.router):
                if world.watched and receiver.router:
                    receiver.note_arrival(packet)
                receiver.receive(packet, direct)
            else:
                clock = world.clock
                clock.at(clock.now + line.latency, receiver.arrive, packet)
        elif world.sizes_limited:
            fit(self, sender, receiver, packet)
        else:
            set_out(self, sender, receiver, packet)
        return True

    def _lose_unroutable(self, sender: Interface, packet: Packet) -> bool:
        world = self.world
        world.lose(self.name, Fate.UNROUTABLE, packet)
        error = about(packet, HOST_UNREACHABLE) if self.tells_absence else None
        if error is not None:
            world.clock.at(world.clock.now + self.line.latency, sender.arrive, error)
        return self.wide or self.gateway is not None


class Group:
    """A multicast group at one segment: what goes to it reaches all members but the sender (RFC 1112).

    It never leaves the segment.

    Attributes:
        interface: stands for all members in the segment's table.
        members: an interface once for each socket on it that joined.
    """

    __slots__ = ("_segment", "interface", "members")

    def __init__(self, address: str, segment: Segment) -> None:
        self._segment = segment
        self.members: list[Interface] = []
        self.interface: Interface = Interface(address, segment, self._receive)

    def _receive(self, packet: Packet, direct: bool) -> None:
        sender = self._segment.holder(packet.source.host)
        for member in dict.fromkeys(self.members):
            if member is not sender:
                reach(self._segment, member, packet)


def is_group(address: str) -> bool:
    """Whether an address is a multicast group's (RFC 5771, RFC 4291 2.7)."""
    return ipaddress.ip_address(address).is_multicast


def prefix_of(text: str) -> Prefix:
    """Read a prefix such as ``10.1.0.0/16``.

    Raises:
        ValueError: it is none, or has bits outside its length.
    """
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no prefix such as 10.1.0.0/16: {error}") from None


def belongs(address: str, prefix: Prefix) -> bool:
    """Whether an address, perhaps with a scope, is one of a prefix."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    return parsed.version == prefix.version and parsed in prefix


def check_overlap(reserved: Reserved, prefix: Prefix, whose: str, place: str) -> None:
    """Refuse a prefix some of whose addresses are another's.

    Raises:
        ValueError: naming both, and the place where they meet.
    """
    for other, owner in reserved:
        if other.version == prefix.version and other.overlaps(prefix):
            raise ValueError(
                f"{prefix} of {whose} overlaps {other} of {owner} at {place}:"
                " subnets without a NAT between them need prefixes of their own"
            )


def _check_apart(address: str, interface: Interface, prefix: Prefix, whose: str, place: str) -> None:
    if belongs(address, prefix):
        raise ValueError(
            f"{address} of {interface.owner} at {place} is one of {prefix}, which is {whose}'s:"
            " subnets without a NAT between them need prefixes of their own"
        )
