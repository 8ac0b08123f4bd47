"""Two machines in two networks, one of which dies: data go on over what lives, and nobody goes to what has died.

All four pairs work before, two of them from network to network through a router. One of the networks dies with all that has to
do with it, so that three pairs are dead, and the dead ones are of higher priority.
"""

import pytest

from sansice.ice import IceAgent, IceState, IceStateChanged, Nomination, PairSelected
from sansice.simulation import Network

MOVING = Nomination(renominate=True)
STEP = 0.02  # seconds between two datagrams of each end
DEAD, ALIVE = "10.9.0.", "10.9.1."
DIES_AT = 10.0
# Until a silence is judged: the next check for consent 1.2 * 4 s later at most, 0.5 s until it is late, and 2 s until three
# transmissions of every pair's check have had their time.
JUDGED_WITHIN = 4.8 + 0.5 + 2.0


class TwoNetworks:
    """Two agents, of which the first controls, that both stand in two networks and send all the time."""

    def __init__(self, seed=1, nomination=MOVING):
        self.net = Network(seed=seed, latency=0.01)
        router = self.net.router("between", address="192.0.2.1")
        lans = [self.net.segment(f"lan{n}", f"10.9.{n}.0/24", behind=router) for n in range(2)]
        self.hosts = {}
        for number, name in enumerate("ab", 1):
            host = self.net.host(name, f"{DEAD}{number}", behind=lans[0])
            host.attach(f"{ALIVE}{number}", lans[1], name="eth1")
            agent = IceAgent(controlling=name == "a", nomination=nomination, entropy=host.entropy)
            self.hosts[name] = host.run(agent)
            self.hosts[name].call(agent.gather, host.addresses)
        self.net.run(until=1.0)
        a, b = self.hosts.values()
        a.call(a.machine.set_remote, b.machine.local_description)
        b.call(b.machine.set_remote, a.machine.local_description)
        self.net.run(until=DIES_AT)
        assert all(one.machine.selected_pair.local.address.host.startswith(DEAD) for one in (a, b))
        assert len(a.machine.pairs) == (4 if nomination.renominate else 1)

    def agent(self, name):
        return self.hosts[name].machine

    def die(self, *, towards_only=False):
        """Nothing comes to an address of the dying network any more, nor, unless ``towards_only``, from one."""
        self.net.drop = lambda packet: (
            packet.destination.host.startswith(DEAD) or (not towards_only and packet.source.host.startswith(DEAD))
        )

    def remove(self, name):
        """The address of the dying network is taken away at one end."""
        host = self.hosts[name]
        host.host.interface(f"{DEAD}{'ab'.index(name) + 1}").down()
        host.call(host.machine.update_addresses, [address for address in host.host.addresses if address.startswith(ALIVE)])

    def talk(self, until):
        """Both send all the time. Returns for each end when it heard nothing for longer than 0.3 s, and for how long."""
        last, silences = dict.fromkeys(self.hosts, self.net.now), {name: [] for name in self.hosts}
        seen = {name: self.agent(name).stats.datagrams_received for name in self.hosts}
        while self.net.now < until:
            for host in self.hosts.values():
                if host.machine.writable:
                    host.call(host.machine.send, b"\x80")
            self.net.run(until=self.net.now + STEP)
            for name in self.hosts:
                count = self.agent(name).stats.datagrams_received
                if count > seen[name] or self.net.now >= until:
                    if self.net.now - last[name] > 0.3:
                        silences[name].append((round(last[name] - DIES_AT, 2), round(self.net.now - last[name], 2)))
                    last[name] = self.net.now
                seen[name] = count
        return silences

    def selections(self, name, since=DIES_AT):
        """Where data were sent to from when on."""
        events = self.hosts[name].events
        return [(at, one.pair.remote.address) for at, one in events if at >= since and isinstance(one, PairSelected)]


def longest(silences, after=0.0):
    """The longest time that an end heard nothing, of those that began after the first of all by ``after`` at least."""
    return max((length for began, length in silences if began >= after), default=0.0)


SEEDS = range(1, 5)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("towards_only", [False, True])
def test_from_a_network_that_dies_silently_both_go_to_the_pair_that_lives_once_and_stay(seed, towards_only):
    world = TwoNetworks(seed=seed)
    world.die(towards_only=towards_only)
    silences = world.talk(60.0)
    for name in "ab":
        assert [remote.host[:-1] for _, remote in world.selections(name)] == [ALIVE], (name, world.selections(name))
        assert len(silences[name]) == 1 and longest(silences[name]) < JUDGED_WITHIN, (name, silences)
        assert world.agent(name).state is IceState.COMPLETED


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("gone_at", ["a", "ab"])
def test_from_an_address_that_is_taken_away_the_end_that_controls_moves_to_what_lives_within_half_a_second(seed, gone_at):
    world = TwoNetworks(seed=seed)
    world.die()
    for name in gone_at:
        world.remove(name)
    silences = world.talk(60.0)
    for name in "ab":
        assert longest(silences[name]) < 0.5, (name, silences)
        assert world.selections(name)[-1][1].host.startswith(ALIVE)
        assert world.agent(name).state is IceState.COMPLETED


@pytest.mark.parametrize("seed", SEEDS)
def test_the_end_that_is_controlled_sends_on_where_somebody_answers_and_is_heard_at_once(seed):
    world = TwoNetworks(seed=seed)
    world.die()
    world.remove("b")
    silences = world.talk(60.0)
    assert longest(silences["a"]) < 0.5, silences
    assert len(silences["b"]) == 1 and longest(silences["b"]) < JUDGED_WITHIN, silences
    assert all(world.selections(name)[-1][1].host.startswith(ALIVE) for name in "ab")


@pytest.mark.parametrize("seed", SEEDS)
def test_when_the_dead_network_lives_again_it_is_gone_back_to_without_a_silence(seed):
    world = TwoNetworks(seed=seed)
    world.die()
    world.talk(30.0)
    world.net.drop = None
    silences = world.talk(120.0)
    assert silences == {"a": [], "b": []}
    assert all(world.agent(name).selected_pair.local.address.host.startswith(DEAD) for name in "ab")


@pytest.mark.parametrize("gone_at", ["a", "b", "ab"])
def test_without_renomination_an_address_that_is_taken_away_leaves_its_end_disconnected(gone_at):
    world = TwoNetworks(nomination=Nomination())
    world.die()
    for name in gone_at:
        world.remove(name)
        assert world.agent(name).selected_pair is None and world.agent(name).state is IceState.DISCONNECTED
        assert world.agent(name).needs_restart
    world.net.run(until=60.0)
    assert {world.agent(name).state for name in gone_at} == {IceState.FAILED}


def test_who_has_lost_the_selected_pair_is_disconnected_until_another_answers_and_complete_when_it_is_selected():
    world = TwoNetworks()
    world.die()
    world.remove("a")
    a = world.agent("a")
    assert (a.selected_pair, a.state) == (None, IceState.DISCONNECTED)
    world.net.run(until=12.0)
    changes = [one.new for at, one in world.hosts["a"].events if at >= DIES_AT and isinstance(one, IceStateChanged)]
    assert changes == [IceState.DISCONNECTED, IceState.CONNECTED, IceState.COMPLETED]
