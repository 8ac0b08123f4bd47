import pytest
from hypothesis import given, strategies as st

from _turn_client_scene import GRANT, KEY, PEER, PEER6, RELAYED6, SERVER, TCP, TLS, UDP, Scene
from sansice.machine import Address, DropReason, IcmpError, LocalProtocolError, SendDatagram, SendStream
from sansice.stun import (
    DATA,
    DONT_FRAGMENT,
    ICMP,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    Attribute,
    Icmp,
    MessageClass,
    Method,
    StunClientConfig,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.turn import MAX_DATA, DataReceived, PeerUnreachable, TurnClientConfig
from sansice.turn._client._routes import is_data

OTHER_PEER = Address("198.51.100.10", 6000)
HEADER = b"\x40\x00"


def indication(*attributes, peer=PEER, method=Method.DATA, **options):
    named = [(XOR_PEER_ADDRESS, peer)] if peer is not None else []
    return encode(method, MessageClass.INDICATION, bytes(12), [*named, *attributes], **options)


@pytest.fixture(params=[UDP, TCP])
def either(request):
    """Over datagrams and over a stream."""
    scene = Scene(transport=request.param)
    scene.allocate()
    scene.permit(PEER)
    scene.events.clear()
    return scene


@pytest.fixture
def scene():
    scene = Scene()
    scene.allocate()
    scene.permit(PEER)
    scene.events.clear()
    return scene


# Towards peers


@pytest.mark.req("RFC8656-003", "RFC8656-076")
def test_without_a_channel_data_leaves_in_an_indication_that_nothing_protects(either):
    either.do("send", PEER, b"hello")
    ((_, action),) = either.data
    message = decode_untrusted(action.data)
    assert (message.method, message.message_class) == (Method.SEND, MessageClass.INDICATION)
    assert (message.get(XOR_PEER_ADDRESS), message.get(DATA)) == (PEER, b"hello")
    assert not message.has_integrity
    assert message.data[20:] == bytes.fromhex("0012 0008 0001 329a e721c04b 0013 0005 68656c6c6f 000000")


@pytest.mark.req("RFC8656-076")
def test_no_data_is_data_too(scene):
    scene.do("send", PEER, b"")
    message = decode_untrusted(scene.data[0][1].data)
    assert (message.get(XOR_PEER_ADDRESS), message.get(DATA)) == (PEER, b"")


def test_indications_have_a_fingerprint_where_messages_are_configured_to():
    scene = Scene(config=TurnClientConfig(stun=StunClientConfig(fingerprint=True)), credentials=None)
    scene.do("allocate")
    scene.open()
    scene.answer(*GRANT, fingerprint=True)
    scene.do("create_permission", PEER)
    scene.answer(fingerprint=True)
    scene.do("send", PEER, b"hello")
    assert decode_untrusted(scene.data[0][1].data).has_fingerprint
    scene.give(indication((DATA, b"no")))
    scene.give(indication((DATA, b"yes"), fingerprint=True))
    assert scene.told(DataReceived) == [DataReceived(PEER, b"yes")]
    assert scene.client.stats.dropped == {DropReason.BAD_FINGERPRINT: 1}


@pytest.mark.req("RFC8656-098")
def test_with_a_channel_data_leaves_behind_four_bytes(scene):
    scene.bind(PEER)
    for data in (b"", b"a", b"abcde"):
        scene.do("send", PEER, data)
    assert [action for _, action in scene.data] == [
        SendDatagram(1, SERVER, b"\x40\x00\x00\x00"),
        SendDatagram(1, SERVER, b"\x40\x00\x00\x01a"),
        SendDatagram(1, SERVER, b"\x40\x00\x00\x05abcde"),
    ]


@pytest.mark.req("RFC8656-100")
@pytest.mark.parametrize("transport", [TCP, TLS])
def test_on_a_stream_it_is_padded_and_the_length_does_not_say_so(transport):
    scene = Scene(transport=transport)
    scene.allocate()
    scene.bind(PEER)
    for size in range(5):
        scene.do("send", PEER, bytes(size * b"x"))
    assert [action.data for _, action in scene.data] == [
        b"\x40\0\0\0",
        b"\x40\0\0\1x\0\0\0",
        b"\x40\0\0\2xx\0\0",
        b"\x40\0\0\3xxx\0",
        b"\x40\0\0\4xxxx",
    ]
    assert all(type(action) is SendStream for _, action in scene.data)


@pytest.mark.parametrize("transport", [UDP, TCP])
@given(data=st.binary(max_size=70))
def test_what_is_wrapped_is_unwrapped_by_the_other_end(transport, data):
    scene = Scene(transport=transport)
    scene.allocate()
    scene.permit(PEER)
    scene.permit(OTHER_PEER)
    scene.bind(OTHER_PEER)
    bound, sent = scene.client.wrap(OTHER_PEER, data), scene.client.wrap(PEER, data)
    assert scene.client.unwrap(bound) == (OTHER_PEER, data)
    told = decode_untrusted(sent)
    assert scene.client.unwrap(indication((DATA, told.get(DATA)))) == (PEER, data)
    assert (scene.client.stats.sent_packets, scene.client.stats.received_packets) == (2, 2)
    assert scene.client.stats.sent_bytes == scene.client.stats.received_bytes == 2 * len(data)


def test_nothing_is_wrapped_for_a_peer_without_permission_or_without_an_allocation(scene):
    assert scene.client.wrap(OTHER_PEER, b"x") is None
    assert Scene().client.wrap(PEER, b"x") is None
    assert Scene().client.unwrap(b"\x40\0\0\0") is None


@pytest.mark.parametrize("channel", [False, True])
def test_as_much_data_as_a_datagram_holds_and_no_more(scene, channel):
    if channel:
        scene.bind(PEER)
    for command in ("send", "wrap"):
        call = scene.client.wrap if command == "wrap" else lambda *given: scene.do("send", *given)
        call(PEER, bytes(MAX_DATA))
        with pytest.raises(LocalProtocolError, match="65445 bytes"):
            call(PEER, bytes(MAX_DATA + 1))
    assert scene.client.stats.sent_packets == 2
    assert len(scene.data[0][1].data) <= 65507


def test_the_largest_send_indication_fits_into_a_datagram():
    scene = Scene(config=TurnClientConfig(stun=StunClientConfig(fingerprint=True)), credentials=None)
    scene.do("allocate", family=6, dont_fragment=True)
    scene.open()
    scene.answer((XOR_RELAYED_ADDRESS, RELAYED6), *GRANT[1:], fingerprint=True)
    scene.do("create_permission", PEER6)
    scene.answer(fingerprint=True)
    scene.do("send", PEER6, bytes(MAX_DATA - 1), dont_fragment=True)
    assert len(scene.data[0][1].data) == 65504


@pytest.mark.req("RFC8656-075")
def test_data_for_somebody_who_was_never_permitted_is_a_mistake(scene):
    with pytest.raises(LocalProtocolError, match="create_permission"):
        scene.do("send", OTHER_PEER, b"x")
    with pytest.raises(LocalProtocolError, match="no allocation"):
        Scene().do("send", PEER, b"x")
    with pytest.raises(LocalProtocolError, match="port"):
        scene.do("send", Address(PEER.host, 0), b"x")


@pytest.mark.req("RFC8656-075")
def test_data_waits_for_its_permission_and_leaves_in_order_when_that_is_granted(scene):
    scene.do("create_permission", OTHER_PEER)
    another = Address("198.51.100.11", 1)
    scene.do("create_permission", another)
    for number in range(3):
        scene.do("send", OTHER_PEER, bytes([number]))
        scene.do("send", another, bytes([100 + number]))
    assert not scene.data
    scene.answer(index=-2)
    assert [decode_untrusted(action.data).get(DATA) for _, action in scene.data] == [b"\0", b"\1", b"\2"]
    scene.answer()
    assert [decode_untrusted(action.data).get(DATA) for _, action in scene.data[3:]] == [b"\x64", b"\x65", b"\x66"]
    assert scene.client.stats.unsent == 0


def test_data_that_waited_for_a_permission_leaves_by_the_channel_if_that_is_granted_first(scene):
    scene.do("bind_channel", OTHER_PEER)
    scene.do("send", OTHER_PEER, b"x")
    scene.answer(to=Method.CHANNEL_BIND)
    ((_, action),) = scene.data
    assert decode_untrusted(action.data).get(DATA) == b"x"


@pytest.mark.req("RFC8656-075")
def test_data_that_waits_is_dropped_and_counted_when_the_permission_is_refused(scene):
    scene.do("create_permission", OTHER_PEER)
    scene.do("send", OTHER_PEER, b"x")
    scene.refuse(403)
    scene.do("send", OTHER_PEER, b"y")
    scene.do("send", OTHER_PEER, b"z")
    assert not scene.data
    assert scene.client.stats.unsent == 3


@pytest.mark.parametrize(
    ("limits", "kept"), [({"max_waiting": 3}, 3), ({"max_waiting_bytes": 25}, 2), ({"max_waiting_bytes": 5}, 0)]
)
def test_of_too_much_that_waits_the_oldest_is_dropped(limits, kept):
    scene = Scene(**limits)
    scene.allocate()
    scene.do("create_permission", PEER)
    for number in range(5):
        scene.do("send", PEER, bytes([number]) * 10)
    scene.answer()
    sent = [decode_untrusted(action.data).get(DATA)[0] for _, action in scene.data]
    assert sent == list(range(5))[5 - kept :]
    assert scene.client.stats.unsent == 5 - kept


def test_what_has_left_makes_room_for_what_waits_next():
    scene = Scene(max_waiting_bytes=25)
    scene.allocate()
    for peer in (PEER, OTHER_PEER):
        scene.do("create_permission", peer)
        scene.do("send", peer, bytes(20))
        scene.answer(to=Method.CREATE_PERMISSION)
    assert (len(scene.data), scene.client.stats.unsent) == (2, 0)


@pytest.mark.req("RFC8656-024")
def test_dont_fragment_is_asked_for_in_an_indication_even_with_a_channel():
    scene = Scene()
    scene.allocate(dont_fragment=True)
    assert DONT_FRAGMENT in scene.find(Method.ALLOCATE)[1]
    scene.bind(PEER)
    scene.do("send", PEER, b"x", dont_fragment=True)
    message = decode_untrusted(scene.data[0][1].data)
    assert (message.get(DATA), DONT_FRAGMENT in message) == (b"x", True)


def test_dont_fragment_needs_an_allocation_that_has_it(scene):
    with pytest.raises(LocalProtocolError, match="allocate"):
        scene.do("send", PEER, b"x", dont_fragment=True)


def test_dont_fragment_waits_for_a_permission_with_its_data():
    scene = Scene()
    scene.allocate(dont_fragment=True)
    scene.do("create_permission", PEER)
    scene.do("send", PEER, b"x", dont_fragment=True)
    scene.answer()
    assert DONT_FRAGMENT in decode_untrusted(scene.data[0][1].data)


def test_a_server_that_does_not_read_its_stream_gets_no_more_data_but_requests():
    scene = Scene(transport=TCP, max_unsent=1000)
    scene.allocate()
    scene.permit(PEER)
    scene.do("handle_stream_sent", scene.client.path.socket, 1001)
    scene.do("send", PEER, b"x")
    assert not scene.data
    assert scene.client.stats.unsent == 1
    scene.do("create_permission", OTHER_PEER)
    assert len(scene.asked(Method.CREATE_PERMISSION)) == 2
    scene.do("handle_stream_sent", 99, 0)
    scene.do("handle_stream_sent", scene.client.path.socket, 1000)
    scene.do("send", PEER, b"y")
    assert len(scene.data) == 1


# From peers


def test_data_of_peers_comes_in_both_forms(either):
    either.bind(PEER)
    either.give(indication((DATA, b"one")))
    either.give(HEADER + b"\0\4four")
    either.give(indication((DATA, b"")))
    either.give(HEADER + b"\0\0")
    assert either.told(DataReceived) == [DataReceived(PEER, data) for data in (b"one", b"four", b"", b"")]
    assert repr(either.told(DataReceived)[0]) == "DataReceived(peer=198.51.100.9:5000, data=6f6e65)"
    assert either.client.stats.received_packets == 4
    assert either.client.stats.received_bytes == 7


@pytest.mark.req("RFC8656-101")
def test_what_follows_the_data_in_a_datagram_is_padding(scene):
    scene.bind(PEER)
    scene.give(HEADER + b"\0\1x\0\0\0")
    assert scene.told(DataReceived) == [DataReceived(PEER, b"x")]


@pytest.mark.req("RFC8656-100")
def test_a_stream_is_cut_where_messages_end_wherever_it_was_split():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.bind(PEER)
    stream = HEADER + b"\0\1x\0\0\0" + indication((DATA, b"long enough")) + HEADER + b"\0\0" + HEADER + b"\0\3abc\0"
    for byte in stream:
        scene.give(bytes((byte,)))
    scene.give(stream)
    assert [event.data for event in scene.told(DataReceived)] == [b"x", b"long enough", b"", b"abc"] * 2


@pytest.mark.req("RFC8656-102", "RFC8656-103")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x40\x01\0\1x", DropReason.NO_CHANNEL),
        (b"\x4f\xff\0\0", DropReason.NO_CHANNEL),
        (b"\x40", DropReason.NO_CHANNEL),
        (HEADER, DropReason.BAD_LENGTH),
        (HEADER + b"\0", DropReason.BAD_LENGTH),
        (HEADER + b"\0\1", DropReason.BAD_LENGTH),
        (HEADER + b"\xff\xff" + bytes(100), DropReason.BAD_LENGTH),
        (b"\x50\x00\0\1x", DropReason.NO_CHANNEL),
        (b"\x7f\xff\0\1x", DropReason.NO_CHANNEL),
        (b"\x80\x00\0\1x", DropReason.NOT_STUN),
    ],
)
def test_channel_data_that_belongs_to_no_channel_or_lies_about_its_length_is_dropped(scene, data, reason):
    scene.bind(PEER)
    scene.events.clear()
    scene.give(data)
    assert not scene.events
    assert scene.client.stats.dropped == {reason: 1}


