"""Many DTLS associations behind one address, told apart by the source of their datagrams (RFC 6347 4.2.1).

Cookies are made here and not by OpenSSL, so that a stranger's ClientHello costs a hash and no state.
"""

from __future__ import annotations

import hmac
import math
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs

from ._dtls import DtlsSession
from ._dtls_records import ClientHello, client_hello_untrusted, hello_verify_request
from ._timers import Timers
from ._tls_error import TlsError
from .machine import Address, Entropy

if TYPE_CHECKING:
    from OpenSSL import SSL

HANDSHAKE_TIMEOUT = 20.0  # seconds: room for repetitions after 1, 3, 7 and 15
IDLE_TIMEOUT = 900.0  # seconds: longer than the 600 of a TURN allocation, which may be all that a client refreshes (RFC 8656 3.2)
MAX_SESSIONS = 1000  # associations; OpenSSL takes some 80 kB for each
MAX_HANDSHAKES = 100  # of them that are not complete; a peer with an address of its own can begin them at will
COOKIE_LIFETIME = 60.0  # seconds after which the key changes; the last one still counts, for round trips that straddle it
COOKIE_LENGTH = 16  # bytes: 128 bits nobody guesses, and the answer stays shorter than any ClientHello

_MIN_WAIT = 0.01  # seconds; OpenSSL's clock and ours need not agree on when it is time


@attrs.define(eq=False)
class _Peer:
    """An association, and when it was last heard of."""

    session: DtlsSession
    hello: ClientHello
    began: float
    heard: float


