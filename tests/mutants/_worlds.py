"""Tiny worlds to explore: two agents each, with short times, so that a run takes milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping as Table, Sequence

import attrs

from sansice.ice import Closed, ConsentExpired, Description, GatheringState, IceAgent, IceConfig, NotConnected
from sansice.simulation import (
    AgentRestarted,
    AgentSpec,
    Arena,
    At,
    End,
    Filtering,
    Harm,
    Host,
    HostSpec,
    Invariant,
    Mapping,
    Moment,
    Network,
    Node,
    Scene,
    scene_arena,
)
from sansice.simulation._exploration._evidence import OVER
from sansice.simulation._exploration._life_rules import DeadlinesAreAhead, TheOverAreSilent
from sansice.simulation._scene._program import is_same_pair
from sansice.stun import Schedule

STUN_SERVER = "198.51.100.9"
CONFIG = IceConfig(
    schedule=Schedule(rc=3, rm=2),  # sent at 0, 0.5 and 1.5 s, given up at 2.5 s
    pac_timeout=4.0,
    consent_timeout=7.0,
    disconnected_after=math.inf,
    free_delay=0.5,
)
HELLO = b"hello"
V4_A, V4_B = ("192.0.2.1", "192.0.2.2"), ("198.51.100.1", "198.51.100.2")

Rewrite = Callable[[Description], Description]


class Pair:
    """Two agents on two hosts, gathered; from now on the exploration has them."""

    def __init__(
        self,
        net: Network,
        a: Host,
        b: Host,
        *,
        names: tuple[str, str] = ("A", "B"),
        roles: tuple[bool, bool] = (True, False),
        servers: Sequence[str] = (),
        rewrite: Rewrite = lambda description: description,
        late: float = 0.0,
    ) -> None:
        self.net = net
        self.agents: dict[str, Node] = {}
        self._machines: list[tuple[Node, IceAgent]] = []
        for name, host, controlling in zip(names, (a, b), roles, strict=True):
            agent = IceAgent(controlling=controlling, servers=servers, config=CONFIG, entropy=host.entropy)
            node = host.run(agent)
            node.call(agent.gather, host.addresses)
            self._machines.append((node, agent))
            self.agents[name] = node
        (node_a, one), (node_b, two) = self._machines
        complete = GatheringState.COMPLETE
        net.run(until=net.now + 5.0, when=lambda: one.gathering_state is two.gathering_state is complete)
        to_a, to_b = rewrite(two.local_description), rewrite(one.local_description)
        net.at(net.now, lambda: node_b.call(two.set_remote, to_b))
        net.at(net.now + late, lambda: node_a.call(one.set_remote, to_a))
        net.at(net.now + 0.5, self._greet)

    def _greet(self) -> None:
        for node, agent in self._machines:
            if node.running:
                try:
                    node.call(agent.send, HELLO)
                except NotConnected:
                    pass

    def arena(self, **options: object) -> Arena:
        """With the faults that every world has."""
        faults = {f"{name} is killed": node.stop for name, node in self.agents.items()}
        faults.update(options.pop("faults", {}))  # type: ignore[call-overload]
        return Arena(self.net, self.agents, faults=faults, config=CONFIG, until=8.0, settle=70.0, **options)  # type: ignore[arg-type]


def public(addresses_a: Sequence[str] = V4_A[:1], addresses_b: Sequence[str] = V4_B[:1], **options: object) -> Arena:
    """Both on the Internet."""
    net = Network(seed=1, latency=0.02)
    return Pair(net, net.host("A", *addresses_a), net.host("B", *addresses_b), **options).arena()  # type: ignore[arg-type]


def plain() -> Arena:
    """An address each."""
    return public()


def both_controlling() -> Arena:
    """A role conflict."""
    return public(roles=(True, True))


def both_controlled() -> Arena:
    """The other role conflict."""
    return public(roles=(False, False))


def two_by_two() -> Arena:
    """Two addresses each, so that pairs have equal minima and maxima, and both ends control."""
    return public(V4_A, V4_B, roles=(True, True))


def one_foundation() -> Arena:
    """Both addresses of each end count as one foundation: three of four pairs are frozen."""

    def rewrite(description: Description) -> Description:
        candidates = [attrs.evolve(one, foundation="1") for one in description.candidates]
        return attrs.evolve(description, candidates=candidates)

    return public(V4_A[:1], V4_B, rewrite=rewrite)


def late_description() -> Arena:
    """A learns of B when B's checks have long arrived."""
    return public(late=0.1)


def dual_stack() -> Arena:
    """IPv4 and IPv6 each."""
    return public((V4_A[0], "2001:db8::1"), (V4_B[0], "2001:db8::2"))


def unknown_mapping() -> Arena:
    """A is behind a NAT and does not know it: B learns a peer-reflexive candidate."""
    net = Network(seed=1, latency=0.02)
    nat = net.nat("203.0.113.1", mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, name="home A")
    pair = Pair(net, net.host("A", "10.0.0.2", behind=nat), net.host("B", V4_B[0]))
    return pair.arena(places={"203.0.113.1": "A"}, faults={"home A reboots": nat.forget})


