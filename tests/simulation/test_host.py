"""Hosts and the runtime: what a machine asks for happens as on a real system."""

import math

import pytest

from sansice.machine import (
    ANY_IPV4,
    ANY_IPV6,
    Address,
    AddressRecord,
    CloseSocket,
    IcmpError,
    LocalProtocolError,
    Machine,
    NaptrRecord,
    OpenSocket,
    RecordKind,
    ResolveError,
    SendDatagram,
    SocketErrorKind,
    SocketId,
    SrvRecord,
    Transport,
)
from sansice.simulation import Fate, Network, SimulationError
from sansice.simulation._world import _node
from simulation._machines import (
    SOCKET,
    Failed,
    Opened,
    Peer,
    Received,
    Resolved,
    Unreachable,
    WallClockTold,
    Woken,
)

A, B = "198.51.100.1", "198.51.100.2"
PORT_B = Address(B, 5000)


def pair(net, **b):
    return net.host("A", A).run(Peer(A)), net.host("B", B).run(Peer(B, 5000, **b))


def failed(node):
    return [event.error.kind for _, event in node.events if isinstance(event, Failed)]


def test_a_socket_opens_at_once_with_the_port_that_was_asked_for():
    node = Network(start=3.0).host("A", A).run(Peer(A, 4000))
    assert node.events == [(3.0, Opened(Address(A, 4000)))]
    assert node.sockets == {SOCKET: Address(A, 4000)}
    assert node.running


@pytest.mark.parametrize(("any_address", "remote", "local"), [(ANY_IPV4, B, A), (ANY_IPV6, "2001:db8::b", "2001:db8::a")])
def test_any_address_is_the_first_of_the_remotes_family(any_address, remote, local):
    net = Network()
    host = net.host("A", "2001:db8::a")
    host.attach(A, net.internet)
    host.attach("198.51.100.9", net.internet)
    node = host.run(Machine())
    node.call(perform(node), OpenSocket(SOCKET, Transport.UDP, Address(any_address, 5), Address(remote, 3478)))
    assert node.sockets == {SOCKET: Address(local, 5)}


@pytest.mark.parametrize("transport", Transport)
def test_any_address_without_a_route_to_the_remote_is_a_network_out_of_reach(transport):
    node = Network().host("A", A).run(Peer(A))
    node.call(perform(node), OpenSocket(SocketId(7), transport, Address(ANY_IPV6, 5), Address("2001:db8::b", 1)))
    assert failed(node) == [SocketErrorKind.UNREACHABLE]
    assert node.events[-1][1].error.text == "network unreachable: A has no route to 2001:db8::b"


def test_any_address_without_a_remote_is_unavailable():
    node = Network().host("A", A).run(Peer(A))
    node.call(perform(node), OpenSocket(SocketId(7), Transport.UDP, Address(ANY_IPV4, 5)))
    assert failed(node) == [SocketErrorKind.ADDRESS_UNAVAILABLE]


def perform(node):
    def command(*actions, now):
        node.machine._outputs.extend(actions)

    return command


def test_port_0_is_a_seeded_ephemeral_port():
    def ports(seed):
        host = Network(seed=seed).host("A", A)
        return [host.run(Peer(A)).machine.local.port for _ in range(20)]

    assert ports(1) == ports(1)
    assert ports(1) != ports(2)
    assert len(set(ports(1))) == 20
    assert all(49152 <= port <= 65535 for port in ports(1))


def test_the_ports_of_a_host_do_not_depend_on_other_hosts():
    alone, crowded = Network(seed=1), Network(seed=1)
    crowded.host("B", B).run(Peer(B))
    assert alone.host("A", A).run(Peer(A)).machine.local == crowded.host("A", A).run(Peer(A)).machine.local


def test_an_address_that_the_host_does_not_have_cannot_be_bound():
    node = Network().host("A", A).run(Peer(B))
    assert failed(node) == [SocketErrorKind.ADDRESS_UNAVAILABLE]
    assert "A has no address 198.51.100.2" in node.events[0][1].error.text


