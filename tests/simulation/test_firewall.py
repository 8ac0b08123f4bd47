"""Firewalls: what gets through, what its sender is told, what is remembered."""

import pytest

from sansice.machine import Address, IcmpError
from sansice.simulation import Fate, Filtering, FirewallKind, Link, Network, Packet, Rule, TcpTimeouts
from sansice.simulation._nat import _filter
from sansice.simulation._world._packets import Fragment
from simulation._machines import Peer, Received
from simulation._wires import ACK, FIN, INNER, RST, SAME_HOST, SERVER, STRANGER, SYN, Wires, tcp, udp

SIX, SIX_SERVER = Address("2001:db8:6::2", 5), Address("2001:db8:1::1", 6)
PROHIBITED = IcmpError(3, 13)


def wires_with(kind="stateful", trace=0, **options):
    if options:
        kind = FirewallKind(**options)
    return Wires(
        lambda net: net.firewall(kind, name="wall"),
        trace=trace,
        inside=(INNER.host, SIX.host),
        outside=(SERVER.host, STRANGER.host, SIX_SERVER.host),
    )


@pytest.mark.parametrize(("inner", "outer"), [(INNER, SERVER), (SIX, SIX_SERVER)])
def test_answers_come_in_and_nothing_else(inner, outer):
    wires = wires_with()
    assert wires.into(udp(outer, inner)) is None
    assert wires.out(udp(inner, outer)) == udp(inner, outer)
    assert wires.into(udp(outer, inner)) == udp(outer, inner)
    assert wires.into(udp((outer.host, 99), inner)) is None
    assert wires.into(udp(outer, (inner.host, 99))) is None
    assert wires.lost == {Fate.BLOCKED: 3}
    assert wires.heard(outer.host) == []


@pytest.mark.parametrize(
    ("filtering", "same_host", "other_host"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, True, True),
        (Filtering.ADDRESS_DEPENDENT, True, False),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, False, False),
    ],
)
def test_who_may_answer_over_udp_depends_on_the_filtering(filtering, same_host, other_host):
    wires = wires_with(filtering=filtering)
    wires.out(udp(INNER, SERVER))
    assert (wires.into(udp(SAME_HOST, INNER)) is not None) is same_host
    assert (wires.into(udp(STRANGER, INNER)) is not None) is other_host


def test_a_flow_is_kept_alive_by_both_directions():
    wires = wires_with(lifetime=30.0)
    wires.out(udp(INNER, SERVER))
    wires.wait(29.0)
    assert wires.into(udp(SERVER, INNER))
    wires.wait(29.0)
    assert wires.into(udp(SERVER, INNER))
    wires.wait(30.0)
    assert wires.into(udp(SERVER, INNER)) is None


def test_a_connection_is_followed_by_its_phase():
    wires = wires_with(tcp=TcpTimeouts(opening=10.0, established=100.0, closing=20.0))
    assert wires.out(tcp(INNER, SERVER, SYN))
    assert wires.into(tcp(STRANGER, INNER, SYN)) is None
    wires.wait(9.0)
    assert wires.into(tcp(SERVER, INNER, SYN | ACK))
    wires.wait(99.0)
    assert wires.out(tcp(INNER, SERVER, FIN | ACK))
    assert wires.into(tcp(SERVER, INNER, FIN | ACK))
    wires.wait(20.0)
    assert wires.out(tcp(INNER, SERVER, ACK)) is None
    assert wires.lost == {Fate.BLOCKED: 2}


def test_a_segment_of_no_connection_is_stopped_even_on_its_way_out():
    wires = wires_with()
    assert wires.out(tcp(INNER, SERVER, ACK)) is None
    assert wires.out(tcp(INNER, SERVER, RST)) is None


