"""What a machine did once, it does again in a replay; and what it does differently is found at its first step."""

import json
import math

import attrs
import pytest
from hypothesis import given, strategies as st

from sansice.ice import IceAgent, IceServer
from sansice.machine import (
    Address,
    IcmpError,
    LocalProtocolError,
    Machine,
    QueryId,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
)
from sansice.simulation import Network, Recorded, Recording, ReplayDifference, replay, scrub
from sansice.simulation._recording._tap import Raised
from simulation._machines import Received

ONE = SocketId(1)
HERE, THERE = Address("192.0.2.1", 1), Address("192.0.2.2", 2)


def counted(start=0):
    """Seeded entropy: bytes that count up."""
    state = [start]

    def entropy(count):
        state[0] += 1
        return bytes([state[0]]) * count

    return entropy


class Greeter(Machine):
    """Greets with drawn bytes, once a second, whom its policy allows."""

    def __init__(self, tap, allows=lambda host: True, letters=4):
        super().__init__()
        self.tap = tap
        self.letters = letters
        self.allows = tap.policy("allows", allows) if hasattr(tap, "policy") else allows
        self.name = tap(2)
        self.next = math.inf
        self.greeted = 0

    @property
    def total(self):
        return self.greeted

    def greet(self, peer, *, times=1, now):
        if not times:
            raise LocalProtocolError("greet at least once")
        if not self.allows(peer.host):
            return "refused"
        self.greeted += times
        self._outputs += [SendDatagram(ONE, peer, self.tap(self.letters)) for _ in range(times)]
        self.next = now + 1.0
        return self.greeted

    def break_down(self, *, now):
        raise RuntimeError("broken")

    def handle_datagrams(self, socket, batch, *, now):
        self._outputs += [Received(source, data) for source, data in batch]

    def handle_timer(self, *, now):
        if now >= self.next:
            self.next = math.inf

    def deadline(self):
        return self.next


def record(**options):
    """A recording of a greeter's short life."""
    recording = Recording(entropy=counted())
    greeter = Recorded(Greeter(recording.tap, **options), recording)
    assert greeter.greet(THERE, now=1.0) in (1, "refused")
    greeter.handle_datagrams(ONE, [(THERE, b"hello")], now=1.5)
    greeter.handle_timer(now=2.0)
    greeter.greet(HERE, times=2, now=3.0)
    return recording, greeter


def test_a_recorded_machine_is_the_machine():
    recording, greeter = record()
    assert greeter.deadline() == 4.0
    assert greeter.total == 3
    assert greeter.letters == 4
    assert greeter.take_outputs() == [
        SendDatagram(ONE, THERE, bytes([2]) * 4),
        Received(THERE, b"hello"),
        SendDatagram(ONE, HERE, bytes([3]) * 4),
        SendDatagram(ONE, HERE, bytes([4]) * 4),
    ]
    assert greeter.take_outputs() == []
    assert [step.method for step in recording.steps] == ["", "greet", "handle_datagrams", "handle_timer", "greet"]


def test_a_step_holds_what_was_given_drawn_answered_returned_and_put_out():
    recording, _ = record()
    construction, greet = recording.steps[:2]
    assert construction.drawn == ["0101"]
    assert str(construction) == "construction"
    assert greet.drawn == ["02020202"]
    assert greet.answers == [["allows", True]]
    assert greet.keywords == {"now": 1.0}
    assert greet.result == 1
    assert greet.deadline == 2.0
    assert len(greet.outputs) == 1
    assert str(recording.steps[3]) == "handle_timer(now=2.0)"
    assert str(greet).startswith('greet({"class": "sansice.machine:Address"')


def test_an_attribute_that_is_not_there_is_not_there():
    _, greeter = record()
    with pytest.raises(AttributeError):
        greeter.nothing  # noqa: B018
    assert greeter._outputs is not None


def test_a_replay_ends_in_the_state_in_which_the_recording_ends():
    recording, _ = record()
    machine = replay(recording, Greeter)
    assert (machine.greeted, machine.name, machine.next) == (3, b"\1\1", 4.0)


def test_every_input_of_the_contract_is_recorded_and_replayed():
    recording = Recording()
    machine = Recorded(Machine(), recording)
    machine.handle_socket_opened(ONE, HERE, now=1.0)
    machine.handle_socket_failed(ONE, SocketError(SocketErrorKind.RESET), now=1.0)
    machine.handle_accepted(ONE, SocketId(-1), THERE, now=1.0)
    machine.handle_datagrams(ONE, [(THERE, b"x")], now=1.0)
    machine.handle_stream_data(ONE, b"x", now=1.0)
    machine.handle_stream_sent(ONE, 5, now=1.0)
    machine.handle_icmp(ONE, THERE, IcmpError(3, 3), now=1.0)
    machine.handle_resolved(QueryId(1), ResolveError.TIMEOUT, now=1.0)
    machine.handle_wall_clock(1.7e9, now=1.0)
    machine.handle_timer(now=1.0)
    told = []

    class Listener(Machine):
        """Writes down what it is told."""

    for step in recording.steps[1:]:

        def method(self, *args, _name=step.method, now):
            told.append(_name)

        setattr(Listener, step.method, method)
    replay(recording, lambda tap: Listener())
    assert told == [step.method for step in recording.steps[1:]]
    assert len(told) == 10


