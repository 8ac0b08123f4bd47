"""The answers as columns: of chunks while a sweep runs, and of the one table in the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sansice.simulation import SWEEP_PARAMETERS, Sweep, SweepAnswer, SweepPoint

_KINDS = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}

_RESULT = (
    ("connected", pa.bool_()),
    ("lasted", pa.bool_()),
    ("setup_ms", pa.float64()),
    ("pair_types", pa.string()),
    ("packets", pa.int64()),
    ("sent", pa.int64()),
    ("echoed", pa.int64()),
)
CHUNK = pa.schema([("point", pa.int64()), ("seed", pa.int64()), *_RESULT])
"""Of a chunk: what the session's number does not say."""

_OF_POINT = (
    ("scene", pa.string()),
    ("nat_a", pa.string()),
    ("nat_b", pa.string()),
    ("turn", pa.string()),
    ("family", pa.string()),
    *((name, _KINDS[one.kind]) for name, one in SWEEP_PARAMETERS.items()),
    ("rtt", pa.float64()),
)
ANSWERS = pa.schema([("point", pa.int64()), *_OF_POINT, ("seed", pa.int64()), *_RESULT])
"""Of the table in the end, a row for each session."""


def chunk_table(answers: Sequence[SweepAnswer]) -> pa.Table:
    """The answers of some sessions."""
    columns = zip(*answers, strict=True)
    return pa.table([pa.array(column, field.type) for column, field in zip(columns, CHUNK, strict=True)], schema=CHUNK)


def write_table(table: pa.Table, path: Path) -> None:
    """One small file."""
    pq.write_table(table, path, compression="zstd")


def writer(path: Path) -> pq.ParquetWriter:
    """Of the table in the end. The same rows in the same groups make the same file."""
    return pq.ParquetWriter(path, ANSWERS, compression="zstd", version="2.6", data_page_version="1.0")


def rows_of(path: Path) -> int | None:
    """How many rows a file has; ``None``: it is not there, or is none that was written to its end."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowException):
        return None


def with_points(table: pa.Table, sweep: Sweep, first: int) -> pa.Table:
    """The answers of the sessions from number ``first`` on, with what their points are."""
    parts = []
    begin = 0
    for point, seeds in sweep.split(first, first + table.num_rows):
        part = table.slice(begin, len(seeds))
        begin += len(seeds)
        values = _of_point(point)
        repeated = {name: pa.repeat(pa.scalar(values[name], kind), len(seeds)) for name, kind in _OF_POINT}
        columns = [repeated[name] if name in repeated else part[name] for name in ANSWERS.names]
        parts.append(pa.table(columns, schema=ANSWERS))
    return pa.concat_tables(parts)


def _of_point(point: SweepPoint) -> dict[str, object]:
    couple, link = point.couple, point.scene.internet
    return {
        "scene": point.scene.name if couple is None else None,
        "nat_a": None if couple is None else couple.a,
        "nat_b": None if couple is None else couple.b,
        "turn": None if couple is None else couple.turn,
        "family": None if couple is None else couple.family,
        **point.all_values,
        "rtt": round(2 * link.latency + link.jitter, 12),  # of two crossings, each with half of the jitter in the mean
    }


def read_groups(path: Path, names: Sequence[str]) -> Iterator[dict[str, list[object]]]:
    """Some columns of the table in the end, a group of rows after the other."""
    with pq.ParquetFile(path) as file:
        for number in range(file.num_row_groups):
            yield file.read_row_group(number, columns=list(names)).to_pydict()
