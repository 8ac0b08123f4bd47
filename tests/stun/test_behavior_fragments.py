"""Fragments, with answers by a script (RFC 5780 3.5)."""

import pytest

from sansice.machine import Address
from sansice.stun import BehaviorTest, FragmentHandling, FragmentsDiscovered, TestUnavailable
from sansice.stun._behavior._fragments import FragmentsTest
from sansice.stun._behavior._questions import Outcome, Port, Question, Reply

PRIMARY = Address("192.0.2.10", 3478)
LONG = Question(Port.FIRST, PRIMARY, padding=1500)
ANSWERED_SHORTLY = Question(Port.FIRST, PRIMARY, padding=1500, response_port=7)


def started():
    test = FragmentsTest(PRIMARY, Address("203.0.113.1", 7), 1500)
    [question] = test.begin()
    assert question == LONG
    return test, question


def reply(outcome, padded=False):
    return Reply(outcome, 0.0, 0.1, padded=padded)


def found(outgoing, incoming):
    return (FragmentsDiscovered(FragmentHandling(outgoing, incoming)),)


@pytest.mark.parametrize(
    ("answer", "moves"),
    [
        (reply(Outcome.ANSWERED, padded=True), found(True, True)),
        (reply(Outcome.ANSWERED), found(True, None)),
        (reply(Outcome.REFUSED), found(True, None)),
        (reply(Outcome.UNUSABLE), found(True, None)),
        (reply(Outcome.UNREACHABLE), (TestUnavailable(BehaviorTest.FRAGMENTS, "192.0.2.10:3478 is not reachable"),)),
        (reply(Outcome.LOST), (TestUnavailable(BehaviorTest.FRAGMENTS, "192.0.2.10:3478 could not be asked"),)),
    ],
)
def test_an_answer_shows_what_got_through(answer, moves):
    test, question = started()
    assert test.take(question, answer) == moves
    assert test.over


@pytest.mark.parametrize(
    ("outcome", "moves"),
    [
        (Outcome.REFUSED, found(True, False)),
        (Outcome.ANSWERED, found(True, False)),
        (Outcome.SILENT, found(False, None)),
        (Outcome.UNREACHABLE, found(False, None)),
    ],
)
def test_after_silence_a_question_with_a_short_answer_tells_the_directions_apart(outcome, moves):
    test, question = started()
    [second] = test.take(question, reply(Outcome.SILENT))
    assert second == ANSWERED_SHORTLY
    assert not test.over
    assert test.take(second, reply(outcome)) == moves
    assert test.over
