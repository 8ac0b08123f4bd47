"""TCP connections: opening, data under every fault, closing, and every way to fail; against a peer made of segments, too."""

import itertools

import pytest

from sansice.machine import Address, IcmpError, SocketErrorKind
from sansice.simulation import Fate, Link, Network
from sansice.simulation._world._packets import Packet, TcpFlags
from sansice.simulation._world._tcp import (
    ORPHAN_TIMEOUT,
    RETRIES,
    SYN_ACK_RETRIES,
    SYN_RETRIES,
    TCP_TRANSITIONS,
    TcpInput,
    TcpState,
    unreachable,
)
from sansice.simulation._world._tcp_sending import SEND_BUFFER
from simulation._ends import ACK, FIN, PSH, RST, SERVER, SYN, A, Acceptor, B, Puppet, Talker

CLIENT = Address(A, 50000)


def lab(reading=True, drop=None, **options):
    """A network; A connects to B; the user at A, and the acceptor at B."""
    net = Network(**{"latency": 0.25, "trace": 100_000, **options})
    net.drop = drop
    a, b = net.host("A", A), net.host("B", B)
    acceptor = Acceptor(reading=reading)
    b.tcp.listen(SERVER, acceptor)
    talker = Talker()
    talker.connection = a.tcp.connect(CLIENT, SERVER, talker)
    return net, talker, acceptor


def opened(**options):
    net, talker, acceptor = lab(**options)
    net.run(until=net.now + 30, when=lambda: acceptor.talkers and talker.said)
    return net, talker, acceptor.talkers[0]


def connecting():
    """A connects to a puppet; its initial sequence number."""
    net = Network(latency=0.25, trace=1000)
    a, puppet, talker = net.host("A", A), Puppet(net), Talker()
    talker.connection = a.tcp.connect(CLIENT, SERVER, talker)
    net.run(until=0.25)
    [packet] = puppet.take()
    assert packet.tcp.flags is SYN
    return net, talker, puppet, packet.tcp.seq


def established():
    """The same, open. The puppet's first byte has the number 1001."""
    net, talker, puppet, isn = connecting()
    puppet.say(CLIENT, SYN | ACK, 1000, isn + 1)
    assert talker.said == ["connected"]
    assert puppet.flags() == [ACK]
    return net, talker, puppet, isn + 1


def segments(net):
    return [passage for passage in net.packets if passage.fate is Fate.SENT and passage.packet.tcp is not None]


def flags(net, place=None):
    return [(p.place, p.packet.tcp.flags) for p in segments(net) if place in (None, p.place)]


# ---------------------------------------------------------------- opening


def test_three_segments_open_a_connection():
    net, talker, peer = opened()
    net.run()
    assert flags(net) == [("A", SYN), ("B", SYN | ACK), ("A", ACK)]
    assert (talker.connection.state, peer.connection.state) == (TcpState.ESTABLISHED, TcpState.ESTABLISHED)
    assert (peer.connection.local, peer.connection.remote) == (SERVER, CLIENT)
    assert peer.connection.accepted
    assert net.lost == {}


def test_a_lost_syn_and_a_lost_answer_only_delay():
    for lost, opens_at in ((SYN, 1.5), (SYN | ACK, 1.5)):
        first = itertools.count()
        drop = lambda packet, lost=lost, first=first: packet.tcp.flags is lost and next(first) == 0  # noqa: E731
        net, talker, acceptor = lab(drop=drop)
        net.run(until=30, when=lambda talker=talker: talker.said)
        assert (net.now, talker.said) == (opens_at, ["connected"])
        net.drop = None
        net.run(until=60)
        assert len(acceptor.talkers) == 1


def test_a_lost_last_step_of_opening_is_made_up_by_data():
    net, talker, acceptor = lab()
    net.drop = lambda packet: packet.tcp.flags is ACK
    net.run(until=0.6)
    assert talker.said == ["connected"]
    assert acceptor.talkers == []
    net.drop = None
    talker.connection.send(b"hello")
    net.run(until=0.9)
    assert acceptor.talkers[0].got == b"hello"


