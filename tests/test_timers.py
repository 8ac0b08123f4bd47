"""Named deadlines: the earliest is the machine's."""

import math

from hypothesis import given, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from sansice._timers import Timers


def pop_all(timers: Timers[str], now: float) -> list[str]:
    popped = []
    while (key := timers.pop_due(now)) is not None:
        popped.append(key)
    return popped


def test_an_empty_table_never_fires() -> None:
    timers: Timers[str] = Timers()
    assert timers.deadline() == math.inf
    assert timers.pop_due(math.inf) is None
    assert len(timers) == 0


def test_the_earliest_deadline_counts() -> None:
    timers: Timers[str] = Timers()
    timers.set("late", 3.0)
    timers.set("early", 1.0)
    assert timers.deadline() == 1.0
    assert timers.pop_due(0.999) is None
    assert timers.pop_due(1.0) == "early"
    assert timers.deadline() == 3.0
    assert "late" in timers
    assert "early" not in timers


def test_setting_again_replaces_the_deadline() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", 2.0)
    assert timers.deadline() == 2.0
    timers.set("a", 0.5)
    assert timers.deadline() == 0.5
    assert pop_all(timers, 10.0) == ["a"]


def test_infinity_disarms() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.set("a", math.inf)
    assert timers.deadline() == math.inf
    assert "a" not in timers


def test_cancelling_the_unknown_is_a_no_op() -> None:
    timers: Timers[str] = Timers()
    timers.cancel("a")
    timers.set("a", 1.0)
    timers.cancel("a")
    timers.cancel("a")
    assert timers.deadline() == math.inf


def test_ties_fire_in_the_order_in_which_they_were_set() -> None:
    timers: Timers[str] = Timers()
    for key in ("c", "a", "b"):
        timers.set(key, 1.0)
    timers.set("c", 1.0)  # armed for that moment already: it keeps its place
    timers.set("a", 2.0)
    timers.set("a", 1.0)  # armed anew: it goes to the end
    assert pop_all(timers, 1.0) == ["c", "b", "a"]


def test_clear_disarms_everything() -> None:
    timers: Timers[str] = Timers()
    timers.set("a", 1.0)
    timers.clear()
    assert timers.deadline() == math.inf
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


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 100) | st.just(math.inf))), st.floats(0, 100))
def test_what_is_due_comes_in_order_of_deadline_then_of_setting(settings: list[tuple[int, float]], now: float) -> None:
    timers: Timers[int] = Timers()
    model: dict[int, float] = {}
    for key, deadline in settings:
        timers.set(key, deadline)
        if model.get(key) == deadline:
            continue
        model.pop(key, None)
        if deadline != math.inf:
            model[key] = deadline
    popped = []
    while (key := timers.pop_due(now)) is not None:
        popped.append(key)
    assert popped == [key for key, _ in sorted(model.items(), key=lambda item: item[1]) if model[key] <= now]


class TimersAgainstModel(RuleBasedStateMachine):
    """Any order of operations, against a plain dict."""

    def __init__(self) -> None:
        super().__init__()
        self.timers: Timers[int] = Timers()
        self.model: dict[int, float] = {}

    @rule(key=st.integers(0, 200), deadline=st.floats(0, 100))
    def set(self, key: int, deadline: float) -> None:
        self.timers.set(key, deadline)
        self.model[key] = deadline

    @rule(key=st.integers(0, 200))
    def cancel(self, key: int) -> None:
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
        assert self.timers.deadline() == min(self.model.values(), default=math.inf)
        assert len(self.timers) == len(self.model)


test_timers_agree_with_a_plain_dict = TimersAgainstModel.TestCase
