"""Travels: a sample of `python tests/travels --seeds 1000`, and a larger one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sansice.ice._agent._agent import IceAgent
from travels._travel import CASES, travel

HERE = Path(__file__).parent


def travels(*arguments):
    run = subprocess.run([sys.executable, HERE, *arguments, "--json"], check=False, capture_output=True, text=True)
    return run.returncode, json.loads(run.stdout.splitlines()[-1])


def test_tool_tells_the_longest_gap_of_every_case():
    code, report = travels("--seeds", "1", "--first-seed", "1000")
    assert (code, report["ok"], report["travels"]) == (0, True, len(CASES))
    assert report["longest_gap_s"].keys() == {case.name for case in CASES}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(", ", "-").replace(" ", "_"))
def test_a_phone_that_goes_from_wifi_to_lte_is_heard_again_within_a_second_and_hears(case):
    for seed in range(15):
        assert travel(case, seed).is_good, seed


@pytest.mark.long
def test_of_a_thousand_phones_none_is_silent_for_a_second_while_it_has_a_path():
    code, report = travels("--seeds", "125", "--first-seed", "15")
    assert code == 0, report
    assert report["travels"] == 1000 and report["bad"] == []


def test_agents_that_are_not_told_of_new_addresses_are_found(monkeypatch):
    monkeypatch.setattr(IceAgent, "update_addresses", lambda *_, **__: None)
    assert not any(travel(case, 0).is_good for case in CASES)