def test_nobody_listening_refuses():
    net = Network(latency=0.25)
    a, _, talker = net.host("A", A), net.host("B", B), Talker()
    connection = a.tcp.connect(CLIENT, SERVER, talker)
    net.run(until=5)
    assert talker.said == [SocketErrorKind.REFUSED]
    assert connection.state is TcpState.CLOSED
    assert net.lost == {Fate.CLOSED_PORT: 1}


def test_who_does_not_answer_is_asked_seven_times_in_127_seconds():
    net = Network(latency=0.25, trace=100)
    a, talker = net.host("A", A), Talker()
    net.host("B", B)
    net.drop = lambda packet: True
    a.tcp.connect(CLIENT, SERVER, talker)
    net.run()
    assert talker.said == [SocketErrorKind.TIMEOUT]
    assert net.now == 127.0
    assert [passage.time for passage in segments(net)] == [0, 1, 3, 7, 15, 31, 63]
    assert len(segments(net)) == SYN_RETRIES + 1


def test_a_half_open_connection_is_given_up_and_nobody_hears_of_it():
    net = Network(latency=0.25, trace=100)
    a, acceptor, puppet = net.host("A", A), Acceptor(), Puppet(net)
    a.tcp.listen(CLIENT, acceptor)
    puppet.say(CLIENT, SYN, 7)
    net.run()
    assert [passage.time for passage in segments(net)] == [0.25, 1.25, 3.25, 7.25, 15.25, 31.25]
    assert len(puppet.take()) == SYN_ACK_RETRIES + 1
    assert net.now == 63.25
    puppet.say(CLIENT, ACK, 8, segments(net)[0].packet.tcp.seq + 1)
    assert puppet.flags() == [RST]
    assert acceptor.talkers == []


@pytest.mark.parametrize("late", [0.0, 0.1])
def test_both_may_open_at_once(late):
    net = Network(latency=0.25, trace=100)
    a, b = net.host("A", A), net.host("B", B)
    talkers = Talker(), Talker()
    talkers[0].connection = a.tcp.connect(CLIENT, SERVER, talkers[0])
    net.run(until=late)
    talkers[1].connection = b.tcp.connect(SERVER, CLIENT, talkers[1])
    net.run(until=1.0)
    assert [talker.said for talker in talkers] == [["connected"]] * 2
    assert [flag for _, flag in flags(net)][:2] == [SYN, SYN]
    talkers[0].connection.send(b"to b")
    talkers[1].connection.send(b"to a")
    net.run(until=2.0)
    assert [talker.got for talker in talkers] == [b"to a", b"to b"]


def test_one_of_two_answers_of_a_simultaneous_open_may_be_lost():
    net = Network(latency=0.25)
    a, b = net.host("A", A), net.host("B", B)
    talkers = Talker(), Talker()
    first = itertools.count()
    net.drop = lambda packet: packet.tcp.flags == SYN | ACK and packet.source.host == A and next(first) == 0
    talkers[0].connection = a.tcp.connect(CLIENT, SERVER, talkers[0])
    talkers[1].connection = b.tcp.connect(SERVER, CLIENT, talkers[1])
    net.run(until=5.0)
    assert [talker.said for talker in talkers] == [["connected"]] * 2


def test_a_repeated_syn_is_answered_again():
    net = Network(latency=0.25)
    a, acceptor, puppet = net.host("A", A), Acceptor(), Puppet(net)
    a.tcp.listen(CLIENT, acceptor)
    puppet.say(CLIENT, SYN, 7)
    puppet.say(CLIENT, SYN, 7)
    answers = puppet.take()
    assert [(p.tcp.flags, p.tcp.ack) for p in answers] == [(SYN | ACK, 8)] * 2
    puppet.say(CLIENT, ACK, 8, answers[0].tcp.seq + 1, b"hi")
    assert acceptor.talkers[0].got == b"hi"


