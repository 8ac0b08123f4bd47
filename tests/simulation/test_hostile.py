"""The steps of a script, one by one: what each tells the machine."""

import random

import pytest

from sansice.machine import (
    Address,
    IcmpError,
    Machine,
    OpenSocket,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.simulation._contract._hostile import (
    STRANGERS,
    Accept,
    Answer,
    Arrive,
    Command,
    Die,
    Leap,
    PassTime,
    Reflect,
    Reply,
    StreamData,
    StreamSent,
    Unreachable,
    WallClock,
    random_datagram,
    stun_like,
)
from sansice.simulation._contract._trial import TIMERS_A_STEP, Subject, Trial
from sansice.stun import COOKIE, PRIORITY, MessageClass, Method, TransactionId, decode_untrusted, encode

ONE, PEER = SocketId(1), Address("192.0.2.9", 9)


class Asker(Machine):
    """Opens a socket, asks a question and sends two datagrams, the first of them empty."""

    def __init__(self, entropy):
        super().__init__()
        self.every = 0.0
        self.next = float("inf")

    def start(self, *, now):
        self._outputs += [
            OpenSocket(ONE, Transport.UDP, Address("192.0.2.1", 0)),
            Resolve(QueryId(5), "peer.example", RecordKind.A),
            SendDatagram(ONE, PEER, b""),
            SendDatagram(ONE, PEER, b"\x00\x01rest"),
        ]

    def tick(self, every, *, now):
        self.every, self.next = every, now + every

    def handle_timer(self, *, now):
        if now >= self.next:
            self.next = now + self.every

    def deadline(self):
        return self.next


@pytest.fixture
def trial():
    trial = Trial(Subject(Asker), seed=1, now=10.0, prompt=False)
    trial.command("start", (), {})
    return trial


def told(trial, *steps):
    before = len(trial.calls)
    for step in steps:
        step.play(trial)
    return [(call.method, *call.arguments) for call in trial.calls[before:]]


ANSWER = Answer(True, SocketErrorKind.RESET, ResolveError.TIMEOUT)
REFUSAL = Answer(False, SocketErrorKind.PERMISSION, ())


def test_questions_are_answered_before_sockets_and_then_nothing_asked(trial):
    calls = told(trial, ANSWER, ANSWER, ANSWER)
    assert calls == [
        ("handle_resolved", QueryId(5), ResolveError.TIMEOUT),
        ("handle_socket_opened", ONE, Address("192.0.2.1", 40001)),
        ("handle_resolved", QueryId(999), ResolveError.TIMEOUT),
    ]
    assert trial.sockets == [ONE]


def test_a_socket_may_fail_to_open(trial):
    [_, (method, socket, error)] = told(trial, ANSWER, REFUSAL)
    assert (method, socket, error.kind) == ("handle_socket_failed", ONE, SocketErrorKind.PERMISSION)
    assert trial.sockets == []


def test_prompt_trials_open_at_once():
    trial = Trial(Subject(Asker), seed=1, now=10.0, prompt=True)
    trial.command("start", (), {})
    assert trial.calls[-1].method == "handle_socket_opened"
    assert trial.sockets == [ONE]


def test_datagrams_arrive_on_known_and_unknown_sockets_from_strangers_and_peers(trial):
    told(trial, ANSWER, ANSWER)
    assert told(trial, Arrive(0, 1, (b"a", b"b")), Arrive(-1, 3, (b"c",))) == [
        ("handle_datagrams", ONE, [(STRANGERS[1], b"a"), (STRANGERS[1], b"b")]),
        ("handle_datagrams", SocketId(999_999), [(PEER, b"c")]),
    ]


def test_what_was_sent_comes_back_as_it_was_or_as_a_response_or_damaged(trial):
    calls = told(trial, Reflect(0, 0, ()), Reflect(0, 0x0110, ()), Reflect(0, 0, (16,)), Reflect(1, 0x0100, (5,)))
    data = [call[2][0] for call in calls]
    assert data == [(PEER, b"\x00\x01rest"), (PEER, b"\x01\x11rest"), (PEER, b"\x00\x01sest"), (PEER, b"")]


def test_nothing_comes_back_where_nothing_was_sent():
    assert told(Trial(Subject(Asker), seed=1, now=10.0, prompt=True), Reflect(0, 0, ())) == []


def test_a_peer_answers_what_it_would_answer(trial):
    answers = {b"": None, b"\x00\x01rest": b"fine"}
    reply = [Reply(lambda sent: answers[sent.data], which) for which in (0, 1)]
    assert told(trial, *reply) == [("handle_datagrams", ONE, [(PEER, b"fine")])]
    assert told(Trial(Subject(Asker), seed=1, now=10.0, prompt=True), *reply) == []


def test_a_dead_socket_is_fed_no_more(trial):
    told(trial, ANSWER, ANSWER)
    died = told(trial, Die(0, SocketErrorKind.RESET), Die(0, SocketErrorKind.RESET))
    assert [call[:2] for call in died] == [("handle_socket_failed", ONE), ("handle_socket_failed", SocketId(999_999))]
    assert trial.sockets == []


def test_the_rest_of_the_world_speaks_up(trial):
    calls = told(
        trial,
        Unreachable(0, 0, IcmpError(3, 3)),
        StreamData(0, b""),
        StreamSent(0, 7),
        Accept(0, 0),
        Accept(0, 0),
        WallClock(1.7e9),
        Command("tick", (1.0,), {}),
    )
    unknown = SocketId(999_999)
    assert calls == [
        ("handle_icmp", unknown, STRANGERS[0], IcmpError(3, 3)),
        ("handle_stream_data", unknown, b""),
        ("handle_stream_sent", unknown, 7),
        ("handle_accepted", unknown, SocketId(-1), STRANGERS[0]),
        ("handle_accepted", SocketId(-1), SocketId(-2), STRANGERS[0]),
        ("handle_wall_clock", 1.7e9),
        ("tick", 1.0),
    ]


def test_time_that_passes_fires_every_timer_when_it_is_due(trial):
    told(trial, Command("tick", (0.5,), {}))
    calls = told(trial, PassTime(1.25))
    assert calls == [("handle_timer",), ("handle_timer",)]
    assert [call.keywords["now"] for call in trial.calls[-2:]] == [10.5, 11.0]
    assert trial.now == 11.25


def test_a_machine_with_short_timers_does_not_hold_up_the_trial(trial):
    told(trial, Command("tick", (0.01,), {}))
    assert len(told(trial, PassTime(3600.0))) == TIMERS_A_STEP
    assert trial.now < 3600.0


def test_time_that_leaps_fires_one_late_timer(trial):
    told(trial, Command("tick", (0.5,), {}))
    assert told(trial, Leap(1000.0)) == [("handle_timer",)]
    assert trial.now == 1010.0


def test_a_message_like_stun_has_the_frame_of_one():
    data = stun_like(0x0001, bytes(12), [(PRIORITY.code, b"\0\0\0\5")])
    assert data == encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), [(PRIORITY, 5)])
    assert decode_untrusted(data).get(PRIORITY) == 5
    assert stun_like(0x0001, bytes(12), [(1, b"x")], lie=4)[2:4] == b"\0\x0c"


def test_random_datagrams_are_noise_or_like_stun_or_a_known_one_damaged():
    draw, known = random.Random(1), b"a datagram that is known, long enough not to come by chance"
    made = [random_datagram(draw, [known]) for _ in range(300)]
    alike = [data for data in made if len(data) == len(known) and sum(a != b for a, b in zip(data, known, strict=True)) <= 3]
    framed = [data for data in made if data[4:8] == COOKIE.to_bytes(4, "big")]
    assert 60 < len(alike) < 140
    assert 60 < len(framed) < 140
    assert {0, 1, 2, 3} <= {len(data) for data in made}
    assert random_datagram(random.Random(3), [b""]) is not None


def test_an_empty_known_datagram_cannot_be_damaged():
    assert b"" in {random_datagram(random.Random(seed), [b""]) for seed in range(50)}
