"""The story as a picture on a terminal: both ends side by side, their pairs changing colour."""

from __future__ import annotations

from types import MappingProxyType, TracebackType
from typing import Self

from rich import box
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from sansice.ice import CandidateType, IceState, PairState

from ._echo import Echo
from ._outcome import Outcome
from ._reports import Report
from ._story import EndStory, PairStory, Story

SIDE_BY_SIDE = 100  # columns that two panels need

TYPE_STYLES = MappingProxyType(
    {
        CandidateType.HOST: "green",
        CandidateType.SERVER_REFLEXIVE: "cyan",
        CandidateType.PEER_REFLEXIVE: "magenta",
        CandidateType.RELAYED: "yellow",
    }
)
PAIR_STYLES = MappingProxyType(
    {
        PairState.FROZEN: "dim",
        PairState.WAITING: "yellow",
        PairState.IN_PROGRESS: "cyan",
        PairState.SUCCEEDED: "green",
        PairState.FAILED: "red",
        None: "dim",
    }
)
STATE_STYLES = MappingProxyType(
    {
        IceState.NEW: "dim",
        IceState.CHECKING: "cyan",
        IceState.CONNECTED: "green",
        IceState.COMPLETED: "bold green",
        IceState.DISCONNECTED: "yellow",
        IceState.FAILED: "red",
        IceState.CLOSED: "dim",
    }
)


class Picture:
    """Draws on ``console`` in a ``with`` block, and leaves the last picture there."""

    def __init__(self, story: Story, console: Console) -> None:
        self._story = story
        self._console = console
        # No refreshing thread: drawing must not interrupt a round trip that is being measured.
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._live.stop()

    def report(self, end: EndStory, report: Report) -> None:
        """Nothing: the next picture shows it."""

    def refresh(self, echo: Echo) -> None:
        """Draw the picture of this moment."""
        self._live.update(draw(self._story, echo, self._console.width), refresh=True)

    def conclude(self, outcome: Outcome) -> None:
        """Print the result below the picture."""
        for line in outcome.sentences():
            self._console.print(Text(line, "" if not outcome.problem else "red"))


def draw(story: Story, echo: Echo, width: int) -> RenderableType:
    """The picture, for a terminal ``width`` columns wide."""
    panels = [_panel(story, end) for end in (story.a, story.b)]
    if width >= SIDE_BY_SIDE:
        both = Table.grid(expand=True)
        both.add_column(ratio=1)
        both.add_column(ratio=1)
        both.add_row(*panels)
        return Group(both, _progress(echo))
    return Group(*panels, _progress(echo))


def _panel(story: Story, end: EndStory) -> Panel:
    title = Text.assemble((f" {end.name} ", "bold"), f"{end.place}, {end.role.value} ")
    state = Text(f" {end.state.value} ", STATE_STYLES[end.state])
    content = Group(_candidates(story, end), Text(), _pairs(story, end)) if end.pairs else _candidates(story, end)
    return Panel(content, title=title, title_align="left", subtitle=state, subtitle_align="right", box=box.ROUNDED)


def _candidates(story: Story, end: EndStory) -> RenderableType:
    if not end.candidates:
        return Text("gathering candidates", "dim")
    table = Table.grid(padding=(0, 1))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for candidate in end.candidates:
        table.add_row(
            story.label(candidate), Text(candidate.type.value, TYPE_STYLES[candidate.type]), Text(str(candidate.address))
        )
    return table


def _pairs(story: Story, end: EndStory) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(overflow="fold")
    table.add_column(ratio=1)
    table.add_row(Text("pair", "dim"), Text("its states, and when in ms", "dim"))
    for pair in sorted(end.pairs.values(), key=lambda pair: -pair.priority):
        name = Text(f"{story.label(pair.local)} → {story.label(pair.remote)}", "bold" if pair is end.selected else "")
        table.add_row(name, _steps(story, pair))
    return table


def _steps(story: Story, pair: PairStory) -> Text:
    """Each state in its colour, with the milliseconds at which it was reached."""
    steps = Text()
    words = [(at, state.value.replace("-", " ") if state else "not needed", PAIR_STYLES[state]) for at, state in pair.steps]
    if pair.selected_at is not None:
        words.append((pair.selected_at, "selected", "bold green"))
    for at, word, style in words:
        seconds = story.since_known(at) or 0.0
        if steps:
            steps.append(" · ", "dim")
        steps.append(word.replace(" ", "\N{NO-BREAK SPACE}"), style)
        steps.append(f"\N{NO-BREAK SPACE}{seconds * 1000:.1f}", "dim")
    return steps


def _progress(echo: Echo) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    table.add_column(no_wrap=True)
    table.add_row(" echoes", ProgressBar(total=echo.count, completed=echo.echoed), f"{echo.echoed} of {echo.count} ")
    return table
