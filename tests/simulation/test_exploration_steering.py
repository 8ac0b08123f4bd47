"""Steering: what each deviation does to a world, and which are offered."""

import attrs
import pytest

from mutants._worlds import both_controlling, plain, two_homes
from sansice.ice import IceState
from sansice.simulation import Deviation, DeviationKind, Harm, SimulationError
from sansice.simulation._exploration import _steering
from sansice.simulation._exploration._steering import ASLEEP, Steering, Step, alternatives

K = DeviationKind


class Run:
    """One run of a world, looked at from outside."""

    def __init__(self, *schedule, world=plain, until=70.0, limit=None):
        self.arena = world()
        self.fed = 0
        self.quiet = 0
        self.told = []
        for name, node in self.arena.agents.items():
            self._tap(name, node.driver.machine, node)
        self.steering = Steering(self.arena, schedule, lambda: self.fed, self._count)
        self.steering.run(self.arena.network.now + until)

    def _tap(self, name, machine, node):
        outer = self

        class Tap:
            def __getattr__(self, attribute):
                method = getattr(machine, attribute)
                if not attribute.startswith("handle_"):
                    return method

                def feed(*arguments, **keywords):
                    outer.fed += 1
                    what = arguments[1][0][1][:2].hex() if attribute == "handle_datagrams" else ""
                    outer.told.append((round(keywords["now"], 3), name, attribute.removeprefix("handle_"), what))
                    return method(*arguments, **keywords)

                return feed

        node.driver.machine = Tap()

    def _count(self):
        self.quiet += 1

    def states(self):
        return [node.machine.state for node in self.arena.agents.values()]

    def times(self, name, what=None, count=6):
        return [when for when, who, kind, _ in self.told if who == name and what in (None, kind)][:count]


def test_without_deviations_the_world_goes_by_its_clock():
    run = Run(until=6.0)
    plain_run = plain()
    plain_run.network.run(until=6.0)
    assert run.states() == [IceState.COMPLETED] * 2
    assert [node.events for node in run.arena.agents.values()] == [node.events for node in plain_run.agents.values()]
    assert run.arena.network.now == 6.0
    assert run.steering.harm == Harm()
    assert run.quiet > 0


def test_steps_say_what_they_are():
    steps = Run(until=0.2).steering.steps
    assert [(step.place, step.is_packet, step.is_timer) for step in steps[:4]] == [
        ("", False, False),  # B is told the description
        ("", False, False),
        ("A", True, False),
        ("B", True, False),
    ]
    assert [step.index for step in steps] == list(range(len(steps)))
    assert all(step.changes for step in steps if step.is_packet)


def test_a_lost_packet_and_the_ones_after_it_do_not_arrive():
    first = Run().steering.steps[2]
    arrivals = [0.02]
    for amount in (1, 2, 3):
        run = Run(Deviation(first.index, K.LOSE, amount), until=1.0)
        arrivals.append(run.times("A", "datagrams")[0])
        assert run.steering.harm == Harm(lost=amount)
    assert arrivals == sorted(arrivals) and len({*arrivals}) == 4
    dead = Run(Deviation(first.index, K.LOSE, -1))
    assert dead.times("A", "datagrams") == []
    assert dead.steering.harm == Harm(broken=True)
    assert dead.states() == [IceState.FAILED] * 2


def test_a_copy_arrives_once_more_after_what_it_waits_for():
    assert Run(until=0.03).times("A", "datagrams") == [0.02]
    assert Run(Deviation(2, K.COPY, 0), until=0.03).times("A", "datagrams") == [0.02, 0.02]
    checks = [
        [when for when, name, _, what in run.told if (name, what) == ("A", "0001")]
        for run in (Run(until=0.3), Run(Deviation(2, K.COPY, 2), until=0.3))
    ]
    assert checks == [[0.02], [0.02, 0.05]]


def test_what_is_held_back_comes_after_so_many_happenings_at_its_place():
    kinds = [what for _, who, _, what in Run(until=0.3).told if who == "A" and what][:2]
    assert kinds == ["0001", "0101"]
    held = [what for _, who, _, what in Run(Deviation(2, K.HOLD, 1), until=0.3).told if who == "A" and what][:2]
    assert held == ["0101", "0001"]
    assert Run(Deviation(2, K.HOLD, 1)).steering.harm == Harm(lost=1)


def test_what_is_held_back_for_ever_comes_at_the_end():
    run = Run(Deviation(2, K.HOLD, 10_000), until=0.3)
    assert ("A", "datagrams", "0001") in [one[1:] for one in run.told[-2:]]  # B hears the answer


def test_a_packet_that_hurries_overtakes_in_no_time():
    steps = Run(until=0.2).steering.steps
    step = next(step for step in steps if step.hurries and step.is_packet)
    usual, hurried = Run(until=0.2), Run(Deviation(step.index, K.HURRY, step.hurries), until=0.2)
    assert hurried.told != usual.told
    assert sorted(one[1:] for one in hurried.told)[:3] == sorted(one[1:] for one in usual.told)[:3]
    assert hurried.steering.harm == Harm()
    assert Run(Deviation(step.index, K.HURRY, 99), until=0.2).told == usual.told  # nothing is so far behind


