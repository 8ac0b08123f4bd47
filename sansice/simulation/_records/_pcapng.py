"""The blocks of a pcapng file (draft-ietf-opsawg-pcapng)."""

from __future__ import annotations

import struct
from collections.abc import Iterable

_SECTION_HEADER, _INTERFACE_DESCRIPTION, _ENHANCED_PACKET = 0x0A0D0D0A, 1, 6  # 11.1
_BYTE_ORDER_MAGIC = 0x1A2B3C4D
_RAW_IP = 101  # LINKTYPE_RAW: begins with an IPv4 or IPv6 header
_NO_LIMIT = 0  # of the bytes captured from a packet

_END, _COMMENT = 0, 1
_SHB_USER_APPLICATION, _IF_NAME, _IF_TIME_RESOLUTION, _EPB_FLAGS = 4, 2, 9, 2

INBOUND, OUTBOUND = 1, 2  # 4.3.1, the lowest two bits of epb_flags
NANOSECONDS = 9  # of if_tsresol: a negative power of ten

_MAX_OPTION = 0xFFFF  # bytes of one option's value

_Option = tuple[int, bytes]


def section(application: str, comment: str = "") -> bytes:
    """What a file begins with (4.1); its length is left open, because the file is written as things happen."""
    options = [(_SHB_USER_APPLICATION, _text(application))]
    if comment:
        options.insert(0, (_COMMENT, _text(comment)))
    return _block(_SECTION_HEADER, struct.pack("<IHHq", _BYTE_ORDER_MAGIC, 1, 0, -1), options)


def interface(name: str) -> bytes:
    """An interface that raw IP packets are seen at (4.2). The first one in the file has the number 0, the next 1."""
    options = [(_IF_NAME, _text(name)), (_IF_TIME_RESOLUTION, bytes((NANOSECONDS,)))]
    return _block(_INTERFACE_DESCRIPTION, struct.pack("<HxxI", _RAW_IP, _NO_LIMIT), options)


def packet(number: int, nanoseconds: int, data: bytes, direction: int, comments: Iterable[str] = ()) -> bytes:
    """A packet seen at an interface (4.3).

    Args:
        number: the interface's.
        nanoseconds: since 1970.
        data: the whole packet.
        direction: `INBOUND` or `OUTBOUND`.
        comments: for a person.
    """
    head = struct.pack("<IIIII", number, nanoseconds >> 32, nanoseconds & 0xFFFFFFFF, len(data), len(data))
    options = [(_COMMENT, _text(comment)) for comment in comments]
    options.append((_EPB_FLAGS, struct.pack("<I", direction)))
    return _block(_ENHANCED_PACKET, head + _padded(data), options)


def _text(text: str) -> bytes:
    return text.encode()[:_MAX_OPTION].decode(errors="ignore").encode()


def _block(kind: int, body: bytes, options: Iterable[_Option]) -> bytes:
    body += b"".join(struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options)
    body += struct.pack("<HH", _END, 0)
    length = 12 + len(body)
    return struct.pack("<II", kind, length) + body + struct.pack("<I", length)


def _padded(data: bytes) -> bytes:
    """To a multiple of four bytes (3.1)."""
    return data + bytes(-len(data) % 4)
