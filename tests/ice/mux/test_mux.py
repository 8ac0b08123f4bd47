"""`IceMux`: each datagram to its agent and to no other, whatever strangers claim and wherever clients move."""

import math

import pytest

from ice._lite import check_bytes
from ice._mux import ALICE, BOB, CAROL, PORT, STRANGER, WRONG, MuxBench, client, credentials
from ice._wire import at, candidate
from sansice.ice import (
    AgentEvent,
    Closed,
    Credentials,
    GatheringCompleted,
    IceAgent,
    IceState,
    LiteAgent,
    MuxConfig,
    MuxState,
    PairState,
    UnknownUfrag,
)
from sansice.ice._binding import encode_success
from sansice.machine import (
    IcmpError,
    Ids,
    LocalProtocolError,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketErrorKind,
    SocketId,
    Transport,
)
from sansice.stun import (
    XOR_MAPPED_ADDRESS,
    ListenerFailed,
    ListenerOpened,
    MessageClass,
    Method,
    ServerReady,
    TransactionId,
    decode_untrusted,
    encode,
    short_term_key,
)

DTLS, RTP, QUIC, ZRTP, CHANNEL = b"\x16dtls", b"\x80rtp", b"\xc0quic", b"\x10zrtp", b"\x40channel"


def two():
    """A bench with two lite agents, whose clients are connected: Alice with the first, Bob with the second."""
    bench = MuxBench()
    names = bench.lite(1), bench.lite(2)
    assert bench.is_accepted(1, ALICE) and bench.is_accepted(2, BOB)
    return bench, *names


# ------------------------------------------------------------- starting


def test_mux_opens_one_socket_for_each_address_and_says_when_all_are_decided():
    bench = MuxBench(PORT, at("2001:db8::1", 0), opened=False)
    assert [wish.bind for wish in bench.opens] == [PORT, at("2001:db8::1", 0)]
    assert all(wish.transport is Transport.UDP and wish.remote is None for wish in bench.opens)
    bench.open_all()
    opened, other, ready = bench.events
    assert isinstance(opened, ListenerOpened) and opened.address == PORT
    assert isinstance(other, ListenerOpened) and other.address.port == 40002
    assert isinstance(ready, ServerReady) and len(ready.addresses) == 2
    assert bench.mux.addresses == (PORT, other.address) and bench.mux.state is MuxState.RUNNING


def test_hundred_agents_gather_without_a_socket_more_and_all_have_the_shared_address():
    bench = MuxBench()
    names = [bench.lite(number) for number in range(50)] + [bench.full(number) for number in range(50, 100)]
    assert bench.opens == []
    for name in names:
        assert [one.address for one in bench.mux.agent(name).local_candidates] == [PORT]
        assert any(isinstance(event, GatheringCompleted) for event in bench.told(name))
    assert bench.mux.agents == tuple(names)


def test_agents_that_are_added_before_the_sockets_open_gather_when_they_do():
    bench = MuxBench(opened=False)
    names = bench.lite(1, known=False), bench.full(2)
    assert not any(bench.told(name) for name in names[:1])
    bench.open_all()
    assert [bench.mux.agent(name).local_candidates[0].address for name in names] == [PORT, PORT]
    assert bench.is_accepted(1, ALICE)


# ------------------------------------------------------------- whose is it


@pytest.mark.req("RFC7983-001")
@pytest.mark.parametrize("data", [DTLS, RTP, ZRTP, CHANNEL, QUIC, b"text"])
def test_all_that_is_not_stun_goes_by_source_and_only_once_a_check_has_come_from_there(data):
    bench = MuxBench()
    first, second = bench.lite(1), bench.lite(2)
    bench.arrive(ALICE, data)
    assert bench.got(first) == bench.got(second) == [] and bench.dropped() == {"UNVALIDATED_SOURCE": 1}
    assert bench.is_accepted(1, ALICE) and bench.is_accepted(2, BOB)
    bench.arrive(ALICE, data)
    bench.arrive(BOB, data, data)
    assert bench.got(first) == [data] and bench.got(second) == [data, data]


