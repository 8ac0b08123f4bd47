import itertools
import math

import pytest

from _turn_client_scene import (
    DTLS,
    GRANT,
    KEY,
    LOCAL,
    MAPPED,
    PEER,
    PEER6,
    RELAYED,
    RELAYED6,
    SENDS,
    SERVER,
    TCP,
    UDP,
    Scene,
)
from sansice.machine import CloseMode, CloseSocket, DropReason, IcmpError, LocalProtocolError, SocketError, SocketErrorKind
from sansice.stun import (
    ALTERNATE_SERVER,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    SOFTWARE,
    XOR_RELAYED_ADDRESS,
    Attribute,
    MessageClass,
    Method,
    StunClientConfig,
    decode_untrusted,
    encode,
    shapes,
)
from sansice.turn import AllocationLost, AllocationRefreshed, Closed, DataReceived, TurnClientState, TurnClientStats
from sansice.turn._client._allocation import ClientAllocation, Origin
from sansice.turn._client._grant import Grant
from sansice.turn._client._wish import AllocateWish

REFRESH = Method.REFRESH
BOTH = ((XOR_RELAYED_ADDRESS, RELAYED6), *GRANT)
UNKNOWN = AllocationLost("the server does not know the allocation any more", 437)


def lasting(lifetime):
    return (*GRANT[:2], (LIFETIME, lifetime))


@pytest.fixture
def scene():
    scene = Scene()
    scene.allocate()
    scene.events.clear()
    return scene


# Refreshing


@pytest.mark.req("RFC8656-057", "RFC8656-023")
@pytest.mark.parametrize(
    ("lifetime", "refreshed"),
    [(600, 540.0), (3600, 3540.0), (400, 340.0), (240, 180.0), (239, 179.25), (40, 30.0), (4, 3.0)],
)
def test_an_allocation_is_refreshed_a_minute_before_its_end_or_in_the_last_quarter_of_a_short_life(lifetime, refreshed):
    scene = Scene()
    scene.allocate(lasting(lifetime), lifetime=1200)
    assert scene.find(Method.ALLOCATE)[1].get(LIFETIME) == 1200
    assert scene.client.lifetime == lifetime
    scene.run(refreshed - 0.01)
    assert not scene.asked(REFRESH)
    scene.run(refreshed)
    ((_, request),) = scene.asked(REFRESH)
    assert request.get(LIFETIME) == 1200
    assert REQUESTED_ADDRESS_FAMILY not in request
    assert request.has_integrity
    scene.answer((LIFETIME, lifetime))
    assert scene.told(AllocationRefreshed) == [AllocationRefreshed(lifetime, (RELAYED,))]
    scene.run(2 * refreshed)
    assert len(scene.asked(REFRESH)) == 2


def test_without_a_wish_the_lifetime_is_left_to_the_server(scene):
    scene.run(540.0)
    assert LIFETIME not in scene.find(REFRESH)[1]


def test_the_shortest_life_is_kept_up_too():
    scene = Scene()
    scene.allocate(lasting(1))
    for number in range(1, 6):
        scene.run(number * 0.75)
        scene.answer((LIFETIME, 1), to=REFRESH)
    assert [time for time, _ in scene.asked(REFRESH)] == [0.75, 1.5, 2.25, 3.0, 3.75]
    assert scene.client.state is TurnClientState.ALLOCATED


def test_a_life_that_is_nearly_over_when_its_answer_comes_is_refreshed_at_once():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.run(3.4)
    scene.answer(*lasting(4))
    scene.run(3.4)
    assert [time for time, _ in scene.asked(REFRESH)] == [3.4]


def test_the_life_counts_from_the_moment_of_asking():
    scene = Scene()
    scene.do("allocate")
    scene.open()
    scene.challenge()
    scene.now = 0.4
    scene.answer(*GRANT)
    scene.run(540.0)
    assert scene.asked(REFRESH)[0][0] == 540.0
    late = Scene()
    late.do("allocate")
    late.open()
    late.challenge()
    late.run(20.0)  # who knows which of the requests is answered
    late.answer(*GRANT)
    late.run(540.0)
    assert late.asked(REFRESH)[0][0] == 540.0


