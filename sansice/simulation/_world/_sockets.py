"""The sockets of one node that are more than UDP: opening them, finding them, and what they share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from sansice._proxy import ProxyClient
from sansice.driver import AcceptedIds, Driver
from sansice.machine import Address, CloseMode, OpenSocket, SocketError, SocketErrorKind, SocketId, Transport

from ._clock import Clock
from ._dtls_sockets import DtlsClient, DtlsListener, DtlsSocket
from ._hellos import RANDOM
from ._streams import Stream, StreamListener
from ._tls import NullTls

if TYPE_CHECKING:
    from ._host import Host
    from ._node import Node
    from ._world import World


class Managed(Protocol):
    """A socket that is more than a UDP socket."""

    @property
    def local(self) -> Address:
        """What it is bound to."""
        ...

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: it hears nothing more."""
        ...

    def die(self) -> None:
        """The process is gone."""
        ...


class Sockets:
    """See the module.

    Attributes:
        node: whose they are.
        clock: virtual time.
        accepted: the ids of accepted streams.
        handshakes: accepted streams that the machine has not heard of, the oldest first.
        lingering: streams that the machine has closed, the oldest first.
        lost: how many datagrams were not sent, and connections not taken, by reason.
    """

    __slots__ = ("_sockets", "_world", "accepted", "clock", "handshakes", "lingering", "lost", "node")

    def __init__(self, node: Node, world: World) -> None:
        self.node: Node = node
        self.clock: Clock = world.clock
        self.accepted = AcceptedIds()
        self.handshakes: dict[Stream, None] = {}
        self.lingering: dict[Stream, None] = {}
        self.lost: Counter[str] = Counter()
        self._world = world
        self._sockets: dict[SocketId, Managed] = {}

    @property
    def driver(self) -> Driver:
        """The way to the machine."""
        return self.node.driver

    @property
    def host(self) -> Host:
        """Where the node runs."""
        return self.node.host

    def random(self, label: str) -> bytes:
        """Bytes for a hello or a cookie, the same for the same seed, label and time."""
        return self._world.random(f"{label} of {self.host.name} at {self.clock.now!r}").randbytes(RANDOM)

    # ------------------------------------------------------------- what the node does

    def locals(self) -> dict[SocketId, Address]:
        """What is open, and bound to what."""
        return {id: sock.local for id, sock in self._sockets.items()}

    def __contains__(self, id: SocketId) -> bool:
        return id in self._sockets

    def open(self, action: OpenSocket, bind: Address) -> None:
        """Open a socket; the driver hears how that went, now or later."""
        problem = _unsupported(action)
        if problem is not None:
            self._refuse(action, SocketErrorKind.UNSUPPORTED, problem)
            return
        try:
            _OPEN[action.transport](self, action, bind)
        except ValueError as error:  # of a name that no certificate can have
            self._refuse(action, SocketErrorKind.TLS, str(error))

    def send(self, id: SocketId, destination: Address, data: bytes) -> bool:
        """Send a datagram by DTLS. Returns whether there is such a socket."""
        sock = self._sockets.get(id)
        if not isinstance(sock, DtlsSocket):
            return False
        sock.send(destination, data)
        return True

    def send_stream(self, id: SocketId, data: bytes) -> None:
        """Queue bytes on a stream; an unknown one is a no-op."""
        sock = self._sockets.get(id)
        if isinstance(sock, Stream):
            sock.send(data)

    def set_reading(self, id: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream; an unknown one is a no-op."""
        sock = self._sockets.get(id)
        if isinstance(sock, Stream):
            sock.set_reading(enabled)

    def close(self, id: SocketId, mode: CloseMode) -> None:
        """Close a socket; an unknown one is a no-op."""
        sock = self._sockets.get(id)
        if sock is not None:
            sock.shut(mode)

    def die(self) -> None:
        """Leave everything to the system, as a killed process does."""
        for sock in [*self._sockets.values(), *self.handshakes, *self.lingering]:
            sock.die()
        self._sockets.clear()
        self.handshakes.clear()
        self.lingering.clear()

    # ------------------------------------------------------------- what sockets do

    def add(self, id: SocketId, sock: Managed) -> None:
        """Find a socket by its id from now on."""
        self._sockets[id] = sock

    def forget(self, id: SocketId) -> None:
        """Know it no more."""
        self._sockets.pop(id, None)

    # ------------------------------------------------------------- opening, by transport

    def _open_stream(self, action: OpenSocket, bind: Address) -> None:
        if action.remote is None:
            self._listen(action, bind)
            return
        stream = Stream(self, action.socket, self._client(action, action.remote))
        proxy = action.options.proxy
        if proxy is not None:
            stream.go_through(ProxyClient(proxy, action.remote))
        to = action.remote if proxy is None else proxy.address
        connection = self.host.tcp.connect(bind, to, stream, reuse_port=action.options.reuse_port)
        if isinstance(connection, SocketError):
            self.driver.socket_failed(action.socket, connection)
            return
        self.add(action.socket, stream)
        stream.begin(connection)

    def _listen(self, action: OpenSocket, bind: Address) -> None:
        if action.transport is Transport.TLS and not self._has_certificate(action):
            return
        listener = StreamListener(self, action)
        there = self.host.tcp.listen(bind, listener, reuse_port=action.options.reuse_port)
        if isinstance(there, SocketError):
            self.driver.socket_failed(action.socket, there)
            return
        listener.begin(there)
        self.add(action.socket, listener)
        self.driver.socket_opened(action.socket, there.local)

    def _open_dtls(self, action: OpenSocket, bind: Address) -> None:
        sock: DtlsSocket
        if action.remote is not None:
            sock = DtlsClient(self, action, action.remote, _expected(action, action.remote))
        elif self._has_certificate(action):
            sock = DtlsListener(self, action)
        else:
            return
        bound = self.host.bind(sock, action.socket, bind)
        if isinstance(bound, SocketError):
            self.driver.socket_failed(action.socket, bound)
            return
        self.add(action.socket, sock)
        sock.begin(*bound)

    def _has_certificate(self, action: OpenSocket) -> bool:
        if self.host.certificate is not None:
            return True
        self._refuse(action, SocketErrorKind.TLS, f"a listener needs a certificate: set the host's, {self.host.name}.certificate")
        return False

    def _client(self, action: OpenSocket, remote: Address) -> NullTls | None:
        if action.transport is not Transport.TLS:
            return None
        alpn = action.options.tls.alpn if action.options.tls is not None else ()
        return NullTls.client(self.random(f"TLS hello of socket {action.socket}"), _expected(action, remote), alpn)

    def _refuse(self, action: OpenSocket, kind: SocketErrorKind, text: str) -> None:
        self.driver.socket_failed(action.socket, SocketError(kind, text))


def _expected(action: OpenSocket, remote: Address) -> str:
    """Whose certificate it must be: a name, or the literal address without its zone."""
    options = action.options.tls
    return (options.server_hostname if options is not None else None) or remote.host.partition("%")[0]


def _unsupported(action: OpenSocket) -> str | None:
    options, transport = action.options, action.transport
    if options.multicast_groups:
        return f"{transport.value} has no multicast groups"
    if options.tls is not None and not transport.is_secure:
        return f"options for TLS are of no use to {transport.name}"
    if options.proxy is not None and (not transport.is_stream or action.remote is None):
        return "only a stream that connects goes through a proxy"
    return None


_OPEN: dict[Transport, Callable[[Sockets, OpenSocket, Address], None]] = {
    Transport.TCP: Sockets._open_stream,
    Transport.TLS: Sockets._open_stream,
    Transport.DTLS: Sockets._open_dtls,
}
