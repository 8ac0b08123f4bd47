"""Between an agent and its relays; what comes of it is in test_agent_relayed.py."""

import attrs

from ice._relay_scene import DTLS, SERVER, TCP, UDP, World, relay, relayed
from sansice.ice import Candidate, GatheringOptions, IceRole, IceServer, IceState
from sansice.ice._binding import encode_check
from sansice.machine import Address, IcmpError, SocketId
from sansice.simulation import Fate
from sansice.stun import Method, TransactionId, decode_untrusted, is_stun, short_term_key
from sansice.turn import TurnClientConfig


def check_of(username, pwd):
    """A check that a controlled peer sends."""
    transaction_id = TransactionId(b"12345678abcd")
    key, role = short_term_key(pwd), IceRole.CONTROLLED
    return transaction_id, encode_check(transaction_id, username=username, key=key, priority=99, role=role, tiebreaker=1)


FOUR = GatheringOptions(relayed_family=4)


def test_peers_are_let_in_before_their_pairs_have_their_turn():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay", gathering=FOUR)
    world.gather()
    asked = []

    def watch(one):
        if one.place == "a" and one.fate is Fate.SENT and is_stun(one.packet.data):
            asked.append((one.time, decode_untrusted(one.packet.data).method))

    world.net.watch(watch)
    remote = attrs.evolve(world.agents[1].local_description, end_of_candidates=False)
    start = world.net.now
    world.nodes[0].call(world.agents[0].set_remote, remote)
    trickled = Candidate.from_sdp("9 1 udp 5 192.0.2.99 4000 typ host")
    world.nodes[0].call(world.agents[0].add_remote_candidate, trickled)
    assert [method for time, method in asked if time == start] == [Method.CREATE_PERMISSION] * 2


def test_peer_that_is_seen_at_an_address_nobody_told_is_let_in_at_the_relay_too():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], gathering=FOUR)
    world.gather()
    agent, peer = world.agents
    told = attrs.evolve(peer.local_description, candidates=())
    world.nodes[0].call(agent.set_remote, told)
    seen = Address("203.0.113.77", 5000)
    own = agent.credentials
    _, check = check_of(f"{own.ufrag}:{told.ufrag}", own.pwd)
    (one,) = agent._gatherer.relays.live
    assert not one.permitted
    world.nodes[0].call(agent.handle_datagrams, one.question.host.socket, [(seen, check)])
    assert list(one.permitted) == [seen.host]


def test_agent_without_servers_has_no_relays_and_ignores_their_inputs():
    world = World()
    agent, node = world.add()
    world.gather()
    node.call(agent.handle_stream_data, SocketId(9), b"data")
    node.call(agent.handle_stream_sent, SocketId(9), 5)
    node.call(agent.handle_socket_opened, SocketId(9), Address("192.0.2.1", 1))
    assert not agent.lingers


def carried_by(agent):
    """Datagrams sent, and those that had no room."""
    (pair,) = [one for one in agent.report().pairs if one.nominated]
    return pair.packets_sent, pair.packets_discarded_on_send


def test_what_waits_on_a_stream_is_bounded():
    config = TurnClientConfig(max_unsent=2000)
    world = World()
    for _ in range(2):
        world.add(servers=[relay(TCP)], policy="relay", gathering=GatheringOptions(relayed_family=4, turn=config))
    assert world.connect()
    assert world.echo()
    agent, node = world.agents[0], world.nodes[0]
    before = len([event for _, event in world.nodes[1].events if hasattr(event, "data")])
    sent, discarded = carried_by(agent)
    for _ in range(200):
        node.call(agent.send, bytes([0x80]) * 1200)
    world.run(5.0)
    arrived = len([event for _, event in world.nodes[1].events if hasattr(event, "data")]) - before
    assert 0 < arrived < 200
    carried = carried_by(agent)
    assert carried == (sent + arrived, discarded + 200 - arrived)
    assert world.echo()
    assert all(one.state is IceState.COMPLETED for one in world.agents)


def test_icmp_error_behind_the_relay_fails_a_check_at_once():
    world = World(peers=("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24"))
    agent, node = world.add(servers=[relay()], policy="relay", gathering=FOUR)
    world.add("192.0.2.200", behind=None)
    world.gather()
    remote = world.agents[1].local_description
    world.nodes[1].call(world.agents[1].close)  # nobody listens there any more
    node.call(agent.set_remote, remote)
    world.run(1.0)
    assert [pair.state.value for pair in agent.pairs] == ["failed"]


def test_soft_icmp_error_behind_the_relay_changes_nothing():
    world = World()
    agent, node = world.add(servers=[relay()], policy="relay", gathering=FOUR)
    world.add(servers=[IceServer(f"stun:{SERVER}")])
    world.gather()
    node.call(agent.set_remote, world.agents[1].local_description)
    node.call(agent.handle_icmp, SocketId(1), Address(SERVER, 3478), IcmpError(3, 1))
    world.run(0.5)
    assert "in-progress" in {pair.state.value for pair in agent.pairs}


def test_relay_towards_which_a_socket_dies_after_the_agent_was_closed_lingers_no_more():
    world = World()
    agent, node = world.add(servers=[relay(UDP, DTLS)], gathering=GatheringOptions(every_url=True))
    world.gather()
    assert len(relayed(agent)) == 4
    world.net.drop = lambda packet: packet.destination.host == SERVER
    node.call(agent.close)
    assert agent.lingers
    world.run(6.0)
    assert not agent.lingers


def test_address_whose_socket_was_closed_after_the_selection_gets_another_one_in_a_restart():
    world = World()
    world.add("10.0.0.2", "10.0.0.3", servers=[relay()], gathering=FOUR)
    world.add(servers=[relay()], gathering=FOUR)
    assert world.connect()
    agent, node = world.agents[0], world.nodes[0]
    world.run(10.0)
    before = {one.address for one in agent.local_candidates if one.type.value == "host"}
    node.call(agent.restart)
    node.call(agent.gather, world.hosts[0].addresses)
    world.gather()
    after = {one.address for one in agent.local_candidates if one.type.value == "host"}
    assert len(before) == len(after) == 2
    assert len(before & after) == 1  # that of the pair in use


def test_peer_that_restarts_elsewhere_is_let_in_from_the_path_in_use_until_it_is_replaced():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay", gathering=FOUR)
    assert world.connect()
    agent, node = world.agents[0], world.nodes[0]
    used = agent.selected_pair.remote.address.host
    elsewhere = Candidate.from_sdp("9 1 udp 5 192.0.2.99 4000 typ host")
    anew = attrs.evolve(world.agents[1].local_description, ufrag="anew", pwd="anewPasswordIsLongEnough", candidates=[elsewhere])
    node.call(agent.set_remote, anew)
    (one,) = agent._gatherer.relays.live
    assert set(one.permitted) == {used, "192.0.2.99"}
    assert world.echo()
