"""Agents that conceal their addresses, in the laboratory: on one link, behind different routers, and beside a relay."""

import attrs
import pytest

from ice._relay_scene import SERVER, World, relay
from sansice.ice import Candidate, CandidateType, HostName, IceAgent, IceState, MdnsAgent
from sansice.machine import Address, AddressRecord, ResolveError
from sansice.simulation import Fate, Network
from sansice.stun import XOR_PEER_ADDRESS, decode_untrusted, is_stun

RELAYED, REFLEXIVE = CandidateType.RELAYED, CandidateType.SERVER_REFLEXIVE


class Pair:
    """Two agents, each on a host of its own; the first controls."""

    def __init__(self, *places, policies=("conceal-host", "conceal-host"), stun=None, seed=1):
        self.net = places[0][0]
        servers = [] if stun is None else [f"stun:{stun}"]
        self.nodes = []
        for number, (net, address, behind) in enumerate(places):
            host = net.host("AB"[number], address, behind=behind)
            agent = IceAgent(controlling=not number, policy=policies[number], servers=servers, entropy=host.entropy)
            self.nodes.append(host.run(agent))
            self.nodes[-1].call(agent.gather, host.addresses)
        self.a, self.b = (node.machine for node in self.nodes)
        self.net.run(until=self.net.now + 1.0)

    def connect(self, seconds=10.0):
        """Tell each the other's description as text; whether both come to an end."""
        for node, other in zip(self.nodes, (self.b, self.a), strict=True):
            description = type(other.local_description).from_json(other.local_description.to_json())
            node.call(node.machine.set_remote, description)
        done = lambda: all(node.machine.state is IceState.COMPLETED for node in self.nodes)  # noqa: E731
        return self.net.run(until=self.net.now + seconds, when=done)

    def remote_types(self):
        return [agent.selected_pair.remote.type.value for agent in (self.a, self.b)]


def on_one_link(*addresses, **options):
    net = Network(seed=1)
    lan = net.segment("LAN")
    return Pair(*((net, address, lan) for address in addresses), **options)


@pytest.mark.req("MDNS-006", "MDNS-008", "MDNS-012")
@pytest.mark.parametrize("stem", ["192.168.1.", "fd00:1::", "fe80::"], ids=["ipv4", "ipv6", "link-local"])
def test_two_on_one_link_connect_by_their_names_and_show_no_address(stem):
    pair = on_one_link(f"{stem}1", f"{stem}2")
    assert pair.connect(1.0)
    for agent in (pair.a, pair.b):
        selected = agent.selected_pair
        assert isinstance(selected.local.address, HostName) and isinstance(selected.remote.address, HostName)
        assert stem not in agent.local_description.to_json() + agent.report().to_json() + agent.explain().to_json()
    pair.nodes[0].call(pair.a.send, b"hello")
    pair.net.run(until=pair.net.now + 1.0)
    assert pair.b.stats.bytes_received == 5


@pytest.mark.parametrize("policies", [("conceal-host", "all"), ("all", "conceal-host")], ids=["first", "second"])
def test_one_that_conceals_connects_with_one_that_does_not(policies):
    pair = on_one_link("192.168.1.1", "192.168.1.2", policies=policies)
    assert pair.connect()


def test_names_do_not_cross_a_router_and_what_servers_see_connects():
    net = Network(seed=1)
    net.stun_server("198.51.100.53")
    places = [(net, f"192.168.{n}.2", net.nat(f"203.0.113.{n}")) for n in (1, 2)]
    pair = Pair(*places, stun="198.51.100.53")
    assert pair.connect()
    assert pair.remote_types() == ["srflx", "srflx"]
    pair.net.run(until=pair.net.now + 10.0)
    assert "lost" in pair.a.explain() and "192.168." not in pair.a.explain() + pair.b.explain()


def test_without_a_server_two_behind_different_routers_learn_why_they_do_not_connect():
    net = Network(seed=1)
    pair = Pair(*((net, f"192.168.{n}.2", net.nat(f"203.0.113.{n}")) for n in (1, 2)))
    assert not pair.connect(60.0)
    assert pair.a.state is IceState.FAILED
    assert [one.cause.value for one in pair.a.explain().findings][:1] == ["names-not-found"]


def test_names_are_answered_for_until_the_agent_closes():
    pair = on_one_link("192.168.1.1", "192.168.1.2")
    [name] = [one.address.name for one in pair.a.local_candidates]
    listener = pair.nodes[1].host.run(MdnsAgent(entropy=bytes))
    listener.call(listener.machine.update_addresses, ["192.168.1.2"])
    pair.net.run(until=200.0)  # longer than anything is remembered
    listener.call(listener.machine.resolve, name)
    pair.net.run(until=210.0)
    assert listener.events[-1][1].host == "192.168.1.1"
    pair.nodes[0].call(pair.a.close)
    pair.net.run(until=215.0)
    listener.call(listener.machine.resolve, name)
    pair.net.run(until=230.0)
    assert not hasattr(listener.events[-1][1], "host")


@pytest.mark.req("MDNS-011")
def test_no_relay_of_ours_learns_what_a_peers_name_conceals():
    world = World(nat="full-cone", peers=("0.0.0.0/0",))
    peers_told = []

    def watch(one):
        packet = one.packet
        if one.fate is Fate.SENT and packet.destination.host == SERVER and packet.tcp is None and is_stun(packet.data):
            message = decode_untrusted(packet.data)
            peers_told.extend(address.host for address in message.get_all(XOR_PEER_ADDRESS))

    world.net.watch(watch)
    a, node = world.add("10.0.0.2", servers=[relay()], policy="conceal-host")
    b, _ = world.add("10.0.0.3", behind=world.nat_a, policy="conceal-host")
    assert world.connect()
    outside = Candidate.from_sdp("candidate:9 1 udp 1694498815 203.0.113.200 5000 typ srflx raddr 0.0.0.0 rport 9")
    node.call(a.add_remote_candidate, outside)  # whatever is told, relays are told of what they are to let in
    world.run(2.0)
    assert any(one.type is RELAYED for one in a.local_candidates) and b.state is IceState.COMPLETED
    assert peers_told == [] and not [pair for pair in a.pairs if pair.local.type is RELAYED]


@pytest.mark.req("MDNS-011")
@pytest.mark.parametrize("is_first", [True, False], ids=["told-first", "told-last"])
def test_an_address_that_is_told_openly_beside_its_name_is_reached_by_relays_too(is_first):
    world = World(nat="full-cone")
    a, node_a = world.add("10.0.0.2", servers=[relay()])
    b, _ = world.add("192.0.2.9", behind=None, policy="conceal-host")
    world.gather()
    [named] = b.local_candidates
    openly = attrs.evolve(named, address=Address("192.0.2.9", named.address.port), type=REFLEXIVE, priority=named.priority - 1)
    both = (openly, named) if is_first else (named, openly)
    node_a.call(a.set_remote, attrs.evolve(b.local_description, candidates=both))
    [ipv6, ipv4] = a._session.names._searches[named.address.name].left
    node_a.call(a.handle_resolved, ipv6, ResolveError.NOT_FOUND)
    node_a.call(a.handle_resolved, ipv4, (AddressRecord("192.0.2.9"),))
    by_type = {pair.local.type: pair.remote for pair in a.pairs}
    assert by_type == {CandidateType.HOST: named, RELAYED: openly}
