"""Timelines and sequence diagrams as text, in plain ASCII."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ._arrows import Arrow, Tip, arrows_of
from ._lines import Line

_TIME = 9  # characters: 99999.999
_BEFORE = " " * (_TIME + 4)  # what a time, its unit and two spaces take
_GAP = 14  # characters between two columns at least
_TIPS = {Tip.ARRIVES: "|", Tip.TURNS: "+", Tip.DIES: "X", Tip.UNKNOWN: "?"}


def timeline_text(lines: Sequence[Line]) -> str:
    """A line for each, with its time; what is no packet is marked by a star."""
    return "".join(f"{_time(line)}{'' if line.journey is not None else '* '}{line.text}\n" for line in lines)


def diagram_text(lines: Sequence[Line], columns: Sequence[str]) -> str:
    """A sequence diagram: a column for each place, an arrow for each packet.

    ``o`` is where a packet begins, ``+`` what passed it on or translated it, ``X`` where it died.
    """
    places = _positions(columns)
    rows = [_names(columns, places), _BEFORE + _lifelines(places)]
    for line in lines:
        rows += _rows(line, columns, places)
    return "".join(f"{row.rstrip()}\n" for row in rows)


def _time(line: Line) -> str:
    return f"{line.time:{_TIME}.3f} s  " if line.time is not None else _BEFORE


def _positions(columns: Sequence[str]) -> list[int]:
    """Where the lifelines are: as close as the names allow."""
    places: list[int] = []
    for name in columns:
        half = len(name) // 2
        if not places:
            places.append(half)
        else:
            places.append(places[-1] + max(_GAP, len(columns[len(places) - 1]) // 2 + half + 3))
    return places


def _names(columns: Sequence[str], places: Sequence[int]) -> str:
    row = _BEFORE
    for name, place in zip(columns, places, strict=True):
        row = row.ljust(len(_BEFORE) + place - len(name) // 2) + name
    return row


def _lifelines(places: Sequence[int]) -> str:
    row = [" "] * (places[-1] + 1 if places else 0)
    for place in places:
        row[place] = "|"
    return "".join(row)


def _rows(line: Line, columns: Sequence[str], places: Sequence[int]) -> Iterator[str]:
    if line.journey is None:
        yield f"{_time(line)}{_lifelines(places)}  * {line.text}"
        return
    start, label = _time(line), line.label
    for arrow in arrows_of(line.journey, line.towards, columns):
        yield f"{start}{_drawn(arrow, places)}  {label}"
        start, label = _BEFORE, ""
    if label:  # nothing of it can be drawn
        yield f"{start}{_lifelines(places)}  {label}"


def _drawn(arrow: Arrow, places: Sequence[int]) -> str:
    stops = [places[number] for number in arrow.columns]
    tip = stops[-1] + arrow.beyond * (_GAP // 2)
    row = list(_lifelines(places).ljust(tip + 1))
    begin, end = stops[0], tip
    if end < 0:  # it leaves to the left of everything
        end = 0
    for at in range(min(begin, end), max(begin, end) + 1):
        row[at] = "-"
    for stop in stops:
        row[stop] = "+"
    row[begin] = "o"
    row[end] = _TIPS[arrow.tip]
    if begin == end:
        row[end] = "o" if arrow.tip is Tip.ARRIVES else row[end]
    else:
        row[end + (-1 if end > begin else 1)] = ">" if end > begin else "<"
    return "".join(row)
