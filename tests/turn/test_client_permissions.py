import pytest

from _turn_client_scene import GRANT, PEER, PEER6, RELAYED, RELAYED6, SENDS, SERVER, Scene
from sansice.machine import Address, IcmpError, LocalProtocolError
from sansice.stun import (
    DATA,
    LIFETIME,
    XOR_PEER_ADDRESS,
    XOR_RELAYED_ADDRESS,
    MessageClass,
    Method,
    StunClientConfig,
    decode_untrusted,
    encode,
)
from sansice.turn import AllocationLost, ChannelBound, DataReceived, PermissionCreated, PermissionFailed

CREATE = Method.CREATE_PERMISSION
OTHER_PEER = Address("198.51.100.10", 6000)
HOST = PEER.host


def many(count):
    return [Address(f"198.51.{100 + number // 250}.{1 + number % 250}", 5000) for number in range(count)]


def peers_of(message):
    """All the peers of a request, of which `Message.get` shows the first."""
    codes = [value for code, value in message.attributes() if code == XOR_PEER_ADDRESS.code]
    return [XOR_PEER_ADDRESS.unpack(value, message.transaction_id) for value in codes]


@pytest.fixture
def scene():
    scene = Scene()
    scene.allocate()
    scene.events.clear()
    return scene


@pytest.mark.req("RFC8656-070")
def test_a_permission_is_asked_for_by_address_and_told_when_it_is_granted(scene):
    scene.do("create_permission", PEER)
    assert peers_of(scene.find()[1]) == [PEER]
    assert scene.find()[1].has_integrity
    assert not scene.client.is_permitted(HOST)
    scene.answer()
    assert scene.events == [(0.0, PermissionCreated((HOST,)))]
    assert scene.client.is_permitted(HOST)


@pytest.mark.req("RFC8656-070")
def test_a_peer_of_a_family_without_a_relayed_address_is_refused_here(scene):
    with pytest.raises(LocalProtocolError, match="another family"):
        scene.do("create_permission", PEER, PEER6)
    with pytest.raises(LocalProtocolError, match="another family"):
        scene.do("bind_channel", PEER6)
    assert len(scene.asked(CREATE)) == 0
    both = Scene()
    both.allocate(((XOR_RELAYED_ADDRESS, RELAYED6), *GRANT), family="both")
    both.permit(PEER, PEER6)
    assert peers_of(both.find()[1]) == [PEER, PEER6]


def test_hosts_share_requests_and_repeated_ones_are_asked_for_once(scene):
    scene.do("create_permission", *many(20), *many(20))
    assert [len(peers_of(message)) for _, message in scene.asked(CREATE)] == [8, 8, 4]


def test_requests_for_permissions_leave_room_for_a_refresh(scene):
    scene.do("create_permission", *many(200))
    assert len(scene.asked(CREATE)) == 8
    for _ in range(25 - 8):
        scene.answer(to=CREATE, index=len(scene.asked(CREATE)) - 8)
    assert len(scene.asked(CREATE)) == 25
    for index in range(-8, 0):
        scene.answer(to=CREATE, index=index)
    assert sum(len(event.hosts) for event in scene.told(PermissionCreated)) == 200


def test_what_has_a_permission_is_told_so_again_without_asking(scene):
    scene.permit(PEER)
    scene.do("create_permission", PEER, OTHER_PEER)
    assert scene.events[-1][1] == PermissionCreated((HOST,))
    assert peers_of(scene.find()[1]) == [OTHER_PEER]


def test_a_permission_is_renewed_a_minute_early_as_long_as_it_is_wanted(scene):
    scene.permit(PEER)
    for start in (240.0, 480.0):
        scene.run(start - 0.1)
        asked = len(scene.asked(CREATE))
        scene.run(start)
        assert len(scene.asked(CREATE)) == asked + 1
        scene.answer(to=CREATE)
    assert scene.told(PermissionCreated) == [PermissionCreated((HOST,))]


