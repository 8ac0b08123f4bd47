"""The access tokens of third-party authorization (RFC 7635 6.2): what an authorization server tells a STUN or TURN server.

A token goes from the one to the other by way of a client that cannot read it: ``nonce length | nonce | ciphertext``, and
inside ``key length | session key | time stamp | lifetime``.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import attrs

from sansice.machine import DecodeError, DropReason
from sansice.stun.shapes import USERNAME_BYTES

from ._token_cipher import CIPHERS, TokenAlgorithm, TokenCipher

TOKEN_DELTA: Final = 5.0
"""Seconds that the clocks of the two servers may be apart (RFC 7635 7, recommended)."""

MAC_KEY: Final = 20  # bytes; RFC 7635 6.2: 160 bits, which every server supports

_FRACTION = 64000  # RFC 7635 6.2: the last 16 bits of a time stamp count in these
_LENGTH = struct.Struct(">H")
_TIMES = struct.Struct(">QI")


class TokenContents(NamedTuple):
    """What is inside a token.

    Attributes:
        mac_key: the session key, which the client has as well.
        timestamp: when the token was made, seconds of the wall clock.
        lifetime: seconds for which it is good.
    """

    mac_key: bytes
    timestamp: float
    lifetime: int

    def __repr__(self) -> str:
        return f"TokenContents(timestamp={self.timestamp}, lifetime={self.lifetime})"


@attrs.frozen
class TokenKey:
    """A long-term key that an authorization server and a STUN or TURN server share (RFC 7635 4.1).

    Attributes:
        kid: its name, which clients send as USERNAME.
        key: 32 bytes with A256GCM, 16 with A128GCM, 64 with A256CBC-HS512.
        algorithm: how tokens are encrypted.
        expires: seconds of the wall clock from which on it is worth nothing; ``None`` for never.

    Raises:
        ValueError: an empty or too long name, or a key of another length.
    """

    kid: str
    key: bytes = attrs.field(repr=False)
    algorithm: TokenAlgorithm = TokenAlgorithm.A256GCM
    expires: float | None = None

    def __attrs_post_init__(self) -> None:
        if not 0 < len(self.kid.encode()) <= USERNAME_BYTES:
            raise ValueError(f"kid: 1 to {USERNAME_BYTES} bytes fit into USERNAME (RFC 8489 14.3)")
        size = CIPHERS[self.algorithm].key
        if len(self.key) != size:
            raise ValueError(f"the key {self.kid!r} has {len(self.key)} bytes; {self.algorithm.value} needs {size}")

    @classmethod
    def parse(cls, text: str) -> TokenKey:
        """Read what an authorization server answers: JSON with ``kid``, ``k``, and maybe ``enc`` and ``exp`` (RFC 7635 4.1.1).

        Raises:
            ValueError: it is something else; no key is shown.
        """
        fields = read_object(text)
        try:
            algorithm = TokenAlgorithm(fields.get("enc", TokenAlgorithm.A256GCM.value))
        except ValueError:
            raise ValueError(f"enc: {fields['enc']!r} is not one of {', '.join(one.value for one in TokenAlgorithm)}") from None
        expires = fields.get("exp")
        if expires is not None and (isinstance(expires, bool) or not isinstance(expires, int | float)):
            raise ValueError(f"exp: {expires!r} is not a number of seconds")
        return cls(read_text(fields, "kid"), read_base64(fields, "k"), algorithm, expires)


def encode_token(contents: TokenContents, key: TokenKey, server_name: str, *, nonce: bytes) -> bytes:
    """Make a token, as an authorization server does.

    Args:
        contents: what the server is to know; the client is told ``mac_key`` beside the token.
        key: shared with the server.
        server_name: as in its THIRD-PARTY-AUTHORIZATION: no other server takes the token.
        nonce: never used before with this key: 12 bytes, with A256CBC-HS512 none.

    Raises:
        ValueError: a nonce of another length; no session key; a time or a lifetime that has no room.
        CryptographyRequiredError: cryptography is not installed.
    """
    wanted = CIPHERS[key.algorithm].nonce
    if len(nonce) != wanted:
        raise ValueError(f"a nonce of {len(nonce)} bytes: {key.algorithm.value} needs {wanted}")
    if not contents.mac_key:
        raise ValueError("mac_key: it is empty")
    seconds, fraction = divmod(round(contents.timestamp * _FRACTION), _FRACTION)
    try:
        plain = _LENGTH.pack(len(contents.mac_key)) + contents.mac_key + _TIMES.pack(seconds << 16 | fraction, contents.lifetime)
    except struct.error:
        raise ValueError(f"a token has no room for {contents} and a session key of {len(contents.mac_key)} bytes") from None
    return _LENGTH.pack(len(nonce)) + nonce + TokenCipher(key.algorithm, key.key).seal(nonce, plain, server_name.encode())


def decode_token_untrusted(token: bytes, cipher: TokenCipher, server_name: str) -> TokenContents:
    """Read a token.

    Raises:
        DecodeError: nobody with this key made it for this server, or it has something else inside.
    """
    try:
        size = _LENGTH.unpack_from(token)[0]
        nonce, sealed = token[2 : 2 + size], token[2 + size :]
        plain = cipher.open_untrusted(nonce, sealed, server_name.encode())
        length = _LENGTH.unpack_from(plain)[0]
        stamp, lifetime = _TIMES.unpack(plain[2 + length :])
    except struct.error:
        raise DecodeError(DropReason.BAD_TOKEN, "cut short") from None
    if not length:
        raise DecodeError(DropReason.BAD_TOKEN, "no session key")
    timestamp = ((stamp >> 16) * _FRACTION + (stamp & 0xFFFF)) / _FRACTION
    return TokenContents(plain[2 : 2 + length], timestamp, lifetime)


def read_object(text: str) -> Mapping[str, Any]:
    """A JSON object.

    Raises:
        ValueError: it is none.
    """
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is not JSON") from None
    if not isinstance(fields, dict):
        raise ValueError("it is not a JSON object")
    return fields


def read_text(fields: Mapping[str, Any], name: str) -> str:
    """A field that is text.

    Raises:
        ValueError: it is not.
    """
    value = fields.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name}: it is missing, or not a text")
    return value


def read_base64(fields: Mapping[str, Any], name: str) -> bytes:
    """A field in Base64, of either alphabet, padded or not: RFC 7635 shows the one, RFC 7518 the other.

    Raises:
        ValueError: it is not; its value is not shown.
    """
    text = read_text(fields, name).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"{name}: it is not Base64") from None
