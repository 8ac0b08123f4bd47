"""The search for a mapping's lifetime, with answers by a script (RFC 5780 4.6)."""

import pytest

from _behavior_world import Ways, World
from sansice.machine import Address
from sansice.stun import (
    RESPONSE_PORT,
    BehaviorConfig,
    BehaviorTest,
    LifetimeDiscovered,
    LifetimeNarrowed,
    TestUnavailable,
)
from sansice.stun._behavior._lifetime import LifetimeTest
from sansice.stun._behavior._questions import Outcome, Port, Question, Reply

PRIMARY = Address("192.0.2.10", 3478)
MAPPED = {Port.SILENT: Address("203.0.113.1", 1), Port.CONTROL: Address("203.0.113.1", 2)}
WAKE = Question(Port.SILENT, PRIMARY)


class Bench:
    """A test, and a server that answers it behind a NAT whose mappings live so long as ``alive`` says."""

    def __init__(self, alive, limit=300.0, **config):
        self.test = LifetimeTest(PRIMARY, limit, BehaviorConfig(**config))
        self.alive = alive
        self.now = 0.0
        self.asked = []
        self.events = []
        self.late = 0.0  # what the machine sleeps before each question

    def run(self):
        pending = list(self.test.begin())
        while pending:
            for move in self.test.take(pending[0], self.reply(pending.pop(0))):
                (pending if isinstance(move, Question) else self.events).append(move)
        assert self.test.over
        return self.events[-1]

    def reply(self, question):
        self.now += question.delay + self.late
        if question.response_port is None:
            return Reply(Outcome.ANSWERED, self.now, self.now, arrived=question.port, mapped=MAPPED[question.port])
        self.asked.append(question.delay)
        assert question.response_port == MAPPED[Port.SILENT].port
        assert question.port is Port.CONTROL
        if self.alive(question.delay):
            return Reply(Outcome.ANSWERED, self.now, self.now, arrived=Port.SILENT)
        return Reply(Outcome.SILENT, self.now, self.now + 8.5)


@pytest.mark.req("RFC5780-004")
def test_silences_are_doubled_and_then_halved_in_between():
    bench = Bench(lambda silence: silence < 100.0)
    assert bench.run() == LifetimeDiscovered(97.5, 101.25)
    assert bench.asked == [0.0, 15.0, 30.0, 60.0, 120.0, 90.0, 105.0, 97.5, 101.25]
    assert bench.events[:-1] == [
        LifetimeNarrowed(15.0, None),
        LifetimeNarrowed(30.0, None),
        LifetimeNarrowed(60.0, None),
        LifetimeNarrowed(60.0, 120.0),
        LifetimeNarrowed(90.0, 120.0),
        LifetimeNarrowed(90.0, 105.0),
        LifetimeNarrowed(97.5, 105.0),
        LifetimeNarrowed(97.5, 101.25),
    ]


@pytest.mark.req("RFC5780-004")
def test_the_limit_is_the_last_silence_that_is_tried():
    bench = Bench(lambda silence: True, limit=100.0)
    assert bench.run() == LifetimeDiscovered(100.0, None)
    assert bench.asked == [0.0, 15.0, 30.0, 60.0, 100.0]


@pytest.mark.req("RFC5780-004")
def test_first_silence_and_precision_are_the_callers():
    bench = Bench(lambda silence: silence < 7.0, lifetime_first=4.0, lifetime_precision=1.0)
    assert bench.run() == LifetimeDiscovered(6.0, 7.0)
    assert bench.asked == [0.0, 4.0, 8.0, 6.0, 7.0]


@pytest.mark.req("RFC5780-004")
def test_each_silence_begins_with_a_request_from_the_silent_socket():
    bench = Bench(lambda silence: silence < 20.0)
    pending, woken = list(bench.test.begin()), 0
    while pending:
        question = pending.pop(0)
        woken = woken + 1 if question == WAKE else woken
        if question.delay:
            assert woken == len(bench.asked) + 1
        pending += [move for move in bench.test.take(question, bench.reply(question)) if isinstance(move, Question)]


def test_what_counts_is_how_long_the_silence_was_and_not_how_long_it_was_to_be():
    bench = Bench(lambda silence: True, limit=100.0)
    bench.late = 40.0
    assert bench.run() == LifetimeDiscovered(140.0, None)
    assert bench.asked == [0.0, 15.0, 100.0]
    assert bench.events[0] == LifetimeNarrowed(55.0, None)


