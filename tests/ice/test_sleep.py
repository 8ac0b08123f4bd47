"""A machine that sleeps while it is connected: what its agent tells and asks when it wakes, and who comes back how."""

import pytest

from ice._relay_scene import TCP, UDP, World, relay
from ice._session import PEER, selected, states
from sansice.ice import (
    ConsentExpired,
    Credentials,
    IceAgent,
    IceState,
    IceStateChanged,
    LiteAgent,
    Nomination,
    Restarted,
    RestartNeeded,
)
from sansice.machine import LocalProtocolError
from sansice.simulation import Network

HOUR = 3600.0


def told(bench, *kinds):
    return [(when, event) for when, event in bench.events if isinstance(event, kinds)]


def asleep(bench, seconds):
    """The bench's machine stands still, and the clock goes on."""
    bench.now += seconds
    bench.call(bench.agent.handle_timer)


# ------------------------------------------------------------- the machine


@pytest.mark.parametrize("controlling", [True, False])
def test_who_wakes_before_consent_has_ended_asks_at_once_and_goes_on_with_the_answer(controlling):
    bench = selected(controlling=controlling)
    bench.run(until=3.0)
    asleep(bench, 25.0)
    assert [one.at for one in bench.requests][-1] == 28.0 and bench.requests[-1].destination == PEER
    bench.answer(bench.requests[-1])
    bench.call(bench.agent.send, b"\x80")
    assert bench.agent.state is IceState.COMPLETED
    assert told(bench, ConsentExpired, RestartNeeded) == [] and not bench.agent.needs_restart


@pytest.mark.parametrize("controlling", [True, False])
@pytest.mark.parametrize("seconds", [31.0, HOUR])
@pytest.mark.req("RFC7675-005", "RFC7675-016")
def test_who_wakes_too_late_is_told_at_once_that_only_a_restart_helps_and_sends_nothing(controlling, seconds):
    bench = selected(controlling=controlling)
    asleep(bench, seconds - bench.now)
    assert told(bench, ConsentExpired, RestartNeeded, IceStateChanged)[-3:] == [
        (seconds, ConsentExpired(0, 1, revoked=False)),
        (seconds, IceStateChanged(IceState.COMPLETED, IceState.FAILED)),
        (seconds, RestartNeeded(0)),
    ]
    assert bench.agent.needs_restart and [one for one in bench.sent if one.at == seconds] == []
    bench.call(bench.agent.restart)
    assert not bench.agent.needs_restart and bench.agent.state is IceState.CHECKING
    bench.run(until=seconds + 5.0)
    assert len(told(bench, RestartNeeded)) == 1


def test_data_that_comes_before_the_timer_shows_that_consent_has_ended():
    bench = selected()
    bench.now = 31.0
    bench.arrive(1, PEER, b"\x80 from before")
    assert told(bench, RestartNeeded) == [(31.0, RestartNeeded(0))]
    assert states(bench)[-1] == (31.0, "failed")


def test_a_peer_that_falls_silent_for_good_needs_a_restart_too():
    bench = selected()
    bench.run(until=40.0)
    assert told(bench, RestartNeeded) == [(30.05, RestartNeeded(0))]


def test_a_peer_that_has_revoked_consent_wants_no_restart():
    bench = selected()
    bench.run(until=4.0)
    bench.answer(bench.requests[-1], code=403)
    assert bench.agent.state is IceState.FAILED
    assert told(bench, RestartNeeded) == [] and not bench.agent.needs_restart


def test_of_two_agents_that_renominate_who_has_another_valid_pair_needs_no_restart():
    bench = selected(nomination=Nomination(renominate=True), options=("ice2", "renomination"))
    asleep(bench, HOUR - bench.now)
    assert told(bench, RestartNeeded) == [(HOUR, RestartNeeded(0))]  # that one had none


# ------------------------------------------------------------- over relays


