"""Who has which address at which place, read from a scene alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sansice.simulation._scene._parts import INTERNET, FirewallSpec, NatSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

GateSpec: TypeAlias = NatSpec | FirewallSpec
"""What stands between two places."""


class Geography:
    """The places of a scene and what is attached to them.

    Attributes:
        gates: the NATs and firewalls by name; each is the place inside it, too.
        addresses: of each host and server, with the place where each is attached, in order.
    """

    __slots__ = ("_dead", "_owners", "addresses", "gates")

    def __init__(self, scene: Scene) -> None:
        gates: list[GateSpec] = [*scene.nats, *scene.firewalls]
        self.gates: dict[str, GateSpec] = {spec.name: spec for spec in gates}
        self.addresses: dict[str, dict[str, str]] = {}
        for host in scene.hosts:
            up = [interface for interface in host.all_interfaces if interface.up]
            self.addresses[host.name] = {interface.address: interface.behind for interface in up}
        for server in scene.servers:
            self.addresses[server.name] = dict.fromkeys(server.addresses, server.behind)
        for proxy in scene.proxies:
            self.addresses[proxy.name] = dict.fromkeys(proxy.addresses, proxy.behind)
        self._dead = [where for where, link in links(scene) if link.loss == 1.0]
        self._owners: dict[tuple[str, str], str] = {}
        for nat in scene.nats:
            self._attach(nat.name, dict.fromkeys(nat.outside, nat.behind))
        for name, places in self.addresses.items():
            self._attach(name, places)

    def owner(self, place: str, address: str) -> str | None:
        """The host or gate that takes packets for ``address`` at ``place``; ``None``: nobody there, so its way out does."""
        return self._owners.get((place, address))

    def is_dead(self, place: str, owner: str, address: str) -> bool:
        """Whether nothing gets onto or off a place from ``owner``, who has ``address`` there if it is a host."""
        return any(where in self._dead for where in ((place, "", ""), (place, owner, ""), (place, owner, address)))

    def _attach(self, owner: str, places: Mapping[str, str]) -> None:
        """Make addresses known where they are, and beyond every gate that has no outer address of their family: it routes."""
        for address, place in places.items():
            here = owner
            self._owners[place, address] = here
            while place in self.gates and not outer_addresses(self.gates[place], address):
                here, place = place, self.gates[place].behind
                self._owners[place, address] = here


def links(scene: Scene) -> Iterator[tuple[tuple[str, str, str], Link]]:
    """All links: of a place, of a gate at the place outside it, of a host's interface by its address."""
    yield (INTERNET, "", ""), scene.internet
    for segment in scene.segments:
        yield (segment.name, "", ""), segment.link
    gates: list[GateSpec] = [*scene.nats, *scene.firewalls]
    for gate in gates:
        yield (gate.name, "", ""), gate.lan
        if gate.link is not None:
            yield (gate.behind, gate.name, ""), gate.link
    for host in scene.hosts:
        for interface in host.all_interfaces:
            if interface.link is not None:
                yield (interface.behind, host.name, interface.address), interface.link


def outer_addresses(gate: GateSpec, address: str) -> tuple[str, ...]:
    """The outer addresses by which a NAT hides an inner one: those of its family. A firewall has none."""
    outside = gate.outside if isinstance(gate, NatSpec) else ()
    return tuple(outer for outer in outside if (":" in outer) == (":" in address))
