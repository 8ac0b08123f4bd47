"""Who stands where in a diagram: the columns, so that most arrows lead from neighbour to neighbour."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ._journey import Journey


def columns_of(journeys: Iterable[Journey], main: Sequence[str] = ()) -> list[str]:
    """The places of these journeys from left to right.

    Each new place stands next to the one from which packets come there: what is behind a NAT on the outer side of it,
    servers in the middle.

    Args:
        journeys: in their order.
        main: hosts that are to stand at the ends; the first of them that is there begins.
    """
    paths = [path for journey in journeys for path in journey.paths if path]
    present = dict.fromkeys(place for path in paths for place in path)
    main = [place for place in main if place in present]
    columns = main[:1]
    # What leads from the first of them to another is the spine: these two are to stand at the ends.
    spine = [path for path in paths if path[0] in main[:1] and path[-1] in main[1:]]
    for path in (*spine, *paths):
        if not columns:
            columns.append(path[0])
        if path[0] in columns:
            _insert(columns, path)
        elif path[-1] in columns:
            _insert(columns, path[::-1])
        else:
            _append(columns, path)
    return columns


def _insert(columns: list[str], path: Sequence[str], step: int = 1) -> None:
    """Put what is new right of what comes before it; left of it (step 0), where the path has been going left."""
    before = path[0]
    for place in path[1:]:
        if place in columns:
            if place != before:
                step = 1 if columns.index(place) > columns.index(before) else 0
        else:
            at = columns.index(before)
            columns.insert(at + step, place)
        before = place


def _append(columns: list[str], path: Sequence[str]) -> None:
    """A path between strangers, which may meet somebody known on its way."""
    known = next((index for index, place in enumerate(path) if place in columns), None)
    if known is None:
        columns += [place for place in dict.fromkeys(path) if place not in columns]
        return
    _insert(columns, path[known:])
    _insert(columns, path[known::-1], 0)
