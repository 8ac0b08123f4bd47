"""Connections with peers, and moves, machine against machine in a simulated network (RFC 6062, RFC 8016)."""

import math

import pytest

from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    LocalProtocolError,
    Machine,
    OpenSocket,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.simulation import Network
from sansice.stun import Listener, LongTermCredentials, ServerAuthentication, ServerTarget, StaticUsers
from sansice.turn import (
    AllocationCreated,
    AllocationLost,
    AllocationMoved,
    AllocationRebound,
    ConnectFailed,
    ConnectionAttempted,
    DataReceived,
    PeerConnected,
    PeerPolicy,
    StreamLost,
    StreamReceived,
    StreamSent,
    TurnClient,
    TurnLimits,
    TurnServer,
    TurnServerConfig,
)
from sansice.turn._server._limits import Resource

UDP, TCP, TLS, DTLS = Transport
SERVER, PEER = "192.0.2.1", "198.51.100.9"
ECHO = Address(PEER, 7)
PORTS = {UDP: 3478, TCP: 3478, TLS: 5349, DTLS: 5349}
MEGABYTE = bytes(range(256)) * 4096


class Peer(Machine):
    """Sends everything back, over UDP and TCP, and connects where it is told to."""

    def __init__(self):
        super().__init__()
        self.streams = {}
        self.heard = {}
        self.ended = []
        self.last = 10

    def start(self, *, now):
        self._outputs += [OpenSocket(SocketId(1), UDP, ECHO), OpenSocket(SocketId(2), TCP, ECHO)]

    def connect(self, to, *, now):
        self.last += 1
        self._outputs.append(OpenSocket(SocketId(self.last), TCP, Address(PEER, 0), to))
        return SocketId(self.last)

    def say(self, socket, data, *, now):
        self._outputs.append(SendStream(socket, data))

    def hang_up(self, socket, *, now):
        self._outputs.append(CloseSocket(socket, CloseMode.FLUSH))

    def handle_socket_opened(self, socket, local, *, now):
        self.streams[socket] = local

    def handle_socket_failed(self, socket, error, *, now):
        self.ended.append(socket)

    def handle_accepted(self, listener, socket, remote, *, now):
        self.streams[socket] = remote

    def handle_datagrams(self, socket, batch, *, now):
        self._outputs += [SendDatagram(socket, source, data) for source, data in batch]

    def handle_stream_data(self, socket, data, *, now):
        self.heard[socket] = self.heard.get(socket, b"") + data
        if not data:
            self.ended.append(socket)
        elif socket < 0:
            self._outputs.append(SendStream(socket, data))


class World:
    """A client behind a NAT, a server, and a peer."""

    def __init__(self, transport=TCP, *, seed=1, limits=None, **network):
        self.net = Network(seed=seed, latency=0.02, **network)
        self.nat = self.net.nat("203.0.113.1")
        host = self.net.host("server", SERVER)
        host.certificate = ("turn.example.org",)
        authentication = ServerAuthentication(
            realm="example.org", lookup_key=StaticUsers({"user": "password"}, "example.org"), entropy=host.entropy
        )
        self.server = TurnServer(
            authentication=authentication,
            config=TurnServerConfig(tcp_relay=True, mobility=True),
            limits=limits or TurnLimits(),
            peer_policy=PeerPolicy(allow=("198.51.100.0/24",)),
            entropy=host.entropy,
        )
        self.server_node = host.run(self.server)
        self.server_node.call(self.server.start, [Listener(one, Address(SERVER, port)) for one, port in PORTS.items()])
        self.peer = Peer()
        self.peer_node = self.net.host("peer", PEER).run(self.peer)
        self.peer_node.call(self.peer.start)
        self.client_host = self.net.host("client", "10.0.0.2", behind=self.nat)
        target = ServerTarget(transport, Address(SERVER, PORTS[transport]), "turn.example.org" if transport.is_secure else None)
        credentials = LongTermCredentials("user", "password")
        self.client = TurnClient(target, credentials=credentials, entropy=self.client_host.entropy)
        self.node = self.client_host.run(self.client)

    def wait(self, condition, seconds=60.0):
        assert self.net.run(until=self.net.now + seconds, when=condition), self.client.explain(now=self.net.now)

    def told(self, kind):
        return [event for _, event in self.node.events if isinstance(event, kind)]

    def allocate(self, **wish):
        self.node.call(self.client.allocate, **wish)
        self.wait(lambda: self.told(AllocationCreated))
        self.node.call(self.client.create_permission, ECHO)
        self.wait(lambda: self.client.is_permitted(PEER))

    def connect(self):
        id = self.node.call(self.client.connect, ECHO)
        self.wait(lambda: self.client.is_connected(id))
        return id

    def received(self, id):
        return b"".join(event.data for event in self.told(StreamReceived) if event.id == id)

    def echoes(self, data):
        before = len(self.told(DataReceived))
        self.node.call(self.client.send, ECHO, data)
        self.wait(lambda: DataReceived(ECHO, data) in self.told(DataReceived)[before:], 5.0)

    def connections(self):
        return self.server.stats.tcp_connections


