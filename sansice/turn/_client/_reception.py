"""What arrives from the server, sorted: data of peers, answers, and what is to be dropped (RFC 8656 11.4, 11.6, 12.6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sansice.machine import Action, Address, CloseSocket, DropReason, OpenSocket, SocketError, SocketErrorKind, SocketId
from sansice.stun import StreamFramer, StunClient

from ._allocation import ClientAllocation
from ._peer_stream import PeerStream
from ._routes import is_data
from ._stats import TurnClientStats
from ._streams import PeerStreams


class Reception:
    """The inputs of one client.

    Args:
        stun: takes what is no data.
        streams: connections with peers.
        stats: what is counted.
        allocation: the present one.
        absorb: sees to what an input has brought about, before the next one is looked at.
    """

    __slots__ = ("_absorb", "_allocation", "_framers", "_stats", "_streams", "_stun")

    def __init__(
        self,
        stun: StunClient,
        streams: PeerStreams,
        stats: TurnClientStats,
        *,
        allocation: Callable[[], ClientAllocation | None],
        absorb: Callable[[float], None],
    ) -> None:
        self._stun = stun
        self._streams = streams
        self._stats = stats
        self._allocation = allocation
        self._absorb = absorb
        self._framers: dict[SocketId, StreamFramer] = {}

    def follow(self, action: Action) -> None:
        """A stream is opened, or a socket closed. Connections with peers have framers of their own."""
        if isinstance(action, OpenSocket) and action.transport.is_stream and self._streams.of_socket(action.socket) is None:
            self._framers[action.socket] = StreamFramer(channel_data=True)
        elif isinstance(action, CloseSocket):
            self._framers.pop(action.socket, None)

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], now: float) -> list[tuple[Address, bytes]]:
        """Data of peers, in order; the rest is seen to."""
        found: list[tuple[Address, bytes]] = []
        for source, data in batch:
            allocation = self._allocation()
            if allocation is not None and allocation.hears(socket, source):
                if (one := allocation.routes.unwrap(data)) is not None:
                    found.append(one)
                    continue
                if is_data(data):
                    allocation.take_stray(data)
                    continue
            self._stun.handle_datagrams(socket, ((source, data),), now=now)
            self._absorb(now)
        return found

    def stream(self, socket: SocketId, data: bytes, now: float) -> list[tuple[Address, bytes]]:
        """The same, of a stream."""
        stream = self._streams.of_socket(socket)
        if stream is not None:
            self._peer_stream(stream, socket, data, now)
            return []
        framer = self._framers.get(socket)
        if framer is None or not data:
            self._stun.handle_stream_data(socket, data, now=now)
            self._absorb(now)
            return []
        found: list[tuple[Address, bytes]] = []
        for frame in framer.feed(data):
            allocation = self._allocation()
            if not is_data(frame):
                self._stun.handle_stream_data(socket, frame, now=now)
                self._absorb(now)
            elif allocation is None or not allocation.hears(socket, allocation.path.remote):
                self._stats.dropped[DropReason.NO_ALLOCATION] += 1
            elif (one := allocation.routes.unwrap(frame)) is not None:
                found.append(one)
            else:
                allocation.take_stray(frame)
        if framer.error is not None:
            self._fail(socket, framer.error, now)
        return found

    def _peer_stream(self, stream: PeerStream, socket: SocketId, data: bytes, now: float) -> None:
        """Until a data connection is bound it carries STUN, and from then on the peer's bytes (RFC 6062 4.5)."""
        if stream.is_open:
            self._streams.receive(stream, socket, data)
            return
        frames = stream.framer.feed(data) if data else [b""]
        while frames:
            for frame in frames:
                self._stun.handle_stream_data(socket, frame, now=now)
                self._absorb(now)
            frames = stream.resume()
        if stream.error is not None:
            self._fail(socket, stream.error, now)

    def _fail(self, socket: SocketId, reason: DropReason, now: float) -> None:
        self._stats.dropped[reason] += 1
        error = SocketError(SocketErrorKind.OTHER, f"what arrived is no TURN: {reason.value}")
        self._stun.handle_socket_failed(socket, error, now=now)
        self._absorb(now)
