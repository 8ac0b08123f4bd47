"""TLS 1.3 that encrypts nothing: the round trips, the refusals and the endings of the real one, readable on the way.

Client and server have what `sansice._tls.TlsStream` has, so that sockets here go on as real ones do. A record has a
checksum where the real one has its authentication tag: what was changed on the way is noticed.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Sequence
from typing import TypeVar

from ._hellos import (
    TLS_1_3,
    ClientHello,
    ServerHello,
    TlsError,
    choose_alpn,
    client_hello_untrusted,
    name_to_send,
    refusal,
    server_hello_untrusted,
)

T = TypeVar("T")

MAX_RECORD = 16384  # bytes of plaintext; RFC 8446 5.1
_OVERHEAD = 256  # bytes that a protected record may be longer; RFC 8446 5.2

_RECORD = struct.Struct("!BHH")  # content type, version, length
_ALERT, _HANDSHAKE, _DATA = 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _FINISHED = 1, 2, 20
_TAG = 16  # bytes

# RFC 8446 6
_CLOSE_NOTIFY = 0
_UNEXPECTED, _BAD_RECORD, _BAD_CERTIFICATE, _DECODE, _DECRYPT = 10, 20, 42, 50, 51
_ALERTS = {_UNEXPECTED: "unexpected message", _BAD_RECORD: "bad record mac", _BAD_CERTIFICATE: "bad certificate"}
_ALERTS |= {_DECODE: "decode error", _DECRYPT: "decrypt error"}


class NullTls:
    """One TLS connection, without I/O: give `receive` what the peer sent, and put what `take` returns on the wire.

    Attributes:
        is_ready: the handshake is complete.
        at_end: the peer said that nothing more follows (close_notify).
        alpn: the protocol agreed on; empty where there is none.
    """

    __slots__ = (
        "_closed",
        "_early",
        "_expected",
        "_in",
        "_keyed",
        "_names",
        "_offered",
        "_out",
        "_random",
        "_received",
        "_sent",
        "_transcript",
        "alpn",
        "at_end",
        "is_ready",
    )

    def __init__(self, random: bytes, alpn: Sequence[str], expected: str | None, names: Sequence[str]) -> None:
        self.is_ready: bool = False
        self.at_end: bool = False
        self.alpn: str = ""
        self._random = random
        self._offered = tuple(alpn)
        self._expected = expected  # of the server's certificate; None on a server
        self._names = tuple(names)
        self._in, self._out, self._early = bytearray(), bytearray(), bytearray()
        self._transcript = b""
        self._keyed = False  # whether records are protected from now on
        self._closed = False
        self._sent = self._received = 0  # protected records

    @classmethod
    def client(cls, random: bytes, server_hostname: str, alpn: Sequence[str] = ()) -> NullTls:
        """The end that connects.

        Args:
            random: 32 bytes.
            server_hostname: the name or literal that the server's certificate must be for.
            alpn: protocols offered.

        Raises:
            ValueError: no such name can be in a certificate.
        """
        name_to_send(server_hostname)
        return cls(random, alpn, server_hostname, ())

    @classmethod
    def server(cls, random: bytes, names: Sequence[str], alpn: Sequence[str] = ()) -> NullTls:
        """The end that listens, with a certificate for ``names``."""
        return cls(random, alpn, None, names)

    @property
    def waiting(self) -> int:
        """Bytes of plaintext that wait for the handshake."""
        return len(self._early)

    def start(self) -> None:
        """Begin the handshake: a client's first message."""
        if self._expected is not None:
            hello = ClientHello(self._random, name_to_send(self._expected), self._offered)
            self._shake(_CLIENT_HELLO, hello.encode())

    def receive(self, data: bytes) -> bytes:
        """Take what the peer sent, and return the plaintext in it.

        Raises:
            TlsError: beyond repair. `take` may hold an alert that says so to the peer.
        """
        self._in += data
        plaintext = bytearray()
        while (record := self._next_record()) is not None:
            kind, content = record
            if kind == _DATA and self.is_ready:
                plaintext += content
            elif kind == _ALERT:
                self._receive_alert(content)
            elif kind == _HANDSHAKE and not self.is_ready:
                self._receive_handshake(content)
            else:
                raise self._fatal(_UNEXPECTED)
        return bytes(plaintext)

    def end(self) -> None:
        """The stream below has ended.

        Raises:
            TlsError: before the peer said so: somebody may have cut off its last words.
        """
        if not self.is_ready:
            raise TlsError("the peer closed the connection during the handshake")
        if not self.at_end:
            raise TlsError("the connection was cut: it ended without close_notify")

    def send(self, data: bytes) -> None:
        """Protect; before the handshake is complete, keep.

        Raises:
            TlsError: `close` was called.
        """
        if self._closed:
            raise TlsError("the connection is closed")
        if not self.is_ready:
            self._early += data
            return
        for start in range(0, len(data), MAX_RECORD):
            self._put(_DATA, data[start : start + MAX_RECORD])

    def close(self) -> None:
        """Say that nothing more follows (close_notify)."""
        if self.is_ready and not self._closed:
            self._put(_ALERT, bytes((1, _CLOSE_NOTIFY)))
        self._closed = True

    def take(self) -> bytes:
        """What is to be put on the wire, in order."""
        out = bytes(self._out)
        self._out.clear()
        return out

    # ------------------------------------------------------------- the handshake

    def _receive_handshake(self, message: bytes) -> None:
        kind, body = message[:1], message[4:]
        if len(message) < 4 or int.from_bytes(message[1:4], "big") != len(body):
            raise self._fatal(_DECODE)
        if kind == bytes((_FINISHED,)) and self._keyed:
            self._receive_finished(body)
        elif kind == bytes((_CLIENT_HELLO,)) and self._expected is None and not self._keyed:
            self._transcript += message
            self._answer(self._read(client_hello_untrusted, body))
        elif kind == bytes((_SERVER_HELLO,)) and self._expected is not None and not self._keyed:
            self._transcript += message
            self._check(self._read(server_hello_untrusted, body))
        else:
            raise self._fatal(_UNEXPECTED)

    def _answer(self, hello: ClientHello) -> None:
        self.alpn = choose_alpn(self._offered, hello.alpn)
        self._shake(_SERVER_HELLO, ServerHello(self._random, TLS_1_3, self.alpn, self._names).encode())
        self._keyed = True
        self._shake(_FINISHED, self._finished(server=True))

    def _check(self, hello: ServerHello) -> None:
        reason = refusal(hello.names, self._expected or "")
        if reason is not None:
            raise self._fatal(_BAD_CERTIFICATE, reason)
        self.alpn = hello.alpn
        self._keyed = True

    def _receive_finished(self, body: bytes) -> None:
        is_server = self._expected is None
        if body != self._finished(server=not is_server):
            raise self._fatal(_DECRYPT)
        if not is_server:
            self._shake(_FINISHED, self._finished(server=False))
        self.is_ready = True
        early, self._early = bytes(self._early), bytearray()
        self.send(early)

    def _finished(self, *, server: bool) -> bytes:
        return hashlib.sha256((b"server" if server else b"client") + self._transcript).digest()

    def _shake(self, kind: int, body: bytes) -> None:
        message = bytes((kind,)) + len(body).to_bytes(3, "big") + body
        if not self._keyed:
            self._transcript += message
        self._put(_HANDSHAKE, message)

    def _read(self, parse: Callable[[bytes], T], body: bytes) -> T:
        try:
            return parse(body)
        except TlsError as error:
            raise self._fatal(_DECODE, str(error)) from None

    # ------------------------------------------------------------- records

    def _put(self, kind: int, content: bytes) -> None:
        if self._keyed:
            inner = content + bytes((kind,))  # RFC 8446 5.2: the true type is inside
            content = inner + _tag(self._expected is None, self._sent, inner)
            kind = _DATA
            self._sent += 1
        self._out += _RECORD.pack(kind, 0x0303, len(content)) + content

    def _next_record(self) -> tuple[int, bytes] | None:
        if len(self._in) < _RECORD.size:
            if self._in and self._in[0] not in (_ALERT, _HANDSHAKE, _DATA):
                raise self._fatal(_DECODE, "that is no TLS")
            return None
        kind, version, length = _RECORD.unpack_from(self._in)
        if kind not in (_ALERT, _HANDSHAKE, _DATA) or version >> 8 != 3 or length > MAX_RECORD + _OVERHEAD:
            raise self._fatal(_DECODE, "that is no TLS")
        end = _RECORD.size + length
        if len(self._in) < end:
            return None
        content = bytes(self._in[_RECORD.size : end])
        del self._in[:end]
        if kind == _DATA:
            return self._opened(content)
        if self.is_ready or (self._keyed and kind != _ALERT):
            raise self._fatal(_UNEXPECTED)
        return kind, content

    def _opened(self, content: bytes) -> tuple[int, bytes]:
        inner, tag = content[:-_TAG], content[-_TAG:]
        if not self._keyed or not inner or tag != _tag(self._expected is not None, self._received, inner):
            raise self._fatal(_BAD_RECORD)
        self._received += 1
        return inner[-1], inner[:-1]

    def _receive_alert(self, content: bytes) -> None:
        if content[1:] == bytes((_CLOSE_NOTIFY,)) and self.is_ready:
            self.at_end = True
            return
        reason = _ALERTS.get(content[1], f"alert {content[1]}") if len(content) == 2 else "an alert of no known form"
        raise TlsError(f"the peer ended TLS: {reason}")

    def _fatal(self, alert: int, words: str = "") -> TlsError:
        self._put(_ALERT, bytes((2, alert)))
        return TlsError(words or _ALERTS[alert])


def _tag(from_server: bool, number: int, inner: bytes) -> bytes:
    key = b"server" if from_server else b"client"
    return hashlib.blake2b(number.to_bytes(8, "big") + inner, digest_size=_TAG, key=key).digest()
