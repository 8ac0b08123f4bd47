"""What a NAT does to packets of one family: tables for UDP and TCP, ICMP errors, fragments."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet

from ._connections import Connections
from ._forwards import Forward, ForwardedTable
from ._fragments import Fragments
from ._kind import NatMapping, PortAssignment, Tracking
from ._overloading import Overloads
from ._table import Setting, Table
from ._tcp_mappings import TcpMappings
from ._udp_mappings import UdpMappings


class Translator:
    """One family of a NAT, without its places in the network: packets in, packets out.

    Args:
        setting: of its tables.
        own: all outer addresses, also those that serve one inner host alone.
        forwards: of this family.

    Attributes:
        own: the outer addresses.
        udp: the translations of UDP.
    """

    __slots__ = ("_alg", "_forwards", "_icmp", "_incoming", "_outgoing", "_setting", "_tcp", "_timed", "own", "udp")

    def __init__(self, setting: Setting, own: Sequence[str], forwards: Sequence[Forward] = ()) -> None:
        kind, clock = setting.kind, setting.world.clock
        self.own: frozenset[str] = frozenset(own)  # only ever asked for membership
        self._timed = _udp_table(setting)
        self.udp: Table = self._timed
        self._setting = setting
        self._forwards = forwards
        # Made when the first segment comes: most worlds have many NATs and no TCP.
        self._tcp: Table | None = None
        if forwards:
            self.udp = ForwardedTable(self.udp, [forward for forward in forwards if "udp" in forward.protocols])
        self._alg = kind.alg
        self._icmp = kind.icmp
        self._outgoing = Fragments(clock, kind.fragments, self.outward)
        self._incoming = Fragments(clock, kind.fragments, self.inward)

    @property
    def tcp(self) -> Table:
        """The translations of TCP."""
        if self._tcp is None:
            tracks = self._setting.kind.tracking is Tracking.CONNECTIONS
            self._tcp = Connections(self._setting, "tcp") if tracks else TcpMappings(self._setting)
            if self._forwards:
                self._tcp = ForwardedTable(self._tcp, [forward for forward in self._forwards if "tcp" in forward.protocols])
        return self._tcp

    @property
    def lifetime(self) -> float:
        """Of UDP mappings, see `NatKind.lifetime`."""
        return self._timed.lifetime

    @lifetime.setter
    def lifetime(self, lifetime: float) -> None:
        self._timed.lifetime = lifetime

    def pass_out(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        """What leaves for a packet from inside, and its own fate if it goes no further."""
        return self._outgoing.handle(packet) if packet.fragment is not None else _as_list(self.outward(packet))

    def pass_in(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        """What comes in for a packet from outside, and its own fate if it goes no further."""
        return self._incoming.handle(packet) if packet.fragment is not None else _as_list(self.inward(packet))

    def outward(self, packet: Packet) -> Packet | Fate:
        """A packet that has ports, as it leaves, or why it does not."""
        table = self.udp if packet.tcp is None else self.tcp
        if packet.icmp is not None:
            # RFC 5508 REQ-5: what it quotes was addressed to the mapping, and is to its receiver
            outer = table.outer_of(packet.quoted, packet.destination) if self._icmp else Fate.FILTERED
            if outer is None or isinstance(outer, Fate):
                return outer or Fate.NO_MAPPING
            return packet._replace(source=Address(outer.host, 0), quoted=outer)
        left = table.leave(packet)
        return left if isinstance(left, Fate) else packet._replace(source=left)

    def inward(self, packet: Packet) -> Packet | Fate:
        """A packet that has ports, as it comes in, or why it does not."""
        table = self.udp if packet.tcp is None else self.tcp
        if packet.icmp is not None:  # RFC 5508 REQ-4
            inner = table.inner_of(packet.destination, packet.quoted) if self._icmp else Fate.FILTERED
        else:
            inner = table.enter(packet)
        if isinstance(inner, Fate):
            return inner
        data = packet.data
        if self._alg:
            data = data.replace(_on_the_wire(packet.destination), _on_the_wire(inner))
        return packet._replace(destination=inner, data=data)

    def mappings(self) -> Iterator[NatMapping]:
        """What lives at present, forwards left out."""
        yield from self.udp.mappings()
        if self._tcp is not None:
            yield from self._tcp.mappings()

    def clear(self) -> None:
        """Forget everything that packets taught."""
        self.udp.clear()
        if self._tcp is not None:
            self._tcp.clear()
        self._outgoing.clear()
        self._incoming.clear()


def _udp_table(setting: Setting) -> UdpMappings | Overloads | Connections:
    if setting.kind.tracking is Tracking.CONNECTIONS:
        return Connections(setting, "udp")
    if setting.kind.ports is PortAssignment.OVERLOADING:
        return Overloads(setting)
    return UdpMappings(setting)


def _as_list(outcome: Packet | Fate) -> tuple[list[Packet], Fate | None]:
    return ([], outcome) if isinstance(outcome, Fate) else ([outcome], None)


def _on_the_wire(address: Address) -> bytes:
    """Port and host side by side, as MAPPED-ADDRESS and many other protocols write them."""
    return address.port.to_bytes(2, "big") + ipaddress.ip_address(address.host).packed
