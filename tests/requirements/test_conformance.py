"""The document: what it says of given rows, and that the committed one is what the markers say."""

import ast

import pytest

from requirements import _report
from requirements._rows import FOLDER, Row, RowsError, load_exclusions, load_rows

ROOT = FOLDER.parents[1]

ROWS = {
    one: Row(one, spec, "7.1", "MUST", "agent", text)
    for one, spec, text in [
        ("RFC1-001", "rfc1", "First."),
        ("RFC1-002", "rfc1", "Either a|b."),
        ("RFC2-001", "rfc2", "Third."),
    ]
}


def test_conformance_document_is_up_to_date():
    """The document differs from what the markers in the tests say: run `python tests/requirements`."""
    rows = load_rows()
    exclusions = load_exclusions(FOLDER / "exclusions.tsv", rows)
    expected = _report.render(rows, _report.carried_ids(FOLDER.parent) & set(rows), exclusions)
    document = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    assert document == expected, test_conformance_document_is_up_to_date.__doc__


def test_summary_counts_each_row_under_its_specification():
    assert _report.summary(ROWS, {"RFC1-001"}, {"RFC2-001": "why"}) == {
        "rows": 3,
        "covered": 1,
        "excluded": 1,
        "by_spec": {
            "rfc1": {"rows": 2, "covered": 1, "excluded": 0},
            "rfc2": {"rows": 1, "covered": 0, "excluded": 1},
        },
    }


def test_row_that_is_covered_and_excluded_is_an_error():
    with pytest.raises(RowsError, match="RFC2-001"):
        _report.summary(ROWS, {"RFC2-001"}, {"RFC2-001": "why"})


def test_document_lists_what_is_not_covered_and_why_the_rest_is_excluded():
    lines = _report.render(ROWS, {"RFC1-001"}, {"RFC2-001": "why"}).splitlines()
    assert "| RFC 1 | 2 | 1 | 0 |" in lines
    assert "| **all** | **3** | **1** | **1** |" in lines
    assert [line for line in lines if line.startswith("- ")] == ["- `RFC1-002` (7.1, MUST): Either a\\|b."]
    assert "| `RFC2-001` | Third. | why |" in lines


def test_document_of_full_coverage_has_no_list_of_missing_rows():
    assert "Not covered" not in _report.render(ROWS, set(ROWS), {})


def test_markers_are_found_wherever_they_stand(tmp_path):
    (tmp_path / "test_a.py").write_text(
        "import pytest\n"
        'pytestmark = [pytest.mark.req("A-1"), pytest.mark.slow]\n'
        '@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.req("A-2", "A-3"))])\n'
        "def test_a(x): \"pytest.mark.req('A-4')\"\n"
    )
    assert _report.carried_ids(tmp_path) == {"A-1", "A-2", "A-3"}


def test_id_that_grep_would_not_find_is_refused(tmp_path):
    (tmp_path / "test_a.py").write_text("import pytest\n@pytest.mark.req(*IDS)\ndef test_a(): ...\n")
    with pytest.raises(RowsError, match=r"test_a\.py:2"):
        _report.carried_ids(tmp_path)


def test_other_calls_named_req_are_not_markers():
    assert list(_report._marker_calls(ast.parse('client.req("A-1"); mark.other("A-2")'))) == []
