"""Agents and relays, in the simulation: transports, what is hidden, given back, or fails (RFC 8445 5.1.1.2, 7.2.1)."""

import math

import attrs
import pytest

from ice._relay_scene import (
    DTLS,
    SERVER,
    SERVER6,
    TCP,
    TLS,
    UDP,
    World,
    kinds,
    relay,
    relayed,
    told,
    told_candidates,
    url,
)
from sansice.ice import (
    Candidate,
    CandidatePolicy,
    CandidateType,
    Closed,
    GatheringCompleted,
    GatheringOptions,
    GatheringState,
    IceServer,
    IceState,
    PairSelected,
    RewriteRule,
    ServerAnswered,
    ServerFailed,
    candidate_priority,
)
from sansice.machine import Address, DropReason, LocalProtocolError
from sansice.simulation import BindingResponder, Fate, Link
from sansice.stun import XOR_PEER_ADDRESS, Method, decode_untrusted, is_stun
from sansice.turn import TurnLimits

RELAY, NO_HOST = CandidatePolicy.RELAY, CandidatePolicy.NO_HOST
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
DIRECT = {"nat": "full-cone"}


def sent_by(world, name):
    """(time, packet) of everything that left a host."""
    seen = []
    world.net.watch(lambda one: seen.append((one.time, one.packet)) if one.place == name and one.fate is Fate.SENT else None)
    return seen


def messages(seen):
    return [(time, decode_untrusted(packet.data)) for time, packet in seen if packet.tcp is None and is_stun(packet.data)]


def allocations(world):
    return len(world.server.allocations(now=world.net.now))


# ------------------------------------------------------------- relayed candidates connect


@EVERY
@pytest.mark.req("RFC8445-008")
def test_agents_that_may_only_use_relays_connect_over_every_transport_and_data_flows(transport):
    world = World()
    for _ in range(2):
        world.add(servers=[relay(transport)], policy="relay")
    assert world.connect()
    assert world.net.now < 1.0
    assert all(agent.selected_pair.local.type is CandidateType.RELAYED for agent in world.agents)
    assert world.echo() and world.echo(1200)


@pytest.mark.req("RFC8445-011", "RFC8445-013", "RFC8839-031")
def test_one_allocation_gives_a_reflexive_and_a_relayed_candidate():
    world = World()
    agent, node = world.add(servers=[relay()], gathering=GatheringOptions(relayed_family=4))
    world.gather()
    host, reflexive, over_relay = agent.local_candidates
    assert (host.type, reflexive.type, over_relay.type) == tuple(CandidateType(kind) for kind in ("host", "srflx", "relay"))
    assert reflexive.address.host == "203.0.113.1" and reflexive.related_address == host.address
    assert over_relay.address.host == SERVER and over_relay.related_address == reflexive.address
    (answered,) = told(node, ServerAnswered)
    assert (answered.url, answered.local, answered.mapped, answered.relayed) == (
        url(),
        "10.0.0.2",
        reflexive.address,
        (over_relay.address,),
    )
    assert math.isclose(answered.seconds, 0.08)  # a challenge and a grant, each 20 ms there and 20 ms back


def test_a_server_with_both_families_relays_in_both():
    world = World()
    agent, _ = world.add(servers=[relay()])
    world.gather()
    assert [one.address.host for one in relayed(agent)] == [SERVER, SERVER6]


