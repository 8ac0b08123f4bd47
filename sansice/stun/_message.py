"""Received messages: one pass checks the frame and notes offsets; a value is made when it is asked for."""

from __future__ import annotations

import struct
from collections.abc import Container
from hmac import compare_digest
from typing import Any, TypeVar, cast
from zlib import crc32

from sansice.machine import DecodeError, DropReason

from ._attributes import FINGERPRINT, MESSAGE_INTEGRITY, MESSAGE_INTEGRITY_SHA256, REGISTRY, Attribute
from ._header import CLASSES, COOKIE, HEADER, HEADER_LENGTH, OF_TYPE, MessageClass, Method, TransactionId, split_type
from ._integrity import FINGERPRINT_XOR, SHA1_LENGTH, SHA1_TAG, SHA256_LENGTH, SHA256_MINIMUM, IntegrityAlgorithm, IntegrityKey

T = TypeVar("T")

# Ours. Each attribute costs us as much as 100 bytes of checksum do, and 4 bytes of the sender. A check has eight, and
# a CreatePermission as long as RFC 8489 6.1 allows on an unknown path, 548 bytes, has room for 40.
MAX_ATTRIBUTES = 64

_SHA1 = MESSAGE_INTEGRITY.code
_SHA256 = MESSAGE_INTEGRITY_SHA256.code
_FINGERPRINT = FINGERPRINT.code

_read_header = HEADER.unpack_from
_read_tag = struct.Struct("!HH").unpack_from
_read_length = struct.Struct("!H").unpack_from
_read_fingerprint = struct.Struct("!HI").unpack_from
_pack_length = struct.Struct("!H").pack
_STEPS = range(MAX_ATTRIBUTES + 1)


class Message:
    """A message from the network, made by `decode_untrusted`.

    Attributes:
        data: the whole datagram.
        method: what it is about.
        message_class: request, indication, success or error response.
        transaction_id: 12 bytes.
    """

    __slots__ = ("_covered", "_offsets", "data", "message_class", "method", "transaction_id")

    data: bytes
    method: Method
    message_class: MessageClass
    transaction_id: TransactionId
    _offsets: dict[int, int]  # the first occurrence of each code, in order
    _covered: int  # attributes from here on are unprotected, hence ignored (RFC 8489 9)

    def get(self, attribute: Attribute[T]) -> T | None:
        """The value of the first ``attribute``, or ``None`` where there is none (RFC 8489 14).

        What follows the integrity attribute is not seen, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT excepted (RFC 8489 9).

        Raises:
            DecodeError: the value is malformed (`DropReason.BAD_ATTRIBUTE`).
        """
        offset = self._offsets.get(attribute.code)
        if offset is None or (offset > self._covered and attribute.code not in (_SHA256, _FINGERPRINT)):
            return None
        data = self.data
        read = attribute.read_number
        try:
            if read is not None:
                length, number = read(data, offset)
                if length == attribute.size:
                    return cast(T, number)
                raise ValueError(f"{length} bytes instead of {attribute.size}")
            start = offset + 4
            return attribute.unpack(data[start : start + _read_length(data, offset + 2)[0]], self.transaction_id)
        except (ValueError, struct.error) as error:
            raise DecodeError(DropReason.BAD_ATTRIBUTE, f"{attribute.name}: {error}") from None

    def get_all(self, attribute: Attribute[T]) -> tuple[T, ...]:
        """The values of every protected ``attribute``, in order, for those that may come more than once (RFC 8656 10.1).

        Raises:
            DecodeError: one of them is malformed (`DropReason.BAD_ATTRIBUTE`).
        """
        data = self.data
        values: list[T] = []
        offset = HEADER_LENGTH
        while offset < self._covered:
            code, length = _read_tag(data, offset)
            if code == attribute.code:
                try:
                    values.append(attribute.unpack(data[offset + 4 : offset + 4 + length], self.transaction_id))
                except (ValueError, struct.error) as error:
                    raise DecodeError(DropReason.BAD_ATTRIBUTE, f"{attribute.name}: {error}") from None
            offset += 4 + length + -length % 4
        return tuple(values)

    def __contains__(self, attribute: Attribute[Any]) -> bool:
        offset = self._offsets.get(attribute.code)
        return offset is not None and (offset <= self._covered or attribute.code in (_SHA256, _FINGERPRINT))

    def attributes(self) -> list[tuple[int, bytes]]:
        """Every attribute of the message as (code, unpadded bytes): in order, repeated and unprotected ones included."""
        data = self.data
        found: list[tuple[int, bytes]] = []
        offset = HEADER_LENGTH
        while offset < len(data):
            code, length = _read_tag(data, offset)
            found.append((code, data[offset + 4 : offset + 4 + length]))
            offset += 4 + length + -length % 4
        return found

    @property
    def has_integrity(self) -> bool:
        """Whether an integrity attribute is present; `verify` says whether it is right."""
        return _SHA1 in self._offsets or _SHA256 in self._offsets

    @property
    def has_fingerprint(self) -> bool:
        """Whether FINGERPRINT is present; it is then right, or the message would not have been decoded."""
        return _FINGERPRINT in self._offsets

    @property
    def integrity(self) -> IntegrityAlgorithm | None:
        """Which integrity attributes count; MESSAGE-INTEGRITY after MESSAGE-INTEGRITY-SHA256 does not (RFC 8489 9)."""
        sha1, sha256 = self._offsets.get(_SHA1), self._offsets.get(_SHA256)
        if sha256 is None:
            return None if sha1 is None else IntegrityAlgorithm.SHA1
        return IntegrityAlgorithm.SHA256 if sha1 is None or sha1 > sha256 else IntegrityAlgorithm.BOTH

    def verify(self, key: IntegrityKey, *, minimum_sha256: int = SHA256_LENGTH) -> bool:
        """Whether the integrity attribute is right, compared in constant time; ``False`` where there is none.

        MESSAGE-INTEGRITY-SHA256 is what counts when it is present, otherwise MESSAGE-INTEGRITY (RFC 8489 9.1.3).

        Args:
            key: what the sender should have used.
            minimum_sha256: bytes of MESSAGE-INTEGRITY-SHA256 that must be there; a usage that allows truncation
                (RFC 8489 14.6) lowers it, down to 16.
        """
        data = self.data
        offset = self._offsets.get(_SHA256)
        if offset is None:
            offset = self._offsets.get(_SHA1)
            if offset is None or not data.startswith(SHA1_TAG, offset):
                return False
            length = SHA1_LENGTH
            digest = key.sha1(_covered_by(data, offset, length))
        else:
            (length,) = _read_length(data, offset + 2)
            if length % 4 or not max(minimum_sha256, SHA256_MINIMUM) <= length <= SHA256_LENGTH:
                return False
            digest = key.sha256(_covered_by(data, offset, length))[:length]
        return compare_digest(digest, data[offset + 4 : offset + 4 + length])

    def unknown_required(self, understood: Container[int] = REGISTRY) -> tuple[int, ...]:
        """Comprehension-required codes that are not understood: in order, once each, protected ones only (RFC 8489 6.3.1).

        Args:
            understood: the codes that the usage knows, where that is less than the whole registry.
        """
        covered = self._covered
        unknown = [
            code for code, offset in self._offsets.items() if code < 0x8000 and code not in understood and offset <= covered
        ]
        return tuple(unknown)

    def __repr__(self) -> str:
        names = ", ".join(REGISTRY[code].name if code in REGISTRY else f"{code:#06x}" for code in self._offsets)
        return f"<Message {self.method.name} {self.message_class.name} {self.transaction_id.hex()} [{names}]>"


