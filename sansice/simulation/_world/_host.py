"""Hosts: addresses, ports, and where packets for them end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from sansice.machine import Address, Entropy, IcmpError, Machine, SocketError, SocketErrorKind, SocketId

from ._link import Link
from ._node import Node
from ._packets import Fate, Packet
from ._reads import AT_ONCE, StreamReads
from ._segment import Interface, Place
from ._tcp_ports import TcpPorts
from ._world import World

FIRST_EPHEMERAL, EPHEMERALS = 49152, 65536 - 49152  # RFC 6335 6

PORT_UNREACHABLE = {False: IcmpError(3, 3), True: IcmpError(1, 4, ipv6=True)}  # RFC 792, RFC 4443 3.1


class Taker(Protocol):
    """What is told of datagrams: `sansice.driver.Driver`, or a socket that makes something of them first."""

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Datagrams have arrived."""
        ...

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """A datagram came back."""
        ...


class Bound(Protocol):
    """Who may have a UDP port: a `Node`, or one of its sockets."""

    @property
    def driver(self) -> Taker:
        """Who is told."""
        ...


class Host:
    """A computer: addresses, sockets, and the machines that run on it.

    Attributes:
        name: for people, and for the seeds of what is random about this host.
        icmp: whether it answers a datagram to a closed port with "port unreachable".
        certificate: names and literal addresses that the certificate of its TLS and DTLS listeners is for; ``None``
            without one.
        reads: how programs here read their streams.
    """

    __slots__ = ("_bound", "_drawn", "_entropy", "_interfaces", "_tcp", "_world", "certificate", "icmp", "name", "reads")

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.name: str = name
        self.icmp: bool = world.icmp
        self.certificate: tuple[str, ...] | None = None
        self.reads: StreamReads = AT_ONCE
        self._interfaces: dict[str, Interface] = {}
        self._bound: dict[Address, tuple[Bound, SocketId]] = {}
        self._tcp: TcpPorts | None = None
        self._drawn = 0
        self._entropy: Entropy | None = None

    @property
    def addresses(self) -> tuple[str, ...]:
        """The literals of all interfaces, in the order in which they were attached."""
        return tuple(self._interfaces)

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

    def interface(self, address: str) -> Interface | None:
        """The interface that has a canonical literal address."""
        return self._interfaces.get(address)

    def attach(self, address: str, behind: Place, *, link: Link | None = None) -> Interface:
        """Add an interface with ``address`` at a segment or behind a NAT.

        Args:
            address: an IPv4 or IPv6 literal.
            behind: where.
            link: the interface's own access link, which packets cross on top of what the segment does to them.

        Raises:
            ValueError: not a literal, or the address is taken.
        """
        canonical = Address.of(address, 0).host
        if canonical in self._interfaces:
            raise ValueError(f"{self.name} has {canonical} already")
        interface = Interface(self.name, behind.inside, self._receive, label=canonical, link=link)
        behind.attach(canonical, interface)
        self._interfaces[canonical] = interface
        return interface

    def run(self, machine: Machine) -> Node:
        """Run a machine here, from now on. Several may run on one host; they share its ports."""
        return Node(self, self._world, machine)

    def bind(self, node: Bound, socket: SocketId, wanted: Address) -> tuple[Address, Interface] | SocketError:
        """Give a node a UDP port; port 0 asks for any free one.

        Returns:
            The address bound and the interface that has it, or what a system would have said.
        """
        interface = self._interfaces.get(wanted[0])
        if interface is None:
            return SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, f"{self.name} has no address {wanted[0]}")
        if wanted[1]:
            local = Address(*wanted)
            if local in self._bound:
                return SocketError(SocketErrorKind.ADDRESS_IN_USE, f"{local} is in use on {self.name}")
        else:
            free = self._free(wanted[0])
            if free is None:
                return SocketError(SocketErrorKind.NO_RESOURCES, f"{self.name} has no free port at {wanted[0]}")
            local = free
        self._bound[local] = (node, socket)
        return local, interface

    def send(self, interface: Interface, packet: Packet) -> None:
        """Put a packet on the way; what goes to an address of this host never leaves it."""
        if self._world.watched:
            self._world.note(self.name, Fate.SENT, packet, interface.name)
        if packet.destination[0] in self._interfaces:
            self._world.clock.at(self._world.clock.now, self._loop_back, packet)
        else:
            interface.send(packet)

    def _loop_back(self, packet: Packet) -> None:
        self._receive(packet, True)

    def unbind(self, local: Address) -> None:
        """Free a port."""
        del self._bound[local]

    def _free(self, address: str) -> Address | None:
        self._drawn += 1
        start = self._world.draw(f"ports of {self.name}", self._drawn, EPHEMERALS)
        for step in range(EPHEMERALS):
            local = Address(address, FIRST_EPHEMERAL + (start + step) % EPHEMERALS)
            if local not in self._bound:
                return local
        return None

    def _receive(self, packet: Packet, direct: bool) -> None:
        segment = packet[5]
        if segment is not None:
            if packet.icmp is None:
                self.tcp.receive(packet, segment)
            else:
                self.tcp.receive_error(packet, packet.icmp, segment)
            return
        bound = self._bound.get(packet[1])
        if bound is None:
            self._refuse(packet)
            return
        world = self._world
        if world.watched:
            world.note(self.name, Fate.DELIVERED, packet, self._interfaces[packet[1][0]].name)
        node, socket = bound
        if packet.icmp is None:
            node.driver.datagrams(socket, [(packet.source, packet.data)])
        else:
            node.driver.icmp(socket, packet.quoted, packet.icmp)

    def _refuse(self, packet: Packet) -> None:
        interface = self._interfaces[packet.destination[0]]
        self._world.lose(self.name, Fate.CLOSED_PORT, packet, interface.name)
        # RFC 1122 3.2.2: no ICMP error about an ICMP error
        if self.icmp and packet.icmp is None:
            error = PORT_UNREACHABLE[":" in packet.source[0]]
            answer = Packet(Address(packet.destination[0], 0), packet.source, b"", error, packet.destination)
            self.send(interface, answer)
