"""Refresh requests (RFC 8656 8.2)."""

import pytest

from _turn_serving import CLIENT, PEER, PEER6, START, TurnServing, closed, code_of, sent_to_peers, told
from sansice.machine import Address
from sansice.stun import (
    ADDITIONAL_ADDRESS_FAMILY,
    LIFETIME,
    REQUESTED_ADDRESS_FAMILY,
    Attribute,
    Method,
    TransactionId,
    shapes,
)
from sansice.turn import AllocationClosed, CloseReason

REFRESH = Method.REFRESH
DUAL = (ADDITIONAL_ADDRESS_FAMILY, 2)
IPV4, IPV6 = 1, 2


def allocated(*attributes, **options):
    serving = TurnServing(**options)
    user = serving.client()
    user.allocate(*attributes)
    return serving, user


@pytest.mark.req("RFC8656-063")
@pytest.mark.parametrize(("asked_for", "granted"), [(None, 600), (1, 600), (600, 600), (700, 700), (100_000, 3600)])
def test_the_lifetime_is_computed_as_for_an_allocate_request_and_told(asked_for, granted):
    serving, user = allocated()
    answer = user.ask(REFRESH, *(() if asked_for is None else ((LIFETIME, asked_for),)))
    assert answer.get(LIFETIME) == granted
    assert [info.lifetime for info in serving.allocations()] == [granted]


def test_a_refresh_begins_anew_from_when_it_comes():
    serving, user = allocated()
    serving.at(START + 599)
    user.ask(REFRESH)
    assert serving.at(START + 599 + 599.9) == []
    ((when, *_), *_) = serving.at(START + 599 + 600)
    assert when == START + 1199


def test_a_refresh_may_make_a_life_shorter():
    serving, user = allocated((LIFETIME, 3600))
    user.ask(REFRESH, (LIFETIME, 600))
    assert serving.server.deadline() == START + 600


@pytest.mark.req("RFC8656-063")
def test_zero_deletes_the_allocation_at_once():
    serving, user = allocated()
    outputs = user.send(user.request(REFRESH, (LIFETIME, 0)))
    assert closed(outputs) == list(user.relays)
    (event,) = told(outputs)
    assert (type(event), event.reason) == (AllocationClosed, CloseReason.DELETED)
    assert serving.allocations() == ()


@pytest.mark.req("RFC8656-064")
def test_a_deletion_that_comes_again_is_a_mismatch():
    _, user = allocated()
    request = user.request(REFRESH, (LIFETIME, 0))
    assert code_of(user.answer(request)) == 0
    assert code_of(user.answer(request)) == 437


def test_a_5_tuple_may_have_another_allocation_after_a_deletion():
    serving, user = allocated()
    user.ask(REFRESH, (LIFETIME, 0))
    user.allocate()
    assert len(serving.allocations()) == 1


@pytest.mark.req("RFC8656-006")
def test_without_an_allocation_there_is_nothing_to_refresh():
    assert TurnServing().client().code(REFRESH) == 437


@pytest.mark.req("RFC8656-005")
def test_another_user_cannot_refresh_it():
    serving, _ = allocated()
    thief = serving.client(user="bob")
    assert thief.code(REFRESH, (LIFETIME, 0)) == 441
    assert len(serving.allocations()) == 1


@pytest.mark.req("RFC8656-062")
@pytest.mark.parametrize("family", [IPV6, 0, 3])
def test_a_family_that_the_allocation_has_not_is_a_mismatch(family):
    _, user = allocated()
    assert user.code(REFRESH, (REQUESTED_ADDRESS_FAMILY, family)) == 443


@pytest.mark.req("RFC8656-062")
def test_the_family_that_it_has_may_be_named():
    _, user = allocated()
    assert user.code(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV4)) == 0


@pytest.mark.req("RFC8656-111", "RFC8656-112")
@pytest.mark.parametrize("code", [LIFETIME.code, REQUESTED_ADDRESS_FAMILY.code])
def test_a_malformed_attribute_is_a_bad_request_and_changes_nothing(code):
    serving, user = allocated()
    assert user.code(REFRESH, (Attribute(code, "RAW", shapes.OPAQUE), b"\0\0\0")) == 400
    assert serving.server.deadline() == START + 600


class TestDualAllocations:
    def test_both_families_are_refreshed_together(self):
        serving, user = allocated(DUAL)
        user.ask(REFRESH, (LIFETIME, 1000))
        serving.at(START + 999)
        assert len(serving.allocations()[0].relayed) == 2

    @pytest.mark.req("RFC8656-061")
    def test_one_family_may_be_deleted_and_the_other_goes_on_with_all_it_has(self):
        serving, user = allocated(DUAL)
        user.permit(PEER, PEER6)
        user.bind(0x4000, PEER)
        user.bind(0x4001, PEER6)
        outputs = user.send(user.request(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV6), (LIFETIME, 0)))
        assert closed(outputs) == [user.relays[1]]
        assert told(outputs) == []
        assert sent_to_peers(user.send(b"\x40\x00\x00\x02hi"), user.relays[0]) == [(PEER, b"hi")]
        assert user.send(b"\x40\x01\x00\x02hi") == []
        assert user.hear(PEER, b"yo") == [b"\x40\x00\x00\x02yo"]
        (info,) = serving.allocations()
        assert (info.relayed, info.permissions, info.channels) == ((user.relayed[0],), 1, 1)

    @pytest.mark.req("RFC8656-062")
    def test_a_family_that_was_deleted_is_a_mismatch(self):
        _, user = allocated(DUAL)
        user.ask(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV6), (LIFETIME, 0))
        assert user.code(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV6)) == 443

    def test_the_last_family_takes_the_allocation_with_it(self):
        serving, user = allocated(DUAL)
        user.ask(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV6), (LIFETIME, 0))
        user.ask(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV4), (LIFETIME, 0))
        assert serving.allocations() == ()

    def test_families_that_were_refreshed_apart_end_apart(self):
        serving, user = allocated(DUAL)
        user.ask(REFRESH, (REQUESTED_ADDRESS_FAMILY, IPV4), (LIFETIME, 700))
        outputs = serving.at(START + 600)
        assert closed(output for _, output in outputs) == [user.relays[1]]
        outputs = serving.at(START + 700)
        assert closed(output for _, output in outputs) == [user.relays[0]]
        assert [type(output) for _, output in outputs][-1] is AllocationClosed


def test_a_refresh_that_comes_twice_is_served_twice():
    serving, user = allocated()
    request = user.request(REFRESH, (LIFETIME, 700), id=TransactionId(bytes(12)))
    first = user.answer(request)
    assert user.answer(request).data == first.data
    assert serving.stats.stun.retransmissions == 0


def test_requests_of_another_address_are_about_another_allocation():
    serving, _ = allocated()
    assert serving.client(CLIENT._replace(port=9)).code(REFRESH) == 437
    assert serving.client(Address("192.0.2.2", CLIENT.port)).code(REFRESH) == 437