def test_a_late_timer_fires_late_and_does_its_harm():
    step = next(step for step in Run().steering.steps if step.is_timer and step.changes)
    usual = Run(until=0.5).times(step.place, "timer")[0]
    late = Run(Deviation(step.index, K.LATE, 0.1), until=0.5)
    assert round(usual + 0.1, 3) in late.times(step.place, "timer")
    assert late.steering.harm == Harm(lost=1)
    assert Run(Deviation(step.index, K.LATE, 1.0)).steering.harm == Harm(lost=3)
    assert Run(Deviation(step.index, K.LATE, ASLEEP)).steering.harm.broken
    held = Run(Deviation(step.index, K.HOLD, 2))
    assert held.steering.harm.lost >= 1


def test_strangers_are_faster_and_replay_of_an_answer_is_harm():
    usual = [one for one in Run(until=0.3).told if one[1] == "A"]
    for kind, amount, more in ((K.REPLAY, 0, 1), (K.REPLAY, 1, 1), (K.FORGE, 0, 1), (K.FORGE, 1, 0)):
        run = Run(Deviation(2, kind, amount), until=0.3)
        assert run.told != usual
        assert len(run.times("A", "datagrams", 99)) >= 1 + more
    assert Run(Deviation(2, K.REPLAY)).steering.harm == Harm()
    assert Run(Deviation(2, K.FORGE, 1)).steering.harm == Harm(lost=1)
    answer = next(index for index in range(2, 20) if Run(Deviation(index, K.REPLAY)).steering.harm.broken)
    assert Run().steering.steps[answer].is_packet


def test_a_fault_happens_before_its_step():
    run = Run(Deviation(2, K.FAULT, name="A is killed"))
    assert run.times("A", "datagrams") == []
    assert run.steering.harm == Harm(broken=True)
    with pytest.raises(ValueError, match="there is no fault 'B explodes' here; there are: A is killed, B is killed"):
        Run(Deviation(2, K.FAULT, name="B explodes"))


def test_deviations_that_do_not_fit_their_step_change_nothing():
    usual = Run(until=1.0).told
    timer = next(step.index for step in Run().steering.steps if step.is_timer)
    for deviation in (
        Deviation(timer, K.LOSE, 1),
        Deviation(timer, K.COPY, 1),
        Deviation(timer, K.REPLAY),
        Deviation(timer, K.FORGE, 1),
        Deviation(2, K.LATE, 1.0),
        Deviation(99_999, K.LOSE, 1),
    ):
        assert Run(deviation, until=1.0).told == usual


def test_a_world_that_does_not_settle_is_an_error(monkeypatch):
    monkeypatch.setattr(_steering, "MAX_STEPS", 5)
    with pytest.raises(SimulationError, match="more than 5 happenings by"):
        Run()


def test_only_orders_at_one_place_are_offered():
    steps = (
        Step(0, "A", True, False, True, 0),
        Step(1, "B", True, False, True, 2),
        Step(2, "A", False, True, True, 0),
        Step(3, "A", False, True, False, 0),
        Step(4, "", False, False, True, 1),
        Step(5, "server", True, False, False, 0),
    )
    offered = list(alternatives(steps, -1, ("reboot",)))
    assert [str(one.kind.value) for one in offered if one.step == 0] == [
        *["lose"] * 3, "replay", "replay", "forge", "forge", "copy", "copy", "hold", "fault",
    ]  # fmt: skip
    assert [one.amount for one in offered if one.step == 0 and one.kind is K.HOLD] == [1]
    assert [one.kind for one in offered if one.step == 1 and one.kind in (K.HOLD, K.HURRY)] == [K.HURRY]
    assert [(one.kind, one.amount) for one in offered if one.step == 2] == [
        (K.LATE, 0.1),
        (K.LATE, 1.0),
        (K.LATE, ASLEEP),
        (K.FAULT, 1),
    ]
    assert [one.kind for one in offered if one.step == 3] == []  # a stale timer
    assert [one.kind for one in offered if one.step == 4] == [K.HURRY, K.FAULT]
    assert [one.kind for one in offered if one.step == 5] == [K.COPY, K.FAULT]
    assert list(alternatives(steps, 3, ())) == [one for one in offered if one.step > 3 and one.kind is not K.FAULT]


def test_a_nats_outer_address_is_the_place_of_who_is_behind_it():
    steps = Run(world=two_homes, until=1.0).steering.steps
    assert {step.place for step in steps if step.is_packet} == {"A", "B"}


def test_roles_in_conflict_have_more_steps():
    assert len(Run(world=both_controlling, until=0.3).steering.steps) > len(Run(until=0.3).steering.steps)


def test_nobody_off_the_path_forges_or_replays_a_segment_of_tcp():
    datagram = Step(0, "A", is_packet=True, is_timer=False, changes=True, hurries=0)
    kinds = [[one.kind for one in alternatives([step], -1, ())] for step in (datagram, attrs.evolve(datagram, is_segment=True))]
    assert K.FORGE in kinds[0] and K.REPLAY in kinds[0]
    assert set(kinds[1]) == {K.LOSE, K.COPY}
