"""DTLS sockets in the world: who is told what and when, many peers, and what becomes of those who misbehave."""

import itertools

import pytest

from sansice.machine import (
    Address,
    CloseMode,
    CloseSocket,
    IcmpError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    TlsOptions,
    Transport,
)
from sansice.simulation import Fate, Link, Network
from sansice.simulation._world import _dtls_sockets
from sansice.simulation._world._dtls_sockets import COOKIE_LIFETIME, HANDSHAKE_TIMEOUT, IDLE_TIMEOUT
from sansice.simulation._world._packets import Packet
from simulation._ends import ONE, SERVER, A, B, End, world
from simulation._machines import Peer, Received

DTLS = Transport.DTLS
NAMED = SocketOptions(tls=TlsOptions("b.example"))
HERE = Address(A, 5000)


def served(**network):
    net, a, b = world(**network)
    b.host.certificate = ("b.example", B)
    b.listen(transport=DTLS)
    b.heard.clear(), b.times.clear()
    return net, a, b


def associated(**network):
    net, a, b = served(**network)
    a.open(transport=DTLS, bind=HERE, options=NAMED)
    net.run(until=30, when=lambda: a.of("opened"))
    a.heard.clear(), a.times.clear()
    return net, a, b


def failures(end):
    return [what[2] for what in end.of("failed")]


def test_an_association_takes_three_round_trips():
    net, a, b = served(trace=100)
    a.open(transport=DTLS, bind=HERE, options=NAMED)
    net.run(until=10)
    assert (a.heard, a.times) == ([("opened", ONE, HERE)], [1.5])
    assert b.heard == []
    assert a.node.sockets == {ONE: HERE}
    assert b.node.sockets == {ONE: SERVER}
    assert len([passage for passage in net.packets if passage.fate is Fate.SENT]) == 6


def test_datagrams_pass_both_ways_and_come_from_where_they_were_sent():
    net, a, b = associated()
    a.datagram(b"question")
    net.run(until=net.now + 0.25)
    assert b.heard == [("datagram", ONE, HERE, b"question")]
    b.datagram(b"answer", HERE)
    net.run(until=net.now + 0.25)
    assert a.heard == [("datagram", ONE, SERVER, b"answer")]


def test_a_listener_has_many_peers():
    net, a, b = served()
    for number in range(1, 6):
        a.open(number, DTLS, bind=Address(A, 5000 + number), options=NAMED)
    net.run(until=2)
    for number in range(1, 6):
        a.datagram(b"from %d" % number, id=SocketId(number))
    net.run(until=3)
    assert b.heard == [("datagram", ONE, Address(A, 5000 + n), b"from %d" % n) for n in range(1, 6)]


@pytest.mark.parametrize("seed", range(12))
def test_loss_only_delays_an_association(seed):
    net, a, _ = served(seed=seed, loss=0.3, duplication=0.2, reordering=0.2)
    a.open(transport=DTLS, options=NAMED)
    net.run(until=30)
    assert a.kinds()[0] in ("opened", "failed")
    assert a.kinds() == ["opened"] or failures(a) == [SocketErrorKind.TIMEOUT]


@pytest.mark.parametrize(("lost", "opens"), [(0, 2.5), (1, 2.5), (2, 3.0), (3, 2.5), (4, 2.5), (5, 2.5)])
def test_each_of_the_six_datagrams_may_be_lost_once(lost, opens):
    net, a, _ = served()
    count = itertools.count()
    net.drop = lambda packet: next(count) == lost
    a.open(transport=DTLS, options=NAMED)
    net.run(until=30)
    assert a.kinds() == ["opened"]
    assert a.times[0] <= opens


def test_a_server_that_says_nothing_is_asked_five_times_and_given_up():
    net, a, _ = world(trace=100)
    net.drop = lambda packet: True
    a.open(transport=DTLS, options=NAMED)
    net.run()
    assert [passage.time for passage in net.packets if passage.fate is Fate.SENT] == [0, 1, 3, 7, 15]
    assert (failures(a), a.times) == ([SocketErrorKind.TIMEOUT], [HANDSHAKE_TIMEOUT])
    assert a.node.sockets == {}


