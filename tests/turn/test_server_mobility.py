"""Clients of a whole server that move: datagrams, streams, and what becomes of the old place (RFC 8016)."""

import math

import pytest

from _turn_serving import (
    CLIENT,
    DTLS,
    OF,
    PEER,
    TCP,
    TCP_RELAY,
    TLS,
    UDP,
    UDP_RELAY,
    TurnServing,
    closed,
    code_of,
    sent_to_peers,
    told,
)
from sansice.machine import Address, SendStream, SocketError, SocketErrorKind
from sansice.stun import (
    CONNECTION_ID,
    LIFETIME,
    MOBILITY_TICKET,
    REQUESTED_ADDRESS_FAMILY,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Method,
    decode_untrusted,
)
from sansice.turn import AllocationClosed, AllocationMoved, CloseReason, TurnLimits

ROAD = Address("203.0.113.77", 1024)
CHANNEL_DATA = b"\x40\x00\x00\x04data"
RESET = SocketError(SocketErrorKind.RESET)
ASK = (MOBILITY_TICKET, b"")


class MobileServing(TurnServing):
    def __init__(self, **options):
        super().__init__(policy={"mobility": True, "tcp_relay": True}, **options)

    def mobile(self, *attributes, user=None):
        """A client with a ticket, a permission and a channel."""
        user = user or self.client()
        user.ticket = user.allocate(ASK, *attributes).get(MOBILITY_TICKET)
        assert user.bind(0x4000, PEER) == 0
        return user

    def move(self, user, to, *attributes):
        """``to`` shows the ticket; it has all that ``user`` had."""
        answer = to.ask(Method.REFRESH, (MOBILITY_TICKET, user.ticket), *attributes)
        to.relays, to.relayed = user.relays, user.relayed
        to.ticket = answer.get(MOBILITY_TICKET)
        return answer

    def moved(self, outputs):
        return [event for event in told(outputs) if isinstance(event, AllocationMoved)]


@pytest.fixture
def serving():
    return MobileServing()


@pytest.mark.req("RFC8016-002")
def test_an_allocate_that_asks_gets_a_ticket_and_a_repeated_one_the_same(serving):
    user = serving.client()
    request = user.request(Method.ALLOCATE, UDP_RELAY, ASK)
    tickets = [user.answer(request).get(MOBILITY_TICKET) for _ in range(3)]
    assert len(dict.fromkeys(tickets)) == 1
    assert len(tickets[0]) > 16


@pytest.mark.req("RFC8016-002")
def test_where_mobility_is_off_asking_is_a_405_and_a_ticket_is_a_400():
    user = TurnServing().client()
    assert user.code(Method.ALLOCATE, UDP_RELAY, ASK) == 405
    assert user.code(Method.ALLOCATE, UDP_RELAY, (MOBILITY_TICKET, b"ticket")) == 400
    assert user.allocate().get(MOBILITY_TICKET) is None
    assert user.code(Method.REFRESH, (MOBILITY_TICKET, b"ticket")) == 405


def test_what_else_is_wrong_with_an_allocate_is_said_first():
    assert TurnServing().client().code(Method.ALLOCATE, TCP_RELAY, ASK) == 442


@pytest.mark.req("RFC8016-005")
def test_a_refresh_with_a_ticket_is_refused_by_its_rule(serving):
    user = serving.mobile()
    road = serving.client(ROAD)
    ticket = (MOBILITY_TICKET, user.ticket)
    assert road.code(Method.REFRESH, (MOBILITY_TICKET, bytes(len(user.ticket)))) == 400
    assert user.code(Method.REFRESH, ticket) == 400
    assert serving.client(ROAD, user="bob").code(Method.REFRESH, ticket) == 441
    assert user.code(Method.REFRESH, (LIFETIME, 0)) == 0
    assert road.code(Method.REFRESH, ticket) == 437


@pytest.mark.req("RFC8016-006", "RFC8016-007")
def test_a_client_moves_and_keeps_everything(serving):
    user = serving.mobile()
    road = serving.client(ROAD)
    answer = serving.move(user, road, (LIFETIME, 1200))
    assert code_of(answer) == 0
    assert answer.get(LIFETIME) == 1200
    assert road.ticket not in (None, user.ticket)
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    assert road.permit(PEER) == 0
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    outputs = road.send(CHANNEL_DATA)
    assert sent_to_peers(outputs, user.relays[0]) == [(PEER, b"data")]
    (event,) = serving.moved(outputs)
    assert (event.left.remote, event.client.remote) == (CLIENT, ROAD)
    assert user.hear(PEER, b"data") == []
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]
    assert user.code(Method.REFRESH) == 437
    (info,) = serving.server.allocations(now=serving.now)
    assert (info.client.remote, info.permissions, info.channels) == (ROAD, 1, 1)


@pytest.mark.req("RFC8016-008")
def test_a_repeated_refresh_with_the_old_ticket_is_answered_alike(serving):
    user = serving.mobile()
    road = serving.client(ROAD)
    serving.move(user, road)
    first = road.ticket
    serving.at(serving.now + 29.0)
    assert serving.move(user, road).get(MOBILITY_TICKET) == first


