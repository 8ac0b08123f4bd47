"""All sockets of one driver, in one epoll.

Nothing here waits: the epoll's own descriptor is what a runtime waits on (`Sockets.fileno`).
"""

from __future__ import annotations

import errno
import math
import select
import socket
from collections.abc import Mapping, Sequence

from sansice.driver import Driver
from sansice.machine import Address, CloseMode, OpenSocket, SocketId, Transport

from ._addresses import NOTHING_LOST, from_sockaddr, one_more, reason_of, socket_error, to_sockaddr
from ._options import check_supported, local_address
from ._tls_config import TlsConfig
from ._udp import UdpSocket

_MAX_READY = 64  # sockets served in one round

# Sockets are found by id and by descriptor in one table: a second would cost every connection 224 bytes.
# Ids count up from one (and down, for accepted streams) and never come near.
_BY_FD = 1 << 62


class Sockets:
    """The real sockets of one driver, for adapters: everything but the waiting.

    An adapter hands over what its machine wants (`open`, `send`, `send_stream`, `set_reading`, `close`), waits until
    `fileno` is readable or `deadline` has passed, whichever is first, and then calls `feed` or `timer`. Both, and
    `open`, tell the machine through the driver. No method blocks.

    Args:
        ports: the ports to choose from where a machine asks for any.
        tls: what TLS and DTLS sockets present and trust, by the name that `TlsOptions.context` asks for; one alone
            goes by the name "".
        inherited: bound sockets of the process (systemd's, say): one that fits is used instead of opening another.
        max_unsent: bytes that may wait in one stream; beyond them it fails with `SocketErrorKind.BACKLOG`.

    Attributes:
        lost: how many datagrams were not sent, by reason.
    """

    __slots__ = ("_epoll", "_ports", "_sockets", "lost")

    def __init__(
        self,
        *,
        ports: Sequence[int] | None = None,
        tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
        inherited: Sequence[socket.socket] = (),
        max_unsent: int = 2**20,
    ) -> None:
        self.lost: Mapping[str, int] = NOTHING_LOST
        self._ports = ports
        self._sockets: dict[int, UdpSocket] = {}  # by id, and by descriptor above _BY_FD
        self._epoll = select.epoll()

    # ------------------------------------------------------------- what the machine wants

    def open(self, action: OpenSocket, driver: Driver) -> None:
        """Open a socket; the driver hears how that went, now or later."""
        try:
            check_supported(action)
            if action.transport is not Transport.UDP:
                raise OSError(errno.ENOTSUP, f"{action.transport.name} sockets are not built yet")
            sock = UdpSocket.open(action.socket, local_address(action), action.options, self._ports)
        except OSError as error:
            driver.socket_failed(action.socket, socket_error(error))
            return
        fd = sock.fileno()
        self._sockets[action.socket] = self._sockets[_BY_FD + fd] = sock
        self._epoll.register(fd, select.EPOLLIN)
        driver.socket_opened(action.socket, from_sockaddr(sock.getsockname()))

    def close(self, id: SocketId, mode: CloseMode = CloseMode.FLUSH) -> None:
        """Close a socket; an unknown one is a no-op."""
        sock = self._sockets.pop(id, None)
        if sock is not None:
            del self._sockets[_BY_FD + sock.fileno()]
            sock.close()  # which takes it out of the epoll

    def send(self, id: SocketId, destination: Address, data: bytes) -> None:
        """Send a datagram, or count it as lost."""
        sock = self._sockets.get(id)
        if sock is None:
            self.count("socket closed")
            return
        try:
            target = to_sockaddr(destination, sock.ipv6)
            try:
                sock.sendto(data, target)
            except BlockingIOError:
                raise
            except OSError:
                # With IP_RECVERR the ICMP error of an earlier datagram comes out here, and this one has
                # not been tried yet. Asking clears it, so the second answer is about this datagram.
                sock.sendto(data, target)
        except (OSError, ValueError, OverflowError) as error:
            self.count(reason_of(error))

    def send_stream(self, id: SocketId, data: bytes) -> None:
        """Queue bytes on a stream; an unknown one is a no-op."""

    def set_reading(self, id: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream; an unknown one is a no-op."""

    # ------------------------------------------------------------- what the adapter does

    def fileno(self) -> int:
        """Readable while any socket has something to feed."""
        return self._epoll.fileno()

    def feed(self, driver: Driver) -> None:
        """Feed what has arrived on every readable socket: one batch, and one flush, each."""
        for fd, flags in self._epoll.poll(0, _MAX_READY):
            sock = self._sockets.get(_BY_FD + fd)
            if sock is not None:  # otherwise closed by what was fed a moment ago
                sock.feed(flags, driver)

    def deadline(self) -> float:
        """When `timer` wants to be called, on the clock of `Driver.now`; `math.inf` for never."""
        return math.inf

    def timer(self, driver: Driver, fired: float) -> None:
        """The deadline ``fired`` passed: give up what took too long, repeat what was lost."""

    @property
    def unsent(self) -> int:
        """Bytes that streams, closed ones included, still have to write."""
        return 0

    def close_all(self) -> None:
        """Release every descriptor, at once."""
        for sock in set(self._sockets.values()):
            self.close(sock.id)
        self._epoll.close()

    def count(self, reason: str) -> None:
        """Count something lost."""
        self.lost = one_more(self.lost, reason)