def test_nobody_at_the_port_is_told_at_once_and_what_may_pass_is_not():
    net, a, _ = world()
    a.open(transport=DTLS, bind=HERE, options=NAMED)
    packet = Packet(Address(B, 0), HERE, b"", IcmpError(3, 1), SERVER)
    net.at(0.1, lambda: a.host.interface(A).receive(packet, True))
    net.run(until=0.2)
    assert a.heard == []
    net.run(until=5)
    assert (failures(a), a.times) == ([SocketErrorKind.REFUSED], [0.5])


def test_errors_of_an_association_are_the_machines():
    net, a, b = associated()
    b.node.stop()
    a.datagram(b"anybody?")
    net.run(until=net.now + 1)
    assert a.heard == [("icmp", SERVER, IcmpError(3, 3))]


def test_a_listeners_machine_hears_of_a_peer_that_is_gone():
    net, a, b = associated()
    a.close(mode=CloseMode.RESET)
    b.datagram(b"anybody?", HERE)
    net.run(until=net.now + 1)
    assert b.heard == [("icmp", HERE, IcmpError(3, 3))]


@pytest.mark.parametrize("mode", CloseMode)
def test_a_client_says_goodbye_only_when_it_flushes(mode):
    net, a, b = associated()
    a.close(mode=mode)
    net.run(until=net.now + 1)
    b.datagram(b"still there?", HERE)
    assert (b.node.lost == {"DTLS: no association": 1}) is (mode is CloseMode.FLUSH)


def test_a_servers_goodbye_resets_every_client():
    net, a, b = served()
    for number in (1, 2):
        a.open(number, DTLS, options=NAMED)
    net.run(until=2)
    a.heard.clear()
    b.close()
    net.run(until=3)
    assert failures(a) == [SocketErrorKind.RESET] * 2
    assert (a.node.sockets, b.node.sockets) == ({}, {})
    a.datagram(b"x")
    assert a.node.refused == 1


def test_a_listener_without_a_certificate_fails():
    _, a, _ = world()
    a.listen(transport=DTLS, bind=HERE)
    assert failures(a) == [SocketErrorKind.TLS]
    assert "A.certificate" in a.error.text


def test_a_certificate_may_go_while_a_listener_lives():
    net, a, b = served()
    b.host.certificate = None
    a.open(transport=DTLS, options=NAMED)
    net.run(until=30)
    assert failures(a) == [SocketErrorKind.TIMEOUT]
    assert b.node.lost["DTLS: failed"] == 5


def test_a_wrong_name_is_refused_and_counted_at_the_server():
    net, a, b = served()
    a.open(transport=DTLS, options=SocketOptions(tls=TlsOptions("c.example")))
    net.run(until=5)
    assert (failures(a), b.node.lost) == ([SocketErrorKind.TLS], {"DTLS: failed": 1})


def test_a_taken_port_fails_at_once():
    _, a, _ = served()
    a.host.run(Peer(A, 5000))
    a.open(transport=DTLS, bind=HERE, options=NAMED)
    assert failures(a) == [SocketErrorKind.ADDRESS_IN_USE]


def test_a_client_sends_to_its_server_alone_and_nothing_empty():
    _, a, b = associated()
    a.datagram(b"x", Address(B, 9))
    a.datagram(b"")
    b.datagram(b"", HERE)
    assert a.node.lost == {"DTLS: no association": 1, "DTLS: not sendable": 1}
    assert b.node.lost == {"DTLS: not sendable": 1}


def test_strangers_are_dropped_on_both_sides():
    net, a, b = associated()
    stranger = net.host("stranger", "198.51.100.9").run(Peer("198.51.100.9", 7))
    for to in (HERE, SERVER):
        for data in (b"", b"\x16\xfe\xfd garbage", bytes(50)):
            stranger.call(stranger.machine.send, to, data)
    net.run(until=net.now + 2)
    assert (a.heard, b.heard) == ([], [])
    assert b.node.lost == {"DTLS: no association": 3}
    assert [event for _, event in stranger.events if isinstance(event, Received)] == []


