"""The receiving half of a TCP connection: bytes put into order, and the window that they leave."""

from __future__ import annotations

RECEIVE_BUFFER = 65535  # bytes that may wait to be read; the most that a window says without scaling (RFC 9293 3.1)


class Receiving:
    """Offsets count what takes sequence numbers: 0 is the peer's SYN, 1 its first byte, its FIN follows the last byte.

    Attributes:
        next: offset of what is expected.
        ended: the FIN has come, and everything before it.
    """

    __slots__ = ("_early", "_fin", "_waiting", "ended", "next")

    def __init__(self) -> None:
        self.next: int = 1
        self.ended: bool = False
        self._waiting = bytearray()
        self._early: dict[int, bytes] = {}  # what came before its turn, by offset
        self._fin: int | None = None

    @property
    def window(self) -> int:
        """Bytes after `next` that are welcome."""
        return RECEIVE_BUFFER - len(self._waiting)

    @property
    def waiting(self) -> int:
        """Bytes in order that nobody has read."""
        return len(self._waiting)

    def read(self, size: int) -> bytes:
        """Take at most so many bytes out."""
        data = bytes(self._waiting[:size])
        del self._waiting[:size]
        return data

    def put(self, offset: int, data: bytes, fin: bool) -> None:
        """Keep what a segment holds, as far as it is new and welcome (RFC 9293 3.10.7.4)."""
        if self.ended:
            return
        limit = self.next + self.window
        if fin and offset + len(data) <= limit:
            self._fin = offset + len(data)
        data = data[: max(limit - offset, 0)]
        if offset > self.next:
            if len(data) > len(self._early.get(offset, b"")):
                self._early[offset] = data
            return
        self._append(offset, data)
        while self._early and (first := min(self._early)) <= self.next:
            self._append(first, self._early.pop(first))
        if self.next == self._fin:
            self.next += 1
            self.ended = True

    def _append(self, offset: int, data: bytes) -> None:
        new = data[self.next - offset :]
        self._waiting += new
        self.next += len(new)
