"""What an agent has counted, in the shape of W3C's statistics."""

import json

import attrs
import pytest

from ice._lite import connected as lite_connected
from ice._relay_scene import World, relay
from ice._session import ONE, PEER, SERVER, STUN, Two, bench_of, checking, selected, server_answer
from ice._wire import Bench, at, candidate
from sansice.ice import (
    CandidatePairStats,
    CandidateStats,
    CandidateType,
    CheckFailure,
    IceAgent,
    IceConfig,
    IceRole,
    IceState,
    Nomination,
    PairState,
    ServerAnswered,
    ServerFailed,
    TransportStats,
)
from sansice.ice._agent._session import MAX_OUTCOMES
from sansice.machine import Transport
from sansice.stun import XOR_MAPPED_ADDRESS

DATA = b"\x80" * 100


def pair_of(agent, number=0):
    return agent.report().pairs[number]


def test_ids_lead_from_a_transport_to_its_pair_and_from_there_to_candidates():
    report = selected().agent.report()
    (transport,) = report.transports
    pair = report[transport.selected_candidate_pair_id]
    local, remote = report[pair.local_candidate_id], report[pair.remote_candidate_id]
    assert (type(transport), type(pair), type(local)) == (TransportStats, CandidatePairStats, CandidateStats)
    assert report.selected_pairs == (pair,)
    assert {one.transport_id for one in (pair, local, remote)} == {transport.id}
    assert (local.is_remote, local.address, local.port, local.username_fragment) == (False, "192.0.2.1", 4001, "ours")
    assert (remote.is_remote, remote.address, remote.port, remote.username_fragment) == (True, *PEER, "their")
    with pytest.raises(KeyError):
        report["P99"]


def test_transport_says_who_is_who_and_how_often_the_pair_has_changed():
    bench = checking()
    before = bench.agent.report().transports[0]
    assert (before.ice_role, before.ice_state) == (IceRole.CONTROLLING, IceState.CHECKING)
    assert (before.selected_candidate_pair_id, before.selected_candidate_pair_changes) == (None, 0)
    bench = selected()
    (transport,) = bench.agent.report().transports
    assert (transport.ice_state, transport.ice_local_username_fragment) == (IceState.COMPLETED, "ours")
    assert (transport.selected_candidate_pair_id, transport.selected_candidate_pair_changes) == ("P1", 1)
    bench.call(bench.agent.close)
    (transport,) = bench.agent.report().transports
    assert (transport.selected_candidate_pair_id, transport.selected_candidate_pair_changes) == (None, 2)


def test_checks_and_consent_are_counted_apart_and_answers_together():
    bench = selected()
    pair = pair_of(bench.agent)
    assert (pair.requests_sent, pair.responses_received, pair.consent_requests_sent) == (2, 2, 0)
    bench.run(until=4.2)
    bench.request(PEER)
    asked = pair_of(bench.agent)
    assert (asked.requests_sent, asked.responses_received, asked.consent_requests_sent) == (2, 2, 1)
    assert (asked.requests_received, asked.responses_sent) == (1, 1)
    assert asked.round_trip_time_measurements == 2
    bench.now = 4.3
    bench.answer(bench.requests[-1])
    answered = pair_of(bench.agent)
    assert (answered.responses_received, answered.round_trip_time_measurements) == (3, 3)
    assert answered.current_round_trip_time == pytest.approx(bench.now - bench.requests[-1].at)
    assert answered.total_round_trip_time >= answered.current_round_trip_time


def test_data_is_counted_by_transport_and_by_the_pair_that_carried_it():
    bench = selected()
    assert pair_of(bench.agent).last_packet_sent_timestamp is None
    bench.now = 1.0
    bench.call(bench.agent.send, DATA)
    bench.now = 2.0
    bench.arrive(ONE, PEER, DATA)
    bench.arrive(ONE, PEER, DATA)
    for _ in range(2):  # asking changes nothing
        report = bench.agent.report()
        for stats in (report.pairs[0], report.transports[0]):
            assert (stats.packets_sent, stats.bytes_sent, stats.packets_received, stats.bytes_received) == (1, 100, 2, 200)
        assert (report.datagrams_sent, report.bytes_sent, report.datagrams_received, report.bytes_received) == (1, 100, 2, 200)
        assert report.pairs[0].last_packet_sent_timestamp == 1.0
        assert report.pairs[0].last_packet_received_timestamp == 2.0


