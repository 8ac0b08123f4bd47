"""TCP through NATs that keep mappings (RFC 5382)."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, Mapping, NatKind, Packet, TcpTimeouts, UnsolicitedSyn
from sansice.simulation._nat import _tcp_mappings
from simulation._wires import ACK, FIN, INNER, NEIGHBOUR, OUTER, RST, SAME_HOST, SERVER, STRANGER, SYN, nat_wires, tcp, udp

TIMEOUTS = TcpTimeouts(opening=10.0, established=1000.0, closing=20.0, reset=5.0)


def connect(wires, inner=INNER, peer=SERVER):
    """Opens a connection. Returns the outer address."""
    outer = wires.out(tcp(inner, peer, SYN)).source
    assert wires.into(tcp(peer, outer, SYN | ACK)) == tcp(peer, inner, SYN | ACK)
    assert wires.out(tcp(inner, peer, ACK)) == tcp(outer, peer, ACK)
    return outer


@pytest.mark.parametrize("mapping", Mapping)
def test_mapping_depends_on_what_its_name_says(mapping):
    wires = nat_wires(mapping=mapping)
    first, same, other = (connect(wires, peer=peer) for peer in (SERVER, SAME_HOST, STRANGER))
    assert (first == same) is (mapping is not Mapping.ADDRESS_AND_PORT_DEPENDENT)
    assert (first == other) is (mapping is Mapping.ENDPOINT_INDEPENDENT)


@pytest.mark.parametrize(
    ("filtering", "same_host", "other_host"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, True, True),
        (Filtering.ADDRESS_DEPENDENT, True, False),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_who_may_connect_from_outside_depends_on_the_filtering(filtering, same_host, other_host):
    wires = nat_wires(filtering=filtering)
    outer = connect(wires)
    assert (wires.into(tcp(SAME_HOST, outer, SYN)) is not None) is same_host
    assert (wires.into(tcp(STRANGER, outer, SYN)) is not None) is other_host


def test_two_ends_may_open_simultaneously():
    wires = nat_wires()
    outer = wires.out(tcp(INNER, SERVER, SYN)).source
    assert wires.into(tcp(SERVER, outer, SYN)) == tcp(SERVER, INNER, SYN)
    assert wires.out(tcp(INNER, SERVER, SYN | ACK)) == tcp(outer, SERVER, SYN | ACK)


def test_tcp_and_udp_ports_have_nothing_to_do_with_each_other():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3000)))
    assert connect(wires) == Address(OUTER, 3000)
    assert wires.out(udp(NEIGHBOUR, SERVER)).source == Address(OUTER, 3000)
    assert [mapping.protocol for mapping in wires.box.mappings] == ["udp", "tcp"]


def test_a_connection_lives_by_its_phase_and_a_mapping_as_long_as_one_of_them():
    wires = nat_wires(kind=NatKind(tcp=TIMEOUTS))
    outer = connect(wires)
    wires.out(tcp(INNER, STRANGER, SYN))
    wires.wait(11.0)
    assert wires.into(tcp(STRANGER, outer, SYN | ACK)) is None
    assert wires.into(tcp(SERVER, outer)) is not None
    wires.out(tcp(INNER, SERVER, FIN | ACK))
    wires.into(tcp(SERVER, outer, FIN | ACK))
    wires.wait(19.0)
    assert wires.out(tcp(INNER, SERVER, ACK)) is not None
    wires.wait(1.0)
    assert wires.into(tcp(SERVER, outer, FIN | ACK)) is None
    assert wires.lost == {Fate.FILTERED: 1, Fate.NO_MAPPING: 1}


def test_an_rst_shortens_a_connections_life_and_not_that_of_others():
    wires = nat_wires(kind=NatKind(tcp=TIMEOUTS))
    outer = connect(wires)
    connect(wires, peer=STRANGER)
    assert wires.into(tcp(SERVER, outer, RST)) is not None
    wires.wait(6.0)
    assert wires.into(tcp(SERVER, outer)) is None
    assert wires.into(tcp(STRANGER, outer)) is not None


def test_a_segment_of_an_unknown_connection_stops_here_from_either_side():
    wires = nat_wires(filtering=Filtering.ENDPOINT_INDEPENDENT)
    assert wires.out(tcp(INNER, SERVER, ACK)) is None
    outer = connect(wires)
    assert wires.into(tcp(STRANGER, outer, ACK)) is None
    assert wires.into(tcp(STRANGER, Address(OUTER, 1), ACK)) is None
    assert wires.lost == {Fate.NO_MAPPING: 3}


def test_a_nat_that_picks_up_goes_on_after_a_reboot():
    wires = nat_wires(kind=NatKind(picks_up=True, ports="preservation"))
    outer = connect(wires)
    wires.box.reboot()
    assert wires.into(tcp(SERVER, outer)) is None
    assert wires.out(tcp(INNER, SERVER)) == tcp(outer, SERVER)
    assert wires.into(tcp(SERVER, outer)) == tcp(SERVER, INNER)


def test_a_nat_without_a_free_port_drops_what_needs_one():
    wires = nat_wires(kind=NatKind(port_range=(3000, 3000)))
    connect(wires)
    assert wires.out(tcp(NEIGHBOUR, SERVER, SYN)) is None
    assert wires.lost == {Fate.NO_PORTS: 1}


def test_a_mapping_holds_a_bounded_number_of_connections(monkeypatch):
    monkeypatch.setattr(_tcp_mappings, "MAX_SESSIONS", 2)
    wires = nat_wires(kind=NatKind(filtering=Filtering.ENDPOINT_INDEPENDENT, tcp=TIMEOUTS))
    outer = connect(wires)
    assert wires.into(tcp(STRANGER, outer, SYN)) is not None
    assert wires.into(tcp(SAME_HOST, outer, SYN)) is None
    assert wires.lost == {Fate.NO_PORTS: 1}
    wires.wait(11.0)
    assert wires.out(tcp(INNER, STRANGER, SYN)) is not None
    assert wires.into(tcp(SAME_HOST, outer, SYN)) is None


def test_icmp_errors_about_a_connection_are_translated_both_ways():
    wires = nat_wires()
    outer = wires.out(tcp(INNER, SERVER, SYN)).source
    segment = tcp(INNER, SERVER, SYN).tcp
    error = Packet(Address(STRANGER.host, 0), outer, b"", IcmpError(3, 1), SERVER, segment)
    assert wires.into(error) == error._replace(destination=INNER)
    assert wires.into(error._replace(quoted=STRANGER)) is None
    assert wires.into(error._replace(destination=Address(OUTER, 1))) is None
    answer = Packet(Address(INNER.host, 0), SERVER, b"", IcmpError(3, 3), INNER, segment)
    assert wires.out(answer) == answer._replace(source=Address(OUTER, 0), quoted=outer)
    assert wires.out(answer._replace(quoted=NEIGHBOUR)) is None
    assert wires.lost == {Fate.FILTERED: 1, Fate.NO_MAPPING: 2}


def unsolicited(policy, flags=SYN):
    wires = nat_wires(kind=NatKind(unsolicited_syn=policy))
    wires.into(tcp(SERVER, Address(OUTER, 3000), flags))
    return wires


def test_an_unsolicited_syn_may_get_no_answer():
    wires = unsolicited(UnsolicitedSyn.DROP)
    wires.wait(60.0)
    assert wires.heard(SERVER.host) == []
    assert wires.lost == {Fate.NO_MAPPING: 1}


def test_an_unsolicited_syn_may_be_reset():
    [answer] = unsolicited(UnsolicitedSyn.RESET).heard(SERVER.host)
    assert answer == tcp(Address(OUTER, 3000), SERVER, RST | ACK, seq=0, ack=1001)._replace(tcp=answer.tcp)
    assert (answer.tcp.flags, answer.tcp.seq, answer.tcp.ack) == (RST | ACK, 0, 1001)


def test_an_unsolicited_syn_may_be_unreachable_at_once():
    [answer] = unsolicited(UnsolicitedSyn.UNREACHABLE).heard(SERVER.host)
    assert (answer.icmp, answer.quoted, answer.source) == (IcmpError(3, 3), Address(OUTER, 3000), Address(OUTER, 0))


def test_an_unsolicited_syn_is_unreachable_after_six_seconds():
    wires = unsolicited(UnsolicitedSyn.UNREACHABLE_LATER)
    wires.wait(5.9)
    assert wires.heard(SERVER.host) == []
    wires.wait(0.1)
    [answer] = wires.heard(SERVER.host)
    assert answer.icmp == IcmpError(3, 3)


def test_an_unsolicited_syn_gets_no_answer_when_the_inside_opens_the_same_connection_within_six_seconds():
    wires = nat_wires(kind=NatKind(unsolicited_syn=UnsolicitedSyn.UNREACHABLE_LATER, ports="preservation"))
    wires.into(tcp(SERVER, Address(OUTER, INNER.port), SYN))
    wires.wait(5.0)
    assert wires.out(tcp(INNER, SERVER, SYN)).source == Address(OUTER, INNER.port)
    wires.wait(60.0)
    assert wires.heard(SERVER.host) == []


def test_a_bounded_number_of_unsolicited_syns_wait(monkeypatch):
    monkeypatch.setattr("sansice.simulation._nat._nat.MAX_WAITING_SYNS", 1)
    wires = nat_wires(kind=NatKind(unsolicited_syn=UnsolicitedSyn.UNREACHABLE_LATER))
    for port in (3000, 3001):
        wires.into(tcp(SERVER, Address(OUTER, port), SYN))
    wires.wait(7.0)
    assert len(wires.heard(SERVER.host)) == 1
    wires.into(tcp(SERVER, Address(OUTER, 3002), SYN))
    wires.wait(7.0)
    assert len(wires.heard(SERVER.host)) == 1


@pytest.mark.parametrize("policy", UnsolicitedSyn)
def test_what_does_not_ask_to_connect_is_never_answered(policy):
    wires = unsolicited(policy, ACK)
    wires.wait(60.0)
    assert wires.heard(SERVER.host) == []