@pytest.mark.req("RFC8656-103")
def test_a_reserved_channel_on_a_stream_costs_its_message_and_nothing_else():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.bind(PEER)
    scene.give(b"\x50\x00\0\1x\0\0\0" + b"\x7f\xff\0\0" + HEADER + b"\0\1y\0\0\0")
    assert scene.told(DataReceived) == [DataReceived(PEER, b"y")]
    assert scene.client.stats.dropped == {DropReason.NO_CHANNEL: 2}


UNKNOWN = Attribute(0x7FF0, "UNKNOWN", shapes.UINT32)


@pytest.mark.req("RFC8656-082", "RFC8656-083", "RFC8656-087")
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (indication((DATA, b"x"), peer=None), DropReason.MISSING_ATTRIBUTE),
        (indication(), DropReason.MISSING_ATTRIBUTE),
        (indication((DATA, b"x"), peer=OTHER_PEER), DropReason.NO_PERMISSION),
        (indication((ICMP, Icmp(3, 1)), peer=OTHER_PEER), DropReason.NO_PERMISSION),
        (indication((DATA, b"x"), (UNKNOWN, 1)), DropReason.UNKNOWN_ATTRIBUTE),
        (indication((DATA, b"x"))[:-1], DropReason.BAD_LENGTH),
        (indication((Attribute(ICMP.code, "ICMP", shapes.UINT32), 1)), DropReason.BAD_ATTRIBUTE),
        (indication((Attribute(XOR_PEER_ADDRESS.code, "X", shapes.UINT32), 1), (DATA, b""), peer=None), DropReason.BAD_ATTRIBUTE),
    ],
)
def test_a_data_indication_that_lacks_something_is_dropped(scene, data, reason):
    scene.give(data)
    assert not scene.events
    assert scene.client.stats.dropped == {reason: 1}
    assert scene.client.unwrap(data) is None
    assert scene.client.stats.dropped == {reason: 1}


