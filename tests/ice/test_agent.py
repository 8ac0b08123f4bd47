"""The agent: commands, gathering, sockets and the path of the data."""

import math

import pytest

from ice._session import (
    LOST,
    ONE,
    PEER,
    SERVER,
    STRANGER,
    STUN,
    TWO,
    Two,
    bench_of,
    checking,
    indication,
    peer,
    refuses,
    selected,
    server_answer,
    states,
    untouched,
    validated,
)
from ice._wire import OURS, THEIRS, Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    Closed,
    Credentials,
    DataReceived,
    Description,
    GatheringCompleted,
    GatheringState,
    IceAgent,
    IceConfig,
    IceRole,
    IceServer,
    IceState,
    IceStateChanged,
    NotConnected,
    PairSelected,
    PairValidated,
    ServerFailed,
)
from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    DropReason,
    LocalProtocolError,
    OpenSocket,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.simulation import Fate
from sansice.stun import (
    ALTERNATE_SERVER,
    XOR_MAPPED_ADDRESS,
    MessageClass,
)

# What may be read of a new agent


@pytest.mark.req("RFC8445-031")
@pytest.mark.parametrize("controlling", [True, False])
def test_who_initiates_controls(controlling):
    assert IceAgent(controlling=controlling).role is (IceRole.CONTROLLING if controlling else IceRole.CONTROLLED)


def test_new_agent_is_new_in_every_respect():
    agent = IceAgent(controlling=False)
    assert (agent.state, agent.gathering_state, agent.role) == (IceState.NEW, GatheringState.NEW, IceRole.CONTROLLED)
    assert (agent.selected_pair, agent.writable, agent.pairs) == (None, False, ())
    assert (agent.local_candidates, agent.remote_candidates) == ((), ())
    assert agent.take_outputs() == []
    assert agent.deadline() == math.inf


@pytest.mark.req("RFC8445-029")
def test_two_agents_draw_different_credentials_and_given_ones_are_used_as_given():
    assert IceAgent(controlling=True).credentials != IceAgent(controlling=True).credentials
    assert IceAgent(controlling=True, credentials=THEIRS).credentials is THEIRS
    drawn = iter(range(256))
    agent = IceAgent(controlling=True, entropy=lambda count: bytes(next(drawn) for _ in range(count)))
    assert agent.credentials == Credentials.generate(lambda count: bytes(range(count)))


@pytest.mark.req("RFC8445-111", "RFC8839-002", "RFC8839-003", "RFC8839-010", "RFC8839-011")
def test_description_of_a_full_agent_has_credentials_ice2_pacing_and_every_candidate():
    bench = Bench(hosts=("192.0.2.1", "2001:db8::1"), config=IceConfig(ta=0.02), known=False)
    description = bench.agent.local_description
    assert description == Description(
        OURS.ufrag, OURS.pwd, candidates=bench.agent.local_candidates, options=("ice2",), pacing=20, end_of_candidates=True
    )
    assert len(description.candidates) == 2
    lines = description.to_sdp().splitlines()
    assert "a=ice-lite" not in lines
    assert {"a=ice-options:ice2", "a=ice-pacing:20", f"a=ice-ufrag:{OURS.ufrag}", f"a=ice-pwd:{OURS.pwd}"} < set(lines)
    assert sum(line.startswith("a=candidate:") for line in lines) == 2


@pytest.mark.req("RFC8838-020")
def test_description_says_that_candidates_are_complete_once_they_are():
    bench = Bench(servers=STUN, known=False)
    assert bench.agent.local_description.end_of_candidates is False
    bench.run(until=3.0)
    assert bench.agent.local_description.end_of_candidates is True


def test_passwords_show_in_no_repr():
    agent = IceAgent(controlling=True, credentials=OURS)
    assert OURS.pwd not in repr(agent) + repr(agent.local_description) + repr(agent.credentials)


@pytest.mark.parametrize("url", ["turn:192.0.2.1:0", "stun:", "nonsense"])
def test_server_that_cannot_be_used_is_refused_by_the_constructor(url):
    with pytest.raises(LocalProtocolError, match="ICE server"):
        IceAgent(controlling=True, servers=[IceServer(url)])


