"""TCP allocations: connections between relayed addresses and peers, and the clients' data connections (RFC 6062 5).

`TcpRelay` is a part of the TURN server. It has the streams to peers from their beginning, and the clients' from the
ConnectionBind on. What is said on control connections is the server's, except for ConnectionAttempt.
"""

from __future__ import annotations

import os

import attrs

from sansice._timers import Timers
from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    Entropy,
    Event,
    Ids,
    Machine,
    OpenSocket,
    SendStream,
    SetReading,
    SocketError,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import (
    CONNECTION_ID,
    XOR_PEER_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    RequestReceived,
    encode,
    new_transaction_id,
)

from ._allocation import Relay
from ._limits import Quotas, Resource, User
from ._peer_connection import Leg, PeerConnection, PeerInput, PeerState
from ._refusal import CONNECTION_EXISTS, CONNECTION_FAILED, MISMATCH, NO_CAPACITY
from ._stats import TurnServerStats
from ._tickets import Tokens

CONNECT_TIMEOUT = 30.0  # seconds; RFC 6062 5.2: at least 30
BIND_TIMEOUT = 30.0  # seconds; RFC 6062 5.2, 5.3
MAX_HELD = 65536
"""Bytes of a peer's that wait for the ConnectionBind here. A peer is not read before it, so that its bytes wait in its own
system and in ours, as far as TCP's window goes; this is for what was on its way. RFC 6062 7 allows to close when more come."""

CROWDED = 65536
"""Bytes that wait for a reader until its writer is not read any more; with what one read brings they are never twice as many."""

_SHARED = SocketOptions(reuse_port=True)  # the relayed address listens, and connects from the same port (RFC 6062 5.2)
_UNREACHABLE = CONNECTION_FAILED.error
_TCP_CONNECTIONS, _PENDING_CONNECTS, _QUEUED_BYTES = Resource.TCP_CONNECTIONS, Resource.PENDING_CONNECTS, Resource.QUEUED_BYTES


@attrs.frozen
class ConnectFinished(Event):
    """A Connect request is to be answered.

    Attributes:
        request: as given to `TcpRelay.connect`.
        connection: the CONNECTION-ID, where there is a connection.
        error: why there is none.
    """

    request: RequestReceived
    connection: int
    error: ErrorCode | None


