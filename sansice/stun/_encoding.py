"""Messages to send: `encode` builds one, `Template` builds it once and stamps it with new transaction ids."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any
from zlib import crc32

from sansice.machine import LocalProtocolError

from ._attributes import FINGERPRINT, MESSAGE_INTEGRITY_SHA256, Attribute
from ._header import COOKIE, HEADER, TRANSACTION_ID_LENGTH, TYPE_OF, MessageClass, Method, TransactionId
from ._integrity import FINGERPRINT_XOR, SHA1_LENGTH, SHA1_TAG, SHA256_LENGTH, SHA256_MINIMUM, IntegrityAlgorithm, IntegrityKey

_header = HEADER.pack
_tag = struct.Struct("!HH").pack
_fingerprint = struct.Struct("!HHI").pack
_ZEROS = (b"", b"\0\0\0", b"\0\0", b"\0")  # by length % 4 (RFC 8489 14)
_SHA1_ONLY = IntegrityAlgorithm.SHA1
_SHA256_ONLY = IntegrityAlgorithm.SHA256


def encode(
    method: Method,
    message_class: MessageClass,
    transaction_id: TransactionId,
    attributes: Iterable[tuple[Attribute[Any], Any]] = (),
    *,
    key: IntegrityKey | None = None,
    algorithm: IntegrityAlgorithm = _SHA1_ONLY,
    truncate_sha256: int = SHA256_LENGTH,
    fingerprint: bool = False,
    padding: int = 0,
) -> bytes:
    """Build a message (RFC 8489 5, 14).

    Args:
        method: what it is about.
        message_class: one that the method permits.
        transaction_id: 12 bytes, see `new_transaction_id`.
        attributes: (attribute, value) pairs, written in this order.
        key: protect the message with the integrity attributes that ``algorithm`` names.
        algorithm: with ``BOTH``, MESSAGE-INTEGRITY comes first and MESSAGE-INTEGRITY-SHA256 covers it.
        truncate_sha256: bytes of MESSAGE-INTEGRITY-SHA256 to send: 16..32 in steps of 4 (RFC 8489 14.6).
        fingerprint: append FINGERPRINT.
        padding: the byte that fills attributes up; anything but 0 is for reproducing other implementations' messages.

    Raises:
        LocalProtocolError: a value that its attribute cannot hold (the text names the attribute), a class that the
            method does not permit, a transaction id that is not 12 bytes, a message above 65,535 bytes.
    """
    kind = _message_type(method, message_class)
    if not isinstance(transaction_id, bytes) or len(transaction_id) != TRANSACTION_ID_LENGTH:
        raise _bad_transaction_id(transaction_id)
    body = _join(attributes, transaction_id, padding)
    if truncate_sha256 != SHA256_LENGTH:
        _check_truncation(truncate_sha256)
    return _seal(kind, transaction_id, body, key, algorithm, truncate_sha256, fingerprint)


class Template:
    """A message prebuilt once, for every transaction that differs in nothing but its id.

    Takes what `encode` takes, without the transaction id, and raises the same errors.
    """

    __slots__ = ("_algorithm", "_attributes", "_body", "_fingerprint", "_key", "_kind", "_truncate")

    def __init__(
        self,
        method: Method,
        message_class: MessageClass,
        attributes: Iterable[tuple[Attribute[Any], Any]] = (),
        *,
        key: IntegrityKey | None = None,
        algorithm: IntegrityAlgorithm = _SHA1_ONLY,
        truncate_sha256: int = SHA256_LENGTH,
        fingerprint: bool = False,
    ) -> None:
        attributes = tuple(attributes)
        self._kind = _message_type(method, message_class)
        self._body = _join(attributes, bytes(TRANSACTION_ID_LENGTH))
        _check_truncation(truncate_sha256)
        # An XOR address of IPv6 depends on the transaction id (RFC 8489 14.2): such a body is made anew each time.
        again = _join(attributes, b"\xff" * TRANSACTION_ID_LENGTH)
        self._attributes = None if again == self._body else attributes
        self._key = key
        self._algorithm = algorithm
        self._truncate = truncate_sha256
        self._fingerprint = fingerprint

    def stamp(self, transaction_id: TransactionId) -> bytes:
        """The message with this transaction id, its integrity and fingerprint computed anew."""
        if not isinstance(transaction_id, bytes) or len(transaction_id) != TRANSACTION_ID_LENGTH:
            raise _bad_transaction_id(transaction_id)
        body = self._body if self._attributes is None else _join(self._attributes, transaction_id)
        return _seal(self._kind, transaction_id, body, self._key, self._algorithm, self._truncate, self._fingerprint)


def _message_type(method: Method, message_class: MessageClass) -> int:
    try:
        return TYPE_OF[method, message_class]
    except KeyError:
        raise LocalProtocolError(f"method {method!r} does not permit class {message_class!r}") from None


def _bad_transaction_id(value: object) -> LocalProtocolError:
    was = f"{len(value)}" if isinstance(value, bytes) else f"{value!r:.60}, which is of type {type(value).__name__}"
    return LocalProtocolError(f"a transaction id has {TRANSACTION_ID_LENGTH} bytes, not {was}")


def _join(attributes: Iterable[tuple[Attribute[Any], Any]], transaction_id: bytes, padding: int = 0) -> bytes:
    parts: list[bytes] = []
    append = parts.append
    pads = _ZEROS if padding == 0 else tuple(bytes((padding,)) * len(zeros) for zeros in _ZEROS)
    attribute = None
    try:
        for attribute, value in attributes:
            write = attribute.write_number
            if write is not None:
                append(write(value))
            else:
                raw = attribute.pack(value, transaction_id)
                size = len(raw)
                append(_tag(attribute.code, size) + raw + pads[size & 3])
    except (ValueError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise LocalProtocolError(f"{getattr(attribute, 'name', attribute)}: {error}") from error
    return b"".join(parts)


def _seal(
    kind: int,
    transaction_id: bytes,
    body: bytes,
    key: IntegrityKey | None,
    algorithm: IntegrityAlgorithm,
    truncate: int,
    fingerprint: bool,
) -> bytes:
    """Add integrity, fingerprint and header to the attributes.

    Each of the three is computed with the header's length as if the message ended right after it (RFC 8489 14.5 to 14.7).
    """
    length = len(body)
    try:
        if key is not None:
            if algorithm is not _SHA256_ONLY:
                length += 4 + SHA1_LENGTH
                body += SHA1_TAG + key.sha1(_header(kind, length, COOKIE, transaction_id) + body)
            if algorithm is not _SHA1_ONLY:
                length += 4 + truncate
                digest = key.sha256(_header(kind, length, COOKIE, transaction_id) + body)
                body += _tag(MESSAGE_INTEGRITY_SHA256.code, truncate) + digest[:truncate]
        if not fingerprint:
            return _header(kind, length, COOKIE, transaction_id) + body
        message = _header(kind, length + 8, COOKIE, transaction_id) + body
    except struct.error:
        raise LocalProtocolError(f"a message of {length} bytes and more does not fit a 16-bit length") from None
    return message + _fingerprint(FINGERPRINT.code, 4, crc32(message) ^ FINGERPRINT_XOR)


def _check_truncation(length: int) -> None:
    if length % 4 or not SHA256_MINIMUM <= length <= SHA256_LENGTH:
        raise LocalProtocolError(f"MESSAGE-INTEGRITY-SHA256 of {length} bytes: 16 to 32 in steps of 4 are allowed")
