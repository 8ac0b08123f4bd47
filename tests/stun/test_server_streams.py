"""Streams: any split of bytes, who closes and when, and how many there may be."""

import itertools
import math

import pytest
from hypothesis import given, strategies as st

from _stun_serving import CLIENT, ID, OF, TCP, TLS, Serving, binding, closed, told
from sansice.machine import (
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
    ERROR_CODE,
    PRIORITY,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    MessageClass,
    Method,
    RequestReceived,
    ServerDrained,
    decode_untrusted,
    encode,
    shapes,
)

RESET = SocketError(SocketErrorKind.RESET, "reset")


def refresh(id=ID):
    return encode(Method.REFRESH, MessageClass.REQUEST, id)


@pytest.fixture
def relaying():
    return Serving(methods=[Method.REFRESH])


@pytest.mark.req("RFC8489-054", "RFC8489-116")
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_request_is_answered_on_the_stream_that_it_came_on(transport):
    serving = Serving()
    serving.accept(CLIENT._replace(port=1), transport)
    stream = serving.accept(CLIENT, transport)
    response = serving.reply(stream, binding())
    assert response.get(XOR_MAPPED_ADDRESS) == CLIENT
    assert (serving.stats.accepted, serving.stats.connections) == (2, 2)


@given(cuts=st.lists(st.integers(0, 77), max_size=8))
def test_requests_are_answered_wherever_the_stream_is_cut(cuts):
    serving = Serving()
    stream = serving.accept()
    ids = [bytes([number] * 12) for number in range(3)]
    data = binding(id=ids[0]) + binding([(PRIORITY, 7)], id=ids[1]) + binding(id=ids[2], fingerprint=True) + b"\0"
    ends = [0, *sorted(cuts), len(data)]
    outputs = [sent for start, end in itertools.pairwise(ends) if start < end for sent in serving.write(stream, data[start:end])]
    assert [decode_untrusted(sent.data).transaction_id for sent in outputs] == ids


@pytest.mark.req("RFC8489-036")
def test_closing_is_left_to_the_client():
    serving = Serving()
    stream = serving.accept()
    serving.reply(stream, binding())
    assert serving.at(serving.now + 119.0) == []
    assert serving.write(stream, b"") == [CloseSocket(stream, CloseMode.FLUSH)]
    assert (serving.stats.connections, serving.server.deadline()) == (0, math.inf)


@pytest.mark.req("RFC8489-036")
def test_a_stream_is_not_closed_while_a_response_is_owed(relaying):
    stream = relaying.accept()
    (event,) = relaying.write(stream, refresh())
    assert relaying.write(stream, b"") == [SetReading(stream, False)]
    assert relaying.write(stream, binding()) == []
    _, outputs = relaying.call(relaying.server.respond, event)
    assert [type(output) for output in outputs] == [SendStream, CloseSocket]


@pytest.mark.req("RFC8489-036")
def test_a_deadline_does_not_close_a_stream_while_a_response_is_owed():
    serving = Serving(methods=[Method.REFRESH], policy={"idle_timeout": 2.0})
    stream = serving.accept()
    (event,) = serving.write(stream, refresh())
    assert serving.at(1002.0) == [(1002.0, SetReading(stream, False))]
    _, outputs = serving.call(serving.server.respond, event)
    assert closed(outputs) == [stream]


def test_of_two_answers_owed_the_last_one_closes_the_stream(relaying):
    stream = relaying.accept()
    events = relaying.write(stream, refresh() + refresh(b"x" * 12))
    relaying.write(stream, b"")
    assert closed(relaying.call(relaying.server.respond, events[1])[1]) == []
    assert closed(relaying.call(relaying.server.respond, events[0])[1]) == [stream]


@pytest.mark.req("RFC8489-037")
def test_no_stream_is_opened_to_deliver_a_response(relaying):
    stream = relaying.accept()
    (event,) = relaying.write(stream, refresh())
    relaying.server.handle_socket_failed(stream, RESET, now=relaying.now)
    answered, outputs = relaying.call(relaying.server.respond, event)
    assert (answered, outputs) == (False, [])
    assert not [output for output in relaying.at(2000.0) if type(output[1]) is OpenSocket]
    assert relaying.stats.connections == 0


@pytest.mark.req("RFC8489-055")
def test_pipelined_requests_may_be_answered_in_any_order(relaying):
    stream = relaying.accept()
    event, sent = relaying.write(stream, refresh() + binding(id=b"x" * 12))
    assert type(event) is RequestReceived
    assert decode_untrusted(sent.data).transaction_id == b"x" * 12
    _, (later,) = relaying.call(relaying.server.respond, event)
    assert decode_untrusted(later.data).transaction_id == ID


