"""TCP on one host: who has which port, and whose a segment is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from sansice.machine import Address, IcmpError, SocketError, SocketErrorKind

from ._clock import Clock
from ._packets import IPV4_HEADER, IPV6_HEADER, TCP_HEADER, Fate, Packet, TcpFlags, TcpSegment
from ._tcp import NOBODY, TcpConnection, TcpState, TcpUser, begins

if TYPE_CHECKING:
    from ._host import Host
    from ._world import World

BACKLOG = 4096  # half-open connections of one listener, Linux: net.core.somaxconn; beyond them a SYN is lost, as in a flood
MTU = 1500  # bytes of an Ethernet frame's payload: what segments are cut for where nothing else is known
TIME_WAIT = 60.0  # seconds; Linux: TCP_TIMEWAIT_LEN

FIRST_EPHEMERAL, EPHEMERALS = 49152, 65536 - 49152  # RFC 6335 6

_MODULUS = 2**32
_TICKS = 250_000  # a second: what initial sequence numbers grow by (RFC 9293 3.4.1)
_FIN, _SYN, _RST, _ACK = int(TcpFlags.FIN), int(TcpFlags.SYN), int(TcpFlags.RST), int(TcpFlags.ACK)
_RST_ACK = TcpFlags.RST | TcpFlags.ACK


class TcpAcceptor(Protocol):
    """Who listens."""

    def accept(self, connection: TcpConnection) -> None:
        """A connection is open. Who wants it sets its ``user``; without one it is reset."""
        ...


class TcpListener:
    """A port at which connections are taken. Built by `TcpPorts.listen`.

    Attributes:
        local: where.
        reuse_port: whether others may listen there too.
        accepted: never; what was accepted here is no obstacle to listening again.
    """

    __slots__ = ("_acceptor", "_half_open", "_ports", "accepted", "local", "reuse_port")

    def __init__(self, ports: TcpPorts, local: Address, acceptor: TcpAcceptor, *, reuse_port: bool) -> None:
        self.local: Address = local
        self.reuse_port: bool = reuse_port
        self.accepted: bool = False
        self._ports = ports
        self._acceptor = acceptor
        self._half_open: dict[TcpConnection, None] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more connections may begin."""
        return len(self._half_open) >= BACKLOG

    def began(self, connection: TcpConnection) -> None:
        """A SYN was answered."""
        self._half_open[connection] = None

    def opened(self, connection: TcpConnection) -> None:
        """The connection is there."""
        self.lost(connection)
        self._acceptor.accept(connection)
        if connection.user is NOBODY:
            connection.abort()

    def lost(self, connection: TcpConnection) -> None:
        """The connection has ended, perhaps before it was open."""
        self._half_open.pop(connection, None)

    def close(self) -> None:
        """Listen no more. Connections that are open live on."""
        self._ports.close_listener(self)
        for connection in list(self._half_open):
            connection.abort()


class TcpReservation:
    """A port that somebody has bound, without listening or connecting yet. Made by `TcpPorts.reserve`.

    Attributes:
        local: where.
        reuse_port: whether others may bind it too.
        accepted: never.
    """

    __slots__ = ("accepted", "local", "reuse_port")

    def __init__(self, local: Address, *, reuse_port: bool) -> None:
        self.local: Address = local
        self.reuse_port: bool = reuse_port
        self.accepted: bool = False