def test_policy_functions_are_not_asked_in_a_replay():
    recording, _ = record(allows=lambda host: False)

    def never(host):
        raise AssertionError("asked")

    assert replay(recording, lambda tap: Greeter(tap, allows=never)).greeted == 0


class Own(Exception):
    def __init__(self, code, detail):
        super().__init__(f"{code} {detail}")


@pytest.mark.parametrize(
    "error",
    [
        KeyError("who"),
        ZeroDivisionError("1/0"),
        OSError(13, "no"),
        ValueError([1]),
        Own(5, "x"),
        UnicodeEncodeError("a", "b", 0, 1, "c"),
    ],
)
def test_what_a_policy_function_raises_is_raised_in_a_replay(error):
    def fails(host):
        raise error

    def greeter(tap):
        return Greeter(tap, allows=fails)

    recording = Recording(entropy=counted())
    with pytest.raises(type(error)):
        Recorded(greeter(recording.tap), recording).greet(THERE, now=1.0)
    assert recording.steps[1].raised == f"{type(error).__qualname__}: {error}"
    replay(recording, greeter)
    replay(scrub(recording, greeter), greeter)


def test_what_cannot_be_raised_as_it_was_is_raised_by_name():
    made = Raised("UnicodeEncodeError", ("a text",)).error()
    assert (type(made).__qualname__, str(made)) == ("UnicodeEncodeError", "a text")


def test_a_callers_mistake_is_part_of_the_recording():
    recording, greeter = record()
    with pytest.raises(LocalProtocolError):
        greeter.greet(THERE, times=0, now=5.0)
    assert recording.steps[-1].raised == "LocalProtocolError: greet at least once"
    replay(recording, Greeter)

    class Lenient(Greeter):
        def greet(self, peer, *, times=1, now):
            return super().greet(peer, times=times, now=now) if times else None

    with pytest.raises(ReplayDifference) as found:
        replay(recording, Lenient)
    assert (found.value.index, found.value.what) == (5, "raised")


def test_a_fault_of_the_machine_is_recorded_before_it_is_raised():
    recording, greeter = record()
    with pytest.raises(RuntimeError):
        greeter.break_down(now=5.0)
    assert recording.steps[-1].raised == "RuntimeError: broken"
    replay(recording, Greeter)


def test_what_cannot_be_recorded_is_refused_before_the_machine_hears_of_it():
    recording, greeter = record()
    with pytest.raises(TypeError, match="builtins:object is not a value that can be recorded"):
        greeter.greet(object(), now=5.0)
    assert len(recording.steps) == 5
    assert greeter.total == 3


class Louder(Greeter):
    def handle_datagrams(self, socket, batch, *, now):
        super().handle_datagrams(socket, [(source, data.upper()) for source, data in batch], now=now)


class Mute(Greeter):
    def handle_datagrams(self, socket, batch, *, now):
        pass


class Chatty(Greeter):
    def handle_timer(self, *, now):
        super().handle_timer(now=now)
        self._outputs.append(Received(HERE, b""))


class Late(Greeter):
    def deadline(self):
        return self.next + 1.0


class Boastful(Greeter):
    def greet(self, peer, *, times=1, now):
        super().greet(peer, times=times, now=now)
        return True  # equal to 1, but not the same


class Thrifty(Greeter):
    def greet(self, peer, *, times=1, now):
        self.greeted += times
        self._outputs.append(SendDatagram(ONE, peer, b"\2\2\2\2"))
        self.allows(peer.host)
        self.next = now + 1.0
        return self.greeted


class Trusting(Greeter):
    def __init__(self, tap):
        super().__init__(tap)
        self.allows = lambda host: True


class Suspicious(Greeter):
    def greet(self, peer, *, times=1, now):
        self.allows(peer.host)
        return super().greet(peer, times=times, now=now)


@pytest.mark.parametrize(
    ("factory", "index", "what"),
    [
        (Louder, 2, "output 0"),
        (Mute, 2, "number of outputs"),
        (Chatty, 3, "number of outputs"),
        (Late, 1, "deadline"),
        (Boastful, 1, "result"),
        (Thrifty, 1, "entropy left over"),
        (Trusting, 1, "policy answers left over"),
        (Suspicious, 1, "policy asked"),
        (lambda tap: Greeter(tap, letters=5), 1, "bytes of entropy drawn"),
        (lambda tap: Greeter(tap.policy("a", tap)), 0, "policy asked"),
        (lambda tap: Machine(), 0, "entropy left over"),
    ],
)
def test_a_difference_is_reported_at_its_first_step(factory, index, what):
    recording, _ = record()
    with pytest.raises(ReplayDifference) as found:
        replay(recording, factory)
    assert (found.value.index, found.value.what) == (index, what)
    assert found.value.step is recording.steps[index]
    assert str(found.value).startswith(f"step {index}, {recording.steps[index]}: {what} differs\n  recorded: ")
    assert json.dumps(found.value.expected) != json.dumps(found.value.actual)


