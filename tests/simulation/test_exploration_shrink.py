"""Shrinking, on runs that are made up."""

from sansice.simulation import Breach, Deviation, DeviationKind, Run
from sansice.simulation._exploration import _shrink
from sansice.simulation._exploration._shrink import shrink
from sansice.simulation._exploration._steering import Step

STEPS = tuple(Step(index, "A", True, False, True, 0) for index in range(4))
ONE, TWO, THREE = (Deviation(index, DeviationKind.REPLAY) for index in (1, 2, 3))


def breach(events, invariant="X"):
    return Breach(invariant, "broken", 0.0, events, ())


def runner(breaks, steps=STEPS):
    tried = []

    def run(schedule):
        tried.append(schedule)
        return Run(breaks(schedule), steps, 0, b"")

    return run, tried


def test_needless_deviations_are_left_out():
    run, _ = runner(lambda schedule: breach(5) if TWO in schedule else None)
    assert shrink(run, (ONE, TWO, THREE), breach(9), ()) == ((TWO,), breach(5))


def test_what_breaks_sooner_by_an_earlier_deviation_is_better():
    run, _ = runner(lambda schedule: breach(sum(one.step for one in schedule)) if schedule else None)
    schedule, found = shrink(run, (THREE,), breach(3), ())
    assert (schedule[0].step, found.events) == (0, 0)


def test_another_invariant_does_not_count():
    run, _ = runner(lambda schedule: breach(1, "Y"))
    assert shrink(run, (ONE, TWO), breach(9), ()) == ((ONE, TWO), breach(9))


def test_shrinking_ends_where_nothing_is_smaller_or_it_has_run_enough(monkeypatch):
    run, tried = runner(lambda schedule: None, steps=())
    assert shrink(run, (ONE,), breach(9), ()) == ((ONE,), breach(9))
    assert tried == [(), ()]
    monkeypatch.setattr(_shrink, "MAX_RUNS", 2)
    run, tried = runner(lambda schedule: None)
    shrink(run, (ONE, TWO, THREE), breach(9), ())
    assert len(tried) == 2
