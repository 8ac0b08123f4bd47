"""A relay kept warm beside a direct path, in the simulation: what it costs, what it saves, and when it is given back."""

import pytest

from ice._relay_scene import SERVER, World, relay
from sansice.ice import CandidateType, ConsentExpired, IceState, Nomination
from sansice.machine import Transport

RELAYED = CandidateType.RELAYED
WARM, MOVING = Nomination(renominate=True, standby=True), Nomination(renominate=True)
DIRECT = {"203.0.113.1", "203.0.113.2"}


def world(nomination, **options):
    """Two agents whose NATs let them talk directly, and that talk so; one of them has a relay."""
    one = World(nat="restricted-cone", **options)
    one.add(servers=[relay()], nomination=nomination)
    one.add(servers=[f"stun:{SERVER}"], nomination=nomination)
    assert one.connect()
    one.run(10.0)
    for agent in one.agents:
        assert RELAYED not in (agent.selected_pair.local.type, agent.selected_pair.remote.type)
    return one


def allocations(one):
    return len(one.server.allocations(now=one.net.now))


def is_relayed(agent):
    return RELAYED in (agent.selected_pair.local.type, agent.selected_pair.remote.type)


@pytest.mark.req("RFC8445-105", "RFC8445-106")
def test_a_relay_that_nobody_wants_warm_is_given_back():
    one = world(MOVING)
    one.run(30.0)
    assert allocations(one) == 0
    assert one.echo()


def test_a_warm_relay_takes_over_within_seconds_when_the_direct_path_dies_and_gives_way_when_it_lives_again():
    one = world(WARM)
    one.run(300.0)
    assert allocations(one) > 0
    assert not any(is_relayed(agent) for agent in one.agents)
    one.net.drop = lambda packet: {packet.source.host, packet.destination.host} == DIRECT
    one.run(12.0)
    assert all(is_relayed(agent) for agent in one.agents)
    assert all(agent.state is IceState.COMPLETED for agent in one.agents)
    assert one.echo()
    one.run(20.0)
    one.net.drop = None
    one.run(120.0)
    assert not any(is_relayed(agent) for agent in one.agents)
    assert one.echo()


def test_a_warm_relay_costs_a_check_each_quarter_of_a_minute_and_no_more():
    one = world(WARM)
    one.run(60.0)
    seen = []
    one.net.watch(lambda passage: seen.append(passage))
    one.run(150.0)
    sent = [one for one in seen if one.place == "a" and one.fate.name == "SENT" and one.packet.destination.host == SERVER]
    # Ten checks of ours and ten answers, through the relay; and a refreshed permission or two.
    assert 10 <= len(sent) <= 36


@pytest.mark.parametrize("nomination", [Nomination(), MOVING])
def test_without_a_warm_relay_a_dead_path_ends_the_session(nomination):
    one = world(nomination)
    one.run(20.0)
    one.net.drop = lambda packet: {packet.source.host, packet.destination.host} == DIRECT
    one.run(70.0)
    assert [agent.state for agent in one.agents] == [IceState.FAILED] * 2


@pytest.mark.req("RFC7675-014")
def test_consent_is_asked_for_where_a_stream_carries_the_path_and_ends_all_the_same():
    one = World()
    for _ in range(2):
        one.add(servers=[relay(Transport.TCP)], policy="relay")
    assert one.connect()
    one.run(300.0)
    for agent in one.agents:
        assert agent.state is IceState.COMPLETED
        assert agent.selected_pair.local.type is RELAYED
    closed = one.net.now
    one.nodes[1].call(one.agents[1].close)
    one.run(23.5)
    assert one.agents[0].state is not IceState.FAILED
    one.run(7.0)
    assert one.agents[0].state is IceState.FAILED
    expired = [(when, event) for when, event in one.nodes[0].events if isinstance(event, ConsentExpired)]
    ((when, event),) = expired
    assert 23.5 < when - closed <= 30.2 and not event.revoked
