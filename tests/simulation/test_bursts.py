"""Bursts: as often and as long as was asked for."""

import itertools

import pytest

from sansice.machine import Address
from sansice.simulation import Bursts, Fate, Link, Packet
from sansice.simulation._world._link import Line
from sansice.simulation._world._world import World

PACKET = Packet(Address("192.0.2.1", 1), Address("192.0.2.2", 2), b"x")


def fates(link, count=50_000, seed=1):
    """Whether each of so many packets was lost."""
    line = Line(World(seed=seed, start=0.0, unix=0.0, icmp=True, trace=0), "a", link)
    return [line.cross(PACKET) is Fate.LOST for _ in range(count)]


def test_loss_comes_in_bursts_of_the_measured_share_and_length():
    lost = fates(Link(bursts=Bursts.of(loss=0.05, length=4.0)), 200_000)
    lengths = [len(list(run)) for bad, run in itertools.groupby(lost) if bad]
    assert 0.047 < sum(lost) / len(lost) < 0.053
    assert 3.8 < sum(lengths) / len(lengths) < 4.2


def test_between_bursts_the_links_own_loss_applies_and_within_them_that_of_the_bursts():
    lost = fates(Link(loss=0.1, bursts=Bursts(enter=0.5, leave=0.5, loss=0.3)))
    assert 0.19 < sum(lost) / len(lost) < 0.21


def test_a_link_that_never_turns_bad_loses_nothing_and_one_that_does_at_once_everything():
    assert not any(fates(Link(bursts=Bursts(enter=0.0, leave=1.0)), 1000))
    # It turns good with the second packet, bad with the third, ...
    assert fates(Link(bursts=Bursts(enter=1.0, leave=1.0)), 4) == [True, False, True, False]


def test_the_same_seed_gives_the_same_bursts():
    link = Link(bursts=Bursts.of(loss=0.2, length=3.0))
    assert fates(link, 500) == fates(link, 500) != fates(link, 500, seed=2)


@pytest.mark.parametrize("name", ["enter", "leave", "loss"])
@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
def test_what_is_no_probability_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a probability"):
        Bursts(**{"enter": 0.1, "leave": 0.1, name: value})


def test_a_burst_that_never_ends_is_refused():
    with pytest.raises(ValueError, match="leave must be more than 0"):
        Bursts(enter=0.1, leave=0.0)


@pytest.mark.parametrize(
    ("loss", "length", "words"),
    [
        (0.1, 0.5, "length must be 1 packet or more"),
        (0.1, float("nan"), "length must be 1 packet or more"),
        (-0.1, 2.0, r"loss must be from 0 to 0\.667"),
        (0.7, 2.0, r"loss must be from 0 to 0\.667 with bursts of 2\.0, not 0\.7"),
    ],
)
def test_bursts_that_cannot_be_are_refused(loss, length, words):
    with pytest.raises(ValueError, match=words):
        Bursts.of(loss=loss, length=length)


def test_the_most_that_bursts_of_a_length_can_lose_is_allowed():
    assert Bursts.of(loss=2 / 3, length=2.0).enter == pytest.approx(1.0)