# ------------------------------------------------------------------- connections with peers


@pytest.mark.req("RFC6062-005", "RFC6062-008")
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_megabyte_goes_to_a_peer_and_back_whole(transport):
    world = World(transport)
    world.allocate(transport=TCP)
    id = world.connect()
    world.node.call(world.client.send_stream, id, MEGABYTE)
    world.wait(lambda: len(world.received(id)) == len(MEGABYTE), 600.0)
    assert world.received(id) == MEGABYTE
    assert list(world.peer.heard.values()) == [MEGABYTE]
    (remote,) = [remote for socket, remote in world.peer.streams.items() if socket < 0]
    assert remote == world.client.relayed[0]
    assert world.told(StreamSent)[-1].unsent == 0
    world.node.call(world.client.close_stream, id)
    world.wait(lambda: world.peer.ended and not world.connections())


@pytest.mark.req("RFC6062-007", "RFC6062-014")
def test_a_peer_connects_speaks_first_and_is_heard_after_the_accept():
    world = World()
    world.allocate(transport=TCP)
    socket = world.peer_node.call(world.peer.connect, world.client.relayed[0])
    world.wait(lambda: world.told(ConnectionAttempted))
    world.peer_node.call(world.peer.say, socket, b"hello, is anybody there?")
    world.net.run(until=world.net.now + 10.0)
    (offered,) = world.told(ConnectionAttempted)
    world.node.call(world.client.accept, offered.id)
    world.wait(lambda: world.received(offered.id) == b"hello, is anybody there?")
    assert world.told(PeerConnected) == [PeerConnected(offered.id, offered.peer)]
    world.node.call(world.client.send_stream, offered.id, b"yes")
    world.wait(lambda: world.peer.heard.get(socket) == b"yes")
    world.peer_node.call(world.peer.hang_up, socket)
    world.wait(lambda: StreamReceived(offered.id, b"") in world.told(StreamReceived))
    world.wait(lambda: not world.connections())


@pytest.mark.req("RFC6062-013")
def test_a_peer_without_permission_connects_to_nobody():
    world = World()
    world.node.call(world.client.allocate, transport=TCP)
    world.wait(lambda: world.told(AllocationCreated))
    world.peer_node.call(world.peer.connect, world.client.relayed[0])
    world.wait(lambda: world.peer.ended)
    assert world.told(ConnectionAttempted) == []


@pytest.mark.req("RFC6062-015")
def test_a_peer_that_nobody_accepts_is_closed_after_30_seconds():
    world = World()
    world.allocate(transport=TCP)
    world.peer_node.call(world.peer.connect, world.client.relayed[0])
    world.wait(lambda: world.told(ConnectionAttempted))
    began = world.net.now
    world.wait(lambda: world.peer.ended)
    assert 29.5 < world.net.now - began < 31.0
    assert world.connections() == 0
    world.wait(lambda: world.told(ConnectFailed))


