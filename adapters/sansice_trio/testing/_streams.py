"""TCP sockets of a simulated network."""

from __future__ import annotations

import errno
import socket
from collections import deque
from functools import partial
from typing import Any

import trio

from sansice import ANY_IPV4, ANY_IPV6, Address, SocketError, SocketErrorKind
from sansice.simulation import Host, Network, TcpConnection, TcpListener, TcpReservation

from ._addresses import SockAddr, addresses_of, have_loopback, resolve, to_sockaddr
from ._base import SimulatedSocket, at_every_address
from ._errors import number_of, os_error

_MAX_BACKLOG = 4096  # Linux: net.core.somaxconn


class StreamSocket(SimulatedSocket):
    """A TCP socket: it connects, or listens; or it was accepted."""

    _kind = socket.SOCK_STREAM
    _protocol = socket.IPPROTO_TCP

    def __init__(self, host: Host, network: Network, family: socket.AddressFamily) -> None:
        super().__init__(host, network, family)
        self._reserved: list[TcpReservation] = []
        self._listeners: list[TcpListener] = []
        self._backlog = 0
        self._arrived: deque[StreamSocket] = deque()
        self._connection: TcpConnection | None = None
        self._is_connected = False
        self._is_over = False  # it was lost, and that has been told or is pending
        self._is_full = False  # the connection took less than it was given, and has not made room since
        self._ended_reading = False

    # ------------------------------------------------------------- binding and listening

    async def bind(self, address: Any) -> None:
        """Bind to an address of the host, or to all of them by the wildcard."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        wanted = await resolve(address, self._family, self._kind, local=True)
        if self._local is not None:
            raise os_error(errno.EINVAL, "bound already")
        have_loopback(self._host, self._network, wanted.host)
        port = at_every_address(partial(self._reserve, wanted.host), self._let_go, wanted.port)
        self._local = Address(wanted.host, port)

    def _reserve(self, place: str, port: int) -> int:
        for host in addresses_of(self._host, self._family) if place in (ANY_IPV4, ANY_IPV6) else [place]:
            reserved = self._host.tcp.reserve(Address(host, port), reuse_port=self._options.reuse_port)
            if isinstance(reserved, SocketError):
                raise os_error(number_of(reserved), reserved.text)
            self._reserved.append(reserved)
            port = reserved.local.port
        return port

    def _let_go(self) -> None:
        for reserved in self._reserved:
            self._host.tcp.release(reserved)
        self._reserved.clear()

    def listen(self, backlog: int = 128) -> None:
        """Take connections."""
        self._check_open()
        if self._connection is not None:
            raise os_error(errno.EINVAL, "connected")
        self._backlog = max(1, min(backlog, _MAX_BACKLOG))
        if self._listeners:
            return
        if self._local is None:
            self._refuse("listening at a port that nobody has bound")
        places = [reserved.local for reserved in self._reserved]
        self._let_go()
        for local in places:
            listener = self._host.tcp.listen(local, _Acceptor(self), reuse_port=self._options.reuse_port)
            if isinstance(listener, SocketError):
                raise os_error(number_of(listener), listener.text)
            self._listeners.append(listener)

    @property
    def _is_listening(self) -> bool:
        return bool(self._listeners)

    async def accept(self) -> tuple[trio.socket.SocketType, Any]:
        """Wait for a connection, and take it."""
        if not self._listeners and not self._is_closed:
            await trio.lowlevel.checkpoint()
            raise os_error(errno.EINVAL, "not listening")
        await self._wait(self._readers, lambda: bool(self._arrived))
        taken = self._arrived.popleft()
        return taken, taken.getpeername()

    # ------------------------------------------------------------- connecting

    async def connect(self, address: Any) -> None:
        """Connect. Cancelling closes the socket, as with trio's own."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        remote = await resolve(address, self._family, self._kind, local=False)
        if self._connection is not None:
            raise os_error(errno.EISCONN)
        self._start_connecting(remote)
        try:
            await self._wait(self._writers, lambda: self._is_connected)
        except trio.Cancelled:
            self.close()
            raise
        self._raise_pending()

    def _start_connecting(self, remote: Address) -> None:
        host = self._host
        have_loopback(host, self._network, remote.host)
        local = self._local
        if local is None or local.host in (ANY_IPV4, ANY_IPV6):
            interface = host.route(remote.host)
            if interface is None:
                raise os_error(errno.ENETUNREACH, f"{host.name} has no way to {remote.host}")
            local = Address(interface.address, local.port if local else 0)
        self._let_go()
        connection = host.tcp.connect(local, remote, self, reuse_port=self._options.reuse_port)
        if isinstance(connection, SocketError):
            unreachable = connection.kind is SocketErrorKind.UNREACHABLE  # at once: no way there, rather than no answer
            raise os_error(errno.ENETUNREACH if unreachable else number_of(connection), connection.text)
        self._adopt(connection)

    def _adopt(self, connection: TcpConnection) -> None:
        self._connection = connection
        self._local, self._peer = connection.local, connection.remote

    def getpeername(self) -> SockAddr:
        """What it is connected to."""
        self._check_open()
        if self._peer is None or not self._is_connected:
            raise os_error(errno.ENOTCONN)
        return to_sockaddr(self._peer)

    # ------------------------------------------------------------- what the host tells

    def accept_connection(self, connection: TcpConnection) -> None:
        """A connection is open. Beyond the backlog nobody takes it, and it is reset."""
        if len(self._arrived) < self._backlog:
            taken = StreamSocket(self._host, self._network, self._family)
            taken._adopt(connection)
            taken._is_connected = True
            connection.user = taken
            self._arrived.append(taken)
            self._readers.unpark_all()

    def connected(self) -> None:
        """The connection is open."""
        self._is_connected = True
        self._changed()

    def readable(self) -> None:
        """There is something to read."""
        self._readers.unpark_all()

    def writable(self) -> None:
        """There is room again."""
        self._is_full = False
        self._writers.unpark_all()

    def failed(self, error: SocketError) -> None:
        """The connection is lost, or never came to be."""
        connection = self._connection
        if connection is not None and self._is_connected:
            # Linux, tcp_reset(): whoever goes on sending after the peer's end hears EPIPE
            broken = connection.at_end and error.kind is SocketErrorKind.RESET
            self._pending = errno.EPIPE if broken else number_of(error)
            self._is_over = True
        else:
            self._pending = number_of(error)
            self._connection = self._peer = None
        self._changed()

    # ------------------------------------------------------------- data

    def _is_readable(self) -> bool:
        if self._listeners:
            return bool(self._arrived)
        connection = self._connection
        return connection is None or self._is_over or self._ended_reading or connection.waiting > 0 or connection.at_end

    def _receive(self, size: int, flags: int) -> tuple[bytes, bool, SockAddr | None]:
        connection = self._open_connection()
        if self._ended_reading:
            return b"", False, None
        if flags & socket.MSG_PEEK:
            self._refuse("MSG_PEEK on a stream")
        return connection.read(size), False, None

    def _raise_pending(self) -> None:
        # What arrived before a reset can still be read, as on Linux.
        if self._connection is None or not self._connection.waiting or not self._is_connected:
            super()._raise_pending()

    def _open_connection(self) -> TcpConnection:
        if self._connection is None or not self._is_connected:
            raise os_error(errno.ENOTCONN)
        return self._connection

    def _is_writable(self) -> bool:
        return not self._is_full or self._is_over or self._ended_writing

    async def _send(self, data: bytes, given: Any | None) -> int:
        self._check_open()
        await trio.lowlevel.checkpoint()
        while True:
            self._check_open()
            if self._ended_writing or (self._is_over and self._pending is None):
                raise os_error(errno.EPIPE)
            super()._raise_pending()
            taken = self._open_connection().send(data)
            self._is_full = taken < len(data)
            if taken or not data:
                return taken
            await self._wait(self._writers, self._is_writable)

    def shutdown(self, flag: int) -> None:
        """End one direction, or both: after what is queued the peer reads the end of the stream."""
        self._check_open()
        connection = self._open_connection()
        if flag in (socket.SHUT_WR, socket.SHUT_RDWR):
            self._ended_writing = True
            connection.shutdown()
        if flag in (socket.SHUT_RD, socket.SHUT_RDWR):
            self._ended_reading = True
        self._changed()

    # ------------------------------------------------------------- its end

    def _release(self) -> None:
        self._let_go()
        for listener in self._listeners:
            listener.close()
        for taken in self._arrived:
            taken._abort()
        connection = self._connection
        if connection is not None:
            if self._options.resets:
                connection.abort()
            else:
                connection.abandon()

    def _abort(self) -> None:
        self._open_connection().abort()


class _Acceptor:
    """Takes what a listener accepts: the socket's own ``accept`` is what the program calls."""

    def __init__(self, socket: StreamSocket) -> None:
        self._socket = socket

    def accept(self, connection: TcpConnection) -> None:
        """A connection is open."""
        self._socket.accept_connection(connection)
