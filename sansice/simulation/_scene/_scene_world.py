"""A scene that has been built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sansice.ice import IceAgent
from sansice.simulation._nat._nat import Nat
from sansice.simulation._network import Network
from sansice.simulation._responder import BindingResponder
from sansice.simulation._world._host import Host
from sansice.simulation._world._node import Node
from sansice.simulation._world._segment import Interface, Place

from ._parts import INTERNET
from ._program import Program

if TYPE_CHECKING:
    from ._scene import Scene


class SceneWorld:
    """A scene that has been built: a network at time 0, with agents that will gather as soon as time passes.

    Attributes:
        scene: what was built.
        network: let time pass in it.
        places: what can be stood behind by name, the Internet as ``"internet"``.
        nats: by name; these are places, too.
        hosts: by name, those of servers too.
        interfaces: of these hosts, by the host's name and the address that the interface has at present.
        servers: what runs on the hosts of servers, by name.
        programs: what runs the agents, by the agent's name, in their order.
    """

    __slots__ = ("hosts", "interfaces", "nats", "network", "places", "programs", "scene", "servers")

    def __init__(self, scene: Scene, network: Network) -> None:
        self.scene: Scene = scene
        self.network: Network = network
        self.places: dict[str, Place] = {INTERNET: network.internet}
        self.nats: dict[str, Nat] = {}
        self.hosts: dict[str, Host] = {}
        self.servers: dict[str, Node] = {}
        self.programs: dict[str, Program] = {}
        self.interfaces: dict[tuple[str, str], Interface] = {}

    @property
    def agents(self) -> Mapping[str, IceAgent]:
        """The agents by name."""
        return MappingProxyType({name: program.agent for name, program in self.programs.items()})

    @property
    def nodes(self) -> Mapping[str, Node]:
        """What runs the agents, by name."""
        return MappingProxyType({name: program.node for name, program in self.programs.items()})

    @property
    def callers(self) -> list[Program]:
        """One program of each couple."""
        return [program for program in self.programs.values() if program.caller]

    def serve(self, name: str) -> None:
        """Run a server on its host, at the start or again."""
        host = self.hosts[name]
        port = next(spec.port for spec in self.scene.servers if spec.name == name)
        self.servers[name] = host.run(BindingResponder(host.addresses, port))
