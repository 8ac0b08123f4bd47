"""docs/states.md is what the tables say."""

import re
import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parent / "diagrams"
SOURCES = TOOL.parents[1] / "sansice"


def test_the_drawn_states_are_those_of_the_tables() -> None:
    result = subprocess.run([sys.executable, TOOL, "--check"], check=False)
    assert result.returncode == 0, "run: python tests/diagrams"


def test_every_table_of_states_is_drawn() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SOURCES.rglob("*.py")]
    tables = {name for text in texts for name in re.findall(r"^(\w*TRANSITIONS)\b.* = ", text, re.MULTILINE)}
    drawn = set(re.findall(r": (\w*TRANSITIONS),$", (TOOL / "__main__.py").read_text(encoding="utf-8"), re.MULTILINE))
    assert tables == drawn != set()


def test_mermaid_can_read_every_label() -> None:
    # Its grammar ends the label of a transition at another colon or a semicolon.
    edges = re.findall(
        r"^    .+ --> \S+: (.+)$", (TOOL.parents[1] / "docs" / "states.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert edges != []
    assert [label for label in edges if re.search("[:;]", label)] == []
