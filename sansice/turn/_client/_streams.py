"""Connections with peers over TCP: asked for or offered, bound to data connections, and then plain bytes (RFC 6062 4).

A data connection is a socket of this machine. Its bytes pass as `StreamReceived` events and `SendStream` actions, one for
each read or write; what waits is bounded by whoever reads and writes, see `StreamSent` and `TurnClient.set_stream_reading`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import cast

from sansice._timers import FewTimers
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    DecodeError,
    DropReason,
    Event,
    LocalProtocolError,
    SendStream,
    SetReading,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import (
    CONNECTION_ID,
    XOR_PEER_ADDRESS,
    Message,
    Method,
    Path,
    StunClient,
    TransactionSucceeded,
)

from ._allocation import ClientAllocation
from ._codes import CONNECTION_FAILED
from ._config import TurnClientConfig
from ._peer_stream import PeerStream, PeerStreamId, PeerStreamInput, PeerStreamState
from ._requests import Outcome, Requests, refusal
from ._routes import check_port
from ._states import HoldState
from ._stream_events import ConnectFailed, ConnectionAttempted, PeerConnected, StreamLost, StreamReceived, StreamSent

RETRY_DELAY = 10.0  # seconds; RFC 6062 4.3: at least, before the peer of a 447 is tried again
OFFER_LIFETIME = 30.0  # seconds; RFC 6062 5.3: then the relay closes the connection
MAX_REFUSED = 256  # ours: peers remembered after a 447; with more of them the oldest is forgotten, and may be tried again

_OPEN = PeerStreamState.OPEN


class PeerStreams:
    """The connections of a client, whatever their state.

    Args:
        stun: opens data connections and sends requests.
        config: of the client.
        put: takes actions and events.
    """

    __slots__ = ("_by_socket", "_config", "_last", "_put", "_refused", "_requests", "_streams", "_stun", "_timers")

    def __init__(self, stun: StunClient, config: TurnClientConfig, put: Callable[[Action | Event], None]) -> None:
        self._stun = stun
        self._config = config
        self._put = put
        self._requests = Requests(stun)
        self._last = 0
        self._streams: dict[PeerStreamId, PeerStream] = {}
        self._by_socket: dict[SocketId, PeerStream] = {}
        self._refused: dict[Address, float] = {}  # until when peers of a 447 are left alone, the oldest first
        self._timers: FewTimers[PeerStreamId] = FewTimers()  # of offers

    # ------------------------------------------------------------- commands

    def connect(self, allocation: ClientAllocation, peer: Address, now: float) -> PeerStreamId:
        """Ask for a connection, as soon as not too many are asked for.

        Raises:
            LocalProtocolError: as `TurnClient.connect`.
        """
        if allocation.origin.wish.transport is not Transport.TCP:
            raise LocalProtocolError("peers of a UDP allocation get datagrams: allocate(transport=Transport.TCP) for connections")
        allocation.check_peer(peer)
        check_port(peer)
        if any(stream.peer == peer for stream in self._streams.values()):
            raise LocalProtocolError(f"{peer} is connected, or about to be: one connection a peer at a time (RFC 6062 4.3)")
        wait = self._refused.get(peer, now) - now
        if wait > 0:
            raise LocalProtocolError(f"the relay has just failed to reach {peer}: not again for {wait:.1f} s (RFC 6062 4.3)")
        if len(self._streams) >= self._config.max_streams:
            raise LocalProtocolError(f"{len(self._streams)} connections: no more than max_streams")
        stream = self._add(peer, PeerStreamState.WAITING)
        self.pump(allocation, now)
        return stream.id

    def accept(self, allocation: ClientAllocation, id: PeerStreamId, now: float) -> None:
        """Bind a data connection to what a peer has opened.

        Raises:
            LocalProtocolError: it is not on offer, or not any more.
        """
        self._bind(allocation, self._get(id, PeerStreamState.OFFERED), now)

    def refuse(self, id: PeerStreamId) -> None:
        """Let an offer expire at the relay.

        Raises:
            LocalProtocolError: it is not on offer, or not any more.
        """
        self._remove(self._get(id, PeerStreamState.OFFERED))

    def send(self, id: PeerStreamId, data: bytes) -> None:
        """Append bytes.

        Raises:
            LocalProtocolError: the connection is not open.
        """
        socket = self._socket_of(id)
        if data:
            self._put(SendStream(socket, data))

    def set_reading(self, id: PeerStreamId, enabled: bool) -> None:
        """Stop reading a connection, or go on.

        Raises:
            LocalProtocolError: the connection is not open.
        """
        self._put(SetReading(self._socket_of(id), enabled))

    def close(self, id: PeerStreamId, mode: CloseMode, now: float) -> None:
        """End a connection in whatever state; one that is gone is a no-op."""
        stream = self._streams.get(id)
        if stream is not None:
            self._end(stream, mode, now)

    def is_open(self, id: PeerStreamId) -> bool:
        """Whether bytes can be sent."""
        stream = self._streams.get(id)
        return stream is not None and stream.is_open

    def clear(self, reason: str, now: float) -> None:
        """The allocation is gone, and everything with it (RFC 6062 5.5)."""
        for stream in list(self._streams.values()):
            was_open = stream.is_open
            self._end(stream, CloseMode.FLUSH, now)
            self._put(StreamLost(stream.id, reason) if was_open else ConnectFailed(stream.id, stream.peer, None, reason))

    def _end(self, stream: PeerStream, mode: CloseMode, now: float) -> None:
        if stream.request is not None:
            self._requests.release(stream.request)
            self._stun.cancel(stream.request, now=now)
        if stream.path is not None and stream.is_open:
            self._put(CloseSocket(stream.path.socket, mode))
        elif stream.path is not None:
            self._stun.release(stream.path, mode=CloseMode.RESET, now=now)
        self._remove(stream)

    # ------------------------------------------------------------- connecting

    def pump(self, allocation: ClientAllocation, now: float) -> None:
        """Ask for what waits for its turn: the relay may take half a minute for each."""
        states = [stream.state for stream in self._streams.values()]
        room = self._config.max_connecting - states.count(PeerStreamState.CONNECTING)
        waiting = [stream for stream in self._streams.values() if stream.state is PeerStreamState.WAITING]
        for stream in waiting[: max(0, room)]:
            then = partial(self._connected, allocation, stream)
            stream.move(PeerStreamInput.ASK)
            try:
                peer = [(XOR_PEER_ADDRESS, stream.peer)]
                stream.request = self._requests.ask(Method.CONNECT, peer, allocation.path, then, now=now)
            except LocalProtocolError as error:  # too much waits for this server, or the way there is just being lost
                self._fail(stream, None, str(error))

    def settle(self, outcome: Outcome, now: float) -> bool:
        """Take the outcome of one of its requests; whether it was one."""
        return self._requests.settle(outcome, now)

    def _connected(self, allocation: ClientAllocation, stream: PeerStream, outcome: Outcome, now: float) -> None:
        stream.request = None
        if isinstance(outcome, TransactionSucceeded):
            try:
                connection = outcome.response.get(CONNECTION_ID)
            except DecodeError:
                connection = None
            if connection is None:
                self._fail(stream, None, "the server's answer has no CONNECTION-ID (RFC 6062 5.2)")
            else:
                stream.connection = connection
                self._bind(allocation, stream, now)
        else:
            code, reason = refusal(outcome)
            if code == CONNECTION_FAILED:
                self._leave_alone(stream.peer, now)
            self._fail(stream, code, reason)
        self.pump(allocation, now)

    def _leave_alone(self, peer: Address, now: float) -> None:
        self._refused.pop(peer, None)
        self._refused[peer] = now + RETRY_DELAY
        if len(self._refused) > MAX_REFUSED:
            del self._refused[next(iter(self._refused))]

    def attempted(self, allocation: ClientAllocation, message: Message, now: float) -> DropReason | None:
        """A peer has connected (RFC 6062 4.4); why that is dropped, if it is."""
        try:
            connection, peer = message.get(CONNECTION_ID), message.get(XOR_PEER_ADDRESS)
        except DecodeError as error:
            return error.reason
        if connection is None or peer is None:
            return DropReason.MISSING_ATTRIBUTE
        permission = allocation.permissions.get(peer.host)
        if permission is None or permission.state is HoldState.LOST:
            return DropReason.NO_PERMISSION
        if len(self._streams) >= self._config.max_streams:
            return DropReason.LIMIT
        stream = self._add(peer, PeerStreamState.OFFERED, connection)
        self._timers.set(stream.id, now + OFFER_LIFETIME)
        self._put(ConnectionAttempted(stream.id, peer))
        return None

    # ------------------------------------------------------------- binding

    def _bind(self, allocation: ClientAllocation, stream: PeerStream, now: float) -> None:
        """Open another connection to the same address, from another port, and say what it is for (RFC 6062 4.3)."""
        self._timers.cancel(stream.id)
        stream.move(PeerStreamInput.BIND)
        target, local = allocation.origin.target, Address(allocation.origin.local.host, 0)
        alpn = self._config.alpn if target.transport.is_secure else ()
        stream.path = path = self._stun.open(target, local=local, alpn=alpn, now=now)
        self._by_socket[path.socket] = stream
        then = partial(self._bound, stream, path)
        try:
            connection = [(CONNECTION_ID, stream.connection)]
            stream.request = self._requests.ask(Method.CONNECTION_BIND, connection, path, then, now=now)
        except LocalProtocolError as error:  # too much waits for this server
            self._stun.release(path, mode=CloseMode.RESET, now=now)
            self._fail(stream, None, str(error))

    def _bound(self, stream: PeerStream, path: Path, outcome: Outcome, now: float) -> None:
        stream.request = None
        if not isinstance(outcome, TransactionSucceeded):
            self._stun.release(path, now=now)
            self._fail(stream, *refusal(outcome))
            return
        stream.move(PeerStreamInput.BOUND)
        self._stun.release_stream(path, now=now)
        self._put(PeerConnected(stream.id, stream.peer))
        if stream.framer.unread:  # RFC 6062 4.5: the peer's, behind the answer
            self._put(StreamReceived(stream.id, stream.framer.unread))

    # ------------------------------------------------------------- data connections

    def of_socket(self, socket: SocketId) -> PeerStream | None:
        """What a data connection belongs to."""
        return self._by_socket.get(socket)

    def receive(self, stream: PeerStream, socket: SocketId, data: bytes) -> None:
        """Bytes of a peer's on an open connection; ``b""`` is the end of both directions (RFC 6062 5.5)."""
        self._put(StreamReceived(stream.id, data))
        if not data:
            self._put(CloseSocket(socket, CloseMode.FLUSH))
            self._remove(stream)

    def sent(self, socket: SocketId, unsent: int) -> None:
        """The backlog of a socket moved."""
        stream = self._by_socket.get(socket)
        if stream is not None and stream.is_open:
            self._put(StreamSent(stream.id, unsent))

    def lost(self, socket: SocketId, error: SocketError) -> bool:
        """A socket broke; whether it was an open connection's."""
        stream = self._by_socket.get(socket)
        if stream is None or not stream.is_open:
            return False
        self._remove(stream)
        self._put(StreamLost(stream.id, error.text or error.kind.value))
        return True

    # ------------------------------------------------------------- time

    def handle_timer(self, now: float) -> None:
        """Forget what was not accepted in time."""
        while (id := self._timers.pop_due(now)) is not None:
            self._fail(self._streams[id], None, f"not accepted within {OFFER_LIFETIME:g} s")

    def deadline(self) -> float:
        """When one of these is due."""
        return self._timers.earliest

    # ------------------------------------------------------------- the table

    def _add(self, peer: Address, state: PeerStreamState, connection: int = 0) -> PeerStream:
        self._last += 1
        stream = PeerStream(PeerStreamId(self._last), peer, state, connection)
        self._streams[stream.id] = stream
        return stream

    def _get(self, id: PeerStreamId, state: PeerStreamState) -> PeerStream:
        stream = self._streams.get(id)
        if stream is None or stream.state is not state:
            now = "gone" if stream is None else stream.state.value
            raise LocalProtocolError(f"connection {id} is {now}, and not: {state.value}")
        return stream

    def _socket_of(self, id: PeerStreamId) -> SocketId:
        return cast(Path, self._get(id, _OPEN).path).socket

    def _fail(self, stream: PeerStream, code: int | None, reason: str) -> None:
        self._remove(stream)
        self._put(ConnectFailed(stream.id, stream.peer, code, reason))

    def _remove(self, stream: PeerStream) -> None:
        stream.move(PeerStreamInput.END)
        del self._streams[stream.id]
        self._timers.cancel(stream.id)
        if stream.path is not None:
            del self._by_socket[stream.path.socket]