def test_a_machine_that_draws_where_none_was_drawn_is_found():
    recording, _ = record()

    class Greedy(Greeter):
        def handle_timer(self, *, now):
            self.tap(1)

    with pytest.raises(ReplayDifference) as found:
        replay(recording, Greedy)
    assert (found.value.index, found.value.expected, found.value.actual) == (3, 0, 1)


def test_a_recording_survives_being_text():
    recording, _ = record()
    text = recording.to_json_lines()
    assert text.splitlines()[0] == '{"sansice-recording":1}'
    again = Recording.from_json_lines(text)
    assert again.steps == recording.steps
    assert again.to_json_lines() == text
    assert replay(again, Greeter).greeted == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the recording is empty"),
        ('{"sansice-recording":1}\n', "the recording is empty"),
        ("[]\n", "line 1 of the recording: not a sansice recording"),
        ('{"sansice-recording":2}\n', "line 1 of the recording: version 2 is not version 1"),
        ('{"sansice-recording":1}\n{"method":""}\n{"meth', "line 3 of the recording: "),
        ('{"sansice-recording":1}\n{"method":"","extra":1}\n', "line 2 of the recording: .*extra"),
        ('{"sansice-recording":1}\n5\n', "line 2 of the recording: "),
        ('{"sansice-recording":1,"made":{"machine":5}}\n', "line 1 of the recording: class: not a text"),
        ('{"sansice-recording":1,"made":{"machine":"a:B","arguments":5}}\n', "line 1 of the recording: arguments: not a list"),
        ('{"sansice-recording":1}\n{"method":5}\n', "line 2 of the recording: method: not a text"),
        ('{"sansice-recording":1}\n{"arguments":{}}\n', "line 2 of the recording: arguments: not a list"),
        ('{"sansice-recording":1}\n{"keywords":"now"}\n', "line 2 of the recording: keywords: not an object"),
        ('{"sansice-recording":1}\n{"drawn":[1]}\n', "line 2 of the recording: drawn: not a text"),
        ('{"sansice-recording":1}\n{"drawn":["xy"]}\n', "line 2 of the recording: "),
        ('{"sansice-recording":1}\n{"answers":[["a"]]}\n', "line 2 of the recording: answers: not pairs"),
        ('{"sansice-recording":1}\n{"deadline":null}\n', "line 2 of the recording: deadline: not a number"),
        ('{"sansice-recording":1}\n' + "[" * 100_000, "line 2 of the recording: a value is nested too deeply"),
    ],
)
def test_a_recording_that_is_none_or_cut_or_edited_names_the_line(text, message):
    with pytest.raises(ValueError, match=message):
        Recording.from_json_lines(text)


def test_an_empty_recording_cannot_be_replayed():
    with pytest.raises(ValueError, match="the recording is empty"):
        replay(Recording(), Greeter)


@given(st.lists(st.tuples(st.sampled_from(["greet", "handle_timer", "handle_datagrams"]), st.floats(0.0, 10.0))))
def test_any_life_replays_to_the_same_bytes(life):
    recording = Recording()
    greeter = Recorded(Greeter(recording.tap), recording)
    arguments = {"greet": (THERE,), "handle_timer": (), "handle_datagrams": (ONE, [(THERE, b"x")])}
    for now, method in sorted((now, method) for method, now in life):
        getattr(greeter, method)(*arguments[method], now=now)
    assert replay(Recording.from_json_lines(recording.to_json_lines()), Greeter).greeted == greeter.total


def test_a_whole_session_of_two_agents_replays_byte_for_byte():
    net = Network(seed=5, latency=0.02, loss=0.1)
    net.stun_server("192.0.2.10")
    servers = [IceServer("stun:192.0.2.10")]
    agents, nodes, recordings = [], [], []
    for name, outer in (("A", "203.0.113.1"), ("B", "203.0.113.2")):
        host = net.host(name, "10.0.0.2", behind=net.nat(outer))
        recording = Recording(entropy=host.entropy)
        agent = Recorded(IceAgent(controlling=name == "A", servers=servers, entropy=recording.tap), recording)
        node = host.run(agent)
        node.call(agent.gather, list(host.addresses))
        agents.append(agent)
        nodes.append(node)
        recordings.append(recording)
    net.run(until=5.0)
    for node, agent, other in zip(nodes, agents, reversed(agents), strict=True):
        node.call(agent.set_remote, other.local_description)
    assert net.run(until=60.0, when=lambda: all(agent.selected_pair for agent in agents))
    for name, agent, recording in zip("AB", agents, recordings, strict=True):
        again = Recording.from_json_lines(recording.to_json_lines())
        controlling = name == "A"
        machine = replay(again, lambda tap, c=controlling: IceAgent(controlling=c, servers=servers, entropy=tap))
        assert machine.selected_pair == agent.selected_pair
    changed = attrs.evolve(recordings[0].steps[-1], deadline=0.0)
    recordings[0].steps[-1] = changed
    with pytest.raises(ReplayDifference, match="deadline differs"):
        replay(recordings[0], lambda tap: IceAgent(controlling=True, servers=servers, entropy=tap))
