"""Capture files: pcap and pcapng, as draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng describe them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import attrs

_PCAP = {  # the first four bytes: byte order, and the unit of the second time field
    b"\xa1\xb2\xc3\xd4": (">", 1e-6),
    b"\xd4\xc3\xb2\xa1": ("<", 1e-6),
    b"\xa1\xb2\x3c\x4d": (">", 1e-9),
    b"\x4d\x3c\xb2\xa1": ("<", 1e-9),
}
_PCAPNG = b"\x0a\x0d\x0d\x0a"
_PCAPNG_ORDERS = {b"\x1a\x2b\x3c\x4d": ">", b"\x4d\x3c\x2b\x1a": "<"}
_FILE_HEADER = 24  # bytes
_INTERFACE, _PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET = 1, 2, 3, 6  # types of pcapng blocks
_RESOLUTION, _OFFSET = 9, 14  # options of an interface: if_tsresol, if_tsoffset


class CaptureError(ValueError):
    """The file is damaged or ends too early. What came before is good."""


@attrs.frozen
class Packet:
    """A captured packet.

    Attributes:
        number: from 1, as Wireshark counts.
        time: Unix seconds; ``None`` where the file does not tell.
        link: the link type, a LINKTYPE_ number.
        data: the bytes captured.
    """

    number: int
    time: float | None
    link: int
    data: bytes = attrs.field(repr=bytes.hex)


@attrs.frozen
class _Interface:
    link: int
    unit: float = 1e-6
    offset: int = 0
    snap_length: int = 0


def is_capture(data: bytes) -> bool:
    """Whether a file is a capture, by its first four bytes."""
    return data[:4] in _PCAP or data[:4] == _PCAPNG


def read_capture(data: bytes) -> Iterator[Packet]:
    """The packets of a capture file.

    Raises:
        CaptureError: in the end, after all that could be read.
    """
    return _read_pcapng(data) if data[:4] == _PCAPNG else _read_pcap(data)


def _read_pcap(data: bytes) -> Iterator[Packet]:
    order, unit = _PCAP[data[:4]]
    if len(data) < _FILE_HEADER:
        raise CaptureError(f"the capture ends in its header, after {len(data)} bytes")
    (link,) = struct.unpack_from(order + "I", data, 20)
    record = struct.Struct(order + "4I")
    position, number = _FILE_HEADER, 0
    while position < len(data):
        number += 1
        if len(data) - position < record.size:
            raise _cut_short(number, position)
        seconds, fraction, captured, _ = record.unpack_from(data, position)
        position += record.size
        if len(data) - position < captured:
            raise _cut_short(number, position)
        yield Packet(number, seconds + fraction * unit, link & 0xFFFF, data[position : position + captured])
        position += captured


def _cut_short(number: int, position: int) -> CaptureError:
    return CaptureError(f"the capture ends in the middle of packet {number}, which begins at byte {position}")


def _read_pcapng(data: bytes) -> Iterator[Packet]:
    order = "<"
    interfaces: list[_Interface] = []
    number = 0
    for position, kind, body, order in _blocks(data):
        try:
            if kind == int.from_bytes(_PCAPNG, "big"):
                interfaces = []
            elif kind == _INTERFACE:
                interfaces.append(_interface(order, body))
            elif kind in (_PACKET, _SIMPLE_PACKET, _ENHANCED_PACKET):
                number += 1
                yield _packet(order, kind, body, interfaces, number)
        except (struct.error, IndexError, OverflowError):
            raise CaptureError(f"the block at byte {position} of the capture is damaged") from None


def _blocks(data: bytes) -> Iterator[tuple[int, int, bytes, str]]:
    """Position, type, body and byte order of each block."""
    position, order = 0, "<"
    while position < len(data):
        is_section = data.startswith(_PCAPNG, position)
        if is_section:
            order = _PCAPNG_ORDERS.get(data[position + 8 : position + 12], order)
        if len(data) - position < 12:
            raise CaptureError(f"the capture ends in the middle of the block at byte {position}")
        kind, length = struct.unpack_from(order + "2I", data, position)
        if length < 12 or length % 4:
            raise CaptureError(f"the block at byte {position} of the capture says that it is {length} bytes long")
        if length > len(data) - position:
            raise CaptureError(f"the capture ends in the middle of the block at byte {position}")
        yield position, kind, data[position + 8 : position + length - 4], order
        position += length


def _interface(order: str, body: bytes) -> _Interface:
    link, snap_length = struct.unpack_from(order + "H2xI", body)
    unit, offset, position = 1e-6, 0, 8
    while position + 4 <= len(body):
        code, length = struct.unpack_from(order + "2H", body, position)
        value = body[position + 4 : position + 4 + length]
        if code == _RESOLUTION:
            unit = 2.0 ** -(value[0] & 0x7F) if value[0] & 0x80 else 10.0 ** -value[0]
        elif code == _OFFSET:
            (offset,) = struct.unpack(order + "q", value)
        position += 4 + length + -length % 4
    return _Interface(link, unit, offset, snap_length)


def _packet(order: str, kind: int, body: bytes, interfaces: list[_Interface], number: int) -> Packet:
    if kind == _SIMPLE_PACKET:
        (length,) = struct.unpack_from(order + "I", body)
        interface = interfaces[0]
        captured = min(length, interface.snap_length or length)
        return Packet(number, None, interface.link, body[4 : 4 + captured])
    layout = "I4I" if kind == _ENHANCED_PACKET else "H2x4I"
    index, high, low, captured, _ = struct.unpack_from(order + layout, body)
    if captured > len(body) - 20:
        raise IndexError
    interface = interfaces[index]
    time = (high << 32 | low) * interface.unit + interface.offset
    return Packet(number, time, interface.link, body[20 : 20 + captured])
