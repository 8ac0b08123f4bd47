import math

import pytest

from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    Ids,
    OpenSocket,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import (
    CONNECTION_ID,
    ERROR_CODE,
    XOR_PEER_ADDRESS,
    AddressFamily,
    ErrorCode,
    MessageClass,
    Method,
    Path,
    RequestReceived,
    decode_untrusted,
    encode,
)
from sansice.turn._server._allocation import TCP_PROTOCOL, Allocation, AllocationId, Relay
from sansice.turn._server._limits import Quotas, Resource, TurnLimits
from sansice.turn._server._peer_connection import PEER_TRANSITIONS, PeerState
from sansice.turn._server._stats import TurnServerStats
from sansice.turn._server._tcp_relay import BIND_TIMEOUT, CONNECT_TIMEOUT, CROWDED, MAX_HELD, ConnectFinished, TcpRelay
from sansice.turn._server._tickets import Tokens, worker_of_connection

CLIENT = Address("203.0.113.5", 40000)
PEER = Address("198.51.100.7", 8080)
OTHER_PEER = Address("198.51.100.8", 8080)
LOCAL = Address("192.0.2.1", 50000)
CONTROL, DATA, INCOMING = SocketId(-1), SocketId(-2), SocketId(-3)
LISTENING = SocketId(99)
FAILED = SocketError(SocketErrorKind.REFUSED)


class World:
    """A `TcpRelay`, and the users and allocations that a server would have for it."""

    def __init__(self, worker=0, draws=None, **limits):
        self.quotas = Quotas(TurnLimits())
        self.quotas.set_limits(TurnLimits(**limits), now=0.0)
        self.stats = TurnServerStats()
        self.dropped = self.stats.dropped
        entropy = Draws() if draws is None else draws
        self.tcp = TcpRelay(self.quotas, Tokens(worker, entropy=entropy), self.stats, ids=Ids(), entropy=entropy)
        self.requests = 0

    def relay(self, username="alice", socket=LISTENING):
        path = Path(CONTROL, CLIENT, Transport.TCP)
        user = self.quotas.user(username, now=0.0)
        allocation = Allocation(AllocationId(1), path, b"t" * 12, username, user, protocol=TCP_PROTOCOL)
        return Relay(allocation, AddressFamily.IPV4, socket, LOCAL, LOCAL, 600.0)

    def request(self):
        self.requests += 1
        data = encode(Method.CONNECT, MessageClass.REQUEST, self.requests.to_bytes(12, "big"), [])
        return RequestReceived(Path(CONTROL, CLIENT, Transport.TCP), decode_untrusted(data), "alice")

    def outputs(self):
        return self.tcp.take_outputs()

    def connecting(self, relay, peer=PEER, now=0.0):
        assert self.tcp.connect(relay, peer, self.request(), now=now) is None
        (opened,) = self.outputs()
        return opened.socket

    def connected(self, relay, peer=PEER, now=0.0):
        socket = self.connecting(relay, peer, now)
        self.tcp.handle_socket_opened(socket, LOCAL, now=now)
        *_, finished = self.outputs()
        return socket, finished.connection

    def attempted(self, relay, peer=PEER, socket=INCOMING, now=0.0):
        self.tcp.handle_peer(relay, socket, peer, now=now)
        _, told = self.outputs()
        return decode_untrusted(told.data).get(CONNECTION_ID)

    def bound(self, relay, peer=PEER, client=DATA, rest=b"", now=0.0):
        socket, id = self.connected(relay, peer, now)
        self.tcp.bind(self.tcp.claim(id, relay.allocation.username), client, rest, now=now)
        return socket, self.outputs()

    def is_empty(self):
        tcp = self.tcp
        counted = [self.quotas.total(resource) for resource in Resource]
        kept = self.stats.tcp_connections, tcp._by_id, tcp._by_relay, tcp._legs, *counted
        return tcp.deadline() == math.inf and not any(kept)


class Draws:
    """Entropy that never repeats."""

    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


# ------------------------------------------------------------------- Connect


