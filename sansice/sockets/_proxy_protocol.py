"""The header in which a proxy tells whose connection it hands on (the PROXY protocol of HAProxy, versions 1 and 2).

Whoever may send one says what our peer's address is, so it is read of trusted networks alone, and strictly: what is not a
header as the specification draws it ends the connection.
"""

from __future__ import annotations

import ipaddress
import re
import struct

import attrs

from sansice.machine import Address, DecodeError, DropReason

MAX_LINE = 107  # bytes of a version 1 header, the end of its line included (2.1: the longest possible)
MAX_BINARY = 4096  # bytes of a version 2 header; ours: addresses take 52, and what proxies append stays below this

_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*)?|(TCP4|TCP6) (\S+) (\S+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4}))\r\n\Z")
_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"  # 2.2
_HEAD = struct.Struct("!12sBBH")
_LOCAL, _PROXY = 0x20, 0x21  # version and command
_UNSPECIFIED, _TCP4, _TCP6 = 0x00, 0x11, 0x21  # family and transport
_ADDRESSES = {
    _TCP4: (struct.Struct("!4s4sHH"), ipaddress.IPv4Address),
    _TCP6: (struct.Struct("!16s16sHH"), ipaddress.IPv6Address),
}


@attrs.frozen
class ProxyHeader:
    """What a proxy said before the connection's own bytes.

    Attributes:
        length: bytes of the header.
        source: who connected to the proxy; ``None`` where the proxy speaks for itself, as its health checks do.
    """

    length: int
    source: Address | None


def read_proxy_header_untrusted(data: bytes) -> ProxyHeader | None:
    """Read the header at the beginning of ``data``; ``None``: it may become one, more bytes are needed.

    Raises:
        DecodeError: it is no header, or one of a connection that cannot be ours.
    """
    start = data[: len(_SIGNATURE)]
    if _SIGNATURE.startswith(start):
        return _read_binary(data)
    if b"PROXY ".startswith(data[:6]):
        return _read_line(data)
    raise _bad("neither version 1 nor version 2")


def _read_line(data: bytes) -> ProxyHeader | None:
    line, end, _ = data[:MAX_LINE].partition(b"\n")
    if not end:
        if len(data) >= MAX_LINE:
            raise _bad(f"no end of the line within {MAX_LINE} bytes")
        return None
    match = _LINE.match(line + end)
    if match is None:
        raise _bad("malformed line")
    family, *texts = match.groups()
    length = len(line) + 1
    if family is None:
        return ProxyHeader(length, None)
    try:
        source, destination = (Address.of(texts[one].decode("ascii"), int(texts[one + 2])) for one in (0, 1))
    except ValueError as error:
        raise _bad(str(error)) from None
    # Mapped addresses come out as IPv4 and are taken for what the text says they are: the family is of the text.
    if any((b":" in text) != (family == b"TCP6") for text in texts[:2]) or b"%" in texts[0] + texts[1]:
        raise _bad(f"{source} and {destination} are not {family.decode()}")
    return ProxyHeader(length, source)


def _read_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < _HEAD.size:
        return None
    _, command, family, size = _HEAD.unpack_from(data)
    length = _HEAD.size + size
    if command not in (_LOCAL, _PROXY):
        raise _bad(f"version and command {command:#04x}")
    if length > MAX_BINARY:
        raise _bad(f"{length} bytes, over the bound of {MAX_BINARY}")
    known = _ADDRESSES.get(family)
    if command == _PROXY and family != _UNSPECIFIED:
        if known is None:
            raise _bad(f"family and transport {family:#04x} of a TCP connection")
        if size < known[0].size:
            raise _bad(f"{size} bytes of addresses, of {known[0].size}")
    if len(data) < length:
        return None
    if command == _LOCAL or known is None:
        return ProxyHeader(length, None)
    packed, _, port, _ = known[0].unpack_from(data, _HEAD.size)
    return ProxyHeader(length, Address.of(str(known[1](packed)), port))


def _bad(detail: str) -> DecodeError:
    return DecodeError(DropReason.BAD_PROXY_HEADER, detail)
