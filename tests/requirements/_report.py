"""From rows, covered ids and exclusions to the figures and to `docs/conformance.md`."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from requirements._rows import Row, RowsError

_TITLES = {"mdns-ice-candidates": "mDNS ICE candidates (draft)"}

_PREFACE = """\
# Conformance

Written by `python tests/requirements`; do not edit. The specifications are split into rows of one requirement each
(`tests/requirements/*.tsv`). A row is covered when a test that carries its id (`@pytest.mark.req`) ran and passed;
it is excluded where the reason is listed below; anything else is not covered yet.
"""


def summary(rows: Mapping[str, Row], covered: Collection[str], exclusions: Mapping[str, str]) -> dict[str, object]:
    """The figures as `--json` prints them.

    Raises:
        RowsError: a covered id is excluded as well: the reason no longer holds.
    """
    if both := sorted(set(covered) & set(exclusions)):
        raise RowsError(f"covered and excluded at once: {', '.join(both)}")
    by_spec = {spec: {"rows": 0, "covered": 0, "excluded": 0} for spec in _specs(rows)}
    for row in rows.values():
        figures = by_spec[row.spec]
        figures["rows"] += 1
        figures["covered"] += row.id in covered
        figures["excluded"] += row.id in exclusions
    totals = {name: sum(figures[name] for figures in by_spec.values()) for name in ("rows", "covered", "excluded")}
    return {**totals, "by_spec": by_spec}


def render(rows: Mapping[str, Row], covered: Collection[str], exclusions: Mapping[str, str]) -> str:
    """The text of `docs/conformance.md`: a function of its arguments alone."""
    figures = summary(rows, covered, exclusions)
    lines = [_PREFACE, "| specification | rows | covered | excluded |", "|---|---:|---:|---:|"]
    for spec, one in figures["by_spec"].items():
        lines.append(f"| {title(spec)} | {one['rows']} | {one['covered']} | {one['excluded']} |")
    lines += [f"| **all** | **{figures['rows']}** | **{figures['covered']}** | **{figures['excluded']}** |", ""]
    missing = [row for row in rows.values() if row.id not in covered and row.id not in exclusions]
    if missing:
        lines += ["## Not covered yet", ""]
    for spec in _specs(rows):
        if absent := [row for row in missing if row.spec == spec]:
            lines += [f"<details><summary>{title(spec)}: {len(absent)}</summary>", ""]
            lines += [f"- `{row.id}` ({row.section}, {row.level}): {_plain(row.text)}" for row in absent]
            lines += ["", "</details>", ""]
    if exclusions:
        lines += ["## Excluded", "", "| id | requirement | reason |", "|---|---|---|"]
        lines += [f"| `{one}` | {_plain(rows[one].text)} | {_plain(why)} |" for one, why in exclusions.items()]
        lines.append("")
    return "\n".join(lines)


def title(spec: str) -> str:
    """`RFC 8445` of `rfc8445`."""
    return _TITLES.get(spec) or f"RFC {spec.removeprefix('rfc')}"


def carried_ids(tests: Path) -> set[str]:
    """The ids that the markers in the sources under `tests` name, whether those tests pass or not.

    Raises:
        RowsError: an id is not written as a plain string, so that neither this nor a reader's grep would find it.
    """
    ids: set[str] = set()
    for path in sorted(tests.rglob("*.py")):
        for call in _marker_calls(ast.parse(path.read_text(encoding="utf-8"))):
            for argument in call.args:
                if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                    raise RowsError(f"{path.name}:{call.lineno}: write the id in mark.req(...) as a plain string")
                ids.add(argument.value)
    return ids


def _marker_calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="mark"), attr="req")):
                yield node


def _specs(rows: Mapping[str, Row]) -> list[str]:
    return list(dict.fromkeys(row.spec for row in rows.values()))


def _plain(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
