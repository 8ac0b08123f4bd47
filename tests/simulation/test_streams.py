"""A machine's streams in the world: what it is told and when, slow readers and writers, and every ending."""

import math

import pytest

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    CloseMode,
    CloseSocket,
    IcmpError,
    SendStream,
    SetReading,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.simulation import Fate, Link, Network, StreamReads
from sansice.simulation._world import _streams
from sansice.simulation._world._packets import Packet
from sansice.simulation._world._streams import CONNECT_TIMEOUT, HANDSHAKE_TIMEOUT, LINGER_TIMEOUT
from simulation._ends import ACCEPTED, ACK, FIN, ONE, PSH, RST, SERVER, SYN, A, Acceptor, B, End, Puppet, connected, world

TCP, TLS = Transport.TCP, Transport.TLS
NAMED = SocketOptions(tls=TlsOptions("b.example"))
BOTH = pytest.mark.parametrize("transport", [TCP, TLS])


def failures(end):
    return [what[2] for what in end.of("failed")]


# ---------------------------------------------------------------- opening


@pytest.mark.parametrize(("transport", "opens", "accepts"), [(TCP, 0.5, 0.75), (TLS, 1.0, 1.25)])
def test_a_stream_opens_after_its_round_trips(transport, opens, accepts):
    _, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=transport)
    a.open(transport=transport)
    a.node._clock.run(math.inf, None)
    assert (a.kinds(), a.times) == (["opened"], [opens])
    assert (b.kinds(), b.times) == (["opened", "accepted"], [0.0, accepts])
    assert b.heard[1][1:] == (ONE, ACCEPTED, a.heard[0][2])
    assert a.node.sockets == {ONE: a.heard[0][2]}
    assert b.node.sockets == {ONE: SERVER, ACCEPTED: SERVER}


@pytest.mark.parametrize(("any_address", "host"), [(ANY_IPV4, A), (ANY_IPV6, "2001:db8::a")])
def test_any_address_is_the_one_that_leads_to_the_remote(any_address, host):
    net = Network(latency=0.25)
    a = End(net.host("A", A, "2001:db8::a"))
    remote = Address("2001:db8::b" if ":" in host else B, 443)
    server = End(net.host("B", remote.host))
    server.listen(bind=remote)
    a.open(bind=Address(any_address, 0), remote=remote)
    net.run(until=1)
    assert a.heard[0][2].host == host


def test_who_does_not_answer_is_given_up_after_half_a_minute():
    net, a, _ = world()
    net.drop = lambda packet: True
    a.open()
    net.run(until=60)
    assert (failures(a), a.times) == ([SocketErrorKind.TIMEOUT], [CONNECT_TIMEOUT])
    assert a.node.sockets == {}


def test_a_port_that_is_taken_fails_a_stream_at_once():
    _, a, _ = world()
    a.listen(bind=Address(A, 5))
    a.open(2, bind=Address(A, 5))
    a.open(3, bind=Address("192.0.2.77", 0))
    assert failures(a) == [SocketErrorKind.ADDRESS_IN_USE, SocketErrorKind.ADDRESS_UNAVAILABLE]


def test_unreachable_is_told_while_connecting():
    net, a, _ = world(trace=100)
    puppet = Puppet(net, "198.51.100.9")
    a.open(remote=Address("198.51.100.9", 443))
    net.run(until=0.25)
    [syn] = puppet.take()
    puppet.raw(Packet(Address("198.51.100.9", 0), syn.source, b"", IcmpError(3, 1), syn.destination, syn.tcp))
    assert failures(a) == [SocketErrorKind.UNREACHABLE]


@pytest.mark.parametrize("mode", CloseMode)
def test_a_stream_closed_before_it_opens_is_never_heard_of(mode):
    net, a, b = world()
    b.listen()
    a.open()
    a.do(SendStream(ONE, b"never sent"), CloseSocket(ONE, mode))
    net.run()
    assert (a.heard, b.kinds()) == ([], ["opened"])


@BOTH
def test_what_is_sent_early_follows_the_opening(transport):
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=transport)
    a.open(transport=transport)
    a.send(b"early ")
    net.run(until=0.1)
    a.send(b"bird")
    net.run(until=5)
    assert b.stream(ACCEPTED) == b"early bird"


