"""Interfaces that go down, come up and change their address: what bound sockets then see, as on Linux."""

import math

import pytest

from sansice.machine import ANY_IPV4, ANY_IPV6, Address, OpenSocket, SocketErrorKind, SocketId, Transport
from sansice.simulation import Fate, Link, Network
from simulation._machines import Failed, Opened, Peer, Received

A, B = "198.51.100.1", "198.51.100.2"
OTHER = "198.51.100.9"


class World:
    """A and B on the Internet, 0.25 s from each other; B echoes."""

    def __init__(self, **network):
        self.net = Network(latency=0.25, **network)
        self.host = self.net.host("A", A)
        self.interface = self.host.interface(A)
        self.a = self.host.run(Peer(A, 1))
        self.b = self.net.host("B", B).run(Peer(B, 2, echo=True))

    def send(self, data=b"x"):
        self.a.call(self.a.machine.send, Address(B, 2), data)

    def at(self, when, action, *arguments):
        self.net.at(when, lambda: action(*arguments))

    def heard(self):
        return [(time, event.data) for time, event in self.a.events if isinstance(event, Received)]


def test_while_an_interface_is_down_sends_are_refused_and_nothing_arrives():
    world = World()
    world.send(b"early")
    world.at(0.375, world.interface.down)
    world.at(0.375, world.send, b"refused")
    world.net.run()
    assert world.heard() == []
    assert world.a.refused == 1
    assert world.net.lost == {Fate.INTERFACE_DOWN: 1}
    assert world.host.addresses == ()


def test_once_it_is_up_again_its_sockets_work_as_before():
    world = World()
    world.interface.down()
    world.interface.down()
    world.interface.up()
    world.send()
    world.net.run()
    assert world.heard() == [(0.5, b"x")]
    assert world.host.addresses == (A,)


def test_a_socket_may_be_opened_while_the_interface_is_down():
    world = World()
    world.interface.down()
    late = world.host.run(Peer(A, 3))
    assert late.events == [(0.0, Opened(Address(A, 3)))]


def test_an_interface_that_is_down_keeps_its_address_from_others():
    world = World()
    world.interface.down()
    with pytest.raises(ValueError, match=f"{A} is taken at Internet by A"):
        world.net.host("C", A)


def test_a_socket_of_the_old_address_is_mute_and_deaf_and_one_of_the_new_works():
    world = World()
    world.send(b"under way")
    world.at(0.375, world.interface.readdress, OTHER)
    world.at(0.375, world.send, b"refused")
    world.net.run()
    assert world.heard() == []
    assert world.a.refused == 1
    assert world.net.lost == {Fate.UNROUTABLE: 1}
    assert (world.host.addresses, world.interface.address, world.interface.name) == ((OTHER,), OTHER, f"A {OTHER}")
    new = world.host.run(Peer(OTHER, 1))
    new.call(new.machine.send, Address(B, 2), b"new")
    world.net.run()
    assert new.events[-1][1] == Received(Address(B, 2), b"new")


def test_what_was_sent_to_the_old_address_after_the_change_finds_nobody():
    world = World()
    world.send()
    world.at(0.125, world.interface.readdress, OTHER)
    world.net.run()
    assert world.net.lost == {Fate.UNROUTABLE: 1}


def test_the_old_address_is_free_for_others_and_comes_back_with_its_sockets():
    world = World()
    world.interface.readdress(OTHER)
    other = world.net.host("C", A)
    with pytest.raises(ValueError, match=f"{A} is taken at Internet by C"):
        world.interface.readdress(A)
    assert world.interface.address == OTHER
    other.interface(A).readdress("198.51.100.8")
    world.interface.readdress(A)
    world.send()
    world.net.run()
    assert world.heard() == [(0.5, b"x")]


def test_an_interface_may_roam_to_another_network_and_keep_its_name():
    net = Network()
    home, cafe = net.nat("203.0.113.1"), net.nat("203.0.113.2")
    host = net.host("laptop")
    wlan = host.attach("10.0.0.2", home, name="wlan0")
    server = net.host("B", B).run(Peer(B, 2))
    for address, place in (("10.0.0.2", home), ("10.0.0.2", cafe), ("192.168.1.7", cafe), ("192.168.1.7", None)):
        wlan.readdress(address, place)
        node = host.run(Peer(address))
        node.call(node.machine.send, Address(B, 2), b"x")
        net.run()
    assert [event.source.host for _, event in server.events[1:]] == ["203.0.113.1", *["203.0.113.2"] * 3]
    assert (wlan.name, wlan.label, wlan.place) == ("laptop wlan0", "wlan0", cafe)
    assert net.host("other", "10.0.0.2", behind=home).addresses == ("10.0.0.2",)


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("2001:db8::1", r"A 198\.51\.100\.1 cannot become 2001:db8::1, which is of the other family"),
        ("wlan", "literal"),
        (B, f"{B} is taken at Internet by B"),
        ("10.0.0.2", r"A has 10\.0\.0\.2 already"),
    ],
)
def test_an_address_that_it_cannot_have_is_refused_and_nothing_changes(address, words):
    world = World()
    world.host.attach("10.0.0.2", world.net.nat("203.0.113.1"))
    with pytest.raises(ValueError, match=words):
        world.interface.readdress(address)
    world.send()
    world.net.run()
    assert world.heard() == [(0.5, b"x")]