def unknown_mapping_early() -> Arena:
    """The same, and B learns of A when A's checks and nomination have long arrived."""
    net = Network(seed=1, latency=0.02)
    nat = net.nat("203.0.113.1", name="home A")
    pair = Pair(
        net, net.host("B", V4_B[0]), net.host("A", "10.0.0.2", behind=nat), names=("B", "A"), roles=(False, True), late=0.2
    )
    return pair.arena(places={"203.0.113.1": "A"}, faults={"home A reboots": nat.forget})


def two_homes() -> Arena:
    """Both behind NATs that let in only who was sent to."""
    net = Network(seed=1, latency=0.02)
    net.stun_server(STUN_SERVER)
    filtering = Filtering.ADDRESS_AND_PORT_DEPENDENT
    nat_a, nat_b = (net.nat(f"203.0.113.{n}", filtering=filtering, name=f"home {'AB'[n - 1]}") for n in (1, 2))
    a, b = net.host("A", "10.0.0.2", behind=nat_a), net.host("B", "10.1.0.2", behind=nat_b)
    pair = Pair(net, a, b, servers=[f"stun:{STUN_SERVER}"])
    return pair.arena(
        places={"203.0.113.1": "A", "203.0.113.2": "B"},
        faults={"home A reboots": nat_a.forget, "home B reboots": nat_b.forget},
    )


class Several(Invariant):
    """See ``rule``."""

    rule = "each component of each stream agrees, and data flows, however it was begun anew (RFC 8445 9, 12.1)"

    def ended(self, harm: Harm) -> str | None:
        """When all has settled on a tolerable network."""
        live = [end.agent for end in self.ends if end.is_live]
        if harm.broken or harm.lost > 2 or len(self.ends) != 2:
            return None
        if len(live) != 2:
            return f"{[end.agent.state.value for end in self.ends]}, though only {harm.lost} exchanges were disturbed"
        for stream, count in enumerate(live[0].components):
            for number in range(1, count + 1):
                one, two = (agent.selected_pair_of(stream, number) for agent in live)
                if one is None or two is None or not is_same_pair(one, two):
                    return f"component {number} of stream {stream}: {one} and {two}"
                if not all(agent.is_writable(stream, number) for agent in live):
                    return f"component {number} of stream {stream} cannot be sent on"
        return None


class PathLasts(Invariant):
    """See ``rule``."""

    rule = "from the first valid pair on a component can be sent on until consent ends, also during a restart (RFC 8445 9)"

    def after(self, moment: Moment) -> str | None:
        """A path goes only with consent, with its socket, or with the agent."""
        agent, name = moment.end.agent, moment.end.name
        now = {
            (stream, number): agent.is_writable(stream, number)
            for stream, count in enumerate(agent.components)
            for number in range(1, count + 1)
        }
        before, self._before[name] = self._before.get(name, {}), now
        over = any(isinstance(event, (ConsentExpired, Closed)) for event in moment.events)
        # An answer from elsewhere fails a check, also the nominating one of a pair that works (RFC 8445 7.2.5.2.1).
        over = over or (moment.asked is not None and moment.path != moment.asked.path)
        gone = [place for place, could in before.items() if could and not now[place] and agent.states[place[0]] not in OVER]
        return f"{name} can send no more on {gone[0]}" if gone and not over and moment.end.is_live else None

    def __init__(self, ends: Table[str, End]) -> None:
        super().__init__(ends)
        self._before: dict[str, dict[tuple[int, int], bool]] = {}


def scene_world(change: Sequence[At] = (), **fields: object) -> Arena:
    """Two hosts on the Internet, with a program around each agent, which signals."""
    hosts = (HostSpec("A", V4_A), HostSpec("B", V4_B[:1]))
    agents = (AgentSpec("A", controlling=True, **fields), AgentSpec("B", **fields))  # type: ignore[arg-type]
    scene = Scene(name="world", hosts=hosts, agents=agents, changes=tuple(change), signalling=0.03)
    return attrs.evolve(scene_arena(scene, seed=1), sound=True, until=4.0, settle=110.0)


def two_streams() -> Arena:
    """Two streams of two components each."""
    return scene_world(streams=2, components=2)


def trickled() -> Arena:
    """Candidates come one by one, the description before them."""
    return scene_world(trickle=True)


def restarted() -> Arena:
    """One end begins anew when both have selected."""
    return scene_world((At(1.5, AgentRestarted("A")),))


def restarted_crosswise() -> Arena:
    """Both begin anew, before either has heard of the other's restart, with two components."""
    return scene_world((At(1.5, AgentRestarted("A")), At(1.51, AgentRestarted("B"))), components=2, trickle=True)


def restarted_early() -> Arena:
    """One end begins anew before anything is selected."""
    return scene_world((At(0.06, AgentRestarted("B")),))


def renominated() -> Arena:
    """Both offer renomination."""
    return scene_world(nomination="renominating")


# The invariants of one generation of one component do not know others.
BEYOND = (Several, PathLasts, DeadlinesAreAhead, TheOverAreSilent)
BEYOND_WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world for world in (two_streams, trickled, restarted, restarted_crosswise, restarted_early, renominated)
}

WORLDS: dict[str, Callable[[], Arena]] = {
    world.__name__: world
    for world in (
        plain,
        both_controlling,
        both_controlled,
        two_by_two,
        one_foundation,
        late_description,
        dual_stack,
        unknown_mapping,
        unknown_mapping_early,
        two_homes,
    )
}
