"""Crossing links with queues, sizes and directions: in order, cut where it may be, told where it may not."""

import pytest

from sansice.machine import (
    Address,
    CloseSocket,
    IcmpError,
    OpenSocket,
    SendDatagram,
    SetDontFragment,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.simulation import Fate, Link, Network
from simulation._machines import Peer, Received, Unreachable

A, B = "198.51.100.1", "198.51.100.2"
A6, B6 = "2001:db8::1", "2001:db8::2"
PLAIN, WHOLE = SocketId(1), SocketId(2)


class Path:
    """Two hosts of one family; A has a second socket whose datagrams must not be cut."""

    def __init__(self, net, a=A, b=B, *, behind=None, **links):
        self.net = net
        self.a = net.host("A", a, behind=behind, link=links.get("up"), downlink=links.get("down")).run(Peer(a, 1))
        self.b = net.host("B", b, link=links.get("far_up"), downlink=links.get("far_down")).run(Peer(b, 2))
        self.to = Address(b, 2)
        options = SocketOptions(dont_fragment=True)
        self.a.call(self.a.machine.do, OpenSocket(WHOLE, Transport.UDP, Address(a, 3), None, options))

    def send(self, size, socket=PLAIN):
        """Send so many bytes; how many came in, and what A was told."""
        heard, told = len(self.b.events), len(self.a.events)
        self.a.call(self.a.machine.do, SendDatagram(socket, self.to, bytes(size)))
        self.net.run()
        arrived = [len(event.data) for _, event in self.b.events[heard:] if isinstance(event, Received)]
        return arrived, [event.error for _, event in self.a.events[told:] if isinstance(event, Unreachable)]


def fates(net):
    return [(line.fate, line.packet.size) for line in net.packets]


def arrivals(node):
    return [time for time, event in node.events if isinstance(event, Received)]


def test_packets_from_two_access_links_wait_in_the_order_in_which_they_come_to_a_shared_one():
    net = Network()
    lan = net.segment("LAN", link=Link(bandwidth=8000.0))
    slow = net.host("slow", "10.0.0.1", behind=lan, link=Link(latency=0.5)).run(Peer("10.0.0.1", 1))
    quick = net.host("quick", "10.0.0.2", behind=lan, link=Link(latency=0.25)).run(Peer("10.0.0.2", 1))
    b = net.host("B", "10.0.0.3", behind=lan).run(Peer("10.0.0.3", 2))
    for node in (slow, quick):
        node.call(node.machine.send, Address("10.0.0.3", 2), bytes(972))
    net.run()
    assert [(time, event.source.host) for time, event in b.events[1:]] == [(1.25, "10.0.0.2"), (2.25, "10.0.0.1")]


def test_the_directions_of_an_access_link_have_queues_of_their_own():
    net = Network()
    path = Path(net, up=Link(bandwidth=8000.0), down=Link(bandwidth=80_000.0))
    path.b.machine.echo = True
    path.send(972)
    assert arrivals(path.b) == [1.0]
    assert arrivals(path.a) == [1.1]


def test_what_finds_no_room_in_a_queue_is_counted_as_such():
    net = Network(trace=100)
    path = Path(net, up=Link(bandwidth=8000.0, queue=2000))
    for _ in range(3):
        path.a.call(path.a.machine.send, path.to, bytes(972))
    net.run()
    assert arrivals(path.b) == [1.0, 2.0]
    assert net.lost == {Fate.QUEUE_FULL: 1}


def test_copies_made_on_one_link_meet_the_next_one_each_for_itself():
    net = Network(trace=100)
    path = Path(net, up=Link(duplication=1.0, latency=0.25), far_down=Link(bandwidth=8000.0, queue=1500))
    path.send(972)
    path.send(0)
    assert [fate for fate, _ in fates(net)][:4] == [Fate.SENT, Fate.DUPLICATED, Fate.QUEUE_FULL, Fate.DELIVERED]
    assert arrivals(path.b) == pytest.approx([1.25, 1.25 + 0.25 + 0.028, 1.25 + 0.25 + 0.056])


@pytest.mark.parametrize(("a", "b", "mtu", "overhead"), [(A, B, 600, 28), (A6, B6, 1280, 48)])
def test_a_host_cuts_what_does_not_fit_its_own_link_and_the_other_puts_it_together(a, b, mtu, overhead):
    net = Network(trace=100)
    path = Path(net, a, b, up=Link(mtu=mtu), down=Link())
    assert path.send(mtu - overhead) == ([mtu - overhead], [])
    net.packets.clear()
    assert path.send(mtu - overhead + 1) == ([mtu - overhead + 1], [])
    whole = mtu + 1
    assert [fate for fate, _ in fates(net)] == [
        Fate.FRAGMENTED,
        Fate.SENT,
        Fate.SENT,
        Fate.ARRIVED,
        Fate.ARRIVED,
        Fate.DELIVERED,
    ]
    assert fates(net)[0][1] == fates(net)[-1][1] == whole
    assert all(size <= mtu for fate, size in fates(net) if fate is Fate.SENT)


@pytest.mark.parametrize(
    ("a", "b", "overhead", "too_big"),
    [(A, B, 28, IcmpError(3, 4, mtu=1400)), (A6, B6, 48, IcmpError(2, 0, ipv6=True, mtu=1400))],
)
def test_what_may_not_be_cut_and_does_not_fit_the_own_link_is_refused_in_a_routers_words(a, b, overhead, too_big):
    net = Network(trace=100)
    path = Path(net, a, b, up=Link(mtu=1400))
    assert path.send(1400 - overhead, WHOLE) == ([1400 - overhead], [])
    assert path.send(1401 - overhead, WHOLE) == ([], [too_big])
    assert path.a.refused == 1
    assert net.lost == {}


def test_a_segments_mtu_is_known_to_the_hosts_on_it():
    net = Network()
    net.internet.link = Link(mtu=1400)
    path = Path(net)
    assert path.send(1400, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    assert path.a.refused == 1
    assert path.send(1400) == ([1400], [])


def test_a_router_cuts_ipv4_on_the_way():
    net = Network(trace=100)
    path = Path(net, far_down=Link(mtu=600))
    assert path.send(1000) == ([1000], [])
    assert [fate for fate, _ in fates(net)] == [Fate.SENT, Fate.FRAGMENTED, Fate.ARRIVED, Fate.ARRIVED, Fate.DELIVERED]


def test_fragments_are_cut_again_where_it_gets_narrower():
    net = Network(trace=1000)
    path = Path(net, up=Link(mtu=1500), far_down=Link(mtu=300))
    assert path.send(5000) == ([5000], [])
    assert sum(fate is Fate.FRAGMENTED for fate, _ in fates(net)) > 1


def test_who_may_not_be_cut_is_told_the_mtu_and_then_refused_by_its_own_system():
    net = Network()
    path = Path(net, far_down=Link(mtu=1400))
    assert path.send(1373, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    assert net.lost == {Fate.TOO_BIG: 1}
    assert path.send(1373, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    assert path.a.refused == 1
    assert path.send(1372, WHOLE) == ([1372], [])


def test_of_a_packet_too_big_for_the_far_link_its_sender_hears_after_the_way_back():
    net = Network(latency=0.25)
    path = Path(net, far_down=Link(mtu=1400), down=Link(latency=0.5))
    path.send(1373, WHOLE)
    assert [time for time, event in path.a.events if isinstance(event, Unreachable)] == [0.75]


def test_a_path_that_has_become_wider_is_tried_again_after_ten_minutes():
    net = Network()
    path = Path(net, far_down=Link(mtu=1400))
    path.send(1373, WHOLE)
    path.b.host.interface(B).link = Link()
    assert path.send(1373, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    net.run(until=600.0)
    assert path.send(1373, WHOLE) == ([1373], [])


def test_ipv6_is_cut_by_its_sender_alone_once_that_was_told():
    net = Network()
    path = Path(net, A6, B6, far_down=Link(mtu=1400))
    assert path.send(2000) == ([], [IcmpError(2, 0, ipv6=True, mtu=1400)])
    assert path.send(2000) == ([2000], [])


def test_no_sender_of_ipv6_cuts_below_1280_bytes():
    net = Network()
    path = Path(net, A6, B6, far_down=Link(mtu=1000))
    for _ in range(2):
        assert path.send(1200) == ([], [IcmpError(2, 0, ipv6=True, mtu=1000)])


def test_a_black_hole_says_nothing():
    net = Network()
    net.internet.icmp = False
    path = Path(net, far_down=Link(mtu=1400))
    for _ in range(2):
        assert path.send(1400, WHOLE) == ([], [])
    assert net.lost == {Fate.TOO_BIG: 2}


def test_a_router_in_front_of_a_narrow_link_tells_the_sender_behind_it():
    net = Network()
    router = net.router("core", link=Link(mtu=1400), downlink=Link())
    path = Path(net, "10.0.0.2", behind=net.segment("LAN", behind=router))
    assert path.send(1400, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    assert path.a.refused == 0
    assert path.send(1400, WHOLE) == ([], [IcmpError(3, 4, mtu=1400)])
    assert path.a.refused == 1


def test_one_datagram_alone_may_be_kept_from_being_cut():
    net = Network()
    path = Path(net, far_down=Link(mtu=1400))
    big = SendDatagram(PLAIN, path.to, bytes(1400))
    for action in (SetDontFragment(PLAIN, True), big, SetDontFragment(PLAIN, False), big):
        path.a.call(path.a.machine.do, action)
    net.run()
    assert [event.error for _, event in path.a.events if isinstance(event, Unreachable)] == [IcmpError(3, 4, mtu=1400)]
    assert len(arrivals(path.b)) == 1


def test_fragmentation_of_a_socket_that_is_none_is_nobodys_business():
    path = Path(Network())
    path.a.call(path.a.machine.do, SetDontFragment(SocketId(99), True))
    assert path.send(10) == ([10], [])


def test_a_socket_closed_at_once_hears_nothing_of_what_was_too_big():
    net = Network()
    path = Path(net, up=Link(mtu=1400))
    for action in (SendDatagram(WHOLE, path.to, bytes(1400)), CloseSocket(WHOLE)):
        path.a.call(path.a.machine.do, action)
    net.run()
    assert not [event for _, event in path.a.events if isinstance(event, Unreachable)]


def test_what_is_refused_for_another_reason_is_not_called_too_big():
    net = Network()
    path = Path(net, up=Link(mtu=1400))
    path.a.host.interface(A).down()
    assert path.send(1400, WHOLE) == ([], [])
    assert path.a.refused == 1


def test_an_error_is_never_told_about_an_error_or_a_later_fragment():
    net = Network()
    path = Path(net, A6, B6, up=Link(mtu=1500), down=Link(), far_down=Link(mtu=1400))
    assert path.send(4000) == ([], [IcmpError(2, 0, ipv6=True, mtu=1400)])
    assert net.lost == {Fate.TOO_BIG: 2, Fate.INCOMPLETE: 1}


def test_fragments_whose_others_are_lost_are_given_up_after_a_minute_and_the_sender_is_told():
    net = Network(trace=100)
    path = Path(net, up=Link(mtu=1500), down=Link())
    net.drop = lambda packet: packet.fragment is not None and not packet.fragment.more
    assert path.send(2000) == ([], [IcmpError(11, 1)])
    assert net.now == 60.0
    assert net.lost == {Fate.DROPPED: 1, Fate.INCOMPLETE: 1}
    net.drop = lambda packet: packet.fragment is not None and packet.fragment.offset == 0
    assert path.send(2000) == ([], [])  # without the first, nobody knows whose it was
    net.drop = None
    assert path.send(2000) == ([2000], [])


def test_half_datagrams_cannot_fill_a_host(monkeypatch):
    monkeypatch.setattr("sansice.simulation._world._fragments.MAX_DATAGRAMS", 2)
    net = Network()
    path = Path(net, up=Link(mtu=1500), down=Link())
    net.drop = lambda packet: packet.fragment is not None and not packet.fragment.more
    for _ in range(3):
        path.a.call(path.a.machine.send, path.to, bytes(2000))
    net.run(until=1.0)
    assert net.lost == {Fate.DROPPED: 3, Fate.INCOMPLETE: 1}


@pytest.mark.parametrize(("own", "shared"), [(1400, 1000), (1000, 1400), (1000, None), (None, 1000)])
def test_of_its_own_link_and_the_segments_the_narrower_counts(own, shared):
    net = Network()
    segment = net.segment("LAN", link=Link(mtu=shared))
    host = net.host("A", A, behind=segment, link=Link(mtu=own))
    assert host.interface(A).mtu == host.path_mtu(A, B) == 1000


def test_a_host_knows_the_mtu_of_its_own_link_for_every_destination():
    net = Network()
    host = net.host("A", A)
    net.host("B", B).attach(B6, net.internet, downlink=Link(mtu=1400))
    assert host.path_mtu(A, B) is None
    assert host.path_mtu("192.0.2.99", B) is None
    host.interface(A).link = Link(mtu=1500)
    assert host.path_mtu(A, B) == 1500
    host.attach(A6, net.internet, link=Link(mtu=1000))
    assert host.path_mtu(A6, B6) == 1280
