"""Numbers that older RFCs and drafts had: channels of RFC 5766, and the attribute for a second family before RFC 8656."""

import pytest

from sansice import Address, SendDatagram, SendDatagrams, SendStream, SocketId, Transport
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    CHANNEL_NUMBER,
    ERROR_CODE,
    REQUESTED_TRANSPORT,
    SSODA_ADDRESS_FAMILY,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Listener,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.turn import TurnServer, TurnServerConfig

HOST = Address("198.51.100.1", 3478)
CLIENT, PEER = Address("9.9.9.9", 5000), Address("8.8.8.8", 6000)
STREAM = SocketId(-1)


class Client:
    """A client with an allocation, over UDP or TCP."""

    def __init__(self, transport, **config):
        config = TurnServerConfig(anonymous=True, **config)
        self.server = TurnServer(authentication=None, config=config, entropy=lambda count: bytes(range(count)))
        self.stream = transport is Transport.TCP
        self.server.start([Listener(transport, HOST)], now=0.0)
        [opened] = self.server.take_outputs()
        self.listener = opened.socket
        self.server.handle_socket_opened(self.listener, HOST, now=0.0)
        if self.stream:
            self.server.handle_accepted(self.listener, STREAM, CLIENT, now=0.0)
        self.server.take_outputs()
        self.asked = 0
        self.tell(self.request(Method.ALLOCATE, (REQUESTED_TRANSPORT, 17)))
        [opening] = self.server.take_outputs()
        self.relay = opening.socket
        self.server.handle_socket_opened(self.relay, opening.bind, now=0.0)
        self.server.take_outputs()

    def request(self, method, *attributes):
        self.asked += 1
        return encode(method, MessageClass.REQUEST, TransactionId(bytes([self.asked]) * 12), attributes)

    def tell(self, data):
        if self.stream:
            self.server.handle_stream_data(STREAM, data, now=0.0)
        else:
            self.server.handle_datagrams(self.listener, [(CLIENT, data)], now=0.0)

    def bind(self, number):
        """The error code of the answer; 0 for success."""
        self.tell(self.request(Method.CHANNEL_BIND, (CHANNEL_NUMBER, number), (XOR_PEER_ADDRESS, PEER)))
        [answer] = [one for one in self.server.take_outputs() if type(one) in (SendDatagram, SendStream)]
        return getattr(decode_untrusted(answer.data).get(ERROR_CODE), "code", 0)

    def relayed(self):
        """What goes to the peer, and what goes to the client."""
        peer, client = [], []
        for output in self.server.take_outputs():
            items = output.items if type(output) is SendDatagrams else [(getattr(output, "destination", None), output.data)]
            (peer if output.socket == self.relay else client).extend(data for _, data in items)
        return peer, client


EVERY = pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])


@EVERY
@pytest.mark.parametrize("number", [0x5000, 0x66D4, 0x7FFF])
@pytest.mark.req("RFC8656-095", "RFC7983-003")
def test_reserved_number_is_refused(transport, number):
    assert Client(transport).bind(number) == 400


@EVERY
@pytest.mark.parametrize("number", [0x4000, 0x4FFF, 0x5000, 0x66D4, 0x7FFF])
def test_number_of_rfc5766_carries_data_where_wide_channels_are_on(transport, number):
    client = Client(transport, wide_channels=True)
    assert client.bind(number) == 0
    head = number.to_bytes(2, "big")
    client.tell(head + b"\0\4ping")
    assert client.relayed() == ([b"ping"], [])
    client.server.handle_datagrams(client.relay, [(PEER, b"pong")], now=0.0)
    assert client.relayed() == ([], [head + b"\0\4pong"])


@EVERY
@pytest.mark.parametrize("number", [0x3FFF, 0x8000, 0xFFFF])
def test_number_that_no_rfc_ever_had_is_refused_all_the_same(transport, number):
    assert Client(transport, wide_channels=True).bind(number) == 400


@EVERY
@pytest.mark.req("RFC8656-103")
def test_data_on_a_reserved_channel_is_dropped_and_the_client_is_served_on(transport):
    client = Client(transport)
    client.tell(b"\x50\0\0\4ping")
    assert client.relayed() == ([], [])
    assert sum(client.server.stats.dropped.values()) == 1
    assert client.bind(0x4000) == 0


# ------------------------------------------------------------- the draft's ADDITIONAL-ADDRESS-FAMILY


@pytest.mark.parametrize("attribute", [ADDITIONAL_ADDRESS_FAMILY, SSODA_ADDRESS_FAMILY], ids=lambda attribute: attribute.name)
def test_second_family_may_be_asked_for_by_the_number_of_the_draft(attribute):
    config = TurnServerConfig(anonymous=True, relay_addresses=("198.51.100.1", "2001:db8::1"))
    server = TurnServer(authentication=None, config=config, entropy=lambda count: bytes(range(count)))
    server.start([Listener(Transport.UDP, HOST)], now=0.0)
    [listener] = server.take_outputs()
    server.handle_socket_opened(listener.socket, HOST, now=0.0)
    server.take_outputs()
    attributes = [(REQUESTED_TRANSPORT, 17), (attribute, AddressFamily.IPV6)]
    request = encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12)), attributes)
    server.handle_datagrams(listener.socket, [(CLIENT, request)], now=0.0)
    assert [opening.bind.host for opening in server.take_outputs()] == ["198.51.100.1", "2001:db8::1"]
