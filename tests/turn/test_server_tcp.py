"""TCP allocations of a whole server: requests, peers, data connections, and what ends them (RFC 6062)."""

import math

import pytest

from _turn_serving import (
    CLIENT,
    CLIENT6,
    HOST,
    OF,
    PEER,
    PEER6,
    TCP,
    TCP_RELAY,
    TLS,
    UDP,
    UDP_RELAY,
    TurnServing,
    closed,
    code_of,
    told,
)
from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    OpenSocket,
    SendStream,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.stun import (
    CONNECTION_ID,
    DONT_FRAGMENT,
    EVEN_PORT,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    AddressFamily,
    Attribute,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.turn import AllocationClosed, PeerPolicy, RelayAddress, TurnLimits

REFUSED = SocketError(SocketErrorKind.REFUSED)
OTHER_PEER = Address("8.8.4.4", 7001)


class TcpServing(TurnServing):
    """A server with TCP allocations, whose peers answer when a test says so."""

    def __init__(self, *, mobility=False, relay_addresses=(), **options):
        policy = {"tcp_relay": True, "mobility": mobility, "relay_addresses": relay_addresses}
        super().__init__(policy=policy, **options)

    def open(self, asked):
        if asked.remote is None:
            super().open(asked)

    def control(self, address=CLIENT, **options):
        """A control connection with a TCP allocation."""
        user = self.stream(address, **options)
        answer = user.ask(Method.ALLOCATE, TCP_RELAY)
        assert code_of(answer) == 0
        user.relayed = (answer.get(XOR_RELAYED_ADDRESS),)
        user.relays = tuple(socket for socket, asked in self.opened.items() if asked.bind == user.relayed[0])
        return user

    def connecting(self, user, peer=PEER):
        """The stream that a Connect request makes the server open."""
        user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, peer)))
        return max(self.opened)

    def connected(self, user, peer=PEER):
        """A stream to a peer, and its CONNECTION-ID."""
        socket = self.connecting(user, peer)
        self.server.handle_socket_opened(socket, user.relayed[0], now=self.now)
        (answer,) = user.answers(self.take())
        return socket, decode_untrusted(answer).get(CONNECTION_ID)

    def arriving(self, user, peer=PEER):
        """A stream that a peer opens, and what comes of it."""
        self.accepted -= 1
        self.server.handle_accepted(user.relays[0], SocketId(self.accepted), peer, now=self.now)
        return SocketId(self.accepted), self.take()

    def bound(self, user, peer=PEER):
        """A peer's stream and the client's, bound to each other."""
        socket, id = self.connected(user, peer)
        data = self.stream(CLIENT._replace(port=50000 - self.accepted))
        assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 0
        return socket, data.socket

    def stream_data(self, socket, data):
        return self.call(self.server.handle_stream_data, socket, data)[1]


@pytest.fixture
def serving():
    return TcpServing()


# ------------------------------------------------------------------- Allocate

FORBIDDEN = [(DONT_FRAGMENT, None), (EVEN_PORT, False), (EVEN_PORT, True), (RESERVATION_TOKEN, bytes(8))]
BAD_PEER = Attribute(XOR_PEER_ADDRESS.code, "XOR-PEER-ADDRESS", shapes.OPAQUE)
BAD_ID = Attribute(CONNECTION_ID.code, "CONNECTION-ID", shapes.OPAQUE)


@pytest.mark.req("RFC6062-009")
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_tcp_allocation_listens_at_a_port_that_connections_to_peers_leave_from(serving, transport):
    user = serving.control(transport=transport)
    asked = serving.opened[user.relays[0]]
    assert (asked.transport, asked.remote, asked.options.reuse_port) == (TCP, None, True)


@pytest.mark.req("RFC6062-009")
def test_protocols_other_than_udp_and_tcp_are_a_442(serving):
    assert [serving.stream().code(Method.ALLOCATE, (REQUESTED_TRANSPORT, one)) for one in (0, 1, 7, 16, 18, 255)] == [442] * 6


@pytest.mark.req("RFC6062-009", "RFC7350-004")
@pytest.mark.parametrize("socket", [OF[UDP], SocketId(5)])
def test_a_tcp_allocation_over_datagrams_is_a_400(serving, socket):
    assert serving.client(socket=socket).code(Method.ALLOCATE, TCP_RELAY) == 400


@pytest.mark.req("RFC6062-009")
@pytest.mark.parametrize(
    "attribute", [(DONT_FRAGMENT, None), (EVEN_PORT, False), (EVEN_PORT, True), (RESERVATION_TOKEN, bytes(8))]
)
def test_what_is_about_datagrams_is_a_400(serving, attribute):
    assert serving.stream().code(Method.ALLOCATE, TCP_RELAY, attribute) == 400