def test_another_syn_while_the_first_is_answered_gets_an_acknowledgement_alone():
    net = Network(latency=0.25)
    a, acceptor, puppet = net.host("A", A), Acceptor(), Puppet(net)
    a.tcp.listen(CLIENT, acceptor)
    puppet.say(CLIENT, SYN, 7)
    puppet.say(CLIENT, SYN, 70)  # RFC 5961 4.2
    answers = puppet.take()
    assert [(p.tcp.flags, p.tcp.ack) for p in answers] == [(SYN | ACK, 8), (ACK, 8)]
    puppet.say(CLIENT, ACK, 8, answers[0].tcp.seq + 1, b"hi")
    assert acceptor.talkers[0].got == b"hi"


def test_a_wrong_acknowledgement_of_our_syn_is_answered_with_a_reset():
    net, talker, puppet, isn = connecting()
    for wrong in (isn, isn + 2):
        puppet.say(CLIENT, SYN | ACK, 1000, wrong)
        [answer] = [packet for packet in puppet.take() if packet.tcp.flags is not SYN]
        assert (answer.tcp.flags, answer.tcp.seq) == (RST, wrong % 2**32)
    puppet.say(CLIENT, RST | ACK, 0, isn)  # a reset that is not about our SYN
    puppet.say(CLIENT, RST, 0, 0)
    puppet.say(CLIENT, PSH, 0, 0, b"what?")
    assert talker.said == []
    net.run(until=3.3)
    assert puppet.flags() == [SYN]


def test_a_listener_resets_who_acknowledges_what_it_did_not_say():
    net = Network(latency=0.25)
    a, acceptor, puppet = net.host("A", A), Acceptor(), Puppet(net)
    a.tcp.listen(CLIENT, acceptor)
    puppet.say(CLIENT, SYN, 7)
    isn = puppet.take()[0].tcp.seq
    puppet.say(CLIENT, ACK, 8, isn)
    puppet.say(CLIENT, ACK, 8, isn + 2)
    assert [flag for flag in puppet.flags() if flag is RST] == [RST, RST]
    assert acceptor.talkers == []
    puppet.say(CLIENT, RST, 8)
    puppet.say(CLIENT, ACK, 8, isn + 1)
    assert puppet.flags() == [RST]  # the half-open connection is gone


def test_a_connection_that_nobody_wants_is_reset():
    net, talker, acceptor = lab()
    acceptor.wanted = False
    net.run(until=5)
    assert talker.said == ["connected", SocketErrorKind.RESET]


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (IcmpError(3, 0), SocketErrorKind.UNREACHABLE),
        (IcmpError(3, 1), SocketErrorKind.UNREACHABLE),
        (IcmpError(3, 2), SocketErrorKind.UNSUPPORTED),
        (IcmpError(3, 3), SocketErrorKind.REFUSED),
        (IcmpError(3, 13), SocketErrorKind.UNREACHABLE),
        (IcmpError(11, 0), SocketErrorKind.UNREACHABLE),
        (IcmpError(1, 0, ipv6=True), SocketErrorKind.UNREACHABLE),
        (IcmpError(1, 1, ipv6=True), SocketErrorKind.PERMISSION),
        (IcmpError(1, 4, ipv6=True), SocketErrorKind.REFUSED),
        (IcmpError(3, 3, ipv6=True), SocketErrorKind.UNREACHABLE),
    ],
)
def test_an_icmp_error_while_connecting_fails_as_linux_says(error, kind):
    assert unreachable(error, SERVER).kind is kind
    net, talker, puppet, isn = connecting()
    quoted = Packet(CLIENT, SERVER, b"", tcp=segments(net)[0].packet.tcp).tcp
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", error, SERVER, quoted._replace(seq=(isn + 5) % 2**32)))
    assert talker.said == []  # about nothing that was sent
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", error, SERVER, quoted))
    assert talker.said == [kind]


def test_an_icmp_error_about_an_open_connection_may_pass():
    net, talker, puppet, _ = established()
    talker.connection.send(b"x")
    net.run(until=net.now + 0.25)
    [sent] = puppet.take()
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", IcmpError(3, 1), SERVER, sent.tcp))
    assert talker.said == ["connected"]
    assert talker.connection.state is TcpState.ESTABLISHED