# Gathering


@pytest.mark.req("RFC8445-001")
def test_gather_opens_a_socket_for_every_usable_address():
    agent = IceAgent(controlling=True)
    agent.gather(["127.0.0.1", "192.0.2.1", "fe80::1%eth0", "2001:db8::1"], now=0.0)
    assert agent.take_outputs() == [
        OpenSocket(ONE, Transport.UDP, at("2001:db8::1", 0)),  # RFC 8421 4: IPv6 first
        OpenSocket(TWO, Transport.UDP, at("192.0.2.1", 0)),
    ]
    assert agent.gathering_state is GatheringState.GATHERING


def test_gather_takes_loopback_where_it_is_asked_to():
    agent = IceAgent(controlling=True)
    agent.gather(["127.0.0.1", "192.0.2.1"], include_loopback=True, now=0.0)
    assert [output.bind.host for output in agent.take_outputs()] == ["192.0.2.1", "127.0.0.1"]


def test_number_of_host_candidates_is_bounded():
    agent = IceAgent(controlling=True)
    agent.gather([f"10.0.0.{number}" for number in range(1, 100)], now=0.0)
    assert len(agent.take_outputs()) == 32


@pytest.mark.req("RFC8838-010", "RFC8445-006")
def test_candidates_are_told_once_each_in_order_and_then_completion_once():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), servers=STUN, known=False)
    bench.run(until=1.0)
    for request in bench.checks:
        bench.arrive(request.socket, SERVER, server_answer(request, (XOR_MAPPED_ADDRESS, at("203.0.113.9", 6000))))
    bench.run(until=100.0)
    told = [event.candidate for event in bench.heard(CandidateGathered)]
    assert told == list(bench.agent.local_candidates)
    assert [one.type.value for one in told] == ["host", "host", "srflx", "srflx"]
    assert {(event.stream, event.component, event.candidate.component) for event in bench.heard(CandidateGathered)} == {(0, 1, 1)}
    assert bench.heard(GatheringCompleted) == [GatheringCompleted()]
    assert isinstance(bench.events[-1][1], GatheringCompleted)


@pytest.mark.req("RFC8445-009", "RFC8445-122")
def test_servers_are_asked_one_at_a_time_ta_apart():
    servers = [IceServer(f"stun:198.51.100.{number}") for number in (1, 2, 3)]
    bench = Bench(servers=servers, known=False)
    bench.run(until=0.4)
    assert [(one.at, one.destination.host) for one in bench.sent] == [
        (0.0, "198.51.100.1"),
        (0.05, "198.51.100.2"),
        (0.1, "198.51.100.3"),
    ]


def test_silent_server_is_reported_and_delays_nothing_else():
    bench = Bench(servers=STUN, remotes=(peer(1),))
    bench.run(until=3.0)
    expected = ServerFailed("stun:198.51.100.53", "192.0.2.1", "no answer within 3 s", seconds=3.0, is_silent=True)
    assert bench.heard(ServerFailed) == [expected]
    assert any(one.destination == PEER for one in bench.checks)


@pytest.mark.req("RFC8445-010")
def test_refusing_server_ends_gathering_at_once_and_its_alternate_is_not_asked():
    bench = Bench(servers=STUN, known=False)
    bench.arrive(1, SERVER, server_answer(bench.check, (ALTERNATE_SERVER, STRANGER), code=300))
    assert [event.text for event in bench.heard(ServerFailed)] == ["300 No"]
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    bench.run(until=60.0)
    assert {one.destination for one in bench.sent} == {SERVER}


def test_unreachable_server_ends_gathering_at_once():
    bench = Bench(servers=STUN, known=False)
    bench.unreachable(1, SERVER, code=1)
    assert bench.agent.gathering_state is GatheringState.GATHERING
    bench.unreachable(1, SERVER)
    assert bench.agent.gathering_state is GatheringState.COMPLETE


def test_answer_of_a_server_that_comes_too_late_is_nobodys():
    bench = Bench(servers=STUN, known=False)
    request = bench.check
    bench.run(until=3.0)
    bench.arrive(1, SERVER, server_answer(request, (XOR_MAPPED_ADDRESS, at("203.0.113.9"))))
    assert bench.agent.stats.dropped[DropReason.UNKNOWN_TRANSACTION] == 1
    assert len(bench.agent.local_candidates) == 1


