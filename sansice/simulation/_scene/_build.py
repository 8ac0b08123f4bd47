"""From a scene to a network with its agents, and everything that will happen on its clock."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from sansice.ice import GatheringOptions, IceAgent, IceServer, LiteAgent
from sansice.machine import Address, AddressRecord
from sansice.simulation._nat._dns64 import Dns64
from sansice.simulation._network import Network
from sansice.simulation._world._host import Host
from sansice.stun import HttpProxy

from ._befall import befall
from ._parts import AgentSpec, FirewallSpec, InterfaceSpec, NatSpec, RouterSpec, SegmentSpec, TrafficSpec, traffic_addresses
from ._program import Program
from ._scene_world import SceneWorld
from ._traffic import DISCARD_PORT, Sink, Upload

if TYPE_CHECKING:
    from ._scene import Scene


def build_network(scene: Scene, *, seed: int | str = 0, trace: int = 0) -> SceneWorld:
    """The places and hosts of a scene, on which nothing runs.

    Raises:
        ValueError: what `check_scene` leaves to those who know better, such as how a NAT shares its addresses.
    """
    world = SceneWorld(scene, Network(seed=seed, trace=trace))
    world.network.internet.link = scene.internet
    _add_places(world)
    for host in scene.hosts:
        _add_host(world, host.name, host.all_interfaces)
    for service in scene.services:
        _add_host(world, service.name, [InterfaceSpec(address, service.behind) for address in service.addresses])
    for name in scene.names:
        world.network.resolve(name.name, [AddressRecord(address) for address in name.addresses])
    return world


def build(scene: Scene, *, seed: int | str, trace: int) -> SceneWorld:
    """See `Scene.build`."""
    world = build_network(scene, seed=seed, trace=trace)
    for service in scene.services:
        world.serve(service.name)
    for traffic in scene.traffic:
        _add_traffic(world, traffic)
    _add_agents(world)
    _add_calls(world)
    for at in scene.changes:
        world.network.at(at.time, partial(befall, world, at.change))
    return world


def _add_places(world: SceneWorld) -> None:
    waiting = {spec.name: spec for spec in world.scene.crossings}
    while waiting:  # outer ones first, in whatever order they are written
        for spec in list(waiting.values()):
            if spec.behind is None or spec.behind in world.places or spec.behind in world.routers:
                del waiting[spec.name]
                _add_place(world, spec)


def _add_place(world: SceneWorld, spec: SegmentSpec | RouterSpec | NatSpec | FirewallSpec) -> None:
    match spec:
        case SegmentSpec():
            _add_segment(world, spec)
        case RouterSpec():
            behind = world.places[spec.behind]
            world.routers[spec.name] = world.network.router(spec.name, behind=behind, link=spec.link)
        case NatSpec():
            _add_nat(world, spec)
        case _:
            _add_firewall(world, spec)


def _add_segment(world: SceneWorld, spec: SegmentSpec) -> None:
    behind = None if spec.behind is None else world.routers.get(spec.behind) or world.places[spec.behind]
    world.places[spec.name] = world.network.segment(spec.name, *spec.prefixes, behind=behind, link=spec.link)


def _add_nat(world: SceneWorld, spec: NatSpec) -> None:
    world.places[spec.name] = world.nats[spec.name] = world.network.nat(
        *spec.outside,
        kind=spec.nat_kind,
        forwards=spec.forwards,
        firewall=spec.firewall,
        nat64=spec.nat64_prefix,
        behind=world.places[spec.behind],
        link=spec.link,
        lan=spec.lan,
        name=spec.name,
    )


def _add_firewall(world: SceneWorld, spec: FirewallSpec) -> None:
    world.places[spec.name] = world.firewalls[spec.name] = world.network.firewall(
        spec.firewall_kind, behind=world.places[spec.behind], link=spec.link, lan=spec.lan, name=spec.name
    )


def _add_host(world: SceneWorld, name: str, interfaces: Sequence[InterfaceSpec]) -> None:
    host = world.hosts[name] = world.network.host(name)
    for spec in interfaces:
        interface = host.attach(spec.address, world.places[spec.behind], link=spec.link)
        world.interfaces[name, spec.address] = interface
        if not spec.up:
            interface.down()
    _tell_names_through_dns64(world, host, interfaces)


def _tell_names_through_dns64(world: SceneWorld, host: Host, interfaces: Sequence[InterfaceSpec]) -> None:
    prefixes = {spec.name: spec.nat64_prefix for spec in world.scene.nats}
    if all(":" in spec.address for spec in interfaces):
        for spec in interfaces:
            prefix = prefixes.get(spec.behind)
            if prefix is not None:
                host.names = Dns64(host.names, prefix)
                return


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
        agent = _agent(spec, world.scene, host)
        program = Program(
            spec.name,
            agent,
            host,
            world.network,
            world.scene.signalling,
            world.scene.payload,
            trickles=spec.trickle,
            roams=spec.roams,
            talks=spec.talks,
        )
        world.programs[spec.name] = program
        peer = world.programs.get(world.scene.peer_of(spec))
        if peer is not None:
            peer.pair_up(program)
        world.network.at(spec.start, program.begin)


def _agent(spec: AgentSpec, scene: Scene, host: Host) -> IceAgent | LiteAgent:
    if spec.lite:
        return LiteAgent(
            controlling=spec.controlling,
            streams=spec.streams,
            components=spec.components,
            gathering=GatheringOptions(tcp=spec.tcp),
            entropy=host.entropy,
        )
    return IceAgent(
        controlling=spec.controlling,
        streams=spec.streams,
        components=spec.components,
        servers=[_server(url, scene) for url in spec.ice_servers],
        policy=spec.policy,
        gathering=GatheringOptions(tcp=spec.tcp, continual=spec.roams and spec.trickle, proxy=_proxy(spec.proxy, scene)),
        nomination=spec.nomination.policy,
        entropy=host.entropy,
    )


def _proxy(name: str, scene: Scene) -> HttpProxy | None:
    """With what an agent must know of a proxy."""
    if not name:
        return None
    spec = next(spec for spec in scene.proxies if spec.name == name)
    who = (spec.username, spec.password) if spec.username else (None, None)
    return HttpProxy(spec.addresses[0], spec.port, *who)


def _server(url: str, scene: Scene) -> IceServer:
    """With what an agent must know of the TURN server that it means."""
    relay = scene.turn_server_of(url)
    if relay is None:
        return IceServer(url)
    return IceServer(url, username=relay.username, credential=relay.password, verify_name=relay.domain)


def _add_calls(world: SceneWorld) -> None:
    servers = {spec.name: spec for spec in world.scene.turn_servers}
    for spec in world.scene.calls:
        from ._relay_call import RelayCall  # only scenes with relays load a TURN client

        hosts = world.hosts[spec.host], world.hosts[spec.to]
        call = RelayCall(spec, servers[spec.server], hosts, world.network, world.scene.signalling, world.scene.payload)
        world.calls[spec.name] = call
        world.network.at(spec.start, call.begin)
