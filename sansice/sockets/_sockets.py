"""All sockets of one driver, in one epoll.

Nothing here waits: the epoll's own descriptor is what a runtime waits on (`Sockets.fileno`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sansice.driver import Driver
from sansice.machine import Address, CloseMode, OpenSocket, SocketError, SocketErrorKind, SocketId, TlsOptions, Transport

from ._addresses import from_sockaddr, reason_of, socket_error
from ._dtls_sockets import DtlsClient, DtlsListener, DtlsSocket
from ._hub import BY_FD, Hub
from ._listener import Listener
from ._options import bare_host, check_supported, local_address, set_dont_fragment
from ._stream import Stream
from ._tls_config import TlsConfig
from ._udp import UdpSocket

if TYPE_CHECKING:
    from sansice._tls import TlsStream

_MAX_READY = 64  # sockets served in one round
_FEW_READY = 8  # readable sockets that are read until they are empty: the next round may be far away
_MAX_HEARD = 128  # datagrams fed before what comes of them leaves


class _Options(NamedTuple):
    """What a driver was configured with."""

    ports: Sequence[int] | None
    tls: Mapping[str, TlsConfig]
    inherited: Sequence[socket.socket]

    @classmethod
    def of(
        cls, ports: Sequence[int] | None, tls: TlsConfig | Mapping[str, TlsConfig] | None, inherited: Sequence[socket.socket]
    ) -> _Options:
        if tls is None:
            tls = _DEFAULTS.tls
        return cls(ports, {"": tls} if isinstance(tls, TlsConfig) else tls, inherited)


# Shared by all drivers that were configured with nothing: it is their memory, and reading the system's authorities their time.
_DEFAULTS = _Options(None, {"": TlsConfig()}, ())


class Sockets:
    """The real sockets of one driver, for adapters: everything but the waiting.

    An adapter hands over what its machine wants (`open`, `send`, `send_stream`, `set_reading`, `close`), waits until
    `fileno` is readable or `deadline` has passed, whichever is first, and then calls `feed` or `timer`. All of these
    may tell the machine something, through the driver. No method blocks.

    `deadline` may have moved after `open`, `close`, `feed` and `timer`, not after the others. To leave politely, go on
    with `feed` for a second at most while `unsent` is not 0, and then call `close_all`.

    Args:
        ports: the ports to choose from where a machine asks for any.
        tls: what TLS and DTLS sockets present and trust, by the name that `sansice.TlsOptions.context` asks for; one
            alone goes by the name "". Without any, clients trust the authorities of the system.
        inherited: bound sockets of the process (systemd's, say). One that is bound to what a machine wants to open is
            taken over, instead of opening another.
        max_unsent: bytes that may wait in one stream; beyond them it fails with `SocketErrorKind.BACKLOG`.

    Raises:
        ValueError: ``ports`` is empty.
    """

    __slots__ = ("_hub", "_names", "_options", "_sockets")

    def __init__(
        self,
        *,
        ports: Sequence[int] | None = None,
        tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
        inherited: Sequence[socket.socket] = (),
        max_unsent: int = 2**20,
    ) -> None:
        if ports is not None and not ports:
            raise ValueError("no ports to choose from")
        self._options = _DEFAULTS if ports is None and tls is None and not inherited else _Options.of(ports, tls, inherited)
        self._hub = Hub(max_unsent)
        self._sockets = self._hub.sockets
        self._names: tuple[str, ...] = ()

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, and connections not taken, by reason."""
        return self._hub.lost

    # ------------------------------------------------------------- what the machine wants

    def open(self, action: OpenSocket, driver: Driver) -> None:
        """Open a socket; the driver hears how that went, now or later."""
        self._hub.driver = driver
        try:
            check_supported(action)
            _OPEN[action.transport](self, action, driver)
        except OSError as error:
            driver.socket_failed(action.socket, socket_error(error))
        except (ValueError, ModuleNotFoundError) as error:  # of certificates, or for want of pyOpenSSL
            driver.socket_failed(action.socket, SocketError(SocketErrorKind.TLS, str(error)))

    def close(self, id: SocketId, mode: CloseMode = CloseMode.FLUSH) -> None:
        """Close a socket; an unknown one is a no-op. A stream that is not open yet has nothing to flush."""
        sock = self._sockets.get(id)
        if sock is None:
            return
        if isinstance(sock, UdpSocket):
            self._send_collected(sock)
            self._hub.remove(sock)
        else:
            sock.shut(mode)

    def send(self, id: SocketId, destination: Address, data: bytes) -> None:
        """Send a datagram, or count it as lost."""
        sock = self._sockets.get(id)
        if type(sock) is UdpSocket:
            outbox = self._hub.outbox
            if outbox is None:
                sock.transmit_or_lose((destination, data), self._hub.lose)
            elif sock in outbox:
                outbox[sock].append((destination, data))
            else:
                outbox[sock] = [(destination, data)]
        elif isinstance(sock, DtlsSocket):
            sock.send(destination, data)
        else:
            self._hub.count("socket closed")

    def send_all(self, id: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        """Send datagrams in order; each that cannot be sent is counted as lost."""
        sock = self._sockets.get(id)
        if type(sock) is not UdpSocket:
            for destination, data in items:
                self.send(id, destination, data)
        elif (outbox := self._hub.outbox) is None:
            sock.transmit_all(items, self._hub.lose)
        elif sock in outbox:
            outbox[sock] += items
        else:
            outbox[sock] = list(items)

    def _send_collected(self, sock: UdpSocket) -> None:
        """Send what a socket has collected so far; before anything that concerns it otherwise."""
        items = self._hub.outbox.pop(sock, None) if self._hub.outbox else None
        if items:
            sock.transmit_all(items, self._hub.lose)

    def send_stream(self, id: SocketId, data: bytes) -> None:
        """Queue bytes on a stream; an unknown one is a no-op.

        What the system does not take at once waits, and `Machine.handle_stream_sent` tells how much that is, then and
        whenever it has become less. Where TLS is on the stream these are bytes of ciphertext.
        """
        sock = self._sockets.get(id)
        if isinstance(sock, Stream):
            sock.send(data)

    def set_reading(self, id: SocketId, enabled: bool) -> None:
        """Pause or resume reading a stream; an unknown one is a no-op."""
        sock = self._sockets.get(id)
        if isinstance(sock, Stream):
            sock.set_reading(enabled)

    def set_dont_fragment(self, id: SocketId, enabled: bool) -> None:
        """Say whether a UDP socket's datagrams may be fragmented from now on; others are left alone.

        Where the system cannot do that it is counted, and datagrams leave as they did.
        """
        sock = self._sockets.get(id)
        if type(sock) is UdpSocket:
            self._send_collected(sock)
            try:
                set_dont_fragment(sock, sock.ipv6, enabled)
            except OSError as error:
                self._hub.count(reason_of(error))

    def lend(self, id: SocketId) -> socket.socket | None:
        """Read a UDP socket no more, because somebody else does; sending and closing go on as before.

        Returns:
            A duplicate that is the caller's, and does not block, as it must stay; ``None``: there is no such socket.
        """
        sock = self._sockets.get(id)
        if type(sock) is not UdpSocket:
            return None
        self._hub.ignore(sock)
        sock.tell_errors(told=False)  # it would stay readable for as long as nobody knew how to read them
        copy = socket.socket(sock.family, sock.type, sock.proto, socket.dup(sock.fileno()))
        copy.setblocking(False)
        return copy

    # ------------------------------------------------------------- streams that another process serves

    def hand_out(self, id: SocketId) -> socket.socket | None:
        """Take a stream from the machine, which hears of it no more: a socket to hand to another process.

        Where TLS is on the stream, or bytes still wait, the socket is one end of a pair, and the stream is carried on from here.

        Returns:
            A socket that is the caller's; ``None``: there is no such stream.
        """
        stream = self._sockets.get(id)
        if not isinstance(stream, Stream):
            return None
        from ._splice import hand_out

        return hand_out(self._hub, stream)

    def take_in(self, listener: SocketId, sock: socket.socket, remote: Address, data: bytes) -> None:
        """Have the machine accept a connection that another process handed out.

        Args:
            listener: where it is accepted.
            sock: from `hand_out`; this object's from now on.
            remote: whose it is.
            data: what has been read of it.
        """
        from ._splice import take_in

        take_in(self._hub, listener, sock, remote, data)

    # ------------------------------------------------------------- what the adapter does

    def fileno(self) -> int:
        """Readable while any socket has something to feed."""
        return self._hub.epoll.fileno()

    def feed(self, driver: Driver) -> None:
        """Feed what has arrived on every readable socket: one batch each. Datagrams have one flush in common, at the end."""
        ready = self._hub.epoll.poll(0, _MAX_READY)
        if not ready:
            return
        sparing = len(ready) > _FEW_READY
        now = driver.now()
        self._hub.outbox = {}
        try:
            heard = 0
            for fd, flags in ready:
                sock = self._sockets.get(BY_FD + fd)
                if isinstance(sock, UdpSocket):
                    heard += sock.feed(flags, driver, now, sparing=sparing)
                    if heard >= _MAX_HEARD:
                        driver.flush()
                        self._send_all_collected()
                        heard = 0
                elif sock is not None:  # otherwise closed by what was fed a moment ago
                    sock.feed(flags, driver)
            driver.flush()
        finally:
            self._send_all_collected()
            self._hub.outbox = None

    def _send_all_collected(self) -> None:
        lose = self._hub.lose
        for sock, items in (self._hub.outbox or {}).items():
            if len(items) == 1:
                sock.transmit_or_lose(items[0], lose)
            else:
                sock.transmit_all(items, lose)
        self._hub.outbox = {}

    def deadline(self) -> float:
        """When `timer` wants to be called, on the clock of `Driver.now`; `math.inf` for never."""
        return self._hub.deadline()

    def timer(self, driver: Driver, fired: float) -> None:
        """The deadline ``fired`` passed: give up what took too long, repeat what was lost."""
        timers = self._hub.waiting.timers
        now = max(fired, driver.now())
        while (due := timers.pop_due(now)) is not None:
            due.expire(driver, now)

    @property
    def unsent(self) -> int:
        """Bytes that streams, closed ones included, still have to write."""
        return sum(sock.unsent for key, sock in self._sockets.items() if key >= BY_FD and isinstance(sock, Stream))

    def publish_name(self, name: str, host: str) -> None:
        """Answer for a name on the link of an address, for as long as the driver lives: by what all of the process share."""
        from ._link_names import publish_on_link  # what hardly any driver needs

        self._names += (name,)
        publish_on_link(name, host)

    def withdraw_name(self, name: str) -> None:
        """Answer for it no more; one that this driver has not published is a no-op."""
        from ._link_names import withdraw_from_link

        if name in self._names:
            self._names = tuple([one for one in self._names if one != name])
            withdraw_from_link(name)

    def close_all(self) -> None:
        """Release every descriptor, at once, and take back every name."""
        for name in self._names:
            self.withdraw_name(name)
        for sock in [sock for key, sock in self._sockets.items() if key >= BY_FD]:
            self._hub.remove(sock)
        self._hub.epoll.close()

    # ------------------------------------------------------------- opening, by transport

    def _open_udp(self, action: OpenSocket, driver: Driver) -> None:
        sock = self._bind_udp(action)
        self._hub.add(sock)
        local = from_sockaddr(sock.getsockname())
        if action.options.multicast_groups:  # it is bound to the group
            local = local._replace(host=action.bind.host)
        driver.socket_opened(action.socket, local)

    def _open_stream(self, action: OpenSocket, driver: Driver) -> None:
        if action.remote is not None:
            Stream.connect(self._hub, action, self._options.ports, self._tls_client(action)).begin()
            return
        inherited = self._adopt(action, socket.SOCK_STREAM)
        tls = self._tls_listener(action)
        if inherited is None:
            listener = Listener.open(self._hub, action, self._options.ports, tls)
        else:
            listener = Listener(self._hub, action, inherited, tls)
        self._hub.add(listener)
        driver.socket_opened(action.socket, listener.local)

    def _open_dtls(self, action: OpenSocket, driver: Driver) -> None:
        options = action.options.tls or TlsOptions()
        config = self._config(options)
        if action.remote is not None:
            context = config.dtls_client(options.alpn)
            name = options.server_hostname or bare_host(action.remote)
            DtlsClient(self._hub, self._bind_udp(action), action.remote, context, name).begin()
            return
        config.dtls_server(options.alpn)  # now, so that the machine hears of an unusable certificate
        listener = DtlsListener(self._hub, self._bind_udp(action), lambda: config.dtls_server(options.alpn))
        self._hub.add(listener)
        driver.socket_opened(action.socket, listener.local)

    def _bind_udp(self, action: OpenSocket) -> UdpSocket:
        inherited = self._adopt(action, socket.SOCK_DGRAM)
        if inherited is not None:
            return UdpSocket.adopt(action.socket, inherited)
        return UdpSocket.open(action.socket, local_address(action), action.options, self._options.ports)

    def _tls_client(self, action: OpenSocket) -> TlsStream | None:
        if action.transport is not Transport.TLS or action.remote is None:
            return None
        from sansice._tls import TlsStream  # here, because most drivers never speak TLS

        options = action.options.tls or TlsOptions()
        return TlsStream(
            self._config(options).tls_client(options.alpn),
            server_hostname=options.server_hostname or bare_host(action.remote),
        )

    def _tls_listener(self, action: OpenSocket) -> TlsConfig | None:
        if action.transport is not Transport.TLS:
            return None
        options = action.options.tls or TlsOptions()
        config = self._config(options)
        config.tls_server(options.alpn)  # now, so that the machine hears of an unusable certificate
        return config

    def _config(self, options: TlsOptions) -> TlsConfig:
        config = self._options.tls.get(options.context)
        if config is None:
            raise ValueError(f"no TLS configuration is named {options.context!r}")
        return config

    def _adopt(self, action: OpenSocket, kind: int) -> socket.socket | None:
        """An inherited socket that is just what would be opened; it is this object's from now on."""
        if action.remote is not None or not action.bind.port:
            return None
        for sock in self._options.inherited:
            if sock.fileno() >= 0 and sock.type == kind and from_sockaddr(sock.getsockname()) == action.bind:
                return socket.socket(fileno=sock.detach())
        return None


_OPEN: dict[Transport, Callable[[Sockets, OpenSocket, Driver], None]] = {
    Transport.UDP: Sockets._open_udp,
    Transport.TCP: Sockets._open_stream,
    Transport.TLS: Sockets._open_stream,
    Transport.DTLS: Sockets._open_dtls,
}
