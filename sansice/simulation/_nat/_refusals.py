"""What a NAT or firewall says about a packet that goes no further."""

from __future__ import annotations

from sansice.machine import Address, IcmpError
from sansice.simulation._world._packets import Packet, TcpFlags, TcpSegment

PORT_UNREACHABLE = {False: IcmpError(3, 3), True: IcmpError(1, 4, ipv6=True)}  # RFC 792, RFC 4443 3.1
PROHIBITED = {False: IcmpError(3, 13), True: IcmpError(1, 1, ipv6=True)}  # RFC 1812 5.2.7.1, RFC 4443 3.1


def icmp_about(packet: Packet, error: IcmpError, speaker: str | None = None) -> Packet | None:
    """An ICMP error to the sender of a packet, or ``None``: there is none about ICMP errors, nor about later fragments.

    Args:
        packet: the offending one.
        error: what to say.
        speaker: whose address it comes from; that of the destination if left out.
    """
    if packet.icmp is not None or (packet.fragment is not None and packet.fragment.offset):  # RFC 1122 3.2.2
        return None
    source = Address(packet.destination.host if speaker is None else speaker, 0)
    return Packet(source, packet.source, b"", error, packet.destination, packet.tcp)


def reset_about(packet: Packet) -> Packet | None:
    """The RST that a TCP segment for nobody is answered with (RFC 9293 3.10.7.1), or ``None``: an RST gets none."""
    segment = packet.tcp
    if segment is None or packet.icmp is not None or packet.fragment is not None or segment.flags & TcpFlags.RST:
        return None
    if segment.flags & TcpFlags.ACK:
        answer = TcpSegment(TcpFlags.RST, segment.ack, 0, 0)
    else:
        length = len(packet.data) + bool(segment.flags & TcpFlags.SYN) + bool(segment.flags & TcpFlags.FIN)
        answer = TcpSegment(TcpFlags.RST | TcpFlags.ACK, 0, (segment.seq + length) % 2**32, 0)
    return Packet(packet.destination, packet.source, b"", tcp=answer)
