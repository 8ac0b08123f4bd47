"""Attribute types and their registry: RFC 8489 18.3, RFC 8445 16.1, RFC 8656 18, RFC 5780, 6062, 7635, 7982, 8016."""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar

from sansice.machine import Address

from ._values import AddressErrorCode, ChangeRequest, ErrorCode, Icmp, PasswordAlgorithm, TransmitCounter
from .shapes import (
    ADDRESS,
    ADDRESS_ERROR,
    ALGORITHM,
    ALGORITHMS,
    ATTRIBUTE_TYPES,
    CHANGE_FLAGS,
    DOMAIN_BYTES,
    ERROR,
    FIRST_BIT,
    FLAG,
    ICMP_ERROR,
    OPAQUE,
    PADDED_PORT,
    TEXT,
    TEXT_PARSED_BYTES,
    TRANSMIT_COUNTER,
    UINT8,
    UINT16,
    UINT32,
    UINT64,
    USERNAME_BYTES,
    XOR_ADDRESS,
    Shape,
    computed,
    opaque,
    text,
)

T = TypeVar("T")


class Attribute(Generic[T]):
    """A type of attribute: its code, its name, and the shape of its values.

    An attribute is a descriptor, never a value: ``message.get(PRIORITY)``, ``encode(..., [(PRIORITY, 1)])``.
    One that is not registered works as well, but `Message.unknown_required` then reports it.

    Attributes:
        code: 0..0xFFFF; up to 0x7FFF a receiver must understand it (RFC 8489 14).
        name: as in the RFCs.
        shape: how values are written.

    Raises:
        ValueError: the code is outside 0..0xFFFF, or the name is empty.
    """

    __slots__ = ("code", "name", "pack", "read_number", "shape", "size", "unpack", "write_number")

    def __init__(self, code: int, name: str, shape: Shape[T]) -> None:
        if not 0 <= code <= 0xFFFF:
            raise ValueError(f"attribute code {code:#x} is outside 0..0xffff")
        if not name:
            raise ValueError(f"attribute {code:#06x} has no name")
        self.code: int = code
        self.name: str = name
        self.shape: Shape[T] = shape
        self.pack: Callable[[T, bytes], bytes] = shape.pack
        self.unpack: Callable[[bytes, bytes], T] = shape.unpack
        self.size: int = 0
        self.write_number: Callable[[Any], bytes] | None = None
        self.read_number: Callable[[bytes, int], tuple[int, Any]] | None = None
        if shape.format is not None:
            # Tag and value in one go: twice as fast as by pack() and unpack(), and PRIORITY is in every check.
            self.size = struct.calcsize("!" + shape.format)
            self.write_number = partial(struct.Struct("!HH" + shape.format).pack, code, self.size)
            self.read_number = struct.Struct("!2xH" + shape.format).unpack_from

    @property
    def comprehension_required(self) -> bool:
        """Whether a receiver that does not know the attribute must refuse the message (RFC 8489 14)."""
        return self.code < 0x8000

    def __repr__(self) -> str:
        return f"Attribute({self.code:#06x}, {self.name!r})"


REGISTRY: dict[int, Attribute[Any]] = {}


def register(attribute: Attribute[T]) -> Attribute[T]:
    """Make an attribute known, so that `Message.unknown_required` leaves it out; returns it.

    Meant for import time: the registry is one for the process. Registering the same object again is a no-op.

    Raises:
        ValueError: the code or the name is taken by another attribute.
    """
    present = REGISTRY.get(attribute.code)
    if present is attribute:
        return attribute
    if present is None:
        present = next((known for known in REGISTRY.values() if known.name == attribute.name), None)
    if present is not None:
        raise ValueError(f"{attribute!r} clashes with {present!r}")
    REGISTRY[attribute.code] = attribute
    return attribute


def _known(code: int, name: str, shape: Shape[T]) -> Attribute[T]:
    return register(Attribute(code, name, shape))


