"""Where a message ends on a stream: by STUN's own length, or in frames of RFC 4571 (RFC 8489 6.2.2)."""

from __future__ import annotations

from sansice.machine import DropReason

from ._header import COOKIE_BYTES, HEADER_LENGTH

_PREFIX = 4  # what tells kind and length of a STUN message and of ChannelData alike (RFC 8489 5, RFC 8656 12.4)
_COOKIE_END = 8
_LENGTH = 2  # RFC 4571 2

# All text attributes at their limits of 763 bytes, the user name, addresses and integrity make less than 6 KiB.
MAX_STUN_FRAME = 8192
# The largest UDP payload, 65,507 bytes, in a Data indication: header, XOR-PEER-ADDRESS of IPv6, DATA, and some to spare.
MAX_TURN_FRAME = 65_600
MAX_RFC4571_FRAME = 65_535  # what the length field can say

# RFC 8489 5: the most significant two bits of STUN are zero; of ChannelData they are 01, as RFC 5766 11 had it. Of these
# numbers, RFC 8656 12 reserves 0x5000 to 0x7FFF, and 12.6 wants their messages discarded: not the stream with them.
_KIND = 0xC0
_CHANNEL = 0x40


class StreamFramer:
    """Cuts a TCP or TLS stream into STUN messages, and into ChannelData messages where a TURN allocation lives on it.

    The stream may be split anywhere. Less than one frame is ever kept between reads, and what is kept is not copied
    again for each read: a frame that arrives byte by byte costs time proportional to its length. A frame that cannot be
    one, or would be too long, is noticed in its first bytes, without waiting for the rest.

    Attributes:
        error: why nothing more can be read, or ``None``. A stream that is out of step cannot be repaired: close it.
            `DropReason.NOT_STUN` for a wrong first byte, `DropReason.BAD_LENGTH` for a length that is no multiple of 4,
            `DropReason.LIMIT` for a frame over ``max_length``, `DropReason.BAD_COOKIE`.
        halted: a message of ``last`` has come. What comes behind it is kept as it is, up to ``max_length``, for whoever takes
            the stream over (`unread`), or for `resume`.

    Args:
        channel_data: ChannelData messages may come, padded to a multiple of 4 bytes (RFC 8656 12.5).
        max_length: of a frame in bytes, header included. By default `MAX_STUN_FRAME`, and with ``channel_data``
            `MAX_TURN_FRAME`, which no legal frame exceeds.
        last: first bytes of messages behind which there may be something else: ConnectionBind (RFC 6062 4.5, 5.4).
    """

    __slots__ = ("_buffer", "_channel_data", "_last", "_max_length", "_needed", "error", "halted")

    def __init__(self, *, channel_data: bool = False, max_length: int | None = None, last: tuple[bytes, ...] = ()) -> None:
        self._channel_data = channel_data
        self._last = last
        self.halted: bool = False
        self._max_length = max_length if max_length is not None else MAX_TURN_FRAME if channel_data else MAX_STUN_FRAME
        self._buffer = bytearray()
        self._needed = 1  # bytes in the buffer that decide the next question
        self.error: DropReason | None = None

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame, padding included; of a halted stream, all that is kept."""
        return len(self._buffer)

    @property
    def unread(self) -> bytes:
        """These bytes, for whoever takes the stream over."""
        return bytes(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read.

        Returns:
            The frames that are whole now, in order; ChannelData without its padding. After an error nothing.
        """
        if self.error is not None:
            return []
        if self.halted:
            self._buffer += data
            if len(self._buffer) > self._max_length:
                self.error = DropReason.LIMIT
            return []
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)  # at most once for each of the few steps of `_inspect`, so that slices are bytes
            self._buffer.clear()
        frames: list[bytes] = []
        start = 0
        while not self.halted and len(data) - start >= self._needed:
            length = self._inspect(data, start)
            if self.error is not None:
                return frames
            if length:
                frames.append(data[start : start + length])
                self.halted = frames[-1].startswith(self._last)
                start += length + -length % 4
                self._needed = 1
        self._buffer += data[start:]
        return frames

    def resume(self) -> list[bytes]:
        """Go on behind a message that was not the last: it came to nothing.

        Returns:
            The frames that are whole now; after these the stream may be halted again.
        """
        self.halted = False
        kept = bytes(self._buffer)
        self._buffer.clear()
        return self.feed(kept)

    def _inspect(self, data: bytes, start: int) -> int:
        """Look as far into the frame at ``start`` as it has arrived; sets `error`, or how many bytes to wait for.

        Returns:
            The length of the frame without its padding once all of it is there, until then 0.
        """
        first = data[start]
        is_stun = not first & _KIND
        if not is_stun and not (self._channel_data and first & _KIND == _CHANNEL):
            self.error = DropReason.NOT_STUN
            return 0
        available = len(data) - start
        if available < _PREFIX:
            self._needed = _PREFIX
            return 0
        value_length = data[start + 2] << 8 | data[start + 3]
        length = value_length + (HEADER_LENGTH if is_stun else _PREFIX)
        if is_stun and value_length % 4:
            self.error = DropReason.BAD_LENGTH
        elif length > self._max_length:
            self.error = DropReason.LIMIT
        elif is_stun and available < _COOKIE_END:
            self._needed = _COOKIE_END
        elif is_stun and data[start + 4 : start + 8] != COOKIE_BYTES:
            self.error = DropReason.BAD_COOKIE
        else:
            self._needed = length + -length % 4
            return length if available >= self._needed else 0
        return 0


