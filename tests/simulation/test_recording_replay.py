"""Replaying step by step, from files, and what is shown where a machine does something else."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

import pytest

from sansice.ice import Description, IceAgent, IceServer
from sansice.machine import Address, Machine, SendDatagram, SendStream, SocketId, Transport
from sansice.simulation import (
    Made,
    Network,
    Recording,
    RecordingError,
    RecordingFile,
    Replay,
    ReplayDifference,
    Step,
    read_recording,
    replay,
    replay_file,
)
from sansice.simulation._recording._difference import differences
from sansice.simulation._recording._sink import Sink
from sansice.simulation._recording._values import to_json
from sansice.stun import (
    PENDING,
    BehaviorDiscovery,
    BindingLookup,
    IntegrityKey,
    Listener,
    LongTermCredentials,
    ServerAuthentication,
    ShortTermServerAuthentication,
    StaticUsers,
    StunServer,
    UserKeys,
)

ONE, HERE = SocketId(1), Address("192.0.2.1", 1)


class Pair(NamedTuple):
    left: int
    right: int


class Counter(Machine):
    """Counts what it gets, and says so."""

    def __init__(self, entropy, step=1):
        super().__init__()
        self.total = int.from_bytes(entropy(1), "big")
        self.step = step
        self.password = None

    @property
    def broken(self):
        raise RuntimeError("not yet")

    def explain(self):
        return f"{self.total} so far"

    def handle_datagrams(self, socket, batch, *, now):
        self.total += self.step * len(batch)
        self._outputs += [SendDatagram(socket, source, bytes([self.total])) for source, _ in batch]


def recorded_counter(sink):
    counter = sink.make(Counter)
    for now in (1.0, 2.0, 3.0):
        counter.handle_datagrams(ONE, [(HERE, b"x")], now=now)
    return sink


def counting():
    return recorded_counter(Recording(entropy=bytes))


# ---------------------------------------------------------------- step by step


def test_a_replay_stops_at_any_step_and_can_be_looked_at():
    replaying = Replay(counting(), lambda tap: Counter(tap))
    assert (replaying.index, replaying.machine.total, replaying.outputs) == (1, 0, [])
    replaying.until(3)
    assert (replaying.index, replaying.machine.total) == (3, 2)
    assert replaying.step().keywords == {"now": 3.0}
    assert replaying.outputs == [SendDatagram(ONE, HERE, b"\3")]
    assert replaying.step() is None
    replaying.until(99)
    assert replaying.index == 4


def test_a_difference_shows_the_state_before_it_and_each_field():
    class Forgetful(Counter):
        def handle_datagrams(self, socket, batch, *, now):
            super().handle_datagrams(socket, batch, now=now)
            if now == 2.0:
                self._outputs[:] = [SendDatagram(socket, Address("192.0.2.9", 1), b"\x99\x98")]

    with pytest.raises(ReplayDifference) as found:
        replay(counting(), Forgetful)
    assert found.value.index == 2
    assert [field.path for field in found.value.fields] == ["destination.host", "data"]
    assert found.value.before.splitlines() == [
        "broken: RuntimeError('not yet')",
        "password: None",
        "step: 1",
        "total: 1",
        "explain(): 1 so far",
        "deadline(): inf",
    ]
    assert "the state before it:\n  broken: " in str(found.value)
    assert '  destination.host: recorded "192.0.2.1", replayed "192.0.2.9"' in str(found.value)
    assert "  data: 1 and 2 bytes, from byte 0 on: recorded 02, replayed 99 98" in str(found.value)


def test_differences_are_named_as_a_person_names_the_place():
    def paths(expected, actual):
        return [str(one) for one in differences(to_json(expected, strict=False), to_json(actual, strict=False))]

    assert paths({"a": 1}, {"a": 2}) == ['["a"]: recorded 1, replayed 2']
    assert paths({"a": 1}, {"b": 1}) == ['["a"]: recorded 1, replayed null', '["b"]: recorded null, replayed 1']
    assert paths((1, [2, 3]), (1, [2, 4])) == ["[1][1]: recorded 3, replayed 4"]
    assert paths(b"abcd", b"ab") == [": 4 and 2 bytes, from byte 2 on: recorded 61 62 63 64, replayed 61 62"]
    assert paths(b"a" * 20, b"a" * 18 + b"bb") == [
        ": 20 bytes, from byte 18 on: recorded 61 61 61 61 61 61 61 61 61 61, replayed 61 61 61 61 61 61 61 61 62 62"
    ]
    assert paths(Transport.UDP, Transport.TCP) == [
        ': recorded {"enum": "sansice.machine:Transport", "name": "UDP"}, '
        'replayed {"enum": "sansice.machine:Transport", "name": "TCP"}'
    ]
    assert paths(SendDatagram(ONE, HERE, b""), SendDatagram(ONE, HERE._replace(port=2), b"")) == [
        "destination.port: recorded 1, replayed 2"
    ]
    assert paths(1, True) == [": recorded 1, replayed true"]
    assert paths("x" * 1000, "y")[0].endswith('... (1002 characters), replayed "y"')
    assert paths(HERE, SendStream(ONE, b"")) != []
    assert paths(Pair(1, 2), Pair(1, 3)) == ["[1]: recorded 2, replayed 3"]


def test_a_factory_that_does_not_make_the_same_machine_twice_is_said_to():
    steps = iter((3,))
    with pytest.raises(ReplayDifference) as found:
        replay(counting(), lambda tap: Counter(tap, step=next(steps)))
    assert found.value.before == "not the same in a second replay: StopIteration()"


def test_a_recording_reaches_no_private_method_and_nothing_that_is_none():
    for name in ("__init__", "_outputs", "total", "nothing", ""):
        recording = counting()
        recording.steps.append(Step(name))
        with pytest.raises(ValueError, match=f"step 4: a Counter has no method '{name}'"):
            replay(recording, lambda tap: Counter(tap))


def test_an_argument_that_cannot_be_read_names_its_step():
    recording = counting()
    recording.steps[2].arguments = [1, {"class": "nobody:Knows", "items": []}]
    with pytest.raises(ValueError, match="step 2, handle_datagrams: the recording has a value of nobody:Knows"):
        replay(recording, lambda tap: Counter(tap))


@pytest.mark.parametrize("edited", [{"map": [5]}, {"map": [[[], 1]]}, {"set": [[1]]}, {"set": [{"map": []}]}])
def test_keys_and_members_that_can_be_none_are_no_values(edited):
    recording = counting()
    recording.steps[2].arguments = [1, edited]
    with pytest.raises(ValueError, match="step 2, handle_datagrams: not a recorded value"):
        replay(recording, lambda tap: Counter(tap))


def test_a_mapping_that_was_edited_can_be_compared():
    assert [str(one) for one in differences({"map": [5, [1, 2]]}, {"map": [[1, 3]]})] == ["[1]: recorded 2, replayed 3"]


# ---------------------------------------------------------------- who makes the machine


def test_a_machine_that_is_not_of_sansice_takes_a_factory():
    recording = counting()
    assert recording.made.machine.endswith(":Counter")
    with pytest.raises(ValueError, match="Counter, which is not sansice's: replay it with a factory"):
        replay(recording)
    assert replay(recording, lambda tap: Counter(tap)).total == 3
    recording.made = None
    with pytest.raises(ValueError, match="does not say what was recorded: replay it with a factory"):
        Replay(recording)


def test_a_function_that_makes_a_machine_is_named():
    def build(*, entropy):
        return Counter(entropy)

    assert recorded_counter_by(build).made.machine.endswith(".build")

    class Builder:
        def __call__(self, *, entropy):
            return Counter(entropy)

    assert recorded_counter_by(Builder()).made.machine.endswith(":Builder")


def recorded_counter_by(kind):
    recording = Recording()
    recording.make(kind)
    return recording


def test_own_machines_are_made_anew_from_the_recording_alone():
    recording = Recording()
    servers = (url for url in ["stun:192.0.2.7"])  # an iterator, which can be read but once
    agent = recording.make(IceAgent, controlling=True, servers=servers)
    agent.gather(["192.0.2.1"], now=1.0)
    agent.handle_socket_opened(ONE, HERE, now=1.0)
    again = replay(Recording.from_json_lines(recording.to_json_lines()))
    assert type(again) is IceAgent
    assert again.credentials == agent.credentials
    assert again.local_candidates == agent.local_candidates


@pytest.mark.parametrize(
    ("kind", "arguments", "keywords"),
    [
        (BindingLookup, ("stun:192.0.2.1",), {"credentials": LongTermCredentials("me", "secret"), "transports": [Transport.TCP]}),
        (BehaviorDiscovery, (Address("192.0.2.1", 3478),), {"families": (4,)}),
        (IceAgent, (), {"controlling": False, "servers": [IceServer("stun:192.0.2.1", "me", "secret")]}),
    ],
)
def test_every_own_machine_is_recorded_and_replayed(kind, arguments, keywords):
    recording = Recording()
    machine = recording.make(kind, *arguments, **keywords)
    if hasattr(machine, "start"):
        machine.start(now=1.0)
    machine.handle_timer(now=1.5)
    assert type(replay(Recording.from_json_lines(recording.to_json_lines()))) is kind
    assert "secret" not in str(recording.made.keywords).replace("'secret':", "").replace("'secret'}", "'***'}")


def test_an_argument_of_an_own_machine_that_is_no_value_is_refused():
    with pytest.raises(TypeError, match="not a value that can be recorded"):
        Recording().make(IceAgent, controlling=object())


def test_a_recording_names_no_class_to_be_called():
    recording = Recording()
    recording.make(IceAgent, controlling=True)
    for name in ("os:system", "sansice.ice:Description", "builtins:eval"):
        recording.made = Made(name, ["true"])
        with pytest.raises(ValueError, match="which is not sansice's"):
            replay(recording)


@pytest.mark.parametrize(
    "keywords",
    [
        {},
        {"controlling": "yes"},
        {"controlling": True, "wings": 2},
        {"controlling": True, "servers": 5},
        {"controlling": True, "servers": [5]},
        {"controlling": True, "servers": ["gopher:x"]},
        {"controlling": {"class": "nobody:Knows", "items": []}},
    ],
)
def test_a_construction_that_was_edited_is_said_to_be_none(keywords):
    recording = Recording()
    recording.make(IceAgent, controlling=True)
    recording.made = Made("sansice.ice:IceAgent", [], keywords)
    with pytest.raises(ValueError, match="the recording's arguments make no IceAgent: "):
        replay(recording)


# ---------------------------------------------------------------- a server that asks for credentials


def served(authentication):
    net = Network(seed=4, latency=0.01)
    outside = net.host("server", "198.51.100.9")
    recording = Recording(entropy=outside.entropy)
    server = recording.make(StunServer, authentication=authentication)
    node = outside.run(server)
    node.call(server.start, [Listener(Transport.UDP, Address("198.51.100.9", 3478))])
    client = net.host("client", "192.0.2.1")
    return net, server, node, client, recording


def look_up(net, client, password, user="me"):
    lookup = BindingLookup("stun:198.51.100.9", credentials=LongTermCredentials(user, password), entropy=client.entropy)
    node = client.run(lookup)
    node.call(lookup.start)
    net.run(until=net.now + 60, when=lambda: node.events)
    return type(node.events[-1][1]).__name__


def test_a_server_with_users_replays_without_knowing_them():
    users = StaticUsers({"me": "right"}, realm="r")
    net, server, node, client, recording = served(ServerAuthentication(realm="r", lookup_key=users))
    assert look_up(net, client, "right") == "MappedAddressDiscovered"
    assert look_up(net, client, "wrong") == "BindingLookupFailed"
    node.call(server.replace_authentication, ServerAuthentication(realm="s", lookup_key=StaticUsers({"me": "new"}, realm="s")))
    assert look_up(net, client, "new") == "MappedAddressDiscovered"
    node.call(server.replace_authentication, None)
    text = recording.to_json_lines()
    assert "right" not in text
    again = replay(Recording.from_json_lines(text))
    assert again.stats.responses == server.stats.responses


def test_keys_that_come_later_are_recorded_too():
    net, server, node, client, recording = served(
        ServerAuthentication(realm="r", lookup_key=lambda username, realm, unix: PENDING)
    )
    lookup = BindingLookup("stun:198.51.100.9", credentials=LongTermCredentials("me", "right"), entropy=client.entropy)
    client.run(lookup).call(lookup.start)
    net.run(until=10.0, when=lambda: any(hasattr(event, "id") for _, event in node.events))
    asked = next(event for _, event in node.events if hasattr(event, "id"))
    node.call(server.provide_key, asked.id, UserKeys.of_password("me", "right", "r"))
    net.run(until=20.0)
    assert replay(recording).stats.responses == server.stats.responses == 1


def test_the_short_term_mechanism_is_recorded_too():
    authentication = ShortTermServerAuthentication(lookup_key=StaticUsers({"me": "right"}))
    _, _, _, _, recording = served(authentication)
    assert type(replay(recording)) is StunServer


def test_an_authentication_that_is_none_is_refused():
    recording = Recording()
    recording.make(StunServer)
    for form in (
        {"authentication": "StunServer", "settings": {}},
        {"authentication": "ServerAuthentication", "settings": {"colour": "red"}},
    ):
        recording.made.keywords["authentication"] = form
        with pytest.raises(ValueError, match="not a recorded value"):
            replay(recording)


# ---------------------------------------------------------------- files


def test_a_file_is_replayed_and_reported(tmp_path):
    recorded_counter(RecordingFile(tmp_path / "x", entropy=bytes)).close()
    report = replay_file(tmp_path / "x", lambda tap: Counter(tap))
    assert report.same
    assert (report.replayed, report.outputs, report.seconds) == (4, 3, 2.0)
    lines = str(report).splitlines()
    assert lines[0].endswith(f"4 steps, {(tmp_path / 'x').stat().st_size} bytes, closed")
    assert "Counter, recorded by sansice " in lines[0]
    assert lines[1] == "4 steps in 2.000 s replayed: all 3 outputs are the same"


def test_a_file_that_does_not_replay_is_reported_and_no_exception(tmp_path):
    recorded_counter(RecordingFile(tmp_path / "x", entropy=bytes)).close()
    report = replay_file(tmp_path / "x", lambda tap: Counter(tap, step=2))
    assert not report.same
    assert (report.replayed, report.outputs, report.difference.index) == (1, 0, 1)
    assert "1 steps are the same under sansice" in str(report)
    assert "step 1, handle_datagrams(" in str(report)
    broken = replay_file(tmp_path / "x", lambda tap: Machine())
    assert (broken.replayed, broken.difference.index) == (0, 0)


def test_a_file_with_a_time_that_is_none_is_replayed(tmp_path):
    class Patient(Machine):
        def wait(self, *, now):
            pass

    file = RecordingFile(str(tmp_path / "patient"))
    patient = file.make(lambda *, entropy: Patient())
    for now in ("soon", 2.0, "later", 5.0):
        patient.wait(now=now)
    file.close()
    report = replay_file(str(tmp_path / "patient"), lambda tap: Patient())
    assert (report.same, report.seconds) == (True, 3.0)


def test_a_file_without_a_machine_is_called_so(tmp_path):
    file = RecordingFile(tmp_path / "x", entropy=bytes)
    file.end(file.begin("", (), {}), None, "", [], float("inf"))
    file.close()
    report = replay_file(tmp_path / "x", lambda tap: Machine())
    assert (report.machine, report.seconds) == ("a machine", 0.0)


def test_a_file_of_no_step_and_a_file_of_something_else_are_errors(tmp_path):
    RecordingFile(tmp_path / "empty").close()
    with pytest.raises(ValueError, match="the recording is empty"):
        replay_file(tmp_path / "empty")
    (tmp_path / "other").write_bytes(b"GIF89a")
    with pytest.raises(RecordingError, match="not a recording of sansice"):
        replay_file(tmp_path / "other")


def test_a_session_on_a_bad_network_replays_from_its_files(tmp_path):
    net = Network(seed=5, latency=0.02, loss=0.2, duplication=0.1, reordering=0.1)
    net.stun_server("192.0.2.10")
    ends = []
    for name, outer in (("A", "203.0.113.1"), ("B", "203.0.113.2")):
        host = net.host(name, "10.0.0.2", behind=net.nat(outer))
        file = RecordingFile(tmp_path / name, entropy=host.entropy)
        agent = file.make(IceAgent, controlling=name == "A", servers=["stun:192.0.2.10"])
        node = host.run(agent)
        node.call(agent.gather, list(host.addresses))
        ends.append((node, agent, file))
    net.run(until=5.0)
    for (node, agent, _), (_, other, _) in zip(ends, reversed(ends), strict=True):
        node.call(agent.set_remote, other.local_description)
    assert net.run(until=60.0, when=lambda: all(agent.selected_pair for _, agent, _ in ends))
    for node, agent, _ in ends:
        node.call(agent.send, b"hello", stream=0, component=1)
    net.run(until=net.now + 40.0)
    for name, (node, agent, file) in zip("AB", ends, strict=True):
        node.call(agent.close)
        file.close()
        report = replay_file(tmp_path / name)
        assert report.same, report
        assert report.replayed == len(read_recording(tmp_path / name).steps) > 20


# ---------------------------------------------------------------- secrets


def test_passwords_are_marked_and_never_shown():
    recording = Recording()
    agent = recording.make(IceAgent, controlling=True)
    agent.set_remote(Description("ufrag", "a-password-nobody-sees".replace("-", "+")), now=1.0)
    step = recording.steps[1]
    assert step.arguments[0]["fields"]["pwd"] == {"secret": "a+password+nobody+sees"}
    assert "nobody+sees" not in str(step)
    assert json.loads(str(step).partition("(")[2].partition(", now=")[0])["fields"]["pwd"] == {"secret": "..."}
    with pytest.raises(ReplayDifference) as found:
        replay(Recording.from_json_lines(recording.to_json_lines().replace("Infinity", "1.0")))
    assert agent.credentials.pwd not in str(found.value)
    assert "nobody+sees" not in str(found.value)


def test_a_key_is_a_secret_wherever_it_is():
    recording = Recording()
    recording.answer("lookup_key", (UserKeys("me", short_term=IntegrityKey(b"key")), IntegrityKey(b"other")))
    recording.add(Step())
    keys, other = recording.steps[0].answers[0][1]["tuple"]
    assert keys["fields"]["short_term"] == {"secret": {"key": b"key".hex()}}
    assert keys["fields"]["md5"] is None
    assert other == {"secret": {"key": b"other".hex()}}


def test_a_recording_must_say_where_it_is_written():
    sink = Sink()
    with pytest.raises(NotImplementedError):
        sink.begin("", (), {})
    with pytest.raises(NotImplementedError):
        sink.end(None, None, "", [], 0.0)


@pytest.mark.parametrize("seed", ["0", "4711"])
def test_the_same_life_is_the_same_file_whatever_the_hashes_are(tmp_path, seed):
    program = (
        "import sys\n"
        "from sansice.ice import IceAgent\n"
        "from sansice.simulation import RecordingFile, scrub_file\n"
        "file = RecordingFile(sys.argv[1], entropy=bytes)\n"
        "agent = file.make(IceAgent, controlling=True, servers=['stun:192.0.2.1'])\n"
        "agent.gather(['192.0.2.1', '2001:db8::1', '198.51.100.1'], now=1.0)\n"
        "for now in (2.0, 3.0, 50.0):\n"
        "    agent.handle_timer(now=now)\n"
        "file.close()\n"
        "scrub_file(sys.argv[1], sys.argv[1] + '-scrubbed')\n"
    )
    for value, name in ((seed, "one"), ("1", "other")):
        command = [sys.executable, "-c", program, str(tmp_path / name)]
        subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": value}, check=True)
    for suffix in ("", "-scrubbed"):
        assert (tmp_path / f"one{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()
