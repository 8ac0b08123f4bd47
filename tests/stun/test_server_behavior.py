"""A server for NAT behaviour discovery: where answers leave, where they go, and what they say (RFC 5780 6, 7)."""

import pytest

from _stun_serving import CLIENT, CLIENT6, DTLS, SQUARE, TCP, TLS, UDP, Serving, binding, classic
from sansice.machine import Address, LocalProtocolError, SendDatagram, SocketError, SocketErrorKind, SocketId
from sansice.stun import (
    CHANGE_REQUEST,
    CHANGED_ADDRESS,
    ERROR_CODE,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    PADDING,
    PRIORITY,
    RESPONSE_ADDRESS,
    RESPONSE_ORIGIN,
    RESPONSE_PORT,
    SOURCE_ADDRESS,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ChangeRequest,
    ErrorCode,
    Listener,
    MessageClass,
    StunServerConfig,
    decode_untrusted,
    shapes,
)

FLAGS = [ChangeRequest(change_ip, change_port) for change_ip in (False, True) for change_port in (False, True)]
A1, A2, P1, P2 = "198.51.100.1", "198.51.100.2", 3478, 3479
POLICY = {"behavior": True, "rate": None}
RAW_RESPONSE_PORT = Attribute(RESPONSE_PORT.code, "RESPONSE-PORT", shapes.OPAQUE)
RAW_CHANGE_REQUEST = Attribute(CHANGE_REQUEST.code, "CHANGE-REQUEST", shapes.OPAQUE)


@pytest.fixture
def serving():
    return Serving(SQUARE, policy=POLICY)


def other(here):
    return Address(A2 if here.host == A1 else A1, P2 if here.port == P1 else P1)


def asked(serving, attributes, socket=1):
    """Where the answer leaves, where it goes, and the answer."""
    (sent,) = serving.ask(binding(attributes), socket=SocketId(socket))
    assert type(sent) is SendDatagram
    return SQUARE[sent.socket - 1].address, sent.destination, decode_untrusted(sent.data)


@pytest.mark.req("RFC5780-012")
@pytest.mark.parametrize("socket", [1, 2, 3, 4])
def test_a_plain_request_is_told_both_addresses_and_both_ports(serving, socket):
    here = SQUARE[socket - 1].address
    origin, destination, response = asked(serving, [], socket)
    assert (origin, destination) == (here, CLIENT)
    assert (response.get(MAPPED_ADDRESS), response.get(XOR_MAPPED_ADDRESS)) == (CLIENT, CLIENT)
    assert (response.get(RESPONSE_ORIGIN), response.get(OTHER_ADDRESS)) == (here, other(here))


@pytest.mark.req("RFC5780-012", "RFC5780-013")
@pytest.mark.parametrize("flags", FLAGS, ids=str)
@pytest.mark.parametrize("socket", [1, 2, 3, 4])
def test_table_1_of_rfc5780(serving, socket, flags):
    here = SQUARE[socket - 1].address
    ca, cp = other(here)
    expected = Address(ca if flags.change_ip else here.host, cp if flags.change_port else here.port)
    origin, destination, response = asked(serving, [(CHANGE_REQUEST, flags)], socket)
    assert (origin, destination) == (expected, CLIENT)
    assert (response.get(RESPONSE_ORIGIN), response.get(OTHER_ADDRESS)) == (expected, Address(ca, cp))


@pytest.mark.req("RFC5780-013")
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_a_datagram_is_answered_from_udp_sockets_where_streams_have_the_same_addresses(flags):
    serving = Serving([*SQUARE, *(Listener(TCP, one.address) for one in SQUARE)], policy=POLICY)
    origin, _, response = asked(serving, [(CHANGE_REQUEST, flags)])
    assert origin == response.get(RESPONSE_ORIGIN)


@pytest.mark.req("RFC5780-016")
@pytest.mark.parametrize("raw", [b"\x13\x88", b"\x13\x88\0\0"], ids=["length 2", "length 4"])
def test_response_port_redirects_the_answer_to_another_port_of_the_same_host(serving, raw):
    origin, destination, response = asked(serving, [(RAW_RESPONSE_PORT, raw)])
    assert (origin, destination) == (SQUARE[0].address, CLIENT._replace(port=5000))
    assert response.get(XOR_MAPPED_ADDRESS) == CLIENT