def test_batch_of_several_clients_is_parted_in_order():
    bench, first, second = two()
    batch = [(ALICE, b"\x801"), (ALICE, b"\x802"), (BOB, b"\x803"), (STRANGER, b"\x804"), (BOB, b""), (ALICE, b"\x805")]
    bench.call(bench.mux.handle_datagrams, SocketId(1), batch)
    data = [(one.agent, one.event.data) for one in bench.events if isinstance(one, AgentEvent) and hasattr(one.event, "data")]
    assert data == [(first, b"\x801"), (first, b"\x802"), (second, b"\x803"), (first, b"\x805")]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}
    assert bench.mux.agent(second).stats.dropped.total() == 1  # the empty one is Bob's


def test_data_between_checks_of_one_batch_belongs_to_whom_the_check_before_has_proven():
    bench, first, second = two()
    wire = MuxBench()
    wire.lite(2)
    wire.check(2, CAROL)
    check = check_bytes(900, ours=credentials(2), theirs=client(2).ufrag)
    batch = [(CAROL, b"\x80early"), (ALICE, b"\x80a"), (CAROL, check), (CAROL, b"\x80c")]
    bench.call(bench.mux.handle_datagrams, SocketId(1), batch)
    assert bench.got(first) == [b"\x80a"] and bench.got(second) == [b"\x80c"]


def test_wrong_password_from_the_right_address_moves_nothing():
    bench, first, second = two()
    answer = bench.check(2, ALICE, key=WRONG)
    assert answer.message_class is MessageClass.ERROR and not answer.has_integrity
    bench.arrive(ALICE, b"\x80still")
    assert bench.got(first) == [b"\x80still"] and bench.got(second) == []


def test_address_that_two_agents_prove_goes_to_the_later_one_when_the_other_is_not_heard_there_any_more():
    bench, first, second = two()
    bench.now = 20.0
    assert bench.is_accepted(2, ALICE, nominate=False)
    bench.arrive(ALICE, b"\x80second")
    assert bench.is_accepted(1, ALICE)
    bench.arrive(ALICE, b"\x80first")
    assert bench.got(second) == [b"\x80second"] and bench.got(first) == [b"\x80first"]


def test_client_that_moves_is_followed_and_nobody_else_has_the_address_that_it_left():
    bench, first, second = two()
    assert bench.is_accepted(1, CAROL, nominate=False)
    bench.arrive(CAROL, b"\x80moved")
    bench.arrive(ALICE, b"\x80late")
    assert bench.got(first) == [b"\x80moved", b"\x80late"] and bench.got(second) == []


def test_refused_nomination_is_proof_for_it_was_signed():
    bench, first, _ = two()
    answer = bench.check(1, CAROL)
    assert answer.message_class is MessageClass.ERROR and answer.has_integrity
    bench.arrive(CAROL, b"\x80moved")
    assert bench.got(first) == [b"\x80moved"]


# ------------------------------------------------------------- what is nobody's


def response(kind, number=1, key=None):
    return encode(Method.BINDING, kind, TransactionId(number.to_bytes(12, "big")), ((XOR_MAPPED_ADDRESS, PORT),), key=key)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "EMPTY"),
        (b"\x00\x01", "UNVALIDATED_SOURCE"),
        (b"\x0fodd", "UNVALIDATED_SOURCE"),
        (DTLS, "UNVALIDATED_SOURCE"),
        (encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12))), "BAD_USERNAME"),
        (encode(Method.BINDING, MessageClass.INDICATION, TransactionId(bytes(12))), "UNVALIDATED_SOURCE"),
        (response(MessageClass.SUCCESS), "UNKNOWN_TRANSACTION"),
        (response(MessageClass.ERROR), "UNKNOWN_TRANSACTION"),
        (encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12))), "UNKNOWN_METHOD"),
        (check_bytes(1, ours=credentials(7), theirs="client7")[:-4], "BAD_LENGTH"),
    ],
)
def test_what_is_nobodys_is_counted_and_answered_by_nobody(data, reason):
    bench, *_ = two()
    sent = len(bench.sent)
    bench.arrive(STRANGER, data)
    assert bench.dropped() == {reason: 1} and len(bench.sent) == sent


