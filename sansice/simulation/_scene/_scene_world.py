"""A scene that has been built."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sansice.ice import IceAgent, IceState, LiteAgent
from sansice.simulation._nat._firewall import Firewall
from sansice.simulation._nat._nat import Nat
from sansice.simulation._network import Network
from sansice.simulation._responder import BindingResponder
from sansice.simulation._world._host import Host
from sansice.simulation._world._host_interface import HostInterface
from sansice.simulation._world._node import Node
from sansice.simulation._world._packets import Fate, Passage
from sansice.simulation._world._proxy import ForwardProxy
from sansice.simulation._world._router import Router
from sansice.simulation._world._segment import Place

from ._parts import INTERNET, ProxySpec
from ._program import ROUND, ROUNDS, Program
from ._relays import TurnServerSpec
from ._scene_run import SceneRun, report

if TYPE_CHECKING:
    from ._relay_call import RelayCall
    from ._scene import Scene

SETTLING = 60.0  # s from the last start: 3 gathering, 39.5 patience (RFC 8863 4), 10 for a check that ended it
AFTERMATH = 45.0  # s after the last change: consent lives for 30 (RFC 7675 5.1)


class SceneWorld:
    """A scene that has been built: a network at time 0, with agents that will gather as soon as time passes.

    Attributes:
        scene: what was built.
        network: let time pass in it.
        places: what can be stood behind by name, the Internet as ``"internet"``.
        routers: by name.
        nats, firewalls: by name; these are places, too.
        hosts: by name, those of servers and proxies too.
        interfaces: of these hosts, by the host's name and the address that the interface has at present.
        servers: what runs on the hosts of servers and proxies, by name.
        programs: what runs the agents, by the agent's name, in their order.
        calls: what runs both ends of the calls through relays, by their names.
    """

    __slots__ = (
        "calls",
        "firewalls",
        "hosts",
        "interfaces",
        "nats",
        "network",
        "places",
        "programs",
        "routers",
        "scene",
        "servers",
    )

    def __init__(self, scene: Scene, network: Network) -> None:
        self.scene: Scene = scene
        self.network: Network = network
        self.places: dict[str, Place] = {INTERNET: network.internet}
        self.routers: dict[str, Router] = {}
        self.nats: dict[str, Nat] = {}
        self.firewalls: dict[str, Firewall] = {}
        self.hosts: dict[str, Host] = {}
        self.servers: dict[str, Node] = {}
        self.programs: dict[str, Program] = {}
        self.calls: dict[str, RelayCall] = {}
        self.interfaces: dict[tuple[str, str], HostInterface] = {}

    @property
    def agents(self) -> Mapping[str, IceAgent | LiteAgent]:
        """The agents by name."""
        return MappingProxyType({name: program.agent for name, program in self.programs.items()})

    @property
    def nodes(self) -> Mapping[str, Node]:
        """What runs the agents, by name, and the two ends of calls through relays, by the call's name."""
        agents = {name: program.node for name, program in self.programs.items()}
        clients = {name: call.node for name, call in self.calls.items()}
        peers = {f"{name}'s peer": call.peer_node for name, call in self.calls.items()}
        return MappingProxyType(agents | clients | peers)

    @property
    def callers(self) -> list[Program]:
        """One program of each couple."""
        return [program for program in self.programs.values() if program.caller]

    def serve(self, name: str) -> None:
        """Run a server or a proxy on its host, at the start or again."""
        host = self.hosts[name]
        spec = next(spec for spec in self.scene.services if spec.name == name)
        if isinstance(spec, ProxySpec):
            credentials = {spec.username: spec.password} if spec.username else None
            self.servers[name] = host.run(ForwardProxy(host.addresses, spec.port, ports=spec.ports, credentials=credentials))
        elif isinstance(spec, TurnServerSpec):
            from ._relay_server import run_turn_server  # only scenes with relays load a TURN server

            self.servers[name] = run_turn_server(spec, host)
        else:
            self.servers[name] = host.run(BindingResponder(host.addresses, spec.port))

    @property
    def settled(self) -> bool:
        """Whether every couple has agreed and has its echoes, or waits for them no more, or has failed at both ends."""
        return all(map(_is_settled, self.callers)) and all(call.is_settled for call in self.calls.values())

    @property
    def horizon(self) -> float:
        """The virtual time at which `run` stops at the latest, where nothing is said."""
        starts = max(self.scene.starts, default=0.0) + SETTLING
        return max(self.scene.duration, starts, *(at.ends + AFTERMATH for at in self.scene.changes))

    @property
    def is_over(self) -> bool:
        """Whether `run` stops here, where nothing is said: once it has settled, unless something will change or it is to last."""
        if self.scene.changes or self.scene.duration:
            return self.network.now >= self.horizon
        return self.settled

    def run(self, *, until: float | None = None) -> SceneRun:
        """Let time pass, and report: what `simulate` does, for a world in which a test has changed something before.

        Args:
            until: virtual seconds to stop at. Left out: as `Scene.duration` says.

        Raises:
            SimulationError: see `Network.run`.
        """
        sent = _SentCounter()
        self.network.watch(sent)
        if until is not None:
            self.network.run(until=until)
        else:
            self.network.run(until=self.horizon, when=lambda: self.is_over)
        return report(self, sent.count)


class _SentCounter:
    """Counts the packets that leave hosts."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, passage: Passage) -> None:
        if passage.fate is Fate.SENT:
            self.count += 1


def _is_settled(caller: Program) -> bool:
    if caller.probed_at is not None:
        return caller.echoed >= caller.wants or caller.node.now() >= caller.probed_at + ROUNDS * ROUND
    return caller.agent.state is caller.peer.agent.state is IceState.FAILED
