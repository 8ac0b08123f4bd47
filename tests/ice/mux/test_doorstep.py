"""Connections to a listener that many agents share: whose they are, how soon they must say so, and how many there may be."""

import contextlib

import pytest

from ice._mux import ALICE, BOB, CAROL, PORT, WRONG, client, credentials
from ice._mux_tcp import BOTH, TCP_ONLY, TCP_PORT, MuxTcpBench, narrow
from ice._wire import at
from sansice.ice import CandidateType, GatheringOptions, IceAgent, IceMux, IceState, LiteAgent, RewriteRule, UnknownUfrag
from sansice.ice._mux._doorstep import MAX_OFFERED
from sansice.ice._tcp._paths import MAX_FIRST_FRAME
from sansice.machine import CloseMode, DropReason, LocalProtocolError, SocketError, SocketErrorKind, Transport
from sansice.simulation import Network
from sansice.stun import Listener, ListenerFailed, MessageClass, frame_rfc4571

SUCCESS = MessageClass.SUCCESS


def test_agents_offer_passive_candidates_at_the_shared_port():
    bench = MuxTcpBench()
    for name in (bench.lite(1, gathering=BOTH), bench.full(2, gathering=BOTH)):
        candidates = bench.mux.agent(name).local_candidates
        assert [(one.transport, one.address) for one in candidates] == [(Transport.UDP, PORT), (Transport.TCP, PORT)]
    assert bench.mux.addresses == (PORT,)
    assert [local for _, local in bench.mux.listeners] == [PORT, PORT]


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_a_connection_is_the_agents_whose_ufrag_its_first_frame_has(kind):
    bench = MuxTcpBench()
    first, second = (getattr(bench, kind)(number, gathering=TCP_ONLY) for number in (1, 2))
    alice, bob = bench.connect(ALICE), bench.connect(BOB)
    assert bench.ask(bob, 2).message_class is bench.ask(alice, 1).message_class is SUCCESS
    if kind == "lite":  # a full one checks, too, before it trusts
        bench.feed(alice, frame_rfc4571(b"\x80from alice"))
        bench.feed(bob, frame_rfc4571(b"\x80from bob"))
        assert bench.got(first) == [b"\x80from alice"] and bench.got(second) == [b"\x80from bob"]
        bench.call(bench.mux.send, first, b"to alice")
        assert bench.streams[alice][-1] == b"to alice" and bench.streams[bob][-1] != b"to alice"
    assert bench.waiting() == 0 and not bench.dropped() and not bench.shut


def test_a_check_that_comes_in_single_bytes_with_data_behind_it_is_understood():
    bench = MuxTcpBench()
    name, socket = bench.lite(1, gathering=BOTH), bench.connect()
    stream = b"\0\0" + bench.check_for(1) + frame_rfc4571(b"\x80early")
    for position in range(len(stream)):
        bench.feed(socket, stream[position : position + 1])
    assert bench.got(name) == [b"\x80early"] and bench.dropped() == {"EMPTY": 1}


def test_data_that_comes_with_the_first_check_is_the_agents():
    bench = MuxTcpBench()
    name, socket = bench.lite(1, gathering=BOTH), bench.connect()
    bench.feed(socket, bench.check_for(1) + frame_rfc4571(b"\x80early") + b"\0")
    bench.feed(socket, b"\x02\x80!")
    assert bench.got(name) == [b"\x80early", b"\x80!"]


def test_checks_are_repeated_over_the_same_connection():
    bench = MuxTcpBench()
    bench.lite(1, gathering=BOTH)
    socket = bench.connect()
    for _ in range(3):
        assert bench.ask(socket, 1).message_class is SUCCESS
    assert not bench.shut and bench.waiting() == 0


# ------------------------------------------------------------- who is turned away


