"""NATs: what RFC 4787 calls their mapping and filtering behaviour, seen from both sides."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, FirewallKind, Hairpinning, Link, Mapping, Nat, NatKind, Network
from simulation._machines import Peer, Received, Unreachable
from simulation._wires import ACK, INNER, SAME_HOST, SERVER, STRANGER, SYN, Wires, mapped, nat_wires, tcp, udp


class Bench:
    """A machine behind a NAT, and peers at two public addresses, two ports at one of them."""

    def __init__(self, *addresses, trace=0, outer=None, **nat):
        self.net = net = Network(seed=3, latency=0.01, trace=trace)
        self.outer = net.nat(outer) if outer else None
        self.nat = net.nat(*(addresses or ("203.0.113.1",)), behind=self.outer, **nat)
        host = net.host("inside", "10.0.0.2", behind=self.nat)
        self.host = host
        self.inside = host.run(Peer("10.0.0.2", 5000))
        one, two = net.host("one", "192.0.2.1"), net.host("two", "192.0.2.2")
        self.peers = {SERVER: one.run(Peer("192.0.2.1", 1)), SAME_HOST: one.run(Peer("192.0.2.1", 2))}
        self.peers[STRANGER] = two.run(Peer("192.0.2.2", 1))

    def out(self, to, node=None):
        """Send from inside to a peer; returns the address that the peer sees, or ``None``."""
        node = node or self.inside
        before = len(self.peers[to].events)
        node.call(node.machine.send, to, b"out")
        self.net.run()
        arrived = self.peers[to].events[before:]
        return arrived[0][1].source if arrived else None

    def back(self, peer, mapped):
        """Whether a packet from a peer to the mapped address reaches the inside, from where it came."""
        before = len(self.inside.events)
        self.peers[peer].call(self.peers[peer].machine.send, mapped, b"in")
        self.net.run()
        return [event for _, event in self.inside.events[before:]] == [Received(peer, b"in")]


@pytest.mark.parametrize(
    ("mapping", "same_host_differs", "other_host_differs"),
    [
        (Mapping.ENDPOINT_INDEPENDENT, False, False),
        (Mapping.ADDRESS_DEPENDENT, False, True),
        (Mapping.ADDRESS_AND_PORT_DEPENDENT, True, True),
    ],
)
def test_mapping_depends_on_what_its_name_says(mapping, same_host_differs, other_host_differs):
    bench = Bench(mapping=mapping)
    mapped = bench.out(SERVER)
    assert mapped.host == "203.0.113.1"
    assert mapped.port >= 1024
    assert bench.out(SERVER) == mapped
    assert (bench.out(SAME_HOST) != mapped) is same_host_differs
    assert (bench.out(STRANGER) != mapped) is other_host_differs


@pytest.mark.parametrize(
    ("filtering", "same_host", "other_host"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, True, True),
        (Filtering.ADDRESS_DEPENDENT, True, False),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_filtering_lets_in_what_its_name_says(filtering, same_host, other_host):
    bench = Bench(filtering=filtering)
    mapped = bench.out(SERVER)
    assert bench.back(SERVER, mapped)
    assert bench.back(SAME_HOST, mapped) is same_host
    assert bench.back(STRANGER, mapped) is other_host
    assert bench.net.lost[Fate.FILTERED] == 2 - same_host - other_host


def test_sending_to_a_peer_opens_the_filter_for_it():
    bench = Bench()
    mapped = bench.out(SERVER)
    assert not bench.back(STRANGER, mapped)
    bench.out(STRANGER)
    assert bench.back(STRANGER, mapped)


def test_two_inner_ports_have_two_outer_ones():
    bench = Bench()
    other = bench.host.run(Peer("10.0.0.2", 5001))
    assert bench.out(SERVER) != bench.out(SERVER, other)


def test_an_outer_port_that_nobody_opened_leads_nowhere():
    bench = Bench(filtering=Filtering.ENDPOINT_INDEPENDENT)
    assert not bench.back(SERVER, Address("203.0.113.1", 2000))
    assert bench.net.lost == {Fate.NO_MAPPING: 1}


def test_the_translation_shows_in_the_trace():
    bench = Bench(trace=10)
    mapped = bench.out(SERVER)
    hops = [(passage.place, passage.fate, passage.packet.source) for passage in bench.net.packets]
    assert hops == [
        ("inside", Fate.SENT, INNER),
        ("NAT 1", Fate.ARRIVED, INNER),
        ("NAT 1", Fate.TRANSLATED, mapped),
        ("one", Fate.DELIVERED, mapped),
    ]


def test_a_mapping_lives_for_its_lifetime_after_the_last_outgoing_packet():
    bench = Bench(lifetime=30.0)
    mapped = bench.out(SERVER)
    bench.net.run(until=29.0)
    assert bench.out(SERVER) == mapped
    bench.net.run(until=58.9)
    assert bench.back(SERVER, mapped)
    bench.net.run(until=59.0)
    assert not bench.back(SERVER, mapped)
    assert bench.net.lost == {Fate.NO_MAPPING: 1}
    assert bench.out(SERVER) != mapped


def test_incoming_packets_do_not_keep_a_mapping_alive():
    bench = Bench(lifetime=30.0)
    mapped = bench.out(SERVER)
    bench.net.run(until=29.0)
    assert bench.back(SERVER, mapped)
    bench.net.run(until=31.0)
    assert not bench.back(SERVER, mapped)


def test_a_reboot_forgets_every_mapping():
    bench = Bench()
    mapped = bench.out(SERVER)
    bench.nat.forget()
    assert not bench.back(SERVER, mapped)
    assert bench.out(SERVER) != mapped


def test_there_is_no_hairpin():
    bench = Bench(filtering=Filtering.ENDPOINT_INDEPENDENT)
    mapped = bench.out(SERVER)
    neighbour = bench.net.host("neighbour", "10.0.0.3", behind=bench.nat).run(Peer("10.0.0.3"))
    neighbour.call(neighbour.machine.send, mapped, b"hairpin")
    bench.net.run()
    assert bench.net.lost == {Fate.NO_HAIRPIN: 1}


def received(node):
    return [event for _, event in node.events if type(event) is Received]


@pytest.mark.parametrize("filtering", Filtering)
def test_a_nat_that_hairpins_turns_a_packet_round_with_its_outer_source_if_the_filter_lets_it_in(filtering):
    bench = Bench(filtering=filtering, hairpinning=True)
    mapped = bench.out(SERVER)
    neighbour = bench.net.host("neighbour", "10.0.0.3", behind=bench.nat).run(Peer("10.0.0.3"))
    outer = bench.out(SERVER, neighbour)
    neighbour.call(neighbour.machine.send, mapped, b"hairpin")
    bench.net.run()
    assert received(bench.inside) == ([Received(outer, b"hairpin")] if filtering is Filtering.ENDPOINT_INDEPENDENT else [])
    bench.inside.call(bench.inside.machine.send, outer, b"back")
    bench.net.run()
    assert received(neighbour) == [Received(mapped, b"back")]


def test_an_icmp_error_is_turned_round_with_what_it_quotes():
    bench = Bench(filtering=Filtering.ENDPOINT_INDEPENDENT, hairpinning=True)
    mapped = bench.out(SERVER)
    bench.inside.stop()
    neighbour = bench.net.host("neighbour", "10.0.0.3", behind=bench.nat).run(Peer("10.0.0.3"))
    neighbour.call(neighbour.machine.send, mapped, b"hairpin")
    bench.net.run()
    assert bench.net.lost == {Fate.CLOSED_PORT: 1}
    assert neighbour.events[-1][1] == Unreachable(mapped, IcmpError(3, 3))


@pytest.mark.parametrize("alg", [True, False])
def test_a_nat_with_an_alg_rewrites_its_outer_address_inside_what_it_lets_in(alg):
    bench = Bench(alg=alg)
    mapped = bench.out(SERVER)
    outer, inner = bytes([203, 0, 113, 1]), bytes([10, 0, 0, 2])
    data = (b"<" + mapped.port.to_bytes(2, "big") + outer + b">") * 2 + outer
    bench.peers[SERVER].call(bench.peers[SERVER].machine.send, mapped, data)
    bench.net.run()
    rewritten = (b"<" + INNER.port.to_bytes(2, "big") + inner + b">") * 2 + outer
    assert received(bench.inside) == [Received(SERVER, rewritten if alg else data)]


def test_neighbours_reach_each_other_without_the_nat():
    bench = Bench(trace=10)
    neighbour = bench.net.host("neighbour", "10.0.0.3", behind=bench.nat).run(Peer("10.0.0.3"))
    neighbour.call(neighbour.machine.send, INNER, b"hello")
    bench.net.run()
    assert bench.inside.events[-1][1] == Received(neighbour.machine.local, b"hello")
    assert Fate.TRANSLATED not in {passage.fate for passage in bench.net.packets}


def test_nats_nest():
    bench = Bench("100.64.0.2", outer="203.0.113.9")
    mapped = bench.out(SERVER)
    assert mapped.host == "203.0.113.9"
    assert bench.back(SERVER, mapped)
    assert not bench.back(STRANGER, mapped)


def test_overlapping_private_networks_do_not_meet():
    net = Network()
    nodes = [net.host(f"home {n}", "10.0.0.2", behind=net.nat(f"203.0.113.{n}")).run(Peer("10.0.0.2", 5)) for n in (1, 2)]
    nodes[0].call(nodes[0].machine.send, Address("10.0.0.2", 5), b"to myself")
    net.run()
    assert [isinstance(event, Received) for _, event in nodes[0].events] == [False, True]
    assert len(nodes[1].events) == 1


def test_a_family_without_an_outer_address_is_routed_untranslated():
    net = Network(latency=0.01)
    nat = net.nat("100.64.0.2", behind=net.nat("203.0.113.1"))
    inside = net.host("inside", "10.0.0.2", "2001:db8::2", behind=nat).run(Peer("2001:db8::2", 5))
    outside = net.host("outside", "2001:db8:1::1").run(Peer("2001:db8:1::1", 6, echo=True))
    inside.call(inside.machine.send, Address("2001:db8:1::1", 6), b"six")
    net.run()
    assert outside.events[-1][1] == Received(Address("2001:db8::2", 5), b"six")
    assert inside.events[-1] == (0.02, Received(Address("2001:db8:1::1", 6), b"six"))


def test_the_other_family_is_translated_where_the_nat_has_an_address_of_it():
    net = Network()
    nat = net.nat("203.0.113.1", "2001:db8:ff::1")
    inside = net.host("inside", "fd00::2", behind=nat).run(Peer("fd00::2", 5))
    outside = net.host("outside", "2001:db8:1::1").run(Peer("2001:db8:1::1", 6))
    inside.call(inside.machine.send, Address("2001:db8:1::1", 6), b"six")
    net.run()
    assert outside.events[-1][1].source.host == "2001:db8:ff::1"


def test_an_unknown_inner_address_behind_a_routed_nat_is_unroutable():
    net = Network()
    nat = net.nat("203.0.113.1")
    net.host("gone", "2001:db8::2", behind=nat)
    nat.inside._interfaces.clear()
    outside = net.host("outside", "2001:db8:1::1").run(Peer("2001:db8:1::1", 6))
    outside.call(outside.machine.send, Address("2001:db8::2", 6), b"six")
    net.run()
    assert net.lost == {Fate.UNROUTABLE: 1}


def test_icmp_errors_find_their_way_in_through_the_mapping():
    bench = Bench()
    closed = Address("192.0.2.1", 99)
    bench.inside.call(bench.inside.machine.send, closed, b"anyone?")
    bench.net.run()
    assert bench.inside.events[-1] == (0.02, Unreachable(closed, IcmpError(3, 3)))


def test_icmp_errors_leave_with_what_they_quote_translated():
    bench = Bench()
    mapped = bench.out(SERVER)
    bench.inside.call(bench.inside.machine.do, *_close())
    server = bench.peers[SERVER]
    server.call(server.machine.send, mapped, b"still there?")
    bench.net.run()
    assert server.events[-1][1] == Unreachable(mapped, IcmpError(3, 3))


def test_an_icmp_error_about_no_mapping_goes_no_further():
    bench = Bench(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, filtering=Filtering.ENDPOINT_INDEPENDENT)
    mapped = bench.out(SERVER)
    bench.inside.call(bench.inside.machine.do, *_close())
    stranger = bench.peers[STRANGER]
    stranger.call(stranger.machine.send, mapped, b"let in by the filter, but no mapping is for this peer")
    bench.net.run()
    assert bench.net.lost == {Fate.CLOSED_PORT: 1, Fate.NO_MAPPING: 1}


def _close():
    from sansice.machine import CloseSocket, SocketId

    return [CloseSocket(SocketId(1))]


def test_a_nat_without_a_free_port_drops_what_needs_one():
    bench = Bench(kind=NatKind(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, port_range=(1024, 1025)))
    ports = {bench.out(SERVER).port, bench.out(SAME_HOST).port}
    assert ports == {1024, 1025}
    assert bench.out(STRANGER) is None
    assert bench.net.lost == {Fate.NO_PORTS: 1}


def test_a_port_whose_mapping_expired_is_used_again():
    bench = Bench(kind=NatKind(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT, port_range=(1024, 1024), lifetime=10.0))
    mapped = bench.out(SERVER)
    bench.net.run(until=11.0)
    assert bench.out(SAME_HOST) == mapped


def test_two_outer_addresses_of_one_family_are_refused():
    with pytest.raises(ValueError, match=r"one outer address a family, not both 203\.0\.113\.1 and 203\.0\.113\.2"):
        Network().nat("203.0.113.1", "203.0.113.2")


def test_the_access_link_and_the_lan_have_their_own_latency():
    bench = Bench(link=Link(latency=0.1), lan=Link(latency=0.2))
    bench.out(SERVER)
    assert bench.peers[SERVER].events[-1][0] == pytest.approx(0.31)


def test_outer_ports_come_from_the_seed_and_the_name():
    def first_port(seed, name):
        net = Network(seed=seed)
        node = net.host("inside", "10.0.0.2", behind=net.nat("203.0.113.1", name=name)).run(Peer("10.0.0.2"))
        server = net.host("server", "192.0.2.1").run(Peer("192.0.2.1", 1))
        node.call(node.machine.send, SERVER, b"x")
        net.run()
        return server.events[-1][1].source.port

    assert first_port(1, "a") == first_port(1, "a")
    assert len({first_port(1, "a"), first_port(2, "a"), first_port(1, "b")}) == 3


def test_a_nat_shows_how_it_behaves():
    nat = Network().nat("203.0.113.1", mapping=Mapping.ADDRESS_DEPENDENT)
    assert isinstance(nat, Nat)
    assert (nat.mapping, nat.filtering) == (Mapping.ADDRESS_DEPENDENT, Filtering.ADDRESS_AND_PORT_DEPENDENT)


@pytest.mark.parametrize(
    ("name", "value"), [("mapping", Mapping.ADDRESS_AND_PORT_DEPENDENT), ("filtering", Filtering.ENDPOINT_INDEPENDENT)]
)
def test_the_behaviour_that_live_mappings_are_kept_by_cannot_be_changed(name, value):
    nat = Network().nat("203.0.113.1")
    before = getattr(nat, name)
    with pytest.raises(AttributeError, match=name):
        setattr(nat, name, value)
    assert getattr(nat, name) is before


def test_a_changed_lifetime_counts_from_the_next_outgoing_packet():
    bench = Bench(lifetime=30.0)
    mapped = bench.out(SERVER)
    bench.nat.lifetime = 5.0
    bench.net.run(until=20.0)
    assert bench.out(SERVER) == mapped
    bench.net.run(until=25.1)
    assert bench.out(SERVER) != mapped


def test_a_nat_may_turn_packets_round_with_their_inner_source():
    bench = Bench(filtering=Filtering.ENDPOINT_INDEPENDENT, hairpinning=Hairpinning.INTERNAL_SOURCE)
    mapped = bench.out(SERVER)
    neighbour = bench.net.host("neighbour", "10.0.0.3", behind=bench.nat).run(Peer("10.0.0.3"))
    neighbour.call(neighbour.machine.send, mapped, b"hairpin")
    bench.net.run()
    assert received(bench.inside) == [Received(neighbour.machine.local, b"hairpin")]


def test_nothing_passes_while_a_nat_reboots_and_nothing_is_left_afterwards():
    bench = Bench()
    mapped = bench.out(SERVER)
    bench.nat.reboot(takes=20.0)
    bench.inside.call(bench.inside.machine.send, SERVER, b"nobody passes this on")
    bench.net.run(until=19.9)
    assert bench.net.lost == {Fate.INTERFACE_DOWN: 1}
    bench.net.run(until=20.0)
    assert not bench.back(SERVER, mapped)
    assert bench.out(SERVER) not in (None, mapped)


def test_a_second_reboot_begins_anew():
    wires = nat_wires()
    wires.box.reboot(takes=20.0)
    wires.wait(15.0)
    wires.box.reboot(takes=20.0)
    wires.wait(10.0)
    assert mapped(wires, INNER, SERVER) is None
    wires.wait(10.0)
    assert mapped(wires, INNER, SERVER) is not None


def test_a_reboot_takes_no_negative_time():
    with pytest.raises(ValueError, match=r"NAT 1: a reboot cannot take -1\.0 s"):
        Network().nat("203.0.113.1").reboot(-1.0)


@pytest.mark.parametrize("takes", [float("nan"), float("inf")])
def test_a_reboot_ends(takes):
    with pytest.raises(ValueError, match=f"NAT 1: a reboot cannot take {takes} s"):
        Network().nat("203.0.113.1").reboot(takes)


@pytest.mark.parametrize("lifetime", [0.0, -1.0])
def test_a_lifetime_is_positive_when_it_is_changed_too(lifetime):
    nat = Network().nat("203.0.113.1", lifetime=30.0)
    with pytest.raises(ValueError, match="NAT 1: lifetime must be more than 0 seconds"):
        nat.lifetime = lifetime
    assert nat.lifetime == 30.0


def test_translations_of_every_kind_show_in_the_trace_with_the_interface():
    wires = nat_wires(trace=20)
    outer = wires.out(tcp(INNER, SERVER, SYN)).source
    wires.into(tcp(SERVER, outer, SYN | ACK))
    outer = mapped(wires, INNER, SERVER)
    wires.into(udp(SERVER, outer))
    wires.into(udp(STRANGER, outer))
    fates = [(passage.fate, passage.interface) for passage in wires.net.packets if passage.place == "NAT 1"]
    out = [(Fate.ARRIVED, "NAT 1 inside"), (Fate.TRANSLATED, "NAT 1 outside")]
    into = [(Fate.ARRIVED, "NAT 1 outside"), (Fate.TRANSLATED, "NAT 1 inside")]
    assert fates == [*out, *into, *out, *into, (Fate.ARRIVED, "NAT 1 outside"), (Fate.FILTERED, "NAT 1 outside")]


def test_what_is_routed_and_what_is_said_shows_in_the_trace():
    inside, outside = ("fd00::2", INNER.host), ("fd01::1",)
    wires = Wires(lambda net: net.nat("203.0.113.1", preset="linux-masquerade"), trace=20, inside=inside, outside=outside)
    wires.out(udp(("fd00::2", 5), ("fd01::1", 6)))
    wires.turn(udp(INNER, ("203.0.113.1", 7)))
    fates = [passage.fate for passage in wires.net.packets if passage.place == "NAT 1"]
    assert fates == [Fate.ARRIVED, Fate.FORWARDED, Fate.ARRIVED, Fate.NO_HAIRPIN, Fate.SENT]


def test_a_routed_family_may_be_firewalled():
    wires = Wires(lambda net: net.nat("203.0.113.1", firewall="stateful"), inside=("fd00::2",), outside=("fd01::1", "fd01::2"))
    assert wires.into(udp(("fd01::1", 6), ("fd00::2", 5))) is None
    assert wires.out(udp(("fd00::2", 5), ("fd01::1", 6)))
    assert wires.into(udp(("fd01::1", 6), ("fd00::2", 5)))
    assert wires.into(udp(("fd01::2", 6), ("fd00::2", 5))) is None
    wires.box.forget()
    assert wires.into(udp(("fd01::1", 6), ("fd00::2", 5))) is None
    assert wires.lost == {Fate.BLOCKED: 3}


def test_a_firewall_of_a_routed_family_may_say_what_it_stops():
    kind = FirewallKind(inbound="unreachable")
    wires = Wires(lambda net: net.nat("203.0.113.1", firewall=kind), inside=("fd00::2",), outside=("fd01::1",))
    wires.into(udp(("fd01::1", 6), ("fd00::2", 5)))
    [refusal] = wires.heard("fd01::1")
    assert refusal.icmp == IcmpError(1, 1, ipv6=True)


def test_an_address_inside_can_be_taken_away_again():
    wires = Wires(lambda net: net.nat("203.0.113.1"), inside=("fd00::2", INNER.host), outside=("fd01::1", SERVER.host))
    outer = mapped(wires, INNER, SERVER)
    for host in ("fd00::2", INNER.host):
        wires.box.detach(host)
    assert wires.into(udp(("fd01::1", 6), ("fd00::2", 5))) is None
    assert wires.into(udp(SERVER, outer)) is None
    assert wires.lost == {Fate.UNROUTABLE: 2}


def test_what_is_asked_of_a_packet_stays_through_a_translation():
    wires = nat_wires()
    left = wires.out(udp(INNER, SERVER)._replace(dont_fragment=True))
    assert left.dont_fragment
    assert wires.into(udp(SERVER, left.source)._replace(dont_fragment=True)).dont_fragment


def test_too_big_for_a_link_outside_is_told_inside_in_its_words():
    wires = nat_wires(link=Link(mtu=1280))
    told = wires.turn(udp(INNER, SERVER, bytes(1400))._replace(dont_fragment=True))
    assert (told.destination, told.quoted, told.icmp) == (INNER, SERVER, IcmpError(3, 4, mtu=1280))
    wires.inside[INNER.host].send(udp(INNER, SERVER, bytes(1400)))
    first, second = wires.heard(SERVER.host)
    assert first.source == wires.box.mappings[0].outer
    assert second.source == Address("203.0.113.1", 0)