@BOTH
def test_too_much_before_the_opening_fails(transport):
    _, a, _ = world()
    a.node.max_unsent = 1000
    a.open(transport=transport)
    a.send(bytes(1001))
    assert a.heard == [("failed", ONE, SocketErrorKind.BACKLOG)]


def test_tls_takes_no_longer_than_it_may():
    net, a, b = world()
    b.listen()
    a.open(transport=TLS)
    net.run(until=60)
    assert (failures(a), a.times) == ([SocketErrorKind.TIMEOUT], [0.5 + HANDSHAKE_TIMEOUT])


def test_a_client_that_is_silent_on_the_tls_port_is_counted():
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=TLS)
    a.open()
    net.run(until=60)
    assert b.kinds() == ["opened"]
    assert b.node.lost == {"TLS handshake timed out": 1}
    assert a.heard[1:] == [("data", ONE, b"")]


def test_handshakes_that_nobody_goes_on_with_are_bounded(monkeypatch):
    monkeypatch.setattr(_streams, "MAX_HANDSHAKES", 2)
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=TLS)
    for number in range(1, 5):
        a.open(number)
    net.run(until=2)
    assert b.node.lost == {"too many TLS handshakes": 2}
    assert [what[:2] for what in a.of("data")] == [("data", 1), ("data", 2)]


def test_a_certificate_may_change_and_go_while_a_listener_lives():
    net, a, b = world()
    b.host.certificate = ("other.example",)
    b.listen(transport=TLS)
    for number, certificate in enumerate([("other.example",), ("*.example", "b.example"), None], start=1):
        b.host.certificate = certificate
        a.open(number, transport=TLS, options=NAMED)
        net.run(until=net.now + 2)
    assert a.kinds() == ["failed", "opened", "failed"]
    assert failures(a) == [SocketErrorKind.TLS, SocketErrorKind.RESET]
    assert b.node.lost == {"TLS handshake failed": 1, "gone before it was accepted": 1}


def test_a_listener_closed_during_a_handshake_takes_it_back():
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=TLS)
    a.open(transport=TLS)
    net.run(until=0.8)
    b.close()
    net.run(until=3)
    assert b.kinds() == ["opened"]
    assert failures(a) == [SocketErrorKind.RESET]


def test_a_peer_that_resets_a_handshake_is_counted():
    net, a, b = world()
    b.host.certificate = (B,)
    b.listen(transport=TLS)
    a.open()
    net.run(until=1)
    a.close(mode=CloseMode.RESET)
    net.run(until=2)
    assert b.node.lost == {"TLS handshake cut off": 1}


def test_a_connection_that_meets_itself_is_refused():
    net, a, _ = world()
    a.open(bind=Address(A, 5), remote=Address(A, 5))
    net.run(until=1)
    assert failures(a) == [SocketErrorKind.REFUSED]


def test_ports_are_shared_where_the_options_say_so():
    net, a, b = world()
    shared = SocketOptions(reuse_port=True)
    b.listen()
    a.listen(bind=Address(A, 5), options=shared)
    a.open(2, bind=Address(A, 5), options=shared)
    net.run(until=1)
    assert a.kinds() == ["opened", "opened"]


# ---------------------------------------------------------------- reading and writing


@BOTH
def test_a_writer_is_told_of_its_backlog_until_it_is_gone(transport):
    net, a, b = connected(transport)
    data = bytes(range(256)) * 1200
    a.send(data)
    assert a.heard[0][0] == "sent"
    net.run(until=60)
    assert b.stream(ACCEPTED) == data
    told = [what[2] for what in a.of("sent")]
    assert told == sorted(told, reverse=True)
    assert told[-1] == 0


def test_more_joins_a_backlog_in_order():
    net, a, b = connected()
    a.send(bytes(100_000))
    a.send(b"last")
    net.run(until=60)
    assert len(b.stream(ACCEPTED)) == 100_004
    assert b.stream(ACCEPTED).endswith(b"last")


@BOTH
def test_a_peer_that_does_not_read_costs_no_more_than_the_limit(transport):
    net, a, b = connected(transport)
    b.read(False, ACCEPTED)
    a.node.max_unsent = 50_000
    sent = 0
    while not a.of("failed"):
        a.send(bytes(10_000))
        sent += 10_000
        net.run(until=net.now + 5)
    assert failures(a) == [SocketErrorKind.BACKLOG]
    assert 160_000 < sent < 220_000  # its own limit and the buffers of two systems
    assert b.heard == []
    assert net.lost == {}