@pytest.mark.req("RFC8656-065")
def test_a_stale_nonce_is_answered_with_the_new_one(scene):
    scene.run(540.0)
    scene.challenge(code=438, nonce="new")
    assert scene.find(REFRESH)[1].verify(KEY)
    scene.answer((LIFETIME, 600))
    assert scene.told(AllocationRefreshed)


@pytest.mark.req("RFC8656-065", "RFC8656-007")
def test_437_to_a_refresh_is_the_end_of_the_allocation_and_another_may_be_had_at_once(scene):
    scene.bind(PEER)
    scene.run(239.0)
    scene.do("refresh")
    scene.events.clear()
    scene.refuse(437, to=REFRESH)
    assert scene.events == [(239.0, UNKNOWN)]
    client = scene.client
    assert (client.state, client.relayed, client.mapped, client.lifetime) == (TurnClientState.IDLE, (), None, 0)
    assert (client.path, client.local, client.channel(PEER), client.is_permitted(PEER.host)) == (None, None, None, False)
    assert not scene.opened()
    assert client.deadline() == math.inf
    scene.allocate()


@pytest.mark.parametrize("code", [400, 401, 403, 441])
def test_a_refresh_that_is_refused_ends_the_allocation_for_it_would_not_be_granted_later(scene, code):
    scene.run(540.0)
    if code == 401:
        scene.challenge()
    else:
        scene.refuse(code)
    (lost,) = scene.told(AllocationLost)
    assert lost.code == code
    assert scene.client.state is TurnClientState.IDLE


@pytest.mark.parametrize("code", [500, 508])
def test_a_server_with_a_passing_problem_is_asked_again_while_the_allocation_lives(scene, code):
    scene.run(540.0)
    for _ in range(5 if code == 500 else 1):
        scene.refuse(code)
        scene.run(scene.now + 0.5)
    scene.run(scene.now + 5.0)
    scene.answer((LIFETIME, 600))
    assert scene.told(AllocationRefreshed)


def test_silence_is_asked_into_until_the_allocation_must_have_expired(scene):
    scene.run(700.0)
    times = [time for time, _ in scene.asked(REFRESH)]
    assert times == [540.0 + offset for offset in SENDS] + [584.5 + offset for offset in SENDS[:5]]
    assert scene.events == [(600.0, AllocationLost("it expired before the server answered a refresh"))]


def test_an_icmp_error_is_no_reason_to_give_up(scene):
    scene.run(540.0)
    scene.do("handle_icmp", scene.client.path.socket, SERVER, IcmpError(3, 3))
    assert not scene.events
    scene.run(545.0)
    scene.answer((LIFETIME, 600))
    assert scene.told(AllocationRefreshed)


def test_after_a_long_sleep_the_allocation_is_known_to_be_gone(scene):
    scene.now = 5000.0
    scene.do("handle_timer")
    assert scene.events == [(5000.0, AllocationLost("it expired before the server answered a refresh"))]
    assert not scene.asked(REFRESH)


@pytest.mark.parametrize("attributes", [(), ((Attribute(LIFETIME.code, "LIFETIME", shapes.UINT64), 1),)])
def test_a_refresh_that_says_nothing_of_its_life_is_taken_to_mean_as_long_as_before(scene, attributes):
    scene.run(540.0)
    scene.answer(*attributes)
    assert scene.told(AllocationRefreshed) == [AllocationRefreshed(600, (RELAYED,))]
    scene.run(1080.0)
    assert len(scene.asked(REFRESH)) == 2


def test_a_refresh_that_leaves_no_time_is_the_end(scene):
    scene.run(540.0)
    scene.answer((LIFETIME, 0))
    assert [event for _, event in scene.events] == [AllocationLost("the server has given it no more time")]
    assert not scene.opened()


