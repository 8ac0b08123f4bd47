"""TCP ports of a host: who may have which, who is told of what arrives."""

import pytest

from sansice.machine import Address, SocketError, SocketErrorKind
from sansice.simulation import Fate, Network
from sansice.simulation._world._packets import Packet, TcpSegment
from sansice.simulation._world._tcp import TcpState
from sansice.simulation._world._tcp_ports import BACKLOG, TIME_WAIT
from simulation._ends import ACK, FIN, RST, SERVER, SYN, A, Acceptor, B, Puppet, Talker
from simulation._machines import Peer

LOCAL = Address(A, 5000)
OTHER = Address(B, 444)


@pytest.fixture
def net():
    return Network(latency=0.25, trace=10_000)


@pytest.fixture
def host(net):
    return net.host("A", A)


def connect(net, host, wanted=LOCAL, remote=SERVER, **options):
    talker = Talker()
    talker.connection = host.tcp.connect(wanted, remote, talker, **options)
    net.run(until=net.now + 1)
    return talker


def kind(result):
    assert isinstance(result, SocketError)
    return result.kind


def serve(net, *addresses):
    server = net.host("B", B)
    acceptor = Acceptor()
    for address in addresses or (SERVER, OTHER):
        server.tcp.listen(address, acceptor)
    return server, acceptor


# ---------------------------------------------------------------- binding


def test_an_address_that_the_host_does_not_have_cannot_be_bound(host):
    assert kind(host.tcp.listen(SERVER, Acceptor())) is SocketErrorKind.ADDRESS_UNAVAILABLE
    assert kind(host.tcp.connect(SERVER, OTHER, Talker())) is SocketErrorKind.ADDRESS_UNAVAILABLE


def test_a_port_that_is_reserved_is_nobody_elses_and_answers_nobody(net, host):
    reserved = host.tcp.reserve(Address(A, 0))
    again = host.tcp.reserve(reserved.local)
    puppet = Puppet(net)
    assert kind(again) is kind(host.tcp.listen(reserved.local, Acceptor())) is SocketErrorKind.ADDRESS_IN_USE
    puppet.say(reserved.local, SYN, 7)
    assert puppet.flags() == [RST | ACK]
    host.tcp.release(reserved)
    assert host.tcp.listen(reserved.local, Acceptor()).local == reserved.local


def test_a_reservation_may_be_shared_and_lets_in_nobody_who_does_not_share(host):
    one, other = (host.tcp.reserve(LOCAL, reuse_port=True) for _ in range(2))
    assert one.local == other.local == LOCAL
    assert kind(host.tcp.reserve(LOCAL)) is SocketErrorKind.ADDRESS_IN_USE


def test_a_remote_of_another_family_is_named(host):
    error = host.tcp.connect(LOCAL, Address("2001:db8::1", 1), Talker())
    assert kind(error) is SocketErrorKind.OTHER
    assert "[2001:db8::1]:1" in error.text


def test_who_has_no_way_there_is_told_at_once_and_has_its_port_back(net, host):
    host.interfaces[0].down()
    assert kind(host.tcp.connect(LOCAL, SERVER, Talker())) is SocketErrorKind.UNREACHABLE
    host.interfaces[0].up()
    serve(net)
    assert connect(net, host).said == ["connected"]


def test_port_0_is_a_seeded_free_port_of_tcps_own():
    def ports(seed):
        host = Network(seed=seed).host("A", A)
        return [host.tcp.listen(Address(A, 0), Acceptor()).local.port for _ in range(20)]

    assert ports(1) == ports(1) != ports(2)
    assert len(set(ports(1))) == 20
    assert all(49152 <= port <= 65535 for port in ports(1))


def test_a_host_runs_out_of_ports(host, monkeypatch):
    monkeypatch.setattr("sansice.simulation._world._tcp_ports.EPHEMERALS", 2)
    assert {host.tcp.listen(Address(A, 0), Acceptor()).local.port for _ in range(2)} == {49152, 49153}
    assert kind(host.tcp.listen(Address(A, 0), Acceptor())) is SocketErrorKind.NO_RESOURCES


