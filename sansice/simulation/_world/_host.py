"""Hosts: addresses, ports, and where packets for them end."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    DEFAULT_OPTIONS,
    Address,
    Entropy,
    IcmpError,
    Machine,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
)

from ._crossing import IPV6_LEAST_MTU
from ._fragments import REASSEMBLY_SECONDS, Reassembly, cut
from ._host_interface import HostInterface
from ._icmp import PORT_UNREACHABLE, REASSEMBLY_EXCEEDED, Refusal, about
from ._link import Link
from ._names import Resolver
from ._node import Node
from ._packets import Fate, Fragment, Packet, TcpSegment
from ._path_mtus import PathMtus
from ._ports import Bound as Bound, Taker as Taker, UdpPorts
from ._reads import AT_ONCE, StreamReads
from ._segment import Interface, Place, Segment, is_group
from ._tcp_ports import TcpPorts
from ._world import World

if TYPE_CHECKING:
    from ._link_names import LinkNames

_NOBODYS = (ANY_IPV4, ANY_IPV6, "255.255.255.255")


class Host:
    """A computer: addresses, sockets, and the machines that run on it.

    A socket is bound to an address, and what it sends leaves by the interface that has it. Where a socket leaves the choice
    to the system, `route` makes it.

    Attributes:
        name: for people, and for the seeds of what is random about this host.
        icmp: whether it answers a datagram to a closed port with "port unreachable".
        certificate: names and literal addresses that the certificate of its TLS and DTLS listeners is for; ``None``
            without one.
        reads: how programs here read their streams.
        names: what it asks for names: the network's `NameService` unless it is given its own.
        wakes: the virtual time at which it wakes, or last woke, from `sleep`.
        clock_offset: seconds by which its wall clock is ahead of the world's.
    """

    __slots__ = (
        "_bound",
        "_entropy",
        "_fragments",
        "_interfaces",
        "_joined",
        "_link_names",
        "_nodes",
        "_path_mtus",
        "_ports",
        "_tcp",
        "_watchers",
        "_world",
        "certificate",
        "clock_offset",
        "icmp",
        "name",
        "names",
        "reads",
        "wakes",
    )

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self._watchers: list[Callable[[], None]] = []
        self.name: str = name
        self.icmp: bool = world.icmp
        self.certificate: tuple[str, ...] | None = None
        self.reads: StreamReads = AT_ONCE
        self.names: Resolver = world.names
        self.wakes: float = world.clock.now
        self.clock_offset: float = 0.0
        self._interfaces: dict[str, HostInterface] = {}
        self._ports = UdpPorts(world, name)
        self._bound = self._ports.bound
        self._joined: dict[tuple[Bound, SocketId], tuple[HostInterface, Segment, tuple[str, ...]]] = {}
        self._tcp: TcpPorts | None = None
        self._fragments: Reassembly | None = None
        self._path_mtus: PathMtus | None = None
        self._nodes: tuple[Node, ...] = ()
        self._entropy: Entropy | None = None
        self._link_names: LinkNames | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The literals of all interfaces that are up, in the order in which they were attached."""
        return tuple(address for address, interface in self._interfaces.items() if interface.is_up)

    @property
    def interfaces(self) -> tuple[HostInterface, ...]:
        """All interfaces, in the order in which they were attached."""
        return tuple(self._interfaces.values())

    @property
    def entropy(self) -> Entropy:
        """A seeded source of bytes, this host's own: what machines on it are constructed with."""
        if self._entropy is None:
            self._entropy = self._world.random(f"entropy of {self.name}").randbytes
        return self._entropy

    @property
    def tcp(self) -> TcpPorts:
        """What the system knows of TCP: for programs that are no machines; `Node` opens what a machine wants."""
        if self._tcp is None:
            self._tcp = TcpPorts(self, self._world)
        return self._tcp

    @property
    def link_names(self) -> LinkNames:
        """Its mDNS, which runs from the first name on that a machine here looks for, or has (RFC 6762)."""
        if self._link_names is None:
            from ._link_names import LinkNames

            self._link_names = LinkNames(self)
        return self._link_names

    def forget(self, node: Node) -> None:
        """A node was stopped: nobody answers for its names any more."""
        if self._link_names is not None:
            self._link_names.forget(node)

    def interface(self, address: str) -> HostInterface | None:
        """The interface that has a canonical literal address."""
        return self._interfaces.get(address)

    def attach(
        self,
        address: str,
        behind: Place,
        *,
        link: Link | None = None,
        downlink: Link | None = None,
        name: str | None = None,
        metric: int = 0,
        routes: Iterable[str] | None = None,
    ) -> HostInterface:
        """Add an interface with ``address`` at a segment or behind a NAT.

        Args:
            address: an IPv4 or IPv6 literal.
            behind: where.
            link: the interface's own access link, which packets cross on top of what the segment does to them.
            downlink: how it treats packets that come here, where that differs from those that leave.
            name: what the host calls it, such as ``"wlan0"``; its address if left out.
            metric: of several interfaces that lead to a destination equally well, the lowest is preferred.
            routes: the prefixes that the host reaches by it, such as ``"10.8.0.0/16"``; what is on the segment, and
                everything else where the segment has a way out, if left out.

        Raises:
            ValueError: not a literal, nor an address that one interface can have, the address or the name is taken, or a route
                is no prefix.
        """
        canonical = Address.of(address, 0).host
        self._check_possible(canonical)
        if canonical in self._interfaces:
            raise ValueError(f"{self.name} has {canonical} already")
        if name is not None and any(interface.label == name for interface in self.interfaces):
            raise ValueError(f"{self.name} has an interface {name} already")
        interface = HostInterface(self, canonical, behind, link=link, downlink=downlink, name=name, metric=metric, routes=routes)
        behind.attach(canonical, interface)
        self._interfaces[canonical] = interface
        self.settle(interface)
        return interface

    def route(self, destination: str) -> HostInterface | None:
        """The interface by which the host reaches a literal address: that with the longest route, the lowest metric, the first.

        Returns:
            ``None`` where it reaches it by none: "network unreachable".
        """
        ranked = [(interface.reach(destination), -interface.metric, interface) for interface in self.interfaces]
        best = max(ranked, key=lambda rank: rank[:2], default=None)
        return None if best is None or best[0] < 0 else best[2]

    def path_mtu(self, local: str, destination: str) -> int | None:
        """Bytes of the longest packet from one of the host's addresses to another, as far as it knows; ``None`` for any."""
        interface = self._interfaces.get(local)
        mtu = None if interface is None else interface.mtu
        learnt = None if self._path_mtus is None else self._path_mtus.get(destination, self._world.clock.now)
        known = min((one for one in (mtu, learnt) if one is not None), default=None)
        return max(known, IPV6_LEAST_MTU) if known is not None and ":" in destination else known

    def run(self, machine: Machine) -> Node:
        """Run a machine here, from now on. Several may run on one host; they share its ports."""
        node = Node(self, self._world, machine)
        self._nodes += (node,)
        return node

    # ------------------------------------------------------------- what befalls the whole computer

    def sleep(self, seconds: float) -> None:
        """Close the lid: for so long nothing runs here and nothing reaches it, and then its programs find the clock far ahead.

        Machines see one jump of ``now``, as on a system whose monotonic clock goes on (CLOCK_BOOTTIME). The timers of its
        TCP and DTLS wait until it wakes.

        Args:
            seconds: from now on; a longer sleep already begun goes on.

        Raises:
            ValueError: less than 0, or for ever.
        """
        if not 0.0 <= seconds < float("inf"):
            raise ValueError(f"{self.name} must sleep for a number of seconds from 0 on, not {seconds!r}")
        clock = self._world.clock
        self.wakes = max(self.wakes, clock.now + seconds)
        self._settle_all(None)
        clock.at(self.wakes, self._settle_all, None)

    def at(self, when: float, function: Callable[[Any], object], argument: object) -> None:
        """Have ``function(argument)`` called at ``when``, or as soon after that as the host is awake."""
        self._world.clock.at(when, self._when_awake, (function, argument))

    def _when_awake(self, happening: tuple[Callable[[Any], object], object]) -> None:
        if self.wakes > self._world.clock.now:
            self._world.clock.at(self.wakes, self._when_awake, happening)
        else:
            function, argument = happening
            function(argument)

    def adjust_clock(self, seconds: float) -> None:
        """Set the wall clock forward, or back, by so many seconds. Machines that run here are told."""
        self.clock_offset += seconds
        for node in self._nodes:
            if node.running:
                node.tell_wall_clock()

    def _settle_all(self, _: object) -> None:
        for interface in self.interfaces:
            self.settle(interface)

    def watch_interfaces(self, watcher: Callable[[], None]) -> None:
        """Call ``watcher`` with each change of an interface of this host, as its system would tell a program."""
        self._watchers.append(watcher)

    def settle(self, interface: HostInterface) -> None:
        """Have an interface send and receive as it can at present."""
        asleep = self.wakes > self._world.clock.now
        interface.source = interface.address if interface.is_up and not asleep else ""
        if asleep:
            interface.receive = self._while_asleep
        elif not interface.is_up:
            interface.receive = self._while_down
        else:
            interface.receive = self._receive_current if interface.has_moved else self.receive
        for watcher in self._watchers:
            watcher()

    def rename(self, interface: HostInterface, old: str, new: str, place: Place) -> None:
        """Move an interface to another address, at another place perhaps; see `HostInterface.readdress`."""
        if new != old and new in self._interfaces:
            raise ValueError(f"{self.name} has {new} already")
        if new == old and place is interface.place:
            return
        self._check_possible(new)
        place.attach(new, interface)
        interface.place.detach(old)
        self._interfaces = {(new if key == old else key): one for key, one in self._interfaces.items()}

    def _check_possible(self, address: str) -> None:
        if address in _NOBODYS or is_group(address):
            raise ValueError(f"{self.name} cannot have {address}: no interface has an address that stands for any, or for many")

    def _while_asleep(self, packet: Packet, direct: bool) -> None:
        self._world.lose(self.name, Fate.ASLEEP, packet)

    def _while_down(self, packet: Packet, direct: bool) -> None:
        self._world.lose(self.name, Fate.INTERFACE_DOWN, packet)

    # ------------------------------------------------------------- what sockets ask for

    def bind(
        self, node: Bound, socket: SocketId, wanted: Address, options: SocketOptions = DEFAULT_OPTIONS
    ) -> tuple[Address, Interface] | SocketError:
        """Give a node a UDP port; port 0 asks for any free one.

        With ``multicast_groups`` the socket hears as well what is sent, on the segment of its interface, to its port of
        these groups. ``interface`` must be the one that has the address, by its label.

        Returns:
            The address bound and the interface that has it, or what a system would have said.
        """
        interface = self._interfaces.get(wanted[0])
        if interface is None:
            return SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, f"{self.name} has no address {wanted[0]}")
        if options.interface is not None and options.interface != interface.label:
            return SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, f"{interface.name} is not {options.interface}")
        for group in options.multicast_groups:
            if (":" in group) != (":" in wanted[0]) or not is_group(group):
                return SocketError(SocketErrorKind.OTHER, f"{group} is no multicast group that {wanted[0]} could join")
        local = self._ports.bind(node, socket, wanted, reuse_port=options.reuse_port)
        if isinstance(local, SocketError):
            return local
        if options.multicast_groups:
            self._join(node, socket, local, interface, options.multicast_groups)
        return local, interface

    def unbind(self, local: Address, node: Bound, socket: SocketId) -> None:
        """Free a port, and leave the groups that came with it."""
        self._ports.unbind(local, node, socket)
        joined = self._joined.pop((node, socket), None) if self._joined else None
        if joined is not None:
            interface, segment, groups = joined
            for group in groups:
                self._ports.unbind(Address(group, local.port), node, socket)
                segment.leave(group, interface)

    def _join(self, node: Bound, socket: SocketId, local: Address, interface: HostInterface, groups: tuple[str, ...]) -> None:
        self._joined[node, socket] = (interface, interface.segment, groups)
        for group in groups:
            self._ports.join(group, local, node, socket)
            interface.segment.join(group, interface)

    def send(self, interface: Interface, packet: Packet) -> bool:
        """Put a packet on the way; what goes to an address of this host never leaves it.

        Returns:
            Whether the system took it: not while the interface is down, nor for an address that it no longer has; not
            where no route leads; and not what may not be cut and is longer than the path is known to take.
        """
        world = self._world
        if packet[1][0] in self._interfaces:
            world.note(self.name, Fate.SENT, packet, interface.name)
            world.clock.at(world.clock.now, self._loop_back, packet)
            return True
        if packet[0][0] != interface.source:
            return False
        if self._joined:
            self._hear_oneself(packet)
        if world.sizes_limited:
            return self._send_sized(interface, packet)
        if world.watched:
            world.note(self.name, Fate.SENT, packet, interface.name)
        return interface.segment.carry(interface, packet, False)

    def _send_sized(self, interface: Interface, packet: Packet) -> bool:
        world = self._world
        mtu = self.path_mtu(packet.source.host, packet.destination.host)
        if mtu is None or packet.size <= mtu:
            world.note(self.name, Fate.SENT, packet, interface.name)
            return interface.segment.carry(interface, packet, False)
        if packet.dont_fragment:
            return False
        world.note(self.name, Fate.FRAGMENTED, packet, interface.name)
        for part in cut(packet, mtu, world.next_ident()):
            world.note(self.name, Fate.SENT, part, interface.name)
            interface.segment.carry(interface, part, False)
        return True

    def _hear_oneself(self, packet: Packet) -> None:
        # RFC 1112 6.1: members on the sender's own host hear it, too
        if packet.destination in self._bound:
            self._world.clock.at(self._world.clock.now, self._loop_back, packet)

    def _loop_back(self, packet: Packet) -> None:
        if self.wakes > self._world.clock.now:
            self._while_asleep(packet, True)
        else:
            self.receive(packet, True)

    # ------------------------------------------------------------- what arrives

    def receive(self, packet: Packet, direct: bool) -> None:
        """Give a packet to whom it is for."""
        fragment, segment, error = packet[6], packet[5], packet[3]
        if fragment is not None:
            self._receive_fragment(packet, fragment)
            return
        if segment is not None:
            self._receive_tcp(packet, segment)
            return
        bound = self._bound.get(packet[1])
        if bound is None:
            self._refuse(packet)
            return
        world = self._world
        if world.watched:
            world.note(self.name, Fate.DELIVERED, packet, self._name_at(packet))
        node, socket = bound
        if error is None:
            node.driver.datagrams(socket, [(packet[0], packet[2])])
        else:
            self._learn_path(packet.quoted.host, error)
            node.driver.icmp(socket, packet.quoted, error)

    def _receive_current(self, packet: Packet, direct: bool) -> None:
        # Under way since before the interface had another address: its socket is still bound, and must not hear it.
        if packet.destination.host in self._interfaces or is_group(packet.destination.host):
            self.receive(packet, direct)
        else:
            self._world.lose(self.name, Fate.UNROUTABLE, packet)

    def _receive_tcp(self, packet: Packet, segment: TcpSegment) -> None:
        if packet.icmp is None:
            self.tcp.receive(packet, segment)
        else:
            self._learn_path(packet.quoted.host, packet.icmp)
            self.tcp.receive_error(packet, packet.icmp, segment)

    def _receive_fragment(self, packet: Packet, fragment: Fragment) -> None:
        world = self._world
        world.note(self.name, Fate.ARRIVED, packet, self._name_at(packet))
        if self._fragments is None:
            self._fragments = Reassembly()
        waiting = len(self._fragments)
        whole = self._fragments.add(packet, fragment, world.clock.now)
        if whole is not None:
            self.receive(whole, True)
            return
        if len(self._fragments) > waiting:
            world.clock.at(world.clock.now + REASSEMBLY_SECONDS, self._give_up_fragments, self._fragments)
        surplus = self._fragments.surplus()
        if surplus is not None:
            world.lose(self.name, Fate.INCOMPLETE, surplus, self._name_at(surplus))

    def _give_up_fragments(self, fragments: Reassembly) -> None:
        packet = fragments.expired(self._world.clock.now)
        if packet is not None:
            self._world.lose(self.name, Fate.INCOMPLETE, packet, self._name_at(packet))
            self._answer(packet, REASSEMBLY_EXCEEDED)

    def _learn_path(self, destination: str, error: IcmpError) -> None:
        if error.mtu:
            if self._path_mtus is None:
                self._path_mtus = PathMtus()
            self._path_mtus.learn(destination, error.mtu, self._world.clock.now)

    def _refuse(self, packet: Packet) -> None:
        self._world.lose(self.name, Fate.CLOSED_PORT, packet, self._name_at(packet))
        self._answer(packet, PORT_UNREACHABLE)

    def _answer(self, packet: Packet, refusal: Refusal) -> None:
        # Nobody answers what was sent to a group (RFC 1122 3.2.2): no interface has that address.
        interface = self._interfaces.get(packet.destination.host)
        error = about(packet, refusal, packet.destination.host) if self.icmp and interface is not None else None
        if error is not None and interface is not None:
            self.send(interface, error)

    def _name_at(self, packet: Packet) -> str:
        interface = self._interfaces.get(packet[1][0])
        return "" if interface is None else interface.name
