"""UDP ports: one socket's, or shared by those that agree to it."""

import pytest

from sansice.machine import Address, CloseSocket, OpenSocket, SendDatagram, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.simulation import Fate, Link, Network
from simulation._machines import Failed, Opened, Peer, Received, Unreachable

A, B = "198.51.100.1", "198.51.100.2"
SHARED = SocketOptions(reuse_port=True)
AGAIN = SocketId(2)


class Sharer(Peer):
    """A peer with a second socket, opened as a test wants it."""

    def open(self, bind, options=SHARED, *, now):
        self._outputs.append(OpenSocket(AGAIN, Transport.UDP, bind, None, options))


def sharer(host, port=7, options=SHARED):
    node = host.run(Sharer(host.addresses[0]))
    node.call(node.machine.open, Address(host.addresses[0], port), options)
    return node


def last(node):
    return node.events[-1][1]


def received(node):
    return [event.data for _, event in node.events if isinstance(event, Received)]


def test_a_port_is_shared_by_those_that_all_agree_to():
    host = Network().host("A", A)
    assert [last(sharer(host)) for _ in range(3)] == [Opened(Address(A, 7))] * 3
    assert last(sharer(host, options=SocketOptions())).error.kind is SocketErrorKind.ADDRESS_IN_USE


def test_who_does_not_share_keeps_others_out():
    host = Network().host("A", A)
    sharer(host, options=SocketOptions())
    assert last(sharer(host)).error.kind is SocketErrorKind.ADDRESS_IN_USE


def test_peers_are_spread_over_the_sharers_and_each_always_meets_the_same():
    net = Network()
    host = net.host("A", A)
    sharers = [sharer(host) for _ in range(3)]
    clients = [net.host("B", B).run(Peer(B, port + 1)) for port in [0]]
    clients += [clients[0].host.run(Peer(B, port)) for port in range(2, 40)]
    for _ in range(2):
        for client in clients:
            client.call(client.machine.send, Address(A, 7), str(client.machine.local.port).encode())
    net.run()
    heard = [received(node) for node in sharers]
    assert all(len(one) > 10 for one in heard)
    assert sum(map(len, heard)) == 2 * len(clients)
    assert sum(len(set(one)) for one in heard) == len(clients)


def test_an_icmp_error_is_told_to_all_sharers():
    net = Network()
    host = net.host("A", A)
    net.host("B", B)
    sharers = [sharer(host) for _ in range(2)]
    sharers[0].call(sharers[0].machine.do, SendDatagram(AGAIN, Address(B, 9), b"x"))
    net.run()
    assert [type(last(node)) for node in sharers] == [Unreachable, Unreachable]


def test_a_shared_port_is_free_once_the_last_has_closed_it():
    net = Network()
    host = net.host("A", A)
    one, two = sharer(host), sharer(host)
    one.call(one.machine.do, CloseSocket(AGAIN))
    b = net.host("B", B).run(Peer(B))
    b.call(b.machine.send, Address(A, 7), b"x")
    net.run()
    assert received(two) == [b"x"]
    two.stop()
    assert isinstance(last(host.run(Peer(A, 7))), Opened)


def group_of(net, *hosts, group="224.0.0.251", **options):
    """A node on each host whose second socket, at port 5353, is a member."""
    return [sharer(host, 5353, SocketOptions(multicast_groups=(group,), reuse_port=True, **options)) for host in hosts]


@pytest.mark.parametrize(("group", "stem"), [("224.0.0.251", "10.0.0."), ("ff02::fb", "fe80::")])
def test_what_is_sent_to_a_group_reaches_all_members_on_the_segment_and_nobody_else(group, stem):
    net = Network()
    segment, other = net.segment("LAN"), net.segment("other LAN")
    hosts = [net.host(f"host {n}", f"{stem}{n + 1}", behind=segment) for n in range(4)]
    stranger = net.host("stranger", f"{stem}1", behind=other)
    members = group_of(net, *hosts[:3], stranger, group=group)
    outsider = sharer(hosts[3], 5353)
    members[0].call(members[0].machine.do, SendDatagram(AGAIN, Address(group, 5353), b"who?"))
    net.run()
    assert [received(node) for node in (*members, outsider)] == [[b"who?"], [b"who?"], [b"who?"], [], []]
    assert members[1].events[-1][1].source == Address(f"{stem}1", 5353)


def test_a_member_whose_address_has_changed_goes_on_hearing_the_group():
    net = Network()
    segment = net.segment("LAN")
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    members = group_of(net, *hosts)
    hosts[1].interface("10.0.0.2").readdress("10.0.0.9")
    members[0].call(members[0].machine.do, SendDatagram(AGAIN, Address("224.0.0.251", 5353), b"who?"))
    net.run()
    assert received(members[1]) == [b"who?"]