@pytest.mark.req("RFC6062-009")
def test_udp_allocations_are_still_made_over_streams(serving):
    assert serving.stream().code(Method.ALLOCATE, UDP_RELAY) == 0


def test_without_being_asked_for_there_are_no_tcp_allocations():
    assert TurnServing().stream().code(Method.ALLOCATE, TCP_RELAY) == 442


# ------------------------------------------------------------------- Connect


@pytest.mark.req("RFC6062-010")
def test_a_connect_is_answered_when_the_peer_has_answered(serving):
    user = serving.control()
    request = user.request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER))
    (asked,) = [output for output in user.send(request) + list(serving.opened.values()) if getattr(output, "remote", None)]
    assert (asked.bind, asked.remote, asked.options.reuse_port) == (user.relayed[0], PEER, True)
    assert user.answers(serving.at(serving.now + 29.9)) == []
    serving.server.handle_socket_opened(asked.socket, user.relayed[0], now=serving.now)
    (answer,) = user.answers(serving.take())
    assert decode_untrusted(answer).get(CONNECTION_ID) is not None


@pytest.mark.req("RFC6062-010")
def test_a_connect_without_a_tcp_allocation_is_a_437(serving):
    assert serving.stream().code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)) == 437
    user = serving.stream()
    user.allocate()
    assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)) == 437


@pytest.mark.req("RFC6062-010")
@pytest.mark.parametrize("bound", [False, True])
def test_a_second_connect_to_a_peer_is_a_446(serving, bound):
    user = serving.control()
    (serving.bound if bound else serving.connecting)(user)
    assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)) == 446


@pytest.mark.req("RFC6062-010")
@pytest.mark.parametrize("attributes", [[], [(BAD_PEER, b"\0\x09")], [(XOR_PEER_ADDRESS, PEER._replace(port=0))]])
def test_a_missing_or_impossible_peer_is_a_400(serving, attributes):
    assert serving.control().code(Method.CONNECT, *attributes) == 400


@pytest.mark.req("RFC6062-010")
@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "169.254.169.254", HOST])
def test_a_forbidden_peer_is_a_403_and_nothing_is_opened(serving, host):
    user = serving.control()
    before = len(serving.opened)
    assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, Address(host, 22))) == 403
    assert len(serving.opened) == before


def test_a_peer_of_the_other_family_is_a_443(serving):
    assert serving.control().code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER6)) == 443


@pytest.mark.req("RFC6062-010")
def test_a_peer_on_our_own_host_is_a_relayed_tcp_address_or_a_403(serving):
    user, other, datagrams = serving.control(), serving.control(CLIENT._replace(port=1)), serving.client()
    datagrams.allocate()
    assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, datagrams.relayed[0])) == 403
    assert serving.opened[serving.connecting(user, other.relayed[0])].remote == other.relayed[0]


def test_behind_a_nat_connections_leave_from_what_the_relayed_address_is_bound_to():
    told = RelayAddress(HOST, "203.0.113.200")
    serving = TcpServing(relay_addresses=(told,))
    user = serving.stream()
    relayed = user.ask(Method.ALLOCATE, TCP_RELAY).get(XOR_RELAYED_ADDRESS)
    assert relayed.host == told.told
    assert serving.opened[serving.connecting(user)].bind == Address(HOST, relayed.port)


@pytest.mark.req("RFC6062-010")
def test_a_peer_that_cannot_be_reached_is_a_447(serving):
    user = serving.control()
    socket = serving.connecting(user)
    serving.server.handle_socket_failed(socket, REFUSED, now=serving.now)
    (answer,) = user.answers(serving.take())
    assert code_of(decode_untrusted(answer)) == 447


@pytest.mark.req("RFC6062-011")
def test_a_peer_that_says_nothing_is_a_447_after_30_seconds(serving):
    user = serving.control()
    serving.connecting(user)
    outputs = serving.at(serving.now + 60.0)
    (answer,) = user.answers([output for due, output in outputs if due == 1030.0])
    assert code_of(decode_untrusted(answer)) == 447


def test_another_user_connects_nothing_on_somebody_elses_stream(serving):
    user = serving.control()
    user.user = "bob"
    assert user.code(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)) == 441


def test_a_storm_of_connects_is_refused_by_508_and_another_user_is_served():
    serving = TcpServing(limits=TurnLimits(pending_connects_per_user=5))
    user, other = serving.control(), serving.control(CLIENT._replace(port=1), user="bob")
    peers = [Address("8.8.4.4", port) for port in range(1, 51)]
    answers = [user.answers(user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, peer)))) for peer in peers]
    assert [code_of(decode_untrusted(one[0])) if one else None for one in answers] == [None] * 5 + [508] * 45
    assert serving.connecting(other) in serving.opened


# ------------------------------------------------------------------- peers that connect


