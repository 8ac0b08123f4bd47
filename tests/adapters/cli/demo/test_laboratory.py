"""`sansice demo --scene`."""

import json
import signal

import pytest

from sansice_cli.demo import _scene


@pytest.fixture
def at_once(monkeypatch):
    """Nobody waits between two pictures."""
    monkeypatch.setattr(_scene, "LONGEST", 0.0)


def test_a_scene_is_told_line_by_line_and_as_json(invoke, at_once):
    code, output, errors = invoke("demo", "--scene", "two-homes", "--seed", "3", "--json")
    assert code == 0
    said = json.loads(output)
    assert (said["scene"], said["seed"], said["connected"], said["echoed"]) == ("two-homes", 3, True, 3)
    assert errors.startswith("A is alice in the laboratory, controlling; B is bob in the laboratory, controlled.\n")
    assert "selected" in errors
    assert "won (" in errors


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scene", "nosuch"),
        ("--scene", "relay-restart"),
        ("--scene", "two-homes", "--count", "5"),
        ("--scene", "two-homes", "--lite"),
        ("--scene", "two-homes", "--server", "stun:a.example"),
        ("--seed", "1"),
    ],
)
def test_what_does_not_go_together_is_code_2(invoke, arguments):
    assert invoke("demo", *arguments)[0] == 2


def test_a_scene_may_be_interrupted(start):
    with start("demo", "--scene", "two-homes") as process:
        while "is checking" not in process.stdout.readline():
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "Interrupted.\n"
