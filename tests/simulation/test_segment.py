"""Segments: an address means one interface, and a packet crosses the links on its way."""

import pytest

from sansice.machine import Address
from sansice.simulation import Fate, Link, Network
from simulation._machines import Peer, Received


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


def test_a_segments_link_may_be_replaced_and_packets_under_way_keep_their_times():
    net = Network(latency=1.0)
    a, b = two(net)
    send(a, b"slow")
    net.internet.link = Link(latency=0.25)
    assert net.internet.link == Link(latency=0.25)
    send(a, b"fast")
    net.run()
    assert arrivals(b) == [(0.25, b"fast"), (1.0, b"slow")]
