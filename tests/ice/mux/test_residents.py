"""The agents on a mux: restarts, relays, names, several streams, lite peers, and what their answers prove."""

import attrs
import pytest

from ice._mux import ALICE, BOB, CAROL, PORT, MuxBench, client, credentials
from ice._wire import at, candidate
from sansice.ice import Credentials, HostName, IceServer, IceState, LiteAgent, MuxConfig, SessionDescription, UfragTaken
from sansice.ice._binding import encode_success
from sansice.machine import AddressRecord, Resolve, SocketError, SocketErrorKind, SocketId, Transport
from sansice.stun import (
    ERROR_CODE,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    short_term_key,
)

FRESH = Credentials("freshOne", "passwordThatIsFreshEnough")
THEIR_CANDIDATE = candidate("198.51.100.1", 5000)


def connected():
    bench = MuxBench()
    name = bench.lite(1)
    assert bench.is_accepted(1, ALICE)
    return bench, name


def has(bench, ufrag):
    return ufrag.encode() in bench.mux._residents.by_ufrag


# ------------------------------------------------------------- restarts


def test_restarted_agent_answers_for_both_generations_until_the_new_one_carries_the_data():
    bench, name = connected()
    bench.command(name, "restart", credentials=FRESH)
    assert bench.is_accepted(1, ALICE) and has(bench, "server1") and has(bench, "freshOne")
    bench.tell(name, attrs.evolve(client(1), ufrag="clientNew", pwd="passwordOfTheNewClient"))
    assert bench.is_accepted(1, BOB, ours=FRESH, theirs="clientNew")
    assert not has(bench, "server1") and has(bench, "freshOne")
    sent = len(bench.sent)
    assert bench.check(1, ALICE) is None and len(bench.sent) == sent  # the old generation's late checks are nobody's
    bench.arrive(BOB, b"\x80new")
    assert bench.got(name) == [b"\x80new"]


def test_restarted_full_agent_answers_for_its_old_generation_while_that_is_in_use():
    bench = MuxBench()
    name = bench.full(1, remote=client(1, candidates=[THEIR_CANDIDATE]))
    succeed(bench, ALICE, 1)
    bench.check(1, ALICE)
    assert bench.mux.agent(name).selected_pair is not None
    bench.command(name, "restart", credentials=FRESH)
    assert has(bench, "server1") and has(bench, "freshOne")
    assert bench.is_accepted(1, ALICE)
    bench.command(name, "restart", credentials=credentials(9))
    assert has(bench, "server1") and not has(bench, "freshOne") and has(bench, "server9")


def test_ufrag_that_an_agent_restarts_with_and_another_has_stays_with_the_other():
    bench, name = connected()
    other = bench.lite(2)
    bench.command(name, "restart", credentials=credentials(2))
    assert bench.events[-1] == UfragTaken(name, "server2")
    assert bench.is_accepted(2, BOB)
    bench.arrive(BOB, b"\x80bob")
    assert bench.got(other) == [b"\x80bob"] and bench.got(name) == []
    bench.command(name, "restart", credentials=FRESH)
    assert has(bench, "freshOne") and bench.mux._residents.by_ufrag[b"server2"].id == other


def test_check_for_the_ufrag_of_a_restart_to_come_is_answered_when_it_comes():
    bench, name = connected()
    assert bench.check(1, BOB, ours=FRESH) is None
    bench.sent.clear()
    bench.command(name, "restart", credentials=FRESH)
    assert [(one.destination, one.data[:2]) for one in bench.sent] == [(BOB, b"\1\1")]
    assert len(bench.mux._residents.strangers) == 1  # how many its network has offered
    assert bench.is_accepted(1, BOB, ours=FRESH)