@BOTH
def test_a_paused_stream_is_read_when_it_is_resumed(transport):
    net, a, b = connected(transport)
    b.read(False, ACCEPTED)
    a.send(b"wait")
    net.run(until=net.now + 1)
    assert b.heard == []
    b.do(*(SetReading(ACCEPTED, enabled) for enabled in (True, False, True)))
    assert b.heard == []  # not within the machine's own step
    net.run(until=net.now + 1)
    assert b.heard == [("data", ACCEPTED, b"wait")]


def test_a_paused_reader_stops_the_writer_and_nothing_is_lost():
    net, a, b = connected()
    b.read(False, ACCEPTED)
    a.send(bytes(400_000))
    net.run(until=net.now + 100)
    stuck = a.heard[-1][2]
    assert stuck > 200_000
    b.read(True, ACCEPTED)
    net.run(until=net.now + 200)
    assert len(b.stream(ACCEPTED)) == 400_000


def test_a_machine_may_pause_inside_what_it_is_told():
    net, a, b = connected()
    b.host.reads = StreamReads(size=1)
    b.machine.react["data"] = lambda *_: b.read(False, ACCEPTED)
    a.send(b"abc")
    net.run(until=net.now + 1)
    assert b.stream(ACCEPTED) == b"a"
    b.machine.react.clear()
    b.read(True, ACCEPTED)
    net.run(until=net.now + 1)
    assert b.stream(ACCEPTED) == b"abc"


@pytest.mark.parametrize("word", ["opened", "sent", "data", "accepted"])
@pytest.mark.parametrize("mode", CloseMode)
@BOTH
def test_a_machine_may_close_inside_whatever_it_is_told(word, mode, transport):
    net, a, b = world()
    b.host.certificate = (B,)
    for end in (a, b):
        end.machine.react[word] = lambda *what, end=end: end.close(SocketId(what[1] if word == "accepted" else what[0]), mode)
    if word == "opened":
        b.machine.react.clear()
    b.listen(transport=transport)
    a.open(transport=transport)
    a.send(b"hello")
    net.run(until=net.now + 5)
    if word == "sent":
        a.send(bytes(200_000))
    net.run(until=net.now + 60)
    closer = b if word in ("data", "accepted") else a
    closed_id = ACCEPTED if closer is b else ONE
    told = [what for what in closer.heard if closed_id in what[1:3]]
    assert told[-1][0] == word
    assert len([what for what in told if what[0] == word]) == 1


# ---------------------------------------------------------------- pieces


def test_bytes_may_be_read_one_by_one():
    net, a, b = connected()
    b.host.reads = StreamReads(size=1)
    a.send(b"hello")
    net.run(until=net.now + 1)
    assert [what[2] for what in b.heard] == [b"h", b"e", b"l", b"l", b"o"]
    assert len(set(b.times)) == 1


def test_a_late_reader_gets_together_what_has_come_meanwhile():
    net, a, b = connected()
    b.host.reads = StreamReads(delay=1.0)
    start = net.now
    a.send(b"one ")
    net.run(until=start + 0.5)
    a.send(b"two")
    net.run(until=start + 1.3)
    a.close()
    net.run(until=start + 5)
    assert b.heard == [("data", ACCEPTED, b"one two"), ("data", ACCEPTED, b"")]
    assert b.times == [start + 1.25, start + 1.3 + 0.25 + 1.0]


def test_a_slow_reader_takes_so_many_bytes_a_second_and_slows_the_writer():
    net, a, b = connected()
    b.host.reads = StreamReads(size=10_000, delay=0.5)
    a.send(bytes(300_000))
    start = net.now
    net.run(until=start + 5)
    assert len(b.stream(ACCEPTED)) == 90_000
    net.run(until=start + 60, when=lambda: len(b.stream(ACCEPTED)) == 300_000)
    assert 14 < net.now - start < 25


@BOTH
@pytest.mark.parametrize("seed", range(5))
def test_pieces_are_random_and_seeded_and_lose_nothing(seed, transport):
    def heard(seed):
        net, a, b = connected(transport, seed=seed)
        b.host.reads = StreamReads(random=True, jitter=0.05)
        data = bytes(range(256)) * 40
        for start in range(0, len(data), 500):
            a.send(data[start : start + 500])
            net.run(until=net.now + 0.01)
        net.run(until=net.now + 30)
        assert b.stream(ACCEPTED) == data
        return [len(what[2]) for what in b.heard], b.times

    assert heard(seed) == heard(seed) != heard(seed + 1)
    assert len(set(heard(seed)[0])) > 3


