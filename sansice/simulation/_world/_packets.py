"""What travels, and what became of it."""

from __future__ import annotations

import enum
from typing import NamedTuple

from sansice.machine import Address, IcmpError

NO_ADDRESS = Address("", 0)

HOPS = 64  # RFC 1700, "IP time to live": what systems send with

# Bytes in front of what a packet carries: RFC 791 3.1, RFC 8200 3 and 4.5, RFC 768, RFC 9293 3.1 without options.
IPV4_HEADER, IPV6_HEADER, IPV6_FRAGMENT_HEADER = 20, 40, 8
UDP_HEADER, TCP_HEADER, ICMP_HEADER = 8, 20, 8


class TcpFlags(enum.IntFlag):
    """The control bits of a TCP segment, as on the wire (RFC 9293 3.1)."""

    FIN = 0x01
    SYN = 0x02
    RST = 0x04
    PSH = 0x08
    ACK = 0x10


class TcpSegment(NamedTuple):
    """What makes a packet a TCP segment; its data is that of the packet.

    Attributes:
        flags: control bits.
        seq, ack: sequence and acknowledgement numbers, modulo 2**32; ``ack`` means something only with the flag.
        window: bytes that the sender is ready to take. Not scaled: it may be more than 65535.
    """

    flags: TcpFlags
    seq: int
    ack: int
    window: int


class Fragment(NamedTuple):
    """Which part of a datagram a packet is (RFC 791 3.2, RFC 8200 4.5).

    Offset and length count bytes of what follows the IP header, so the UDP or TCP header is part of the first fragment.

    Attributes:
        ident: the same in all fragments of one datagram.
        offset: where this part begins, a multiple of 8.
        more: whether another part follows.
        length: of the whole datagram, its UDP or TCP header included.
        checksum: ones' complement sum of all the datagram's data, 0..65535: what a writer of the header in the first
            fragment needs and does not have at hand.
    """

    ident: int
    offset: int
    more: bool
    length: int
    checksum: int = 0


class Packet(NamedTuple):
    """A UDP datagram, a TCP segment, a fragment of either, or the ICMP error that one caused.

    A NamedTuple, because one is made for every hop.

    Attributes:
        source: where it claims to come from. The port of an ICMP error is 0, and so are both of any fragment but the first.
        destination: where it goes; an ICMP error goes to the socket that sent what it is about.
        data: the payload, empty in an ICMP error.
        icmp: the error, or ``None``.
        quoted: of an ICMP error, the destination of the packet it is about; otherwise meaningless.
        tcp: of a TCP segment, all of its fragments, and of an ICMP error about one, which quotes it; ``None`` for UDP.
        fragment: which part of a datagram this is; ``None`` for a whole one.
        dont_fragment: whether a router must say "too big" rather than cut it. Nobody but its sender ever cuts IPv6.
        hops: how many more routers pass it on.
    """

    source: Address
    destination: Address
    data: bytes
    icmp: IcmpError | None = None
    quoted: Address = NO_ADDRESS
    tcp: TcpSegment | None = None
    fragment: Fragment | None = None
    dont_fragment: bool = False
    hops: int = HOPS

    @property
    def protocol(self) -> str:
        """``"udp"``, ``"tcp"`` or ``"icmp"``."""
        if self.icmp is not None:
            return "icmp"
        return "udp" if self.tcp is None else "tcp"

    @property
    def is_ipv6(self) -> bool:
        """Whether it travels over IPv6."""
        return ":" in self.destination[0]

    @property
    def size(self) -> int:
        """Bytes on the wire, from the IP header on: what bandwidth and MTU count.

        An ICMP error quotes the headers of what it is about and nothing of its data.
        """
        ip = IPV6_HEADER if self.is_ipv6 else IPV4_HEADER
        transport = UDP_HEADER if self.tcp is None else TCP_HEADER
        if self.icmp is not None:
            return ip + ICMP_HEADER + ip + transport
        if self.fragment is None:
            return ip + transport + len(self.data)
        extension = IPV6_FRAGMENT_HEADER if self.is_ipv6 else 0
        return ip + extension + (0 if self.fragment.offset else transport) + len(self.data)

    def __repr__(self) -> str:
        route = f"{self.source} > {self.destination}"
        if self.icmp is not None:
            return f"<{route}: ICMP {self.icmp.type}/{self.icmp.code} about {self.quoted}>"
        words = [f"{route}:"]
        if self.tcp is not None:
            names = [flag.name for flag in TcpFlags if flag.name and flag & self.tcp.flags]
            words.append(f"TCP {'|'.join(names)} seq {self.tcp.seq} ack {self.tcp.ack} window {self.tcp.window}")
        if self.fragment is not None:
            words.append(f"bytes {self.fragment.offset}.. of {self.fragment.length} of datagram {self.fragment.ident}")
        return f"<{' '.join([*words, self.data.hex()])}>"


class Fate(enum.Enum):
    """What became of a packet at some place."""

    SENT = "left a host"
    ARRIVED = "reached a router or NAT, or in fragments a host"
    TRANSLATED = "translated by a NAT"
    FORWARDED = "passed on by a router"
    DELIVERED = "reached a socket"
    DUPLICATED = "arrives twice"
    FRAGMENTED = "cut into fragments"
    LOST = "lost on a link"
    DROPPED = "dropped by the test"
    QUEUE_FULL = "no room in the queue of a link"
    TOO_BIG = "larger than the MTU of a link"
    UNROUTABLE = "nobody has this address here"
    NO_ROUTE = "the router knows no way there"
    HOPS_EXCEEDED = "passed on too often"
    INTERFACE_DOWN = "the interface is down"
    ASLEEP = "the host sleeps"
    INCOMPLETE = "the other fragments of its datagram did not come"
    CLOSED_PORT = "no socket at this port"
    BACKLOG_FULL = "the listener has too many connections that are not open yet"
    NO_MAPPING = "the NAT has no such mapping"
    FRAGMENT = "a NAT or firewall lets this fragment not through"
    FILTERED = "the NAT lets this source not in"
    BLOCKED = "forbidden by a firewall"
    NO_HAIRPIN = "the NAT does not turn packets round"
    NO_PORTS = "the NAT has no port left"


class Passage(NamedTuple):
    """One line of the trace of a `Network`: ``fate`` befell ``packet`` at ``place``.

    Attributes:
        time: virtual seconds.
        place: the name of the host, NAT, router or segment.
        fate: `Fate.SENT` and `Fate.ARRIVED` show the packet before anything happened to it there, `Fate.TRANSLATED` and
            `Fate.FORWARDED` as it leaves.
        interface: the name of the interface at which it was seen, such as ``"alice 192.168.1.2"`` or ``"home outside"``;
            empty where it was seen at none, as on a link.
    """

    time: float
    place: str
    fate: Fate
    packet: Packet
    interface: str = ""
