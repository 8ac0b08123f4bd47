"""Exploration, from the command line."""

import json
import signal

import attrs
import pytest

from sansice.simulation import Expectation, scene
from sansice_cli.simulate import _command

HANG = 60  # seconds


@pytest.fixture
def hopeless(tmp_path):
    """A scene that says that it connects, and cannot: exploration finds that at once."""
    path = tmp_path / "hopeless.json"
    path.write_text(attrs.evolve(scene("symmetric-to-symmetric"), name="hopeless", expect=Expectation()).to_json())
    return path


def test_where_nothing_is_found_the_share_that_was_tried_is_told(invoke):
    code, output, errors = invoke("simulate", "--explore", "two-homes", "--budget", "300ms")
    assert code == 0
    lines = output.splitlines()
    assert lines[0].startswith("two-homes: ") and lines[-1] == "nothing found"
    assert lines[1].startswith("0 deviations: 1 run, 100.0% of 1")
    assert errors.startswith("exploring: ")


def test_json_has_what_was_tried_of_each_depth(invoke):
    code, output, _ = invoke("simulate", "--explore", "two-homes", "--budget", "300ms", "--depth", 1, "--json")
    assert code == 0
    result = json.loads(output)
    (one,) = result["explorations"]
    assert (result["found"], result["interrupted"], one["scene"], one["counterexample"]) == (False, False, "two-homes", None)
    assert 1 <= len(one["depths"]) <= 2  # how far a slow machine gets in that time is its own affair
    assert {tuple(depth) for depth in one["depths"]} == {("depth", "possible", "tried", "same", "exact", "share")}
    assert one["depths"][0]["share"] == 1.0
    assert sum(depth["tried"] for depth in one["depths"]) + one["walks"] == one["runs"]


def test_counterexample_is_1_saved_and_replays(invoke, hopeless, tmp_path):
    saved = tmp_path / "found.json"
    code, output, _ = invoke("simulate", "--explore", hopeless, "--budget", "30s", "--save", saved)
    assert code == 1
    assert "Connects is broken in hopeless" in output
    assert f"Saved; sansice replay {saved} shows it again." in output
    code, output, _ = invoke("replay", saved)
    assert code == 0
    assert "Connects is broken: " in output.splitlines()[-1]


def test_counterexample_is_in_the_json_as_it_would_be_saved(invoke, hopeless, tmp_path):
    saved = tmp_path / "found.json"
    code, output, _ = invoke("simulate", "--explore", hopeless, "--budget", "30s", "--save", saved, "--json")
    assert code == 1
    result = json.loads(output)
    assert result["found"] is True
    assert result["explorations"][-1]["counterexample"] == json.loads(saved.read_text())


def test_counterexample_that_cannot_be_saved_is_said(invoke, hopeless, tmp_path):
    code, output, errors = invoke("simulate", "--explore", hopeless, "--budget", "30s", "--save", tmp_path / "no" / "where")
    assert code == 1
    assert "Connects is broken in hopeless" in output
    assert "no/where: No such file" in errors


def test_all_scenes_share_the_time_and_an_interrupt_keeps_what_is_done(start):
    with start("simulate", "--explore", "--budget", "10s", "--json") as process:
        assert process.stderr.readline().startswith("exploring: ")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=HANG)
    assert process.returncode == 130
    result = json.loads(output)
    assert result["interrupted"] is True
    assert result["explorations"][0]["scene"] == "two-homes"
    assert errors.splitlines()[-1] == "Interrupted."


def test_scenes_after_one_another_get_their_shares(invoke, monkeypatch):
    few = {name: scene(name) for name in ("two-homes", "same-home", "server-public")}
    monkeypatch.setattr(_command, "scenes", lambda: few)
    code, output, _ = invoke("simulate", "--explore", "--budget", "3s", "--json")
    assert code == 0
    assert [one["scene"] for one in json.loads(output)["explorations"]] == list(few)


def test_scene_without_agents_is_no_scene_to_explore(invoke):
    code, _, errors = invoke("simulate", "--explore", "relay-symmetric")
    assert code == 2
    assert "relay-symmetric has no agents, and exploration is about agents" in errors