# ---------------------------------------------------------------- ending


@BOTH
def test_a_flushed_stream_sends_everything_and_its_end(transport):
    net, a, b = connected(transport)
    data = bytes(range(256)) * 1000
    a.send(data)
    a.close()
    assert a.node.sockets == {}
    told = list(a.heard)
    net.run(until=net.now + 4)
    assert b.stream(ACCEPTED) == data
    assert b.heard[-1] == ("data", ACCEPTED, b"")
    b.send(b"nobody listens", ACCEPTED)
    net.run(until=net.now + 0.4)
    b.close(ACCEPTED)
    net.run()
    assert a.heard == told
    assert b.of("failed") == []


def test_a_peer_that_does_not_end_is_reset_after_the_linger():
    net, a, b = connected()
    a.close()
    start = net.now
    net.run(until=start + 30)
    assert b.heard == [("data", ACCEPTED, b""), ("failed", ACCEPTED, SocketErrorKind.RESET)]
    assert b.times[-1] == start + LINGER_TIMEOUT + 0.25


def test_a_peer_that_does_not_read_what_is_flushed_is_reset():
    net, a, b = connected()
    b.read(False, ACCEPTED)
    a.send(bytes(500_000))
    a.close()
    net.run(until=net.now + 30)
    assert b.heard == [("failed", ACCEPTED, SocketErrorKind.RESET)]


def test_streams_that_wait_for_the_peers_end_are_bounded(monkeypatch):
    monkeypatch.setattr(_streams, "MAX_LINGERING", 2)
    net, a, b = world()
    b.listen()
    for number in range(1, 5):
        a.open(number)
    net.run(until=2)
    a.do(*(CloseSocket(SocketId(number)) for number in range(1, 5)))
    net.run(until=3)
    assert [what[:2] for what in b.of("failed")] == [("failed", -1), ("failed", -2)]


def test_the_peers_reset_after_closing_is_not_told():
    net, a, b = connected()
    a.close()
    b.close(ACCEPTED, CloseMode.RESET)
    net.run()
    assert a.heard == b.heard == []


@BOTH
def test_the_end_of_both_at_once_is_quiet(transport):
    net, a, b = connected(transport)
    a.close()
    b.close(ACCEPTED)
    net.run()
    assert a.heard == b.heard == []
    assert net.lost == {}


def test_tls_that_is_cut_is_a_failure_and_no_end():
    net, a, b = connected(TLS)
    stream = b.node._others._sockets[ACCEPTED]
    stream._connection.shutdown()
    net.run(until=net.now + 1)
    assert failures(a) == [SocketErrorKind.TLS]
    assert "cut" in a.error.text


def test_a_changed_byte_on_the_way_fails_both_ends():
    net, a, b = connected(TLS)
    a.node._others._sockets[ONE]._connection.send(b"\x17\x03\x03\x00\x20" + bytes(32))
    net.run(until=net.now + 2)
    assert failures(b) == failures(a) == [SocketErrorKind.TLS]
    assert "bad record mac" in a.error.text


def test_sending_after_tls_was_closed_fails_the_stream():
    _, a, _ = connected(TLS)
    a.node._others._sockets[ONE]._tls.close()
    a.send(b"x")
    assert failures(a) == [SocketErrorKind.TLS]


@BOTH
def test_the_death_of_a_server_ends_its_streams(transport):
    net, a, b = connected(transport)
    b.node.stop()
    net.run(until=net.now + 1)
    expected = ("data", ONE, b"") if transport is TCP else ("failed", ONE, SocketErrorKind.TLS)
    assert a.heard == [expected]
    assert b.heard == []
    a.open(2, transport=transport)
    net.run(until=net.now + 1)
    assert a.heard[-1] == ("failed", 2, SocketErrorKind.REFUSED)


