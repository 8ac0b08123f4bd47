"""Packets as they would be on a real wire: IPv4, IPv6, UDP, TCP and ICMP headers, with their checksums."""

from __future__ import annotations

import functools
import ipaddress
import struct

from sansice.simulation._world._fragments import checksum
from sansice.simulation._world._packets import Packet, TcpSegment

_ICMP, _TCP, _UDP, _FRAGMENT, _ICMPV6 = 1, 6, 17, 44, 58  # IANA, "Protocol Numbers"

_MORE_FRAGMENTS, _DONT_FRAGMENT = 0x2000, 0x4000  # RFC 791 3.1, as the 16 bits that end in the offset
_MAX_WINDOW = 0xFFFF  # the field's; no segment here negotiates a scale (RFC 7323 2)
_MAX_IPV4 = 0xFFFF


def wire_bytes(packet: Packet) -> bytes:
    """The packet from its IP header on, what its values do not say filled in as systems do.

    The identification of a packet that is no fragment is 0 (RFC 6864 4.1: it means nothing there). A window that would need
    scaling is written as 65535. An ICMP error quotes the headers of what it is about, with no data (RFC 792, RFC 4443 3).
    """
    source, destination = _packed(packet.source.host), _packed(packet.destination.host)
    if packet.icmp is not None:
        protocol, payload = _icmp(packet, source, destination)
    elif packet.fragment is not None and packet.fragment.offset:
        protocol, payload = _protocol(packet.tcp), packet.data
    else:
        protocol, payload = _protocol(packet.tcp), _transport(packet, source, destination)
    ip = _ipv6 if len(source) == 16 else _ipv4
    return ip(packet, protocol, source, destination, len(payload)) + payload


def _complement(*parts: int | bytes) -> int:
    """The complement of the sum of all parts, each an even number of bytes long but for the last, or a sum."""
    total = sum(part if isinstance(part, int) else checksum(part) for part in parts)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@functools.lru_cache(1024)
def _packed(host: str) -> bytes:
    return ipaddress.ip_address(host.partition("%")[0]).packed


def _protocol(tcp: TcpSegment | None) -> int:
    return _UDP if tcp is None else _TCP


def _ipv4(packet: Packet, protocol: int, source: bytes, destination: bytes, length: int) -> bytes:
    total = 20 + length
    if total > _MAX_IPV4:
        raise ValueError(f"{packet.source} > {packet.destination}: {total} bytes do not fit into an IPv4 packet")
    fragment = packet.fragment
    ident, place = 0, _DONT_FRAGMENT if packet.dont_fragment else 0
    if fragment is not None:
        ident = fragment.ident & 0xFFFF
        place |= (_MORE_FRAGMENTS if fragment.more else 0) | fragment.offset // 8
    head = struct.pack("!BBHHHBB", 0x45, 0, total, ident, place, packet.hops, protocol)
    return head + _complement(head, source, destination).to_bytes(2, "big") + source + destination


def _ipv6(packet: Packet, protocol: int, source: bytes, destination: bytes, length: int) -> bytes:
    fragment = packet.fragment
    extension = b""
    if fragment is not None:
        place = fragment.offset | fragment.more  # the offset counts 8 bytes and stands 3 bits up (RFC 8200 4.5)
        extension = struct.pack("!BBHI", protocol, 0, place, fragment.ident & 0xFFFFFFFF)
        protocol = _FRAGMENT
    head = struct.pack("!IHBB", 6 << 28, len(extension) + length, protocol, packet.hops)
    return head + source + destination + extension


def _transport(packet: Packet, source: bytes, destination: bytes) -> bytes:
    """UDP or TCP header and data; in a first fragment, the length and checksum are the whole datagram's."""
    fragment = packet.fragment
    if fragment is None:
        length, data_sum = len(packet.data) + len(_header(packet, 0, 0)), checksum(packet.data)
    else:
        length, data_sum = fragment.length, fragment.checksum
    pseudo = source + destination + struct.pack("!IxxxB", length, _protocol(packet.tcp))  # RFC 8200 8.1; RFC 768 has the same sum
    complement = _complement(pseudo, _header(packet, length, 0), data_sum)
    if packet.tcp is None:
        complement = complement or 0xFFFF  # RFC 768: zero says that there is none
    return _header(packet, length, complement) + packet.data


def _header(packet: Packet, length: int, complement: int) -> bytes:
    ports = (packet.source.port, packet.destination.port)
    tcp = packet.tcp
    if tcp is None:
        return struct.pack("!HHHH", *ports, length, complement)
    window = min(tcp.window, _MAX_WINDOW)
    return struct.pack("!HHIIBBHHxx", *ports, tcp.seq, tcp.ack, 5 << 4, tcp.flags, window, complement)


def _icmp(packet: Packet, source: bytes, destination: bytes) -> tuple[int, bytes]:
    error = packet.icmp
    assert error is not None
    quoted = wire_bytes(Packet(packet.destination, packet.quoted, b"", tcp=packet.tcp))
    if error.ipv6:
        rest = struct.pack("!I", error.mtu)  # RFC 4443 3.2; unused by the other errors
        pseudo = source + destination + struct.pack("!IxxxB", 8 + len(quoted), _ICMPV6)
        protocol = _ICMPV6
    else:
        rest = struct.pack("!HH", 0, error.mtu)  # RFC 1191 4
        pseudo = b""
        protocol = _ICMP
    body = rest + quoted
    kind = bytes((error.type, error.code))
    return protocol, kind + _complement(pseudo, kind, body).to_bytes(2, "big") + body
