"""DTLS 1.2 that encrypts nothing (RFC 6347): the flights, cookies and repetitions of the real one, readable on the way."""

from __future__ import annotations

import abc
import hashlib
import hmac
import math
import struct
from collections.abc import Sequence

from ._hellos import (
    DTLS_1_2,
    ClientHello,
    ServerHello,
    TlsError,
    choose_alpn,
    client_hello_untrusted,
    name_to_send,
    refusal,
    server_hello_untrusted,
)

FIRST_WAIT, MAX_WAIT = 1.0, 60.0  # seconds until a flight is repeated, doubling; RFC 6347 4.2.4.1
MAX_DATAGRAM = 16384  # bytes of data in a record; RFC 6347 4.1
COOKIE_LENGTH = 16  # bytes

_RECORD = struct.Struct("!BHH6sH")  # content type, version, epoch, sequence number, length
_CHANGE_CIPHER_SPEC, _ALERT, _HANDSHAKE, _DATA = 20, 21, 22, 23
_CLIENT_HELLO, _SERVER_HELLO, _HELLO_VERIFY_REQUEST, _SERVER_HELLO_DONE, _CLIENT_KEY_EXCHANGE, _FINISHED = 1, 2, 3, 14, 16, 20
_TAG = 32  # bytes: what the cipher suite, which has SHA-256, puts behind every record (RFC 5246 A.5)
_VERIFY = 12  # bytes of a Finished (RFC 5246 7.4.9)
_NO_SECRET = b"\0\0"  # the length of an encrypted premaster secret (RFC 5246 7.4.7.1): there is none
_REPLAY_WINDOW = 64  # records; RFC 6347 4.1.2.6
_CLOSE_NOTIFY, _BAD_CERTIFICATE, _DECODE, _DECRYPT = 0, 42, 50, 51  # RFC 5246 7.2
_ALERTS = {_BAD_CERTIFICATE: "bad certificate", _DECODE: "decode error", _DECRYPT: "decrypt error"}


class Record:
    """A record of a datagram: its type, its epoch and what is in it."""

    __slots__ = ("content", "epoch", "kind", "number")

    def __init__(self, kind: int, epoch: int, number: int, content: bytes) -> None:
        self.kind: int = kind
        self.epoch: int = epoch
        self.number: int = number
        self.content: bytes = content


def records_untrusted(datagram: bytes) -> list[Record]:
    """The records of a datagram, up to the first that is none."""
    records, at = [], 0
    while len(datagram) - at >= _RECORD.size:
        kind, version, epoch, number, length = _RECORD.unpack_from(datagram, at)
        start, at = at + _RECORD.size, at + _RECORD.size + length
        if not _CHANGE_CIPHER_SPEC <= kind <= _DATA or version != DTLS_1_2 or at > len(datagram):
            break
        records.append(Record(kind, epoch, int.from_bytes(number, "big"), datagram[start:at]))
    return records


def client_hello_in(datagram: bytes) -> ClientHello | None:
    """The ClientHello that a datagram begins with, if it does."""
    for record in records_untrusted(datagram)[:1]:
        message = _message_untrusted(record.content) if (record.kind, record.epoch) == (_HANDSHAKE, 0) else None
        if message is not None and message[0] == _CLIENT_HELLO:
            try:
                hello = client_hello_untrusted(message[1])
            except TlsError:
                return None
            return None if hello.cookie is None else hello
    return None


def hello_verify_request(cookie: bytes) -> bytes:
    """The datagram that asks a client to come back with a cookie (RFC 6347 4.2.1)."""
    body = struct.pack("!HB", DTLS_1_2, len(cookie)) + cookie
    return _record(_HANDSHAKE, 0, 0, _message(_HELLO_VERIFY_REQUEST, body))


def cookie_for(key: bytes, source: object, hello: ClientHello) -> bytes:
    """Proof that the client receives what is sent to ``source``, for this ClientHello alone."""
    return hmac.digest(key, f"{source} ".encode() + hello._replace(cookie=b"").encode(), "sha256")[:COOKIE_LENGTH]


