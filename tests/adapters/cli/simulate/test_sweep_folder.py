"""The folder that a sweep writes into."""

import json

import attrs
import click
import pyarrow.parquet as pq
import pytest

from sansice.simulation import NatCouple, Sweep, run_sweep, scene
from sansice_cli.simulate._sweep import _folder
from sansice_cli.simulate._sweep._columns import ANSWERS, rows_of
from sansice_cli.simulate._sweep._folder import Folder, replacing

SWEEP = Sweep(
    name="x",
    scenes=(scene("two-homes"),),
    couples=(NatCouple("symmetric", "symmetric"),),
    parameters={"loss": (0.0, 0.2), "latency": (0.03,)},
    seeds=range(7, 10),
)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(_folder, "CHUNK_SESSIONS", 5)
    monkeypatch.setattr(_folder, "GROUP_CHUNKS", 2)


def fill(folder, chunks):
    for sessions in chunks:
        folder.keep(sessions, run_sweep(folder.sweep, sessions.start, sessions.stop))


def test_chunks_are_kept_one_by_one_and_those_that_are_there_are_not_wanted_again(tmp_path):
    out = tmp_path / "new" / "out"
    with Folder.opened(out, SWEEP) as folder:
        assert folder.unfinished() == [range(5), range(5, 10), range(10, 12)]
        fill(folder, [range(5, 10)])
        assert folder.unfinished() == [range(5), range(10, 12)]
        assert not folder.is_finished
    with Folder.opened(out, SWEEP) as folder:
        assert folder.unfinished() == [range(5), range(10, 12)]


def test_chunk_that_was_not_written_to_its_end_is_wanted_again(tmp_path):
    with Folder.opened(tmp_path, SWEEP) as folder:
        fill(folder, folder.unfinished())
        path = tmp_path / "chunks" / "000000005.parquet"
        path.write_bytes(path.read_bytes()[:-20])
        fill(folder, [range(2)])  # complete, and too short
        assert folder.unfinished() == [range(5), range(5, 10)]


def test_table_has_all_sessions_in_order_with_what_they_were(tmp_path):
    with Folder.opened(tmp_path, SWEEP) as folder:
        fill(folder, reversed(folder.unfinished()))
        folder.finish()
        assert folder.is_finished
    assert sorted(one.name for one in tmp_path.iterdir()) == ["answers.parquet", "sweep.json"]
    table = pq.read_table(tmp_path / "answers.parquet")
    assert table.schema.equals(ANSWERS)
    assert pq.ParquetFile(tmp_path / "answers.parquet").num_row_groups == 2
    rows = table.to_pylist()
    answers = run_sweep(SWEEP)
    assert [{name: row[name] for name in answers[0]._fields} for row in rows] == [one._asdict() for one in answers]
    assert [row["scene"] for row in rows] == ["two-homes"] * 6 + [None] * 6
    assert [(row["nat_a"], row["nat_b"], row["turn"], row["family"]) for row in rows[5:7]] == [
        (None,) * 4,
        ("symmetric", "symmetric", "none", "ipv4"),
    ]
    assert [row["loss"] for row in rows] == ([0.0] * 3 + [0.2] * 3) * 2
    assert {row["latency"] for row in rows} == {0.03}
    assert [row["rtt"] for row in rows[5:7]] == [0.06, 0.07]  # the couple's Internet has a jitter of 10 ms
    assert [row["jitter"] for row in rows[5:7]] == [0.0, 0.01]


def test_same_sessions_make_the_same_bytes_in_whatever_order_they_came(tmp_path):
    tables = []
    for name, order in (("a", list), ("b", lambda chunks: chunks[::-1])):
        with Folder.opened(tmp_path / name, SWEEP) as folder:
            fill(folder, order(folder.unfinished()))
            folder.finish()
        tables.append((tmp_path / name / "answers.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_table_that_is_damaged_is_made_again(tmp_path):
    with Folder.opened(tmp_path, SWEEP) as folder:
        (tmp_path / "answers.parquet").write_bytes(b"PAR1")
        assert not folder.is_finished
        assert rows_of(folder.answers) is None


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"seeds": range(7, 11)}, "seeds"),
        ({"seeds": range(SWEEP.seeds.start + 1, SWEEP.seeds.stop + 1)}, "seeds"),  # as many others
        ({"name": "y", "parameters": {}}, "name, parameters"),
        ({"scenes": (attrs.evolve(scene("two-homes"), payload=20),)}, "scenes"),
        ({"couples": ()}, "couples"),
    ],
)
def test_folder_of_another_sweep_is_refused_with_what_differs(changes, what, tmp_path):
    with Folder.opened(tmp_path, SWEEP):
        pass
    with pytest.raises(click.ClickException, match=f"holds another sweep, which differs in {what}; name another folder"):
        with Folder.opened(tmp_path, attrs.evolve(SWEEP, **changes)):
            pass


def test_folder_of_another_version_is_refused(tmp_path, monkeypatch):
    with Folder.opened(tmp_path, SWEEP):
        pass
    monkeypatch.setattr(_folder, "__version__", "99")
    with pytest.raises(click.ClickException, match="differs in sansice;"), Folder.opened(tmp_path, SWEEP):
        pass


def test_folder_whose_chunks_were_cut_otherwise_is_refused(tmp_path, monkeypatch):
    with Folder.opened(tmp_path, SWEEP):
        pass
    monkeypatch.setattr(_folder, "CHUNK_SESSIONS", 6)
    with pytest.raises(click.ClickException, match="differs in chunk;"), Folder.opened(tmp_path, SWEEP):
        pass


def test_folder_that_does_not_say_which_sweep_it_holds_is_refused(tmp_path):
    (tmp_path / "sweep.json").write_text("{}", "utf-8")
    with pytest.raises(click.ClickException, match="differs in format, sansice, name, scenes"), Folder.opened(tmp_path, SWEEP):
        pass


@pytest.mark.parametrize("text", ["{", "[]", "\xff"])
def test_folder_whose_sweep_is_damaged_is_refused(text, tmp_path):
    (tmp_path / "sweep.json").write_text(text, "latin-1")
    with pytest.raises(click.ClickException, match=r"sweep\.json: damaged"), Folder.opened(tmp_path, SWEEP):
        pass


def test_folder_with_other_files_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(click.ClickException, match="holds files and no sweep"), Folder.opened(tmp_path, SWEEP):
        pass
    assert [one.name for one in tmp_path.iterdir()] == ["thesis.tex"]


def test_folder_that_was_left_before_it_was_begun_is_begun(tmp_path):
    (tmp_path / "sweep.json.part").write_text("{")
    with Folder.opened(tmp_path, SWEEP):
        assert json.loads((tmp_path / "sweep.json").read_text())["name"] == "x"


def test_folder_that_somebody_else_writes_to_is_refused(tmp_path):
    with Folder.opened(tmp_path, SWEEP):
        with pytest.raises(click.ClickException, match="another process is writing there"), Folder.opened(tmp_path, SWEEP):
            pass
    with Folder.opened(tmp_path, SWEEP):
        pass


def test_folder_that_cannot_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(click.ClickException, match="file: File exists"), Folder.opened(tmp_path / "file", SWEEP):
        pass


def write_half(path):
    with replacing(path) as part:
        part.write_text("half")
        raise OSError("the disk is full")


def test_what_fails_while_it_is_written_never_takes_the_name(tmp_path):
    with pytest.raises(OSError, match="the disk is full"):
        write_half(tmp_path / "a")
    assert not (tmp_path / "a").exists()
