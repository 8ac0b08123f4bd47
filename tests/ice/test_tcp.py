"""ICE over TCP (RFC 6544): connections that checks open, connections that come, and what becomes of both."""

import math

import pytest

from ice._lite import check_bytes
from ice._session import Two
from ice._tcp_bench import (
    ACTIVE,
    BOTH,
    CALLER,
    PASSIVE,
    PEER,
    REFUSED,
    TcpBench,
    active,
    remote,
    selected_active,
    selected_passive,
    tcp,
)
from ice._wire import STRANGER, at
from sansice.ice import (
    CandidateType,
    DataReceived,
    IceConfig,
    IceState,
    PairState,
    TcpType,
)
from sansice.ice._tcp._address import TcpAddress
from sansice.ice._tcp._paths import TcpLoss, TcpPaths
from sansice.ice._telling._tally import CheckFailure
from sansice.machine import (
    CloseMode,
    DropReason,
    Ids,
    OpenSocket,
    SendDatagram,
    SendStream,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import MessageClass, frame_rfc4571

HTTP = b"HTTP/1.1 400 Bad Request\r\n\r\n"


def kinds(bench):
    return [one.tcp_type for one in bench.agent.local_candidates]


# ------------------------------------------------------------------- checks over connections of ours


@pytest.mark.req("RFC6544-011")
def test_the_first_check_of_a_pair_opens_a_connection_from_the_address_of_its_candidate_and_waits_for_it():
    bench = TcpBench(ACTIVE, remotes=(remote(),))
    assert [(one.transport, one.bind, one.remote) for one in bench.opened] == [(Transport.TCP, at("192.0.2.1", 0), PEER)]
    assert bench.sent == []
    bench.connect()
    assert [(one.destination, one.is_request) for one in bench.sent] == [(PEER, True)]


@pytest.mark.req("RFC6544-011")
def test_a_pair_whose_connection_is_refused_has_failed_at_once():
    bench = TcpBench(ACTIVE, remotes=(remote(),))
    bench.fail(bench.opened[0].socket)
    assert [pair.state for pair in bench.agent.pairs] == [PairState.FAILED]
    assert "TCP connection refused" in str(bench.agent.explain())


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (REFUSED, "TCP connection refused"),
        (SocketError(SocketErrorKind.TIMEOUT, "too late"), "TCP connection timed out"),
        (SocketError(SocketErrorKind.UNREACHABLE, "no route"), "TCP connection failed"),
    ],
)
def test_why_a_connection_was_not_to_be_had_is_told(error, words):
    bench = TcpBench(ACTIVE, remotes=(remote(),))
    bench.fail(bench.opened[0].socket, error)
    assert words in str(bench.agent.explain())


def test_a_connection_that_is_not_there_in_time_fails_its_pair_and_is_given_up():
    bench = TcpBench(ACTIVE, remotes=(remote(),))
    bench.run(until=9.9)
    assert bench.agent.pairs[0].state is PairState.IN_PROGRESS
    bench.run(until=10.0)
    assert bench.agent.pairs[0].state is PairState.FAILED
    assert bench.shut == [(10.0, bench.opened[0].socket, CloseMode.RESET)]
    assert "TCP connection timed out" in str(bench.agent.explain())


@pytest.mark.req("RFC6544-013")
def test_a_check_over_tcp_is_sent_once_however_long_its_answer_takes():
    bench = active()
    bench.run(until=39.0)
    assert len(bench.sent) == 1
    assert bench.agent.pairs[0].state is PairState.IN_PROGRESS
    bench.run(until=40.0)
    assert bench.agent.pairs[0].state is PairState.FAILED


def test_checks_of_one_pair_share_its_connection():
    bench = selected_active()
    bench.run(until=30.0)
    assert len(bench.opened) == 1
    assert len({one.socket for one in bench.sent}) == 1


def test_the_answer_shows_a_peer_reflexive_candidate_from_where_the_connection_leaves():
    bench = active()
    bench.answer(bench.sent[-1])
    learned = bench.agent.explain().facts.streams[0].components[0].local[-1]
    assert (learned.type, learned.transport, learned.tcp_type) == (CandidateType.PEER_REFLEXIVE, Transport.TCP, ACTIVE)
    assert learned.address == bench.base(bench.opened[0].socket)


