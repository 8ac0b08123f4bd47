"""NATs that track connections, as Linux's conntrack and pf do."""

import attrs
import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import (
    NAT_PRESETS,
    Fate,
    Mapping,
    NatKind,
    NatMapping,
    Packet,
    Pooling,
    PortAssignment,
    TcpTimeouts,
    Tracking,
)
from sansice.simulation._nat import _connections
from simulation._wires import ACK, INNER, NEIGHBOUR, OUTER, RST, SAME_HOST, SERVER, STRANGER, SYN, mapped, nat_wires, tcp, udp

LINUX, OPEN = NAT_PRESETS["linux-masquerade"], NAT_PRESETS["linux-masquerade-open-input"]
PRESERVED = Address(OUTER, INNER.port)


def lives(wires, outer=PRESERVED, peer=SERVER):
    return wires.into(udp(peer, outer)) is not None


def test_a_port_is_preserved_for_every_peer():
    wires = nat_wires(preset="linux-masquerade")
    assert {mapped(wires, INNER, peer) for peer in (SERVER, SAME_HOST, STRANGER)} == {PRESERVED}


def test_two_hosts_share_a_port_as_long_as_their_peers_differ():
    wires = nat_wires(preset="linux-masquerade")
    assert mapped(wires, INNER, SERVER) == mapped(wires, NEIGHBOUR, STRANGER) == PRESERVED
    assert wires.into(udp(SERVER, PRESERVED)).destination == INNER
    assert wires.into(udp(STRANGER, PRESERVED)).destination == NEIGHBOUR


def test_a_clash_moves_the_later_socket_and_it_stays_there_for_later_peers():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    moved = mapped(wires, NEIGHBOUR, SERVER)
    assert moved != PRESERVED
    assert moved.port >= 1024
    assert mapped(wires, NEIGHBOUR, STRANGER) == moved
    assert wires.into(udp(SERVER, moved)).destination == NEIGHBOUR


def test_a_socket_that_leaves_by_two_ports_leaves_by_the_latest_for_a_new_peer():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, NEIGHBOUR, SERVER)
    assert mapped(wires, INNER, STRANGER) == PRESERVED
    moved = mapped(wires, INNER, SERVER)
    assert moved != PRESERVED
    assert mapped(wires, INNER, SAME_HOST) == moved


def test_a_socket_leaves_by_its_own_number_again_when_what_moved_it_is_gone():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    moved = mapped(wires, NEIGHBOUR, SERVER)
    wires.wait(31.0)
    assert mapped(wires, NEIGHBOUR, STRANGER) == PRESERVED != moved


def test_only_the_peer_of_a_connection_is_let_in():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    assert lives(wires)
    assert not lives(wires, peer=SAME_HOST)
    assert wires.lost == {Fate.NO_MAPPING: 1}
    assert wires.heard(SAME_HOST.host) == []


def test_an_unanswered_connection_lives_for_30_seconds_after_each_packet():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    wires.wait(29.0)
    mapped(wires, INNER, SERVER)
    wires.wait(29.9)
    assert lives(wires)
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    wires.wait(30.0)
    assert not lives(wires)


def test_an_answered_connection_lives_for_120_seconds_once_it_is_two_seconds_old():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    assert lives(wires)
    wires.wait(30.0)
    assert not lives(wires)
    mapped(wires, INNER, SERVER)
    wires.wait(2.1)
    assert lives(wires)
    wires.wait(119.9)
    assert lives(wires)
    wires.wait(120.0)
    assert not lives(wires)


def test_an_answer_at_two_seconds_makes_no_long_life_yet():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    wires.wait(2.0)  # nf_conntrack_proto_udp.c: time_after(jiffies, stream_ts)
    assert lives(wires)
    wires.wait(30.0)
    assert not lives(wires)


def test_a_changed_lifetime_is_that_of_answered_connections():
    wires = nat_wires(preset="linux-masquerade", lifetime=200.0)
    wires.box.lifetime = 50.0
    assert wires.box.lifetime == 50.0
    mapped(wires, INNER, SERVER)
    wires.wait(3.0)
    assert lives(wires)
    wires.wait(50.0)
    assert not lives(wires)


def test_connections_may_be_refreshed_by_one_direction_alone():
    wires = nat_wires(kind=attrs.evolve(LINUX, refresh="outbound", unreplied=None, lifetime=30.0))
    mapped(wires, INNER, SERVER)
    wires.wait(29.0)
    assert lives(wires)
    wires.wait(1.0)
    assert not lives(wires)


