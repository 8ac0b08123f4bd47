"""Addresses of the machine that go and come (RFC 8445 5.1.1.4)."""

import pytest

from ice._relay_scene import TCP, TLS, UDP, World, relay
from ice._session import PEER, SERVER, checking, refuses, selected, server_answer
from ice._wire import THEIRS, Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    CandidateType,
    Description,
    GatheringCompleted,
    GatheringOptions,
    GatheringState,
    IceAgent,
    IceConfig,
    IceFailed,
    IceState,
    Nomination,
    PairSelected,
    RestartNeeded,
)
from sansice.machine import LocalProtocolError, SocketError, SocketErrorKind, SocketId
from sansice.simulation import Network
from sansice.stun import XOR_MAPPED_ADDRESS

HOSTS = ("192.0.2.1", "192.0.2.2")
MOVING = Nomination(renominate=True)
RENOMINATES = ("ice2", "renomination")
CONTINUAL = GatheringOptions(continual=True)


@pytest.mark.req("RFC8445-017")
def test_candidates_of_an_address_that_is_gone_are_gone_with_its_socket_and_its_pairs():
    bench = checking(hosts=HOSTS)
    assert [pair.local.address.host for pair in bench.agent.pairs] == list(HOSTS)
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert [socket for _, socket in bench.closed] == [1]
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.2"]
    bench.run(20.0)
    assert {one.socket for one in bench.requests if one.at > 0.0} == {2}
    states = {pair.local.address.host: pair.state.value for pair in bench.agent.pairs}
    assert states == {"192.0.2.1": "failed", "192.0.2.2": "in-progress"}
    assert bench.heard(RestartNeeded) == []  # there is still one that the peer was told of


@pytest.mark.req("RFC8445-017")
def test_new_addresses_add_candidates_that_are_told_while_gathering_goes_on():
    bench = checking(servers=("stun:203.0.113.1",))
    bench.call(bench.agent.update_addresses, HOSTS)
    assert [one.address.host for one in bench.agent.local_candidates] == list(HOSTS)
    assert [event.candidate.address.host for event in bench.heard(CandidateGathered)] == list(HOSTS)
    assert {pair.local.address.host for pair in bench.agent.pairs} == set(HOSTS)


@pytest.mark.req("RFC8838-021")
def test_new_addresses_after_the_end_of_gathering_are_checked_from_and_not_told():
    bench = checking()
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.run(0.1)
    assert {one.socket for one in bench.checks} == {1, 2}
    assert [one.address.host for one in bench.agent.local_candidates] == ["192.0.2.1"]
    assert len(bench.heard(CandidateGathered)) == 1


def test_the_same_addresses_change_nothing():
    bench = checking(hosts=HOSTS)
    before = bench.agent.local_candidates
    bench.call(bench.agent.update_addresses, list(reversed(HOSTS)))
    assert bench.closed == [] and bench.agent.local_candidates == before


def test_a_selected_pair_whose_address_is_gone_needs_a_restart_which_is_told_and_revives_it():
    bench = selected()
    bench.call(bench.agent.update_addresses, ["192.0.2.7"])
    assert bench.agent.state is IceState.DISCONNECTED and not bench.agent.writable
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)] and bench.agent.needs_restart
    bench.run(bench.now + 20.0)
    bench.call(bench.agent.restart)
    assert not bench.agent.needs_restart
    bench.call(bench.agent.gather, ["192.0.2.7"])
    peer = Description("their2", "t" * 22, candidates=(candidate(PEER.host, PEER.port),), options=("ice2",))
    bench.call(bench.agent.set_remote, peer)
    bench.run(bench.now + 0.1)
    assert bench.agent.state is IceState.CHECKING
    check = bench.check
    assert bench.base(check.socket).host == "192.0.2.7" and check.destination == PEER


def test_who_controls_and_cannot_renominate_needs_a_restart_even_where_other_candidates_are_left():
    bench = selected(hosts=HOSTS)
    gone = bench.agent.selected_pair.local.address.host
    bench.call(bench.agent.update_addresses, [host for host in HOSTS if host != gone])
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)]


