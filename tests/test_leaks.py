"""Sessions that are given up leave nothing: a sample; `python tests/leaks --sessions 1000` is the whole."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parent / "leaks"
SESSIONS = 60


@pytest.mark.long
@pytest.mark.parametrize("runtime", ["trio", "asyncio", "blocking"])
def test_sessions_given_up_anywhere_leave_nothing_behind(runtime: str) -> None:
    command = [sys.executable, TOOL, "--sessions", str(SESSIONS), "--runtime", runtime, "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [report] = json.loads(done.stdout.splitlines()[-1])["runtimes"]
    assert sum(report["kinds"].values()) == SESSIONS
    assert sum(count for kind, count in report["kinds"].items() if kind.endswith("given up")) >= SESSIONS // 10