def test_who_claims_anothers_ufrag_with_a_wrong_password_is_closed_and_moves_nothing():
    bench = MuxTcpBench()
    name = bench.lite(1, gathering=BOTH)
    alice, thief = bench.connect(ALICE), bench.connect(ALICE._replace(port=666))
    bench.ask(alice, 1)
    assert bench.ask(thief, 1, key=WRONG).message_class is MessageClass.ERROR
    assert thief in bench.shut and alice not in bench.shut
    bench.feed(thief, frame_rfc4571(b"\x80stolen"))
    assert bench.got(name) == []
    assert bench.mux.agent(name).stats.dropped[DropReason.UNPROVEN_STREAM] == 1
    bench.call(bench.mux.send, name, b"for alice")
    assert bench.streams[alice][-1] == b"for alice"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (frame_rfc4571(b"GET / HTTP/1.1\r\n\r\n"), "NOT_STUN"),
        (b"GET / HTTP/1.1\r\n\r\n", "LIMIT"),
        ((MAX_FIRST_FRAME + 1).to_bytes(2, "big"), "LIMIT"),
        (b"\xff\xff", "LIMIT"),
        (frame_rfc4571(b"\1\1\0\0\x21\x12\xa4\x42" + bytes(12)), "BAD_USERNAME"),
        (frame_rfc4571(b"\0\1\0\0\x21\x12\xa4\x42" + bytes(12)), "BAD_USERNAME"),
        (frame_rfc4571(b"\0\x11" + MuxTcpBench().check_for(1)[4:]), "BAD_USERNAME"),
    ],
    ids=["another protocol", "no frame", "too long", "as long as can be", "an answer", "a check without a name", "an indication"],
)
def test_what_does_not_begin_with_a_check_is_closed_and_counted(data, why):
    bench = MuxTcpBench()
    bench.lite(1, gathering=BOTH)
    socket = bench.connect()
    bench.feed(socket, data)
    assert bench.shut == {socket: CloseMode.RESET} and bench.dropped() == {why: 1} and bench.waiting() == 0


def test_a_first_frame_of_the_greatest_length_is_waited_for():
    bench = MuxTcpBench()
    bench.lite(1, gathering=BOTH)
    socket = bench.connect()
    bench.feed(socket, MAX_FIRST_FRAME.to_bytes(2, "big") + bytes(MAX_FIRST_FRAME - 1))
    assert not bench.shut and bench.waiting() == 1
    bench.feed(socket, b"\0")
    assert bench.shut == {socket: CloseMode.RESET} and bench.dropped() == {"NOT_STUN": 1}


def test_frames_of_no_length_say_nothing_and_win_no_time():
    bench = MuxTcpBench()
    socket = bench.connect()
    bench.feed(socket, bytes(65536))
    assert bench.dropped() == {"EMPTY": 32768}
    bench.run(until=4.9)
    bench.feed(socket, bytes(3))
    assert not bench.shut
    bench.run(until=5.0)
    assert bench.shut == {socket: CloseMode.RESET} and bench.dropped() == {"EMPTY": 32769, "UNPROVEN_STREAM": 1}


def test_one_byte_a_minute_is_too_slow():
    bench = narrow(first_frame_timeout=5.0)
    bench.lite(1, gathering=BOTH)
    slow = bench.connect()
    check = bench.check_for(1)
    bench.feed(slow, check[:1])
    bench.run(until=3.0)
    bench.feed(slow, check[1:-1])
    late = bench.connect(BOB)
    bench.run(until=5.0)
    assert bench.shut == {slow: CloseMode.RESET} and bench.dropped() == {"UNPROVEN_STREAM": 1}
    bench.feed(slow, check[-1:])  # it was on its way
    bench.run(until=8.0)
    assert late in bench.shut and bench.dropped() == {"UNPROVEN_STREAM": 2}


def test_in_a_flood_the_oldest_of_a_network_go_and_others_are_left_alone():
    bench = narrow(max_silent=5, max_silent_per_prefix=2)
    bench.lite(1, gathering=BOTH)
    honest = bench.connect(at("192.0.2.77", 1))
    flood = [bench.connect(at("203.0.113.1", 1000 + number)) for number in range(50)]
    assert honest not in bench.shut and list(bench.shut) == flood[:-2] and bench.dropped() == {"RATE_LIMITED": 48}
    assert bench.ask(honest, 1).message_class is SUCCESS
    assert bench.waiting() == 2


def test_in_a_flood_of_many_networks_the_oldest_of_all_go():
    bench = narrow(max_silent=3, max_silent_per_prefix=1)
    flood = [bench.connect(at(f"198.51.{number}.1", 1)) for number in range(6)]
    assert list(bench.shut) == flood[:3] and bench.dropped() == {"LIMIT": 3}
    again = bench.connect(at("198.51.5.9", 1))  # the one place of its network is given to it
    assert flood[5] in bench.shut and again not in bench.shut and bench.waiting() == 3
    last = bench.connect(at("198.51.5.10", 1))  # and it makes room there in its turn
    assert again in bench.shut and last not in bench.shut and bench.waiting() == 3
    bench.feed(last, b"")
    assert bench.waiting() == 2