def test_late_checks_of_an_agent_that_goes_amid_a_restart_are_nobodys_whichever_generation_they_are_for():
    bench = MuxBench()
    name = bench.lite(1)
    assert bench.is_accepted(1, ALICE)
    bench.command(name, "restart", credentials=FRESH)
    bench.call(bench.mux.remove, name)
    for ours in (credentials(1), FRESH):
        assert bench.check(1, ALICE, ours=ours) is None
    assert bench.dropped() == {"BAD_USERNAME": 2}


def test_an_agent_that_goes_before_its_client_was_known_leaves_its_ufrag_to_the_next():
    bench = MuxBench()
    bench.call(bench.mux.remove, bench.lite(1, known=False))
    bench.check(1, ALICE)
    assert bench.dropped() == {} and len(bench.mux._residents.strangers) == 2


# ------------------------------------------------------------- what answers prove


def succeed(bench, source, number, key=None):
    """Answer the latest check that was sent to ``source``."""
    request = next(one for one in reversed(bench.sent) if one.destination == source and one.data[:2] == b"\0\1")
    answer = encode_success(decode_untrusted(request.data), PORT, key or short_term_key(client(number).pwd))
    return bench.arrive(source, answer)


def test_lite_client_proves_its_address_by_the_answer_to_a_check():
    bench = MuxBench()
    name = bench.full(1, controlling=True, remote=client(1, lite=True, candidates=[THEIR_CANDIDATE]))
    bench.arrive(ALICE, b"\x80early")
    succeed(bench, ALICE, 1)
    bench.arrive(ALICE, b"\x80data")
    assert bench.got(name) == [b"\x80data"]


def error_for(request):
    """An error of agent 1's peer for a check."""
    return encode(
        Method.BINDING,
        MessageClass.ERROR,
        decode_untrusted(request.data).transaction_id,
        ((ERROR_CODE, ErrorCode(400, "")),),
        key=short_term_key(client(1).pwd),
        fingerprint=True,
    )


def test_answer_with_a_wrong_password_or_that_is_an_error_proves_nothing():
    bench = MuxBench()
    name = bench.full(1, controlling=True, remote=client(1, lite=True, candidates=[THEIR_CANDIDATE]))
    owner = bench.lite(2)
    assert bench.is_accepted(2, ALICE)
    succeed(bench, ALICE, 1, key=short_term_key("nobodyKnowsThisPassword"))
    request = next(one for one in bench.sent if one.data[:2] == b"\0\1")
    bench.arrive(ALICE, error_for(request))
    bench.arrive(ALICE, b"\x80owner")
    assert bench.got(owner) == [b"\x80owner"] and bench.got(name) == []


@pytest.mark.parametrize("answer", ["forged", "error"])
def test_an_agent_gets_an_address_back_that_is_anothers_now_by_an_accepted_answer_alone(answer):
    bench = MuxBench()
    name = bench.full(1, controlling=True, remote=client(1, lite=True, candidates=[THEIR_CANDIDATE]))
    succeed(bench, ALICE, 1)
    bench.arrive(ALICE, b"\x80first")
    owner = bench.lite(2)
    bench.run(until=20.0)
    assert bench.is_accepted(2, ALICE)  # a NAT has given the address to another client
    bench.arrive(ALICE, b"\x80owner")
    bench.sent.clear()
    bench.run(until=27.0)
    request = next(one for one in bench.sent if one.data[:2] == b"\0\1" and one.destination == ALICE)
    if answer == "forged":
        wrong = encode_success(decode_untrusted(request.data), ALICE, short_term_key("nobodyKnowsThisPassword"))
        bench.arrive(ALICE, wrong)
    else:
        bench.arrive(ALICE, error_for(request))
    bench.arrive(ALICE, b"\x80still")
    assert bench.got(owner) == [b"\x80owner", b"\x80still"] and bench.got(name) == [b"\x80first"]
    bench.arrive(ALICE, encode_success(decode_untrusted(request.data), ALICE, short_term_key(client(1).pwd)))
    bench.arrive(ALICE, b"\x80back")
    assert bench.got(name) == ([b"\x80first", b"\x80back"] if answer == "forged" else [b"\x80first"])  # an error has ended it


