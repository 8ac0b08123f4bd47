"""What travels, and what became of it."""

from __future__ import annotations

import enum
from typing import NamedTuple

from sansice.machine import Address, IcmpError


class Packet(NamedTuple):
    """A UDP datagram, or the ICMP error that one caused.

    A NamedTuple, because one is made for every hop.

    Attributes:
        source: where it claims to come from; the port of an ICMP error is 0.
        destination: where it goes; an ICMP error goes to the socket that sent what it is about.
        data: the payload, empty in an ICMP error.
        icmp: the error, or ``None`` in a datagram.
        quoted: of an ICMP error, the destination of the datagram it is about; meaningless in a datagram.
    """

    source: Address
    destination: Address
    data: bytes
    icmp: IcmpError | None = None
    quoted: Address = Address("", 0)

    def __repr__(self) -> str:
        if self.icmp is not None:
            return f"<{self.source} > {self.destination}: ICMP {self.icmp.type}/{self.icmp.code} about {self.quoted}>"
        return f"<{self.source} > {self.destination}: {self.data.hex()}>"


class Fate(enum.Enum):
    """What became of a packet at some place."""

    SENT = "left a host"
    TRANSLATED = "translated by a NAT"
    DELIVERED = "reached a socket"
    DUPLICATED = "arrives twice"
    LOST = "lost on a link"
    DROPPED = "dropped by the test"
    UNROUTABLE = "nobody has this address here"
    CLOSED_PORT = "no socket at this port"
    NO_MAPPING = "the NAT has no such mapping"
    FILTERED = "the NAT lets this source not in"
    NO_HAIRPIN = "the NAT does not turn packets round"
    NO_PORTS = "the NAT has no port left"


class Passage(NamedTuple):
    """One line of the trace of a `Network`: ``fate`` befell ``packet`` at ``place``.

    Attributes:
        time: virtual seconds.
        place: the name of the host, NAT or segment.
    """

    time: float
    place: str
    fate: Fate
    packet: Packet
