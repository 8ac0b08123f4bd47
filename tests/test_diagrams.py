"""docs/states.md is what the tables say."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parent / "diagrams"


def test_the_drawn_states_are_those_of_the_tables() -> None:
    result = subprocess.run([sys.executable, TOOL, "--check"], check=False)
    assert result.returncode == 0, "run: python tests/diagrams"
