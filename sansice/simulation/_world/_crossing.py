"""Crossing a segment whose links do more than delay: sizes, queues, and the fate of each copy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._fragments import cut
from ._icmp import about, too_big
from ._packets import Fate, Packet

if TYPE_CHECKING:
    from ._link import Line
    from ._segment import Interface, Segment

IPV6_LEAST_MTU = 1280  # RFC 8200 5: on every link; below it nobody cuts further


def fit(segment: Segment, sender: Interface, receiver: Interface, packet: Packet) -> None:
    """Send a packet over, cut where it must be and may be; or tell its sender that it is too big (RFC 1191, RFC 8201)."""
    near, far = sender.mtu, None if receiver.downlink is None else receiver.downlink.mtu
    mtu = min((one for one in (near, far) if one is not None), default=None)
    if mtu is None or packet.size <= mtu:
        set_out(segment, sender, receiver, packet)
    elif packet.is_ipv6 or packet.dont_fragment:
        _refuse(segment, sender, receiver, packet, mtu, told_by_sender=mtu == near)
    else:
        segment.world.note(segment.name, Fate.FRAGMENTED, packet)
        for part in cut(packet, mtu, segment.world.next_ident()):
            set_out(segment, sender, receiver, part)


def _refuse(segment: Segment, sender: Interface, receiver: Interface, packet: Packet, mtu: int, *, told_by_sender: bool) -> None:
    world = segment.world
    world.lose(segment.name, Fate.TOO_BIG, packet)
    error = about(packet, too_big(mtu)) if segment.icmp else None
    if error is None:
        return
    if told_by_sender:  # the router in front of the link: nothing has been crossed yet
        world.clock.at(world.clock.now, sender.arrive, error)
    else:
        segment.carry(receiver, error, False)


def set_out(segment: Segment, sender: Interface, receiver: Interface, packet: Packet) -> None:
    """Send a packet over the links between two interfaces, one after the other."""
    lines = tuple(line for line in (sender.uplink, segment.line, receiver.downlink) if line is not None)
    _Crossing(segment, receiver, packet, lines).go_on(0, 0.0)


def reach(segment: Segment, receiver: Interface, packet: Packet) -> None:
    """Send a packet that has crossed the segment over the receiver's own link, where there is one."""
    lines = () if receiver.downlink is None else (receiver.downlink,)
    _Crossing(segment, receiver, packet, lines).go_on(0, 0.0)


class _Crossing:
    """One packet on its way over some links."""

    __slots__ = ("_lines", "_packet", "_receiver", "_segment")

    def __init__(self, segment: Segment, receiver: Interface, packet: Packet, lines: tuple[Line, ...]) -> None:
        self._segment = segment
        self._receiver = receiver
        self._packet = packet
        self._lines = lines

    def go_on(self, index: int, ahead: float) -> None:
        """Cross the ``index``-th link and all after it; the packet, or this copy of it, is there in ``ahead`` seconds."""
        world = self._segment.world
        clock = world.clock
        if index == len(self._lines):
            clock.at(clock.now + ahead, self._receiver.arrive, self._packet)
            return
        line = self._lines[index]
        if ahead and line.bandwidth is not None:  # who comes first to a queue is known only when it comes
            clock.at(clock.now + ahead, self._resume, index)
            return
        delays = line.cross(self._packet)
        if isinstance(delays, Fate):
            world.lose(self._segment.name, delays, self._packet)
            return
        if len(delays) > 1:
            world.note(self._segment.name, Fate.DUPLICATED, self._packet)
        for delay in delays:
            self.go_on(index + 1, ahead + delay)

    def _resume(self, index: int) -> None:
        self.go_on(index, 0.0)