@pytest.mark.req("RFC6544-014")
def test_who_answers_the_first_check_with_something_else_than_stun_is_left_and_all_pairs_with_him_have_failed():
    bench = TcpBench(ACTIVE, remotes=(remote(),), hosts=("192.0.2.1", "192.0.2.2"))
    bench.run(until=0.1)
    assert len(bench.opened) == 2
    first = bench.connect(bench.opened[0].socket)
    bench.arrive(first, PEER, HTTP)
    assert bench.shut[0][1:] == (first, CloseMode.RESET)
    assert [pair.state for pair in bench.agent.pairs] == [PairState.FAILED] * 2
    assert "does not speak ICE" in str(bench.agent.explain())
    assert bench.agent.stats.dropped[DropReason.NOT_STUN] == 1


@pytest.mark.req("RFC6544-014")
def test_what_is_too_long_for_a_first_answer_is_none():
    bench = TcpBench(ACTIVE, remotes=(remote(),), hosts=("192.0.2.1", "192.0.2.2"))
    bench.run(until=0.1)
    bench.feed(bench.connect(bench.opened[0].socket), b"HTTP/1.1 400")  # read as a frame, it says that it has 18516 bytes
    assert [pair.state for pair in bench.agent.pairs] == [PairState.FAILED] * 2
    assert bench.agent.stats.dropped[DropReason.LIMIT] == 1


@pytest.mark.req("RFC6544-020")
def test_no_more_than_five_connections_to_one_address_are_begun_at_a_time():
    bench = TcpBench(ACTIVE, remotes=tuple(remote(port=5000 + n, foundation=f"f{n}") for n in range(10)))
    bench.run(until=2.0)
    assert len(bench.opened) == 5
    bench.fail(bench.opened[1].socket)
    assert len(bench.opened) == 6
    bench.connect(bench.opened[0].socket)
    assert len(bench.opened) == 7
    bench.feed(bench.opened[0].socket, b"")
    assert len(bench.opened) == 7  # what was open is not one that is being begun
    bench.run(until=10.5)
    assert sorted(one.remote.port for one in bench.opened) == list(range(5000, 5010))  # the first were not there in time


def test_another_address_has_five_of_its_own():
    there = tuple(remote(port=5000 + n, foundation=f"f{n}") for n in range(5))
    bench = TcpBench(ACTIVE, remotes=(*there, remote(host="198.51.100.2", foundation="f9")))
    bench.run(until=2.0)
    assert len(bench.opened) == 6


# ------------------------------------------------------------------- which pairs there are


@pytest.mark.req("RFC6544-009")
@pytest.mark.parametrize("theirs", list(TcpType))
@pytest.mark.parametrize("ours", list(TcpType))
def test_active_goes_with_passive_and_simultaneous_open_with_itself(ours, theirs):
    bench = TcpBench(ours, remotes=(remote(theirs),))
    bench.run(until=1.0)
    assert len(bench.opened) == ((ours, theirs) in ((ACTIVE, PASSIVE), (BOTH, BOTH)))


@pytest.mark.req("RFC6544-010")
def test_no_pair_is_kept_that_the_peer_has_to_connect():
    bench = TcpBench(PASSIVE, remotes=(remote(ACTIVE), remote(PASSIVE), remote(BOTH, port=5001)))
    assert bench.agent.pairs == ()
    assert len(bench.agent.remote_candidates) == 3


def test_udp_and_tcp_do_not_mix_and_one_address_of_both_is_two_candidates():
    from ice._wire import candidate

    bench = TcpBench(ACTIVE, udp=True, remotes=(candidate(PEER.host, PEER.port), remote()))
    assert {(one.local.transport, one.remote.transport) for one in bench.agent.pairs} == {
        (Transport.UDP, Transport.UDP),
        (Transport.TCP, Transport.TCP),
    }
    assert len({one.id for one in bench.agent.report().candidates}) == 4


def test_an_agent_without_tcp_does_not_use_that_of_its_peer():
    bench = TcpBench(udp=True, remotes=(remote(),))
    assert bench.agent.pairs == ()
    assert bench.agent.stats.dropped[DropReason.UNUSABLE_CANDIDATE] == 1


def test_a_tcp_candidate_that_does_not_say_how_it_connects_is_not_used():
    bench = TcpBench(ACTIVE, remotes=(remote(None),))
    assert bench.agent.stats.dropped[DropReason.UNUSABLE_CANDIDATE] == 1


# ------------------------------------------------------------------- connections of the peer's


