import pytest

from _turn_client_scene import GRANT, PEER, SENDS, Scene
from sansice.machine import Address, DropReason, LocalProtocolError
from sansice.stun import CHANNEL_NUMBER, LIFETIME, XOR_PEER_ADDRESS, Method, StunClientConfig
from sansice.turn import AllocationLost, ChannelBound, ChannelFailed, DataReceived, PermissionCreated
from sansice.turn._client._channels import FIRST_CHANNEL, LAST_CHANNEL

BIND = Method.CHANNEL_BIND
OTHER_PEER = Address("198.51.100.10", 6000)
LONG = (*GRANT[:2], (LIFETIME, 100_000))


@pytest.fixture
def scene():
    """With an allocation that needs no refresh meanwhile."""
    scene = Scene()
    scene.allocate(LONG)
    scene.events.clear()
    return scene


def peers(count):
    return [Address("198.51.100.9", 1000 + number) for number in range(count)]


@pytest.mark.req("RFC8656-088", "RFC8656-094")
def test_a_channel_has_a_number_and_a_peer_and_brings_a_permission(scene):
    assert scene.do("bind_channel", PEER) == 0x4000
    _, request = scene.find(BIND)
    assert (request.get(CHANNEL_NUMBER), request.get(XOR_PEER_ADDRESS)) == (0x4000, PEER)
    assert scene.client.channel(PEER) is None
    scene.answer(to=BIND)
    assert [event for _, event in scene.events] == [PermissionCreated((PEER.host,)), ChannelBound(PEER, 0x4000)]
    assert scene.client.channel(PEER) == 0x4000


def test_each_peer_gets_a_number_of_its_own_and_repeated_ones_the_same(scene):
    assert [scene.do("bind_channel", peer) for peer in (PEER, OTHER_PEER, PEER)] == [0x4000, 0x4001, 0x4000]
    assert len(scene.asked(BIND)) == 2
    scene.answer(to=BIND)
    scene.do("bind_channel", OTHER_PEER)
    assert len(scene.asked(BIND)) == 2
    assert scene.told(ChannelBound) == [ChannelBound(OTHER_PEER, 0x4001)] * 2


@pytest.mark.req("RFC8656-094")
def test_a_channel_is_renewed_a_minute_early_and_its_permission_by_itself(scene):
    scene.bind(PEER)
    times = {BIND: [0.0], Method.CREATE_PERMISSION: [0.0]}
    for second in range(1, 1201):
        sent = len(scene.sent)
        scene.run(float(second))
        for index, (time, _, message) in enumerate(scene.sent[sent:], start=sent):
            times[message.method].append(time)
            scene.answer(index=index)
    assert times == {BIND: [0.0, 540.0, 1080.0], Method.CREATE_PERMISSION: [0.0, 240.0, 480.0, 780.0, 1020.0]}
    assert len(scene.told(ChannelBound)) == 1


@pytest.mark.req("RFC8656-092")
def test_data_on_a_channel_is_taken_as_soon_as_the_channel_was_asked_for(scene):
    scene.do("bind_channel", PEER)
    scene.give(b"\x40\x00\x00\x02hi")
    assert scene.told(DataReceived) == [DataReceived(PEER, b"hi")]


@pytest.mark.req("RFC8656-093")
def test_data_is_sent_in_indications_until_the_channel_is_granted(scene):
    scene.permit(PEER)
    scene.do("bind_channel", PEER)
    scene.do("send", PEER, b"a")
    scene.answer(to=BIND)
    scene.do("send", PEER, b"b")
    (_, first), (_, second) = scene.data
    assert first.data[:2] == b"\x00\x16"
    assert second.data == b"\x40\x00\x00\x01b"


@pytest.mark.req("RFC8656-097")
def test_a_400_says_that_both_ends_disagree_so_the_allocation_is_deleted_and_another_may_be_asked_for(scene):
    scene.do("bind_channel", PEER)
    scene.refuse(400, to=BIND)
    assert scene.events[-1][1] == AllocationLost("no", 400)
    action, refresh = scene.find()
    assert (refresh.method, refresh.get(LIFETIME)) == (Method.REFRESH, 0)
    old = action.socket
    scene.answer((LIFETIME, 0))
    assert not scene.opened()
    scene.allocate()
    assert scene.client.path.socket != old


