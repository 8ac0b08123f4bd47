"""The records of DTLS, as far as they are looked at from outside (RFC 6347 4.1, 4.2)."""

from __future__ import annotations

import struct
from typing import NamedTuple

_RECORD = struct.Struct("!BHH6sH")  # content type, version, epoch, sequence number, length
_HANDSHAKE = struct.Struct("!BBHHBHBH")  # type; length; message sequence; offset and length of the fragment: 24 bits as 8 + 16
_HEADERS = _RECORD.size + _HANDSHAKE.size
_FIXED = 34  # bytes before the session id: the client's version and its random

_HANDSHAKE_TYPE, _CLIENT_HELLO, _HELLO_VERIFY_REQUEST = 22, 1, 3
_DTLS_1_0 = 0xFEFF  # in a HelloVerifyRequest whatever is negotiated later (RFC 6347 4.2.1)


class ClientHello(NamedTuple):
    """What a cookie is made from, and the cookie that came along.

    Attributes:
        sequence: of the record; the answer carries the same.
        cookie: empty in the first one.
        parameters: everything else that the client repeats unchanged.
    """

    sequence: bytes
    cookie: bytes
    parameters: bytes


def client_hello_untrusted(datagram: bytes) -> ClientHello | None:
    """The ClientHello that a datagram begins with, if it does: whole, and in the clear."""
    if len(datagram) < _HEADERS + _FIXED + 2:
        return None
    kind, _, epoch, sequence, record_length = _RECORD.unpack_from(datagram)
    message, high, low, _, high_offset, offset, high_part, part = _HANDSHAKE.unpack_from(datagram, _RECORD.size)
    if (kind, epoch, message) != (_HANDSHAKE_TYPE, 0, _CLIENT_HELLO):
        return None
    whole = (high, low) == (high_part, part) and not high_offset and not offset
    length = high << 16 | low
    if not whole or record_length != _HANDSHAKE.size + length or len(datagram) < _HEADERS + length:
        return None
    body = datagram[_HEADERS : _HEADERS + length]
    cookie_at = _FIXED + 1 + body[_FIXED] if length > _FIXED else length
    if cookie_at >= length:
        return None
    cookie_end = cookie_at + 1 + body[cookie_at]
    if cookie_end > length:
        return None
    return ClientHello(sequence, body[cookie_at + 1 : cookie_end], body[:cookie_at] + body[cookie_end:])


def hello_verify_request(sequence: bytes, cookie: bytes) -> bytes:
    """The datagram that asks a client to come back with a cookie (RFC 6347 4.2.1)."""
    body = struct.pack("!HB", _DTLS_1_0, len(cookie)) + cookie
    message = _HANDSHAKE.pack(_HELLO_VERIFY_REQUEST, 0, len(body), 0, 0, 0, 0, len(body)) + body
    return _RECORD.pack(_HANDSHAKE_TYPE, _DTLS_1_0, 0, sequence, len(message)) + message


def pack_records(records: bytes, mtu: int) -> list[bytes]:
    """Cut records that OpenSSL wrote one after the other into datagrams: as many in each as ``mtu`` allows, one at least."""
    datagrams: list[bytes] = []
    start = end = 0
    while end < len(records):
        following = end + _RECORD.size + _RECORD.unpack_from(records, end)[4]
        if following - start > mtu and end > start:
            datagrams.append(records[start:end])
            start = end
        end = following
    datagrams.append(records[start:end])
    return datagrams