@pytest.mark.req("RFC6062-010")
def test_a_connect_opens_a_connection_from_the_port_of_the_relayed_address():
    world = World()
    relay = world.relay()
    assert world.tcp.connect(relay, PEER, world.request(), now=0.0) is None
    assert world.outputs() == [OpenSocket(SocketId(1), Transport.TCP, LOCAL, PEER, SocketOptions(reuse_port=True))]


def test_a_connect_succeeds_when_the_peer_answers_who_is_not_read_before_the_bind():
    world = World()
    request = world.request()
    world.tcp.connect(world.relay(), PEER, request, now=0.0)
    (opened,) = world.outputs()
    world.tcp.handle_socket_opened(opened.socket, LOCAL, now=1.0)
    reading, finished = world.outputs()
    assert reading == SetReading(opened.socket, False)
    assert finished == ConnectFinished(request, finished.connection, None)
    assert world.tcp.claim(finished.connection, "alice") is not None


@pytest.mark.req("RFC6062-010")
def test_a_peer_that_refuses_is_a_447():
    world = World()
    request = world.request()
    world.tcp.connect(world.relay(), PEER, request, now=0.0)
    (opened,) = world.outputs()
    world.tcp.handle_socket_failed(opened.socket, FAILED, now=1.0)
    (finished,) = world.outputs()
    assert (finished.request, finished.error) == (request, ErrorCode(447, "Connection Timeout or Failure"))
    assert world.is_empty()


@pytest.mark.req("RFC6062-011")
def test_a_peer_has_30_seconds_to_answer_and_then_it_is_a_447():
    world = World()
    socket = world.connecting(world.relay(), now=5.0)
    assert CONNECT_TIMEOUT >= 30
    assert world.tcp.deadline() == 35.0
    world.tcp.handle_timer(now=34.999)
    assert world.outputs() == []
    world.tcp.handle_timer(now=35.0)
    finished, closed = world.outputs()
    assert finished.error.code == 447
    assert closed == CloseSocket(socket, CloseMode.RESET)
    assert world.is_empty()


@pytest.mark.req("RFC6062-010")
@pytest.mark.parametrize("stage", ["connecting", "connected", "bound"])
def test_a_second_connect_to_a_peer_is_a_446_while_the_first_is_under_way_pending_or_active(stage):
    world = World()
    relay = world.relay()
    getattr(world, stage)(relay)
    assert world.tcp.connect(relay, PEER, world.request(), now=1.0) == ErrorCode(446, "Connection Already Exists")
    assert world.outputs() == []


def test_a_peer_that_connected_by_itself_is_connected_as_well():
    world = World()
    relay = world.relay()
    world.attempted(relay)
    assert world.tcp.connect(relay, PEER, world.request(), now=1.0).code == 446


def test_a_peer_may_be_connected_again_after_the_end_and_from_another_allocation_at_once():
    world = World()
    relay = world.relay()
    socket, _ = world.bound(relay)
    assert world.tcp.connect(world.relay(socket=SocketId(98)), PEER, world.request(), now=1.0) is None
    world.tcp.handle_stream_data(socket, b"", now=1.0)
    assert world.tcp.connect(relay, PEER, world.request(), now=1.0) is None


@pytest.mark.req("RFC6062-012")
def test_every_connection_has_an_id_of_its_own_that_names_the_worker():
    world = World(worker=7, pending_connects=1000, pending_connects_per_user=1000, tcp_connections_per_user=1000)
    relay = world.relay()
    ids = [world.connected(relay, Address("198.51.100.7", port))[1] for port in range(1, 501)]
    assert len(dict.fromkeys(ids)) == 500
    assert [worker_of_connection(id) for id in ids] == [7] * 500


@pytest.mark.req("RFC6062-012")
def test_an_id_that_is_taken_is_drawn_again():
    draws = [b"\0\0\1", b"\0\0\1", b"\0\0\2"]
    world = World(draws=lambda size: draws.pop(0))
    relay = world.relay()
    assert [world.connected(relay, peer)[1] for peer in (PEER, OTHER_PEER)] == [1, 2]


# ------------------------------------------------------------------- peers that connect