@pytest.mark.req("RFC5780-014", "RFC5780-017")
@pytest.mark.parametrize(("asked_for", "given"), [(0, 0), (1, 4), (1400, 1400), (1499, 1500), (60000, 1500)])
def test_padding_is_answered_with_padding_of_whole_words_no_longer_than_asked(serving, asked_for, given):
    _, _, response = asked(serving, [(PADDING, b"x" * asked_for)])
    assert response.get(PADDING) == bytes(given)
    assert len(response.data) <= max(68, asked_for + 20 + 48 + 8) < 65536


@pytest.mark.req("RFC5780-014")
def test_padding_with_response_port_is_a_bad_request_answered_where_it_came_from(serving):
    _, destination, response = asked(serving, [(PADDING, bytes(1400)), (RESPONSE_PORT, 5000)])
    assert (destination, response.get(ERROR_CODE)) == (CLIENT, ErrorCode(400))
    assert PADDING not in response


@pytest.mark.parametrize(
    "attribute",
    [(RAW_CHANGE_REQUEST, b"abc"), (RAW_RESPONSE_PORT, b"abc"), (RESPONSE_PORT, 0)],
    ids=["flags", "port", "port 0"],
)
def test_a_value_that_makes_no_sense_is_a_bad_request(serving, attribute):
    _, destination, response = asked(serving, [attribute])
    assert (destination, response.get(ERROR_CODE)) == (CLIENT, ErrorCode(400))


def test_response_port_does_not_get_around_the_rate_of_the_prefix():
    # 68 bytes for 28 are 1.5 times what a plain answer may be.
    serving = Serving(SQUARE, policy={"behavior": True, "rate": 1.0, "burst": 15})
    requests = [binding([(RESPONSE_PORT, port)]) for port in range(1, 100)]
    sent = [one for data in requests for one in serving.ask(data)]
    assert len(sent) == 10
    assert {one.destination.host for one in sent} == {CLIENT.host}


@pytest.mark.req("RFC5780-011", "RFC5780-014", "RFC5780-016")
def test_when_one_of_the_four_sockets_is_missing_there_is_no_other_address_and_420_for_change_request(serving):
    serving.server.handle_socket_failed(SocketId(4), SocketError(SocketErrorKind.ADDRESS_IN_USE), now=serving.now)
    serving.take()
    _, _, response = asked(serving, [])
    assert OTHER_ADDRESS not in response
    assert response.get(RESPONSE_ORIGIN) == SQUARE[0].address
    _, _, response = asked(serving, [(CHANGE_REQUEST, ChangeRequest(change_port=True))])
    assert (response.get(ERROR_CODE), response.get(UNKNOWN_ATTRIBUTES)) == (ErrorCode(420), (CHANGE_REQUEST.code,))
    # RFC 5780 5: PADDING and RESPONSE-PORT need no second address.
    assert asked(serving, [(RESPONSE_PORT, 5000)])[1].port == 5000
    assert asked(serving, [(PADDING, bytes(100))])[2].get(PADDING) == bytes(100)


@pytest.mark.req("RFC5780-011")
@pytest.mark.parametrize(
    "listeners",
    [
        SQUARE[:1],
        SQUARE[:2],
        SQUARE[:3],
        (*SQUARE, Listener(UDP, Address(A1, 5000))),
        [Listener(UDP, one.address._replace(port=0)) for one in SQUARE],
        [*SQUARE, Listener(UDP, Address("2001:db8::1", P1))],
        [Listener(TCP, one.address) for one in SQUARE],
        [Listener(UDP, Address(A1, P1)), Listener(UDP, Address(A2, P2)), *SQUARE[1:2], Listener(UDP, Address(A2, 9))],
    ],
    ids=["one", "one address", "three", "five", "ports of 0", "half of IPv6", "no UDP", "crooked"],
)
def test_addresses_that_do_not_share_two_ports_are_refused(listeners):
    with pytest.raises(LocalProtocolError, match="behavior"):
        Serving(listeners, policy=POLICY)


