"""Outer addresses and ports of new mappings (RFC 4787 4.1 and 4.2)."""

import pytest

from sansice.machine import Address
from sansice.simulation import Fate, Mapping, NatKind, Pooling, PortAssignment
from simulation._wires import INNER, NEIGHBOUR, OUTER, SAME_HOST, SERVER, STRANGER, mapped, nat_wires

MORE = ("203.0.113.1", "203.0.113.2", "203.0.113.3")


def ports(wires, *inner):
    return [mapped(wires, Address(INNER.host, port), SERVER).port for port in inner]


def test_ports_are_drawn_from_the_range():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3009)))
    found = ports(wires, *range(5000, 5010))
    assert sorted(found) == list(range(3000, 3010))
    assert found != sorted(found)


def test_preserved_is_a_port_that_is_free():
    wires = nat_wires(kind=NatKind(ports=PortAssignment.PRESERVATION))
    assert mapped(wires, INNER, SERVER) == Address(OUTER, 5000)
    assert mapped(wires, NEIGHBOUR, SERVER).port != 5000


def test_a_port_outside_the_range_is_not_preserved():
    wires = nat_wires(kind=NatKind(ports=PortAssignment.PRESERVATION, port_range=(6000, 6010)))
    assert 6000 <= mapped(wires, INNER, SERVER).port <= 6010


def test_sequential_ports_follow_each_other_and_start_again():
    wires = nat_wires(kind=NatKind(ports=PortAssignment.SEQUENTIAL, port_range=(3000, 3003), lifetime=10.0))
    assert ports(wires, 7, 8, 9) == [3000, 3001, 3002]
    wires.wait(11.0)
    assert ports(wires, 9, 8) == [3003, 3000]


def test_parity_is_kept():
    wires = nat_wires(kind=NatKind(parity=True, port_range=(3000, 3039)))
    for inner in range(5000, 5020):
        assert ports(wires, inner)[0] % 2 == inner % 2


@pytest.mark.parametrize("first", [5000, 5001])
def test_contiguous_inner_ports_have_contiguous_outer_ones(first):
    wires = nat_wires(kind=NatKind(contiguity=True))
    found = dict(zip((first, first ^ 1), ports(wires, first, first ^ 1), strict=True))
    assert found[5001] == found[5000] + 1
    assert found[5000] % 2 == 0


def test_the_neighbour_of_a_port_is_kept_for_the_other_of_two():
    wires = nat_wires(kind=NatKind(contiguity=True, port_range=(3000, 3003)))
    assert {port ^ 1 for port in ports(wires, 5000, 5002)} == {3001, 3003}
    assert mapped(wires, NEIGHBOUR, SERVER) is None


@pytest.mark.parametrize(("first", "stranger"), [(5001, 6000), (5000, 6001)])
def test_a_port_is_kept_for_the_one_whose_neighbour_came_first(first, stranger):
    wires = nat_wires(kind=NatKind(contiguity=True, port_range=(3000, 3001)))
    assert ports(wires, first) == [first - 2000]
    assert mapped(wires, Address(INNER.host, stranger), SERVER) is None
    assert ports(wires, first ^ 1) == [(first ^ 1) - 2000]


def test_a_neighbour_at_another_outer_address_is_none():
    wires = nat_wires(*MORE, kind=NatKind(contiguity=True, pooling=Pooling.ARBITRARY, port_range=(3000, 3999)))
    couples = [[mapped(wires, Address(INNER.host, port), SERVER) for port in (even, even + 1)] for even in range(5000, 5040, 2)]
    together = [odd.host == even.host for even, odd in couples]
    assert [odd.port == even.port + 1 for even, odd in couples] == together
    assert set(together) == {True, False}


def test_a_neighbour_that_expired_is_none():
    wires = nat_wires(kind=NatKind(contiguity=True, lifetime=10.0))
    [even] = ports(wires, 5000)
    wires.wait(11.0)
    assert ports(wires, 5001) != [even + 1]


def test_a_neighbour_outside_the_range_is_not_taken():
    wires = nat_wires(kind=NatKind(contiguity=True, port_range=(3001, 3001)))
    assert ports(wires, 5001) == [3001]
    assert mapped(wires, INNER, SERVER) is None


def test_paired_pooling_keeps_a_host_at_one_address_and_shares_them_out():
    wires = nat_wires(*MORE, pooling=Pooling.PAIRED)
    hosts = [mapped(wires, Address(INNER.host, port), SERVER).host for port in range(5000, 5010)]
    assert set(hosts) == {MORE[0]}
    assert mapped(wires, NEIGHBOUR, SERVER).host == MORE[1]


def test_paired_pooling_does_not_go_elsewhere_where_the_address_has_no_port_left():
    wires = nat_wires(*MORE, kind=NatKind(pooling=Pooling.PAIRED, port_range=(3000, 3000)))
    assert mapped(wires, INNER, SERVER) == Address(MORE[0], 3000)
    assert mapped(wires, Address(INNER.host, 5001), SERVER) is None
    assert wires.lost == {Fate.NO_PORTS: 1}


def test_arbitrary_pooling_uses_all_addresses_until_none_has_a_port_left():
    wires = nat_wires(*MORE, kind=NatKind(pooling=Pooling.ARBITRARY, port_range=(3000, 3003)))
    found = [mapped(wires, Address(INNER.host, port), SERVER) for port in range(5000, 5012)]
    assert sorted(found) == sorted(Address(host, port) for host in MORE for port in range(3000, 3004))
    assert mapped(wires, NEIGHBOUR, SERVER) is None


def test_a_reboot_pairs_anew():
    wires = nat_wires(*MORE, pooling=Pooling.PAIRED)
    mapped(wires, INNER, SERVER)
    wires.box.forget()
    assert mapped(wires, NEIGHBOUR, SERVER).host == MORE[0]


def test_a_held_down_port_is_given_to_nobody():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3001), lifetime=10.0, hold_down=60.0, mapping="address-dependent"))
    first = mapped(wires, INNER, SERVER)
    second = mapped(wires, INNER, STRANGER)
    wires.wait(5.0)
    assert mapped(wires, INNER, STRANGER) == second
    wires.wait(10.1)
    assert mapped(wires, INNER, SERVER) is None
    assert wires.lost == {Fate.NO_PORTS: 1}
    wires.wait(60.0)
    assert mapped(wires, NEIGHBOUR, SERVER) in (first, second)


def test_mappings_to_two_ports_of_a_host_are_two_where_mapping_looks_at_ports():
    wires = nat_wires(mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT)
    assert len({mapped(wires, INNER, peer) for peer in (SERVER, SAME_HOST, STRANGER)}) == 3