def test_keepalive_of_a_client_goes_to_its_agent_and_is_dropped_by_nobody():
    bench, first, _ = two()
    bench.arrive(ALICE, encode(Method.BINDING, MessageClass.INDICATION, TransactionId(bytes(12)), fingerprint=True))
    assert bench.dropped() == {} and bench.mux.agent(first).stats.dropped.total() == 0


def test_datagrams_of_sockets_that_nobody_has_are_counted():
    bench, *_ = two()
    bench.call(bench.mux.handle_datagrams, SocketId(999), [(ALICE, b"\x80"), (BOB, b"\x80")])
    assert bench.dropped() == {"UNKNOWN_SOCKET": 2}
    bench.call(bench.mux.handle_datagrams, SocketId(1), [])


# ------------------------------------------------------------- ufrags that nobody has


def unknowns(bench):
    return [event for event in bench.events if isinstance(event, UnknownUfrag)]


def test_unknown_ufrag_is_offered_once_and_its_very_check_is_answered_by_the_agent_that_is_added():
    bench = MuxBench()
    assert bench.check(5, ALICE) is None and bench.check(5, ALICE) is None and bench.sent == []
    assert unknowns(bench) == [UnknownUfrag("server5", "client5", ALICE, PORT)]
    name = bench.lite(5)
    [answer] = bench.sent
    assert answer.destination == ALICE and answer.data[8:20] == (1).to_bytes(12, "big")
    assert bench.mux.agent(name).state is IceState.COMPLETED
    bench.arrive(ALICE, b"\x80data")
    assert bench.got(name) == [b"\x80data"] and bench.dropped() == {"BAD_USERNAME": 1}


def test_full_agent_answers_the_check_that_waited_too():
    bench = MuxBench()
    bench.check(5, ALICE)
    bench.full(5, known=False)
    assert [sent.destination for sent in bench.sent] == [ALICE]


def test_check_that_waited_at_one_socket_is_answered_from_there():
    other = at("192.0.2.1", 4001)
    bench = MuxBench(PORT, other)
    for came_to in (other, PORT):
        bench = MuxBench(PORT, other)
        bench.check(5, ALICE, to=came_to)
        bench.lite(5)
        assert [sent.socket for sent in bench.sent] == [bench.sockets[came_to]]


@pytest.mark.parametrize("lite", [True, False])
def test_each_port_of_an_address_is_a_candidate_and_what_comes_to_it_leaves_from_it(lite):
    other = at("192.0.2.1", 4001)
    bench = MuxBench(PORT, other)
    make = bench.lite if lite else bench.full
    one, two = make(1), make(2)
    first, second = bench.mux.agent(one).local_candidates
    assert [first.address, second.address] == [PORT, other]
    assert first.foundation == second.foundation  # RFC 8445 5.1.1.3
    assert first.priority - second.priority == 1 << 8  # RFC 8445 5.1.2.1
    for name, number, port, source in ((one, 1, PORT, ALICE), (two, 2, other, BOB)):
        bench.sent.clear()
        assert bench.is_accepted(number, source, to=port)
        if not lite:  # it checks in turn, from where it was checked
            bench.run(bench.now + 0.1)
            (check,) = [sent for sent in bench.sent if sent.data[:2] == b"\0\1"]
            assert check.socket == bench.sockets[port]
            key = short_term_key(client(number).pwd)
            bench.arrive(source, encode_success(decode_untrusted(check.data), port, key), to=port)
        assert {sent.socket for sent in bench.sent} == {bench.sockets[port]}
        assert bench.mux.agent(name).selected_pair.local.address == port
        bench.call(bench.mux.send, name, b"\x80data")
        assert bench.sent[-1] == (bench.sockets[port], source, b"\x80data")
        bench.arrive(source, b"\x80back", to=port)
        assert bench.got(name) == [b"\x80back"]