def test_a_port_has_one_listener_until_it_is_closed(host):
    listener = host.tcp.listen(LOCAL, Acceptor())
    assert kind(host.tcp.listen(LOCAL, Acceptor())) is SocketErrorKind.ADDRESS_IN_USE
    assert kind(host.tcp.connect(LOCAL, SERVER, Talker())) is SocketErrorKind.ADDRESS_IN_USE
    listener.close()
    assert host.tcp.listen(LOCAL, Acceptor()).local == LOCAL


def test_a_port_is_shared_by_those_that_all_agree_to(net, host):
    serve(net)
    listener = host.tcp.listen(LOCAL, Acceptor(), reuse_port=True)
    assert kind(host.tcp.connect(LOCAL, SERVER, Talker())) is SocketErrorKind.ADDRESS_IN_USE
    first = connect(net, host, reuse_port=True)
    assert connect(net, host, remote=OTHER, reuse_port=True).said == first.said == ["connected"]
    assert kind(connect(net, host, reuse_port=True).connection) is SocketErrorKind.ADDRESS_UNAVAILABLE
    listener.close()
    assert kind(host.tcp.listen(LOCAL, Acceptor())) is SocketErrorKind.ADDRESS_IN_USE


def test_several_listeners_at_one_port_share_its_clients_by_their_ports(net, host):
    server = net.host("B", B)
    acceptors = [Acceptor(), Acceptor()]
    listeners = [server.tcp.listen(SERVER, acceptor, reuse_port=True) for acceptor in acceptors]
    for port in (5000, 5001, 5003, 5005):
        connect(net, host, Address(A, port))
    assert [len(acceptor.talkers) for acceptor in acceptors] == [1, 3]
    listeners[1].close()
    assert connect(net, host, Address(A, 5007)).said == ["connected"]
    assert len(acceptors[0].talkers) == 2


def test_a_server_comes_back_at_its_port_although_its_connections_live(net, host):
    server, acceptor = serve(net, OTHER)
    listener = server.tcp.listen(SERVER, acceptor)
    talker = connect(net, host)
    listener.close()
    assert kind(server.tcp.connect(SERVER, LOCAL, Talker())) is SocketErrorKind.ADDRESS_IN_USE
    assert server.tcp.listen(SERVER, Acceptor()).local == SERVER
    talker.connection.send(b"still here")
    net.run(until=net.now + 1)
    assert acceptor.talkers[0].got == b"still here"


def ended(net, talker, peer):
    talker.connection.shutdown()
    net.run(until=net.now + 1)
    peer.connection.shutdown()
    net.run(until=net.now + 1)


def test_a_port_rests_for_a_minute_after_a_connection_that_was_ended_from_it(net, host):
    _, acceptor = serve(net)
    talker = connect(net, host)
    ended(net, talker, acceptor.talkers[0])
    assert talker.connection.state is TcpState.TIME_WAIT
    assert kind(host.tcp.connect(LOCAL, OTHER, Talker())) is SocketErrorKind.ADDRESS_IN_USE
    assert kind(host.tcp.listen(LOCAL, Acceptor())) is SocketErrorKind.ADDRESS_IN_USE
    net.run(until=net.now + TIME_WAIT)
    assert connect(net, host).said == ["connected"]
    assert talker.connection.state is TcpState.CLOSED


def test_a_port_is_free_at_once_on_the_side_that_was_ended(net, host):
    server, acceptor = serve(net, SERVER)
    talker = connect(net, host)
    acceptor.talkers[0].connection.shutdown()
    net.run(until=net.now + 1)
    talker.connection.shutdown()
    net.run(until=net.now + 1)
    assert talker.connection.state is TcpState.CLOSED
    again = connect(net, host)  # the server's end rests, and yields to the new SYN (RFC 9293 3.6.1)
    assert again.said == ["connected"]
    assert len(acceptor.talkers) == 2
    assert server.tcp.listen(Address(B, 445), Acceptor()).local.port == 445


