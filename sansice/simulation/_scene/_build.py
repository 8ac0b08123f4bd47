"""From a scene to a network with its agents, and everything that will happen on its clock."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from sansice.ice import IceAgent
from sansice.machine import Address, AddressRecord
from sansice.simulation._network import Network
from sansice.simulation._world._segment import Segment

from ._befall import befall
from ._parts import FirewallSpec, InterfaceSpec, NatSpec, TrafficSpec, traffic_addresses
from ._program import Program
from ._scene_world import SceneWorld
from ._traffic import DISCARD_PORT, Sink, Upload

if TYPE_CHECKING:
    from ._scene import Scene


def build(scene: Scene, *, seed: int | str, trace: int) -> SceneWorld:
    """See `Scene.build`."""
    world = SceneWorld(scene, Network(seed=seed, trace=trace))
    world.network.internet.link = scene.internet
    _add_places(world)
    for host in scene.hosts:
        _add_host(world, host.name, host.all_interfaces)
    for server in scene.services:
        _add_host(world, server.name, [InterfaceSpec(address, server.behind) for address in server.addresses])
        world.serve(server.name)
    for name in scene.names:
        world.network.resolve(name.name, [AddressRecord(address) for address in name.addresses])
    for traffic in scene.traffic:
        _add_traffic(world, traffic)
    _add_agents(world)
    for at in scene.changes:
        world.network.at(at.time, partial(befall, world, at.change))
    return world


def _add_places(world: SceneWorld) -> None:
    for segment in world.scene.segments:
        world.places[segment.name] = Segment(world.network.internet.world, segment.name, segment.link)
    waiting = {spec.name: spec for spec in world.scene.barriers}
    while waiting:  # outer ones first, in whatever order they are written
        for spec in [spec for spec in waiting.values() if spec.behind in world.places]:
            del waiting[spec.name]
            if isinstance(spec, NatSpec):
                _add_nat(world, spec)
            else:
                _add_firewall(world, spec)


def _add_nat(world: SceneWorld, spec: NatSpec) -> None:
    world.places[spec.name] = world.nats[spec.name] = world.network.nat(
        *spec.outside,
        kind=spec.nat_kind,
        forwards=spec.forwards,
        firewall=spec.firewall,
        behind=world.places[spec.behind],
        link=spec.link,
        lan=spec.lan,
        name=spec.name,
    )


def _add_firewall(world: SceneWorld, spec: FirewallSpec) -> None:
    world.places[spec.name] = world.firewalls[spec.name] = world.network.firewall(
        spec.firewall_kind, behind=world.places[spec.behind], link=spec.link, lan=spec.lan, name=spec.name
    )


def _add_host(world: SceneWorld, name: str, interfaces: Iterable[InterfaceSpec]) -> None:
    host = world.hosts[name] = world.network.host(name)
    for spec in interfaces:
        interface = host.attach(spec.address, world.places[spec.behind], link=spec.link)
        world.interfaces[name, spec.address] = interface
        if not spec.up:
            interface.down()


def _add_traffic(world: SceneWorld, spec: TrafficSpec) -> None:
    specs = {host.name: host for host in world.scene.hosts}
    local, remote = traffic_addresses(specs[spec.host], specs[spec.to])
    world.hosts[spec.to].run(Sink(remote))
    upload = Upload(
        local,
        Address(remote, DISCARD_PORT),
        interval=8 * spec.size / spec.rate,
        data=bytes(spec.size),
        start=spec.start,
        stop=spec.stop,
    )
    world.hosts[spec.host].run(upload)


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
