"""ICMP errors: which there are for what, in both families, and how they get back to who caused them."""

from __future__ import annotations

from typing import NamedTuple

from sansice.machine import Address, IcmpError

from ._packets import Packet


class Refusal(NamedTuple):
    """One reason to send an ICMP error, in the words of either family."""

    ipv4: IcmpError
    ipv6: IcmpError


# RFC 792, RFC 1122 3.2.2.1, RFC 1812 5.2.7.1; RFC 4443 3.1 and 3.3
NET_UNREACHABLE = Refusal(IcmpError(3, 0), IcmpError(1, 0, ipv6=True))
HOST_UNREACHABLE = Refusal(IcmpError(3, 1), IcmpError(1, 3, ipv6=True))
PORT_UNREACHABLE = Refusal(IcmpError(3, 3), IcmpError(1, 4, ipv6=True))
PROHIBITED = Refusal(IcmpError(3, 13), IcmpError(1, 1, ipv6=True))
HOPS_EXCEEDED = Refusal(IcmpError(11, 0), IcmpError(3, 0, ipv6=True))
REASSEMBLY_EXCEEDED = Refusal(IcmpError(11, 1), IcmpError(3, 1, ipv6=True))

# Who speaks for a router that has no address: RFC 7600 4.8 names one for IPv4; of the addresses that nobody has, RFC 6666.
NAMELESS = {False: "192.0.0.8", True: "100::8"}


def too_big(mtu: int) -> Refusal:
    """That a packet is longer than ``mtu`` bytes (RFC 1191 4, RFC 4443 3.2)."""
    return Refusal(IcmpError(3, 4, mtu=mtu), IcmpError(2, 0, ipv6=True, mtu=mtu))


def about(packet: Packet, refusal: Refusal, speaker: str = "") -> Packet | None:
    """The error about a packet, to its source; ``None`` where none may be sent.

    Args:
        packet: which is not passed on.
        refusal: why.
        speaker: the address that tells it; the one for nameless routers if left out.
    """
    # RFC 1122 3.2.2: not about an ICMP error, nor about any fragment but the first
    if packet.icmp is not None or (packet.fragment is not None and packet.fragment.offset):
        return None
    ipv6 = packet.is_ipv6
    error = refusal.ipv6 if ipv6 else refusal.ipv4
    source = Address(speaker or NAMELESS[ipv6], 0)
    return Packet(source, packet.source, b"", error, packet.destination, packet.tcp)