def test_the_servers_own_words_from_elsewhere_are_dropped():
    net, a, b = associated(trace=1000)
    stranger = net.host("stranger", "198.51.100.9").run(Peer("198.51.100.9", 7))
    net.drop = lambda packet: packet.source == SERVER
    b.datagram(b"secret", HERE)
    net.run(until=net.now + 1)
    [protected] = [passage.packet.data for passage in net.packets if passage.fate is Fate.DROPPED]
    net.drop = None
    stranger.call(stranger.machine.send, HERE, protected)
    net.run(until=net.now + 1)
    assert a.heard == []


def test_a_machine_that_closes_when_it_is_told_is_told_no_more():
    for word in ("opened", "datagram"):
        net, a, b = served()
        a.machine.react[word] = lambda *_, a=a: a.close()
        a.open(transport=DTLS, bind=HERE, options=NAMED)
        net.run(until=2)
        if word == "datagram":
            b.datagram(b"one", HERE)
            b.close()
        net.run(until=4)
        assert a.kinds()[-1] == word


def test_a_listener_that_closes_inside_what_it_is_told_says_goodbye():
    net, a, b = associated()
    b.machine.react["datagram"] = lambda *_: b.do(CloseSocket(ONE))
    a.datagram(b"go")
    net.run(until=net.now + 2)
    assert a.kinds() == ["failed"]


def test_who_is_silent_for_long_is_forgotten_and_told():
    net, a, b = associated()
    start = net.now
    net.run(until=start + 100)
    a.datagram(b"alive")
    net.run(until=start + IDLE_TIMEOUT + 50)
    assert a.heard == []
    net.run()
    assert failures(a) == [SocketErrorKind.RESET]
    assert a.times == [start + 100 + 0.25 + IDLE_TIMEOUT + 0.25]
    assert len(b.node._others._sockets[ONE]._peers) == 0


def test_a_peer_that_starts_anew_has_a_new_association():
    net, a, b = associated()
    a.close(mode=CloseMode.RESET)
    a.open(2, DTLS, bind=HERE, options=NAMED)
    net.run(until=net.now + 3)
    a.datagram(b"again", id=SocketId(2))
    net.run(until=net.now + 1)
    assert b.heard == [("datagram", ONE, HERE, b"again")]
    assert len(b.node._others._sockets[ONE]._peers) == 1


def test_the_key_of_the_cookies_changes_and_the_last_one_still_counts():
    net, a, b = served()
    net.run(until=COOKIE_LIFETIME - 1)
    net.at(COOKIE_LIFETIME + 0.1, lambda: a.open(transport=DTLS, options=NAMED))
    a.open(2, DTLS, options=NAMED)
    net.run(until=COOKIE_LIFETIME + 20)
    keys = {b.node._others._sockets[ONE]._key}
    assert a.kinds() == ["opened", "opened"]
    net.run(until=5 * COOKIE_LIFETIME)
    a.open(3, DTLS, options=NAMED)
    net.run(until=6 * COOKIE_LIFETIME)
    listener = b.node._others._sockets[ONE]
    keys |= {listener._key, listener._key_before}
    assert len(keys) == 3
    assert a.kinds() == ["opened"] * 3


def test_a_cookie_that_straddles_a_change_of_the_key_counts():
    net, a, _ = served()
    a.open(1, DTLS, options=NAMED)
    net.run(until=2)
    changes = 0.25 + COOKIE_LIFETIME
    net.at(changes - 0.4, lambda: a.open(2, DTLS, options=NAMED))  # its hello before the change, its cookie after
    net.run(until=changes + 5)
    assert a.times[1] == changes - 0.4 + 1.5


def test_no_state_is_kept_for_who_does_not_return_a_cookie():
    net, a, b = served()
    net.drop = lambda packet: packet.source.host == B
    a.open(transport=DTLS, options=NAMED)
    net.run(until=30)
    assert len(b.node._others._sockets[ONE]._peers) == 0


