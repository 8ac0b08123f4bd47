"""Hairpinning, with answers by a script (RFC 5780 3.4)."""

import pytest

from sansice.machine import Address
from sansice.stun import BehaviorTest, HairpinningDiscovered, TestUnavailable
from sansice.stun._behavior._hairpinning import HairpinningTest
from sansice.stun._behavior._questions import Outcome, Port, Question, Reply

PRIMARY = Address("192.0.2.10", 3478)
LOCAL = Address("10.0.0.2", 5000)
MAPPED = {Port.FIRST: Address("203.0.113.1", 1), Port.SECOND: Address("203.0.113.1", 2)}


def reply(outcome, mapped=None):
    return Reply(outcome, 0.0, 0.1, LOCAL, mapped=mapped)


def crossing():
    """A test that has learned both mapped addresses, and the two questions that it then asks."""
    test = HairpinningTest(PRIMARY)
    first, second = test.begin()
    assert test.take(first, reply(Outcome.ANSWERED, MAPPED[first.port])) == ()
    return test, test.take(second, reply(Outcome.ANSWERED, MAPPED[second.port]))


@pytest.mark.req("RFC5780-005")
def test_each_socket_sends_to_what_the_other_is_mapped_to():
    test, questions = crossing()
    assert questions == (
        Question(Port.SECOND, MAPPED[Port.FIRST], returns=True),
        Question(Port.FIRST, MAPPED[Port.SECOND], returns=True),
    )
    assert not test.over


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.req("RFC5780-005")
def test_one_request_that_comes_back_is_hairpinning(index):
    test, questions = crossing()
    assert test.take(questions[index], reply(Outcome.RETURNED)) == (HairpinningDiscovered(True),)
    assert test.over


@pytest.mark.parametrize("outcome", [Outcome.SILENT, Outcome.UNREACHABLE, Outcome.REFUSED])
@pytest.mark.req("RFC5780-005")
def test_no_request_that_comes_back_is_none(outcome):
    test, questions = crossing()
    assert test.take(questions[0], reply(outcome)) == ()
    assert test.take(questions[1], reply(Outcome.SILENT)) == (HairpinningDiscovered(False),)
    assert test.over


@pytest.mark.req("RFC5780-005")
def test_the_second_may_come_back_after_the_first_did_not():
    test, questions = crossing()
    assert test.take(questions[0], reply(Outcome.SILENT)) == ()
    assert test.take(questions[1], reply(Outcome.RETURNED)) == (HairpinningDiscovered(True),)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (reply(Outcome.SILENT), "192.0.2.10:3478 did not answer"),
        (reply(Outcome.ANSWERED, LOCAL), "there is no NAT that could turn packets round"),
        (
            reply(Outcome.ANSWERED, Address("127.0.0.1", 22)),
            "the mapped address is suspicious: 127.0.0.1:22 is not of the same kind as 192.0.2.10: "
            "one is loopback, link-local or private",
        ),
    ],
)
def test_without_a_mapped_address_to_send_to_there_is_no_test(answer, reason):
    test = HairpinningTest(PRIMARY)
    assert test.take(test.begin()[0], answer) == (TestUnavailable(BehaviorTest.HAIRPINNING, reason),)
    assert test.over


def test_a_socket_that_is_lost_makes_the_test_unavailable():
    test, questions = crossing()
    lost = Reply(Outcome.LOST, 0.0, 0.1, LOCAL, "pulled")
    reason = "203.0.113.1:1 could not be asked (pulled)"
    assert test.take(questions[0], lost) == (TestUnavailable(BehaviorTest.HAIRPINNING, reason),)
