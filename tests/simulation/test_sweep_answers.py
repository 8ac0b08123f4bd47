"""The sessions of a sweep."""

from types import SimpleNamespace

import pytest

from sansice.simulation import NatCouple, SimulationError, Sweep, SweepAnswer, run_sweep, scene, simulate
from sansice.simulation._sweep import _answers

SWEEP = Sweep(
    name="x",
    scenes=(scene("two-homes"),),
    couples=(NatCouple("symmetric", "symmetric"), NatCouple("open", "open", "udp")),
    parameters={"loss": (0.0, 0.3)},
    seeds=range(40, 44),
)


def test_answers_are_what_simulate_reports():
    answers = run_sweep(SWEEP)
    assert [(one.point, one.seed) for one in answers] == [(point, seed) for point in range(6) for seed in range(40, 44)]
    for answer in answers:
        run = simulate(SWEEP.point(answer.point).scene, seed=answer.seed)
        assert (answer.connected, answer.lasted, answer.setup_ms) == (run.connected, run.lasted, run.setup_ms)
        assert (answer.packets, answer.sent, answer.echoed) == (run.packets, run.sent, run.echoed)
        assert answer.pair_types == ",".join(run.pair_types)
    hopeless = [one for one in answers if one.point in (2, 3)]
    assert {(one.connected, one.setup_ms, one.pair_types) for one in hopeless} == {(False, None, "")}
    assert len({one.setup_ms for one in answers if one.point == 1}) > 2  # seeds differ


def test_parts_are_what_the_whole_is():
    whole = run_sweep(SWEEP)
    assert run_sweep(SWEEP, 0, 7) + run_sweep(SWEEP, 7, 9) + run_sweep(SWEEP, 9) == whole
    assert run_sweep(SWEEP, 5, 5) == run_sweep(SWEEP, 0, 0) == []


def test_each_answer_is_told_as_what_it_is(monkeypatch):
    pairs = ("srflx-host", "host-host", "host-host")
    run = SimpleNamespace(connected=True, lasted=False, setup_ms=1.5, pair_types=pairs, packets=3, sent=2, echoed=1)
    monkeypatch.setattr(_answers, "simulate", lambda scene, seed: run)
    assert run_sweep(SWEEP, 5, 6) == [SweepAnswer(1, 41, True, False, 1.5, "srflx-host,host-host,host-host", 3, 2, 1)]


@pytest.mark.parametrize(("first", "stop"), [(-1, 2), (3, 2), (0, 25), (25, None)])
def test_sessions_that_there_are_not_are_refused(first, stop):
    with pytest.raises(ValueError, match="there are 24"):
        run_sweep(SWEEP, first, stop)


def test_error_in_a_session_names_the_session(monkeypatch):
    def fail(scene, seed):
        if seed == 42:
            raise SimulationError("time stands still")
        return simulate(scene, seed=seed)

    monkeypatch.setattr(_answers, "simulate", fail)
    with pytest.raises(SimulationError) as error:
        run_sweep(SWEEP, 4)
    assert error.value.__notes__ == ["in two-homes, loss 0.3, with seed 42"]


def test_scenes_of_relays_alone_are_swept_too():
    [answer] = run_sweep(Sweep(name="x", scenes=(scene("relay-symmetric"),), seeds=range(1)))
    assert answer.connected and answer.pair_types == "relay-prflx"
