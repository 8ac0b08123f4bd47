"""RFC 3489 clients: answered over UDP, refused over DTLS, and never obeyed where that would hurt others."""

import pytest
from hypothesis import given, strategies as st

from _stun_serving import CLIENT, CLIENT6, DTLS, OF, Serving, binding, classic
from sansice.machine import DecodeError, DropReason, SocketId
from sansice.stun import CHANGE_REQUEST, RESPONSE_ADDRESS, ChangeRequest, MessageClass, shapes
from sansice.stun._server._classic import (
    MAX_CLASSIC_ATTRIBUTES,
    answer_classic_untrusted,
    decode_classic_untrusted,
    encode_classic,
    refuse_classic_untrusted,
)

ID = bytes(range(16))


def values(data):
    """(code, bytes) of each attribute."""
    found, offset = [], 20
    while offset < len(data):
        length = int.from_bytes(data[offset + 2 : offset + 4], "big")
        found.append((int.from_bytes(data[offset : offset + 2], "big"), data[offset + 4 : offset + 4 + length]))
        offset += 4 + length + -length % 4
    return found


@pytest.mark.req("RFC5389-004", "RFC8489-117")
@pytest.mark.parametrize(("source", "socket"), [(CLIENT, 1), (CLIENT6, 2)])
def test_a_classic_request_is_answered_with_its_id_and_mapped_address(source, socket):
    serving = Serving()
    (sent,) = serving.ask(classic(), source, SocketId(socket))
    assert (sent.socket, sent.destination) == (socket, source)
    assert (sent.data[:2], sent.data[4:20]) == (b"\x01\x01", ID)
    ((code, raw),) = values(sent.data)
    assert (code, shapes.ADDRESS.unpack(raw, b"")) == (1, source)
    assert (serving.stats.requests, serving.stats.classic, serving.stats.responses) == (1, 1, 1)


@pytest.mark.req("RFC5389-005", "RFC8489-050")
@pytest.mark.parametrize("code", [CHANGE_REQUEST.code, RESPONSE_ADDRESS.code, 0x0024])
def test_what_this_server_does_not_do_for_classic_clients_is_answered_with_420(code):
    serving = Serving()
    (sent,) = serving.ask(classic((code, bytes(4))))
    assert (sent.data[:2], sent.data[4:20], sent.destination) == (b"\x01\x11", ID, CLIENT)
    assert values(sent.data) == [(9, b"\0\0\x04\x14"), (10, code.to_bytes(2, "big"))]
    assert serving.stats.errors == {420: 1}


def test_what_rfc3489_defines_and_a_request_has_no_use_for_is_passed_over():
    (sent,) = Serving().ask(classic((0x0006, b"user"), (0x0008, bytes(20)), (0x8022, b"old client")))
    assert sent.data[:2] == b"\x01\x01"


@pytest.mark.req("RFC8489-050", "RFC8489-115")
def test_over_dtls_a_request_without_cookie_is_a_server_error_and_an_indication_is_ignored():
    serving = Serving()
    (sent,) = serving.ask(classic(), socket=OF[DTLS])
    assert (sent.data[:2], sent.data[4:20]) == (b"\x01\x11", ID)
    assert values(sent.data) == [(9, b"\0\0\x05\0")]
    assert serving.ask(classic(kind=0x0011), socket=OF[DTLS]) == []
    assert serving.ask(classic(kind=0x0101), socket=OF[DTLS]) == []
    (sent,) = serving.ask(classic(kind=0x0002), socket=OF[DTLS])
    assert sent.data[:2] == b"\x01\x12"
    assert serving.stats.dropped == {DropReason.BAD_COOKIE: 2}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (classic(kind=0x0011), DropReason.BAD_CLASS),
        (classic(kind=0x0101), DropReason.BAD_CLASS),
        (classic(kind=0x0002), DropReason.UNKNOWN_METHOD),
        (classic() + b"more", DropReason.BAD_COOKIE),
        (classic((0x0006, bytes(4)))[:22] + b"\0\x40" + bytes(4), DropReason.BAD_ATTRIBUTE),
    ],
)
def test_what_is_no_classic_request_is_dropped(data, reason):
    serving = Serving()
    assert serving.ask(data) == []
    assert serving.stats.dropped == {reason: 1}


def test_classic_clients_can_be_left_out():
    serving = Serving(policy={"classic": False})
    assert serving.ask(classic()) == []
    assert serving.stats.dropped == {DropReason.BAD_COOKIE: 1}


# The messages themselves


def test_a_message_is_what_was_written():
    message = decode_classic_untrusted(encode_classic(1, MessageClass.REQUEST, ID, [(CHANGE_REQUEST, ChangeRequest(True))]))
    assert (message.method, message.message_class, message.transaction_id) == (1, MessageClass.REQUEST, ID)
    assert message.change_request_untrusted() == ChangeRequest(change_ip=True)
    assert decode_classic_untrusted(classic()).change_request_untrusted() == ChangeRequest()
    with pytest.raises(DecodeError, match="CHANGE-REQUEST"):
        decode_classic_untrusted(classic((3, b"abc"))).change_request_untrusted()


@pytest.mark.parametrize("data", [b"", b"\0\1\0\0", b"\x40" + classic()[1:], binding()])
def test_what_is_short_or_has_a_cookie_is_not_classic(data):
    with pytest.raises(DecodeError, match="not a STUN message"):
        decode_classic_untrusted(data)


def test_of_a_repeated_attribute_the_first_counts_and_there_may_not_be_too_many():
    repeated = decode_classic_untrusted(classic(*[(6, b"%04d" % number) for number in range(MAX_CLASSIC_ATTRIBUTES)]))
    assert repeated.values == {6: b"0000"}
    with pytest.raises(DecodeError, match="more than 16"):
        decode_classic_untrusted(classic(*[(6, b"")] * (MAX_CLASSIC_ATTRIBUTES + 1)))


@given(
    data=st.binary(max_size=100)
    | st.builds(lambda body: classic()[:2] + len(body).to_bytes(2, "big") + ID + body, st.binary(max_size=64))
)
def test_nothing_but_decode_errors_comes_out_of_any_bytes(data):
    for function in (decode_classic_untrusted, refuse_classic_untrusted, lambda raw: answer_classic_untrusted(CLIENT, raw, None)):
        try:
            function(data)
        except DecodeError:
            continue
