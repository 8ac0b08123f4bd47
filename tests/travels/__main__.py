"""A phone goes from Wi-Fi to LTE in mid-call, in every order of things: how long does anybody hear nothing?

    python tests/travels --seeds 1000 --json

Each seed is run in every case: LTE comes up before the Wi-Fi is gone or after it, both ends renominate or neither does, and
either of them controls. Exit code 0 only if all calls go on, and nobody hears nothing for a second while there is a path.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `travels._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from travels._travel import CASES, MAX_GAP, Travel, travel  # noqa: E402


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/travels", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    wanted = [(case, seed) for case in CASES for seed in seeds]
    if options.workers > 1:
        with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
            travels = pool.starmap(travel, wanted, chunksize=20)
    else:
        travels = [travel(*one) for one in wanted]
    report = report_on(travels)
    print(json.dumps(report) if options.json else json.dumps(report, indent=2))
    return 0 if report["ok"] else 1


def report_on(travels: Sequence[Travel]) -> dict[str, Any]:
    """The longest silence of each case, and which travels were no good."""
    bad = [one for one in travels if not one.is_good]
    return {
        "travels": len(travels),
        "max_gap_s": MAX_GAP,
        "longest_gap_s": {
            case.name: round(max(one.gap for one in travels if one.case == case), 3)
            for case in CASES
            if any(one.case == case for one in travels)
        },
        "bad": [{"case": one.case.name, "seed": one.seed, "gap_s": round(one.gap, 3), "connected": one.connected} for one in bad],
        "ok": not bad,
    }


if __name__ == "__main__":
    sys.exit(main())