def test_a_peer_without_permission_is_closed_at_once_and_the_client_hears_nothing():
    world = World()
    world.tcp.refuse(INCOMING, DropReason.NO_PERMISSION)
    assert world.outputs() == [CloseSocket(INCOMING, CloseMode.RESET)]
    assert world.dropped == {DropReason.NO_PERMISSION: 1}
    assert world.is_empty()


@pytest.mark.req("RFC6062-013")
def test_a_peer_with_permission_is_announced_on_the_control_connection():
    world = World()
    world.tcp.handle_peer(world.relay(), INCOMING, PEER, now=0.0)
    reading, told = world.outputs()
    assert reading == SetReading(INCOMING, False)
    assert told.socket == CONTROL
    indication = decode_untrusted(told.data)
    assert (indication.method, indication.message_class) == (Method.CONNECTION_ATTEMPT, MessageClass.INDICATION)
    assert indication.get(XOR_PEER_ADDRESS) == PEER
    assert world.tcp.claim(indication.get(CONNECTION_ID), "alice") is not None


def test_a_peer_that_is_connected_already_is_not_taken_twice():
    world = World()
    relay = world.relay()
    world.attempted(relay)
    world.tcp.handle_peer(relay, SocketId(-9), PEER, now=0.0)
    assert world.outputs() == [CloseSocket(SocketId(-9), CloseMode.RESET)]
    assert world.dropped == {DropReason.LIMIT: 1}


# ------------------------------------------------------------------- ConnectionBind


@pytest.mark.req("RFC6062-015")
@pytest.mark.parametrize("way", ["connected", "attempted"])
def test_without_a_bind_within_30_seconds_the_peer_is_closed(way):
    world = World()
    assert BIND_TIMEOUT == 30.0
    getattr(world, way)(world.relay(), now=2.0)
    world.tcp.handle_timer(now=31.999)
    assert world.outputs() == []
    world.tcp.handle_timer(now=32.0)
    (closed,) = world.outputs()
    assert closed.mode is CloseMode.RESET
    assert world.is_empty()


@pytest.mark.req("RFC6062-015")
def test_the_30_seconds_begin_when_the_peer_has_answered():
    world = World()
    socket = world.connecting(world.relay(), now=0.0)
    world.tcp.handle_socket_opened(socket, LOCAL, now=29.0)
    assert world.tcp.deadline() == 59.0


def test_a_bound_connection_has_no_deadline_and_both_sides_are_read():
    world = World()
    socket, outputs = world.bound(world.relay())
    assert outputs == [SetReading(socket, True), SetReading(DATA, True)]
    assert world.tcp.deadline() == math.inf
    assert world.tcp.owns(DATA) and world.tcp.owns(socket)


@pytest.mark.req("RFC6062-016")
def test_nobody_claims_an_unknown_a_connecting_a_bound_or_another_users_connection():
    world = World()
    relay = world.relay()
    _, id = world.connected(relay)
    assert world.tcp.claim(id + 1, "alice") is None
    assert world.tcp.claim(id, "mallory") is None
    world.tcp.bind(world.tcp.claim(id, "alice"), DATA, b"", now=0.0)
    assert world.tcp.claim(id, "alice") is None
    assert world.tcp.connect(relay, OTHER_PEER, world.request(), now=0.0) is None
    (connecting,) = [one for one in world.tcp._by_id.values() if one.state is PeerState.CONNECTING]
    assert world.tcp.claim(connecting.id, "alice") is None


def test_a_client_that_ends_while_it_binds_ends_the_peer():
    world = World()
    socket, id = world.connected(world.relay())
    world.tcp.drop(world.tcp.claim(id, "alice"))
    assert world.outputs() == [CloseSocket(socket, CloseMode.RESET)]
    assert world.is_empty()


@pytest.mark.req("RFC6062-014")
def test_what_the_peer_sent_before_the_bind_comes_first_then_its_end():
    world = World()
    socket, id = world.connected(world.relay())
    world.tcp.handle_stream_data(socket, b"early", now=0.0)
    world.tcp.handle_stream_data(socket, b" bird", now=0.0)
    world.tcp.handle_stream_data(socket, b"", now=0.0)
    assert world.outputs() == []
    world.tcp.bind(world.tcp.claim(id, "alice"), DATA, b"", now=0.0)
    assert world.outputs() == [SendStream(DATA, b"early bird"), CloseSocket(socket), CloseSocket(DATA)]
    assert world.is_empty()


