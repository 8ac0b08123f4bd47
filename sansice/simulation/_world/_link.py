"""Links: how long a packet takes, and what may happen to it on the way."""

from __future__ import annotations

import random
from collections.abc import Sequence

import attrs

from ._world import World


def _duration(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value < float("inf"):
        raise ValueError(f"{attribute.name} must be a number of seconds from 0 on, not {value!r}")


def _probability(instance: object, attribute: attrs.Attribute[float], value: float) -> None:
    if not 0.0 <= value <= 1.0:
        raise ValueError(f"{attribute.name} must be a probability from 0 to 1, not {value!r}")


@attrs.frozen(kw_only=True)
class Link:
    """How a link treats each packet that crosses it, in either direction.

    Attributes:
        latency: seconds that every packet takes.
        jitter: at most so many seconds more, drawn for each packet. A packet may overtake another.
        loss: probability that a packet vanishes.
        duplication: probability that a packet arrives twice; the copy has its own jitter.
        reordering: probability that a packet is held back for ``hold`` seconds, so that later ones overtake it.
        hold: seconds.

    Raises:
        ValueError: a negative or infinite time, or a probability outside 0..1.
    """

    latency: float = attrs.field(default=0.0, validator=_duration)
    jitter: float = attrs.field(default=0.0, validator=_duration)
    loss: float = attrs.field(default=0.0, validator=_probability)
    duplication: float = attrs.field(default=0.0, validator=_probability)
    reordering: float = attrs.field(default=0.0, validator=_probability)
    hold: float = attrs.field(default=0.05, validator=_duration)


class Line:
    """A `Link` in use: draws the fate of each packet from a random source of its own."""

    __slots__ = ("_label", "_link", "_random", "_world", "latency", "steady")

    def __init__(self, world: World, label: str, link: Link) -> None:
        self._world = world
        self._label = label
        self._random: random.Random | None = None
        self.link = link

    @property
    def link(self) -> Link:
        """What the line does at present. May be replaced while packets are under way; those keep their times."""
        return self._link

    @link.setter
    def link(self, link: Link) -> None:
        self._link = link
        self.latency: float = link.latency
        self.steady: bool = not (link.jitter or link.loss or link.duplication or link.reordering)

    def delays(self, before: Sequence[float] = (0.0,)) -> list[float]:
        """When the copies of a packet arrive that came to this line after ``before``: empty if none does."""
        if self._random is None:
            self._random = self._world.random(f"link {self._label}")
        link, draw = self._link, self._random.random
        delays: list[float] = []
        for delay in before:
            if link.loss and draw() < link.loss:
                continue
            copies = 2 if link.duplication and draw() < link.duplication else 1
            for _ in range(copies):
                took = delay + link.latency
                if link.jitter:
                    took += link.jitter * draw()
                if link.reordering and draw() < link.reordering:
                    took += link.hold
                delays.append(took)
        return delays