def test_answer_that_comes_to_another_socket_is_nobodys():
    other = at("192.0.2.2", 4000)
    bench = MuxBench(PORT, other)
    bench.full(1, remote=client(1, candidates=[THEIR_CANDIDATE]))
    request = next(one for one in bench.sent if one.socket == bench.sockets[PORT])
    answer = encode_success(decode_untrusted(request.data), PORT, short_term_key(client(1).pwd))
    bench.arrive(ALICE, answer, to=other)
    assert bench.dropped() == {"UNKNOWN_TRANSACTION": 1}


def test_answer_of_a_stun_server_makes_a_candidate_at_the_shared_port_and_no_route():
    bench = MuxBench()
    names = [bench.full(number, known=False, servers=["stun:203.0.113.8"]) for number in (1, 2)]
    bench.run(until=0.2)
    server = at("203.0.113.8", 3478)
    for request in [one for one in bench.sent if one.destination == server]:
        transaction_id = decode_untrusted(request.data).transaction_id
        mapped = encode(Method.BINDING, MessageClass.SUCCESS, transaction_id, ((XOR_MAPPED_ADDRESS, at("203.0.113.1", 4000)),))
        bench.arrive(server, mapped)
    for name in names:
        assert [one.address for one in bench.mux.agent(name).local_candidates] == [PORT, at("203.0.113.1", 4000)]
    bench.arrive(server, b"\x80data")
    assert bench.got(names[0]) == bench.got(names[1]) == [] and bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_lite_peer_of_a_lite_agent_is_where_it_says_unless_somebody_has_proven_to_be_there():
    bench = MuxBench()
    name = bench.lite(1, known=False, gather=False)
    bench.call(bench.mux.gather, name)
    bench.tell(name, client(1, lite=True, candidates=[THEIR_CANDIDATE]))
    bench.arrive(ALICE, b"\x80data")
    assert bench.got(name) == [b"\x80data"]
    owner = bench.lite(2)
    assert bench.is_accepted(2, BOB)
    liar = bench.lite(3, known=False)
    bench.tell(liar, client(3, lite=True, candidates=[candidate("198.51.100.2", 5000)]))
    bench.arrive(BOB, b"\x80bob")
    assert bench.got(owner) == [b"\x80bob"] and bench.got(liar) == []


# ------------------------------------------------------------- what is not shared


def test_relay_over_udp_has_a_socket_of_its_own():
    bench = MuxBench()
    name = bench.full(1, known=False, servers=[IceServer("turn:203.0.113.9:3478", username="u", credential="p")])
    bench.run(until=0.2)
    [wish] = bench.opens
    assert wish.transport is Transport.UDP and wish.remote == at("203.0.113.9", 3478) and bench.sent == []
    bench.open_all()
    [request] = bench.sent
    assert request.socket == wish.socket
    bench.call(bench.mux.handle_datagrams, wish.socket, [(request.destination, b"\x80junk")])
    bench.call(bench.mux.handle_socket_failed, wish.socket, SocketError(SocketErrorKind.OTHER))
    assert wish.socket not in bench.mux._residents.owners
    bench.call(bench.mux.remove, name)
    assert bench.mux._residents.owners == {} and bench.mux.agents == ()


def test_streams_towards_relays_are_the_drivers_and_are_fed_and_closed():
    bench = MuxBench()
    server = IceServer("turn:203.0.113.9:3478?transport=tcp", username="u", credential="p")
    name = bench.full(1, known=False, servers=[server])
    bench.run(until=0.2)
    [wish] = bench.opens
    assert wish.transport is Transport.TCP
    bench.open_all()
    assert bench.others and bench.others[0].socket == wish.socket
    bench.call(bench.mux.handle_stream_sent, wish.socket, 0)
    bench.call(bench.mux.handle_stream_data, wish.socket, b"")
    bench.call(bench.mux.remove, name)
    assert bench.closed == [wish.socket] and bench.mux._residents.owners == {} and bench.mux.agents == ()