# RFC 8489 14, comprehension-required
MAPPED_ADDRESS: Attribute[Address] = _known(0x0001, "MAPPED-ADDRESS", ADDRESS)
USERNAME: Attribute[str] = _known(0x0006, "USERNAME", text(characters=USERNAME_BYTES, sent=USERNAME_BYTES))
MESSAGE_INTEGRITY: Attribute[bytes] = _known(0x0008, "MESSAGE-INTEGRITY", computed("give encode() a key", opaque(20, 20)))
ERROR_CODE: Attribute[ErrorCode] = _known(0x0009, "ERROR-CODE", ERROR)
UNKNOWN_ATTRIBUTES: Attribute[tuple[int, ...]] = _known(0x000A, "UNKNOWN-ATTRIBUTES", ATTRIBUTE_TYPES)
REALM: Attribute[str] = _known(0x0014, "REALM", TEXT)
NONCE: Attribute[str] = _known(0x0015, "NONCE", TEXT)
MESSAGE_INTEGRITY_SHA256: Attribute[bytes] = _known(
    0x001C, "MESSAGE-INTEGRITY-SHA256", computed("give encode() a key", opaque(16, 32))
)
PASSWORD_ALGORITHM: Attribute[PasswordAlgorithm] = _known(0x001D, "PASSWORD-ALGORITHM", ALGORITHM)
USERHASH: Attribute[bytes] = _known(0x001E, "USERHASH", opaque(32, 32))
XOR_MAPPED_ADDRESS: Attribute[Address] = _known(0x0020, "XOR-MAPPED-ADDRESS", XOR_ADDRESS)

# RFC 8489 14, comprehension-optional
PASSWORD_ALGORITHMS: Attribute[tuple[PasswordAlgorithm, ...]] = _known(0x8002, "PASSWORD-ALGORITHMS", ALGORITHMS)
ALTERNATE_DOMAIN: Attribute[str] = _known(
    0x8003, "ALTERNATE-DOMAIN", text(characters=DOMAIN_BYTES, sent=DOMAIN_BYTES, parsed=DOMAIN_BYTES, encoding="ascii")
)
SOFTWARE: Attribute[str] = _known(0x8022, "SOFTWARE", TEXT)
ALTERNATE_SERVER: Attribute[Address] = _known(0x8023, "ALTERNATE-SERVER", ADDRESS)
FINGERPRINT: Attribute[int] = _known(0x8028, "FINGERPRINT", computed("give encode() fingerprint=True", UINT32))

# RFC 8445 16.1
PRIORITY: Attribute[int] = _known(0x0024, "PRIORITY", UINT32)
USE_CANDIDATE: Attribute[None] = _known(0x0025, "USE-CANDIDATE", FLAG)
ICE_CONTROLLED: Attribute[int] = _known(0x8029, "ICE-CONTROLLED", UINT64)
ICE_CONTROLLING: Attribute[int] = _known(0x802A, "ICE-CONTROLLING", UINT64)