class TcpRelay(Machine):
    """Connections with peers, and what is relayed over them.

    Args:
        quotas: the server's.
        tokens: makes CONNECTION-IDs.
        stats: the server's.
        ids: the server's.
        entropy: transaction ids of indications.
    """

    __slots__ = ("_by_id", "_by_relay", "_entropy", "_ids", "_legs", "_quotas", "_stats", "_timers", "_tokens")

    def __init__(
        self,
        quotas: Quotas,
        tokens: Tokens,
        stats: TurnServerStats,
        *,
        ids: Ids | None = None,
        entropy: Entropy = os.urandom,
    ) -> None:
        super().__init__()
        self._quotas = quotas
        self._tokens = tokens
        self._stats = stats
        self._ids = ids if ids is not None else Ids()
        self._entropy = entropy
        self._by_id: dict[int, PeerConnection] = {}
        self._by_relay: dict[SocketId, dict[Address, PeerConnection]] = {}  # by the relayed address's socket, then by the peer
        self._legs: dict[SocketId, Leg] = {}
        # By stream: a peer's that connects or waits for a ConnectionBind; either's that waits until bandwidth is there.
        self._timers: Timers[SocketId] = Timers()

    # ------------------------------------------------------------- commands

    def connect(self, relay: Relay, peer: Address, request: RequestReceived, *, now: float) -> ErrorCode | None:
        """Begin a connection, of which `ConnectFinished` tells what became; or say why not (RFC 6062 5.2)."""
        if peer in self._by_relay.get(relay.socket, ()):
            return CONNECTION_EXISTS.error
        if not self._take_room(relay.allocation.user):
            self._stats.drop(DropReason.LIMIT)
            return NO_CAPACITY.error
        socket = self._ids.socket()
        self._begin(relay, peer, socket, request, now + CONNECT_TIMEOUT)
        self._outputs.append(OpenSocket(socket, Transport.TCP, relay.local, peer, _SHARED))
        return None

    def claim(self, connection: int, username: str) -> PeerConnection | None:
        """The connection that a ConnectionBind may bind: it waits for one, and is the user's own (RFC 6062 5.4)."""
        found = self._by_id.get(connection)
        if found is None or found.state is not PeerState.UNBOUND or found.relay.allocation.username != username:
            return None
        return found

    def bind(self, connection: PeerConnection, client: SocketId, rest: bytes, *, now: float) -> None:
        """Relay between a connection that `claim` gave and a client's stream.

        Args:
            connection: the peer's side.
            client: the stream of the ConnectionBind: it has been answered, is not read at the moment, and this machine's from
                now on.
            rest: what came on it behind the request.
            now: monotonic seconds.
        """
        connection.move(PeerInput.BIND)
        self._quotas.give_back(connection.relay.allocation.user, _PENDING_CONNECTS)
        far = connection.far
        near = connection.near = self._legs[client] = Leg(connection, client)
        self._timers.cancel(far.socket)
        if rest:
            self._relay(near, far, rest, now)
        if connection.held:
            self._relay(far, near, bytes(connection.held), now)
            connection.held.clear()
        if connection.is_ended:
            self._end(connection)
        else:
            self._watch(far)
            self._watch(near)

    def drop(self, connection: PeerConnection) -> None:
        """End a connection that `claim` gave: the client's stream ended while it was being bound."""
        self._end(connection)

    def close_relay(self, relay: Relay) -> None:
        """A relayed address ends, and with it its connections (RFC 6062 5.5)."""
        for connection in list(self._by_relay.get(relay.socket, {}).values()):
            self._end(connection, error=MISMATCH.error)

    def connections(self, relay: Relay) -> int:
        """How many connections a relayed address has."""
        return len(self._by_relay.get(relay.socket, ()))

    # ------------------------------------------------------------- what the world says

    def owns(self, socket: SocketId) -> bool:
        """Whether a stream is this machine's."""
        return socket in self._legs

    def refuse(self, socket: SocketId, reason: DropReason) -> None:
        """Close a peer's stream at once, and keep nothing of it: not even what a slow close would."""
        self._stats.drop(reason)
        self._outputs.append(CloseSocket(socket, CloseMode.RESET))

    def handle_peer(self, relay: Relay, socket: SocketId, peer: Address, *, now: float) -> None:
        """A peer with a permission has connected to a relayed address (RFC 6062 5.3)."""
        if peer in self._by_relay.get(relay.socket, ()) or not self._take_room(relay.allocation.user):
            self.refuse(socket, DropReason.LIMIT)
        else:
            connection = self._begin(relay, peer, socket, None, now + BIND_TIMEOUT)
            self._outputs.append(SetReading(socket, False))
            self._announce(connection)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A peer has answered."""
        leg = self._legs.get(socket)
        if leg is None or leg.connection.state is not PeerState.CONNECTING:
            return
        leg.connection.move(PeerInput.OPENED)
        self._timers.set(socket, now + BIND_TIMEOUT)
        self._outputs.append(SetReading(socket, False))
        self._answer(leg.connection, None)

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """A peer cannot be reached, or a stream is lost."""
        leg = self._legs.get(socket)
        if leg is not None:
            self._end(leg.connection, lost=socket)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """Bytes for the other side, as they are; ``b""`` closes both."""
        leg = self._legs.get(socket)
        if leg is None:
            return
        sink = leg.connection.opposite(leg)
        if sink is None:
            self._hold(leg.connection, data)
        else:
            self._relay(leg, sink, data, now)

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """A side that does not read is not written to any more, because the other one is not read (RFC 6062 3)."""
        leg = self._legs.get(socket)
        source = None if leg is None else leg.connection.opposite(leg)
        if leg is None or source is None:
            return
        limit = CROWDED if self._count_queued(leg, unsent) else 0
        leg.crowded = unsent > (limit // 2 if leg.crowded else limit)
        self._watch(source)

    def handle_timer(self, *, now: float) -> None:
        """A peer did not answer, a client did not bind, or there is bandwidth again."""
        while (socket := self._timers.pop_due(now)) is not None:
            leg = self._legs[socket]
            if leg.connection.state is PeerState.BOUND:
                leg.throttled = False
                self._watch(leg)
            else:
                self._end(leg.connection)

    def deadline(self) -> float:
        """When the next of these is due."""
        return self._timers.deadline()

    # ------------------------------------------------------------- beginning and end

    def _begin(
        self, relay: Relay, peer: Address, socket: SocketId, request: RequestReceived | None, deadline: float
    ) -> PeerConnection:
        id = self._tokens.connection()
        while id in self._by_id:  # there are 2**24, and far fewer are taken, see `TurnLimits.tcp_connections`
            id = self._tokens.connection()
        self._stats.tcp_connections += 1
        connection = self._by_id[id] = PeerConnection(id, relay, peer, socket, request)
        self._by_relay.setdefault(relay.socket, {})[peer] = connection
        self._legs[socket] = connection.far
        self._timers.set(socket, deadline)
        return connection

    def _announce(self, connection: PeerConnection) -> None:
        attributes = (CONNECTION_ID, connection.id), (XOR_PEER_ADDRESS, connection.peer)
        transaction_id = new_transaction_id(self._entropy)
        indication = encode(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION, transaction_id, attributes)
        self._outputs.append(SendStream(connection.relay.allocation.path.socket, indication))

    def _answer(self, connection: PeerConnection, error: ErrorCode | None) -> None:
        request, connection.request = connection.request, None
        if request is not None:
            self._outputs.append(ConnectFinished(request, connection.id, error))

    def _end(self, connection: PeerConnection, *, error: ErrorCode = _UNREACHABLE, lost: SocketId | None = None) -> None:
        """Close both sides, after what they are owed (RFC 6062 5.5).

        Args:
            connection: what ends.
            error: the answer to a Connect that still waits.
            lost: the side that is closed already.
        """
        is_bound = connection.state is PeerState.BOUND
        connection.move(PeerInput.END)
        user = connection.relay.allocation.user
        del self._by_id[connection.id]
        self._stats.tcp_connections -= 1
        peers = self._by_relay[connection.relay.socket]
        del peers[connection.peer]
        if not peers:
            del self._by_relay[connection.relay.socket]
        self._answer(connection, error)
        if not is_bound:
            self._quotas.give_back(user, _PENDING_CONNECTS)
        for leg in connection.legs():
            self._timers.cancel(leg.socket)
            del self._legs[leg.socket]
            if leg.queued:
                self._quotas.give_back(user, _QUEUED_BYTES, leg.queued)
            if leg.socket != lost:
                self._outputs.append(CloseSocket(leg.socket, CloseMode.FLUSH if is_bound else CloseMode.RESET))
        self._quotas.give_back(user, _TCP_CONNECTIONS)

    # ------------------------------------------------------------- data

    def _hold(self, connection: PeerConnection, data: bytes) -> None:
        """Keep what came although the peer was not read, and that no more will come (RFC 6062 5.3)."""
        connection.held += data
        connection.is_ended = not data
        if len(connection.held) > MAX_HELD:
            self._stats.drop(DropReason.LIMIT)
            self._end(connection)
        elif not connection.held:
            self._end(connection)

    def _relay(self, source: Leg, sink: Leg, data: bytes, now: float) -> None:
        connection = source.connection
        if not data:
            self._end(connection)
            return
        allocation = connection.relay.allocation
        if sink is connection.far:
            allocation.received_bytes += len(data)
            self._stats.received_bytes += len(data)
        else:
            allocation.sent_bytes += len(data)
            self._stats.sent_bytes += len(data)
        self._outputs.append(SendStream(sink.socket, data))
        wait = allocation.user.relay_stream(len(data), now)
        if wait > 0:  # nothing of a stream may be dropped, so it is read later
            source.throttled = True
            self._timers.set(source.socket, now + wait)
            self._watch(source)

    def _watch(self, source: Leg) -> None:
        """Read a side exactly while the other one can take it, and its user has bandwidth."""
        sink = source.connection.opposite(source)
        wanted = sink is not None and not sink.crowded and not source.throttled
        if wanted is not source.is_read:
            source.is_read = wanted
            self._outputs.append(SetReading(source.socket, wanted))

    # ------------------------------------------------------------- bounds

    def _take_room(self, user: User) -> bool:
        quotas = self._quotas
        if quotas.take(user, _TCP_CONNECTIONS) is not None:
            return False
        if quotas.take(user, _PENDING_CONNECTS) is not None:
            quotas.give_back(user, _TCP_CONNECTIONS)
            return False
        return True

    def _count_queued(self, leg: Leg, unsent: int) -> bool:
        """Count what waits for a reader; ``False`` where that is over a bound, as far as it is not counted then.

        Who is over it is not read while anything waits: so the bound is exceeded by one read of each stream at most.
        """
        user, more = leg.connection.relay.allocation.user, unsent - leg.queued
        if more < 0:
            self._quotas.give_back(user, _QUEUED_BYTES, -more)
        elif more and self._quotas.take(user, _QUEUED_BYTES, more) is not None:
            return False
        leg.queued = unsent
        return True