@pytest.mark.req("RFC6062-014")
def test_what_the_peer_sent_before_the_bind_comes_before_what_it_sends_after():
    world = World()
    socket, id = world.connected(world.relay())
    world.tcp.handle_stream_data(socket, b"one", now=0.0)
    connection = world.tcp.claim(id, "alice")
    world.tcp.bind(connection, DATA, b"", now=0.0)
    assert not connection.held
    world.tcp.handle_stream_data(socket, b"two", now=0.0)
    sent = [output for output in world.outputs() if isinstance(output, SendStream)]
    assert sent == [SendStream(DATA, b"one"), SendStream(DATA, b"two")]


def test_what_a_peer_sends_before_the_bind_is_bounded():
    world = World()
    socket, id = world.connected(world.relay())
    world.tcp.handle_stream_data(socket, bytes(MAX_HELD), now=0.0)
    assert world.outputs() == []
    world.tcp.handle_stream_data(socket, b"x", now=0.0)
    assert world.outputs() == [CloseSocket(socket, CloseMode.RESET)]
    assert world.dropped == {DropReason.LIMIT: 1}
    assert world.tcp.claim(id, "alice") is None
    assert world.is_empty()


def test_a_peer_that_ends_before_it_said_anything_is_not_waited_for():
    world = World()
    socket, id = world.connected(world.relay())
    world.tcp.handle_stream_data(socket, b"", now=0.0)
    assert world.outputs() == [CloseSocket(socket, CloseMode.RESET)]
    assert world.tcp.claim(id, "alice") is None
    assert world.is_empty()


@pytest.mark.req("RFC6062-008")
def test_what_the_client_sent_behind_its_bind_goes_to_the_peer():
    world = World()
    socket, outputs = world.bound(world.relay(), rest=b"GET /")
    assert outputs[0] == SendStream(socket, b"GET /")


# ------------------------------------------------------------------- data


@pytest.mark.req("RFC6062-008")
def test_bytes_are_relayed_as_they_are_and_counted_both_ways():
    world = World()
    relay = world.relay()
    socket, _ = world.bound(relay)
    binding = encode(Method.BINDING, MessageClass.REQUEST, bytes(12), [])
    world.tcp.handle_stream_data(DATA, binding, now=1.0)
    world.tcp.handle_stream_data(socket, b"\x40\0\0\4data", now=1.0)
    assert world.outputs() == [SendStream(socket, binding), SendStream(DATA, b"\x40\0\0\4data")]
    for counted in (relay.allocation, world.stats):
        assert (counted.received_bytes, counted.sent_bytes) == (len(binding), 8)


@pytest.mark.req("RFC6062-017")
@pytest.mark.parametrize("end", ["peer", "client"])
def test_the_end_of_one_side_closes_the_other_after_what_it_is_owed(end):
    world = World()
    socket, _ = world.bound(world.relay())
    world.tcp.handle_stream_data(socket if end == "peer" else DATA, b"", now=1.0)
    assert world.outputs() == [CloseSocket(socket, CloseMode.FLUSH), CloseSocket(DATA, CloseMode.FLUSH)]
    assert world.is_empty()


@pytest.mark.req("RFC6062-017")
@pytest.mark.parametrize("lost", ["peer", "client"])
def test_a_side_that_is_lost_closes_the_other(lost):
    world = World()
    socket, _ = world.bound(world.relay())
    world.tcp.handle_socket_failed(socket if lost == "peer" else DATA, FAILED, now=1.0)
    assert world.outputs() == [CloseSocket(DATA if lost == "peer" else socket, CloseMode.FLUSH)]
    assert world.is_empty()


