"""`python tests/oracle`: a sample of the run over thousands of topologies, and what it says of a fault."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "oracle"


def run(*arguments: str) -> tuple[int, str]:
    result = subprocess.run([sys.executable, TOOL, *arguments], check=False, capture_output=True, text=True)
    return result.returncode, result.stdout


@pytest.mark.long
def test_agents_and_oracle_agree_on_every_topology() -> None:
    code, output = run("--runs", "600", "--json")
    report = json.loads(output.splitlines()[-1])
    assert code == 0, report
    assert report["agreed"] == report["runs"] == 600
    assert min(report["predicted"]["connects"], report["predicted"]["fails"]) > 60
    assert report["one_type_predicted"] > 420
    assert report["relayed"] > 60
    assert report["best_type_share"] >= 0.99
    assert sum(report["other_types_by_rule"].values()) == report["connected"] - report["best_type"]


@pytest.mark.long
def test_planted_fault_is_reported_with_its_seeds() -> None:
    code, output = run("--runs", "300", "--workers", "2", "--plant")
    report = json.loads(output)
    assert code == 1
    assert report["agreed"] < 300
    shown = report["disagreements"][0]
    assert shown["difference"]
    assert "they agree" in run("--show", str(shown["seed"]))[1]  # without the fault


def test_shown_topology_says_what_must_become_of_it() -> None:
    code, output = run("--show", "0")
    assert code == 0
    assert '"scene_version"' in output
    assert "controlling: " in output
