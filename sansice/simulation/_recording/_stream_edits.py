"""What arrived on streams, with other keys: messages are changed as a whole, wherever they were split on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ._messages import blanked, messages_in_stream
from ._step import Step


class StreamEdits:
    """The bytes of all streams of a recording, and their replacements of the same length.

    Args:
        steps: the recording's.
    """

    __slots__ = ("_messages", "_new", "_old", "_places")

    def __init__(self, steps: Sequence[Step]) -> None:
        self._old: dict[int, bytes] = {}
        self._places: dict[int, tuple[int, int, int]] = {}  # by the number of the step: socket, and from where to where
        for index, step in enumerate(steps):
            match step.method, step.arguments:
                case "handle_stream_data", [int(socket), {"bytes": str(text)}]:
                    before = self._old.get(socket, b"")
                    self._old[socket] = before + bytes.fromhex(text)
                    self._places[index] = socket, len(before), len(self._old[socket])
        self._messages = {socket: messages_in_stream(old) for socket, old in self._old.items()}
        self._new = {socket: self._without_rest(socket) for socket in self._old}

    def _without_rest(self, socket: int) -> bytearray:
        old = self._old[socket]
        messages = self._messages[socket]
        end = messages[-1][1] if messages else 0
        # The beginning of a message says nothing, and cannot be signed. What cannot become one is somebody's data.
        rest = old[end:] if not old[end:] or old[end] < _NOT_STUN else blanked(old[end:])
        return bytearray(old[:end] + rest)

    def messages(self) -> list[bytes]:
        """Every whole message."""
        return [self._old[socket][start:end] for socket, places in self._messages.items() for start, end in places]

    def told(self, index: int, change: Callable[[bytes], bytes]) -> bytes:
        """What the machine is told in a step instead; ``change`` is given the messages that begin in it."""
        socket, first, last = self._places[index]
        old, new = self._old[socket], self._new[socket]
        for start, end in self._messages[socket]:
            if first <= start < last:
                new[start:end] = change(old[start:end])
        return bytes(new[first:last])


_NOT_STUN = 0x40  # RFC 8489 5: the two top bits of a message are zero
