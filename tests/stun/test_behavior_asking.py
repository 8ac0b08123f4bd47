"""Questions on their way: pace, sockets, and which answer is whose."""

import attrs
import pytest

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    CloseSocket,
    DropReason,
    IcmpError,
    Ids,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import (
    CHANGE_REQUEST,
    CHANGED_ADDRESS,
    COOKIE,
    ERROR_CODE,
    MAPPED_ADDRESS,
    OTHER_ADDRESS,
    PADDING,
    RESPONSE_PORT,
    XOR_MAPPED_ADDRESS,
    BehaviorConfig,
    ChangeRequest,
    ErrorCode,
    MessageClass,
    Method,
    Schedule,
    decode_untrusted,
    encode,
)
from sansice.stun._behavior._asking import Asking
from sansice.stun._behavior._questions import Outcome, Port, Question, Replied

PRIMARY, ALTERNATE = Address("192.0.2.10", 3478), Address("192.0.2.20", 3479)
LOCAL, MAPPED = Address("10.0.0.2", 5000), Address("203.0.113.1", 40000)
COOKIE_BYTES = COOKIE.to_bytes(4, "big")
FIRST = Question(Port.FIRST, PRIMARY)
SECOND = Question(Port.SECOND, PRIMARY)
CHANGED = Question(Port.FIRST, PRIMARY, change=ChangeRequest(True, True), answered_from=ALTERNATE)


class Bench:
    """An `Asking` whose sockets open at once, unless told otherwise; ``now`` is the test's."""

    def __init__(self, *, local=None, server=PRIMARY, opens=True, **config):
        self.drawn = 0
        self.entropy_byte = None  # what a single byte is drawn as, if not as the next number
        self.now = 0.0
        self.opens = opens
        config.setdefault("spread", 0.0)
        self.asking = Asking(local=local, config=BehaviorConfig(**config), ids=Ids(), entropy=self.entropy)
        self.asking.aim(server)
        self.opened, self.sent, self.replies, self.closed = [], [], [], []

    def entropy(self, size):
        self.drawn += 1
        if size == 1 and self.entropy_byte is not None:
            return bytes((self.entropy_byte,))
        return self.drawn.to_bytes(size, "big")

    def ask(self, *questions):
        for question in questions:
            self.asking.ask(question, now=self.now)
        self.collect()

    def collect(self):
        while outputs := self.asking.take_outputs():
            for output in outputs:
                match output:
                    case OpenSocket():
                        self.opened.append(output)
                        if self.opens:
                            local = LOCAL._replace(port=LOCAL.port + len(self.opened))
                            self.asking.handle_socket_opened(output.socket, local, now=self.now)
                    case SendDatagram():
                        self.sent.append((self.now, output))
                    case Replied():
                        self.replies.append((output.question, output.reply))
                    case CloseSocket():
                        self.closed.append(output.socket)

    def run(self, until):
        while self.asking.deadline() <= until:
            self.now = self.asking.deadline()
            self.asking.handle_timer(now=self.now)
            self.collect()
        self.now = until

    def receive(self, data, source=PRIMARY, socket=None):
        socket = self.opened[0].socket if socket is None else socket
        self.asking.handle_datagrams(socket, [(source, data)], now=self.now)
        self.collect()

    def request(self, index=-1):
        return decode_untrusted(self.sent[index][1].data)

    def response(self, *attributes, index=-1, kind=MessageClass.SUCCESS):
        attributes = attributes or ((XOR_MAPPED_ADDRESS, MAPPED),)
        return encode(Method.BINDING, kind, self.request(index).transaction_id, attributes)

    @property
    def reply(self):
        [(_, reply)] = self.replies
        return reply


# Sockets


@pytest.mark.parametrize(("server", "host"), [(PRIMARY, ANY_IPV4), (Address("2001:db8::10", 3478), ANY_IPV6)])
def test_sockets_are_opened_towards_the_server_when_first_asked_from(server, host):
    bench = Bench(server=server)
    bench.ask(Question(Port.FIRST, server), Question(Port.SECOND, server), Question(Port.FIRST, server))
    assert [(one.transport, one.bind, one.remote) for one in bench.opened] == [(Transport.UDP, Address(host, 0), server)] * 2


def test_the_callers_port_is_for_the_first_socket_alone():
    bench = Bench(local=Address("10.0.0.2", 5000))
    bench.ask(SECOND, FIRST)
    bench.run(0.1)
    assert [one.bind for one in bench.opened] == [Address("10.0.0.2", 0), Address("10.0.0.2", 5000)]


