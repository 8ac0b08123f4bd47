"""Many seeded sessions on a bad network: do both ends always agree, and fail no more often than loss explains?

    python tests/sessions --sessions 20000 --workers 2 --json

Exit code 0 only if every session settled and the failures are as many as predicted, within four standard deviations.

The prediction. A session between two public hosts fails when the one nominating check gets no answer in seven
transmissions: with q the probability that an exchange fails, q^7. Checks before it are triggered anew by the peer's, so
that they add next to nothing. Behind NATs a session also fails ("unreflected") when the STUN server's three answers were
lost at either end: 1 - (1 - q^3)^2, a server being asked at 0, 0.5 and 1.5 s.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial

from _session import CHECK_TRANSMISSIONS, QUERY_TRANSMISSIONS, Outcome, run_session

DEVIATIONS = 4.0


def predict_failed(outcome: Outcome) -> float:
    """Probability that a session whose ends had their candidates fails."""
    return outcome.weather.exchange_fails**CHECK_TRANSMISSIONS


def predict_unreflected(outcome: Outcome) -> float:
    """Probability that an end behind a NAT does not learn its address."""
    return 1 - (1 - outcome.weather.exchange_fails**QUERY_TRANSMISSIONS) ** 2 if outcome.nat else 0.0


def compare(name: str, observed: int, outcomes: Iterable[Outcome], predict: Callable[[Outcome], float]) -> dict[str, object]:
    """The observed number beside its expectation and standard deviation (a sum of Bernoulli trials)."""
    chances = [predict(outcome) for outcome in outcomes]
    expected = math.fsum(chances)
    deviation = math.sqrt(math.fsum(chance * (1 - chance) for chance in chances))
    explained = abs(observed - expected) <= DEVIATIONS * deviation + 1
    return {
        "name": name,
        "observed": observed,
        "expected": round(expected, 1),
        "sigma": round(deviation, 1),
        "explained": explained,
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/sessions", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--loss", type=float, default=0.3, help="the worst; each session draws its own from 0 up to it")
    parser.add_argument(
        "--transmissions",
        type=int,
        default=CHECK_TRANSMISSIONS,
        help="plant a fault: agents that send a check less often than predicted",
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.sessions)
    started = time.process_time()
    run = partial(run_session, worst_loss=options.loss, transmissions=options.transmissions)
    if options.workers > 1:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            outcomes = pool.map(run, seeds, chunksize=250)
    else:
        outcomes = [run(seed) for seed in seeds]
    kinds = Counter(outcome.kind for outcome in outcomes)
    reflected = [outcome for outcome in outcomes if outcome.kind != "unreflected"]
    comparisons = [
        compare("failed", kinds["failed"], reflected, predict_failed),
        compare("unreflected", kinds["unreflected"], outcomes, predict_unreflected),
    ]
    ok = not kinds["unsettled"] and all(comparison["explained"] for comparison in comparisons)
    report = {
        "sessions": options.sessions,
        "worst_loss": options.loss,
        "kinds": dict(sorted(kinds.items())),
        "failures": comparisons,
        "slowest_agreement_s": round(max((one.seconds for one in outcomes if one.kind == "agreed"), default=0.0), 3),
        "slowest_failure_s": round(max((one.seconds for one in outcomes if one.kind != "agreed"), default=0.0), 3),
        "unsettled_seeds": [one.seed for one in outcomes if one.kind == "unsettled"][:20],
        "ok": ok,
    }
    if options.workers == 1:
        report["sessions_per_cpu_second"] = round(options.sessions / (time.process_time() - started), 1)
    if options.json:
        print(json.dumps(report))
    else:
        print(json.dumps(report, indent=2))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