class DtlsServer:
    """The associations of one listening socket.

    After every call send what `take` returns, and call `handle_timer` at `deadline`. A peer has no state here until it
    has returned the cookie that was sent to its address (RFC 6347 4.2.1).

    Args:
        context: asked for each new association, so that certificates can change.
        count: told the reason for what is dropped.
        entropy: for the key of the cookies.
    """

    __slots__ = (
        "_context",
        "_count",
        "_entropy",
        "_handshakes",
        "_key",
        "_key_before",
        "_key_until",
        "_out",
        "_peers",
        "_timers",
    )

    def __init__(
        self, context: Callable[[], SSL.Context], count: Callable[[str], None], *, entropy: Entropy = os.urandom
    ) -> None:
        self._context = context
        self._count = count
        self._entropy = entropy
        self._key = self._key_before = entropy(32)
        self._key_until = -math.inf
        self._peers: dict[Address, _Peer] = {}
        self._handshakes: dict[Address, None] = {}  # the oldest first
        self._timers: Timers[Address] = Timers()
        self._out: list[tuple[Address, bytes]] = []

    def __len__(self) -> int:
        return len(self._peers)

    def receive(self, source: Address, datagram: bytes, *, now: float) -> list[bytes]:
        """Take a datagram, and return the data in it."""
        hello = client_hello_untrusted(datagram)
        if hello is not None:
            self._greet(source, hello, datagram, now)
            return []
        peer = self._peers.get(source)
        if peer is None:
            self._count("DTLS: no association")
            return []
        try:
            received = peer.session.receive(datagram)
        except TlsError:
            self._send_waiting(source, peer)
            self._drop(source, "DTLS: failed")
            return []
        self._go_on(source, peer, now)
        if received:
            peer.heard = now
        return received

    def send(self, destination: Address, data: bytes) -> None:
        """Encrypt a datagram for a peer; without an association it is lost and counted."""
        peer = self._peers.get(destination)
        if peer is None:
            self._count("DTLS: no association")
            return
        try:
            peer.session.send(data)
        except TlsError:
            self._count("DTLS: not sendable")
        self._send_waiting(destination, peer)

    def close(self) -> None:
        """End all associations."""
        for address in list(self._peers):
            self._end(address)

    def take(self) -> list[tuple[Address, bytes]]:
        """Datagrams to send, each with its destination."""
        out, self._out = self._out, []
        return out

    def deadline(self) -> float:
        """When `handle_timer` wants to be called; `math.inf` for never."""
        return self._timers.deadline()

    def handle_timer(self, *, now: float) -> None:
        """Repeat what was lost, give up what takes too long, forget who is silent."""
        while (address := self._timers.pop_due(now)) is not None:
            peer = self._peers[address]
            if peer.session.is_ready:
                if now - peer.heard >= IDLE_TIMEOUT:
                    self._end(address)
                else:
                    self._timers.set(address, peer.heard + IDLE_TIMEOUT)
            elif now - peer.began >= HANDSHAKE_TIMEOUT:
                self._drop(address, "DTLS: handshake timed out")
            else:
                self._repeat(address, peer, now)

    # ------------------------------------------------------------- greeting

    def _greet(self, source: Address, hello: ClientHello, datagram: bytes, now: float) -> None:
        if not self._is_ours(source, hello, now):
            self._out.append((source, hello_verify_request(hello.sequence, _cookie(self._key, source, hello))))
            return
        old = self._peers.get(source)
        if old is not None:
            if old.hello[1:] == hello[1:]:
                return  # a repetition of the one that began this association
            self._forget(source)  # the peer has started anew (RFC 6347 4.2.8)
        self._make_room()
        peer = _Peer(DtlsSession(self._context(), server_hostname=None), hello, now, now)
        try:
            peer.session.accept(datagram)
        except TlsError:
            self._out += [(source, alert) for alert in peer.session.take()]
            self._count("DTLS: failed")
            return
        self._peers[source] = peer
        self._handshakes[source] = None
        self._go_on(source, peer, now)

    def _is_ours(self, source: Address, hello: ClientHello, now: float) -> bool:
        if now >= self._key_until:
            # After a long silence the last key is no proof of a recent round trip either.
            fresh = now < self._key_until + COOKIE_LIFETIME
            self._key_before, self._key = (self._key if fresh else self._entropy(32)), self._entropy(32)
            self._key_until = now + COOKIE_LIFETIME
        keys = (self._key, self._key_before)
        return bool(hello.cookie) and any(hmac.compare_digest(_cookie(key, source, hello), hello.cookie) for key in keys)

    def _make_room(self) -> None:
        if len(self._handshakes) >= MAX_HANDSHAKES:
            self._drop(next(iter(self._handshakes)), "DTLS: too many handshakes")
        if len(self._peers) >= MAX_SESSIONS:
            self._end(min(self._peers, key=lambda address: self._peers[address].heard))
            self._count("DTLS: too many associations")

    # ------------------------------------------------------------- associations

    def _go_on(self, address: Address, peer: _Peer, now: float) -> None:
        self._send_waiting(address, peer)
        if peer.session.at_end:
            self._forget(address)
        elif not peer.session.is_ready:
            self._arm(address, peer, now)
        elif address in self._handshakes:
            del self._handshakes[address]
            peer.heard = now
            self._timers.set(address, now + IDLE_TIMEOUT)

    def _repeat(self, address: Address, peer: _Peer, now: float) -> None:
        try:
            peer.session.handle_timeout()
        except TlsError:
            self._drop(address, "DTLS: handshake timed out")
            return
        self._send_waiting(address, peer)
        self._arm(address, peer, now)

    def _arm(self, address: Address, peer: _Peer, now: float) -> None:
        wait = peer.session.timeout()
        end = peer.began + HANDSHAKE_TIMEOUT
        self._timers.set(address, end if wait is None else min(end, now + max(wait, _MIN_WAIT)))

    def _send_waiting(self, address: Address, peer: _Peer) -> None:
        self._out += [(address, datagram) for datagram in peer.session.take()]

    def _end(self, address: Address) -> None:
        peer = self._peers[address]
        peer.session.close()
        self._send_waiting(address, peer)
        self._forget(address)

    def _drop(self, address: Address, reason: str) -> None:
        self._forget(address)
        self._count(reason)

    def _forget(self, address: Address) -> None:
        del self._peers[address]
        self._handshakes.pop(address, None)
        self._timers.cancel(address)


def _cookie(key: bytes, source: Address, hello: ClientHello) -> bytes:
    """Proof that the client receives what is sent to ``source``, for this ClientHello alone."""
    return hmac.digest(key, f"{source} ".encode() + hello.parameters, "sha256")[:COOKIE_LENGTH]
