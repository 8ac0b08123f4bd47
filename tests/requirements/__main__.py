"""`python tests/requirements [--json] [--record FILE]`: which requirements the tests cover.

Runs the whole suite (against the installed sansice), or takes the record of a run that was made with
`pytest --req-record=FILE`, and writes `docs/conformance.md`. With `--json` the last line of stdout is
`{"rows", "covered", "excluded", "by_spec": {SPEC: {"rows", "covered", "excluded"}}}`; everything else is on stderr.
Exit code 1: a test failed, the run was not of the whole suite, or the tables are at odds; the document is left alone then.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
# Run as a directory, the folder itself would be on the path; the modules are found as in the tests.
sys.path[0] = str(_TESTS)

from _environment import enter_test_venv  # noqa: E402  the path comes first
from requirements._report import render, summary  # noqa: E402
from requirements._rows import FOLDER, RowsError, load_exclusions, load_rows  # noqa: E402

_ROOT = _TESTS.parent
_DOCUMENT = _ROOT / "docs" / "conformance.md"

# This one compares the document with the markers, and writing the document is what mends it.
_STALE = "tests/requirements/test_conformance.py::test_conformance_document_is_up_to_date"


def main(arguments: list[str] | None = None) -> int:
    """Run or read, report, write."""
    parser = argparse.ArgumentParser(prog="python tests/requirements", description=__doc__.partition("\n")[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object on the last line of stdout")
    parser.add_argument("--record", type=Path, metavar="FILE", help="a record of `pytest --req-record=FILE` instead of a run")
    parser.add_argument("--no-write", action="store_true", help="leave docs/conformance.md alone")
    options = parser.parse_args(arguments)
    enter_test_venv(Path(__file__).parent)
    try:
        record = json.loads(options.record.read_text(encoding="utf-8")) if options.record else run_suite()
        rows = load_rows()
        exclusions = load_exclusions(FOLDER / "exclusions.tsv", rows)
        covered = set(record["ids"])
        figures = summary(rows, covered, exclusions)
    except (OSError, ValueError, KeyError, RowsError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1

    problems = complaints(record)
    if not problems and not options.no_write:
        _DOCUMENT.write_text(render(rows, covered, exclusions), encoding="utf-8")
    for spec, one in figures["by_spec"].items():
        print(f"{spec:<22}{one['covered']:>5} of {one['rows']:>4}, excluded {one['excluded']}", file=sys.stderr)
    print(f"{'all':<22}{figures['covered']:>5} of {figures['rows']:>4}, excluded {figures['excluded']}", file=sys.stderr)
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    if options.json:
        print(json.dumps(figures))
    return int(bool(problems))


def run_suite() -> dict[str, object]:
    """Run every test in parallel and return the record; what pytest prints goes to stderr."""
    with tempfile.TemporaryDirectory() as folder:
        record = Path(folder) / "record.json"
        pytest = [sys.executable, "-P", "-m", "pytest", "-c", _ROOT / "pyproject.toml", f"--rootdir={_ROOT}"]
        options = ["-q", "-n", "2", "-p", "no:cacheprovider", f"--req-record={record}", f"--deselect={_STALE}"]
        status = subprocess.run([*pytest, *options, _TESTS], cwd=folder, stdout=sys.stderr, stdin=subprocess.DEVNULL).returncode
        if not record.exists():
            raise RowsError(f"pytest ended with exit code {status} before it ran anything")
        return json.loads(record.read_text(encoding="utf-8"))


def complaints(record: dict) -> list[str]:
    """Why the record cannot stand for the whole suite."""
    problems = [f"{node} failed" for node in record["failed"] if node != _STALE]
    if not record["whole"]:
        problems.append("the record is of a part of the tests only")
    if record["exit"] not in (0, 1):  # 1 is pytest's for failed tests: those are named above
        problems.append(f"pytest ended with exit code {record['exit']}")
    return problems


if __name__ == "__main__":
    sys.exit(main())