def test_whose_checks_have_all_failed_is_told_to_restart_when_another_address_comes():
    bench = checking()
    bench.run(90.0)
    assert bench.agent.state is IceState.FAILED and bench.heard(RestartNeeded) == []
    bench.call(bench.agent.update_addresses, HOSTS)
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)] and bench.agent.needs_restart


def test_a_socket_that_dies_after_a_move_is_lost_as_one_that_dies_without_any():
    states = []
    for moves in (True, False):
        bench = selected(hosts=HOSTS)
        used = bench.agent.path_of()[0]
        if moves:
            bench.call(bench.agent.update_addresses, [bench.agent.selected_pair.local.address.host])
        bench.call(bench.agent.handle_socket_failed, used, SocketError(SocketErrorKind.OTHER, "it died"))
        states.append(bench.agent.state)
    assert states == [IceState.FAILED] * 2


def test_addresses_come_and_go_before_gather_and_after_close_in_vain():
    with pytest.raises(LocalProtocolError, match=r"gather\(\) comes first"):
        IceAgent(controlling=True).update_addresses(["192.0.2.1"], now=0.0)
    bench = Bench(known=False, hosts=())
    refuses(bench, bench.agent.update_addresses, ["localhost"], match="localhost")
    bench.call(bench.agent.close)
    refuses(bench, bench.agent.update_addresses, ["192.0.2.1"], match="closed")


@pytest.mark.req("RFC8838-012")
def test_no_check_leaves_from_a_candidate_before_it_is_told():
    agent = IceAgent(controlling=True)
    agent.gather(["192.0.2.1"], now=0.0)
    peer = Description(THEIRS.ufrag, THEIRS.pwd, candidates=(candidate(PEER.host, PEER.port),))
    agent.set_remote(peer, now=0.0)
    agent.take_outputs()
    agent.handle_socket_opened(SocketId(1), candidate("192.0.2.1", 4001).address, now=0.0)
    kinds = [type(output).__name__ for output in agent.take_outputs()]
    assert kinds.index("CandidateGathered") < kinds.index("SendDatagram")


# ------------------------------------------------------------- continual gathering


def told(bench):
    return [event.candidate.address.host for event in bench.heard(CandidateGathered)]


def test_continual_gathering_tells_candidates_of_new_addresses_and_never_says_that_they_are_all():
    bench = checking(gathering=CONTINUAL)
    assert bench.heard(GatheringCompleted) == [GatheringCompleted(is_final=False)]
    assert bench.agent.gathering_state is GatheringState.COMPLETE and not bench.agent.is_all_told
    assert not bench.agent.local_description.end_of_candidates
    bench.call(bench.agent.update_addresses, HOSTS)
    assert told(bench) == list(HOSTS)
    assert [one.address.host for one in bench.agent.local_description.candidates] == list(HOSTS)
    assert len(bench.heard(GatheringCompleted)) == 1


def test_new_addresses_are_asked_of_the_servers_and_what_they_see_is_told():
    bench = checking(servers=("stun:198.51.100.53",), gathering=CONTINUAL)
    bench.run(10.0)
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    bench.call(bench.agent.update_addresses, ["10.0.0.7"])
    bench.run(10.5)
    question = next(one for one in bench.sent if one.socket == 2 and one.destination == SERVER)
    bench.arrive(2, SERVER, server_answer(question, (XOR_MAPPED_ADDRESS, at("203.0.113.7"))))
    last = bench.heard(CandidateGathered)[-1].candidate
    assert (last.type, last.address.host) == (CandidateType.SERVER_REFLEXIVE, "203.0.113.7")


