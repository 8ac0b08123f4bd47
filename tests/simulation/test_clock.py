"""Virtual time: everything in its order, and nothing for ever."""

import math

import pytest

from sansice.simulation import SimulationError
from sansice.simulation._world import _clock
from sansice.simulation._world._clock import Clock


def test_things_happen_in_order_of_time_and_then_of_scheduling():
    clock, seen = Clock(5.0), []
    for when, name in [(7.0, "late"), (6.0, "a"), (6.0, "b"), (5.0, "now")]:
        clock.at(when, lambda name: seen.append((clock.now, name)), name)
    assert not clock.run(math.inf, None)
    assert seen == [(5.0, "now"), (6.0, "a"), (6.0, "b"), (7.0, "late")]
    assert clock.now == 7.0


def test_a_run_ends_at_its_time_and_what_is_due_then_still_happens():
    clock, seen = Clock(), []
    for when in (1.0, 2.0, 3.0):
        clock.at(when, seen.append, when)
    assert not clock.run(2.0, None)
    assert seen == [1.0, 2.0]
    assert clock.now == 2.0
    clock.run(2.5, None)
    assert clock.now == 2.5
    clock.run(1.0, None)
    assert clock.now == 2.5


def test_a_condition_is_asked_before_the_first_thing_and_after_each():
    clock, seen = Clock(), []
    for when in (1.0, 2.0, 3.0):
        clock.at(when, seen.append, when)
    assert clock.run(math.inf, lambda: True)
    assert clock.now == 0.0
    assert clock.run(math.inf, lambda: len(seen) == 2)
    assert clock.now == 2.0
    assert not clock.run(10.0, lambda: len(seen) == 7)
    assert clock.now == 10.0


def test_a_loop_that_takes_no_time_is_an_error_and_not_a_hang(monkeypatch):
    monkeypatch.setattr(_clock, "STALL_LIMIT", 1000)
    clock = Clock(3.0)

    def again(argument):
        clock.at(clock.now, again, argument)

    clock.at(3.0, again, None)
    with pytest.raises(SimulationError, match=r"time stands still at 3\.0 s"):
        clock.run(math.inf, None)


def test_an_exception_says_at_what_time_it_was_raised():
    clock = Clock()
    clock.at(1.5, lambda _: 1 // 0, None)
    with pytest.raises(ZeroDivisionError) as raised:
        clock.run(math.inf, None)
    assert raised.value.__notes__ == ["raised at virtual time 1.5 s"]


def test_the_clock_knows_when_the_next_thing_happens():
    clock = Clock(3.0)
    assert clock.next_time == math.inf
    clock.at(5.0, list, ())
    clock.at(4.0, list, ())
    assert clock.next_time == 4.0
    clock.run(4.5, None)
    assert clock.next_time == 5.0


def test_what_is_made_to_happen_before_its_time_sets_the_clock_back_for_nobody():
    clock = Clock(5.0)
    clock.at(7.0, print, None)
    clock.at(8.0, print, None)
    first, second = clock.upcoming()
    clock.take(second, 6.0)
    clock.take(first, 5.5)
    assert (clock.now, clock.upcoming()) == (6.0, [])