@pytest.mark.req("RFC6544-015")
@pytest.mark.parametrize("kind", [PASSIVE, BOTH])
def test_a_check_over_a_connection_that_came_is_answered_there_and_checked_back(kind):
    bench = TcpBench(kind, controlling=False, remotes=(remote(ACTIVE),))
    socket = bench.accept()
    assert bench.ask(socket).message_class is MessageClass.SUCCESS
    bench.run(until=0.1)
    checks = [one for one in bench.sent if one.is_request]
    assert [one.socket for one in checks] == [socket]
    bench.answer(checks[0])
    bench.ask(socket, use_candidate=True)
    pair = bench.agent.selected_pair
    assert (pair.local.tcp_type, pair.remote.type, pair.remote.transport) == (kind, CandidateType.PEER_REFLEXIVE, Transport.TCP)
    assert pair.remote.address == CALLER
    assert pair.remote.tcp_type is (ACTIVE if kind is PASSIVE else BOTH)


def test_who_has_connected_and_says_nothing_is_closed_after_five_seconds():
    bench = TcpBench(PASSIVE)
    socket = bench.accept()
    bench.feed(socket, b"\x00")
    bench.run(until=4.9)
    bench.feed(socket, b"\x01")
    assert bench.shut == []
    bench.run(until=5.0)
    assert bench.shut == [(5.0, socket, CloseMode.RESET)]
    assert bench.agent.stats.dropped[DropReason.UNPROVEN_STREAM] == 1


def test_who_does_not_know_the_password_is_told_so_and_closed():
    bench = TcpBench(PASSIVE)
    socket = bench.accept()
    assert bench.ask(socket, key=STRANGER).message_class is MessageClass.ERROR
    assert bench.shut == [(0.0, socket, CloseMode.FLUSH)]
    assert bench.agent.stats.dropped[DropReason.UNPROVEN_STREAM] == 1
    assert bench.agent.stats.dropped[DropReason.BAD_INTEGRITY] == 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (frame_rfc4571(HTTP), DropReason.NOT_STUN),
        (b"\xff\xff", DropReason.LIMIT),
        (b"\x08\x01", DropReason.LIMIT),
        (frame_rfc4571(b"\x00\x01\x00\x00\x21\x12\xa4\x42twelve bytes"), DropReason.UNPROVEN_STREAM),
        (frame_rfc4571(b"\x01\x01\x00\x00\x21\x12\xa4\x42twelve bytes"), DropReason.UNPROVEN_STREAM),
    ],
)
def test_a_first_frame_that_is_no_check_closes_the_connection(data, reason):
    bench = TcpBench(PASSIVE)
    socket = bench.accept()
    bench.feed(socket, data)
    assert bench.closed_of() == [socket]
    assert bench.agent.stats.dropped[reason] == 1


def test_empty_frames_say_nothing():
    bench = TcpBench(PASSIVE, remotes=(remote(ACTIVE),))
    socket = bench.accept()
    bench.feed(socket, bytes(2000))
    assert bench.shut == []
    assert bench.ask(socket).message_class is MessageClass.SUCCESS


def test_a_check_that_comes_byte_by_byte_is_a_check():
    bench = TcpBench(PASSIVE, controlling=False, remotes=(remote(ACTIVE),))
    socket = bench.accept()
    written = []
    feed = bench.feed
    bench.feed = lambda one, data: written.append(data)
    bench.ask(socket)
    for byte in written[0]:
        feed(socket, bytes([byte]))
    assert [one.message.message_class for one in bench.sent][:1] == [MessageClass.SUCCESS]


@pytest.mark.parametrize("size", [2048, 2049, 65535])
@pytest.mark.parametrize("split", [0, 1, 2, 2000], ids=lambda split: f"{split}-later")
def test_what_comes_in_one_read_with_a_peers_first_frame_may_be_as_long_as_anything_later(size, split):
    data, taken = b"\x80" * size, []
    bench = active()
    ours, feed = bench.opened[0].socket, bench.feed
    bench.feed = lambda socket, framed: taken.append(framed)
    bench.answer(bench.sent[-1])
    stream = taken.pop() + frame_rfc4571(data) + frame_rfc4571(b"\x80 and more")
    feed(ours, stream[: len(stream) - split])
    feed(ours, stream[len(stream) - split :] or b"\0\0")
    assert bench.shut == [] and [event.data for event in bench.heard(DataReceived)] == [data, b"\x80 and more"]


