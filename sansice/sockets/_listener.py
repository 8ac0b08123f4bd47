"""A listening TCP socket, with TLS or without."""

from __future__ import annotations

import errno
import math
import select
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sansice.driver import Driver
from sansice.machine import Address, CloseMode, OpenSocket, SocketId

from ._addresses import AF_INET, AF_INET6, from_sockaddr
from ._hub import Hub
from ._options import bind_socket, configure, local_address
from ._proxied import Proxied, is_trusted, trusted_networks
from ._stream import Stream, undelayed
from ._tls_config import TlsConfig

if TYPE_CHECKING:
    from sansice._tls import TlsStream

BACKLOG = 128  # connections that the system may hold ready, what Linux long had as its own limit
MAX_ACCEPTS = 32  # connections taken in one round, before other sockets and the timer get their turn
ACCEPT_PAUSE = 0.25  # seconds without accepting once descriptors have run out: the epoll would report it without end

_OUT_OF_RESOURCES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Listener:
    """Accepts connections, a bounded number a round.

    Attributes:
        id: what the machine calls it.
    """

    __slots__ = ("_action", "_hub", "_proxies", "_sock", "_tls", "id")

    def __init__(self, hub: Hub, action: OpenSocket, sock: socket.socket, tls: TlsConfig | None) -> None:
        self.id: SocketId = action.socket
        self._action = action
        self._hub = hub
        self._sock = sock
        self._tls = tls
        sock.setblocking(False)
        try:
            self._proxies = trusted_networks(action.options.trusted_proxies)
            sock.listen(BACKLOG)
        except OSError:
            sock.close()
            raise

    @classmethod
    def open(cls, hub: Hub, action: OpenSocket, ports: Sequence[int] | None, tls: TlsConfig | None) -> Listener:
        """Open, bind and listen.

        Raises:
            OSError: no socket is left behind.
        """
        ipv6 = action.bind.is_ipv6
        sock = socket.socket(AF_INET6 if ipv6 else AF_INET, socket.SOCK_STREAM)
        try:
            configure(sock, ipv6, action.options)
            # Otherwise a server cannot come back while connections of its earlier run are in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bind_socket(sock, local_address(action), ipv6, ports)
            return cls(hub, action, sock, tls)
        except BaseException:
            sock.close()
            raise

    def fileno(self) -> int:
        """The descriptor; negative once it is closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Release the descriptor."""
        self._sock.close()

    @property
    def local(self) -> Address:
        """What it is bound to."""
        return from_sockaddr(self._sock.getsockname())

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it. Connections that were accepted live on."""
        self._hub.at(math.inf, self)
        self._hub.remove(self)

    def feed(self, flags: int, driver: Driver) -> None:
        """Accept what waits."""
        for _ in range(MAX_ACCEPTS):
            if self._sock.fileno() < 0:
                return  # closed by what was fed a moment ago
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _OUT_OF_RESOURCES:
                    self._pause(driver)
                    return
                continue  # an error of this one connection, which is gone already (accept(2))
            self._serve(sock)

    def expire(self, driver: Driver, now: float) -> None:
        """The pause is over."""
        self._hub.epoll.modify(self._sock.fileno(), select.EPOLLIN)

    def _pause(self, driver: Driver) -> None:
        self._hub.count("out of sockets or memory to accept with")
        self._hub.epoll.modify(self._sock.fileno(), 0)
        self._hub.at(driver.now() + ACCEPT_PAUSE, self)

    def _serve(self, sock: socket.socket) -> None:
        hub = self._hub
        try:
            sock.setblocking(False)
            undelayed(sock)
            if self._proxies and is_trusted(from_sockaddr(sock.getpeername()).host, self._proxies):
                Proxied(hub, sock, self.id, self._begin).begin()
                return
        except OSError:  # gone already
            sock.close()
            hub.count("gone before it was accepted")
            return
        self._begin(hub.waiting.accepted.next(), sock, None)

    def _begin(self, id: SocketId, sock: socket.socket, remote: Address | None) -> None:
        hub = self._hub
        try:
            tls = self._wrap()
        except ValueError:  # the certificate is gone
            sock.close()
            hub.count("gone before it was accepted")
            return
        Stream(hub, id, sock, tls, self.id, remote).begin_accepted()

    def _wrap(self) -> TlsStream | None:
        config = self._tls
        if config is None:
            return None
        from sansice._tls import TlsStream

        options = self._action.options.tls
        return TlsStream(config.tls_server(options.alpn if options is not None else ()), server_hostname=None)
