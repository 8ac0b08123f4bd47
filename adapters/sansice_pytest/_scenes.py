"""Which scenes a marker means, and a scene as a stage for other actors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import pytest

if TYPE_CHECKING:
    from sansice.simulation import Scene, SceneWorld


def chosen(which: Iterable[str | Scene]) -> dict[str, Scene]:
    """The scenes by name, each once.

    Raises:
        Collector.CollectError: there is no such scene.
    """
    found: dict[str, Scene] = {}
    for one in which:
        found.update({one.name: one} if not isinstance(one, str) else _named(one))
    return found


def _named(name: str) -> dict[str, Scene]:
    from sansice.simulation import MATRIX_KINDS, matrix_scene, scene, scenes

    if name == "all":
        return scenes()
    if name == "matrix":
        pairs = [matrix_scene(a, b) for a in MATRIX_KINDS for b in MATRIX_KINDS]
        return {pair.name: pair for pair in pairs}
    try:
        return {name: scene(name)}
    except ValueError as error:
        raise pytest.Collector.CollectError(f"pytest.mark.scenes: {error}") from None


def stage(scene: Scene, seed: int | str) -> SceneWorld:
    """The scene built without its agents, who would open ports and send; `SceneWorld.scene` still knows them."""
    world = attrs.evolve(scene, agents=()).build(seed=seed)
    world.scene = scene
    return world