@pytest.mark.req("RFC8838-021")
def test_once_a_pair_is_selected_for_good_nothing_is_opened_or_told_any_more():
    bench = selected(gathering=CONTINUAL)
    assert bench.agent.is_all_told and bench.agent.local_description.end_of_candidates
    bench.call(bench.agent.update_addresses, HOSTS)
    assert told(bench) == ["192.0.2.1"] and bench.agent._sockets.keys() == {1}


def test_what_comes_between_a_restart_and_its_gathering_is_told_by_that():
    bench = selected(gathering=CONTINUAL, nomination=MOVING, options=RENOMINATES)
    bench.call(bench.agent.restart)
    bench.call(bench.agent.update_addresses, HOSTS)
    assert told(bench) == ["192.0.2.1"]
    bench.call(bench.agent.gather, HOSTS)
    assert sorted(told(bench)) == ["192.0.2.1", *HOSTS]


def test_a_name_server_that_was_out_of_reach_is_asked_again_from_the_next_network():
    bench = checking(servers=("stun:stun.example.org",), gathering=CONTINUAL, hosts=("192.0.2.1",))
    bench.run(10.0)
    asked = len(bench.asked)
    bench.call(bench.agent.update_addresses, HOSTS)
    assert len(bench.asked) > asked


def test_a_server_that_is_silent_about_a_new_address_is_given_up_after_as_long_as_before():
    bench = checking(servers=("stun:198.51.100.53",), components=2, gathering=CONTINUAL)
    bench.run(5.0)
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.run(7.9)
    assert bench.agent._gatherer.has_next() or not bench.agent._gatherer._asking.is_idle
    bench.run(8.1)
    assert bench.agent._gatherer._asking.is_idle


# ------------------------------------------------------------- moving


def test_where_both_renominate_and_this_end_controls_the_pair_of_the_new_address_takes_over_unasked():
    bench = selected(nomination=MOVING, options=RENOMINATES, gathering=CONTINUAL)
    bench.run(10.0)
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    while not any(pair.local.address.host == "192.0.2.9" for pair in [bench.agent.selected_pair] if pair):
        bench.run(bench.now + 0.05)
        bench.answer(bench.check)
    assert bench.now < 10.3 and bench.heard(RestartNeeded) == []
    assert bench.heard(PairSelected)[-1].pair.local.address.host == "192.0.2.9"


def test_where_the_peer_controls_a_restart_is_offered_for_it_may_take_him_long_to_notice():
    bench = selected(controlling=False, nomination=MOVING, options=RENOMINATES, gathering=CONTINUAL)
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)] and bench.agent.needs_restart
    bench.run(bench.now + 0.1)
    bench.answer(bench.check)
    bench.request(PEER, socket=2, use_candidate=True, nomination=5)
    assert bench.agent.selected_pair.local.address.host == "192.0.2.9" and not bench.agent.needs_restart


def test_a_restart_is_asked_for_once_and_not_before_there_is_an_address_to_begin_from():
    bench = selected()
    bench.call(bench.agent.update_addresses, [])
    assert bench.agent.state is IceState.DISCONNECTED and bench.heard(RestartNeeded) == []
    for number in range(1, 5):
        bench.call(bench.agent.update_addresses, [f"192.0.2.{number}"])
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)]
    assert bench.agent._sockets == {}  # gather() opens one when it comes to that


def test_who_does_not_restart_fails_when_consent_would_have_ended():
    bench = selected()
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    bench.run(29.0)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.run(31.0)
    assert bench.agent.state is IceState.FAILED and isinstance(bench.agent.failure, IceFailed)
    assert bench.agent.needs_restart


def test_a_peer_that_nominates_another_valid_pair_by_itself_makes_the_restart_needless():
    bench = selected(controlling=False, hosts=HOSTS)
    bench.request(PEER, socket=2)
    bench.run(0.3)
    for check in bench.checks:
        if check.socket == 2:
            bench.answer(check)
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert bench.agent.state is IceState.DISCONNECTED and not bench.agent.writable
    bench.request(PEER, socket=2, use_candidate=True)
    bench.run(0.5)
    bench.answer(bench.check)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.writable and not bench.agent.needs_restart