def test_after_a_check_as_much_may_follow_in_the_same_read_and_before_it_nothing():
    bench, taken = TcpBench(PASSIVE, controlling=False, remotes=(remote(ACTIVE),)), []
    socket, feed = bench.accept(), bench.feed
    bench.feed = lambda one, framed: taken.append(framed)
    bench.ask(socket)
    feed(socket, taken[0] + frame_rfc4571(b"\x80" * 65535)[:40_000])
    assert bench.shut == [] and bench.agent.stats.dropped.total() == 0
    early = bench.accept(at("203.0.113.9", 1))
    feed(early, frame_rfc4571(b"\x80" * 2049) + taken[0])
    assert bench.closed_of() == [early] and bench.agent.stats.dropped[DropReason.LIMIT] == 1


def test_strangers_are_bounded_and_the_oldest_goes():
    bench = TcpBench(PASSIVE, config=IceConfig(max_tcp_strangers=4), remotes=(remote(ACTIVE),))
    proven = bench.accept()
    bench.ask(proven)
    sockets = [bench.accept(at("203.0.113.9", 1000 + n)) for n in range(1000)]
    assert bench.closed_of() == sockets[:-4]
    assert bench.agent.stats.dropped[DropReason.LIMIT] == 996
    assert bench.ask(sockets[-1]).message_class is MessageClass.SUCCESS


def test_who_knows_the_password_has_no_more_connections_than_candidates():
    config = IceConfig(max_peer_reflexive=2)
    bench = TcpBench(PASSIVE, config=config, remotes=(remote(ACTIVE),), hosts=("192.0.2.1", "192.0.2.2"))
    for listener in bench.listeners:
        sockets = [bench.accept(at(CALLER.host, 1000 + n), listener) for n in range(5)]
        for socket in sockets:
            bench.ask(socket)
        assert [one for one in bench.closed_of() if one in sockets] == sockets[2:]
    assert bench.agent.stats.dropped[DropReason.LIMIT] == 12  # of each the candidate and the connection


def test_a_flood_of_strangers_pushes_out_no_connection_of_ours():
    bench = TcpBench(ACTIVE, PASSIVE, config=IceConfig(max_tcp_strangers=2), remotes=(remote(),))
    ours = bench.opened[0].socket
    strangers = [bench.accept(at("203.0.113.9", 1000 + n)) for n in range(5)]
    assert bench.closed_of() == strangers[:-2]
    bench.connect(ours)
    bench.answer(bench.sent[-1])
    assert bench.agent.writable


def test_who_connects_from_the_peers_address_and_does_not_speak_ice_spoils_no_pair():
    bench = TcpBench(ACTIVE, PASSIVE, remotes=(remote(),))
    stranger = bench.accept(PEER)
    bench.arrive(stranger, PEER, HTTP)
    assert bench.closed_of() == [stranger]
    bench.connect(bench.opened[0].socket)
    bench.answer(bench.sent[-1])
    assert bench.agent.writable


def test_an_agent_that_has_failed_takes_no_connections():
    bench = TcpBench(PASSIVE, remotes=(remote(ACTIVE),), config=IceConfig(pac_timeout=5.0))
    bench.run(until=60.0)
    assert bench.agent.state is IceState.FAILED
    late = bench.accept()
    assert bench.closed_of(CloseMode.RESET)[-1:] == [late] and late not in bench.ends


def test_what_connects_to_nothing_or_to_an_agent_that_has_ended_is_reset():
    bench = TcpBench(PASSIVE)
    listener = next(iter(bench.listeners))
    socket = bench.accept(listener=77)
    bench.call(bench.agent.close)
    late = bench.accept(listener=listener)
    assert bench.closed_of(CloseMode.RESET) == [socket, late]


def test_an_agent_without_tcp_resets_what_it_never_listened_for():
    bench = TcpBench(udp=True)
    socket = bench.accept(listener=1)
    assert bench.closed_of() == [socket]


# ------------------------------------------------------------------- data


@pytest.mark.req("RFC6544-012")
def test_everything_goes_in_frames_checks_and_data_alike_for_as_long_as_the_connection_lives():
    bench = selected_active()
    raw = []
    bench.call(bench.agent.send, b"hello")
    socket = bench.opened[0].socket
    assert bench.sent[-1][1:] == (socket, PEER, b"hello")
    raw = frame_rfc4571(b"one") + b"\x00\x00" + frame_rfc4571(b"two")
    for split in range(1, len(raw)):
        bench.feed(socket, raw[:split])
        bench.feed(socket, raw[split:])
    got = [event.data for _, event in bench.events if isinstance(event, DataReceived)]
    assert got == [b"one", b"two"] * (len(raw) - 1)


def test_the_largest_datagram_goes_and_comes():
    bench = selected_passive()
    data = b"\x80" * 65507
    bench.call(bench.agent.send, data)
    assert bench.sent[-1].data == data
    bench.arrive(-1, CALLER, b"\x80" * 65535)
    assert len(bench.events[-1][1].data) == 65535