def test_host_addresses_that_are_not_shared_have_sockets_of_their_own():
    bench = MuxBench()
    name = bench.lite(1, gather=False, known=False)
    bench.command(name, "gather", ["192.0.2.1", "192.0.2.9"])
    [wish] = bench.opens
    assert wish.bind == at("192.0.2.9", 0)
    bench.open_all()
    assert len(bench.mux.agent(name).local_candidates) == 2
    data = [(ALICE, b"\x80")]
    bench.call(bench.mux.handle_datagrams, wish.socket, data)
    assert bench.mux.agent(name).stats.dropped.total() == 1
    bench.tell(name, client(1))
    assert bench.is_accepted(1, ALICE, to=wish.bind._replace(port=40000 + wish.socket))
    bench.call(bench.mux.handle_datagrams, wish.socket, data)
    bench.call(bench.mux.send, name, b"\x80out")
    assert bench.got(name) == [b"\x80"] and bench.sent[-1].socket == wish.socket
    bench.command(name, "close")
    assert bench.closed == [wish.socket]


def test_names_are_looked_up_for_the_agent_that_asked():
    bench = MuxBench()
    name = bench.full(1, remote=attrs.evolve(client(1), end_of_candidates=False))
    named = attrs.evolve(THEIR_CANDIDATE, address=HostName("client.example", 5000))
    bench.command(name, "add_remote_candidate", named)
    [query] = {one.query for one in bench.others if isinstance(one, Resolve) and one.kind.value == "A"}
    for one in [one for one in bench.others if isinstance(one, Resolve)]:
        answer = (AddressRecord(ALICE.host),) if one.query == query else ()
        bench.call(bench.mux.handle_resolved, one.query, answer)
    assert [one.address for one in bench.mux.agent(name).remote_candidates] == [ALICE]
    assert bench.mux._residents.asking == {}


def test_agent_that_changes_its_mind_before_anybody_looks_opens_nothing():
    bench = MuxBench()
    for kind, name in (("lite", bench.lite(1, gather=False, known=False)), ("full", bench.full(2, gather=False, known=False))):
        agent = bench.mux.agent(name)
        agent.gather(["192.0.2.1"], now=0.0)
        agent.close(now=0.0)
        bench.call(bench.mux.absorb, name)
        assert bench.mux._residents.lanes == {} and name not in bench.mux.agents, kind


def test_agent_whose_unselected_places_are_freed_keeps_the_one_in_use():
    second = at("192.0.2.2", 4000)
    bench = MuxBench(PORT, second)
    name = bench.lite(1)
    assert bench.is_accepted(1, ALICE)
    assert bench.is_accepted(1, ALICE, to=second, nominate=False)
    bench.run(until=4.0)
    assert [one.address for one in bench.mux.agent(name).local_candidates] == [PORT]
    assert bench.closed == [] and bench.check(1, ALICE, to=second) is None
    bench.arrive(ALICE, b"\x80nobody", to=second)
    assert bench.dropped() == {"UNKNOWN_SOCKET": 1, "UNVALIDATED_SOURCE": 1}


# ------------------------------------------------------------- streams, bounds


def test_streams_of_one_agent_share_the_port_and_have_clients_of_their_own():
    bench = MuxBench()
    agent = LiteAgent(controlling=False, streams=2, credentials=[credentials(1), credentials(2)], ids=bench.mux.ids)
    name = bench.call(bench.mux.add, agent)
    bench.call(bench.mux.gather, name)
    bench.tell(name, SessionDescription([client(1), client(2)]))
    assert bench.is_accepted(1, ALICE) and bench.is_accepted(2, BOB)
    bench.arrive(ALICE, b"\x80a")
    bench.arrive(BOB, b"\x80b")
    assert [(event.stream, event.data) for event in bench.told(name) if hasattr(event, "data")] == [(0, b"\x80a"), (1, b"\x80b")]
    assert agent.state is IceState.COMPLETED