def test_relays_are_preferred_by_what_their_transport_costs():
    world = World()
    agent, _ = world.add(servers=[relay(TLS, TCP, DTLS, UDP)], gathering=GatheringOptions(relayed_family=4, every_url=True))
    world.gather()
    best_first = sorted(relayed(agent), key=lambda one: -one.priority)
    preferences = [one.priority >> 8 for one in best_first]
    assert len(best_first) == 4 and len(set(preferences)) == 4
    assert [preference // 16384 for preference in preferences] == [3, 2, 1, 0]
    assert len({one.foundation for one in best_first}) == 4


@pytest.mark.req("RFC8445-086")
def test_a_check_through_a_relay_is_answered_with_the_peers_address_as_the_relay_sees_it():
    world = World()
    world.add(servers=[relay()], policy="relay")
    world.add(servers=[IceServer(f"stun:{SERVER}")])  # whose NAT shows the relay another port than the STUN server
    assert world.connect()
    local = world.agents[1].selected_pair.local
    assert local.type is CandidateType.PEER_REFLEXIVE and local.address.host == "203.0.113.2"
    assert local.address not in [one.address for one in world.agents[1].local_candidates]
    assert world.agents[0].selected_pair.remote.address == local.address
    assert world.echo()


def test_a_relay_helps_where_nothing_else_does_and_is_not_used_where_something_does():
    for nat, helps in (("symmetric", True), ("full-cone", False)):
        world = World(nat=nat)
        for _ in range(2):
            world.add(servers=[relay()])
        assert world.connect()
        pair = world.agents[0].selected_pair
        assert (CandidateType.RELAYED in (pair.local.type, pair.remote.type)) is helps


# ------------------------------------------------------------- permissions and channels


@pytest.mark.req("RFC8445-056", "RFC8445-057")
def test_permissions_come_before_checks_and_channels_after_selection():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay", gathering=GatheringOptions(relayed_family=4))
    seen = sent_by(world, "a")
    world.gather()
    world.exchange()
    done = lambda: all(agent.state is IceState.COMPLETED for agent in world.agents)  # noqa: E731
    world.net.run(until=60.0, when=done)
    selected = min(time for time, event in world.nodes[0].events if isinstance(event, PairSelected))
    world.echo()
    methods = [(time, message.method) for time, message in messages(seen)]
    first = {method: min(time for time, one in methods if one is method) for _, method in methods}
    assert first[Method.CREATE_PERMISSION] < first[Method.SEND]
    assert first[Method.CHANNEL_BIND] >= selected
    peer = relayed(world.agents[1])[0].address
    assert all(
        message.get(XOR_PEER_ADDRESS).host == peer.host
        for _, message in messages(seen)
        if message.method in (Method.CREATE_PERMISSION, Method.SEND, Method.CHANNEL_BIND)
    )
    channels = [packet for time, packet in seen if 0x40 <= packet.data[0] <= 0x4F]
    assert channels and all(packet.destination == Address(SERVER, 3478) for packet in channels)


@pytest.mark.req("RFC8445-056")
def test_permissions_are_kept_alive_for_as_long_as_ice_lasts():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay", gathering=GatheringOptions(relayed_family=4))
    assert world.connect()
    world.run(3600.0)
    assert world.echo()
    assert all(agent.state is IceState.COMPLETED for agent in world.agents)


def test_a_host_that_the_server_never_relays_to_fails_its_pairs_at_once():
    world = World()
    agent, _ = world.add(servers=[relay()], policy="relay", gathering=GatheringOptions(relayed_family=4))
    world.add()  # its host candidate is private: 403
    world.gather()
    world.exchange()
    world.run(1.0)
    assert [(pair.remote.address.host, pair.state.value) for pair in agent.pairs] == [("10.0.1.2", "failed")]


# ------------------------------------------------------------- what is hidden


def texts(node, agent):
    return "\n".join(one.to_sdp() for one in told_candidates(node)) + agent.local_description.to_json()


def test_relay_policy_tells_and_touches_nobody_but_the_server():
    world = World()
    agent, node = world.add(servers=[relay(UDP, TCP), IceServer(f"stun:{SERVER}")], policy=RELAY)
    world.add(servers=[relay()])
    seen = sent_by(world, "a")
    assert world.connect()
    assert set(kinds(agent)) == {"relay"}
    assert "10.0.0.2" not in texts(node, agent) and "203.0.113.1" not in texts(node, agent)
    assert {packet.destination.host for _, packet in seen} == {SERVER}
    assert all(one.related_address in (Address("0.0.0.0", 9), Address("::", 9)) for one in agent.local_candidates)
    assert world.echo()


def test_relay_policy_answers_no_check_that_comes_by_another_way():
    world = World(**DIRECT)
    seen = sent_by(world, "a")
    world.add("203.0.113.50", behind=None, servers=[relay()], policy=RELAY)
    world.add(servers=[relay()])
    world.gather()
    a, b = world.agents
    address = next(packet.source for _, packet in seen)  # where its host socket is: no candidate tells it
    hidden = Candidate("1", 1, UDP, candidate_priority(CandidateType.HOST, 65535, 1), address, CandidateType.HOST)
    world.nodes[0].call(a.set_remote, b.local_description)
    world.nodes[1].call(b.set_remote, attrs.evolve(a.local_description, candidates=(hidden,)))
    asked = sent_by(world, "b")
    world.run(10.0)
    assert any(packet.destination == address for _, packet in asked)
    assert {packet.destination.host for _, packet in seen} == {SERVER}
    assert a.stats.dropped[DropReason.UNKNOWN_SOCKET] > 0
    assert a.selected_pair.local.type is CandidateType.RELAYED


def test_no_host_policy_tells_what_servers_see_and_checks_from_there_all_the_same():
    world = World(**DIRECT)
    for _ in range(2):
        world.add(servers=[IceServer(f"stun:{SERVER}")], policy=NO_HOST)
    agent, node = world.agents[0], world.nodes[0]
    assert world.connect()
    assert kinds(agent) == ["srflx"]
    assert "10.0.0.2" not in texts(node, agent)
    assert agent.selected_pair.local.type is CandidateType.SERVER_REFLEXIVE
    assert world.echo()


@pytest.mark.req("RFC8838-014")
def test_pairs_of_a_reflexive_candidate_are_those_of_its_base():
    world = World(**DIRECT)
    for _ in range(2):
        world.add(servers=[IceServer(f"stun:{SERVER}")])
    world.gather()
    world.exchange()
    agent = world.agents[0]
    locals = {pair.local.address for pair in agent.pairs}
    assert locals == {agent.local_candidates[0].address} and agent.local_candidates[0].type is CandidateType.HOST
    assert len(agent.pairs) == 2


def test_no_host_policy_without_an_outside_takes_part_in_nothing():
    world = World()
    world.add(policy=NO_HOST)
    world.add()
    world.gather()
    assert world.agents[0].local_candidates == ()
    seen = sent_by(world, "a")
    world.exchange()
    world.run(20.0)
    assert seen == []


def test_address_that_is_its_own_outside_is_told_as_such_where_hosts_are_hidden_unless_it_is_private():
    world = World()
    agent, _ = world.add("203.0.113.50", behind=None, servers=[IceServer(f"stun:{SERVER}")], policy=NO_HOST)
    world.gather()
    (only,) = agent.local_candidates
    assert only.type is CandidateType.SERVER_REFLEXIVE and only.address.host == "203.0.113.50"
    lan = World()
    server = lan.net.host("stun", "10.0.0.53", behind=lan.nat_a)
    server.run(BindingResponder(["10.0.0.53"]))
    agent, _ = lan.add(servers=[IceServer("stun:10.0.0.53")], policy=NO_HOST)
    lan.gather()
    assert agent.local_candidates == ()


@pytest.mark.parametrize("policy", ["all", "no-host", "relay"])
def test_policies_have_names(policy):
    world = World()
    agent, _ = world.add(servers=[relay()], policy=policy, gathering=GatheringOptions(relayed_family=4))
    world.gather()
    assert kinds(agent) == {"all": ["host", "srflx", "relay"], "no-host": ["srflx", "relay"], "relay": ["relay"]}[policy]


# ------------------------------------------------------------- servers that fail, or take their time


@pytest.mark.req("RFC8445-012")
def test_a_server_without_room_still_tells_the_reflexive_address():
    world = World(limits=TurnLimits(allocations_per_user=1))
    world.add(servers=[relay()])
    world.gather()
    agent, node = world.add(servers=[relay()])
    world.gather()
    assert kinds(agent) == ["host", "srflx"]
    (failed,) = told(node, ServerFailed)
    assert (failed.url, failed.code) == (url(), 486)
    assert told(node, GatheringCompleted) == [GatheringCompleted()]


def test_wrong_password_is_told_with_its_code_and_delays_nothing():
    world = World()
    agent, node = world.add(servers=[relay(UDP, TCP, password="wrong")])
    world.gather()
    assert world.net.now < 1.0
    assert {failed.code for failed in told(node, ServerFailed)} == {401}
    assert kinds(agent) == ["host", "srflx"]


@EVERY
def test_a_dead_relay_delays_the_end_by_three_seconds_and_the_candidates_by_nothing(transport):
    world = World()
    dead = "198.51.100.99"
    agent, node = world.add(servers=[relay(transport, host=dead), relay(), IceServer(f"stun:{SERVER}")])
    world.net.host("dead", dead, link=Link(loss=1.0))
    world.run(0.5)
    assert kinds(agent)[:2] == ["host", "srflx"] and "relay" in kinds(agent)
    world.gather()
    assert math.isclose(world.net.now, 3.0)
    (failed,) = told(node, ServerFailed)
    assert (failed.url, failed.text) == (url(transport, dead), "no answer within 3 s")


def test_twenty_servers_half_of_them_dead_end_in_time_and_tell_each_its_fate():
    world = World()
    urls = [f"stun:198.51.100.{number}" for number in range(100, 119)]
    for number in range(100, 110):
        host = world.net.host(f"stun {number}", f"198.51.100.{number}")
        host.run(BindingResponder([f"198.51.100.{number}"]))
    for number in range(110, 119):
        world.net.host(f"dead {number}", f"198.51.100.{number}", link=Link(loss=1.0))
    _, node = world.add(servers=[IceServer(urls), relay()])
    world.gather()
    assert math.isclose(world.net.now, 3.0)
    assert [event.url for event in told(node, ServerFailed)] == urls[10:]
    assert sorted(event.url for event in told(node, ServerAnswered)) == sorted([*urls[:10], url()])
    assert len(told(node, GatheringCompleted)) == 1


def test_a_relay_that_has_begun_to_answer_is_waited_for():
    world = World(latency=0.5)  # a second for each round trip, of which TLS takes four
    agent, node = world.add(servers=[relay(TLS)], policy="relay")
    world.gather()
    assert world.net.now > 3.0
    assert kinds(agent) == ["relay", "relay"]
    assert told(node, ServerFailed) == []


def test_but_not_for_ever():
    world = World(latency=0.5)
    _, node = world.add(servers=[relay(TLS)], policy="relay", gathering=GatheringOptions(answering_timeout=0.5))
    world.gather()
    assert math.isclose(world.net.now, 3.5)
    (failed,) = told(node, ServerFailed)
    assert "did not come to an end" in failed.text


def test_an_abandoned_allocation_is_deleted_when_its_grant_comes_too_late():
    world = World(latency=0.8)
    world.add(servers=[relay(UDP)], policy="relay", gathering=GatheringOptions(answering_timeout=0.0))
    world.gather()
    assert world.agents[0].local_candidates == ()
    assert allocations(world) == 1
    world.run(5.0)
    assert allocations(world) == 0


# ------------------------------------------------------------- what is given back


@EVERY
def test_closing_deletes_the_allocation_although_the_socket_is_a_host_candidates(transport):
    world = World()
    agent, node = world.add(servers=[relay(transport)])
    world.gather()
    assert allocations(world) == 1
    node.call(agent.close)
    assert agent.lingers and told(node, Closed) == [Closed()]
    world.run(1.0)
    assert allocations(world) == 0
    assert not agent.lingers and agent.deadline() == math.inf


def test_a_deletion_that_is_lost_is_repeated():
    world = World()
    agent, node = world.add(servers=[relay()])
    world.gather()
    lost = []
    world.net.drop = lambda packet: not lost and not lost.append(packet)
    node.call(agent.close)
    world.run(2.0)
    assert lost and allocations(world) == 0


def test_relays_that_no_selected_pair_uses_are_given_back():
    world = World(**DIRECT)
    for _ in range(2):
        world.add(servers=[relay(UDP, TCP)], gathering=GatheringOptions(every_url=True))
    assert world.connect()
    assert allocations(world) == 4
    world.run(5.0)
    assert allocations(world) == 0
    assert world.echo()


def test_the_relay_in_use_is_kept_and_the_others_given_back():
    world = World()
    for _ in range(2):
        world.add(servers=[relay(UDP, TCP)], policy="relay", gathering=GatheringOptions(every_url=True))
    assert world.connect()
    world.run(5.0)
    assert allocations(world) == 2
    world.run(3600.0)
    assert allocations(world) == 2 and world.echo()


def test_a_failed_agent_gives_its_relays_back():
    world = World()
    agent, _ = world.add(servers=[relay()], policy="relay")
    world.add()
    world.gather()
    stranger = world.agents[1].local_description
    world.nodes[0].call(agent.set_remote, stranger)
    world.nodes[1].call(world.agents[1].close)
    world.run(60.0)
    assert agent.state is IceState.FAILED
    assert allocations(world) == 0


# ------------------------------------------------------------- relays that are lost


@pytest.mark.parametrize("transport", [TCP, TLS])
def test_a_relay_that_breaks_in_mid_session_ends_what_used_it(transport):
    world = World()
    for _ in range(2):
        world.add(servers=[relay(transport)], policy="relay")
    assert world.connect()
    world.server_node.call(world.server.close)
    world.run(1.0)
    assert world.agents[0].state is IceState.FAILED
    assert "lost" in str(world.agents[0].failure)
    assert relayed(world.agents[0]) == []
    assert told(world.nodes[0], ServerFailed)


def test_a_relay_that_breaks_while_checks_run_takes_its_candidates_along_and_no_others():
    world = World()
    agent, node = world.add(servers=[relay(TCP)])
    world.gather()
    assert "relay" in kinds(agent)
    world.server_node.call(world.server.close)
    world.run(1.0)
    assert kinds(agent) == ["host"]
    assert agent.state is IceState.NEW
    assert told(node, ServerFailed)[-1].url == url(TCP)


# ------------------------------------------------------------- order, rules, ports


@pytest.mark.req("RFC8838-025")
def test_of_one_foundation_lower_components_are_told_first_whatever_answer_comes_first():
    world = World()
    _, node = world.add(servers=[relay(), IceServer(f"stun:{SERVER}")], streams=2, components=2)
    lost = []

    def lose_first_questions_of_first_components(packet):
        if packet.destination == Address(SERVER, 3478) and len(lost) < 3:
            lost.append(packet)
            return True
        return False

    world.net.drop = lose_first_questions_of_first_components
    world.gather()
    by_foundation = {}
    for event in [event for _, event in node.events if type(event).__name__ == "CandidateGathered"]:
        by_foundation.setdefault((event.stream, event.candidate.foundation), []).append(event.component)
    assert len(lost) == 3
    assert all(components == sorted(components) for components in by_foundation.values())
    assert {len(components) for components in by_foundation.values()} == {2}


@pytest.mark.req("RFC8445-001", "RFC8445-018", "RFC8421-004")
def test_every_address_stream_and_component_has_its_candidate_and_priorities_are_unique_in_a_stream():
    world = World()
    agent, _ = world.add("203.0.113.50", "2001:db8:50::50", behind=None, servers=[relay(UDP, TCP)], streams=2, components=2)
    world.gather()
    assert len([one for one in agent.local_candidates if one.type is CandidateType.HOST]) == 8
    for stream in range(2):
        priorities = [one.priority for one in agent.describe(stream).candidates]
        assert len(set(priorities)) == len(priorities)
        for component in (1, 2):
            hosts = [
                one for one in agent.describe(stream).candidates if one.type is CandidateType.HOST and one.component == component
            ]
            assert [one.address.is_ipv6 for one in sorted(hosts, key=lambda one: -one.priority)] == [True, False]
            assert all(one.priority & 0xFF == 256 - component for one in hosts)


def test_a_rule_replaces_the_private_address_and_the_pair_connects_through_it():
    world = World()
    cloud = world.net.nat("203.0.113.60", preset="one-to-one")
    agent, node = world.add("10.9.9.9", behind=cloud, gathering=GatheringOptions(rewrite=[RewriteRule("203.0.113.60")]))
    world.gather()
    (only,) = agent.local_candidates
    assert only.type is CandidateType.HOST and only.address.host == "203.0.113.60"
    assert "10.9.9.9" not in texts(node, agent)
    world.add("192.0.2.200", behind=None)
    assert world.connect()
    assert agent.selected_pair.local == only and world.echo()


def test_ports_come_from_the_range_and_when_it_is_used_up_there_is_no_candidate():
    world = World()
    agent, _ = world.add(streams=3, gathering=GatheringOptions(port_range=(50000, 50001)))
    world.gather()
    assert sorted(one.address.port for one in agent.local_candidates) == [50000, 50001]
    assert agent.gathering_state is GatheringState.COMPLETE


def test_data_that_a_relay_cannot_carry_is_refused_and_nothing_changes():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay")
    assert world.connect()
    agent, node = world.agents[0], world.nodes[0]
    before = (agent.stats.datagrams_sent, agent.stats.bytes_sent)
    with pytest.raises(LocalProtocolError, match="a relay can send"):
        node.call(agent.send, b"\x80" * 65_500)
    assert (agent.stats.datagrams_sent, agent.stats.bytes_sent) == before