@pytest.mark.parametrize(
    ("addresses", "match"), [(["localhost"], "literal"), (["192.0.2.1", "nonsense"], "literal"), ([""], "literal")]
)
def test_gather_refuses_what_is_no_address(addresses, match):
    agent = IceAgent(controlling=True)
    bench = bench_of(agent)
    refuses(bench, agent.gather, addresses, match=match)


def test_gather_works_once():
    bench = Bench(known=False)
    refuses(bench, bench.agent.gather, ["192.0.2.1"], match="before")


def test_machine_without_addresses_gathers_nothing_and_is_done():
    bench = Bench(hosts=(), known=False)
    assert bench.heard(GatheringCompleted) == [GatheringCompleted()]


# Sockets that fail, or open late


def opening(**options):
    """An agent of two addresses whose sockets the test opens."""
    agent = IceAgent(controlling=True, credentials=OURS, **options)
    agent.gather(["192.0.2.1", "192.0.2.2"], now=0.0)
    agent.take_outputs()
    return agent


def test_address_that_cannot_be_bound_costs_one_candidate():
    agent = opening()
    agent.handle_socket_failed(ONE, SocketError(SocketErrorKind.ADDRESS_UNAVAILABLE), now=0.0)
    agent.handle_socket_opened(TWO, at("192.0.2.2", 4002), now=0.0)
    events = agent.take_outputs()
    assert [type(event) for event in events] == [CandidateGathered, GatheringCompleted]
    assert [one.address for one in agent.local_candidates] == [at("192.0.2.2", 4002)]


def test_socket_that_opens_after_gathering_has_ended_is_closed():
    agent = opening()
    agent.handle_socket_opened(ONE, at("192.0.2.1", 4001), now=0.0)
    agent.handle_timer(now=3.0)
    assert agent.gathering_state is GatheringState.COMPLETE
    agent.take_outputs()
    agent.handle_socket_opened(TWO, at("192.0.2.2", 4002), now=3.5)
    assert agent.take_outputs() == [CloseSocket(TWO, CloseMode.RESET)]
    assert len(agent.local_candidates) == 1


def test_socket_of_a_closed_agent_that_opens_after_all_is_left_alone():
    agent = opening()
    agent.close(now=1.0)
    assert agent.take_outputs()[:2] == [GatheringCompleted(), CloseSocket(ONE)]
    agent.handle_socket_opened(ONE, at("192.0.2.1", 4001), now=1.0)
    agent.handle_socket_failed(TWO, LOST, now=1.0)
    assert agent.take_outputs() == []


@pytest.mark.req("RFC8838-021")
def test_socket_that_opens_after_selection_adds_no_candidate():
    agent = opening()
    agent.handle_socket_opened(ONE, at("192.0.2.1", 4001), now=0.0)
    bench = bench_of(agent)
    bench.tell(peer(1))
    bench.answer(bench.check)
    bench.run(until=0.05)
    bench.answer(bench.check)
    assert agent.state is IceState.COMPLETED
    assert bench.heard(GatheringCompleted) == [GatheringCompleted()]
    bench.call(agent.handle_socket_opened, TWO, at("192.0.2.2", 4002))
    assert bench.closed == [(0.05, TWO)]
    assert len(agent.local_candidates) == 1


def test_dead_socket_takes_its_pairs_along_and_the_others_go_on():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(peer(1),))
    bench.run(until=0.05)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert bench.states()["192.0.2.1:4001", str(PEER)] == "failed"
    bench.answer(bench.check)
    bench.run(until=0.2)
    bench.answer(bench.check)
    assert bench.agent.selected_pair.local.address == at("192.0.2.2", 4002)


def test_valid_pair_whose_socket_died_is_replaced_by_another_and_that_is_nominated():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(peer(1),))
    first = bench.check
    bench.run(until=0.05)
    bench.answer(bench.check)  # from socket 2
    bench.answer(first)  # the better one, at once nominated
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert bench.agent.writable
    bench.run(until=0.2)
    assert bench.check.nominates and bench.check.socket == TWO
    bench.answer(bench.check)
    assert bench.agent.selected_pair.local.address == at("192.0.2.2", 4002)


