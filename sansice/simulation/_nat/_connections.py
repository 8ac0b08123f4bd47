"""A NAT that tracks connections, as Linux's conntrack and pf do: every flow is an entry with its peer.

How an entry gets its port follows the kernel's ``get_unique_tuple`` (net/netfilter/nf_nat_core.c): the port that the inner
socket has already, else its own number, else a random one; each only where no other entry has that port with that peer.
"""

from __future__ import annotations

from collections.abc import Iterator

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._kind import NatMapping, PortAssignment, Refresh
from ._pool import Pairing
from ._table import Setting
from ._tcp_states import Control, Side, TcpSession, control_of

MAX_OWN = 65536  # entries of the NAT's own: anyone outside makes them

STREAM_AFTER = 2.0  # seconds after which a UDP flow in both directions is "assured": nf_conntrack_proto_udp.c


class _Connection:
    """One flow. Of the NAT's own ones, which nobody inside takes part in, ``inner`` is ``None``."""

    __slots__ = ("began", "expires", "inner", "outer", "peer", "replied", "session")

    def __init__(self, inner: Address | None, outer: Address, peer: Address, now: float) -> None:
        self.inner = inner
        self.outer = outer
        self.peer = peer
        self.began = now
        self.expires = now
        self.replied = False
        self.session: TcpSession | None = None