def test_another_server_is_asked_from_fresh_sockets_and_what_was_asked_before_is_forgotten():
    bench = Bench()
    bench.ask(FIRST, SECOND)
    old = bench.response()
    bench.asking.aim(ALTERNATE)
    bench.collect()
    assert bench.closed == [one.socket for one in bench.opened]
    assert bench.asking.deadline() == float("inf")
    bench.receive(old)
    assert bench.asking.dropped == {DropReason.UNKNOWN_SOCKET: 1}
    bench.run(0.1)
    bench.ask(Question(Port.FIRST, ALTERNATE))
    assert bench.opened[-1].remote == ALTERNATE
    assert bench.asking.contacted == [PRIMARY.host, ALTERNATE.host]


def test_a_question_waits_for_its_socket_and_others_do_not_wait_for_it():
    bench = Bench(opens=False)
    bench.ask(FIRST, SECOND)
    assert bench.sent == []
    assert bench.asking.deadline() == float("inf")
    first, second = (one.socket for one in bench.opened[:1]), None
    first = next(first)
    bench.asking.handle_socket_opened(first, LOCAL, now=1.0)
    bench.now = 1.0
    bench.collect()
    assert [sent.socket for _, sent in bench.sent] == [first]
    second = bench.opened[1].socket
    bench.now = 5.0
    bench.asking.handle_socket_opened(second, LOCAL, now=5.0)
    bench.collect()
    assert [sent.socket for _, sent in bench.sent] == [first, second]


def test_a_strangers_socket_opening_or_failing_changes_nothing():
    bench = Bench()
    bench.ask(FIRST)
    bench.asking.handle_socket_opened(SocketId(99), LOCAL, now=0.0)
    bench.asking.handle_socket_failed(SocketId(99), SocketError(SocketErrorKind.OTHER), now=0.0)
    bench.collect()
    assert bench.replies == []


def test_a_socket_that_fails_ends_what_runs_and_what_waits_on_it_and_nothing_else():
    bench = Bench()
    later = attrs.evolve(FIRST, delay=60.0)
    bench.ask(FIRST, later, SECOND)
    bench.run(0.2)
    bench.asking.handle_socket_failed(bench.opened[0].socket, SocketError(SocketErrorKind.RESET), now=0.3)
    bench.asking.handle_socket_failed(bench.opened[0].socket, SocketError(SocketErrorKind.RESET), now=0.3)
    bench.collect()
    assert [(question, reply.outcome) for question, reply in bench.replies] == [(FIRST, Outcome.LOST), (later, Outcome.LOST)]
    assert bench.replies[1][1].text == "connection reset"
    bench.receive(bench.response(index=1), socket=bench.opened[1].socket)
    assert bench.replies[-1][1].outcome is Outcome.ANSWERED


# Pace


@pytest.mark.req("RFC5780-008")
def test_questions_begin_a_tenth_of_a_second_apart():
    bench = Bench()
    bench.ask(*[FIRST] * 12)
    bench.run(0.45)
    assert [at for at, _ in bench.sent] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    bench.run(1.15)
    assert bench.asking.sent == 12


@pytest.mark.req("RFC5780-008")
def test_pace_is_kept_when_a_question_comes_just_after_another_has_been_answered():
    bench = Bench()
    bench.ask(FIRST)
    bench.receive(bench.response())
    bench.now = 0.05
    bench.ask(FIRST)
    assert len(bench.sent) == 1
    bench.run(0.2)
    assert [at for at, _ in bench.sent] == [0.0, 0.1]


@pytest.mark.req("RFC5780-008")
def test_pace_is_kept_when_another_server_is_asked():
    bench = Bench()
    bench.ask(FIRST)
    bench.now = 0.01
    bench.asking.handle_icmp(bench.opened[0].socket, PRIMARY, IcmpError(3, 3), now=bench.now)
    bench.asking.aim(ALTERNATE)
    bench.ask(Question(Port.FIRST, ALTERNATE))
    bench.run(0.2)
    assert [(at, sent.destination) for at, sent in bench.sent] == [(0.0, PRIMARY), (0.1, ALTERNATE)]


@pytest.mark.req("RFC5780-008")
@pytest.mark.parametrize(("drawn", "second"), [(0, 0.5), (51, 0.55), (255, 0.75)])
def test_the_whole_spread_is_drawn_from(drawn, second):
    bench = Bench(spread=0.5)
    bench.entropy_byte = drawn
    bench.ask(FIRST)
    bench.run(1.0)
    assert [at for at, _ in bench.sent] == pytest.approx([0.0, second])


