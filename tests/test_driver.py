"""The runtime-independent half of an adapter, on a runtime that writes down what it is asked."""

import math
import sys
import time
from collections.abc import Sequence
from typing import Any

import attrs
import pytest

from sansice.driver import AcceptedIds, Driver, EventQueueBase, NoRecorder, clock
from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    Event,
    IcmpError,
    LocalProtocolError,
    Machine,
    OpenSocket,
    PublishName,
    QueryId,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SendDatagrams,
    SendStream,
    SetDontFragment,
    SetReading,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
    WithdrawName,
)

ONE = SocketId(1)
HERE = Address("192.0.2.1", 5000)
THERE = Address("192.0.2.2", 5001)
OPEN = OpenSocket(ONE, Transport.UDP, HERE)


@attrs.frozen
class Told(Event):
    what: str


class Script(Machine):
    """Writes down its inputs; ``replies`` maps a method to the outputs it causes."""

    def __init__(self, **replies: list[Action | Event]) -> None:
        super().__init__()
        self.inputs: list[tuple[Any, ...]] = []
        self.replies = replies
        self.next = math.inf

    def say(self, *outputs: Action | Event, now: float) -> str:
        self.inputs.append(("say", now))
        self._outputs += outputs
        return "said"

    def refuse(self, *, now: float) -> None:
        raise LocalProtocolError("no")

    def deadline(self) -> float:
        return self.next


def _input(name: str) -> Any:
    def method(self: Script, *args: Any, now: float) -> None:
        self.inputs.append((name, *args, now))
        self._outputs += self.replies.get(name, [])

    return method


for _name in [name for name in vars(Machine) if name.startswith("handle_")]:
    setattr(Script, _name, _input(_name))


class Paper:
    """A runtime on paper."""

    def __init__(self) -> None:
        self.time = 100.0
        self.done: list[tuple[Any, ...]] = []
        self.armed: list[float] = []
        self.driver: Driver | None = None
        self.opens_at_once = False
        self.fails: Exception | None = None

    def now(self) -> float:
        return self.time

    def arm(self, deadline: float) -> None:
        self.armed.append(deadline)

    def open_socket(self, action: OpenSocket) -> None:
        self.done.append(("open", action))
        if self.opens_at_once:
            assert self.driver is not None
            self.driver.socket_opened(action.socket, HERE)

    def close_socket(self, socket: SocketId, mode: CloseMode) -> None:
        self.done.append(("close", socket, mode))

    def send_datagram(self, socket: SocketId, destination: Address, data: bytes) -> None:
        if self.fails is not None:
            raise self.fails
        self.done.append(("send", socket, destination, data))

    def send_stream(self, socket: SocketId, data: bytes) -> None:
        self.done.append(("stream", socket, data))

    def set_reading(self, socket: SocketId, enabled: bool) -> None:
        self.done.append(("reading", socket, enabled))

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        self.done.append(("don't fragment", socket, enabled))

    def resolve(self, action: Resolve) -> None:
        self.done.append(("resolve", action))

    def deliver(self, event: Event) -> None:
        self.done.append(("deliver", event))


