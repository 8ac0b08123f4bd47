"""Planted bugs: a sample is hunted, all of them fit the package; `python tests/mutants` is the whole."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mutants._plants import PLANTS
from mutants._suites import SUITES
from mutants._worlds import BEYOND, BEYOND_WORLDS, WORLDS
from sansice.simulation import explore

HERE = Path(__file__).parent
PACKAGE = HERE.parents[1] / "sansice"


def run(*arguments):
    result = subprocess.run([sys.executable, HERE, "--json", *arguments], check=False, capture_output=True, text=True)
    return result.returncode, json.loads(result.stdout.splitlines()[-1]), result.stderr


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_every_plant_fits_the_package_and_leaves_it_compilable(plant):
    text = (PACKAGE / plant.file).read_text("utf-8")
    assert text.count(plant.old) == 1
    compile(text.replace(plant.old, plant.new), plant.file, "exec")


def test_plants_have_names_of_their_own():
    assert len({plant.name for plant in PLANTS}) == len(PLANTS) >= 68


def test_every_suite_has_plants_of_its_own():
    assert {plant.suite for plant in PLANTS} == set(SUITES)
    assert sum(plant.suite in ("mux", "tcp") for plant in PLANTS) >= 13
    assert sum(plant.suite in ("door", "moving", "names") for plant in PLANTS) >= 18


@pytest.mark.long
def test_planted_bugs_are_found_with_short_counterexamples():
    names = ["missing-triggered-check", "nomination-on-an-unchecked-pair", "consent-renewed-by-requests", "role-kept-after-487"]
    code, report, shown = run(*names)
    assert code == 0, shown
    assert [one["name"] for one in report["planted"]] == names
    assert all(one["found"] and one["events"] <= 30 for one in report["planted"])
    assert "ConsentEnds is broken in" in shown


@pytest.mark.long
def test_bugs_planted_in_the_mux_in_tcp_and_in_the_corners_are_found():
    names = [
        "route-kept-after-the-agent-is-gone",
        "former-owner-of-an-address-believes-to-have-it",
        "frame-length-counts-itself",
        "first-frame-clock-never-started",
        "lite-agent-refuses-a-nomination-that-is-sent-again",
    ]
    code, report, shown = run(*names)
    assert code == 0, shown
    assert [one["name"] for one in report["planted"] if one["found"]] == names


@pytest.mark.long
def test_bugs_planted_at_the_listener_in_moves_and_in_names_are_found():
    names = [
        "connection-turned-away-by-the-restart-that-it-waits-for",
        "owner-of-a-closed-connection-kept",
        "addresses-that-come-too-fast-forgotten",
        "restart-asked-for-in-the-first-generation-only",
        "farewell-of-a-name-ignored",
    ]
    code, report, shown = run(*names)
    assert code == 0, shown
    assert [one["name"] for one in report["planted"] if one["found"]] == names


def test_with_nothing_planted_nothing_is_found():
    code, report, shown = run("--none", "--budget", "5")
    assert (code, report["found"]) == (0, False), shown


@pytest.mark.parametrize("world", WORLDS.values(), ids=list(WORLDS))
def test_nothing_is_found_in_a_fair_sample_of_each_world(world):
    found = explore(world, depth=2, budget=60, seed=11)
    assert found.counterexample is None, str(found)


@pytest.mark.parametrize("world", BEYOND_WORLDS.values(), ids=list(BEYOND_WORLDS))
def test_nothing_is_found_in_a_sample_of_restarts_streams_trickle_and_renomination(world):
    found = explore(world, invariants=BEYOND, depth=2, budget=25, seed=11)
    assert found.counterexample is None, str(found)


OTHERS = [world for suite in SUITES if suite != "ice" for world in SUITES[suite].worlds]


@pytest.mark.parametrize(("world", "rules"), [world[1:] for world in OTHERS], ids=[world[0] for world in OTHERS])
def test_nothing_is_found_in_a_sample_of_the_worlds_of_every_other_suite(world, rules):
    found = explore(world, invariants=rules, depth=2, budget=5, seed=11)
    assert found.counterexample is None, str(found)


def test_the_suites_to_explore_can_be_chosen():
    code, report, shown = run("--none", "--suite", "mux", "--budget", "2")
    assert (code, report["found"]) == (0, False), shown
    assert "mux_lite" in shown
    assert "two_homes" not in shown
    assert report["inputs"] > report["runs"] > 1
    assert f"{report['runs']} runs with {report['inputs']} inputs" in shown


def test_the_program_knows_every_suite():
    help = subprocess.run([sys.executable, HERE, "--help"], check=True, capture_output=True, text=True).stdout
    assert all(suite in help for suite in SUITES)


HANGS = """
from mutants import __main__ as mutants
from mutants._plants import INPUTS, Plant

mutants.GRACE = 1.0
plant = Plant("hangs", INPUTS, "elif component.is_trusted(source):", "elif any(iter(int, 1)):")
print(mutants.hunt(plant, ["ice"], 1.0))
"""


def test_a_plant_that_never_returns_is_ended_and_not_found():
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent)}
    result = subprocess.run([sys.executable, "-c", HANGS], check=True, capture_output=True, text=True, env=environment)
    assert "'found': False, 'hangs': True, 'seconds': 2.0" in result.stdout


def test_an_unknown_plant_is_refused():
    result = subprocess.run([sys.executable, HERE, "no-such-bug"], check=False, capture_output=True, text=True)
    assert result.returncode == 2
    assert "no such plant: no-such-bug" in result.stderr
