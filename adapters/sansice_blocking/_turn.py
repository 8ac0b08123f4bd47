"""TURN for an application: a relayed address, and datagrams through it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

from sansice import Address, Entropy, Transport
from sansice.sockets import TlsConfig
from sansice.stun import HttpProxy, ServerTarget, ServerUri
from sansice.turn import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    MAX_TURN_EVENTS,
    READ_SIZE,
    TURN_EVENTS,
    DataReceived,
    Family,
    Inbox,
    PeerStreamId,
    TurnClient,
    TurnClientConfig,
    TurnClosed,
    TurnConnectionBase,
    TurnCredentials,
    TurnError,
    TurnPeerBase,
    TurnStreamBase,
    pieces,
    through,
    turn_credentials,
)

from ._driver import BlockingDriver, EventQueue
from ._recording import RecordTo, open_recorder

R = TypeVar("R")

_DEFAULT_CONFIG = TurnClientConfig()


@contextlib.contextmanager
def open_turn(
    uri: ServerTarget | ServerUri | str,
    username: str | None = None,
    credential: TurnCredentials | str | None = None,
    *,
    transport: Transport = Transport.UDP,
    family: Family | None = None,
    even_port: bool = False,
    reserve_next: bool = False,
    reservation_token: bytes | None = None,
    dont_fragment: bool = False,
    lifetime: int | None = None,
    mobility: bool = False,
    transports: Sequence[Transport] | None = None,
    local: Address | None = None,
    verify_name: str | None = None,
    proxy: HttpProxy | str | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    config: TurnClientConfig = _DEFAULT_CONFIG,
    max_queued: int = MAX_QUEUED,
    max_queued_bytes: int = MAX_QUEUED_BYTES,
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> Iterator[TurnConnection]:
    """Have a TURN server relay: a ``with`` block that yields a `TurnConnection` once there is a relayed address.

    ``with open_turn("turn:turn.example.org", "alice", "password") as turn``. The allocation, its permissions and its
    channels are refreshed meanwhile. Leaving the block deletes it, for which the server gets a second at most. An exception
    of the body comes out as it is.

    Args:
        uri: ``turn:`` or ``turns:``, whose name is resolved by RFC 5928; or where exactly the server is.
        username: for servers that ask for credentials, which most do.
        credential: the password; or what else `TurnClient` takes for credentials, and then without ``username``.
        transport: between the relayed address and peers: UDP; or TCP (RFC 6062), for `TurnConnection.connect`.
        family: of the relayed address: 4, 6 or ``"both"``; ``None`` leaves it to the server, which gives IPv4.
        even_port, reserve_next, reservation_token, dont_fragment, lifetime, mobility: see `TurnClient.allocate`.
        transports: towards the server, in order of preference, where the URI leaves a choice.
        local: what to bind to towards the server. Port 0 is any port.
        verify_name: the name that certificates must carry instead of the URI's host.
        proxy: an HTTP proxy, the only way out of some networks: `HttpProxy`, or ``"http://user:password@host:port"``. The server
            is reached through it, over TCP or TLS, and its name is the proxy's to look up. No variable of the environment is
            looked at.
        tls: authorities to trust, where the system's are not the right ones. DTLS needs ``sansice[tls]``.
        config: timers and bounds of the client.
        max_queued, max_queued_bytes: received data that may wait, of each `TurnConnection.peer`, and of all others together;
            over either the oldest datagram is dropped, and counted as ``DropReason.QUEUE_FULL`` in `TurnConnection.stats`.
        entropy: the only source of randomness.
        record: a file that the client's life is written to, secrets and data included; see `open_ice`.

    Raises:
        TurnError: no server gave an address; it says how far it came, with which code, and why.
        ValueError: not a URI of these schemes.
        LocalProtocolError: what `TurnClient` or `TurnClient.allocate` refuses.
    """
    wish = {
        "transport": transport,
        "family": family,
        "even_port": even_port,
        "reserve_next": reserve_next,
        "reservation_token": reservation_token,
        "dont_fragment": dont_fragment,
        "lifetime": lifetime,
        "mobility": mobility,
    }
    credentials = turn_credentials(username, credential)
    with contextlib.closing(open_recorder(record)) as recorder:
        client = recorder.make(
            TurnClient,
            uri,
            credentials=credentials,
            config=through(config, proxy),
            transports=transports,
            local=local,
            verify_name=verify_name,
            entropy=entropy,
        )
        turn = TurnConnection(
            client,
            str(uri),
            wish,
            lambda machine, deliver: BlockingDriver(machine, deliver, tls=tls),
            _News,
            EventQueue(TURN_EVENTS, MAX_TURN_EVENTS),
            max_queued=max_queued,
            max_queued_bytes=max_queued_bytes,
        )
        turn._driver._at_failure = turn._end
        try:
            with turn._driver:
                turn.allocate()
                yield turn
        finally:
            turn._end()


class _News:
    """What threads wait for."""

    __slots__ = ("_condition",)

    def __init__(self, driver: BlockingDriver) -> None:
        self._condition = threading.Condition(driver.lock)

    def wake(self) -> None:
        """Have everybody who waits look again."""
        with self._condition:
            self._condition.notify_all()

    def wait(self, look: Callable[[], R | None], timeout: float | None, what: str) -> R:
        """Look until there is something, and wait for news in between.

        Raises:
            TimeoutError: there was nothing in so many seconds.
        """
        with self._condition:
            found = self._condition.wait_for(look, timeout)
        if not found:
            raise TimeoutError(f"{what}(): not within {timeout} s")
        return found


class TurnPeer(TurnPeerBase[_News]):
    """Somebody who is reached through the relay; `TurnConnection.peer` makes it. Any thread may call it.

    Everything that waits raises `TurnError` where the server has refused the permission, `TurnLost` once the allocation is
    lost, and `TurnClosed` once the connection is closed. What has arrived before is given out first. Where a ``timeout`` in
    seconds is given, `TimeoutError` is raised after it, and nothing is lost.
    """

    __slots__ = ()

    def ready(self, *, timeout: float | None = None) -> None:
        """Wait until the server lets datagrams pass in both directions.

        Nobody has to wait for it: what is sent earlier waits in the client.
        """
        self._inbox.news.wait(self._is_ready, timeout, "ready")

    def send_nowait(self, data: bytes, *, dont_fragment: bool = False) -> None:
        """Send a datagram. Until the server has granted the permission it waits in the client, which keeps some.

        See the argument and the errors in `TurnPeerBase.send_nowait`.
        """
        with self._turn._driver.lock:
            super().send_nowait(data, dont_fragment=dont_fragment)

    def send(self, data: bytes, *, dont_fragment: bool = False) -> None:
        """Send a datagram: `send_nowait`, under the name that the other adapters have for it. Never waits."""
        self.send_nowait(data, dont_fragment=dont_fragment)

    def receive(self, *, timeout: float | None = None) -> bytes:
        """Wait for a datagram."""
        return self._inbox.news.wait(self._look, timeout, "receive")[0]

    def receive_nowait(self) -> bytes:
        """The oldest datagram that waits.

        Raises:
            TurnWouldBlock: none does.
            TurnError: none will come, as in `send_nowait`.
        """
        with self._turn._driver.lock:
            return super().receive_nowait()

    def close(self) -> None:
        """Give the peer up. See `TurnPeerBase.close`."""
        with self._turn._driver.lock:
            super().close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """As `receive`; iteration ends where the connection is closed, and raises where anything failed."""
        try:
            return self.receive()
        except TurnClosed:
            raise StopIteration from None

    def _look(self) -> tuple[bytes, ...]:
        data = self._take()
        return () if data is None else (data,)  # an empty datagram is something, too


class TurnStream(TurnStreamBase[_News]):
    """A TCP connection with a peer, through the relay; `TurnConnection.connect` and `TurnConnection.accept` give it.

    What waits raises `TurnError` where the connection broke, `TurnClosed` once it is closed here, and `TimeoutError` after a
    ``timeout`` in seconds. As a ``with`` block it closes itself. Any thread may call it.
    """

    __slots__ = ()

    def send(self, data: bytes, *, timeout: float | None = None) -> None:
        """Send bytes, as fast as the peer takes them.

        Raises:
            TurnError: the connection broke, or the peer has ended it (RFC 6062 5.5 ends both directions at once).
            TimeoutError: it stays open how many were sent.
        """
        with self._turn._driver.lock:
            for chunk in pieces(data):
                self._news.wait(self._has_room, timeout, "send")
                self._send(chunk)

    def receive(self, max_bytes: int = READ_SIZE, *, timeout: float | None = None) -> bytes:
        """Wait for bytes; ``b""`` once the peer has ended the connection."""

        def look() -> tuple[bytes, ...]:
            data = self._take(max_bytes)
            return () if data is None else (data,)

        return self._news.wait(look, timeout, "receive")[0]

    def close(self, *, reset: bool = False) -> None:
        """End the connection, in both directions. See `TurnStreamBase.close`."""
        with self._turn._driver.lock:
            super().close(reset=reset)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        """As `receive`; iteration ends with the connection, and raises where that broke."""
        try:
            data = self.receive()
        except TurnClosed:
            raise StopIteration from None
        if not data:
            raise StopIteration
        return data

    def _opened(self, end: float | None, what: str) -> Self:
        try:
            self._news.wait(self._is_connected, _left_until(end), what)
        except BaseException:
            self.close(reset=True)
            raise
        return self


class TurnConnection(TurnConnectionBase[BlockingDriver, EventQueue, _News, TurnPeer, TurnStream]):
    """A relay at work; `open_turn` makes it. Any thread may call it.

    Everything that waits raises `TurnLost` once the allocation is lost, `TurnError` where an attempt to get another one has
    failed, and `TurnClosed` once the connection is closed. What has arrived before is given out first. Where a ``timeout`` in
    seconds is given, `TimeoutError` is raised after it, and nothing is lost.
    """

    __slots__ = ()

    def allocate(self, *, timeout: float | None = None) -> tuple[Address, ...]:
        """Wait for the relayed addresses; where the allocation is lost, ask for a new one, with which all peers go on.

        Raises:
            TurnError: no server gave one; where it says that it wants to be left alone, a further call fails at once.
            TimeoutError: the client goes on asking, and a second call waits for the same answer.
        """
        with self._driver.lock:
            self._start_allocating()
            self._news.wait(self._is_allocated, timeout, "allocate")
            return self.relayed

    def rebind(self, *, local: Address | None = None, timeout: float | None = None) -> None:
        """Take a mobile allocation along, because the local address has changed or is about to (RFC 8016), and wait until the
        server knows. Data takes the old way until then.

        Where the old way breaks by itself nobody has to call this.

        Args:
            local: what to bind to; left out, the address by which the system routes to the server now.
            timeout: seconds.

        Raises:
            TurnError: the server did not follow, and the allocation is where it was.
            LocalProtocolError: the allocation is not mobile, or on the move already.
            TimeoutError: the move goes on.
        """
        with self._driver.lock:
            self._start_rebinding(local)
            self._news.wait(self._has_moved, timeout, "rebind")

    def permit(self, *peers: Address | str, timeout: float | None = None) -> None:
        """Have the server let these hosts send to the relayed address, whatever their ports, and wait until it does.

        Permissions are renewed until the end.

        Args:
            peers: `Address` values, or texts: ``"192.0.2.1:5000"``, or ``"192.0.2.1"``, as no port matters.
            timeout: seconds.

        Raises:
            TurnError: the server refuses one of them; the others may have their permission.
            LocalProtocolError: text that names no address; or more than the client's configuration allows.
            TimeoutError: what was asked for goes on.
        """
        with self._driver.lock:
            hosts = self._start_permitting(peers)
            self._news.wait(lambda: self._are_permitted(hosts), timeout, "permit")

    def peer(self, address: Address | str, *, channel: bool = True) -> TurnPeer:
        """Datagrams to and from one peer; the same object for the same address. The server is asked for what it takes.

        Args:
            address: an `Address`, or text: ``"192.0.2.1:5000"``.
            channel: bind one, which spares 32 bytes and more a datagram; otherwise there is only a permission.

        Raises:
            TurnError: there is no allocation.
            LocalProtocolError: text that names no address, or more than the client's configuration allows.
        """
        with self._driver.lock:
            return self._peer(address, channel=channel)

    def connect(self, peer: Address | str, *, timeout: float | None = None) -> TurnStream:
        """Have the relay connect to a peer over TCP (RFC 6062), of an allocation that was asked for with `Transport.TCP`.

        Raises:
            TurnError: the peer did not answer (447), the server refuses it (403), or it is connected already (446).
            LocalProtocolError: what `TurnClient.connect` refuses.
            TimeoutError: the attempt is given up.
        """
        with self._driver.lock:
            return self._start_connecting(peer)._opened(_end_of(timeout), "connect")

    def accept(self, *, timeout: float | None = None) -> TurnStream:
        """Wait for a peer that connects to the relayed address: one whose host was permitted (RFC 6062 4.4).

        Raises:
            TimeoutError: nobody has; who does later waits for the next call, half a minute at most.
        """
        end = _end_of(timeout)
        with self._driver.lock:
            while True:
                stream = self._news.wait(self._start_accepting, _left_until(end), "accept")
                with contextlib.suppress(TurnError):  # of this one: it has left again
                    return stream._opened(end, "accept")

    def send_nowait(self, peer: Address | str, data: bytes) -> None:
        """Send a datagram to somebody who has a permission, or soon will. See `TurnPeer.send_nowait`."""
        with self._driver.lock:
            super().send_nowait(peer, data)

    def send(self, peer: Address | str, data: bytes) -> None:
        """Send a datagram: `send_nowait`, under the name that the other adapters have for it. Never waits."""
        self.send_nowait(peer, data)

    def receive(self, *, timeout: float | None = None) -> DataReceived:
        """Wait for a datagram of anybody whom `peer` was not asked for: ``peer, data = turn.receive()``.

        Only those come through whose host was permitted.
        """
        return self._inbox.news.wait(self._take, timeout, "receive")

    def receive_nowait(self) -> DataReceived:
        """The oldest datagram from anybody whom `peer` was not asked for, as ``peer, data``.

        Raises:
            TurnWouldBlock: none waits.
            TurnError: none will come: there is no allocation.
        """
        with self._driver.lock:
            return super().receive_nowait()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> DataReceived:
        """As `receive`; iteration ends where the connection is closed, and raises where the allocation is lost."""
        try:
            return self.receive()
        except TurnClosed:
            raise StopIteration from None

    def _new_peer(self, address: Address, inbox: Inbox[bytes, _News], *, wants_channel: bool) -> TurnPeer:
        return TurnPeer(self, address, inbox, wants_channel=wants_channel)

    def _new_stream(self, id: PeerStreamId, peer: Address) -> TurnStream:
        return TurnStream(self, id, peer, _News(self._driver))

    def _look(self, read: Callable[[], R]) -> R:
        with self._driver.lock:
            return read()

    def _end(self) -> None:
        with self._driver.lock:
            super()._end()


def _end_of(timeout: float | None) -> float | None:
    return None if timeout is None else time.monotonic() + timeout


def _left_until(end: float | None) -> float | None:
    return None if end is None else end - time.monotonic()