@pytest.mark.req("RFC8656-008")
def test_software_is_in_allocate_and_refresh_where_it_is_configured():
    scene = Scene(stun=StunClientConfig(software="sansice"))
    scene.allocate()
    scene.do("refresh")
    assert [message.get(SOFTWARE) for _, _, message in scene.sent] == ["sansice"] * 3


@pytest.mark.req("RFC8656-009")
def test_messages_have_a_fingerprint_where_it_is_configured():
    scene = Scene(stun=StunClientConfig(fingerprint=True), credentials=None)
    scene.do("allocate")
    scene.open()
    assert scene.find()[1].has_fingerprint
    scene.answer(*GRANT, fingerprint=True)
    assert scene.client.state is TurnClientState.ALLOCATED


@pytest.mark.req("RFC8656-009")
def test_a_fingerprint_that_nobody_asked_for_is_welcome():
    scene = Scene(credentials=None)
    scene.do("allocate")
    scene.open()
    scene.answer(*GRANT, fingerprint=True)
    assert scene.client.state is TurnClientState.ALLOCATED


@pytest.mark.req("RFC8656-010")
def test_an_answer_without_the_cookie_is_none():
    scene = Scene(credentials=None)
    scene.do("allocate")
    scene.open()
    action, request = scene.find()
    good = encode(Method.ALLOCATE, MessageClass.SUCCESS, request.transaction_id, GRANT)
    scene.feed(action, good[:4] + b"\0\0\0\0" + good[8:])
    assert scene.client.state is TurnClientState.ALLOCATING
    scene.feed(action, good)
    assert scene.client.state is TurnClientState.ALLOCATED


# Refreshing by hand


def test_another_lifetime_is_asked_for_from_then_on(scene):
    scene.do("refresh", lifetime=1800)
    assert scene.find(REFRESH)[1].get(LIFETIME) == 1800
    scene.answer((LIFETIME, 1800))
    scene.run(1740.0)
    assert scene.asked(REFRESH)[-1][0] == 1740.0
    assert scene.find(REFRESH)[1].get(LIFETIME) == 1800


@pytest.mark.req("RFC8656-059")
def test_a_refresh_of_both_families_names_neither():
    scene = Scene()
    scene.allocate(BOTH, family="both")
    scene.run(540.0)
    scene.do("refresh", lifetime=1200)
    assert [REQUESTED_ADDRESS_FAMILY in message for _, message in scene.asked(REFRESH)] == [False, False]


@pytest.mark.req("RFC8656-059", "RFC8656-060")
def test_one_family_of_two_is_given_back_with_what_belongs_to_it_and_the_other_kept():
    scene = Scene()
    scene.allocate(BOTH, family="both")
    assert scene.client.relayed == (RELAYED, RELAYED6)
    for peer in (PEER, PEER6):
        scene.bind(peer)
    scene.do("refresh", lifetime=0, family=6)
    request = scene.find(REFRESH)[1]
    assert (request.get(LIFETIME), request.get(REQUESTED_ADDRESS_FAMILY)) == (0, 2)
    scene.answer((LIFETIME, 0))
    assert scene.told(AllocationRefreshed) == [AllocationRefreshed(600, (RELAYED,))]
    client = scene.client
    assert client.relayed == (RELAYED,)
    assert (client.is_permitted(PEER.host), client.channel(PEER)) == (True, 0x4000)
    assert (client.is_permitted(PEER6.host), client.channel(PEER6)) == (False, None)
    with pytest.raises(LocalProtocolError, match="another family"):
        scene.do("create_permission", PEER6)
    with pytest.raises(LocalProtocolError, match="IPv6 cannot be deleted"):
        scene.do("refresh", lifetime=0, family=6)
    scene.run(540.0)
    assert REQUESTED_ADDRESS_FAMILY not in scene.find(REFRESH)[1]


