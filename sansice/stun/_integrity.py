"""MESSAGE-INTEGRITY, MESSAGE-INTEGRITY-SHA256 and FINGERPRINT (RFC 8489 14.5 to 14.7), and their keys (9.1.1, 9.2.2)."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Callable
from typing import Any

from ._opaque_string import opaque_string

_BLOCK = 64  # bytes; the block of SHA-1 and of SHA-256 (RFC 2104)
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))

_NUL = "\0"
_sha1, _sha256 = hashlib.sha1, hashlib.sha256

SHA1_LENGTH = 20  # RFC 8489 14.5
SHA1_TAG = bytes((0x00, 0x08, 0, SHA1_LENGTH))  # type and length of MESSAGE-INTEGRITY
SHA256_LENGTH = 32  # RFC 8489 14.6
SHA256_MINIMUM = 16  # RFC 8489 14.6
FINGERPRINT_XOR = 0x5354554E  # RFC 8489 14.7


class IntegrityAlgorithm(enum.Enum):
    """Which integrity attributes a message carries."""

    SHA1 = "MESSAGE-INTEGRITY"
    SHA256 = "MESSAGE-INTEGRITY-SHA256"
    BOTH = "both"


class IntegrityKey:
    """An HMAC key."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = bytes(key)

    @property
    def secret(self) -> bytes:
        """The key itself."""
        return self._key

    def sha1(self, message: bytes) -> bytes:
        """HMAC-SHA1 of ``message``, 20 bytes."""
        return _hmac(_sha1, self._key, message)

    def sha256(self, message: bytes) -> bytes:
        """HMAC-SHA256 of ``message``, 32 bytes."""
        return _hmac(_sha256, self._key, message)

    def __repr__(self) -> str:
        return "IntegrityKey(...)"


def _hmac(new: Callable[[bytes], Any], key: bytes, message: bytes) -> bytes:
    """RFC 2104, for messages that are small.

    `hmac.digest` takes thrice the time, to set up; and states kept with the key are more than an agent's other secrets weigh, and
    no faster to copy than to make.
    """
    if len(key) > _BLOCK:
        key = new(key).digest()
    padded = key.ljust(_BLOCK, b"\0")
    digest: bytes = new(padded.translate(_OUTER) + new(padded.translate(_INNER) + message).digest()).digest()
    return digest


def short_term_key(password: str) -> IntegrityKey:
    """The key of the short-term mechanism: OpaqueString(password) in UTF-8 (RFC 8489 9.1.1).

    Raises:
        ValueError: the password is empty or holds characters that RFC 8265 forbids.
    """
    return IntegrityKey(opaque_string(password).encode())


def long_term_key(username: str, realm: str, password: str, *, sha256: bool = False) -> IntegrityKey:
    """The key of the long-term mechanism: MD5, 16 bytes, or SHA-256, 32 bytes (RFC 8489 9.2.2, 18.5.1).

    Quotes around the name and the realm, and NULs at the end of any, are taken off, as the RFC has it.

    Args:
        username: as in USERNAME.
        realm: as in REALM.
        password: the user's.
        sha256: password algorithm 0x0002 instead of 0x0001.

    Raises:
        ValueError: RFC 8265 forbids the realm or the password.
    """
    text = f"{_bare(username)}:{opaque_string(_bare(realm))}:{opaque_string(password.rstrip(_NUL))}".encode()
    digest = hashlib.sha256(text) if sha256 else hashlib.md5(text, usedforsecurity=False)
    return IntegrityKey(digest.digest())


def _bare(text: str) -> str:
    text = text.rstrip(_NUL)
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == '"' else text


def userhash(username: str, realm: str) -> bytes:
    """The value of USERHASH, 32 bytes: it hides the user's name (RFC 8489 14.4).

    Raises:
        ValueError: RFC 8265 forbids the name or the realm.
    """
    return hashlib.sha256(f"{opaque_string(username)}:{opaque_string(realm)}".encode()).digest()
