"""Two streams as one: what arrives on either is sent on the other. No machine hears of it."""

from __future__ import annotations

import socket

from sansice.machine import Address, CloseMode, SocketError, SocketId

from ._hub import Hub
from ._stream import Stream

CROWDED = 65536  # bytes that wait in one stream until the other is not read any more


class _SpliceHub(Hub):
    """The hub of two streams whose driver is the splice; all else is shared with the driver's own."""

    __slots__ = ()

    def __init__(self, hub: Hub, splice: Splice) -> None:
        self._waiting = hub.waiting
        self.epoll = hub.epoll
        self.sockets = hub.sockets
        self.max_unsent = hub.max_unsent
        self.driver = splice  # type: ignore[assignment]  # all of a driver that a stream needs


class Splice:
    """Carries on a stream at another place: with TLS on it, its keys are here, and its socket is of no use to anybody else.

    Args:
        hub: the driver's.
        stream: open; from now on its bytes come out at the other end of a pair of sockets.
    """

    __slots__ = ("_far", "_hub", "_near")

    def __init__(self, hub: Hub, stream: Stream, far: socket.socket) -> None:
        self._hub = hub
        shared = _SpliceHub(hub, self)
        self._near = stream
        self._far = Stream(shared, hub.waiting.accepted.next(), far)
        stream.move(shared)

    @classmethod
    def begin(cls, hub: Hub, stream: Stream) -> socket.socket:
        """Begin to carry on; the other end."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        splice = cls(hub, stream, ours)
        splice._far.begin_open()
        stream.set_reading(True)
        return theirs

    def _other(self, id: SocketId) -> Stream:
        return self._far if id == self._near.id else self._near

    # ------------------------------------------------------------- what a stream tells its driver

    def now(self) -> float:
        """The driver's clock."""
        return self._hub.driver.now()

    def stream_data(self, id: SocketId, data: bytes) -> None:
        """Bytes have arrived, or the end, which is that of both."""
        if data:
            self._other(id).send(data)
        else:
            self._other(id).shut(CloseMode.FLUSH)
            self._other(self._other(id).id).shut(CloseMode.FLUSH)

    def stream_sent(self, id: SocketId, unsent: int) -> None:
        """Who reads slowly is sent no more than it can take."""
        self._other(id).set_reading(unsent <= CROWDED)

    def socket_failed(self, id: SocketId, error: SocketError) -> None:
        """One is lost, and so is the other."""
        self._other(id).shut(CloseMode.FLUSH)


def take_in(hub: Hub, listener: SocketId, sock: socket.socket, remote: Address, data: bytes) -> None:
    """Have the machine accept a connection that another process accepted, and read what that one has read of it."""
    sock.setblocking(False)
    stream = Stream(hub, hub.waiting.accepted.next(), sock, None, listener, remote)
    stream.begin_accepted()
    if data and stream.id in hub.sockets:
        hub.driver.stream_data(stream.id, data)


def hand_out(hub: Hub, stream: Stream) -> socket.socket:
    """Take a stream from the machine: its socket, where that is all there is of it; otherwise what carries it on."""
    return stream.detach() or Splice.begin(hub, stream)