@pytest.mark.req("RFC6544-018")
def test_data_goes_over_the_connection_of_the_selected_pair_and_is_never_what_the_peer_would_take_for_stun():
    bench = selected_active()
    stun = bench.sent[0].data
    before = len(bench.sent)
    with pytest.raises(Exception, match="take this for STUN"):
        bench.call(bench.agent.send, stun)
    assert len(bench.sent) == before
    bench.call(bench.agent.send, b"\x80" + stun)  # of another size, and with another beginning
    assert bench.sent[-1].socket == bench.opened[0].socket
    assert len(bench.opened) == 1


def test_a_peer_that_stops_reading_costs_no_more_than_the_bound():
    bench = selected_active(config=IceConfig(max_tcp_unsent=1000))
    socket = bench.opened[0].socket
    bench.call(bench.agent.handle_stream_sent, socket, 1000)
    bench.call(bench.agent.send, b"the last one")
    bench.call(bench.agent.handle_stream_sent, socket, 1001)
    before = len(bench.sent)
    bench.call(bench.agent.send, b"too much")
    assert len(bench.sent) == before
    assert bench.agent.report().pairs[0].packets_discarded_on_send == 1
    bench.call(bench.agent.handle_stream_sent, socket, 0)
    bench.call(bench.agent.send, b"again")
    assert bench.sent[-1].data == b"again"


# ------------------------------------------------------------------- the end of connections


@pytest.mark.req("RFC6544-019", "RFC7675-018")
def test_the_active_end_opens_another_connection_and_checks_it_before_data_goes():
    bench = selected_active()
    first = bench.opened[0].socket
    bench.feed(first, b"")
    assert [one.remote for one in bench.opened] == [PEER, PEER]
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.send, b"lost")
    second = bench.connect()
    bench.call(bench.agent.send, b"lost as well")
    assert [(one.socket, one.is_request) for one in bench.sent[-1:]] == [(second, True)]
    bench.answer(bench.sent[-1])
    bench.call(bench.agent.send, b"there")
    assert bench.sent[-1][1:] == (second, PEER, b"there")
    assert bench.agent.report().datagrams_sent == 1


@pytest.mark.req("RFC6544-019", "RFC7675-018")
def test_the_passive_end_waits_and_uses_the_connection_that_the_peer_opens():
    bench = selected_passive()
    bench.feed(-1, b"")
    assert bench.opened == []
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.send, b"lost")
    again = at(CALLER.host, 40002)
    socket = bench.accept(again)
    bench.ask(socket)
    bench.call(bench.agent.send, b"lost as well")
    bench.run(until=bench.now + 0.1)
    assert [(one.socket, one.is_request) for one in bench.sent[-1:]] == [(socket, True)]
    bench.answer(bench.sent[-1])
    bench.call(bench.agent.send, b"there")
    assert bench.sent[-1][1:] == (socket, again, b"there")
    assert bench.agent.selected_pair.remote.address == again
    assert [pair.nominated for pair in bench.agent.pairs if pair.state is PairState.SUCCEEDED].count(True) == 1
    bench.run(until=bench.now + 60.0 - 30.1)


@pytest.mark.req("RFC7675-018")
def test_a_connection_that_is_not_opened_again_ends_consent_when_its_time_is_over_and_not_before():
    bench = selected_passive()
    answered = bench.now
    bench.feed(-1, b"")
    bench.run(until=answered + 29.9)
    assert bench.agent.state is not IceState.FAILED
    bench.run(until=answered + 30.1)
    assert bench.agent.state is IceState.FAILED


def test_a_connection_that_is_closed_as_soon_as_it_is_open_is_not_opened_again_and_again():
    bench = selected_active()
    bench.feed(bench.opened[0].socket, b"")
    bench.feed(bench.connect(), b"")
    assert len(bench.opened) == 2
    bench.run(until=bench.now + 6.0)
    assert len(bench.opened) == 3  # consent asks again


@pytest.mark.req("RFC6544-016")
def test_connections_that_no_selected_pair_uses_are_closed_when_ice_is_done():
    bench = TcpBench(ACTIVE, PASSIVE, remotes=(remote(), remote(port=5001, foundation="f2"), remote(ACTIVE)), controlling=True)
    bench.run(until=0.2)
    sockets = [bench.connect(one.socket) for one in bench.opened]
    for check in list(bench.sent):
        bench.answer(check)
    bench.run(until=0.5)
    bench.answer(bench.sent[-1])
    assert bench.agent.selected_pair is not None
    assert bench.shut == []  # RFC6544-002 is about this
    bench.run(until=10.0)
    used = next(one.socket for one in bench.opened if one.remote == bench.agent.selected_pair.remote.address)
    listener = next(iter(bench.listeners))
    assert sorted(bench.closed_of()) == sorted([*(one for one in sockets if one != used), listener])