@pytest.mark.req("RFC8656-083")
def test_data_from_a_host_whose_permission_was_refused_is_dropped(scene):
    scene.do("create_permission", OTHER_PEER)
    scene.refuse(403)
    scene.give(indication((DATA, b"x"), peer=OTHER_PEER))
    assert scene.client.stats.dropped == {DropReason.NO_PERMISSION: 1}


@pytest.mark.req("RFC8656-087")
@pytest.mark.parametrize(
    ("peer", "icmp", "error"),
    [
        (PEER, Icmp(3, 3), IcmpError(3, 3)),
        (PEER, Icmp(3, 4, 1280), IcmpError(3, 4, mtu=1280)),
        (Address(PEER.host, 0), Icmp(11, 0), IcmpError(11, 0)),
    ],
)
def test_an_icmp_error_is_news_about_its_peer(either, peer, icmp, error):
    either.give(indication((ICMP, icmp), peer=peer))
    assert [event for _, event in either.events] == [PeerUnreachable(peer, error)]
    assert either.client.unwrap(indication((ICMP, icmp), peer=peer)) is None
    assert not either.client.stats.dropped


def test_an_icmp_error_about_an_ipv6_peer_is_one_of_icmpv6():
    scene = Scene()
    scene.allocate(((XOR_RELAYED_ADDRESS, RELAYED6), *GRANT[1:]), family=6)
    scene.permit(PEER6)
    scene.give(indication((ICMP, Icmp(2, 0, 1400)), peer=PEER6))
    assert scene.told(PeerUnreachable) == [PeerUnreachable(PEER6, IcmpError(2, 0, ipv6=True, mtu=1400))]