def test_all_members_on_one_host_hear_it_and_unicast_still_finds_one():
    net = Network()
    segment = net.segment("LAN")
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    members = group_of(net, hosts[0], hosts[0], hosts[1])
    members[2].call(members[2].machine.do, SendDatagram(AGAIN, Address("224.0.0.251", 5353), b"all"))
    members[2].call(members[2].machine.do, SendDatagram(AGAIN, Address("10.0.0.1", 5353), b"one"))
    net.run()
    assert sorted(sorted(received(node)) for node in members) == [[b"all"], [b"all"], [b"all", b"one"]]


def test_who_only_sends_to_a_group_does_not_hear_itself():
    net = Network()
    segment = net.segment("LAN")
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    [member] = group_of(net, hosts[0])
    sender = hosts[1].run(Peer("10.0.0.2"))
    sender.call(sender.machine.send, Address("224.0.0.251", 5353), b"x")
    net.run()
    assert received(sender) == []
    assert received(member) == [b"x"]


def test_what_a_member_sends_to_one_other_alone_does_not_come_back():
    net = Network()
    segment = net.segment("LAN")
    members = group_of(net, *[net.host(f"host {n}", f"10.0.0.{n}", behind=segment) for n in (1, 2)])
    members[0].call(members[0].machine.do, SendDatagram(AGAIN, Address("10.0.0.2", 5353), b"x"))
    net.run()
    assert net.lost == {}
    assert [[event.data for _, event in node.events if isinstance(event, Received)] for node in members] == [[], [b"x"]]


def test_nobody_hears_a_group_that_has_no_members_any_more_and_nobody_complains():
    net = Network(trace=100)
    segment = net.segment("LAN")
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    members = group_of(net, *hosts)
    for member in members:
        member.call(member.machine.do, CloseSocket(AGAIN))
    sender = hosts[0].run(Peer("10.0.0.1"))
    sender.call(sender.machine.send, Address("224.0.0.251", 5353), b"x")
    net.run()
    assert net.lost == {Fate.UNROUTABLE: 1}
    assert segment.holders().keys() == {"10.0.0.1", "10.0.0.2"}


def test_a_member_that_left_while_it_was_under_way_hears_nothing():
    net = Network()
    segment = net.segment("LAN", link=Link(latency=0.5))
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    members = group_of(net, *hosts)
    members[0].call(members[0].machine.do, SendDatagram(AGAIN, Address("224.0.0.251", 5353), b"x"))
    net.at(0.25, members[1].stop)
    net.run()
    assert received(members[1]) == []


def test_what_comes_to_another_port_of_the_group_meets_a_closed_port_and_nobody_answers():
    net = Network(trace=10)
    segment = net.segment("LAN")
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment) for n in range(2)]
    group_of(net, hosts[0])
    sender = hosts[1].run(Peer("10.0.0.2"))
    sender.call(sender.machine.send, Address("224.0.0.251", 9), b"x")
    net.run()
    assert [passage.fate for passage in net.packets] == [Fate.SENT, Fate.CLOSED_PORT]


def test_a_group_is_heard_over_each_members_own_link_and_lost_there():
    net = Network()
    segment = net.segment("LAN", link=Link(latency=0.25))
    links = [None, Link(latency=0.5), Link(loss=1.0)]
    hosts = [net.host(f"host {n}", f"10.0.0.{n + 1}", behind=segment, link=link) for n, link in enumerate(links)]
    members = group_of(net, *hosts)
    members[0].call(members[0].machine.do, SendDatagram(AGAIN, Address("224.0.0.251", 5353), b"x"))
    net.run()
    assert [[time for time, event in node.events if isinstance(event, Received)] for node in members] == [[0.0], [0.75], []]


def test_a_group_never_leaves_through_a_nat():
    net = Network(trace=100)
    nat = net.nat("203.0.113.1")
    node = net.host("A", "10.0.0.2", behind=nat).run(Peer("10.0.0.2"))
    node.call(node.machine.send, Address("224.0.0.251", 5353), b"x")
    node.call(node.machine.send, Address("22.0.0.1", 5353), b"an address that only begins so")
    net.run()
    assert [(passage.place, passage.packet.data) for passage in net.packets if passage.fate is Fate.UNROUTABLE] == [
        ("inside NAT 1", b"x"),
        ("Internet", b"an address that only begins so"),
    ]
    assert node.refused == 0  # the system knew a way


@pytest.mark.parametrize("group", ["10.0.0.9", "ff02::fb"])
def test_what_is_no_group_of_the_sockets_family_cannot_be_joined(group):
    host = Network().host("A", A)
    error = last(sharer(host, options=SocketOptions(multicast_groups=(group,)))).error
    assert (error.kind, error.text) == (SocketErrorKind.OTHER, f"{group} is no multicast group that {A} could join")


def test_an_interface_can_be_asked_for_by_its_name_and_must_have_the_address():
    net = Network()
    host = net.host("A")
    host.attach(A, net.internet, name="wlan0")
    assert isinstance(last(sharer(host, options=SocketOptions(interface="wlan0"))), Opened)
    failed = last(sharer(host, 8, SocketOptions(interface="eth0")))
    assert isinstance(failed, Failed)
    assert (failed.error.kind, failed.error.text) == (SocketErrorKind.ADDRESS_UNAVAILABLE, "A wlan0 is not eth0")