def test_fully_random_ports_differ_for_each_peer():
    wires = nat_wires(preset="linux-masquerade-random")
    found = {mapped(wires, INNER, peer) for peer in (SERVER, SAME_HOST, STRANGER)}
    assert len(found) == 3
    assert PRESERVED not in found


def test_a_peer_that_comes_too_early_takes_the_port_where_the_input_is_open():
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert mapped(wires, INNER, STRANGER) == PRESERVED
    assert not lives(wires)
    [refusal] = wires.heard(SERVER.host)
    assert (refusal.icmp, refusal.quoted) == (IcmpError(3, 3), PRESERVED)
    moved = mapped(wires, INNER, SERVER)
    assert moved != PRESERVED
    assert not lives(wires)
    assert lives(wires, moved)


def test_the_entry_of_an_early_peer_is_gone_after_30_seconds():
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert not lives(wires)
    wires.wait(29.0)
    assert not lives(wires)
    wires.wait(29.0)
    assert mapped(wires, INNER, SERVER) != PRESERVED
    wires.wait(31.0)
    assert mapped(wires, INNER, SERVER) == PRESERVED


def test_an_early_peer_takes_nothing_where_the_input_is_closed():
    wires = nat_wires(preset="linux-masquerade")
    assert not lives(wires)
    assert mapped(wires, INNER, SERVER) == PRESERVED


def test_an_early_tcp_peer_is_reset_where_the_input_is_open():
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert wires.into(tcp(SERVER, PRESERVED, SYN)) is None
    [refusal] = wires.heard(SERVER.host)
    assert refusal.tcp.flags == RST | ACK
    assert wires.out(tcp(INNER, SERVER, SYN)).source != PRESERVED


def test_icmp_errors_make_no_entries_and_get_no_answer():
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert wires.into(Packet(Address(SERVER.host, 0), PRESERVED, b"", IcmpError(3, 3), SERVER)) is None
    assert wires.heard(SERVER.host) == []
    assert mapped(wires, INNER, SERVER) == PRESERVED


def test_an_entry_of_the_routers_own_is_nobody_for_icmp_errors():
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert not lives(wires)
    assert wires.into(Packet(Address(SERVER.host, 0), PRESERVED, b"", IcmpError(3, 3), SERVER)) is None
    assert wires.lost == {Fate.NO_MAPPING: 2}


def test_entries_of_the_routers_own_are_bounded(monkeypatch):
    monkeypatch.setattr(_connections, "MAX_OWN", 1)
    wires = nat_wires(preset="linux-masquerade-open-input")
    assert not lives(wires)
    assert not lives(wires, peer=STRANGER)
    assert mapped(wires, INNER, STRANGER) == PRESERVED
    wires.wait(31.0)
    assert not lives(wires, peer=STRANGER)
    assert mapped(wires, INNER, STRANGER) != PRESERVED


def test_icmp_errors_are_translated_both_ways():
    wires = nat_wires(preset="linux-masquerade")
    mapped(wires, INNER, SERVER)
    error = Packet(Address(STRANGER.host, 0), PRESERVED, b"", IcmpError(3, 1), SERVER)
    assert wires.into(error) == error._replace(destination=INNER)
    answer = Packet(Address(INNER.host, 0), SERVER, b"", IcmpError(3, 3), INNER)
    assert wires.out(answer) == answer._replace(source=Address(OUTER, 0), quoted=PRESERVED)
    assert wires.out(answer._replace(quoted=NEIGHBOUR)) is None


def test_connections_are_shown_with_their_peers():
    wires = nat_wires(preset="linux-masquerade-open-input")
    lives(wires)
    mapped(wires, INNER, STRANGER)
    assert wires.box.mappings == (NatMapping("udp", INNER, PRESERVED, STRANGER, 30.0),)
    wires.wait(30.0)
    assert wires.box.mappings == ()


def test_a_reboot_forgets_connections_and_entries_of_its_own():
    wires = nat_wires(preset="linux-masquerade-open-input")
    lives(wires)
    mapped(wires, INNER, STRANGER)
    wires.box.reboot()
    assert wires.box.mappings == ()
    assert not lives(wires, peer=STRANGER)
    assert mapped(wires, INNER, SERVER) == PRESERVED


