"""What a firewall remembers of the flows that it let through, and what it says to all others."""

from __future__ import annotations

import math
from collections.abc import Hashable

from sansice.machine import Address
from sansice.simulation._world._packets import Fate, Packet
from sansice.simulation._world._world import World

from ._firewall_kind import FirewallKind, Verdict
from ._fragments import Fragments
from ._refusals import PROHIBITED, icmp_about, reset_about
from ._table import FILTERING_KEY
from ._tcp_states import Control, Side, TcpSession, control_of

MAX_FLOWS = 65536  # of each protocol: with a rule that lets anyone in, anyone makes them

_Flow = tuple[Address, Address]  # the address inside, and the one outside


class PacketFilter:
    """A firewall without its place in the network: packets in, and whether they go on."""

    __slots__ = ("_clock", "_filtering_key", "_incoming", "_kind", "_openings", "_outgoing", "_sessions", "_udp")

    def __init__(self, world: World, kind: FirewallKind) -> None:
        self._clock = world.clock
        self._udp: dict[_Flow, float] = {}
        self._openings: dict[tuple[Address, Hashable], float] = {}
        self._sessions: dict[_Flow, TcpSession] = {}
        self.kind = kind

    @property
    def kind(self) -> FirewallKind:
        """How it decides. May be set, as somebody who logs in at a hotel does: every flow is then judged anew."""
        return self._kind

    @kind.setter
    def kind(self, kind: FirewallKind) -> None:
        self._kind = kind
        self._filtering_key = FILTERING_KEY[kind.filtering]
        self._outgoing = Fragments(self._clock, kind.fragments, self._out)
        self._incoming = Fragments(self._clock, kind.fragments, self._in)
        self.clear()

    def pass_out(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        """What of a packet from inside, or of parts that waited for it, goes on; and its own fate if it does not."""
        return self._pass(packet, Side.INSIDE)

    def pass_in(self, packet: Packet) -> tuple[list[Packet], Fate | None]:
        """The same from outside."""
        return self._pass(packet, Side.OUTSIDE)

    def answer(self, packet: Packet, side: Side) -> Packet | None:
        """What the sender of a packet that was stopped is told, if anything."""
        verdict = self._kind.verdict(packet, side)
        if verdict is Verdict.RESET:
            reset = reset_about(packet)
            if reset is not None or packet.tcp is not None:
                return reset
        elif verdict is not Verdict.UNREACHABLE:
            return None
        return icmp_about(packet, PROHIBITED[packet.is_ipv6])

    def clear(self) -> None:
        """Forget every flow."""
        self._udp.clear()
        self._openings.clear()
        self._sessions.clear()
        self._outgoing.clear()
        self._incoming.clear()

    def _pass(self, packet: Packet, side: Side) -> tuple[list[Packet], Fate | None]:
        if packet.fragment is not None:
            return (self._outgoing if side is Side.INSIDE else self._incoming).handle(packet)
        decided = self._out(packet) if side is Side.INSIDE else self._in(packet)
        return ([], decided) if isinstance(decided, Fate) else ([decided], None)

    def _out(self, packet: Packet) -> Packet | Fate:
        return self._judge(packet, packet.source, packet.destination, Side.INSIDE)

    def _in(self, packet: Packet) -> Packet | Fate:
        return self._judge(packet, packet.destination, packet.source, Side.OUTSIDE)

    def _judge(self, packet: Packet, inner: Address, peer: Address, side: Side) -> Packet | Fate:
        if packet.icmp is not None:
            known = self._knows_quoted(packet, side)
        elif packet.tcp is not None:
            known = self._tcp_goes_on(packet, (inner, peer), side)
        else:
            known = self._udp_goes_on(packet, (inner, peer), side)
        return packet if known else Fate.BLOCKED

    def _udp_goes_on(self, packet: Packet, flow: _Flow, side: Side) -> bool:
        now = self._clock.now
        opening = (flow[0], self._filtering_key(flow[1]))
        known = self._udp.get(flow, -math.inf) > now
        if not known and side is Side.OUTSIDE:
            known = self._openings.get(opening, -math.inf) > now
        if not known and (self._kind.verdict(packet, side) is not Verdict.ALLOW or self._is_full()):
            return False
        self._udp[flow] = self._openings[opening] = now + self._kind.lifetime
        return True

    def _tcp_goes_on(self, packet: Packet, flow: _Flow, side: Side) -> bool:
        now, control = self._clock.now, control_of(packet.tcp)
        session = self._sessions.get(flow)
        if session is not None and session.expires > now:
            session.observe(side, control, now)
            return True
        # RFC 6092 3.3.1: what opens no connection and belongs to none is stopped
        if control is not Control.SYN or self._kind.verdict(packet, side) is not Verdict.ALLOW or self._is_full():
            return False
        self._sessions[flow] = TcpSession(side, control, self._kind.tcp, now)
        return True

    def _knows_quoted(self, packet: Packet, side: Side) -> bool:
        """Whether an ICMP error is about a flow that lives (RFC 6092 3.2.1 and 3.3.1)."""
        flow = (packet.quoted, packet.destination) if side is Side.INSIDE else (packet.destination, packet.quoted)
        if packet.tcp is None:
            return self._udp.get(flow, -math.inf) > self._clock.now
        session = self._sessions.get(flow)
        return session is not None and session.expires > self._clock.now

    def _is_full(self) -> bool:
        if max(len(self._udp), len(self._sessions)) < MAX_FLOWS:
            return False
        now = self._clock.now
        self._udp = {flow: expires for flow, expires in self._udp.items() if expires > now}
        self._openings = {opening: expires for opening, expires in self._openings.items() if expires > now}
        self._sessions = {flow: session for flow, session in self._sessions.items() if session.expires > now}
        return max(len(self._udp), len(self._sessions)) >= MAX_FLOWS
