"""Runs a block of docs/howto/test-your-program.md under pytest, as its reader would."""

import re
import subprocess
import sys

SECONDS = 50

# The tests of each block, and how often each runs.
TESTS = (
    {"test_nobody_is_heard_through_a_nat_that_was_not_opened": 1, "test_a_cable_that_is_pulled_is_survived": 1},
    {"test_calls_connect_wherever_they_can": 29},
)

command = [
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "no:cacheprovider",
    "-o",
    "trio_mode=true",
    "-W",
    "error",
    "--strict-markers",
    "-vv",
]
run = subprocess.run([*command, sys.argv[1]], capture_output=True, text=True, timeout=SECONDS)
assert run.returncode == 0, run.stdout + run.stderr
passed: dict[str, int] = {}
for name in re.findall(r"::(\w+)(?:\[.*\])? PASSED", run.stdout):
    passed[name] = passed.get(name, 0) + 1
assert passed in TESTS, passed
