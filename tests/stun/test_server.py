"""What a server answers over UDP to requests that need no credentials, and what it does not answer."""

import math
import struct

import pytest
from hypothesis import given, strategies as st

from _stun_serving import (
    CLIENT,
    CLIENT6,
    ID,
    LISTENERS,
    OF,
    TCP,
    TLS,
    UDP,
    UDP_LISTENER,
    Serving,
    binding,
    classic,
    closed,
    told,
)
from sansice.machine import (
    Address,
    DropReason,
    Ids,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.stun import (
    AMPLIFICATION,
    CHANGE_REQUEST,
    ERROR_CODE,
    PADDING,
    PRIORITY,
    RESPONSE_ADDRESS,
    RESPONSE_PORT,
    SOFTWARE,
    UNKNOWN_ATTRIBUTES,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ChangeRequest,
    ErrorCode,
    IndicationReceived,
    Listener,
    ListenerFailed,
    ListenerOpened,
    MessageClass,
    Method,
    RequestReceived,
    ServerDrained,
    ServerReady,
    ServerState,
    StunServer,
    StunServerConfig,
    decode_untrusted,
    encode,
    shapes,
)

UNLIMITED = {"rate": None}
REQUIRED = [Attribute(code, "UNKNOWN", shapes.OPAQUE) for code in (0x7FF0, 0x7FF1, 0x7FF2)]
OPTIONAL = Attribute(0xC0FF, "OPTIONAL", shapes.OPAQUE)
IN_USE = SocketError(SocketErrorKind.ADDRESS_IN_USE, "in use")


# Answers


@pytest.mark.req("RFC8489-008", "RFC8489-053", "RFC8489-054", "RFC8489-116")
@pytest.mark.parametrize(
    ("source", "socket", "size"), [(CLIENT, 1, 32), (CLIENT6, 2, 44), (CLIENT, 5, 32)], ids=["IPv4", "IPv6", "DTLS"]
)
def test_a_plain_request_is_answered_with_its_source_and_nothing_else(source, socket, size):
    serving = Serving()
    response = serving.answer(binding(), source, SocketId(socket))
    assert (response.message_class, response.transaction_id) == (MessageClass.SUCCESS, ID)
    assert response.get(XOR_MAPPED_ADDRESS) == source
    assert [code for code, _ in response.attributes()] == [XOR_MAPPED_ADDRESS.code]
    assert len(response.data) == size
    assert (serving.stats.requests, serving.stats.responses) == (1, 1)


@given(source=st.sampled_from([CLIENT, CLIENT6]), id=st.binary(min_size=12, max_size=12), port=st.integers(1, 65535))
def test_the_fast_answer_is_the_answer_that_encode_makes(source, id, port):
    source = source._replace(port=port)
    fast = Serving(policy=UNLIMITED).answer(binding(id=id), source)
    assert fast.data == encode(Method.BINDING, MessageClass.SUCCESS, id, [(XOR_MAPPED_ADDRESS, source)])


def test_a_batch_is_answered_in_its_order():
    serving = Serving()
    sources = [CLIENT._replace(port=port) for port in (1, 2, 3)]
    requests = [binding(), binding([(PRIORITY, 1)]), binding(fingerprint=True)]
    serving.server.handle_datagrams(SocketId(1), list(zip(sources, requests, strict=True)), now=serving.now)
    assert [sent.destination for sent in serving.take()] == sources
    assert serving.stats.responses == 3


@pytest.mark.req("RFC8489-008", "RFC8489-116")
def test_fingerprint_is_in_the_answer_if_it_was_in_the_request_and_is_not_asked_for():
    serving = Serving()
    response = serving.answer(binding(fingerprint=True))
    assert (response.has_fingerprint, response.transaction_id) == (True, ID)
    assert not serving.answer(binding([(PRIORITY, 1)])).has_fingerprint


@pytest.mark.req("RFC8489-053", "RFC8489-054")
@pytest.mark.parametrize(("source", "socket"), [(CLIENT, 1), (CLIENT6, 2), (CLIENT, 5)], ids=["IPv4", "IPv6", "DTLS"])
def test_a_request_that_has_attributes_is_answered_with_its_source_and_where_it_arrived(source, socket):
    assert Serving().answer(binding([(PRIORITY, 5)]), source, SocketId(socket)).get(XOR_MAPPED_ADDRESS) == source


@pytest.mark.req("RFC8489-117")
def test_credentials_in_a_request_are_passed_over_where_none_are_asked_for():
    assert Serving().answer(binding([(USERNAME, "somebody")])).message_class is MessageClass.SUCCESS


@pytest.mark.req("RFC8489-043", "RFC8489-044", "RFC8489-053")
@pytest.mark.parametrize("attribute", [(OPTIONAL, b"abc"), (PRIORITY, 5)], ids=["unknown, optional", "known, out of place"])
def test_attributes_of_no_use_are_passed_over(attribute):
    response = Serving().answer(binding([attribute]))
    assert response.get(XOR_MAPPED_ADDRESS) == CLIENT


@pytest.mark.req("RFC8489-008", "RFC8489-046", "RFC8489-050")
def test_unknown_required_attributes_are_named_in_a_420_all_of_them():
    serving = Serving()
    response = serving.answer(binding([(one, b"value") for one in REQUIRED] + [(OPTIONAL, b"")], fingerprint=True))
    assert (response.message_class, response.transaction_id) == (MessageClass.ERROR, ID)
    assert response.get(ERROR_CODE) == ErrorCode(420)
    assert response.get(UNKNOWN_ATTRIBUTES) == (0x7FF0, 0x7FF1, 0x7FF2)
    assert response.has_fingerprint
    assert serving.stats.errors == {420: 1}
    assert serving.stats.dropped == {DropReason.UNKNOWN_ATTRIBUTE: 1}


@pytest.mark.req("RFC5780-011")
@pytest.mark.parametrize(
    "attribute",
    [
        (CHANGE_REQUEST, ChangeRequest(change_ip=True)),
        (RESPONSE_PORT, 5000),
        (PADDING, bytes(8)),
        (RESPONSE_ADDRESS, CLIENT),
    ],
    ids=lambda attribute: attribute[0].name,
)
def test_what_a_plain_server_does_not_do_is_answered_with_420(attribute):
    response = Serving().answer(binding([attribute]))
    assert response.get(ERROR_CODE) == ErrorCode(420)
    assert response.get(UNKNOWN_ATTRIBUTES) == (attribute[0].code,)


@pytest.mark.req("RFC8489-047", "RFC8489-049")
def test_a_repeated_binding_request_is_answered_again_and_leaves_nothing_behind():
    serving = Serving()
    first, second = serving.answer(binding([(PRIORITY, 1)])), serving.answer(binding([(PRIORITY, 1)]))
    assert first.data == second.data
    assert (serving.server.deadline(), len(serving.server._memory), len(serving.server._pending)) == (math.inf, 0, 0)


@pytest.mark.req("RFC8489-052", "RFC8489-142")
def test_software_is_told_only_where_it_is_configured():
    assert SOFTWARE not in Serving().answer(binding([(PRIORITY, 1)]))
    named = Serving(policy={"software": "example server 1.0"})
    assert named.answer(binding()).get(SOFTWARE) == "example server 1.0"
    assert named.answer(binding([(REQUIRED[0], b"")])).get(SOFTWARE) == "example server 1.0"


# Not answered


@pytest.mark.req("RFC8489-056")
def test_an_indication_is_counted_and_never_answered():
    serving = Serving()
    assert serving.ask(encode(Method.BINDING, MessageClass.INDICATION, ID, [(SOFTWARE, "client")])) == []
    assert serving.stats.indications == 1
    assert serving.ask(encode(Method.BINDING, MessageClass.INDICATION, ID, [(REQUIRED[0], b"")])) == []
    assert (serving.stats.indications, serving.stats.dropped) == (1, {DropReason.UNKNOWN_ATTRIBUTE: 1})


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.EMPTY),
        (b"\x40" + bytes(30), DropReason.NOT_STUN),
        (binding()[:-1], DropReason.NOT_STUN),
        (binding([(PRIORITY, 1)])[:-1], DropReason.BAD_LENGTH),
        (struct.pack("!HHI12s", 0x0002, 0, 0x2112A442, ID), DropReason.UNKNOWN_METHOD),
        (encode(Method.ALLOCATE, MessageClass.REQUEST, ID), DropReason.UNKNOWN_METHOD),
        (encode(Method.SEND, MessageClass.INDICATION, ID), DropReason.UNKNOWN_METHOD),
        (encode(Method.BINDING, MessageClass.SUCCESS, ID), DropReason.UNKNOWN_TRANSACTION),
        (encode(Method.BINDING, MessageClass.ERROR, ID), DropReason.UNKNOWN_TRANSACTION),
        (binding(fingerprint=True)[:-1] + b"?", DropReason.BAD_FINGERPRINT),
        (bytes(8) + b"not STUN, but long enough", DropReason.BAD_COOKIE),
    ],
)
def test_what_is_no_request_for_this_server_is_dropped_and_counted(data, reason):
    serving = Serving()
    assert serving.ask(data) == []
    assert serving.stats.dropped == {reason: 1}
    assert serving.stats.requests == 0


