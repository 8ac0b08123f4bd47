"""Who stands where."""

from sansice.simulation import Fate
from sansice.simulation._records._columns import columns_of
from sansice.simulation._records._journey import End, Journey, Stop


def journey(*places):
    *stops, end = places
    return Journey(None, [Stop(0.0, place) for place in stops], [End(0.0, end, Fate.DELIVERED, False)])


def columns(*paths, main=()):
    return columns_of([journey(*path.split()) for path in paths], main)


def test_what_is_passed_stands_between_and_servers_in_the_middle():
    found = columns("alice homeA stun", "bob homeB stun", "alice homeA homeB bob")
    assert found == ["alice", "homeA", "stun", "homeB", "bob"]


def test_agents_stand_at_the_ends_where_a_packet_leads_from_one_to_the_other():
    paths = ("alice homeA carrier stun", "bob homeB carrier stun", "alice homeA carrier homeB bob")
    assert columns(*paths, main=["alice", "bob"]) == ["alice", "homeA", "carrier", "stun", "homeB", "bob"]
    assert columns(*paths) == ["alice", "homeA", "bob", "homeB", "carrier", "stun"]


def test_first_of_the_main_hosts_that_is_there_begins():
    assert columns("bob stun", "alice stun", main=["nobody", "alice", "bob"])[0] == "alice"
    assert columns("bob stun", "alice stun") == ["bob", "stun", "alice"]


def test_paths_of_strangers_are_appended_or_joined_where_they_cross():
    assert columns("a b", "c d") == ["a", "b", "c", "d"]
    assert columns("a b", "c b d") == ["a", "c", "b", "d"]


def test_place_passed_twice_stands_once():
    assert columns("alice home home bob", "bob home alice") == ["alice", "home", "bob"]
    assert columns("alice alice") == ["alice"]


def test_of_no_journey_there_is_no_column():
    assert columns_of([], ["alice"]) == []
    assert columns_of([Journey(None, [Stop(0.0, "")])]) == []
