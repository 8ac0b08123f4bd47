"""An agent's life: each rule on evidence that keeps it and on evidence that breaks it."""

import math

import pytest

from sansice.ice import ConsentExpired, IceState, PairState
from sansice.simulation._exploration._life_rules import ConsentEnds, DeadlinesAreAhead, StateIsBounded, TheOverAreSilent
from simulation._exploring import CONFIG, PATH, THERE, Story, answer, candidate, check, pair

DATA = (PATH, b"\x80 data")
EXPIRED, REVOKED = ConsentExpired(0, 1, False), ConsentExpired(0, 1, True)


@pytest.mark.parametrize("state", [IceState.FAILED, IceState.CLOSED])
def test_deadlines_lie_ahead_and_the_over_have_none(state):
    story = Story(DeadlinesAreAhead)
    story.now = 1.0
    assert story.timer(then={"due": 1.5}) is None
    assert "wants it again at 1.000000 s" in story.timer(then={"due": 1.0})
    assert story.hears(b"\x80data", then={"due": 0.5}) is None  # its timer is still to come
    assert "wants a timer" in story.command(then={"state": state, "due": 2.0})
    assert story.command(then={"state": state, "due": math.inf}) is None


def test_pairs_and_candidates_are_bounded():
    story = Story(StateIsBounded)
    assert story.timer(then={"pairs": (pair(),) * CONFIG.max_pairs}) is None
    assert "101 pairs, more than 100" in story.timer(then={"pairs": (pair(),) * 101})
    story = Story(StateIsBounded)
    assert story.timer(then={"remote_candidates": (candidate(THERE),) * 116}) is None
    assert "117 remote candidates, more than 116" in story.timer(then={"remote_candidates": (candidate(THERE),) * 117})


def test_transmissions_are_bounded_and_a_consent_check_has_one():
    story = Story(StateIsBounded)
    request = story.asks()
    for _ in range(2):
        story.asks(request)
        assert story.finding is None
    story.asks(request)
    assert story.finding == "A sent the same request for the 4th time"
    story = Story(StateIsBounded)
    vars(story.agent).update(pairs=(pair(),))
    story.hears(answer(story.asks()))
    consent = story.asks()
    assert story.finding is None
    story.asks(consent)
    assert "for the 2th time" in story.finding


def test_one_input_causes_few_datagrams_beside_repetitions():
    story = Story(StateIsBounded)
    requests = [check("B") for _ in range(4)]
    assert story.timer(sends=[(PATH, request) for request in requests]) is None
    assert story.timer(sends=[*((PATH, request) for request in requests), DATA]) is None
    assert "sent 5 new datagrams" in story.timer(sends=[DATA] * 5)


def connected(*, consented_at=None):
    """A pair that was selected, and answered at 0.0."""
    story = Story(ConsentEnds)
    story.hears(answer(story.asks()))
    vars(story.agent).update(pairs=(pair(),), selected_pair=pair(), writable=True)
    if consented_at is not None:
        story.now = consented_at
        story.hears(answer(story.asks()))
    return story


def test_consent_lasts_for_its_time_after_the_last_answer():
    story = connected()
    story.now = 7.0
    assert story.timer(sends=[DATA]) is None
    story.now = 7.1
    assert "its peer's last answer allowed it until 7.000 s" in story.timer()
    story.agent.writable = False
    assert story.timer() is None
    assert "can send at 7.100 s" in story.command(sends=[DATA])
    request = check()
    assert story.hears(request, sends=[(PATH, answer(request, by="A"))]) is None  # an answer is no data
    story = connected(consented_at=5.0)
    story.now = 11.0
    assert story.timer(sends=[DATA]) is None
    story.now = 12.5
    assert "until 12.000 s" in story.timer()


def test_consent_does_not_end_sooner_unless_revoked():
    story = connected(consented_at=5.0)
    story.now = 11.0
    assert "ended consent at 11.000 s, which an answer had extended to 12.000 s" in story.timer(tells=[EXPIRED])
    assert story.timer(tells=[REVOKED]) is None
    story.now = 12.0
    assert story.timer(tells=[EXPIRED]) is None


def test_an_answer_after_the_end_and_a_check_that_may_have_become_needless_grant_nothing():
    story = connected(consented_at=7.0)
    assert story.timer(tells=[EXPIRED]) is None
    story = connected()
    story.now = 5.0
    vars(story.agent).update(pairs=(pair(state=PairState.WAITING),))
    story.hears(answer(story.asks()))
    story.now = 7.0
    assert story.timer(tells=[EXPIRED]) is None


def test_what_follows_an_answer_after_the_end_grants_nothing_either():
    story = connected(consented_at=7.0)  # too late, while the agent's timer is held up
    story.now = 8.0
    story.hears(answer(story.asks()))
    story.now = 9.0
    assert story.timer(tells=[EXPIRED]) is None


def test_before_a_selection_any_path_may_carry_consent():
    story = Story(ConsentEnds)
    assert story.timer(then={"writable": False}) is None
    story.hears(answer(story.asks()))
    story.now = 8.0
    assert "until 7.000 s" in story.timer(then={"writable": True})


def test_the_over_are_silent():
    story = Story(TheOverAreSilent)
    assert story.timer(sends=[DATA], then={"state": IceState.FAILED}) is None  # with its last breath
    assert story.timer() is None
    assert story.timer(sends=[DATA]) == "A is failed and sent 1 datagrams"