def test_datagrams_on_sockets_that_are_not_listening_are_dropped():
    serving = Serving()
    assert serving.ask(binding(), socket=SocketId(99)) == []
    serving.server.handle_accepted(OF[TCP], SocketId(-1), CLIENT, now=serving.now)
    serving.server.drain(now=serving.now)
    assert serving.stats.dropped == {DropReason.UNKNOWN_SOCKET: 1}
    server = StunServer()
    server.start([UDP_LISTENER], now=0.0)
    server.handle_datagrams(SocketId(1), [(CLIENT, binding())] * 2, now=0.0)
    assert server.stats.dropped == {DropReason.CLOSED: 2}


@pytest.mark.req("RFC5389-006", "RFC8489-065")
def test_on_a_port_shared_with_other_protocols_what_has_no_fingerprint_is_dropped_and_rfc3489_is_off():
    serving = Serving(policy={"require_fingerprint": True, "classic": False})
    assert serving.ask(binding()) == []
    assert serving.stats.dropped == {DropReason.BAD_FINGERPRINT: 1}
    assert serving.answer(binding(fingerprint=True)).get(XOR_MAPPED_ADDRESS) == CLIENT
    assert serving.ask(classic()) == []
    stream = serving.accept()
    assert serving.write(stream, binding()) == []
    assert serving.stats.dropped[DropReason.BAD_FINGERPRINT] == 2
    assert serving.reply(stream, binding(fingerprint=True)).has_fingerprint
    with pytest.raises(ValueError, match="classic"):
        StunServerConfig(require_fingerprint=True)


