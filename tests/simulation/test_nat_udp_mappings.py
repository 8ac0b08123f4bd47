"""UDP mappings: how long they live, whom they let in, how many there may be."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, NatKind, NatMapping, Packet, Refresh
from simulation._wires import INNER, NEIGHBOUR, OUTER, SAME_HOST, SERVER, STRANGER, mapped, nat_wires, udp

PORT_UNREACHABLE = IcmpError(3, 3)


def lives(wires, outer, peer=SERVER):
    return wires.into(udp(peer, outer)) is not None


@pytest.mark.parametrize(
    ("refresh", "by_out", "by_in"), [("outbound", True, False), ("inbound", False, True), ("both", True, True)]
)
def test_a_mapping_is_kept_alive_by_packets_of_the_direction_that_counts(refresh, by_out, by_in):
    for way, kept in (("out", by_out), ("in", by_in)):
        wires = nat_wires(kind=NatKind(lifetime=30.0, refresh=Refresh(refresh)))
        outer = mapped(wires, INNER, SERVER)
        wires.wait(29.0)
        assert mapped(wires, INNER, SERVER) == outer if way == "out" else lives(wires, outer)
        wires.wait(2.0)
        assert lives(wires, outer) is kept


def test_a_peer_is_let_in_for_its_filter_lifetime_and_others_stay():
    wires = nat_wires(kind=NatKind(lifetime=100.0, filter_lifetime=20.0))
    outer = mapped(wires, INNER, SERVER)
    wires.wait(15.0)
    mapped(wires, INNER, STRANGER)
    wires.wait(6.0)
    assert not lives(wires, outer, SERVER)
    assert lives(wires, outer, STRANGER)
    assert wires.lost == {Fate.FILTERED: 1}
    assert mapped(wires, INNER, SERVER) == outer


def test_a_mapping_and_a_permission_are_over_at_the_very_end_of_their_time():
    wires = nat_wires(kind=NatKind(lifetime=30.0, filter_lifetime=20.0, ports="sequential"))
    outer = mapped(wires, INNER, SERVER)
    wires.wait(20.0)
    assert not lives(wires, outer)
    assert wires.into(Packet(Address(SERVER.host, 0), outer, b"", PORT_UNREACHABLE, SERVER)) is None
    assert wires.lost == {Fate.FILTERED: 2}
    wires.wait(10.0)
    assert not lives(wires, outer)
    assert wires.lost == {Fate.FILTERED: 2, Fate.NO_MAPPING: 1}
    assert mapped(wires, INNER, SERVER).port == outer.port + 1


def test_what_was_filtered_keeps_nothing_alive():
    wires = nat_wires(kind=NatKind(lifetime=30.0, refresh=Refresh.BOTH))
    outer = mapped(wires, INNER, SERVER)
    wires.wait(29.0)
    assert not lives(wires, outer, STRANGER)
    wires.wait(2.0)
    assert not lives(wires, outer)


def test_mappings_are_shown_while_they_live():
    wires = nat_wires(lifetime=30.0)
    outer = mapped(wires, INNER, SERVER)
    wires.wait(10.0)
    other = mapped(wires, NEIGHBOUR, SERVER)
    first, second = NatMapping("udp", INNER, outer, None, 30.0), NatMapping("udp", NEIGHBOUR, other, None, 40.0)
    assert wires.box.mappings == (first, second)
    wires.wait(20.0)
    assert wires.box.mappings == (second,)
    wires.box.forget()
    assert wires.box.mappings == ()


def test_a_host_has_at_most_so_many_mappings_and_takes_none_from_others():
    wires = nat_wires(kind=NatKind(max_mappings_per_host=2, lifetime=30.0))
    found = [mapped(wires, Address(INNER.host, port), SERVER) for port in (1, 2, 3)]
    assert found[2] is None
    assert mapped(wires, NEIGHBOUR, SERVER) is not None
    assert mapped(wires, Address(INNER.host, 1), STRANGER) == found[0]
    assert wires.lost == {Fate.NO_PORTS: 1}
    wires.wait(31.0)
    assert mapped(wires, Address(INNER.host, 3), SERVER) is not None


def test_all_hosts_together_have_at_most_so_many_mappings():
    wires = nat_wires(kind=NatKind(max_mappings=2, lifetime=30.0))
    assert mapped(wires, INNER, SERVER)
    assert mapped(wires, NEIGHBOUR, SERVER)
    assert mapped(wires, Address(INNER.host, 9), SERVER) is None
    wires.box.forget()
    assert mapped(wires, Address(INNER.host, 9), SERVER)


def test_an_exhausted_pool_serves_again_when_mappings_expired():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3001), lifetime=30.0))
    assert None not in [mapped(wires, Address(INNER.host, port), SERVER) for port in (1, 2)]
    for port in (3, 4):
        assert mapped(wires, Address(INNER.host, port), SERVER) is None
    wires.wait(30.0)
    assert None not in [mapped(wires, Address(INNER.host, port), SERVER) for port in (3, 4)]
    assert len(wires.box.mappings) == 2


def test_a_port_that_was_refused_counts_for_nobody():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3000), lifetime=30.0, max_mappings_per_host=1))
    mapped(wires, NEIGHBOUR, SERVER)
    assert mapped(wires, INNER, SERVER) is None
    wires.wait(31.0)
    assert mapped(wires, INNER, SERVER)


def test_an_icmp_error_is_translated_with_what_it_quotes_and_keeps_nothing_alive():
    wires = nat_wires(kind=NatKind(lifetime=30.0, refresh=Refresh.BOTH))
    outer = mapped(wires, INNER, SERVER)
    wires.wait(29.0)
    error = Packet(Address(SERVER.host, 0), outer, b"", PORT_UNREACHABLE, SERVER)
    assert wires.into(error) == error._replace(destination=INNER)
    answer = Packet(Address(INNER.host, 0), SERVER, b"", PORT_UNREACHABLE, INNER)
    assert wires.out(answer) == answer._replace(source=Address(outer.host, 0), quoted=outer)
    wires.wait(2.0)
    assert wires.into(error) is None
    assert wires.out(answer) is None
    assert wires.lost == {Fate.NO_MAPPING: 2}


def test_a_nat_that_refuses_what_is_for_itself_says_nothing_about_what_is_for_others():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3000), refuses=True))
    mapped(wires, INNER, SERVER)
    assert mapped(wires, NEIGHBOUR, SERVER) is None
    assert wires.lost == {Fate.NO_PORTS: 1}
    assert wires.heard(NEIGHBOUR.host) == []


@pytest.mark.parametrize("hairpinning", ["internal-source", "external-source"])
def test_an_icmp_error_is_turned_round_as_from_the_outer_address_that_it_quotes(hairpinning):
    wires = nat_wires(kind=NatKind(hairpinning=hairpinning, filtering=Filtering.ENDPOINT_INDEPENDENT))
    ours, theirs = mapped(wires, INNER, SERVER), mapped(wires, NEIGHBOUR, SERVER)
    error = Packet(Address(INNER.host, 0), theirs, b"", PORT_UNREACHABLE, INNER)
    assert wires.turn(error) == Packet(Address(OUTER, 0), NEIGHBOUR, b"", PORT_UNREACHABLE, ours)


def test_an_icmp_error_from_a_router_on_the_way_is_translated():
    wires = nat_wires()
    outer = mapped(wires, INNER, SERVER)
    error = Packet(Address(STRANGER.host, 0), outer, b"", IcmpError(3, 1), SERVER)
    assert wires.into(error) == error._replace(destination=INNER)


def test_an_icmp_error_about_a_peer_never_sent_to_is_filtered():
    wires = nat_wires(filtering=Filtering.ADDRESS_AND_PORT_DEPENDENT)
    outer = mapped(wires, INNER, SERVER)
    assert wires.into(Packet(Address(SERVER.host, 0), outer, b"", PORT_UNREACHABLE, SAME_HOST)) is None
    assert wires.lost == {Fate.FILTERED: 1}


def test_a_nat_that_knows_no_icmp_drops_errors_in_both_directions():
    wires = nat_wires(kind=NatKind(icmp=False))
    outer = mapped(wires, INNER, SERVER)
    assert wires.into(Packet(Address(SERVER.host, 0), outer, b"", PORT_UNREACHABLE, SERVER)) is None
    assert wires.out(Packet(Address(INNER.host, 0), SERVER, b"", PORT_UNREACHABLE, INNER)) is None
    assert wires.lost == {Fate.FILTERED: 2}
