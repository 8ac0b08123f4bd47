"""What clients get wrong, by mistake or not; each is answered by its rule and leaves the others alone."""

import pytest

from _turn_serving import (
    CLIENT,
    HOST,
    LISTENERS,
    OF,
    PEER,
    PEER6,
    START,
    TCP,
    TCP_RELAY,
    TLS,
    UDP_RELAY,
    TurnServing,
    code_of,
    sent_to_peers,
    told,
)
from sansice.machine import Address, CloseSocket, DropReason, SocketErrorKind
from sansice.stun import (
    CHANNEL_NUMBER,
    CONNECTION_ID,
    DATA,
    EVEN_PORT,
    LIFETIME,
    NONCE,
    RESERVATION_TOKEN,
    XOR_PEER_ADDRESS,
    Attribute,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.turn import AllocationClosed, AllocationOpened, ResourcesExhausted, TurnLimits, encode_channel_data

BIND, REFRESH = Method.CHANNEL_BIND, Method.REFRESH


@pytest.fixture
def serving():
    return TurnServing()


@pytest.fixture
def user(serving):
    user = serving.client()
    user.allocate()
    return user


def relayed(user, outputs):
    return sent_to_peers(outputs, user.relays[0])


def test_channel_data_to_an_unbound_channel_is_dropped_without_a_word(serving, user):
    assert user.bind(0x4000, PEER) == 0
    assert user.send(encode_channel_data(0x4001, b"x")) == []
    assert serving.stats.dropped[DropReason.NO_CHANNEL] == 1


@pytest.mark.parametrize("claimed", [2, 100, 65535])
def test_channel_data_longer_than_its_datagram_is_dropped(serving, user, claimed):
    assert user.bind(0x4000, PEER) == 0
    assert user.send(b"\x40\x00" + claimed.to_bytes(2, "big") + b"x") == []
    assert serving.stats.dropped[DropReason.BAD_LENGTH] == 1


@pytest.mark.parametrize("first", [0x50, 0x60, 0x7F, 0x80, 0xBF, 0xFF])
def test_what_begins_like_no_channel_is_dropped(user, first):
    assert user.bind(0x4000, PEER) == 0
    assert user.send(bytes((first, 0, 0, 1)) + b"x") == []
    assert user.bind(first << 8, PEER._replace(port=1)) == 400


def test_a_send_without_permission_is_dropped(serving, user):
    assert user.indicate(PEER, b"x") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 1


def test_a_permission_with_a_port_is_for_the_host(user):
    assert user.permit(PEER) == 0
    assert relayed(user, user.indicate(PEER._replace(port=1), b"x")) == [(PEER._replace(port=1), b"x")]


def test_peers_of_the_other_family_are_a_443(user):
    assert user.permit(PEER6) == 443
    assert user.bind(0x4000, PEER6) == 443
    assert user.permit(PEER, PEER6) == 443
    assert user.indicate(PEER6, b"x") == []


def test_a_second_allocate_is_a_437_and_the_first_allocation_stays(serving, user):
    assert user.code(Method.ALLOCATE, UDP_RELAY) == 437
    assert len(serving.allocations()) == 1


@pytest.mark.req("RFC8656-029")
def test_a_token_used_twice_and_one_that_expired_are_a_508(serving):
    holder = serving.client()
    token = holder.allocate((EVEN_PORT, True)).get(RESERVATION_TOKEN)
    assert token is not None
    assert serving.client(CLIENT._replace(port=2)).code(Method.ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)) == 0
    assert serving.client(CLIENT._replace(port=3)).code(Method.ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, token)) == 508
    other = serving.client(CLIENT._replace(port=4))
    late = other.allocate((EVEN_PORT, True)).get(RESERVATION_TOKEN)
    serving.at(START + 30)
    assert serving.client(CLIENT._replace(port=5)).code(Method.ALLOCATE, UDP_RELAY, (RESERVATION_TOKEN, late)) == 508


@pytest.mark.parametrize("age", [600, 3600, 86400])
def test_an_expired_nonce_is_a_438_with_a_new_one(serving, user, age):
    user.code(REFRESH, (LIFETIME, 3600))
    serving.at(START + age)
    answer = user.answer(user.request(REFRESH))
    assert code_of(answer) == 438
    user.nonce = answer.get(NONCE)
    assert code_of(user.answer(user.request(REFRESH))) in (0, 437)


@pytest.mark.parametrize("forged", ["", "x", "obMatJos2gAAA", "obMatJos2gAAAAAAAAAAAAAA", "n" * 24, "é" * 24, "\x7f" * 127])
def test_a_forged_nonce_is_refused_and_never_more(user, forged):
    user.nonce = forged
    assert code_of(user.answer(user.request(REFRESH))) in (400, 438)


def test_garbage_on_a_stream_ends_it_and_its_allocation_and_no_other(serving, user):
    for transport in (TCP, TLS):
        streaming = serving.stream(CLIENT._replace(port=9), transport=transport)
        streaming.allocate()
        outputs = streaming.send(b"\xff" * 64)
        assert CloseSocket(streaming.socket) in outputs
        assert [type(event) for event in told(outputs) if isinstance(event, AllocationClosed)] == [AllocationClosed]
    assert len(serving.allocations()) == 1
    assert user.code(REFRESH) == 0