def two_pairs():
    """Two valid pairs, the first of them selected."""
    other = candidate("198.51.100.2", foundation="r2", preference=60000)
    bench = selected(
        remotes=(candidate(PEER.host), other), nomination=Nomination(renominate=True), options=("ice2", "renomination")
    )
    bench.run(until=0.3)
    for check in [one for one in bench.requests if one.destination.host == other.address.host]:
        bench.answer(check)
    assert [pair.state for pair in bench.agent.pairs] == [PairState.SUCCEEDED] * 2
    return bench, other


def test_data_over_a_pair_that_is_not_in_use_counts_for_that_pair():
    bench, other = two_pairs()
    bench.arrive(ONE, other.address, DATA)
    bench.arrive(ONE, PEER, DATA)
    report = bench.agent.report()
    assert [pair.packets_received for pair in report.pairs] == [1, 1]
    assert report.transports[0].packets_received == report.datagrams_received == bench.agent.stats.datagrams_received == 2
    assert report.bytes_received == bench.agent.stats.bytes_received == 200


def test_each_pair_keeps_what_it_carried_when_another_takes_its_place():
    bench, _ = two_pairs()
    bench.call(bench.agent.send, DATA)
    bench.call(bench.agent.nominate, bench.agent.pairs[1])
    bench.run(until=bench.now + 0.1)
    bench.answer(bench.requests[-1])
    bench.call(bench.agent.send, DATA)
    bench.call(bench.agent.send, DATA)
    report = bench.agent.report()
    assert [pair.packets_sent for pair in report.pairs] == [1, 2]
    assert [pair.nominated for pair in report.pairs] == [False, True]
    assert report.transports[0].selected_candidate_pair_changes == 2
    assert report.transports[0].selected_candidate_pair_id == report.pairs[1].id


def test_pair_whose_checks_show_another_candidate_is_the_same_pair():
    bench = checking()
    before = pair_of(bench.agent)
    bench.answer(bench.check, mapped=at("203.0.113.9", 999))
    report = bench.agent.report()
    (pair,) = report.pairs
    assert (pair.id, pair.requests_sent, pair.responses_received) == (before.id, 1, 1)
    local = report[pair.local_candidate_id]
    assert (local.candidate_type, local.address, local.related_address) == (
        CandidateType.PEER_REFLEXIVE,
        "203.0.113.9",
        "192.0.2.1",
    )
    assert pair.local_candidate_id != before.local_candidate_id


@pytest.mark.parametrize("code", [500])
def test_pair_says_why_its_last_check_failed(code):
    bench = checking()
    bench.answer(bench.check, code=code)
    assert pair_of(bench.agent).last_failure is CheckFailure.REFUSAL
    bench = checking()
    bench.unreachable(ONE, PEER)
    assert pair_of(bench.agent).last_failure is CheckFailure.UNREACHABLE
    bench = checking()
    bench.answer(bench.check, source=at("198.51.100.7"))
    assert pair_of(bench.agent).last_failure is CheckFailure.WRONG_SOURCE
    bench = checking()
    bench.answer(bench.check, mapped=at("2001:db8::9"))
    assert pair_of(bench.agent).last_failure is CheckFailure.BAD_ANSWER
    bench = checking()
    bench.run(until=39.6)
    assert pair_of(bench.agent).last_failure is CheckFailure.SILENCE


def test_candidates_of_servers_say_whose_they_are():
    bench = Bench(servers=STUN)
    bench.run(until=0.1)
    request = bench.requests[-1]
    bench.arrive(ONE, SERVER, server_answer(request, (XOR_MAPPED_ADDRESS, at("203.0.113.9", 999))))
    reflexive = next(one for one in bench.agent.report().candidates if one.candidate_type is CandidateType.SERVER_REFLEXIVE)
    assert (reflexive.url, reflexive.relay_protocol) == ("stun:198.51.100.53", None)


def own_socket(agent):
    """The socket of the agent's that leads to its TURN server and nowhere else."""
    (relay_of_agent,) = agent._gatherer.relays.live
    return relay_of_agent.client.path.socket