@pytest.mark.req("RFC6544-002")
def test_connections_stay_open_until_ice_is_done():
    bench = TcpBench(ACTIVE, PASSIVE, remotes=(remote(), remote(port=5001, foundation="f2")), config=IceConfig(pac_timeout=50.0))
    bench.run(until=0.2)
    for one in bench.opened:
        bench.connect(one.socket)
    bench.answer(bench.sent[0])
    bench.run(until=0.7)
    assert bench.shut == []


@pytest.mark.parametrize("error", [None, SocketErrorKind.RESET, SocketErrorKind.TIMEOUT])
def test_a_connection_that_closes_or_dies_before_its_check_is_answered_fails_the_pair(error):
    bench = active()
    if error is None:
        bench.feed(bench.opened[0].socket, b"")
    else:
        bench.fail(bench.opened[0].socket, SocketError(error, "it died"))
    assert bench.agent.pairs[0].state is PairState.FAILED
    assert "closed before an answer" in str(bench.agent.explain())


def test_a_socket_that_dies_is_a_connection_that_closes():
    bench = selected_active()
    bench.fail(bench.opened[0].socket, SocketError(SocketErrorKind.RESET, "reset"))
    assert len(bench.opened) == 2


def test_what_closes_an_agent_closes_all_that_it_has():
    bench = selected_passive()
    stranger = bench.accept(at("203.0.113.9", 1))
    bench.call(bench.agent.close)
    assert sorted(bench.closed_of()) == sorted([-1, stranger, *bench.listeners])
    assert bench.agent.deadline() == math.inf


# ------------------------------------------------------------------- restarts


@pytest.mark.req("RFC6544-017")
def test_a_restart_keeps_the_connection_and_a_simultaneous_open_pair_that_matches_is_checked_over_it():
    two = Two(a_options={"gathering": tcp(BOTH)}, b_options={"gathering": tcp(BOTH)})
    two.net.run(until=1.0)
    two.exchange()
    assert two.connect()
    two.net.run(until=10.0)
    before, connections = two.a.selected_pair, [tuple(agent._tcp._by_socket) for agent in (two.a, two.b)]
    assert [len(one) for one in connections] == [1, 1]
    two.node_a.call(two.a.restart)
    two.node_a.call(two.a.gather, two.node_a.host.addresses)
    two.node_b.call(two.b.set_remote, two.a.local_descriptions)
    two.node_b.call(two.b.gather, two.node_b.host.addresses)
    two.node_a.call(two.a.set_remote, two.b.local_descriptions)
    assert two.connect()
    two.net.run(until=two.net.now + 10.0)
    after = two.a.selected_pair
    assert (after.local.address, after.remote.address) == (before.local.address, before.remote.address)
    assert [tuple(agent._tcp._by_socket) for agent in (two.a, two.b)] == connections
    assert two.echo()


# ------------------------------------------------------------------- whoever wants no good


def test_a_flood_of_wrong_passwords_leaves_nothing_behind():
    bench = TcpBench(PASSIVE, remotes=(remote(ACTIVE),))
    for number in range(500):
        socket = bench.accept(at("203.0.113.9", 1000 + number))
        assert bench.ask(socket, key=STRANGER).message_class is MessageClass.ERROR
        bench.sent.clear()
    assert bench.ends == {}
    assert bench.agent.stats.dropped[DropReason.UNPROVEN_STREAM] == 500
    assert (bench.agent._tcp._by_socket, bench.agent._tcp._by_path) == ({}, {})
    assert len(bench.agent.remote_candidates) == 1


def test_a_role_conflict_is_no_reason_to_close():
    bench = TcpBench(PASSIVE, controlling=True, tiebreakers=(2**63,), remotes=(remote(ACTIVE),))
    socket = bench.accept()
    refused = bench.ask(socket, controlling=True, tiebreaker=1)
    assert refused.message_class is MessageClass.ERROR
    assert bench.shut == []
    assert bench.ask(socket).message_class is MessageClass.SUCCESS


