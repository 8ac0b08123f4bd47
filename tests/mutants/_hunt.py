"""Explores the worlds of some suites with whatever `sansice` is on the path, and prints one JSON object: what it found, how soon.

Run in a process of its own, with a planted package first on the path.
"""

from __future__ import annotations

import argparse
import json
import time

from mutants._suites import SUITES
from sansice.machine import Machine
from sansice.simulation import Exploration, Invariant, Moment, explore


class Counted(Invariant):
    """No rule: counts what all machines were fed in all runs of this process."""

    subject = Machine
    inputs = 0

    def after(self, moment: Moment) -> None:
        """One more."""
        Counted.inputs += 1


def hunt(suites: list[str], seconds: float, seed: int) -> tuple[Exploration | None, dict[str, Exploration], int]:
    """Explore every world of some suites in rounds.

    Returns:
        The exploration that found something, if one did, the last of each world, and how many runs all together had.
    """
    ends_at = time.monotonic() + seconds
    worlds = {name: (world, rules) for suite in suites for name, world, rules in SUITES[suite].worlds}
    rounds = SUITES[suites[0]].rounds
    last: dict[str, Exploration] = {}
    runs = 0
    for number, budget in enumerate(rounds):
        for name, (world, rules) in worlds.items():
            left = ends_at - time.monotonic()
            if left <= 0:
                return None, last, runs
            worlds_to_come = len(worlds) - list(worlds).index(name)
            until = time.monotonic() + left / worlds_to_come if number == len(rounds) - 1 else ends_at
            stop = _stop_at(until)
            counted = (*rules, Counted)
            last[name] = explore(world, invariants=counted, depth=3, budget=budget, seed=seed + number, stop=stop, world=name)
            runs += last[name].runs
            if last[name].counterexample is not None:
                return last[name], last, runs
    return None, last, runs


def _stop_at(until: float):  # type: ignore[no-untyped-def]
    return lambda: time.monotonic() >= until


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("suites", nargs="+", choices=SUITES)
    options = parser.parse_args()
    started = time.monotonic()
    found, last, runs = hunt(options.suites, options.seconds, options.seed)
    report: dict[str, object] = {"found": found is not None, "seconds": round(time.monotonic() - started, 2)}
    report.update(runs=runs, inputs=Counted.inputs)
    report["coverage"] = [str(exploration) for exploration in last.values() if exploration.counterexample is None]
    if found is not None and found.counterexample is not None:
        example = found.counterexample
        report.update(events=example.breach.events, invariant=example.breach.invariant, text=str(example))
        report.update(schedule=example.to_json())
    print(json.dumps(report))


if __name__ == "__main__":
    main()