def test_ports_that_are_not_open_yet_are_told_apart_as_they_open():
    anywhere = at("192.0.2.1", 0)
    bench = MuxBench(anywhere, anywhere, opened=False)
    name = bench.lite(1)
    (first, second), bench.opens = bench.opens, []
    bench.call(bench.mux.handle_socket_opened, second.socket, at("192.0.2.1", 4002))
    bench.call(bench.mux.handle_socket_opened, first.socket, at("192.0.2.1", 4001))
    assert [one.address.port for one in bench.mux.agent(name).local_candidates] == [4002, 4001]
    assert bench.told(name).count(GatheringCompleted()) == 1


def test_a_port_that_dies_leaves_the_other_ones():
    other = at("192.0.2.1", 4001)
    bench = MuxBench(PORT, other)
    one = bench.lite(1)
    bench.call(bench.mux.handle_socket_failed, bench.sockets[PORT], SocketError(SocketErrorKind.OTHER, "gone"))
    two = bench.lite(2)
    for name, number, source in ((one, 1, ALICE), (two, 2, BOB)):
        assert [candidate.address for candidate in bench.mux.agent(name).local_candidates] == [other]
        assert bench.is_accepted(number, source, to=other)
    assert bench.mux.hosts == ("192.0.2.1",)
    bench.call(bench.mux.close)
    assert bench.mux.hosts == ()


def test_wrong_agent_for_a_waiting_check_proves_nothing():
    bench = MuxBench()
    bench.check(5, ALICE, key=WRONG)
    name = bench.lite(5)
    bench.arrive(ALICE, b"\x80data")
    assert bench.got(name) == [] and bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_check_waits_no_longer_than_its_time():
    bench = MuxBench()
    bench.check(5, ALICE)
    bench.now = 10.0
    bench.lite(5)
    assert bench.sent == []


def test_refused_ufrag_is_not_offered_again():
    bench = MuxBench()
    bench.check(5, ALICE)
    bench.call(bench.mux.refuse, "server5")
    bench.now = 11.0
    bench.check(5, ALICE)
    assert len(unknowns(bench)) == 1
    bench.lite(5)
    assert bench.is_accepted(5, ALICE)  # whoever is added is no stranger


def test_declined_ufrag_is_offered_again_a_little_later():
    bench = MuxBench()
    for moment, offers in ((0.0, 1), (0.3, 1), (0.5, 2)):
        bench.now = moment
        bench.check(5, ALICE)
        assert len(unknowns(bench)) == offers
        if moment == 0.0:
            bench.call(bench.mux.decline, "server5")


def test_flood_of_invented_ufrags_makes_few_events_and_no_answers():
    bench = MuxBench()
    known = bench.lite(1)
    for number in range(2000):
        bench.check(1, at(f"10.{number % 200}.7.1"), ours=Credentials(f"flood{number}", "x" * 22), nominate=False)
    assert len(unknowns(bench)) == MuxConfig().max_unknown and bench.sent == []
    assert bench.is_accepted(1, ALICE) and bench.mux.agents == (known,)


# ------------------------------------------------------------- commands that are wrong


def refused(bench, text, method, *arguments, **keywords):
    events, sent = len(bench.events), len(bench.sent)
    with pytest.raises(LocalProtocolError, match=text):
        bench.call(method, *arguments, **keywords)
    assert (len(bench.events), len(bench.sent)) == (events, sent)


