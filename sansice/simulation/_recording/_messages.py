"""STUN messages and application data of a recording, with other keys and without content, of the same length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zlib import crc32

from sansice.machine import DecodeError
from sansice.stun import (
    ACCESS_TOKEN,
    DATA,
    FINGERPRINT,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    NONCE,
    REALM,
    IntegrityKey,
    Message,
    decode_untrusted,
)

_HEADER = 20  # bytes; RFC 8489 5
_LENGTH = slice(2, 4)
_COOKIE = b"\x21\x12\xa4\x42"
_FINGERPRINT_XOR = 0x5354554E  # RFC 8489 14.7
_LEAST_SHA256 = 16  # RFC 8489 14.6

# The first byte tells protocols that share a port apart (RFC 7983 7): the first one of each range stands for all.
_RANGES = (0, 4, 16, 20, 64, 80, 128, 192)


def as_message(data: bytes) -> Message | None:
    """The message that a datagram is, if it is one."""
    try:
        return decode_untrusted(data)
    except DecodeError:
        return None


def is_like_message(data: bytes) -> bool:
    """Whether a datagram that is no message was meant to be one, by the cookie, or by RFC 3489, which had none."""
    if len(data) < _HEADER or data[0] >= 0x40:
        return False
    return data[4:8] == _COOKIE or int.from_bytes(data[_LENGTH], "big") == len(data) - _HEADER


def blanked(data: bytes) -> bytes:
    """As many zeros; the first byte only says which protocol it was."""
    if not data:
        return data
    return bytes((max(first for first in _RANGES if first <= data[0]),)) + bytes(len(data) - 1)


def realm_of(message: Message) -> str | None:
    """The realm of a message."""
    try:
        return message.get(REALM)
    except DecodeError:
        return None


def nonce_of(message: Message) -> bytes | None:
    """The nonce of a message, as it is on the wire."""
    return next((value for code, value in message.attributes() if code == NONCE.code), None)


def token_of(message: Message) -> bytes | None:
    """The access token of a message."""
    return message.get(ACCESS_TOKEN)


def resigned(
    message: Message,
    pairs: Sequence[tuple[IntegrityKey, IntegrityKey]],
    nonces: Mapping[bytes, bytes],
    token: bytes | None = None,
) -> bytes:
    """The message with other nonces, no data, and signed with the other key of a pair where one signed it.

    A message that none of the keys signed is left with its wrong signature: it will not be right by another key either.

    Args:
        message: what arrived.
        pairs: old and new keys.
        nonces: new values by old ones of the same length.
        token: another access token of the same length, where it has one.
    """
    data = bytearray(message.data)
    key = next((new for old, new in pairs if message.verify(old, minimum_sha256=_LEAST_SHA256)), None)
    offset = _HEADER
    for code, value in message.attributes():
        start, end = offset + 4, offset + 4 + len(value)
        if code == NONCE.code and len(nonces.get(value, b"")) == len(value):
            data[start:end] = nonces[value]
        elif code == ACCESS_TOKEN.code and token is not None:
            data[start:end] = token[: len(value)]
        elif code == DATA.code:
            data[start:end] = bytes(len(value))
        elif code == MESSAGE_INTEGRITY.code and key is not None:
            data[start:end] = key.sha1(_covered(data, offset, end))[: len(value)]
        elif code == MESSAGE_INTEGRITY_SHA256.code and key is not None:
            data[start:end] = key.sha256(_covered(data, offset, end))[: len(value)]
        elif code == FINGERPRINT.code:
            data[start:end] = (crc32(data[:offset]) ^ _FINGERPRINT_XOR).to_bytes(4, "big")
        offset = end + -len(value) % 4
    return bytes(data)


def _covered(data: bytearray, offset: int, end: int) -> bytes:
    """What an integrity attribute protects: all before it, with a header that ends the message with it (RFC 8489 14.5)."""
    return bytes(data[:2] + (end - _HEADER).to_bytes(2, "big") + data[4:offset])


def messages_in_stream(data: bytes) -> list[tuple[int, int]]:
    """Start and end of the whole messages at the beginning of a stream (RFC 8489 6.2.2)."""
    found = []
    start = 0
    while len(data) - start >= _HEADER and data[start] < 0x40 and data[start + 4 : start + 8] == _COOKIE:
        end = start + _HEADER + int.from_bytes(data[start + 2 : start + 4], "big")
        if end > len(data):
            break
        found.append((start, end))
        start = end
    return found
