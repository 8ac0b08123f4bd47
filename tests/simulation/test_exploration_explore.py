"""Exploration: what it covers, what it finds, and that it is the same each time."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from mutants._worlds import plain, two_homes
from sansice.ice import IceAgent, PairSelected
from sansice.simulation import INVARIANTS, Arena, DepthCoverage, Invariant, explore, replay_schedule, scene
from sansice.simulation._exploration import _explore, _shrink


class SelectsSoon(Invariant):
    """Broken by one packet lost."""

    rule = "who selects does so within 0.3 s"

    def after(self, moment):
        if moment.now > 0.3 and any(isinstance(event, PairSelected) for event in moment.events):
            return f"{moment.end.name} selected at {moment.now:.3f} s"
        return None


class NeverBothLate(Invariant):
    """Broken by two things."""

    rule = "the ends do not both select late"

    def __init__(self, ends):
        super().__init__(ends)
        self._late = []

    def after(self, moment):
        if moment.now > 1.0 and any(isinstance(event, PairSelected) for event in moment.events):
            self._late.append(moment.end.name)
        return f"{self._late} selected late" if len(self._late) == 2 else None


def test_the_first_depths_are_covered_whole_and_counted():
    found = explore(plain, depth=1, budget=10_000, stop=Until(300))
    zero, one = found.depths
    assert zero == DepthCoverage(0, 1, 1, 0, exact=True)
    assert (one.tried, one.exact, one.share) == (one.possible, True, 1.0)
    assert 0 < one.same < one.tried
    assert found.counterexample is None
    assert found.walks == found.runs - one.tried - 1 > 0
    assert "nothing found" in str(found)
    assert f"1 deviation: {one.tried} runs, 100.0% of {one.possible}" in str(found)


class Until:
    """Says stop when it was asked so often."""

    def __init__(self, count):
        self.left = count

    def __call__(self):
        self.left -= 1
        return self.left < 0


def test_what_is_not_covered_is_said():
    found = explore(plain, depth=3, budget=260)
    assert found.runs == 260
    *_, two = found.depths
    assert two.depth == 2
    assert 0 < two.share < 0.1
    assert two.exact
    cut = explore(plain, depth=2, budget=20)
    assert [(one.depth, one.exact) for one in cut.depths] == [(0, True), (1, True)]
    inexact = DepthCoverage(3, 50, 50, 0, exact=False)
    assert "at most 100.0% of at least 50" in str(inexact)
    assert "20.0% of at least 50" in str(DepthCoverage(3, 50, 10, 0, exact=False))
    assert DepthCoverage(2, 0, 0, 0, exact=True).share == 1.0


@pytest.mark.long
def test_equal_arguments_give_equal_results_and_seeds_differ():
    one, two, other = (explore(plain, budget=60, seed=seed) for seed in (1, 1, 2))
    assert one == two
    assert one != other


PROGRAM = """
import sys
sys.path.insert(0, {tests!r})
from mutants._worlds import both_controlling, two_homes
from sansice.simulation import explore
print(explore(both_controlling, budget=30), explore(two_homes, budget=10))
"""


@pytest.mark.long
def test_hash_seeds_change_nothing():
    program = PROGRAM.format(tests=str(Path(__file__).parents[1]))
    reports = [
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "4711")
    ]
    assert reports[0] == reports[1]
    assert "both_controlling: 30 runs" in reports[0]


def test_a_breach_is_found_and_shrunk_to_what_it_takes():
    found = explore(plain, invariants=[SelectsSoon])
    example = found.counterexample
    assert example is not None
    assert (example.world, example.breach.invariant, len(example.schedule)) == ("plain", "SelectsSoon", 1)
    assert example.breach.events < 30
    assert str(example).splitlines()[0].startswith("SelectsSoon is broken in plain: ")
    assert str(example.schedule[0]) in str(example)
    run = replay_schedule(example.to_json(), plain, invariants=[SelectsSoon])
    assert run.breach == example.breach
    assert replay_schedule(example.to_json(), plain).breach is None  # our own invariants hold


def test_a_random_walk_finds_what_depth_does_not_and_is_shrunk(monkeypatch):
    found = explore(plain, invariants=[SelectsSoon], depth=0, seed=3)
    assert found.walks > 0
    assert found.counterexample is not None
    assert len(found.counterexample.schedule) == 1
    monkeypatch.setattr(_shrink, "MAX_RUNS", 1)
    unshrunk = explore(plain, invariants=[SelectsSoon], depth=0, seed=3)
    assert unshrunk.counterexample is not None
    assert unshrunk.counterexample.breach.events >= found.counterexample.breach.events


def test_two_deviations_are_found_where_it_takes_them():
    found = explore(plain, invariants=[NeverBothLate], depth=2, budget=3000, world="by two")
    assert found.counterexample is not None
    assert found.counterexample.world == "by two"
    assert 1 <= len(found.counterexample.schedule) <= 2


def test_a_world_in_which_nothing_happens_is_explored_at_once():
    def empty() -> Arena:
        arena = plain()
        for node in arena.agents.values():
            node.stop()
        arena.until = 0.0
        arena.settle = 0.0
        return Arena(arena.network, arena.agents, until=0.0, settle=0.0, sound=False)

    found = explore(partial(_silent, empty), budget=7)
    assert found.runs == 7
    assert found.world == "world"


def _silent(make):
    arena = make()
    clock = arena.network._world.clock
    for happening in clock.upcoming():
        clock.take(happening, 0.0)
    return arena


def test_an_agent_that_raises_is_a_breach_that_names_it(monkeypatch):
    def explode(self, socket, batch, *, now):
        raise KeyError("lost my mind")

    monkeypatch.setattr(IceAgent, "handle_datagrams", explode)
    found = explore(plain, budget=1)
    assert found.counterexample is not None
    assert found.counterexample.breach.invariant == "NothingRaises"
    assert "raised KeyError: 'lost my mind'" in found.counterexample.breach.finding
    assert "request" in found.counterexample.breach.story[-2]


def test_nat_worlds_and_scenes_are_explored(monkeypatch):
    monkeypatch.setattr(_explore, "MAX_SAMPLE", 10)
    assert explore(two_homes, depth=1, budget=30).counterexample is None
    homes = scene("two-homes")
    found = explore(homes, depth=1, budget=20)
    assert (found.world, found.counterexample) == ("two-homes", None)
    broken = explore(homes, invariants=[SelectsSoon], depth=1)
    assert broken.counterexample is not None
    assert broken.counterexample.scene == homes
    run = replay_schedule(broken.counterexample.to_json(), invariants=[SelectsSoon])
    assert run.breach == broken.counterexample.breach


def test_bad_bounds_are_refused():
    for options in ({"depth": -1}, {"budget": 0}):
        with pytest.raises(ValueError, match="must be 0 or more, and budget"):
            explore(plain, **options)


def test_every_invariant_says_what_must_hold_and_where_that_is_written():
    for invariant in INVARIANTS:
        assert len(invariant.rule) > 20
    assert len({invariant.rule for invariant in INVARIANTS}) == len(INVARIANTS)
