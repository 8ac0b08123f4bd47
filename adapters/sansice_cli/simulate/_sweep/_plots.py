"""The summary of a sweep as pictures."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from ._folder import replacing
from ._summary import PERCENTILES, Subject, Summary, Tally, Weather, thinned

MOST_LINES = 6  # in one picture: more are not told apart
BY_LOSS, BY_RTT, BY_NATS = "setup-by-loss.png", "setup-by-rtt.png", "success-by-nats.png"

_DPI = 100


def draw_plots(summary: Summary, folder: Path, title: str) -> list[Path]:
    """Draw what the sweep has varied: setup times against loss and against round trips, success of each two kinds of NAT.

    Returns:
        The pictures. One whose axis would have a single value is left out.
    """
    drawn = list(_figures(summary, title))
    for name, figure in drawn:
        FigureCanvasAgg(figure)
        with replacing(folder / name) as part:
            figure.savefig(part, format="png", dpi=_DPI, metadata={"Software": None})  # the same bytes whatever drew them
    return [folder / name for name, _ in drawn]


def _figures(summary: Summary, title: str) -> Iterator[tuple[str, Figure]]:
    by_weather = summary.by_weather
    if len({one.loss for one in by_weather}) > 1:
        yield BY_LOSS, _setup_times(by_weather, title, against_loss=True)
    if len({one.rtt for one in by_weather}) > 1:
        yield BY_RTT, _setup_times(by_weather, title, against_loss=False)
    couples = {one: tally for one, tally in summary.by_subject.items() if one.scene is None}
    if couples:
        yield BY_NATS, _success(couples, title)


def _setup_times(by_weather: dict[Weather, Tally], title: str, *, against_loss: bool) -> Figure:
    """A panel for each percentile, with a line for each of some values of what is not on its axis."""
    points = {(one.loss, one.rtt) if against_loss else (one.rtt, one.loss): tally for one, tally in by_weather.items()}
    lines = thinned(sorted({line for _, line in points}), MOST_LINES)
    figure = Figure(figsize=(4.0 * len(PERCENTILES), 4.0), layout="constrained")
    figure.suptitle(f"{title}: setup time of the sessions that connected")
    panels: Any = figure.subplots(1, len(PERCENTILES), squeeze=False)[0]
    for index, (panel, percentile) in enumerate(zip(panels, PERCENTILES, strict=True)):
        for line in lines:
            of_line = [(x, tally.percentiles[index]) for (x, other), tally in sorted(points.items()) if other == line]
            known = [(_axis(x, against_loss), y) for x, y in of_line if y is not None]
            label = f"round trip {1000 * line:g} ms" if against_loss else f"loss {100 * line:g} %"
            panel.plot([x for x, _ in known], [y for _, y in known], marker="o", markersize=3, label=label)
        panel.set_title(f"{percentile} % connect within")
        panel.set_xlabel("loss in the Internet, %" if against_loss else "round trip through the Internet, ms")
        panel.set_ylim(bottom=0)
        panel.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("virtual ms")
    panels[0].legend(fontsize="small")
    return figure


def _axis(value: float, is_loss: bool) -> float:
    return 100 * value if is_loss else 1000 * value


def _success(couples: dict[Subject, Tally], title: str) -> Figure:
    """A panel for each way to a relay and each family: rows control, columns are controlled."""
    panels_of = list(dict.fromkeys((one.turn, one.family) for one in couples))
    rows = list(dict.fromkeys(str(one.a) for one in couples))
    columns = list(dict.fromkeys(str(one.b) for one in couples))
    size = (max(4.0, 0.8 * len(columns) + 2.5) * len(panels_of), max(3.0, 0.6 * len(rows) + 2.5))
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(f"{title}: sessions that connected, %")
    panels: Any = figure.subplots(1, len(panels_of), squeeze=False)[0]
    for panel, (turn, family) in zip(panels, panels_of, strict=True):
        cells = [[couples.get(Subject(None, a, b, turn, family)) for b in columns] for a in rows]
        shares = [[math.nan if one is None else 100 * one.share for one in row] for row in cells]
        panel.imshow(shares, vmin=0, vmax=100, cmap="RdYlGn", alpha=0.6, aspect="auto")
        panel.set_title(f"{family}, {'no relay' if turn == 'none' else f'relays over {turn}'}")
        panel.set_xticks(range(len(columns)), columns, rotation=45, ha="right")
        panel.set_yticks(range(len(rows)), rows)
        panel.set_xlabel("controlled")
        panel.set_ylabel("controlling")
        for y, row in enumerate(shares):
            for x, share in enumerate(row):
                panel.text(x, y, "" if math.isnan(share) else f"{share:.3g}", ha="center", va="center", fontsize="small")
    return figure