def test_agent_that_does_not_fit_is_refused():
    bench = MuxBench()
    mux = bench.mux

    def made(kind=LiteAgent, **options):
        return kind(**{"controlling": False, "ids": mux.ids, "credentials": credentials(1), **options})

    refused(bench, "ids=mux.ids", mux.add, made(ids=Ids()))
    refused(bench, "ids=mux.ids", mux.add, made(IceAgent, ids=Ids()))
    refused(bench, "pacer=mux.pacer", mux.add, made(IceAgent))
    refused(bench, "one component", mux.add, made(components=2))
    gathered, closed = made(), made()
    gathered.gather(["192.0.2.1"], now=0.0)
    closed.close(now=0.0)
    refused(bench, "has gathered", mux.add, gathered)
    refused(bench, "is over", mux.add, closed)
    agent = made()
    name = bench.call(mux.add, agent)
    refused(bench, "here already", mux.add, agent)
    refused(bench, "server1 is taken", mux.add, made())
    refused(bench, "server2 is taken", mux.add, made(streams=2, credentials=credentials(2)))
    refused(bench, "server1; remove", mux.refuse, "server1")
    assert mux.agents == (name,)


def test_commands_before_start_and_after_close_are_refused():
    bench = MuxBench(started=False)
    refused(bench, "not started", bench.mux.add, LiteAgent(controlling=False, ids=bench.mux.ids))
    bench.call(bench.mux.close)
    bench.call(bench.mux.close)
    refused(bench, "closed", bench.mux.start, [PORT])
    assert bench.mux.state is MuxState.CLOSED


def test_agents_that_are_not_there_are_named():
    bench = MuxBench()
    for method in (bench.mux.gather, bench.mux.absorb):
        refused(bench, "no agent 7", method, 7)
    refused(bench, "no agent 7", bench.mux.send, 7, b"x")
    with pytest.raises(LocalProtocolError, match="no agent 7"):
        bench.mux.agent(7)
    bench.call(bench.mux.remove, 7)


# ------------------------------------------------------------- coming and going


def test_data_is_sent_through_the_shared_socket():
    bench, first, _ = two()
    bench.call(bench.mux.send, first, b"\x80out")
    assert bench.sent[-1] == SendDatagram(SocketId(1), ALICE, b"\x80out")


def test_removed_agent_is_closed_and_its_late_packets_are_nobodys():
    bench, first, second = two()
    bench.call(bench.mux.remove, first)
    assert isinstance(bench.told(first)[-1], Closed) and bench.mux.agents == (second,)
    assert bench.closed == [] and bench.mux._residents.lanes.keys() == bench.mux._listening.sockets[1].lanes.keys()
    sent = len(bench.sent)
    bench.arrive(ALICE, b"\x80late")
    assert bench.check(1, ALICE) is None and len(bench.sent) == sent and unknowns(bench) == []
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1, "BAD_USERNAME": 1}
    bench.call(bench.mux.remove, first)
    bench.arrive(BOB, b"\x80there")
    assert bench.got(second) == [b"\x80there"]


def test_agent_that_closes_itself_is_gone_as_well():
    bench, first, second = two()
    bench.command(first, "close")
    assert bench.mux.agents == (second,) and bench.check(1, ALICE) is None


def test_closing_the_mux_closes_all_agents_and_then_the_sockets():
    bench, first, second = two()
    bench.check(5, CAROL)
    assert bench.mux.is_authentic("server5", credentials(5).pwd, now=bench.now)
    bench.call(bench.mux.close)
    assert bench.mux.is_authentic("server5", credentials(5).pwd, now=bench.now) is None
    assert [isinstance(bench.told(name)[-1], Closed) for name in (first, second)] == [True, True]
    assert bench.closed == [1] and bench.mux.agents == () and bench.mux.deadline() == math.inf
    bench.call(bench.mux.handle_datagrams, SocketId(1), [(ALICE, b"\x80")])
    assert bench.dropped() == {"UNKNOWN_SOCKET": 1}