def test_errors_about_a_flow_go_through_and_others_do_not():
    wires = wires_with(lifetime=30.0, tcp=TcpTimeouts(opening=30.0))
    wires.out(udp(INNER, SERVER))
    wires.out(tcp(INNER, SERVER, SYN))
    about_udp = Packet(Address(STRANGER.host, 0), INNER, b"", IcmpError(3, 1), SERVER)
    about_tcp = about_udp._replace(tcp=tcp(INNER, SERVER, SYN).tcp)
    assert wires.into(about_udp) == about_udp
    assert wires.into(about_tcp) == about_tcp
    assert wires.into(about_udp._replace(quoted=STRANGER)) is None
    assert wires.into(about_tcp._replace(quoted=STRANGER)) is None
    answer = Packet(Address(INNER.host, 0), SERVER, b"", IcmpError(3, 3), INNER)
    assert wires.out(answer) == answer
    assert wires.out(answer._replace(destination=STRANGER)) is None
    wires.wait(30.0)
    assert wires.into(about_udp) is None
    assert wires.into(about_tcp) is None
    assert wires.lost == {Fate.BLOCKED: 5}


@pytest.mark.parametrize("filtering", Filtering)
def test_what_a_rule_lets_in_may_be_answered_where_nothing_else_gets_out(filtering):
    rules = [Rule("allow", "udp", direction="in", ports=[INNER.port])]
    wires = wires_with(rules=rules, outbound="drop", filtering=filtering)
    assert wires.out(udp(INNER, SERVER)) is None
    assert wires.into(udp(SERVER, INNER))
    assert wires.out(udp(INNER, SERVER))
    assert wires.out(udp(INNER, SAME_HOST)) is None
    assert wires.out(udp(INNER, STRANGER)) is None


@pytest.mark.parametrize("verdict", ["drop", "unreachable", "reset"])
def test_who_is_stopped_is_told_as_the_verdict_says(verdict):
    wires = wires_with(outbound=verdict)
    heard = wires.turn(udp(INNER, SERVER)), wires.turn(tcp(INNER, SERVER, SYN))
    if verdict == "drop":
        assert heard == (None, None)
        return
    assert (heard[0].icmp, heard[0].quoted, heard[0].destination) == (PROHIBITED, SERVER, INNER)
    if verdict == "unreachable":
        assert (heard[1].icmp, heard[1].tcp) == (PROHIBITED, tcp(INNER, SERVER, SYN).tcp)
    else:
        assert heard[1].tcp.flags == RST | ACK
        assert wires.turn(tcp(INNER, SERVER, RST)) is None


def test_those_outside_are_told_as_well_in_their_family():
    wires = wires_with(inbound="unreachable")
    wires.into(udp(SIX_SERVER, SIX))
    [refusal] = wires.heard(SIX_SERVER.host)
    assert refusal.icmp == IcmpError(1, 1, ipv6=True)


def test_an_error_is_not_answered_by_an_error():
    wires = wires_with(outbound="unreachable")
    assert wires.turn(Packet(Address(INNER.host, 0), SERVER, b"", IcmpError(3, 3), INNER)) is None


@pytest.mark.parametrize(("policy", "through"), [("any-order", 2), ("in-order", 1), ("first-only", 1), ("drop", 0)])
def test_fragments_go_through_as_the_policy_says(policy, through):
    wires = wires_with(fragments=policy)
    bare = (INNER.host, 0), (SERVER.host, 0)
    wires.inside[INNER.host].send(udp(*bare)._replace(fragment=Fragment(1, 8, False, 9)))
    wires.inside[INNER.host].send(udp(INNER, SERVER)._replace(fragment=Fragment(1, 0, True, 9)))
    assert len(wires.heard(SERVER.host)) == through
    wires.outside[SERVER.host].send(udp(STRANGER, INNER)._replace(fragment=Fragment(1, 0, True, 9)))
    assert wires.heard(INNER.host) == []


