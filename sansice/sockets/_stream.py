"""A TCP connection, through a proxy or not, with TLS on it or without: opening, reading, writing, and every way to end."""

from __future__ import annotations

import enum
import errno
import math
import os
import select
import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from sansice._tls_error import TlsError
from sansice.driver import Driver
from sansice.machine import Address, CloseMode, OpenSocket, SocketError, SocketErrorKind, SocketId

from ._addresses import AF_INET, AF_INET6, from_sockaddr, socket_error, to_sockaddr
from ._hub import LINGER_TIMEOUT, MAX_HANDSHAKES, MAX_LINGERING, Hub
from ._options import bind_socket, configure, local_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sansice._proxy import ProxyClient
    from sansice._tls import TlsStream

# Seconds, a proxy's answer included; systems try for minutes, and machines that know better close earlier.
CONNECT_TIMEOUT = 30.0
HANDSHAKE_TIMEOUT = 10.0  # seconds for TLS: eight round trips of the slowest satellite
MAX_READ = 65536  # bytes read from one stream before the others, and the timer, get their turn

_NO_LINGER = struct.pack("ii", 1, 0)  # struct linger: closing resets the connection


class State(enum.Enum):
    """How far a stream is."""

    CONNECTING = "connecting"
    ASKING = "the proxy has not answered"
    HANDSHAKING = "TLS is not ready"
    OPEN = "open"
    FLUSHING = "closed by the machine; what was queued still leaves"
    DRAINING = "all is sent; the peer's end is awaited, because closing before could reset what it has not read"
    CLOSED = "closed"


