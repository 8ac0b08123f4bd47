"""The tables: their rows, the exclusions, and that they are the shared ones."""

from pathlib import Path

import pytest

from requirements._rows import FOLDER, RowsError, load_exclusions, load_rows

OURS = ("exclusions.tsv", "tricky.tsv")  # of this project
HEADER = "id\tsection\tlevel\trole\trequirement\thow_to_test\n"


def test_tables_are_the_shared_ones_where_those_are_at_hand():
    shared = FOLDER.parents[2] / "shared" / "requirements"
    ours = tables(FOLDER)
    assert ours == (tables(shared) if shared.is_dir() else ours)


def tables(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tsv") if path.name not in OURS}


def test_every_row_is_read_with_the_columns_in_their_places():
    rows = load_rows()
    assert len(rows) == sum(len(path.read_text().splitlines()) - 1 for path in FOLDER.glob("*.tsv") if is_spec(path))
    row = rows["RFC8445-002"]
    assert (row.spec, row.section, row.level, row.role) == ("rfc8445", "5.1.1.1", "MUST", "full")
    assert row.text == "Exclude loopback addresses."
    assert {row.level for row in rows.values()} == {"MUST", "SHOULD", "MAY"}


def is_spec(path: Path) -> bool:
    return path.name not in ("basis.tsv", *OURS)


def test_exclusions_of_the_project_are_of_known_rows_and_have_reasons():
    load_exclusions(FOLDER / "exclusions.tsv", load_rows())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("X-001\t1\tMUST\tcodec\ttext", "a.tsv:2: 5 columns"),
        ("X-001\t1\tMUST\tcodec\ttext\thow\nX-001\t1\tMUST\tcodec\ttext\thow", "a.tsv:3: X-001 is there twice"),
    ],
)
def test_bad_row_is_named_with_file_and_line(tmp_path, line, problem):
    (tmp_path / "a.tsv").write_text(HEADER + line + "\n")
    with pytest.raises(RowsError, match=problem):
        load_rows(tmp_path)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name\treason\n", "the header must be"),
        ("id\treason\nX-002\twhy\n", "e.tsv:2: X-002 is no requirement"),
        ("id\treason\nX-001\t \n", "e.tsv:2: an exclusion is"),
        ("id\treason\nX-001\n", "e.tsv:2: an exclusion is"),
        ("id\treason\nX-001\twhy\nX-001\twhy\n", "e.tsv:3: X-001 is there twice"),
    ],
)
def test_bad_exclusion_is_named_with_file_and_line(tmp_path, text, problem):
    (tmp_path / "a.tsv").write_text(HEADER + "X-001\t1\tMUST\tcodec\ttext\thow\n")
    (tmp_path / "e.tsv").write_text(text)
    with pytest.raises(RowsError, match=problem):
        load_exclusions(tmp_path / "e.tsv", load_rows(tmp_path))