@pytest.mark.req("RFC5780-008")
def test_schedules_are_spread_by_entropy_and_never_shortened():
    bench = Bench(spread=0.5)
    bench.ask(FIRST, FIRST)
    bench.run(30.0)
    ids = list(dict.fromkeys(decode_untrusted(sent.data).transaction_id for _, sent in bench.sent))
    times = [[at for at, sent in bench.sent if decode_untrusted(sent.data).transaction_id == one] for one in ids]
    first, second = (after - before for before, after, *_ in times)
    assert first != second
    assert all(0.5 <= one <= 0.75 for one in (first, second))


def test_a_delayed_question_waits_and_those_behind_it_do_not():
    bench = Bench()
    bench.ask(attrs.evolve(FIRST, delay=60.0), SECOND)
    assert [at for at, _ in bench.sent] == [0.0]
    bench.receive(bench.response(), socket=bench.opened[1].socket)
    assert bench.asking.deadline() == 60.0
    bench.run(60.0)
    assert [at for at, _ in bench.sent] == [0.0, 60.0]


def test_silence_is_told_after_the_whole_schedule():
    bench = Bench()
    bench.ask(FIRST)
    bench.run(100.0)
    assert [at for at, _ in bench.sent] == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert (bench.reply.outcome, bench.reply.asked, bench.reply.ended) == (Outcome.SILENT, 0.0, 8.5)
    assert bench.asking.deadline() == float("inf")


def test_a_question_may_be_worth_fewer_requests():
    bench = Bench()
    bench.ask(attrs.evolve(FIRST, requests=2))
    bench.run(100.0)
    assert [at for at, _ in bench.sent] == [0.0, 0.5]
    assert bench.reply.ended == 1.5


def test_a_faster_schedule_is_the_callers_choice():
    bench = Bench(schedule=Schedule(0.1, 2, 1, minimum_rto=0.1))
    bench.ask(FIRST)
    bench.run(1.0)
    assert [at for at, _ in bench.sent] == [0.0, 0.1]


# What is asked


def test_a_question_has_the_attributes_that_it_names_and_no_others():
    bench = Bench()
    bench.ask(FIRST)
    assert bench.sent[0][1].data[:8] == bytes.fromhex("00010000") + COOKIE_BYTES
    bench.run(0.2)
    bench.ask(Question(Port.FIRST, PRIMARY, response_port=7, padding=8))
    assert bench.request().get(RESPONSE_PORT) == 7
    assert bench.request().get(PADDING) == bytes(8)
    assert CHANGE_REQUEST not in bench.request()


@pytest.mark.parametrize(
    ("change", "flags"),
    [(ChangeRequest(True, True), 6), (ChangeRequest(True, False), 4), (ChangeRequest(False, True), 2)],
)
@pytest.mark.req("RFC5780-015")
def test_change_request_is_four_bytes_with_a_bit_for_address_and_one_for_port(change, flags):
    bench = Bench()
    bench.ask(attrs.evolve(CHANGED, change=change))
    assert bench.sent[0][1].data[20:] == bytes.fromhex("00030004") + flags.to_bytes(4, "big")


# What is answered


def test_an_answer_brings_what_the_server_saw():
    bench = Bench()
    bench.ask(FIRST)
    bench.now = 0.25
    bench.receive(
        bench.response((XOR_MAPPED_ADDRESS, MAPPED), (MAPPED_ADDRESS, LOCAL), (OTHER_ADDRESS, ALTERNATE), (PADDING, bytes(4)))
    )
    reply = bench.reply
    assert (reply.outcome, reply.asked, reply.ended) == (Outcome.ANSWERED, 0.0, 0.25)
    assert (reply.mapped, reply.plain, reply.other, reply.changed) == (MAPPED, LOCAL, ALTERNATE, None)
    assert (reply.local, reply.arrived, reply.source) == (LOCAL._replace(port=5001), Port.FIRST, PRIMARY)
    assert reply.padded


@pytest.mark.parametrize(
    ("question", "source"), [(FIRST, PRIMARY), (CHANGED, ALTERNATE), (CHANGED, PRIMARY)], ids=["asked", "changed", "ignored"]
)
def test_an_answer_may_come_from_whom_was_asked_or_whom_it_was_asked_of(question, source):
    bench = Bench()
    bench.ask(question)
    bench.receive(bench.response(), source)
    assert bench.reply.source == source


@pytest.mark.parametrize("question", [FIRST, CHANGED])
def test_an_answer_from_anybody_else_is_dropped(question):
    bench = Bench()
    bench.ask(question)
    bench.receive(bench.response(), Address("192.0.2.20", 3478))
    assert bench.replies == []
    assert bench.asking.dropped == {DropReason.WRONG_SOURCE: 1}


