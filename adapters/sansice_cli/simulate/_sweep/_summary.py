"""What the answers of a sweep say all in all."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from ._columns import read_groups

PERCENTILES = (50, 90, 99)

_READ = ("scene", "nat_a", "nat_b", "turn", "family", "loss", "rtt", "connected", "setup_ms")


class Subject(NamedTuple):
    """What connected, or did not: a scene, or two kinds of NAT."""

    scene: str | None
    a: str | None
    b: str | None
    turn: str | None
    family: str | None

    def __str__(self) -> str:
        if self.scene is not None:
            return self.scene
        notes = [f"relays over {self.turn}"] if self.turn != "none" else []
        notes += [str(self.family)] if self.family != "ipv4" else []
        ends = f"{self.a} to {self.b}"
        return f"{ends} ({', '.join(notes)})" if notes else ends


class Weather(NamedTuple):
    """What the Internet was like: the share of packets lost, and the seconds of a round trip."""

    loss: float
    rtt: float


@attrs.define
class Tally:
    """Of some sessions: how many there were, and how long those took that connected, virtual milliseconds."""

    sessions: int = 0
    setups: array[float] = attrs.field(factory=lambda: array("d"))

    @property
    def connected(self) -> int:
        """How many connected."""
        return len(self.setups)

    @property
    def share(self) -> float:
        """Of those that connected."""
        return self.connected / self.sessions

    @property
    def percentiles(self) -> tuple[float | None, ...]:
        """The `PERCENTILES` of the setup time, each that of a session; ``None``: none connected."""
        ordered = sorted(self.setups)
        return tuple(ordered[math.ceil(one / 100 * len(ordered)) - 1] if ordered else None for one in PERCENTILES)

    def to_json(self) -> dict[str, object]:
        """For a program."""
        setup = {f"p{name}": value for name, value in zip(PERCENTILES, self.percentiles, strict=True)}
        return {"sessions": self.sessions, "connected": self.connected, "share": round(self.share, 6), "setup_ms": setup}


class Summary:
    """The answers of a sweep, counted by what they are about.

    Attributes:
        tallies: of each subject in each weather, in the order of the sweep.
    """

    def __init__(self, tallies: dict[tuple[Subject, Weather], Tally]) -> None:
        self.tallies = tallies

    @classmethod
    def of(cls, answers: Path) -> Summary:
        """Count the rows of the table."""
        tallies: dict[tuple[Subject, Weather], Tally] = {}
        for group in read_groups(answers, _READ):
            rows: Iterable[tuple[Any, ...]] = zip(*(group[name] for name in _READ), strict=True)
            for scene, a, b, turn, family, loss, rtt, connected, setup_ms in rows:
                key = (Subject(scene, a, b, turn, family), Weather(loss, rtt))
                if (tally := tallies.get(key)) is None:
                    tally = tallies[key] = Tally()
                tally.sessions += 1
                if connected:
                    tally.setups.append(setup_ms)
        return cls(tallies)

    @property
    def all(self) -> Tally:
        """All sessions."""
        return _together(self.tallies.values())

    @property
    def by_subject(self) -> dict[Subject, Tally]:
        """Whatever the weather."""
        tallies: dict[Subject, list[Tally]] = {}
        for (subject, _), tally in self.tallies.items():
            tallies.setdefault(subject, []).append(tally)
        return {subject: _together(some) for subject, some in tallies.items()}

    @property
    def by_weather(self) -> dict[Weather, Tally]:
        """Whatever the scene, the worst last."""
        tallies: dict[Weather, list[Tally]] = {}
        for (_, weather), tally in self.tallies.items():
            tallies.setdefault(weather, []).append(tally)
        return {weather: _together(tallies[weather]) for weather in sorted(tallies)}

    def to_json(self) -> dict[str, object]:
        """For a program."""
        return {
            **self.all.to_json(),
            "subjects": [{**_named(one), **tally.to_json()} for one, tally in self.by_subject.items()],
            "weathers": [{**one._asdict(), **tally.to_json()} for one, tally in self.by_weather.items()],
        }


def _named(subject: Subject) -> dict[str, object]:
    return {name: value for name, value in subject._asdict().items() if value is not None}


def _together(tallies: Iterable[Tally]) -> Tally:
    whole = Tally()
    for one in tallies:
        whole.sessions += one.sessions
        whole.setups.extend(one.setups)
    return whole


def thinned(values: Sequence[float], most: int) -> list[float]:
    """At most so many of some values, from the first to the last in even steps."""
    if len(values) <= most:
        return list(values)
    return [values[round(step * (len(values) - 1) / (most - 1))] for step in range(most)]
