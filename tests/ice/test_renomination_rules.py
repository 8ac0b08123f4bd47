"""When a pair gives way to another: the rules alone; what an agent makes of them is in test_renomination.py."""

import pytest

from ice._wire import candidate, make_local, make_pair
from sansice.ice import CandidateType, PairState
from sansice.ice._agent._renomination import (
    MIN_MEASUREMENTS,
    as_nominee,
    find_better,
    find_kept,
    find_refuge,
    is_measured,
    relays,
)
from sansice.ice._nomination import Nomination

HOST, RELAYED = CandidateType.HOST, CandidateType.RELAYED
BY_PRIORITY = Nomination(renominate=True)
BY_RTT = Nomination(renominate=True, prefer_rtt=True)


def valid(priority, rtt=None, *, socket=1, type=HOST, remote_type=HOST, answered_at=0.0, measurements=MIN_MEASUREMENTS):
    """A valid pair, with so many equal measurements."""
    pair = make_pair(priority, priority=priority, state=PairState.SUCCEEDED)
    pair.local = make_local(socket=socket, type=type)
    pair.remote = candidate("198.51.100.1", 5000 + priority, type=remote_type)
    for _ in range(measurements if rtt is not None else 1):
        pair.answered(rtt, now=answered_at)
    return pair


def test_without_a_preference_for_time_a_pair_of_higher_priority_is_better():
    used, better, best, worse = valid(5, 0.01), valid(6, 0.5), valid(7, 0.5), valid(4, 0.001)
    assert find_better([worse, better, best], used, BY_PRIORITY) == [best, better]
    assert find_better([worse], used, BY_PRIORITY) == []
    assert find_better([], used, BY_PRIORITY) == []


def test_by_time_the_pair_that_answers_soonest_is_best():
    used, sooner, soonest, later = valid(5, 0.2), valid(4, 0.1), valid(3, 0.05), valid(9, 0.3)
    assert find_better([sooner, soonest, later], used, BY_RTT) == [soonest, sooner]


@pytest.mark.parametrize(
    ("here", "there", "moves"),
    [
        (0.020, 0.011, False),  # less than 10 ms are won
        (0.020, 0.009, True),
        (0.400, 0.330, False),  # and less than a fifth
        (0.400, 0.310, True),
    ],
)
def test_a_little_time_is_not_worth_a_move(here, there, moves):
    used, other = valid(5, here), valid(4, there)
    assert find_better([other], used, BY_RTT) == ([other] if moves else [])


@pytest.mark.parametrize(
    ("here", "there", "moves"),
    [
        (0.100, 0.100, True),
        (0.100, 0.109, True),
        (0.100, 0.111, False),  # half of a fifth
    ],
)
def test_of_two_that_take_as_long_the_one_of_higher_priority_is_better(here, there, moves):
    used, other = valid(4, here), valid(5, there)
    assert find_better([other], used, BY_RTT) == ([other] if moves else [])


@pytest.mark.parametrize("low_rtt", [number / 1000 for number in range(10, 301, 7)])
@pytest.mark.parametrize("high_rtt", [number / 1000 for number in range(10, 301, 11)])
def test_two_pairs_never_take_turns(low_rtt, high_rtt):
    low, high = valid(4, low_rtt), valid(5, high_rtt)
    assert not find_better([low], high, BY_RTT) or not find_better([high], low, BY_RTT)


def test_a_relay_must_win_what_it_costs():
    used = valid(5, 0.150)
    assert find_better([valid(4, 0.060, type=RELAYED)], used, BY_RTT) == []  # 0.16 with its cost
    assert find_better([valid(4, 0.010, remote_type=RELAYED)], used, BY_RTT) != []
    assert find_better([valid(4, 0.010, type=RELAYED, remote_type=RELAYED)], used, BY_RTT) == []
    free = Nomination(renominate=True, prefer_rtt=True, relay_cost=0.0)
    assert find_better([valid(4, 0.060, type=RELAYED)], used, free) != []


@pytest.mark.parametrize("unknown", ["used", "other"])
def test_nothing_is_compared_before_it_is_measured_often_enough(unknown):
    few = MIN_MEASUREMENTS - 1
    used = valid(4, 0.3, measurements=few if unknown == "used" else MIN_MEASUREMENTS)
    other = valid(5, 0.1, measurements=few if unknown == "other" else MIN_MEASUREMENTS)
    assert find_better([other], used, BY_RTT) == []
    assert (is_measured(used), is_measured(other)) == (unknown != "used", unknown != "other")
    assert find_better([valid(5)], valid(4), BY_RTT) == []
    assert not is_measured(make_pair())


def test_refuge_is_the_best_that_was_answered_since():
    dead, fresh, best = valid(9, answered_at=9.9), valid(3, answered_at=10.0), valid(4, answered_at=11.0)
    assert find_refuge([dead, fresh, best], 10.0) is best
    assert find_refuge([dead], 10.0) is None


def test_one_pair_of_each_socket_is_kept_before_a_second_of_any():
    pairs = [valid(9), valid(8), valid(7, socket=2), valid(6, socket=3), valid(5, socket=2)]
    assert [pair.priority for pair in find_kept(pairs, Nomination(renominate=True, max_kept=3))] == [9, 7, 6]
    assert [pair.priority for pair in find_kept(pairs, BY_PRIORITY)] == [9, 7, 6, 8]
    assert find_kept([], BY_PRIORITY) == []


def test_a_relay_is_kept_where_it_is_asked_for_and_given_back_elsewhere():
    relayed = [valid(2, type=RELAYED), valid(3, remote_type=RELAYED)]
    direct = [valid(9), valid(8, socket=2)]
    warm = Nomination(renominate=True, standby=True, max_kept=2)
    assert [pair.priority for pair in find_kept(direct + relayed, BY_PRIORITY)] == [9, 8]
    assert [pair.priority for pair in find_kept(direct + relayed, warm)] == [9, 3]
    assert [pair.priority for pair in find_kept(relayed, warm)] == [3]
    assert [pair.priority for pair in find_kept(direct, warm)] == [9, 8]


def test_a_policy_sees_what_there_is_to_judge_by():
    pair = valid(7, 0.25, type=RELAYED, answered_at=12.0)
    pair.answered(0.25, now=15.0)
    nominee = as_nominee(pair, selected=True)
    assert nominee.pair == pair.snapshot()
    assert (nominee.component, nominee.rtt, nominee.measurements, nominee.relays) == (1, 0.25, 4, 1)
    assert (nominee.valid_since, nominee.answered_at, nominee.selected) == (12.0, 15.0, True)
    unknown = as_nominee(make_pair())
    assert (unknown.rtt, unknown.measurements, unknown.selected) == (None, 0, False)
    assert relays(pair) == 1