# Amplification

ATTRIBUTES = st.tuples(
    st.sampled_from([*range(0x0001, 0x002B), 0x7FF0, 0x7FF1, 0x7FFF, 0x8022, 0x8028, 0xC0FF]) | st.integers(0, 0xFFFF),
    st.binary(max_size=12),
)


def framed(attributes, kind=1):
    body = b"".join(struct.pack("!HH", code, len(raw)) + raw + bytes(-len(raw) % 4) for code, raw in attributes)
    return struct.pack("!HHI12s", kind, len(body), 0x2112A442, ID) + body


REQUESTS = st.one_of(
    st.builds(framed, st.lists(ATTRIBUTES, max_size=8)),
    st.builds(lambda codes: framed([(code, b"") for code in codes]), st.lists(st.integers(0x7000, 0x7FFF), max_size=70)),
    st.builds(lambda codes: classic(*((code, bytes(4)) for code in codes)), st.lists(st.integers(0, 0x9000), max_size=18)),
    st.binary(min_size=20, max_size=60),
)


@given(data=REQUESTS, socket=st.sampled_from([1, 2, 5]))
def test_no_answer_is_larger_than_1_6_times_the_request_whatever_it_is(data, socket):
    source = CLIENT6 if socket == 2 else CLIENT
    for sent in Serving(policy=UNLIMITED).ask(data, source, SocketId(socket)):
        # A plain answer over IPv6 has 44 bytes; the request and its headers are 68 of at most 92 on the wire.
        assert len(sent.data) <= max(AMPLIFICATION * len(data), 44 if socket == 2 else 0)


# Listeners