def test_who_leaves_or_is_lost_before_saying_anything_is_forgotten():
    bench = MuxTcpBench()
    gone, lost = bench.connect(), bench.connect()
    bench.feed(gone, b"")
    bench.call(bench.mux.handle_socket_failed, lost, SocketError(SocketErrorKind.RESET))
    bench.call(bench.mux.handle_stream_sent, lost, 0)
    assert bench.shut == {gone: CloseMode.RESET} and bench.waiting() == 0 and not bench.dropped()
    assert not bench.mux._residents.doorstep._by_prefix  # nor is its network remembered


def test_an_agent_without_tcp_candidates_gets_no_connection():
    bench = MuxTcpBench()
    bench.lite(1)
    socket = bench.connect()
    bench.feed(socket, bench.check_for(1))
    assert bench.shut == {socket: CloseMode.RESET} and bench.dropped() == {"UNKNOWN_SOCKET": 1}


# ------------------------------------------------------------- ends


@pytest.mark.parametrize("kind", ["lite", "full"])
def test_an_agent_that_goes_closes_its_connections_and_no_others(kind):
    bench = MuxTcpBench()
    name = getattr(bench, kind)(1, gathering=TCP_ONLY)
    bench.lite(2, gathering=BOTH)
    gone, stays, silent = bench.connect(ALICE), bench.connect(BOB), bench.connect(CAROL)
    bench.ask(gone, 1)
    bench.ask(stays, 2)
    bench.call(bench.mux.remove, name)
    assert list(bench.shut) == [gone]
    bench.feed(gone, bench.check_for(1))
    bench.feed(silent, bench.check_for(1))  # late checks are nobody's, and are not offered
    assert list(bench.shut) == [gone, silent] and not [one for one in bench.events if isinstance(one, UnknownUfrag)]
    assert bench.ask(stays, 2).message_class is SUCCESS
    assert bench.mux._residents.owners.keys() == {stays}


def test_close_closes_every_connection_and_the_listener():
    bench = MuxTcpBench()
    bench.lite(1, gathering=BOTH)
    known, silent, offered = bench.connect(), bench.connect(), bench.connect()
    bench.ask(known, 1)
    bench.feed(offered, bench.check_for(7))
    bench.call(bench.mux.close)
    assert {known, silent, offered, bench.sockets[PORT], *bench.listeners} == set(bench.shut)
    assert bench.waiting() == 0
    late = bench.connect()
    assert bench.shut[late] is CloseMode.RESET


def test_a_listener_that_dies_takes_its_connections_along_and_leaves_udp_alone():
    bench = MuxTcpBench()
    bench.lite(1, gathering=BOTH)
    name = bench.lite(2, gathering=BOTH)
    known, silent = bench.connect(), bench.connect()
    bench.ask(known, 1)
    bench.call(bench.mux.handle_socket_failed, bench.listeners[0], SocketError(SocketErrorKind.OTHER))
    assert {known, silent} == set(bench.shut) and any(isinstance(one, ListenerFailed) for one in bench.events)
    assert bench.check(2, BOB).message_class is SUCCESS
    assert bench.mux.agent(name).state is IceState.COMPLETED


def test_a_listener_that_dies_leaves_the_connections_of_another_alone():
    bench = MuxTcpBench(TCP_PORT, Listener(Transport.TCP, at("192.0.2.2", 4000)))
    here, there = bench.connect(), bench.connect(listener=1)
    bench.call(bench.mux.handle_socket_failed, bench.listeners[0], SocketError(SocketErrorKind.OTHER))
    assert list(bench.shut) == [here] and bench.waiting() == 1
    bench.lite(1, gathering=TCP_ONLY)
    assert bench.ask(there, 1).message_class is SUCCESS


def test_connections_are_routed_at_the_listener_that_they_came_to():
    other = at("192.0.2.2", 4000)
    bench = MuxTcpBench(TCP_PORT, Listener(Transport.TCP, other))
    bench.lite(1, gathering=TCP_ONLY)
    for listener in range(2):
        assert bench.ask(bench.connect(listener=listener), 1, nominate=listener == 1).message_class is SUCCESS
    assert bench.mux.agent(bench.mux.agents[0]).state is IceState.COMPLETED
    assert [one.sources for one in bench.mux._residents.lanes.values()] == [(), ()]


