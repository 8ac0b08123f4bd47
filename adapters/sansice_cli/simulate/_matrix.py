"""Every kind of NAT against every kind, without a relay and with one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TextIO

import attrs
import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sansice.simulation import MATRIX_KINDS, MATRIX_TURNS, MatrixCell, matrix, matrix_scene
from sansice_cli._ended import EndedBySignalError

from ._interrupts import Interrupts
from ._progress import progress

WIDTH = 100  # characters of the table where no terminal says how wide it is


def run_matrix(runs: int, seed: int, *, as_json: bool) -> int:
    """Run all cells and draw them; the exit code.

    Raises:
        EndedBySignalError: by a signal, after what is done was shown.
    """
    stream = sys.stderr if as_json else sys.stdout
    cells: list[MatrixCell] = []
    ended: EndedBySignalError | None = None
    total = len(MATRIX_TURNS) * len(MATRIX_KINDS) ** 2
    try:
        with Interrupts(), progress(sys.stderr, "matrix") as shown:
            for turn in MATRIX_TURNS:
                for cell in matrix(runs=runs, first_seed=seed, turn=turn):
                    cells.append(cell)
                    shown.show(len(cells) / total, len(cells) * runs)
    except EndedBySignalError as error:
        ended = error
    for turn in MATRIX_TURNS:
        draw([cell for cell in cells if cell.turn == turn], turn, stream)
    wrong = {cell: said for cell in cells if (said := _fault_of(cell))}
    for cell, said in wrong.items():
        through = "" if cell.turn == "none" else f" with relays over {cell.turn}"
        text = f"{cell.a} with {cell.b}{through}: {said}, and by the rules of NATs it is the other way round"
        click.secho(text, fg="red", file=stream)
    if as_json:
        click.echo(json.dumps({"cells": [attrs.asdict(cell) for cell in cells], "interrupted": ended is not None}))
    if ended is not None:
        raise ended
    return 1 if wrong else 0


def _fault_of(cell: MatrixCell) -> str:
    """What a cell does that it should not; empty: nothing."""
    if cell.connected is not matrix_scene(cell.a, cell.b, cell.turn).expect.connected:
        return "connected" if cell.connected else "not always connected"
    relayed = any("relay" in pair_type for pair_type in cell.pair_types)
    return "not always direct" if relayed and matrix_scene(cell.a, cell.b).expect.connected else ""


def draw(cells: Sequence[MatrixCell], turn: str, stream: TextIO) -> None:
    """A table: rows control, columns are controlled. Cells that have not run are empty."""
    known = {(cell.a, cell.b): cell for cell in cells}
    over = "Over which pair" if turn == "none" else f"With relays over {turn}: over which pair"
    table = Table(title=f"{over}, local-remote, and after how many virtual milliseconds (median)", show_lines=True)
    table.add_column("controlling \\ controlled")
    for kind in MATRIX_KINDS:
        table.add_column(kind, justify="center")
    for a in MATRIX_KINDS:
        table.add_row(a, *(_content(known.get((a, b))) for b in MATRIX_KINDS))
    console = Console(file=stream)
    console.print(table) if stream.isatty() else Console(file=stream, width=WIDTH).print(table)


def _content(cell: MatrixCell | None) -> Text:
    if cell is None:
        return Text("")
    if cell.median_setup_ms is None:
        return Text("no", style="red")
    words = "\n".join((*cell.pair_types, f"{cell.median_setup_ms:.0f} ms"))
    return Text(words, style="green") if cell.connected else Text(f"{words}\nnot always", style="yellow")
