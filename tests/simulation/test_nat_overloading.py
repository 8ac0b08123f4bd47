"""NATs that preserve every port, also where two inner hosts then share one (RFC 4787 4.2.1)."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, NatKind, NatMapping, Packet, PortAssignment, Refresh
from simulation._wires import ACK, INNER, NEIGHBOUR, OUTER, SAME_HOST, SERVER, STRANGER, SYN, mapped, nat_wires, tcp, udp

SHARED = Address(OUTER, 5000)


def wires_with(**options):
    return nat_wires(kind=NatKind(ports=PortAssignment.OVERLOADING, **options))


def into(wires, peer):
    packet = wires.into(udp(peer, SHARED))
    return None if packet is None else packet.destination


def test_two_hosts_with_one_port_share_the_outer_one():
    wires = wires_with()
    assert mapped(wires, INNER, SERVER) == mapped(wires, NEIGHBOUR, STRANGER) == SHARED
    assert into(wires, SERVER) == INNER
    assert into(wires, STRANGER) == NEIGHBOUR
    assert into(wires, SAME_HOST) is None
    assert wires.into(udp(SERVER, Address(OUTER, 4))) is None
    assert wires.lost == {Fate.FILTERED: 1, Fate.NO_MAPPING: 1}


def test_whoever_sent_last_to_a_common_peer_gets_the_answers_of_both():
    wires = wires_with()
    mapped(wires, INNER, SERVER)
    mapped(wires, NEIGHBOUR, SERVER)
    assert into(wires, SERVER) == NEIGHBOUR
    mapped(wires, INNER, SERVER)
    assert into(wires, SERVER) == INNER


def test_where_anyone_is_let_in_everything_goes_to_whoever_sent_last():
    wires = wires_with(filtering=Filtering.ENDPOINT_INDEPENDENT)
    mapped(wires, INNER, SERVER)
    mapped(wires, NEIGHBOUR, STRANGER)
    assert into(wires, SERVER) == NEIGHBOUR


@pytest.mark.parametrize(("refresh", "by_out", "by_in"), [("outbound", True, False), ("inbound", False, True)])
def test_a_translation_is_kept_alive_by_packets_of_the_direction_that_counts(refresh, by_out, by_in):
    for way, kept in (("out", by_out), ("in", by_in)):
        wires = wires_with(lifetime=30.0, refresh=Refresh(refresh))
        mapped(wires, INNER, SERVER)
        wires.wait(29.0)
        assert mapped(wires, INNER, SERVER) if way == "out" else into(wires, SERVER)
        wires.wait(2.0)
        assert (into(wires, SERVER) == INNER) is kept
    assert mapped(wires, INNER, SERVER) == SHARED


def test_a_port_whose_time_is_over_is_nobodys_whoever_asks():
    wires = wires_with(lifetime=30.0)
    mapped(wires, INNER, SERVER)
    wires.wait(30.0)
    assert into(wires, SERVER) is None
    assert into(wires, STRANGER) is None
    assert wires.lost == {Fate.NO_MAPPING: 2}


def test_icmp_errors_go_to_whoever_holds_the_port_for_that_peer():
    wires = wires_with(lifetime=30.0)
    mapped(wires, INNER, SERVER)
    mapped(wires, NEIGHBOUR, STRANGER)
    error = Packet(Address(SERVER.host, 0), SHARED, b"", IcmpError(3, 3), SERVER)
    assert wires.into(error) == error._replace(destination=INNER)
    assert wires.into(error._replace(quoted=SAME_HOST)) is None
    answer = Packet(Address(INNER.host, 0), SERVER, b"", IcmpError(3, 3), INNER)
    assert wires.out(answer) == answer._replace(source=Address(OUTER, 0), quoted=SHARED)
    assert wires.out(answer._replace(destination=STRANGER)) is None
    assert wires.lost == {Fate.FILTERED: 1, Fate.NO_MAPPING: 1}


def test_translations_are_shown_limited_and_forgotten():
    wires = wires_with(lifetime=30.0, max_mappings=2)
    mapped(wires, INNER, SERVER)
    assert wires.box.mappings == (NatMapping("udp", INNER, SHARED, None, 30.0),)
    mapped(wires, INNER, STRANGER)
    assert mapped(wires, NEIGHBOUR, SAME_HOST) is None
    wires.wait(31.0)
    assert wires.box.mappings == ()
    assert mapped(wires, NEIGHBOUR, SAME_HOST) == SHARED
    wires.box.forget()
    assert [mapped(wires, INNER, peer) for peer in (SERVER, STRANGER)] == [SHARED, SHARED]


def test_a_tcp_connection_that_would_clash_gets_another_port():
    wires = wires_with()
    assert wires.out(tcp(INNER, SERVER, SYN)).source == SHARED
    assert wires.out(tcp(NEIGHBOUR, SERVER, SYN)).source.port != SHARED.port
    assert wires.into(tcp(SERVER, SHARED, SYN | ACK)).destination == INNER
