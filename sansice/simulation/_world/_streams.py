"""A machine's streams: TCP with TLS or a proxy on it or without, as `sansice.sockets` has them on real systems."""

from __future__ import annotations

import enum
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from sansice._proxy import ProxyClient, ProxyError
from sansice.machine import Address, CloseMode, OpenSocket, SocketError, SocketErrorKind, SocketId, Transport

from ._hellos import TlsError
from ._reads import AT_ONCE
from ._tcp import TcpConnection
from ._tcp_ports import TcpListener
from ._tls import NullTls

if TYPE_CHECKING:
    from ._sockets import Sockets

CONNECT_TIMEOUT = 30.0  # seconds, the proxy's answer included; as in `sansice.sockets`
HANDSHAKE_TIMEOUT = 10.0  # seconds for TLS
LINGER_TIMEOUT = 5.0  # seconds in which a closed stream may still send what was queued, and wait for the peer's end
MAX_LINGERING = 256  # closed streams that wait so
MAX_HANDSHAKES = 256  # accepted streams that are not through with TLS
MAX_READ = 65536  # bytes that are read at a time


class StreamState(enum.Enum):
    """How far a stream is."""

    CONNECTING = "connecting"
    ASKING = "asking the proxy"
    HANDSHAKING = "TLS is not ready"
    OPEN = "open"
    FLUSHING = "closed by the machine; what was queued still leaves"
    DRAINING = "all is sent; the peer's end is awaited, because closing before could reset what it has not read"
    CLOSED = "closed"


_READING = (StreamState.ASKING, StreamState.HANDSHAKING)  # whatever the machine says about reading