class BatchingPaper(Paper):
    """One that does better with several datagrams."""

    def send_datagrams(self, socket: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        self.done.append(("send all", socket, items))


class NamingPaper(Paper):
    """One that answers for names."""

    def publish_name(self, name: str, host: str) -> None:
        self.done.append(("publish", name, host))

    def withdraw_name(self, name: str) -> None:
        self.done.append(("withdraw", name))


def make(**replies: list[Action | Event]) -> tuple[Script, Paper, Driver]:
    machine, paper = Script(**replies), Paper()
    paper.driver = Driver(machine, paper)
    return machine, paper, paper.driver


def test_every_action_reaches_the_runtime_in_order() -> None:
    machine, paper, driver = make()
    question = Resolve(QueryId(2), "example.org", RecordKind.A)
    said = driver.call(
        machine.say,
        OPEN,
        SendDatagram(ONE, THERE, b"1"),
        Told("between"),
        SendDatagram(ONE, THERE, b"2"),
        SendStream(ONE, b"3"),
        SetReading(ONE, enabled=False),
        SetDontFragment(ONE, enabled=True),
        question,
        CloseSocket(ONE, CloseMode.RESET),
    )
    assert said == "said"
    assert paper.done == [
        ("open", OPEN),
        ("send", ONE, THERE, b"1"),
        ("deliver", Told("between")),
        ("send", ONE, THERE, b"2"),
        ("stream", ONE, b"3"),
        ("reading", ONE, False),
        ("don't fragment", ONE, True),
        ("resolve", question),
        ("close", ONE, CloseMode.RESET),
    ]


def test_a_batch_is_its_datagrams_in_order_for_a_runtime_that_sends_one_by_one() -> None:
    items = ((THERE, b"1"), (HERE, b""), (THERE, b"2"))
    one_by_one = [SendDatagram(ONE, *item) for item in items]
    batched, separate = make(), make()
    batched[2].call(batched[0].say, SendDatagram(ONE, HERE, b"0"), SendDatagrams(ONE, items), Told("after"))
    separate[2].call(separate[0].say, SendDatagram(ONE, HERE, b"0"), *one_by_one, Told("after"))
    assert batched[1].done == separate[1].done
    assert len(batched[1].done) == 5


def test_a_batch_reaches_a_runtime_that_takes_batches_as_one() -> None:
    machine, paper = Script(), BatchingPaper()
    items = ((THERE, b"1"), (HERE, b"2"))
    Driver(machine, paper).call(machine.say, SendDatagrams(ONE, items), SendDatagram(ONE, THERE, b"3"))
    assert paper.done == [("send all", ONE, items), ("send", ONE, THERE, b"3")]


def test_every_input_carries_the_time_and_is_followed_by_a_flush() -> None:
    error = SocketError(SocketErrorKind.REFUSED)
    question = Resolve(QueryId(2), "example.org", RecordKind.A)
    inputs = [
        (lambda d: d.datagrams(ONE, [(THERE, b"x")]), ("handle_datagrams", ONE, [(THERE, b"x")])),
        (lambda d: d.stream_data(ONE, b""), ("handle_stream_data", ONE, b"")),
        (lambda d: d.stream_sent(ONE, 7), ("handle_stream_sent", ONE, 7)),
        (lambda d: d.accepted(ONE, SocketId(-1), THERE), ("handle_accepted", ONE, SocketId(-1), THERE)),
        (lambda d: d.socket_opened(ONE, HERE), ("handle_socket_opened", ONE, HERE)),
        (lambda d: d.socket_failed(ONE, error), ("handle_socket_failed", ONE, error)),
        (lambda d: d.icmp(ONE, THERE, IcmpError(3, 3)), ("handle_icmp", ONE, THERE, IcmpError(3, 3))),
        (lambda d: d.resolved(question, ResolveError.TIMEOUT), ("handle_resolved", QueryId(2), ResolveError.TIMEOUT)),
        (lambda d: d.timer(101.0), ("handle_timer",)),
    ]
    for feed, expected in inputs:
        machine, paper, driver = make(**{expected[0]: [Told(expected[0])]})
        paper.time = 101.0
        feed(driver)
        assert machine.inputs == [(*expected, 101.0)]
        assert paper.done == [("deliver", Told(expected[0]))]
        assert paper.armed == [math.inf]


def test_datagrams_of_several_sockets_may_have_one_flush_in_common() -> None:
    machine, paper, driver = make(handle_datagrams=[Told("heard")])
    now = driver.now()
    driver.feed_datagrams(ONE, [(THERE, b"x")], now)
    paper.time = 101.0
    driver.icmp(ONE, THERE, IcmpError(3, 3))
    driver.feed_datagrams(SocketId(2), [(THERE, b"y")], now)
    assert machine.inputs == [
        ("handle_datagrams", ONE, [(THERE, b"x")], 100.0),
        ("handle_icmp", ONE, THERE, IcmpError(3, 3), 101.0),
        ("handle_datagrams", 2, [(THERE, b"y")], 101.0),
    ]
    assert paper.done == [("deliver", Told("heard"))]  # of the first, by the flush after the ICMP error
    driver.flush()
    assert paper.done == [("deliver", Told("heard"))] * 2
    assert paper.armed == [math.inf, math.inf]


def test_the_wall_clock_is_told_at_the_start_where_there_is_one() -> None:
    machine, paper, driver = make(handle_wall_clock=[Told("start")])
    driver.start(unix=1.7e9)
    assert machine.inputs == [("handle_wall_clock", 1.7e9, 100.0)]
    assert paper.done == [("deliver", Told("start"))]


def test_start_performs_what_the_machine_wanted_since_its_construction() -> None:
    machine, paper, driver = make()
    machine.say(OPEN, now=100.0)
    driver.start()
    assert paper.done == [("open", OPEN)]
    assert ("handle_wall_clock", 100.0) not in machine.inputs


def test_the_deadline_is_armed_after_every_flush() -> None:
    machine, paper, driver = make()
    machine.next = 103.5
    driver.flush()
    machine.next = 104.5
    driver.datagrams(ONE, [])
    assert paper.armed == [103.5, 104.5]


def test_a_socket_that_opens_at_once_waits_for_the_actions_before_it() -> None:
    machine, paper, driver = make(handle_socket_opened=[SendDatagram(ONE, THERE, b"from opened")])
    paper.opens_at_once = True
    driver.call(machine.say, OPEN, Told("first"))
    assert paper.done == [("open", OPEN), ("deliver", Told("first")), ("send", ONE, THERE, b"from opened")]
    assert len(paper.armed) == 1


def test_what_is_left_when_the_runtime_raises_is_performed_by_the_next_flush() -> None:
    machine, paper, driver = make()
    paper.fails = RuntimeError("the runtime is broken")
    with pytest.raises(RuntimeError, match="broken"):
        driver.call(machine.say, SendDatagram(ONE, THERE, b"lost"), Told("kept"))
    assert paper.done == []
    driver.flush()
    assert paper.done == [("deliver", Told("kept"))]


def test_a_callers_mistake_reaches_the_caller_and_flushes_nothing() -> None:
    machine, paper, driver = make()
    with pytest.raises(LocalProtocolError, match="no"):
        driver.call(machine.refuse)
    assert paper.armed == []


def test_keywords_of_a_command_are_passed_on() -> None:
    _, _, driver = make()
    assert driver.call(lambda a, *, b, now: (a, b, now), 1, b=2) == (1, 2, 100.0)


def test_time_never_goes_back() -> None:
    _, paper, driver = make()
    paper.time = 105.0
    assert driver.now() == 105.0
    paper.time = 104.0
    assert driver.now() == 105.0
    paper.time = 106.0
    assert driver.now() == 106.0


def test_an_early_timer_is_taken_for_punctual_and_time_goes_on_from_there() -> None:
    machine, paper, driver = make()
    paper.time = 100.999
    driver.timer(101.0)
    driver.datagrams(ONE, [])
    assert machine.inputs == [("handle_timer", 101.0), ("handle_datagrams", ONE, [], 101.0)]


def test_a_late_timer_tells_the_real_time() -> None:
    machine, paper, driver = make()
    paper.time = 200.0
    driver.timer(101.0)
    assert machine.inputs == [("handle_timer", 200.0)]


def test_ids_of_accepted_streams_are_negative_and_never_repeat() -> None:
    ids = AcceptedIds()
    assert [ids.next(), ids.next(), ids.next()] == [-1, -2, -3]


def test_the_clock_is_the_one_that_goes_on_while_the_machine_sleeps() -> None:
    boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    before = time.clock_gettime(boottime)
    assert before <= clock() <= time.clock_gettime(boottime)


# ---------------------------------------------------------------- queues of events


class Bit(Event):
    """Something a peer can cause at will."""

    def __init__(self, number):
        self.number = number


class Word(Event):
    """Something that is always kept."""


class Queue(EventQueueBase):
    def __init__(self, *args):
        super().__init__(*args)
        self.woken = 0

    def _wake(self):
        self.woken += 1


def test_a_full_queue_drops_the_oldest_data_and_keeps_everything_else():
    queue = Queue((Bit,), 2)
    word = Word()
    for event in (Bit(1), word, Bit(2), Bit(3)):
        queue.put(event)
    assert queue.dropped == 1
    assert queue.woken == 4
    assert queue._take() is word
    assert [queue._take().number for _ in range(2)] == [2, 3]
    queue.put(Bit(4))
    queue.put(Bit(5))
    assert queue.dropped == 1


def test_closing_a_queue_wakes_whoever_waits():
    queue = Queue()
    queue.close()
    assert queue.woken == 1


def test_a_queue_of_no_runtime_wakes_nobody():
    with pytest.raises(NotImplementedError):
        EventQueueBase().put(Word())


def test_a_machine_that_nobody_records_is_constructed_as_it_is() -> None:
    class Named(Machine):
        def __init__(self, name: str, *, shout: bool) -> None:
            super().__init__()
            self.name = name.upper() if shout else name

    recorder = NoRecorder()
    machine = recorder.make(Named, "me", shout=True)
    assert (type(machine), machine.name) == (Named, "ME")
    recorder.close()


def test_names_are_published_where_the_runtime_can_and_otherwise_nobody_answers_for_them() -> None:
    machine, paper, driver = make()
    driver.call(machine.say, PublishName("a.local", "192.0.2.1"), WithdrawName("a.local"), Told("after"))
    assert paper.done == [("deliver", Told("after"))]
    machine, able = Script(), NamingPaper()
    Driver(machine, able).call(machine.say, PublishName("a.local", "192.0.2.1"), WithdrawName("a.local"))
    assert able.done == [("publish", "a.local", "192.0.2.1"), ("withdraw", "a.local")]


def test_a_driver_that_has_ended_holds_its_runtime_no_more_and_keeps_its_machine() -> None:
    machine, paper, driver = make()
    holders = sys.getrefcount(paper)
    driver.end()
    assert sys.getrefcount(paper) == holders - 1
    assert driver.machine is machine