# RFC 8656 18
CHANNEL_NUMBER: Attribute[int] = _known(0x000C, "CHANNEL-NUMBER", UINT16)
LIFETIME: Attribute[int] = _known(0x000D, "LIFETIME", UINT32)
XOR_PEER_ADDRESS: Attribute[Address] = _known(0x0012, "XOR-PEER-ADDRESS", XOR_ADDRESS)
DATA: Attribute[bytes] = _known(0x0013, "DATA", OPAQUE)
XOR_RELAYED_ADDRESS: Attribute[Address] = _known(0x0016, "XOR-RELAYED-ADDRESS", XOR_ADDRESS)
REQUESTED_ADDRESS_FAMILY: Attribute[int] = _known(0x0017, "REQUESTED-ADDRESS-FAMILY", UINT8)
EVEN_PORT: Attribute[bool] = _known(0x0018, "EVEN-PORT", FIRST_BIT)
REQUESTED_TRANSPORT: Attribute[int] = _known(0x0019, "REQUESTED-TRANSPORT", UINT8)
DONT_FRAGMENT: Attribute[None] = _known(0x001A, "DONT-FRAGMENT", FLAG)
RESERVATION_TOKEN: Attribute[bytes] = _known(0x0022, "RESERVATION-TOKEN", opaque(8, 8))
ADDITIONAL_ADDRESS_FAMILY: Attribute[int] = _known(0x8000, "ADDITIONAL-ADDRESS-FAMILY", UINT8)
# As draft-ietf-tram-turn-ipv6 numbered it before RFC 8656 did; coturn up to 4.6 knows no other. IANA never gave it to anybody.
SSODA_ADDRESS_FAMILY: Attribute[int] = _known(0x8032, "SSODA-ADDRESS-FAMILY", UINT8)
ADDRESS_ERROR_CODE: Attribute[AddressErrorCode] = _known(0x8001, "ADDRESS-ERROR-CODE", ADDRESS_ERROR)
ICMP: Attribute[Icmp] = _known(0x8004, "ICMP", ICMP_ERROR)

# RFC 6062 6.2, RFC 7635 6, RFC 8016 3.3, RFC 7982 3.1
CONNECTION_ID: Attribute[int] = _known(0x002A, "CONNECTION-ID", UINT32)
ACCESS_TOKEN: Attribute[bytes] = _known(0x001B, "ACCESS-TOKEN", OPAQUE)
THIRD_PARTY_AUTHORIZATION: Attribute[str] = _known(
    0x802E, "THIRD-PARTY-AUTHORIZATION", text(characters=TEXT_PARSED_BYTES, sent=TEXT_PARSED_BYTES)
)
MOBILITY_TICKET: Attribute[bytes] = _known(0x8030, "MOBILITY-TICKET", OPAQUE)
TRANSACTION_TRANSMIT_COUNTER: Attribute[TransmitCounter] = _known(0x8025, "TRANSACTION-TRANSMIT-COUNTER", TRANSMIT_COUNTER)

# RFC 5780 7
CHANGE_REQUEST: Attribute[ChangeRequest] = _known(0x0003, "CHANGE-REQUEST", CHANGE_FLAGS)
PADDING: Attribute[bytes] = _known(0x0026, "PADDING", OPAQUE)
RESPONSE_PORT: Attribute[int] = _known(0x0027, "RESPONSE-PORT", PADDED_PORT)
RESPONSE_ORIGIN: Attribute[Address] = _known(0x802B, "RESPONSE-ORIGIN", ADDRESS)
OTHER_ADDRESS: Attribute[Address] = _known(0x802C, "OTHER-ADDRESS", ADDRESS)

# Registered with IANA from drafts and from RFC 6679; comprehension-optional, so knowing them harms nobody.
CACHE_TIMEOUT: Attribute[int] = _known(0x8027, "CACHE-TIMEOUT", UINT32)
ECN_CHECK: Attribute[bytes] = _known(0x802D, "ECN-CHECK STUN", OPAQUE)
ORIGIN: Attribute[str] = _known(0x802F, "ORIGIN", text(characters=TEXT_PARSED_BYTES, sent=TEXT_PARSED_BYTES))

# RFC 3489 11.2: old servers still send these; they are recognised, so that nobody refuses the message, and
# no one acts on them (RFC 5389 12.1).
RESPONSE_ADDRESS: Attribute[Address] = _known(0x0002, "RESPONSE-ADDRESS", ADDRESS)
SOURCE_ADDRESS: Attribute[Address] = _known(0x0004, "SOURCE-ADDRESS", ADDRESS)
CHANGED_ADDRESS: Attribute[Address] = _known(0x0005, "CHANGED-ADDRESS", ADDRESS)
REFLECTED_FROM: Attribute[Address] = _known(0x000B, "REFLECTED-FROM", ADDRESS)