def test_answers_on_a_stream_are_not_remembered_as_nothing_is_repeated_there(relaying):
    stream = relaying.accept()
    (event,) = relaying.write(stream, refresh())
    relaying.call(relaying.server.respond, event)
    assert [type(one) for one in relaying.write(stream, refresh())] == [RequestReceived]


# Deadlines


def test_one_byte_a_second_is_not_listened_to_for_longer_than_ten():
    serving = Serving()
    stream = serving.accept()
    outputs = []
    for byte in binding():
        outputs += serving.at(serving.now + 1.0)
        serving.write(stream, bytes([byte]))
    assert outputs == [(1010.0, CloseSocket(stream, CloseMode.FLUSH))]
    assert serving.stats.timed_out == 1


def test_a_stream_on_which_nothing_comes_is_closed_after_ten_seconds():
    serving = Serving()
    stream = serving.accept()
    assert serving.at(1100.0) == [(1010.0, CloseSocket(stream, CloseMode.FLUSH))]


def test_the_first_bytes_do_not_put_the_first_deadline_off():
    serving = Serving()
    stream = serving.accept()
    serving.at(1009.0)
    serving.write(stream, b"\0")
    assert closed(output for _, output in serving.at(1100.0)) == [stream]
    assert serving.now == 1100.0


def test_a_later_message_has_ten_seconds_from_its_first_byte():
    serving = Serving()
    stream = serving.accept()
    serving.write(stream, binding() + b"\0")
    assert serving.at(1009.0) == []
    serving.write(stream, binding()[1:])
    serving.at(1050.0)
    serving.write(stream, b"\0")
    assert [when for when, _ in serving.at(1200.0)] == [1060.0]


def test_an_idle_stream_is_closed_two_minutes_after_its_last_message():
    serving = Serving()
    stream = serving.accept()
    serving.at(1005.0)
    serving.reply(stream, binding())
    assert serving.at(2000.0) == [(1125.0, CloseSocket(stream, CloseMode.FLUSH))]


# Bounds and bad input


def test_streams_over_the_bounds_are_closed_at_once():
    serving = Serving(policy={"max_connections": 3, "max_connections_per_prefix": 2})
    accepted = [serving.accept(CLIENT._replace(host=host)) for host in ("192.0.2.1", "192.0.2.2", "192.0.2.3")]
    assert serving.take() == [CloseSocket(accepted[2], CloseMode.RESET)]
    serving.accept(CLIENT._replace(host="192.0.3.1"))
    assert serving.take() == []
    one_more = serving.accept(CLIENT._replace(host="192.0.4.1"))
    assert serving.take() == [CloseSocket(one_more, CloseMode.RESET)]
    assert (serving.stats.accepted, serving.stats.dropped) == (3, {DropReason.LIMIT: 2})
    serving.write(accepted[0], b"")
    serving.accept(CLIENT._replace(host="192.0.2.9"))
    assert serving.take() == []


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.1\r\n", DropReason.NOT_STUN),
        (b"\x16\x03\x01\x02\x00\x01", DropReason.BAD_LENGTH),
        (b"\x00\x01\xff\xff", DropReason.BAD_LENGTH),
        (b"\x00\x01\xff\xfc", DropReason.LIMIT),
        (b"\x00\x01\x00\x00" + bytes(16), DropReason.BAD_COOKIE),
    ],
    ids=["HTTP", "TLS", "a length of 65535", "a length of 65532", "RFC 3489"],
)
def test_a_stream_that_is_not_stun_is_closed_after_what_came_before(data, reason):
    serving = Serving()
    stream = serving.accept()
    sent, end = serving.write(stream, binding() + data)
    assert (type(sent), end) == (SendStream, CloseSocket(stream, CloseMode.FLUSH))
    assert serving.stats.dropped == {reason: 1}


def test_a_whole_frame_that_is_no_message_is_dropped_and_the_stream_goes_on():
    serving = Serving()
    stream = serving.accept()
    overrun = b"\x00\x01\x00\x04" + binding()[4:] + b"\x00\x24\x00\x08"
    assert serving.write(stream, overrun) == []
    assert serving.stats.dropped == {DropReason.BAD_ATTRIBUTE: 1}
    assert serving.reply(stream, binding()).get(XOR_MAPPED_ADDRESS) == CLIENT


