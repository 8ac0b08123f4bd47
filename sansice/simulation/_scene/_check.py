"""What makes a scene impossible, each said with its place."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sansice.ice import IceServer
from sansice.stun import ServerUri

from ._changes import AgentRestarted, At, HostSlept, InterfaceDown, InterfaceReaddressed, InterfaceUp, LinkChanged, NatRebooted
from ._parts import INTERNET, AgentSpec, HostSpec, NatSpec, RouterSpec, traffic_addresses

if TYPE_CHECKING:
    from ._scene import Scene

# Addresses that mean nothing on the Internet: RFC 1918, RFC 6598, RFC 3927, RFC 1122 3.2.1.3, RFC 4193, RFC 4291 2.5.
_PRIVATE = [
    ipaddress.ip_network(network)
    for network in (
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "100.64.0.0/10",
        "169.254.0.0/16",
        "127.0.0.0/8",
        "fc00::/7",
        "fe80::/10",
        "::1/128",
    )
]


def check_scene(scene: Scene) -> None:
    """Find out whether a scene can be built.

    Raises:
        ValueError: it cannot; the text names the place.
    """
    _check_names(scene)
    _check_places(scene)
    _check_addresses(scene)
    _check_routes(scene)
    _check_traffic(scene)
    _check_agents(scene)
    _check_calls(scene)
    for index, at in enumerate(scene.changes):
        _check_change(scene, f"changes[{index}]", at)


def _named(scene: Scene) -> Iterator[tuple[str, str]]:
    """Where each name of the one space of names is given, and the name."""
    for field in ("segments", "routers", "nats", "firewalls", "hosts", "servers", "turn_servers", "proxies"):
        for index, part in enumerate(getattr(scene, field)):
            yield f"{field}[{index}] {part.name!r}", part.name


def _check_names(scene: Scene) -> None:
    where_first = {INTERNET: "the place that every scene has"}
    for where, name in _named(scene):
        if name in where_first:
            raise ValueError(f"{where}: the name is taken by {where_first[name]}")
        where_first[name] = where
    zone: dict[str, int] = {}
    for index, spec in enumerate(scene.names):
        if zone.setdefault(spec.name.rstrip(".").lower(), index) != index:
            raise ValueError(f"names[{index}] {spec.name!r}: answered before")


def _check_places(scene: Scene) -> None:
    places, routers = _places(scene), [spec.name for spec in scene.routers]
    for where, behind in _stands(scene):
        known = [*places, *routers] if where.startswith("segments") else places
        if behind not in known:
            raise ValueError(f"{where}: there is no place {behind!r} to stand behind")
    outside = {spec.name: spec.behind for spec in scene.crossings if spec.behind is not None}
    for name in outside:
        path = [name]
        while path[-1] in outside:
            path.append(outside[path[-1]])
            if path[-1] in path[:-1]:
                raise ValueError(f"{name!r} stands behind itself: {' behind '.join(map(repr, path))}")


def _places(scene: Scene) -> list[str]:
    """Where hosts may stand."""
    return [INTERNET, *(spec.name for spec in scene.crossings if not isinstance(spec, RouterSpec))]


def _stands(scene: Scene) -> Iterator[tuple[str, str]]:
    for field in ("segments", "routers", "nats", "firewalls"):
        for index, spec in enumerate(getattr(scene, field)):
            if spec.behind is not None:
                yield f"{field}[{index}] {spec.name!r}", spec.behind
    for where, _, behind in _attached(scene):
        yield where, behind


def _attached(scene: Scene) -> Iterator[tuple[str, str, str]]:
    """Where, which address, at which place."""
    for index, nat in enumerate(scene.nats):
        for address in nat.outside:
            yield f"nats[{index}] {nat.name!r}", address, nat.behind
    for index, host in enumerate(scene.hosts):
        for interface in host.all_interfaces:
            yield f"hosts[{index}] {host.name!r}", interface.address, interface.behind
    for field in ("servers", "turn_servers", "proxies"):
        for index, server in enumerate(getattr(scene, field)):
            for address in server.addresses:
                yield f"{field}[{index}] {server.name!r}", address, server.behind


def _check_addresses(scene: Scene) -> None:
    taken: dict[tuple[str, str], str] = {}
    for where, address, behind in _attached(scene):
        places = list(_known_at(scene, address, behind))
        for place in places:
            if (place, address) in taken:
                other = taken[place, address]
                raise ValueError(f"{where}: {address} at {place!r} is taken by {other}, and no NAT stands between them")
            taken[place, address] = where
        if places[-1] == INTERNET and is_private(address):
            raise ValueError(f"{where}: {address} is private, and no NAT stands between it and the Internet")


def _known_at(scene: Scene, address: str, behind: str) -> Iterator[str]:
    """The places where an address is known: only a NAT with an outer address of its family hides it."""
    routes = {spec.name: spec.behind for spec in scene.crossings if not _is_translated(address, spec)}
    outer: str | None = behind
    while outer is not None:
        yield outer
        outer = routes.get(outer)


def _is_translated(address: str, spec: object) -> bool:
    return isinstance(spec, NatSpec) and any((":" in address) == (":" in outer) for outer in spec.outside)


def is_private(address: str) -> bool:
    """Whether an address means nothing on the Internet."""
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in _PRIVATE if network.version == parsed.version)


def _check_routes(scene: Scene) -> None:
    """Every host must have somebody whom it could reach: a way out, or a neighbour."""
    dead_ends = {spec.name for spec in scene.segments if spec.behind is None}
    crowd = [(place, where) for where, _, place in _attached(scene)]
    for index, host in enumerate(scene.hosts):
        where = f"hosts[{index}] {host.name!r}"
        addresses = [interface.address for interface in host.all_interfaces]
        for address in addresses:
            if addresses.count(address) > 1:
                raise ValueError(f"{where}: {address} twice")
        places = {interface.behind for interface in host.all_interfaces}
        if not places:
            raise ValueError(f"{where}: no address, so no route to anybody")
        if places <= dead_ends and all(place not in places or other == where for place, other in crowd):
            behind = host.all_interfaces[0].behind
            raise ValueError(f"{where}: no route to anybody: {behind!r} leads nowhere, and nobody else is there")


def _check_traffic(scene: Scene) -> None:
    hosts = {host.name: host for host in scene.hosts}
    for index, traffic in enumerate(scene.traffic):
        where = f"traffic[{index}]"
        for name in (traffic.host, traffic.to):
            _require(where, "host", name, list(hosts))
        try:
            traffic_addresses(hosts[traffic.host], hosts[traffic.to])
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _check_agents(scene: Scene) -> None:
    hosts = {host.name for host in scene.hosts}
    agents = {agent.name: agent for agent in scene.agents}
    seen: dict[str, int] = {}
    for index, agent in enumerate(scene.agents):
        where = f"agents[{index}] {agent.name!r}"
        if agent.host not in hosts:
            raise ValueError(f"{where}: there is no host {agent.host!r}")
        if seen.setdefault(agent.name, index) != index:
            raise ValueError(f"{where}: agents[{seen[agent.name]}] has this name; give one of them a name of its own")
        _check_servers(where, agent)
        if agent.proxy:
            _require(where, "proxy", agent.proxy, [proxy.name for proxy in scene.proxies])
    for index, agent in enumerate(scene.agents):
        where = f"agents[{index}] {agent.name!r}"
        peer = scene.peer_of(agent)
        if not peer:
            raise ValueError(f"{where}: no peer: name one where there are not exactly two agents")
        if peer not in agents:
            raise ValueError(f"{where}: there is no agent {peer!r} to connect with")
        if peer == agent.name or scene.peer_of(agents[peer]) != agent.name:
            raise ValueError(f"{where}: {peer!r} does not connect with it")
        if (agents[peer].streams, agents[peer].components) != (agent.streams, agent.components):
            raise ValueError(f"{where}: {peer!r} has other streams or components")


def _check_servers(where: str, agent: AgentSpec) -> None:
    for server in agent.ice_servers:
        for url in IceServer(server).urls:
            try:
                uri = ServerUri.parse(url)
            except ValueError as error:
                raise ValueError(f"{where}: ICE server {error}") from None
            if uri.scheme == "stuns":
                raise ValueError(f"{where}: ICE server {url!r}: what it sees is a connection, and a candidate is a UDP socket")


def _check_calls(scene: Scene) -> None:
    hosts = {host.name: [interface.address for interface in host.all_interfaces] for host in scene.hosts}
    servers = {spec.name: list(spec.addresses) for spec in scene.turn_servers}
    taken = {agent.name: f"agents[{index}]" for index, agent in enumerate(scene.agents)}
    for index, call in enumerate(scene.calls):
        where = f"calls[{index}] {call.name!r}"
        for name in (call.host, call.to):
            _require(where, "host", name, list(hosts))
        if call.host == call.to:
            raise ValueError(f"{where}: {call.host!r} calls itself")
        _require(where, "TURN server", call.server, list(servers))
        if taken.setdefault(call.name, f"calls[{index}]") != f"calls[{index}]":
            raise ValueError(f"{where}: {taken[call.name]} has this name; give one of them a name of its own")
        for name in (call.host, call.to):
            if not _families(hosts[name]) & _families(servers[call.server]):
                raise ValueError(f"{where}: {name!r} and {call.server!r} have no family of addresses in common")


def _families(addresses: list[str]) -> set[bool]:
    return {":" in address for address in addresses}


def _check_change(scene: Scene, where: str, at: At) -> None:
    match at.change:
        case InterfaceDown() | InterfaceUp() | InterfaceReaddressed() as change:
            _check_interface(scene, where, change.host, change.address)
        case AgentRestarted(agent=name):
            _require(where, "agent", name, [spec.name for spec in scene.agents])
        case HostSlept(host=name):
            _require(where, "host", name, [spec.name for spec in scene.hosts])
        case NatRebooted(nat=name):
            _require(where, "NAT", name, [spec.name for spec in scene.nats])
        case LinkChanged(place=name):
            _require(where, "place", name, _places(scene))
        case change:
            _require(where, "server", change.server, [spec.name for spec in scene.services])


def _check_interface(scene: Scene, where: str, name: str, address: str) -> None:
    hosts: dict[str, HostSpec] = {spec.name: spec for spec in scene.hosts}
    _require(where, "host", name, list(hosts))
    addresses = {interface.address for interface in hosts[name].all_interfaces}
    addresses |= {at.change.to for at in scene.changes if isinstance(at.change, InterfaceReaddressed) and at.change.host == name}
    if address not in addresses:
        raise ValueError(f"{where}: {name!r} never has the address {address}")


def _require(where: str, kind: str, name: str, names: list[str]) -> None:
    if name not in names:
        raise ValueError(f"{where}: there is no {kind} {name!r}")