def test_permissions_that_were_granted_within_ten_seconds_are_renewed_together(scene):
    scene.permit(PEER)
    scene.run(7.0)
    scene.permit(OTHER_PEER)
    scene.run(240.0)
    assert peers_of(scene.find(CREATE)[1]) == [PEER, OTHER_PEER]


def test_one_bad_peer_spoils_no_others(scene):
    bad, *good = many(3)
    scene.do("create_permission", bad, *good)
    scene.refuse(403)
    assert [peers_of(message) for _, message in scene.asked(CREATE)[1:]] == [[bad], [good[0]], [good[1]]]
    scene.refuse(403, index=-3)
    scene.answer(index=-2)
    scene.answer(index=-1)
    assert [event for _, event in scene.events] == [
        PermissionFailed((bad.host,), 403, "no"),
        PermissionCreated((good[0].host,)),
        PermissionCreated((good[1].host,)),
    ]


@pytest.mark.parametrize("own", [RELAYED.host, SERVER.host])
def test_where_a_relay_refuses_itself_the_way_with_a_port_is_told(scene, own):
    scene.do("create_permission", Address(own, 0))
    scene.refuse(403)
    (event,) = scene.told(PermissionFailed)
    assert event.reason == f"no (a relayed address of the same server is permitted with its port: {own}:49152)"
    scene.do("create_permission", Address(own, 5))
    assert peers_of(scene.find(CREATE)[1]) == [Address(own, 5)]
    scene.refuse(403)
    assert scene.told(PermissionFailed)[-1].reason == "no"


def test_a_renewal_names_the_port_that_was_named_last(scene):
    scene.permit(Address(HOST, 0))
    scene.do("create_permission", PEER)
    scene.do("create_permission", Address(HOST, 0))
    scene.run(240.0)
    assert peers_of(scene.find(CREATE)[1]) == [PEER]


@pytest.mark.parametrize("code", [400, 403, 441, 443, 486, 508])
def test_a_refusal_is_told_and_not_repeated_until_the_application_asks_again(scene, code):
    scene.do("create_permission", PEER)
    scene.refuse(code)
    assert scene.events == [(0.0, PermissionFailed((HOST,), code, "no"))]
    scene.run(230.0)
    assert len(scene.asked(CREATE)) == 1
    scene.permit(PEER)
    assert scene.events[-1][1] == PermissionCreated((HOST,))


def test_silence_is_a_refusal_at_first(scene):
    scene.do("create_permission", PEER)
    scene.run(60.0)
    assert [time for time, _ in scene.asked(CREATE)] == SENDS
    assert scene.events == [(39.5, PermissionFailed((HOST,), None, "the server does not answer"))]


def test_silence_to_a_renewal_is_asked_into_again_until_the_permission_has_expired(scene):
    scene.permit(PEER)
    scene.run(400.0)
    transactions = sorted({message.transaction_id for _, message in scene.asked(CREATE)})
    assert len(transactions) == 3
    assert scene.asked(CREATE)[8][0] == 240.0 + 39.5 + 5.0
    assert scene.events[-1] == (300.0, PermissionFailed((HOST,), None, "it expired before the server answered"))
    assert not scene.client.is_permitted(HOST)


def test_an_icmp_error_to_a_renewal_does_not_end_the_permission(scene):
    scene.permit(PEER)
    scene.run(240.0)
    scene.do("handle_icmp", scene.client.path.socket, scene.client.path.remote, IcmpError(3, 3))
    assert len(scene.asked(CREATE)) == 2
    scene.run(245.0)
    assert len(scene.asked(CREATE)) == 3
    scene.answer()
    assert scene.client.is_permitted(HOST)


@pytest.mark.parametrize("code", [500, 508])
def test_a_passing_problem_with_a_renewal_is_waited_out(scene, code):
    scene.permit(PEER)
    scene.run(240.0)
    for _ in range(5 if code == 500 else 1):
        scene.refuse(code)
        scene.run(scene.now + 0.5)
    assert scene.client.is_permitted(HOST)
    scene.run(scene.now + 5.0)
    scene.answer()
    scene.run(310.0)
    assert scene.client.is_permitted(HOST)