def test_a_1_to_1_nat_gives_server_reflexive_candidates_at_the_shared_port_over_udp_and_tcp():
    rule = RewriteRule("203.0.113.9", type=CandidateType.SERVER_REFLEXIVE)
    bench = MuxTcpBench()
    name = bench.full(1, gathering=GatheringOptions(tcp=("passive",), rewrite=[rule]))
    found = {(one.transport, one.type.value, one.address) for one in bench.mux.agent(name).local_candidates}
    outside = at("203.0.113.9", PORT.port)
    assert found == {
        (Transport.UDP, "host", PORT),
        (Transport.UDP, "srflx", outside),
        (Transport.TCP, "host", PORT),
        (Transport.TCP, "srflx", outside),
    }
    bench.tell(name, client(1))
    assert bench.ask(bench.connect(), 1).message_class is SUCCESS


def test_a_simultaneous_open_candidate_has_a_listener_of_its_own():
    bench = MuxTcpBench(opened=True)
    name = bench.full(1, gathering=GatheringOptions(udp=False, tcp=("so",)), gather=False, known=False)
    bench.call(bench.mux.gather, name)
    [wish] = bench.opens
    assert wish.transport is Transport.TCP and wish.options.reuse_port


# ------------------------------------------------------------- ufrags that nobody has


def test_a_check_for_an_unknown_ufrag_waits_with_its_connection_and_is_answered_over_it():
    bench = MuxTcpBench()
    socket = bench.connect()
    check = bench.check_for(3)
    bench.feed(socket, check)
    [offered] = [one for one in bench.events if isinstance(one, UnknownUfrag)]
    assert (offered.ufrag, offered.remote_ufrag, offered.source, offered.local) == ("server3", "client3", ALICE, PORT)
    bench.run(until=6.0)  # longer than a first frame may take
    again = bench.check_for(3)
    bench.feed(socket, again)
    assert bench.mux.is_authentic("server3", credentials(3).pwd, now=bench.now)
    bench.lite(3, gathering=BOTH)
    assert bench.answer_over(socket, check).message_class is bench.answer_over(socket, again).message_class is SUCCESS
    assert bench.waiting() == 0 and not bench.shut
    assert bench.mux.is_authentic("server3", credentials(3).pwd, now=bench.now) is None  # it waits no more


def test_an_agent_that_comes_without_tcp_leaves_the_connection_to_its_time():
    bench = MuxTcpBench()
    socket = bench.connect()
    bench.feed(socket, bench.check_for(3))
    bench.lite(3)
    assert not bench.shut
    bench.run(until=10.0)
    assert bench.shut == {socket: CloseMode.RESET} and bench.dropped() == {"UNPROVEN_STREAM": 1}


@pytest.mark.parametrize("word", ["refuse", "forget", "distrust"])
def test_who_is_not_wanted_is_closed(word):
    bench = MuxTcpBench()
    socket = bench.connect()
    bench.feed(socket, bench.check_for(3))
    bench.call(getattr(bench.mux, word), "server3")
    bench.call(getattr(bench.mux, word), "server3")
    assert bench.shut == {socket: CloseMode.RESET} and bench.waiting() == 0


def test_who_restarts_into_a_ufrag_that_is_offered_has_the_connection_that_waits_for_it():
    """Its client has the answer to come before the restart has: were it turned away, its check would have failed for good."""
    bench = MuxTcpBench()
    name = bench.lite(1, gathering=BOTH)
    early = bench.connect()
    check = bench.check_for(3)
    bench.feed(early, check)
    bench.command(name, "restart", credentials=credentials(3))
    assert bench.answer_over(early, check).message_class is SUCCESS
    assert not bench.shut and bench.waiting() == 0
    bench.tell(name, client(3))
    assert bench.ask(early, 3).message_class is SUCCESS


def test_who_restarts_into_an_offered_ufrag_and_has_no_tcp_lets_nobody_wait():
    bench = MuxTcpBench()
    name = bench.lite(1)
    early = bench.connect()
    bench.feed(early, bench.check_for(3))
    bench.command(name, "restart", credentials=credentials(3))
    assert bench.shut == {early: CloseMode.RESET} and bench.waiting() == 0