@pytest.mark.parametrize("code", [403, 441, 443, 486, 508])
def test_a_refused_channel_leaves_data_to_indications_and_its_number_free(scene, code):
    scene.permit(PEER)
    scene.do("bind_channel", PEER)
    scene.refuse(code)
    assert scene.events[-1][1] == ChannelFailed(PEER, code, "no")
    scene.do("send", PEER, b"a")
    assert scene.data[-1][1].data[:2] == b"\x00\x16"
    scene.give(b"\x40\x00\x00\x02hi")
    assert scene.client.stats.dropped == {DropReason.NO_CHANNEL: 1}
    for _ in range(0x1000):  # the numbers go round
        number = scene.do("bind_channel", OTHER_PEER)
        scene.refuse(508)
    assert number == 0x4000


def test_numbers_go_round_and_leave_out_those_in_use(scene):
    scene.bind(PEER)
    numbers = []
    for _ in range(0x1000):
        numbers.append(scene.do("bind_channel", OTHER_PEER))
        scene.refuse(508, to=BIND)
    assert numbers == [*range(0x4001, 0x5000), 0x4001]


def test_silence_is_a_refusal_and_the_number_is_kept_back_for_it_may_have_been_bound(scene):
    scene.permit(PEER)
    scene.do("bind_channel", PEER)
    scene.run(40.0)
    assert [time for time, _ in scene.asked(BIND)] == SENDS
    assert scene.events[-1] == (39.5, ChannelFailed(PEER, None, "the server does not answer"))
    assert scene.client._allocation.channels.get(PEER).number == 0x4000
    assert scene.do("bind_channel", PEER) == 0x4000


@pytest.mark.req("RFC8656-091")
def test_number_and_peer_stay_together_for_five_minutes_after_the_channel_has_expired():
    scene = Scene(max_channels=1)
    scene.allocate(LONG)
    scene.bind(PEER)
    scene.run(100.0)
    scene.do("forget", PEER)
    for now in (100.0, 599.0, 601.0, 899.9):
        scene.run(now)
        with pytest.raises(LocalProtocolError, match="five minutes"):
            scene.do("bind_channel", OTHER_PEER)
    scene.run(900.0)
    assert scene.do("bind_channel", OTHER_PEER) == 0x4001


@pytest.mark.req("RFC8656-091")
def test_a_peer_that_comes_back_within_that_time_gets_its_old_number(scene):
    scene.bind(PEER)
    scene.do("forget", PEER)
    scene.run(700.0)
    assert scene.do("bind_channel", OTHER_PEER) == 0x4001
    assert scene.do("bind_channel", PEER) == 0x4000


def test_a_peer_that_comes_back_at_the_end_of_that_time_is_not_sent_away_by_it(scene):
    scene.bind(PEER)
    scene.do("forget", PEER)
    scene.run(899.0)
    scene.permit(PEER)
    assert scene.do("bind_channel", PEER) == 0x4000
    scene.run(910.0)
    scene.answer(to=BIND)
    assert scene.client.channel(PEER) == 0x4000


def test_a_channel_forgotten_while_it_is_asked_for_may_yet_be_bound(scene):
    scene.do("bind_channel", PEER)
    scene.run(10.0)
    scene.do("forget", PEER)
    scene.answer(to=BIND)
    assert not scene.told(ChannelBound)
    scene.give(b"\x40\x00\x00\x02hi")
    assert not scene.told(DataReceived)
    scene.run(909.9)
    assert scene.client._allocation.channels.get(PEER) is not None
    scene.run(910.0)
    assert scene.client._allocation.channels.get(PEER) is None


def test_an_answer_to_a_channel_that_is_forgotten_for_good_is_nothing():
    scene = Scene(max_in_flight=1)
    scene.allocate(LONG)
    scene.do("bind_channel", PEER)
    scene.do("forget", PEER)  # it was never asked for
    assert scene.client._allocation.channels.get(PEER) is None
    scene.answer(to=Method.CREATE_PERMISSION)
    assert not scene.asked(BIND)


def test_a_renewal_that_nobody_answers_is_tried_again_until_the_channel_has_expired(scene):
    scene.bind(PEER)
    scene.run(540.0)
    scene.run(700.0)
    transactions = {message.transaction_id for _, message in scene.asked(BIND)}
    assert len(transactions) == 3
    assert (600.0, ChannelFailed(PEER, None, "it expired before the server answered")) in scene.events
    assert scene.client.channel(PEER) is None