def test_an_answer_at_another_socket_counts_only_where_response_port_asked_for_it():
    bench = Bench()
    bench.ask(FIRST, SECOND)
    bench.run(0.1)
    bench.receive(bench.response(index=0), socket=bench.opened[1].socket)
    assert bench.asking.dropped == {DropReason.WRONG_SOURCE: 1}
    bench.run(0.3)
    bench.ask(Question(Port.FIRST, PRIMARY, response_port=9))
    bench.receive(bench.response(), socket=bench.opened[1].socket)
    assert bench.reply.arrived is Port.SECOND


def test_an_error_is_told_with_its_code():
    bench = Bench()
    bench.ask(FIRST)
    bench.receive(bench.response((ERROR_CODE, ErrorCode(420, "Unknown Attribute")), kind=MessageClass.ERROR))
    assert (bench.reply.outcome, bench.reply.code, bench.reply.text) == (Outcome.REFUSED, 420, "420 Unknown Attribute")


def test_an_answer_without_a_mapped_address_cannot_be_used():
    bench = Bench()
    bench.ask(FIRST)
    bench.receive(bench.response((OTHER_ADDRESS, ALTERNATE)))
    assert bench.reply.outcome is Outcome.UNUSABLE


def test_an_icmp_error_about_the_destination_ends_the_question():
    bench = Bench()
    bench.ask(FIRST)
    socket = bench.opened[0].socket
    bench.asking.handle_icmp(socket, ALTERNATE, IcmpError(3, 3), now=0.0)
    bench.asking.handle_icmp(socket, PRIMARY, IcmpError(3, 3), now=0.0)
    bench.collect()
    assert bench.reply.outcome is Outcome.UNREACHABLE


def test_an_answer_to_nothing_is_dropped_as_are_a_second_answer_and_an_indication():
    bench = Bench()
    bench.ask(FIRST)
    bench.receive(bench.response(kind=MessageClass.INDICATION))
    bench.receive(bench.response())
    bench.receive(bench.response())
    assert len(bench.replies) == 1
    assert bench.asking.dropped == {DropReason.UNKNOWN_TRANSACTION: 2}


# What comes back


@pytest.mark.req("RFC5780-005")
def test_a_request_of_ours_that_arrives_at_another_socket_of_ours_has_come_back():
    bench = Bench()
    bench.ask(FIRST, Question(Port.SECOND, MAPPED, returns=True))
    bench.run(0.1)
    bench.receive(bench.sent[1][1].data, Address("203.0.113.1", 7))
    reply = bench.replies[-1][1]
    assert (reply.outcome, reply.arrived, reply.source) == (Outcome.RETURNED, Port.FIRST, Address("203.0.113.1", 7))


@pytest.mark.req("RFC5780-005")
@pytest.mark.parametrize(("returns", "index"), [(True, 1), (False, 0)])
def test_a_reflection_to_where_it_left_is_none_and_neither_is_one_that_was_not_sent_to_ourselves(returns, index):
    bench = Bench()
    bench.ask(FIRST, Question(Port.SECOND, MAPPED, returns=returns))
    bench.run(0.1)
    bench.receive(bench.sent[1][1].data, MAPPED, bench.opened[index].socket)
    assert bench.replies == []
    assert bench.asking.dropped == {DropReason.BAD_CLASS: 1}


# RFC 3489


CLASSIC = Question(Port.FIRST, PRIMARY, classic=True)


def classic_answer(sent, *attributes):
    word = sent.data[4:8]
    request = decode_untrusted(sent.data[:4] + COOKIE_BYTES + sent.data[8:])
    data = encode(Method.BINDING, MessageClass.SUCCESS, request.transaction_id, attributes)
    return data[:4] + word + data[8:]


def test_a_classic_request_has_no_cookie_and_its_answer_is_known_by_all_128_bits():
    bench = Bench()
    bench.ask(CLASSIC)
    [(_, sent)] = bench.sent
    assert sent.data[4:8] != COOKIE_BYTES
    data = classic_answer(sent, (MAPPED_ADDRESS, MAPPED), (CHANGED_ADDRESS, ALTERNATE))
    bench.receive(data[:4] + b"\x01\x02\x03\x04" + data[8:])
    assert bench.asking.dropped == {DropReason.BAD_COOKIE: 1}
    bench.receive(data)
    assert (bench.reply.mapped, bench.reply.changed, bench.reply.plain) == (MAPPED, ALTERNATE, None)


def test_an_answer_without_the_cookie_is_none_to_a_question_that_had_it():
    bench = Bench()
    bench.ask(FIRST)
    data = bench.response()
    bench.receive(data[:4] + b"\x01\x02\x03\x04" + data[8:])
    assert bench.replies == []
    assert bench.asking.dropped == {DropReason.BAD_COOKIE: 1}
