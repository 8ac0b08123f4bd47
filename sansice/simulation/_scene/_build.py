"""From a scene to a network with its agents, and everything that will happen on its clock."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sansice.ice import IceAgent
from sansice.machine import AddressRecord
from sansice.simulation._nat._nat import Filtering, Mapping, Nat
from sansice.simulation._network import Network
from sansice.simulation._world._segment import Segment

from ._befall import befall
from ._parts import InterfaceSpec, NatSpec
from ._program import Program
from ._scene_world import SceneWorld

if TYPE_CHECKING:
    from ._scene import Scene


def build(scene: Scene, *, seed: int | str, trace: int) -> SceneWorld:
    """See `Scene.build`."""
    world = SceneWorld(scene, Network(seed=seed, trace=trace))
    world.network.internet.link = scene.internet
    _add_places(world)
    for host in scene.hosts:
        _add_host(world, host.name, host.all_interfaces)
    for server in scene.servers:
        _add_host(world, server.name, [InterfaceSpec(address, server.behind) for address in server.addresses])
        world.serve(server.name)
    for name in scene.names:
        world.network.resolve(name.name, [AddressRecord(address) for address in name.addresses])
    _add_agents(world)
    for at in scene.changes:
        world.network.at(at.time, partial(befall, world, at.change))
    return world


def _add_places(world: SceneWorld) -> None:
    for segment in world.scene.segments:
        world.places[segment.name] = Segment(world.network.internet.world, segment.name, segment.link)
    waiting = {spec.name: spec for spec in world.scene.nats}
    while waiting:  # outer ones first, in whatever order they are written
        for spec in [spec for spec in waiting.values() if spec.behind in world.places]:
            del waiting[spec.name]
            world.places[spec.name] = world.nats[spec.name] = _add_nat(world, spec)


_KINDS = {
    "full-cone": (Mapping.ENDPOINT_INDEPENDENT, Filtering.ENDPOINT_INDEPENDENT),
    "restricted-cone": (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_DEPENDENT),
    "port-restricted": (Mapping.ENDPOINT_INDEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT),
    "symmetric": (Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT),
}


def _add_nat(world: SceneWorld, spec: NatSpec) -> Nat:
    mapping, filtering = _KINDS[
        spec.preset.replace("linux-masquerade-open-input", "port-restricted")
        .replace("linux-masquerade", "port-restricted")
        .replace("cgnat", "port-restricted")
    ]
    return world.network.nat(
        *spec.outside,
        mapping=spec.mapping or mapping,
        filtering=spec.filtering or filtering,
        lifetime=math.inf if spec.lifetime is None else spec.lifetime,
        hairpinning=bool(spec.hairpinning),
        alg=bool(spec.alg),
        behind=world.places[spec.behind],
        link=spec.link,
        lan=spec.lan,
        name=spec.name,
    )


def _add_host(world: SceneWorld, name: str, interfaces: Iterable[InterfaceSpec]) -> None:
    host = world.hosts[name] = world.network.host(name)
    for spec in interfaces:
        interface = host.attach(spec.address, world.places[spec.behind], link=spec.link)
        world.interfaces[name, spec.address] = interface
        if not spec.up:
            interface.down()


def _add_agents(world: SceneWorld) -> None:
    for spec in world.scene.agents:
        host = world.hosts[spec.host]
        agent = IceAgent(controlling=spec.controlling, servers=spec.ice_servers, entropy=host.entropy)
        program = Program(spec.name, agent, host, world.network, world.scene.signalling, world.scene.payload)
        world.programs[spec.name] = program
        peer = world.programs.get(world.scene.peer_of(spec))
        if peer is not None:
            peer.pair_up(program)
        world.network.at(spec.start, program.begin)
