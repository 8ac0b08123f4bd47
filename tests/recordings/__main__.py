"""Do recordings from real sockets replay bit for bit? Agents that lose packets, and servers under load, on all adapters.

    python tests/recordings --runs 200 --json

With `--json` the last line of stdout is `{"runs", "same", "recordings", "steps", "outputs", "bytes", "failures"}`; what goes
on is told on stderr. Exit code 0 only if every recording of every run replayed to the last byte. The recordings of a run
that did not are kept, and named.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `recordings._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from _environment import enter_test_venv  # noqa: E402  the path comes first


def main(arguments: list[str] | None = None) -> int:
    """Run, replay, and count."""
    parser = argparse.ArgumentParser(
        prog="python tests/recordings", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=12, help="how many programs to run (default: 12)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the number of the first, to have one again")
    parser.add_argument("--scrub", action="store_true", help="replay every recording without its secrets, too")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    options = parser.parse_args(arguments)
    if options.runs < 1:
        parser.error("--runs must be at least 1")
    enter_test_venv(Path(__file__).parent)

    from recordings._runs import run

    totals = dict.fromkeys(("runs", "same", "recordings", "steps", "outputs", "bytes"), 0)
    failures = []
    for number in range(options.first, options.first + options.runs):
        folder = Path(tempfile.mkdtemp(prefix="recordings-"))
        done = run(number, folder, scrub=options.scrub)
        totals["runs"] += 1
        totals["same"] += done.same
        for report in done.reports:
            totals["recordings"] += 1
            totals["steps"] += report.replayed
            totals["outputs"] += report.outputs
            totals["bytes"] += report.recording.size
        if done.same:
            shutil.rmtree(folder)
        else:
            failures.append({"run": number, "kind": done.kind, "adapter": done.adapter, "folder": str(folder)})
            print(*(report for report in done.reports if not report.same), sep="\n", file=sys.stderr)
        print(f"\r{totals['same']} of {totals['runs']} runs the same, {totals['steps']} steps", end="", file=sys.stderr)
    print(file=sys.stderr)
    if options.json:
        print(json.dumps({**totals, "failures": failures}))
    return int(bool(failures))


if __name__ == "__main__":
    sys.exit(main())