def test_a_client_that_does_not_read_is_not_read():
    serving = Serving()
    stream = serving.accept()
    for unsent in (65536, 65537, 90000, 32769, 32768, 0):
        serving.server.handle_stream_sent(stream, unsent, now=serving.now)
    assert serving.take() == [SetReading(stream, False), SetReading(stream, True)]
    serving.server.handle_stream_sent(SocketId(-99), 90000, now=serving.now)
    assert serving.take() == []


def test_requests_on_streams_count_towards_the_rate_of_their_prefix():
    serving = Serving(policy={"rate": 1.0, "burst": 2})
    stream = serving.accept()
    assert len(serving.write(stream, binding() * 3)) == 2
    assert serving.stats.rate_limited == 1
    unlimited = Serving(policy={"rate": None})
    assert len(unlimited.write(unlimited.accept(), binding() * 300)) == 300


def test_what_belongs_to_no_stream_is_passed_over():
    serving = Serving()
    assert serving.write(SocketId(-5), binding()) == []
    serving.server.handle_accepted(SocketId(99), SocketId(-6), CLIENT, now=serving.now)
    assert serving.take() == [CloseSocket(SocketId(-6), CloseMode.RESET)]


def test_a_stream_that_is_accepted_while_draining_is_closed(relaying):
    stream = relaying.accept()
    relaying.write(stream, refresh())
    relaying.server.drain(now=relaying.now)
    relaying.take()
    late = relaying.accept()
    assert relaying.take() == [CloseSocket(late, CloseMode.RESET)]
    assert relaying.stats.dropped == {DropReason.CLOSED: 1}


def test_requests_on_a_stream_whose_listener_has_died_are_not_answered():
    serving = Serving()
    stream = serving.accept()
    serving.server.handle_socket_failed(OF[TCP], RESET, now=serving.now)
    serving.take()
    assert serving.write(stream, binding()) == []
    assert serving.stats.dropped == {DropReason.CLOSED: 1}


def test_words_are_sent_where_no_source_can_be_forged():
    serving = Serving()
    response = serving.reply(serving.accept(), binding([(Attribute(0x7FFF, "UNKNOWN", shapes.FLAG), None)]))
    assert response.get(ERROR_CODE) == ErrorCode(420, "Unknown Attribute")


def test_a_drain_lets_streams_go_that_are_owed_nothing_and_ends_with_the_last(relaying):
    idle, busy = relaying.accept(), relaying.accept(CLIENT._replace(port=1))
    (event,) = relaying.write(busy, refresh())
    _, outputs = relaying.call(relaying.server.drain)
    assert closed(outputs) == [OF[TCP], OF[TLS], idle]
    assert SetReading(busy, False) in outputs
    _, outputs = relaying.call(relaying.server.respond, event)
    assert type(outputs[0]) is SendStream
    assert (closed(outputs), told(outputs)) == ([busy, 1, 2, 5], [ServerDrained()])


def test_a_drain_ends_when_the_stream_that_it_waited_for_is_gone(relaying):
    busy = relaying.accept()
    relaying.write(busy, refresh())
    relaying.call(relaying.server.drain)
    relaying.server.handle_socket_failed(busy, RESET, now=relaying.now)
    assert told(relaying.take()) == [ServerDrained()]


def test_a_request_that_is_not_answered_in_time_is_answered_with_500_and_words(relaying):
    stream = relaying.accept()
    relaying.write(stream, refresh())
    relaying.write(stream, b"")
    (_, sent), (_, end) = relaying.at(1100.0)
    assert decode_untrusted(sent.data).get(ERROR_CODE) == ErrorCode(500, "Server Error")
    assert end == CloseSocket(stream, CloseMode.FLUSH)


# ------------------------------------------------------------------- a stream that the parent takes over


def connection_bind(id=ID):
    return encode(Method.CONNECTION_BIND, MessageClass.REQUEST, id)


@pytest.fixture
def binding_connections():
    return Serving(methods=[Method.CONNECTION_BIND, Method.REFRESH], channel_data=True)


@pytest.mark.req("RFC6062-008")
def test_what_comes_behind_a_connection_bind_is_the_parents_if_that_succeeds(binding_connections):
    serving = binding_connections
    stream = serving.accept()
    (received,) = serving.write(stream, connection_bind() + b"\xffraw")
    serving.write(stream, b" bytes")
    _, (answer,) = serving.call(serving.server.respond, received)
    assert decode_untrusted(answer.data).message_class is MessageClass.SUCCESS
    assert serving.call(serving.server.release_stream, stream) == (b"\xffraw bytes", [])
    assert serving.write(stream, b"more") == []
    assert (serving.stats.connections, serving.server.deadline()) == (0, math.inf)


