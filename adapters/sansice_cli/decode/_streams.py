"""TCP streams put together again, and cut into messages."""

from __future__ import annotations

import attrs

from sansice import Address
from sansice.stun import COOKIE, Rfc4571Framer, StreamFramer

from ._packets import Carried

MAX_WAITING = 1024  # segments that wait for an earlier one; a capture that lost one will not bring it after so many
_MODULUS = 2**32  # of sequence numbers
_COOKIE = COOKIE.to_bytes(4, "big")
_TELLING = 10  # bytes that tell how a stream is framed: the cookie after a length of two bytes ends there


@attrs.frozen
class Piece:
    """A message of a stream, or what else is to be said about it."""

    data: bytes
    problem: str = ""


class Stream:
    """One direction of a connection."""

    def __init__(self) -> None:
        self._has_begun = False
        self._expected = 0  # the sequence number of what comes next
        self._waiting: dict[int, bytes] = {}
        self._rest = b""  # what no message has been made of yet
        self._framer: StreamFramer | Rfc4571Framer | None = None
        self._is_over = False

    def take(self, carried: Carried) -> list[Piece]:
        """What a segment completes. Segments may come out of order, and again."""
        if not self._has_begun:
            self._has_begun, self._expected = True, carried.sequence
        if carried.payload and not self._is_over:
            self._waiting.setdefault(carried.sequence, carried.payload)
        pieces = self._cut(self._contiguous())
        if len(self._waiting) > MAX_WAITING:
            pieces += self.finish()
        return pieces

    def finish(self) -> list[Piece]:
        """What is left at the end of the capture."""
        if self._is_over:
            return []
        pieces = [] if self._framer is not None or not self._rest else self._cut(b"", is_last=True)
        rest = self._rest
        self._is_over = True
        if self._waiting:
            missing = min((sequence - self._expected) % _MODULUS for sequence in self._waiting)
            return [*pieces, Piece(rest, f"{missing} bytes of the stream are missing here; what follows them is left out")]
        return [*pieces, Piece(rest, "the stream ends in the middle of a message")] if rest else pieces

    def _contiguous(self) -> bytes:
        """What now follows without a gap, each byte once."""
        found = b""
        progressed = True
        while progressed:
            progressed = False
            for sequence in list(self._waiting):
                behind = (self._expected - sequence) % _MODULUS
                if behind < _MODULUS // 2:
                    fresh = self._waiting.pop(sequence)[behind:]
                    found += fresh
                    self._expected = (self._expected + len(fresh)) % _MODULUS
                    progressed = True
        return found

    def _cut(self, data: bytes, *, is_last: bool = False) -> list[Piece]:
        if self._is_over or not (data or is_last):
            return []
        if self._framer is None:
            data, self._rest = self._rest + data, b""
            if len(data) < _TELLING and not is_last:
                self._rest = data
                return []
            if data[4:8] == _COOKIE or data[0] & 0xF0 == 0x40:
                self._framer = StreamFramer(channel_data=True)
            elif data[6:10] == _COOKIE:
                self._framer = Rfc4571Framer()
            else:
                self._is_over = True
                return [Piece(data)]
        self._rest += data
        frames = self._framer.feed(data)
        if isinstance(self._framer, StreamFramer):
            self._rest = self._rest[sum(len(frame) + -len(frame) % 4 for frame in frames) :]
        else:
            self._rest = self._rest[len(self._rest) - self._framer.pending :]
        pieces = [Piece(frame) for frame in frames]
        if self._framer.error is not None:
            self._is_over = True
            pieces.append(Piece(self._rest, f"the stream is out of step here: {self._framer.error.value}"))
        return pieces


class Streams:
    """The streams of a capture."""

    def __init__(self) -> None:
        self._streams: dict[tuple[Address, Address], Stream] = {}

    def take(self, carried: Carried) -> list[Piece]:
        """What a segment completes; a SYN begins a stream anew."""
        key = carried.source, carried.destination
        before = []
        if carried.is_first and key in self._streams:
            before = self._streams.pop(key).finish()
        return before + self._streams.setdefault(key, Stream()).take(carried)

    def finish(self) -> list[tuple[Address, Address, Piece]]:
        """What is left at the end of the capture, and between whom."""
        return [(*key, piece) for key, stream in self._streams.items() for piece in stream.finish()]
