"""What the sockets of one driver share: the epoll, the tables, the timers, and the way to the machine."""

from __future__ import annotations

import math
import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from sansice._timers import Timers
from sansice.driver import AcceptedIds, Driver
from sansice.machine import CloseMode, SocketId

from ._addresses import NOTHING_LOST, one_more

if TYPE_CHECKING:
    from ._stream import Stream
    from ._udp import UdpSocket

LINGER_TIMEOUT = 5.0  # seconds in which a closed stream may still send what was queued, and wait for the peer's end
MAX_LINGERING = 256  # closed streams that wait so; a peer could otherwise pile them up faster than they expire
MAX_HANDSHAKES = 256  # accepted streams that are not through with TLS: who says nothing must not hold memory for long

# Sockets are found by id and by descriptor in one table: a second would cost every connection 224 bytes.
# Ids count up from one (and down, for accepted streams) and never come near.
BY_FD = 1 << 62


class Managed(Protocol):
    """A socket that is more than a UDP socket."""

    id: SocketId

    def fileno(self) -> int:
        """The descriptor; negative once it is closed."""
        ...

    def feed(self, flags: int, driver: Driver) -> None:
        """The epoll has reported ``flags``."""
        ...

    def close(self) -> None:
        """Release the descriptor."""
        ...

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: it hears nothing more."""
        ...


class Timed(Protocol):
    """Who is waiting for a timer."""

    def expire(self, driver: Driver, now: float) -> None:
        """The time has come."""
        ...

    def __hash__(self) -> int: ...


class Hub:
    """See the module."""

    __slots__ = (
        "accepted", "driver", "epoll", "handshakes", "lingering", "lost", "max_unsent", "sockets", "timers",
    )  # fmt: skip

    driver: Driver  # known from the first socket on

    def __init__(self, max_unsent: int) -> None:
        self.epoll = select.epoll()
        self.sockets: dict[int, UdpSocket | Managed] = {}  # by id, and by descriptor above BY_FD
        self.lost: Mapping[str, int] = NOTHING_LOST
        self.max_unsent = max_unsent
        self.timers: Timers[Timed] | None = None  # these four are made when first used: datagrams need none of them
        self.accepted: AcceptedIds | None = None
        self.lingering: dict[Stream, None] | None = None
        self.handshakes: dict[Stream, None] | None = None

    def add(self, sock: UdpSocket | Managed, flags: int = select.EPOLLIN) -> None:
        """Find a socket by its id and its descriptor from now on, and have it fed."""
        fd = sock.fileno()
        self.sockets[sock.id] = self.sockets[BY_FD + fd] = sock
        self.epoll.register(fd, flags)

    def remove(self, sock: UdpSocket | Managed) -> None:
        """Close a socket and know it no more."""
        if self.sockets.get(sock.id) is sock:
            del self.sockets[sock.id]
        del self.sockets[BY_FD + sock.fileno()]
        sock.close()  # which takes it out of the epoll

    def at(self, deadline: float, who: Timed) -> None:
        """Call ``who.expire`` at ``deadline``, replacing its earlier one; `math.inf` for never."""
        if self.timers is None:
            if deadline == math.inf:
                return
            self.timers = Timers()
        self.timers.set(who, deadline)

    def next_id(self) -> SocketId:
        """An id for an accepted stream."""
        if self.accepted is None:
            self.accepted = AcceptedIds()
        return self.accepted.next()

    def count(self, reason: str) -> None:
        """Count something lost."""
        self.lost = one_more(self.lost, reason)
