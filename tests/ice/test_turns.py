from sansice.ice import Pacer
from sansice.ice._agent._turns import Turns

WANTED, NOTHING = True, False


def test_the_first_turn_is_at_once_and_the_next_one_a_ta_later():
    turns = Turns(None)
    assert turns.has_come(-1000.0, WANTED) and not turns.has_come(-1000.0, NOTHING)
    turns.take(1.0, 0.05)
    assert not turns.has_come(1.049, WANTED) and turns.has_come(1.05, WANTED)


def test_with_a_pacer_a_moment_is_reserved_once_and_only_by_who_has_use_for_it():
    pacer = Pacer(0.1)
    turns = Turns(pacer)
    pacer.reserve(0.0)
    assert not turns.has_come(0.0, NOTHING)
    assert not turns.has_come(0.0, WANTED) and turns.at == 0.1
    assert not turns.has_come(0.05, WANTED)
    assert turns.has_come(0.1, WANTED) and turns.has_come(0.15, WANTED)
    turns.take(0.15, 0.05)
    assert pacer.reserve(0.0) == 0.25


def test_a_moment_that_was_missed_is_reserved_anew_where_somebody_else_has_just_started():
    pacer = Pacer(0.1)
    turns = Turns(pacer)
    pacer.reserve(0.0)
    assert not turns.has_come(0.0, WANTED)
    pacer.started(0.95)
    assert not turns.has_come(1.0, WANTED) and turns.at == 1.05


def test_a_moment_that_was_missed_by_all_is_used_late():
    pacer = Pacer(0.1)
    turns = Turns(pacer)
    pacer.started(0.0)
    assert not turns.has_come(0.0, WANTED) and turns.at == 0.1
    pacer.reserve(0.9)
    pacer.reserve(0.9)
    assert turns.has_come(1.0, WANTED)
    turns.take(1.0, 0.05)
    assert pacer.reserve(1.0) == 1.1


def test_a_moment_that_became_needless_is_not_used_later():
    pacer = Pacer(0.1)
    turns = Turns(pacer)
    assert turns.has_come(0.0, WANTED)
    assert not turns.has_come(0.05, NOTHING)
    assert not turns.has_come(0.06, WANTED) and turns.at == 0.1
