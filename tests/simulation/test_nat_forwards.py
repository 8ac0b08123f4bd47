"""Forwarded ports and 1:1 NAT: translations that nobody inside had to ask for."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import NAT_PRESETS, Fate, Forward, NatKind, Packet, PortAssignment
from simulation._wires import ACK, INNER, NEIGHBOUR, OUTER, SERVER, STRANGER, SYN, mapped, nat_wires, tcp, udp

PORT = Forward((OUTER, 8000), (INNER.host, 80))
WHOLE = Forward((OUTER, 0), (INNER.host, 0))


def test_a_forwarded_port_lets_anybody_in_and_answers_leave_from_it():
    wires = nat_wires(forwards=[PORT])
    assert wires.into(udp(STRANGER, (OUTER, 8000))) == udp(STRANGER, (INNER.host, 80))
    assert wires.out(udp((INNER.host, 80), STRANGER)) == udp((OUTER, 8000), STRANGER)
    assert wires.into(tcp(STRANGER, (OUTER, 8000), SYN)) == tcp(STRANGER, (INNER.host, 80), SYN)
    assert wires.out(tcp((INNER.host, 80), STRANGER, SYN | ACK)) == tcp((OUTER, 8000), STRANGER, SYN | ACK)


def test_other_ports_are_translated_as_ever():
    wires = nat_wires(forwards=[PORT])
    outer = mapped(wires, INNER, SERVER)
    assert wires.into(udp(SERVER, outer)) == udp(SERVER, INNER)
    assert wires.into(udp(STRANGER, outer)) is None
    assert wires.into(udp(STRANGER, (OUTER, 8001))) is None
    assert [mapping.outer for mapping in wires.box.mappings] == [outer]
    assert wires.lost == {Fate.FILTERED: 1, Fate.NO_MAPPING: 1}


def test_a_forward_may_be_of_one_protocol():
    wires = nat_wires(forwards=[Forward((OUTER, 8000), (INNER.host, 80), protocols=("tcp",))])
    assert wires.into(tcp(STRANGER, (OUTER, 8000), SYN)) is not None
    assert wires.into(udp(STRANGER, (OUTER, 8000))) is None


@pytest.mark.parametrize("kind", [NatKind(ports=PortAssignment.PRESERVATION), NAT_PRESETS["linux-masquerade"]])
def test_a_forwarded_port_is_given_to_nobody_else(kind):
    wires = nat_wires(kind=kind, forwards=[Forward((OUTER, 5000), (INNER.host, 80))])
    assert mapped(wires, NEIGHBOUR, SERVER) != Address(OUTER, 5000)


def test_all_ports_of_an_address_may_be_one_hosts():
    wires = nat_wires(preset="one-to-one", forwards=[WHOLE])
    assert wires.into(udp(STRANGER, (OUTER, 1234))) == udp(STRANGER, (INNER.host, 1234))
    assert mapped(wires, INNER, SERVER) == Address(OUTER, INNER.port)


def test_an_address_that_is_one_hosts_serves_no_other_where_there_is_another():
    second = "203.0.113.2"
    wires = nat_wires(OUTER, second, forwards=[WHOLE])
    assert mapped(wires, INNER, SERVER).host == OUTER
    assert mapped(wires, NEIGHBOUR, SERVER).host == second


def test_forwards_survive_a_reboot():
    wires = nat_wires(forwards=[PORT])
    outer = mapped(wires, INNER, SERVER)
    wires.box.reboot()
    assert wires.into(udp(SERVER, outer)) is None
    assert wires.into(udp(STRANGER, (OUTER, 8000))) is not None


def test_what_is_forwarded_to_nobody_ends_inside():
    wires = nat_wires(forwards=[Forward((OUTER, 8000), ("10.0.0.99", 80))])
    assert wires.into(udp(STRANGER, (OUTER, 8000))) is None
    assert wires.lost == {Fate.UNROUTABLE: 1}
    assert wires.box.mappings == ()
    assert [wires.heard(host) for host in (INNER.host, NEIGHBOUR.host, STRANGER.host)] == [[], [], []]


def test_icmp_errors_about_what_is_forwarded_are_translated_both_ways():
    wires = nat_wires(forwards=[PORT])
    error = Packet(Address(STRANGER.host, 0), Address(OUTER, 8000), b"", IcmpError(3, 3), STRANGER)
    assert wires.into(error) == error._replace(destination=Address(INNER.host, 80))
    answer = Packet(Address(INNER.host, 0), STRANGER, b"", IcmpError(3, 3), Address(INNER.host, 80))
    assert wires.out(answer) == answer._replace(source=Address(OUTER, 0), quoted=Address(OUTER, 8000))
    assert wires.out(answer._replace(quoted=NEIGHBOUR)) is None


@pytest.mark.parametrize(
    ("outer", "inner", "protocols", "reason"),
    [
        ((OUTER, 1), ("fd00::1", 1), ("udp",), "would change the family"),
        ((OUTER, 0), (INNER.host, 1), ("udp",), "either one port to one port, or all"),
        ((OUTER, 1), (INNER.host, 0), ("udp",), "either one port to one port, or all"),
        ((OUTER, 1), (INNER.host, 1), (), 'protocols must be "udp", "tcp" or both'),
        ((OUTER, 1), (INNER.host, 1), ("icmp",), 'protocols must be "udp", "tcp" or both'),
        (("router", 1), (INNER.host, 1), ("udp",), "router"),
    ],
)
def test_a_forward_that_cannot_be_is_refused(outer, inner, protocols, reason):
    with pytest.raises(ValueError, match=reason):
        Forward(outer, inner, protocols=protocols)
