"""Agents against the oracle on many random topologies.

    python tests/oracle --runs 5000 --json
    python tests/oracle --show SEED

Each topology comes from a seed; so does its run. In two of three there are TURN servers. Exit code 0 only if the agents did
what the oracle says in all of them.
What the oracle leaves open is counted, with the rules that it names; `OracleRule` says what they are.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import time
from collections import Counter
from functools import partial

from _trial import run_trial, topology_of

from sansice.simulation import OracleRule, disagreement, predict, simulate

SHOWN = 20


def show(seed: int) -> None:
    """One topology in full, for a person."""
    topology = topology_of(seed)
    prediction = predict(topology)
    print(topology.to_json())
    for couple in prediction.couples:
        for outcome in couple.outcomes:
            verdict = {True: "connect", False: "cannot connect", None: "may connect"}[outcome.connected]
            print(
                f"{' and '.join(couple.agents)}, {outcome.controlling} controlling: {verdict} {' or '.join(outcome.pair_types)}"
            )
            for pair in outcome.pairs:
                print(f"  {pair.type}: {pair.local_address} - {pair.remote_address}")
        for text in (*(rule.value for rule in couple.rules), *couple.losses):
            print(f"  {text}")
    run = simulate(topology, seed=seed)
    print(f"agents: {'connected over ' + ', '.join(run.pair_types) if run.connected else 'not connected'}")
    print(disagreement(prediction, run) or "they agree")


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/oracle", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--plant", action="store_true", help="plant a fault: networks whose NATs let anyone in")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--show", type=int, metavar="SEED", help="one topology in full, and nothing else")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.show is not None:
        show(options.show)
        return 0
    seeds = range(options.first_seed, options.first_seed + options.runs)
    started = time.process_time()
    run = partial(run_trial, plant=options.plant)
    if options.workers > 1:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            trials = pool.map(run, seeds, chunksize=100)
    else:
        trials = [run(seed) for seed in seeds]
    wrong = [trial for trial in trials if trial.difference]
    rules = Counter(rule for trial in trials for rule in trial.rules)
    connected = [trial for trial in trials if trial.connected]
    others = Counter(" ".join(trial.rules) for trial in connected if not trial.best)
    report = {
        "runs": options.runs,
        "agreed": options.runs - len(wrong),
        "predicted": dict(sorted(Counter(trial.verdict for trial in trials).items())),
        "connected": len(connected),
        "relayed": sum(trial.relayed for trial in connected),
        "best_type": sum(trial.best for trial in connected),
        "best_type_share": round(sum(trial.best for trial in connected) / max(1, len(connected)), 4),
        "other_types_by_rule": dict(sorted(others.items())),
        "one_type_predicted": sum(trial.exact for trial in trials),
        "rules": {rule: rules[rule] for rule in (one.name.lower().replace("_", "-") for one in OracleRule)},
        "disagreements": [{"seed": trial.seed, "difference": trial.difference} for trial in wrong[:SHOWN]],
        "ok": not wrong,
    }
    if options.workers == 1:
        report["topologies_per_cpu_second"] = round(options.runs / (time.process_time() - started), 1)
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
