"""What is fuzzed of TURN. As in `_targets`, a target raises where a promise is broken.

Machines are told a sequence of pieces, of which the first byte says what happens, so that the fuzzer mixes what clients, peers
and systems do.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from fuzz._running import HOST, PEER, STEP, fixed_entropy, pieces
from sansice import (
    Address,
    CloseSocket,
    IcmpError,
    LocalProtocolError,
    Machine,
    OpenSocket,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.machine import DecodeError
from sansice.stun import Listener, ServerTarget
from sansice.turn import (
    ANY_PEER,
    Closed,
    TurnClient,
    TurnLimits,
    TurnServer,
    TurnServerConfig,
    encode_channel_data,
    read_channel_data_untrusted,
)
from sansice.turn._server._tickets import TICKET_KEY, Tickets

SERVER = Address("192.0.2.1", 3478)
OTHER_CLIENT = Address("192.0.2.8", 6000)
FAR = Address("198.51.100.9", 7000)
LIMITS = TurnLimits(allocations=4, permissions_per_allocation=8, channels_per_allocation=8, tcp_connections=4, pending_connects=4)
ANONYMOUS = TurnServerConfig(anonymous=True, tcp_relay=True, mobility=True, relay_ports=(50_000, 50_007))
MOST_STEPS = 10_000  # timers until a closed machine has nothing more to wait for


def channel_data(data: bytes) -> None:
    """Only DecodeError, and what was read is what is written."""
    try:
        read = read_channel_data_untrusted(data)
    except DecodeError:
        return
    again = encode_channel_data(read.number, read.data)
    assert data.startswith(again)
    padded = encode_channel_data(read.number, read.data, padded=True)
    assert padded == again + bytes(-len(again) % 4)
    assert read_channel_data_untrusted(padded) == read


def token(data: bytes) -> None:
    """No bytes but those that were issued open as a ticket."""
    tickets = Tickets(bytes(TICKET_KEY), entropy=fixed_entropy())
    issued = tickets.issue(7)
    assert tickets.read_untrusted(issued).allocation == 7
    try:
        tickets.read_untrusted(data)
    except DecodeError:
        return
    assert data in {issued, Tickets(bytes(TICKET_KEY), entropy=fixed_entropy()).issue(7)}


class World:
    """What is around a machine: it opens sockets at once, keeps count of them, and lets time pass.

    Attributes:
        now: seconds.
        opened: the sockets that are open, by id, with what was asked for.
        sent: what was sent last, over datagrams or a stream.
    """

    def __init__(self, machine: Machine, *, refuses: Callable[[], bool] = lambda: False) -> None:
        self.machine = machine
        self.now = 0.0
        self.opened: dict[SocketId, OpenSocket] = {}
        self.sent: bytes = b""
        self.ended = False
        self._refuses = refuses
        self._port = 40_000

    def settle(self) -> None:
        """Perform what the machine wants, until it wants nothing."""
        while outputs := self.machine.take_outputs():
            for output in outputs:
                self._perform(output)

    def _perform(self, output: object) -> None:
        match output:
            case OpenSocket():
                assert output.socket not in self.opened
                self._open(output)
            case CloseSocket():
                self.opened.pop(output.socket, None)
            case SendDatagram() | SendStream():
                self.sent = output.data
            case SendDatagrams():
                assert output.items
                self.sent = output.items[-1][1]
            case Closed():
                self.ended = True

    def _open(self, wanted: OpenSocket) -> None:
        if self._refuses():
            error = SocketError(SocketErrorKind.ADDRESS_IN_USE)
            self.machine.handle_socket_failed(wanted.socket, error, now=self.now)
            return
        self.opened[wanted.socket] = wanted
        self._port = 40_000 + (self._port + 1) % 20_000
        host = HOST.host if wanted.bind.host in ("0.0.0.0", "::") else wanted.bind.host
        self.machine.handle_socket_opened(wanted.socket, Address(host, wanted.bind.port or self._port), now=self.now)

    def wait(self) -> None:
        """Let the machine's own deadline pass."""
        due = self.machine.deadline()
        if due < math.inf:
            self.now = max(self.now, due)
            self.machine.handle_timer(now=self.now)
            assert self.machine.deadline() > self.now

    def until_quiet(self) -> None:
        """Let time pass until the machine waits for nothing, and see that it has kept nothing."""
        for _ in range(MOST_STEPS):
            self.settle()
            if self.machine.deadline() == math.inf:
                break
            self.wait()
        assert self.machine.deadline() == math.inf
        assert not self.opened, f"{len(self.opened)} sockets are open after the end"


