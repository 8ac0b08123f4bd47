"""What is raised about a relay."""

import pickle

import pytest

from sansice.turn import TurnClosed, TurnError, TurnLost, TurnStep, TurnWouldBlock


def test_the_text_says_whom_it_is_about_what_was_answered_and_why():
    error = TurnError("turn:relay.example", TurnStep.ALLOCATE, "Allocation Quota Reached", 486)
    assert str(error) == "turn:relay.example: allocation: 486 Allocation Quota Reached"
    assert (error.step, error.code) == (TurnStep.ALLOCATE, 486)
    assert str(TurnError("turn:relay.example", TurnStep.OPEN, "refused")) == "turn:relay.example: connection: refused"


@pytest.mark.parametrize("step", TurnStep)
def test_the_text_tells_steps_apart(step):
    others = [str(TurnError("turn:relay.example", other, "gone")) for other in TurnStep if other is not step]
    assert str(TurnError("turn:relay.example", step, "gone")) not in others


@pytest.mark.parametrize("kind", [TurnError, TurnLost, TurnClosed, TurnWouldBlock])
def test_they_are_one_family_and_travel_between_processes(kind):
    error = pickle.loads(pickle.dumps(kind("turn:relay.example", TurnStep.REFRESH, "gone", 437)))
    assert type(error) is kind
    assert isinstance(error, TurnError)
    assert (error.uri, error.step, error.reason, error.code) == ("turn:relay.example", TurnStep.REFRESH, "gone", 437)
