"""An agent with TCP candidates on a bench: the test opens or refuses its connections, and plays whoever is at the other end."""

from ice._wire import Bench, Sent, at, candidate
from sansice.ice import GatheringOptions, IceConfig, TcpType
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    OpenSocket,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import frame_rfc4571

ACTIVE, PASSIVE, BOTH = TcpType.ACTIVE, TcpType.PASSIVE, TcpType.SIMULTANEOUS_OPEN
PEER = at("198.51.100.1", 5000)
CALLER = at("198.51.100.1", 40001)  # where the peer connects from
REFUSED = SocketError(SocketErrorKind.REFUSED, "connection refused")


def tcp(*kinds, udp=False, **options) -> GatheringOptions:
    return GatheringOptions(udp=udp, tcp=kinds, **options)


def remote(kind=PASSIVE, host=PEER.host, port=PEER.port, **options):
    """A TCP candidate of the peer's."""
    options.setdefault("preference", 6 << 13)
    return candidate(host, port, transport=Transport.TCP, tcp_type=kind, **options)


class TcpBench(Bench):
    """A `Bench` whose agent has TCP candidates. ``Sent.socket`` and ``arrive`` mean connections here, and frames are taken apart.

    Attributes:
        opened: connections that the agent wants, in order.
        listeners: by socket, where they listen.
        ends: of each connection, the address of its other end.
        shut: what was closed, and how.
    """

    def __init__(self, *kinds, udp=False, options=None, offered=("ice2",), **bench) -> None:
        self.opened: list[OpenSocket] = []
        self.listeners: dict[SocketId, Address] = {}
        self.ends: dict[SocketId, Address] = {}
        self.shut: list[tuple[float, SocketId, CloseMode]] = []
        self.accepted = 0
        self.config = bench.get("config") or IceConfig()
        super().__init__(gathering=tcp(*kinds, udp=udp, **(options or {})), options=offered, **bench)

    def _drain(self) -> None:
        for output in self.agent.take_outputs():
            when = round(self.now, 6)
            if isinstance(output, OpenSocket) and output.remote is not None:
                self.opened.append(output)
                self.ends[output.socket] = output.remote
            elif isinstance(output, OpenSocket):
                local = Address(output.bind.host, output.bind.port or 4000 + output.socket)
                if output.transport is Transport.TCP:
                    self.listeners[output.socket] = local
                self.agent.handle_socket_opened(output.socket, local, now=self.now)
                self._drain()
            elif isinstance(output, SendStream):
                assert output.socket in self.ends, output
                self.sent += [Sent(when, output.socket, self.ends[output.socket], data) for data in frames(output.data)]
            elif isinstance(output, SendDatagram):
                assert output.socket not in self.ends, output
                self.sent.append(Sent(when, output.socket, output.destination, output.data))
            elif isinstance(output, CloseSocket):
                self.shut.append((when, output.socket, output.mode))
                self.ends.pop(output.socket, None)
            else:
                assert not isinstance(output, Action), output
                self.events.append((when, output))

    def base(self, socket: int) -> Address:
        """What the other end sees."""
        return at("192.0.2.1", 30000 + abs(socket))

    # ------------------------------------------------------------- connections

    def connect(self, socket: int | None = None) -> SocketId:
        """A connection of the agent's is there: the last one that it wanted, or another."""
        chosen = self.opened[-1].socket if socket is None else SocketId(socket)
        self.call(self.agent.handle_socket_opened, chosen, self.base(chosen))
        return chosen

    def fail(self, socket: int, error: SocketError = REFUSED) -> None:
        self.ends.pop(SocketId(socket), None)
        self.call(self.agent.handle_socket_failed, SocketId(socket), error)

    def accept(self, source: Address = CALLER, listener: int | None = None) -> SocketId:
        """Somebody connects to the agent: to its last listener, or another."""
        self.accepted -= 1
        socket = SocketId(self.accepted)
        self.ends[socket] = source
        self.call(self.agent.handle_accepted, next(reversed(self.listeners)) if listener is None else listener, socket, source)
        return socket

    def arrive(self, socket: int, source: Address, data: bytes) -> None:
        """A datagram arrives; over a connection in its frame."""
        if socket in self.ends:
            self.feed(socket, frame_rfc4571(data))
        else:
            super().arrive(socket, source, data)

    def feed(self, socket: int, data: bytes) -> None:
        """Bytes of a stream arrive; ``b""`` is its end."""
        self.call(self.agent.handle_stream_data, SocketId(socket), data)

    def ask(self, socket: int, **options):
        """The peer sends a check over a connection; its answer is returned."""
        return self.request(self.ends[SocketId(socket)], socket=socket, **options)

    def closed_of(self, mode: CloseMode | None = None) -> list[SocketId]:
        return [socket for _, socket, how in self.shut if mode in (None, how)]


def frames(data: bytes) -> list[bytes]:
    """What a stream carries, whole frames only."""
    found = []
    while data:
        length = int.from_bytes(data[:2], "big")
        assert len(data) >= 2 + length
        found.append(data[2 : 2 + length])
        data = data[2 + length :]
    return found


def active(**options) -> TcpBench:
    """An agent that has connected to `PEER` and sent its first check."""
    options.setdefault("remotes", (remote(),))
    bench = TcpBench(ACTIVE, **options)
    bench.connect()
    return bench


def selected_active(**options) -> TcpBench:
    """One whose pair is selected, as controlling."""
    bench = active(**options)
    bench.answer(bench.sent[-1])
    bench.run(until=1.0)
    bench.answer(bench.sent[-1])
    assert bench.agent.selected_pair is not None
    return bench


def selected_passive(**options) -> TcpBench:
    """One to which the controlling peer has connected and nominated the pair."""
    bench = TcpBench(PASSIVE, controlling=False, remotes=(remote(ACTIVE),), **options)
    socket = bench.accept()
    bench.ask(socket)
    bench.run(until=0.1)
    bench.answer(bench.sent[-1])
    bench.ask(socket, use_candidate=True)
    assert bench.agent.selected_pair is not None
    return bench