@pytest.mark.req("RFC7443-002")
def test_start_opens_every_listener_and_tells_when_all_are_decided_on():
    server = StunServer()
    listeners = [
        Listener(UDP, Address("127.0.0.1", 0)),
        Listener(TCP, Address("127.0.0.1", 0), reuse_port=True),
        Listener(TLS, Address("127.0.0.1", 0), tls="public"),
    ]
    server.start(listeners, now=0.0)
    udp, tcp, tls = server.take_outputs()
    assert udp == OpenSocket(SocketId(1), UDP, Address("127.0.0.1", 0), options=SocketOptions(receive_buffer=2**21))
    assert tcp.options.receive_buffer == 0
    assert (tcp.options.reuse_port, tcp.options.tls) == (True, None)
    assert tls.options.tls == TlsOptions(alpn=("stun.nat-discovery",), context="public")
    server.handle_socket_opened(SocketId(1), Address("127.0.0.1", 40001), now=0.1)
    server.handle_socket_failed(SocketId(2), IN_USE, now=0.1)
    assert server.take_outputs() == [
        ListenerOpened(listeners[0], Address("127.0.0.1", 40001)),
        ListenerFailed(listeners[1], IN_USE),
    ]
    server.handle_socket_opened(SocketId(3), Address("127.0.0.1", 40003), now=0.2)
    addresses = ((UDP, Address("127.0.0.1", 40001)), (TLS, Address("127.0.0.1", 40003)))
    assert server.take_outputs() == [ListenerOpened(listeners[2], addresses[1][1]), ServerReady(addresses)]
    assert server.addresses == addresses


def test_a_server_none_of_whose_listeners_opens_says_so():
    server = StunServer()
    server.start([UDP_LISTENER], now=0.0)
    server.take_outputs()
    server.handle_socket_failed(SocketId(1), IN_USE, now=0.0)
    assert server.take_outputs() == [ListenerFailed(UDP_LISTENER, IN_USE), ServerReady(())]


def test_a_listener_that_dies_later_is_told_and_the_others_go_on():
    serving = Serving()
    serving.server.handle_socket_failed(SocketId(2), IN_USE, now=serving.now)
    assert serving.take() == [ListenerFailed(LISTENERS[1], IN_USE)]
    assert serving.answer(binding()).get(XOR_MAPPED_ADDRESS) == CLIENT


def test_sockets_that_nobody_asked_for_change_nothing():
    serving = Serving()
    serving.server.handle_socket_opened(SocketId(1), Address("127.0.0.1", 9), now=serving.now)
    serving.server.handle_socket_opened(SocketId(77), Address("127.0.0.1", 9), now=serving.now)
    serving.server.handle_socket_failed(SocketId(77), IN_USE, now=serving.now)
    assert serving.take() == []
    assert serving.server.addresses[0] == (UDP, UDP_LISTENER.address)


def test_a_parents_counter_names_the_sockets():
    ids = Ids()
    ids.socket()
    server = StunServer(ids=ids)
    server.start([UDP_LISTENER], now=0.0)
    assert server.take_outputs()[0].socket == 2


@pytest.mark.parametrize(
    ("listeners", "words"),
    [
        ([], "at least one"),
        ([UDP_LISTENER, UDP_LISTENER], "twice"),
    ],
)
def test_listeners_that_make_no_sense_are_refused(listeners, words):
    server = StunServer()
    with pytest.raises(LocalProtocolError, match=words):
        server.start(listeners, now=0.0)
    assert (server.state, server.take_outputs()) == (ServerState.NEW, [])


def test_commands_out_of_order_are_refused():
    server = StunServer()
    with pytest.raises(LocalProtocolError, match="not started"):
        server.drain(now=0.0)
    server.start([UDP_LISTENER], now=0.0)
    with pytest.raises(LocalProtocolError, match="answering"):
        server.start([UDP_LISTENER], now=0.0)
    server.close(now=0.0)
    server.close(now=0.0)
    for command in (server.drain, lambda now: server.start([UDP_LISTENER], now=now)):
        with pytest.raises(LocalProtocolError, match="closed"):
            command(now=0.0)


def test_binding_is_no_method_for_the_application():
    with pytest.raises(LocalProtocolError, match="Binding"):
        StunServer(methods=[Method.BINDING])


# The end


