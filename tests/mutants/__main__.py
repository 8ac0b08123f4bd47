"""`python tests/mutants [NAME...] [--json]`: does exploration find planted bugs, each in a process of its own?

Without names all plants are tried. With names the counterexamples are shown; an event is one input given to an agent, or
one deviation. `--none` plants nothing, explores for `--budget` seconds, and expects to find nothing. The exit code is 0
if every plant was found in time with a counterexample that is short enough, or with `--none` nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `mutants._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from _environment import enter_test_venv  # noqa: E402  the path comes first

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SECONDS = 60.0
GRACE = 60.0  # seconds that a hunt may take beyond its budget, for its last run and to shrink what it found
SUITES = ("ice", "mux", "door", "moving", "names", "tcp", "corners")  # of `mutants._suites`, which needs the packages


def main(arguments: list[str] | None = None) -> int:
    """Try the plants asked for."""
    parser = argparse.ArgumentParser(
        prog="python tests/mutants", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("plants", nargs="*", metavar="NAME")
    parser.add_argument("--none", action="store_true", help="plant nothing, and expect to find nothing")
    parser.add_argument("--suite", action="append", choices=SUITES, help="with --none: whose worlds (default: all)")
    parser.add_argument("--budget", type=float, default=SECONDS, help="seconds a plant (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the exploration (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="plants at the same time (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    options = parser.parse_args(arguments)

    enter_test_venv(HERE)
    from mutants._plants import PLANTS, Plant

    by_name = {plant.name: plant for plant in PLANTS}
    unknown = [name for name in options.plants if name not in by_name]
    if unknown:
        parser.error(f"no such plant: {', '.join(unknown)} (there are: {', '.join(by_name)})")
    if options.none:
        return try_nothing(options.suite or list(SUITES), options.budget, options.seed, options.json)

    def try_one(plant: Plant) -> dict[str, Any]:
        found = hunt(plant, [plant.suite], options.budget, options.seed)
        events, seconds = found.get("events"), found["seconds"]
        print(f"{plant.name:45} {seconds:6.2f} s  {events} events, {found.get('invariant')}", file=sys.stderr, flush=True)
        if options.plants:
            print(found.get("text", "not found\n" + "\n".join(found["coverage"])), file=sys.stderr, flush=True)
        return {"name": plant.name, "found": found["found"], "seconds": seconds, "events": events}

    with ThreadPoolExecutor(options.jobs) as pool:
        planted = list(pool.map(try_one, [by_name[name] for name in options.plants] or PLANTS))
    if options.json:
        print(json.dumps({"planted": planted}))
    fair = (one["found"] and one["events"] <= by_name[one["name"]].events and one["seconds"] <= SECONDS for one in planted)
    return 0 if all(fair) else 1


def try_nothing(suites: list[str], seconds: float, seed: int, as_json: bool) -> int:
    """Explore the package as it is, in the worlds of some suites, which share the time."""
    found = hunt(None, suites, seconds, seed)
    print(found.get("text", "\n\n".join(found["coverage"])), file=sys.stderr)
    total = {key: found.get(key) for key in ("found", "seconds", "runs", "inputs")}
    print(f"{total['runs']} runs with {total['inputs']} inputs of machines in {total['seconds']} s", file=sys.stderr)
    if as_json:
        print(json.dumps(total))
    return 1 if found["found"] or "hangs" in found else 0


def hunt(plant: Any, suites: list[str], seconds: float, seed: int = 0) -> dict[str, Any]:
    """Explore a copy of the package, with the plant if there is one, in a process of its own, which is ended if it hangs."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "sansice"
        shutil.copytree(ROOT / "sansice", package, ignore=shutil.ignore_patterns("__pycache__"))
        if plant is not None:
            put(plant, package)
        command = [sys.executable, "-P", "-m", "mutants._hunt", "--seconds", str(seconds), "--seed", str(seed), *suites]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([folder, str(HERE.parent)])}
        limit = seconds + GRACE
        try:
            run = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=limit)
        except subprocess.TimeoutExpired:
            words = f"ended after {limit:.0f} s: some input is never done with"
            return {"found": False, "hangs": True, "seconds": limit, "coverage": [words]}
    if run.returncode:
        raise SystemExit(f"exploration failed:\n{run.stderr}")
    report: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return report


def put(plant: Any, package: Path) -> None:
    """Apply a plant to a copy of the package.

    Raises:
        ValueError: the text to replace does not occur exactly once: the package has changed, the plant must follow.
    """
    path = package / plant.file
    text = path.read_text("utf-8")
    if text.count(plant.old) != 1:
        raise ValueError(f"{plant.name}: {plant.file} has {text.count(plant.old)} places like\n{plant.old}")
    path.write_text(text.replace(plant.old, plant.new), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