def test_an_address_goes_to_the_untranslated_outside_and_away_again():
    net = Network()
    nat = net.nat("203.0.113.1")
    interface = net.host("A", "2001:db8::1", behind=nat).interface("2001:db8::1")
    interface.readdress("2001:db8::2")
    net.host("B", "2001:db8::1")
    with pytest.raises(ValueError, match="2001:db8::2 is taken at Internet by NAT 1"):
        net.host("C", "2001:db8::2")


def test_two_interfaces_of_one_host_have_two_names():
    net = Network()
    host = net.host("A")
    host.attach(A, net.internet, name="eth0")
    with pytest.raises(ValueError, match="A has an interface eth0 already"):
        host.attach(OTHER, net.internet, name="eth0")


def test_each_direction_of_an_access_link_has_its_own_measures_and_both_may_change():
    net = Network(latency=0.25)
    a = net.host("A", A, link=Link(latency=0.125), downlink=Link(latency=1.0))
    node = a.run(Peer(A, 1))
    net.host("B", B).run(Peer(B, 2, echo=True))
    interface = a.interface(A)
    assert (interface.link, interface.downlink.link) == (Link(latency=0.125), Link(latency=1.0))

    def round_trip():
        started = net.now
        node.call(node.machine.send, Address(B, 2), b"x")
        net.run()
        return net.now - started

    assert round_trip() == 1.625
    interface.link = Link(latency=0.5)
    assert round_trip() == 1.5
    interface.set_links(Link(), Link(latency=2.0))
    assert round_trip() == 2.5


@pytest.mark.parametrize("kind", ["nat", "firewall"])
def test_the_line_of_a_home_may_be_asymmetric_and_change(kind):
    net = Network()
    lines = {"link": Link(latency=0.5), "downlink": Link(latency=0.125)}
    box = net.nat("203.0.113.1", **lines) if kind == "nat" else net.firewall("stateful", **lines)
    node = net.host("A", A, behind=box).run(Peer(A, 1))
    net.host("B", B).run(Peer(B, 2, echo=True))
    for expected in (0.625, 2.625):
        node.call(node.machine.send, Address(B, 2), b"x")
        net.run()
        assert net.now == expected
        box.outer.link = Link(latency=1.0)


def test_a_downlink_alone_leaves_the_other_direction_perfect():
    net = Network()
    interface = net.host("A", A, downlink=Link(latency=1.0)).interface(A)
    assert interface.link == Link()
    plain = net.host("B", B).interface(B)
    assert plain.link is None
    plain.link = Link(loss=0.5)
    assert plain.link == plain.downlink.link == Link(loss=0.5)


