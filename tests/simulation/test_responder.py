"""The Binding responder: what a STUN server says about where a request came from."""

import pytest

from sansice.machine import Address, DropReason, SendDatagram, SocketId
from sansice.simulation import BindingResponder, Network
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    PRIORITY,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)

ID = TransactionId(b"transaction!")


CLIENT = Address("203.0.113.1", 40000)


def ask(data, source=CLIENT):
    server = BindingResponder(["192.0.2.10"])
    server.take_outputs()
    server.handle_datagrams(SocketId(1), [(source, data)], now=0.0)
    return server, server.take_outputs()


@pytest.mark.parametrize("source", [CLIENT, Address("2001:db8::1", 1)])
@pytest.mark.parametrize("fingerprint", [True, False])
@pytest.mark.req("RFC8489-008", "RFC8489-053")
def test_a_request_is_answered_with_its_source_and_a_fingerprint_if_it_had_one(source, fingerprint):
    server, [answer] = ask(encode(Method.BINDING, MessageClass.REQUEST, ID, fingerprint=fingerprint), source)
    assert isinstance(answer, SendDatagram)
    assert (answer.socket, answer.destination) == (1, source)
    response = decode_untrusted(answer.data)
    assert (response.method, response.message_class) == (Method.BINDING, MessageClass.SUCCESS)
    assert response.transaction_id == ID
    assert response.get(XOR_MAPPED_ADDRESS) == source
    assert response.has_fingerprint is fingerprint
    assert not server.dropped


def with_unknown_attributes(message_class):
    """A message with 0x7FF0 and 0x7FF1, which nobody knows."""
    message = bytearray(encode(Method.BINDING, message_class, ID, [(PRIORITY, 1), (ICE_CONTROLLED, 1)]))
    message[20:22], message[28:30] = b"\x7f\xf0", b"\x7f\xf1"
    return bytes(message)


@pytest.mark.req("RFC8489-046")
def test_unknown_required_attributes_are_answered_with_420_and_named():
    _, [answer] = ask(with_unknown_attributes(MessageClass.REQUEST))
    response = decode_untrusted(answer.data)
    assert response.message_class is MessageClass.ERROR
    assert response.transaction_id == ID
    assert response.get(ERROR_CODE) == ErrorCode(420, "Unknown Attribute")
    assert response.get(UNKNOWN_ATTRIBUTES) == (0x7FF0, 0x7FF1)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"noise", DropReason.NOT_STUN),
        (encode(Method.BINDING, MessageClass.INDICATION, ID), DropReason.BAD_CLASS),
        (with_unknown_attributes(MessageClass.INDICATION), DropReason.BAD_CLASS),
        (encode(Method.BINDING, MessageClass.SUCCESS, ID), DropReason.BAD_CLASS),
        (encode(Method.ALLOCATE, MessageClass.REQUEST, ID), DropReason.UNKNOWN_METHOD),
    ],
)
@pytest.mark.req("RFC8489-056")
def test_what_is_no_binding_request_is_dropped_and_counted(data, reason):
    server, outputs = ask(data)
    assert outputs == []
    assert server.dropped == {reason: 1}


def test_a_server_listens_at_all_its_addresses():
    net = Network()
    node = net.stun_server("192.0.2.10", "2001:db8::10", port=3479)
    assert list(node.sockets.values()) == [Address("192.0.2.10", 3479), Address("2001:db8::10", 3479)]
    assert node.host.name == "STUN server"
