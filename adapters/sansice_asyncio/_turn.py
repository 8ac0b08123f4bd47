"""TURN for an application: a relayed address, and datagrams through it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from sansice import Address, Entropy, Transport
from sansice.sockets import TlsConfig
from sansice.stun import ServerTarget, ServerUri
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
    turn_credentials,
)

from ._driver import AsyncioDriver, EventQueue
from ._recording import RecordTo, open_recorder

_DEFAULT_CONFIG = TurnClientConfig()


@contextlib.asynccontextmanager
async def open_turn(
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
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    config: TurnClientConfig = _DEFAULT_CONFIG,
    max_queued: int = MAX_QUEUED,
    max_queued_bytes: int = MAX_QUEUED_BYTES,
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> AsyncIterator[TurnConnection]:
    """Have a TURN server relay: an ``async with`` block that yields a `TurnConnection` once there is a relayed address.

    ``async with open_turn("turn:turn.example.org", "alice", "password") as turn``. The allocation, its permissions and its
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
            config=config,
            transports=transports,
            local=local,
            verify_name=verify_name,
            entropy=entropy,
        )
        turn = TurnConnection(
            client,
            str(uri),
            wish,
            lambda machine, deliver: AsyncioDriver(machine, deliver, tls=tls),
            lambda driver: _News(),
            EventQueue(TURN_EVENTS, MAX_TURN_EVENTS),
            max_queued=max_queued,
            max_queued_bytes=max_queued_bytes,
        )
        try:
            async with turn._driver:
                await turn.allocate()
                yield turn
        finally:
            turn._end()


class _News:
    """What tasks wait for."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event: asyncio.Event | None = None

    def wake(self) -> None:
        """Have everybody who waits look again."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait until there is something new. Cancelling is safe."""
        if self._event is None:  # made when somebody waits: who is idle has none
            self._event = asyncio.Event()
        await self._event.wait()


class TurnPeer(TurnPeerBase[_News]):
    """Somebody who is reached through the relay; `TurnConnection.peer` makes it.

    Everything that waits raises `TurnError` where the server has refused the permission, `TurnLost` once the allocation is
    lost, and `TurnClosed` once the connection is closed. What has arrived before is given out first.
    """

    __slots__ = ()

    async def ready(self) -> None:
        """Wait until the server lets datagrams pass in both directions. Cancelling is safe.

        Nobody has to wait for it: what is sent earlier waits in the client.
        """
        await asyncio.sleep(0)
        while not self._is_ready():
            await self._inbox.news.wait()

    async def send(self, data: bytes, *, dont_fragment: bool = False) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await asyncio.sleep(0)
        self.send_nowait(data, dont_fragment=dont_fragment)

    async def receive(self) -> bytes:
        """Wait for a datagram. Cancelling is safe: no data is lost."""
        if len(self._inbox):
            await asyncio.sleep(0)
        while (data := self._take()) is None:
            await self._inbox.news.wait()
        return data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """As `receive`; iteration ends where the connection is closed, and raises where anything failed."""
        try:
            return await self.receive()
        except TurnClosed:
            raise StopAsyncIteration from None


class TurnStream(TurnStreamBase[_News]):
    """A TCP connection with a peer, through the relay; `TurnConnection.connect` and `TurnConnection.accept` give it.

    What waits raises `TurnError` where the connection broke, and `TurnClosed` once it is closed here. As an ``async with``
    block it closes itself.
    """

    __slots__ = ()

    async def send(self, data: bytes) -> None:
        """Send bytes, as fast as the peer takes them. Cancelling leaves it open how many were sent.

        Raises:
            TurnError: the connection broke, or the peer has ended it (RFC 6062 5.5 ends both directions at once).
        """
        await asyncio.sleep(0)
        for chunk in pieces(data):
            while not self._has_room():
                await self._news.wait()
            self._send(chunk)

    async def receive(self, max_bytes: int = READ_SIZE) -> bytes:
        """Wait for bytes; ``b""`` once the peer has ended the connection. Cancelling is safe: nothing is lost."""
        if self._unread:
            await asyncio.sleep(0)
        while (data := self._take(max_bytes)) is None:
            await self._news.wait()
        return data

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        """As `receive`; iteration ends with the connection, and raises where that broke."""
        try:
            data = await self.receive()
        except TurnClosed:
            raise StopAsyncIteration from None
        if not data:
            raise StopAsyncIteration
        return data

    async def _opened(self) -> Self:
        try:
            await asyncio.sleep(0)
            while not self._is_connected():
                await self._news.wait()
        except BaseException:
            self.close(reset=True)
            raise
        return self