class TestRouting:
    """Which interface a host sends from when a socket leaves it the choice."""

    def build(self):
        net = Network()
        self.net = net
        self.home = net.nat("203.0.113.1")
        self.office = net.segment("office", "10.8.0.0/16")
        host = net.host("laptop")
        host.attach("10.0.0.2", self.home, name="wlan0", metric=600)
        host.attach("192.168.9.2", net.nat("203.0.113.2"), name="eth0", metric=100)
        host.attach("10.8.0.2", self.office, name="vpn")
        return host

    def chosen(self, host, destination):
        interface = host.route(destination)
        return None if interface is None else interface.label

    def test_the_lowest_metric_wins_and_then_the_next_that_is_up(self):
        host = self.build()
        assert self.chosen(host, B) == "eth0"
        host.interface("192.168.9.2").down()
        assert self.chosen(host, B) == "wlan0"
        host.interface("10.0.0.2").down()
        assert self.chosen(host, B) is None

    def test_what_is_on_a_segment_is_reached_there_whatever_the_metric(self):
        host = self.build()
        self.net.host("printer", "10.0.0.9", behind=self.home)
        assert self.chosen(host, "10.0.0.9") == "wlan0"
        assert self.chosen(host, "10.8.200.1") == "vpn"
        host.attach("2001:db8::2", self.home, name="wlan0 v6", metric=600)
        host.attach("2001:db8:1::2", self.net.internet, name="tunnel", routes=["2001:db8::9/128"])
        assert self.chosen(host, "2001:db8::9") == "tunnel"
        self.net.host("scanner", "2001:db8::9", behind=self.home)
        assert self.chosen(host, "2001:db8::9") == "wlan0 v6"

    def test_a_network_that_leads_nowhere_is_no_way_elsewhere(self):
        net = Network()
        island = net.segment("island")
        host = net.host("A", "10.0.0.2", behind=island)
        net.host("B", "10.0.0.3", behind=island)
        assert self.chosen(host, "10.0.0.3") == "10.0.0.2"
        assert self.chosen(host, B) is None

    def test_the_longest_of_the_given_routes_wins(self):
        host = self.build()
        host.attach("172.16.0.2", self.office_uplink(), name="tun0", routes=["0.0.0.0/0", "192.0.2.0/24"], metric=900)
        assert self.chosen(host, "192.0.2.7") == "tun0"
        assert self.chosen(host, B) == "eth0"

    def test_given_routes_may_leave_out_what_is_on_the_segment(self):
        host = self.build()
        host.attach("172.16.0.2", self.office_uplink(), name="tun0", routes=["192.0.2.0/24"])
        host.interface("192.168.9.2").down()
        host.interface("10.0.0.2").down()
        assert self.chosen(host, B) is None

    def office_uplink(self):
        return self.net.nat("203.0.113.3")

    def test_families_do_not_mix(self):
        assert self.chosen(self.build(), "2001:db8::1") is None

    def test_link_local_addresses_are_no_farther_than_their_segment(self):
        net = Network()
        nat = net.nat("203.0.113.1")
        host = net.host("A", "fe80::1", behind=nat)
        net.host("B", "fe80::2", behind=nat)
        assert self.chosen(host, "fe80::2") == "fe80::1"
        assert self.chosen(host, "fe80::3") is None

    def test_a_socket_bound_to_any_address_gets_the_routes_one(self):
        host = self.build()
        node = host.run(Peer("10.8.0.2"))
        for number, (any_address, remote) in enumerate([(ANY_IPV4, "10.8.0.9"), (ANY_IPV4, B), (ANY_IPV6, "2001:db8::1")], 2):
            action = OpenSocket(SocketId(number), Transport.UDP, Address(any_address, 5), Address(remote, 9))
            node.call(node.machine.do, action)
        assert node.sockets[SocketId(2)] == Address("10.8.0.2", 5)
        assert node.sockets[SocketId(3)] == Address("192.168.9.2", 5)
        failed = node.events[-1][1]
        assert isinstance(failed, Failed)
        assert failed.error.kind is SocketErrorKind.UNREACHABLE

    def test_a_route_that_is_no_prefix_is_refused(self):
        host = self.build()
        with pytest.raises(ValueError, match=r"'10\.0\.0\.1/8' is no prefix such as"):
            host.attach("172.16.0.2", self.office_uplink(), routes=["10.0.0.1/8"])

    def test_what_a_bound_socket_cannot_reach_is_refused_where_its_segment_leads_nowhere(self):
        host = self.build()
        node = host.run(Peer("10.8.0.2"))
        node.call(node.machine.send, Address(B, 2), b"x")
        assert node.refused == 1
        assert self.net.lost == {Fate.UNROUTABLE: 1}


def test_a_sleeping_host_hears_nothing_and_its_timers_fire_when_it_wakes():
    world = World()
    world.a.call(world.a.machine.wake, 2.0)
    world.send(b"answered while asleep")
    world.at(0.375, world.host.sleep, 10.0)
    world.at(1.0, world.send, b"refused")
    world.at(12.0, world.send, b"awake")
    world.net.run()
    assert world.heard() == [(12.5, b"awake")]
    assert [time for time, event in world.a.events if type(event).__name__ == "Woken"] == [10.375]
    assert world.a.refused == 1
    assert world.net.lost == {Fate.ASLEEP: 1}


def test_answers_of_the_name_service_and_packets_to_oneself_do_not_reach_a_sleeper():
    world = World()
    world.a.call(world.a.machine.ask, "nowhere.example", None)
    world.a.call(world.a.machine.send, Address(A, 1), b"to myself")
    world.host.sleep(5.0)
    world.net.run()
    assert [(time, type(event).__name__) for time, event in world.a.events[1:]] == [(5.0, "Resolved")]
    assert world.net.lost == {Fate.ASLEEP: 1}


def test_a_longer_sleep_goes_on_and_an_interface_that_went_down_stays_down():
    world = World()
    world.host.sleep(5.0)
    world.host.sleep(1.0)
    world.interface.down()
    world.net.run(until=4.0)
    assert world.host.wakes == 5.0
    world.net.run()
    world.send()
    assert world.a.refused == 1
    world.interface.up()
    world.send()
    world.net.run()
    assert [data for _, data in world.heard()] == [b"x"]


@pytest.mark.parametrize("seconds", [-1.0, math.inf, math.nan])
def test_a_sleep_of_no_length_is_refused_with_the_hosts_name(seconds):
    with pytest.raises(ValueError, match="A must sleep for a number of seconds"):
        World().host.sleep(seconds)


def test_a_wall_clock_that_jumps_is_told_to_the_machines_that_run():
    world = World(unix=1000.0)
    teller = world.host.run(Peer(A, tells_clock=True))
    gone = world.host.run(Peer(A, tells_clock=True))
    gone.stop()
    world.net.run(until=2.0)
    world.host.adjust_clock(3600.0)
    late = world.host.run(Peer(A, tells_clock=True))
    assert [event.unix for _, event in teller.events if hasattr(event, "unix")] == [1000.0, 4602.0]
    assert [event.unix for _, event in late.events if hasattr(event, "unix")] == [4602.0]
    assert [event.unix for _, event in gone.events if hasattr(event, "unix")] == [1000.0]
