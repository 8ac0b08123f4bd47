"""Writes docs/modules.md, the map of the code, from the first line of each module's docstring.

python tests/modules           writes the file
python tests/modules --check   exit code 1 if it is stale
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "modules.md"
HEAD = """# Modules

Written by `python tests/modules` from the first line of each module's docstring; a test says when it is stale. Which folder
imports which, and why, is in [design](design.md).
"""


def page() -> str:
    """The whole map."""
    tops = [ROOT / "sansice", *sorted((ROOT / "adapters").iterdir())]
    folders = [folder for top in tops for folder in packages(top)]
    return "\n".join([HEAD, *(section(folder) for folder in folders)])


def packages(folder: Path) -> Iterator[Path]:
    """A package and those in it, each before its own."""
    if (folder / "__init__.py").is_file():
        yield folder
        for inner in sorted(folder.iterdir()):
            if inner.is_dir():
                yield from packages(inner)


def section(folder: Path) -> str:
    """A table of one package's modules."""
    name = folder.relative_to(ROOT).as_posix().removeprefix("adapters/")
    modules = sorted(path for path in folder.glob("*.py") if path.name != "__init__.py")
    rows = [f"| `{path.stem}` | {summary(path)} |" for path in modules]
    table = ["| module | what is in it |", "|---|---|", *rows, ""] if rows else []
    return "\n".join([f"## `{name}/`", "", summary(folder / "__init__.py"), "", *table])


def summary(path: Path) -> str:
    """The first line of a module's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    if not text:
        raise SystemExit(f"{path} has no docstring")
    return text.splitlines()[0].replace("|", r"\|")


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        sys.exit(int(PAGE.read_text(encoding="utf-8") != page()))
    PAGE.write_text(page(), encoding="utf-8")
