"""Agents that live long, in the simulation: slow and lossy links, paths that die, components that fall silent."""

import itertools
import random

import pytest

from ice._session import Two
from sansice.ice import ConsentExpired, DataReceived, IceAgent, IceConfig, IceState, IceStateChanged, Nomination, PairSelected
from sansice.simulation import Network

HOUR, DAY = 3600.0, 86400.0
MOVING = Nomination(renominate=True)


def states(node):
    return [event.new.value for _, event in node.events if isinstance(event, IceStateChanged)]


def changes(node, since):
    return [
        (round(when, 3), event.new.value) for when, event in node.events if isinstance(event, IceStateChanged) and when > since
    ]


def connected(**options):
    two = Two(**options)
    two.exchange()
    assert two.connect()
    return two


# Long links


@pytest.mark.long
def test_a_link_of_800_ms_stays_connected_for_a_day():
    two = connected(latency=0.4)
    began = two.net.now
    two.net.run(until=began + DAY)
    for node in (two.node_a, two.node_b):
        assert changes(node, began) == []
        assert states(node)[-1] == "completed"
    for agent in (two.a, two.b):
        pair = agent._streams[0].components[0].used
        assert pair.rtt.current == pytest.approx(0.8)
        assert DAY / 6 <= pair.rtt.measurements <= DAY / 4
        assert pair.rtt.total == pytest.approx(0.8 * pair.rtt.measurements)
    assert two.echo()


@pytest.mark.parametrize("latency", [1.5, 2.9])
def test_links_that_are_slower_still_are_never_taken_for_dead(latency):
    two = connected(latency=latency)
    began = two.net.now
    two.net.run(until=began + HOUR)
    assert changes(two.node_a, began) == changes(two.node_b, began) == []


@pytest.mark.long
def test_a_link_that_loses_one_in_twenty_keeps_consent_for_hours():
    two = connected(latency=0.05, loss=0.02)  # of each of the two links: nearly one in twenty
    began = two.net.now
    two.net.run(until=began + 6 * HOUR)
    assert two.a.state in (IceState.COMPLETED, IceState.DISCONNECTED)
    for node in (two.node_a, two.node_b):
        silences = [new for _, new in changes(node, began)].count("disconnected")
        # A check or its answer is lost one time in 13: two in a row one time in 169, of 4320 checks.
        assert 5 < silences < 60
        assert not [event for _, event in node.events if isinstance(event, ConsentExpired)]


# A path that dies and comes back


def cut_between(net, *hosts):
    """Nothing passes between these addresses any more."""
    net.drop = lambda packet: {packet.source.host, packet.destination.host} == set(hosts)


def test_disconnected_comes_within_13_s_and_goes_with_the_first_answer():
    two = connected(latency=0.05)
    began = two.net.now
    cut_between(two.net, "192.0.2.1", "198.51.100.1")
    two.net.run(until=began + 15.0)
    for node in (two.node_a, two.node_b):
        ((when, new),) = changes(node, began)
        assert new == "disconnected" and 8.0 < when - began < 13.0
    two.net.drop = None
    mended = two.net.now
    two.net.run(until=mended + 6.2)
    for node in (two.node_a, two.node_b):
        ((when, new),) = changes(node, mended)
        assert new == "completed" and when - mended < 6.11  # the longest interval and a round trip
    assert two.echo()


