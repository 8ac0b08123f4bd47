"""What the sockets of one driver share: the epoll, the tables, the timers, and the way to the machine."""

from __future__ import annotations

import contextlib
import math
import select
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from sansice._timers import Timers
from sansice.driver import AcceptedIds, Driver
from sansice.machine import Address, CloseMode, SocketId

from ._addresses import NOTHING_LOST, one_more, reason_of

if TYPE_CHECKING:
    from ._proxied import Proxied
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


class Waiting:
    """Who waits for what. Made for the first socket that is more than a UDP socket, because most drivers have none.

    Attributes:
        timers: who is called when.
        accepted: the ids of accepted streams.
        handshakes: accepted streams that the machine has not heard of, the oldest first.
        lingering: streams that the machine has closed, the oldest first.
        proxied: accepted connections whose proxy has not said whose they are, the oldest first.
    """

    __slots__ = ("accepted", "handshakes", "lingering", "proxied", "timers")

    def __init__(self) -> None:
        self.timers: Timers[Timed] = Timers()
        self.accepted = AcceptedIds()
        self.handshakes: dict[Stream, None] = {}
        self.lingering: dict[Stream, None] = {}
        self.proxied: dict[Proxied, None] = {}


class Hub:
    """See the module.

    Attributes:
        driver: known from the first socket on.
        sockets: by id, and by descriptor above `BY_FD`.
        max_unsent: bytes that may wait in one stream.
        outbox: while sockets are fed, datagrams that leave at the end of it, by socket; ``None``: they leave at once.
    """

    __slots__ = ("_waiting", "driver", "epoll", "lost", "max_unsent", "outbox", "sockets")

    driver: Driver

    def __init__(self, max_unsent: int) -> None:
        self.epoll = select.epoll()
        self.sockets: dict[int, UdpSocket | Managed] = {}
        self.lost: Mapping[str, int] = NOTHING_LOST
        self.max_unsent = max_unsent
        self.outbox: dict[UdpSocket, list[tuple[Address, bytes]]] | None = None
        self._waiting: Waiting | None = None

    @property
    def waiting(self) -> Waiting:
        """Who waits for what."""
        if self._waiting is None:
            self._waiting = Waiting()
        return self._waiting

    def deadline(self) -> float:
        """When the first timer is due; `math.inf` for never."""
        return math.inf if self._waiting is None else self._waiting.timers.deadline()

    def add(self, sock: UdpSocket | Managed, flags: int = select.EPOLLIN) -> None:
        """Find a socket by its id and its descriptor from now on, and have it fed."""
        fd = sock.fileno()
        self.sockets[sock.id] = self.sockets[BY_FD + fd] = sock
        self.epoll.register(fd, flags)

    def ignore(self, sock: UdpSocket) -> None:
        """Have a socket not be fed any more; it stays known."""
        with contextlib.suppress(FileNotFoundError):  # the second time
            self.epoll.unregister(sock.fileno())

    def remove(self, sock: UdpSocket | Managed) -> None:
        """Close a socket and know it no more."""
        if self.sockets.get(sock.id) is sock:
            del self.sockets[sock.id]
        del self.sockets[BY_FD + sock.fileno()]
        sock.close()  # which takes it out of the epoll

    def forget(self, sock: Managed) -> None:
        """Know a socket no more, and leave it open: its descriptor goes to another."""
        self.epoll.unregister(sock.fileno())
        del self.sockets[sock.id], self.sockets[BY_FD + sock.fileno()]

    def at(self, deadline: float, who: Timed) -> None:
        """Call ``who.expire`` at ``deadline``, replacing its earlier one; `math.inf` for never."""
        self.waiting.timers.set(who, deadline)

    def count(self, reason: str) -> None:
        """Count something lost."""
        self.lost = one_more(self.lost, reason)

    def lose(self, error: Exception) -> None:
        """Count a datagram that could not be sent."""
        self.count(reason_of(error))
