"""`python tests/fuzz [TARGET...] [--runs N] [--json]`: coverage-guided fuzzing by atheris, a process a target.

Each target (`_targets.py`) starts from its part of the committed corpus and stops after N inputs, at the first input that
breaks a promise, or at one that takes longer than 10 seconds. That input is kept under `.fuzz/TARGET/`;
`python tests/fuzz TARGET --repeat FILE` tries it again. The exit code is 0 when nothing was found.

With `--json` the last line of stdout is `{TARGET: {"runs", "found", "seconds", "features"}}`.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `fuzz._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from _environment import enter_test_venv  # noqa: E402  the path comes first

HERE = Path(__file__).parent
FOUND = HERE.parents[1] / ".fuzz"
HANG = 10  # seconds that one input may take; the slowest honest one takes less than 0.1
MAX_LENGTH = 4096  # bytes of an input
DONE = re.compile(r"Done (\d+) runs")
WRITTEN = re.compile(r"Test unit written to (.+)")
FEATURES = re.compile(r"\bft: (\d+)")


def main(arguments: list[str] | None = None) -> int:
    """Fuzz the targets asked for, all of them when none is named."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description="Coverage-guided fuzzing.")
    parser.add_argument("targets", nargs="*", metavar="TARGET")
    parser.add_argument("--runs", type=int, default=100_000, help="inputs a target (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the fuzzer's choices (default: %(default)s)")
    parser.add_argument("--jobs", type=int, default=2, help="targets at the same time (default: %(default)s)")
    parser.add_argument("--repeat", type=Path, metavar="FILE", help="try one input on one target")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    options = parser.parse_args(arguments)

    enter_test_venv(HERE)
    from fuzz._targets import TARGETS

    unknown = [name for name in options.targets if name not in TARGETS]
    if unknown:
        parser.error(f"no such target: {', '.join(unknown)} (there are: {', '.join(TARGETS)})")
    if options.repeat is not None:
        if len(options.targets) != 1:
            parser.error("--repeat needs exactly one target")
        TARGETS[options.targets[0]](options.repeat.read_bytes())
        return 0
    names = list(dict.fromkeys(options.targets or TARGETS))
    with ThreadPoolExecutor(options.jobs) as pool:
        results = dict(zip(names, pool.map(lambda name: fuzz(name, options.runs, options.seed), names), strict=True))
    if options.json:
        print(json.dumps(results))
    return int(any(result["found"] for result in results.values()))


def fuzz(name: str, runs: int, seed: int, *, engine: Path = HERE / "_engine.py", kept: Path | None = None) -> dict[str, object]:
    """Fuzz one target in a process of its own, which `engine` is the program of; what is found is kept in `kept`.

    Raises:
        RuntimeError: the fuzzer itself failed.
    """
    kept = kept or FOUND / name
    corpus = kept / "corpus"  # what the fuzzer adds stays out of the committed one
    corpus.mkdir(parents=True, exist_ok=True)
    if (HERE / "corpus" / name).is_dir():
        shutil.copytree(HERE / "corpus" / name, corpus, dirs_exist_ok=True)
    command = [sys.executable, str(engine), name, str(corpus)]
    command += [f"-runs={runs}", f"-seed={seed}", f"-timeout={HANG}", f"-max_len={MAX_LENGTH}", f"-artifact_prefix={kept}/"]
    start = time.monotonic()
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", stdin=subprocess.DEVNULL)
    seconds = time.monotonic() - start
    found = WRITTEN.findall(process.stderr)
    done = DONE.search(process.stderr)
    if not found and (process.returncode or done is None):
        raise RuntimeError(f"{name}: the fuzzer ended with {process.returncode}:\n{process.stderr[-2000:]}")
    if found:
        print(f"{name}: {process.stderr[-2000:]}", file=sys.stderr)
    features = [int(one) for one in FEATURES.findall(process.stderr)]
    result = {
        "runs": int(done[1]) if done else 0,
        "found": found,
        "seconds": round(seconds, 1),
        "features": max(features, default=0),
    }
    print(f"{name}: {result}", file=sys.stderr, flush=True)
    if not found:
        shutil.rmtree(kept)
    return result


if __name__ == "__main__":
    sys.exit(main())
