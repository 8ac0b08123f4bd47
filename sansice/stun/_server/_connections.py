"""The streams that a server has accepted, and when each is given up."""

from __future__ import annotations

import math
from collections import Counter

from sansice._timers import Timers
from sansice.machine import SocketId
from sansice.stun._framing import StreamFramer
from sansice.stun._paths import Path

from ._rate_limit import Allowance, prefix_of

_CONNECTION_BIND = (b"\x00\x0b",)  # as a request; what follows it is the peer's, where it succeeds (RFC 6062 5.4)


class Connection:
    """One accepted stream.

    Attributes:
        path: the stream and its client.
        listener: what accepted it.
        framer: cuts it into messages.
        owed: requests on it that wait for the application.
        ended: nothing more is read; it closes as soon as nothing is owed.
        spoken: a whole message has come.
        paused: the client does not read its answers, so its requests are not read either.
        vouched: the parent knows the client: no prefix's share and no idle time is asked about.
        allowance: of requests, once it is vouched for.
        bound: a ConnectionBind has succeeded; the parent takes the stream over.
    """

    __slots__ = ("allowance", "bound", "ended", "framer", "listener", "owed", "path", "paused", "spoken", "vouched")

    def __init__(self, path: Path, listener: SocketId, *, channel_data: bool) -> None:
        self.path = path
        self.listener = listener
        self.framer = StreamFramer(channel_data=channel_data, last=_CONNECTION_BIND)
        self.bound = False
        self.vouched = False
        self.allowance = Allowance()
        self.owed = 0
        self.ended = False
        self.spoken = False
        self.paused = False


class Connections:
    """All streams of a server: bounded, and each with a deadline.

    Args:
        limit: streams at once.
        prefix_limit: streams at once from one source prefix.
        message_timeout, idle_timeout: seconds, as in `StunServerConfig`.
        channel_data: ChannelData may come between messages (RFC 8656 12.5).
    """

    __slots__ = (
        "_channel_data",
        "_idle_timeout",
        "_limit",
        "_message_timeout",
        "_open",
        "_per_prefix",
        "_prefix_limit",
        "_timers",
    )

    def __init__(
        self, limit: int, prefix_limit: int, message_timeout: float, idle_timeout: float, *, channel_data: bool = False
    ) -> None:
        self._limit = limit
        self._prefix_limit = prefix_limit
        self._message_timeout = message_timeout
        self._idle_timeout = idle_timeout
        self._channel_data = channel_data
        self._open: dict[SocketId, Connection] = {}
        self._per_prefix: Counter[bytes] = Counter()
        self._timers: Timers[SocketId] = Timers()

    def __len__(self) -> int:
        return len(self._open)

    def get(self, socket: SocketId) -> Connection | None:
        """The stream of that id, if it is open."""
        return self._open.get(socket)

    def all(self) -> list[Connection]:
        """Every open stream, oldest first."""
        return list(self._open.values())

    def add(self, path: Path, listener: SocketId, now: float) -> Connection | None:
        """Take a stream in; ``None`` where a bound is reached. The first message has its deadline from now on."""
        prefix = prefix_of(path.remote.host)
        if len(self._open) >= self._limit or self._per_prefix[prefix] >= self._prefix_limit:
            if not self._per_prefix[prefix]:
                del self._per_prefix[prefix]
            return None
        self._per_prefix[prefix] += 1
        connection = self._open[path.socket] = Connection(path, listener, channel_data=self._channel_data)
        self._timers.set(path.socket, now + self._message_timeout)
        return connection

    def remove(self, socket: SocketId) -> Connection:
        """Forget a stream that is closed."""
        connection = self._open.pop(socket)
        self._timers.cancel(socket)
        prefix = prefix_of(connection.path.remote.host)
        self._per_prefix[prefix] -= 1
        if not self._per_prefix[prefix]:
            del self._per_prefix[prefix]
        return connection

    def read(self, connection: Connection, data: bytes, now: float) -> list[bytes]:
        """The messages that ``data`` completes; moves the stream's deadline.

        A message has `message_timeout` from its first byte on, however often another byte of it comes; a stream on which
        none is under way has `idle_timeout`.
        """
        framer = connection.framer
        was_under_way = framer.pending > 0
        frames = framer.feed(data)
        if frames:
            connection.spoken = True
        if frames or (connection.spoken and not was_under_way):
            self._arm(connection, now)
        return frames

    def resume(self, connection: Connection, now: float) -> list[bytes]:
        """The messages behind a ConnectionBind that was refused (RFC 6062 5.4)."""
        halted = connection.framer.halted and not connection.owed and not connection.ended and not connection.bound
        if not halted:
            return []
        frames = connection.framer.resume()
        self._arm(connection, now)
        return frames

    def vouch(self, connection: Connection, vouched: bool, now: float) -> None:
        """Let a stream be idle for as long as it likes, or not any more."""
        connection.vouched = vouched
        if not connection.framer.pending and not connection.ended:
            self._arm(connection, now)

    def _arm(self, connection: Connection, now: float) -> None:
        idle = math.inf if connection.vouched else self._idle_timeout
        self._timers.set(connection.path.socket, now + (self._message_timeout if connection.framer.pending else idle))

    def end(self, connection: Connection) -> None:
        """Read no more of a stream that is still owed something: its deadline goes, what is owed has its own."""
        connection.ended = True
        self._timers.cancel(connection.path.socket)

    def pop_due(self, now: float) -> Connection | None:
        """The next stream whose deadline has passed."""
        socket = self._timers.pop_due(now)
        return None if socket is None else self._open[socket]

    def deadline(self) -> float:
        """The earliest deadline of any stream, or `math.inf`."""
        return self._timers.deadline()