class Rfc4571Framer:
    """Cuts a stream into packets with a length of two bytes before each (RFC 4571 2).

    What a stream carries STUN in when other protocols share it: ICE over TCP (RFC 6544 7.1). `frame_rfc4571` is the
    sender's side. Null packets, of length 0, say nothing and are passed over.

    Attributes:
        max_length: of a packet in bytes, its length field not counted. It may be raised once the sender is known.
        error: `DropReason.LIMIT` after a length over ``max_length``: close the stream. Otherwise ``None``.

    Args:
        max_length: see there.
    """

    __slots__ = ("_buffer", "_needed", "error", "max_length")

    def __init__(self, *, max_length: int = MAX_RFC4571_FRAME) -> None:
        self.max_length: int = max_length
        self._buffer = bytearray()
        self._needed = _LENGTH
        self.error: DropReason | None = None

    @property
    def pending(self) -> int:
        """Bytes of an unfinished frame, its length field included."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[bytes]:
        """Take what was read.

        Returns:
            The packets that are whole now, in order, without their length. After an error nothing.
        """
        if self.error is not None:
            return []
        if self._buffer:
            self._buffer += data
            if len(self._buffer) < self._needed:
                return []
            data = bytes(self._buffer)
            self._buffer.clear()
        packets: list[bytes] = []
        start = 0
        self._needed = _LENGTH
        while len(data) - start >= _LENGTH:
            length = data[start] << 8 | data[start + 1]
            if length > self.max_length:
                self.error = DropReason.LIMIT
                return packets
            if len(data) - start < _LENGTH + length:
                self._needed = _LENGTH + length
                break
            start += _LENGTH + length
            if length:
                packets.append(data[start - length : start])
        self._buffer += data[start:]
        return packets


def frame_rfc4571(data: bytes) -> bytes:
    """Put the length before a packet (RFC 4571 2).

    Raises:
        ValueError: ``data`` is longer than 65,535 bytes.
    """
    if len(data) > MAX_RFC4571_FRAME:
        raise ValueError(f"{len(data)} bytes do not fit into a frame of RFC 4571, which holds {MAX_RFC4571_FRAME}")
    return len(data).to_bytes(_LENGTH, "big") + data
