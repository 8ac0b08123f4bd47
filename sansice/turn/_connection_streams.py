"""Connections with peers over TCP, as an adapter's application has them, without a runtime (RFC 6062)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sansice.machine import Address, CloseMode, Event, LocalProtocolError

from ._client._peer_stream import PeerStreamId
from ._client._stream_events import (
    ConnectFailed,
    ConnectionAttempted,
    PeerConnected,
    StreamLost,
    StreamReceived,
    StreamSent,
)
from ._errors import TurnClosed, TurnError, TurnStep
from ._inbox import N

if TYPE_CHECKING:
    from ._connection import TurnConnectionBase

MAX_UNREAD = 2**18  # bytes of a peer that wait for a slow reader; then the peer has to wait
_ENOUGH_READ = MAX_UNREAD // 2  # until so few wait: resuming for every byte would be two system calls for each
MAX_UNSENT = 2**16  # bytes that wait for a slow peer; then the writer has to wait
CHUNK = 2**16  # bytes that are handed over at once: with what waits already, well below what a driver puts up with
READ_SIZE = 2**16  # bytes that a read returns at most, unless it says otherwise


class TurnStreamBase(Generic[N]):
    """The part of an adapter's ``TurnStream`` that never waits. Applications use that, not this.

    Attributes:
        peer: the other end.
    """

    __slots__ = ("_ending", "_id", "_is_ended", "_is_open", "_is_paused", "_news", "_turn", "_unread", "_unsent", "peer")

    def __init__(self, turn: TurnConnectionBase[Any, Any, N, Any, Any], id: PeerStreamId, peer: Address, news: N) -> None:
        self.peer: Address = peer
        self._turn = turn
        self._id = id
        self._news = news
        self._unread = bytearray()
        self._unsent = 0
        self._is_open = self._is_paused = self._is_ended = False
        self._ending: tuple[type[TurnError], TurnStep, str, int] | None = None

    @property
    def is_open(self) -> bool:
        """Whether bytes can be sent."""
        return self._is_open

    def close(self, *, reset: bool = False) -> None:
        """End the connection, in both directions (RFC 6062 5.5); what was sent before still leaves.

        Whoever waits gets `TurnClosed`; a second call is harmless.

        Args:
            reset: drop what still waits, and have the other side know that.
        """
        if self._ending is None and not self._is_ended:
            self._end(TurnClosed, TurnStep.DATA, "the stream is closed")
        self._turn._streams.forget(self._id)
        with contextlib.suppress(LocalProtocolError):  # the connection was left, and with it all streams
            mode = CloseMode.RESET if reset else CloseMode.FLUSH
            self._turn._driver.call(self._turn.client.close_stream, self._id, mode=mode)

    # ------------------------------------------------------------- what the waiting is made of

    def _is_connected(self) -> bool:
        self._raise_if_over()
        return self._is_open

    def _has_room(self) -> bool:
        """Whether more may be sent.

        Raises:
            TurnError: nothing can be, any more.
        """
        self._raise_if_over()
        if self._is_ended:
            raise TurnError(self._turn.uri, TurnStep.DATA, f"{self.peer} has ended the connection")
        return self._unsent <= MAX_UNSENT

    def _send(self, chunk: bytes) -> None:
        self._turn._driver.call(self._turn.client.send_stream, self._id, chunk)

    def _take(self, max_bytes: int) -> bytes | None:
        """What has arrived, ``b""`` at the end; ``None`` while something may still come."""
        unread = self._unread
        if unread:
            data = bytes(unread[:max_bytes])
            del unread[:max_bytes]
            if self._is_paused and len(unread) <= _ENOUGH_READ:
                self._set_reading(enabled=True)
            return data
        if self._is_ended:
            return b""
        self._raise_if_over()
        return None

    def _set_reading(self, *, enabled: bool) -> None:
        self._is_paused = not enabled
        if self._is_open:
            with contextlib.suppress(LocalProtocolError):  # the block is being left
                self._turn._driver.call(self._turn.client.set_stream_reading, self._id, enabled)

    def _raise_if_over(self) -> None:
        if self._ending is not None:
            kind, step, reason, code = self._ending
            raise kind(self._turn.uri, step, f"{self.peer}: {reason}", code)
        if self._turn._left:
            raise TurnClosed(self._turn.uri, TurnStep.DATA, "closed")

    # ------------------------------------------------------------- what the client tells

    def _open(self) -> None:
        self._is_open = True
        self._news.wake()

    def _arrive(self, data: bytes) -> None:
        if data:
            self._unread += data
            if len(self._unread) > MAX_UNREAD and not self._is_paused:
                self._set_reading(enabled=False)
        else:
            self._is_open, self._is_ended = False, True
        self._news.wake()

    def _sent(self, unsent: int) -> None:
        self._unsent = unsent
        self._news.wake()

    def _end(self, kind: type[TurnError], step: TurnStep, reason: str, code: int = 0) -> None:
        self._is_open = False
        self._ending = (kind, step, reason, code)
        self._news.wake()

    def __repr__(self) -> str:
        return f"<TurnStream {self.peer}>"


S = TypeVar("S", bound=TurnStreamBase[Any])


def pieces(data: bytes) -> list[bytes]:
    """``data`` in chunks that one call may send."""
    return [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]


class Streams(Generic[S]):
    """The streams of one connection, and what peers offer.

    Attributes:
        offers: peers that have connected and were not accepted yet, the oldest first.
    """

    __slots__ = ("_by_id", "_failed", "offers")

    def __init__(self) -> None:
        self.offers: dict[PeerStreamId, Address] = {}
        self._by_id: dict[PeerStreamId, S] = {}
        self._failed: ConnectFailed | None = None  # before the caller knew its id

    def add(self, stream: S) -> None:
        """Have a stream hear what the client tells of it; also if that came before."""
        failed, self._failed = self._failed, None
        if failed is not None and failed.id == stream._id:
            stream._end(TurnError, TurnStep.CONNECT, failed.reason, failed.code or 0)
        else:
            self._by_id[stream._id] = stream

    def forget(self, id: PeerStreamId) -> None:
        """Know a stream no more."""
        self._by_id.pop(id, None)

    def wake(self) -> None:
        """Have everybody who waits for a stream look again."""
        for stream in self._by_id.values():
            stream._news.wake()

    def deliver(self, event: Event) -> None:
        """Pass on what the client tells."""
        match event:
            case StreamReceived(id=id, data=data) if id in self._by_id:
                self._by_id[id]._arrive(data)
                if not data:
                    del self._by_id[id]
            case StreamSent(id=id, unsent=unsent) if id in self._by_id:
                self._by_id[id]._sent(unsent)
            case PeerConnected(id=id) if id in self._by_id:
                self._by_id[id]._open()
            case StreamLost(id=id, reason=reason) if id in self._by_id:
                self._by_id.pop(id)._end(TurnError, TurnStep.DATA, reason)
            case ConnectFailed(id=id, code=code, reason=reason) if id in self._by_id:
                self._by_id.pop(id)._end(TurnError, TurnStep.CONNECT, reason, code or 0)
            case ConnectFailed(id=id):
                if self.offers.pop(id, None) is None:
                    self._failed = event
            case ConnectionAttempted(id=id, peer=peer):
                self.offers[id] = peer