def test_a_move_is_answered_with_the_address_that_it_came_from(serving):
    user = serving.mobile()
    for _ in range(2):  # the request, and the same once more
        assert serving.move(user, serving.client(ROAD)).get(XOR_MAPPED_ADDRESS) == ROAD
    assert user.ask(Method.REFRESH).get(XOR_MAPPED_ADDRESS) is None


@pytest.mark.req("RFC8016-004")
def test_a_refresh_without_a_ticket_is_no_move(serving):
    user = serving.mobile()
    answer = user.ask(Method.REFRESH)
    assert (code_of(answer), answer.get(MOBILITY_TICKET)) == (0, None)
    assert serving.client(ROAD).code(Method.REFRESH) == 437


def test_an_allocation_is_deleted_from_another_place_with_its_ticket(serving):
    user = serving.mobile()
    answer = serving.client(ROAD).ask(Method.REFRESH, (MOBILITY_TICKET, user.ticket), (LIFETIME, 0))
    assert (code_of(answer), answer.get(LIFETIME), answer.get(MOBILITY_TICKET)) == (0, 0, None)
    assert serving.server.allocations(now=serving.now) == ()


def test_a_refresh_that_is_wrong_otherwise_moves_nobody(serving):
    user = serving.mobile()
    road = serving.client(ROAD)
    assert road.code(Method.REFRESH, (MOBILITY_TICKET, user.ticket), (REQUESTED_ADDRESS_FAMILY, AddressFamily.IPV6)) == 443
    assert serving.move(user, road).get(LIFETIME) == 600


def test_a_move_counts_against_the_quota_of_its_user_as_before():
    serving = MobileServing(limits=TurnLimits(allocations_per_user=1))
    user = serving.mobile()
    road = serving.client(ROAD)
    serving.move(user, road)
    road.send(CHANNEL_DATA)
    assert user.code(Method.ALLOCATE, UDP_RELAY) == 486
    assert road.code(Method.REFRESH, (LIFETIME, 0)) == 0
    assert user.code(Method.ALLOCATE, UDP_RELAY) == 0


def test_a_flood_of_resumptions_leaves_one_place_to_arrive_at(serving):
    user = serving.mobile()
    for port in range(1, 200):
        road = serving.client(ROAD._replace(port=port))
        assert code_of(serving.move(user, road)) == 0
        user = road
    data = serving.server._data
    assert [len(clients) for clients in data.arriving.values()] == [1]
    assert code_of(serving.client(CLIENT).ask(Method.REFRESH, (LIFETIME, 0))) == 0
    assert (data.clients, data.arriving, len(serving.server._allocations._timers)) == ({}, {}, 0)


def test_an_allocation_expires_wherever_its_client_is(serving):
    serving.move(serving.mobile(), serving.client(ROAD))
    (event,) = [event for _, event in serving.at(serving.now + 601.0) if isinstance(event, AllocationClosed)]
    assert event.reason is CloseReason.EXPIRED
    assert serving.server._data.arriving == {}


# ------------------------------------------------------------------- streams


@pytest.mark.req("RFC8016-007")
@pytest.mark.parametrize("way", ["channel", "indication"])
def test_a_stream_arrives_with_its_first_data(serving, way):
    user = serving.mobile(user=serving.stream())
    road = serving.stream(ROAD, transport=TLS)
    serving.move(user, road)
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    assert serving.moved(user.send(CHANNEL_DATA) if way == "channel" else user.indicate(PEER, b"data")) == []
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    outputs = road.send(CHANNEL_DATA) if way == "channel" else road.indicate(PEER, b"data")
    assert sent_to_peers(outputs, user.relays[0]) == [(PEER, b"data")]
    assert len(serving.moved(outputs)) == 1
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]
    assert closed([output for _, output in serving.at(serving.now + 121.0)]) == [user.socket]


@pytest.mark.req("RFC8016-007")
@pytest.mark.parametrize("end", ["end", "failure"])
def test_the_end_of_the_old_stream_is_an_arrival(serving, end):
    user = serving.mobile(user=serving.stream())
    road = serving.stream(ROAD)
    serving.move(user, road)
    outputs = user.send(b"") if end == "end" else serving.call(serving.server.handle_socket_failed, user.socket, RESET)[1]
    assert len(serving.moved(outputs)) == 1
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]


@pytest.mark.parametrize("end", ["end", "failure"])
def test_a_stream_that_breaks_before_the_next_is_made_is_waited_for(serving, end):
    user = serving.mobile(user=serving.stream())
    if end == "end":
        user.send(b"")
    else:
        serving.call(serving.server.handle_socket_failed, user.socket, RESET)
    assert len(serving.server.allocations(now=serving.now)) == 1
    assert serving.feed(user.relays[0], (PEER, b"data")) == []
    road = serving.stream(ROAD)
    serving.move(user, road)
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]
    assert serving.server._data.find(user.socket, CLIENT) is None


