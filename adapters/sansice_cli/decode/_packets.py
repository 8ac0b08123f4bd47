"""From a captured packet to the UDP datagram or TCP segment in it: link layers, IPv4, IPv6."""

from __future__ import annotations

import ipaddress
import struct

import attrs

from sansice import Address

_UDP, _TCP = 17, 6
_ETHERTYPES = (0x0800, 0x86DD)  # IPv4, IPv6
_VLAN = (0x8100, 0x88A8)  # IEEE 802.1Q and 802.1ad: four more bytes
_EXTENSIONS = (0, 43, 60)  # IPv6 headers that say where the next one is: hop-by-hop, routing, destination (RFC 8200 4)
_FRAGMENT = 44

# Where the ethertype is, and where what it names begins; by the numbers of https://www.tcpdump.org/linktypes.html
_WITH_ETHERTYPE = {1: (12, 14), 113: (14, 16), 276: (0, 20)}  # Ethernet, Linux cooked, Linux cooked version 2
_WITHOUT_ETHERTYPE = {0: 4, 108: 4, 12: 0, 14: 0, 101: 0, 228: 0, 229: 0}  # BSD loopback, OpenBSD loopback, raw IP


@attrs.frozen
class Carried:
    """What a packet carries.

    Attributes:
        is_tcp: a segment of TCP, otherwise a datagram of UDP.
        source, destination: where it came from and went to.
        payload: the bytes that are there.
        missing: bytes of the payload that were not captured.
        sequence: of TCP, that of the first byte of the payload.
        is_first: of TCP, the stream begins here.
    """

    is_tcp: bool
    source: Address
    destination: Address
    payload: bytes = attrs.field(repr=bytes.hex)
    missing: int = 0
    sequence: int = 0
    is_first: bool = False


def carried(link: int, packet: bytes) -> Carried | str:
    """What the packet carries, or the reason why it is passed over."""
    try:
        return _internet(_without_link(link, packet))
    except (struct.error, IndexError):
        return "cut short in a header"
    except _PassedOverError as reason:
        return str(reason)


class _PassedOverError(Exception):
    """A packet without UDP or TCP in it."""


def _without_link(link: int, packet: bytes) -> bytes:
    if link in _WITHOUT_ETHERTYPE:
        return packet[_WITHOUT_ETHERTYPE[link] :]
    if link not in _WITH_ETHERTYPE:
        raise _PassedOverError(f"link type {link} is not known here")
    position, start = _WITH_ETHERTYPE[link]
    (ethertype,) = struct.unpack_from("!H", packet, position)
    while ethertype in _VLAN:
        (ethertype,) = struct.unpack_from("!H", packet, start + 2)
        start += 4
    if ethertype not in _ETHERTYPES:
        raise _PassedOverError("not IP")
    return packet[start:]


def _internet(packet: bytes) -> Carried:
    version = packet[0] >> 4
    if version == 4:
        return _ipv4(packet)
    if version == 6:
        return _ipv6(packet)
    raise _PassedOverError("not IP")


def _ipv4(packet: bytes) -> Carried:
    start = (packet[0] & 0x0F) * 4
    total, fragment, protocol, source, destination = struct.unpack_from("!2xH2xHxB2x4s4s", packet)
    if fragment & 0x3FFF:  # more fragments, or an offset
        raise _PassedOverError("an IP fragment")
    total = total or len(packet)  # 0 where the network card was to cut it (TCP segmentation offload)
    return _transport(protocol, packet, start, total, source, destination)


def _ipv6(packet: bytes) -> Carried:
    length, protocol, source, destination = struct.unpack_from("!4xHBx16s16s", packet)
    total = 40 + length if length else len(packet)
    start = 40
    while protocol in _EXTENSIONS:
        protocol, units = packet[start], packet[start + 1]
        start += 8 + 8 * units
    if protocol == _FRAGMENT:
        raise _PassedOverError("an IP fragment")
    return _transport(protocol, packet, start, total, source, destination)


def _transport(protocol: int, packet: bytes, start: int, total: int, source: bytes, destination: bytes) -> Carried:
    if protocol not in (_UDP, _TCP):
        raise _PassedOverError("neither UDP nor TCP")
    ports = struct.unpack_from("!2H", packet, start)
    sender, receiver = (
        Address(str(ipaddress.ip_address(raw)), port) for raw, port in zip((source, destination), ports, strict=True)
    )
    if protocol == _UDP:
        (length,) = struct.unpack_from("!4xH2x", packet, start)
        end, start = start + (length or total - start), start + 8
        payload = packet[start:end]
        return Carried(False, sender, receiver, payload, max(0, end - start - len(payload)))
    sequence, offset, flags = struct.unpack_from("!4xI4xBB6x", packet, start)
    is_first = bool(flags & 0x02)
    start += (offset >> 4) * 4
    payload = packet[start:total]
    missing = max(0, total - start - len(payload))
    return Carried(True, sender, receiver, payload, missing, (sequence + is_first) % 2**32, is_first)