def test_what_comes_behind_a_connection_bind_that_is_refused_is_read_as_messages(binding_connections):
    serving = binding_connections
    stream = serving.accept()
    first, *rest = serving.write(stream, connection_bind() + refresh(b"2" * 12) + connection_bind(b"3" * 12) + b"\xff")
    assert rest == []
    _, (answer, second, third) = serving.call(serving.server.respond, first, error=ErrorCode(400, "Bad Request"))
    assert decode_untrusted(answer.data).get(ERROR_CODE).code == 400
    assert [one.message.transaction_id for one in (second, third)] == [b"2" * 12, b"3" * 12]
    assert closed(serving.call(serving.server.respond, second)[1]) == []
    outputs = serving.call(serving.server.respond, third, error=ErrorCode(400, "Bad Request"))[1]
    assert closed(outputs) == [stream]
    assert serving.stats.dropped == {DropReason.NOT_STUN: 1}


def test_a_connection_bind_of_nobody_stops_nothing():
    serving = Serving(methods=[Method.REFRESH])
    stream = serving.accept()
    (received,) = serving.write(stream, connection_bind() + refresh())
    assert received.message.method is Method.REFRESH
    assert serving.stats.dropped == {DropReason.UNKNOWN_METHOD: 1}


def test_a_stream_that_ends_while_its_connection_bind_waits_is_not_released(binding_connections):
    serving = binding_connections
    stream = serving.accept()
    (received,) = serving.write(stream, connection_bind() + refresh(b"2" * 12))
    serving.write(stream, b"")
    _, outputs = serving.call(serving.server.respond, received)
    assert closed(outputs) == [stream]
    assert serving.call(serving.server.release_stream, stream) == (None, [])


def test_too_much_behind_a_connection_bind_that_waits_closes_the_stream(binding_connections):
    serving = binding_connections
    stream = serving.accept()
    (received,) = serving.write(stream, connection_bind())
    assert serving.write(stream, bytes(100_000)) == [SetReading(stream, False)]
    _, outputs = serving.call(serving.server.respond, received, error=ErrorCode(400, "Bad Request"))
    assert closed(outputs) == [stream]


def test_a_request_that_is_postponed_is_answered_later_and_the_others_are_not(relaying):
    stream = relaying.accept()
    first, second = relaying.write(stream, refresh(b"1" * 12) + refresh(b"2" * 12))
    relaying.call(relaying.server.postpone, first, 40.0)
    (due, told_second) = relaying.at(relaying.now + 39.0)[0]
    assert (due, decode_untrusted(told_second.data).transaction_id) == (1005.0, b"2" * 12)
    assert relaying.server.awaits(first)
    assert not relaying.server.awaits(second)
    _, (answer,) = relaying.call(relaying.server.respond, first)
    assert decode_untrusted(answer.data).message_class is MessageClass.SUCCESS


def test_a_request_that_is_postponed_has_an_end_and_goes_with_its_stream(relaying):
    stream, other = relaying.accept(), relaying.accept()
    (first,) = relaying.write(stream, refresh(b"1" * 12))
    (second,) = relaying.write(other, refresh(b"2" * 12))
    for received in (first, second):
        relaying.call(relaying.server.postpone, received, 40.0)
    relaying.server.handle_socket_failed(other, RESET, now=relaying.now)
    assert not relaying.server.awaits(second)
    ((due, sent),) = relaying.at(relaying.now + 50.0)
    assert (due, decode_untrusted(sent.data).get(ERROR_CODE).code) == (1040.0, 500)
    assert relaying.call(relaying.server.postpone, first, 40.0) == (None, [])


@pytest.mark.parametrize("first", ["end", "postponed"])
def test_a_stream_is_not_kept_open_for_what_is_postponed(relaying, first):
    stream = relaying.accept()
    (received,) = relaying.write(stream, refresh())
    if first == "end":
        assert relaying.write(stream, b"") == [SetReading(stream, False)]
        outputs = relaying.call(relaying.server.postpone, received, 40.0)[1]
    else:
        relaying.call(relaying.server.postpone, received, 40.0)
        relaying.call(relaying.server.postpone, received, 40.0)
        outputs = relaying.write(stream, b"")
    assert closed(outputs) == [stream]
    assert not relaying.server.awaits(received)
    assert relaying.server.deadline() == math.inf
