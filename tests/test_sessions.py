"""Two agents on a bad network: a sample; `python tests/sessions --sessions 20000` is the whole."""

import json
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parent / "sessions"


def run(*arguments: str) -> tuple[int, dict[str, object]]:
    result = subprocess.run([sys.executable, TOOL, "--json", *arguments], check=False, capture_output=True, text=True)
    return result.returncode, json.loads(result.stdout.splitlines()[-1])


def test_both_ends_agree_or_both_fail_as_often_as_loss_explains() -> None:
    code, report = run("--sessions", "1500")
    assert code == 0, report
    assert report["kinds"].keys() >= {"agreed", "unreflected"}  # type: ignore[attr-defined]  # the loss did bite


def test_without_loss_every_session_agrees() -> None:
    code, report = run("--sessions", "300", "--loss", "0")
    assert code == 0, report
    assert report["kinds"] == {"agreed": 300}


def test_agents_that_give_up_too_early_are_noticed() -> None:
    code, report = run("--sessions", "400", "--transmissions", "2")
    assert code == 1
    assert not report["failures"][0]["explained"]  # type: ignore[index]
