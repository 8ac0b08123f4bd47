"""A firewall's rules on symbolic endpoints."""

import pytest

from sansice.simulation import FIREWALL_PRESETS, Filtering, FirewallKind, Rule, Verdict
from sansice.simulation._oracle._guard import Guard
from sansice.simulation._oracle._values import Endpoint

INNER, PEER = Endpoint("2001:db8::1", ("a socket", 0)), Endpoint("2001:db8:1::1", ("a peer", 0))
OTHER = Endpoint("2001:db8:2::1", ("a peer", 1))
SERVER = Endpoint("2001:db8:3::1", 3478)


def test_stateful_firewall_lets_in_whom_the_inside_has_sent_to():
    guard = Guard(FIREWALL_PRESETS["stateful"])
    assert not guard.enters(PEER, INNER)
    assert guard.learned == 0
    assert guard.leaves(INNER, PEER)
    assert guard.enters(PEER, INNER)
    assert not guard.enters(OTHER, INNER)
    assert guard.learned == 1


def test_firewall_that_filters_less_lets_in_anyone_once_the_inside_has_sent():
    guard = Guard(FirewallKind(filtering=Filtering.ENDPOINT_INDEPENDENT))
    assert not guard.enters(OTHER, INNER)
    assert guard.leaves(INNER, PEER)
    assert guard.enters(OTHER, INNER)


def test_what_was_let_in_may_be_answered():
    guard = Guard(FirewallKind(inbound=Verdict.ALLOW, outbound=Verdict.DROP))
    assert not guard.leaves(INNER, PEER)
    assert guard.enters(PEER, INNER)
    assert guard.leaves(INNER, PEER)


def test_what_was_let_in_opens_the_way_out_to_nobody_else():
    guard = Guard(FirewallKind(inbound=Verdict.ALLOW, outbound=Verdict.DROP, filtering=Filtering.ENDPOINT_INDEPENDENT))
    assert guard.enters(PEER, INNER)
    assert not guard.leaves(INNER, OTHER)


@pytest.mark.parametrize("preset", ["udp-blocked", "udp-rejected"])
def test_blocked_udp_passes_in_neither_direction(preset):
    guard = Guard(FIREWALL_PRESETS[preset])
    assert not guard.leaves(INNER, PEER)
    assert not guard.enters(PEER, INNER)


@pytest.mark.parametrize(
    ("rule", "leaves"),
    [
        (Rule(Verdict.DROP), []),
        (Rule(Verdict.DROP, "udp"), []),
        (Rule(Verdict.DROP, "tcp"), [PEER, SERVER]),
        (Rule(Verdict.DROP, direction="out"), []),
        (Rule(Verdict.DROP, direction="in"), [PEER, SERVER]),
        (Rule(Verdict.DROP, ports=(3478,)), [PEER]),
        (Rule(Verdict.DROP, ports=((3000, 4000),)), [PEER]),
        (Rule(Verdict.DROP, ports=((1024, 65535),)), []),
        (Rule(Verdict.DROP, inside="2001:db8::/48"), []),
        (Rule(Verdict.DROP, inside="2001:db8:1::/48"), [PEER, SERVER]),
        (Rule(Verdict.DROP, outside="2001:db8:1::/48"), [SERVER]),
    ],
)
def test_rule_stops_what_it_matches(rule, leaves):
    guard = Guard(FirewallKind(rules=(rule,)))
    assert [peer for peer in (PEER, SERVER) if guard.leaves(INNER, peer)] == leaves


def test_first_rule_that_matches_decides():
    guard = Guard(FirewallKind(rules=(Rule(Verdict.ALLOW, ports=(3478,)), Rule(Verdict.DROP))))
    assert guard.leaves(INNER, SERVER)
    assert not guard.leaves(INNER, PEER)


def test_port_of_a_packet_from_outside_is_that_of_the_inside():
    guard = Guard(FirewallKind(rules=(Rule(Verdict.ALLOW, direction="in", ports=(3478,)),)))
    assert guard.enters(PEER, Endpoint("2001:db8::2", 3478))
    assert not guard.enters(PEER, INNER)