def test_the_number_of_connections_is_limited():
    wires = nat_wires(kind=attrs.evolve(LINUX, max_mappings_per_host=2))
    assert [mapped(wires, INNER, peer) for peer in (SERVER, SAME_HOST)] == [PRESERVED, PRESERVED]
    assert mapped(wires, INNER, STRANGER) is None
    assert wires.lost == {Fate.NO_PORTS: 1}
    wires.wait(31.0)
    assert mapped(wires, INNER, STRANGER) == PRESERVED


def test_a_connection_that_begins_anew_is_not_forgotten_with_what_it_was_before():
    wires = nat_wires(kind=attrs.evolve(NAT_PRESETS["linux-masquerade-random"], max_mappings=2))
    before = mapped(wires, INNER, SERVER)
    wires.wait(31.0)
    anew = mapped(wires, INNER, SERVER)
    assert anew != before
    assert mapped(wires, NEIGHBOUR, SERVER) is not None
    assert mapped(wires, NEIGHBOUR, STRANGER) is None  # full, so what has expired is looked for
    assert mapped(wires, INNER, SERVER) == anew


def test_ports_are_exhausted_for_each_peer_alone():
    kind = NatKind(
        tracking=Tracking.CONNECTIONS,
        mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT,
        ports=PortAssignment.RANDOM,
        port_range=(3000, 3001),
        lifetime=30.0,
    )
    wires = nat_wires(kind=kind)
    assert {mapped(wires, inner, SERVER) for inner in (INNER, NEIGHBOUR)} == {Address(OUTER, 3000), Address(OUTER, 3001)}
    assert mapped(wires, Address(INNER.host, 9), SERVER) is None
    assert mapped(wires, Address(INNER.host, 9), STRANGER) is not None
    wires.wait(30.0)
    assert mapped(wires, Address(INNER.host, 9), SERVER) is not None


def test_several_outer_addresses_are_paired_with_inner_ones():
    wires = nat_wires("203.0.113.1", "203.0.113.2", preset="linux-masquerade", pooling=Pooling.PAIRED)
    assert {mapped(wires, INNER, peer).host for peer in (SERVER, STRANGER)} == {"203.0.113.1"}
    assert mapped(wires, NEIGHBOUR, SERVER) == Address("203.0.113.2", 5000)
    wires.box.forget()
    assert mapped(wires, NEIGHBOUR, SERVER).host == "203.0.113.1"


def test_tcp_connections_live_by_their_phase():
    wires = nat_wires(kind=attrs.evolve(LINUX, tcp=TcpTimeouts(opening=10.0, established=100.0)))
    assert wires.out(tcp(INNER, SERVER, SYN)).source == PRESERVED
    wires.wait(9.0)
    assert wires.into(tcp(SERVER, PRESERVED, SYN | ACK)).destination == INNER
    wires.wait(99.0)
    assert wires.into(tcp(SERVER, PRESERVED, ACK)) is not None
    wires.wait(100.0)
    assert wires.into(tcp(SERVER, PRESERVED, ACK)) is None


@pytest.mark.parametrize("picks_up", [True, False])
def test_a_connection_is_picked_up_in_its_middle_by_those_that_do(picks_up):
    wires = nat_wires(kind=attrs.evolve(LINUX, picks_up=picks_up))
    assert (wires.out(tcp(INNER, SERVER, ACK)) is not None) is picks_up
    assert (wires.into(tcp(SERVER, PRESERVED, ACK)) is not None) is picks_up


def test_a_stray_segment_makes_no_entry_where_connections_are_not_picked_up():
    wires = nat_wires(kind=attrs.evolve(OPEN, picks_up=False))
    assert wires.into(tcp(SERVER, PRESERVED, ACK)) is None
    assert wires.out(tcp(INNER, SERVER, SYN)).source == PRESERVED


def test_what_the_inside_sends_to_the_router_itself_is_refused():
    wires = nat_wires(preset="linux-masquerade")
    refusal = wires.turn(udp(INNER, PRESERVED))
    assert (refusal.icmp, refusal.quoted, refusal.source) == (IcmpError(3, 3), PRESERVED, Address(OUTER, 0))
    assert wires.turn(tcp(INNER, PRESERVED, SYN)).tcp.flags == RST | ACK
    assert wires.turn(Packet(Address(INNER.host, 0), PRESERVED, b"", IcmpError(3, 3), SERVER)) is None
    assert wires.lost == {Fate.NO_HAIRPIN: 3}