def test_the_death_of_a_client_at_any_moment_leaves_nothing_behind():
    for tenths in range(30):
        net, a, b = world(latency=0.1)
        b.host.certificate = (B,)
        b.listen(transport=TLS)
        a.open(transport=TLS)
        a.send(bytes(300_000))
        net.run(until=tenths / 10)
        heard = len(a.heard)
        a.node.stop()
        net.run(until=net.now + 60)
        assert len(a.heard) == heard
        if b.of("accepted"):
            assert b.kinds()[-1] == "failed"
        b.close(ACCEPTED)
        net.run(until=net.now + 2000)
        for end in (a, b):
            end.host.tcp.listen(Address(end.host.addresses[0], 0), Acceptor())  # what rested long enough goes with the next
            assert end.host.tcp._connections == {}, tenths


# ---------------------------------------------------------------- interfaces that go


def test_a_stream_survives_an_interface_that_is_down_for_a_while():
    net, a, b = connected()
    [interface] = a.host.interfaces
    interface.down()
    a.send(b"patience")
    net.run(until=net.now + 10)
    assert b.heard == []
    interface.up()
    net.run(until=net.now + 60)
    assert b.stream(ACCEPTED) == b"patience"


def test_a_stream_whose_address_is_gone_times_out_and_says_nothing_from_another():
    net, a, b = connected(trace=1000)
    a.host.interfaces[0].readdress("198.51.100.77")
    a.send(b"anybody?")
    sent = len(net.packets)
    net.run()
    assert failures(a) == [SocketErrorKind.TIMEOUT]
    assert b.heard == []
    assert {passage.fate for passage in list(net.packets)[sent:]} == {Fate.UNROUTABLE}


def test_a_segment_to_an_address_that_was_moved_away_reaches_nobody():
    net, a, b = connected()
    b.send(b"late", ACCEPTED)
    a.host.interfaces[0].readdress("198.51.100.77")
    net.run(until=net.now + 5)
    assert a.heard == []


@BOTH
def test_a_stream_of_a_host_that_sleeps_goes_on_when_it_wakes(transport):
    net, a, b = connected(transport)
    start = net.now
    b.host.sleep(20.0)
    a.send(b"good morning")
    net.run(until=start + 19)
    assert b.heard == []
    net.run(until=start + 60)
    assert b.stream(ACCEPTED) == b"good morning"


def test_timers_of_a_host_that_sleeps_wait_for_it():
    net, a, _ = world(trace=1000)
    net.drop = lambda packet: True
    a.open()
    a.open(2, Transport.DTLS)
    net.run(until=0.5)
    a.host.sleep(50.0)
    net.run(until=50)
    assert a.heard == []
    assert [passage.time for passage in net.packets if passage.fate is Fate.SENT] == [0.0, 0.0]
    net.run(until=60)
    assert (failures(a), a.times) == ([SocketErrorKind.TIMEOUT] * 2, [50.5] * 2)


# ---------------------------------------------------------------- on the way


def test_streams_pass_a_nat_a_lossy_link_and_the_trace():
    net = Network(latency=0.05, loss=0.05, trace=10_000)
    b = End(net.host("B", B))
    b.listen()
    nat = net.nat("203.0.113.1")
    a = End(net.host("A", "10.0.0.2", behind=nat, link=Link(latency=0.01, jitter=0.01)))
    a.open(bind=Address("10.0.0.2", 0))
    a.send(bytes(20_000))
    net.run(until=60)
    assert len(b.stream(ACCEPTED)) == 20_000
    assert b.of("accepted")[0][3].host == "203.0.113.1"
    assert {passage.fate for passage in net.packets} >= {Fate.SENT, Fate.TRANSLATED, Fate.DELIVERED, Fate.LOST}


def test_who_speaks_tls_to_somebody_else_is_told():
    net, a, _ = world()
    puppet = Puppet(net, "198.51.100.9")
    a.open(transport=TLS, remote=Address("198.51.100.9", 443))
    net.run(until=0.25)
    [syn] = puppet.take()
    here, there = syn.destination, syn.source
    puppet.say(there, SYN | ACK, 1000, syn.tcp.seq + 1, source=here)
    hello = puppet.take()[-1]
    assert hello.data[:3] == b"\x16\x03\x03"
    puppet.say(there, ACK | PSH, 1001, syn.tcp.seq + 1 + len(hello.data), b"220 mail.example ESMTP\r\n", source=here)
    assert failures(a) == [SocketErrorKind.TLS]
    assert [packet.tcp.flags & FIN for packet in puppet.take()][-1] == FIN
    puppet.say(there, RST, 1001 + 24, source=here)