@pytest.mark.req("RFC6062-017")
def test_the_end_of_a_relayed_address_closes_its_connections_whatever_their_state():
    world = World()
    relay, other = world.relay(), world.relay(socket=SocketId(98))
    bound, _ = world.bound(relay)
    pending, _ = world.connected(relay, OTHER_PEER)
    connecting = world.connecting(relay, Address("198.51.100.9", 1))
    kept = world.connecting(other)
    assert (world.tcp.connections(relay), world.tcp.connections(other)) == (3, 1)
    world.tcp.close_relay(relay)
    outputs = world.outputs()
    (finished,) = [output for output in outputs if isinstance(output, ConnectFinished)]
    assert finished.error.code == 437
    assert [output for output in outputs if output is not finished] == [
        CloseSocket(bound, CloseMode.FLUSH),
        CloseSocket(DATA, CloseMode.FLUSH),
        CloseSocket(pending, CloseMode.RESET),
        CloseSocket(connecting, CloseMode.RESET),
    ]
    assert (world.tcp.connections(relay), world.tcp.connections(other)) == (0, 1)
    assert world.tcp.owns(kept)


def test_a_side_that_does_not_read_stops_the_reading_of_the_other_until_half_is_read():
    world = World()
    socket, _ = world.bound(world.relay())
    world.tcp.handle_stream_sent(DATA, CROWDED, now=1.0)
    assert world.outputs() == []
    world.tcp.handle_stream_sent(DATA, CROWDED + 1, now=1.0)
    assert world.outputs() == [SetReading(socket, False)]
    world.tcp.handle_stream_sent(DATA, CROWDED // 2 + 1, now=1.0)
    assert world.outputs() == []
    world.tcp.handle_stream_sent(DATA, CROWDED // 2, now=1.0)
    assert world.outputs() == [SetReading(socket, True)]
    world.tcp.handle_stream_sent(socket, CROWDED + 1, now=1.0)
    assert world.outputs() == [SetReading(DATA, False)]


def test_a_user_over_the_bound_of_queued_bytes_is_read_no_more_while_anything_of_it_waits():
    world = World(queued_bytes_per_user=1000)
    relay = world.relay()
    first, _ = world.bound(relay)
    second, _ = world.bound(relay, OTHER_PEER, SocketId(-4))
    stranger, _ = world.bound(world.relay("bob", SocketId(98)), client=SocketId(-5))
    world.tcp.handle_stream_sent(DATA, 900, now=1.0)
    assert world.outputs() == []
    world.tcp.handle_stream_sent(SocketId(-4), 200, now=1.0)
    assert world.outputs() == [SetReading(second, False)]
    world.tcp.handle_stream_sent(SocketId(-5), 900, now=1.0)
    assert world.outputs() == []
    world.tcp.handle_stream_sent(DATA, 0, now=1.0)
    world.tcp.handle_stream_sent(SocketId(-4), 100, now=1.0)
    assert world.outputs() == [SetReading(second, True)]
    for socket in (first, second, stranger):
        world.tcp.handle_stream_data(socket, b"", now=1.0)
    assert world.is_empty()


def test_a_stream_over_its_users_bandwidth_loses_nothing_and_is_read_again_when_it_is_made_up_for():
    world = World(bytes_per_second_per_user=10_000)
    socket, _ = world.bound(world.relay())
    world.tcp.handle_stream_data(socket, bytes(65535), now=1.0)
    assert world.outputs() == [SendStream(DATA, bytes(65535))]
    world.tcp.handle_stream_data(socket, bytes(20_000), now=1.0)
    assert world.outputs() == [SendStream(DATA, bytes(20_000)), SetReading(socket, False)]
    assert world.tcp.deadline() == 3.0
    world.tcp.handle_timer(now=3.0)
    assert world.outputs() == [SetReading(socket, True)]


def test_a_reader_that_is_slow_as_well_is_waited_for_after_the_bandwidth():
    world = World(bytes_per_second=10_000)
    socket, _ = world.bound(world.relay())
    world.tcp.handle_stream_data(socket, bytes(75_535), now=1.0)
    world.tcp.handle_stream_sent(DATA, CROWDED + 1, now=1.0)
    assert [output for output in world.outputs() if isinstance(output, SetReading)] == [SetReading(socket, False)]
    world.tcp.handle_timer(now=2.0)
    assert world.outputs() == []
    world.tcp.handle_stream_sent(DATA, 0, now=2.5)
    assert world.outputs() == [SetReading(socket, True)]


# ------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "limits",
    [{"pending_connects_per_user": 10}, {"pending_connects": 10}, {"tcp_connections_per_user": 10}, {"tcp_connections": 10}],
)
def test_a_storm_of_connects_is_bounded_by_user_and_in_total(limits):
    world = World(**limits)
    relay = world.relay()
    answers = [world.tcp.connect(relay, Address("198.51.100.7", port), world.request(), now=0.0) for port in range(1, 1001)]
    assert answers == [None] * 10 + [ErrorCode(508, "Insufficient Capacity")] * 990
    assert len(world.outputs()) == 10
    assert world.dropped == {DropReason.LIMIT: 990}
    world.tcp.handle_timer(now=30.0)
    world.outputs()
    assert world.is_empty()


def test_a_storm_of_peers_is_bounded_and_another_user_is_still_served():
    world = World(pending_connects_per_user=10)
    relay = world.relay()
    for number in range(1000):
        world.tcp.handle_peer(relay, SocketId(-10 - number), Address("198.51.100.7", 1 + number), now=0.0)
    assert sum(isinstance(output, SendStream) for output in world.outputs()) == 10
    assert world.dropped == {DropReason.LIMIT: 990}
    assert world.tcp.connect(world.relay("bob", SocketId(98)), PEER, world.request(), now=0.0) is None


def test_a_bound_connection_is_not_pending_any_more():
    world = World(pending_connects_per_user=1)
    relay = world.relay()
    world.bound(relay)
    assert world.tcp.connect(relay, OTHER_PEER, world.request(), now=0.0) is None


# ------------------------------------------------------------------- what is not ours, or comes at the wrong time


def test_sockets_of_nobody_and_inputs_out_of_time_change_nothing():
    world = World()
    tcp = world.tcp
    connecting = world.connecting(world.relay())
    for socket in (SocketId(55), connecting):
        tcp.handle_stream_sent(socket, 10**6, now=0.0)
    tcp.handle_socket_opened(SocketId(55), LOCAL, now=0.0)
    tcp.handle_socket_failed(SocketId(55), FAILED, now=0.0)
    tcp.handle_stream_data(SocketId(55), b"x", now=0.0)
    assert world.outputs() == []
    tcp.handle_socket_opened(connecting, LOCAL, now=0.0)
    assert len(world.outputs()) == 2
    tcp.handle_socket_opened(connecting, LOCAL, now=0.0)
    tcp.close_relay(world.relay(socket=SocketId(97)))
    assert world.outputs() == []


def test_every_connection_can_end_from_every_state_but_the_end():
    assert [state for state, steps in PEER_TRANSITIONS.items() if not steps] == [PeerState.CLOSED]
    assert all(PeerState.CLOSED in steps.values() for state, steps in PEER_TRANSITIONS.items() if state is not PeerState.CLOSED)


# ------------------------------------------------------------------- on the wire


@pytest.mark.req("RFC6062-018")
def test_methods_connection_id_and_codes_are_those_of_the_registry():
    kinds = [(Method.CONNECT, MessageClass.REQUEST), (Method.CONNECTION_BIND, MessageClass.REQUEST)]
    kinds += [(Method.CONNECTION_ATTEMPT, MessageClass.INDICATION), (Method.CONNECT, MessageClass.SUCCESS)]
    assert [encode(*kind, bytes(12), [])[:2].hex() for kind in kinds] == ["000a", "000b", "001c", "010a"]
    attribute = encode(Method.CONNECT, MessageClass.SUCCESS, bytes(12), [(CONNECTION_ID, 0xFEDCBA98)])[20:]
    assert attribute.hex() == "002a0004fedcba98"
    world = World()
    relay = world.relay()
    world.connecting(relay)
    exists = world.tcp.connect(relay, PEER, world.request(), now=0.0)
    world.tcp.handle_timer(now=30.0)
    unreachable = world.outputs()[0].error
    codes = [
        encode(Method.CONNECT, MessageClass.ERROR, bytes(12), [(ERROR_CODE, one)])[24:28].hex() for one in (exists, unreachable)
    ]
    assert codes == ["0000042e", "0000042f"]
