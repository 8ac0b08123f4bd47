"""A sweep as a value: what it runs, numbered through."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import attrs

from sansice.simulation._library._matrix import matrix_scene
from sansice.simulation._scene._scene import Scene

from ._parameters import SWEEP_PARAMETERS, Value

MAX_SESSIONS = 10**8  # a core's two months: who asks for more has written a zero too many


@attrs.frozen
class NatCouple:
    """An end behind each of two kinds of NAT: `matrix_scene` as a part of a sweep.

    Attributes:
        a, b: the kinds, presets of `NatSpec` or ``"open"``; the agent behind ``a`` controls.
        turn: over which transport both reach a TURN server, or ``"none"``.
        family: of the addresses.
    """

    a: str
    b: str
    turn: str = "none"
    family: str = "ipv4"

    @property
    def scene(self) -> Scene:
        """The scene of it."""
        return matrix_scene(self.a, self.b, self.turn, self.family)


@attrs.frozen
class SweepPoint:
    """A scene with a value of each parameter: what is run with each of the seeds.

    Attributes:
        number: of the sweep's points, from 0 on.
        couple: the NATs, where the scene is made of two kinds.
        values: of the parameters that the sweep varies, by name.
        scene: with these values.
    """

    number: int
    couple: NatCouple | None
    values: Mapping[str, Value]
    scene: Scene

    @property
    def all_values(self) -> dict[str, Value | None]:
        """Of all parameters, by name: those that the sweep varies, and what the scene has of the others.

        ``None``: no limit, or not the same for all of the scene.
        """
        return {name: self.values.get(name, one.of(self.scene)) for name, one in SWEEP_PARAMETERS.items()}

    def __str__(self) -> str:
        return ", ".join([self.scene.name, *(f"{name} {value}" for name, value in self.values.items())])


@attrs.frozen(kw_only=True)
class Sweep:
    """Scenes, times the values of parameters, times seeds. `read_sweep` makes one of what a file says.

    Its sessions are numbered: session ``n`` is that of point ``n // len(seeds)`` with seed ``n % len(seeds)`` of `seeds`.
    Points are in the order of `scenes`, `couples`, and the values of the first parameter, of the next...

    Attributes:
        name: of the sweep.
        scenes, couples: what is run.
        parameters: the values of each parameter that is varied, by its name in `SWEEP_PARAMETERS`.
        seeds: each point is run with each of them.

    Raises:
        ValueError: nothing to run, too much, or a parameter that there is not.
    """

    name: str
    scenes: tuple[Scene, ...] = ()
    couples: tuple[NatCouple, ...] = ()
    parameters: Mapping[str, tuple[Value, ...]] = attrs.field(factory=dict)
    seeds: range

    def __attrs_post_init__(self) -> None:
        unknown = [name for name in self.parameters if name not in SWEEP_PARAMETERS]
        if unknown:
            raise ValueError(f"parameters.{unknown[0]}: unknown; there are {', '.join(SWEEP_PARAMETERS)}")
        if not self.sessions:
            raise ValueError("there is nothing to run: a sweep has scenes or couples, seeds, and values of each parameter")
        if self.sessions > MAX_SESSIONS:
            raise ValueError(f"{self.sessions} sessions, and {MAX_SESSIONS} are the most: fewer seeds, or fewer values")

    @property
    def points(self) -> int:
        """How many points there are."""
        return (len(self.scenes) + len(self.couples)) * math.prod(len(values) for values in self.parameters.values())

    @property
    def sessions(self) -> int:
        """How many sessions there are."""
        return self.points * len(self.seeds)

    def point(self, number: int) -> SweepPoint:
        """A point by its number.

        Raises:
            ValueError: its values exclude each other; the text says which.
            IndexError: there is none of this number.
        """
        if not 0 <= number < self.points:
            raise IndexError(f"there is no point {number}; there are {self.points}")
        rest, values = number, {}
        for name in reversed([name for name in SWEEP_PARAMETERS if name in self.parameters]):
            rest, index = divmod(rest, len(self.parameters[name]))
            values[name] = self.parameters[name][index]
        values = dict(reversed(values.items()))
        couple = None if rest < len(self.scenes) else self.couples[rest - len(self.scenes)]
        scene = self.scenes[rest] if couple is None else couple.scene
        return SweepPoint(number, couple, MappingProxyType(values), vary(scene, values))

    def split(self, first: int, stop: int) -> Iterator[tuple[SweepPoint, range]]:
        """The sessions from ``first`` up to ``stop``, by point: with which of the seeds."""
        count = len(self.seeds)
        while first < stop:
            number, begin = divmod(first, count)
            end = min(count, begin + stop - first)
            yield self.point(number), self.seeds[begin:end]
            first += end - begin


def vary(scene: Scene, values: Mapping[str, Value]) -> Scene:
    """The scene with these values of parameters.

    Raises:
        ValueError: there is no such scene; the text says with which values.
    """
    try:
        return functools.reduce(lambda varied, one: SWEEP_PARAMETERS[one[0]].apply(varied, one[1]), values.items(), scene)
    except ValueError as error:
        said = ", ".join(f"{name} {value}" for name, value in values.items())
        raise ValueError(f"{scene.name} with {said}: {error}") from None
