"""Restarts at any moment, by either side, among faults: the contract of machines holds, and agents end connected."""

import random

import pytest

from ice._session import PEER, STUN, Two
from ice._wire import OURS, THEIRS, candidate
from sansice.ice import Credentials, Description, IceAgent, IceState, Nomination, Restarted, SessionDescription
from sansice.simulation import check_machine

NEXT = Credentials("next", "n" * 22)


def told(*peers):
    """A description of two streams; each peer's credentials."""
    return SessionDescription(
        tuple(Description(one.ufrag, one.pwd, candidates=(candidate(PEER.host, 5000 + n),)) for n, one in enumerate(peers))
    )


THIRD = Credentials("third", "3" * 22)
COMMANDS = {
    "gather": [(["192.0.2.1", "2001:db8::1"],), (["192.0.2.2"],)],
    "update_addresses": [(["192.0.2.1"],), (["192.0.2.2", "2001:db8::1"],), ([],)],
    "set_remote": [(told(THEIRS, NEXT),), (told(THEIRS, THIRD),), (told(THIRD, NEXT),), (told(NEXT, THEIRS),)],
    "add_remote_candidate": [(candidate("198.51.100.2", 1 + number, component=1 + number % 3),) for number in range(5)],
    "end_of_candidates": [()],
    "restart": [()],
    "close": [()],
}


@pytest.mark.parametrize("nomination", [Nomination(), Nomination(renominate=True)], ids=["regular", "renomination"])
def test_agent_of_two_streams_that_restarts_keeps_the_contract(nomination):
    def made(entropy):
        return IceAgent(
            controlling=True,
            streams=2,
            components=(2, 1),
            credentials=OURS,
            servers=STUN,
            nomination=nomination,
            entropy=entropy,
        )

    check_machine(
        made,
        commands=COMMANDS,
        secrets=lambda agent: [*(one.pwd for one in agent.local_descriptions), THEIRS.pwd],
        measure=lambda agent: len(agent.pairs) + len(agent.remote_candidates) + len(agent.local_candidates),
        bound=300,
        max_examples=60,
    )


class Signalling:
    """What two applications tell each other, in order in each direction, each message after a while of its own."""

    def __init__(self, two, draw):
        self.two = two
        self.draw = draw
        self.nodes = {two.a: two.node_a, two.b: two.node_b}
        self.other = {two.a: two.b, two.b: two.a}
        self.due = {two.a: 0.0, two.b: 0.0}
        self.seen = dict.fromkeys(self.nodes, 0)
        self.mail = []

    def send(self, agent):
        """Tell the other side the agent's description."""
        due = self.due[agent] = max(self.due[agent], self.two.net.now + self.draw.uniform(0.0, 1.0))
        self.mail.append((due, self.other[agent], agent.local_descriptions))

    def restart(self, agent, **options):
        self.nodes[agent].call(agent.restart, **options)
        self.send(agent)

    def pump(self, until):
        """Let time pass, deliver what is due, and answer each restart of the other side as an application does."""
        net = self.two.net
        while net.now < until:
            net.run(until=min(until, min((due for due, *_ in self.mail), default=until)))
            for letter in [one for one in self.mail if one[0] <= net.now]:
                self.mail.remove(letter)
                self.nodes[letter[1]].call(letter[1].set_remote, letter[2])
            for agent, node in self.nodes.items():
                events = [event for _, event in node.events]
                for event in events[self.seen[agent] :]:
                    if isinstance(event, Restarted) and event.by_peer:
                        self.send(agent)
                self.seen[agent] = len(events)


@pytest.mark.parametrize("seed", range(12))
def test_restarts_at_random_that_cross_and_overtake_end_connected_on_one_pair(seed):
    draw = random.Random(seed)
    options = {"streams": 2, "components": (2, 1), "nomination": Nomination(renominate=seed % 2 == 0)}
    two = Two(seed=seed, latency=0.03, jitter=0.02, a_options=options, b_options=options)
    losses = random.Random(seed)
    two.net.drop = lambda packet: losses.random() < 0.1
    talk = Signalling(two, draw)
    two.net.run(until=1.0)
    talk.send(two.a)
    talk.send(two.b)
    for _ in range(8):
        talk.pump(two.net.now + draw.choice([0.0, 0.1, 0.5, 2.0, 6.0]))
        agent = draw.choice([two.a, two.b])
        talk.restart(agent, stream=draw.choice([None, 0, 1]))
    two.net.drop = None
    talk.pump(two.net.now + 20.0)
    assert two.connect(), (seed, two.a.explain(), two.b.explain())
    assert talk.mail == [] and two.a.state is two.b.state is IceState.COMPLETED, seed
    count = [len([1 for _, event in node.events if isinstance(event, Restarted)]) for node in talk.nodes.values()]
    assert max(count) <= 2 * 8 * 2, (seed, count)  # nobody answers a restart with a restart without end
    talk.pump(two.net.now + 60.0)
    assert two.agree and two.a.state is two.b.state is IceState.COMPLETED, seed
    assert [len(stream.previous) for agent in (two.a, two.b) for stream in agent._streams] == [0] * 4, seed