@pytest.mark.parametrize("transport", [UDP, TCP])
@pytest.mark.parametrize("begins", [0, 1])
@pytest.mark.parametrize("seconds", [60.0, HOUR])
def test_a_restart_after_a_sleep_brings_a_relayed_pair_back_within_a_second(transport, begins, seconds):
    world = World()
    for _ in range(2):
        world.add(servers=[relay(transport)], policy="relay")
    assert world.connect()
    world.run(10.0)
    world.hosts[0].sleep(seconds)
    world.run(seconds + 0.1)
    assert [agent.state for agent in world.agents] == [IceState.FAILED] * 2
    assert restarted(world, begins) < 1.0
    assert len(world.server.allocations(now=world.net.now)) == 2


@pytest.mark.parametrize("begins", [0, 1])
def test_a_restart_after_a_nat_has_forgotten_the_way_to_a_relay_does_not_wait_for_what_relays_no_more(begins):
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay")
    assert world.connect()
    world.run(10.0)
    world.nat_a.reboot(0.0)
    assert restarted(world, begins) < 1.0


def test_a_restart_while_a_relay_is_being_asked_for_gathers_one():
    world = World()
    agent, node = world.add(servers=[relay()], policy="relay")
    world.run(0.05)  # it is being asked
    node.call(agent.restart)
    node.call(agent.gather, node.host.addresses)
    world.gather()
    assert {one.type.value for one in agent.local_candidates} == {"relay"}


def restarted(world, begins):
    """How many seconds it takes from one agent's restart until both have selected, the exchange included."""
    began_at = world.net.now
    (first, at_first), (second, at_second) = sorted(
        zip(world.agents, world.nodes, strict=True), key=lambda one: one[0] is not world.agents[begins]
    )
    at_first.call(first.restart)
    at_first.call(first.gather, at_first.host.addresses)
    world.gather()
    at_second.call(second.set_remote, first.local_description)
    at_second.call(second.gather, at_second.host.addresses)
    world.gather()
    at_first.call(first.set_remote, second.local_description)
    done = lambda: all(agent.state is IceState.COMPLETED for agent in world.agents)  # noqa: E731
    world.net.run(until=began_at + 60.0, when=done)
    assert done()
    return world.net.now - began_at


def test_what_is_given_back_at_the_end_is_no_candidate_of_the_restart():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay")
    assert world.connect()
    world.run(10.0)
    world.hosts[0].sleep(60.0)
    world.run(60.1)
    agent, node = world.agents[0], world.nodes[0]
    node.call(agent.restart)
    assert agent._streams[0].checker.conclusions[0].pairing.bases() == []
    node.call(agent.close)
    world.run(2.0)
    assert len(node.sockets) == 0


# ------------------------------------------------------------- lite agents


class Served:
    """A client behind a NAT, and a lite agent that everybody can reach; they are connected."""

    def __init__(self):
        self.net = Network(seed=1, latency=0.03)
        home = self.net.nat("198.51.100.1", preset="symmetric")
        client, server = self.net.host("client", "192.168.1.2", behind=home), self.net.host("server", "203.0.113.80")
        self.client = client.run(IceAgent(controlling=True, entropy=client.entropy))
        self.server = server.run(LiteAgent(controlling=False, entropy=server.entropy))
        for node in (self.client, self.server):
            node.call(node.machine.gather, node.host.addresses)
        self.net.run(until=0.1)
        self.offer()
        self.net.run(until=10.0)
        assert self.states == [IceState.COMPLETED] * 2

    @property
    def states(self):
        return [self.client.machine.state, self.server.machine.state]

    def told(self, node, kind):
        return [(at, event) for at, event in node.events if isinstance(event, kind)]

    def offer(self):
        self.server.call(self.server.machine.set_remote, self.client.machine.local_description)
        self.net.run(until=self.net.now + 0.01)  # a socket that was released is open again
        self.client.call(self.client.machine.set_remote, self.server.machine.local_description)


