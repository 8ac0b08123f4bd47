"""How long allocations live, with their permissions and channels, to the instant (RFC 8656 6, 9, 12)."""

import pytest

from _turn_serving import PEER, START, TurnServing, closed, sent_to_peers, told
from sansice.machine import Address, DropReason, SocketError, SocketErrorKind
from sansice.stun import ADDITIONAL_ADDRESS_FAMILY, EVEN_PORT, LIFETIME, Method
from sansice.turn import AllocationClosed, CloseReason, TurnLimits, encode_channel_data

DUAL = (ADDITIONAL_ADDRESS_FAMILY, 2)
FRAME = encode_channel_data(0x4000, b"data")


def allocated(*attributes, **options):
    serving = TurnServing(**options)
    user = serving.client()
    user.allocate(*attributes)
    return serving, user


@pytest.mark.req("RFC8656-018")
def test_an_allocation_ends_at_its_instant_with_all_that_belongs_to_it():
    serving, user = allocated(policy={"relay_ports": (50000, 50000)})
    serving.at(START + 500)
    user.permit(PEER)
    user.bind(0x4000, PEER)
    assert serving.at(START + 599.999) == []
    outputs = serving.at(START + 600)
    assert [when for when, _ in outputs] == [START + 600] * len(outputs)
    assert closed(output for _, output in outputs) == list(user.relays)
    (event,) = told(output for _, output in outputs)
    assert (type(event), event.id, event.username, event.reason) == (AllocationClosed, 1, "alice", CloseReason.EXPIRED)
    assert serving.allocations() == ()
    assert user.send(FRAME) == []
    assert serving.feed(user.relays[0], (PEER, b"x")) == []
    assert serving.server.deadline() == float("inf")
    user.allocate()  # the port is free, and so is the quota
    assert user.relayed == (Address("198.51.100.1", 50000),)
    assert [(info.permissions, info.channels) for info in serving.allocations()] == [(0, 0)]


@pytest.mark.req("RFC8656-018")
def test_what_ends_gives_back_all_that_it_was_counted_for():
    serving, user = allocated(limits=TurnLimits(allocations=1, permissions=1, channels=1))
    user.bind(0x4000, PEER)
    serving.at(START + 600)
    user.allocate()
    assert user.bind(0x4000, PEER) == 0


@pytest.mark.req("RFC8656-017")
def test_data_does_not_make_it_live_longer():
    serving, user = allocated()
    user.permit(PEER)
    for second in range(1, 600):
        serving.at(START + second)
        user.hear(PEER, b"x")
        user.indicate(PEER, b"x")
    assert serving.at(START + 600)[-1][1].reason is CloseReason.EXPIRED


@pytest.mark.req("RFC8656-066")
def test_a_permission_lasts_300_seconds_and_no_longer():
    serving, user = allocated()
    user.permit(PEER)
    serving.at(START + 299.999)
    assert len(user.hear(PEER, b"x")) == 1
    serving.at(START + 300)
    assert user.hear(PEER, b"x") == []
    assert serving.stats.dropped[DropReason.NO_PERMISSION] == 1


@pytest.mark.req("RFC8656-066")
@pytest.mark.parametrize("refresh", [lambda user: user.permit(PEER), lambda user: user.bind(0x4000, PEER)])
def test_it_begins_anew_with_a_request_for_it(refresh):
    serving, user = allocated()
    user.permit(PEER)
    serving.at(START + 200)
    assert refresh(user) == 0
    serving.at(START + 499.999)
    assert len(user.hear(PEER, b"x")) == 1
    serving.at(START + 500)
    assert user.hear(PEER, b"x") == []


@pytest.mark.req("RFC8656-066")
def test_binding_a_channel_again_refreshes_its_permission_and_brings_an_expired_one_back():
    serving, user = allocated((LIFETIME, 3600))
    for at in (0, 200, 550):
        serving.at(START + at)
        assert user.bind(0x4000, PEER) == 0
        serving.at(START + at + 299.999 if at else START + at)
        assert len(user.hear(PEER, b"x")) == 1
    serving.at(START + 850)
    assert user.hear(PEER, b"x") == []


