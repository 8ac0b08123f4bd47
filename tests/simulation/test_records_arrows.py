"""From journeys to arrows."""

from sansice.simulation import Fate
from sansice.simulation._records._arrows import Arrow, Tip, arrows_of
from sansice.simulation._records._journey import End, Journey, Stop

COLUMNS = ["alice", "home A", "stun", "home B", "bob"]


def arrows(*places, fate=Fate.DELIVERED, on_a_link=False, towards="bob", ends=1):
    stops = places if on_a_link else places[:-1]
    end = End(0.0, "Internet" if on_a_link else places[-1], fate, on_a_link)
    journey = Journey(None, [Stop(0.0, place) for place in stops], [end] * ends if fate is not None else [])
    return arrows_of(journey, towards, COLUMNS)


def test_packet_that_arrives_is_one_arrow_over_all_that_passed_it_on():
    assert arrows("alice", "home A", "home B", "bob") == [Arrow((0, 1, 3, 4), Tip.ARRIVES)]


def test_packet_that_dies_somewhere_ends_there():
    assert arrows("bob", "home B", "home A", fate=Fate.FILTERED) == [Arrow((4, 3, 1), Tip.DIES)]


def test_packet_lost_on_a_link_ends_half_way_towards_whom_it_is_meant_for():
    assert arrows("alice", "home A", fate=Fate.LOST, on_a_link=True) == [Arrow((0, 1), Tip.DIES, 1)]
    assert arrows("bob", fate=Fate.LOST, on_a_link=True, towards="alice") == [Arrow((4,), Tip.DIES, -1)]


def test_packet_lost_on_a_link_after_a_turn_turns_first():
    found = arrows("bob", "home A", fate=Fate.LOST, on_a_link=True, towards="stun")
    assert found == [Arrow((4, 1), Tip.TURNS), Arrow((1,), Tip.DIES, 1)]


def test_packet_for_nobody_known_goes_on_as_before_or_inwards():
    unknown = {"fate": Fate.UNROUTABLE, "on_a_link": True, "towards": "192.0.2.1:7"}
    assert arrows("bob", "home B", **unknown) == [Arrow((4, 3), Tip.DIES, -1)]
    assert arrows("alice", "home A", **unknown) == [Arrow((0, 1), Tip.DIES, 1)]
    assert arrows("bob", **unknown) == [Arrow((4,), Tip.DIES, -1)]
    assert arrows("alice", **unknown) == [Arrow((0,), Tip.DIES, 1)]
    assert arrows("stun", towards="stun", fate=Fate.LOST, on_a_link=True) == [Arrow((2,), Tip.DIES, 1)]


def test_packet_under_way_ends_where_nobody_knows():
    assert arrows("alice", "home A", fate=None, on_a_link=True) == [Arrow((0, 1), Tip.UNKNOWN, 1)]


def test_packet_that_is_turned_round_is_one_arrow_each_way():
    found = arrows("bob", "home B", "home B", "bob")
    assert found == [Arrow((4, 3), Tip.TURNS), Arrow((3, 4), Tip.ARRIVES)]


def test_packet_to_itself_stays_where_it_is():
    assert arrows("alice", "alice") == [Arrow((0,), Tip.ARRIVES)]


def test_packet_with_several_ends_has_an_arrow_to_each_and_none_twice():
    assert arrows("alice", "home A", ends=3) == [Arrow((0, 1), Tip.ARRIVES)]


def test_packet_that_was_nowhere_has_none():
    assert arrows("", on_a_link=True, fate=Fate.LOST) == []