def test_a_client_that_has_slept_restarts_with_a_lite_agent_that_has_failed():
    served = Served()
    served.client.host.sleep(HOUR)
    served.net.run(until=10.0 + HOUR)
    assert served.states == [IceState.FAILED] * 2
    served.client.call(served.client.machine.restart)
    served.client.call(served.client.machine.gather, served.client.host.addresses)
    served.offer()
    served.net.run(until=served.net.now + 0.5)
    assert served.states == [IceState.COMPLETED] * 2
    assert [event.by_peer for _, event in served.told(served.server, Restarted)] == [True]


def test_a_lite_agent_that_has_failed_hears_nothing_but_a_restart():
    served = Served()
    served.client.host.sleep(HOUR)
    served.net.run(until=10.0 + HOUR)
    with pytest.raises(LocalProtocolError, match="failed"):
        served.server.call(served.server.machine.set_remote, served.client.machine.local_description)
    assert served.server.machine.state is IceState.FAILED


@pytest.mark.parametrize("sleeper", ["client", "server"])
def test_a_lite_agent_of_which_nothing_is_heard_for_30_s_is_told_that_only_a_restart_helps(sleeper):
    served = Served()
    getattr(served, sleeper).host.sleep(HOUR)
    served.net.run(until=10.0 + HOUR)
    ((at, event),) = served.told(served.server, RestartNeeded)
    assert event == RestartNeeded(0) and served.server.machine.needs_restart
    assert at == (10.0 + HOUR if sleeper == "server" else pytest.approx(40.0, abs=6.0))
    served.server.call(served.server.machine.restart)
    assert not served.server.machine.needs_restart


def test_a_lite_agent_whose_address_is_gone_needs_a_restart_once_it_has_another():
    served = Served()
    server, node = served.server.machine, served.server
    node.host.attach("203.0.113.81", behind=served.net.internet)
    node.call(server.update_addresses, [])
    assert served.told(node, RestartNeeded) == [] and not server.needs_restart
    node.call(server.update_addresses, ["203.0.113.81"])
    assert served.told(node, RestartNeeded) == [(10.0, RestartNeeded(0))] and server.needs_restart
    node.call(server.update_addresses, ["203.0.113.81", "203.0.113.80"])
    assert len(served.told(node, RestartNeeded)) == 1
    node.call(server.restart, credentials=Credentials("another1", "p" * 22))
    served.net.run(until=10.5)
    served.client.call(served.client.machine.set_remote, server.local_description)
    served.client.call(served.client.machine.gather, served.client.host.addresses)
    node.call(server.set_remote, served.client.machine.local_description)
    served.net.run(until=12.0)
    assert served.states == [IceState.COMPLETED] * 2 and not server.needs_restart
    assert server.selected_pair.local.address.host in ("203.0.113.80", "203.0.113.81")


def test_a_lite_agent_that_has_failed_and_is_told_of_another_address_restarts_from_that():
    served = Served()
    server, node = served.server.machine, served.server
    served.client.host.sleep(HOUR)
    served.net.run(until=60.0)
    node.host.attach("203.0.113.81", behind=served.net.internet)
    node.call(server.update_addresses, ["203.0.113.81"])
    assert len(served.told(node, RestartNeeded)) == 1 and len(node.sockets) == 0
    node.call(server.restart)
    served.net.run(until=61.0)
    assert [one.address.host for one in server.local_description.candidates] == ["203.0.113.81"]


def test_a_lite_agent_that_has_never_been_used_needs_no_restart_for_another_address():
    served = Served()
    host = served.server.host
    node = host.run(LiteAgent(controlling=False, entropy=host.entropy))
    node.call(node.machine.gather, host.addresses)
    host.attach("203.0.113.81", behind=served.net.internet)
    node.call(node.machine.update_addresses, ["203.0.113.81"])
    assert served.told(node, RestartNeeded) == []
