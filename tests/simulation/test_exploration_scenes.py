"""Scenes as arenas: places, faults, and what is promised of them."""

from sansice.simulation import scene, scene_arena


def test_a_nat_stands_for_the_one_agent_behind_it():
    arena = scene_arena(scene("two-homes"))
    assert sorted(arena.places.values()) == sorted(arena.agents)
    assert sorted(arena.faults) == sorted(
        [f"{name} is killed" for name in arena.agents] + [f"{nat.name} reboots" for nat in scene("two-homes").nats]
    )
    assert arena.sound


def test_a_nat_with_two_agents_behind_it_stands_for_none():
    shared, *own = scene("same-home-hairpin").nats
    places = scene_arena(scene("same-home-hairpin")).places
    assert set(shared.outside) & set(places) == set()
    assert set(places) == {address for nat in own for address in nat.outside}


def test_an_inner_nat_counts_as_behind_the_outer_one():
    arena = scene_arena(scene("double-nat"))
    assert set(arena.places.values()) == set(arena.agents)


def test_a_scene_that_does_not_connect_or_that_changes_promises_nothing():
    assert not scene_arena(scene("symmetric-to-symmetric")).sound
    assert not scene_arena(scene("nat-reboots")).sound


def test_deviations_begin_when_the_first_agent_knows_the_other():
    arena = scene_arena(scene("two-homes"), seed=5)
    assert arena.begins is not None
    assert not arena.begins()
    assert arena.network.run(until=10.0, when=arena.begins)
    assert arena.network.seed == 5
