"""Nonces that a server need not remember (RFC 8489 9.2.4, RFC 7616 5.4)."""

from __future__ import annotations

import binascii
import enum
import math
import os
from hmac import compare_digest

from sansice.machine import Address, Entropy
from sansice.stun._integrity import IntegrityKey
from sansice.stun._security import COOKIE_LENGTH, SecurityFeatures, nonce_cookie

NONCE_LIFETIME = 600.0  # seconds; ours: a client that refreshes every few minutes is bothered once in a while, a thief soon
_TIME = 6  # bytes: milliseconds for 8,900 years
_TAG = 15  # bytes, 120 bits: nobody guesses them, and with the time they make whole groups of base64
_TIME_TEXT, _TAG_TEXT = _TIME * 4 // 3, _TAG * 4 // 3
_LENGTH = COOKIE_LENGTH + _TIME_TEXT + _TAG_TEXT
_KEY = 32  # bytes


class NonceState(enum.Enum):
    """What a server thinks of a nonce that a client sends."""

    FRESH = "ours, for this client, in time"
    STALE = "ours, for this client, too old"
    FOREIGN = "another client's, another server's, or so old that its key is gone"


class NonceIssuer:
    """Makes nonces and recognises them, without remembering any.

    A nonce is the cookie of RFC 8489 9.2, a time stamp, and a tag over both and the client's address and port by a key
    that nobody else has. A flood of requests costs no memory. The key is drawn anew when it is as old as a nonce may
    get, and the one before it is kept as long, so every nonce can be recognised while it is fresh.

    The text has no character that would have to be quoted (RFC 8489 14.10).

    Args:
        features: what the nonces promise.
        lifetime: seconds for which a nonce is good.
        entropy: where the keys come from.

    Raises:
        ValueError: the lifetime is not positive and finite.
    """

    __slots__ = ("_cookie", "_entropy", "_epoch", "_key", "_previous", "_rotation", "lifetime")

    lifetime: float

    def __init__(
        self,
        *,
        features: SecurityFeatures = SecurityFeatures.NONE,
        lifetime: float = NONCE_LIFETIME,
        entropy: Entropy = os.urandom,
    ) -> None:
        if not 0 < lifetime < math.inf:
            raise ValueError(f"a nonce cannot live for {lifetime} s")
        self._cookie = nonce_cookie(features)
        self.lifetime = lifetime
        self._entropy = entropy
        self._key = self._previous = IntegrityKey(entropy(_KEY))
        # Time stamps count from the first use: a boot time would tell strangers how long the machine runs.
        self._epoch: float | None = None
        self._rotation = math.inf

    def issue(self, source: Address, *, now: float) -> str:
        """A fresh nonce for the client at ``source``."""
        epoch = self._advance(now)
        stamp = binascii.b2a_base64(int((now - epoch) * 1000).to_bytes(_TIME, "big"), newline=False).decode()
        return self._sign(self._key, self._cookie + stamp, source)

    def check(self, nonce: str, source: Address, *, now: float) -> NonceState:
        """What a nonce is that the client at ``source`` sent. Takes any text."""
        epoch = self._advance(now)
        if len(nonce) != _LENGTH or not nonce.startswith(self._cookie) or not nonce.isascii():
            return NonceState.FOREIGN
        signed = nonce[:-_TAG_TEXT]
        ours = compare_digest(self._sign(self._key, signed, source), nonce)
        if not ours and not compare_digest(self._sign(self._previous, signed, source), nonce):
            return NonceState.FOREIGN
        issued = epoch + int.from_bytes(binascii.a2b_base64(signed[COOKIE_LENGTH:]), "big") / 1000
        return NonceState.FRESH if now - issued < self.lifetime else NonceState.STALE

    def _sign(self, key: IntegrityKey, signed: str, source: Address) -> str:
        tag = key.sha256(f"{signed} {source.port} {source.host}".encode())[:_TAG]
        return signed + binascii.b2a_base64(tag, newline=False).decode()

    def _advance(self, now: float) -> float:
        """Change the key when its time is over; when the time stamps began."""
        if self._epoch is None:
            self._epoch = now
            self._rotation = now + self.lifetime
        elif now >= self._rotation:
            self._previous, self._key = self._key, IntegrityKey(self._entropy(_KEY))
            self._rotation = now + self.lifetime
        return self._epoch
