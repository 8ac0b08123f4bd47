"""The order of things: each rule on evidence that keeps it and on evidence that breaks it."""

import pytest

from sansice.ice import CandidatePair, IceRole, IceState, PairState, pair_priority
from sansice.simulation._exploration._checking_rules import (
    AnswersCount,
    ChecksAreTriggered,
    FoundationsThaw,
    PacingIsKept,
    PairsAreInOrder,
)
from sansice.stun import MessageClass, Method, encode
from simulation._exploring import ELSEWHERE, HERE, PATH, SOCKET, THERE, Story, answer, candidate, check, new_id, pair

WAITING = pair(state=PairState.WAITING)
FIRST_TURN = 2.5 * 0.05  # the pair's turn and one of grace are over at three Ta


def triggered(**seen):
    """A story in which the peer's check was accepted, and nothing has come of it yet."""
    story = Story(ChecksAreTriggered)
    vars(story.agent).update({"pairs": (WAITING,), **seen})
    request = check()
    assert story.hears(request, sends=[(PATH, answer(request, mapped=THERE, by="A"))]) is None
    return story


def test_a_check_of_the_peer_is_followed_by_one_of_ours_in_its_turn():
    story = triggered()
    story.now = FIRST_TURN
    assert story.timer() is None
    story.now = 0.2
    assert story.timer() == f"A was checked by {THERE} and did not check back by 0.200 s"
    story = triggered()
    story.asks()
    story.now = 9.0
    assert story.timer() is None


def test_a_check_that_leaves_with_the_late_timer_is_in_time_and_lateness_is_nobodys_fault():
    story = triggered()
    story.now = 0.2
    story.asks()
    assert story.finding is None
    story = triggered()
    story.now = 5.0
    assert story.timer(late=4.9) is None
    story.now = 6.0
    assert "did not check back" in story.timer()


@pytest.mark.parametrize(
    "then",
    [
        {"pairs": (pair(),)},
        {"selected_pair": pair()},
        {"state": IceState.FAILED},
    ],
)
def test_nothing_is_owed_where_it_became_needless(then):
    story = triggered()
    story.command(then=then)
    story.now = 9.0
    assert story.timer() is None


def test_a_check_that_was_refused_or_that_is_answered_by_a_check_at_once_owes_nothing():
    story = Story(ChecksAreTriggered)
    request = check()
    story.hears(request, sends=[(PATH, answer(request, code=487, by="A"))])
    story.now = 9.0
    assert story.timer() is None
    story = Story(ChecksAreTriggered)
    story.hears(request, sends=[(PATH, answer(request, by="A")), (PATH, check("B"))])
    story.now = 9.0
    assert story.timer() is None


def test_a_path_that_works_needs_no_check():
    story = Story(ChecksAreTriggered)
    story.hears(answer(story.asks()))
    request = check()
    story.hears(request, sends=[(PATH, answer(request, by="A"))])
    story.now = 9.0
    assert story.timer() is None


def test_checks_that_come_before_the_description_are_owed_from_then_on():
    story = triggered(state=IceState.NEW)
    story.now = 9.0
    assert story.timer() is None
    story.command(then={"state": IceState.CHECKING})
    assert story.timer() is None
    story.now = 9.2
    assert "did not check back by 9.200 s" in story.timer()


def answered(state, **options):
    """What is found when the answer to a check comes and its pair is in ``state`` then."""
    story = Story(AnswersCount)
    vars(story.agent).update(options.pop("seen", {}))
    request = story.asks()
    story.now = options.pop("now", 1.0)
    if options.pop("icmp", False):
        story.a.asked[new_id(request[8:20])].in_doubt = True
    then = {"pairs": () if state is None else (pair(state=state),), **options.pop("then", {})}
    return story.hears(answer(request, **options), then=then)


def test_an_answer_makes_the_pair_succeed():
    assert answered(PairState.SUCCEEDED) is None
    assert answered(None) is None  # it was forgotten: the list has concluded
    assert answered(PairState.WAITING) == f"A had the answer of {THERE} and its pair is waiting"