def test_data_that_waits_for_a_peer_of_a_family_that_is_given_back_is_dropped_and_counted():
    scene = Scene()
    scene.allocate(BOTH, family="both")
    scene.do("create_permission", PEER)
    scene.do("create_permission", PEER6)
    for peer in (PEER, PEER6):
        scene.do("send", peer, b"x")
    scene.do("refresh", lifetime=0, family=6)
    scene.answer((LIFETIME, 0))
    assert scene.client.stats.unsent == 1
    scene.answer(to=Method.CREATE_PERMISSION)
    scene.answer(to=Method.CREATE_PERMISSION, index=0)
    assert len(scene.data) == 1


def test_a_family_that_the_server_does_not_take_back_stays():
    scene = Scene()
    scene.allocate(BOTH, family="both")
    scene.do("refresh", lifetime=0, family=4)
    scene.refuse(443)
    assert scene.client.relayed == (RELAYED, RELAYED6)
    assert not scene.told(AllocationLost)


@pytest.mark.req("RFC8656-060")
@pytest.mark.parametrize(
    ("grant", "wish", "arguments", "words"),
    [
        (GRANT, {}, {"lifetime": 0}, "close"),
        (GRANT, {}, {"lifetime": 0, "family": 4}, "IPv4 cannot be deleted"),
        (GRANT, {}, {"lifetime": 0, "family": 6}, "IPv6 cannot be deleted"),
        (BOTH, {"family": "both"}, {"lifetime": 0, "family": 5}, "IPv5 cannot be deleted"),
        (BOTH, {"family": "both"}, {"lifetime": 600, "family": 6}, "with a lifetime of 0"),
        (BOTH, {"family": "both"}, {"family": 6}, "with a lifetime of 0"),
        (GRANT, {}, {"lifetime": -1}, "outside"),
        (GRANT, {}, {"lifetime": 1 << 32}, "outside"),
    ],
)
def test_a_refresh_that_would_mean_nothing_or_the_end_is_refused_here(grant, wish, arguments, words):
    scene = Scene()
    scene.allocate(grant, **wish)
    with pytest.raises(LocalProtocolError, match=words):
        scene.do("refresh", **arguments)
    assert not scene.asked(REFRESH)
    with pytest.raises(LocalProtocolError, match="no allocation"):
        Scene().do("refresh")


def test_a_refresh_that_finds_too_much_waiting_is_made_a_little_later():
    scene = Scene(stun=StunClientConfig(max_outstanding=1, max_queued=1, least_rto=0.5))
    scene.allocate()
    scene.run(539.0)
    scene.do("create_permission", PEER)
    scene.do("refresh")
    with pytest.raises(LocalProtocolError, match="wait"):
        scene.do("refresh")
    scene.run(541.0)
    scene.answer(to=Method.CREATE_PERMISSION)
    scene.answer((LIFETIME, 600), to=REFRESH)
    scene.run(545.0)
    assert len({message.transaction_id for _, message in scene.asked(REFRESH)}) == 1
    assert scene.client.state is TurnClientState.ALLOCATED


# Giving it back


@pytest.mark.req("RFC8656-058")
def test_close_deletes_the_allocation_and_waits_for_the_answer(scene):
    scene.bind(PEER)
    scene.do("create_permission", PEER6.__class__("198.51.100.77", 1))
    scene.events.clear()
    scene.do("close")
    assert (scene.find()[1].method, scene.find()[1].get(LIFETIME)) == (REFRESH, 0)
    assert scene.find()[1].has_integrity
    assert (scene.client.state, scene.client.relayed) == (TurnClientState.CLOSING, ())
    assert scene.client.lingers
    scene.do("close")
    scene.answer((LIFETIME, 0))
    assert scene.events == [(0.0, Closed())]
    assert scene.client.state is TurnClientState.CLOSED
    assert not scene.client.lingers
    assert scene.actions[-1] == CloseSocket(1, CloseMode.FLUSH)
    assert scene.client.deadline() == math.inf
    scene.do("close")
    assert len(scene.events) == 1