def test_checks_that_come_before_the_description_are_answered_and_followed_later():
    bench = TcpBench(PASSIVE, controlling=False, known=False)
    socket = bench.accept()
    assert bench.ask(socket).message_class is MessageClass.SUCCESS
    bench.run(until=20.0)
    assert bench.shut == []
    bench.tell(remote(ACTIVE))
    bench.run(until=21.0)
    assert [one.socket for one in bench.sent if one.is_request] == [socket]


def test_the_same_port_again_takes_the_place_of_a_connection_that_nobody_saw_end():
    bench = selected_passive()
    first = next(iter(bench.ends))
    second = bench.accept(CALLER)
    assert bench.closed_of() == [first]
    bench.ask(second)
    bench.call(bench.agent.send, b"on the new one")
    assert bench.sent[-1].socket == second


def test_no_check_of_ours_proves_who_has_taken_the_place_of_a_connection():
    bench = selected_passive()
    stranger = bench.accept(CALLER)
    begun, before = bench.now, len(bench.sent)
    bench.call(bench.agent.handle_timer)
    bench.run(until=begun + 4.99)
    assert stranger in {one.socket for one in bench.sent[before:] if one.is_request}  # consent is asked of whoever is there
    bench.run(until=begun + 5.0)
    assert stranger in bench.closed_of() and bench.agent.stats.dropped[DropReason.UNPROVEN_STREAM] == 1


def test_what_was_sent_over_a_connection_is_not_sent_again_over_the_one_that_takes_its_place():
    bench = TcpBench(BOTH, remotes=(remote(BOTH),))
    bench.connect(bench.opened[0].socket)
    sent = [one.data for one in bench.sent]
    bench.accept(PEER)
    assert [one.data for one in bench.sent] == sent


def test_of_the_checks_that_wait_for_a_connection_the_latest_eight_are_sent():
    paths, outputs = paths_of(ACTIVE)
    peer, checks = TcpAddress(*PEER), [check_bytes(number) for number in range(1, 21)]
    for check in checks:
        outputs.append(SendDatagram(SocketId(1), peer, check))
        paths.wrap_outputs(0.0)
    [opening] = [one for one in outputs if isinstance(one, OpenSocket)]
    assert not paths.send((SocketId(1), peer), b"data", 1)  # nothing is there yet that it could go over
    outputs.clear()
    paths.opened(opening.socket, 1.0)
    assert outputs == [SendStream(opening.socket, frame_rfc4571(check)) for check in checks[-8:]]


def test_a_check_from_a_passive_candidate_whose_connection_is_gone_has_failed_and_the_peer_is_to_connect():
    paths, outputs = paths_of(PASSIVE)
    outputs.append(SendDatagram(SocketId(1), TcpAddress(*CALLER), check_bytes(1)))
    paths.wrap_outputs(0.0)
    assert outputs == []
    assert paths.losses == [TcpLoss(SocketId(1), TcpAddress(*CALLER), CheckFailure.TCP_CLOSED, can_reopen=False)]


def paths_of(kind):
    outputs = []
    paths = TcpPaths(outputs, IceConfig(), Ids(), drop=lambda reason: None, dscp=0, arm=lambda due: None)
    paths.add_base(SocketId(1), kind, at("192.0.2.1", 4001))
    return paths, outputs


def test_where_both_connect_at_once_the_connection_that_came_carries_the_check_that_waited():
    bench = TcpBench(BOTH, remotes=(remote(BOTH),))
    ours = bench.opened[0].socket
    theirs = bench.accept(PEER)
    assert bench.closed_of() == [ours]
    assert [(one.socket, one.is_request) for one in bench.sent] == [(theirs, True)]
    bench.answer(bench.sent[0])
    assert bench.agent.writable
    bench.run(until=6.0)
    assert bench.closed_of() == [ours]


def test_a_candidate_that_goes_takes_connections_along_that_have_not_begun():
    bench = TcpBench(ACTIVE, remotes=tuple(remote(port=5000 + n, foundation=f"f{n}") for n in range(7)))
    bench.run(until=1.0)
    assert len(bench.agent._tcp._by_socket) == 7
    bench.call(bench.agent.update_addresses, ["192.0.2.9"])
    assert sorted(bench.closed_of()) == sorted(one.socket for one in bench.opened[:5])