def test_an_icmp_error_about_an_unknown_connection_is_counted():
    net, talker, puppet, _ = established()
    talker.connection.abort()
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", IcmpError(3, 1), SERVER, segments(net)[0].packet.tcp))
    assert net.lost == {Fate.CLOSED_PORT: 1}


# ---------------------------------------------------------------- data


def transfer(size, **options):
    net, talker, peer = opened(**options)
    data = bytes(range(251)) * (size // 251 + 1)
    queue = bytearray(data[:size])

    def go_on():
        del queue[: talker.connection.send(bytes(queue))]

    talker.writable = go_on
    go_on()
    net.run(until=net.now + 3000, when=lambda: len(peer.got) == size)
    assert peer.got == data[:size]
    return net, talker, peer


def test_bytes_arrive_after_a_latency_and_are_acknowledged():
    net, talker, _ = transfer(5)
    assert net.now == 0.75 + 0.25
    assert talker.connection.unacknowledged == 5
    net.run(until=1.25)
    assert talker.connection.unacknowledged == 0


def test_an_answer_carries_the_acknowledgement():
    net, talker, peer = opened()
    before = len(segments(net))

    def answer():
        peer.got += peer.connection.read(100)
        peer.connection.send(b"pong")

    peer.readable = answer
    talker.connection.send(b"ping")
    net.run()
    assert [(p.place, p.packet.tcp.flags, p.packet.data) for p in segments(net)[before:]] == [
        ("A", ACK | PSH, b"ping"),
        ("B", ACK | PSH, b"pong"),
        ("A", ACK, b""),
    ]


@pytest.mark.parametrize(
    "faults",
    [
        {"loss": 0.1},
        {"loss": 0.3},
        {"duplication": 0.3},
        {"reordering": 0.3, "hold": 0.6},
        {"jitter": 0.3},
        {"loss": 0.1, "duplication": 0.1, "reordering": 0.1, "jitter": 0.1},
    ],
    ids=str,
)
@pytest.mark.parametrize("seed", range(3))
def test_every_byte_arrives_once_and_in_order_whatever_the_link_does(faults, seed):
    transfer(100_000, seed=seed, **faults)


def test_two_connections_of_one_instant_begin_at_numbers_that_tell_nothing_of_each_other():
    net = Network(latency=0.25, trace=100)
    a = net.host("A", A)
    for port in (1, 2, 3):
        a.tcp.connect(Address(A, port), SERVER, Talker())
    first, second, third = (passage.packet.tcp.seq for passage in segments(net))  # RFC 6528 3
    assert len({first, second, third}) == 3
    assert second - first != third - second


def test_sequence_numbers_may_wrap():
    for isn in range(2**32 - 3, 2**32):
        net = Network(latency=0.25)
        a, acceptor, puppet = net.host("A", A), Acceptor(), Puppet(net)
        a.tcp.listen(CLIENT, acceptor)
        puppet.say(CLIENT, SYN, isn)
        ack = puppet.take()[0].tcp.seq + 1
        puppet.say(CLIENT, ACK, isn + 1, ack, b"abcdef")
        puppet.say(CLIENT, FIN | ACK, isn + 7, ack)
        assert acceptor.talkers[0].got == b"abcdef"
        assert acceptor.talkers[0].said == ["end"]


def test_the_same_seed_gives_the_same_segments():
    traces = []
    for seed in (4, 4, 5):
        net, _, _ = transfer(50_000, seed=seed, loss=0.1, reordering=0.1)
        traces.append([(passage.time, repr(passage.packet)) for passage in segments(net)])
    assert traces[0] == traces[1] != traces[2]


def test_segments_out_of_their_turn_are_acknowledged_at_once():
    _, talker, puppet, ack = established()
    puppet.say(CLIENT, ACK, 1004, ack, b"def")
    assert [p.tcp.ack for p in puppet.take()] == [1001]
    puppet.say(CLIENT, ACK, 1001, ack, b"abc")
    assert [p.tcp.ack for p in puppet.take()] == [1007]
    puppet.say(CLIENT, ACK, 1001, ack, b"abc")
    assert [p.tcp.ack for p in puppet.take()] == [1007]
    assert talker.got == b"abcdef"


def test_three_duplicate_acknowledgements_have_the_hole_filled_before_the_timer():
    net, talker, puppet, ack = established()
    talker.connection.send(bytes(6000))
    net.run(until=net.now + 0.25)
    puppet.take()
    at = net.now
    for _ in range(3):
        puppet.say(CLIENT, ACK, 1001, ack)
    [again] = [packet for packet in puppet.take() if packet.data]
    assert again.tcp.seq == ack
    assert net.now - at > 0.25


def test_an_acknowledgement_of_what_was_never_sent_is_answered_and_ignored():
    _, talker, puppet, ack = established()
    puppet.say(CLIENT, ACK, 1001, ack + 1, b"x")
    assert puppet.flags() == [ACK]
    assert talker.got == b""


def test_a_segment_without_an_acknowledgement_is_ignored():
    _, talker, puppet, _ = established()
    puppet.say(CLIENT, PSH, 1001, 0, b"x")
    assert (puppet.take(), talker.got) == ([], b"")


def test_a_reader_that_pauses_closes_the_window_and_opens_it_again():
    net, talker, peer = opened(reading=False)
    assert talker.connection.send(bytes(100_000)) < 100_000
    net.run(until=net.now + 20)
    stuck = peer.connection.waiting
    assert stuck == 65535
    assert talker.said == ["connected", "writable"]  # the first buffer has left, the second has not
    talker.connection.send(bytes(100_000))
    net.run(until=net.now + 300)
    assert peer.connection.waiting == stuck
    assert peer.connection.read(1000) == bytes(1000)  # less than a segment: the peer is not bothered
    quiet = len(flags(net, "B"))
    net.run(until=net.now + 0.1)
    assert len(flags(net, "B")) == quiet
    peer.reading = True
    peer.readable()
    net.run(until=net.now + 5)
    assert len(peer.got) > 20_000


def test_a_reader_tells_the_peer_of_room_as_soon_as_a_segment_fits_into_it():
    net, talker, puppet, ack = established()
    talker.reading = False
    puppet.say(CLIENT, ACK, 1001, ack, bytes(4000))
    assert [packet.tcp.window for packet in puppet.take()] == [61535]
    for size, told in ((1459, []), (1, [61535 + 1460]), (1459, [])):  # RFC 9293 3.8.6.2.2
        talker.connection.read(size)
        net.run(until=net.now + 0.25)
        assert [packet.tcp.window for packet in puppet.take()] == told


def test_only_the_last_of_what_there_is_to_send_is_pushed():
    net, talker, puppet, _ = established()
    talker.connection.send(bytes(4000))
    net.run(until=net.now + 0.25)
    assert [(packet.tcp.flags, len(packet.data)) for packet in puppet.take()] == [
        (ACK, 1460),
        (ACK, 1460),
        (PSH | ACK, 1080),
    ]


def test_a_user_hears_of_room_only_once_there_is_some():
    _, talker, puppet, ack = established()
    assert talker.connection.send(bytes(70_000)) == SEND_BUFFER
    puppet.say(CLIENT, ACK, 1001, ack)
    assert talker.said == ["connected"]
    puppet.say(CLIENT, ACK, 1001, ack + 1)
    assert talker.said == ["connected", "writable"]


def test_a_peer_that_stops_answering_is_given_up_after_fifteen_repetitions():
    net, talker, _ = opened()
    net.drop = lambda packet: True
    sent = len(flags(net, "A"))
    talker.connection.send(b"anybody?")
    net.run()
    assert talker.said == ["connected", SocketErrorKind.TIMEOUT]
    assert len(flags(net, "A")) - sent == RETRIES + 1
    assert 924 < net.now < 1400


def test_a_path_that_carries_less_says_so_and_gets_smaller_segments():
    net, talker, puppet, _ = established()
    talker.connection.send(bytes(1400))
    net.run(until=net.now + 0.25)
    [sent] = puppet.take()
    assert sent.dont_fragment
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", IcmpError(3, 4, mtu=1040), SERVER, sent.tcp))
    assert [len(packet.data) for packet in puppet.take()] == [1000, 400]


@pytest.mark.parametrize(("ahead", "believed"), [(-1, False), (0, True), (1399, True), (1400, False)])
def test_an_icmp_error_is_believed_only_about_what_is_under_way(ahead, believed):
    net, talker, puppet, ack = established()
    talker.connection.send(bytes(1400))
    net.run(until=net.now + 0.25)
    [sent] = puppet.take()
    quoted = sent.tcp._replace(seq=(ack + ahead) % 2**32)  # RFC 5927 4.1: SND.UNA <= SEG.SEQ < SND.NXT
    puppet.raw(Packet(Address(B, 0), CLIENT, b"", IcmpError(3, 4, mtu=1040), SERVER, quoted))
    assert [len(packet.data) for packet in puppet.take()] == ([1000, 400] if believed else [])


def test_segments_of_ipv6_are_cut_for_its_longer_header():
    net = Network(latency=0.25, trace=100)
    a, b, acceptor, talker = net.host("A", "2001:db8::a"), net.host("B", "2001:db8::b"), Acceptor(), Talker()
    b.tcp.listen(Address("2001:db8::b", 443), acceptor)
    talker.connection = a.tcp.connect(Address("2001:db8::a", 0), Address("2001:db8::b", 443), talker)
    net.run(until=1)
    talker.connection.send(bytes(2000))
    net.run(until=2)
    assert max(passage.packet.size for passage in segments(net)) == 1500
    assert len(acceptor.talkers[0].got) == 2000


def tunnel(mtu, ipv6=False):
    """A connection over a segment with an MTU, to B; what arrives there."""
    net = Network(latency=0.25, trace=10_000)
    here, there = ("2001:db8::a", "2001:db8::b") if ipv6 else (A, B)
    a, b, acceptor, talker = net.host("A", here), net.host("B", there), Acceptor(), Talker()
    net.internet.link = Link(latency=0.25, mtu=mtu)
    b.tcp.listen(Address(there, 443), acceptor)
    talker.connection = a.tcp.connect(Address(here, 0), Address(there, 443), talker)
    net.run(until=1)
    return net, talker, acceptor.talkers[0]


@pytest.mark.parametrize(("mtu", "ipv6"), [(1500, False), (1400, False), (576, False), (400, False), (1400, True), (1280, True)])
def test_a_link_that_takes_less_only_makes_segments_smaller(mtu, ipv6):
    net, talker, peer = tunnel(mtu, ipv6)
    talker.connection.send(bytes(20_000))
    net.run(until=60)
    assert peer.got == bytes(20_000)
    fits = [passage.packet.size <= mtu for passage in net.packets if passage.fate is Fate.DELIVERED and passage.place == "B"]
    assert all(fits)


def test_a_path_that_becomes_narrow_below_any_segment_is_crossed_in_fragments():
    net, talker, peer = tunnel(1500)
    talker.connection.send(bytes(3000))
    net.run(until=2)
    net.internet.link = Link(latency=0.25, mtu=300)
    talker.connection.send(bytes(3000))
    net.run(until=200)
    assert peer.got == bytes(6000)
    assert Fate.FRAGMENTED in {passage.fate for passage in net.packets}


# ---------------------------------------------------------------- ending


def test_each_direction_ends_by_itself():
    net, talker, peer = opened()
    talker.connection.send(b"last words")
    talker.connection.shutdown()
    talker.connection.shutdown()
    net.run(until=net.now + 1)
    assert (peer.got, peer.said) == (b"last words", ["end"])
    assert (talker.connection.state, peer.connection.state) == (TcpState.FIN_WAIT_2, TcpState.CLOSE_WAIT)
    peer.connection.send(b"answer")
    peer.connection.shutdown()
    net.run(until=net.now + 1)
    assert (talker.got, talker.said) == (b"answer", ["connected", "end"])
    assert (talker.connection.state, peer.connection.state) == (TcpState.TIME_WAIT, TcpState.CLOSED)
    assert net.lost == {}


def test_both_may_end_at_once():
    net, talker, peer = opened()
    talker.connection.shutdown()
    peer.connection.shutdown()
    net.run(until=net.now + 0.25)
    assert talker.connection.state is peer.connection.state is TcpState.CLOSING
    net.run(until=net.now + 1)
    assert talker.connection.state is peer.connection.state is TcpState.TIME_WAIT
    assert [talker.said, peer.said] == [["connected", "end"], ["end"]]


@pytest.mark.parametrize("seed", range(5))
def test_ends_get_through_a_lossy_link(seed):
    net, talker, peer = opened(loss=0.3, seed=seed)
    talker.connection.send(b"bye")
    talker.connection.shutdown()
    peer.connection.shutdown()
    net.run(until=net.now + 300)
    assert (peer.got, talker.said[-1], peer.said[-1]) == (b"bye", "end", "end")
    assert {talker.connection.state, peer.connection.state} <= {TcpState.TIME_WAIT, TcpState.CLOSED}


def test_a_repeated_fin_is_acknowledged_in_time_wait_and_a_reset_ignored():
    _, talker, puppet, ack = established()
    talker.connection.shutdown()
    puppet.say(CLIENT, FIN | ACK, 1001, ack + 1)
    assert talker.connection.state is TcpState.TIME_WAIT
    puppet.take()
    puppet.say(CLIENT, FIN | ACK, 1001, ack + 1)
    assert [(p.tcp.flags, p.tcp.ack) for p in puppet.take()] == [(ACK, 1002)]
    puppet.say(CLIENT, RST, 1002)
    assert talker.connection.state is TcpState.TIME_WAIT
    assert talker.said == ["connected", "end"]


@pytest.mark.parametrize(("after", "answer"), [(59.75, [ACK]), (60.0, [RST])])
def test_late_segments_are_known_for_a_minute_exactly(after, answer):
    net, talker, puppet, ack = established()
    talker.connection.shutdown()
    said = net.now
    puppet.say(CLIENT, FIN | ACK, 1001, ack + 1)
    net.run(until=said + after)
    puppet.take()
    puppet.say(CLIENT, FIN | ACK, 1001, ack + 1)
    assert puppet.flags() == answer


def test_aborting_resets_the_peer_and_tells_nobody_here():
    net, talker, peer = opened()
    talker.connection.send(b"never mind")
    talker.connection.abort()
    talker.connection.abort()
    net.run(until=net.now + 1)
    assert talker.said == ["connected"]
    assert peer.said == [SocketErrorKind.RESET]
    assert (peer.got, talker.connection.state) == (b"never mind", TcpState.CLOSED)


def test_only_the_very_next_number_resets():
    _, talker, puppet, _ = established()
    for guess in (1000, 1001 + 70000):
        puppet.say(CLIENT, RST, guess)
        assert puppet.take() == []
    puppet.say(CLIENT, RST, 1002)
    assert puppet.flags() == [ACK]  # RFC 5961 3.2: the true peer would now reset with the right one
    assert talker.said == ["connected"]
    puppet.say(CLIENT, RST, 1001)
    assert talker.said == ["connected", SocketErrorKind.RESET]


def test_a_syn_within_a_connection_is_answered_and_ignored():
    _, talker, puppet, ack = established()
    puppet.say(CLIENT, SYN, 5)
    puppet.say(CLIENT, SYN | ACK, 1000, ack)
    assert puppet.flags() == [ACK, ACK]
    assert talker.connection.state is TcpState.ESTABLISHED


def test_a_dead_users_connection_ends_and_resets_who_still_sends():
    net, talker, peer = opened()
    talker.connection.abandon()
    net.run(until=net.now + 0.25)
    assert peer.said == ["end"]
    peer.connection.send(b"are you there?")
    net.run(until=net.now + 1)
    assert peer.said == ["end", SocketErrorKind.RESET]


def test_a_dead_users_connection_is_reset_where_something_was_not_read():
    net, talker, peer = opened(reading=False)
    talker.connection.send(b"read me")
    net.run(until=net.now + 1)
    peer.connection.abandon()
    net.run(until=net.now + 1)
    assert talker.said == ["connected", SocketErrorKind.RESET]


def test_a_dead_users_connection_does_not_wait_for_ever_for_the_peers_end():
    net, talker, _ = opened()
    talker.connection.abandon()
    net.run(until=net.now + 60.4)
    assert talker.connection.state is TcpState.FIN_WAIT_2
    net.run(until=net.now + 0.1)  # a round trip after the end
    assert talker.connection.state is TcpState.CLOSED


def test_a_dead_users_end_is_awaited_from_when_the_peer_knows_of_ours():
    net, talker, _ = opened()
    net.drop = lambda packet: packet.source.host == A
    talker.connection.abandon()
    net.run(until=net.now + ORPHAN_TIMEOUT + 1)
    assert talker.connection.state is TcpState.FIN_WAIT_1
    net.drop = None
    net.run(until=net.now + 40)
    assert talker.connection.state is TcpState.FIN_WAIT_2
    net.run(until=net.now + ORPHAN_TIMEOUT)
    assert talker.connection.state is TcpState.CLOSED


def test_a_dead_users_connection_that_ends_in_time_is_left_alone():
    net, talker, peer = opened()
    talker.connection.abandon()
    net.run(until=net.now + 1)
    peer.connection.shutdown()
    net.run(until=net.now + 30)
    assert talker.connection.state is TcpState.TIME_WAIT
    net.run()
    assert net.lost == {}


def test_a_dead_user_who_was_connecting_says_nothing():
    net, talker, acceptor = lab()
    talker.connection.abandon()
    net.run(until=5)
    assert flags(net, "A") == [("A", SYN), ("A", RST)]  # the answer meets nobody
    assert (acceptor.talkers, talker.said) == ([], [])


def test_nothing_is_read_or_told_after_the_end():
    net, talker, peer = opened(reading=False)
    talker.connection.send(bytes(3000))
    net.run(until=net.now + 1)
    talker.connection.abort()
    net.run(until=net.now + 1)
    sent = len(segments(net))
    assert peer.connection.read(3000) == bytes(3000)  # what had come is there
    assert len(segments(net)) == sent


def test_a_user_may_end_inside_whatever_it_is_told():
    for word in ("connected", "readable", "writable"):
        net, talker, acceptor = lab()
        setattr(talker, word, lambda talker=talker: talker.connection.abort())
        net.run(until=1)
        if word != "connected":
            acceptor.talkers[0].connection.send(b"x")
            talker.connection.send(bytes(100_000))
        net.run(until=10)
        assert talker.connection.state is TcpState.CLOSED
        assert [peer.said for peer in acceptor.talkers] == ([] if word == "connected" else [[SocketErrorKind.RESET]])


def test_every_transition_leads_to_a_state_that_something_leaves():
    reached = set(TCP_TRANSITIONS.values()) | {TcpState.CLOSED}
    assert reached == set(TcpState)
    assert {state for state, _ in TCP_TRANSITIONS} == set(TcpState) - {TcpState.TIME_WAIT}
    assert {input for _, input in TCP_TRANSITIONS} == set(TcpInput)
    assert SYN | ACK is TcpFlags.SYN | TcpFlags.ACK


def test_an_access_link_carries_segments_as_it_carries_datagrams():
    net = Network(latency=0.25)
    a, b, acceptor, talker = net.host("A", A, link=Link(latency=0.5)), net.host("B", B), Acceptor(), Talker()
    b.tcp.listen(SERVER, acceptor)
    a.tcp.connect(CLIENT, SERVER, talker)
    net.run(when=lambda: talker.said)
    assert net.now == 1.5