def test_an_answer_to_the_renewal_of_an_expired_channel_keeps_its_number_longer(scene):
    scene.bind(PEER)
    scene.run(599.0)
    index = max(index for index, (_, _, message) in enumerate(scene.sent) if message.method is BIND)
    scene.run(610.0)
    scene.answer(index=index)
    assert scene.client.channel(PEER) is None
    scene.run(610.0 + 899.9)
    assert scene.client._allocation.channels.get(PEER) is not None
    scene.run(610.0 + 900.0)
    assert scene.client._allocation.channels.get(PEER) is None


@pytest.mark.parametrize("code", [500, 508])
def test_a_passing_problem_with_a_renewal_is_waited_out(scene, code):
    scene.bind(PEER)
    scene.run(540.0)
    for _ in range(5 if code == 500 else 1):
        scene.refuse(code, to=BIND)
        scene.run(scene.now + 0.5)
    scene.run(scene.now + 5.0)
    scene.answer(to=BIND)
    scene.run(1000.0)
    assert scene.client.channel(PEER) == 0x4000


def test_a_renewal_that_fails_at_the_last_moment_does_not_prolong_the_channel(scene):
    scene.bind(PEER)
    scene.run(598.0)
    scene.refuse(508, to=BIND)
    scene.run(610.0)
    assert (600.0, ChannelFailed(PEER, None, "it expired before the server answered")) in scene.events


def test_after_a_long_sleep_expired_channels_are_known_as_such(scene):
    scene.bind(PEER)
    scene.now = 650.0
    scene.do("handle_timer")
    assert scene.told(ChannelFailed) == [ChannelFailed(PEER, None, "it expired before the server answered")]
    assert len(scene.asked(BIND)) == 1


@pytest.mark.req("RFC8656-088")
def test_there_are_4096_channels_and_no_more(scene):
    numbers = []
    for peer in peers(4096):
        numbers.append(scene.do("bind_channel", peer))
        scene.answer(to=BIND)
    assert sorted(numbers) == list(range(FIRST_CHANNEL, LAST_CHANNEL + 1)) == list(range(0x4000, 0x5000))
    with pytest.raises(LocalProtocolError, match="4096 channels"):
        scene.do("bind_channel", OTHER_PEER)
    assert not scene.client.is_permitted(OTHER_PEER.host)


def test_a_channel_needs_a_port(scene):
    with pytest.raises(LocalProtocolError, match="port"):
        scene.do("bind_channel", Address(PEER.host, 0))


def test_many_channels_are_asked_for_a_few_at_a_time(scene):
    for peer in peers(20):
        scene.do("bind_channel", peer)
    assert len(scene.asked(BIND)) == 7  # and one request for the permission
    answered = 0
    while answered < len(scene.asked(BIND)):
        scene.answer(to=BIND, index=answered)
        answered += 1
    assert answered == len(scene.told(ChannelBound)) == 20


def test_a_request_that_would_be_too_long_is_a_refusal_told_in_words():
    scene = Scene(credentials=None, stun=StunClientConfig(mtu=200, software="é" * 65))
    scene.allocate()
    scene.do("bind_channel", PEER)
    assert "RFC 8489 6.1" in scene.events[-1][1].reason


def test_forgetting_a_peer_ends_all_channels_to_its_host_and_no_others(scene):
    for peer in (*peers(2), OTHER_PEER):
        scene.bind(peer)
    scene.do("forget", peers(2)[0], Address("192.0.2.99", 1))
    assert [scene.client.channel(peer) for peer in (*peers(2), OTHER_PEER)] == [None, None, 0x4002]
    scene.do("forget", peers(2)[0])


# Requests that cross each other


def twice(scene):
    """Two requests for one channel, as of a peer who is given up and wanted again at once."""
    scene.permit(PEER)
    scene.do("bind_channel", PEER)
    scene.do("forget", PEER)
    scene.do("bind_channel", PEER)
    return [index for index, (_, _, message) in enumerate(scene.sent) if message.method is BIND]


