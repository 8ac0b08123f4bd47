"""UDP sockets with DTLS on them, as `sansice.sockets` has them on real systems: a client's, and a listener's with many peers."""

from __future__ import annotations

import abc
import hmac
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice._timers import Timers
from sansice.machine import Address, CloseMode, IcmpError, OpenSocket, SocketError, SocketErrorKind, SocketId

from ._dtls import (
    DtlsClientSession,
    DtlsServerSession,
    DtlsSession,
    client_hello_in,
    cookie_for,
    hello_verify_request,
)
from ._hellos import ClientHello, TlsError
from ._packets import Packet
from ._segment import Interface

if TYPE_CHECKING:
    from ._sockets import Sockets

HANDSHAKE_TIMEOUT = 20.0  # seconds: room for repetitions after 1, 3, 7 and 15; as in `sansice.sockets`
IDLE_TIMEOUT = 900.0  # seconds after which a listener ends a silent association
MAX_SESSIONS = 1000  # associations of a listener
MAX_HANDSHAKES = 100  # of them that are not complete
COOKIE_LIFETIME = 60.0  # seconds after which the key changes; the last one still counts


class DtlsSocket(abc.ABC):
    """What both kinds share. To the host it is what a node is to it: something with a ``driver`` that takes datagrams.

    Attributes:
        id: what the machine calls it.
        local: what it is bound to.
        is_open: until it is closed.
    """

    __slots__ = ("_due", "_interface", "_sockets", "_whole", "id", "is_open", "local")

    local: Address
    _interface: Interface

    def __init__(self, sockets: Sockets, action: OpenSocket) -> None:
        self.id: SocketId = action.socket
        self.is_open: bool = False
        self._sockets = sockets
        self._whole = action.options.dont_fragment is True
        self._due = math.inf

    @property
    def driver(self) -> DtlsSocket:
        """Who takes what arrives."""
        return self

    def begin(self, local: Address, interface: Interface) -> None:
        """It is bound."""
        self.local = local
        self._interface = interface
        self.is_open = True
        self.opened()

    @abc.abstractmethod
    def opened(self) -> None:
        """Go on, now that it is bound."""
        ...

    @abc.abstractmethod
    def send(self, destination: Address, data: bytes) -> None:
        """Protect and send a datagram, or count it as lost."""
        ...

    @abc.abstractmethod
    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Datagrams have arrived."""
        ...

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """A datagram came back."""
        self._sockets.driver.icmp(self.id, destination, error)

    @abc.abstractmethod
    def farewell(self) -> None:
        """Say goodbye to whoever there is."""
        ...

    @abc.abstractmethod
    def expire(self) -> None:
        """Its time has come."""
        ...

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: `CloseMode.FLUSH` says goodbye, once; nobody repeats it."""
        if mode is CloseMode.FLUSH:
            self.farewell()
        self._release()

    def die(self) -> None:
        """The process is gone."""
        self._release()

    def _release(self) -> None:
        self.is_open = False
        self._due = math.inf
        self._sockets.forget(self.id)
        self._sockets.host.unbind(self.local, self, self.id)

    def _transmit(self, destination: Address, data: bytes) -> None:
        packet = Packet(self.local, destination, data, dont_fragment=self._whole)
        if not self._sockets.host.send(self._interface, packet):
            self._sockets.node.refused += 1

    def _at(self, deadline: float) -> None:
        # As in `Node.arm`: a deadline that moves away costs no entry in the heap.
        if deadline < self._due:
            self._due = deadline
            self._sockets.host.at(deadline, self._wake, deadline)

    @abc.abstractmethod
    def deadline(self) -> float:
        """When `expire` is due."""
        ...

    def _wake(self, due: float) -> None:
        if due != self._due:
            return
        self._due = math.inf
        if self.deadline() > self._sockets.clock.now:
            self._at(self.deadline())
        else:
            self.expire()

    def _count(self, reason: str) -> None:
        self._sockets.lost[reason] += 1