def test_a_refused_renewal_ends_the_permission(scene):
    scene.permit(PEER)
    scene.run(240.0)
    scene.refuse(403)
    scene.run(400.0)
    assert scene.events[-1] == (240.0, PermissionFailed((HOST,), 403, "no"))
    assert not scene.client.is_permitted(HOST)


def test_a_renewal_that_fails_at_the_last_moment_does_not_prolong_the_permission(scene):
    scene.permit(PEER)
    scene.run(298.0)
    scene.refuse(508)
    scene.run(310.0)
    assert scene.events[-1] == (300.0, PermissionFailed((HOST,), None, "it expired before the server answered"))


def test_after_a_long_sleep_expired_permissions_are_known_as_such():
    scene = Scene()
    scene.allocate((*GRANT[:2], (LIFETIME, 3600)))
    scene.permit(PEER)
    scene.events.clear()
    scene.now = 1000.0
    scene.do("handle_timer")
    assert scene.events == [(1000.0, PermissionFailed((HOST,), None, "it expired before the server answered"))]
    assert len(scene.asked(CREATE)) == 1


def test_an_answer_after_the_expiry_changes_nothing(scene):
    scene.permit(PEER)
    scene.run(299.0)
    scene.run(300.0)
    request = scene.find(CREATE)
    scene.run(301.0)
    scene.answer(index=scene.sent.index(next(one for one in scene.sent if one[2] is request[1])))
    assert not scene.client.is_permitted(HOST)


@pytest.mark.req("RFC8656-007")
def test_437_means_that_the_allocation_is_gone(scene):
    scene.do("create_permission", PEER)
    scene.refuse(437)
    assert [event for _, event in scene.events] == [AllocationLost("the server does not know the allocation any more", 437)]
    assert not scene.opened()
    scene.allocate()


def test_a_stale_nonce_under_many_requests_is_answered_by_each_of_them_once(scene):
    scene.do("create_permission", *many(60))
    first = scene.asked(CREATE)
    assert len(first) == 8
    start = len(scene.sent) - 8
    for index in range(start, start + 8):
        scene.challenge(code=438, nonce="fresh", index=index)
    again = scene.asked(CREATE)[8:]
    assert len(again) == 8
    assert [peers_of(message) for _, message in again] == [peers_of(message) for _, message in first]
    for index in range(start + 8, start + 16):
        scene.answer(index=index)
    assert not scene.told(PermissionFailed)
    assert sum(len(event.hosts) for event in scene.told(PermissionCreated)) == 60 or len(scene.told(PermissionCreated)) == 8


def test_one_host_too_many_is_refused_and_none_of_the_request_is_asked_for():
    scene = Scene(max_permissions=3)
    scene.allocate()
    scene.permit(*many(2))
    sent = len(scene.sent)
    with pytest.raises(LocalProtocolError, match="4 permissions: max_permissions is 3"):
        scene.do("create_permission", *many(4))
    assert len(scene.sent) == sent
    scene.permit(*many(3))


def test_a_request_that_would_be_too_long_is_a_refusal_told_in_words():
    scene = Scene(max_batch=100)
    scene.allocate()
    scene.do("create_permission", *many(60))
    (event,) = scene.told(PermissionFailed)
    assert event.code is None
    assert "RFC 8489 6.1" in event.reason


def test_what_is_forgotten_is_not_renewed_and_nothing_is_taken_from_it(scene):
    scene.permit(PEER, OTHER_PEER)
    scene.do("forget", PEER)
    assert not scene.client.is_permitted(HOST)
    scene.run(240.0)
    assert peers_of(scene.find(CREATE)[1]) == [OTHER_PEER]
    with pytest.raises(LocalProtocolError, match="no permission"):
        scene.do("send", PEER, b"x")


