"""The decision table of RFC 5780 4.4, with answers by a script."""

import itertools

import pytest

from sansice.machine import Address
from sansice.stun import BehaviorTest, ChangeRequest, FilteringBehavior, FilteringDiscovered, TestUnavailable
from sansice.stun._behavior._filtering import FilteringTest
from sansice.stun._behavior._questions import Outcome, Port, Reply, Server

PRIMARY, ALTERNATE = Address("192.0.2.10", 3478), Address("192.0.2.20", 3479)
OTHER_PORT = Address("192.0.2.10", 3479)
ANYONE, BY_ADDRESS, BY_PORT = FilteringBehavior


def reply(outcome, source=None):
    return Reply(outcome, 0.0, 0.1, Address("10.0.0.2", 5000), source=source)


@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.req("RFC5780-003")
def test_both_questions_go_to_the_primary_address_and_are_answered_from_others(classic):
    second, third = FilteringTest(Server(PRIMARY, ALTERNATE, classic)).begin()
    assert (second.change, third.change) == (ChangeRequest(True, True), ChangeRequest(False, True))
    assert (second.answered_from, third.answered_from) == (ALTERNATE, OTHER_PORT)
    for question in (second, third):
        assert question.destination == PRIMARY
        assert question.port is Port.FILTERING
        assert question.classic is classic


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1])))
@pytest.mark.parametrize(
    ("second", "third", "filtering"),
    [
        (True, True, ANYONE),
        (True, False, ANYONE),
        (False, True, BY_ADDRESS),
        (False, False, BY_PORT),
    ],
)
@pytest.mark.req("RFC5780-003")
def test_who_gets_in_names_the_filtering_whatever_comes_first(second, third, filtering, order):
    test = FilteringTest(Server(PRIMARY, ALTERNATE))
    questions = test.begin()
    moves = ()
    for index in order:
        if not test.over:
            question = questions[index]
            came = (second, third)[index]
            moves = test.take(question, reply(Outcome.ANSWERED, question.answered_from) if came else reply(Outcome.SILENT))
            assert moves == () or test.over
    assert moves == (FilteringDiscovered(filtering),)


@pytest.mark.req("RFC5780-003")
def test_an_answer_to_the_third_test_alone_decides_nothing_while_the_second_may_be_answered():
    test = FilteringTest(Server(PRIMARY, ALTERNATE))
    _, third = test.begin()
    assert test.take(third, reply(Outcome.ANSWERED, OTHER_PORT)) == ()
    assert not test.over


@pytest.mark.parametrize(
    ("outcome", "source", "reason"),
    [
        (Outcome.ANSWERED, PRIMARY, "the server ignores CHANGE-REQUEST"),
        (Outcome.REFUSED, PRIMARY, "192.0.2.10:3478 answered with an error"),
        (Outcome.UNREACHABLE, None, "192.0.2.10:3478 is not reachable"),
    ],
)
@pytest.mark.req("RFC5780-003")
def test_a_server_that_does_not_do_as_asked_shows_nothing_about_the_filter(outcome, source, reason):
    test = FilteringTest(Server(PRIMARY, ALTERNATE))
    second, _ = test.begin()
    assert test.take(second, reply(outcome, source)) == (TestUnavailable(BehaviorTest.FILTERING, reason),)
    assert test.over
