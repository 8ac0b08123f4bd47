"""One session of two agents on a bad network, from a seed; and how often loss alone must make one fail."""

from __future__ import annotations

import random

import attrs

from sansice.ice import GatheringState, IceAgent, IceConfig, IceServer, IceState
from sansice.simulation import Host, Network
from sansice.stun import Schedule

SETTLE = 120.0  # virtual seconds within which both ends have agreed, or both have failed
STUN_SERVER = "198.51.100.9"
CHECK_TRANSMISSIONS = 7  # RFC 8489 6.2.1: Rc
QUERY_TRANSMISSIONS = 3  # at 0, 0.5 and 1.5 s, within the 3 s that gathering may take


@attrs.frozen
class Weather:
    """What the network does to packets in one session."""

    latency: float
    jitter: float
    loss: float
    duplication: float
    reordering: float

    @classmethod
    def draw(cls, dice: random.Random, worst_loss: float) -> Weather:
        return cls(
            latency=dice.uniform(0, 0.15),
            jitter=dice.uniform(0, 0.1),
            loss=dice.uniform(0, worst_loss),
            duplication=dice.uniform(0, 0.1),
            reordering=dice.uniform(0, 0.1),
        )

    @property
    def exchange_fails(self) -> float:
        """Probability that one request gets no answer: a copy of it, or all copies of its answers, must be lost."""
        arrives, copied = 1 - self.loss, self.duplication
        answered = (1 - copied) * arrives + copied * (1 - self.loss**2)
        return 1 - arrives * answered


@attrs.frozen
class Outcome:
    """How a session ended.

    Attributes:
        kind: ``agreed``, ``failed`` (both ends), ``unreflected`` (both failed, and an end behind a NAT had got no answer
            from the STUN server), or ``unsettled``.
        seconds: virtual, from the first description told to the end.
        nat: whether both ends were behind NATs.
        weather: of this session.
    """

    seed: int
    kind: str
    seconds: float
    nat: bool
    weather: Weather


def run_session(seed: int, worst_loss: float, transmissions: int = CHECK_TRANSMISSIONS) -> Outcome:
    """Two agents, roles and timing at random, both hosts public or both behind port-restricted NATs."""
    dice = random.Random(seed)
    weather = Weather.draw(dice, worst_loss)
    net = Network(seed=seed, **attrs.asdict(weather))
    nat = dice.random() < 0.5
    a, b = _hosts(net, nat)
    servers = [IceServer(f"stun:{STUN_SERVER}:3478")] if nat else []
    roles = dice.choice([(True, False), (False, True), (True, True), (False, False)])
    config = IceConfig(schedule=Schedule(rc=transmissions))
    one = IceAgent(controlling=roles[0], servers=servers, config=config, entropy=a.entropy)
    two = IceAgent(controlling=roles[1], servers=servers, config=config, entropy=b.entropy)
    left, right = a.run(one), b.run(two)
    left.call(one.gather, a.addresses)
    right.call(two.gather, b.addresses)
    net.run(until=10.0, when=lambda: one.gathering_state is two.gathering_state is GatheringState.COMPLETE)
    first, second = one.local_description, two.local_description
    start = net.now
    net.at(start + dice.uniform(0, 0.3), lambda: left.call(one.set_remote, second))
    net.at(start + dice.uniform(0, 0.3), lambda: right.call(two.set_remote, first))
    net.run(until=start + SETTLE, when=lambda: agree(one, two) or one.state is two.state is IceState.FAILED)
    if agree(one, two):
        kind = "agreed"
    elif not one.state is two.state is IceState.FAILED:
        kind = "unsettled"
    else:
        kind = "unreflected" if nat and min(len(first.candidates), len(second.candidates)) < 2 else "failed"
    return Outcome(seed, kind, net.now - start, nat, weather)


def _hosts(net: Network, nat: bool) -> tuple[Host, Host]:
    if not nat:
        return net.host("A", "192.0.2.1"), net.host("B", "198.51.100.1")
    net.stun_server(STUN_SERVER)
    left, right = net.nat("203.0.113.1"), net.nat("203.0.113.2")
    return net.host("A", "10.0.0.2", behind=left), net.host("B", "10.1.0.2", behind=right)


def agree(one: IceAgent, two: IceAgent) -> bool:
    """Whether both ends have selected, and the same pair."""
    left, right = one.selected_pair, two.selected_pair
    if left is None or right is None:
        return False
    return (left.local.address, left.remote.address) == (right.remote.address, right.local.address)