def test_flows_are_bounded(monkeypatch):
    monkeypatch.setattr(_filter, "MAX_FLOWS", 2)
    wires = wires_with(lifetime=30.0, tcp=TcpTimeouts(opening=30.0))
    assert [wires.out(udp(INNER, peer)) is not None for peer in (SERVER, SAME_HOST, STRANGER)] == [True, True, False]
    assert wires.out(tcp(INNER, SERVER, SYN)) is None
    assert wires.out(udp(INNER, SERVER))
    wires.wait(30.0)
    assert wires.out(udp(INNER, STRANGER))
    assert [wires.out(tcp(INNER, peer, SYN)) is not None for peer in (SERVER, STRANGER, SAME_HOST)] == [True, True, False]
    wires.wait(30.0)
    assert wires.out(tcp(INNER, SAME_HOST, SYN))


def test_another_kind_judges_every_flow_anew():
    wires = wires_with("captive")
    assert wires.turn(udp(INNER, SERVER)).icmp == PROHIBITED
    wires.box.kind = FirewallKind()
    assert wires.box.kind == FirewallKind()
    assert wires.out(udp(INNER, SERVER))
    wires.box.kind = FirewallKind()
    assert wires.into(udp(SERVER, INNER)) is None


def test_a_reboot_forgets_every_flow():
    wires = wires_with()
    wires.out(udp(INNER, SERVER))
    wires.box.forget()
    assert wires.into(udp(SERVER, INNER)) is None


def test_an_address_inside_is_known_outside_until_it_is_taken_away():
    wires = wires_with("transparent")
    assert wires.into(udp(SERVER, INNER))
    wires.box.detach(INNER.host)
    assert wires.into(udp(SERVER, INNER)) is None
    assert wires.lost == {Fate.UNROUTABLE: 1}


def test_what_happens_is_seen_with_the_interface():
    wires = wires_with(trace=10)
    wires.out(udp(INNER, SERVER))
    wires.into(udp(STRANGER, INNER))
    seen = [(passage.place, passage.fate, passage.interface) for passage in wires.net.packets if passage.place == "wall"]
    assert seen == [
        ("wall", Fate.ARRIVED, "wall inside"),
        ("wall", Fate.FORWARDED, "wall outside"),
        ("wall", Fate.ARRIVED, "wall outside"),
        ("wall", Fate.BLOCKED, "wall outside"),
    ]


def test_a_refusal_is_seen_as_sent():
    wires = wires_with("udp-rejected", trace=10)
    wires.turn(udp(INNER, SERVER))
    fates = [(passage.fate, passage.interface) for passage in wires.net.packets if passage.place == "wall"]
    assert fates == [(Fate.ARRIVED, "wall inside"), (Fate.BLOCKED, "wall inside"), (Fate.SENT, "wall inside")]


def test_a_nat_stands_behind_a_firewall():
    net = Network()
    wall = net.firewall()
    inside = net.host("inside", "10.0.0.2", behind=net.nat("203.0.113.1", behind=wall)).run(Peer("10.0.0.2", 5))
    net.host("outside", "192.0.2.1").run(Peer("192.0.2.1", 6, echo=True))
    inside.call(inside.machine.send, Address("192.0.2.1", 6), b"hello")
    net.run()
    assert inside.events[-1][1] == Received(Address("192.0.2.1", 6), b"hello")


def test_the_access_link_and_the_lan_have_their_own_latency():
    net = Network(latency=0.01)
    wall = net.firewall(link=Link(latency=0.1), lan=Link(latency=0.2))
    inside = net.host("inside", "203.0.113.5", behind=wall).run(Peer("203.0.113.5", 5))
    outside = net.host("outside", "192.0.2.1").run(Peer("192.0.2.1", 6))
    inside.call(inside.machine.send, Address("192.0.2.1", 6), b"hello")
    net.run()
    assert outside.events[-1][0] == pytest.approx(0.31)


def test_an_unknown_preset_is_refused_with_those_that_are():
    with pytest.raises(ValueError, match="no kind of firewall is called 'strict'; there are stateful, "):
        Network().firewall("strict")
