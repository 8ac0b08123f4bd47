"""Whose check is it: a look at the few bytes of a datagram that tell, without decoding it (RFC 8445 7.2.2)."""

from __future__ import annotations

from typing import NamedTuple

from sansice.ice._description import check_ufrag
from sansice.machine import DecodeError, DropReason
from sansice.stun import HEADER_LENGTH, USERNAME, decode_untrusted

# The types of the Binding method (RFC 8489 5), as they lead the datagram.
REQUEST = b"\x00\x01"
INDICATION = b"\x00\x11"
SUCCESS = b"\x01\x01"
ERROR = b"\x01\x11"

TRANSACTION_ID = slice(8, 20)  # RFC 8489 5

# USERNAME is the first attribute of all agents that are known. Behind so many others it is not looked for: a datagram can have
# 16,000 empty ones, and this is done for everybody.
MAX_ATTRIBUTES = 16

_USERNAME_HIGH, _USERNAME_LOW = USERNAME.code.to_bytes(2, "big")


def local_ufrag_untrusted(data: bytes) -> bytes | None:
    """What USERNAME of a STUN message has before the colon, which is the receiver's ufrag; ``None`` where there is none.

    Never raises. Whether the rest of the message is sound is for the agent to say.
    """
    start, size = HEADER_LENGTH, len(data)
    for _ in range(MAX_ATTRIBUTES):
        if start + 4 > size:
            return None
        length = data[start + 2] << 8 | data[start + 3]
        start += 4
        if data[start - 3] == _USERNAME_LOW and data[start - 4] == _USERNAME_HIGH:
            colon = data.find(b":", start, start + length)
            return data[start:colon] if colon > start and start + length <= size else None
        start += length + 3 & ~3
    return None


class Ufrags(NamedTuple):
    """Both halves of a USERNAME: whom a check is for, and whom it is from."""

    local: str
    remote: str


def ufrags_untrusted(data: bytes) -> Ufrags:
    """The USERNAME of what must be a whole check (RFC 8445 7.1.1, 7.2.2): sound, with FINGERPRINT and integrity.

    Raises:
        DecodeError: it is none; with the reason to count.
    """
    message = decode_untrusted(data)
    if not message.has_fingerprint:
        raise DecodeError(DropReason.BAD_FINGERPRINT)
    username = message.get(USERNAME)
    if username is None or not message.has_integrity:
        raise DecodeError(DropReason.BAD_USERNAME if username is None else DropReason.BAD_INTEGRITY)
    local, _, remote = username.partition(":")
    try:
        check_ufrag(local)
        check_ufrag(remote)
    except ValueError:
        raise DecodeError(DropReason.BAD_USERNAME) from None
    return Ufrags(local, remote)
