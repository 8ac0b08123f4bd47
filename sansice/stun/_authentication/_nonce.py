"""Nonces that a server need not remember (RFC 8489 9.2.4, RFC 7616 5.4)."""

from __future__ import annotations

import binascii
import enum
import math
import os
from collections.abc import Sequence
from hmac import compare_digest
from typing import Final

from sansice.machine import Address, Entropy
from sansice.stun._integrity import IntegrityKey
from sansice.stun._security import COOKIE_LENGTH, SecurityFeatures, nonce_cookie

NONCE_LIFETIME = 600.0  # seconds; ours: a client that refreshes every few minutes is bothered once in a while, a thief soon

SHORTEST_NONCE_KEY: Final = 16
"""Bytes of a key that several servers share, at least."""

# A nonce is short because it is sent to whoever asks: a 401 with realm and nonce is the largest answer to an unauthenticated
# request, and a spoofed source pays for it. Its time stamp counts in fractions of a lifetime and is cut off; which time it
# meant follows from the time that it is, and the tag is of all of it.
_TICKS = 65536  # a lifetime
_STAMP_BITS = 18  # four lifetimes, and three characters of Base64
_STAMPS = 1 << _STAMP_BITS
_TAG = 6  # bytes, 48 bits: guessing at the rate that one source is allowed would take 90,000 years, and would prove no identity
_STAMP_TEXT, _TAG_TEXT = _STAMP_BITS // 6, _TAG * 4 // 3
PLAIN_NONCE_LENGTH = _STAMP_TEXT + _TAG_TEXT
NONCE_LENGTH = COOKIE_LENGTH + PLAIN_NONCE_LENGTH
_KEY = 32  # bytes
_SKEW = _TICKS // 8  # of a lifetime: how far the clocks of servers that share a key may be apart


class NonceState(enum.Enum):
    """What a server thinks of a nonce that a client sends."""

    FRESH = "ours, for this client, in time"
    STALE = "ours, for this client, too old"
    FOREIGN = "another client's, another server's, or so old that it cannot be told any more"


class NonceIssuer:
    """Makes nonces and recognises them, without remembering any.

    A nonce is the cookie of RFC 8489 9.2, a time stamp, and a tag over both and the client's 5-tuple by a key that nobody
    else has. A flood of requests costs no memory. The key is drawn anew when it is as old as a nonce may get, and the one
    before it is kept as long, so every nonce can be recognised while it is fresh.

    Servers that share ``keys`` recognise each other's nonces, if they have the same features and lifetime: several processes
    at one address, or hosts that take over from each other. Their time is the wall clock then, and their keys stay.

    The text has no character that would have to be quoted (RFC 8489 14.10).

    Args:
        features: what the nonces promise.
        lifetime: seconds for which a nonce is good.
        keys: shared ones, each of 16 bytes or more, of which the first makes nonces and all recognise them, so that one can be
            replaced by another. Without any, keys are drawn, and nobody knows them.
        entropy: where keys come from.

    Raises:
        ValueError: the lifetime is not positive and finite, or a key is too short.
    """

    __slots__ = ("_cookie", "_entropy", "_epoch", "_keys", "_rotation", "_shared", "lifetime")

    lifetime: float

    def __init__(
        self,
        *,
        features: SecurityFeatures = SecurityFeatures.NONE,
        lifetime: float = NONCE_LIFETIME,
        keys: Sequence[bytes] = (),
        entropy: Entropy = os.urandom,
    ) -> None:
        if not 0 < lifetime < math.inf:
            raise ValueError(f"a nonce cannot live for {lifetime} s")
        if any(len(key) < SHORTEST_NONCE_KEY for key in keys):
            raise ValueError(f"a nonce key needs {SHORTEST_NONCE_KEY} bytes or more")
        self._cookie = nonce_cookie(features)
        self.lifetime = lifetime
        self._entropy = entropy
        self._shared = bool(keys)
        # Kept apart from whatever else the same file is a key of.
        self._keys = tuple(IntegrityKey(IntegrityKey(key).sha256(b"sansice nonce")) for key in keys) or (self._drawn(),) * 2
        # Time stamps count from the first use: a boot time would tell strangers how long the machine runs.
        self._epoch: float | None = 0.0 if keys else None
        self._rotation = math.inf

    def issue(self, source: Address, *, now: float, unix: float = math.inf, at: str = "", plain: bool = False) -> str:
        """A fresh nonce for the client at ``source``.

        Args:
            source: the client's address and port.
            now: monotonic seconds.
            unix: seconds of the wall clock, which nonces of shared keys are stamped by.
            at: the rest of the 5-tuple, in any form: a nonce is good nowhere else.
            plain: leave the cookie out, as servers did that promise nothing (RFC 5389): half as long.
        """
        ticks = self._ticks(now, unix)
        stamp = binascii.b2a_base64((ticks % _STAMPS << 6).to_bytes(3, "big"), newline=False)[:_STAMP_TEXT]
        return self._sign(self._keys[0], ("" if plain else self._cookie) + stamp.decode(), ticks, source, at)

    def check(self, nonce: str, source: Address, *, now: float, unix: float = math.inf, at: str = "") -> NonceState:
        """What a nonce is that the client at ``source`` sent. Takes any text.

        Args:
            nonce: the text.
            source, now, unix, at: as for `issue`.
        """
        ticks = self._ticks(now, unix)
        cookie = "" if len(nonce) == PLAIN_NONCE_LENGTH else self._cookie
        if len(nonce) != len(cookie) + PLAIN_NONCE_LENGTH or not nonce.startswith(cookie) or not nonce.isascii():
            return NonceState.FOREIGN
        signed = nonce[:-_TAG_TEXT]
        try:
            stamp = int.from_bytes(binascii.a2b_base64(signed[len(cookie) :] + "A", strict_mode=True), "big") >> 6
        except binascii.Error:
            return NonceState.FOREIGN
        age = (ticks - stamp) % _STAMPS
        if self._shared and age > _STAMPS - _SKEW:  # of a server whose clock is ahead
            age -= _STAMPS
        for key in self._keys:
            if compare_digest(self._sign(key, signed, ticks - age, source, at), nonce):
                return NonceState.FRESH if age < _TICKS else NonceState.STALE
        return NonceState.FOREIGN

    def _sign(self, key: IntegrityKey, signed: str, ticks: int, source: Address, at: str) -> str:
        tag = key.sha256(f"{signed} {ticks} {source.port} {source.host} {at}".encode())[:_TAG]
        return signed + binascii.b2a_base64(tag, newline=False).decode()

    def _ticks(self, now: float, unix: float) -> int:
        """What time it is on the stamps' clock; changes the key when its time is over."""
        if self._shared:
            # A server that was never told the time has none in common with others.
            return int(unix / self.lifetime * _TICKS) if math.isfinite(unix) else 0
        if self._epoch is None:
            self._epoch = now
            self._rotation = now + self.lifetime
        elif now >= self._rotation:
            self._keys = self._drawn(), self._keys[0]
            self._rotation = now + self.lifetime
        return int((now - self._epoch) / self.lifetime * _TICKS)

    def _drawn(self) -> IntegrityKey:
        return IntegrityKey(self._entropy(_KEY))