def test_data_and_an_icmp_error_in_one_indication_is_data(scene):
    scene.give(indication((DATA, b"x"), (ICMP, Icmp(3, 1))))
    assert [event for _, event in scene.events] == [DataReceived(PEER, b"x")]


def test_data_from_elsewhere_than_the_server_is_dropped(scene):
    scene.bind(PEER)
    scene.events.clear()
    for data in (HEADER + b"\0\1x", indication((DATA, b"x"))):
        scene.give(data, source=Address("192.0.2.66", 3478))
    scene.do("handle_datagrams", 77, [(SERVER, HEADER + b"\0\1x")])
    assert not scene.events
    assert scene.client.stats.dropped == {
        DropReason.NOT_STUN: 1,
        DropReason.UNVALIDATED_SOURCE: 1,
        DropReason.UNKNOWN_SOCKET: 1,
    }


def test_an_indication_of_another_kind_is_nothing(scene):
    scene.give(encode(Method.BINDING, MessageClass.INDICATION, bytes(12)))
    scene.give(encode(Method.BINDING, MessageClass.REQUEST, bytes(12)))
    assert not scene.events
    assert not scene.sent[4:]


def test_data_is_returned_in_order_to_whoever_wants_no_events(scene):
    scene.bind(PEER)
    scene.events.clear()
    scene.do("create_permission", OTHER_PEER)
    request = scene.find()[1]
    answer = encode(request.method, MessageClass.SUCCESS, request.transaction_id, key=KEY)
    batch = [
        HEADER + b"\0\1a",
        answer,
        indication((DATA, b"b"), peer=OTHER_PEER),
        indication((ICMP, Icmp(3, 3))),
        HEADER + b"\0\1c",
    ]
    found = scene.do("take_datagrams", 1, [(SERVER, data) for data in batch])
    assert found == [(PEER, b"a"), (OTHER_PEER, b"b"), (PEER, b"c")]
    assert not scene.told(DataReceived)
    assert len(scene.told(PeerUnreachable)) == 1
    assert scene.client.is_permitted(OTHER_PEER.host)


def test_data_of_a_stream_is_returned_as_well():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.bind(PEER)
    scene.events.clear()
    found = scene.do("take_stream", scene.client.path.socket, HEADER + b"\0\1a\0\0\0" + indication((DATA, b"b")))
    assert found == [(PEER, b"a"), (PEER, b"b")]
    assert not scene.events


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x40\0", True),
        (b"\x4f", True),
        (b"\x7f\0", True),
        (b"\x80\0", False),
        (b"\0\x17", True),
        (b"\0\x16", False),
        (b"\1\x01", False),
        (b"", False),
    ],
)
def test_data_is_known_by_its_first_bytes(data, expected):
    assert is_data(data) is expected
