"""Scenes at random, for whatever makes choices: a seeded source or Hypothesis."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Protocol, TypeVar

import attrs

from sansice.ice import CandidatePolicy
from sansice.machine import Transport
from sansice.simulation._nat._forwards import Forward
from sansice.simulation._nat._kind import Filtering, Hairpinning, Mapping
from sansice.simulation._nat._presets import FIREWALL_PRESETS, NAT_PRESETS
from sansice.simulation._scene._parts import (
    INTERNET,
    AgentSpec,
    FirewallSpec,
    HostSpec,
    InterfaceSpec,
    NatSpec,
    SegmentSpec,
    StunServerSpec,
)
from sansice.simulation._scene._relays import TurnServerSpec
from sansice.simulation._scene._scene import Scene
from sansice.stun import ServerUri

T = TypeVar("T")

# How one agent reaches one server; and what it hides.
_TRANSPORTS = (
    (Transport.UDP,),
    (Transport.TCP,),
    (Transport.TLS,),
    (Transport.DTLS,),
    (Transport.UDP, Transport.TLS),
    (Transport.UDP,),
    (),
)
_POLICIES = (*(CandidatePolicy.ALL,) * 6, CandidatePolicy.NO_HOST, CandidatePolicy.RELAY)

_VPN = "VPN"
_NEW = "somewhere new"
_PUBLIC = "203.0.113"  # RFC 5737
_PRIVATE = ("192.168.1", "10.0.0")  # few, so that they overlap


class Choose(Protocol):
    """Chooses one of several; what comes first is the simplest."""

    def __call__(self, options: Sequence[T], /) -> T:
        """One of ``options``, which are never none."""
        ...


def random_scene(choose: Choose, *, name: str = "random", relays: bool = False) -> Scene:
    """Two agents somewhere among NATs: a scene that can be built, whose agents may or may not connect.

    Each has one address or two, each of these on the Internet, on a VPN, or behind one NAT or firewall or two in a row, which
    it may share with others. NATs have every mapping, filtering and hairpinning, or any preset; firewalls any preset. There
    are one family or both, overlapping private addresses, STUN servers here and there or none. Links lose nothing.

    Args:
        choose: ``random.Random(seed).choice``, or in a test of Hypothesis ``lambda options: draw(sampled_from(options))``.
        name: of the scene.
        relays: whether there are TURN servers on the Internet, too, one or two, which agents reach over UDP, TCP, TLS and DTLS,
            or cannot reach; and agents that hide some of their addresses.
    """
    return _Builder(choose).scene(name, relays=relays)


class _Builder:
    """A scene in the making: who stands where, and which addresses are taken.

    A NAT is made when something is to stand behind it, so that none is there for nothing, and whoever shrinks the choices
    shrinks the scene.
    """

    def __init__(self, choose: Choose) -> None:
        self._choose = choose
        self._ipv4, self._ipv6 = choose(((True, False), (True, True), (False, True)))
        self._prefixes: dict[str, str] = {INTERNET: _PUBLIC, _VPN: "10.8.0"}
        self._taken: Counter[str] = Counter()
        self._nats: list[NatSpec] = []
        self._firewalls: list[FirewallSpec] = []
        self._outermost: list[str] = []

    def scene(self, name: str, *, relays: bool) -> Scene:
        hosts = (self._host("alice"), self._host("bob"))
        servers = tuple(
            StunServerSpec(f"stun {number}", self._addresses(place), behind=place)
            for number, place in enumerate(self._server_places(), 1)
        )
        agents = self._agents([str(ServerUri("stun", address)) for server in servers for address in server.addresses])
        turn_servers = tuple(self._turn_server(number) for number in self._choose(((1,), (1, 2)))) if relays else ()
        if relays:
            agents = tuple(self._with_relays(agent, turn_servers) for agent in agents)
        return Scene(
            name=name,
            segments=(SegmentSpec(_VPN),) if self._taken[_VPN] else (),
            nats=tuple(self._nats),
            firewalls=tuple(self._firewalls),
            hosts=hosts,
            servers=servers,
            turn_servers=turn_servers,
            agents=agents,
        )

    def _gates(self) -> list[str]:
        return [*(nat.name for nat in self._nats), *(firewall.name for firewall in self._firewalls)]

    def _place(self) -> str:
        """Where somebody may stand."""
        place = self._choose((INTERNET, _NEW, _NEW, _NEW, *self._gates()))
        if place != _NEW:
            return place
        behind = self._choose((INTERNET, INTERNET, _NEW, *self._outermost))
        return self._new_gate(self._new_gate(INTERNET) if behind == _NEW else behind)

    def _new_gate(self, behind: str) -> str:
        is_nat = self._choose((True, True, True, False))
        name = f"NAT {len(self._nats) + 1}" if is_nat else f"firewall {len(self._firewalls) + 1}"
        if is_nat:
            self._prefixes[name] = self._choose(_PRIVATE)
            self._nats.append(self._nat(name, behind))
        else:
            self._prefixes[name] = behind
            self._firewalls.append(FirewallSpec(name, self._choose(tuple(FIREWALL_PRESETS)), behind=behind))
        if behind == INTERNET:
            self._outermost.append(name)
        return name

    def _nat(self, name: str, behind: str) -> NatSpec:
        outside = self._addresses(behind)
        firewall = None
        if self._choose((True, False)) and len(outside) > 1:  # most NATs route IPv6
            del outside[1]
            firewall = self._choose((None, "stateful", "stateful-open"))
        forwards: tuple[Forward, ...] = ()
        if self._choose((False, False, False, True)) and self._ipv4:
            forwards = (Forward((outside[0], 0), (f"{self._prefixes[name]}.2", 0)),)
        spec = NatSpec(name, tuple(outside), firewall=firewall, forwards=forwards, behind=behind)
        if self._choose((False, False, True)):
            return self._with_pool(attrs.evolve(spec, preset=self._choose(tuple(NAT_PRESETS))))
        return attrs.evolve(
            spec,
            mapping=self._choose(tuple(Mapping)),
            filtering=self._choose(tuple(Filtering)),
            hairpinning=self._choose(tuple(Hairpinning)),
        )

    def _with_pool(self, spec: NatSpec) -> NatSpec:
        """A second outer address, where the NAT knows what to do with it."""
        if spec.nat_kind.pooling is None or not self._choose((False, True)):
            return spec
        return attrs.evolve(spec, outside=(*spec.outside, self._addresses(spec.behind)[0]))

    def _host(self, name: str) -> HostSpec:
        place = self._place()
        interfaces = [InterfaceSpec(address, place) for address in self._addresses(place)]
        if self._choose((True, False)):
            return HostSpec(name, interfaces=tuple(interfaces))
        place = _VPN if self._choose((True, False, False)) else self._place()
        addresses = self._addresses(place)
        if addresses[0] == interfaces[0].address:  # of another network: a computer cannot have it twice
            addresses = self._addresses(place)
        return HostSpec(name, interfaces=(*interfaces, *(InterfaceSpec(address, place) for address in addresses)))

    def _server_places(self) -> tuple[str, ...]:
        return self._choose(((INTERNET,), (INTERNET, self._choose((INTERNET, *self._gates()))), ()))

    def _agents(self, urls: Sequence[str]) -> tuple[AgentSpec, ...]:
        roles = self._choose(((True, False), (False, True), (True, False), (False, True), (True, True), (False, False)))
        return tuple(
            AgentSpec(name, controlling=role, ice_servers=self._choose((urls, urls, urls, urls[:1], ())))
            for name, role in zip(("alice", "bob"), roles, strict=True)
        )

    def _turn_server(self, number: int) -> TurnServerSpec:
        return TurnServerSpec(f"turn {number}", self._addresses(INTERNET), tls_port=self._choose((5349, 443)))

    def _with_relays(self, agent: AgentSpec, servers: Sequence[TurnServerSpec]) -> AgentSpec:
        urls = list(agent.ice_servers)
        for server in servers:
            for transport in self._choose(_TRANSPORTS):
                urls += [server.uri(transport, ipv6=":" in address) for address in server.addresses]
        return attrs.evolve(agent, ice_servers=urls, policy=self._choose(_POLICIES))

    def _addresses(self, place: str) -> list[str]:
        """Free ones at a place, one of each family there is."""
        while self._prefixes[place] in self._prefixes:  # behind a firewall addresses are those of the place outside
            place = self._prefixes[place]
        self._taken[place] += 1
        addresses = [f"{self._prefixes[place]}.{self._taken[place] + 1}"] if self._ipv4 else []
        if self._ipv6:
            # Not by place: where no NAT translates IPv6, an address means one computer everywhere.
            addresses.append(f"2001:db8::{self._taken.total():x}")
        return addresses