@pytest.mark.parametrize(
    "options",
    [
        {"now": 2.5},
        {"icmp": True},
        {"code": 400},
        {"then": {"state": IceState.FAILED}},
        {"seen": {"selected_pair": pair()}},
        {"key": None, "by": "A"},
    ],
)
def test_an_answer_too_late_in_doubt_of_an_error_or_of_a_stranger_counts_for_nothing(options):
    assert answered(PairState.WAITING, **options) is None


def test_a_second_answer_and_one_after_another_addresss_count_for_nothing():
    story = Story(AnswersCount)
    vars(story.agent).update(pairs=(pair(),))
    request = story.asks()
    assert story.hears(answer(request)) is None
    vars(story.agent).update(pairs=(WAITING,))
    assert story.hears(answer(request)) is None
    request = story.asks()
    assert story.hears(answer(request), path=(SOCKET, ELSEWHERE)) is None
    assert story.hears(answer(request)) is None
    assert story.timer() is None


def test_an_answer_counts_for_nothing_where_another_check_of_its_pair_may_have_failed_it():
    story = Story(AnswersCount)
    vars(story.agent).update(pairs=(WAITING,))
    first, second = story.asks(), story.asks()
    assert story.hears(answer(second), path=(SOCKET, ELSEWHERE)) is None
    assert story.hears(answer(first)) is None


def test_an_answer_at_a_closed_socket_counts_for_nothing():
    story = Story(AnswersCount)
    vars(story.agent).update(pairs=(WAITING,))
    request = story.asks()
    story.a.base_of(SOCKET)
    story.a.node.sockets = {}
    assert story.hears(answer(request)) is None


def test_pairs_have_the_priority_of_the_role_and_its_order():
    low, high = pair(priority=None), pair(ELSEWHERE, state=PairState.FROZEN)
    story = Story(PairsAreInOrder)
    assert story.timer(then={"pairs": (low, high)}) is None
    assert "of the other role" in story.timer(then={"pairs": (pair(priority=1),)})
    one = _with(50, 200)
    two = _with(200, 50)
    assert story.timer(then={"pairs": (two, one)}) is None
    assert "behind a pair of lower priority" in story.timer(then={"pairs": (one, two)})
    assert "of the other role" in story.timer(then={"role": IceRole.CONTROLLED})


def _with(ours, theirs):
    local, remote = candidate(HERE, priority=ours), candidate(THERE, priority=theirs)
    return CandidatePair(local, remote, pair_priority(ours, theirs), PairState.WAITING, False)


def test_no_pair_stays_frozen_whose_foundation_has_succeeded():
    story = Story(FoundationsThaw)
    frozen = pair(ELSEWHERE, state=PairState.FROZEN)
    other = pair(ELSEWHERE, state=PairState.FROZEN, foundation="2")
    assert story.timer(then={"pairs": (WAITING, frozen)}) is None
    assert story.timer(then={"pairs": (pair(), other)}) is None
    assert f"{ELSEWHERE} frozen" in story.timer(then={"pairs": (pair(), frozen)})


def test_transactions_start_ta_apart_and_repetitions_are_free():
    story = Story(PacingIsKept)
    request = story.asks()
    story.asks(request)
    assert story.finding is None
    story.now = 0.05
    story.asks()
    assert story.finding is None
    story.now = 0.06
    story.asks(encode(Method.BINDING, MessageClass.REQUEST, new_id(), [], fingerprint=True))
    assert story.finding == "A started a transaction 10.0 ms after another"
    assert story.timer(sends=[(PATH, b"\x80data")]) is None


def test_consent_checks_are_apart_from_the_pacing():
    story = Story(PacingIsKept)
    vars(story.agent).update(pairs=(pair(),))
    story.hears(answer(story.asks()))
    story.now = 5.0
    story.asks()
    story.asks()
    assert story.finding is None
    vars(story.agent).update(pairs=(WAITING,))  # it is repeated, and no consent check
    story.asks()
    assert story.finding is None
    story.asks()
    assert "0.0 ms" in story.finding
