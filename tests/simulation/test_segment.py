"""Segments: an address means one interface, and a packet crosses the links on its way."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Link, Network, Packet
from simulation._machines import Peer, Received, Unreachable


def two(net, **links):
    a = net.host("A", "198.51.100.1", link=links.get("a")).run(Peer("198.51.100.1", 1))
    b = net.host("B", "198.51.100.2", link=links.get("b")).run(Peer("198.51.100.2", 2))
    return a, b


B = Address("198.51.100.2", 2)


def send(node, data=b"x", to=B):
    node.call(node.machine.send, to, data)


def arrivals(node):
    return [(time, event.data) for time, event in node.events if isinstance(event, Received)]


def test_a_packet_takes_the_latency_of_every_link_on_its_way():
    net = Network(latency=0.25)
    a, b = two(net, a=Link(latency=0.125), b=Link(latency=0.5))
    send(a)
    net.run()
    assert arrivals(b) == [(0.875, b"x")]


def test_a_packet_on_a_link_without_latency_arrives_at_once_but_not_within_the_senders_step():
    net = Network()
    a, b = two(net)
    send(a)
    assert arrivals(b) == []
    net.run()
    assert arrivals(b) == [(0.0, b"x")]


def test_an_access_link_loses_packets_in_both_directions():
    net = Network()
    a, b = two(net, a=Link(loss=1.0))
    send(a)
    send(b, to=Address("198.51.100.1", 1))
    net.run()
    assert arrivals(a) == arrivals(b) == []
    assert net.lost == {Fate.LOST: 2}


def test_a_duplicated_packet_arrives_twice_and_is_traced():
    net = Network(duplication=1.0, latency=0.5, trace=100)
    a, b = two(net)
    send(a)
    net.run()
    assert arrivals(b) == [(0.5, b"x"), (0.5, b"x")]
    assert [passage.fate for passage in net.packets] == [Fate.SENT, Fate.DUPLICATED, Fate.DELIVERED, Fate.DELIVERED]


def test_a_held_back_packet_is_overtaken():
    net = Network(seed=4, latency=0.01, reordering=0.5, hold=0.1)
    a, b = two(net)
    for n in range(20):
        net.at(n * 0.01, lambda n=n: send(a, bytes([n])))
    net.run()
    order = [data[0] for _, data in arrivals(b)]
    assert order != sorted(order)
    assert sorted(order) == list(range(20))


def test_an_address_that_nobody_has_is_unroutable():
    net = Network(trace=10)
    a, _ = two(net)
    send(a, to=Address("198.51.100.9", 1))
    net.run()
    assert net.lost == {Fate.UNROUTABLE: 1}
    assert net.packets[-1].place == "Internet"


def test_an_address_is_given_once():
    net = Network()
    net.host("A", "2001:db8::1")
    with pytest.raises(ValueError, match="2001:db8::1 is taken at Internet by A"):
        net.host("B", "2001:DB8:0::1")


def test_an_address_must_be_a_literal():
    with pytest.raises(ValueError, match="literal"):
        Network().host("A", "example.org")


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "255.255.255.255", "224.0.0.251", "ff02::1"])
def test_an_address_of_nobody_or_of_many_is_no_hosts(address):
    with pytest.raises(ValueError, match=f"A cannot have {address}: no interface has"):
        Network().host("A", address)
    host = Network().host("A", "2001:db8::1" if ":" in address else "192.0.2.1")
    with pytest.raises(ValueError, match=f"A cannot have {address}: no interface has"):
        host.interfaces[0].readdress(address)


def test_a_host_outside_has_no_address_of_a_segment_further_in():
    net = Network()
    net.segment("LAN", "198.51.100.0/24", behind=net.internet)
    with pytest.raises(ValueError, match=r"198\.51\.100\.7 of A at Internet is one of 198\.51\.100\.0/24, which is LAN's"):
        net.host("A", "198.51.100.7")


def test_a_segment_further_in_has_no_prefix_in_which_a_host_outside_is():
    net = Network()
    net.host("A", "198.51.100.7", "2001:db8::7")
    with pytest.raises(ValueError, match=r"198\.51\.100\.7 of A at Internet is one of 198\.51\.100\.0/24, which is LAN's"):
        net.segment("LAN", "198.51.100.0/24", behind=net.internet)


def test_a_segments_link_may_be_replaced_and_packets_under_way_keep_their_times():
    net = Network(latency=1.0)
    a, b = two(net)
    send(a, b"slow")
    net.internet.link = Link(latency=0.25)
    assert net.internet.link == Link(latency=0.25)
    send(a, b"fast")
    net.run()
    assert arrivals(b) == [(0.25, b"fast"), (1.0, b"slow")]


def test_a_segment_may_tell_that_nobody_has_an_address():
    net = Network(latency=0.25)
    net.internet.tells_absence = True
    a, _ = two(net)
    nowhere = Address("198.51.100.9", 1)
    send(a, to=nowhere)
    net.run()
    assert a.events[-1] == (0.25, Unreachable(nowhere, IcmpError(3, 1)))


def test_nobody_is_told_of_the_absence_of_whom_an_error_is_for():
    net = Network(latency=0.25)
    net.internet.tells_absence = True
    a, b = two(net)
    send(a, to=Address("198.51.100.2", 9))
    net.at(0.125, lambda: a.host.interface("198.51.100.1").readdress("198.51.100.3"))
    net.run()
    assert net.lost == {Fate.CLOSED_PORT: 1, Fate.UNROUTABLE: 1}
    assert len(b.events) == 1


def test_a_segment_knows_who_has_which_address():
    net = Network()
    lan = net.segment("LAN", "10.0.0.0/8", "fd00::/8")
    host = net.host("A", "10.0.0.1", "fd00::1", behind=lan)
    assert lan.holders() == {"10.0.0.1": host.interface("10.0.0.1"), "fd00::1": host.interface("fd00::1")}
    assert lan.holder("10.0.0.2") is None


@pytest.mark.parametrize("prefix", ["10.0.0.0/33", "10.0.0.1/8", "LAN"])
def test_a_prefix_that_is_none_is_refused(prefix):
    with pytest.raises(ValueError, match=f"'{prefix}' is no prefix such as"):
        Network().segment("LAN", prefix)


def test_an_island_is_reached_by_nobody_else():
    net = Network()
    island = net.segment("island", link=Link(latency=0.25))
    a = net.host("A", "10.0.0.1", behind=island).run(Peer("10.0.0.1", 1))
    b = net.host("B", "10.0.0.2", behind=island).run(Peer("10.0.0.2", 2))
    outsider = net.host("C", "198.51.100.1").run(Peer("198.51.100.1", 1))
    send(a, to=Address("10.0.0.2", 2))
    send(outsider, to=Address("10.0.0.2", 2))
    net.run()
    assert arrivals(b) == [(0.25, b"x")]
    assert net.lost == {Fate.UNROUTABLE: 1}
    assert (a.refused, outsider.refused) == (0, 0)


def test_nothing_is_carried_back_to_who_sent_it():
    net = Network()
    a, b = two(net)
    own = b.host.interface("198.51.100.2")
    assert net.internet.carry(own, Packet(B, B, b"x"), False)
    assert net.lost == {Fate.UNROUTABLE: 1}
    assert len(a.events) == len(b.events) == 1