class Roaming:
    """A has two addresses, B has one; both offer renomination. ``talk`` sends data both ways all the time."""

    def __init__(self, *, seed=1, loss=0.0, controlling=True, **policy):
        self.net = Network(seed=seed, latency=0.02, loss=loss)
        options = {"nomination": Nomination(renominate=True, **policy)}
        host_a, host_b = self.net.host("A", "192.0.2.1", "192.0.2.2"), self.net.host("B", "198.51.100.1")
        self.a = IceAgent(controlling=controlling, entropy=host_a.entropy, **options)
        self.b = IceAgent(controlling=not controlling, entropy=host_b.entropy, **options)
        self.node_a, self.node_b = host_a.run(self.a), host_b.run(self.b)
        self.node_a.call(self.a.gather, host_a.addresses)
        self.node_b.call(self.b.gather, host_b.addresses)
        self.node_a.call(self.a.set_remote, self.b.local_description)
        self.node_b.call(self.b.set_remote, self.a.local_description)
        assert self.net.run(until=10.0, when=lambda: self.agree)
        self.net.run(until=self.net.now + 5.0)

    @property
    def agree(self):
        a, b = self.a.selected_pair, self.b.selected_pair
        return a is not None and b is not None and (a.local.address, a.remote.address) == (b.remote.address, b.local.address)

    @property
    def used(self):
        return self.a.selected_pair.local.address.host

    def talk(self, seconds):
        """Data each 0.1 s both ways; returns the longest silence at each end."""
        began = self.net.now
        for step in range(int(seconds * 10)):
            for node, agent in ((self.node_a, self.a), (self.node_b, self.b)):
                if agent.writable:
                    node.call(agent.send, b"x" * 50)
            self.net.run(until=began + (step + 1) / 10)
        return [self._silence(node, began) for node in (self.node_a, self.node_b)]

    def _silence(self, node, began):
        heard = [when for when, event in node.events if isinstance(event, DataReceived) and when > began]
        return max(later - earlier for earlier, later in itertools.pairwise([began, *heard, self.net.now]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("controlling", [True, False])
def test_a_path_that_dies_is_left_within_seconds_and_data_goes_on(seed, controlling):
    roaming = Roaming(seed=seed, controlling=controlling)
    dead = roaming.used
    cut_between(roaming.net, dead, "198.51.100.1")
    silences = roaming.talk(60.0)
    assert roaming.agree and roaming.used != dead
    # At most 6 s to the next consent check, 0.5 s for it to be late, 2 s for the judgement, and a round trip.
    assert max(silences) < 9.0
    assert roaming.a.state is roaming.b.state is IceState.COMPLETED
    for node in (roaming.node_a, roaming.node_b):
        assert not [event for _, event in node.events if isinstance(event, ConsentExpired)]


@pytest.mark.parametrize("seed", range(3))
def test_a_lossy_path_is_not_left_for_its_losses(seed):
    roaming = Roaming(seed=seed, loss=0.05)
    chosen = roaming.used
    roaming.net.run(until=roaming.net.now + 2 * HOUR)
    assert roaming.agree and roaming.used == chosen
    assert len([event for _, event in roaming.node_a.events if isinstance(event, PairSelected)]) <= 5


@pytest.mark.parametrize("controlling", [True, False])
def test_paths_that_die_in_turn_are_each_left_for_the_other(controlling):
    roaming = Roaming(controlling=controlling)
    for _ in range(6):
        cut_between(roaming.net, roaming.used, "198.51.100.1")
        dead = roaming.used
        roaming.talk(60.0)
        assert roaming.agree and roaming.used != dead
        roaming.net.drop = None
        roaming.net.run(until=roaming.net.now + 60.0)
    assert roaming.a.state is roaming.b.state is IceState.COMPLETED


def test_where_all_paths_die_consent_ends_at_both_ends():
    roaming = Roaming()
    roaming.net.drop = lambda packet: True
    began = roaming.net.now
    roaming.net.run(until=began + 46.0)  # 30 s after the last answer of the pair that was kept, at the pace of 15 s
    assert roaming.a.state is roaming.b.state is IceState.FAILED


# Components


def two_components(**options):
    two = connected(a_options={"components": 2}, b_options={"components": 2}, latency=0.02, **options)
    assert two.net.run(until=30.0, when=lambda: two.a.state is two.b.state is IceState.COMPLETED)
    return two


def ports(agent, component):
    pair = agent.selected_pair_of(0, component)
    return {pair.local.address.port, pair.remote.address.port}


@pytest.mark.parametrize(("config", "shortest", "longest"), [(IceConfig(), 4.0, 6.0), (IceConfig(consent=False), 15.0, 15.0)])
def test_every_component_is_asked_for_consent_or_kept_alive(config, shortest, longest):
    options = {"components": 2, "config": config}
    two = Two(a_options=options, b_options=options, latency=0.02)
    two.exchange()
    two.net.run(until=10.0)
    seen = []
    two.net.watch(seen.append)
    two.net.run(until=130.0)
    for component in (1, 2):
        own = two.a.selected_pair_of(0, component).local.address
        times = [one.time for one in seen if one.fate.name == "SENT" and one.packet.source == own and not is_answer(one.packet)]
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(gaps) >= 6
        assert all(shortest - 0.01 < gap < longest + 0.01 for gap in gaps)


def is_answer(packet):
    return packet.data[:2] == b"\x01\x01"


def test_one_component_that_falls_silent_disconnects_the_stream_and_an_answer_brings_it_back():
    two = two_components()
    two.net.run(until=two.net.now + 5.0)
    began = two.net.now
    silent = ports(two.a, 2)
    two.net.drop = lambda packet: {packet.source.port, packet.destination.port} == silent
    two.net.run(until=began + 22.0)  # the other is answered meanwhile
    assert [new for _, new in changes(two.node_a, began)] == ["disconnected"]
    assert two.a.is_writable(0, 1) and two.a.is_writable(0, 2)
    two.net.drop = None
    two.net.run(until=began + 32.0)
    assert [new for _, new in changes(two.node_a, began)] == ["disconnected", "completed"]


@pytest.mark.req("RFC8445-119")
def test_a_component_without_consent_ends_its_stream():
    two = two_components()
    began = two.net.now
    silent = ports(two.a, 2)
    two.net.drop = lambda packet: {packet.source.port, packet.destination.port} == silent
    two.net.run(until=began + 45.0)
    assert states(two.node_a)[-1] == "failed"
    expired = [event for _, event in two.node_a.events if isinstance(event, ConsentExpired)]
    assert [(one.stream, one.component) for one in expired] == [(0, 2)]
    assert not two.a.is_writable(0, 1)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("prefer_rtt", [False, True])
def test_whatever_paths_die_and_live_both_ends_agree_when_it_is_over(seed, prefer_rtt):
    chance = random.Random(f"paths {seed}")  # the seed is in the test's name
    roaming = Roaming(seed=seed, loss=0.03, controlling=bool(seed % 2), prefer_rtt=prefer_rtt)
    for _ in range(15):
        dead = [host for host in ("192.0.2.1", "192.0.2.2") if chance.random() < 0.4]
        one_way = chance.random() < 0.3

        def is_cut(packet, dead=dead, one_way=one_way):
            return packet.source.host in dead or (not one_way and packet.destination.host in dead)

        roaming.net.drop = is_cut
        roaming.net.run(until=roaming.net.now + chance.uniform(1.0, 25.0))
        roaming.net.drop = None
        roaming.net.run(until=roaming.net.now + chance.uniform(0.0, 20.0))
    roaming.net.run(until=roaming.net.now + 100.0)
    over = [agent for agent in (roaming.a, roaming.b) if agent.state is IceState.FAILED]
    assert len(over) in (0, 2)
    assert over or roaming.agree


def test_a_restart_begins_renomination_anew_and_what_was_numbered_before_counts_no_more():
    roaming = Roaming()
    for _ in range(2):
        cut_between(roaming.net, roaming.used, "198.51.100.1")
        roaming.net.run(until=roaming.net.now + 20.0)
        roaming.net.drop = None
        roaming.net.run(until=roaming.net.now + 70.0)
    roaming.node_a.call(roaming.a.restart)
    roaming.node_a.call(roaming.a.gather, ["192.0.2.1", "192.0.2.2"])
    roaming.net.run(until=roaming.net.now + 1.0)
    roaming.node_b.call(roaming.b.set_remote, roaming.a.local_description)
    roaming.node_b.call(roaming.b.gather, ["198.51.100.1"])
    roaming.net.run(until=roaming.net.now + 1.0)
    roaming.node_a.call(roaming.a.set_remote, roaming.b.local_description)
    roaming.net.run(until=roaming.net.now + 10.0)
    assert roaming.agree
    assert roaming.a.state is roaming.b.state is IceState.COMPLETED
    dead = roaming.used
    cut_between(roaming.net, dead, "198.51.100.1")
    assert max(roaming.talk(30.0)) < 9.0
    assert roaming.agree and roaming.used != dead
