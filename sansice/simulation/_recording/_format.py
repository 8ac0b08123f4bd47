"""The file of a recording: a mark, a version, and frames that are only ever appended.

Layout, all numbers big-endian::

    12 bytes  MAGIC
     2        version
     2        0
    frames    4  length of the body
              2  length modulo 65521, a prime: no byte of the length can be changed unnoticed
              4  CRC-32 over the bodies of all frames up to and including this one
              .  body: a byte that says what it is, and the rest

The checksum runs on from frame to frame, so that a frame which was taken out, moved or repeated is noticed, too. What a
killed process leaves is a whole number of frames and perhaps the beginning of one; what a dead computer leaves may end in
zeros. Either is a recording that is *cut*; anything else that does not fit is *damaged*.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from zlib import crc32

import attrs

MAGIC = b"\x89sansice\r\n\x1a\n"  # as PNG's: not text, and whatever rewrites line ends is noticed
VERSION = 1

_START = struct.Struct(">12sHH")
_FRAME = struct.Struct(">IHI")
_pack_frame = _FRAME.pack
_PRIME = 65521

HEADER = 0x48  # "H": JSON, who recorded what; the first frame
END = 0x45  # "E": JSON, why there is no more; the last frame


class RecordingError(ValueError):
    """A file is no recording, or not one that this version can read, or it was damaged.

    Attributes:
        offset: of the byte in the file from which on it cannot be read.
        step: how many steps are whole before it.
    """

    def __init__(self, text: str, offset: int, step: int = 0) -> None:
        super().__init__(f"{text} (at byte {offset}, after {step} whole step{'s' if step != 1 else ''})")
        self.offset = offset
        self.step = step


@attrs.frozen
class Frame:
    """A frame that is whole.

    Attributes:
        offset: of its first byte in the file.
        start, end: of its body.
    """

    offset: int
    start: int
    end: int


@attrs.frozen
class Cut:
    """Where a file ends within a frame.

    Attributes:
        offset: of the frame.
    """

    offset: int


class FrameWriter:
    """Makes the bytes of a file, in order."""

    __slots__ = ("_crc",)

    def __init__(self) -> None:
        self._crc = 0

    def start(self) -> bytes:
        """What comes before all frames."""
        start = _START.pack(MAGIC, VERSION, 0)
        self._crc = crc32(start)
        return start

    def frame(self, body: bytes) -> bytes:
        """The next frame."""
        size = len(body)
        self._crc = crc = crc32(body, self._crc)
        return _pack_frame(size, size % _PRIME, crc) + body


FRAME_LENGTH = _FRAME.size


def read_frames_untrusted(data: bytes) -> Iterator[Frame | Cut]:
    """The frames of a file, in order; a `Cut` is the last.

    Raises:
        RecordingError: no recording, of another version, or damaged. Its ``step`` counts frames after the header.
    """
    crc = _check_start(data)
    offset, count, size = _START.size, 0, len(data)
    while offset < size:
        if size - offset < _FRAME.size or (not any(data[offset : offset + 64]) and not any(data[offset:])):
            yield Cut(offset)
            return
        length, check, expected = _FRAME.unpack_from(data, offset)
        start = offset + _FRAME.size
        if length % _PRIME != check or not length:
            raise RecordingError("the recording is damaged: a frame has no length", offset, max(count - 1, 0))
        if size - start < length:
            yield Cut(offset)
            return
        crc = crc32(data[start : start + length], crc)
        if crc != expected:
            raise RecordingError("the recording is damaged: a checksum is wrong", offset, max(count - 1, 0))
        yield Frame(offset, start, start + length)
        offset = start + length
        count += 1


def _check_start(data: bytes) -> int:
    """The checksum of the start.

    Raises:
        RecordingError: it is another file's.
    """
    if not data:
        raise RecordingError("the file is empty: nothing was recorded", 0)
    if data[: len(MAGIC)] != MAGIC[: len(data)]:
        raise RecordingError("not a recording of sansice", 0)
    if len(data) < _START.size:
        raise RecordingError("the recording is cut before its first step", len(data))
    _, version, zero = _START.unpack_from(data)
    if version > VERSION:
        raise RecordingError(
            f"version {version} is newer than version {VERSION}, which this sansice reads: install a newer sansice", len(MAGIC)
        )
    if version < VERSION or zero:
        raise RecordingError("the recording is damaged: there is no such version", len(MAGIC))
    return crc32(data[: _START.size])
