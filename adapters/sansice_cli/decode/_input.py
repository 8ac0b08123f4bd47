"""What was given, whatever its form, as payloads."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Iterator

import attrs

from sansice import Address
from sansice.stun import HEADER_LENGTH, is_stun

from ._capture import CaptureError, Packet, is_capture, read_capture
from ._hex import read_hex
from ._packets import Carried, carried
from ._streams import Piece, Streams

MAX_INPUT = 64 * 2**20  # bytes; what is printed is fifty times as long

_TEXT = frozenset(string.printable.encode())


@attrs.frozen
class Payload:
    """A datagram, or a message cut from a stream.

    Attributes:
        data: its bytes.
        problem: what is wrong with the way it came, "" for nothing.
        packet: the packet of a capture that it came with, and that completed it.
        transport: ``udp`` or ``tcp``, where it is known.
    """

    data: bytes = attrs.field(repr=bytes.hex)
    problem: str = ""
    packet: Packet | None = None
    transport: str = ""
    source: Address | None = None
    destination: Address | None = None


class Input:
    """Payloads, and then what is to be said about the whole.

    Args:
        data: of a file.

    Attributes:
        is_capture: it is a capture file.
        passed_over: how many packets were, by reason.
        problem: what is wrong with the file; known after `payloads` has ended.

    Raises:
        ValueError: it is neither a capture nor a message in binary or hexadecimal.
    """

    def __init__(self, data: bytes) -> None:
        if not data:
            raise ValueError("the input is empty")
        self.is_capture: bool = is_capture(data)
        self.passed_over: Counter[str] = Counter()
        self.problem: str = ""
        if not self.is_capture and _TEXT.issuperset(data):
            data = read_hex(data.decode("ascii"))
            if not data:
                raise ValueError("the input holds no hexadecimal digits")
        self._data = data

    def payloads(self) -> Iterator[Payload]:
        """All of them, in order."""
        if self.is_capture:
            yield from self._captured()
        else:
            yield from map(Payload, _messages(self._data))

    def _captured(self) -> Iterator[Payload]:
        streams = Streams()
        try:
            for packet in read_capture(self._data):
                found = carried(packet.link, packet.data)
                if isinstance(found, str):
                    self.passed_over[found] += 1
                elif found.is_tcp:
                    for piece in streams.take(found):
                        yield _of_stream(piece, found.source, found.destination, packet)
                elif found.payload or found.missing:
                    yield _of_datagram(found, packet)
        except CaptureError as error:
            self.problem = str(error)
        for source, destination, piece in streams.finish():
            yield _of_stream(piece, source, destination, None)


def _of_stream(piece: Piece, source: Address, destination: Address, packet: Packet | None) -> Payload:
    return Payload(piece.data, piece.problem, packet, "tcp", source, destination)


def _of_datagram(found: Carried, packet: Packet) -> Payload:
    problem = f"{found.missing} bytes were not captured" if found.missing else ""
    return Payload(found.payload, problem, packet, "udp", found.source, found.destination)


def _messages(data: bytes) -> Iterator[bytes]:
    """Messages that follow each other, as on a stream; what is not so is left in one piece."""
    start = 0
    while is_stun(data[start : start + HEADER_LENGTH]):
        end = start + HEADER_LENGTH + int.from_bytes(data[start + 2 : start + 4], "big")
        if not is_stun(data[end : end + HEADER_LENGTH]):
            break
        yield data[start:end]
        start = end
    yield data[start:]
