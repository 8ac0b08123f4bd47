"""Authenticated encryption of access tokens (RFC 7635 4.1.1, 6.2), by cryptography, which is imported when it is needed."""

from __future__ import annotations

import enum
import hmac
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from sansice.machine import DecodeError, DropReason, LocalProtocolError


class CryptographyRequiredError(LocalProtocolError):
    """Access tokens are encrypted by cryptography, which is not installed: ``pip install 'sansice[tls]'``."""

    def __init__(self) -> None:
        super().__init__("access tokens (RFC 7635) need cryptography: pip install 'sansice[tls]'")


class TokenAlgorithm(enum.Enum):
    """How a token is encrypted; the values are the names of RFC 7518 5.1."""

    A256GCM = "A256GCM"
    A128GCM = "A128GCM"
    A256CBC_HS512 = "A256CBC-HS512"


class CipherSizes(NamedTuple):
    """Bytes of the key and of the nonce."""

    key: int
    nonce: int


CIPHERS: Mapping[TokenAlgorithm, CipherSizes] = MappingProxyType(
    {
        TokenAlgorithm.A256GCM: CipherSizes(32, 12),
        TokenAlgorithm.A128GCM: CipherSizes(16, 12),
        TokenAlgorithm.A256CBC_HS512: CipherSizes(64, 0),
    }
)

_HALF = 32  # bytes: of the key of A256CBC-HS512, first for authentication, then for encryption (RFC 7635 6.2); of its tag
_BLOCK = 16  # bytes, of AES


class TokenCipher:
    """One long-term key, ready for use.

    Args:
        algorithm: as agreed upon.
        key: of the length that `CIPHERS` says.

    Raises:
        CryptographyRequiredError: cryptography is not installed.
    """

    __slots__ = ("_nonce", "_open", "_seal")

    def __init__(self, algorithm: TokenAlgorithm, key: bytes) -> None:
        self._nonce = CIPHERS[algorithm].nonce
        make = _cbc_hmac if algorithm is TokenAlgorithm.A256CBC_HS512 else _gcm
        self._seal, self._open = make(key)

    def seal(self, nonce: bytes, plain: bytes, associated: bytes) -> bytes:
        """Encrypt; the tag comes last."""
        return self._seal(nonce, plain, associated)

    def open_untrusted(self, nonce: bytes, sealed: bytes, associated: bytes) -> bytes:
        """Decrypt.

        Raises:
            DecodeError: it was not made with this key, or not for this purpose.
        """
        plain = self._open(nonce, sealed, associated) if len(nonce) == self._nonce else None
        if plain is None:
            raise DecodeError(DropReason.BAD_TOKEN, "not made with this key, or not for this server")
        return plain

    def __repr__(self) -> str:
        return "TokenCipher(...)"


_Seal = Callable[[bytes, bytes, bytes], bytes]
_Open = Callable[[bytes, bytes, bytes], "bytes | None"]


def _gcm(key: bytes) -> tuple[_Seal, _Open]:
    """AES in GCM (RFC 5116 5.1, 5.2)."""
    try:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise CryptographyRequiredError from None
    cipher = AESGCM(key)

    def decrypt(nonce: bytes, sealed: bytes, associated: bytes) -> bytes | None:
        try:
            return cipher.decrypt(nonce, sealed, associated)
        except InvalidTag:
            return None

    return cipher.encrypt, decrypt


def _cbc_hmac(key: bytes) -> tuple[_Seal, _Open]:
    """AES in CBC, then HMAC-SHA-512 cut in half, as RFC 7635 6.2 has it: with an initialisation vector of zeros."""
    try:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    except ImportError:
        raise CryptographyRequiredError from None
    cipher = Cipher(algorithms.AES(key[_HALF:]), modes.CBC(bytes(_BLOCK)))

    def tag(sealed: bytes, associated: bytes) -> bytes:
        bits = (8 * len(associated)).to_bytes(8, "big")
        return hmac.digest(key[:_HALF], associated + sealed + bits, "sha512")[:_HALF]

    def encrypt(nonce: bytes, plain: bytes, associated: bytes) -> bytes:
        padding = _BLOCK - len(plain) % _BLOCK
        sealed = _run(cipher.encryptor(), plain + bytes((padding,)) * padding)
        return sealed + tag(sealed, associated)

    def decrypt(nonce: bytes, sealed: bytes, associated: bytes) -> bytes | None:
        sealed, mac = sealed[:-_HALF], sealed[-_HALF:]
        # The tag is looked at first, so that what the padding is like is told to nobody who has not the key.
        if not hmac.compare_digest(tag(sealed, associated), mac) or not sealed or len(sealed) % _BLOCK:
            return None
        padded = _run(cipher.decryptor(), sealed)
        padding = padded[-1]
        return padded[:-padding] if 0 < padding <= _BLOCK and padded.endswith(bytes((padding,)) * padding) else None

    return encrypt, decrypt


def _run(context: Any, data: bytes) -> bytes:
    done: bytes = context.update(data) + context.finalize()
    return done
