"""Hosts, and the runtime that runs any machine on one."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeVar

from sansice.driver import Driver
from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    AddressRecord,
    CloseMode,
    Entropy,
    Event,
    IcmpError,
    Machine,
    OpenSocket,
    Record,
    RecordKind,
    Resolve,
    ResolveError,
    SocketError,
    SocketErrorKind,
    SocketId,
    SrvRecord,
    Transport,
)

from ._clock import SimulationError
from ._link import Link
from ._nat import Nat
from ._packets import Fate, Packet
from ._segment import Interface, Segment
from ._world import World

R = TypeVar("R")

FIRST_EPHEMERAL, EPHEMERALS = 49152, 65536 - 49152  # RFC 6335 6
MAX_PAYLOAD = 65507  # of UDP over IPv4: 65535 - 20 - 8; the same here for IPv6, as systems limit it
TIMER_LIMIT = 1000  # timers of one machine at one instant; more is a deadline that never moves on

PORT_UNREACHABLE = {False: IcmpError(3, 3), True: IcmpError(1, 4, ipv6=True)}  # RFC 792, RFC 4443 3.1


class Host:
    """A computer: addresses, sockets, and the machines that run on it.

    Attributes:
        name: for people, and for the seeds of what is random about this host.
        icmp: whether it answers a datagram to a closed port with "port unreachable".
    """

    __slots__ = ("_bound", "_drawn", "_entropy", "_interfaces", "_world", "icmp", "name")

    def __init__(self, world: World, name: str) -> None:
        self._world = world
        self.name: str = name
        self.icmp: bool = world.icmp
        self._interfaces: dict[str, Interface] = {}
        self._bound: dict[Address, tuple[Node, SocketId]] = {}
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

    def attach(self, address: str, behind: Nat | Segment, *, link: Link | None = None) -> Interface:
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
        interface = Interface(self.name, behind.inside, self._receive, link=link)
        behind.attach(canonical, interface)
        self._interfaces[canonical] = interface
        return interface

    def run(self, machine: Machine) -> Node:
        """Run a machine here, from now on. Several may run on one host; they share its ports."""
        return Node(self, self._world, machine)

    def bind(self, node: Node, socket: SocketId, wanted: Address) -> tuple[Address, Interface] | SocketError:
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
        bound = self._bound.get(packet[1])
        if bound is None:
            self._refuse(packet)
            return
        world = self._world
        if world.packets is not None:
            world.note(self.name, Fate.DELIVERED, packet)
        node, socket = bound
        if packet.icmp is None:
            node.driver.datagrams(socket, [(packet.source, packet.data)])
        else:
            node.driver.icmp(socket, packet.quoted, packet.icmp)

    def _refuse(self, packet: Packet) -> None:
        self._world.lose(self.name, Fate.CLOSED_PORT, packet)
        # RFC 1122 3.2.2: no ICMP error about an ICMP error
        if self.icmp and packet.icmp is None:
            error = PORT_UNREACHABLE[":" in packet.source[0]]
            answer = Packet(Address(packet.destination[0], 0), packet.source, b"", error, packet.destination)
            self.send(self._interfaces[packet.destination[0]], answer)


class Node:
    """One machine that runs on a host: the runtime of `sansice.driver.Driver` in virtual time.

    UDP, timers, ICMP errors and names work as on a real system. Streams are not simulated: opening one
    fails with `SocketErrorKind.UNSUPPORTED`.

    Attributes:
        host: where it runs.
        machine: what runs.
        events: what the machine told, as (virtual time, event).
        refused: datagrams that a system would have refused to send: closed socket, port 0, other family, too long.
        running: until `stop`.
    """

    __slots__ = (
        "_armed",
        "_clock",
        "_scheduled",
        "_sockets",
        "_timers",
        "_world",
        "driver",
        "events",
        "host",
        "machine",
        "refused",
        "running",
    )

    def __init__(self, host: Host, world: World, machine: Machine) -> None:
        self.host: Host = host
        self.machine: Machine = machine
        self.events: list[tuple[float, Event]] = []
        self.refused: int = 0
        self.running: bool = True
        self._world = world
        self._clock = world.clock
        self._sockets: dict[SocketId, tuple[Address, Interface]] = {}
        self._armed = math.inf
        self._scheduled = math.inf
        self._timers = (math.nan, 0)
        self.driver: Driver = Driver(machine, self)
        self.driver.start(unix=world.unix + self._clock.now)

    @property
    def sockets(self) -> dict[SocketId, Address]:
        """The open sockets and what they are bound to."""
        return {socket: local for socket, (local, _) in self._sockets.items()}

    def call(self, method: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run one of the machine's commands at the present virtual time, and perform what it wants.

        ``node.call(agent.send, b"hello")`` is ``agent.send(b"hello", now=...)`` and a flush.
        """
        return self.driver.call(method, *args, **kwargs)

    def stop(self) -> None:
        """Stop running the machine without asking it, as a killed process would: its sockets close, its timer never fires."""
        for local, _ in self._sockets.values():
            self.host.unbind(local)
        self._sockets.clear()
        self._armed = math.inf
        self.running = False

    # ------------------------------------------------------------- what the driver calls

    def now(self) -> float:
        """Virtual seconds."""
        return self._clock.now

    def arm(self, deadline: float) -> None:
        """Have the timer fire at ``deadline``."""
        # A deadline that moves away, as on every packet of a live session, costs no heap entry: the old one looks again when due.
        if not self.running:
            return
        self._armed = deadline
        if deadline < self._scheduled:
            self._scheduled = deadline
            self._clock.at(max(deadline, self._clock.now), self._fire, deadline)

    def _fire(self, deadline: float) -> None:
        if deadline != self._scheduled:  # an earlier one was armed after this
            return
        self._scheduled = math.inf
        now, armed = self._clock.now, self._armed
        if armed > now:
            self.arm(armed)
            return
        self._armed = math.inf
        instant, count = self._timers
        self._timers = (now, count + 1 if instant == now else 1)
        if self._timers[1] > TIMER_LIMIT:
            name = type(self.machine).__name__
            raise SimulationError(f"{name} on {self.host.name} wants its timer at {now} s for ever: deadline() does not move on")
        self.driver.timer(armed)

    def open_socket(self, action: OpenSocket) -> None:
        """Bind a UDP socket."""
        if action.socket in self._sockets:
            raise SimulationError(f"{type(self.machine).__name__} on {self.host.name} opens socket {action.socket} twice")
        if action.transport is not Transport.UDP:
            text = f"{action.transport.value} is not simulated, only udp"
            self.driver.socket_failed(action.socket, SocketError(SocketErrorKind.UNSUPPORTED, text))
            return
        bound = self.host.bind(self, action.socket, self._local(action))
        if isinstance(bound, SocketError):
            self.driver.socket_failed(action.socket, bound)
            return
        self._sockets[action.socket] = bound
        self.driver.socket_opened(action.socket, bound[0])

    def _local(self, action: OpenSocket) -> Address:
        # Routing is simple here: a host reaches whatever it reaches from its first address of the family.
        host, port = action.bind
        if action.remote is None or host not in (ANY_IPV4, ANY_IPV6):
            return action.bind
        of_family = (address for address in self.host.addresses if (":" in address) == (host == ANY_IPV6))
        return Address(next(of_family, host), port)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Free the port; what is under way to it meets a closed port."""
        bound = self._sockets.pop(socket, None)
        if bound is not None:
            self.host.unbind(bound[0])

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Put a datagram on the way."""
        bound = self._sockets.get(socket)
        if bound is None or not destination[1] or len(data) > MAX_PAYLOAD or (":" in destination[0]) != (":" in bound[0][0]):
            self.refused += 1
            return
        packet = Packet(bound[0], destination, data)
        world = self._world
        if world.packets is not None:
            world.note(self.host.name, Fate.SENT, packet)
        self.host.send(bound[1], packet)

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        """Nothing: no stream ever opened."""

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        """Nothing: no stream ever opened."""

    def resolve(self, action: Resolve) -> None:
        """Answer from the zone, at this instant but not within the machine's own step."""
        self._clock.at(self._clock.now, self._answer, action)

    def _answer(self, action: Resolve) -> None:
        if not self.running:
            return
        records = self._world.zone.get(action.name.rstrip(".").lower(), ResolveError.NOT_FOUND)
        if not isinstance(records, ResolveError):
            records = tuple(record for record in records if _kind(record) is action.kind) or ResolveError.NOT_FOUND
        self.driver.resolved(action, records)

    def deliver(self, event: Event) -> None:
        """Keep an event for the test."""
        self.events.append((self._clock.now, event))


def _kind(record: Record) -> RecordKind:
    if isinstance(record, AddressRecord):
        return RecordKind.AAAA if ":" in record.host else RecordKind.A
    return RecordKind.SRV if isinstance(record, SrvRecord) else RecordKind.NAPTR
