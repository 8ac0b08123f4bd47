"""Recordings and schedules, again."""

import json

import attrs
import pytest

from sansice.ice import GatheringCompleted, IceAgent
from sansice.simulation import Expectation, Network, RecordingFile, explore, scene


@pytest.fixture
def recording(tmp_path):
    """A session of two agents; the file of the first."""
    net = Network(seed=5, latency=0.02, loss=0.1)
    net.stun_server("192.0.2.10")
    ends, path = [], tmp_path / "alice.sansice"
    for name, outer in (("alice", "203.0.113.1"), ("bob", "203.0.113.2")):
        host = net.host(name, "10.0.0.2", behind=net.nat(outer))
        file = RecordingFile(path if name == "alice" else tmp_path / "other", entropy=host.entropy)
        agent = file.make(IceAgent, controlling=name == "alice", servers=["stun:192.0.2.10"])
        node = host.run(agent)
        node.call(agent.gather, list(host.addresses))
        ends.append((node, agent, file))
    net.run(until=5.0)
    (one, a, _), (two, b, _) = ends
    one.call(a.set_remote, b.local_description)
    two.call(b.set_remote, a.local_description)
    net.run(until=60.0, when=lambda: a.selected_pair is not None and b.selected_pair is not None)
    for *_, file in ends:
        file.close()
    return path


@pytest.fixture
def schedule(tmp_path):
    """What exploration found: a scene that says that it connects, and cannot."""
    hopeless = attrs.evolve(scene("symmetric-to-symmetric"), name="hopeless", expect=Expectation())
    path = tmp_path / "found.json"
    path.write_text(explore(hopeless, budget=1).counterexample.to_json())
    return path


def test_recording_that_replays_is_0(invoke, recording):
    code, output, errors = invoke("replay", recording)
    assert (code, errors) == (0, "")
    assert "IceAgent, recorded by sansice" in output
    assert "outputs are the same" in output


def test_recording_as_json(invoke, recording):
    code, output, errors = invoke("replay", recording, "--json")
    assert code == 0
    result = json.loads(output)
    assert result["same"] is True and result["difference"] is None
    assert result["steps"] == result["replayed"] > 10 and result["outputs"] > 10
    assert "outputs are the same" in errors


def test_recording_that_was_cut_replays_as_far_as_it_goes(invoke, recording, tmp_path):
    cut = tmp_path / "cut"
    cut.write_bytes(recording.read_bytes()[:-20])
    code, output, _ = invoke("replay", cut)
    assert code == 0
    assert "cut" in output


def test_recording_that_differs_is_1_and_shows_where(invoke, tmp_path):
    path = tmp_path / "different"
    file = RecordingFile(path, entropy=bytes)
    agent = file.make(IceAgent, controlling=True)
    file.end(file.begin("handle_timer", (), {"now": 1.0}), None, "", [GatheringCompleted()], float("inf"))
    file.close()
    assert agent.deadline() > 0
    code, output, _ = invoke("replay", path)
    assert code == 1
    assert "step 1, handle_timer(" in output
    code, output, _ = invoke("replay", path, "--json")
    assert code == 1
    result = json.loads(output)
    assert result["same"] is False and "handle_timer" in result["difference"]


def test_what_is_no_recording_is_1_and_named(invoke, recording, tmp_path):
    other = tmp_path / "other.gif"
    other.write_bytes(b"GIF89a")
    code, _, errors = invoke("replay", other)
    assert code == 1
    assert str(other) in errors and "not a recording of sansice" in errors
    damaged = bytearray(recording.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    other.write_bytes(damaged)
    code, _, errors = invoke("replay", other)
    assert code == 1
    assert str(other) in errors


def test_file_that_is_not_there_is_usage(invoke, tmp_path):
    code, _, errors = invoke("replay", tmp_path / "nowhere")
    assert code == 2
    assert "does not exist" in errors


def test_schedule_that_breaks_the_same_rule_again_is_0(invoke, schedule):
    code, output, errors = invoke("replay", schedule)
    assert (code, errors) == (0, "")
    assert output.splitlines()[-1].strip().startswith("Connects is broken: ")


def test_schedule_as_json(invoke, schedule):
    code, output, errors = invoke("replay", schedule, "--schedule", "--json")
    assert code == 0
    result = json.loads(output)
    assert (result["invariant"], result["same"]) == ("Connects", True)
    assert result["events"] > 0 and "never selected" in result["finding"]
    assert "Connects is broken" in errors


def test_schedule_under_which_nothing_breaks_any_more_is_1(invoke, schedule):
    fields = json.loads(schedule.read_text())
    fields["scene"] = json.loads(scene("two-homes").to_json())
    schedule.write_text(json.dumps(fields))
    code, output, _ = invoke("replay", schedule)
    assert code == 1
    assert "Connects holds now: nothing is broken after" in output
    code, output, _ = invoke("replay", schedule, "--json")
    assert json.loads(output) == {"invariant": None, "finding": None, "events": None, "same": False}


def test_schedule_of_a_rule_of_the_users_own_says_who_can_replay_it(invoke, schedule):
    fields = json.loads(schedule.read_text())
    fields["invariant"] = "AsksOnce"
    schedule.write_text(json.dumps(fields))
    code, _, errors = invoke("replay", schedule)
    assert code == 1
    assert "AsksOnce is no rule of sansice's own: give it to replay_schedule(..., invariants=)" in errors


def test_schedule_that_breaks_another_rule_is_1(invoke, schedule):
    fields = json.loads(schedule.read_text())
    fields["invariant"] = "PacingIsKept"
    schedule.write_text(json.dumps(fields))
    code, output, _ = invoke("replay", schedule)
    assert code == 1
    assert output.splitlines()[-1] == "When it was found, PacingIsKept was broken."


def test_schedule_that_is_cut_or_foreign_is_1_and_names_file_and_place(invoke, schedule, tmp_path):
    cut = tmp_path / "cut.json"
    cut.write_text(schedule.read_text()[:-40])
    code, _, errors = invoke("replay", cut)
    assert code == 1
    assert errors.startswith(f"{cut}: schedule: not JSON, or cut")
    foreign = tmp_path / "foreign.json"
    foreign.write_text("{}")
    code, _, errors = invoke("replay", foreign, "--schedule")
    assert code == 1
    assert errors == f"{foreign}: schedule: not a sansice schedule"


def test_schedule_of_a_world_that_is_no_scene_says_so(invoke, schedule):
    fields = json.loads(schedule.read_text())
    del fields["scene"]
    schedule.write_text(json.dumps(fields))
    code, _, errors = invoke("replay", schedule)
    assert code == 1
    assert "no scene" in errors
