"""Full agents on one port behind a NAT, in the simulation: reflexive at the shared port, relays with sockets of their own."""

import pytest

from ice._relay_scene import World, relay
from ice._wire import at
from sansice.ice import (
    AgentEvent,
    CandidateType,
    DataReceived,
    GatheringOptions,
    IceAgent,
    IceMux,
    IceState,
    LiteAgent,
    RewriteRule,
)
from sansice.simulation import Network, Recorded, Recording, replay
from sansice.stun import ServerReady

STUN = "203.0.113.9"


class Office:
    """A mux in an office, behind a NAT, and clients out on the Internet."""

    def __init__(self, net, behind, clients, *, servers=(), client_options=None, ports=(4000,)):
        self.net = net
        self.host = net.host("office", "192.168.1.2", behind=behind)
        self.mux = IceMux()
        self.node = self.host.run(self.mux)
        self.node.call(self.mux.start, [at("192.168.1.2", port) for port in ports])
        assert net.run(until=net.now + 1.0, when=lambda: any(isinstance(event, ServerReady) for _, event in self.node.events))
        self.names, self.ours, self.clients = [], [], []
        for number in range(clients):
            options = {"servers": servers, "ids": self.mux.ids, "pacer": self.mux.pacer, "entropy": self.host.entropy}
            self.ours.append(IceAgent(controlling=False, **options))
            self.names.append(self.node.call(self.mux.add, self.ours[-1]))
            self.node.call(self.mux.gather, self.names[-1])
            place = net.host(f"client {number}", f"198.51.100.{number + 1}")
            agent = IceAgent(controlling=True, entropy=place.entropy, **(client_options or {}))
            node = place.run(agent)
            node.call(agent.gather, place.addresses)
            self.clients.append(node)
        complete = lambda: all(one.gathering_state.value == "complete" for one in self.ours)  # noqa: E731
        assert net.run(until=net.now + 20.0, when=complete)

    def connect(self):
        for name, ours, node in zip(self.names, self.ours, self.clients, strict=True):
            ours.set_remote(node.machine.local_description, now=self.net.now)
            self.node.call(self.mux.absorb, name)
            node.call(node.machine.set_remote, ours.local_description)
        agents = [*self.ours, *(node.machine for node in self.clients)]
        return self.net.run(until=self.net.now + 40.0, when=lambda: all(agent.state is IceState.COMPLETED for agent in agents))

    def echo(self):
        """What each agent gets that its client sends, and the other way round."""
        for number, (name, node) in enumerate(zip(self.names, self.clients, strict=True)):
            node.call(node.machine.send, b"up %d" % number)
            self.node.call(self.mux.send, name, b"down %d" % number)
        self.net.run(until=self.net.now + 1.0)
        up = {
            e.agent: e.event.data for _, e in self.node.events if isinstance(e, AgentEvent) and isinstance(e.event, DataReceived)
        }
        down = [[e.data for _, e in node.events if isinstance(e, DataReceived)] for node in self.clients]
        assert up == {name: b"up %d" % number for number, name in enumerate(self.names)}
        assert down == [[b"down %d" % number] for number in range(len(self.names))]


def types_of(agent):
    return [candidate.type for candidate in agent.local_candidates]


def test_full_agents_behind_a_nat_have_one_reflexive_address_and_connect_each_with_its_client():
    net = Network(seed=8, latency=0.02)
    net.stun_server(STUN)
    office = Office(net, net.nat("203.0.113.1"), 5, servers=[f"stun:{STUN}"])
    reflexive = {one.address for agent in office.ours for one in agent.local_candidates if one.type is not CandidateType.HOST}
    assert len(reflexive) == 1 and all(types_of(agent) == types_of(office.ours[0]) for agent in office.ours)
    assert office.connect()
    office.echo()
    assert not office.mux.stats.dropped


def test_full_agents_at_two_ports_have_a_reflexive_address_for_each_and_ask_for_no_second_relay():
    world = World()
    world.net.stun_server(STUN)
    office = Office(world.net, world.nat_a, 2, servers=[f"stun:{STUN}", relay()], ports=(4000, 4001))
    for agent in office.ours:
        own = [one.address.port for one in agent.local_candidates if one.type is CandidateType.HOST]
        related = [one.related_address.port for one in agent.local_candidates if one.type is CandidateType.SERVER_REFLEXIVE]
        assert own == sorted(related) == [4000, 4001]
        assert types_of(agent).count(CandidateType.RELAYED) == 2  # one for each family, of one allocation
        assert len({one.priority for one in agent.local_candidates}) == len(agent.local_candidates)
    assert office.connect()
    office.echo()


def test_agents_of_a_one_to_one_nat_tell_its_address_with_the_shared_port():
    mux_net = Network(seed=8)
    host = mux_net.host("server", "192.168.1.2")
    mux = IceMux()
    node = host.run(mux)
    node.call(mux.start, [at("192.168.1.2", 4000)])
    rules = GatheringOptions(rewrite=(RewriteRule("203.0.113.80"),))
    agent = LiteAgent(controlling=False, gathering=rules, ids=mux.ids, entropy=host.entropy)
    name = node.call(mux.add, agent)
    node.call(mux.gather, name)
    mux_net.run(until=0.1)
    assert [one.address for one in agent.local_candidates] == [at("203.0.113.80", 4000)]


def test_relays_of_all_agents_live_side_by_side_and_are_given_back():
    world = World()
    office = Office(world.net, world.nat_a, 3, servers=[relay()], client_options={"policy": "relay", "servers": [relay()]})
    assert all(CandidateType.RELAYED in types_of(agent) for agent in office.ours)
    assert office.connect()
    office.echo()
    for name in office.names:
        office.node.call(office.mux.remove, name)
    world.net.run(until=world.net.now + 5.0)
    assert office.mux.agents == () and office.mux._residents.owners == {} and office.mux._residents.lanes == {}


def test_a_closed_mux_lingers_until_its_agents_have_given_their_relays_back():
    world = World()
    office = Office(world.net, world.nat_a, 2, servers=[relay()])
    assert not office.mux.lingers
    office.node.call(office.mux.close)
    assert office.mux.lingers
    world.net.run(until=world.net.now + 5.0)
    assert not office.mux.lingers
    assert office.mux.agents == ()


@pytest.mark.parametrize("seed", range(2))
def test_recorded_mux_replays_byte_for_byte(seed):
    net = Network(seed=seed, latency=0.02, loss=0.1)
    host = net.host("server", "192.0.2.1")
    recording = Recording(host.entropy)
    mux = Recorded(IceMux(), recording)
    node = host.run(mux)
    node.call(mux.start, [at("192.0.2.1", 4000)])
    net.run(until=0.5)
    node.call(mux.refuse, "somebody")
    node.call(mux.close)
    again = replay(Recording.from_json_lines(recording.to_json_lines()), lambda tap: IceMux())
    assert again.state.value == "closed"