@pytest.mark.req("RFC8016-007")
def test_after_a_break_the_next_move_waits_for_data_as_any_other(serving):
    user = serving.mobile(user=serving.stream())
    user.send(b"")
    road, third = serving.stream(ROAD), serving.stream(ROAD._replace(port=3))
    serving.move(user, road)
    serving.move(road, third)
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]
    third.send(CHANNEL_DATA)
    assert third.hear(PEER, b"data") == [CHANNEL_DATA]


def test_a_stream_that_breaks_for_good_ends_with_its_lifetime(serving):
    serving.mobile(user=serving.stream()).send(b"")
    (event,) = [event for _, event in serving.at(serving.now + 601.0) if isinstance(event, AllocationClosed)]
    assert event.reason is CloseReason.EXPIRED


def test_a_new_stream_that_breaks_before_it_said_anything_changes_nothing(serving):
    user = serving.mobile(user=serving.stream())
    road = serving.stream(ROAD)
    serving.move(user, road)
    road.send(b"")
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    third = serving.stream(ROAD)
    assert code_of(serving.move(road, third)) == 0


def test_a_client_moves_on_from_where_it_never_arrived(serving):
    user = serving.mobile(user=serving.stream())
    road, third = serving.stream(ROAD), serving.stream(ROAD._replace(port=3))
    serving.move(user, road)
    serving.move(road, third)
    assert closed([output for _, output in serving.at(serving.now + 121.0)]) == [road.socket]
    assert third.send(CHANNEL_DATA) != []


@pytest.mark.parametrize("transport", [UDP, DTLS, TCP, TLS])
def test_a_client_changes_its_transport_on_the_way(serving, transport):
    user = serving.mobile()
    road = serving.stream(ROAD, transport=transport) if transport in (TCP, TLS) else serving.client(ROAD, socket=OF[transport])
    serving.move(user, road)
    assert sent_to_peers(road.send(CHANNEL_DATA), user.relays[0]) == [(PEER, b"data")]
    assert road.hear(PEER, b"data") == [CHANNEL_DATA]


def test_a_listener_that_dies_takes_its_clients_and_nobody_arrives_there(serving):
    user, stranger = serving.mobile(user=serving.stream()), serving.mobile(user=serving.client(CLIENT, user="bob"))
    road = serving.client(ROAD)
    serving.move(user, road)
    serving.call(serving.server.handle_socket_failed, OF[UDP], RESET)
    assert [info.username for info in serving.server.allocations(now=serving.now)] == ["alice"]
    assert serving.server._data.arriving == {}
    assert user.hear(PEER, b"data") == [CHANNEL_DATA]
    assert stranger.relays[0] not in serving.server._data.relays


def test_a_killed_allocation_on_the_move_leaves_two_streams_that_may_not_be_idle_for_ever(serving):
    user = serving.mobile(user=serving.stream())
    road = serving.stream(ROAD)
    serving.move(user, road)
    (info,) = serving.server.allocations(now=serving.now)
    serving.call(serving.server.close_allocation, info.id)
    assert sorted(closed([output for _, output in serving.at(serving.now + 121.0)])) == sorted([user.socket, road.socket])
    assert serving.server.deadline() == math.inf


# ------------------------------------------------------------------- TCP allocations


def test_connections_with_peers_survive_a_move(serving):
    user = serving.stream()
    user.ticket = user.ask(Method.ALLOCATE, TCP_RELAY, ASK).get(MOBILITY_TICKET)
    serving.holding = True
    user.send(user.request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER)))
    peer = max(serving.opened)
    serving.server.handle_socket_opened(peer, PEER, now=serving.now)
    (answer,) = user.answers(serving.take())
    data = serving.stream(CLIENT._replace(port=9))
    assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, decode_untrusted(answer).get(CONNECTION_ID))) == 0
    user.send(b"")
    road = serving.stream(ROAD)
    assert code_of(serving.move(user, road)) == 0
    assert serving.call(serving.server.handle_stream_data, peer, b"x")[1] == [SendStream(data.socket, b"x")]
    assert road.permit(PEER) == 0
    serving.server.handle_accepted(min(serving.server._data.relays), -99, PEER._replace(port=8), now=serving.now)
    assert len(road.answers(serving.take())) == 1


@pytest.mark.parametrize("end", ["old stream closes", "old stream has closed"])
def test_nobody_moves_to_where_an_allocate_still_waits_for_its_socket(serving, end):
    # Otherwise two allocations have one 5-tuple, and the second to end finds it gone.
    user, to = serving.mobile(user=serving.stream()), serving.client(ROAD)
    if end == "old stream has closed":
        user.send(b"")
    to.ask(Method.REFRESH)
    serving.holding = True
    (asked,) = to.send(to.request(Method.ALLOCATE, UDP_RELAY))
    assert to.code(Method.REFRESH, (MOBILITY_TICKET, user.ticket)) == 437
    if end == "old stream closes":
        user.send(b"")
    serving.open(asked)
    (answer,) = to.answers(serving.take())
    assert code_of(decode_untrusted(answer)) == 0
    assert to.code(Method.REFRESH, (LIFETIME, 0)) == 0
    serving.at(serving.now + 4000)
    assert serving.allocations() == ()
    assert serving.server.deadline() == math.inf