def test_death_of_a_shared_socket_is_that_of_all_places_there():
    bench, first, second = two()
    waiting = bench.full(3)
    bench.call(bench.mux.handle_socket_failed, SocketId(1), SocketError(SocketErrorKind.OTHER, "unplugged"))
    assert isinstance(next(one for one in bench.events if isinstance(one, ListenerFailed)), ListenerFailed)
    assert [bench.mux.agent(name).state for name in (first, second)] == [IceState.FAILED] * 2
    assert bench.mux.addresses == () and bench.mux.agent(waiting).local_candidates == ()
    assert bench.mux._residents.lanes == {}


def test_timers_of_all_agents_are_the_muxs():
    bench, first, _ = two()
    assert bench.mux.deadline() < math.inf
    bench.run(until=60.0)
    assert bench.mux.agent(first).state is IceState.FAILED  # its client has fallen silent
    assert bench.mux.deadline() > 60.0


def test_sockets_and_answers_that_nobody_waits_for_are_ignored():
    bench, *_ = two()
    before = len(bench.events), len(bench.sent)
    error = SocketError(SocketErrorKind.OTHER)
    bench.call(bench.mux.handle_socket_opened, SocketId(1), PORT)
    bench.call(bench.mux.handle_socket_opened, SocketId(99), PORT)
    bench.call(bench.mux.handle_socket_failed, SocketId(99), error)
    bench.call(bench.mux.handle_stream_data, SocketId(99), b"x")
    bench.call(bench.mux.handle_stream_sent, SocketId(99), 0)
    bench.call(bench.mux.handle_resolved, 99, ResolveError.NOT_FOUND)
    bench.call(bench.mux.handle_icmp, SocketId(99), ALICE, IcmpError(3, 3))
    bench.call(bench.mux.handle_icmp, SocketId(1), STRANGER, IcmpError(3, 3))
    assert (len(bench.events), len(bench.sent)) == before


def test_icmp_error_of_a_peers_address_is_its_agents():
    bench = MuxBench()
    name = bench.full(3, remote=client(3, candidates=[candidate("198.51.100.3", 5000)]))
    assert bench.is_accepted(3, CAROL, nominate=False)
    bench.run(until=0.1)
    bench.call(bench.mux.handle_icmp, SocketId(1), CAROL, IcmpError(3, 3))
    assert [pair.state for pair in bench.mux.agent(name).pairs] == [PairState.FAILED]


def test_whether_the_check_that_waits_was_made_with_a_password_can_be_asked_and_forgetting_it_offers_the_next():
    bench = MuxBench()
    assert bench.mux.is_authentic("server5", credentials(5).pwd, now=0.0) is None
    bench.check(5, ALICE, key=WRONG)
    assert bench.mux.is_authentic("server5", credentials(5).pwd, now=0.0) is False
    bench.call(bench.mux.forget, "server5")
    bench.check(5, ALICE)
    assert bench.mux.is_authentic("server5", credentials(5).pwd, now=0.0) is True
    assert len(unknowns(bench)) == 2
    assert not bench.mux.is_taken("server5")
    name = bench.lite(5)
    assert bench.mux.is_taken("server5")
    assert bench.sent
    assert name in bench.mux
    assert 99 not in bench.mux


def test_whose_check_is_distrusted_is_heard_no_more_and_whom_the_application_vouches_for_does_not_count():
    bench = MuxBench(config=MuxConfig(max_unknown_per_prefix=1))
    bench.check(5, ALICE)
    bench.call(bench.mux.distrust, "server5")
    bench.check(5, ALICE)
    assert (len(unknowns(bench)), bench.dropped()) == (1, {"BAD_INTEGRITY": 1})
    bench.call(bench.mux.vouch, ALICE)
    bench.check(5, BOB)
    assert len(unknowns(bench)) == 2