def test_a_nat_that_changes_its_mind_is_asked_no_more_than_so_often():
    answers = iter([True, False, *[True, False] * 100])
    bench = Bench(lambda silence: not silence or next(answers), max_silences=6, lifetime_precision=0.001)
    bench.run()
    assert len(bench.asked) == 7


def test_a_mapping_that_outlives_a_silence_that_had_killed_it_is_looked_for_further_up():
    test = LifetimeTest(PRIMARY, 300.0, BehaviorConfig())
    bench = Bench(lambda silence: silence != 15.0)
    bench.test = test
    pending = list(test.begin())
    sleeps = iter([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 100.0])
    while not test.over and bench.now < 130:
        bench.late = next(sleeps, 0.0)
        question = pending.pop(0)
        for move in test.take(question, bench.reply(question)):
            (pending if isinstance(move, Question) else bench.events).append(move)
    assert bench.events[0] == LifetimeNarrowed(0.0, 15.0)
    assert bench.events[1] == LifetimeNarrowed(107.5, None)


@pytest.mark.parametrize(
    ("port", "reply", "reason"),
    [
        (None, Reply(Outcome.SILENT, 0.0, 8.5), "192.0.2.10:3478 did not answer"),
        (
            Port.CONTROL,
            Reply(Outcome.ANSWERED, 0.0, 0.1, mapped=Address("203.0.113.2", 2)),
            "the NAT gives two sockets two addresses, and RESPONSE-PORT changes only the port",
        ),
    ],
)
def test_without_two_mappings_at_one_address_there_is_no_test(port, reply, reason):
    test = LifetimeTest(PRIMARY, 300.0, BehaviorConfig())
    silent, control = test.begin()
    moves = ()
    for question in (silent, control):
        if not test.over:
            own = Reply(Outcome.ANSWERED, 0.0, 0.1, mapped=MAPPED[question.port])
            moves = test.take(question, reply if port in (None, question.port) else own)
    assert moves == (TestUnavailable(BehaviorTest.LIFETIME, reason),)
    assert test.over


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (
            Reply(Outcome.SILENT, 0.0, 8.5),
            "an answer that was sent to another port by RESPONSE-PORT did not arrive",
        ),
        (Reply(Outcome.ANSWERED, 0.0, 0.1, arrived=Port.CONTROL), "the server ignores RESPONSE-PORT"),
        (
            Reply(Outcome.REFUSED, 0.0, 0.1, text="420 Unknown Attribute", code=420),
            "192.0.2.10:3478 answered with an error (420 Unknown Attribute)",
        ),
    ],
)
@pytest.mark.req("RFC5780-004", "RFC5780-007")
def test_a_server_is_first_asked_without_a_silence_whether_it_can_do_it(reply, reason):
    test = LifetimeTest(PRIMARY, 300.0, BehaviorConfig())
    moves = ()
    for question in test.begin():
        moves = test.take(question, Reply(Outcome.ANSWERED, 0.0, 0.1, mapped=MAPPED[question.port]))
    [question] = moves
    assert (question.delay, question.response_port) == (0.0, 1)
    assert test.take(question, reply) == (TestUnavailable(BehaviorTest.LIFETIME, reason),)
    assert test.over


@pytest.mark.req("RFC5780-004")
def test_an_answer_at_the_asking_socket_means_that_the_mapping_is_gone():
    test = LifetimeTest(PRIMARY, 300.0, BehaviorConfig(max_silences=1))
    bench = Bench(lambda silence: True)
    bench.test = test
    pending, moves = list(test.begin()), ()
    while pending:
        question = pending.pop(0)
        reply = bench.reply(question)
        if question.delay:
            reply = Reply(Outcome.ANSWERED, reply.asked, reply.ended, arrived=Port.CONTROL)
        moves = test.take(question, reply)
        pending += [move for move in moves if isinstance(move, Question)]
    assert moves == (LifetimeNarrowed(0.0, 15.0), LifetimeDiscovered(0.0, 15.0))


def test_a_server_that_ignores_response_port_is_seen_through():
    found = World(ways=Ways(ignored=(RESPONSE_PORT,)), nat={}, tests=[BehaviorTest.LIFETIME]).discover()
    assert found.unavailable == ((BehaviorTest.LIFETIME, "the server ignores RESPONSE-PORT"),)
