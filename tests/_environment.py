"""Lets the programs beside the tests be run with any Python: `python3 tests/bench codec`."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

_TESTS = Path(__file__).resolve().parent
_NEEDED = ("sansice", "aioice", "hypothesis", "pytest", "xdist", *(("atheris",) if sys.platform == "linux" else ()))


def enter_test_venv(program: Path) -> None:
    """Return where what is needed is installed; elsewhere set up `.test-venv` and go on in it, in this process's place.

    Args:
        program: the folder that is run; it gets this process's arguments again.
    """
    if all(importlib.util.find_spec(name) for name in _NEEDED):
        return
    print("sansice and its test extra are not installed for this Python: going on in .test-venv", file=sys.stderr, flush=True)
    command = [sys.executable, _TESTS, "--set-up"]
    if subprocess.run(command, stdin=subprocess.DEVNULL, stdout=sys.stderr).returncode:
        raise SystemExit(1)
    python = _TESTS.parent / ".test-venv" / "{}.{}".format(*sys.version_info) / "bin" / "python"
    os.execv(python, [str(python), str(program), *sys.argv[1:]])