def test_garbage_that_begins_like_channel_data_ends_the_stream_when_the_rest_does_not_come(serving):
    streaming = serving.stream()
    streaming.allocate()
    assert streaming.send(b"GET / HTTP/1.1\r\n\r\n") == []  # "GE" is a channel's number, "T " a length
    outputs = [output for _, output in serving.at(START + 30)]
    assert CloseSocket(streaming.socket) in outputs
    assert serving.allocations() == ()


def test_garbage_before_anything_else_on_a_stream_ends_it(serving):
    stream = serving.stream(transport=TLS)
    assert CloseSocket(stream.socket) in stream.send(b"\x16\x03\x01 hello again, in TLS")


def test_a_connection_bind_of_anothers_connection_is_refused_like_one_of_none():
    serving = TurnServing(policy={"tcp_relay": True})
    owner = serving.stream()
    assert owner.code(Method.ALLOCATE, TCP_RELAY) == 0
    (found,) = owner.answers(owner.send(owner.request(Method.CONNECT, (XOR_PEER_ADDRESS, PEER))))
    connection = decode_untrusted(found).get(CONNECTION_ID)
    thief = serving.stream(CLIENT._replace(port=8), user="bob")
    codes = [thief.code(Method.CONNECTION_BIND, (CONNECTION_ID, id)) for id in (connection, connection ^ 1)]
    assert codes[0] == codes[1] != 0
    data = serving.stream(CLIENT._replace(port=7))
    assert data.code(Method.CONNECTION_BIND, (CONNECTION_ID, connection)) == 0


def test_ports_that_have_run_out_are_a_508(serving):
    serving = TurnServing(policy={"relay_ports": (50000, 50000)})
    serving.client().allocate()
    assert serving.client(CLIENT._replace(port=2)).code(Method.ALLOCATE, UDP_RELAY) == 508


def test_descriptors_that_have_run_out_are_a_508_said_once_and_the_others_go_on():
    serving = TurnServing(policy={"relay_ports": (50000, 50003)})
    user = serving.client()
    user.allocate()
    user.bind(0x4000, PEER)
    serving.refused = {Address(HOST, port): SocketErrorKind.NO_RESOURCES for port in range(50000, 50004)}
    events = []
    for number in range(5):
        late = serving.client(CLIENT._replace(port=2 + number))
        outputs = late.send(late.request(Method.ALLOCATE, UDP_RELAY))
        events += [event for event in told(outputs) if isinstance(event, ResourcesExhausted)]
        assert code_of(decode_untrusted(late.answers(outputs)[0])) == 508
    assert len(events) == 1
    assert relayed(user, user.send(encode_channel_data(0x4000, b"x"))) == [(PEER, b"x")]
    serving.refused = {}
    assert serving.client(CLIENT._replace(port=20)).code(Method.ALLOCATE, UDP_RELAY) == 0


@pytest.mark.parametrize("kind", [MessageClass.SUCCESS, MessageClass.ERROR])
def test_a_response_that_nobody_asked_for_is_dropped(serving, user, kind):
    assert user.send(encode(Method.REFRESH, kind, bytes(12))) == []
    assert serving.stats.dropped[DropReason.UNKNOWN_TRANSACTION] == 1


def test_a_data_indication_from_a_client_is_nothing(serving, user):
    data = encode(Method.DATA, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b"x")])
    assert user.send(data) == []


def test_malformed_attributes_of_every_request_are_a_400_and_change_nothing(serving, user):
    for code, method in ((0x000C, BIND), (0x0012, BIND), (0x0012, Method.CREATE_PERMISSION), (0x000D, REFRESH)):
        broken = Attribute(code, "broken", shapes.OPAQUE)
        for value in (b"", b"\x01", b"\xff" * 7, b"\xff" * 33):
            extra = [] if code == 0x0012 or method is REFRESH else [(XOR_PEER_ADDRESS, PEER)]
            extra += [(CHANNEL_NUMBER, 0x4000)] if method is BIND and code == 0x0012 else []
            assert user.code(method, (broken, value), *extra) == 400
    (info,) = serving.allocations()
    assert (info.permissions, info.channels) == (0, 0)


def test_events_are_told_for_allocations_alone(serving):
    user = serving.client()
    outputs = user.send(user.request(Method.ALLOCATE, UDP_RELAY))
    assert [type(event) for event in told(outputs)] == [AllocationOpened]
    for _ in range(20):
        assert told(user.send(b"\x40\x00\x00\x09bad")) == []
        assert told(user.send(user.request(BIND, (CHANNEL_NUMBER, 0x5000)))) == []


def test_one_batch_of_everything_wrong_is_survived(serving):
    limits = TurnLimits(allocations_per_user=1)
    serving = TurnServing(limits=limits, listeners=LISTENERS)
    user = serving.client()
    user.allocate()
    user.bind(0x4000, PEER)
    wrong = [b"", b"\x00", b"\x40", b"\x40\x00\x00", b"\xff" * 1500, bytes(20), user.request(Method.ALLOCATE, UDP_RELAY)[:-1]]
    batch = [(user.address, data) for data in wrong] + [(user.address, encode_channel_data(0x4000, b"x"))]
    assert relayed(user, serving.feed(OF[next(iter(OF))], *batch)) == [(PEER, b"x")]
