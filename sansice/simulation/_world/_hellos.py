"""The hellos of TLS 1.3 and DTLS 1.2, as far as the simulated ones need them: real bytes for what is read on the way.

A ClientHello is one that Wireshark reads: the server's name (RFC 6066 3) and ALPN (RFC 7301 3.1) stand where they
belong. Instead of a certificate, the ServerHello has an extension of private use with the names that it would be for.
"""

from __future__ import annotations

import ipaddress
import struct
from collections.abc import Sequence
from typing import NamedTuple

TLS_1_2, TLS_1_3, DTLS_1_2 = 0x0303, 0x0304, 0xFEFD
# TLS_SHA256_SHA256 (RFC 9150 6) and TLS_RSA_WITH_NULL_SHA256 (RFC 5246 A.5): they encrypt nothing.
NULL_SUITES = {TLS_1_3: 0xC0B4, DTLS_1_2: 0x003B}

RANDOM = 32  # bytes

_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS, _NAMES = 0, 16, 43, 0xFF5A


class TlsError(Exception):
    """The handshake failed, or the peer broke the protocol; the text is for a person."""


class ClientHello(NamedTuple):
    """What a client says first.

    Attributes:
        random: 32 bytes, of this connection alone.
        server_name: whom it wants; empty for a literal address, which is never sent (RFC 6066 3).
        alpn: the protocols that it offers, in order of preference.
        cookie: of DTLS; empty in the first one, and ``None`` in TLS.
    """

    random: bytes
    server_name: str
    alpn: tuple[str, ...]
    cookie: bytes | None = None

    def encode(self) -> bytes:
        """The body of the message."""
        version = TLS_1_3 if self.cookie is None else DTLS_1_2
        extensions = b""
        if self.server_name:
            name = b"\0" + _vector(2, self.server_name.encode("ascii"))
            extensions += _extension(_SERVER_NAME, _vector(2, name))
        extensions += _alpn_extension(self.alpn)
        if self.cookie is None:
            extensions += _extension(_SUPPORTED_VERSIONS, _vector(1, struct.pack("!H", TLS_1_3)))
        return b"".join(
            (
                struct.pack("!H", TLS_1_2 if self.cookie is None else DTLS_1_2),
                self.random,
                _vector(1, b""),
                b"" if self.cookie is None else _vector(1, self.cookie),
                _vector(2, struct.pack("!H", NULL_SUITES[version])),
                _vector(1, b"\0"),
                _vector(2, extensions),
            )
        )


class ServerHello(NamedTuple):
    """What a server answers.

    Attributes:
        random: 32 bytes, of this connection alone.
        version: `TLS_1_3` or `DTLS_1_2`.
        alpn: the protocol that it chose; empty where it knows none of those offered.
        names: names and literal addresses that its certificate is for.
    """

    random: bytes
    version: int
    alpn: str
    names: tuple[str, ...]

    def encode(self) -> bytes:
        """The body of the message."""
        names = b"".join(_vector(1, name.encode()) for name in self.names)
        extensions = _extension(_NAMES, names) + _alpn_extension((self.alpn,) if self.alpn else ())
        if self.version == TLS_1_3:
            extensions += _extension(_SUPPORTED_VERSIONS, struct.pack("!H", TLS_1_3))
        return b"".join(
            (
                struct.pack("!H", TLS_1_2 if self.version == TLS_1_3 else DTLS_1_2),
                self.random,
                _vector(1, b""),
                struct.pack("!HB", NULL_SUITES[self.version], 0),
                _vector(2, extensions),
            )
        )


def client_hello_untrusted(body: bytes) -> ClientHello:
    """Read the body of a ClientHello.

    Raises:
        TlsError: it is none.
    """
    reader = _Reader(body)
    is_dtls = reader.number(2) == DTLS_1_2
    random = reader.take(RANDOM)
    reader.vector(1)
    cookie = reader.vector(1) if is_dtls else None
    reader.vector(2)
    reader.vector(1)
    extensions = _extensions_untrusted(reader)
    name = extensions.get(_SERVER_NAME, b"")[5:]
    return ClientHello(random, _text(name), _alpn_untrusted(extensions), cookie)


def server_hello_untrusted(body: bytes) -> ServerHello:
    """Read the body of a ServerHello.

    Raises:
        TlsError: it is none, or not of our kind.
    """
    reader = _Reader(body)
    version = DTLS_1_2 if reader.number(2) == DTLS_1_2 else TLS_1_3
    random = reader.take(RANDOM)
    reader.vector(1)
    reader.take(3)
    extensions = _extensions_untrusted(reader)
    names, listed = [], _Reader(extensions.get(_NAMES, b""))
    while listed.left:
        names.append(_text(listed.vector(1)))
    return ServerHello(random, version, "".join(_alpn_untrusted(extensions)), tuple(names))


def choose_alpn(ours: Sequence[str], offered: Sequence[str]) -> str:
    """The first of ours that was offered; with nothing in common the connection goes on without (as OpenSSL's servers here)."""
    return next((name for name in ours if name in offered), "")


def refusal(names: Sequence[str], expected: str) -> str | None:
    """Why a certificate for these names is not one for the server that was expected; ``None`` where it is."""
    if any(_matches(name, expected) for name in names):
        return None
    return f"the certificate was refused: it is not for {expected}"


def name_to_send(expected: str) -> str:
    """What a ClientHello says of the server that is expected.

    Raises:
        ValueError: no such name can be in a certificate.
    """
    if _is_literal(expected):
        return ""
    if not expected.isascii() or not expected:
        raise ValueError(f"{expected!r} is not a name in ASCII")
    return expected


def _matches(presented: str, expected: str) -> bool:
    """RFC 6125 6.4: a wildcard may be the whole left-most label, above at least two others."""
    if _is_literal(expected) or _is_literal(presented):
        return _is_literal(presented) and _is_literal(expected) and _literal(presented) == _literal(expected)
    ours, theirs = expected.rstrip(".").lower().split("."), presented.rstrip(".").lower().split(".")
    if len(ours) != len(theirs) or not all(ours):
        return False
    return ours == theirs or (theirs[0] == "*" and len(theirs) > 2 and ours[1:] == theirs[1:])


def _is_literal(name: str) -> bool:
    return _literal(name) is not None


def _literal(name: str) -> object:
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _vector(size: int, content: bytes) -> bytes:
    return len(content).to_bytes(size, "big") + content


def _extension(number: int, content: bytes) -> bytes:
    return struct.pack("!H", number) + _vector(2, content)


def _alpn_extension(protocols: Sequence[str]) -> bytes:
    if not protocols:
        return b""
    return _extension(_ALPN, _vector(2, b"".join(_vector(1, name.encode()) for name in protocols)))


class _Reader:
    """Numbers and vectors from the front of some bytes; what is missing is a `TlsError`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, length: int) -> bytes:
        if length > self.left:
            raise TlsError("a message is cut short")
        self._at += length
        return self._data[self._at - length : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def vector(self, size: int) -> bytes:
        return self.take(self.number(size))


def _extensions_untrusted(reader: _Reader) -> dict[int, bytes]:
    inner = _Reader(reader.vector(2))
    extensions: dict[int, bytes] = {}
    while inner.left:
        number = inner.number(2)
        extensions[number] = inner.vector(2)
    return extensions


def _alpn_untrusted(extensions: dict[int, bytes]) -> tuple[str, ...]:
    if _ALPN not in extensions:
        return ()
    listed, protocols = _Reader(_Reader(extensions[_ALPN]).vector(2)), []
    while listed.left:
        protocols.append(_text(listed.vector(1)))
    return tuple(protocols)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