class Stream:
    """One connection. Built by `connect`, or by a listener for what it accepted.

    Attributes:
        id: what the machine calls it.
        state: how far it is.
    """

    __slots__ = (
        "_backlog", "_flags", "_hub", "_listener", "_peer_done", "_proxy", "_reading", "_remote", "_sock", "_tls", "id", "state",
    )  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        id: SocketId,
        sock: socket.socket,
        tls: TlsStream | None = None,
        listener: SocketId | None = None,
        remote: Address | None = None,
    ) -> None:
        self.id: SocketId = id
        self.state: State = State.CONNECTING
        self._hub = hub
        self._sock = sock
        self._tls = tls
        self._proxy: ProxyClient | None = None  # until it has let the stream through
        self._listener = listener  # of a stream that the machine has not been told of
        self._remote = remote  # whose it is, where a proxy made it
        self._backlog = bytearray()  # for the wire: ciphertext where there is TLS
        self._flags = 0  # what the epoll reports
        self._reading = True  # as the machine wants it
        self._peer_done = False

    @classmethod
    def connect(cls, hub: Hub, action: OpenSocket, ports: Sequence[int] | None, tls: TlsStream | None) -> Stream:
        """Begin to connect.

        Raises:
            OSError: it failed at once; no socket is left behind.
        """
        towards = action.towards
        ipv6 = action.bind.is_ipv6
        sock = socket.socket(AF_INET6 if ipv6 else AF_INET, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            configure(sock, ipv6, action.options)
            undelayed(sock)
            bind_socket(sock, local_address(action), ipv6, ports)
            number = sock.connect_ex(to_sockaddr(towards, ipv6)) if towards is not None else errno.EDESTADDRREQ
            if number not in (0, errno.EINPROGRESS):
                raise OSError(number, os.strerror(number))
        except BaseException:
            sock.close()
            raise
        stream = cls(hub, action.socket, sock, tls)
        if action.options.proxy is not None and action.remote is not None:
            from sansice._proxy import ProxyClient  # here, because most drivers never ask a proxy

            stream._proxy = ProxyClient(action.options.proxy, action.remote)
        return stream

    # ------------------------------------------------------------- what the machine wants

    def begin(self) -> None:
        """Have the epoll tell when the connection is there."""
        self._flags = select.EPOLLOUT
        self._hub.add(self, self._flags)
        self._hub.at(self._hub.driver.now() + CONNECT_TIMEOUT, self)

    def begin_accepted(self) -> None:
        """Serve a connection that a listener accepted; with TLS the machine hears of it after the handshake."""
        self._flags = select.EPOLLIN
        self._hub.add(self, self._flags)
        if self._tls is None:
            self._announce(self._hub.driver)
        else:
            self._begin_handshake(self._tls)

    def begin_open(self) -> None:
        """Serve a socket that is connected already, and that nobody has to be told of."""
        self.state = State.OPEN
        self._flags = select.EPOLLIN
        self._hub.add(self, self._flags)

    def move(self, hub: Hub) -> None:
        """Be served by another hub, which shares its epoll and its tables with the one before."""
        self._hub = hub

    def detach(self) -> socket.socket | None:
        """The socket of an open stream, which this object has nothing to do with any more; ``None`` where it still has: TLS, or
        bytes that wait.
        """
        if self._tls is not None or self._backlog or self.state is not State.OPEN:
            return None
        self._hub.forget(self)
        self.state = State.CLOSED
        return self._sock

    def send(self, data: bytes) -> None:
        """Queue bytes. Before the connection is ready they wait, and nothing of them leaves."""
        tls = self._tls
        if tls is not None:
            if not self._in_tls(tls.send, data):
                return
            if not tls.is_ready:
                self._check_backlog(tls.waiting)
                return
            data = tls.take()
        if self.state is State.CONNECTING or self.state is State.ASKING:
            self._backlog += data
            self._check_backlog(len(self._backlog))
        else:
            self._push(data)

    def set_reading(self, enabled: bool) -> None:
        """Pause or resume reading. A handshake goes on regardless."""
        self._reading = enabled
        self._watch()

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: it hears nothing more."""
        if mode is CloseMode.RESET:
            self.reset()
        elif self.state is State.OPEN:
            if self._tls is not None:
                self._tls.close()
                self._backlog += self._tls.take()
            self._linger()
        else:
            self._release()

    def reset(self) -> None:
        """Close at once, and have the peer know."""
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._release()

    # ------------------------------------------------------------- what the sockets do

    def fileno(self) -> int:
        """The descriptor; negative once it is closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Release the descriptor."""
        self.state = State.CLOSED
        self._sock.close()

    @property
    def unsent(self) -> int:
        """Bytes that wait for the wire, once the connection is there."""
        return len(self._backlog) if self.state in (State.OPEN, State.FLUSHING) else 0

    def feed(self, flags: int, driver: Driver) -> None:
        """Go on with what the epoll says is possible."""
        _FEED[self.state](self, flags, self._hub.driver)  # which is another one where the stream is spliced

    def expire(self, driver: Driver, now: float) -> None:
        """It took too long."""
        if self.state is State.CONNECTING:
            self._fail_to_connect(SocketError(SocketErrorKind.TIMEOUT, f"no connection within {CONNECT_TIMEOUT:g} seconds"))
        elif self.state is State.ASKING:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, str(cast("ProxyClient", self._proxy).timed_out(CONNECT_TIMEOUT))))
        elif self.state is State.HANDSHAKING:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, f"TLS was not ready within {HANDSHAKE_TIMEOUT:g} seconds"))
        else:
            self.reset()

    # ------------------------------------------------------------- opening

    def _finish_connecting(self, flags: int, driver: Driver) -> None:
        number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            self._fail_to_connect(_error(number))
            return
        try:
            peer = self._sock.getpeername()
        except OSError:
            return  # what the epoll said was about the socket that had this descriptor before
        if peer == self._sock.getsockname():
            # Nobody listens, and the port that the system chose happens to be the one that was called.
            self._fail_to_connect(SocketError(SocketErrorKind.REFUSED, "the connection met itself"))
        elif self._proxy is not None:
            self._ask(self._proxy)
        else:
            self._go_on(driver)

    def _fail_to_connect(self, error: SocketError) -> None:
        """Where there is a proxy, it was that one which could not be reached."""
        self._fail(error if self._proxy is None else SocketError(error.kind, f"the proxy: {error.text}"))

    def _ask(self, proxy: ProxyClient) -> None:
        self.state = State.ASKING
        try:
            self._sock.send(proxy.request())  # it always finds room: see `MAX_PROXY_WORD`
        except OSError as error:
            self._fail(socket_error(error))
            return
        self._watch()

    def _hear_proxy(self, flags: int, driver: Driver) -> None:
        from sansice._proxy import ProxyError

        proxy = cast("ProxyClient", self._proxy)
        try:
            data = self._sock.recv(MAX_READ)
            rest = proxy.receive(data)
            if not data:
                raise proxy.ended()
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(socket_error(error))
            return
        except ProxyError as error:
            self._fail(SocketError(SocketErrorKind.PROXY, str(error)))
            return
        if rest is None:
            return
        self._proxy = None
        self._go_on(driver)
        if rest and self.state in (State.OPEN, State.HANDSHAKING):
            self._take(rest, driver)

    def _go_on(self, driver: Driver) -> None:
        if self._tls is None:
            self._announce(driver)
        else:
            self._begin_handshake(self._tls)

    def _begin_handshake(self, tls: TlsStream) -> None:
        self.state = State.HANDSHAKING
        hub = self._hub
        hub.at(hub.driver.now() + HANDSHAKE_TIMEOUT, self)
        if self._listener is not None:
            pending = hub.waiting.handshakes
            pending[self] = None
            if len(pending) > MAX_HANDSHAKES:
                next(iter(pending))._fail(SocketError(SocketErrorKind.NO_RESOURCES, "too many TLS handshakes"))
        else:
            self._in_tls(tls.start)
        self._push_tls(tls)
        self._watch()

    def _announce(self, driver: Driver) -> None:
        """Tell the machine of the connection, and send what waited for it."""
        hub = self._hub
        hub.at(math.inf, self)
        self.state = State.OPEN
        listener, self._listener = self._listener, None
        if listener is None:
            driver.socket_opened(self.id, from_sockaddr(self._sock.getsockname()))
        else:
            hub.waiting.handshakes.pop(self, None)
            if listener not in hub.sockets:
                self.reset()  # the machine has closed the listener meanwhile, and expects no more of its connections
                return
            try:
                remote = self._remote or from_sockaddr(self._sock.getpeername())
            except OSError:
                self._release()
                hub.count("gone before it was accepted")
                return
            driver.accepted(listener, self.id, remote)
        if self.state is State.OPEN and self._backlog:
            self._write()
        self._watch()

    # ------------------------------------------------------------- reading

    def _serve(self, flags: int, driver: Driver) -> None:
        if self._backlog and flags & select.EPOLLOUT:
            self._write()
        if self.state is not State.OPEN and self.state is not State.HANDSHAKING:
            return
        if self._flags & select.EPOLLIN:
            self._read(driver)
        elif flags & (select.EPOLLERR | select.EPOLLHUP):
            number = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if number:  # otherwise the epoll spoke of the socket that had this descriptor before
                self._fail(_error(number))

    def _read(self, driver: Driver) -> None:
        try:
            data = self._sock.recv(MAX_READ)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(socket_error(error))
            return
        self._take(data, driver)

    def _take(self, data: bytes, driver: Driver) -> None:
        tls = self._tls
        if tls is None:
            self._end_or_deliver(data, data == b"", driver)
        elif not data:
            self._in_tls(tls.end)
        else:
            self._decrypt(tls, data, driver)

    def _decrypt(self, tls: TlsStream, data: bytes, driver: Driver) -> None:
        plaintext: list[bytes] = []
        if not self._in_tls(lambda: plaintext.append(tls.receive(data))):
            return
        self._push_tls(tls)
        if self.state is State.HANDSHAKING and tls.is_ready:
            self._announce(driver)
        if self.state is State.OPEN:
            self._end_or_deliver(plaintext[0], tls.at_end, driver)

    def _end_or_deliver(self, data: bytes, end: bool, driver: Driver) -> None:
        if data:
            driver.stream_data(self.id, data)
        if end and self.state is State.OPEN:
            self._peer_done = True
            self._watch()
            driver.stream_data(self.id, b"")

    def _in_tls(self, step: Callable[..., object], *arguments: bytes) -> bool:
        """Take a step in TLS. Where that fails, so does the connection, and the peer gets the alert that says why."""
        try:
            step(*arguments)
        except TlsError as error:
            self._fail(SocketError(SocketErrorKind.TLS, str(error)))
            return False
        return True

    # ------------------------------------------------------------- writing

    def _push_tls(self, tls: TlsStream) -> None:
        if data := tls.take():
            self._push(data)

    def _push(self, data: bytes) -> None:
        sent = 0
        if not self._backlog:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                pass
            except OSError as error:
                self._fail(socket_error(error))
                return
            if sent == len(data):
                return
        self._backlog += memoryview(data)[sent:]
        if self._check_backlog(len(self._backlog)):
            self._watch()
            self._tell_progress()

    def _check_backlog(self, size: int) -> bool:
        if size <= self._hub.max_unsent:
            return True
        self._fail(SocketError(SocketErrorKind.BACKLOG, f"{size} bytes wait for the peer to read"))
        return False

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._backlog)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(socket_error(error))
            return
        del self._backlog[:sent]
        self._tell_progress()
        self._watch()

    def _tell_progress(self) -> None:
        if self.state is State.OPEN:
            self._hub.driver.stream_sent(self.id, len(self._backlog))

    # ------------------------------------------------------------- ending

    def _linger(self) -> None:
        """Send what is queued, and the end; then wait for the peer's."""
        hub = self._hub
        hub.sockets.pop(self.id, None)
        self.state = State.FLUSHING
        lingering = hub.waiting.lingering
        lingering[self] = None
        hub.at(hub.driver.now() + LINGER_TIMEOUT, self)
        if len(lingering) > MAX_LINGERING:
            next(iter(lingering)).reset()
        self._flush(0, hub.driver)

    def _flush(self, flags: int, driver: Driver) -> None:
        if self._backlog:
            self._write()
        if self.state is not State.FLUSHING:
            return
        if self._backlog:
            self._watch()
            return
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._release()
            return
        self.state = State.DRAINING
        self._watch()
        self._drain(flags, driver)

    def _drain(self, flags: int, driver: Driver) -> None:
        try:
            if self._sock.recv(MAX_READ):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._release()

    def _fail(self, error: SocketError) -> None:
        """The connection is lost, or was never there: the machine is told, once."""
        hub = self._hub
        if self.state in (State.FLUSHING, State.DRAINING):
            self._release()
            return
        untold = self._listener is not None
        hub.sockets.pop(self.id, None)
        if error.kind is SocketErrorKind.TLS and self._tls is not None and (alert := self._tls.take()):
            self._backlog += alert
            hub.waiting.handshakes.pop(self, None)
            self._linger()
        else:
            self._release()
        if untold:
            hub.count(_UNTOLD.get(error.kind, "TLS handshake cut off"))
        else:
            hub.driver.socket_failed(self.id, error)

    def _release(self) -> None:
        hub = self._hub
        hub.at(math.inf, self)
        hub.waiting.handshakes.pop(self, None)
        hub.waiting.lingering.pop(self, None)
        hub.remove(self)

    def _watch(self) -> None:
        """Have the epoll report what is wanted now, and no more: a level that nobody acts on would spin."""
        state = self.state
        flags = 0
        if state is State.CLOSED:
            return
        if state in _LISTENING or (state is State.OPEN and self._reading and not self._peer_done):
            flags = select.EPOLLIN
        if (self._backlog and state is not State.ASKING) or state is State.CONNECTING:
            flags |= select.EPOLLOUT
        if flags != self._flags:
            self._flags = flags
            self._hub.epoll.modify(self._sock.fileno(), flags)


_LISTENING = (State.ASKING, State.HANDSHAKING, State.DRAINING)  # whatever the machine says about reading
_FEED = {
    State.CONNECTING: Stream._finish_connecting,
    State.ASKING: Stream._hear_proxy,
    State.HANDSHAKING: Stream._serve,
    State.OPEN: Stream._serve,
    State.FLUSHING: Stream._flush,
    State.DRAINING: Stream._drain,
}


# What is counted of an accepted connection that the machine never heard of.
_UNTOLD = {
    SocketErrorKind.TLS: "TLS handshake failed",
    SocketErrorKind.TIMEOUT: "TLS handshake timed out",
    SocketErrorKind.NO_RESOURCES: "too many TLS handshakes",
}


def _error(number: int) -> SocketError:
    return socket_error(OSError(number, os.strerror(number)))


def undelayed(sock: socket.socket) -> None:
    """Send small messages at once (TCP_NODELAY): a request must not wait for the answer to the one before."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
