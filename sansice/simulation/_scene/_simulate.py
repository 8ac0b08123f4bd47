"""From a scene and a seed to what became of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sansice.simulation._world._packets import Passage

from ._scene import Scene
from ._scene_run import SceneRun

Observer = Callable[[Passage], object]


def simulate(
    scene: Scene, *, seed: int | str = 0, until: float | None = None, observers: Iterable[Observer] = (), trace: int = 0
) -> SceneRun:
    """Run a scene: agents gather, exchange descriptions, connect or fail, and exchange some data.

    Args:
        scene: what runs.
        seed: of everything random; the same seed gives the same run, byte for byte.
        until: virtual seconds to stop at. Left out: as `Scene.duration` says.
        observers: called with each line about packets, see `Network.watch`.
        trace: how many of these lines to keep, see `Network`.

    Raises:
        SimulationError: see `Network.run`.
    """
    world = scene.build(seed=seed, trace=trace)
    for observer in observers:
        world.network.watch(observer)
    return world.run(until=until)