def test_a_port_is_bound_once():
    host = Network().host("A", A)
    host.run(Peer(A, 4000))
    assert failed(host.run(Peer(A, 4000))) == [SocketErrorKind.ADDRESS_IN_USE]


def test_a_host_runs_out_of_ports(monkeypatch):
    monkeypatch.setattr("sansice.simulation._world._ports.EPHEMERALS", 2)
    host = Network().host("A", A)
    assert {host.run(Peer(A)).machine.local.port for _ in range(2)} == {49152, 49153}
    assert failed(host.run(Peer(A))) == [SocketErrorKind.NO_RESOURCES]


def test_a_machine_that_opens_one_id_twice_is_named():
    node = Network().host("A", A).run(Peer(A))
    with pytest.raises(SimulationError, match="Peer on A opens socket 1 twice"):
        node.call(node.machine.do, OpenSocket(SOCKET, Transport.UDP, Address(A, 0)))


def test_datagrams_arrive_with_their_source_and_are_answered():
    net = Network(latency=0.25)
    a, b = pair(net, echo=True)
    a.call(a.machine.send, PORT_B, b"ping")
    net.run()
    assert b.events[-1] == (0.25, Received(a.machine.local, b"ping"))
    assert a.events[-1] == (0.5, Received(PORT_B, b"ping"))


def test_a_closed_port_is_answered_with_port_unreachable():
    net = Network(latency=0.25)
    a, _ = pair(net)
    a.call(a.machine.send, Address(B, 5001), b"anyone?")
    net.run()
    assert a.events[-1] == (0.5, Unreachable(Address(B, 5001), IcmpError(3, 3)))
    assert a.events[-1][1].error.is_hard
    assert net.lost == {Fate.CLOSED_PORT: 1}


def test_a_closed_port_of_ipv6_is_answered_in_icmpv6():
    net = Network()
    a = net.host("A", "2001:db8::1").run(Peer("2001:db8::1"))
    net.host("B", "2001:db8::2")
    a.call(a.machine.send, Address("2001:db8::2", 1), b"anyone?")
    net.run()
    assert a.events[-1][1].error == IcmpError(1, 4, ipv6=True)


def test_icmp_may_be_switched_off_everywhere_or_at_a_host():
    for net in (Network(icmp=False), Network()):
        a = net.host("A", A).run(Peer(A))
        net.host("B", B).icmp = False
        a.call(a.machine.send, PORT_B, b"anyone?")
        net.run()
        assert [type(event) for _, event in a.events] == [Opened]
        assert net.lost == {Fate.CLOSED_PORT: 1}


def test_an_icmp_error_to_a_socket_closed_meanwhile_causes_no_other():
    net = Network(latency=0.25)
    a, _ = pair(net)
    a.call(a.machine.do, SendDatagram(SOCKET, Address(B, 5001), b"x"), CloseSocket(SOCKET))
    net.run()
    assert net.lost == {Fate.CLOSED_PORT: 2}
    assert net.now == 0.5


def test_a_host_reaches_itself_without_a_link():
    net = Network(latency=0.25, loss=1.0)
    host = net.host("A", A)
    a, b = host.run(Peer(A, 1)), host.run(Peer(A, 2))
    a.call(a.machine.do, SendDatagram(SOCKET, Address(A, 2), b"x"), SendDatagram(SOCKET, Address(A, 3), b"y"))
    assert len(b.events) == 1
    net.run()
    assert b.events[-1] == (0.0, Received(Address(A, 1), b"x"))
    assert a.events[-1] == (0.0, Unreachable(Address(A, 3), IcmpError(3, 3)))