class Stream:
    """One connection.

    Attributes:
        id: what the machine calls it.
        state: how far it is.
    """

    __slots__ = (
        "_backlog",
        "_connection",
        "_due",
        "_listener",
        "_peer_done",
        "_proxy",
        "_random",
        "_reading",
        "_reads_at",
        "_sockets",
        "_tls",
        "id",
        "state",
    )

    _connection: TcpConnection

    def __init__(self, sockets: Sockets, id: SocketId, tls: NullTls | None, listener: StreamListener | None = None) -> None:
        self.id: SocketId = id
        self.state: StreamState = StreamState.CONNECTING
        self._sockets = sockets
        self._tls = tls
        self._listener = listener  # of a stream that the machine has not been told of
        self._proxy: ProxyClient | None = None
        self._backlog = bytearray()  # for the wire
        self._reading = True  # as the machine wants it
        self._peer_done = False
        self._due = math.inf
        self._reads_at = math.inf
        self._random: random.Random | None = None

    # ------------------------------------------------------------- what the machine wants

    @property
    def local(self) -> Address:
        """What it is bound to."""
        return self._connection.local

    def go_through(self, proxy: ProxyClient) -> None:
        """Ask a proxy before anything else."""
        self._proxy = proxy

    def begin(self, connection: TcpConnection) -> None:
        """The connection is under way."""
        self._connection = connection
        self._at(CONNECT_TIMEOUT)

    def begin_accepted(self, connection: TcpConnection) -> None:
        """Serve a connection that a listener accepted; with TLS the machine hears of it after the handshake."""
        self._connection = connection
        connection.user = self
        if self._tls is None:
            self._announce()
        else:
            self._begin_handshake(self._tls)

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
        if self.state in (StreamState.CONNECTING, StreamState.ASKING):
            self._backlog += data
            self._check_backlog(len(self._backlog))
        else:
            self._push(data)

    def set_reading(self, enabled: bool) -> None:
        """Pause or resume reading. A handshake goes on regardless."""
        self._reading = enabled
        if enabled:
            self._read_later(0.0)

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it: it hears nothing more."""
        if mode is CloseMode.RESET:
            self._reset()
        elif self.state is StreamState.OPEN:
            if self._tls is not None:
                self._tls.close()
                self._backlog += self._tls.take()
            self._linger()
        else:
            self._release()

    def die(self) -> None:
        """The process is gone: its system sends what it has taken, and ends."""
        self.state = StreamState.CLOSED
        self._connection.abandon()

    # ------------------------------------------------------------- what the connection says

    def connected(self) -> None:
        """TCP is there."""
        if self._connection.local == self._connection.remote:
            self._fail(SocketError(SocketErrorKind.REFUSED, "the connection met itself"))
        elif self._proxy is not None:
            self.state = StreamState.ASKING
            self._push_now(self._proxy.request())
        else:
            self._go_on()

    def readable(self) -> None:
        """Something has come."""
        reads = self._sockets.host.reads
        if reads is AT_ONCE or self.state is StreamState.DRAINING:
            self._read()
        elif self._reads_at == math.inf:
            self._read_later(self._pause())

    def writable(self) -> None:
        """There is room."""
        self._write()

    def failed(self, error: SocketError) -> None:
        """The connection is lost."""
        self._fail(self._of_proxy(error))

    def _of_proxy(self, error: SocketError) -> SocketError:
        """Who it was that could not be reached."""
        if self._proxy is not None and self.state is StreamState.CONNECTING:
            return SocketError(error.kind, f"the proxy: {error.text}")
        return error

    def _expire(self, due: float) -> None:
        if due != self._due:
            return
        if self.state is StreamState.CONNECTING:
            self._fail(self._of_proxy(SocketError(SocketErrorKind.TIMEOUT, f"no connection within {CONNECT_TIMEOUT:g} seconds")))
        elif self.state is StreamState.ASKING and self._proxy is not None:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, str(self._proxy.timed_out(CONNECT_TIMEOUT))))
        elif self.state is StreamState.HANDSHAKING:
            self._fail(SocketError(SocketErrorKind.TIMEOUT, f"TLS was not ready within {HANDSHAKE_TIMEOUT:g} seconds"))
        else:
            self._reset()

    # ------------------------------------------------------------- opening

    def _go_on(self) -> None:
        if self._tls is None:
            self._announce()
        else:
            self._begin_handshake(self._tls)

    def _begin_handshake(self, tls: NullTls) -> None:
        self.state = StreamState.HANDSHAKING
        self._at(HANDSHAKE_TIMEOUT)
        if self._listener is not None:
            pending = self._sockets.handshakes
            pending[self] = None
            if len(pending) > MAX_HANDSHAKES:
                next(iter(pending))._fail(SocketError(SocketErrorKind.NO_RESOURCES, "too many TLS handshakes"))
        tls.start()
        self._push_tls(tls)

    def _announce(self) -> None:
        """Tell the machine of the connection, and send what waited for it."""
        self._at(math.inf)
        self.state = StreamState.OPEN
        listener, self._listener = self._listener, None
        driver, connection = self._sockets.driver, self._connection
        if listener is None:
            driver.socket_opened(self.id, connection.local)
        else:
            self._sockets.handshakes.pop(self, None)
            if listener.is_closed:
                self._reset()  # the machine expects no more of its connections
                return
            self._sockets.add(self.id, self)
            driver.accepted(listener.id, self.id, connection.remote)
        if self.state is StreamState.OPEN and self._backlog:
            self._write()

    # ------------------------------------------------------------- reading

    def _pause(self) -> float:
        reads = self._sockets.host.reads
        return reads.delay + (reads.jitter * self._draw() if reads.jitter else 0.0)

    def _draw(self) -> float:
        if self._random is None:
            label = f"reads of {self._sockets.host.name} {self._connection.local} {self._connection.remote}"
            self._random = random.Random(self._sockets.random(label))
        return self._random.random()

    def _read_later(self, pause: float) -> None:
        self._reads_at = self._sockets.clock.now + pause
        self._sockets.host.at(self._reads_at, self._read_now, self._reads_at)

    def _read_now(self, at: float) -> None:
        if at == self._reads_at:
            self._reads_at = math.inf
            self._read()

    def _read(self) -> None:
        """Hand over what there is, a piece at a time."""
        connection, reads = self._connection, self._sockets.host.reads
        while self._wants():
            size = min(connection.waiting, MAX_READ, reads.size or MAX_READ)
            if size and reads.random:
                size = 1 + int(size * self._draw())
            if size:
                self._take(connection.read(size))
            elif connection.at_end:
                self._take_end()
            else:
                return
            if reads.delay or reads.jitter:
                if connection.waiting or connection.at_end:
                    self._read_later(self._pause())
                return

    def _wants(self) -> bool:
        if self.state is StreamState.OPEN:
            return self._reading and not self._peer_done
        return self.state in _READING or self.state is StreamState.DRAINING

    def _take(self, data: bytes) -> None:
        if self.state is StreamState.DRAINING:
            return
        if self.state is StreamState.ASKING and self._proxy is not None:
            self._take_answer(self._proxy, data)
        elif self._tls is None:
            self._deliver(data, end=False)
        else:
            self._decrypt(self._tls, data)

    def _take_end(self) -> None:
        if self.state is StreamState.DRAINING:
            self._release()
        elif self.state is StreamState.ASKING and self._proxy is not None:
            self._fail(SocketError(SocketErrorKind.PROXY, str(self._proxy.ended())))
        elif self._tls is None:
            self._deliver(b"", end=True)
        else:
            self._in_tls(self._tls.end)
        self._peer_done = True

    def _take_answer(self, proxy: ProxyClient, data: bytes) -> None:
        try:
            rest = proxy.receive(data)
        except ProxyError as error:
            self._fail(SocketError(SocketErrorKind.PROXY, str(error)))
            return
        if rest is None:
            return
        self._go_on()
        if rest and self.state in (StreamState.OPEN, StreamState.HANDSHAKING):
            self._take(rest)

    def _decrypt(self, tls: NullTls, data: bytes) -> None:
        plaintext: list[bytes] = []
        if not self._in_tls(lambda: plaintext.append(tls.receive(data))):
            return
        self._push_tls(tls)
        if self.state is StreamState.HANDSHAKING and tls.is_ready:
            self._announce()
        if self.state is StreamState.OPEN:
            self._deliver(plaintext[0], end=tls.at_end)

    def _deliver(self, data: bytes, *, end: bool) -> None:
        if data:
            self._sockets.driver.stream_data(self.id, data)
        if end and self.state is StreamState.OPEN:
            self._peer_done = True
            self._sockets.driver.stream_data(self.id, b"")

    def _in_tls(self, step: Callable[..., object], *arguments: bytes) -> bool:
        """Take a step in TLS. Where that fails, so does the connection, and the peer gets the alert that says why."""
        try:
            step(*arguments)
        except TlsError as error:
            self._fail(SocketError(SocketErrorKind.TLS, str(error)))
            return False
        return True

    # ------------------------------------------------------------- writing

    def _push_tls(self, tls: NullTls) -> None:
        if data := tls.take():
            self._push(data)

    def _push_now(self, data: bytes) -> None:
        self._connection.send(data)  # a request to a proxy always finds room

    def _push(self, data: bytes) -> None:
        sent = 0 if self._backlog else self._connection.send(data)
        if sent == len(data):
            return
        self._backlog += memoryview(data)[sent:]
        if self._check_backlog(len(self._backlog)):
            self._tell_progress()

    def _check_backlog(self, size: int) -> bool:
        if size <= self._sockets.node.max_unsent:
            return True
        self._fail(SocketError(SocketErrorKind.BACKLOG, f"{size} bytes wait for the peer to read"))
        return False

    def _write(self) -> None:
        if not self._backlog:
            return
        sent = self._connection.send(bytes(self._backlog))
        del self._backlog[:sent]
        self._tell_progress()
        if self.state is StreamState.FLUSHING:
            self._flush()

    def _tell_progress(self) -> None:
        if self.state is StreamState.OPEN:
            self._sockets.driver.stream_sent(self.id, len(self._backlog))

    # ------------------------------------------------------------- ending

    def _linger(self) -> None:
        """Send what is queued, and the end; then wait for the peer's."""
        self._sockets.forget(self.id)
        self.state = StreamState.FLUSHING
        lingering = self._sockets.lingering
        lingering[self] = None
        self._at(LINGER_TIMEOUT)
        if len(lingering) > MAX_LINGERING:
            next(iter(lingering))._reset()
        self._write()
        self._flush()

    def _flush(self) -> None:
        if self._backlog or self.state is not StreamState.FLUSHING:
            return
        self.state = StreamState.DRAINING
        self._connection.shutdown()
        self._read()

    def _fail(self, error: SocketError) -> None:
        """The connection is lost, or was never there: the machine is told, once."""
        sockets = self._sockets
        if self.state in (StreamState.FLUSHING, StreamState.DRAINING):
            self._release()
            return
        untold = self._listener is not None
        sockets.forget(self.id)
        if error.kind is SocketErrorKind.TLS and self._tls is not None and (alert := self._tls.take()):
            self._backlog += alert
            sockets.handshakes.pop(self, None)
            self._linger()
        else:
            self._release()
        if untold:
            sockets.lost[_UNTOLD.get(error.kind, "TLS handshake cut off")] += 1
        else:
            sockets.driver.socket_failed(self.id, error)

    def _reset(self) -> None:
        self._connection.abort()
        self._release()

    def _release(self) -> None:
        self.state = StreamState.CLOSED
        self._at(math.inf)
        self._backlog.clear()
        self._connection.abandon()
        sockets = self._sockets
        sockets.forget(self.id)
        sockets.handshakes.pop(self, None)
        sockets.lingering.pop(self, None)

    def _at(self, wait: float) -> None:
        self._due = self._sockets.clock.now + wait
        if wait != math.inf:
            self._sockets.host.at(self._due, self._expire, self._due)