class DtlsSession(abc.ABC):
    """What both ends of an association share.

    Attributes:
        is_ready: the handshake is complete.
        at_end: the peer closed the association.
        deadline: when `repeat` wants to be called; `math.inf` for never.
        alpn: the protocol agreed on; empty where there is none.
    """

    __slots__ = (
        "_flight",
        "_newest",
        "_out",
        "_plain",
        "_random",
        "_seen",
        "_sent",
        "_server",
        "_transcript",
        "_wait",
        "alpn",
        "at_end",
        "deadline",
        "is_ready",
    )

    def __init__(self, random: bytes, *, server: bool) -> None:
        self.is_ready: bool = False
        self.at_end: bool = False
        self.deadline: float = math.inf
        self.alpn: str = ""
        self._random = random
        self._server = server
        self._flight: bytes = b""  # what was said last, to be repeated
        self._wait = FIRST_WAIT
        self._transcript = b""
        self._out: list[bytes] = []
        self._plain = self._sent = 0  # numbers of records of epochs 0 and 1
        self._newest, self._seen = -1, 0  # the highest number received, and which of those below it, as bits

    def take(self) -> list[bytes]:
        """Datagrams to send, in order."""
        out, self._out = self._out, []
        return out

    def receive(self, datagram: bytes, *, now: float) -> list[bytes]:
        """Take a datagram from the peer, and return the data in it. What is no DTLS, or not of this association, is dropped.

        Raises:
            TlsError: beyond repair. `take` may hold an alert that says so to the peer.
        """
        received: list[bytes] = []
        for record in records_untrusted(datagram):
            if self.at_end:
                break
            content = record.content if record.epoch == 0 else self._opened(record)
            if content is None:
                continue
            if record.kind == _DATA and record.epoch == 1 and self.is_ready:
                received.append(content)
            elif record.kind == _ALERT and (record.epoch == 1 or not self.is_ready):
                self._receive_alert(content)
            elif record.kind == _HANDSHAKE:
                message = _message_untrusted(content)
                if message is not None:
                    self._receive_message(*message, record.epoch, now)
        return received

    def send(self, data: bytes) -> None:
        """Protect one datagram.

        Raises:
            TlsError: there is no association (any more), or the data is empty or does not fit one record.
        """
        if not self.is_ready or self.at_end:
            raise TlsError("no association")
        if not 0 < len(data) <= MAX_DATAGRAM:
            raise TlsError(f"a datagram of {len(data)} bytes does not fit a record")
        self._out.append(self._protected(_DATA, data))

    def close(self) -> None:
        """Tell the peer that the association ends (close_notify)."""
        if self.is_ready and not self.at_end:
            self._out.append(self._protected(_ALERT, bytes((1, _CLOSE_NOTIFY))))

    def repeat(self, *, now: float) -> None:
        """It is `deadline`: say the last thing once more."""
        self._wait = min(2 * self._wait, MAX_WAIT)
        self._again(now)

    # ------------------------------------------------------------- for both ends

    @abc.abstractmethod
    def _receive_message(self, kind: int, body: bytes, epoch: int, now: float) -> None: ...

    def _say(self, flight: bytes, now: float) -> None:
        """Send a flight, and again until it is answered."""
        self._flight = flight
        self._wait = FIRST_WAIT
        self._again(now)

    def _again(self, now: float) -> None:
        self._out.append(self._flight)
        self.deadline = now + self._wait

    def _finish(self) -> None:
        self.is_ready = True
        self.deadline = math.inf

    def _finished(self, *, server: bool) -> bytes:
        return hashlib.sha256((b"server" if server else b"client") + self._transcript).digest()[:_VERIFY]

    def _check_finished(self, body: bytes) -> None:
        if body != self._finished(server=not self._server):
            raise self._fatal(_DECRYPT)

    def _handshake(self, kind: int, body: bytes) -> bytes:
        self._plain += 1
        return _record(_HANDSHAKE, 0, self._plain, _message(kind, body))

    def _change(self) -> bytes:
        """ChangeCipherSpec and Finished."""
        self._plain += 1
        finished = _message(_FINISHED, self._finished(server=self._server))
        return _record(_CHANGE_CIPHER_SPEC, 0, self._plain, b"\x01") + self._protected(_HANDSHAKE, finished)

    def _protected(self, kind: int, content: bytes) -> bytes:
        number = self._sent
        self._sent += 1
        return _record(kind, 1, number, content + _tag(self._server, kind, number, content))

    def _opened(self, record: Record) -> bytes | None:
        content, tag = record.content[:-_TAG], record.content[-_TAG:]
        if record.epoch != 1 or tag != _tag(not self._server, record.kind, record.number, content):
            return None
        age = self._newest - record.number
        if age >= _REPLAY_WINDOW or (age >= 0 and self._seen >> age & 1):
            return None
        if age < 0:
            self._seen = self._seen << -age & 2**_REPLAY_WINDOW - 1
            self._newest, age = record.number, 0
        self._seen |= 1 << age
        return content

    def _receive_alert(self, content: bytes) -> None:
        if content[1:] == bytes((_CLOSE_NOTIFY,)) and self.is_ready:
            self.at_end = True
        elif len(content) == 2 and content[0] == 2:
            raise TlsError(f"the peer ended DTLS: {_ALERTS.get(content[1], f'alert {content[1]}')}")

    def _fatal(self, alert: int, words: str = "") -> TlsError:
        self._plain += 1
        self._out.append(_record(_ALERT, 0, self._plain, bytes((2, alert))))
        return TlsError(words or _ALERTS[alert])