class Connections:
    """The connections of one family and protocol.

    Attributes:
        lifetime: of UDP, seconds of silence in both directions after which one that was answered is gone; a change counts
            from the next packet.
    """

    __slots__ = (
        "_by_inner",
        "_by_outer",
        "_clock",
        "_drawn",
        "_inbound",
        "_kind",
        "_label",
        "_outbound",
        "_own",
        "_pairing",
        "_protocol",
        "_quota",
        "_reserved",
        "_world",
        "lifetime",
    )

    def __init__(self, setting: Setting, protocol: str) -> None:
        kind = setting.kind
        self._world = setting.world
        self._clock = setting.world.clock
        self._label = f"{protocol} connections of {setting.label}"
        self._protocol = protocol
        # The kernel chooses by a hash of the inner address alone (find_best_ips_proto), which pairs as well.
        self._pairing = Pairing(setting.hosts)
        self._kind = kind
        self._outbound = kind.refresh is not Refresh.INBOUND
        self._inbound = kind.refresh is not Refresh.OUTBOUND
        self._quota = setting.quota
        self._reserved = setting.reserved
        self._drawn = 0
        self._own = 0
        self._by_inner: dict[Address, dict[Address, _Connection]] = {}  # by inner address, then by peer, oldest first
        self._by_outer: dict[tuple[Address, Address], _Connection] = {}
        self.lifetime: float = kind.lifetime
        self._quota.share(self._sweep)

    def leave(self, packet: Packet) -> Address | Fate:
        """See `Table.leave`."""
        connection = self._of(packet[0], packet[1])
        if connection is None:
            if self._is_stray(packet):
                return Fate.NO_MAPPING
            connection = self._open(packet.source, packet.destination)
            if connection is None:
                return Fate.NO_PORTS
        self._observe(connection, packet, Side.INSIDE)
        return connection.outer

    def enter(self, packet: Packet) -> Address | Fate:
        """See `Table.enter`. With an open input, what is let in by nothing makes an entry of the NAT's own."""
        connection = self._live(self._by_outer.get((packet[1], packet[0])))
        if connection is None:
            if self._kind.open_input and not self._is_stray(packet):
                self._take_in(packet)
            return Fate.NO_MAPPING
        self._observe(connection, packet, Side.OUTSIDE)
        return Fate.NO_MAPPING if connection.inner is None else connection.inner

    def outer_of(self, inner: Address, peer: Address) -> Address | None:
        """See `Table.outer_of`."""
        connection = self._of(inner, peer)
        return None if connection is None else connection.outer

    def inner_of(self, outer: Address, peer: Address) -> Address | Fate:
        """See `Table.inner_of`."""
        connection = self._live(self._by_outer.get((outer, peer)))
        return Fate.NO_MAPPING if connection is None or connection.inner is None else connection.inner

    def mappings(self) -> Iterator[NatMapping]:
        """See `Table.mappings`: one for each connection that somebody inside takes part in."""
        for connection in self._by_outer.values():
            if connection.inner is not None and connection.expires > self._clock.now:
                yield NatMapping(self._protocol, connection.inner, connection.outer, connection.peer, connection.expires)

    def clear(self) -> None:
        """See `Table.clear`."""
        for connection in list(self._by_outer.values()):
            self._forget(connection)
        self._pairing.clear()

    def _of(self, inner: Address, peer: Address) -> _Connection | None:
        connections = self._by_inner.get(inner)
        return None if connections is None else self._live(connections.get(peer))

    def _live(self, connection: _Connection | None) -> _Connection | None:
        return None if connection is None or connection.expires <= self._clock.now else connection

    def _is_stray(self, packet: Packet) -> bool:
        """Whether a packet is in the middle of a TCP connection that nobody here knows."""
        return packet.tcp is not None and not self._kind.picks_up and control_of(packet.tcp) is not Control.SYN

    def _observe(self, connection: _Connection, packet: Packet, side: Side) -> None:
        now = self._clock.now
        if packet.tcp is not None:
            control = control_of(packet.tcp)
            if connection.session is None:
                connection.session = TcpSession(side, control, self._kind.tcp, now)
            else:
                connection.session.observe(side, control, now)
            connection.expires = connection.session.expires
            return
        began = connection.expires == connection.began
        if side is Side.OUTSIDE and connection.inner is not None:
            connection.replied = True
        if began or (self._outbound if side is Side.INSIDE else self._inbound):
            connection.expires = now + self._udp_lifetime(connection)

    def _udp_lifetime(self, connection: _Connection) -> float:
        unreplied = self._kind.unreplied
        if unreplied is None or (connection.replied and self._clock.now > connection.began + STREAM_AFTER):
            return self.lifetime
        return unreplied

    def _open(self, inner: Address, peer: Address) -> _Connection | None:
        expired = self._by_inner.get(inner, {}).get(peer)
        if expired is not None:
            self._forget(expired)
        if not self._quota.take(inner.host):
            return None
        outer = self._choose(inner, peer)
        if outer is None:
            self._quota.give(inner.host)
            return None
        connection = _Connection(inner, outer, peer, self._clock.now)
        self._put(connection)
        self._by_inner.setdefault(inner, {})[peer] = connection
        return connection

    def _take_in(self, packet: Packet) -> None:
        if self._own >= MAX_OWN:
            self._sweep()
            if self._own >= MAX_OWN:
                return
        connection = _Connection(None, packet.destination, packet.source, self._clock.now)
        self._put(connection)
        self._own += 1
        self._observe(connection, packet, Side.OUTSIDE)

    def _put(self, connection: _Connection) -> None:
        expired = self._by_outer.get((connection.outer, connection.peer))
        if expired is not None:
            self._forget(expired)
        self._by_outer[connection.outer, connection.peer] = connection

    def _forget(self, connection: _Connection) -> None:
        del self._by_outer[connection.outer, connection.peer]
        inner = connection.inner
        if inner is None:
            self._own -= 1
            return
        connections = self._by_inner[inner]
        del connections[connection.peer]
        if not connections:
            del self._by_inner[inner]
        self._quota.give(inner.host)

    def _choose(self, inner: Address, peer: Address) -> Address | None:
        host = self._pairing.of(inner.host)
        if self._kind.ports is PortAssignment.PRESERVATION:
            for known in (*self._ports_of(inner), Address(host, inner.port)):
                if self._is_free(known, peer):
                    return known
        first, last = self._kind.port_range
        count = last - first + 1
        start = self._draw(count)
        for step in range(count):
            outer = Address(host, first + (start + step) % count)
            if self._is_free(outer, peer):
                return outer
        return None

    def _ports_of(self, inner: Address) -> Iterator[Address]:
        """Where the latest connection of this inner socket leaves, if it has one (find_appropriate_src)."""
        for connection in reversed(self._by_inner.get(inner, {}).values()):
            if self._live(connection) is not None:
                yield connection.outer
                return

    def _is_free(self, outer: Address, peer: Address) -> bool:
        return outer not in self._reserved and self._live(self._by_outer.get((outer, peer))) is None

    def _draw(self, choices: int) -> int:
        self._drawn += 1
        return self._world.draw(self._label, self._drawn, choices)

    def _sweep(self) -> None:
        now = self._clock.now
        for connection in [connection for connection in self._by_outer.values() if connection.expires <= now]:
            self._forget(connection)
