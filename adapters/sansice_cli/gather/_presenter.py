"""What a person sees of a gathering: a table that grows on a terminal, lines elsewhere."""

from __future__ import annotations

import os
from types import MappingProxyType, TracebackType
from typing import Protocol, Self, TextIO

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from sansice.ice import CandidateType

from ._round import HEADINGS, Found, Round, ServerOutcome

TYPE_STYLES = MappingProxyType(
    {
        CandidateType.HOST: "green",
        CandidateType.SERVER_REFLEXIVE: "cyan",
        CandidateType.PEER_REFLEXIVE: "magenta",
        CandidateType.RELAYED: "yellow",
    }
)


class Presenter(Protocol):
    """Shows one round, in a ``with`` block. Nothing here waits."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None: ...

    def show(self, round: Round, found: Found | None) -> None:
        """Something is new, perhaps a candidate."""
        ...


class Lines:
    """A line for each candidate and each server."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._told: dict[str, None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        pass

    def show(self, round: Round, found: Found | None) -> None:
        """Print what is new; of servers what became of them in the end."""
        if found is not None:
            when, *rest = found.cells()
            click.echo(f"{when:>10}  {'  '.join(filter(None, rest))}", file=self._stream)
        elif round.is_complete:
            for server in round.servers.values():
                click.secho(server.sentence(), fg="green" if server.ok else "red", file=self._stream)
            click.echo(round.sentence(), file=self._stream)


class Picture:
    """Draws on ``console``, and leaves the last picture there."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="visible")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def show(self, round: Round, found: Found | None) -> None:
        """Draw the picture of this moment."""
        self._live.update(draw(round), refresh=True)


def draw(round: Round) -> RenderableType:
    """Candidates and servers."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading == HEADINGS[0] else "left", overflow="fold")
    for one in round.found:
        when, type, *rest = one.cells()
        table.add_row(when, Text(type, TYPE_STYLES[one.candidate.type]), *map(Text, rest))  # an IPv6 address looks like markup
    parts: list[RenderableType] = [table, *(_line(server, round) for server in round.servers.values())]
    if round.is_complete:
        parts.append(Text(round.sentence()))
    return Group(*parts)


def _line(server: ServerOutcome, round: Round) -> Text:
    if server.ok or server.errors or round.is_complete:
        return Text(server.sentence(), "green" if server.ok else "red")
    return Text(f"{server.url}: asked", "dim")


def presenter(stream: TextIO) -> Presenter:
    """A picture where one can be drawn."""
    if stream.isatty() and os.environ.get("TERM", "dumb") != "dumb":
        return Picture(Console(file=stream, highlight=False))
    return Lines(stream)