def turn_server(data: bytes) -> None:
    """Whatever clients, peers and systems do, after close() no socket, timer or allocation is left."""
    machine = TurnServer(authentication=None, config=ANONYMOUS, limits=LIMITS, peer_policy=ANY_PEER, entropy=fixed_entropy())
    refuse = False
    world = World(machine, refuses=lambda: refuse)
    machine.handle_wall_clock(1e9, now=0.0)
    machine.start([Listener(Transport.UDP, SERVER), Listener(Transport.TCP, SERVER)], now=0.0)
    world.settle()
    udp, tcp = list(world.opened)
    stream = SocketId(-1)
    machine.handle_accepted(tcp, stream, PEER, now=0.0)
    accepted = 1
    for piece in pieces(data):
        kind, body = piece[0] if piece else 0xFF, piece[1:]
        world.now += STEP
        now = world.now
        relays = [socket for socket in world.opened if socket not in (udp, tcp)]
        refuse = bool(kind & 0x80)
        match kind & 0x0F:
            case 0 | 1:
                machine.handle_datagrams(udp, [((PEER, OTHER_CLIENT)[kind & 1], body)], now=now)
            case 2:
                machine.handle_datagrams(udp, [(PEER, body), (OTHER_CLIENT, body), (PEER, body)], now=now)
            case 3:
                machine.handle_stream_data(stream, body, now=now)
            case 4 | 5 if relays:
                machine.handle_datagrams(relays[-(kind & 1)], [(FAR, body)] * 2, now=now)
            case 6 if relays:
                machine.handle_icmp(relays[0], FAR, IcmpError(3, 3), now=now)
            case 7 if relays:
                world.opened.pop(relays[0])
                machine.handle_socket_failed(relays[0], SocketError(SocketErrorKind.OTHER), now=now)
            case 8 if relays:
                accepted += 1
                machine.handle_accepted(relays[0], SocketId(-accepted), FAR, now=now)
            case 9:
                machine.handle_stream_data(SocketId(-1 - kind // 16 % max(accepted, 1)), body, now=now)
            case 10:
                machine.handle_stream_sent(stream, len(body) * 4096, now=now)
            case 11:
                accepted += 1
                stream = SocketId(-accepted)
                machine.handle_accepted(tcp, stream, OTHER_CLIENT, now=now)
            case 12:
                machine.set_limits(LIMITS, now=now)
            case 13:
                machine.handle_wall_clock(1e9 + len(body), now=now)
            case _:
                world.wait()
        world.settle()
        assert len(machine.allocations(now=world.now)) <= LIMITS.allocations
    machine.close(now=world.now)
    assert machine.allocations(now=world.now) == ()
    world.until_quiet()


def turn_client(data: bytes) -> None:
    """Whatever the server answers, the client ends: after close() it has no sockets and no timers."""
    for transport in (Transport.UDP, Transport.TCP):
        _run_client(TurnClient(ServerTarget(transport, SERVER), entropy=fixed_entropy()), data)


def _run_client(machine: TurnClient, data: bytes) -> None:
    world = World(machine)
    machine.handle_wall_clock(1e9, now=0.0)
    machine.allocate(mobility=True, now=0.0)
    world.settle()
    for piece in pieces(data):
        kind, body = piece[0] if piece else 0xFF, piece[1:]
        world.now += STEP
        match kind & 0x07:
            case 0 | 1 | 2:  # with the id of the request, or nothing behind it would ever be reached
                _tell(world, body[:8] + world.sent[8:20] + body[20:])
            case 3:
                _tell(world, body)
            case 4:
                _command(machine, kind >> 3, body, world.now)
            case 5:
                for socket in list(world.opened)[:1]:
                    machine.handle_icmp(socket, SERVER, IcmpError(3, 3), now=world.now)
            case 6:
                for socket in list(world.opened)[-1:]:
                    world.opened.pop(socket)
                    machine.handle_socket_failed(socket, SocketError(SocketErrorKind.RESET), now=world.now)
            case _:
                world.wait()
        world.settle()
    try:
        machine.close(now=world.now)
    except LocalProtocolError:
        assert world.ended
    world.until_quiet()
    assert world.ended


def _tell(world: World, data: bytes) -> None:
    for socket, wanted in list(world.opened.items())[-1:]:
        if wanted.transport is Transport.TCP:
            world.machine.handle_stream_data(socket, data, now=world.now)
        else:
            world.machine.handle_datagrams(socket, [(SERVER, data)], now=world.now)


def _command(machine: TurnClient, which: int, body: bytes, now: float) -> None:
    try:
        match which % 6:
            case 0:
                machine.create_permission(FAR, PEER, now=now)
            case 1:
                machine.bind_channel(FAR, now=now)
            case 2:
                machine.send(FAR, body, now=now)
            case 3:
                machine.allocate(now=now)
            case 4:
                machine.wrap(FAR, body)
            case _:
                machine.rebind(now=now)
    except LocalProtocolError:
        pass


TURN_TARGETS: dict[str, Callable[[bytes], None]] = {
    "channel_data": channel_data,
    "token": token,
    "turn_server": turn_server,
    "turn_client": turn_client,
}