class TurnConnection(TurnConnectionBase[AsyncioDriver, EventQueue, _News, TurnPeer, TurnStream]):
    """A relay at work; `open_turn` makes it.

    Everything that waits raises `TurnLost` once the allocation is lost, `TurnError` where an attempt to get another one has
    failed, and `TurnClosed` once the connection is closed. What has arrived before is given out first.
    """

    __slots__ = ()

    async def allocate(self) -> tuple[Address, ...]:
        """Wait for the relayed addresses; where the allocation is lost, ask for a new one, with which all peers go on.

        Cancelling is safe: the client goes on asking, and a second call waits for the same answer.

        Raises:
            TurnError: no server gave one; where it says that it wants to be left alone, a further call fails at once.
        """
        self._start_allocating()
        await asyncio.sleep(0)
        while not self._is_allocated():
            await self._news.wait()
        return self.relayed

    async def rebind(self, *, local: Address | None = None) -> None:
        """Take a mobile allocation along, because the local address has changed or is about to (RFC 8016), and wait until the
        server knows. Data takes the old way until then.

        Where the old way breaks by itself nobody has to call this. Cancelling is safe: the move goes on.

        Args:
            local: what to bind to; left out, the address by which the system routes to the server now.

        Raises:
            TurnError: the server did not follow, and the allocation is where it was.
            LocalProtocolError: the allocation is not mobile, or on the move already.
        """
        self._start_rebinding(local)
        await asyncio.sleep(0)
        while not self._has_moved():
            await self._news.wait()

    async def permit(self, *peers: Address | str) -> None:
        """Have the server let these hosts send to the relayed address, whatever their ports, and wait until it does.

        Permissions are renewed until the end. Cancelling is safe: what was asked for goes on.

        Args:
            peers: `Address` values, or texts: ``"192.0.2.1:5000"``, or ``"192.0.2.1"``, as no port matters.

        Raises:
            TurnError: the server refuses one of them; the others may have their permission.
            LocalProtocolError: text that names no address; or more than the client's configuration allows.
        """
        hosts = self._start_permitting(peers)
        await asyncio.sleep(0)
        while not self._are_permitted(hosts):
            await self._news.wait()

    def peer(self, address: Address | str, *, channel: bool = True) -> TurnPeer:
        """Datagrams to and from one peer; the same object for the same address. The server is asked for what it takes.

        Args:
            address: an `Address`, or text: ``"192.0.2.1:5000"``.
            channel: bind one, which spares 32 bytes and more a datagram; otherwise there is only a permission.

        Raises:
            TurnError: there is no allocation.
            LocalProtocolError: text that names no address, or more than the client's configuration allows.
        """
        return self._peer(address, channel=channel)

    async def connect(self, peer: Address | str) -> TurnStream:
        """Have the relay connect to a peer over TCP (RFC 6062), of an allocation that was asked for with `Transport.TCP`.

        Cancelling is safe: the attempt is given up.

        Raises:
            TurnError: the peer did not answer (447), the server refuses it (403), or it is connected already (446).
            LocalProtocolError: what `TurnClient.connect` refuses.
        """
        return await self._start_connecting(peer)._opened()

    async def accept(self) -> TurnStream:
        """Wait for a peer that connects to the relayed address: one whose host was permitted (RFC 6062 4.4).

        Cancelling is safe: who has connected meanwhile waits for the next call, half a minute at most.
        """
        await asyncio.sleep(0)
        while True:
            stream = self._start_accepting()
            if stream is None:
                await self._news.wait()
                continue
            with contextlib.suppress(TurnError):  # of this one: it has left again
                return await stream._opened()

    async def send(self, peer: Address | str, data: bytes) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await asyncio.sleep(0)
        self.send_nowait(peer, data)

    async def receive(self) -> DataReceived:
        """Wait for a datagram of anybody whom `peer` was not asked for: ``peer, data = await turn.receive()``.

        Only those come through whose host was permitted. Cancelling is safe: no data is lost.
        """
        if len(self._inbox):
            await asyncio.sleep(0)
        while (received := self._take()) is None:
            await self._inbox.news.wait()
        return received

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> DataReceived:
        """As `receive`; iteration ends where the connection is closed, and raises where the allocation is lost."""
        try:
            return await self.receive()
        except TurnClosed:
            raise StopAsyncIteration from None

    def _new_peer(self, address: Address, inbox: Inbox[bytes, _News], *, wants_channel: bool) -> TurnPeer:
        return TurnPeer(self, address, inbox, wants_channel=wants_channel)

    def _new_stream(self, id: PeerStreamId, peer: Address) -> TurnStream:
        return TurnStream(self, id, peer, _News())