class TcpPorts:
    """What a host's system knows of TCP.

    Attributes:
        clock: virtual time.
        at: see `Host.at`.
    """

    __slots__ = ("_connections", "_drawn", "_holders", "_host", "_listeners", "_resting", "_world", "at", "clock")

    def __init__(self, host: Host, world: World) -> None:
        self.clock: Clock = world.clock
        self._host = host
        self._world = world
        self.at: Callable[[float, Callable[[Any], object], object], None] = host.at
        self._connections: dict[tuple[Address, Address], TcpConnection] = {}
        self._listeners: dict[Address, list[TcpListener]] = {}
        self._holders: dict[Address, list[TcpConnection | TcpListener | TcpReservation]] = {}
        self._resting: dict[TcpConnection, float] = {}  # in TIME_WAIT, until when; the first to go comes first
        self._drawn = 0

    # ------------------------------------------------------------- what programs ask for

    def listen(self, wanted: Address, acceptor: TcpAcceptor, *, reuse_port: bool = False) -> TcpListener | SocketError:
        """Take connections at an address; port 0 asks for any free one.

        What was accepted at this port before is no obstacle (SO_REUSEADDR).

        Returns:
            The listener, or what a system would have said.
        """
        local = self._bind(wanted, reuse_port=reuse_port, listening=True)
        if isinstance(local, SocketError):
            return local
        listener = TcpListener(self, local, acceptor, reuse_port=reuse_port)
        self._listeners.setdefault(local, []).append(listener)
        self._holders.setdefault(local, []).append(listener)
        return listener

    def reserve(self, wanted: Address, *, reuse_port: bool = False) -> TcpReservation | SocketError:
        """Keep a port for a program that has bound it and says later what for; port 0 asks for any free one.

        It answers nobody. `release` it right before `listen` or `connect` with its address.

        Returns:
            The reservation, or what a system would have said.
        """
        local = self._bind(wanted, reuse_port=reuse_port, listening=True)
        if isinstance(local, SocketError):
            return local
        reservation = TcpReservation(local, reuse_port=reuse_port)
        self._holders.setdefault(local, []).append(reservation)
        return reservation

    def release(self, reservation: TcpReservation) -> None:
        """Keep the port no more. Once is enough."""
        self._release(reservation)

    def connect(
        self, wanted: Address, remote: Address, user: TcpUser, *, reuse_port: bool = False
    ) -> TcpConnection | SocketError:
        """Begin to connect; ``user`` hears how that went.

        Returns:
            The connection, or what a system would have said at once.
        """
        if wanted.is_ipv6 != remote.is_ipv6:
            return SocketError(SocketErrorKind.OTHER, f"{remote} cannot be reached from {wanted.host}")
        local = self._bind(wanted, reuse_port=reuse_port, listening=False)
        if isinstance(local, SocketError):
            return local
        if (local, remote) in self._connections:
            return SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, f"{local} is connected to {remote} already")
        connection = self._add(local, remote, reuse_port=reuse_port)
        if not connection.connect(user):
            connection.abort()
            return SocketError(SocketErrorKind.UNREACHABLE, f"{self._host.name} has no way from {local.host} to {remote.host}")
        return connection

    def _bind(self, wanted: Address, *, reuse_port: bool, listening: bool) -> Address | SocketError:
        host = self._host
        if host.interface(wanted.host) is None:
            return SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE, f"{host.name} has no address {wanted.host}")
        self._forget_rested()
        if not wanted.port:
            free = self._free(wanted.host)
            if free is None:
                return SocketError(SocketErrorKind.NO_RESOURCES, f"{host.name} has no free TCP port at {wanted.host}")
            return free
        local = Address(*wanted)
        for holder in self._holders.get(local, ()):
            if not (holder.reuse_port and reuse_port) and not (listening and holder.accepted):
                return SocketError(SocketErrorKind.ADDRESS_IN_USE, f"TCP {local} is in use on {host.name}")
        return local

    def _free(self, host: str) -> Address | None:
        self._drawn += 1
        start = self._world.draw(f"TCP ports of {self._host.name}", self._drawn, EPHEMERALS)
        for step in range(EPHEMERALS):
            local = Address(host, FIRST_EPHEMERAL + (start + step) % EPHEMERALS)
            if local not in self._holders:
                return local
        return None

    # ------------------------------------------------------------- what arrives

    def receive(self, packet: Packet, segment: TcpSegment) -> None:
        """Give a segment to the connection or the listener that it is for, or refuse it."""
        connection = self._find(packet.destination, packet.source)
        if connection is not None and connection.yields_to(segment):
            self.forget(connection)
            connection = None
        if connection is None:
            self._receive_stranger(packet, segment)
            return
        self._note(Fate.DELIVERED, packet)
        connection.receive(segment, packet.data)

    def receive_error(self, packet: Packet, error: IcmpError, quoted: TcpSegment) -> None:
        """Give an ICMP error to the connection that it is about."""
        connection = self._find(packet.destination, packet.quoted)
        if connection is None:
            self._lose(Fate.CLOSED_PORT, packet)
            return
        self._note(Fate.DELIVERED, packet)
        connection.icmp(error, quoted)

    def _find(self, local: Address, remote: Address) -> TcpConnection | None:
        connection = self._connections.get((local, remote))
        if connection is not None and self._resting.get(connection, self.clock.now + 1) <= self.clock.now:
            self.forget(connection)
            return None
        return connection

    def _receive_stranger(self, packet: Packet, segment: TcpSegment) -> None:
        listeners = self._listeners.get(packet.destination)
        if not listeners or not begins(segment):
            self._lose(Fate.CLOSED_PORT, packet)
            self._refuse(packet, segment)
            return
        listener = listeners[packet.source.port % len(listeners)]  # SO_REUSEPORT: the same client, the same listener
        if listener.is_full:
            self._lose(Fate.BACKLOG_FULL, packet)
            return
        self._note(Fate.DELIVERED, packet)
        connection = self._add(packet.destination, packet.source, reuse_port=listener.reuse_port)
        listener.began(connection)
        connection.accept(listener, segment)

    def _refuse(self, packet: Packet, segment: TcpSegment) -> None:
        """Say that nobody is here (RFC 9293 3.10.7.1)."""
        flags = int(segment.flags)
        if flags & _RST:
            return
        if flags & _ACK:
            answer = TcpSegment(TcpFlags.RST, segment.ack, 0, 0)
        else:
            length = len(packet.data) + bool(flags & _SYN) + bool(flags & _FIN)
            answer = TcpSegment(_RST_ACK, 0, (segment.seq + length) % _MODULUS, 0)
        self.send(packet.destination, packet.source, answer)

    # ------------------------------------------------------------- what connections ask for

    def send(self, local: Address, remote: Address, segment: TcpSegment, data: bytes = b"") -> bool:
        """Put a segment on the way.

        Returns:
            Whether the system took it.
        """
        packet = Packet(local, remote, data, tcp=segment, dont_fragment=True)  # RFC 1191 3: what is too big comes back
        interface = self._host.interface(local.host)
        if interface is None:
            self._world.lose(self._host.name, Fate.UNROUTABLE, packet)
            return False
        # Where a path takes less than any segment has, only fragments get through.
        return self._host.send(interface, packet) or (
            self._world.sizes_limited and self._host.send(interface, packet._replace(dont_fragment=False))
        )

    def mss(self, local: Address, remote: Address) -> int:
        """Bytes of data that a segment between two addresses may have, as far as the host knows (RFC 9293 3.7.1)."""
        mtu = self._host.path_mtu(local.host, remote.host) if self._world.sizes_limited else None
        headers = (IPV6_HEADER if local.is_ipv6 else IPV4_HEADER) + TCP_HEADER
        return (MTU if mtu is None else min(MTU, mtu)) - headers

    def rest(self, connection: TcpConnection) -> None:
        """Keep a connection that is over, for its late segments."""
        self._forget_rested()
        self._resting[connection] = self.clock.now + TIME_WAIT

    def forget(self, connection: TcpConnection) -> None:
        """Know a connection no more."""
        if self._connections.get((connection.local, connection.remote)) is not connection:
            return
        del self._connections[connection.local, connection.remote]
        self._resting.pop(connection, None)
        self._release(connection)
        connection.state = TcpState.CLOSED

    def close_listener(self, listener: TcpListener) -> None:
        """Take no more connections."""
        there = self._listeners[listener.local]
        there.remove(listener)
        if not there:
            del self._listeners[listener.local]
        self._release(listener)

    def _add(self, local: Address, remote: Address, *, reuse_port: bool) -> TcpConnection:
        secret = self._world.draw(f"TCP {local} {remote}", 0, _MODULUS)
        isn = (int(self.clock.now * _TICKS) + secret) % _MODULUS  # RFC 6528 3
        connection = TcpConnection(self, local, remote, isn, reuse_port=reuse_port)
        self._connections[local, remote] = connection
        self._holders.setdefault(local, []).append(connection)
        return connection

    def _release(self, holder: TcpConnection | TcpListener | TcpReservation) -> None:
        there = self._holders[holder.local]
        there.remove(holder)
        if not there:
            del self._holders[holder.local]

    def _forget_rested(self) -> None:
        now = self.clock.now
        while self._resting and self._resting[first := next(iter(self._resting))] <= now:
            self.forget(first)

    def _note(self, fate: Fate, packet: Packet) -> None:
        if self._world.watched:
            self._world.note(self._host.name, fate, packet, self._name_of(packet))

    def _lose(self, fate: Fate, packet: Packet) -> None:
        self._world.lose(self._host.name, fate, packet, self._name_of(packet))

    def _name_of(self, packet: Packet) -> str:
        interface = self._host.interface(packet.destination.host)
        return "" if interface is None else interface.name
