"""What a sweep can vary in a scene."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

import attrs

from sansice.ice import CandidatePolicy
from sansice.simulation._scene._parts import NominationKind
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._bursts import Bursts

Value: TypeAlias = bool | int | float | str


@attrs.frozen
class SweepParameter:
    """Something of a scene that a sweep can vary.

    Attributes:
        name: in a sweep's file, and of the column of its answers.
        kind: ``float``, ``int``, ``bool`` or ``str``.
        about: what it is, for a person.
        words: what a ``str`` may be.
        apply: makes a scene with another value of it.
        of: the value that a scene has, where all of it has the same; ``None``: it has none, or several.
    """

    name: str
    kind: type[bool | int | float | str]
    about: str
    words: tuple[str, ...] = attrs.field(default=(), kw_only=True)
    apply: Callable[[Scene, Value], Scene] = attrs.field(repr=False, kw_only=True)
    of: Callable[[Scene], Value | None] = attrs.field(repr=False, kw_only=True)


def _of_the_internet(name: str, kind: type[int | float], about: str) -> SweepParameter:
    def apply(scene: Scene, value: Any) -> Scene:
        return attrs.evolve(scene, internet=attrs.evolve(scene.internet, **{name: value}))

    def of(scene: Scene) -> Value | None:
        value: Value | None = getattr(scene.internet, name)
        return value

    return SweepParameter(name, kind, about, apply=apply, of=of)


def _of_the_scene(name: str, kind: type[int | float], about: str) -> SweepParameter:
    def apply(scene: Scene, value: Any) -> Scene:
        return attrs.evolve(scene, **{name: value})

    def of(scene: Scene) -> Value | None:
        value: Value | None = getattr(scene, name)
        return value

    return SweepParameter(name, kind, about, apply=apply, of=of)


def _of_the_agents(name: str, kind: type[bool | str], about: str, words: tuple[str, ...] = ()) -> SweepParameter:
    def apply(scene: Scene, value: Any) -> Scene:
        return attrs.evolve(scene, agents=tuple(one if one.lite else attrs.evolve(one, **{name: value}) for one in scene.agents))

    def of(scene: Scene) -> Value | None:
        values = {str(getattr(value := getattr(one, name), "value", value)): value for one in scene.agents if not one.lite}
        if len(values) != 1:
            return None
        [(word, value)] = values.items()
        return value if kind is bool else word

    return SweepParameter(name, kind, about, words=words, apply=apply, of=of)


def _in_bursts(scene: Scene, value: Value) -> Scene:
    """As much loss as before in the long run, but together."""
    link = scene.internet
    return attrs.evolve(scene, internet=attrs.evolve(link, loss=0.0, bursts=Bursts.of(loss=link.loss, length=float(value))))


_ALL = (
    _of_the_internet("latency", float, "seconds that each packet takes through the Internet"),
    _of_the_internet("jitter", float, "seconds more that it takes at most"),
    _of_the_internet("loss", float, "the share of packets that the Internet loses"),
    SweepParameter(
        "burst_length",
        float,
        "packets that it loses together in the mean, as much as `loss` says in the long run",
        apply=_in_bursts,
        of=lambda scene: None,  # bursts of a scene's own may be of any other shape
    ),
    _of_the_internet("duplication", float, "the share of packets that arrive twice"),
    _of_the_internet("reordering", float, "the share of packets that are held back for `hold`"),
    _of_the_internet("hold", float, "seconds"),
    _of_the_internet("bandwidth", float, "bits per second"),
    _of_the_internet("queue", int, "bytes that may wait for the bandwidth"),
    _of_the_internet("mtu", int, "bytes of the longest packet"),
    _of_the_scene("signalling", float, "seconds that a description takes from one agent to the other"),
    _of_the_scene("payload", int, "bytes in each datagram of the application's"),
    _of_the_agents("trickle", bool, "whether full agents tell their candidates as they come"),
    _of_the_agents(
        "policy", str, "what full agents let anybody see of their addresses", tuple(one.value for one in CandidatePolicy)
    ),
    _of_the_agents("nomination", str, "how full agents nominate", tuple(one.value for one in NominationKind)),
)

SWEEP_PARAMETERS: Mapping[str, SweepParameter] = MappingProxyType({one.name: one for one in _ALL})
"""What a sweep can vary, by name, in the order in which it is applied to a scene."""
