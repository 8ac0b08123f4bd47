"""The folder that a sweep writes into: what is finished survives whatever ends the program."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
import pyarrow as pa
import pyarrow.parquet as pq

from sansice import __version__
from sansice.simulation import Sweep, SweepAnswer

from ._columns import chunk_table, rows_of, with_points, write_table, writer

FORMAT = 1  # of the folder
CHUNK_SESSIONS = 100  # a quarter of a second on one core: little is lost with a worker, and a task costs Dask 1 % of it
GROUP_CHUNKS = 500  # in a group of rows of the table: 50,000 rows

_PART = ".part"  # a file that is not complete

SWEEP_FILE = "sweep.json"
ANSWERS_FILE = "answers.parquet"
SUMMARY_FILE = "summary.json"


class Folder:
    """Chunks as they finish, then one table.

    A chunk is a file that takes its name when it is complete. Chunks are cut by the numbers of sessions alone, so that neither
    how many workers there are nor how often a sweep is interrupted shows in the table.

    Attributes:
        path: of the folder.
        sweep: that is written there.
    """

    def __init__(self, path: Path, sweep: Sweep) -> None:
        self.path = path
        self.sweep = sweep
        self._chunks = path / "chunks"

    @classmethod
    @contextmanager
    def opened(cls, path: Path, sweep: Sweep) -> Iterator[Folder]:
        """Begin it, or find it as it was left; nobody else writes there within the ``with`` block.

        Raises:
            click.ClickException: it holds something else, or another process has it.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            with _locked(path):
                _begin_or_go_on(path, identity(sweep))
                yield cls(path, sweep)
        except OSError as error:
            raise click.ClickException(f"{error.filename or path}: {error.strerror}") from None

    @property
    def answers(self) -> Path:
        """The table in the end."""
        return self.path / ANSWERS_FILE

    @property
    def is_finished(self) -> bool:
        """Whether the table is there, whole."""
        return rows_of(self.answers) == self.sweep.sessions

    def unfinished(self) -> list[range]:
        """The sessions of each chunk that is not there."""
        return [sessions for sessions in self._all() if rows_of(self._path_of(sessions)) != len(sessions)]

    def keep(self, sessions: range, answers: Sequence[SweepAnswer]) -> None:
        """Write a chunk."""
        self._chunks.mkdir(exist_ok=True)
        with replacing(self._path_of(sessions)) as path:
            write_table(chunk_table(answers), path)

    def finish(self) -> None:
        """Make one table of all chunks, in the order of the sessions."""
        chunks = self._all()
        with replacing(self.answers) as path, writer(path) as table:
            for begin in range(0, len(chunks), GROUP_CHUNKS):
                group = chunks[begin : begin + GROUP_CHUNKS]
                answers = pa.concat_tables([pq.read_table(self._path_of(sessions)) for sessions in group])
                rows = with_points(answers, self.sweep, group[0].start).combine_chunks()
                table.write_table(rows, row_group_size=rows.num_rows)
        shutil.rmtree(self._chunks)

    def _all(self) -> list[range]:
        count = self.sweep.sessions
        return [range(first, min(first + CHUNK_SESSIONS, count)) for first in range(0, count, CHUNK_SESSIONS)]

    def _path_of(self, sessions: range) -> Path:
        return self._chunks / f"{sessions.start:09}.parquet"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path to write to, which takes the name once the block has ended well."""
    beside = path.with_name(path.name + _PART)
    yield beside
    os.replace(beside, path)


def identity(sweep: Sweep) -> dict[str, object]:
    """All on which the answers depend, as JSON: two sweeps with the same identity have the same answers."""
    return {
        "format": FORMAT,
        "sansice": __version__,
        "name": sweep.name,
        "scenes": [json.loads(scene.to_json()) for scene in sweep.scenes],
        "couples": [[one.a, one.b, one.turn, one.family] for one in sweep.couples],
        "parameters": {name: list(values) for name, values in sweep.parameters.items()},
        "seeds": {"first": sweep.seeds.start, "count": len(sweep.seeds)},
        "chunk": CHUNK_SESSIONS,
    }


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Nobody else has the folder; the system gives it back whatever ends this process."""
    number = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise click.ClickException(f"{path}: another process is writing there") from None
    finally:
        os.close(number)


def _begin_or_go_on(path: Path, wanted: dict[str, object]) -> None:
    """Note which sweep it is, or see that it is this one."""
    noted = path / SWEEP_FILE
    if not noted.exists():
        if any(one.suffix != _PART for one in path.iterdir()):
            raise click.ClickException(f"{path}: holds files and no sweep; name a new folder, or an empty one")
        with replacing(noted) as part:
            part.write_text(json.dumps(wanted, indent=2) + "\n", "utf-8")
        return
    try:
        found = json.loads(noted.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.ClickException(f"{noted}: damaged; name another folder, or remove this one")
    if differing := [key for key in wanted if found.get(key) != wanted[key]]:
        raise click.ClickException(
            f"{path}: holds another sweep, which differs in {', '.join(differing)}; name another folder, or remove this one"
        )
