"""What an agent tells: states with their table, and events that are values."""

import itertools

import pytest

from sansice.ice import DataReceived, GatheringState, IceState
from sansice.ice._events import ICE_TRANSITIONS, IceCause


def test_states_are_the_words_of_w3c():
    assert [state.value for state in IceState] == [
        "new",
        "checking",
        "connected",
        "completed",
        "disconnected",
        "failed",
        "closed",
    ]
    assert [state.value for state in GatheringState] == ["new", "gathering", "complete"]


def test_every_state_has_its_row_and_can_be_closed():
    assert set(ICE_TRANSITIONS) == set(IceState)
    assert all(row[IceCause.CLOSE] is IceState.CLOSED for row in ICE_TRANSITIONS.values())


def test_only_a_restart_and_closing_lead_out_of_failed_and_nothing_out_of_closed():
    ways = {cause: state for cause, state in ICE_TRANSITIONS[IceState.FAILED].items() if state is not IceState.FAILED}
    assert ways == {IceCause.RESTART: IceState.CHECKING, IceCause.CLOSE: IceState.CLOSED}
    assert set(ICE_TRANSITIONS[IceState.CLOSED].values()) == {IceState.CLOSED}


def test_every_state_can_be_reached():
    reached, frontier = {IceState.NEW}, {IceState.NEW}
    while frontier:
        frontier = set(itertools.chain.from_iterable(ICE_TRANSITIONS[state].values() for state in frontier)) - reached
        reached |= frontier
    assert reached == set(IceState)


def test_table_cannot_be_changed_from_outside():
    with pytest.raises(TypeError):
        ICE_TRANSITIONS[IceState.FAILED] = {}


def test_received_data_shows_as_hex():
    event = DataReceived(0, 1, b"\xff\x00secret")
    assert repr(event) == "DataReceived(stream=0, component=1, data=ff00736563726574)"
    assert event == (0, 1, b"\xff\x00secret")