def test_the_lite_peer_of_a_second_stream_is_where_it_says():
    bench = MuxBench()
    agent = LiteAgent(controlling=False, streams=2, credentials=[credentials(1), credentials(2)], ids=bench.mux.ids)
    name = bench.call(bench.mux.add, agent)
    bench.call(bench.mux.gather, name)
    theirs = [client(number, lite=True, candidates=[candidate(one.host, one.port)]) for number, one in ((1, ALICE), (2, BOB))]
    bench.tell(name, SessionDescription(theirs))
    bench.arrive(BOB, b"\x80b")
    bench.arrive(ALICE, b"\x80a")
    assert [(event.stream, event.data) for event in bench.told(name) if hasattr(event, "data")] == [(1, b"\x80b"), (0, b"\x80a")]


def test_client_with_many_addresses_keeps_the_one_in_use_and_the_latest():
    bench = MuxBench(config=MuxConfig(max_sources=3))
    name = bench.lite(1)
    assert bench.is_accepted(1, ALICE)
    for number in range(10):
        assert bench.is_accepted(1, at("198.51.100.77", 6000 + number), nominate=False)
    [shared] = bench.mux._listening.sockets.values()
    assert list(shared.routes) == [ALICE, at("198.51.100.77", 6008), at("198.51.100.77", 6009)]
    bench.arrive(ALICE, b"\x80data")
    assert bench.got(name) == [b"\x80data"]


def test_early_client_with_many_addresses_keeps_the_latest():
    bench = MuxBench(config=MuxConfig(max_sources=2))
    bench.lite(1, known=False)
    for source in (ALICE, BOB, CAROL):
        assert bench.is_accepted(1, source)
    [shared] = bench.mux._listening.sockets.values()
    assert list(shared.routes) == [BOB, CAROL]


def test_packet_that_wakes_a_late_agent_brings_what_its_timer_has_to_say():
    bench, name = connected()
    bench.now = 100.0
    bench.arrive(ALICE, b"\x80late")
    assert bench.mux.agent(name).state is IceState.FAILED and bench.got(name) == []
    assert bench.told(name)[-2].new is IceState.FAILED
    assert bench.mux.deadline() > 100.0
    assert bench.mux._listening.sockets[SocketId(1)].routes[ALICE].name == name


def test_whatever_data_makes_an_agent_want_and_tell_is_done_and_passed_on():
    bench, name = connected()
    [lane] = bench.mux._residents.lanes.values()
    bench.now = 100.0  # so it looks at its timer first
    bench.mux._residents.deliver(lane, [(ALICE, b"\x80late")], bench.now)
    bench.drain()
    assert bench.told(name)[-2].new is IceState.FAILED and bench.got(name) == []


def test_proof_that_comes_with_the_end_of_a_place_is_of_no_use():
    bench, name = connected()
    residents = bench.mux._residents
    [lane] = residents.lanes.values()
    bench.call(bench.mux.remove, name)
    residents.learn(lane, BOB)
    assert lane.shared.routes == {} and lane.sources == ()


def test_answer_of_the_dns_for_an_agent_that_is_gone_is_nobodys():
    bench = MuxBench()
    name = bench.full(1, remote=attrs.evolve(client(1), end_of_candidates=False))
    bench.command(name, "add_remote_candidate", attrs.evolve(THEIR_CANDIDATE, address=HostName("client.example", 5000)))
    queries = [one.query for one in bench.others if isinstance(one, Resolve)]
    bench.call(bench.mux.remove, name)
    events = len(bench.events)
    for query in queries:
        bench.call(bench.mux.handle_resolved, query, (AddressRecord(ALICE.host),))
    assert queries and len(bench.events) == events and bench.mux.agents == () and bench.mux._residents.asking == {}
