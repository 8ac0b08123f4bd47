"""Agents in storms: 40 % of the packets lost, the others 100 to 600 ms on their way, some twice, in any order.

    python tests/storms --seeds 2000 --json

Each storm comes from its seed. Exit code 0 only if no invariant was broken, no two ends that have settled disagree, every
failure is one that the rules demand, and the rates are those that the rules have by themselves: of checks that nobody
answers (RFC 8489 6.2.1), and of consent that ends (RFC 7675 5.1).
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `storms._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from sansice.ice import IceConfig  # noqa: E402
from storms._rule import outlived, outlives, unanswered  # noqa: E402
from storms._storm import NOMINATED, STORM, Storm, run_storm  # noqa: E402

HORIZON = 60.0  # s: of these lives about two in three go on
SIGMAS = 4.0  # a rate may be so far from what is predicted: once in 16,000 times it is by chance
CONFIG = IceConfig()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/storms", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.workers > 1:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            storms = pool.map(run_storm, seeds, chunksize=20)
    else:
        storms = [run_storm(seed) for seed in seeds]
    report = report_on(storms)
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))
    return 0 if report["ok"] else 1


def report_on(storms: Sequence[Storm]) -> dict[str, Any]:
    """What became of all of them, beside what the rules predict."""
    reasons = Counter(reason for storm in storms for reason in storm.reasons.values())
    lives = [life for storm in storms for life in storm.lives]
    told = [one for storm in storms for one in storm.told]
    nominations = [one for storm in storms for one in storm.nominations]
    rates = {
        f"consent_lasts_{HORIZON:.0f}_s": rate(outlived(lives, HORIZON), outlives(STORM, CONFIG, HORIZON), len(lives)),
        f"nominations_unanswered_after_{NOMINATED:.0f}_s": rate(
            nominations.count(False) / max(1, len(nominations)), unanswered(STORM, CONFIG, NOMINATED), len(nominations)
        ),
    }
    rates["agents_that_no_server_told"] = rate(
        told.count(False) / max(1, len(told)), unanswered(STORM, CONFIG, CONFIG.gathering_timeout), len(told)
    )
    broken = [{"seed": storm.seed, "scene": storm.scene, "breach": storm.breach} for storm in storms if storm.breach]
    odd = [{"seed": storm.seed, "end": name} for storm in storms for name, reason in storm.reasons.items() if not reason]
    return {
        "seeds": len(storms),
        "connected": sum(storm.connected for storm in storms),
        "disagreements": broken,
        "failures": {reason: reasons[reason] for reason in sorted(reasons) if reason},
        "failures_that_no_rule_demands": odd,
        "rates": rates,
        "ok": not broken and not odd and all(one["ok"] for one in rates.values()),
    }


def rate(observed: float, predicted: float, samples: int) -> dict[str, Any]:
    """Both, and whether chance explains the difference."""
    deviation = math.sqrt(predicted * (1.0 - predicted) / max(1, samples))
    return {
        "observed": round(observed, 4),
        "predicted": round(predicted, 4),
        "samples": samples,
        "ok": abs(observed - predicted) <= SIGMAS * deviation,
    }


if __name__ == "__main__":
    sys.exit(main())
