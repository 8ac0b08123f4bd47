"""The requirement rows (one TSV a specification) and the exclusions, each with its reason."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent
_COLUMNS = ["id", "section", "level", "role", "requirement", "how_to_test"]


@dataclass(frozen=True)
class Row:
    """One requirement of one specification; `spec` is the stem of its file."""

    id: str
    spec: str
    section: str
    level: str
    role: str
    text: str


class RowsError(Exception):
    """The tables contradict themselves or each other."""


def _read(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [line for line in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if line]


def load_rows(folder: Path = FOLDER) -> dict[str, Row]:
    """Every row of every table in `folder`, in the order of the files' names, by id.

    Other tables may lie beside them: a file counts when its header is the one of requirements.
    """
    rows: dict[str, Row] = {}
    for path in sorted(folder.glob("*.tsv")):
        header, *lines = _read(path)
        if header != _COLUMNS:
            continue
        for number, line in enumerate(lines, start=2):
            if len(line) != len(_COLUMNS):
                raise RowsError(f"{path.name}:{number}: {len(line)} columns, not {len(_COLUMNS)}")
            if line[0] in rows:
                raise RowsError(f"{path.name}:{number}: {line[0]} is there twice")
            rows[line[0]] = Row(line[0], path.stem, *line[1:5])
    return rows


def load_exclusions(path: Path, rows: dict[str, Row]) -> dict[str, str]:
    """Reason by id. An unknown id, one said twice, or a missing reason is an error."""
    header, *lines = _read(path)
    if header != ["id", "reason"]:
        raise RowsError(f"{path.name}: the header must be id, reason")
    reasons: dict[str, str] = {}
    for number, line in enumerate(lines, start=2):
        if len(line) != 2 or not line[1].strip():
            raise RowsError(f"{path.name}:{number}: an exclusion is an id, a tab and a reason")
        if line[0] not in rows:
            raise RowsError(f"{path.name}:{number}: {line[0]} is no requirement")
        if line[0] in reasons:
            raise RowsError(f"{path.name}:{number}: {line[0]} is there twice")
        reasons[line[0]] = line[1].strip()
    return reasons