class DtlsClient(DtlsSocket):
    """An association with one server. The machine hears of it once the server is verified."""

    __slots__ = ("_began", "_remote", "_session")

    def __init__(self, sockets: Sockets, action: OpenSocket, remote: Address, expected: str) -> None:
        super().__init__(sockets, action)
        self._remote = remote
        self._began = sockets.clock.now
        alpn = action.options.tls.alpn if action.options.tls is not None else ()
        self._session = DtlsClientSession(sockets.random(f"DTLS hello of socket {self.id}"), expected, alpn)

    def opened(self) -> None:
        """Send the first message."""
        self._session.start(now=self._began)
        self._go_on()

    def send(self, destination: Address, data: bytes) -> None:
        """Protect and send; there is one destination."""
        if destination != self._remote:
            self._count("DTLS: no association")
            return
        try:
            self._session.send(data)
        except TlsError:
            self._count("DTLS: not sendable")
        self._flush()

    def farewell(self) -> None:
        """Say goodbye to the server."""
        self._session.close()
        self._flush()

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Go on with the handshake, or read."""
        session, remote, driver = self._session, self._remote, self._sockets.driver
        was_ready = session.is_ready
        received: list[tuple[Address, bytes]] = []
        for source, datagram in batch:
            if source != remote:
                continue
            try:
                received += [(remote, data) for data in session.receive(datagram, now=self._sockets.clock.now)]
            except TlsError as error:
                self._fail(SocketError(SocketErrorKind.TLS, str(error)))
                return
        self._go_on()
        if session.is_ready and not was_ready:
            driver.socket_opened(self.id, self.local)
        if received and self.is_open:
            driver.datagrams(self.id, received)
        if session.at_end and self.is_open:
            self._fail(SocketError(SocketErrorKind.RESET, "the server ended the association"))

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """During the handshake nobody else hears of a closed port."""
        if self._session.is_ready:
            super().icmp(socket, destination, error)
        elif error.is_hard:
            self._fail(SocketError(SocketErrorKind.REFUSED, "nobody is at that port"))

    def deadline(self) -> float:
        """When to repeat, or to give up."""
        return min(self._session.deadline, self._began + HANDSHAKE_TIMEOUT) if not self._session.is_ready else math.inf

    def expire(self) -> None:
        """Repeat what was lost, or give up."""
        now = self._sockets.clock.now
        if now - self._began >= HANDSHAKE_TIMEOUT:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, f"DTLS was not ready within {HANDSHAKE_TIMEOUT:g} seconds"))
            return
        self._session.repeat(now=now)
        self._go_on()

    def _go_on(self) -> None:
        self._flush()
        self._at(self.deadline())

    def _flush(self) -> None:
        for datagram in self._session.take():
            self._transmit(self._remote, datagram)

    def _fail(self, error: SocketError) -> None:
        self._flush()
        self._release()
        self._sockets.driver.socket_failed(self.id, error)


class _Peer:
    """An association of a listener, and when it was last heard of."""

    __slots__ = ("began", "heard", "hello", "session")

    def __init__(self, session: DtlsServerSession, hello: ClientHello, now: float) -> None:
        self.session: DtlsServerSession = session
        self.hello: ClientHello = hello
        self.began: float = now
        self.heard: float = now


class DtlsListener(DtlsSocket):
    """Associations with many clients, which the machine knows by the addresses that their datagrams come from.

    A peer has no state here until it has returned the cookie that was sent to its address (RFC 6347 4.2.1).
    """

    __slots__ = ("_alpn", "_drawn", "_handshakes", "_key", "_key_before", "_key_until", "_peers", "_timers")

    def __init__(self, sockets: Sockets, action: OpenSocket) -> None:
        super().__init__(sockets, action)
        self._alpn = action.options.tls.alpn if action.options.tls is not None else ()
        self._drawn = 0
        self._key = self._key_before = b""
        self._key_until = -math.inf
        self._peers: dict[Address, _Peer] = {}
        self._handshakes: dict[Address, None] = {}  # the oldest first
        self._timers: Timers[Address] = Timers()

    def opened(self) -> None:
        """A listener is open at once."""
        self._sockets.driver.socket_opened(self.id, self.local)

    def send(self, destination: Address, data: bytes) -> None:
        """Protect and send to a peer that has an association."""
        peer = self._peers.get(destination)
        if peer is None:
            self._count("DTLS: no association")
            return
        try:
            peer.session.send(data)
        except TlsError:
            self._count("DTLS: not sendable")
        self._flush(destination, peer.session)

    def farewell(self) -> None:
        """Say goodbye to all peers."""
        for address in list(self._peers):
            self._end(address)

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Go on with handshakes, and read."""
        received = [(source, data) for source, datagram in batch for data in self._receive(source, datagram)]
        self._at(self._timers.deadline())
        if received:
            self._sockets.driver.datagrams(self.id, received)

    def deadline(self) -> float:
        """When the first of the associations wants something."""
        return self._timers.deadline()

    def expire(self) -> None:
        """Repeat what was lost, give up what takes too long, forget who is silent."""
        now = self._sockets.clock.now
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
                peer.session.repeat(now=now)
                self._go_on(address, peer)
        self._at(self._timers.deadline())

    # ------------------------------------------------------------- greeting

    def _receive(self, source: Address, datagram: bytes) -> list[bytes]:
        hello = client_hello_in(datagram)
        if hello is not None:
            self._greet(source, hello)
            return []
        peer = self._peers.get(source)
        if peer is None:
            self._count("DTLS: no association")
            return []
        now = self._sockets.clock.now
        try:
            received = peer.session.receive(datagram, now=now)
        except TlsError:
            self._flush(source, peer.session)
            self._drop(source, "DTLS: failed")
            return []
        self._go_on(source, peer)
        if received:
            peer.heard = now
        return received

    def _greet(self, source: Address, hello: ClientHello) -> None:
        now, names = self._sockets.clock.now, self._sockets.host.certificate
        if not self._is_ours(source, hello):
            self._transmit(source, hello_verify_request(cookie_for(self._key, source, hello)))
            return
        old = self._peers.get(source)
        if old is not None:
            if old.hello._replace(cookie=b"") == hello._replace(cookie=b""):
                return  # a repetition of the one that began this association
            self._forget(source)  # the peer has started anew (RFC 6347 4.2.8)
        if names is None:  # it has been taken away since
            self._count("DTLS: failed")
            return
        self._make_room()
        session = DtlsServerSession(self._sockets.random(f"DTLS hello to {source}"), names, self._alpn)
        session.answer(hello, now=now)
        self._peers[source] = peer = _Peer(session, hello, now)
        self._handshakes[source] = None
        self._go_on(source, peer)

    def _is_ours(self, source: Address, hello: ClientHello) -> bool:
        now = self._sockets.clock.now
        if now >= self._key_until:
            # After a long silence the last key is no proof of a recent round trip either.
            fresh = now < self._key_until + COOKIE_LIFETIME
            self._key_before, self._key = (self._key if fresh else self._new_key()), self._new_key()
            self._key_until = now + COOKIE_LIFETIME
        keys = (self._key, self._key_before)
        cookie = hello.cookie or b""
        return bool(cookie) and any(hmac.compare_digest(cookie_for(key, source, hello), cookie) for key in keys)

    def _new_key(self) -> bytes:
        self._drawn += 1
        return self._sockets.random(f"DTLS cookies {self._drawn} of socket {self.id}")

    def _make_room(self) -> None:
        if len(self._handshakes) >= MAX_HANDSHAKES:
            self._drop(next(iter(self._handshakes)), "DTLS: too many handshakes")
        if len(self._peers) >= MAX_SESSIONS:
            self._end(min(self._peers, key=lambda address: self._peers[address].heard))
            self._count("DTLS: too many associations")

    # ------------------------------------------------------------- associations

    def _go_on(self, address: Address, peer: _Peer) -> None:
        session, now = peer.session, self._sockets.clock.now
        self._flush(address, session)
        if session.at_end:
            self._forget(address)
        elif not session.is_ready:
            self._timers.set(address, min(session.deadline, peer.began + HANDSHAKE_TIMEOUT))
        elif address in self._handshakes:
            del self._handshakes[address]
            peer.heard = now
            self._timers.set(address, now + IDLE_TIMEOUT)

    def _flush(self, address: Address, session: DtlsSession) -> None:
        for datagram in session.take():
            self._transmit(address, datagram)

    def _end(self, address: Address) -> None:
        session = self._peers[address].session
        session.close()
        self._flush(address, session)
        self._forget(address)

    def _drop(self, address: Address, reason: str) -> None:
        self._forget(address)
        self._count(reason)

    def _forget(self, address: Address) -> None:
        del self._peers[address]
        self._handshakes.pop(address, None)
        self._timers.cancel(address)
