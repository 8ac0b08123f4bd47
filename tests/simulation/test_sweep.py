"""A sweep as a value."""

import pickle

import pytest

from sansice.simulation import MATRIX_FAMILIES, NatCouple, Sweep, matrix_scene, scene, simulate
from sansice.simulation._sweep._sweep import MAX_SESSIONS

HOMES, HOTEL = scene("two-homes"), scene("hotel")
COUPLE = NatCouple("open", "symmetric", "udp")
SWEEP = Sweep(
    name="all of it",
    scenes=(HOMES, HOTEL),
    couples=(COUPLE,),
    parameters={"loss": (0.0, 0.1), "latency": (0.01, 0.02, 0.03)},
    seeds=range(5, 9),
)


def test_points_are_scenes_and_couples_times_the_values_of_each_parameter():
    assert SWEEP.points == 3 * 2 * 3
    assert SWEEP.sessions == SWEEP.points * 4
    points = [SWEEP.point(number) for number in range(SWEEP.points)]
    assert [one.number for one in points] == list(range(SWEEP.points))
    names = ["two-homes", "hotel", "open-symmetric-udp"]
    expected = [(name, latency, loss) for name in names for latency in (0.01, 0.02, 0.03) for loss in (0.0, 0.1)]
    assert [(one.scene.name, one.scene.internet.latency, one.scene.internet.loss) for one in points] == expected
    assert [one.couple for one in points] == [None] * 12 + [COUPLE] * 6


def test_point_says_what_it_is():
    point = SWEEP.point(17)
    assert str(point) == "open-symmetric-udp, latency 0.03, loss 0.1"
    assert dict(point.values) == {"latency": 0.03, "loss": 0.1}
    values = point.all_values
    assert values["loss"] == 0.1 and values["jitter"] == 0.01 and values["bandwidth"] is None and values["policy"] == "all"


def test_point_has_the_values_that_were_varied_whatever_its_scene_has_made_of_them():
    sweep = Sweep(name="x", scenes=(HOMES,), parameters={"loss": (0.1,), "burst_length": (2.0,)}, seeds=range(1))
    values = sweep.point(0).all_values
    assert (values["loss"], values["burst_length"]) == (0.1, 2.0)


def test_sweep_has_as_many_sessions_as_the_bound():
    assert Sweep(name="x", scenes=(HOMES,), seeds=range(MAX_SESSIONS)).sessions == MAX_SESSIONS
    with pytest.raises(ValueError, match="fewer seeds"):
        Sweep(name="x", scenes=(HOMES,), seeds=range(MAX_SESSIONS + 1))


@pytest.mark.parametrize("number", [-1, 18])
def test_point_that_there_is_not_is_an_error(number):
    with pytest.raises(IndexError, match=f"no point {number}; there are 18"):
        SWEEP.point(number)


def test_sessions_are_split_by_point_without_a_gap():
    everything = [(point.number, seed) for point, seeds in SWEEP.split(0, SWEEP.sessions) for seed in seeds]
    assert everything == [(number, seed) for number in range(18) for seed in range(5, 9)]
    for first, stop in ((0, 3), (2, 4), (3, 11), (4, 8), (70, 72)):
        part = [(point.number, seed) for point, seeds in SWEEP.split(first, stop) for seed in seeds]
        assert part == everything[first:stop]
    assert list(SWEEP.split(7, 7)) == []


def test_sweep_travels_between_processes():
    assert pickle.loads(pickle.dumps(SWEEP)) == SWEEP


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scenes": ()}, "there is nothing to run"),
        ({"seeds": range(0)}, "there is nothing to run"),
        ({"parameters": {"loss": ()}}, "there is nothing to run"),
        ({"parameters": {"los": (0.1,)}}, "parameters.los: unknown; there are latency, jitter, loss"),
        ({"seeds": range(10**8 + 1)}, "100000001 sessions, and 100000000 are the most"),
    ],
)
def test_sweep_of_nothing_or_too_much_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        Sweep(**{"name": "x", "scenes": (HOMES,), "seeds": range(1), **changes})


def test_point_whose_values_exclude_each_other_names_them():
    sweep = Sweep(name="x", scenes=(HOMES,), parameters={"loss": (0.9,), "burst_length": (2.0,)}, seeds=range(1))
    with pytest.raises(ValueError, match=r"two-homes with loss 0.9, burst_length 2.0: loss must be from 0 to 0\.667"):
        sweep.point(0)


@pytest.mark.parametrize("turn", ["none", "udp"])
@pytest.mark.parametrize("family", MATRIX_FAMILIES)
def test_couple_of_each_family_connects_as_its_kinds_of_nat_let_it(family, turn):
    couple = NatCouple("symmetric", "port-restricted", turn, family)
    assert couple.scene is matrix_scene("symmetric", "port-restricted", turn, family)
    run = simulate(couple.scene, seed=1)
    assert run.connected is (turn != "none")
    addresses = [one for host in couple.scene.hosts for one in host.addresses]
    assert {":" in one for one in addresses} == {"ipv4": {False}, "ipv6": {True}, "dual": {False, True}}[family]


def test_scenes_of_couples_have_names_of_their_own_and_say_what_is_special():
    assert matrix_scene("open", "symmetric").name == "open-symmetric"
    dual = matrix_scene("open", "symmetric", "tls", "dual")
    assert dual.name == "open-symmetric-tls-dual"
    assert dual.about == (
        "One end is on the Internet, the other behind a symmetric NAT. Relays are reached over tls. All have both families."
    )
    with pytest.raises(ValueError, match="family: 'ipv5' is none of ipv4, ipv6, dual"):
        matrix_scene("open", "open", "none", "ipv5")