def test_a_peer_that_revokes_consent_with_its_first_frame_on_another_connection_is_heard():
    bench = selected_active()
    bench.run(until=bench.now + 4.5)
    asked = bench.sent[-1]
    bench.feed(bench.opened[0].socket, b"")
    again = bench.connect()
    refusal = bench.sent[-1]
    assert asked.is_request and refusal.socket == again
    taken, feed = [], bench.feed
    bench.feed = lambda socket, data: taken.append(data)
    bench.answer(refusal, code=403)
    feed(again, taken[0] + frame_rfc4571(b"\x80 and data that nobody waits for any more"))
    assert bench.agent.state is IceState.FAILED
    assert bench.heard(DataReceived) == [] and bench.closed_of().count(again) == 1


def test_without_consent_checks_a_lost_connection_is_opened_by_a_check_and_indications_go_nowhere():
    bench = selected_active(config=IceConfig(consent=False))
    bench.feed(bench.opened[0].socket, b"")
    bench.run(until=bench.now + 0.1)
    assert len(bench.opened) == 2
    bench.fail(bench.opened[1].socket)
    bench.run(until=bench.now + 60.0)
    assert len(bench.opened) == 2


def test_no_connection_is_opened_again_when_consent_has_ended_already():
    bench = selected_active()
    bench.now += 31.0  # and no timer was called
    bench.feed(bench.opened[0].socket, b"")
    assert len(bench.opened) == 1


def test_transitions_of_a_connection_are_those_of_the_table():
    from sansice.ice._tcp._paths import TcpBase, TcpEvent, _Connection
    from sansice.machine import LocalProtocolError

    connection = _Connection(SocketId(1), TcpBase(SocketId(2), ACTIVE, at("192.0.2.1", 9)), PEER, is_ours=True)
    with pytest.raises(LocalProtocolError, match="others to that address are being opened: it is there"):
        connection.move(TcpEvent.OPEN)


def test_an_address_over_tcp_is_another_one_than_over_udp():
    over_tcp = TcpAddress(*PEER)
    assert over_tcp != PEER
    assert over_tcp == TcpAddress(*PEER)
    assert {over_tcp: 1, PEER: 2} == {PEER: 2, over_tcp: 1}
    assert (str(over_tcp), str(PEER)) == ("198.51.100.1:5000/tcp", "198.51.100.1:5000")


def test_a_packet_over_tcp_has_room_for_less_than_over_udp():
    bench = selected_active()
    assert bench.agent.data_mtu == 1280 - 20 - 32 - 2


def test_a_retired_pair_and_a_pair_that_is_gone_are_nobodys_loss():
    bench = selected_active()
    socket = bench.opened[0].socket
    bench.call(bench.agent.restart)
    bench.feed(socket, b"")
    assert bench.agent.state is not IceState.FAILED
    assert len(bench.opened) == 2  # the pair of before is in use until there is another


def test_a_cut_path_that_is_mended_by_the_same_port_is_the_selected_one_still():
    bench = selected_passive()
    bench.feed(-1, b"")
    socket = bench.accept(CALLER)
    bench.ask(socket)
    bench.run(until=bench.now + 6.0)
    bench.answer(bench.sent[-1], mapped=at("192.0.2.1", 39999))
    assert bench.agent.selected_pair.remote.address == CALLER
    assert not bench.agent._streams[0].checker.conclusions[0].is_cut
    bench.call(bench.agent.send, b"goes on")
    assert bench.sent[-1].data == b"goes on"


def test_a_path_that_is_cut_before_anything_was_nominated_is_mended_and_nothing_is_selected_by_that():
    bench = TcpBench(PASSIVE, controlling=False, remotes=(remote(ACTIVE),))
    first = bench.accept()
    bench.ask(first)
    bench.run(until=0.1)
    bench.answer(bench.sent[-1])
    bench.feed(first, b"")
    conclusion = bench.agent._streams[0].checker.conclusions[0]
    assert conclusion.is_cut
    again = bench.accept(at("198.51.100.1", 40002))
    bench.ask(again)
    bench.run(until=bench.now + 0.1)
    bench.answer(bench.sent[-1])
    assert not conclusion.is_cut
    assert bench.agent.selected_pair is None
    bench.ask(again, use_candidate=True)
    assert bench.agent.selected_pair.remote.address == at("198.51.100.1", 40002)


def test_a_loss_of_what_is_nobodys_any_more_is_nobodys():
    from sansice.ice import CheckFailure
    from sansice.ice._tcp._paths import TcpLoss
    from sansice.machine import SocketId

    bench = selected_active()
    before = bench.agent.pairs
    bench.agent._tcp.losses.append(TcpLoss(SocketId(99), PEER, CheckFailure.TCP_CLOSED, True))
    bench.run(until=bench.now + 6.0)
    assert bench.agent._tcp.losses == []
    assert bench.agent.pairs == before