def test_close_closes_everything_at_once():
    serving = Serving()
    stream = serving.accept()
    _, outputs = serving.call(serving.server.close)
    assert closed(outputs) == [stream, 1, 2, 3, 4, 5]
    assert (serving.server.state, serving.server.deadline(), serving.stats.connections) == (ServerState.CLOSED, math.inf, 0)
    assert serving.ask(binding()) == []


def test_a_drain_with_nothing_owed_is_over_at_once():
    serving = Serving()
    stream = serving.accept()
    _, outputs = serving.call(serving.server.drain)
    assert closed(outputs) == [3, 4, stream, 1, 2, 5]
    assert outputs[-1] == ServerDrained()
    assert serving.server.state is ServerState.CLOSED


# Methods of the application


def refresh(id=ID):
    return encode(Method.REFRESH, MessageClass.REQUEST, id)


@pytest.fixture
def relaying():
    return Serving(methods=[Method.REFRESH, Method.SEND])


def received(serving, data, source=CLIENT):
    (event,) = serving.ask(data, source)
    assert type(event) is RequestReceived
    return event


def test_a_request_that_is_withdrawn_is_answered_by_nobody_and_withdrawing_it_twice_changes_nothing(relaying):
    event = received(relaying, refresh())
    for _ in range(2):
        assert relaying.call(relaying.server.withdraw, event) == (None, [])
    assert relaying.call(relaying.server.respond, event) == (False, [])


def test_a_request_of_the_applications_is_handed_up_and_answered_by_it(relaying):
    event = received(relaying, refresh())
    assert (event.path.remote, event.path.transport, event.message.method) == (CLIENT, UDP, Method.REFRESH)
    done, (sent,) = relaying.call(relaying.server.respond, event, [(SOFTWARE, "relay")])
    assert done
    response = decode_untrusted(sent.data)
    assert (sent.destination, response.method, response.message_class) == (CLIENT, Method.REFRESH, MessageClass.SUCCESS)
    assert response.get(SOFTWARE) == "relay"
    assert relaying.call(relaying.server.respond, event) == (False, [])


@pytest.mark.req("RFC8489-050")
def test_the_application_may_refuse(relaying):
    event = received(relaying, refresh())
    _, (sent,) = relaying.call(relaying.server.respond, event, error=ErrorCode(437, "Allocation Mismatch"))
    assert decode_untrusted(sent.data).get(ERROR_CODE) == ErrorCode(437, "Allocation Mismatch")
    assert relaying.stats.errors == {437: 1}


def test_an_answer_that_cannot_be_written_leaves_the_request_waiting(relaying):
    event = received(relaying, refresh())
    with pytest.raises(LocalProtocolError, match="PRIORITY"):
        relaying.server.respond(event, [(PRIORITY, -1)], now=relaying.now)
    assert relaying.call(relaying.server.respond, event)[0]


@pytest.mark.req("RFC8489-047", "RFC8489-048", "RFC8489-049")
def test_a_repeated_request_of_the_applications_reaches_it_once_and_is_answered_alike_for_40_seconds(relaying):
    event = received(relaying, refresh())
    assert relaying.ask(refresh()) == []  # it still waits
    _, (first,) = relaying.call(relaying.server.respond, event, [(SOFTWARE, "once")])
    relaying.now += 39.9
    assert relaying.ask(refresh()) == [first]
    assert relaying.stats.retransmissions == 2
    relaying.now += 0.1
    assert type(received(relaying, refresh())) is RequestReceived


def test_answers_remembered_are_bounded_and_the_oldest_goes():
    serving = Serving(methods=[Method.REFRESH], policy={"max_remembered": 1})
    for id in (b"a" * 12, b"b" * 12):
        serving.call(serving.server.respond, received(serving, refresh(id)))
    assert type(serving.ask(refresh(b"b" * 12))[0]) is SendDatagram
    assert type(serving.ask(refresh(b"a" * 12))[0]) is RequestReceived


def test_a_request_of_another_client_with_the_same_id_is_another_request(relaying):
    received(relaying, refresh())
    assert received(relaying, refresh(), CLIENT._replace(port=1)).path.remote.port == 1