def test_relayed_candidate_says_how_its_server_is_reached_and_what_its_stream_had_no_room_for():
    world = World()
    agent, _ = world.add(servers=[relay(Transport.TCP)], policy="relay")
    world.add(servers=[relay()], policy="relay")
    assert world.connect()
    report = agent.report()
    (used,) = report.selected_pairs
    relayed = report[used.local_candidate_id]
    assert relayed.candidate_type is CandidateType.RELAYED and relayed.url.startswith("turn:")
    assert relayed.relay_protocol is Transport.TCP
    for _ in range(2000):
        agent.send(bytes([0x80]) * 1200, now=world.net.now)
    agent.handle_stream_sent(own_socket(agent), 10**9, now=world.net.now)
    agent.send(DATA, now=world.net.now)
    (used,) = agent.report().selected_pairs
    assert (used.packets_sent, used.packets_discarded_on_send) == (2000, 1)
    assert agent.report().datagrams_sent == agent.stats.datagrams_sent == 2000


def test_ids_of_a_generation_are_never_those_of_another():
    two = Two()
    two.net.run(until=0.1)
    two.exchange()
    assert two.connect()
    first = {one.id for one in (*two.a.report().pairs, *two.a.report().candidates)}
    two.node_a.call(two.a.restart)
    during = {one.id for one in two.a.report().pairs}
    assert during & first  # the pair in use goes on
    two.node_a.call(two.a.gather, ["192.0.2.1"])
    two.net.run(until=two.net.now + 1)
    two.node_b.call(two.b.set_remote, two.a.local_description)
    two.node_b.call(two.b.gather, ["198.51.100.1"])
    two.net.run(until=two.net.now + 1)
    two.node_a.call(two.a.set_remote, two.b.local_description)
    two.net.run(until=two.net.now + 10)
    report = two.a.report()
    assert report.transports[0].ice_state is IceState.COMPLETED
    assert report.transports[0].selected_candidate_pair_changes == 2
    assert not first & {one.id for one in (*report.pairs, *report.candidates)}


def test_report_is_json_with_the_members_that_w3c_names():
    bench = selected()
    bench.call(bench.agent.send, DATA)
    bench.arrive(ONE, PEER, b"")
    told = json.loads(bench.agent.report().to_json())
    assert told["dropped"] == {"empty datagram": 1}
    by_type = {one["type"]: one for one in told["stats"].values()}
    assert sorted(by_type) == ["candidate-pair", "local-candidate", "remote-candidate", "transport"]
    assert {key: by_type["candidate-pair"][key] for key in ("state", "nominated", "packetsSent", "requestsSent")} == {
        "state": "succeeded",
        "nominated": True,
        "packetsSent": 1,
        "requestsSent": 2,
    }
    assert by_type["transport"]["selectedCandidatePairId"] == by_type["candidate-pair"]["id"]
    assert by_type["local-candidate"]["candidateType"] == "host" and "url" not in by_type["local-candidate"]
    assert all(told["stats"][id]["id"] == id for id in told["stats"])


def test_report_is_a_value_of_its_own():
    bench = selected()
    report = bench.agent.report()
    bench.arrive(ONE, PEER, b"")
    bench.call(bench.agent.send, DATA)
    assert not report.dropped and report.datagrams_sent == 0
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        report.pairs = ()


def test_lite_agent_tells_in_the_same_shape():
    bench = lite_connected(remotes=(candidate(PEER.host),))
    bench.check()
    bench.call(bench.agent.send, DATA)
    bench.arrive(ONE, PEER, DATA)
    bench.check(at("198.51.100.77"))
    bench.arrive(ONE, at("198.51.100.77"), DATA)
    report = bench.agent.report()
    (transport,), (pair,) = report.transports, report.pairs
    assert (pair.requests_received, pair.responses_sent, pair.packets_sent, pair.packets_received) == (2, 2, 1, 1)
    assert (transport.packets_sent, transport.packets_received) == (1, 2)
    assert (transport.selected_candidate_pair_id, transport.selected_candidate_pair_changes) == (pair.id, 1)
    assert report[pair.local_candidate_id].address == "192.0.2.1" and report[pair.remote_candidate_id].address == PEER.host
    bench.run(until=bench.now + 30.0)
    (transport,) = bench.agent.report().transports
    assert (transport.selected_candidate_pair_id, transport.selected_candidate_pair_changes) == (None, 2)


def test_agent_that_has_done_nothing_has_transports_and_nothing_else():
    report = bench_of(IceAgent(controlling=True, streams=2, components=(1, 2))).agent.report()
    assert [(one.stream, one.component) for one in report.transports] == [(0, 1), (1, 1), (1, 2)]
    assert report.pairs == report.candidates == report.selected_pairs == ()


