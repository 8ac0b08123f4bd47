"""The library: every scene ends as it says."""

import pytest

from sansice.simulation import scene, scenes, simulate

SEEDS = range(3)


@pytest.mark.parametrize("name", scenes())
def test_scene_ends_as_it_says(name):
    for seed in SEEDS:
        run = simulate(scene(name), seed=seed)
        assert run.surprises == (), f"seed {seed}"


def test_there_are_scenes_enough():
    assert len(scenes()) >= 25


def test_scenes_are_known_by_the_names_that_they_have():
    assert [one.name for one in scenes().values()] == list(scenes())


def test_every_scene_says_where_it_is_met():
    assert [one.name for one in scenes().values() if len(one.about.split()) < 20] == []


def test_scene_that_does_worse_than_ice_could_says_what_will_change():
    assert [one.name for one in scenes().values() if not one.expect.lasts and not one.expect.later] == []


def test_scene_that_connects_says_over_what():
    assert [one.name for one in scenes().values() if one.expect.connected and not one.expect.pair_types] == []


def test_caller_cannot_change_the_library():
    scenes().clear()
    assert scenes()


def test_unknown_scene_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match=r"^there is no scene 'two-houses'; there are two-homes, "):
        scene("two-houses")
