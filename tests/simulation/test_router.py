"""Routers: longest prefix first, hop by hop, and an honest word where there is no way."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Link, Network
from simulation._machines import Peer, Received, Unreachable

B = "198.51.100.2"
TO_B = Address(B, 2)


def peer(net, name, address, behind=None, **options):
    return net.host(name, address, behind=behind).run(Peer(address, 2, **options))


def send(net, node, destination, data=b"x"):
    """What came back to it."""
    told = len(node.events)
    node.call(node.machine.send, Address(destination, 2), data)
    net.run()
    return [event for _, event in node.events[told:]]


def two_lans(net, *prefixes):
    router = net.router("core", address="203.0.113.9")
    lans = [net.segment(f"LAN {n}", *prefixes[n : n + 1], behind=router) for n in (1, 2)]
    return router, *lans


def test_hosts_on_two_networks_reach_each_other_and_the_internet_without_translation():
    net = Network(trace=100)
    _, one, two = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    b = peer(net, "B", "10.2.0.2", two, echo=True)
    c = peer(net, "C", B, echo=True)
    assert send(net, a, "10.2.0.2") == [Received(Address("10.2.0.2", 2), b"x")]
    assert b.events[-1][1].source == Address("10.1.0.2", 2)
    assert send(net, a, B) == [Received(TO_B, b"x")]
    assert c.events[-1][1].source == Address("10.1.0.2", 2)


def test_the_trace_shows_where_a_packet_came_in_and_by_which_leg_it_left():
    net = Network(trace=100)
    _, one, two = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    peer(net, "B", "10.2.0.2", two)
    send(net, a, "10.2.0.2")
    assert [(line.fate, line.place, line.interface, line.packet.hops) for line in net.packets] == [
        (Fate.SENT, "A", "A 10.1.0.2", 64),
        (Fate.ARRIVED, "core", "core LAN 1", 64),
        (Fate.FORWARDED, "core", "core LAN 2", 63),
        (Fate.DELIVERED, "B", "B 10.2.0.2", 63),
    ]


def test_a_network_behind_another_place_gets_a_router_of_its_own():
    net = Network()
    nat = net.nat("203.0.113.1")
    lan = net.segment("LAN", "10.1.0.0/16", behind=nat)
    deep = net.segment("deep LAN", "10.2.0.0/16", behind=lan)
    near = peer(net, "near", "10.0.0.2", nat)
    far = peer(net, "far", "10.2.0.2", deep)
    server = peer(net, "B", B, echo=True)
    assert send(net, far, B) == [Received(TO_B, b"x")]
    assert server.events[-1][1].source.host == "203.0.113.1"
    assert send(net, near, "10.2.0.2") == []
    assert far.events[-1][1] == Received(Address("10.0.0.2", 2), b"x")


def test_a_router_takes_up_the_hosts_that_were_there_before_it_and_forgets_those_that_leave():
    net = Network()
    lan = net.segment("LAN")
    a = peer(net, "A", "10.1.0.2", lan)
    b = peer(net, "B", B)
    net.router("core").join(lan, "10.1.0.1")
    assert send(net, b, "10.1.0.2") == []
    assert a.events[-1][1] == Received(TO_B, b"x")
    a.host.interface("10.1.0.2").readdress("10.1.0.3")
    send(net, b, "10.1.0.2")
    assert net.lost == {Fate.UNROUTABLE: 1}
    net.host("C", "10.1.0.2")


def test_the_longest_prefix_wins_and_other_routers_are_reached_by_their_addresses():
    net = Network()
    backbone = net.segment("backbone")
    left, right = net.router("left", behind=net.internet), net.router("right", behind=net.internet)
    left.join(backbone, "172.16.0.1", gateway=False)
    right.join(backbone, "172.16.0.2", gateway=False)
    one, two = net.segment("LAN 1", behind=left), net.segment("LAN 2")
    right.join(two, gateway=True)
    a = peer(net, "A", "10.1.0.2", one)
    b = peer(net, "B", "10.2.0.2", two)
    c = peer(net, "C", "10.2.0.3", two)
    left.route("10.2.0.0/16", via="172.16.0.2")
    left.refuse("10.0.0.0/8", "admin")
    left.refuse("10.2.0.3/32", "host")
    net.internet.detach("10.2.0.2")  # so that only the backbone leads there
    assert send(net, a, "10.2.0.2") == []
    assert b.events[-1][1] == Received(Address("10.1.0.2", 2), b"x")
    assert send(net, a, "10.3.0.1") == [Unreachable(Address("10.3.0.1", 2), IcmpError(3, 13))]
    assert send(net, a, "10.2.0.3") == [Unreachable(Address("10.2.0.3", 2), IcmpError(3, 1))]
    assert len(c.events) == 1


@pytest.mark.parametrize(("reason", "code4", "code6"), [("net", 0, 0), ("host", 1, 3), ("admin", 13, 1), ("silent", None, None)])
def test_what_is_refused_comes_back_as_the_error_of_its_family(reason, code4, code6):
    net = Network()
    router, one, _ = two_lans(net)
    router.refuse("198.51.0.0/16", reason)
    router.refuse("2001:db8:f::/48", reason)
    for own, other, error in [
        ("10.1.0.2", "198.51.9.9", None if code4 is None else IcmpError(3, code4)),
        ("2001:db8::2", "2001:db8:f::9", None if code6 is None else IcmpError(1, code6, ipv6=True)),
    ]:
        node = peer(net, f"A {own}", own, one)
        assert send(net, node, other) == ([] if error is None else [Unreachable(Address(other, 2), error)])
    assert net.lost == {Fate.NO_ROUTE: 2}


def test_a_host_that_is_not_on_its_network_is_unreachable():
    net = Network()
    _, one, _ = two_lans(net, "", "10.1.0.0/16", "10.2.0.0/16")
    a = peer(net, "A", "10.1.0.2", one)
    assert send(net, a, "10.2.0.77") == [Unreachable(Address("10.2.0.77", 2), IcmpError(3, 1))]
    assert net.lost == {Fate.UNROUTABLE: 1}


def test_two_networks_may_be_joined_without_an_internet():
    net = Network()
    lan, other = net.segment("LAN"), net.segment("other LAN")
    net.router("core", behind=other).join(lan)
    a = peer(net, "A", "10.1.0.2", lan)
    b = peer(net, "B", "10.2.0.2", other)
    send(net, a, "10.2.0.2", b"there")
    send(net, b, "10.1.0.2", b"back")
    assert (b.events[1][1].data, a.events[1][1].data) == (b"there", b"back")
    assert send(net, a, B) == [Unreachable(TO_B, IcmpError(3, 1))]
    assert net.lost == {Fate.UNROUTABLE: 1}


def test_the_router_itself_answers_nobody_but_says_so():
    net = Network()
    _, one, _ = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    assert send(net, a, "203.0.113.9") == [Unreachable(Address("203.0.113.9", 2), IcmpError(3, 3))]
    assert net.lost == {Fate.CLOSED_PORT: 1}


def test_packets_that_go_round_in_circles_end():
    net = Network(trace=1000)
    backbone = net.segment("backbone")
    left, right = net.router("left"), net.router("right")
    left.join(backbone, "172.16.0.1", gateway=False)
    right.join(backbone, "172.16.0.2", gateway=False)
    left.route("10.9.0.0/16", via="172.16.0.2")
    right.route("10.9.0.0/16", via="172.16.0.1")
    a = peer(net, "A", "10.1.0.2", net.segment("LAN", behind=left))
    assert send(net, a, "10.9.0.1") == [Unreachable(Address("10.9.0.1", 2), IcmpError(11, 0))]
    assert net.lost == {Fate.HOPS_EXCEEDED: 1}
    forwarded = [line.packet for line in net.packets if line.fate is Fate.FORWARDED]
    assert [packet.hops for packet in forwarded if packet.icmp is None] == list(range(63, 0, -1))


def test_an_error_is_told_by_the_routers_own_address_where_it_has_one():
    net = Network(trace=100)
    router, one, _ = two_lans(net)
    router.refuse("198.51.100.0/24")
    router.refuse("2001:db8:f::/48")
    send(net, peer(net, "A", "10.1.0.2", one), B)
    send(net, peer(net, "A6", "2001:db8::2", one), "2001:db8:f::1")
    errors = [line.packet.source.host for line in net.packets if line.packet.icmp and line.fate is Fate.DELIVERED]
    assert errors == ["203.0.113.9", "100::8"]
    assert router.addresses == ("203.0.113.9",)


def test_a_silent_router_tells_nobody_and_nobody_is_told_of_an_error():
    net = Network()
    router, one, two = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    net.host("B", "10.2.0.2", behind=two)
    router.refuse("10.1.0.2/32", "net")  # what comes back, an error itself, is never refused aloud
    router.icmp = False
    router.refuse("198.51.100.0/24")
    assert send(net, a, B) == []
    assert send(net, a, "10.2.0.2")[0].error == IcmpError(3, 3)
    assert net.lost == {Fate.NO_ROUTE: 1, Fate.CLOSED_PORT: 1}


def test_there_is_no_error_about_an_error_nor_one_that_knows_no_way_back():
    net = Network()
    backbone = net.segment("backbone")
    left, right = net.router("left"), net.router("right")
    left.join(backbone, "172.16.0.1", gateway=False)
    right.join(backbone, "172.16.0.2", gateway=False)
    a = peer(net, "A", "10.1.0.2", net.segment("LAN 1", behind=left))
    net.host("C", "10.2.0.2", behind=net.segment("LAN 2", behind=right))
    left.route("10.2.0.2/32", via="172.16.0.2")
    net.internet.detach("10.2.0.2")
    left.route("10.3.0.0/16", via="172.16.0.2")
    right.refuse("10.1.0.0/16")
    right.refuse("10.3.0.0/16")
    assert send(net, a, "10.2.0.2") == []
    assert net.lost == {Fate.CLOSED_PORT: 1, Fate.NO_ROUTE: 1}
    assert send(net, a, "10.3.0.1") == []
    assert net.lost == {Fate.CLOSED_PORT: 1, Fate.NO_ROUTE: 2}


def test_what_goes_to_a_group_is_passed_on_to_nobody():
    net = Network()
    _, one, _ = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    assert send(net, a, "224.0.0.251") == []
    assert net.lost == {Fate.UNROUTABLE: 1}


def test_a_router_may_have_links_of_its_own():
    net = Network(latency=0.25)
    router = net.router("core", link=Link(latency=0.5), downlink=Link(latency=1.0))
    lan = net.segment("LAN", link=Link(latency=0.125))
    router.join(lan, link=Link(latency=2.0), downlink=Link(latency=4.0))
    a = peer(net, "A", "10.1.0.2", lan)
    peer(net, "B", B, echo=True)
    send(net, a, B)
    assert net.now == (0.125 + 4.0) + (0.5 + 0.25) + (0.25 + 1.0) + (2.0 + 0.125)


def test_ways_are_remembered_and_a_new_route_is_seen():
    net = Network()
    router, one, _ = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    assert send(net, a, B) == []
    router.refuse("198.51.100.0/24")
    assert send(net, a, B)[0].error == IcmpError(3, 0)


def test_a_router_remembers_only_so_many_ways(monkeypatch):
    monkeypatch.setattr("sansice.simulation._world._router.MAX_REMEMBERED", 2)
    net = Network()
    router, one, _ = two_lans(net)
    a = peer(net, "A", "10.1.0.2", one)
    for n in range(5):
        send(net, a, f"198.51.100.{n}")
    assert len(router._remembered) <= 2
    assert net.lost == {Fate.UNROUTABLE: 5}


class TestOverlaps:
    """Addresses that mean two things are refused, and the text says where they meet."""

    def test_two_subnets_of_one_router(self):
        net = Network()
        router = net.router("core")
        net.segment("LAN 1", "10.0.0.0/8", behind=router)
        with pytest.raises(ValueError, match=r"10\.1\.0\.0/16 of LAN 2 overlaps 10\.0\.0\.0/8 of LAN 1 at core: subnets without"):
            net.segment("LAN 2", "10.1.0.0/16", behind=router)

    def test_two_subnets_that_meet_on_the_internet(self):
        net = Network()
        net.segment("LAN 1", "10.1.0.0/16", behind=net.router("left"))
        with pytest.raises(ValueError, match=r"overlaps 10\.1\.0\.0/16 of LAN 1 at Internet"):
            net.segment("LAN 2", "10.1.2.0/24", behind=net.router("right"))

    def test_a_subnet_within_that_of_the_network_that_leads_to_it(self):
        net = Network()
        lan = net.segment("LAN", "10.0.0.0/8", behind=net.nat("203.0.113.1"))
        with pytest.raises(ValueError, match=r"10\.2\.0\.0/16 of deep LAN overlaps 10\.0\.0\.0/8 of LAN at LAN"):
            net.segment("deep LAN", "10.2.0.0/16", behind=lan)

    def test_a_subnet_further_in_within_that_of_a_network_next_to_it(self):
        net = Network()
        _, one, _ = two_lans(net, "", "10.1.0.0/16", "10.2.0.0/16")
        with pytest.raises(ValueError, match=r"10\.2\.3\.0/24 of deep LAN overlaps 10\.2\.0\.0/16 of LAN 2 at core"):
            net.segment("deep LAN", "10.2.3.0/24", behind=net.router("inner", behind=one))

    def test_two_prefixes_of_one_network(self):
        with pytest.raises(ValueError, match="at LAN: subnets without"):
            Network().segment("LAN", "10.1.0.0/16", "10.1.0.0/24")

    def test_families_do_not_overlap_and_neither_do_subnets_behind_two_nats(self):
        net = Network()
        net.segment("LAN 1", "10.1.0.0/16", "2001:db8::/64", behind=net.nat("203.0.113.1"))
        net.segment("LAN 2", "10.1.0.0/16", "::/8", behind=net.nat("203.0.113.2"))

    def test_one_address_on_two_networks_without_prefixes(self):
        net = Network()
        _, one, two = two_lans(net)
        net.host("A", "10.0.0.2", behind=one)
        with pytest.raises(ValueError, match=r"10\.0\.0\.2 at LAN 2 is known to core from elsewhere already"):
            net.host("B", "10.0.0.2", behind=two)
        assert net.host("B", "10.0.0.3", behind=two).addresses == ("10.0.0.3",)

    def test_one_address_behind_two_routers(self):
        net = Network()
        net.host("A", "10.0.0.2", behind=net.segment("LAN 1", behind=net.router("left")))
        with pytest.raises(ValueError, match=r"10\.0\.0\.2 is taken at Internet by left"):
            net.host("B", "10.0.0.2", behind=net.segment("LAN 2", behind=net.router("right")))

    def test_an_address_outside_the_networks_prefixes(self):
        net = Network()
        lan = net.segment("LAN", "10.1.0.0/16", "2001:db8::/64", behind=net.internet)
        with pytest.raises(ValueError, match=r"10\.2\.0\.1 is none of LAN's, which has 10\.1\.0\.0/16, 2001:db8::/64"):
            net.host("A", "10.2.0.1", behind=lan)


MISTAKES = [
    (lambda net, router, lan: router.join(lan), "core has a leg at LAN 1 already"),
    (lambda net, router, lan: net.router("other").join(lan), "LAN 1 has a way out already: core"),
    (lambda net, router, lan: router.route("10.0.0.0/8", via="10.9.9.9"), r"core has no leg where somebody else has 10\.9\.9\.9"),
    (lambda net, router, lan: router.route("10.0.0.0/8", via="203.0.113.9"), "core has no leg where somebody else has 203"),
    (lambda net, router, lan: router.route("10.0.0.0/33", via=B), "'10.0.0.0/33' is no prefix such as"),
    (lambda net, router, lan: router.refuse("10.0.0.0/8", "nobody"), "'nobody' is no reason to refuse: it is one of net, host"),
    (lambda net, router, lan: [router.refuse("10.0.0.0/8") for _ in range(2)], r"core has a route to 10\.0\.0\.0/8 already"),
]


@pytest.mark.parametrize(("attempt", "words"), MISTAKES)
def test_a_mistake_is_refused_by_name(attempt, words):
    net = Network()
    router, lan, _ = two_lans(net)
    net.host("B", B)
    with pytest.raises(ValueError, match=words):
        attempt(net, router, lan)


def test_a_router_is_no_way_out_of_where_it_leads():
    net = Network()
    office = net.segment("office")
    floor = net.segment("floor", behind=net.router("outer", behind=net.firewall(name="wall", behind=office)))
    inner = net.router("inner", behind=net.nat("10.0.0.1", behind=floor))
    with pytest.raises(ValueError, match="inner leads to office and cannot be its way out, too"):
        inner.join(office)
    inner.join(office, gateway=False)
    inner.join(net.internet)  # which is somewhere else
    net.host("A", "2001:db8::1")
    assert office.beyond is None
    assert net.internet.beyond is inner.beyond