def decode_untrusted(data: bytes, *, require_fingerprint: bool = False) -> Message:
    """Check a datagram from the network and note where its attributes are.

    Strict (RFC 8489 6.3, 14): the two top bits, the cookie, the length field to the byte, a known method with a class
    that it permits, attributes that fill the message exactly, FINGERPRINT last and right where it is present.

    Args:
        data: one whole datagram, or one whole message cut from a stream.
        require_fingerprint: refuse a message without FINGERPRINT, as ICE does.

    Raises:
        DecodeError: and nothing else, whatever the bytes.
    """
    size = len(data)
    if size < HEADER_LENGTH:
        raise DecodeError(DropReason.NOT_STUN if data else DropReason.EMPTY)
    kind, length, cookie, transaction_id = _read_header(data)
    meaning = OF_TYPE.get(kind)
    if meaning is None or cookie != COOKIE or length != size - HEADER_LENGTH or length & 3:
        raise _bad_header(kind, length, cookie, size)

    offsets: dict[int, int] = {}
    offset = HEADER_LENGTH
    for _ in _STEPS:
        if offset >= size:
            break
        code, length = _read_tag(data, offset)
        if code not in offsets:
            offsets[code] = offset
        offset += (length + 7) & 0x1FFFC  # four bytes of tag, the value, padding to a multiple of four
    else:
        raise DecodeError(DropReason.LIMIT, f"more than {MAX_ATTRIBUTES} attributes")
    if offset != size:
        raise DecodeError(DropReason.BAD_ATTRIBUTE, "the last attribute overruns the message")

    if _FINGERPRINT in offsets:
        if offsets[_FINGERPRINT] != size - 8:
            raise DecodeError(DropReason.MISPLACED_ATTRIBUTE)
        if _read_fingerprint(data, size - 6) != (4, crc32(data[:-8]) ^ FINGERPRINT_XOR):  # RFC 8489 14.7
            raise DecodeError(DropReason.BAD_FINGERPRINT, "wrong")
    elif require_fingerprint:
        raise DecodeError(DropReason.BAD_FINGERPRINT, "missing")

    message = _new(Message)
    message.data = data
    message.method, message.message_class = meaning
    message.transaction_id = transaction_id
    message._offsets = offsets
    message._covered = offsets.get(_SHA1, size)
    if _SHA256 in offsets and offsets[_SHA256] < message._covered:
        # An attribute between MESSAGE-INTEGRITY-SHA256 and a later MESSAGE-INTEGRITY is protected by neither,
        # as `verify` looks at the former only.
        message._covered = offsets[_SHA256]
    return message


_new = Message.__new__


def _covered_by(data: bytes, offset: int, length: int) -> bytes:
    """What an integrity attribute protects: all before it, with a header that ends the message with it (RFC 8489 14.5)."""
    return data[:2] + _pack_length(offset + 4 + length - HEADER_LENGTH) + data[4:offset]


def _bad_header(kind: int, length: int, cookie: int, size: int) -> DecodeError:
    """What is wrong with a header, looked for in the order of RFC 8489 6.3."""
    if kind >= 0x4000:
        return DecodeError(DropReason.NOT_STUN)
    if cookie != COOKIE:
        return DecodeError(DropReason.BAD_COOKIE)
    if length != size - HEADER_LENGTH or length % 4:
        return DecodeError(DropReason.BAD_LENGTH, f"{length} in a datagram of {size} bytes")
    method, message_class = split_type(kind)
    if method not in CLASSES:
        return DecodeError(DropReason.UNKNOWN_METHOD, f"{method:#05x}")
    return DecodeError(DropReason.BAD_CLASS, f"{MessageClass(message_class).name} of {Method(method).name}")
