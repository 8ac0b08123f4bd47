"""The summary of a sweep on a terminal."""

from __future__ import annotations

from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ._summary import PERCENTILES, Subject, Summary, Tally

WIDTH = 100  # characters where no terminal says how wide it is


def draw(summary: Summary, title: str, stream: TextIO) -> None:
    """A row for each scene and each two kinds of NAT, and one for all."""
    table = Table(title=f"{title}: who connected, and after how many virtual milliseconds", show_footer=True)
    whole = _cells(summary.all)
    columns = ("sessions", "connected", *(f"{one} %" for one in PERCENTILES))
    table.add_column("scene", footer="all")
    for name, footer in zip(columns, whole, strict=True):
        table.add_column(name, footer=footer, justify="right")
    for subject, tally in summary.by_subject.items():
        table.add_row(_name(subject), *_cells(tally))
    console = Console(file=stream) if stream.isatty() else Console(file=stream, width=WIDTH)
    console.print(table)


def _name(subject: Subject) -> Text:
    return Text(str(subject))  # a scene's name may hold what would be markup


def _cells(tally: Tally) -> list[Text]:
    style = "green" if tally.connected == tally.sessions else "yellow" if tally.connected else "red"
    times = ["" if one is None else f"{one:.0f}" for one in tally.percentiles]
    return [Text(f"{tally.sessions}"), Text(f"{tally.share:.2%}", style=style), *map(Text, times)]