@pytest.mark.req("RFC6062-006", "RFC6062-010")
def test_a_peer_that_refuses_is_left_alone_for_ten_seconds_and_then_asked_again():
    world = World()
    world.allocate(transport=TCP)
    closed = ECHO._replace(port=9)
    world.node.call(world.client.connect, closed)
    world.wait(lambda: world.told(ConnectFailed))
    assert world.told(ConnectFailed)[0].code == 447
    with pytest.raises(LocalProtocolError, match="not again"):
        world.node.call(world.client.connect, closed)
    world.net.run(until=world.net.now + 10.0)
    world.node.call(world.client.connect, closed)
    world.wait(lambda: len(world.told(ConnectFailed)) == 2)


def test_a_client_that_does_not_read_makes_its_peer_wait_and_the_server_hold_little():
    world = World()
    world.allocate(transport=TCP)
    socket = world.peer_node.call(world.peer.connect, world.client.relayed[0])
    world.wait(lambda: world.told(ConnectionAttempted))
    (offered,) = world.told(ConnectionAttempted)
    world.node.call(world.client.accept, offered.id)
    world.wait(lambda: world.client.is_connected(offered.id))
    world.node.call(world.client.set_stream_reading, offered.id, False)
    world.peer_node.call(world.peer.say, socket, MEGABYTE)
    world.net.run(until=world.net.now + 20.0)
    assert len(world.received(offered.id)) < len(MEGABYTE) // 2
    assert 0 < world.server._quotas.total(Resource.QUEUED_BYTES) < 200_000
    world.node.call(world.client.set_stream_reading, offered.id, True)
    world.wait(lambda: world.received(offered.id) == MEGABYTE, 600.0)
    assert world.server._quotas.total(Resource.QUEUED_BYTES) == 0


@pytest.mark.req("RFC6062-017")
@pytest.mark.parametrize("end", ["close", "control"])
def test_nothing_is_left_of_connections_whose_allocation_ends(end):
    world = World()
    world.allocate(transport=TCP)
    id = world.connect()
    if end == "close":
        world.node.call(world.client.close)
    else:
        world.server_node.call(world.server.close_allocation, 1)
    world.wait(lambda: world.peer.ended and not world.connections())
    if end != "close":
        world.wait(lambda: StreamReceived(id, b"") in world.told(StreamReceived))
    else:
        assert [event.id for event in world.told(StreamLost)] == [id]


def test_two_clients_reach_each_other_through_their_relayed_addresses():
    world = World()
    world.allocate(transport=TCP)
    host = world.net.host("other", "203.0.113.50")
    target = ServerTarget(TCP, Address(SERVER, 3478), None)
    other = TurnClient(target, credentials=LongTermCredentials("user", "password"), entropy=host.entropy)
    node = host.run(other)
    node.call(other.allocate, transport=TCP)
    world.wait(lambda: other.relayed)
    node.call(other.create_permission, world.client.relayed[0])
    world.wait(lambda: other.is_permitted(SERVER))
    id = world.node.call(world.client.connect, other.relayed[0])
    world.wait(lambda: any(isinstance(event, ConnectionAttempted) for _, event in node.events))
    (offered,) = [event for _, event in node.events if isinstance(event, ConnectionAttempted)]
    assert offered.peer == world.client.relayed[0]
    node.call(other.accept, offered.id)
    world.wait(lambda: other.is_connected(offered.id) and world.client.is_connected(id))
    world.node.call(world.client.send_stream, id, b"there")
    node.call(other.send_stream, offered.id, b"and back")
    world.wait(lambda: world.received(id) == b"and back")
    assert [event.data for _, event in node.events if isinstance(event, StreamReceived)] == [b"there"]


