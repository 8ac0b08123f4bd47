"""`python tests/bench NAME... [--json]`: runs benchmarks by name and prints what they measured.

With `--json` the last line of stdout is one object, `{NAME: {METRIC: {"ours", "peer", "ratio", "unit", "peer_name"}}}`;
the table for people goes to stderr. An unknown name is exit code 2, a benchmark that fails is 1.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import traceback
from pathlib import Path

# Run as a directory, the folder itself would be on the path; the modules are found as in the tests, as `bench._x`.
sys.path[0] = str(Path(__file__).resolve().parents[1])

from _environment import enter_test_venv  # noqa: E402  the path comes first

BENCHMARKS = {
    "codec": "bench._codec",
    "connect": "bench._connect",
    "data": "bench._data",
    "imports": "bench._imports",
    "simulation": "bench._simulation",
    "recording": "bench._recording",
    "stun": "bench._stun",
    "relay": "bench._relay",
    "mux": "bench._mux",
}


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks asked for, all of them when none is named."""
    parser = argparse.ArgumentParser(prog="python tests/bench", description="Benchmarks against a peer in the same run.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, help="rounds per metric, instead of each benchmark's own number")
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"no such benchmark: {', '.join(unknown)} (there are: {', '.join(BENCHMARKS)})")
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be at least 1")

    enter_test_venv(Path(__file__).parent)
    results: dict[str, dict[str, dict]] = {}
    failed = False
    for name in dict.fromkeys(options.names or BENCHMARKS):
        try:
            results[name] = importlib.import_module(BENCHMARKS[name]).run(rounds=options.rounds)
        except Exception:
            traceback.print_exc()
            print(f"{name}: failed", file=sys.stderr)
            failed = True
        else:
            print(table(name, results[name]), file=sys.stderr, flush=True)
    if options.json:
        print(json.dumps(results))
    return int(failed)


def table(name: str, metrics: dict[str, dict]) -> str:
    """The figures of one benchmark, a line a metric."""
    lines = []
    for metric, one in metrics.items():
        figures = f"{one['ours']:12.3f} {one['peer']:12.3f} {one['unit']:<6}"
        lines.append(f"{name + '.' + metric:<28}{figures} ratio {one['ratio']:.3f}  ({one['peer_name']})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