@pytest.mark.parametrize(
    "action",
    [
        SendDatagram(SocketId(9), PORT_B, b"unknown socket"),
        SendDatagram(SOCKET, Address(B, 0), b"port 0"),
        SendDatagram(SOCKET, Address("2001:db8::1", 1), b"other family"),
        SendDatagram(SOCKET, PORT_B, bytes(65508)),
    ],
)
def test_what_a_system_would_refuse_to_send_is_counted_and_not_sent(action):
    net = Network(trace=10)
    a, _ = pair(net)
    a.call(a.machine.do, action)
    net.run()
    assert a.refused == 1
    assert not net.packets


def test_the_longest_datagram_passes():
    net = Network()
    a, b = pair(net)
    a.call(a.machine.send, PORT_B, bytes(65507))
    net.run()
    assert len(b.events[-1][1].data) == 65507


def test_a_closed_socket_hears_nothing_and_its_port_is_free():
    net = Network(latency=0.25)
    a, b = pair(net)
    a.call(a.machine.send, PORT_B, b"late")
    b.call(b.machine.do, CloseSocket(SOCKET), CloseSocket(SocketId(77)))
    net.run()
    assert [type(event) for _, event in b.events] == [Opened]
    assert b.sockets == {}
    again = b.host.run(Peer(B, 5000))
    assert again.machine.local == PORT_B


def test_timers_fire_at_exactly_their_deadline():
    net = Network()
    a, _ = pair(net)
    a.call(a.machine.wake, 39.5)
    net.run()
    assert a.events[-1] == (39.5, Woken())
    assert net.now == 39.5


def test_a_deadline_moved_away_or_nearer_fires_once_where_it_is_now():
    net = Network()
    a, _ = pair(net)
    for at in (5.0, 9.0, 3.0, 7.0):
        a.call(a.machine.wake, at)
    net.run()
    assert [time for time, event in a.events if event == Woken()] == [7.0]


def test_a_disarmed_timer_does_not_fire():
    net = Network()
    a, _ = pair(net)
    a.call(a.machine.wake, 5.0)
    a.call(a.machine.wake, math.inf)
    net.run()
    assert [type(event) for _, event in a.events] == [Opened]


def test_a_deadline_in_the_past_fires_at_once():
    net = Network(start=10.0)
    a, _ = pair(net)
    a.call(a.machine.wake, 4.0)
    net.run()
    assert a.events[-1] == (10.0, Woken())


def test_a_machine_whose_deadline_never_moves_on_is_named():
    class Stuck(Machine):
        def deadline(self):
            return 2.0

    net = Network(seed=5)
    net.host("A", A).run(Stuck())
    with pytest.raises(SimulationError, match=r"Stuck on A wants its timer at 2\.0 s for ever") as raised:
        net.run()
    assert raised.value.__notes__ == ["raised at virtual time 2.0 s", "in a network with the seed 5"]


def test_a_machine_whose_deadline_is_no_time_is_named():
    class Lost(Machine):
        def deadline(self):
            return float("nan")

    with pytest.raises(SimulationError, match=r"Lost on A: deadline\(\) is nan, no time"):
        Network().host("A", A).run(Lost())


def test_a_machine_that_opens_again_what_failed_is_named(monkeypatch):
    class Stubborn(Machine):
        def handle_socket_failed(self, socket, error, *, now):
            self.open(socket + 1)

        def open(self, socket):
            self._outputs.append(OpenSocket(socket, Transport.UDP, Address("198.51.100.99", 0)))

    monkeypatch.setattr(_node, "OPEN_LIMIT", 50)
    node = Network(start=3.0).host("A", A).run(Stubborn())
    with pytest.raises(SimulationError, match=r"Stubborn on A opens sockets at 3\.0 s for ever: the last is 51"):
        node.call(lambda *, now: node.machine.open(1))


def test_the_wall_clock_is_told_when_a_machine_starts():
    net = Network(unix=1.7e9, start=5.0)
    net.run(until=7.5)
    node = net.host("A", A).run(Peer(A, tells_clock=True))
    assert (7.5, WallClockTold(1.7e9 + 2.5)) in node.events


