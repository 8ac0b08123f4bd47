"""Stories: what happened in a network, kept in bounded memory and told to a person."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from sansice.simulation._world._node import Node
from sansice.simulation._world._packets import Passage

from ._cast import Cast
from ._columns import columns_of
from ._journey import Journey
from ._lines import Kept, Line, lines_of
from ._svg import diagram_svg
from ._text import diagram_text, timeline_text
from ._tracker import Tracker

STORY_LIMIT = 500  # packets: more than anybody reads

_NOBODY: Mapping[str, Node] = {}


class Story:
    """Follows every packet from host to host, and tells what became of each; an observer for `Network.watch`.

    Example::

        story = Story()
        run = simulate(scene("two-homes"), observers=[story])
        print(story.timeline(run.world.nodes))

    Of a long run, the first and the last packets are kept, and a line says how many there were between them.

    Args:
        limit: packets to keep, at least 2.

    Raises:
        ValueError: it is less.
    """

    def __init__(self, *, limit: int = STORY_LIMIT) -> None:
        if limit < 2:
            raise ValueError(f"limit: {limit!r} is below 2: the first packet and the last one")
        self._room = limit - limit // 2
        self._first: list[Journey] = []
        self._last: deque[Journey] = deque(maxlen=limit // 2)
        self._count = 0
        self._tracker = Tracker(self._keep)

    def __call__(self, passage: Passage) -> None:
        """Take a line of the trace."""
        self._tracker(passage)

    @property
    def packets(self) -> int:
        """How many packets began a journey, copies counted too."""
        return self._count

    def timeline(self, nodes: Mapping[str, Node] = _NOBODY, notes: Iterable[tuple[float, str]] = ()) -> str:
        """A line for each packet, ``0.020 s  alice:host checks bob:srflx, dropped at home B: filtering``, and each event.

        Args:
            nodes: what runs agents (or other machines, whose events are told), by the name to use. An agent's addresses
                are then called by the types of its candidates.
            notes: what else happened, with its time.
        """
        return timeline_text(self._lines(nodes, notes))

    def diagram(self, nodes: Mapping[str, Node] = _NOBODY, notes: Iterable[tuple[float, str]] = ()) -> str:
        """A sequence diagram in ASCII: a column for each host, NAT and router, an arrow for each packet.

        An arrow begins at ``o``, is translated or passed on at ``+`` and has died at ``X``.

        Args:
            nodes, notes: see `timeline`. The first of the nodes stands on the left.
        """
        lines = self._lines(nodes, notes)
        return diagram_text(lines, _columns(lines, nodes))

    def svg(self, nodes: Mapping[str, Node] = _NOBODY, notes: Iterable[tuple[float, str]] = (), *, title: str = "") -> str:
        """The same diagram as an SVG image.

        Args:
            nodes, notes: see `timeline`.
            title: above it.
        """
        lines = self._lines(nodes, notes)
        return diagram_svg(lines, _columns(lines, nodes), title)

    def _keep(self, journey: Journey) -> None:
        self._count += 1
        if len(self._first) < self._room:
            self._first.append(journey)
        else:
            self._last.append(journey)

    def _lines(self, nodes: Mapping[str, Node], notes: Iterable[tuple[float, str]]) -> list[Line]:
        kept = Kept(self._first, tuple(self._last), self._count - len(self._first) - len(self._last))
        return lines_of(kept, Cast(nodes, self._tracker.reached), nodes, notes)


def _columns(lines: Iterable[Line], nodes: Mapping[str, Node]) -> list[str]:
    journeys = [line.journey for line in lines if line.journey is not None]
    return columns_of(journeys, [node.host.name for node in nodes.values()])