def test_what_is_forgotten_while_it_is_asked_for_stays_forgotten(scene):
    scene.do("create_permission", PEER, OTHER_PEER)
    scene.do("forget", PEER)
    scene.answer()
    assert scene.events == [(0.0, PermissionCreated((OTHER_PEER.host,)))]
    waiting = many(100)
    scene.do("create_permission", *waiting)
    scene.do("forget", waiting[-1])
    scene.do("forget", PEER)
    assert not scene.client.is_permitted(waiting[-1].host)


def test_a_channel_brings_a_permission_that_was_refused_before(scene):
    scene.do("bind_channel", PEER)
    scene.refuse(508, to=CREATE)
    scene.answer(to=Method.CHANNEL_BIND)
    assert [event for _, event in scene.events] == [
        PermissionFailed((HOST,), 508, "no"),
        PermissionCreated((HOST,)),
        ChannelBound(PEER, 0x4000),
    ]
    assert scene.client.is_permitted(HOST)


def test_data_counts_from_the_moment_a_permission_was_asked_for(scene):
    scene.do("create_permission", PEER)
    data = encode(Method.DATA, MessageClass.INDICATION, bytes(12), [(XOR_PEER_ADDRESS, PEER), (DATA, b"early")])
    scene.give(data)
    assert scene.events == [(0.0, DataReceived(PEER, b"early"))]


# Answers that cross each other


def test_a_refusal_takes_nothing_back_that_a_channel_has_brought_meanwhile(scene):
    scene.do("bind_channel", PEER)
    scene.answer(to=Method.CHANNEL_BIND)
    scene.refuse(403, to=CREATE)
    assert not scene.told(PermissionFailed)
    assert scene.client.is_permitted(HOST)


@pytest.mark.parametrize("code", [403, 508, None])
def test_of_two_requests_for_one_host_a_grant_is_what_counts(scene, code):
    scene.do("create_permission", PEER)
    scene.do("forget", PEER)
    scene.do("create_permission", PEER)
    scene.answer(index=-2)
    if code is None:
        scene.run(60.0)
    else:
        scene.refuse(code)
    assert [event for _, event in scene.events] == [PermissionCreated((HOST,))]
    assert scene.client.is_permitted(HOST)


def test_a_refusal_ends_what_waits_for_its_turn_as_well():
    scene = Scene(max_in_flight=1)
    scene.allocate()
    scene.do("create_permission", PEER)
    scene.do("forget", PEER)
    scene.do("create_permission", PEER)
    scene.refuse(403)
    assert scene.told(PermissionFailed) == [PermissionFailed((HOST,), 403, "no")]
    assert len(scene.asked(CREATE)) == 1


def test_the_refusal_of_a_batch_is_none_of_who_is_left_of_it(scene):
    bad, good = many(2)
    scene.do("create_permission", bad, good)
    scene.do("forget", bad)
    scene.refuse(403)
    assert peers_of(scene.find()[1]) == [good]
    scene.answer()
    assert [event for _, event in scene.events] == [PermissionCreated((good.host,))]


def test_a_renewal_that_finds_no_place_in_the_queue_is_made_a_little_later():
    scene = Scene(stun=StunClientConfig(max_outstanding=1, max_queued=1, least_rto=0.5))
    scene.allocate((*GRANT[:2], (LIFETIME, 3600)))
    scene.permit(PEER)
    scene.run(239.0)
    scene.do("refresh")
    scene.do("refresh")
    scene.run(240.0)
    assert not scene.told(PermissionFailed)
    scene.answer((LIFETIME, 3600), to=Method.REFRESH)
    scene.answer((LIFETIME, 3600), to=Method.REFRESH)
    scene.run(245.0)
    assert [time for time, _ in scene.asked(CREATE)][1:] == [245.0]
    scene.answer(to=CREATE)
    scene.run(310.0)
    assert scene.client.is_permitted(HOST)


# What is lost or forgotten