@pytest.mark.req("RFC8656-078", "RFC8656-104")
def test_data_refreshes_neither_permission_nor_channel():
    serving, user = allocated((LIFETIME, 3600))
    user.bind(0x4000, PEER)
    for second in range(0, 299, 10):
        serving.at(START + second)
        user.indicate(PEER, b"x")
        user.send(FRAME)
        user.hear(PEER, b"x")
    serving.at(START + 300)
    assert user.hear(PEER, b"x") == []
    assert user.indicate(PEER, b"x") == []
    serving.at(START + 300)
    user.permit(PEER)
    for second in range(301, 599, 10):
        serving.at(START + second)
        assert sent_to_peers(user.send(FRAME), user.relays[0]) == [(PEER, b"data")]
    user.permit(PEER)
    serving.at(START + 600)
    assert user.send(FRAME) == []
    assert serving.stats.dropped[DropReason.NO_CHANNEL] == 1


@pytest.mark.req("RFC8656-090")
def test_a_channel_lasts_600_seconds_and_is_refreshed_by_binding_it_again():
    serving, user = allocated((LIFETIME, 3600))
    user.bind(0x4000, PEER)
    serving.at(START + 599.999)
    assert user.bind(0x4000, PEER) == 0
    serving.at(START + 1199.998)
    user.permit(PEER)
    assert user.hear(PEER, b"x") == [encode_channel_data(0x4000, b"x")]
    serving.at(START + 1199.999)
    assert user.hear(PEER, b"x") != [encode_channel_data(0x4000, b"x")]


def test_an_expired_channels_number_is_free_for_another_peer():
    serving, user = allocated((LIFETIME, 3600))
    user.bind(0x4000, PEER)
    serving.at(START + 600)
    assert user.bind(0x4000, Address("8.8.8.8", 1)) == 0


def test_a_timer_that_is_early_late_or_called_for_nothing_does_no_harm():
    serving, user = allocated()
    user.permit(PEER)
    serving.now = START + 299
    serving.server.handle_timer(now=serving.now)
    assert len(user.hear(PEER, b"x")) == 1
    serving.now = START + 10_000
    serving.server.handle_timer(now=serving.now)
    assert [type(event) for event in told(serving.take())] == [AllocationClosed]
    serving.server.handle_timer(now=serving.now)
    assert serving.take() == []


def test_closing_one_ends_it_and_tells_why():
    serving, user = allocated(DUAL)
    existed, outputs = serving.call(serving.server.close_allocation, 1)
    assert (existed, closed(outputs)) == (True, list(user.relays))
    assert [event.reason for event in told(outputs)] == [CloseReason.KILLED]
    assert user.code(Method.REFRESH) == 437
    assert serving.call(serving.server.close_allocation, 1) == (False, [])


def test_a_relayed_address_that_dies_takes_the_allocation_along():
    serving, user = allocated()
    serving.server.handle_socket_failed(user.relays[0], SocketError(SocketErrorKind.OTHER), now=serving.now)
    assert [event.reason for event in told(serving.take())] == [CloseReason.RELAY_FAILED]
    assert user.code(Method.REFRESH) == 437


def test_of_two_families_the_other_stays():
    serving, user = allocated(DUAL)
    serving.server.handle_socket_failed(user.relays[0], SocketError(SocketErrorKind.OTHER), now=serving.now)
    assert told(serving.take()) == []
    assert [info.relayed for info in serving.allocations()] == [user.relayed[1:]]


def test_a_reserved_port_outlives_the_allocation_it_was_made_with():
    serving, user = allocated((EVEN_PORT, True))
    user.ask(Method.REFRESH, (LIFETIME, 0))
    assert serving.server.deadline() == START + 30


def test_what_there_is_can_be_listed():
    serving, user = allocated(DUAL)
    user.permit(PEER)
    user.bind(0x4000, PEER)
    user.send(FRAME)
    user.hear(PEER, b"xy")
    serving.feed(user.relays[0], (Address("1.2.3.4", 5), b"unwanted"))
    (info,) = serving.allocations()
    assert (info.id, info.username, info.client.remote, info.protocol) == (1, "alice", user.address, 17)
    assert (info.relayed, info.lifetime, info.permissions, info.channels) == (user.relayed, 600, 1, 1)
    stats = info.stats
    assert (stats.received_packets, stats.received_bytes, stats.sent_packets, stats.sent_bytes) == (1, 4, 1, 2)
    assert stats.dropped == 1


def test_the_totals_are_of_all():
    serving = TurnServing()
    users = [serving.client(), serving.client(Address("192.0.2.1", 9))]
    for user in users:
        user.allocate()
        user.bind(0x4000, PEER)
        user.send(FRAME)
        user.hear(PEER, b"xy")
    users[0].ask(Method.REFRESH, (LIFETIME, 0))
    stats = serving.stats
    assert (stats.received_packets, stats.received_bytes, stats.sent_packets, stats.sent_bytes) == (2, 8, 2, 4)
    assert (stats.allocations, stats.opened) == (1, 2)