def test_a_handshake_that_is_not_finished_is_given_up():
    net, a, b = served(trace=100)
    a.open(transport=DTLS, options=NAMED)
    net.run(until=0.9)
    a.node.stop()
    b.host.icmp = a.host.icmp = False
    net.run()
    assert b.node.lost == {"DTLS: handshake timed out": 1}
    assert net.now == 0.75 + HANDSHAKE_TIMEOUT
    assert [p.time for p in net.packets if p.fate is Fate.SENT and p.place == "B"] == [0.25, 0.75, 1.75, 3.75, 7.75, 15.75]


def test_handshakes_and_associations_are_bounded(monkeypatch):
    monkeypatch.setattr(_dtls_sockets, "MAX_HANDSHAKES", 2)
    monkeypatch.setattr(_dtls_sockets, "MAX_SESSIONS", 3)
    net, a, b = served()
    for number in range(1, 4):
        a.open(number, DTLS, options=NAMED)
    net.run(until=0.9)
    assert b.node.lost == {"DTLS: too many handshakes": 1}
    net.run(until=5)
    for number in (4, 5):
        a.open(number, DTLS, options=NAMED)
        net.run(until=net.now + 3)
    assert b.node.lost["DTLS: too many associations"] >= 1
    assert len(b.node._others._sockets[ONE]._peers) == 3


def test_where_there_are_too_many_who_was_silent_for_longest_is_told_goodbye(monkeypatch):
    monkeypatch.setattr(_dtls_sockets, "MAX_SESSIONS", 3)
    net, a, b = served()
    for number in range(1, 4):
        a.open(number, DTLS, options=NAMED)
        net.run(until=net.now + 3)
    a.datagram(b"I am here", id=SocketId(1))
    net.run(until=net.now + 3)
    a.open(4, DTLS, options=NAMED)
    net.run(until=net.now + 3)
    assert b.node.lost == {"DTLS: too many associations": 1}
    assert [what[1] for what in a.of("failed")] == [2]


def test_the_death_of_a_node_frees_its_ports_without_a_word():
    net, a, b = associated(trace=1000)
    sent = len(net.packets)
    a.node.stop()
    b.node.stop()
    assert len(net.packets) == sent
    assert a.host.run(Peer(A, 5000)).machine.local == HERE
    net.run(until=net.now + 5)
    assert (a.heard, b.heard) == ([], [])


def test_a_datagram_that_may_not_be_cut_is_refused_where_it_does_not_fit():
    net, a, _ = served()
    options = SocketOptions(tls=TlsOptions("b.example"), dont_fragment=True)
    a.open(transport=DTLS, options=options)
    a.open(2, DTLS, options=NAMED)
    net.run(until=3)
    a.host.interfaces[0].link = Link(mtu=1000)
    for id in (ONE, SocketId(2)):
        a.datagram(bytes(1200), id=id)
    assert a.node.refused == 1
    net.run(until=5)
    assert len(net.lost) == 0


def test_what_leaves_no_more_is_counted_as_refused():
    net, a, _ = associated()
    a.host.interfaces[0].down()
    a.datagram(b"x")
    assert a.node.refused == 1
    a.open(2, DTLS, bind=Address(A, 0), options=NAMED)
    net.run(until=net.now + 30)
    assert failures(a) == [SocketErrorKind.TIMEOUT]


def test_the_same_seed_gives_the_same_datagrams():
    def traced(seed):
        net, a, _ = served(seed=seed, loss=0.2, trace=1000)
        a.open(transport=DTLS, options=NAMED)
        net.run(until=20)
        return [repr(passage) for passage in net.packets]

    assert traced(1) == traced(1) != traced(2)


def test_ipv6_and_a_literal_in_the_certificate():
    net = Network(latency=0.25)
    a, b = End(net.host("A", "2001:db8::a")), End(net.host("B", "2001:db8::b"))
    b.host.certificate = ("2001:db8::b",)
    b.listen(transport=DTLS, bind=Address("2001:db8::b", 5349))
    a.open(transport=DTLS, remote=Address("2001:db8::b", 5349))
    net.run(until=3)
    assert a.kinds() == ["opened"]