@pytest.mark.parametrize("code", [403, 508, None])
def test_of_two_requests_for_one_channel_a_grant_is_what_counts(scene, code):
    first, second = twice(scene)
    scene.answer(index=first)
    if code is None:
        scene.run(60.0)
    else:
        scene.refuse(code, index=second)
    assert scene.client.channel(PEER) == 0x4000
    assert not scene.told(ChannelFailed)


def test_what_was_granted_meanwhile_is_not_asked_for_when_its_turn_comes():
    scene = Scene(max_in_flight=1)
    scene.allocate(LONG)
    scene.permit(PEER)
    scene.do("bind_channel", PEER)
    scene.do("forget", PEER)
    scene.do("bind_channel", PEER)
    scene.do("release_channel", OTHER_PEER)
    scene.answer(to=BIND)
    assert scene.client.channel(PEER) == 0x4000
    scene.answer(to=Method.CREATE_PERMISSION)
    assert len(scene.asked(BIND)) == 1
    assert scene.client.channel(PEER) == 0x4000


def test_what_has_expired_before_its_turn_came_is_not_asked_for_any_more(scene):
    for peer in peers(40):
        scene.bind(peer)
    scene.run(600.0)
    assert len(scene.told(ChannelFailed)) == 40
    asked = {message.transaction_id for _, message in scene.asked(BIND)}
    scene.run(800.0)
    assert {message.transaction_id for _, message in scene.asked(BIND)} == asked
    assert not scene.client._allocation.routes.receiving


def test_after_a_long_sleep_nothing_is_asked_for_that_was_waiting_for_its_turn(scene):
    for peer in peers(40):
        scene.bind(peer)
    scene.run(541.0)
    scene.now = 2000.0
    scene.do("handle_timer")
    assert len(scene.told(ChannelFailed)) == 40
    asked = len(scene.asked(BIND))
    scene.run(2100.0)
    assert len(scene.asked(BIND)) == asked


def test_a_renewal_that_finds_no_place_in_the_queue_is_made_a_little_later():
    scene = Scene(stun=StunClientConfig(max_outstanding=1, max_queued=1, least_rto=0.5))
    scene.allocate(LONG)
    scene.bind(PEER)
    scene.answer(to=BIND)
    for now in (240.0, 480.0):
        scene.run(now)
        scene.answer(to=Method.CREATE_PERMISSION)
    scene.run(539.0)
    scene.do("refresh")
    scene.do("refresh")
    scene.run(540.0)
    assert len(scene.asked(BIND)) == 1
    for _ in range(2):
        scene.answer((LIFETIME, 100_000), to=Method.REFRESH)
    scene.run(545.0)
    assert len(scene.asked(BIND)) == 2
    scene.answer(to=BIND)
    scene.run(610.0)
    assert scene.client.channel(PEER) == 0x4000


def test_a_channel_is_given_up_alone_and_its_permission_stays(scene):
    scene.bind(PEER)
    scene.do("release_channel", PEER)
    scene.do("release_channel", OTHER_PEER)
    assert (scene.client.channel(PEER), scene.client.is_permitted(PEER.host)) == (None, True)
    scene.do("send", PEER, b"x")
    assert scene.data[-1][1].data[:2] == b"\x00\x16"
    scene.run(600.0)
    assert len(scene.asked(BIND)) == 1
    Scene().do("release_channel", PEER)


def test_where_no_number_is_left_a_channel_that_is_there_may_still_be_asked_for():
    scene = Scene(max_channels=1)
    scene.allocate(LONG)
    scene.bind(PEER)
    assert scene.do("bind_channel", PEER) == 0x4000
    assert len(scene.asked(BIND)) == 1


def test_a_host_is_not_taken_for_another_that_begins_alike(scene):
    for peer in (Address("198.51.100.1", 1), OTHER_PEER):
        scene.bind(peer)
    scene.do("forget", Address("198.51.100.1", 1))
    assert scene.client.channel(OTHER_PEER) == 0x4001


def test_a_channel_that_ended_without_permission_does_not_come_back_with_one(scene):
    scene.bind(PEER)
    scene.run(240.0)
    scene.refuse(403, to=Method.CREATE_PERMISSION)
    scene.do("release_channel", PEER)
    scene.permit(PEER)
    scene.do("send", PEER, b"x")
    assert scene.data[-1][1].data[:2] == b"\x00\x16"