def test_an_agent_that_failed_for_want_of_a_network_is_told_to_restart_when_there_is_one():
    bench = selected()
    bench.call(bench.agent.update_addresses, [])
    bench.run(40.0)
    assert bench.agent.state is IceState.FAILED and bench.heard(RestartNeeded) == []
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)]


def test_who_has_told_his_all_and_has_lost_it_before_anything_was_selected_is_to_restart():
    bench = checking()
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.agent.state is IceState.CHECKING
    assert bench.heard(RestartNeeded) == [RestartNeeded(0)]


def test_who_waits_for_the_answer_to_a_restart_is_not_told_to_restart():
    bench = selected()
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.1"])
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.heard(RestartNeeded) == []


def test_who_gathers_continually_and_has_selected_nothing_needs_no_restart():
    bench = checking(gathering=CONTINUAL)
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.heard(RestartNeeded) == [] and told(bench) == ["192.0.2.1", "192.0.2.9"]


def test_before_the_peer_is_known_nothing_is_to_be_restarted():
    bench = Bench(known=False)
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert bench.heard(RestartNeeded) == []


def told_of(node, kind):
    return [at for at, event in node.events if isinstance(event, kind)]


@pytest.mark.parametrize("transport", [UDP, TCP, TLS])
@pytest.mark.parametrize("moves", [False, True])
@pytest.mark.parametrize("connected_for", [0.0, 10.0], ids=["now", "since_the_unselected_was_released"])
def test_the_relay_of_an_address_that_is_gone_is_given_up(transport, moves, connected_for):
    world = World()
    for _ in range(2):
        world.add(servers=[relay(transport)], policy="relay", nomination=MOVING if moves else Nomination())
    assert world.connect()
    world.run(connected_for)
    assert len(world.server.allocations(now=world.net.now)) == 2
    host, node, agent = world.hosts[0], world.nodes[0], world.agents[0]
    host.attach("10.0.0.9", behind=world.nat_a)
    before = agent.selected_pair.local
    node.call(agent.update_addresses, ["10.0.0.9"])
    assert before not in agent.local_candidates
    assert agent.state is (IceState.CHECKING if moves else IceState.DISCONNECTED)
    relays = agent._relaying._relays
    assert not any(relay.question.host.base.host == "10.0.0.2" for relay in relays.live)
    if moves:
        world.net.run(until=world.net.now + 20.0, when=lambda: agent.state is IceState.COMPLETED)
        assert agent.selected_pair.local.type is CandidateType.RELAYED and agent.selected_pair.local != before
        assert world.echo()
    else:
        assert agent.needs_restart and told_of(node, RestartNeeded) == [world.net.now]
    world.run(45.0)
    assert len(node.sockets) == (2 if moves and transport is not UDP else int(moves))
    assert {relay.question.host.base.host for relay in relays._own.values()} <= {"10.0.0.9"}


def test_the_relay_of_an_address_that_stays_goes_on_whatever_comes_or_goes_beside_it():
    world = World()
    for _ in range(2):
        world.add(servers=[relay()], policy="relay")
    assert world.connect()
    world.run(10.0)
    node, agent = world.nodes[0], world.agents[0]
    for addresses in (["10.0.0.2", "10.0.0.9"], ["10.0.0.2"]):
        node.call(agent.update_addresses, addresses)
        assert agent.state is IceState.COMPLETED and not agent.needs_restart
    assert world.echo() and len(world.server.allocations(now=world.net.now)) == 2


# ------------------------------------------------------------- bounds and nonsense


def flap(bench, seconds, lists):
    """A hundred updates a second."""
    for number in range(round(seconds * 100)):
        bench.call(bench.agent.update_addresses, lists[number % len(lists)])
        bench.run(bench.now + 0.01)


