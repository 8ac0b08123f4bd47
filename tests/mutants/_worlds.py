"""Tiny worlds to explore: two agents each, with short times, so that a run takes milliseconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs

from sansice.ice import Description, GatheringState, IceAgent, IceConfig, NotConnected
from sansice.simulation import Arena, Filtering, Host, Mapping, Network, Node
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
