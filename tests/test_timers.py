"""Named deadlines: the earliest is the machine's."""

import math

import pytest
from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sansice._timers import FewTimers, Timers

for_both = pytest.mark.parametrize("table", [Timers, FewTimers])
Table = type[Timers[str]] | type[FewTimers[str]]


def earliest(timers: Timers[str] | FewTimers[str]) -> float:
    return timers.deadline() if isinstance(timers, Timers) else timers.earliest


def pop_all(timers: Timers[str] | FewTimers[str], now: float) -> list[str]:
    popped = []
    while (key := timers.pop_due(now)) is not None:
        popped.append(key)
    return popped


@for_both
def test_an_empty_table_never_fires(table: Table) -> None:
    timers = table()
    assert earliest(timers) == math.inf
    assert timers.pop_due(math.inf) is None
    assert len(timers) == 0


@for_both
def test_the_earliest_deadline_counts(table: Table) -> None:
    timers = table()
    timers.set("late", 3.0)
    timers.set("early", 1.0)
    assert earliest(timers) == 1.0
    assert timers.pop_due(0.999) is None
    assert timers.pop_due(1.0) == "early"
    assert earliest(timers) == 3.0
    assert "late" in timers
    assert "early" not in timers


@for_both
def test_setting_again_replaces_the_deadline(table: Table) -> None:
    timers = table()
    timers.set("a", 1.0)
    timers.set("a", 2.0)
    assert earliest(timers) == 2.0
    timers.set("a", 0.5)
    assert earliest(timers) == 0.5
    assert pop_all(timers, 10.0) == ["a"]


@for_both
def test_infinity_disarms(table: Table) -> None:
    timers = table()
    timers.set("a", 1.0)
    timers.set("a", math.inf)
    assert earliest(timers) == math.inf
    assert "a" not in timers


@for_both
def test_cancelling_the_unknown_is_a_no_op(table: Table) -> None:
    timers = table()
    timers.cancel("a")
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("a")
    assert earliest(timers) == math.inf


@for_both
def test_ties_fire_in_the_order_in_which_they_were_set(table: Table) -> None:
    timers = table()
    for key in ("c", "a", "b"):
        timers.set(key, 1.0)
    timers.set("c", 1.0)  # armed for that moment already: it keeps its place
    timers.set("a", 2.0)
    timers.set("a", 1.0)  # armed anew: it goes to the end
    assert pop_all(timers, 1.0) == ["c", "b", "a"]


@for_both
def test_clear_disarms_everything(table: Table) -> None:
    timers = table()
    timers.set("a", 1.0)
    timers.clear()
    assert earliest(timers) == math.inf
    assert len(timers) == 0


def test_a_timer_that_is_moved_for_ever_leaves_no_pile_of_dead_entries() -> None:
    timers: Timers[str] = Timers()
    timers.set("first", 0.5)  # the top of the heap stays alive, so that only the bound can tidy
    for n in range(10_000):
        timers.set("a", float(n + 1))
        assert len(timers._heap) <= 2 * len(timers) + 64
    assert pop_all(timers, 1e9) == ["first", "a"]


def test_cancelling_many_leaves_no_pile_of_dead_entries() -> None:
    timers: Timers[int] = Timers()
    for n in range(10_000):
        timers.set(n, float(n))
    for n in range(9_999, 0, -1):
        timers.cancel(n)
    assert len(timers._heap) <= 2 + 8
    assert timers.deadline() == 0.0


@for_both
@given(st.lists(st.tuples(st.sampled_from("abcdefghij"), st.floats(0, 100) | st.just(math.inf))), st.floats(0, 100))
def test_what_is_due_comes_in_order_of_deadline_then_of_setting(
    table: Table, settings: list[tuple[str, float]], now: float
) -> None:
    timers = table()
    model: dict[str, float] = {}
    for key, deadline in settings:
        timers.set(key, deadline)
        if model.get(key) == deadline:
            continue
        model.pop(key, None)
        if deadline != math.inf:
            model[key] = deadline
    assert pop_all(timers, now) == [key for key, _ in sorted(model.items(), key=lambda item: item[1]) if model[key] <= now]


KEYS = st.integers(0, 200).map(str)


class TimersAgainstModel(RuleBasedStateMachine):
    """Any order of operations, against a plain dict."""

    table: Table = Timers

    def __init__(self) -> None:
        super().__init__()
        self.timers = self.table()
        self.model: dict[str, float] = {}

    @rule(key=KEYS, deadline=st.floats(0, 100))
    def set(self, key: str, deadline: float) -> None:
        self.timers.set(key, deadline)
        self.model[key] = deadline

    @rule(key=KEYS)
    def cancel(self, key: str) -> None:
        self.timers.cancel(key)
        self.model.pop(key, None)

    @rule(now=st.floats(0, 100))
    def pop(self, now: float) -> None:
        key = self.timers.pop_due(now)
        if key is None:
            assert all(deadline > now for deadline in self.model.values())
        else:
            assert self.model.pop(key) <= now

    @invariant()
    def agrees(self) -> None:
        assert earliest(self.timers) == min(self.model.values(), default=math.inf)
        assert len(self.timers) == len(self.model)


class FewTimersAgainstModel(TimersAgainstModel):
    table = FewTimers


test_timers_agree_with_a_plain_dict = TimersAgainstModel.TestCase
test_few_timers_agree_with_a_plain_dict = FewTimersAgainstModel.TestCase
