"""What a nonce promises, and the algorithms that make keys of passwords (RFC 8489 9.2, 9.2.1, 18.1, 18.5)."""

from __future__ import annotations

import binascii
import enum
from collections.abc import Callable, Sequence
from typing import TypeAlias

from sansice.machine import DecodeError

from ._attributes import NONCE, PASSWORD_ALGORITHMS
from ._message import Message
from ._values import PasswordAlgorithm

_COOKIE = "obMatJos2"  # RFC 8489 9.2
COOKIE_LENGTH = len(_COOKIE) + 4
_BITS = 24  # RFC 8489 18.1

PASSWORD_MD5 = PasswordAlgorithm(0x0001)
"""The algorithm of before RFC 8489, for compatibility only (RFC 8489 18.5.1.1)."""

PASSWORD_SHA256 = PasswordAlgorithm(0x0002)
"""RFC 8489 18.5.1.2."""

AlgorithmChoice: TypeAlias = Callable[[Sequence[PasswordAlgorithm]], PasswordAlgorithm | None]
"""Picks one of the algorithms that a server lists, or ``None`` where none of them is supported."""


class SecurityFeatures(enum.IntFlag):
    """What a server supports, told in its nonces so that nobody can hide it on the way (RFC 8489 9.2.1, 18.1).

    Bit 0 of the RFC is the most significant of 24. The sample of RFC 8489 B.1 and a few programs count from the other
    end: of their nonces no bit that we know is set, and what they offer is taken from their PASSWORD-ALGORITHMS alone.
    """

    NONE = 0
    PASSWORD_ALGORITHMS = 1 << _BITS - 1
    USERNAME_ANONYMITY = 1 << _BITS - 2


def nonce_cookie(features: SecurityFeatures) -> str:
    """The 13 characters that a nonce begins with (RFC 8489 9.2)."""
    return _COOKIE + binascii.b2a_base64(features.to_bytes(_BITS // 8, "big"), newline=False).decode()


def nonce_features(nonce: str) -> SecurityFeatures:
    """What the server that made the nonce supports; nothing where it has no cookie, as before RFC 8489. Takes any text."""
    return _FEATURES.get(nonce[len(_COOKIE) : len(_COOKIE) + 1], _NONE) if _has_cookie(nonce) else _NONE


def promises_algorithms(nonce: str) -> bool:
    """Whether the response that brought the nonce must list password algorithms (RFC 8489 9.2.1)."""
    return nonce[len(_COOKIE) : len(_COOKIE) + 1] in _PROMISING and _has_cookie(nonce)


def _has_cookie(nonce: str) -> bool:
    return nonce.startswith(_COOKIE) and len(nonce) >= COOKIE_LENGTH


_NONE = SecurityFeatures.NONE
_ALL = SecurityFeatures.PASSWORD_ALGORITHMS | SecurityFeatures.USERNAME_ANONYMITY
# The first character of Base64 holds the bits 0 to 5 of the RFC; from the sixth one on none is assigned.
_BASE64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_FEATURES = {character: SecurityFeatures(value << _BITS - 6 & _ALL) for value, character in enumerate(_BASE64)}
_PROMISING = frozenset(character for character, features in _FEATURES.items() if SecurityFeatures.PASSWORD_ALGORITHMS in features)


def hides_algorithms(message: Message) -> bool:
    """Whether the nonce promises PASSWORD-ALGORITHMS, and the message has none: a bid-down attack (RFC 8489 9.2.5)."""
    try:
        nonce = message.get(NONCE)
    except DecodeError:
        return False
    return nonce is not None and promises_algorithms(nonce) and PASSWORD_ALGORITHMS not in message


def first_supported(offered: Sequence[PasswordAlgorithm]) -> PasswordAlgorithm | None:
    """The first algorithm of the server's list that is supported: the rule of STUN (RFC 8489 9.2.5)."""
    return next((algorithm for algorithm in offered if algorithm in SUPPORTED), None)


def strongest_supported(offered: Sequence[PasswordAlgorithm]) -> PasswordAlgorithm | None:
    """SHA-256 wherever the server lists it: the rule of TURN (RFC 8656 6)."""
    return next((algorithm for algorithm in SUPPORTED if algorithm in offered), None)


SUPPORTED = (PASSWORD_SHA256, PASSWORD_MD5)  # the stronger first