@pytest.mark.req("RFC6062-013")
def test_who_has_no_permission_is_closed_and_who_has_one_is_announced(serving):
    user = serving.control()
    stranger, outputs = serving.arriving(user)
    assert outputs == [CloseSocket(stranger, CloseMode.RESET)]
    assert user.permit(PEER) == 0
    peer, outputs = serving.arriving(user, OTHER_PEER)
    (told_client,) = user.answers(outputs)
    indication = decode_untrusted(told_client)
    assert (indication.method, indication.message_class) == (Method.CONNECTION_ATTEMPT, MessageClass.INDICATION)
    assert indication.get(XOR_PEER_ADDRESS) == OTHER_PEER
    data = serving.stream(CLIENT._replace(port=2))
    assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, indication.get(CONNECTION_ID))) == 0
    assert serving.stream_data(peer, b"hello") == [SendStream(data.socket, b"hello")]


def test_peers_on_our_own_host_are_relayed_addresses_or_nobody(serving):
    user, other = serving.control(), serving.control(CLIENT._replace(port=1))
    assert user.permit(other.relayed[0]) == 0
    program, outputs = serving.arriving(user, other.relayed[0]._replace(port=22))
    assert closed(outputs) == [program]
    _, outputs = serving.arriving(user, other.relayed[0])
    assert len(user.answers(outputs)) == 1


# ------------------------------------------------------------------- ConnectionBind


@pytest.mark.req("RFC6062-016")
def test_a_connection_bind_over_udp_is_a_400(serving):
    _, id = serving.connected(serving.control())
    assert serving.client().code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 400


@pytest.mark.req("RFC6062-016")
def test_a_connection_bind_without_an_id_or_with_an_unknown_one_is_a_400_and_the_stream_goes_on(serving):
    user = serving.control()
    socket, id = serving.connected(user)
    data = serving.stream(CLIENT._replace(port=2))
    assert data.code(Method.CONNECTION_BIND) == 400
    assert data.code(Method.CONNECTION_BIND, (BAD_ID, b"\0\0")) == 400
    assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, id ^ 1)) == 400
    assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 0
    assert data.send(b"raw") == [SendStream(socket, b"raw")]


def test_another_users_connection_is_answered_like_one_that_there_is_not(serving):
    _, id = serving.connected(serving.control())
    mallory = serving.stream(CLIENT._replace(port=2), user="bob")
    assert mallory.code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 400
    assert serving.stream(CLIENT._replace(port=3)).code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 0


def test_a_connection_is_bound_once(serving):
    user = serving.control()
    _, id = serving.connected(user)
    codes = [serving.stream(CLIENT._replace(port=port)).code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) for port in (2, 3)]
    assert codes == [0, 400]


def test_a_control_connection_is_no_data_connection(serving):
    user = serving.control()
    _, id = serving.connected(user)
    assert user.code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) == 400


def test_a_stream_that_becomes_a_data_connection_waits_for_no_allocation_any_more(serving):
    _, id = serving.connected(serving.control())
    data = serving.stream(CLIENT._replace(port=2))
    data.ask(Method.REFRESH)
    serving.holding = True
    (asked,) = [one for one in data.send(data.request(Method.ALLOCATE, TCP_RELAY)) if isinstance(one, OpenSocket)]
    outputs = data.send(data.request(Method.CONNECTION_BIND, (CONNECTION_ID, id)))
    assert [code_of(decode_untrusted(answer)) for answer in data.answers(outputs)] == [0]
    assert closed(outputs) == [asked.socket]


def test_a_stream_that_ends_behind_its_connection_bind_ends_the_peers():
    serving = TcpServing(limits=TurnLimits())
    user = serving.control()
    socket, id = serving.connected(user)
    data = serving.stream(CLIENT._replace(port=2))
    request = data.request(Method.CONNECTION_BIND, (CONNECTION_ID, id))
    real = serving.server._stun.handle_stream_data
    real(data.socket, request, now=serving.now)
    real(data.socket, b"", now=serving.now)
    serving.server._absorb(serving.now)
    assert sorted(closed(serving.take())) == sorted([socket, data.socket])


@pytest.mark.req("RFC6062-008", "RFC6062-014")
def test_bytes_on_both_sides_of_the_bind_arrive_whole_and_in_order(serving):
    user = serving.control()
    socket, id = serving.connected(user)
    serving.stream_data(socket, b"early ")
    data = serving.stream(CLIENT._replace(port=2))
    outputs = data.send(data.request(Method.CONNECTION_BIND, (CONNECTION_ID, id)) + b"\x80eager")
    answer, *streamed = [output for output in outputs if isinstance(output, SendStream)]
    assert decode_untrusted(answer.data).message_class is MessageClass.SUCCESS
    assert streamed == [SendStream(socket, b"\x80eager"), SendStream(data.socket, b"early ")]
    assert serving.stream_data(socket, b"bird") == [SendStream(data.socket, b"bird")]
    binding = encode(Method.BINDING, MessageClass.REQUEST, bytes(12))
    assert data.send(binding) == [SendStream(socket, binding)]


