"""The 20-byte header: methods, classes, the type field, transaction ids (RFC 8489 5)."""

from __future__ import annotations

import enum
import struct
from typing import NewType

from sansice.machine import Entropy

COOKIE = 0x2112A442  # RFC 8489 5
COOKIE_BYTES = COOKIE.to_bytes(4, "big")
HEADER_LENGTH = 20  # RFC 8489 5
TRANSACTION_ID_LENGTH = 12  # RFC 8489 5: 96 bits

HEADER = struct.Struct("!HHI12s")

TransactionId = NewType("TransactionId", bytes)
"""The 12 bytes that tie a response to its request."""


class Method(enum.IntEnum):
    """What a message is about (RFC 8489 18.2, RFC 8656 17, RFC 6062 6.1)."""

    BINDING = 0x001
    ALLOCATE = 0x003
    REFRESH = 0x004
    SEND = 0x006
    DATA = 0x007
    CREATE_PERMISSION = 0x008
    CHANNEL_BIND = 0x009
    CONNECT = 0x00A
    CONNECTION_BIND = 0x00B
    CONNECTION_ATTEMPT = 0x00C


class MessageClass(enum.IntEnum):
    """The four roles of a message; the values are the two class bits C1 C0 (RFC 8489 5)."""

    REQUEST = 0b00
    INDICATION = 0b01
    SUCCESS = 0b10
    ERROR = 0b11


_TRANSACTION = (MessageClass.REQUEST, MessageClass.SUCCESS, MessageClass.ERROR)
_INDICATION = (MessageClass.INDICATION,)

CLASSES: dict[int, tuple[MessageClass, ...]] = {
    Method.BINDING: (MessageClass.REQUEST, MessageClass.INDICATION, MessageClass.SUCCESS, MessageClass.ERROR),
    Method.ALLOCATE: _TRANSACTION,
    Method.REFRESH: _TRANSACTION,
    Method.SEND: _INDICATION,
    Method.DATA: _INDICATION,
    Method.CREATE_PERMISSION: _TRANSACTION,
    Method.CHANNEL_BIND: _TRANSACTION,
    Method.CONNECT: _TRANSACTION,
    Method.CONNECTION_BIND: _TRANSACTION,
    Method.CONNECTION_ATTEMPT: _INDICATION,
}
"""Which classes each method permits (RFC 8489 5 leaves it to the method's definition)."""


def join_type(method: int, message_class: int) -> int:
    """Interleave a 12-bit method and two class bits into the 14-bit type (RFC 8489 5, figure 3)."""
    spread = (method & 0xF80) << 2 | (method & 0x070) << 1 | method & 0x00F
    return spread | (message_class & 0b10) << 7 | (message_class & 0b01) << 4


def split_type(message_type: int) -> tuple[int, int]:
    """The method and the class bits of a 14-bit type; the inverse of `join_type`."""
    method = (message_type & 0x3E00) >> 2 | (message_type & 0x00E0) >> 1 | message_type & 0x000F
    return method, (message_type & 0x0100) >> 7 | (message_type & 0x0010) >> 4


TYPE_OF: dict[tuple[int, int], int] = {
    (method, kind): join_type(method, kind) for method, kinds in CLASSES.items() for kind in kinds
}
"""The type field of every permitted pair of method and class."""

OF_TYPE: dict[int, tuple[Method, MessageClass]] = {
    kind: (Method(method), MessageClass(message_class)) for (method, message_class), kind in TYPE_OF.items()
}
"""The inverse of `TYPE_OF`: one look-up decodes and validates."""


def new_transaction_id(entropy: Entropy) -> TransactionId:
    """Draw a transaction id: 12 bytes of a cryptographic source (RFC 8489 5)."""
    return TransactionId(entropy(TRANSACTION_ID_LENGTH))


def is_stun(data: bytes) -> bool:
    """Whether a datagram looks like STUN: a whole header, top bits zero, the cookie (RFC 8489 6.3, RFC 7983).

    The cheap question of a demultiplexer. Never raises; `decode_untrusted` checks the rest.
    """
    return len(data) >= HEADER_LENGTH and data[0] < 0x40 and data[4:8] == COOKIE_BYTES