@pytest.mark.parametrize("gathering", [GatheringOptions(), CONTINUAL])
def test_an_interface_that_flaps_a_hundred_times_a_second_costs_few_sockets_and_questions_a_second(gathering):
    bench = checking(servers=("stun:198.51.100.53",), gathering=gathering, nomination=MOVING)
    flap(bench, 10.0, (HOSTS, HOSTS[:1]))
    per_second = 1 / IceConfig().update_interval
    assert len(bench.closed) <= 10 * per_second + 1
    assert len({one.socket for one in bench.sent if one.destination == SERVER}) <= 10 * per_second + 2
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.run(bench.now + 1.0)
    assert {one.address.host for one in bench.agent._gatherer.candidates} <= set(HOSTS)
    assert [one.place.host for one in bench.agent._gatherer._open] == list(HOSTS)  # the latest list counts
    assert len(bench.agent._sockets) == 2


def test_what_waits_for_its_turn_is_dropped_where_a_later_list_or_gathering_has_come():
    bench = checking(hosts=("192.0.2.1",))
    bench.call(bench.agent.update_addresses, ["192.0.2.1", "192.0.2.2"])
    bench.call(bench.agent.update_addresses, ["192.0.2.1", "192.0.2.3"])
    bench.call(bench.agent.update_addresses, ["192.0.2.1"])
    bench.run(1.0)
    assert [one.place.host for one in bench.agent._gatherer._open] == ["192.0.2.1"]
    bench.call(bench.agent.update_addresses, ["192.0.2.1", "192.0.2.4"])
    bench.call(bench.agent.update_addresses, ["192.0.2.1", "192.0.2.5"])
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.6"])
    bench.run(2.0)
    assert [one.place.host for one in bench.agent._gatherer._open if one.place.host == "192.0.2.5"] == []


def test_the_empty_list_and_back_again_is_a_new_start_from_the_same_address():
    bench = checking(gathering=CONTINUAL)
    bench.call(bench.agent.update_addresses, [])
    assert [socket for _, socket in bench.closed] == [1] and bench.agent.local_candidates == ()
    bench.call(bench.agent.update_addresses, ["192.0.2.1", "192.0.2.1"])
    assert told(bench) == ["192.0.2.1", "192.0.2.1"] and len(bench.agent.local_candidates) == 1
    bench.run(1.0)
    assert any(one.socket == 2 for one in bench.checks)


def test_an_address_that_cannot_be_bound_is_tried_again_with_the_next_list_and_harms_nobody():
    network = Network(seed=1)
    host = network.host("a", "192.0.2.1")
    agent = IceAgent(controlling=True, gathering=CONTINUAL, entropy=host.entropy)
    node = host.run(agent)
    node.call(agent.gather, host.addresses)
    node.call(agent.update_addresses, ["192.0.2.1", "192.0.2.99"])
    network.run(until=1.0)
    assert [one.address.host for one in agent.local_candidates] == ["192.0.2.1"]
    host.attach("192.0.2.99", behind=network.internet)
    node.call(agent.update_addresses, ["192.0.2.1", "192.0.2.99"])
    network.run(until=2.0)
    assert [one.address.host for one in agent.local_candidates] == ["192.0.2.1", "192.0.2.99"]


def test_what_waits_is_forgotten_by_an_agent_that_closes():
    bench = checking()
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.call(bench.agent.update_addresses, ["192.0.2.3"])
    bench.call(bench.agent.close)
    bench.run(5.0)
    assert bench.agent._sockets == {} and bench.agent.deadline() == float("inf")


def test_a_clock_that_jumps_over_everything_asks_for_consent_at_once_and_takes_up_what_waited():
    bench = selected(nomination=MOVING, options=RENOMINATES)
    bench.call(bench.agent.update_addresses, HOSTS)
    bench.call(bench.agent.update_addresses, [*HOSTS, "192.0.2.3"])
    bench.now += 20.0
    bench.call(bench.agent.handle_timer)
    assert bench.agent.path_of() in {one.path for one in bench.sent if one.at == bench.now}
    assert len(bench.agent._sockets) == 3
