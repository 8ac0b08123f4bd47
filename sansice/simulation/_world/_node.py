"""Nodes: the runtime that runs any machine on a host, in virtual time."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from sansice.driver import Driver
from sansice.ice import is_concealing_name
from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    CloseMode,
    Event,
    IcmpError,
    Machine,
    OpenSocket,
    Record,
    Resolve,
    ResolveError,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)

from ._clock import SimulationError
from ._icmp import too_big
from ._packets import NO_ADDRESS, Packet
from ._segment import Interface
from ._sockets import Sockets
from ._world import World

if TYPE_CHECKING:
    from ._host import Host

R = TypeVar("R")

MAX_PAYLOAD = 65507  # of UDP over IPv4: 65535 - 20 - 8; the same here for IPv6, as systems limit it
MAX_UNSENT = 2**20  # bytes that may wait in one stream, as in `sansice.sockets`
OPEN_LIMIT = 200_000  # sockets of one machine at one instant: more than ports; what opens more opens again what failed
TIMER_LIMIT = 1000  # timers of one machine at one instant; more is a deadline that never moves on


class Node:
    """One machine that runs on a host: the runtime of `sansice.driver.Driver` in virtual time.

    Sockets, timers, ICMP errors and names work as on a real system, on all four transports. TLS and DTLS take their
    round trips and encrypt nothing; what a listener presents is `Host.certificate`.

    Attributes:
        host: where it runs.
        machine: what runs.
        events: what the machine told, as (virtual time, event).
        refused: datagrams that a system would have refused to send: closed socket, port 0, other family, too long, an
            interface that is down or has another address by now, no route.
        max_unsent: bytes that may wait in one stream; beyond them it fails with `SocketErrorKind.BACKLOG`.
        running: until `stop`.
        listener: called with each event, at the instant of it but not inside the machine's own step: what an application
            would do about it, such as a `call`.
    """

    __slots__ = (
        "_armed",
        "_clock",
        "_opened",
        "_others",
        "_scheduled",
        "_sockets",
        "_timers",
        "_world",
        "driver",
        "events",
        "host",
        "listener",
        "machine",
        "max_unsent",
        "refused",
        "running",
    )

    def __init__(self, host: Host, world: World, machine: Machine) -> None:
        self.host: Host = host
        self.machine: Machine = machine
        self.events: list[tuple[float, Event]] = []
        self.refused: int = 0
        self.max_unsent: int = MAX_UNSENT
        self.running: bool = True
        self.listener: Callable[[Event], object] | None = None
        self._world = world
        self._clock = world.clock
        self._sockets: dict[SocketId, tuple[Address, Interface, bool]] = {}  # and whether to send unfragmented
        self._others: Sockets | None = None  # made for the first that is more than a UDP socket, because most nodes have none
        self._armed = math.inf
        self._scheduled = math.inf
        self._timers = (math.nan, 0)
        self._opened = (math.nan, 0)
        self.driver: Driver = Driver(machine, self)
        self.driver.start(unix=self._unix)

    @property
    def sockets(self) -> dict[SocketId, Address]:
        """The open sockets and what they are bound to."""
        udp = {socket: local for socket, (local, _, _) in self._sockets.items()}
        return udp if self._others is None else udp | self._others.locals()

    @property
    def lost(self) -> Counter[str]:
        """What TLS and DTLS lost, by reason, in the words of `sansice.sockets`: handshakes that failed, datagrams to nobody."""
        return Counter() if self._others is None else self._others.lost

    def call(self, method: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run one of the machine's commands at the present virtual time, and perform what it wants.

        ``node.call(agent.send, b"hello")`` is ``agent.send(b"hello", now=...)`` and a flush.
        """
        return self.driver.call(method, *args, **kwargs)

    def stop(self) -> None:
        """Stop running the machine without asking it, as a killed process would: its timer never fires, its system closes its
        sockets. Streams end, or are reset where something was not read.
        """
        for socket, (local, _, _) in self._sockets.items():
            self.host.unbind(local, self, socket)
        self._sockets.clear()
        if self._others is not None:
            self._others.die()
        self._armed = math.inf
        self.running = False
        self.host.forget(self)

    @property
    def _unix(self) -> float:
        return self._world.unix + self._clock.now + self.host.clock_offset

    def tell_wall_clock(self) -> None:
        """Tell the machine what the wall clock reads, because that jumped."""
        self.driver.call(self.machine.handle_wall_clock, self._unix)

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
        elif deadline != deadline:
            raise SimulationError(f"{type(self.machine).__name__} on {self.host.name}: deadline() is {deadline!r}, no time")

    def _fire(self, deadline: float) -> None:
        if deadline != self._scheduled:  # an earlier one was armed after this
            return
        if self.host.wakes > self._clock.now:
            self._clock.at(self.host.wakes, self._fire, deadline)
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
        """Bind a UDP socket, or begin to open another."""
        others, now = self._others, self._clock.now
        instant, count = self._opened
        self._opened = (now, count + 1 if instant == now else 1)
        if count >= OPEN_LIMIT and instant == now:
            name = type(self.machine).__name__
            raise SimulationError(f"{name} on {self.host.name} opens sockets at {now} s for ever: the last is {action.socket}")
        if action.socket in self._sockets or (others is not None and action.socket in others):
            raise SimulationError(f"{type(self.machine).__name__} on {self.host.name} opens socket {action.socket} twice")
        bind = self._local(action)
        if isinstance(bind, SocketError):
            self.driver.socket_failed(action.socket, bind)
            return
        if action.transport is not Transport.UDP:
            if others is None:
                others = self._others = Sockets(self, self._world)
            others.open(action, bind)
            return
        bound = self.host.bind(self, action.socket, bind, action.options)
        if isinstance(bound, SocketError):
            self.driver.socket_failed(action.socket, bound)
            return
        self._sockets[action.socket] = (*bound, action.options.dont_fragment is True)
        self.driver.socket_opened(action.socket, bound[0])

    def _local(self, action: OpenSocket) -> Address | SocketError:
        host, port = action.bind
        towards = action.towards
        if towards is None or host not in (ANY_IPV4, ANY_IPV6):
            return action.bind
        interface = self.host.route(towards.host)
        if interface is None:
            text = f"network unreachable: {self.host.name} has no route to {towards.host}"
            return SocketError(SocketErrorKind.UNREACHABLE, text)
        return Address(interface.address, port)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        """Free the port; what is under way to it meets a closed port."""
        bound = self._sockets.pop(socket, None)
        if bound is not None:
            self.host.unbind(bound[0], self, socket)
        elif self._others is not None:
            self._others.close(socket, mode)

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Put a datagram on the way."""
        bound = self._sockets.get(socket)
        if bound is None and self._others is not None and self._others.send(socket, destination, data):
            return
        if bound is None or not destination[1] or len(data) > MAX_PAYLOAD or (":" in destination[0]) != (":" in bound[0][0]):
            self.refused += 1
            return
        local, interface, whole = bound
        packet = (
            Packet(local, destination, data, None, NO_ADDRESS, None, None, True) if whole else Packet(local, destination, data)
        )
        if not self.host.send(interface, packet):
            self.refused += 1
            if whole:
                self._tell_too_big(socket, packet, interface)

    def _tell_too_big(self, socket: SocketId, packet: Packet, interface: Interface) -> None:
        """A system that knows the path's MTU by now says itself what a router would: the router never sees the packet."""
        mtu = self.host.path_mtu(packet.source.host, packet.destination.host)
        if packet.source.host == interface.source and mtu is not None and packet.size > mtu:
            refusal = too_big(mtu)
            error = refusal.ipv6 if packet.is_ipv6 else refusal.ipv4
            self._clock.at(self._clock.now, self._too_big, (socket, packet.destination, error))

    def _too_big(self, told: tuple[SocketId, Address, IcmpError]) -> None:
        if told[0] in self._sockets:
            self.driver.icmp(*told)

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        """Queue bytes on a stream."""
        if self._others is not None:
            self._others.send_stream(socket, data)

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream."""
        if self._others is not None:
            self._others.set_reading(socket, enabled)

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        """Say whether datagrams may be fragmented."""
        bound = self._sockets.get(socket)
        if bound is not None:
            self._sockets[socket] = (*bound[:2], enabled)

    def resolve(self, action: Resolve) -> None:
        """Ask the host's name service, which never answers within the machine's own step; or who is on the link."""
        if action.name.lower().endswith(".local") and is_concealing_name(action.name):
            self.host.link_names.find(action, self._resolved)
            return
        seconds, answer = self.host.names.look_up(action.name, action.kind)
        self._clock.at(self._clock.now + seconds, self._resolved, (action, answer))

    def _resolved(self, answered: tuple[Resolve, tuple[Record, ...] | ResolveError]) -> None:
        if self.host.wakes > self._clock.now:
            self._clock.at(self.host.wakes, self._resolved, answered)
        elif self.running:
            self.driver.resolved(*answered)

    def publish_name(self, name: str, host: str) -> None:
        """Answer for a name on the links of the host."""
        self.host.link_names.publish(name, host, self)

    def withdraw_name(self, name: str) -> None:
        """Answer for it no more."""
        self.host.link_names.withdraw(name)

    def deliver(self, event: Event) -> None:
        """Keep an event for the test, and have the listener act on it soon."""
        self.events.append((self._clock.now, event))
        if self.listener is not None:
            self._clock.at(self._clock.now, self.listener, event)