def test_a_storm_of_connects_is_bounded_and_ends():
    world = World(limits=TurnLimits(pending_connects_per_user=3))
    world.allocate(transport=TCP)
    silent = [Address("198.51.100.200", port) for port in range(1, 11)]
    for peer in silent:
        world.node.call(world.client.connect, peer)
    world.net.run(until=world.net.now + 5.0)
    assert world.connections() <= 3
    world.wait(lambda: len(world.told(ConnectFailed)) == 10, 200.0)
    assert {event.code for event in world.told(ConnectFailed)} <= {447, 508}
    assert world.connections() == 0
    assert world.server._tcp.deadline() == math.inf


# ------------------------------------------------------------------- moves


@pytest.mark.req("RFC8016-006", "RFC8016-007", "RFC8016-009")
@pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
def test_a_client_that_is_told_to_move_moves_and_its_peer_notices_nothing(transport):
    world = World(transport)
    world.allocate(mobility=True)
    world.node.call(world.client.bind_channel, ECHO)
    world.wait(lambda: world.client.channel(ECHO) is not None)
    world.echoes(b"before")
    relayed, path = world.client.relayed, world.client.path
    for number in range(3):
        world.node.call(world.client.rebind)
        world.echoes(b"meanwhile %d" % number)
        world.wait(lambda count=number + 1: len(world.told(AllocationRebound)) == count)
        world.echoes(b"after %d" % number)
    assert world.client.relayed == relayed
    assert world.client.path != path
    moved = [event for _, event in world.server_node.events if isinstance(event, AllocationMoved)]
    assert len(moved) == 3
    world.net.run(until=world.net.now + 10.0)
    assert len(world.server_node.call(world.server.allocations)) == 1
    assert len(world.node.sockets) == 1


def test_a_client_that_only_listens_is_reached_at_its_new_place():
    world = World(UDP)
    world.allocate(mobility=True)
    world.node.call(world.client.rebind)
    world.wait(lambda: world.told(AllocationRebound))
    world.net.run(until=world.net.now + 1.0)
    (info,) = world.server_node.call(world.server.allocations)
    assert info.client.remote.host == "203.0.113.1"
    assert world.client.mapped == info.client.remote
    assert any(isinstance(event, AllocationMoved) for _, event in world.server_node.events)


def test_a_nat_that_forgets_each_hour_costs_a_mobile_client_nothing_but_one_refresh():
    world = World(UDP)
    world.allocate(mobility=True)
    relayed = world.client.relayed
    for hour in range(1, 5):
        world.nat.forget()
        world.net.run(until=world.net.now + 3600.0)
        world.echoes(b"hour %d" % hour)
    assert world.client.relayed == relayed
    assert world.client.mapped == world.server_node.call(world.server.allocations)[0].client.remote
    assert world.told(AllocationLost) == []
    assert len(world.told(AllocationRebound)) == 4


def test_a_stream_that_breaks_is_replaced_and_the_allocation_lives_on():
    world = World(TCP)
    world.allocate(mobility=True)
    relayed = world.client.relayed
    (path,) = [info.client for info in world.server_node.call(world.server.allocations)]
    world.server_node.call(world.server.handle_socket_failed, path.socket, SocketError(SocketErrorKind.RESET))
    world.server_node.close_socket(path.socket, CloseMode.RESET)
    world.wait(lambda: world.told(AllocationRebound))
    world.echoes(b"still here")
    assert world.client.relayed == relayed


def test_connections_with_peers_outlive_a_move_of_their_control_connection():
    world = World(TCP)
    world.allocate(transport=TCP, mobility=True)
    id = world.connect()
    world.node.call(world.client.rebind)
    world.wait(lambda: world.told(AllocationRebound))
    world.node.call(world.client.send_stream, id, b"still connected")
    world.wait(lambda: world.received(id) == b"still connected")
    world.net.run(until=world.net.now + 1200.0)
    assert world.client.is_connected(id)
    second = world.peer_node.call(world.peer.connect, world.client.relayed[0])
    world.wait(lambda: world.told(ConnectionAttempted))
    assert second in world.peer.streams
