"""Timers that are never done with: they are seen, and what else counts calls is left in peace."""

import math
import sys

import pytest

from mutants._worlds import plain
from sansice.ice import IceAgent
from sansice.machine import Machine
from sansice.simulation import Arena, Invariant, Network, explore
from sansice.simulation._exploration import _endless
from sansice.simulation._exploration._endless import Endless, bounded, counting


class Nothing(Invariant):
    rule = "whatever happens, happens"
    subject = Machine


class Clock(Machine):
    """Wants its timer at one second, and what a subclass makes of it."""

    def __init__(self):
        super().__init__()
        self.due = 1.0

    def deadline(self):
        return self.due


class Insatiable(Clock):
    """Never gets what it wants."""

    def handle_timer(self, *, now):
        pass


class Lost(Clock):
    """Looks what is due, and never does it."""

    def handle_timer(self, *, now):
        while self.deadline() <= now:
            pass


def world(machine):
    net = Network()
    return Arena(net, {"A": net.host("A", "192.0.2.1").run(machine())}, until=2.0, settle=2.0)


def found(machine):
    exploration = explore(lambda: world(machine), invariants=[Nothing], budget=1)
    return None if exploration.counterexample is None else exploration.counterexample.breach


def test_a_machine_that_wants_its_timer_again_at_once_is_a_breach():
    breach = found(Insatiable)
    assert breach.invariant == "TimeMovesOn"
    assert breach.finding == "A had its timer at 1.000000 s and wants it again at 1.000000 s"


def test_a_timer_that_never_returns_is_a_breach_and_the_story_ends_with_it():
    breach = found(Lost)
    assert (breach.invariant, breach.at) == ("TimeMovesOn", 1.0)
    assert breach.finding == "A has its timer at 1.000000 s and is never done with it"
    assert breach.story[-2].endswith("A: timer")


def test_a_timer_that_is_done_is_none():
    class Content(Clock):
        def handle_timer(self, *, now):
            self.due = math.inf

    assert found(Content) is None


def test_an_agent_is_nowhere_near_the_bound(monkeypatch):
    monkeypatch.setattr(_endless, "MAX_CALLS", _endless.MAX_CALLS // 50)
    assert explore(plain, budget=200, seed=5).counterexample is None


def test_an_agent_whose_consent_is_over_for_ever_is_found(monkeypatch):
    def expire(self, now):
        return any(one.until <= now for one in self._streams[0].components)

    monkeypatch.setattr(IceAgent, "_expire_consent", expire)
    exploration = explore(plain, depth=1, budget=300, seed=1)
    assert exploration.counterexample.breach.invariant == "TimeMovesOn"


def test_so_many_calls_are_counted_and_no_more():
    count = counting(2)
    count()
    count("a frame", "call", None)
    with pytest.raises(Endless):
        count()


def test_a_profiler_that_is_there_goes_on():
    seen = []

    def profile(frame, event, argument):
        seen.append(frame.f_code.co_name)

    def work():
        assert sys.getprofile() is profile

    sys.setprofile(profile)
    try:
        bounded(work)
    finally:
        sys.setprofile(None)
    assert "work" in seen


def test_nothing_is_counted_afterwards_whatever_was_raised():
    def work():
        raise KeyError

    with pytest.raises(KeyError):
        bounded(work)
    assert sys.getprofile() is None