def test_selected_pair_whose_socket_died_ends_the_session():
    bench = selected()
    bench.run(until=5.0)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert states(bench)[-1] == (5.0, "failed")
    assert not bench.agent.writable and bench.is_idle
    assert "lost" in bench.agent.explain()


def test_news_of_a_socket_that_is_not_ours_changes_nothing():
    bench = checking()
    before = untouched(bench)
    bench.call(bench.agent.handle_socket_failed, SocketId(99), LOST)
    bench.call(bench.agent.handle_socket_opened, SocketId(99), at("192.0.2.9"))
    assert untouched(bench) == before


@pytest.mark.req("RFC8445-105")
@pytest.mark.parametrize("controlling", [True, False])
def test_sockets_that_the_selected_pair_does_not_use_are_closed_3_s_later(controlling):
    bench = selected(controlling=controlling, hosts=("192.0.2.1", "192.0.2.2", "192.0.2.3"))
    bench.run(until=3.04)
    assert bench.closed == []
    assert bench.request(PEER, socket=2) is not None
    bench.run(until=3.05)
    assert bench.closed == [(3.05, TWO), (3.05, SocketId(3))]
    assert bench.agent.writable
    bench.arrive(2, PEER, b"late")
    assert bench.agent.stats.dropped[DropReason.UNKNOWN_SOCKET] == 1


# Knowing the peer


def test_own_description_is_refused():
    bench = Bench(known=False)
    refuses(bench, bench.agent.set_remote, bench.agent.local_description, match="own description")


def test_other_credentials_later_are_refused():
    bench = checking()
    refuses(bench, bench.agent.set_remote, Description("other", THEIRS.pwd), match="restart")
    refuses(bench, bench.agent.set_remote, Description(THEIRS.ufrag, "q" * 22), match="restart")


def test_ufrags_that_make_too_long_a_username_are_refused_and_the_longest_that_fit_connect():
    agent = IceAgent(controlling=True, credentials=Credentials("u" * 252, OURS.pwd))
    bench = bench_of(agent)
    bench.call(agent.gather, ["192.0.2.1"])
    refuses(bench, agent.set_remote, Description("r" * 256, THEIRS.pwd), match="USERNAME")
    bench.call(agent.set_remote, Description("r" * 255, THEIRS.pwd, candidates=[peer(1)]))
    assert bench.checks


def test_second_call_with_the_same_credentials_adds_what_is_new():
    bench = checking(complete=False)
    bench.tell(peer(1), peer(2), complete=False)
    assert [one.address.host for one in bench.agent.remote_candidates] == ["198.51.100.1", "198.51.100.2"]
    assert len(bench.agent.pairs) == 2
    bench.tell(peer(1), peer(2))
    assert len(bench.agent.pairs) == 2
    assert bench.call(bench.agent.add_remote_candidate, peer(3)) is False


@pytest.mark.req("RFC8445-130")
def test_number_of_remote_candidates_and_of_pairs_is_bounded():
    many = [candidate(f"198.51.{number >> 8}.{number & 255}", foundation=f"r{number}") for number in range(1, 1001)]
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=many)
    assert len(bench.agent.remote_candidates) == 100
    assert len(bench.agent.pairs) <= 100
    assert bench.agent.stats.dropped[DropReason.LIMIT] >= 900


# Sending


def test_data_leaves_on_the_selected_pair_and_is_counted():
    bench = selected()
    bench.call(bench.agent.send, b"x" * 100)
    bench.call(bench.agent.send, b"\x80" * 7, stream=0, component=1)
    assert [one.data for one in bench.sent[-2:]] == [b"x" * 100, b"\x80" * 7]
    assert (bench.agent.stats.datagrams_sent, bench.agent.stats.bytes_sent) == (2, 107)