# What is counted of an accepted connection that the machine never heard of.
_UNTOLD = {
    SocketErrorKind.TLS: "TLS handshake failed",
    SocketErrorKind.TIMEOUT: "TLS handshake timed out",
    SocketErrorKind.NO_RESOURCES: "too many TLS handshakes",
}


class StreamListener:
    """A listening socket, with TLS or without.

    Attributes:
        id: what the machine calls it.
        is_closed: the machine has closed it.
    """

    __slots__ = ("_action", "_listener", "_sockets", "id", "is_closed")

    _listener: TcpListener

    def __init__(self, sockets: Sockets, action: OpenSocket) -> None:
        self.id: SocketId = action.socket
        self.is_closed: bool = False
        self._action = action
        self._sockets = sockets

    @property
    def local(self) -> Address:
        """What it is bound to."""
        return self._listener.local

    def begin(self, listener: TcpListener) -> None:
        """It listens."""
        self._listener = listener

    def accept(self, connection: TcpConnection) -> None:
        """Serve a connection."""
        sockets, tls = self._sockets, None
        if self._action.transport is Transport.TLS:
            names = sockets.host.certificate
            if names is None:  # it has been taken away since
                sockets.lost["gone before it was accepted"] += 1
                return
            options = self._action.options.tls
            label = f"TLS hello to {connection.remote}"
            tls = NullTls.server(sockets.random(label), names, options.alpn if options is not None else ())
        Stream(sockets, sockets.accepted.next(), tls, self).begin_accepted(connection)

    def shut(self, mode: CloseMode) -> None:
        """Close, as the machine wants it. Connections that were accepted live on."""
        self._sockets.forget(self.id)
        self.die()

    def die(self) -> None:
        """The process is gone."""
        self.is_closed = True
        self._listener.close()