@pytest.mark.req("RFC5780-012", "RFC5780-013")
def test_both_families_have_a_square_of_their_own():
    six = [Listener(UDP, Address(f"2001:db8::{number}", port)) for number in (1, 2) for port in (P1, P2)]
    serving = Serving([*SQUARE, *six], policy=POLICY)
    response = serving.answer(binding(), CLIENT6, SocketId(5))
    assert response.get(OTHER_ADDRESS) == Address("2001:db8::2", P2)


@pytest.mark.req("RFC5780-012", "RFC5780-014")
@pytest.mark.parametrize("attribute", [(CHANGE_REQUEST, ChangeRequest(change_port=True)), (RESPONSE_PORT, 5000)])
def test_over_a_stream_the_answer_can_come_from_nowhere_else(attribute):
    streams = [Listener(TCP, one.address) for one in SQUARE]
    serving = Serving([*SQUARE, *streams], policy=POLICY)
    stream = SocketId(-1)
    serving.server.handle_accepted(SocketId(5), stream, CLIENT, now=serving.now)
    response = serving.reply(stream, binding())
    assert response.get(OTHER_ADDRESS) == Address(A2, P2)
    assert response.get(RESPONSE_ORIGIN) == Address(A1, P1)
    refused = serving.reply(stream, binding([attribute]))
    assert refused.get(UNKNOWN_ATTRIBUTES) == (attribute[0].code,)
    assert serving.reply(stream, binding([(PADDING, bytes(100))])).get(PADDING) == bytes(100)


def test_a_stream_with_one_address_has_no_other():
    serving = Serving([*SQUARE, Listener(TLS, Address(A1, 5349)), Listener(DTLS, Address(A1, 5349))], policy=POLICY)
    stream = SocketId(-1)
    serving.server.handle_accepted(SocketId(5), stream, CLIENT, now=serving.now)
    assert OTHER_ADDRESS not in serving.reply(stream, binding())
    response = serving.answer(binding([(CHANGE_REQUEST, ChangeRequest())]), socket=SocketId(6))
    assert response.get(ERROR_CODE) == ErrorCode(420)


def test_a_server_for_behaviour_discovery_does_not_redirect():
    with pytest.raises(ValueError, match="alternates"):
        StunServerConfig(behavior=True, alternates=[CLIENT])


def test_attributes_of_others_are_passed_over(serving):
    assert asked(serving, [(PRIORITY, 1)])[2].message_class is MessageClass.SUCCESS


# RFC 3489 clients of such a server


@pytest.mark.req("RFC5389-005")
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_a_classic_client_may_ask_for_a_change(serving, flags):
    bits = bytes((0, 0, 0, flags.change_ip << 2 | flags.change_port << 1))
    (sent,) = serving.ask(classic((CHANGE_REQUEST.code, bits)))
    origin = Address(A2 if flags.change_ip else A1, P2 if flags.change_port else P1)
    assert (SQUARE[sent.socket - 1].address, sent.destination) == (origin, CLIENT)
    body = sent.data[20:]
    values = [shapes.ADDRESS.unpack(body[start + 4 : start + 12], b"") for start in range(0, len(body), 12)]
    codes = [body[start + 1] for start in range(0, len(body), 12)]
    assert codes == [MAPPED_ADDRESS.code, SOURCE_ADDRESS.code, CHANGED_ADDRESS.code]
    assert values == [CLIENT, origin, Address(A2, P2)]


@pytest.mark.req("RFC5389-005")
def test_a_classic_client_may_not_send_the_answer_elsewhere(serving):
    (sent,) = serving.ask(classic((RESPONSE_ADDRESS.code, bytes(8))))
    assert sent.destination == CLIENT
    assert sent.data[:2] == b"\x01\x11"
    assert sent.data[20:28] == b"\x00\x09\x00\x04\x00\x00\x04\x14"


def test_flags_of_a_classic_client_that_make_no_sense_are_a_bad_request(serving):
    (sent,) = serving.ask(classic((CHANGE_REQUEST.code, b"ab")))
    assert sent.data[20:28] == b"\x00\x09\x00\x04\x00\x00\x04\x00"