@pytest.mark.req("RFC8445-118")
def test_after_selection_data_leaves_on_the_selected_pair_even_if_a_better_one_is_valid():
    bench = checking(controlling=False, remotes=(peer(1), peer(2)))
    for _ in range(2):
        bench.answer(bench.check)
        bench.run(until=bench.now + 0.05)
    bench.call(bench.agent.send, b"before")
    bench.request(at("198.51.100.2"), use_candidate=True)
    bench.call(bench.agent.send, b"after")
    assert [one.destination.host for one in bench.sent if one.data in (b"before", b"after")] == ["198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize(
    ("data", "options", "match"),
    [
        (b"", {}, "empty"),
        (bytes(65508), {}, "65507"),
        (indication(), {}, "STUN"),
        (b"\x00\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), {}, "STUN"),
        (b"\x3f" + bytes(3) + b"\x21\x12\xa4\x42" + bytes(12), {}, "STUN"),
        (b"x", {"stream": 1}, "stream 1"),
        (b"x", {"stream": -1}, "stream -1"),
        (b"x", {"component": 2}, "component 2"),
        (b"x", {"component": 0}, "component 0"),
    ],
)
def test_data_that_cannot_be_sent_is_refused_without_a_trace(data, options, match):
    bench = selected()
    refuses(bench, bench.agent.send, data, match=match, **options)
    bench.call(bench.agent.send, b"fine")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x00" * 65507,
        b"\x16\xfe\xfd",
        b"\x01\x02\x03\x04\x21\x12\xa4\x42",
        bytes(20),
        b"\x40\0\0\0\x21\x12\xa4\x42" + bytes(12),
    ],
)
def test_data_that_only_begins_like_stun_may_be_sent(data):
    bench = selected()
    bench.call(bench.agent.send, data)
    assert bench.sent[-1].data == data


@pytest.mark.req("RFC7675-004")
def test_sending_before_a_pair_is_valid_is_refused_without_a_trace():
    bench = checking()
    refuses(bench, bench.agent.send, b"x" * 50, match="no pair is valid; ICE is checking", error=NotConnected)


# Receiving


@pytest.mark.req("RFC8445-121", "RFC8489-042")
def test_data_is_taken_on_every_socket_from_an_address_that_was_checked():
    bench = validated(controlling=False, hosts=("192.0.2.1", "192.0.2.2"))
    for data in (b"x" * 100, b"\x80rtp", b"\x16dtls", bytes(20), b"\x00"):
        for socket in (1, 2):
            bench.arrive(socket, PEER, data)
            assert bench.events[-1][1] == DataReceived(0, 1, data)
    assert bench.agent.stats.datagrams_received == 10


@pytest.mark.req("RFC8445-030", "RFC8445-121")
def test_data_is_taken_as_soon_as_the_peers_check_has_come_even_before_its_description():
    bench = Bench(known=False)
    bench.arrive(1, PEER, b"too early")
    assert bench.agent.stats.dropped[DropReason.UNVALIDATED_SOURCE] == 1
    assert bench.request(PEER, controlling=False).message_class is MessageClass.SUCCESS
    bench.arrive(1, PEER, b"early")
    assert bench.heard(DataReceived) == [DataReceived(0, 1, b"early")]


def test_data_of_one_batch_stays_in_order():
    bench = selected()
    bench.call(bench.agent.handle_datagrams, ONE, [(PEER, b"one"), (STRANGER, b"no"), (PEER, b"two"), (PEER, b"three")])
    assert [event.data for event in bench.heard(DataReceived)] == [b"one", b"two", b"three"]


@pytest.mark.req("RFC8445-079", "RFC8445-030")
def test_check_before_the_description_is_answered_at_once_and_checked_back_later():
    bench = Bench(controlling=False, known=False)
    prflx = at("198.51.100.77")
    answer = bench.request(prflx, use_candidate=True)
    assert answer.message_class is MessageClass.SUCCESS
    assert answer.get(XOR_MAPPED_ADDRESS) == prflx
    assert bench.requests == []
    bench.run(until=1.0)
    bench.tell()
    assert [(one.at, one.destination) for one in bench.checks] == [(1.0, prflx)]
    bench.answer(bench.check)
    assert bench.agent.selected_pair.remote.address == prflx


# Closing


