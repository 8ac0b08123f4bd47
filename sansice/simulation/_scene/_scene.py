"""Scenes as values: plain Python or JSON, and always possible to build."""

from __future__ import annotations

import attrs

from sansice.simulation._world._link import Link
from sansice.stun import ServerUri

from ._befall import rehearse
from ._build import build, build_network
from ._changes import At
from ._check import check_scene
from ._json import from_json, to_json
from ._parts import (
    AgentSpec,
    Expectation,
    FirewallSpec,
    HostSpec,
    NameSpec,
    NatSpec,
    ProxySpec,
    RouterSpec,
    SegmentSpec,
    StunServerSpec,
    TrafficSpec,
    a_name,
    a_payload,
    check_seconds,
    parts_of,
)
from ._relays import RelayCallSpec, TurnServerSpec
from ._scene_world import SceneWorld

SIGNALLING = 0.05  # s: what a web socket to a server in the same country takes

VOICE = 160  # bytes: 20 ms of G.711

_INTERNET_LINK = Link(latency=0.02)


@attrs.frozen(kw_only=True)
class Scene:
    """A network, the agents in it, and what befalls them.

    A value: compare it, change it with `attrs.evolve`, keep it as JSON. A scene that exists can be built.

    Example::

        two_homes = Scene(
            name="two-homes",
            nats=(NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1", "symmetric")),
            hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")),
            servers=(StunServerSpec("stun", "192.0.2.9"),),
            agents=(
                AgentSpec("alice", controlling=True, ice_servers="stun:192.0.2.9"),
                AgentSpec("bob", ice_servers="stun:192.0.2.9"),
            ),
        )
        run = simulate(two_homes, seed=7)
        print(run.connected, run.setup_ms, run.pair_types)

    Attributes:
        name: of the scene.
        about: where one meets it, for a person.
        internet: how the Internet, the place ``"internet"``, treats packets between two public addresses.
        segments, routers, nats, firewalls: what is between the hosts and the Internet. Everything that stands ``behind``
            something names it.
        hosts, servers, turn_servers, proxies: who is there.
        names: what the name service answers.
        traffic: what else is on the lines.
        agents: who connects with whom.
        calls: who calls whom through a relay.
        signalling: seconds that a description takes from one agent to the other.
        payload: bytes in each datagram of the application's, 160 of voice if left out.
        changes: what happens while it runs.
        duration: seconds that it runs at least; 0 for until all is settled, or 45 s after the last change.
        expect: how it ends.

    Raises:
        ValueError: it cannot be built; the text names the place.
    """

    name: str = attrs.field(validator=a_name)
    about: str = ""
    internet: Link = _INTERNET_LINK
    segments: tuple[SegmentSpec, ...] = attrs.field(default=(), validator=parts_of(SegmentSpec))
    routers: tuple[RouterSpec, ...] = attrs.field(default=(), validator=parts_of(RouterSpec))
    nats: tuple[NatSpec, ...] = attrs.field(default=(), validator=parts_of(NatSpec))
    firewalls: tuple[FirewallSpec, ...] = attrs.field(default=(), validator=parts_of(FirewallSpec))
    hosts: tuple[HostSpec, ...] = attrs.field(default=(), validator=parts_of(HostSpec))
    servers: tuple[StunServerSpec, ...] = attrs.field(default=(), validator=parts_of(StunServerSpec))
    turn_servers: tuple[TurnServerSpec, ...] = attrs.field(default=(), validator=parts_of(TurnServerSpec))
    proxies: tuple[ProxySpec, ...] = attrs.field(default=(), validator=parts_of(ProxySpec))
    names: tuple[NameSpec, ...] = attrs.field(default=(), validator=parts_of(NameSpec))
    traffic: tuple[TrafficSpec, ...] = attrs.field(default=(), validator=parts_of(TrafficSpec))
    agents: tuple[AgentSpec, ...] = attrs.field(default=(), validator=parts_of(AgentSpec))
    calls: tuple[RelayCallSpec, ...] = attrs.field(default=(), validator=parts_of(RelayCallSpec))
    signalling: float = attrs.field(default=SIGNALLING, validator=check_seconds)
    payload: int = attrs.field(default=VOICE, validator=a_payload)
    changes: tuple[At, ...] = attrs.field(default=(), validator=parts_of(At))
    duration: float = attrs.field(default=0.0, validator=check_seconds)
    expect: Expectation = attrs.field(factory=Expectation)

    def __attrs_post_init__(self) -> None:
        check_scene(self)
        rehearse(build_network(self))  # whatever else the parts object to

    @property
    def barriers(self) -> tuple[NatSpec | FirewallSpec, ...]:
        """What lets some packets through and others not: NATs and firewalls."""
        return (*self.nats, *self.firewalls)

    @property
    def crossings(self) -> tuple[SegmentSpec | RouterSpec | NatSpec | FirewallSpec, ...]:
        """What there is between hosts and the Internet."""
        return (*self.segments, *self.routers, *self.barriers)

    @property
    def services(self) -> tuple[StunServerSpec | TurnServerSpec | ProxySpec, ...]:
        """The hosts that serve: STUN and TURN servers, and proxies."""
        return (*self.servers, *self.turn_servers, *self.proxies)

    @property
    def starts(self) -> tuple[float, ...]:
        """When its agents and its calls begin, seconds."""
        return (*(agent.start for agent in self.agents), *(call.start for call in self.calls))

    def peer_of(self, agent: AgentSpec) -> str:
        """The name of the agent with which ``agent`` connects; "" if nothing says so."""
        if agent.peer or len(self.agents) != 2:
            return agent.peer
        return next(other.name for other in self.agents if other is not agent)

    def turn_server_of(self, url: str) -> TurnServerSpec | None:
        """The TURN server that an agent means by an address or a name; ``None``: none of this scene's, or no ``turn:``."""
        uri = ServerUri.parse(url)
        zone = {spec.name.rstrip(".").lower(): spec.addresses for spec in self.names}
        hosts = zone.get(uri.host.rstrip(".").lower(), (uri.host,))
        meant = (spec for spec in self.turn_servers if any(host in spec.addresses for host in hosts))
        return next(meant, None) if uri.is_turn else None

    def build(self, *, seed: int | str = 0, trace: int = 0) -> SceneWorld:
        """Make the network, with the agents on their hosts and everything that will happen on its clock.

        Let it happen with ``world.network.run(...)``, or use `simulate`.

        Args:
            seed: of everything random.
            trace: see `Network`.
        """
        return build(self, seed=seed, trace=trace)

    def to_json(self) -> str:
        """The scene as one JSON object, what has its default left out; `from_json` reads it."""
        return to_json(self)

    @classmethod
    def from_json(cls, text: str) -> Scene:
        """Read what `to_json` wrote, or a person.

        Raises:
            ValueError: not JSON, a key that is not known, a value of the wrong kind, or a scene that cannot be built; the
                text names the place, such as ``hosts[1].link.latency``.
        """
        return from_json(cls, text)
