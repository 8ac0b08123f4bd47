"""The Binding transactions of gathering, alone; how they are used is in test_gatherer.py and test_asking.py."""

import math

import pytest

from ice._relay_bench import Counting
from ice._wire import at, make_local
from sansice.ice import IceConfig
from sansice.ice._gathering._bindings import Bindings, Mapped, Query, Unanswered, why_not_mapped
from sansice.machine import SendDatagram, SocketError, SocketErrorKind
from sansice.stun import ERROR_CODE, XOR_MAPPED_ADDRESS, ErrorCode, MessageClass, Method, decode_untrusted, encode

HOST = make_local("192.0.2.1", 1)
ONE, TWO = at("198.51.100.1", 3478), at("198.51.100.2", 3478)
MAPPED = at("203.0.113.9", 6000)
FIRST = Query(HOST, "stun:one", 0, ONE)


class Bench:
    def __init__(self, *queries):
        self.bindings = Bindings(IceConfig(), Counting())
        self.bindings.queue.extend(queries)
        self.sent, self.events = [], []
        self.now = 0.0

    def take(self):
        for output in self.bindings.take_outputs():
            (self.sent if isinstance(output, SendDatagram) else self.events).append(output)

    def next(self):
        self.bindings.start_next(0, now=self.now)
        self.take()

    def run(self, until):
        while (due := self.bindings.deadline()) <= until:
            self.now = due
            self.bindings.handle_timer(now=due)
            self.take()
        self.now = until

    def answer(self, *attributes, code=None):
        action = self.sent[-1]
        content = [] if code is None else [(ERROR_CODE, ErrorCode(code, "No"))]
        kind = MessageClass.SUCCESS if code is None else MessageClass.ERROR
        data = encode(Method.BINDING, kind, decode_untrusted(action.data).transaction_id, [*content, *attributes])
        taken = self.bindings.handle_response(action.socket, action.destination, decode_untrusted(data), now=self.now)
        self.take()
        return taken


def test_answer_is_told_with_the_time_since_the_question():
    bench = Bench(FIRST)
    bench.next()
    bench.run(0.3)
    assert bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    assert bench.events == [Mapped(FIRST, MAPPED, 0.3)]
    assert bench.bindings.is_idle


def test_other_address_of_a_server_is_asked_before_it_counts_as_failed():
    bench = Bench(Query(HOST, "stun:one", 0, ONE, (TWO,)))
    bench.next()
    bench.answer(code=500)
    assert bench.events == [] and not bench.bindings.is_idle
    bench.next()
    assert bench.sent[-1].destination == TWO
    bench.answer(code=500)
    assert bench.events == [Unanswered(Query(HOST, "stun:one", 0, TWO), "500 No", 500, 0.0)]


@pytest.mark.parametrize("host", ["0.0.0.0", "224.0.0.1", "255.255.255.255", "127.0.0.1", "2001:db8::1"])
def test_address_where_nobody_can_send_to_is_no_answer(host):
    bench = Bench(FIRST)
    bench.next()
    assert bench.answer((XOR_MAPPED_ADDRESS, at(host)))
    (unanswered,) = bench.events
    assert isinstance(unanswered, Unanswered) and host in unanswered.text
    bench.run(60.0)
    assert bench.bindings.queue == []  # and is not kept alive


def test_loopback_is_where_a_socket_on_loopback_can_be_sent_to():
    assert why_not_mapped(at("127.0.0.1", 9), at("127.0.0.1")) is None
    assert why_not_mapped(at("::1", 9), at("::1")) is None
    assert why_not_mapped(at("127.0.0.1", 9), at("192.0.2.1")) is not None


def test_what_was_found_through_a_socket_that_is_forgotten_is_kept_alive_no_more():
    bench = Bench(FIRST)
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.bindings.forget(HOST.socket)
    bench.run(100.0)
    assert bench.bindings.queue == []


def test_keepalives_that_have_not_had_their_turn_are_not_queued_again():
    bench = Bench(FIRST)
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(200.0)
    assert len(bench.bindings.queue) == 1


def test_what_is_found_again_in_each_generation_is_kept_alive_once():
    bench = Bench()
    for seen in (FIRST, Query(HOST, "stun:two", 1, TWO), FIRST, FIRST):
        bench.bindings.queue.append(seen)
        bench.next()
        bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(15.0)
    assert sorted(query.server.host for query in bench.bindings.queue) == [ONE.host, TWO.host]


@pytest.mark.req("RFC8445-016")
def test_what_was_found_is_asked_for_again_and_says_nothing_more():
    bench = Bench(FIRST)
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(15.0)
    assert bench.bindings.queue and bench.bindings.is_idle and bench.bindings.unfinished == ()
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, at("203.0.113.9", 6001)))
    assert len(bench.events) == 1


def test_giving_up_ends_questions_and_leaves_keepalives_alone():
    second = Query(HOST, "stun:two", 1, TWO)
    bench = Bench(FIRST)
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.run(15.0)
    bench.next()
    bench.bindings.queue.extend([second, second])
    bench.next()
    assert bench.bindings.give_up() == (second, second)
    assert bench.bindings.is_idle
    bench.run(16.0)
    assert [one.destination for one in bench.sent[3:]] == [ONE]  # the keepalive goes on


def test_dead_socket_ends_what_is_asked_through_it():
    bench = Bench(FIRST, Query(make_local("192.0.2.2", 2), "stun:one", 0, ONE))
    bench.next()
    bench.bindings.handle_socket_failed(HOST.socket, SocketError(SocketErrorKind.OTHER, "gone"), now=0.0)
    bench.take()
    assert [event.text for event in bench.events] == ["gone"]
    assert len(bench.bindings.queue) == 1


def test_after_the_end_nothing_is_asked_or_kept():
    bench = Bench(FIRST, FIRST)
    bench.next()
    bench.answer((XOR_MAPPED_ADDRESS, MAPPED))
    bench.bindings.stop()
    assert bench.bindings.is_idle and bench.bindings.deadline() == math.inf
    assert bench.bindings.queue == []
