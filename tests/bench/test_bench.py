"""The benchmarks' own tools: what they compute, and what the command prints."""

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import _timing

FOLDER = Path(__file__).parent


def command(*arguments):
    return subprocess.run([sys.executable, FOLDER, *arguments], capture_output=True, text=True, cwd="/")


def test_rounds_are_interleaved_and_take_turns_in_going_first():
    order = []
    ours = lambda: order.append("A") or 1.0  # noqa: E731
    peer = lambda: order.append("B") or 1.0  # noqa: E731
    _timing.interleave(ours, peer, unit="us", peer_name="peer", rounds=4)
    assert "".join(order) == "ABBAABBA"


def test_ratio_is_the_median_of_paired_ratios_and_not_of_medians():
    # A machine that is ten times slower in the second round changes both figures and no ratio.
    ours, peer = iter([1.0, 10.0, 3.0]), iter([2.0, 20.0, 30.0])
    metric = _timing.interleave(lambda: next(ours), lambda: next(peer), unit="us", peer_name="it", rounds=3)
    assert metric == {"ours": 3.0, "peer": 20.0, "ratio": 0.5, "unit": "us", "peer_name": "it"}


def test_garbage_collector_is_off_within_a_timing_and_restored_after_it():
    seen = []
    _timing.cpu_seconds(lambda: seen.append(gc.isenabled()))
    assert (seen, gc.isenabled()) == ([False], True)
    gc.disable()
    try:
        _timing.cpu_seconds(lambda: None)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_calibration_finds_a_number_of_calls_that_takes_long_enough(monkeypatch):
    calls = []

    def fake(function, number=1):
        calls.append(number)
        return 1e-6

    monkeypatch.setattr(_timing, "cpu_seconds", fake)
    number = _timing.calibrate(lambda: None, seconds=0.05)
    assert 50_000 <= number <= 110_000
    assert len(calls) < 20


def test_compare_calls_finds_the_cheaper_of_two():
    metric = _timing.compare_calls(lambda: sum(range(50)), lambda: sum(range(5000)), peer_name="peer", rounds=3)
    assert metric["unit"] == "us"
    assert metric["ratio"] < 1


def test_command_prints_one_json_object_on_the_last_line_and_the_table_on_stderr():
    run = command("imports", "--json", "--rounds", "1")
    assert run.returncode == 0, run.stderr
    (line,) = run.stdout.splitlines()
    assert set(json.loads(line)["imports"]["time"]) == {"ours", "peer", "ratio", "unit", "peer_name"}
    assert "imports.time" in run.stderr


@pytest.mark.parametrize("arguments", [("nonsense",), ("imports", "nonsense"), ("imports", "--rounds", "0")])
def test_command_refuses_what_it_does_not_know_with_exit_code_2(arguments):
    run = command(*arguments, "--json")
    assert (run.returncode, run.stdout) == (2, "")
