"""TCP connections to a port that many agents share, of which nobody knows yet whose they are (RFC 6544 7.2).

Whose a connection is, its first frame says, by the ufrag of the check in it. Until that is there, and while the application has
not said who has a ufrag that nobody has, the connection waits here: not for long, in bounded numbers, and with few bytes.
"""

from __future__ import annotations

import math

from sansice.ice._tcp._paths import MAX_FIRST_FRAME
from sansice.ice._telling._stats import IceStats
from sansice.machine import Action, Address, CloseMode, CloseSocket, DropReason, Event, SocketId

from ._config import MuxConfig
from ._members import SharedSocket
from ._strangers import prefix_of

# Bytes kept of a connection whose ufrag is offered to the application: its sender checks again every second or so meanwhile.
MAX_OFFERED = 8192

_LENGTH = 2  # bytes before each frame (RFC 4571 2)


class Caller:
    """A connection that waits.

    Attributes:
        socket: the driver's name for it.
        shared: the listener that it came to.
        remote: where it came from.
        prefix: of that address.
        data: what has come, from the first frame's length on.
        until: how long it may wait.
        ufrag: for whom it asks, once that is offered.
    """

    __slots__ = ("data", "prefix", "remote", "shared", "socket", "ufrag", "until")

    def __init__(self, socket: SocketId, shared: SharedSocket, remote: Address, until: float) -> None:
        self.socket = socket
        self.shared = shared
        self.remote = remote
        self.prefix = prefix_of(remote.host)
        self.data = b""
        self.until = until
        self.ufrag: bytes | None = None


class Doorstep:
    """The connections that wait.

    Those whose first frame is not there yet all have equally long, and so have those whose ufrag is offered: in either table
    the first is always the next to go, and no timer is needed.

    Args:
        config: bounds and times.
        outputs: of the mux.
        stats: of the mux, which count what is turned away.
    """

    __slots__ = ("_by_prefix", "_config", "_offered", "_outputs", "_silent", "_stats")

    def __init__(self, config: MuxConfig, outputs: list[Action | Event], stats: IceStats) -> None:
        self._config = config
        self._outputs = outputs
        self._stats = stats
        self._silent: dict[SocketId, Caller] = {}
        self._by_prefix: dict[bytes, dict[SocketId, None]] = {}
        self._offered: dict[bytes, Caller] = {}

    def __len__(self) -> int:
        return len(self._silent) + len(self._offered)

    def find(self, socket: SocketId) -> Caller | None:
        """The connection, if it waits here."""
        caller = self._silent.get(socket)
        if caller is None and self._offered:
            return next((one for one in self._offered.values() if one.socket == socket), None)
        return caller

    # ------------------------------------------------------------- coming

    def take(self, shared: SharedSocket, socket: SocketId, remote: Address, *, now: float) -> None:
        """Somebody has connected. In a flood the oldest go: who means well speaks at once."""
        caller = Caller(socket, shared, remote, now + self._config.first_frame_timeout)
        neighbours = self._by_prefix.setdefault(caller.prefix, {})
        if len(neighbours) >= self._config.max_silent_per_prefix:
            self.turn_away(self._silent[next(iter(neighbours))], DropReason.RATE_LIMITED)
        elif len(self._silent) >= self._config.max_silent:
            self.turn_away(next(iter(self._silent.values())), DropReason.LIMIT)
        self._silent[socket] = caller
        self._by_prefix.setdefault(caller.prefix, {})[socket] = None

    def hear(self, caller: Caller, data: bytes) -> bytes | None:
        """Bytes of a connection: its first frame, if that is whole now; otherwise it waits on, or is turned away."""
        data = caller.data + data
        if caller.ufrag is not None:
            caller.data = data
            if len(data) > MAX_OFFERED:
                self.turn_away(caller, DropReason.LIMIT)
            return None
        if data.startswith(b"\0\0"):
            empty = (len(data) - len(data.lstrip(b"\0"))) // _LENGTH  # frames of no length, which say nothing
            self._stats.dropped[DropReason.EMPTY] += empty
            data = data[empty * _LENGTH :]
        caller.data = data
        if len(data) < _LENGTH:
            return None
        end = _LENGTH + (data[0] << 8 | data[1])
        if end > _LENGTH + MAX_FIRST_FRAME:
            self.turn_away(caller, DropReason.LIMIT)
            return None
        return data[_LENGTH:end] if len(data) >= end else None

    def offer(self, caller: Caller, ufrag: bytes, *, now: float) -> None:
        """It asks for somebody who is not there, and who may come."""
        self._forget(caller)
        caller.ufrag = ufrag
        caller.until = now + self._config.unknown_timeout
        self._offered[ufrag] = caller

    # ------------------------------------------------------------- going

    def release(self, caller: Caller) -> bytes:
        """It is known whose it is: what has come over it by now."""
        self._forget(caller)
        return caller.data

    def asking(self, ufrag: bytes) -> Caller | None:
        """Which connection asks for a ufrag that is offered."""
        return self._offered.get(ufrag)

    def turn_away(self, caller: Caller, why: DropReason) -> None:
        """Close a connection for a reason that counts."""
        self._stats.drop(why)
        self._close(caller)

    def dismiss(self, ufrag: bytes) -> None:
        """Nobody is to have a ufrag, or nobody who asks for it now; why, is counted elsewhere."""
        caller = self._offered.get(ufrag)
        if caller is not None:
            self._close(caller)

    def leave(self, caller: Caller) -> None:
        """The other end has closed it."""
        self._close(caller)

    def lose(self, caller: Caller) -> None:
        """It has died."""
        self._forget(caller)

    def close_at(self, shared: SharedSocket | None = None) -> None:
        """A listener is no more; or all are not."""
        for caller in [*self._silent.values(), *self._offered.values()]:
            if shared is None or caller.shared is shared:
                self._close(caller)

    def expire(self, now: float) -> None:
        """Turn those away whose time is over."""
        for table in (self._silent, self._offered):
            for caller in tuple(table.values()):
                if caller.until > now:
                    break
                self.turn_away(caller, DropReason.UNPROVEN_STREAM)

    def deadline(self) -> float:
        """When the next one has to go."""
        silent, offered = next(iter(self._silent.values()), None), next(iter(self._offered.values()), None)
        return min(math.inf if silent is None else silent.until, math.inf if offered is None else offered.until)

    def _close(self, caller: Caller) -> None:
        self._outputs.append(CloseSocket(caller.socket, CloseMode.RESET))
        self._forget(caller)

    def _forget(self, caller: Caller) -> None:
        if caller.ufrag is not None:
            del self._offered[caller.ufrag]
            return
        del self._silent[caller.socket]
        neighbours = self._by_prefix[caller.prefix]
        del neighbours[caller.socket]
        if not neighbours:
            del self._by_prefix[caller.prefix]