def test_names_are_answered_from_the_zone_by_kind():
    net = Network()
    net.resolve("Stun.Example.", [AddressRecord("192.0.2.1", 60), AddressRecord("2001:db8::1"), SrvRecord(0, 0, 3478, "a")])
    net.resolve("down.example", ResolveError.TIMEOUT)
    a, _ = pair(net)
    answers = [
        ("stun.example", RecordKind.A, (AddressRecord("192.0.2.1", 60),)),
        ("STUN.example.", RecordKind.AAAA, (AddressRecord("2001:db8::1"),)),
        ("stun.example", RecordKind.SRV, (SrvRecord(0, 0, 3478, "a"),)),
        ("stun.example", RecordKind.NAPTR, ResolveError.NOT_FOUND),
        ("nowhere.example", RecordKind.A, ResolveError.NOT_FOUND),
        ("down.example", RecordKind.A, ResolveError.TIMEOUT),
    ]
    for name, kind, answer in answers:
        told = len(a.events)
        a.call(a.machine.ask, name, kind)
        assert len(a.events) == told
        net.run()
        assert a.events[told:] == [(0.0, Resolved(answer))]


def test_naptr_records_are_found():
    net = Network()
    record = NaptrRecord(1, 1, "s", "RELAY:turn.udp", "", "turn.example")
    net.resolve("turn.example", [record])
    a, _ = pair(net)
    a.call(a.machine.ask, "turn.example", RecordKind.NAPTR)
    net.run()
    assert a.events[-1][1] == Resolved((record,))


def test_a_stopped_machine_is_left_alone_and_its_ports_are_free():
    net = Network(latency=0.25)
    a, b = pair(net)
    b.call(b.machine.wake, 5.0)
    b.call(b.machine.ask, "stun.example", RecordKind.A)
    a.call(a.machine.send, PORT_B, b"late")
    b.stop()
    b.call(b.machine.wake, 1.0)
    net.run()
    assert [type(event) for _, event in b.events] == [Opened]
    assert not b.running
    assert net.lost == {Fate.CLOSED_PORT: 1}


def test_a_callers_mistake_reaches_the_test():
    class Strict(Machine):
        def never(self, *, now):
            raise LocalProtocolError(f"not at {now}")

    node = Network(start=1.0).host("A", A).run(Strict())
    with pytest.raises(LocalProtocolError, match=r"not at 1\.0"):
        node.call(node.machine.never)


def test_a_host_may_have_interfaces_at_several_places():
    net = Network(latency=0.25)
    host = net.host("phone", "10.0.0.2", behind=net.nat("203.0.113.1"))
    host.attach("198.51.100.7", net.internet)
    assert host.addresses == ("10.0.0.2", "198.51.100.7")
    _, b = pair(net)
    for address in host.addresses:
        node = host.run(Peer(address, 5))
        node.call(node.machine.send, PORT_B, b"x")
    net.run()
    assert [event.source.host for _, event in b.events[1:]] == ["203.0.113.1", "198.51.100.7"]


def test_a_host_has_an_address_once():
    net = Network()
    host = net.host("A", "10.0.0.2", behind=net.nat("203.0.113.1"))
    with pytest.raises(ValueError, match=r"A has 10\.0\.0\.2 already"):
        host.attach("10.0.0.2", net.internet)
    net.host("B", "10.0.0.2")  # and nothing of the attempt is left


def test_entropy_is_seeded_and_each_hosts_own():
    def draws(seed, name):
        entropy = Network(seed=seed).host(name).entropy
        return [entropy(12), entropy(4)]

    assert draws(1, "A") == draws(1, "A")
    assert len({tuple(draws(*which)) for which in [(1, "A"), (1, "B"), (2, "A")]}) == 3
    host = Network().host("A")
    assert host.entropy(8) != host.entropy(8)