@pytest.mark.req("RFC8489-055")
def test_answers_leave_in_the_order_in_which_they_are_made(relaying):
    events = [received(relaying, refresh(bytes([number] * 12))) for number in (1, 2)]
    answers = [relaying.call(relaying.server.respond, event)[1][0] for event in reversed(events)]
    assert [decode_untrusted(sent.data).transaction_id[0] for sent in answers] == [2, 1]


@pytest.mark.req("RFC8489-050")
def test_a_request_that_the_application_leaves_unanswered_is_answered_with_500(relaying):
    event = received(relaying, refresh())
    ((when, sent),) = relaying.at(relaying.now + 60)
    assert when == 1005.0
    assert decode_untrusted(sent.data).get(ERROR_CODE) == ErrorCode(500)
    assert relaying.call(relaying.server.respond, event) == (False, [])


def test_requests_over_the_bound_are_answered_with_500():
    serving = Serving(methods=[Method.REFRESH], policy={"max_pending": 1})
    received(serving, refresh())
    response = serving.answer(refresh(b"x" * 12))
    assert response.get(ERROR_CODE) == ErrorCode(500)
    assert serving.stats.dropped == {DropReason.LIMIT: 1}


def test_an_indication_of_the_applications_is_handed_up(relaying):
    (event,) = relaying.ask(encode(Method.SEND, MessageClass.INDICATION, ID))
    assert type(event) is IndicationReceived
    assert (event.path.remote, event.message.method) == (CLIENT, Method.SEND)


def test_a_drain_waits_for_what_is_owed(relaying):
    event = received(relaying, refresh())
    assert closed(relaying.call(relaying.server.drain)[1]) == [3, 4]
    assert relaying.ask(binding()) == []
    assert relaying.call(relaying.server.drain) == (None, [])
    _, outputs = relaying.call(relaying.server.respond, event)
    assert type(outputs[0]) is SendDatagram
    assert (closed(outputs), told(outputs)) == ([1, 2, 5], [ServerDrained()])


def test_a_drain_does_not_wait_longer_than_its_grace():
    serving = Serving(methods=[Method.REFRESH], policy={"drain_grace": 2.0})
    received(serving, refresh())
    serving.server.drain(now=serving.now)
    serving.take()
    outputs = serving.at(1100.0)
    assert {when for when, _ in outputs} == {1002.0}
    assert outputs[-1][1] == ServerDrained()
    assert serving.server.deadline() == math.inf


# Rate limits


def test_a_prefix_has_its_burst_and_then_its_rate():
    serving = Serving(policy={"rate": 10.0, "burst": 5})
    neighbours = [CLIENT._replace(host=f"192.0.2.{number}") for number in range(1, 8)]
    answered = [bool(serving.ask(binding(), source)) for source in neighbours]
    assert answered == [True] * 5 + [False] * 2
    assert serving.stats.rate_limited == 2
    assert serving.ask(binding(), CLIENT._replace(host="192.0.3.1"))
    serving.now += 0.1
    assert [bool(serving.ask(binding())) for _ in range(2)] == [True, False]


def test_loopback_is_limited_like_any_other_prefix():
    serving = Serving(policy={"rate": 1.0, "burst": 1})
    answered = [bool(serving.ask(binding(), Address("127.0.0.1", 5))) for _ in range(2)]
    assert answered == [True, False]


def test_without_a_rate_everything_is_answered():
    serving = Serving(policy=UNLIMITED)
    assert all(serving.ask(binding()) for _ in range(1000))


def test_software_that_makes_answers_large_uses_the_senders_share_up_faster():
    # 20 + 12 + 4 + 124 bytes are five times 32, what a plain answer may have: each answer counts as five requests.
    serving = Serving(policy={"rate": 1.0, "burst": 10, "software": "x" * 124})
    assert [bool(serving.ask(binding())) for _ in range(4)] == [True, True, False, False]


def test_what_a_listener_says_of_its_socket_is_asked_for():
    server = StunServer()
    listener = Listener(Transport.TCP, Address("192.0.2.1", 3478), reuse_port=True, trusted_proxies=("10.0.0.0/8",))
    server.start([listener], now=0.0)
    [opening] = server.take_outputs()
    assert (opening.options.reuse_port, opening.options.trusted_proxies) == (True, ("10.0.0.0/8",))