def test_close_ends_everything_and_closed_is_the_last_event():
    bench = selected(hosts=("192.0.2.1", "192.0.2.2"))
    bench.call(bench.agent.close)
    assert bench.closed == [(0.05, ONE), (0.05, TWO)]
    assert [type(event) for _, event in bench.events[-2:]] == [IceStateChanged, Closed]
    assert bench.agent.state is IceState.CLOSED
    assert bench.is_idle and not bench.agent.writable


def test_closing_twice_says_nothing_more():
    bench = selected()
    bench.call(bench.agent.close)
    seen = len(bench.events)
    bench.call(bench.agent.close)
    assert len(bench.events) == seen


def test_new_agent_may_be_closed():
    agent = IceAgent(controlling=True)
    agent.close(now=0.0)
    assert agent.take_outputs() == [IceStateChanged(IceState.NEW, IceState.CLOSED), Closed()]


def test_what_arrives_after_close_is_counted_and_changes_nothing():
    bench = selected()
    bench.call(bench.agent.close)
    sent, seen = len(bench.sent), len(bench.events)
    bench.call(bench.agent.handle_datagrams, ONE, [(PEER, b"data"), (PEER, indication())])
    assert bench.request(PEER) is None
    bench.unreachable(1, PEER)
    bench.call(bench.agent.handle_timer)
    assert bench.agent.stats.dropped[DropReason.CLOSED] == 3
    assert (len(bench.sent), len(bench.events)) == (sent, seen)


def test_closed_agent_takes_no_more_commands():
    bench = selected()
    bench.call(bench.agent.close)
    agent = bench.agent
    refuses(bench, agent.gather, ["192.0.2.1"], match="closed")
    refuses(bench, agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd), match="closed")
    refuses(bench, agent.add_remote_candidate, peer(1), match="closed")
    refuses(bench, agent.end_of_candidates, match="closed")
    refuses(bench, agent.send, b"x" * 50, match="closed", error=NotConnected)


# Two agents


@pytest.mark.req("RFC8863-005")
def test_two_agents_connect_and_talk():
    two = Two()
    two.exchange()
    assert two.connect(within=1.0)
    assert two.echo()
    told = [type(event) for _, event in two.node_a.events]
    assert told.index(PairValidated) < told.index(PairSelected)
    assert two.a.explain().startswith("ICE is completed: the selected pair is 192.0.2.1:")


def test_data_flows_before_any_pair_is_selected():
    two = Two(latency=0.1)
    two.exchange()
    assert two.net.run(until=5.0, when=lambda: two.a.writable and two.b.writable)
    assert two.a.selected_pair is None and two.b.selected_pair is None
    assert two.echo()


def test_reflexive_candidates_connect_through_two_nats():
    two = Two(a_options={"servers": STUN}, b_options={"servers": STUN}, behind_nats=True)
    assert two.net.run(
        until=4.0, when=lambda: two.a.local_description.end_of_candidates and two.b.local_description.end_of_candidates
    )
    two.exchange()
    assert two.net.run(until=10.0, when=lambda: two.a.selected_pair is not None and two.b.selected_pair is not None)
    assert two.echo()
    assert {two.a.selected_pair.local.type.value, two.b.selected_pair.local.type.value} == {"srflx"}


@pytest.mark.req("RFC8445-118")
def test_no_datagram_of_data_leaves_elsewhere_than_on_the_selected_path():
    two = Two(trace=10_000)
    two.exchange()
    assert two.connect()
    before = two.net.now
    assert two.echo()
    data = [
        (passage.packet.source.host, passage.packet.destination)
        for passage in two.net.packets
        if passage.fate is Fate.SENT and passage.time >= before and passage.packet.data.startswith(b"from")
    ]
    assert data == [
        ("192.0.2.1", two.a.selected_pair.remote.address),
        ("198.51.100.1", two.b.selected_pair.remote.address),
    ]


def test_outputs_are_sends_and_not_yet_performed_when_a_command_returns():
    bench = selected()
    bench.agent.send(b"x" * 10, now=bench.now)
    assert bench.agent.take_outputs() == [SendDatagram(ONE, PEER, b"x" * 10)]
    assert isinstance(PEER, Address)
