"""Offices that let out little: how soon agents connect from there, whatever the network loses, and what they say of it."""

import random

import attrs
import pytest

from sansice.ice import CandidateType, IceConfig, IceState, IceStateChanged, PairSelected, ServerAnswered
from sansice.machine import Transport
from sansice.simulation import Link, scene
from sansice.turn import TurnServer

SEEDS, MANY = 50, 300  # for each scene
LAST_RESORT = 3.0  # seconds from the start of gathering until both can send
WITHOUT_LOSS = 2.25  # until both have selected: 0.65 to open the last resort, 12 times 0.1 to ask, check and nominate, and waits
RETRANSMISSION = 0.5  # RFC 8489 6.2.1, 8445 14.3

RELAYED = ("office-udp-blocked-relay", "office-web-only-relay", "office-proxy-relay")


OFFICES = (*RELAYED, "office-udp-blocked-tcp")


def connected_at(world):
    events = world.nodes["alice"].events
    return next(at for at, one in events if isinstance(one, IceStateChanged) and one.new is IceState.CONNECTED)


def selected_at(world):
    """When both have."""
    return max(next(at for at, one in world.nodes[name].events if isinstance(one, PairSelected)) for name in world.agents)


def times(name, seeds, loss):
    """When each of the calls was connected, and selected: they are up to 0.1 s from the middle of the Internet."""
    for seed in range(seeds):
        draw = random.Random(f"{name} {seed}")
        link = Link(latency=draw.uniform(0.01, 0.1), loss=draw.uniform(0.0, loss))
        world = attrs.evolve(scene(name), internet=link).build(seed=seed)
        assert world.run().connected, seed
        yield connected_at(world), selected_at(world), seed


@pytest.mark.parametrize("name", OFFICES)
def test_whoever_is_let_out_at_all_has_selected_in_little_more_than_two_seconds(name):
    assert [one for one in times(name, SEEDS, 0.0) if one[1] > WITHOUT_LOSS] == []


@pytest.mark.parametrize("name", OFFICES)
def test_where_packets_are_lost_all_are_connected_within_three_seconds_and_299_of_300_have_selected(name):
    calls = list(times(name, MANY, 0.02))
    assert [one for one in calls if one[0] > LAST_RESORT] == []
    late = [one for one in calls if one[1] > LAST_RESORT]
    assert len(late) <= 1, late
    assert all(one[1] < LAST_RESORT + RETRANSMISSION for one in late), late


def test_a_peer_in_the_same_office_is_better_than_a_relay_however_little_is_waited_for_it():
    office = scene("office-web-only-relay")
    alice, bob = office.hosts
    inside = attrs.evolve(office, hosts=(alice, attrs.evolve(bob, addresses=("10.1.0.21",), behind="firewall")))
    expect = attrs.evolve(office.expect, pair_types=("host-host",))
    for seed in range(SEEDS):
        run = attrs.evolve(inside, expect=expect).build(seed=seed).run()
        assert run.pair_types == ("host-host",)


def test_where_a_server_answers_over_udp_something_better_than_a_relay_is_waited_for_as_ever():
    office = scene("office-udp-blocked-relay")
    alice, bob = office.hosts
    caller, callee = office.agents
    over_tcp = attrs.evolve(caller, ice_servers=tuple(url for url in caller.ice_servers if "udp" not in url))
    world = attrs.evolve(
        office,
        nats=tuple(attrs.evolve(nat, preset="symmetric") for nat in office.nats),
        firewalls=(),
        hosts=(attrs.evolve(alice, behind="office"), bob),
        agents=(over_tcp, callee),
    ).build(seed=1)
    assert world.run().connected
    assert world.agents["alice"].selected_pair.local.type is CandidateType.RELAYED
    assert selected_at(world) - connected_at(world) > IceConfig().acceptance_waits[CandidateType.RELAYED]


@pytest.mark.parametrize(
    ("name", "transport"),
    [
        ("office-udp-blocked-relay", Transport.TCP),
        ("office-web-only-relay", Transport.TLS),
        ("office-proxy-relay", Transport.TLS),
    ],
)
def test_the_best_that_gets_through_relays_alone_and_an_explanation_names_it(name, transport):
    world = scene(name).build(seed=1)
    assert world.run().connected
    (answer,) = [event for _, event in world.nodes["alice"].events if isinstance(event, ServerAnswered) and event.relayed]
    assert answer.transport is transport
    (server,) = [node.machine for node in world.servers.values() if isinstance(node.machine, TurnServer)]
    assert len(server.allocations(now=world.network.now)) == 1
    alice = world.agents["alice"]
    assert alice.selected_pair.local.type is CandidateType.RELAYED
    explanation = alice.explain()
    assert f"server {answer.url} (10.1.0.20): sees" in explanation
    assert f"relays at {answer.relayed[0]}" in explanation


def unexpected(office, **changes):
    """The office, otherwise, where nobody expects to connect."""
    return attrs.evolve(office, expect=attrs.evolve(office.expect, connected=False, lasts=False), **changes)


def test_a_proxy_that_does_not_want_to_is_told_with_its_words():
    office = scene("office-proxy-relay")
    world = unexpected(office, proxies=(attrs.evolve(office.proxies[0], ports=(80,)),)).build(seed=1)
    assert not world.run().connected
    explanation = world.agents["alice"].explain()
    assert "the proxy 10.1.0.10:3128 answered 403 Forbidden" in explanation
    assert "horse" not in explanation


def test_who_was_not_told_of_the_proxy_finds_no_way_out():
    office = scene("office-proxy-relay")
    alice, bob = office.agents
    world = unexpected(office, agents=(attrs.evolve(alice, proxy=""), bob)).build(seed=1)
    assert not world.run().connected


def test_a_proxy_may_let_everybody_through():
    office = scene("office-proxy-relay")
    world = attrs.evolve(office, proxies=(attrs.evolve(office.proxies[0], username="", password=""),)).build(seed=1)
    assert world.run().connected