@pytest.mark.parametrize("how", ["leaves", "is lost", "says too much"])
def test_when_who_asks_is_gone_the_next_one_is_offered(how):
    bench = MuxTcpBench()
    socket = bench.connect()
    bench.feed(socket, bench.check_for(3))
    other = bench.connect(BOB)
    bench.feed(other, bench.check_for(3))  # one at a time
    assert bench.shut == {other: CloseMode.RESET} and bench.dropped() == {"BAD_USERNAME": 1}
    if how == "leaves":
        bench.feed(socket, b"")
    elif how == "is lost":
        bench.call(bench.mux.handle_socket_failed, socket, SocketError(SocketErrorKind.RESET))
    else:
        bench.feed(socket, bytes(MAX_OFFERED - len(bench.check_for(3))))
        assert socket not in bench.shut
        bench.feed(socket, b"\0")
        assert bench.dropped() == {"BAD_USERNAME": 1, "LIMIT": 1}
    bench.feed(bench.connect(BOB), bench.check_for(3))
    assert len([one for one in bench.events if isinstance(one, UnknownUfrag)]) == 2


def test_a_first_frame_that_is_no_whole_check_is_not_offered():
    bench = MuxTcpBench()
    socket = bench.connect()
    broken = bytearray(bench.check_for(3))
    broken[-1] ^= 1
    bench.feed(socket, bytes(broken))
    assert bench.dropped() == {"BAD_FINGERPRINT": 1} and socket in bench.shut


def test_one_network_cannot_take_all_places_of_those_who_are_offered():
    bench = narrow(max_unknown_per_prefix=2)
    for number in range(1, 5):
        bench.feed(bench.connect(at("203.0.113.9", number)), bench.check_for(number))
    assert bench.dropped() == {"RATE_LIMITED": 2} and bench.waiting() == 2


# ------------------------------------------------------------- two of our own


@pytest.mark.parametrize("kind", [IceAgent, LiteAgent])
def test_clients_behind_dead_udp_connect_through_one_listener(kind):
    net = Network(seed=1, latency=0.01)
    net.drop = lambda packet: packet.protocol == "udp"
    there = net.host("server", "198.51.100.1")
    mux = IceMux()
    server = there.run(mux)
    port = at("198.51.100.1", 4000)
    server.call(mux.start, (port, Listener(Transport.TCP, port)))
    net.run(until=0.1)
    pairs = []
    for number in range(3):
        here = net.host(f"client{number}", f"192.0.2.{number + 1}")
        pacer = {"pacer": mux.pacer} if kind is IceAgent else {}
        agent = kind(controlling=False, gathering=BOTH, entropy=there.entropy, ids=mux.ids, **pacer)
        name = server.call(mux.add, agent)
        server.call(mux.gather, name)
        other = IceAgent(controlling=True, gathering=GatheringOptions(tcp=("active",)), entropy=here.entropy)
        ours = here.run(other)
        ours.call(other.gather, here.addresses)
        net.run(until=net.now + 1.0)
        server.call(agent.set_remote, other.local_description)
        server.call(mux.absorb, name)
        ours.call(other.set_remote, agent.local_description)
        pairs.append((agent, other))
    assert net.run(until=60.0, when=lambda: all(one.selected_pair for pair in pairs for one in pair))
    for agent, other in pairs:
        assert agent.selected_pair.local.address == other.selected_pair.remote.address == port
        assert agent.selected_pair.local.transport is Transport.TCP


def test_other_transports_are_not_shared():
    bench = MuxTcpBench(started=False)
    with pytest.raises(LocalProtocolError, match="neither UDP nor TCP"):
        bench.call(bench.mux.start, [Listener(Transport.TLS, PORT)])


@pytest.mark.parametrize("nominate", [True, False], ids=["nominating", "plain"])
@pytest.mark.parametrize("is_cut", [True, False], ids=["cut", "open"])
def test_a_check_that_somebody_has_seen_and_repeats_over_a_connection_of_his_own_takes_no_data(nominate, is_cut):
    bench = MuxTcpBench(TCP_PORT)
    name = bench.lite(1, gathering=TCP_ONLY)
    first, seen = bench.connect(), bench.check_for(1, nominate=nominate)
    bench.ask(first, 1)
    bench.feed(first, seen)
    if is_cut:  # and any new check takes the place of a nomination (RFC 6544 11.1)
        bench.call(bench.mux.handle_socket_failed, first, SocketError(SocketErrorKind.RESET))
    thief = bench.connect(CAROL)
    bench.feed(thief, seen)
    bench.streams.pop(thief, None)
    with contextlib.suppress(LocalProtocolError):
        bench.call(bench.mux.send, name, b"\x80out")
    assert b"\x80out" not in bench.streams.get(thief, [])
    assert (b"\x80out" in bench.streams[first]) is not is_cut
    if is_cut:
        again = bench.connect()
        bench.ask(again, 1, nominate=False)
        bench.call(bench.mux.send, name, b"\x80out")
        assert bench.streams[again][-1] == b"\x80out"
