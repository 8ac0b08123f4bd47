import itertools

import pytest

from ice._wire import candidate, make_local, make_pair
from sansice.ice import CandidatePair, PairState
from sansice.ice._pair import PAIR_TRANSITIONS, UNFINISHED, Pair, PairEvent
from sansice.machine import LocalProtocolError

F, W, P, S, X = PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS, PairState.SUCCEEDED, PairState.FAILED
ALLOWED = {
    # RFC 8445 figure 6
    (F, PairEvent.UNFREEZE): W,
    (W, PairEvent.CHECK): P,
    (P, PairEvent.SUCCEED): S,
    (P, PairEvent.FAIL): X,
    # RFC 8445 7.2.5.1, 7.3.1.4: a role conflict or a triggered check
    **dict.fromkeys(itertools.product((F, W, P, S, X), (PairEvent.REPEAT,)), W),
    # RFC 8445 7.3.1.4: a late answer counts; 7.2.5.3.2: a valid pair is made in this state
    **dict.fromkeys(itertools.product((F, W, S, X), (PairEvent.SUCCEED,)), S),
    # a lost socket or lost consent fails any pair
    **dict.fromkeys(itertools.product((F, W, S, X), (PairEvent.FAIL,)), X),
    # RFC 8445 8.1.1: a nominating check repeats that of a valid pair, which stays valid
    (S, PairEvent.CHECK): S,
}


@pytest.mark.parametrize(("state", "event"), list(itertools.product(PairState, PairEvent)))
def test_a_pair_moves_as_the_table_says_and_in_no_other_way(state, event):
    pair = make_pair(state=state)
    if (state, event) in ALLOWED:
        pair.move(event)
        assert pair.state is ALLOWED[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=f"a {state.value} pair cannot be {event.value}"):
            pair.move(event)
        assert pair.state is state


def test_the_table_holds_every_state_and_cannot_be_changed():
    assert set(PAIR_TRANSITIONS) == set(PairState)
    with pytest.raises(TypeError):
        PAIR_TRANSITIONS[F] = {}


def test_a_pair_starts_frozen_without_a_valid_pair():
    pair = Pair(make_local(), candidate("198.51.100.1"), candidate("198.51.100.1").address, 7)
    assert (pair.state, pair.valid, pair.nominated, pair.tally.requests_sent) == (F, None, False, 0)


@pytest.mark.req("RFC8445-044")
@pytest.mark.parametrize(("local", "remote"), [("a", "x"), ("a", "y"), ("b", "x")])
def test_the_foundation_of_a_pair_joins_both_foundations(local, remote):
    pair = Pair(make_local(foundation=local), candidate("198.51.100.1", foundation=remote), None, 0)
    assert pair.foundation == (local, remote)


def test_unfinished_are_the_states_from_which_a_pair_may_yet_succeed_by_itself():
    assert {F, W, P} == UNFINISHED


def test_a_snapshot_does_not_change_with_the_pair():
    pair = make_pair(priority=9)
    before = pair.snapshot()
    pair.move(PairEvent.UNFREEZE)
    pair.priority = 10
    assert before == CandidatePair(pair.local.candidate, pair.remote, 9, F, False)


def test_a_pair_prints_as_its_candidates_do():
    snapshot = make_pair().snapshot()
    assert str(snapshot) == f"{snapshot.local} -> {snapshot.remote}"