@pytest.mark.req("RFC8656-064")
def test_437_to_a_deletion_means_that_an_earlier_copy_has_arrived(scene):
    scene.do("close")
    scene.refuse(437)
    assert scene.events == [(0.0, Closed())]
    assert not scene.told(AllocationLost)


def test_of_what_is_being_asked_nothing_is_asked_again_after_close(scene):
    scene.do("create_permission", PEER)
    scene.do("close")
    scene.run(4.0)
    assert len(scene.asked(Method.CREATE_PERMISSION)) == 1


def test_a_stale_nonce_does_not_keep_a_deletion_from_its_end(scene):
    scene.do("close")
    scene.challenge(code=438, nonce="new")
    assert not scene.events
    scene.answer((LIFETIME, 0))
    assert scene.events == [(0.0, Closed())]


def test_a_lost_deletion_is_repeated_and_given_up_after_five_seconds(scene):
    scene.do("close")
    scene.run(100.0)
    assert [time for time, _ in scene.asked(REFRESH)] == [0.0, 0.5, 1.5, 3.5]
    assert scene.events == [(5.0, Closed())]
    assert not scene.opened()


@pytest.mark.parametrize("transport", [TCP, DTLS])
def test_the_deletion_is_sent_before_the_connection_is_closed(transport):
    scene = Scene(transport=transport)
    scene.allocate()
    scene.do("close")
    assert scene.opened()
    scene.answer((LIFETIME, 0))
    assert scene.actions[-1] == CloseSocket(1, CloseMode.FLUSH)


def test_data_that_arrives_while_it_is_closing_is_dropped_and_the_stream_stays_in_step():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.bind(PEER)
    path = scene.client.path
    scene.do("close")
    scene.do("handle_stream_data", path.socket, b"\x40\0\0\1x\0\0\0")
    scene.answer((LIFETIME, 0), to=REFRESH)
    assert scene.told(Closed)
    assert not scene.told(DataReceived)


def test_nothing_is_done_for_a_closed_client(scene):
    scene.do("close")
    scene.answer((LIFETIME, 0))
    with pytest.raises(LocalProtocolError, match="closed"):
        scene.do("allocate")
    for command, arguments in (("create_permission", (PEER,)), ("bind_channel", (PEER,)), ("send", (PEER, b"x"))):
        with pytest.raises(LocalProtocolError, match="no allocation"):
            scene.do(command, *arguments)
    scene.do("forget", PEER)
    scene.do("handle_timer")
    scene.do("handle_datagrams", 1, [(SERVER, b"\x40\0\0\0")])
    assert len(scene.events) == 1


# The way to the server


def test_a_connection_that_the_server_closes_takes_the_allocation_with_it():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.bind(PEER)
    scene.do("create_permission", PEER.__class__("198.51.100.77", 1))
    scene.events.clear()
    scene.do("handle_stream_data", scene.client.path.socket, b"")
    assert scene.events == [(0.0, AllocationLost("the server closed the connection"))]
    scene.allocate()


@pytest.mark.parametrize(("text", "words"), [("reset by peer", "reset by peer"), ("", "connection reset")])
@pytest.mark.parametrize("transport", [UDP, TCP])
def test_a_socket_that_dies_takes_the_allocation_with_it(transport, text, words):
    scene = Scene(transport=transport)
    scene.allocate()
    scene.events.clear()
    scene.do("handle_socket_failed", scene.client.path.socket, SocketError(SocketErrorKind.RESET, text))
    assert scene.events == [(0.0, AllocationLost(words))]


def test_a_stream_that_is_no_turn_is_closed():
    scene = Scene(transport=TCP)
    scene.allocate()
    scene.events.clear()
    scene.do("handle_stream_data", scene.client.path.socket, b"\xff\xfb\x01")
    assert scene.events == [(0.0, AllocationLost("what arrived is no TURN: not a STUN message"))]
    assert scene.actions[-1] == CloseSocket(1, CloseMode.RESET)
    assert sum(scene.client.stats.dropped.values()) == 1


