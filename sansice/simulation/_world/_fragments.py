"""Fragments: datagrams cut to fit through a link, and put together again at their destination."""

from __future__ import annotations

from typing import NamedTuple

from sansice.machine import Address

from ._packets import IPV4_HEADER, IPV6_FRAGMENT_HEADER, IPV6_HEADER, TCP_HEADER, UDP_HEADER, Fragment, Packet

REASSEMBLY_SECONDS = 60.0  # RFC 1122 3.3.2, RFC 8200 4.5
MAX_DATAGRAMS = 64  # half-assembled at one host, so that fragments whose others never come cannot fill it


def cut(packet: Packet, mtu: int, ident: int) -> list[Packet]:
    """The fragments of a datagram, or of a fragment, each at most ``mtu`` bytes on the wire (RFC 791 3.2, RFC 8200 4.5).

    Args:
        packet: longer than that.
        mtu: bytes, at least 68 for IPv4 and 1280 for IPv6.
        ident: names the datagram, where it is none yet.
    """
    header = UDP_HEADER if packet.tcp is None else TCP_HEADER
    whole = packet.fragment or Fragment(ident, 0, False, header + len(packet.data), checksum(packet.data))
    ip = IPV6_HEADER + IPV6_FRAGMENT_HEADER if packet.is_ipv6 else IPV4_HEADER
    room = (mtu - ip) // 8 * 8
    parts: list[Packet] = []
    # The transport's header takes room in the very first fragment, so the data in that one is shorter.
    hidden = 0 if whole.offset else header
    position = 0
    while position < len(packet.data) + hidden:
        end = min(position + room, len(packet.data) + hidden)
        offset = whole.offset + position
        source, destination = (packet.source, packet.destination) if offset == 0 else portless(packet)
        data = packet.data[max(position - hidden, 0) : end - hidden]
        more = whole.more or end < len(packet.data) + hidden
        fragment = whole._replace(offset=offset, more=more)
        parts.append(packet._replace(source=source, destination=destination, data=data, fragment=fragment))
        position = end
    return parts


def portless(packet: Packet) -> tuple[Address, Address]:
    """Source and destination as any fragment but the first shows them."""
    return Address(packet.source.host, 0), Address(packet.destination.host, 0)


def checksum(data: bytes) -> int:
    """The ones' complement sum of the data's 16-bit words, as RFC 768 counts it (RFC 1071)."""
    # Modulo 65535 each word counts for what it is, wherever it stands.
    total = int.from_bytes(data + b"\0" if len(data) % 2 else data, "big")
    return total % 0xFFFF or (0xFFFF if total else 0)


class Key(NamedTuple):
    """What the fragments of one datagram have in common (RFC 791 3.2)."""

    source: str
    destination: str
    ident: int
    tcp: bool


class _Datagram:
    """The fragments that came so far."""

    __slots__ = ("broken", "expires", "missing", "parts")

    def __init__(self, expires: float, length: int) -> None:
        self.expires = expires
        self.missing = length
        self.parts: dict[int, Packet] = {}
        self.broken = False

    def add(self, packet: Packet, offset: int, header: int) -> None:
        known = self.parts.get(offset)
        if known is None:
            self.parts[offset] = packet
            self.missing -= len(packet.data) + (0 if offset else header)
        elif known.data != packet.data:
            self.broken = True

    def whole(self, header: int) -> Packet | None:
        """The datagram, where nothing is missing."""
        if self.missing > 0 or self.broken:
            return None
        parts = [self.parts[offset] for offset in sorted(self.parts)]
        ends = [offset + len(self.parts[offset].data) + (0 if offset else header) for offset in sorted(self.parts)]
        if [0, *ends[:-1]] != sorted(self.parts):
            return None
        return parts[0]._replace(data=b"".join(part.data for part in parts), fragment=None)


class Reassembly:
    """The fragments that wait at one host for the others of their datagrams.

    Bounded: where `MAX_DATAGRAMS` wait already, the oldest is given up. A datagram of which two fragments contradict each
    other is never delivered (RFC 5722).
    """

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[Key, _Datagram] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, packet: Packet, fragment: Fragment, now: float) -> Packet | None:
        """Take a fragment.

        Returns:
            The whole datagram, if this was the last that it needed.
        """
        key = Key(packet.source.host, packet.destination.host, fragment.ident, packet.tcp is not None)
        datagram = self._waiting.get(key)
        if datagram is None:
            datagram = self._waiting[key] = _Datagram(now + REASSEMBLY_SECONDS, fragment.length)
        header = TCP_HEADER if key.tcp else UDP_HEADER
        datagram.add(packet, fragment.offset, header)
        whole = datagram.whole(header)
        if whole is not None:
            del self._waiting[key]
        return whole

    def surplus(self) -> Packet | None:
        """Give up the oldest datagram where more wait than may: one of its fragments, or ``None``."""
        if len(self._waiting) <= MAX_DATAGRAMS:
            return None
        return _shown(self._waiting.pop(next(iter(self._waiting))))

    def expired(self, now: float) -> Packet | None:
        """Give up the oldest datagram if its time is over: its first fragment, if that came, or another, or ``None``."""
        oldest = next(iter(self._waiting), None)
        if oldest is None or self._waiting[oldest].expires > now:
            return None
        return _shown(self._waiting.pop(oldest))


def _shown(datagram: _Datagram) -> Packet:
    return datagram.parts.get(0) or next(iter(datagram.parts.values()))
