"""The least that connects by RFC 8445 on trio: what an implementation with no other feature at all would take.

Between `_bare_trio`, which has no protocol, and an agent: each end sends one authenticated check and answers one, and the
controlling end nominates after Ta with another. Nothing is retransmitted, refused, counted or told, there is one candidate an
end, and one task reads both sockets. What is left of the difference to an agent is what an agent can be blamed for.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import select
import socket
import statistics
import struct
import time
import zlib
from typing import NamedTuple

import trio

from bench._timing import quiet_gc

TA = 0.05  # RFC 8445 14.2
_HOST = "127.0.0.1"
_COOKIE, _COOKIE_BYTES, _XOR = 0x2112A442, b"\x21\x12\xa4\x42", 0x5354554E
_REQUEST, _SUCCESS = 0x0001, 0x0101
_USERNAME, _XOR_MAPPED, _PRIORITY, _USE_CANDIDATE = 0x0006, 0x0020, 0x0024, 0x0025
_CONTROLLED, _CONTROLLING = 0x8029, 0x802A
_PRFLX_PRIORITY = 1862270975
_TAIL = 32  # MESSAGE-INTEGRITY and FINGERPRINT


def milliseconds(times: int) -> list[float]:
    """Processor milliseconds of each of ``times`` pairs, both ends, until both have selected."""
    return trio.run(_measure, times)


def median(times: int) -> float:
    """The one in the middle."""
    return statistics.median(milliseconds(times))


class _Told(NamedTuple):
    """What one end tells the other."""

    ufrag: str
    password: bytes
    address: tuple[str, int]
    candidate: str


class _End:
    """One end; ``selected`` is set once the nominated check was answered, or answers one."""

    def __init__(self, controlling: bool) -> None:
        letters = os.urandom(13).hex()
        self._ufrag, self._password = letters[:4], letters[4:].encode()
        self._tiebreaker = os.urandom(8)
        self._controlling = controlling
        self._asked: dict[bytes, bool] = {}  # by transaction: whether it nominates
        self.nominate_at: float | None = None
        self.selected = trio.Event()
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind((_HOST, 0))

    def gather(self) -> _Told:
        address = self.socket.getsockname()
        return _Told(self._ufrag, self._password, address, f"1 1 udp 2130706431 {address[0]} {address[1]} typ host")

    async def connect(self, remote: _Told) -> None:
        self._remote = remote
        self._names = (
            f"{remote.ufrag}:{self._ufrag}".encode(),  # of our checks
            f"{self._ufrag}:{remote.ufrag}".encode(),  # and of the peer's
        )
        self.check(nominates=False)
        await self.selected.wait()

    def check(self, *, nominates: bool) -> None:
        name = self._names[0]
        attributes = struct.pack("!HH", _USERNAME, len(name)) + name + bytes(-len(name) % 4)
        attributes += struct.pack("!HHI", _PRIORITY, 4, _PRFLX_PRIORITY)
        attributes += struct.pack("!HH", _CONTROLLING if self._controlling else _CONTROLLED, 8) + self._tiebreaker
        if nominates:
            attributes += struct.pack("!HH", _USE_CANDIDATE, 0)
        transaction = os.urandom(12)
        self._asked[transaction] = nominates
        self.socket.sendto(_message(_REQUEST, transaction, attributes, self._remote.password), self._remote.address)

    def read(self) -> None:
        data, source = self.socket.recvfrom(2000)
        if data[0] == 0:
            self._answer(data, source)
        else:
            self._take(data)

    def _answer(self, request: bytes, source: tuple[str, int]) -> None:
        attributes = _attributes(request, self._password)
        if attributes[_USERNAME] != self._names[1]:
            raise AssertionError("a check of nobody's")
        (host,) = struct.unpack("!I", socket.inet_aton(source[0]))
        mapped = struct.pack("!HHBBHI", _XOR_MAPPED, 8, 0, 1, source[1] ^ _COOKIE >> 16, host ^ _COOKIE)
        self.socket.sendto(_message(_SUCCESS, request[8:20], mapped, self._password), source)
        if _USE_CANDIDATE in attributes:
            self.selected.set()

    def _take(self, response: bytes) -> None:
        nominates = self._asked.pop(response[8:20])
        if _XOR_MAPPED not in _attributes(response, self._remote.password):
            raise AssertionError("an answer without the address")
        if nominates:
            self.selected.set()
        elif self._controlling:
            self.nominate_at = trio.current_time() + TA


def _message(kind: int, transaction: bytes, attributes: bytes, password: bytes) -> bytes:
    covered = struct.pack("!HHI", kind, len(attributes) + 24, _COOKIE) + transaction + attributes
    integrity = struct.pack("!HH", 0x0008, 20) + hmac.digest(password, covered, hashlib.sha1)
    message = covered[:2] + struct.pack("!H", len(attributes) + _TAIL) + covered[4:] + integrity
    return message + struct.pack("!HHI", 0x8028, 4, zlib.crc32(message) ^ _XOR)


def _attributes(message: bytes, password: bytes) -> dict[int, bytes]:
    end = len(message)
    covered = message[:2] + struct.pack("!H", end - 28) + message[4 : end - _TAIL]
    is_right = (
        message[4:8] == _COOKIE_BYTES
        and zlib.crc32(message[:-8]) ^ _XOR == struct.unpack_from("!I", message, end - 4)[0]
        and hmac.compare_digest(hmac.digest(password, covered, hashlib.sha1), message[end - 28 : end - 8])
    )
    if not is_right:
        raise AssertionError("not what the other end has sent")
    found, position = {}, 20
    while position < end - _TAIL:
        kind, length = struct.unpack_from("!HH", message, position)
        found[kind] = message[position + 4 : position + 4 + length]
        position += 4 + length + -length % 4
    return found


async def _serve(ends: dict[int, _End], poll: select.epoll) -> None:
    """Read what arrives, and nominate when it is time: one task for both ends, until both have selected."""
    nominating = next(iter(ends.values()))
    while not all(end.selected.is_set() for end in ends.values()):
        with trio.move_on_at(trio.current_time() + 1.0 if nominating.nominate_at is None else nominating.nominate_at) as scope:
            await trio.lowlevel.wait_readable(poll.fileno())
            for number, _ in poll.poll(0):
                ends[number].read()
        if scope.cancelled_caught:
            nominating.nominate_at = None
            nominating.check(nominates=True)


async def _measure(times: int) -> list[float]:
    samples = []
    for _ in range(times):
        with quiet_gc():
            start = time.process_time()
            a, b = _End(controlling=True), _End(controlling=False)
            ends = {end.socket.fileno(): end for end in (a, b)}
            with a.socket, b.socket, select.epoll() as poll:
                for number in ends:
                    poll.register(number, select.EPOLLIN)
                of_a, of_b = a.gather(), b.gather()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(a.connect, of_b)
                    nursery.start_soon(b.connect, of_a)
                    nursery.start_soon(_serve, ends, poll)
                samples.append(1e3 * (time.process_time() - start))
    return samples