@pytest.mark.parametrize("transport", [UDP, TCP])
def test_a_refresh_that_is_sent_elsewhere_finds_no_allocation_there(transport):
    scene = Scene(transport=transport)
    scene.allocate()
    scene.do("refresh")
    scene.refuse(300, (ALTERNATE_SERVER, SERVER.__class__("192.0.2.2", 3478)))
    assert [event.code for event in scene.told(AllocationLost)] == [300]
    assert not scene.opened()


def test_a_nat_sees_something_within_the_configured_silence():
    scene = Scene(keepalive=25.0)
    scene.allocate(lasting(100_000))
    scene.permit(PEER)
    sent = [0.0]
    times = [float(second) for second in range(200)]
    for now in times:
        scene.run(now)
        if now in (30.0, 31.0, 60.0):
            scene.do("send", PEER, b"x")
    quiet = [time for time, action in scene.data if action.data[:2] == b"\0\x11"]
    everything = sorted([*sent, *(time for time, _ in scene.data), 200.0])
    assert all(after - before <= 25.0 for before, after in itertools.pairwise(everything))
    message = decode_untrusted(next(action.data for _, action in scene.data if action.data[:2] == b"\0\x11"))
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.INDICATION)
    assert len(quiet) <= 200 / 12.5


def test_a_client_that_sends_anyway_needs_no_keepalives():
    scene = Scene(keepalive=25.0)
    scene.allocate(lasting(100_000))
    scene.permit(PEER)
    for second in range(0, 230, 5):
        scene.run(float(second))
        scene.do("send", PEER, b"x")
    assert all(action.data[:2] == b"\0\x16" for _, action in scene.data)


def test_requests_are_signs_of_life_as_well():
    scene = Scene(keepalive=25.0)
    scene.allocate(lasting(100_000))
    for second in range(0, 230, 5):
        scene.run(float(second))
        scene.do("refresh")
        scene.answer((LIFETIME, 100_000))
    assert not scene.data


@pytest.mark.parametrize(("transport", "keepalive"), [(TCP, 25.0), (UDP, math.inf)])
def test_a_stream_and_who_wants_none_need_no_keepalives(transport, keepalive):
    scene = Scene(transport=transport, keepalive=keepalive)
    scene.allocate(lasting(100_000))
    scene.run(1000.0)
    assert not scene.data


def test_an_allocation_ends_once():
    scene = Scene()
    scene.allocate()
    path, client = scene.client.path, scene.client
    origin = Origin(client._allocation.origin.target, path, LOCAL, AllocateWish())
    allocation = ClientAllocation(
        origin,
        Grant((RELAYED,), MAPPED, 600, None, None),
        0.0,
        stun=client._stun,
        config=client._config,
        entropy=bytes,
        stats=TurnClientStats(),
        put=scene.events.append,
        now=0.0,
    )
    allocation.end("one")
    allocation.end("two", 5)
    assert allocation.lost == AllocationLost("one")
    allocation.handle_timer(1000.0)
    assert allocation.lost == AllocationLost("one")


def test_data_on_the_stream_of_an_earlier_allocation_is_none_of_this_one():
    scene = Scene(transport=TCP)
    scene.allocate()
    old = scene.client.path.socket
    scene.do("bind_channel", PEER)
    scene.refuse(400, to=Method.CHANNEL_BIND)  # and the deletion is not confirmed
    scene.allocate()
    scene.bind(PEER)
    scene.do("handle_stream_data", old, b"\x40\0\0\1x\0\0\0")
    assert not scene.told(DataReceived)
    assert scene.client.stats.dropped == {DropReason.NO_ALLOCATION: 1}


def test_of_streams_that_are_closed_nothing_is_kept():
    scene = Scene(transport=TCP)
    for _ in range(3):
        scene.allocate()
        scene.do("refresh")
        scene.refuse(437)
    assert not scene.client._reception._framers
