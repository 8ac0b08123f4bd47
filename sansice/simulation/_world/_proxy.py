"""An HTTP proxy that lets streams through: the one way out of many offices."""

from __future__ import annotations

import base64
import re
from collections.abc import Collection, Iterable, Mapping

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    AddressRecord,
    CloseMode,
    CloseSocket,
    Ids,
    Machine,
    OpenSocket,
    QueryId,
    Record,
    RecordKind,
    Resolve,
    ResolveError,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)

MAX_HEAD = 8192  # bytes of a request, what servers commonly take
HIGH_WATER, LOW_WATER = 65536, 32768  # bytes that may wait for one side before the other is not read any more; and is again
MAX_SOCKETS = 2000  # of clients and servers at once; who comes then is reset

_NO_SOCKET = SocketId(0)
_REQUEST = re.compile(rb"([A-Z]+) (\S+) HTTP/1\.[01]\r?\n")
_TARGET = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9.-]+)):(?P<port>\d{1,5})")
_AUTHORIZATION = re.compile(rb"^proxy-authorization:[ \t]*basic[ \t]+(\S+)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_HEAD_END = re.compile(rb"\r?\n\r?\n")

# RFC 9110 15
_REASONS = {
    200: "Connection established",
    400: "Bad Request",
    403: "Forbidden",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    502: "Bad Gateway",
    504: "Gateway Timeout",
}
_HEADERS = {405: "Allow: CONNECT\r\n", 407: 'Proxy-Authenticate: Basic realm="proxy"\r\n'}


class _Tunnel:
    """A client, and where it wants to go."""

    __slots__ = ("client", "head", "is_open", "port", "server")

    def __init__(self, client: SocketId) -> None:
        self.client: SocketId = client
        self.server: SocketId = _NO_SOCKET
        self.port: int = 0
        self.head: bytearray = bytearray()  # of the request; then what came behind it
        self.is_open: bool = False

    def other(self, socket: SocketId) -> SocketId:
        """The other side."""
        return self.server if socket == self.client else self.client


_NO_QUERY = (_Tunnel(_NO_SOCKET), "", RecordKind.A)


class ForwardProxy(Machine):
    """Answers CONNECT (RFC 9110 9.3.6) and passes bytes on, both ways. `Network.proxy` runs one on a host.

    A side that ends, ends the tunnel: what the other had still to say is lost, as with most proxies.

    Args:
        addresses: the literals to listen at.
        port: on each of them.
        ports: to which streams may go; ``None`` for all.
        credentials: password by user; ``None`` for nobody having to say who he is.

    Attributes:
        answered: how many requests were answered, by status.
    """

    __slots__ = ("_credentials", "_ids", "_ports", "_queries", "_tunnels", "answered")

    def __init__(
        self,
        addresses: Iterable[str],
        port: int = 3128,
        *,
        ports: Collection[int] | None = (443,),
        credentials: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.answered: dict[int, int] = {}
        self._ports = ports
        self._credentials = credentials
        self._ids = Ids()
        self._tunnels: dict[SocketId, _Tunnel] = {}  # by both sockets
        self._queries: dict[QueryId, tuple[_Tunnel, str, RecordKind]] = {}
        for address in addresses:
            self._outputs.append(OpenSocket(self._ids.socket(), Transport.TCP, Address.of(address, port)))

    # ------------------------------------------------------------- the request

    def handle_accepted(self, listener: SocketId, socket: SocketId, remote: Address, *, now: float) -> None:
        """A client has come."""
        if len(self._tunnels) >= MAX_SOCKETS:
            self._outputs.append(CloseSocket(socket, CloseMode.RESET))
            return
        self._tunnels[socket] = _Tunnel(socket)

    def handle_stream_data(self, socket: SocketId, data: bytes, *, now: float) -> None:
        """A piece of the request, or what is to be passed on."""
        tunnel = self._tunnels.get(socket)
        if tunnel is None:
            return
        if not data:
            self._drop(tunnel, CloseMode.FLUSH)
        elif not tunnel.is_open:
            tunnel.head += data
            if tunnel.port:
                self._pause_early(tunnel)
            else:
                self._read_head(tunnel)
        else:
            self._outputs.append(SendStream(tunnel.other(socket), data))

    def _pause_early(self, tunnel: _Tunnel) -> None:
        if len(tunnel.head) > HIGH_WATER:
            self._outputs.append(SetReading(tunnel.client, enabled=False))

    def _read_head(self, tunnel: _Tunnel) -> None:
        end = _HEAD_END.search(tunnel.head)
        if end is None:
            if len(tunnel.head) > MAX_HEAD:
                self._answer(tunnel, 400)
            return
        head = bytes(tunnel.head[: end.end()])
        del tunnel.head[: end.end()]
        request = _REQUEST.match(head)
        target = None if request is None else _TARGET.fullmatch(request[2].decode("ascii", "replace"))
        if request is None or (target is None and request[1] == b"CONNECT"):
            self._answer(tunnel, 400)
        elif target is None or request[1] != b"CONNECT":
            self._answer(tunnel, 405)
        elif not self._knows(head):
            self._answer(tunnel, 407)
        elif self._ports is not None and int(target["port"]) not in self._ports:
            self._answer(tunnel, 403)
        elif not 0 < int(target["port"]) <= 65535:
            self._answer(tunnel, 400)
        else:
            self._go_to(tunnel, target["ipv6"] or target["host"], int(target["port"]))

    def _knows(self, head: bytes) -> bool:
        if self._credentials is None:
            return True
        given = _AUTHORIZATION.search(head)
        if given is None:
            return False
        try:
            user, _, password = base64.b64decode(given[1], validate=True).decode().partition(":")
        except ValueError:
            return False
        return self._credentials.get(user) == password

    def _go_to(self, tunnel: _Tunnel, host: str, port: int) -> None:
        tunnel.port = port
        try:
            address = Address.of(host, port)
        except ValueError:
            self._ask(tunnel, host, RecordKind.A)
        else:
            self._connect(tunnel, address)

    def _ask(self, tunnel: _Tunnel, name: str, kind: RecordKind) -> None:
        query = self._ids.query()
        self._queries[query] = (tunnel, name, kind)
        self._outputs.append(Resolve(query, name, kind))

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """Where the name leads: to an IPv4 address, or else to an IPv6 one."""
        tunnel, name, kind = self._queries.pop(query, _NO_QUERY)
        if tunnel.client not in self._tunnels:
            return
        hosts = [record.host for record in answer if isinstance(record, AddressRecord)] if isinstance(answer, tuple) else []
        if hosts:
            self._connect(tunnel, Address.of(hosts[0], tunnel.port))
        elif kind is RecordKind.A:
            self._ask(tunnel, name, RecordKind.AAAA)
        else:
            self._answer(tunnel, 502)

    def _connect(self, tunnel: _Tunnel, remote: Address) -> None:
        tunnel.server = socket = self._ids.socket()
        self._tunnels[socket] = tunnel
        any_address = Address(ANY_IPV6 if remote.is_ipv6 else ANY_IPV4, 0)
        self._outputs.append(OpenSocket(socket, Transport.TCP, any_address, remote))

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """The server is there; or a listener is."""
        tunnel = self._tunnels.get(socket)
        if tunnel is None:
            return
        tunnel.is_open = True
        self._say(tunnel, 200)
        if tunnel.head:
            self._outputs.append(SendStream(socket, bytes(tunnel.head)))
            tunnel.head.clear()
        self._outputs.append(SetReading(tunnel.client, enabled=True))

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """One side is lost."""
        tunnel = self._tunnels.get(socket)
        if tunnel is None:
            return
        if socket == tunnel.server and not tunnel.is_open:
            del self._tunnels[socket]
            tunnel.server = _NO_SOCKET
            self._answer(tunnel, 504 if error.kind is SocketErrorKind.TIMEOUT else 502)
        else:
            self._drop(tunnel, CloseMode.RESET)

    # ------------------------------------------------------------- the tunnel

    def handle_stream_sent(self, socket: SocketId, unsent: int, *, now: float) -> None:
        """Who reads slowly is sent to slowly."""
        tunnel = self._tunnels.get(socket)
        if tunnel is None or not tunnel.is_open:
            return
        if unsent > HIGH_WATER:
            self._outputs.append(SetReading(tunnel.other(socket), enabled=False))
        elif unsent <= LOW_WATER:
            self._outputs.append(SetReading(tunnel.other(socket), enabled=True))

    def _answer(self, tunnel: _Tunnel, status: int) -> None:
        self._say(tunnel, status)
        self._drop(tunnel, CloseMode.FLUSH)

    def _say(self, tunnel: _Tunnel, status: int) -> None:
        self.answered[status] = self.answered.get(status, 0) + 1
        text = f"HTTP/1.1 {status} {_REASONS[status]}\r\n{_HEADERS.get(status, '')}\r\n"
        self._outputs.append(SendStream(tunnel.client, text.encode()))

    def _drop(self, tunnel: _Tunnel, mode: CloseMode) -> None:
        for socket in (tunnel.client, tunnel.server):
            if socket != _NO_SOCKET:
                del self._tunnels[socket]
                self._outputs.append(CloseSocket(socket, mode))
