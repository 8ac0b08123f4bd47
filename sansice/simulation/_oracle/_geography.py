"""Who has which address at which place, read from a scene alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sansice.simulation._scene._parts import INTERNET, FirewallSpec, NatSpec, RouterSpec, SegmentSpec
from sansice.simulation._scene._scene import Scene
from sansice.simulation._world._link import Link

GateSpec: TypeAlias = NatSpec | FirewallSpec | RouterSpec | SegmentSpec
"""What stands between two places: a segment with a way out, too, for it has a router there."""


class Geography:
    """The places of a scene and what is attached to them.

    Attributes:
        gates: what leads from one place to another, by name; each is the place inside it, too.
        outside: the place to which each of them leads.
        addresses: of each host and server, with the place where each is attached, in order.
    """

    __slots__ = ("_dead", "_owners", "addresses", "gates", "outside")

    def __init__(self, scene: Scene) -> None:
        self.gates: dict[str, GateSpec] = {}
        self.outside: dict[str, str] = {}
        for gate in _crossings(scene):
            if gate.behind is not None:
                self.gates[gate.name], self.outside[gate.name] = gate, gate.behind
        self.addresses: dict[str, dict[str, str]] = {}
        for host in scene.hosts:
            up = [interface for interface in host.all_interfaces if interface.up]
            self.addresses[host.name] = {interface.address: interface.behind for interface in up}
        for service in scene.services:
            self.addresses[service.name] = dict.fromkeys(service.addresses, service.behind)
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
                here, place = place, self.outside[place]
                self._owners[place, address] = here


def _crossings(scene: Scene) -> tuple[GateSpec, ...]:
    return (*scene.segments, *scene.routers, *scene.nats, *scene.firewalls)


def links(scene: Scene) -> Iterator[tuple[tuple[str, str, str], Link]]:
    """All links: of a place, of a gate at the place outside it, of a host's interface by its address."""
    yield (INTERNET, "", ""), scene.internet
    for gate in _crossings(scene):
        if isinstance(gate, SegmentSpec):
            yield (gate.name, "", ""), gate.link
            continue
        if not isinstance(gate, RouterSpec):
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