def test_a_rested_connection_is_forgotten_when_a_segment_asks_for_it(net, host):
    acceptor, puppet = Acceptor(), Puppet(net)
    host.tcp.listen(LOCAL, acceptor)
    puppet.say(LOCAL, SYN, 7)
    ack = puppet.take()[0].tcp.seq + 1
    puppet.say(LOCAL, ACK, 8, ack)
    acceptor.talkers[0].connection.shutdown()
    puppet.say(LOCAL, FIN | ACK, 8, ack + 1)
    net.run(until=net.now + TIME_WAIT)
    puppet.take()
    puppet.say(LOCAL, FIN | ACK, 8, ack + 1)
    assert puppet.flags() == [RST]


def test_an_old_syn_does_not_disturb_a_resting_connection(net, host):
    acceptor, puppet = Acceptor(), Puppet(net)
    host.tcp.listen(LOCAL, acceptor)
    puppet.say(LOCAL, SYN, 1007)
    ack = puppet.take()[0].tcp.seq + 1
    puppet.say(LOCAL, ACK, 1008, ack)
    acceptor.talkers[0].connection.shutdown()
    puppet.say(LOCAL, FIN | ACK, 1008, ack + 1)
    puppet.take()
    puppet.say(LOCAL, SYN, 7)
    assert puppet.flags() == [ACK]
    puppet.say(LOCAL, SYN, 5000)
    assert puppet.flags() == [SYN | ACK]


# ---------------------------------------------------------------- strangers


def test_what_is_for_nobody_is_reset_as_the_rfc_says(net, host):
    puppet = Puppet(net)
    puppet.say(LOCAL, SYN, 7)
    puppet.say(LOCAL, FIN, 7, data=b"abc")
    puppet.say(LOCAL, ACK, 7, 99)
    puppet.say(LOCAL, RST, 7)
    assert [(p.tcp.flags, p.tcp.seq, p.tcp.ack) for p in puppet.take()] == [
        (RST | ACK, 0, 8),
        (RST | ACK, 0, 11),
        (RST, 99, 0),
    ]
    assert net.lost == {Fate.CLOSED_PORT: 4}


def test_a_listener_answers_syns_alone(net, host):
    puppet = Puppet(net)
    host.tcp.listen(LOCAL, Acceptor())
    puppet.say(LOCAL, SYN | ACK, 7, 9)
    puppet.say(LOCAL, ACK, 7, 9)
    assert puppet.flags() == [RST, RST]


def test_a_flood_of_syns_fills_one_listener_and_passes(net, host):
    acceptor, puppet = Acceptor(), Puppet(net)
    host.tcp.listen(LOCAL, acceptor)
    for port in range(BACKLOG + 5):
        puppet.interface.send(Packet(Address(B, 1000 + port), LOCAL, b"", tcp=TcpSegment(SYN, 7, 0, 65535)))
    net.run(until=0.6)
    assert net.lost == {Fate.BACKLOG_FULL: 5}
    assert len(puppet.take()) == BACKLOG
    net.run(until=70)
    puppet.take()
    puppet.say(LOCAL, SYN, 7)
    assert puppet.flags() == [SYN | ACK]


def test_a_listener_that_closes_resets_who_was_not_through(net, host):
    acceptor, puppet = Acceptor(), Puppet(net)
    listener = host.tcp.listen(LOCAL, acceptor)
    puppet.say(LOCAL, SYN, 7)
    puppet.take()
    listener.close()
    net.run(until=net.now + 0.5)
    assert puppet.flags() == [RST | ACK]
    puppet.say(LOCAL, SYN, 7)
    assert puppet.flags() == [RST | ACK]


def test_the_trace_tells_at_which_interface_segments_reached_a_socket_or_none(net, host):
    serve(net)
    connect(net, host)
    connect(net, host, Address(A, 6000), Address(B, 9))
    told = {(passage.fate, passage.interface) for passage in net.packets if passage.place == "B"}
    assert {(Fate.DELIVERED, f"B {B}"), (Fate.CLOSED_PORT, f"B {B}"), (Fate.SENT, f"B {B}")} <= told


def test_tcp_and_udp_have_ports_of_their_own(host):
    host.run(Peer(A, 5000))
    assert host.tcp.listen(LOCAL, Acceptor()).local == LOCAL
