"""The decision table of RFC 5780 4.3, with answers by a script."""

import pytest

from sansice.machine import Address
from sansice.stun import BehaviorTest, MappingBehavior, MappingDiscovered, TestUnavailable
from sansice.stun._behavior._mapping import MappingTest
from sansice.stun._behavior._questions import Outcome, Port, Question, Reply, Server

LOCAL = Address("10.0.0.2", 5000)
PRIMARY, ALTERNATE = Address("192.0.2.10", 3478), Address("192.0.2.20", 3479)
A, B, C = (Address("203.0.113.1", port) for port in (1, 2, 3))


def answered(mapped):
    return Reply(Outcome.ANSWERED, 0.0, 0.1, LOCAL, mapped=mapped)


def play(answers, classic=False):
    """Answer question after question; returns where they went, and what came of it."""
    test = MappingTest(Server(PRIMARY, ALTERNATE, classic))
    asked, [question] = [], test.begin()
    for reply in answers:
        assert not test.over
        assert question.classic is classic
        assert question.port is Port.FIRST
        asked.append(question.destination)
        [question] = test.take(question, reply)
    assert test.over
    return asked, question


@pytest.mark.parametrize(
    ("seen", "mapping"),
    [
        ([LOCAL], MappingBehavior.NONE),
        ([A._replace(port=LOCAL.port)] * 2, MappingBehavior.ENDPOINT_INDEPENDENT),
        ([LOCAL._replace(port=9)] * 2, MappingBehavior.ENDPOINT_INDEPENDENT),
        ([A, A], MappingBehavior.ENDPOINT_INDEPENDENT),
        ([A, B, B], MappingBehavior.ADDRESS_DEPENDENT),
        ([A, B, C], MappingBehavior.ADDRESS_AND_PORT_DEPENDENT),
        ([A, B, A], MappingBehavior.ADDRESS_AND_PORT_DEPENDENT),
        ([A, LOCAL, LOCAL], MappingBehavior.ADDRESS_DEPENDENT),
        ([A, A._replace(host="203.0.113.2"), A], MappingBehavior.ADDRESS_AND_PORT_DEPENDENT),
    ],
)
@pytest.mark.parametrize("classic", [False, True])
@pytest.mark.req("RFC5780-001")
def test_what_each_address_of_the_server_saw_names_the_mapping(seen, mapping, classic):
    asked, found = play([answered(mapped) for mapped in seen], classic)
    assert asked == [PRIMARY, Address("192.0.2.20", 3478), ALTERNATE][: len(seen)]
    assert found == MappingDiscovered(mapping, LOCAL, seen[0])


@pytest.mark.parametrize("before", [[], [A], [A, B]])
@pytest.mark.req("RFC5780-001")
def test_silence_of_any_address_is_no_behaviour(before):
    asked, found = play([*map(answered, before), Reply(Outcome.SILENT, 0.0, 8.5, LOCAL)])
    assert found == TestUnavailable(BehaviorTest.MAPPING, f"{asked[-1]} did not answer")


def test_a_question_says_who_is_asked():
    test = MappingTest(Server(PRIMARY, ALTERNATE))
    assert test.begin() == (Question(Port.FIRST, PRIMARY),)
