"""What a sweep can vary in a scene."""

import attrs
import pytest

from sansice.simulation import SWEEP_PARAMETERS, AgentSpec, Bursts, scene, simulate

HOMES = scene("two-homes")
VALUES = {
    "latency": 0.07,
    "jitter": 0.01,
    "loss": 0.2,
    "duplication": 0.1,
    "reordering": 0.3,
    "hold": 0.2,
    "bandwidth": 64_000.0,
    "queue": 3000,
    "mtu": 1280,
    "signalling": 0.3,
    "payload": 20,
    "trickle": True,
    "policy": "no-host",
    "nomination": "by-rtt",
}


def test_every_parameter_is_tried_here():
    assert [*VALUES, "burst_length"] == [*dict.fromkeys([*VALUES, *SWEEP_PARAMETERS])]


@pytest.mark.parametrize(("name", "value"), VALUES.items())
def test_scene_has_the_value_and_is_otherwise_the_same(name, value):
    parameter = SWEEP_PARAMETERS[name]
    usual = parameter.of(HOMES)
    varied = parameter.apply(HOMES, value)
    assert parameter.of(varied) == value != usual
    assert type(value) is parameter.kind
    assert varied != HOMES
    if usual is not None:
        assert parameter.apply(varied, usual) == HOMES


def test_loss_comes_in_bursts_and_is_as_much_as_before_in_the_long_run():
    lossy = SWEEP_PARAMETERS["loss"].apply(HOMES, 0.2)
    burst = SWEEP_PARAMETERS["burst_length"].apply(lossy, 4.0)
    assert burst.internet == attrs.evolve(HOMES.internet, bursts=Bursts.of(loss=0.2, length=4.0))
    assert SWEEP_PARAMETERS["burst_length"].of(burst) is None


def test_lite_agents_do_nothing_that_only_full_ones_do():
    mixed = attrs.evolve(HOMES, agents=(HOMES.agents[0], AgentSpec("bob", lite=True)))
    varied = SWEEP_PARAMETERS["trickle"].apply(mixed, True)
    assert [one.trickle for one in varied.agents] == [True, False]
    assert SWEEP_PARAMETERS["trickle"].of(varied) is True


def test_what_agents_do_not_have_in_common_is_not_told():
    mixed = attrs.evolve(HOMES, agents=(attrs.evolve(HOMES.agents[0], trickle=True), HOMES.agents[1]))
    assert SWEEP_PARAMETERS["trickle"].of(mixed) is None
    assert SWEEP_PARAMETERS["policy"].of(mixed) == "all"
    assert SWEEP_PARAMETERS["policy"].of(scene("relay-symmetric")) is None  # which has no agents


def test_varied_scene_behaves_accordingly():
    slow = SWEEP_PARAMETERS["latency"].apply(HOMES, 0.5)
    assert simulate(slow, seed=1).setup_ms > 1000 + simulate(HOMES, seed=1).setup_ms