def test_what_was_refused_takes_up_no_room_and_the_oldest_of_it_is_forgotten_first():
    scene = Scene(max_permissions=3)
    scene.allocate()
    held, *refused = many(3)
    scene.permit(held)
    for peer in refused:
        scene.do("create_permission", peer)
        scene.refuse(403)
    more = many(6)[3:]
    scene.permit(more[0])
    permissions = scene.client._allocation.permissions
    assert [permissions.get(peer.host) is None for peer in (held, *refused)] == [False, True, False]
    with pytest.raises(LocalProtocolError, match="4 permissions"):
        scene.do("create_permission", more[1], more[2])
    scene.permit(refused[1])
    assert [scene.client.is_permitted(peer.host) for peer in (held, more[0], refused[1])] == [True] * 3


def test_a_channel_brings_back_a_permission_that_had_to_make_room():
    scene = Scene(max_permissions=1)
    scene.allocate((*GRANT[:2], (LIFETIME, 3600)))
    scene.bind(PEER)
    scene.run(240.0)
    scene.refuse(403, to=CREATE)
    scene.permit(OTHER_PEER)
    scene.run(480.0)
    scene.answer(to=CREATE)
    scene.run(540.0)
    scene.answer(to=Method.CHANNEL_BIND)
    assert scene.events[-1][1] == PermissionCreated((HOST,))
    assert scene.client.is_permitted(HOST)


def test_data_that_waits_for_somebody_who_is_forgotten_is_never_sent(scene):
    scene.do("create_permission", PEER, OTHER_PEER)
    scene.do("send", PEER, b"old")
    scene.do("send", OTHER_PEER, b"kept")
    scene.do("forget", PEER)
    assert scene.client.stats.unsent == 1
    scene.permit(PEER)
    scene.answer(index=-2)
    assert [decode_untrusted(action.data).get(DATA) for _, action in scene.data] == [b"kept"]


@pytest.mark.req("RFC8656-075")
def test_without_permission_nothing_is_sent_by_a_channel_either():
    scene = Scene()
    scene.allocate((*GRANT[:2], (LIFETIME, 3600)))
    for peer in (PEER, OTHER_PEER):
        scene.bind(peer)
    scene.run(240.0)
    scene.refuse(403, to=CREATE)  # both, and then each by itself
    scene.answer()
    scene.refuse(403, index=-2)
    assert scene.told(PermissionFailed) == [PermissionFailed((HOST,), 403, "no")]
    scene.do("send", PEER, b"lost")
    assert scene.client.wrap(PEER, b"lost") is None
    assert (scene.data, scene.client.stats.unsent) == ([], 1)
    scene.do("send", OTHER_PEER, b"y")
    scene.give(b"\x40\x00\x00\x02hi")
    assert scene.told(DataReceived) == [DataReceived(PEER, b"hi")]
    scene.permit(PEER)
    scene.do("send", PEER, b"x")
    assert [action.data for _, action in scene.data] == [b"\x40\x01\x00\x01y", b"\x40\x00\x00\x01x"]


def test_what_has_been_granted_is_not_asked_for_when_its_turn_comes():
    scene = Scene(max_in_flight=1)
    scene.allocate()
    scene.do("create_permission", PEER)
    scene.do("forget", PEER)
    scene.do("create_permission", PEER)
    scene.answer()
    assert len(scene.asked(CREATE)) == 1
    assert scene.client.is_permitted(HOST)


def test_what_was_forgotten_is_not_asked_for_when_its_turn_comes():
    scene = Scene(max_in_flight=1)
    scene.allocate()
    scene.do("create_permission", OTHER_PEER)
    scene.do("create_permission", PEER)
    scene.do("forget", PEER)
    scene.answer()
    assert len(scene.asked(CREATE)) == 1


def test_what_has_expired_before_its_turn_came_is_not_asked_for_any_more():
    scene = Scene(max_batch=1)
    scene.allocate((*GRANT[:2], (LIFETIME, 3600)))
    peers = many(40)
    for peer in peers:
        scene.permit(peer)
    scene.run(300.0)
    assert sum(len(event.hosts) for event in scene.told(PermissionFailed)) == 40
    asked = {message.transaction_id for _, message in scene.asked(CREATE)}
    scene.run(500.0)
    assert {message.transaction_id for _, message in scene.asked(CREATE)} == asked
