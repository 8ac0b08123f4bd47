"""What a connection to a relay does in an asynchronous adapter, whichever its runtime: all of it but the driver.

What can be awaited here awaits only what the runtime supplies: a checkpoint, and an event that can be set and waited for.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Generic, Self

from sansice.driver import AsyncEvent
from sansice.machine import Address

from ._client._events import DataReceived
from ._client._peer_stream import PeerStreamId
from ._connection import D, Q, TurnConnectionBase, TurnPeerBase
from ._connection_streams import READ_SIZE, TurnStreamBase, pieces
from ._errors import TurnClosed, TurnError
from ._inbox import Inbox


class AsyncNews:
    """What tasks wait for.

    Args:
        new_event: makes an event of the runtime.
        checkpoint: lets other tasks run, and cancelling through.
    """

    __slots__ = ("_event", "_new_event", "checkpoint")

    def __init__(self, new_event: Callable[[], AsyncEvent], checkpoint: Callable[[], Coroutine[Any, Any, object]]) -> None:
        self.checkpoint: Callable[[], Coroutine[Any, Any, object]] = checkpoint
        self._new_event = new_event
        self._event: AsyncEvent | None = None

    def wake(self) -> None:
        """Have everybody who waits look again."""
        if self._event is not None:
            self._event.set()
            self._event = None

    async def wait(self) -> None:
        """Wait until there is something new. Cancelling is safe."""
        if self._event is None:  # made when somebody waits: who is idle has none
            self._event = self._new_event()
        await self._event.wait()


class AsyncTurnPeer(TurnPeerBase[AsyncNews]):
    """Somebody who is reached through the relay; `TurnConnection.peer` makes it.

    Everything that waits raises `TurnError` where the server has refused the permission, `TurnLost` once the allocation is
    lost, and `TurnClosed` once the connection is closed. What has arrived before is given out first.
    """

    __slots__ = ()

    async def ready(self) -> None:
        """Wait until the server lets datagrams pass in both directions. Cancelling is safe.

        Nobody has to wait for it: what is sent earlier waits in the client.
        """
        await self._inbox.news.checkpoint()
        while not self._is_ready():
            await self._inbox.news.wait()

    async def send(self, data: bytes, *, dont_fragment: bool = False) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await self._inbox.news.checkpoint()
        self.send_nowait(data, dont_fragment=dont_fragment)

    async def receive(self) -> bytes:
        """Wait for a datagram. Cancelling is safe: no data is lost."""
        if len(self._inbox):
            await self._inbox.news.checkpoint()
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


class AsyncTurnStream(TurnStreamBase[AsyncNews]):
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
        await self._news.checkpoint()
        for chunk in pieces(data):
            while not self._has_room():
                await self._news.wait()
            self._send(chunk)

    async def receive(self, max_bytes: int = READ_SIZE) -> bytes:
        """Wait for bytes; ``b""`` once the peer has ended the connection. Cancelling is safe: nothing is lost."""
        if self._unread:
            await self._news.checkpoint()
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
            await self._news.checkpoint()
            while not self._is_connected():
                await self._news.wait()
        except BaseException:
            self.close(reset=True)
            raise
        return self


class AsyncTurnConnection(TurnConnectionBase[D, Q, AsyncNews, AsyncTurnPeer, AsyncTurnStream], Generic[D, Q]):
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
        await self._news.checkpoint()
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
        await self._news.checkpoint()
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
        await self._news.checkpoint()
        while not self._are_permitted(hosts):
            await self._news.wait()

    def peer(self, address: Address | str, *, channel: bool = True) -> AsyncTurnPeer:
        """Datagrams to and from one peer; the same object for the same address. The server is asked for what it takes.

        Args:
            address: an `Address`, or text: ``"192.0.2.1:5000"``.
            channel: bind one, which spares 32 bytes and more a datagram; otherwise there is only a permission.

        Raises:
            TurnError: there is no allocation.
            LocalProtocolError: text that names no address, or more than the client's configuration allows.
        """
        return self._peer(address, channel=channel)

    async def connect(self, peer: Address | str) -> AsyncTurnStream:
        """Have the relay connect to a peer over TCP (RFC 6062), of an allocation that was asked for with `Transport.TCP`.

        Cancelling is safe: the attempt is given up.

        Raises:
            TurnError: the peer did not answer (447), the server refuses it (403), or it is connected already (446).
            LocalProtocolError: what `TurnClient.connect` refuses.
        """
        return await self._start_connecting(peer)._opened()

    async def accept(self) -> AsyncTurnStream:
        """Wait for a peer that connects to the relayed address: one whose host was permitted (RFC 6062 4.4).

        Cancelling is safe: who has connected meanwhile waits for the next call, half a minute at most.
        """
        await self._news.checkpoint()
        while True:
            stream = self._start_accepting()
            if stream is None:
                await self._news.wait()
                continue
            with contextlib.suppress(TurnError):  # of this one: it has left again
                return await stream._opened()

    async def send(self, peer: Address | str, data: bytes) -> None:
        """Send a datagram, as `send_nowait` does. Cancelling is safe: then it was not sent."""
        await self._news.checkpoint()
        self.send_nowait(peer, data)

    async def receive(self) -> DataReceived:
        """Wait for a datagram of anybody whom `peer` was not asked for: ``peer, data = await turn.receive()``.

        Only those come through whose host was permitted. Cancelling is safe: no data is lost.
        """
        if len(self._inbox):
            await self._news.checkpoint()
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

    def _new_peer(self, address: Address, inbox: Inbox[bytes, AsyncNews], *, wants_channel: bool) -> AsyncTurnPeer:
        return AsyncTurnPeer(self, address, inbox, wants_channel=wants_channel)

    def _new_stream(self, id: PeerStreamId, peer: Address) -> AsyncTurnStream:
        return AsyncTurnStream(self, id, peer, self._make_news(self._driver))