def test_a_slow_client_stops_the_reading_of_its_peer(serving):
    socket, data = serving.bound(serving.control())
    assert serving.call(serving.server.handle_stream_sent, data, 100_000)[1] == [SetReading(socket, False)]
    assert serving.call(serving.server.handle_stream_sent, data, 0)[1] == [SetReading(socket, True)]


# ------------------------------------------------------------------- ends


@pytest.mark.req("RFC6062-015")
def test_a_peer_nobody_binds_is_closed_after_30_seconds(serving):
    socket, _ = serving.connected(serving.control())
    outputs = serving.at(serving.now + 31.0)
    assert [(due, output.socket) for due, output in outputs if isinstance(output, CloseSocket)] == [(1030.0, socket)]


@pytest.mark.req("RFC6062-017")
@pytest.mark.parametrize("end", ["expiry", "deletion", "control", "kill", "relay"])
def test_data_connections_end_with_their_allocation(serving, end):
    user = serving.control()
    socket, data = serving.bound(user)
    waiting = serving.connecting(user, OTHER_PEER)
    if end == "expiry":
        outputs = [output for _, output in serving.at(serving.now + 601.0)]
    elif end == "deletion":
        outputs = user.send(user.request(Method.REFRESH, (LIFETIME, 0)))
    elif end == "control":
        outputs = user.send(b"")
    elif end == "kill":
        (info,) = serving.allocations()
        outputs = serving.call(serving.server.close_allocation, info.id)[1]
    else:
        outputs = serving.call(serving.server.handle_socket_failed, user.relays[0], REFUSED)[1]
    assert dict.fromkeys((socket, data, waiting)).items() <= dict.fromkeys(closed(outputs)).items()
    (event,) = [event for event in told(outputs) if isinstance(event, AllocationClosed)]
    assert event.stats.received_packets == 0
    assert serving.stats.tcp_connections == 0
    assert serving.server._tcp.deadline() == math.inf


@pytest.mark.req("RFC6062-017")
@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("how", ["end", "failure"])
def test_the_end_of_one_side_is_the_end_of_the_other(serving, side, how):
    sides = serving.bound(serving.control())
    if how == "end":
        outputs = serving.stream_data(sides[side], b"")
    else:
        outputs = serving.call(serving.server.handle_socket_failed, sides[side], REFUSED)[1]
    assert sides[1 - side] in closed(outputs)
    assert serving.stats.tcp_connections == 0


def test_a_server_that_closes_closes_everything(serving):
    user = serving.control()
    socket, data = serving.bound(user)
    _, outputs = serving.call(serving.server.close)
    assert dict.fromkeys((socket, data, user.socket, *user.relays)).items() <= dict.fromkeys(closed(outputs)).items()


def test_ipv6_peers_are_reached_from_an_ipv6_address():
    serving = TcpServing(peer_policy=PeerPolicy())
    user = serving.stream(CLIENT6)
    answer = user.ask(Method.ALLOCATE, TCP_RELAY, (REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6))
    user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER6)))
    asked = serving.opened[max(serving.opened)]
    assert isinstance(asked, OpenSocket)
    assert (asked.bind, asked.remote) == (answer.get(XOR_RELAYED_ADDRESS), PEER6)


def test_peers_are_turned_away_while_the_client_does_not_read_its_control_connection(serving):
    # Each is told of: without a bound, peers that come and go fill the memory.
    user = serving.control()
    assert user.permit(PEER) == 0
    serving.call(serving.server.handle_stream_sent, user.socket, 2**18)
    _, outputs = serving.arriving(user)
    assert len(user.answers(outputs)) == 1
    serving.call(serving.server.handle_stream_sent, user.socket, 2**18 + 1)
    socket, outputs = serving.arriving(user, OTHER_PEER)
    assert outputs == [CloseSocket(socket, CloseMode.RESET)]
    assert serving.stats.dropped[DropReason.QUEUE_FULL] == 1


def test_a_peer_that_comes_while_the_client_is_between_two_streams_is_turned_away():
    serving = TcpServing(mobility=True)
    user = serving.stream()
    assert code_of(user.ask(Method.ALLOCATE, TCP_RELAY, (MOBILITY_TICKET, b""))) == 0
    assert user.permit(PEER) == 0
    user.relays = (max(serving.opened),)
    user.send(b"")
    socket, outputs = serving.arriving(user)
    assert outputs == [CloseSocket(socket, CloseMode.RESET)]
