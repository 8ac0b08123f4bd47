"""The way of data through a TURN server, on allocations made by hand."""

import pytest

from sansice.machine import (
    Address,
    DropReason,
    IcmpError,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetDontFragment,
    SocketId,
    Transport,
)
from sansice.stun import (
    DATA,
    DONT_FRAGMENT,
    ICMP,
    XOR_PEER_ADDRESS,
    AddressFamily,
    Icmp,
    MessageClass,
    Method,
    Path,
    StunServerConfig,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.turn import DEFAULT_PEER_POLICY, TurnLimits, TurnServerConfig, TurnServerStats, encode_channel_data
from sansice.turn._server._allocation import TCP_PROTOCOL, Allocation, AllocationId, Channel, Permission, Relay
from sansice.turn._server._limits import Quotas
from sansice.turn._server._own import OwnAddresses
from sansice.turn._server._relay import DataPath

LISTENER, STREAM = SocketId(1), SocketId(-1)
V4, V6 = AddressFamily.IPV4, AddressFamily.IPV6
CLIENT, OTHER_CLIENT = Address("198.51.100.1", 5000), Address("198.51.100.2", 5000)
CLIENT6 = Address("2001:db8:1::1", 5000)
PEER, OTHER_PEER, THIRD_PEER = Address("203.0.113.9", 9), Address("203.0.113.10", 9), Address("203.0.113.9", 10)
PEER6 = Address("2001:db8:2::9", 9)
OWN_RELAY, OWN_SERVICE = Address("192.0.2.1", 50_000), Address("192.0.2.1", 22)
ONE, TWO = 0x4000, 0x4001
NOW = 100.0
TRANSACTION = TransactionId(bytes(range(12)))
REQUEST = encode(Method.REFRESH, MessageClass.REQUEST, TRANSACTION)


def count_up():
    drawn = 0

    def entropy(count):
        nonlocal drawn
        drawn += 1
        return drawn.to_bytes(count, "big")

    return entropy


class World:
    """A data path with a client at `CLIENT` who has a relay for each family, at sockets 10 and 11."""

    def __init__(self, *, config=None, limits=None, transport=Transport.UDP, client=CLIENT, protocol=17):
        self.stats = TurnServerStats()
        self.quotas = Quotas(TurnLimits())
        self.quotas.set_limits(limits or TurnLimits(), now=NOW)
        self.own = OwnAddresses(DEFAULT_PEER_POLICY)
        self.own.add_host(OWN_RELAY.host, OWN_RELAY.host)
        self.data = DataPath(
            config or TurnServerConfig(),
            self.stats,
            entropy=count_up(),
            own=self.own,
        )
        self.next_socket = 10
        socket = STREAM if transport.is_stream else LISTENER
        self.allocation = self.allocate(client, transport, socket, protocol)
        self.relay, self.relay6 = self.allocation.relays.values()
        self.own.add_relay(Relay(self.allocation, V4, SocketId(9), OWN_RELAY, OWN_RELAY, NOW + 600))

    def allocate(self, client, transport=Transport.UDP, socket=LISTENER, protocol=17):
        user = self.quotas.user(str(client), now=NOW)
        number = AllocationId(self.next_socket)
        allocation = Allocation(number, Path(socket, client, transport), TRANSACTION, str(client), user, protocol=protocol)
        for family, host in ((V4, "192.0.2.1"), (V6, "2001:db8::1")):
            local = Address(host, 50_000 + self.next_socket)
            relay = Relay(allocation, family, SocketId(self.next_socket), local, local, NOW + 600)
            allocation.relays[family] = self.data.relays[relay.socket] = relay
            self.next_socket += 1
        self.data.add(allocation)
        return allocation

    def permit(self, *peers, allocation=None):
        for peer in peers:
            relay = (allocation or self.allocation).relays[V6 if peer.is_ipv6 else V4]
            relay.permissions[peer.host] = Permission(relay, peer.host, is_own=peer.host == OWN_RELAY.host)

    def bind(self, number, peer, allocation=None):
        allocation = allocation or self.allocation
        self.permit(peer, allocation=allocation)
        relay = allocation.relays[V6 if peer.is_ipv6 else V4]
        channel = Channel(relay, number, peer, is_own=peer.host == OWN_RELAY.host)
        allocation.channels[channel.header] = relay.channels[peer] = channel
        return channel

    def from_client(self, *data, source=CLIENT):
        """Feeds one batch that must be all data."""
        outputs = []
        batch = [(source, one) for one in data]
        assert self.data.from_client(LISTENER, batch, 0, outputs, now=NOW) == (len(batch), len(batch))
        return outputs

    def from_peer(self, *batch, relay=None):
        outputs = []
        self.data.from_peer(relay or self.relay, batch, outputs, now=NOW)
        return outputs

    @property
    def dropped(self):
        return +self.stats.dropped


def send(peer, data, *more):
    return encode(Method.SEND, MessageClass.INDICATION, TRANSACTION, [(XOR_PEER_ADDRESS, peer), (DATA, data), *more])


def read(message):
    decoded = decode_untrusted(message)
    assert (decoded.method, decoded.message_class) == (Method.DATA, MessageClass.INDICATION)
    return decoded.get(XOR_PEER_ADDRESS), decoded.get(DATA), decoded.get(ICMP)


# ---------------------------------------------------------------- channels, from the client


def test_channel_data_leaves_from_the_relayed_address_without_its_header():
    world = World()
    world.bind(ONE, PEER)
    assert world.from_client(encode_channel_data(ONE, b"hello")) == [SendDatagram(SocketId(10), PEER, b"hello")]
    assert (world.allocation.received_packets, world.allocation.received_bytes) == (1, 5)
    assert (world.stats.received_packets, world.stats.received_bytes) == (1, 5)
    assert not world.dropped


def test_a_batch_leaves_as_a_batch_for_each_relayed_address_in_order():
    world = World()
    for number, peer in ((ONE, PEER), (TWO, OTHER_PEER), (0x4002, PEER6)):
        world.bind(number, peer)
    numbers = [ONE, 0x4002, TWO, ONE, 0x4002]
    assert world.from_client(*[encode_channel_data(number, bytes((at,))) for at, number in enumerate(numbers)]) == [
        SendDatagrams(SocketId(10), ((PEER, b"\0"), (OTHER_PEER, b"\2"), (PEER, b"\3"))),
        SendDatagrams(SocketId(11), ((PEER6, b"\1"), (PEER6, b"\4"))),
    ]
    assert world.stats.received_packets == 5


def test_clients_on_one_listener_have_channels_of_their_own():
    world = World()
    world.bind(ONE, PEER)
    other = world.allocate(OTHER_CLIENT)
    world.bind(ONE, OTHER_PEER, allocation=other)
    outputs = []
    batch = [(CLIENT, encode_channel_data(ONE, b"1")), (OTHER_CLIENT, encode_channel_data(ONE, b"2"))]
    world.data.from_client(LISTENER, batch, 0, outputs, now=NOW)
    assert outputs == [SendDatagram(SocketId(10), PEER, b"1"), SendDatagram(SocketId(12), OTHER_PEER, b"2")]
    assert world.data.find(LISTENER, OTHER_CLIENT) is other
    world.data.remove(other)
    assert world.from_client(encode_channel_data(ONE, b"2"), source=OTHER_CLIENT) == []
    world.data.remove(world.allocation)
    assert world.data.find(LISTENER, CLIENT) is None
    assert world.from_client(encode_channel_data(ONE, b"1")) == []
    assert world.dropped == {DropReason.NO_ALLOCATION: 2}
    assert world.data.clients == {}


@pytest.mark.req("RFC8656-101")
def test_what_follows_the_data_in_a_datagram_is_ignored():
    world = World()
    world.bind(ONE, PEER)
    message = encode_channel_data(ONE, b"abc")
    assert world.from_client(message + b"\0", message + b"garbage") == [
        SendDatagrams(SocketId(10), ((PEER, b"abc"), (PEER, b"abc")))
    ]


@pytest.mark.req("RFC8656-102")
@pytest.mark.parametrize("message", ["4000", "400000", "40000001", "4000000a" + "00" * 9])
def test_channel_data_longer_than_its_datagram_is_dropped(message):
    world = World()
    world.bind(ONE, PEER)
    assert world.from_client(bytes.fromhex(message)) == []
    assert world.dropped == {DropReason.BAD_LENGTH: 1}
    assert world.allocation.dropped == 1


@pytest.mark.req("RFC8656-103")
@pytest.mark.parametrize("number", [0x4002, 0x4FFF, 0x5000, 0x7FFF, 0x8000, 0xFFFF])
def test_a_channel_that_is_not_bound_and_a_reserved_number_are_dropped(number):
    world = World()
    world.bind(ONE, PEER)
    assert world.from_client(number.to_bytes(2, "big") + b"\0\1x", b"\x40") == []
    assert world.dropped == {DropReason.NO_CHANNEL: 2}


@pytest.mark.req("RFC8656-105")
def test_a_channel_message_without_data_is_an_empty_datagram():
    world = World()
    world.bind(ONE, PEER)
    assert world.from_client(encode_channel_data(ONE, b"")) == [SendDatagram(SocketId(10), PEER, b"")]


def test_data_of_a_stranger_is_dropped_and_nothing_is_answered():
    world = World()
    world.bind(ONE, PEER)
    assert world.from_client(encode_channel_data(ONE, b"x"), send(PEER, b"x"), source=OTHER_CLIENT) == []
    assert world.dropped == {DropReason.NO_ALLOCATION: 2}
    assert world.allocation.dropped == 0


def test_a_channel_to_our_own_host_is_good_for_relayed_addresses_only():
    world = World()
    world.bind(ONE, OWN_RELAY)
    world.bind(TWO, OWN_SERVICE)
    assert world.from_client(encode_channel_data(ONE, b"1"), encode_channel_data(TWO, b"2")) == [
        SendDatagram(SocketId(10), OWN_RELAY, b"1")
    ]
    assert world.dropped == {DropReason.NO_PERMISSION: 1}


def test_data_ends_where_a_request_stands_and_what_comes_after_it_waits():
    world = World()
    world.bind(ONE, PEER)
    data = [(CLIENT, encode_channel_data(ONE, bytes((at,)))) for at in range(3)]
    stranger = (OTHER_CLIENT, REQUEST)
    batch = [data[0], (CLIENT, REQUEST), stranger, (CLIENT, b""), data[1], (CLIENT, send(PEER, b"!")), stranger, data[2]]
    outputs = []

    def go_on(start):
        return world.data.from_client(LISTENER, batch, start, outputs, now=NOW)

    assert go_on(0) == (1, 4)
    assert outputs == [SendDatagram(SocketId(10), PEER, b"\0")]
    assert go_on(4) == (6, 7)
    assert [output.data for output in outputs] == [b"\0", b"\1", b"!"]
    assert go_on(7) == (8, 8)
    assert go_on(8) == (8, 8)
    assert [output.data for output in outputs] == [b"\0", b"\1", b"!", b"\2"]


# ---------------------------------------------------------------- Send indications


@pytest.mark.req("RFC8656-080")
@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_a_send_leaves_from_the_relayed_address_with_just_its_data(length):
    world = World()
    world.permit(PEER, PEER6)
    data = b"\xff" * length
    assert world.from_client(send(PEER, data)) == [SendDatagram(SocketId(10), PEER, data)]
    assert world.from_client(send(PEER6, data)) == [SendDatagram(SocketId(11), PEER6, data)]
    assert world.stats.received_bytes == 2 * length


@pytest.mark.req("RFC8656-077")
def test_a_send_needs_both_attributes_and_its_data_may_be_empty():
    world = World()
    world.permit(PEER)
    for attributes in ([(XOR_PEER_ADDRESS, PEER)], [(DATA, b"x")], []):
        assert world.from_client(encode(Method.SEND, MessageClass.INDICATION, TRANSACTION, attributes)) == []
    assert world.dropped == {DropReason.MISSING_ATTRIBUTE: 3}
    assert world.from_client(send(PEER, b"")) == [SendDatagram(SocketId(10), PEER, b"")]


def test_a_malformed_send_is_dropped():
    world = World()
    world.permit(PEER)
    good = send(PEER, b"x")
    bad_address = good[:21] + b"\x01" + good[22:23] + good[22:]  # family and port displaced
    assert world.from_client(good[:-1], bad_address, good[:8], b"\x00\x16") == []
    assert sum(world.dropped.values()) == 4
    assert world.allocation.dropped == 4


@pytest.mark.req("RFC8656-078")
def test_a_send_without_a_permission_is_dropped():
    world = World()
    world.permit(PEER)
    assert world.from_client(send(OTHER_PEER, b"x"), send(PEER6, b"x")) == []
    assert world.dropped == {DropReason.NO_PERMISSION: 2}
    assert world.from_client(send(THIRD_PEER, b"x")) == [SendDatagram(SocketId(10), THIRD_PEER, b"x")]  # ports do not matter
    del world.allocation.relays[V6]
    world.from_client(send(PEER6, b"x"))
    assert world.dropped == {DropReason.NO_PERMISSION: 3}


def test_a_send_to_our_own_host_reaches_relayed_addresses_only():
    world = World()
    world.permit(OWN_RELAY)
    assert world.from_client(send(OWN_SERVICE, b"x")) == []
    assert world.dropped == {DropReason.NO_PERMISSION: 1}
    assert world.from_client(send(OWN_RELAY, b"x")) == [SendDatagram(SocketId(10), OWN_RELAY, b"x")]


def test_a_send_with_an_attribute_that_must_be_understood_and_is_not_is_dropped():
    world = World()
    world.permit(PEER)
    good = send(PEER, b"x")
    unknown = good[:2] + (len(good) - 16).to_bytes(2, "big") + good[4:] + bytes.fromhex("7fff0000")
    assert world.from_client(unknown) == []
    assert world.dropped == {DropReason.UNKNOWN_ATTRIBUTE: 1}


@pytest.mark.req("RFC8656-079")
def test_a_send_that_must_not_be_fragmented_is_dropped_where_that_cannot_be_had():
    world = World(config=TurnServerConfig(dont_fragment=False))
    world.permit(PEER)
    assert world.from_client(send(PEER, b"x", (DONT_FRAGMENT, None))) == []
    assert world.dropped == {DropReason.UNKNOWN_ATTRIBUTE: 1}


def test_a_send_that_must_not_be_fragmented_sets_the_option_for_itself_alone():
    world = World()
    world.bind(ONE, PEER)
    channel = encode_channel_data(ONE, b"0")
    assert world.from_client(channel, send(PEER, b"whole", (DONT_FRAGMENT, None)), channel) == [
        SendDatagram(SocketId(10), PEER, b"0"),
        SetDontFragment(SocketId(10), True),
        SendDatagram(SocketId(10), PEER, b"whole"),
        SetDontFragment(SocketId(10), False),
        SendDatagram(SocketId(10), PEER, b"0"),
    ]


@pytest.mark.req("RFC8656-106")
@pytest.mark.parametrize(
    ("transport", "client", "peer", "is_whole"),
    [
        (Transport.UDP, CLIENT, PEER, True),
        (Transport.UDP, CLIENT, PEER6, False),
        (Transport.UDP, CLIENT6, PEER, False),
        (Transport.DTLS, CLIENT6, PEER6, False),
        (Transport.TCP, CLIENT, PEER6, True),
        (Transport.TLS, CLIENT6, PEER, True),
    ],
)
def test_with_ipv6_on_either_side_dont_fragment_counts_for_streams_only(transport, client, peer, is_whole):
    world = World(transport=transport, client=client)
    world.permit(peer)
    outputs = []
    world.data.from_indication(world.allocation, decode_untrusted(send(peer, b"x", (DONT_FRAGMENT, None))), outputs, now=NOW)
    sent = [output for output in outputs if isinstance(output, SendDatagram)]
    assert [(output.destination, output.data) for output in sent] == [(peer, b"x")]
    assert (len(outputs) == 3) is is_whole


def test_a_send_over_a_stream_is_relayed_as_any_other_and_one_without_allocation_dropped():
    world = World(transport=Transport.TCP)
    world.permit(PEER)
    outputs = []
    message = decode_untrusted(send(PEER, b"x"))
    world.data.from_indication(world.allocation, message, outputs, now=NOW)
    world.data.from_indication(None, message, outputs, now=NOW)
    assert outputs == [SendDatagram(SocketId(10), PEER, b"x")]
    assert world.dropped == {DropReason.NO_ALLOCATION: 1}


def test_an_allocation_of_tcp_relays_no_send():
    world = World(transport=Transport.TCP, protocol=TCP_PROTOCOL)
    world.permit(PEER)
    outputs = []
    world.data.from_indication(world.allocation, decode_untrusted(send(PEER, b"x")), outputs, now=NOW)
    assert outputs == []
    assert world.allocation.dropped == 1


def test_a_send_without_a_fingerprint_is_dropped_where_one_is_required():
    world = World(config=TurnServerConfig(stun=StunServerConfig(require_fingerprint=True, classic=False)))
    world.permit(PEER)
    assert world.from_client(send(PEER, b"x")) == []
    assert world.dropped == {DropReason.BAD_FINGERPRINT: 1}


# ---------------------------------------------------------------- streams


def test_channel_data_of_a_stream_is_relayed():
    world = World(transport=Transport.TLS)
    world.bind(ONE, PEER)
    outputs = []
    for frame in (encode_channel_data(ONE, b"abc"), encode_channel_data(ONE, b"abc", padded=True), b"\x50\0\0\0"):
        world.data.from_stream(world.allocation, frame, outputs, now=NOW)
    assert outputs == [SendDatagram(SocketId(10), PEER, b"abc")] * 2
    assert world.dropped == {DropReason.NO_CHANNEL: 1}


@pytest.mark.req("RFC8656-100")
def test_data_for_a_stream_is_padded_and_goes_out_at_once():
    world = World(transport=Transport.TCP)
    world.bind(ONE, PEER)
    (output,) = world.from_peer((PEER, b"12345"), (PEER, b"1234"))
    assert output == SendStream(STREAM, bytes.fromhex("40000005 3132333435 000000 40000004 31323334"))


def test_data_for_a_client_that_does_not_read_is_dropped_beyond_what_may_wait():
    world = World(transport=Transport.TCP, config=TurnServerConfig(max_unsent=10))
    world.bind(ONE, PEER)
    world.allocation.unsent = 4
    (output,) = world.from_peer((PEER, b"12345"), (PEER, b"67"), (PEER, b"8"))
    assert output.data[4:9] == b"12345"
    assert world.dropped == {DropReason.QUEUE_FULL: 2}
    assert (world.stats.sent_packets, world.stats.sent_bytes, world.allocation.dropped) == (1, 5, 2)
    world.allocation.unsent = 11
    assert world.from_peer((PEER, b"x")) == []
    world.allocation.unsent = 0
    assert len(world.from_peer((PEER, b"x"))) == 1


# ---------------------------------------------------------------- from peers


@pytest.mark.req("RFC8656-099")
def test_data_of_a_peer_with_a_channel_is_channel_data_and_never_an_indication():
    world = World()
    world.bind(ONE, PEER)
    assert world.from_peer((PEER, b"hello")) == [SendDatagram(LISTENER, CLIENT, encode_channel_data(ONE, b"hello"))]
    assert world.from_peer((PEER, b""), (PEER, b"x" * 3000)) == [
        SendDatagrams(LISTENER, ((CLIENT, encode_channel_data(ONE, b"")), (CLIENT, encode_channel_data(ONE, b"x" * 3000))))
    ]
    assert (world.stats.sent_packets, world.stats.sent_bytes) == (3, 3005)
    assert (world.allocation.sent_packets, world.allocation.sent_bytes) == (3, 3005)


@pytest.mark.req("RFC8656-081")
def test_data_of_a_peer_without_a_channel_is_an_indication_with_its_address():
    world = World()
    world.bind(ONE, PEER)
    world.permit(PEER6)
    (output,) = world.from_peer((THIRD_PEER, b"hello"))  # the channel is another port's
    assert output[:2] == (LISTENER, CLIENT)
    assert read(output.data) == (THIRD_PEER, b"hello", None)
    outputs = world.from_peer((PEER6, b""), relay=world.relay6)
    assert read(outputs[0].data) == (PEER6, b"", None)


def test_every_indication_has_a_transaction_id_of_its_own():
    world = World()
    world.permit(PEER)
    (output,) = world.from_peer((PEER, b"1"), (PEER, b"2"))
    assert len({decode_untrusted(data).transaction_id for _, data in output.items}) == 2


def test_a_peer_without_a_permission_is_not_heard():
    world = World()
    world.bind(ONE, PEER)
    del world.relay.permissions[PEER.host]  # it expires before the channel does
    assert world.from_peer((PEER, b"x"), (OTHER_PEER, b"x")) == []
    assert world.dropped == {DropReason.NO_PERMISSION: 2}
    assert (world.allocation.dropped, world.stats.sent_packets) == (2, 0)


def test_our_own_host_is_heard_from_relayed_addresses_only():
    world = World()
    world.permit(OWN_RELAY)
    (output,) = world.from_peer((OWN_SERVICE, b"1"), (OWN_RELAY, b"2"))
    assert read(output.data)[0] == OWN_RELAY
    assert world.dropped == {DropReason.NO_PERMISSION: 1}


def test_a_datagram_that_no_message_holds_is_dropped():
    world = World()
    world.permit(PEER6)
    assert world.from_peer((PEER6, bytes(65_505)), relay=world.relay6) == []
    assert world.dropped == {DropReason.LIMIT: 1}
    (output,) = world.from_peer((PEER6, bytes(65_504)), relay=world.relay6)
    assert len(read(output.data)[1]) == 65_504


# ---------------------------------------------------------------- bandwidth


LIMITED = TurnLimits(bytes_per_second_per_user=65_535, burst=1.0)


@pytest.mark.req("RFC8656-013")
@pytest.mark.parametrize("limits", [LIMITED, TurnLimits(bytes_per_second=65_535, burst=1.0)])
def test_what_is_over_the_bandwidth_is_dropped_packet_by_packet(limits):
    world = World(limits=limits)
    world.bind(ONE, PEER)
    large, small = bytes(60_000), bytes(3_000)
    outputs = world.from_client(*[encode_channel_data(ONE, data) for data in (large, large, small)])
    assert outputs == [SendDatagrams(SocketId(10), ((PEER, large), (PEER, small)))]
    assert (world.stats.received_packets, world.stats.received_bytes) == (2, 63_000)
    assert world.from_peer((PEER, small), (PEER, b"tiny")) == [SendDatagram(LISTENER, CLIENT, encode_channel_data(ONE, b"tiny"))]
    assert world.from_client(encode_channel_data(ONE, small)) == []
    alone = bytes(2_000)  # small enough for the short way of what comes alone
    assert [len(world.from_peer((PEER, alone))) for _ in range(2)] == [1, 0]
    assert world.dropped == {DropReason.BANDWIDTH: 4}
    assert world.allocation.dropped == 4


@pytest.mark.parametrize("size", [2047, 2048, 2049])
def test_any_size_is_channel_data_alone_or_with_others(size):
    world = World()
    world.bind(ONE, PEER)
    message = encode_channel_data(ONE, bytes(size))
    assert world.from_peer((PEER, bytes(size))) == [SendDatagram(LISTENER, CLIENT, message)]
    assert world.from_peer(*[(PEER, bytes(size))] * 2) == [SendDatagrams(LISTENER, ((CLIENT, message),) * 2)]


def test_what_comes_alone_from_a_service_of_our_own_is_dropped_on_a_channel_too():
    world = World()
    world.bind(ONE, OWN_SERVICE)
    assert world.from_peer((OWN_SERVICE, b"x")) == []
    assert world.dropped == {DropReason.NO_PERMISSION: 1}


@pytest.mark.parametrize("transport", [Transport.TCP, Transport.TLS])
def test_on_a_stream_there_is_room_for_as_much_as_may_wait_and_for_no_byte_more(transport):
    world = World(transport=transport, config=TurnServerConfig(max_unsent=10))
    world.bind(ONE, PEER)
    assert [len(world.from_peer((PEER, bytes(size)))) for size in (10, 11)] == [1, 0]
    assert world.dropped == {DropReason.QUEUE_FULL: 1}


def test_each_packet_of_a_batch_is_counted_for_its_allocation():
    world = World()
    world.bind(ONE, PEER)
    world.from_client(encode_channel_data(ONE, b"a"), encode_channel_data(ONE, b"bc"))
    assert (world.allocation.received_packets, world.allocation.received_bytes) == (2, 3)


# ---------------------------------------------------------------- ICMP


@pytest.mark.req("RFC8656-084")
@pytest.mark.parametrize(
    ("error", "is_relayed"),
    [
        *((IcmpError(kind, 1), kind in (3, 11)) for kind in (0, 3, 4, 5, 11, 12)),
        *((IcmpError(kind, 1, ipv6=True), kind in (1, 2, 3)) for kind in (1, 2, 3, 4, 128)),
    ],
)
def test_icmp_errors_are_relayed_by_type(error, is_relayed):
    world = World()
    peer, relay = (PEER6, world.relay6) if error.ipv6 else (PEER, world.relay)
    world.permit(peer)
    outputs = []
    world.data.from_icmp(relay, peer, error, outputs)
    assert bool(outputs) is is_relayed
    assert world.dropped == ({} if is_relayed else {DropReason.BAD_ICMP: 1})


@pytest.mark.req("RFC8656-085")
def test_the_permission_for_an_icmp_error_is_the_peers():
    world = World()
    world.permit(PEER, OWN_RELAY)
    outputs = []
    world.data.from_icmp(world.relay, OTHER_PEER, IcmpError(3, 1), outputs)
    world.data.from_icmp(world.relay, OWN_SERVICE, IcmpError(3, 1), outputs)
    assert outputs == []
    assert world.dropped == {DropReason.NO_PERMISSION: 2}
    # Which router says so is not even known.
    world.data.from_icmp(world.relay, THIRD_PEER, IcmpError(3, 1), outputs)
    assert len(outputs) == 1


@pytest.mark.req("RFC8656-086")
@pytest.mark.parametrize(
    ("error", "value"),
    [
        (IcmpError(3, 3), Icmp(3, 3)),
        (IcmpError(3, 4, mtu=1280), Icmp(3, 4, 1280)),
        (IcmpError(2, 0, ipv6=True, mtu=1400), Icmp(2, 0, 1400)),
        (IcmpError(3, 3, mtu=77), Icmp(3, 3)),
    ],
)
def test_an_icmp_indication_carries_the_peer_and_the_error_even_on_a_channel(error, value):
    world = World()
    peer, relay = (PEER6, world.relay6) if error.ipv6 else (PEER, world.relay)
    world.bind(ONE, peer)
    outputs = []
    world.data.from_icmp(relay, peer, error, outputs)
    assert [output[:2] for output in outputs] == [(LISTENER, CLIENT)]
    assert read(outputs[0].data) == (peer, None, value)
    nowhere = peer._replace(port=0)
    world.data.from_icmp(relay, nowhere, error, outputs)
    assert read(outputs[1].data) == (nowhere, None, value)


def test_icmp_errors_do_not_pile_up_for_a_client_that_does_not_read():
    # Whoever is a peer can make as many of them as he likes, without having been sent anything.
    world = World(transport=Transport.TCP, config=TurnServerConfig(max_unsent=100))
    world.permit(PEER)
    outputs = []
    world.allocation.unsent = 90
    world.data.from_icmp(world.relay, PEER, IcmpError(3, 1), outputs)
    assert outputs == []
    assert world.dropped == {DropReason.QUEUE_FULL: 1}
    assert world.allocation.dropped == 1
    world.allocation.unsent = 0
    world.data.from_icmp(world.relay, PEER, IcmpError(3, 1), outputs)
    assert [type(output) for output in outputs] == [SendStream]