def answered(url, number=1, relayed=()):
    return ServerAnswered(url, "192.0.2.1", 0.1, at("203.0.113.9", number), relayed)


def test_what_servers_said_is_kept_for_each_and_the_latest_counts():
    session = bench_of(IceAgent(controlling=True)).agent._session
    failure = ServerFailed("stun:a", "192.0.2.1", "no answer")
    for outcome in (failure, answered("stun:b", 1), answered("stun:b", 2), answered("stun:a"), answered("stun:b", 1)):
        session.note_server(outcome)
    assert list(session.servers.values()) == [answered("stun:b", 2), answered("stun:a"), answered("stun:b", 1)]
    for number in range(2 * MAX_OUTCOMES):
        session.note_server(answered("stun:c", number))
    assert len(session.servers) == MAX_OUTCOMES
    assert next(iter(session.servers.values())) == answered("stun:c", MAX_OUTCOMES)


def test_what_servers_said_of_addresses_that_are_gone_is_forgotten():
    bench = Bench(servers=STUN, hosts=("192.0.2.1", "192.0.2.2"), config=IceConfig(gathering_timeout=1.0))
    bench.run(until=2.0)
    assert [one.local for one in bench.agent.explain().facts.servers] == ["192.0.2.1", "192.0.2.2"]
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert [one.local for one in bench.agent.explain().facts.servers] == ["192.0.2.2"]
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ["192.0.2.2"])
    assert bench.agent.explain().facts.servers == ()


def test_relay_that_goes_on_is_known_by_its_server_after_a_restart():
    world = World()
    agent, node = world.add(servers=[relay()])
    world.gather()
    before = [one.url for one in agent.report().candidates if one.candidate_type is CandidateType.RELAYED]
    assert before
    node.call(agent.restart)
    node.call(agent.gather, world.hosts[0].addresses)
    world.gather()
    after = [one.url for one in agent.report().candidates if one.candidate_type is CandidateType.RELAYED]
    assert after == before


def test_candidate_that_no_server_told_has_no_url():
    bench = Bench(servers=STUN, remotes=(candidate(PEER.host),))
    bench.run(until=0.2)
    asked = next(one for one in bench.requests if one.destination == SERVER)
    bench.arrive(ONE, SERVER, server_answer(asked, (XOR_MAPPED_ADDRESS, at("203.0.113.9", 999))))
    check = next(one for one in bench.requests if one.destination == PEER)
    bench.answer(check, mapped=at("203.0.113.9", 1000))
    bench.agent._session.note_server(ServerFailed("stun:198.51.100.54", "192.0.2.1", "no answer"))
    urls = {(one.candidate_type.value, one.port): one.url for one in bench.agent.report().candidates if not one.is_remote}
    assert urls == {("host", 4001): None, ("srflx", 999): "stun:198.51.100.53", ("prflx", 1000): None}


def test_lite_agent_tells_of_peer_reflexive_candidates_and_of_the_generation_before():
    bench = lite_connected()
    first = bench.agent.report()
    assert [one.candidate_type.value for one in first.candidates] == ["host", "prflx"]
    bench.call(bench.agent.restart)
    report = bench.agent.report()
    assert report.pairs == first.pairs and {one.id for one in first.candidates} < {one.id for one in report.candidates}
    assert report.transports[0].ice_local_username_fragment != first.transports[0].ice_local_username_fragment


@pytest.mark.req("MDNS-012")
@pytest.mark.parametrize(("told", "shown"), [((), None), ((candidate(PEER.host, 7000),), PEER.host)], ids=["untold", "told"])
def test_lite_agent_shows_where_the_peer_is_only_if_the_peer_has_told_its_host(told, shown):
    bench = lite_connected(remotes=told)
    report = bench.agent.report()
    [remote] = [one for one in report.candidates if one.candidate_type is CandidateType.PEER_REFLEXIVE]
    assert remote.address == shown and report[report.pairs[0].remote_candidate_id] is remote
    assert (PEER.host in report.to_json()) is bool(told)


def test_check_that_the_generation_before_answers_is_counted_for_its_pair():
    bench = selected()
    bench.call(bench.agent.restart)
    bench.request(PEER)
    bench.request(at("198.51.100.77"))
    (pair,) = bench.agent.report().pairs
    assert (pair.requests_received, pair.responses_sent) == (1, 1)
