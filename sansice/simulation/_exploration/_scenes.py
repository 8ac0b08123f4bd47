"""Scenes as arenas: what is tried in them, and from when on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._node import Node

from ._arena import Arena

TRIED = 5.0  # seconds from the first check on: all checks and nominations, and the first consent check (RFC 7675 5.1)
SETTLE = 120.0  # seconds: 39.5 of a check, 40 of a sleep, 30 of consent


def scene_arena(scene: Scene, *, seed: int | str = 0) -> Arena:
    """A scene, tried from when its first agent begins to check; faults are reboots of its NATs, and agents killed.

    Args:
        scene: with two agents, or several couples.
        seed: of its network.

    Raises:
        ValueError: it has no agents.
    """
    world = scene.build(seed=seed)
    agents = tuple(world.agents.values())
    faults = {f"{name} reboots": nat.forget for name, nat in world.nats.items()}
    nodes = {name: program.node for name, program in world.programs.items()}
    faults.update({f"{name} is killed": node.stop for name, node in nodes.items()})
    return Arena(
        world.network,
        nodes,
        faults=faults,
        places=dict(_places(scene, nodes)),
        sound=scene.expect.connected and not scene.changes,
        begins=lambda: any(agent.remote_candidates for agent in agents),
        until=TRIED,
        settle=SETTLE,
    )


def _places(scene: Scene, nodes: Mapping[str, Node]) -> Iterator[tuple[str, str]]:
    """The outer addresses of each NAT that has a single agent behind it, as that agent's."""
    behind = {barrier.name: barrier.behind for barrier in scene.barriers}
    for nat in scene.nats:
        inside: list[str] = []
        for name, node in nodes.items():
            host = next(host for host in scene.hosts if host.name == node.host.name)
            if any(nat.name in _outwards(interface.behind, behind) for interface in host.all_interfaces):
                inside.append(name)
        if len(inside) == 1:
            for address in nat.outside:
                yield address, inside[0]


def _outwards(place: str, behind: dict[str, str]) -> Iterator[str]:
    while True:
        yield place
        if place not in behind:
            return
        place = behind[place]