class DtlsClientSession(DtlsSession):
    """The end that asks.

    Args:
        random: 32 bytes.
        expected: the name or literal that the server's certificate must be for.
        alpn: protocols offered.

    Raises:
        ValueError: no such name can be in a certificate.
    """

    __slots__ = ("_cookie", "_expected", "_hello")

    def __init__(self, random: bytes, expected: str, alpn: Sequence[str]) -> None:
        super().__init__(random, server=False)
        self._hello = ClientHello(random, name_to_send(expected), tuple(alpn), b"")
        self._expected = expected
        self._cookie: bytes | None = None

    def start(self, *, now: float) -> None:
        """Say the first thing."""
        self._say(self._handshake(_CLIENT_HELLO, self._hello.encode()), now)

    def _receive_message(self, kind: int, body: bytes, epoch: int, now: float) -> None:
        if self.is_ready:
            return
        if epoch:
            if kind == _FINISHED and self._transcript:
                self._check_finished(body)
                self._finish()
        elif kind == _HELLO_VERIFY_REQUEST and not self._transcript:
            self._return_cookie(body[3:], now)
        elif kind == _SERVER_HELLO and not self._transcript:
            self._check(body, now)
        elif kind == _SERVER_HELLO:
            self._again(now)  # RFC 6347 4.2.4: who repeats a flight has not heard the answer

    def _return_cookie(self, cookie: bytes, now: float) -> None:
        if cookie != self._cookie:
            self._cookie = cookie
            self._hello = self._hello._replace(cookie=cookie)
            self._say(self._handshake(_CLIENT_HELLO, self._hello.encode()), now)

    def _check(self, body: bytes, now: float) -> None:
        try:
            hello = server_hello_untrusted(body)
        except TlsError as error:
            raise self._fatal(_DECODE, str(error)) from None
        reason = refusal(hello.names, self._expected)
        if reason is not None:
            raise self._fatal(_BAD_CERTIFICATE, reason)
        self.alpn = hello.alpn
        self._transcript = self._hello.encode() + body
        self._say(self._handshake(_CLIENT_KEY_EXCHANGE, _NO_SECRET) + self._change(), now)


class DtlsServerSession(DtlsSession):
    """The end that answers, once a cookie has come back.

    Args:
        random: 32 bytes.
        names: what its certificate is for.
        alpn: protocols known, in order of preference.
    """

    __slots__ = ("_known", "_names")

    def __init__(self, random: bytes, names: Sequence[str], alpn: Sequence[str]) -> None:
        super().__init__(random, server=True)
        self._names = tuple(names)
        self._known = tuple(alpn)

    def answer(self, hello: ClientHello, *, now: float) -> None:
        """Answer a ClientHello whose cookie was found right."""
        self.alpn = choose_alpn(self._known, hello.alpn)
        body = ServerHello(self._random, DTLS_1_2, self.alpn, self._names).encode()
        self._transcript = hello.encode() + body
        self._say(self._handshake(_SERVER_HELLO, body) + self._handshake(_SERVER_HELLO_DONE, b""), now)

    def _receive_message(self, kind: int, body: bytes, epoch: int, now: float) -> None:
        if epoch and kind == _FINISHED and not self.is_ready:
            self._check_finished(body)
            self._say(self._change(), now)
            self._finish()
        elif kind == _CLIENT_KEY_EXCHANGE and self.is_ready:
            self._out.append(self._flight)  # the client has not heard the end of the handshake


def _record(kind: int, epoch: int, number: int, content: bytes) -> bytes:
    return _RECORD.pack(kind, DTLS_1_2, epoch, number.to_bytes(6, "big"), len(content)) + content


def _message(kind: int, body: bytes) -> bytes:
    """A handshake message in one piece (RFC 6347 4.2.2)."""
    length = len(body).to_bytes(3, "big")
    return bytes((kind,)) + length + bytes(5) + length + body


def _message_untrusted(content: bytes) -> tuple[int, bytes] | None:
    body = content[12:]
    length = len(body).to_bytes(3, "big")
    if len(content) < 12 or content[1:4] != length or content[6:12] != bytes(3) + length:
        return None
    return content[0], body


def _tag(from_server: bool, kind: int, number: int, content: bytes) -> bytes:
    key = b"server" if from_server else b"client"
    return hashlib.blake2b(struct.pack("!BQ", kind, number) + content, digest_size=_TAG, key=key).digest()
