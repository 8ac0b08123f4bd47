import itertools

import pytest

from ice._wire import make_pair
from sansice.ice import PairState
from sansice.ice._agent._checklist import (
    CHECKLIST_TRANSITIONS,
    MAX_TRIGGERED_ROW,
    Checklist,
    ChecklistEvent,
    ChecklistState,
    thaw_late,
    unfreeze_foundation,
    unfreeze_initial,
)
from sansice.ice._pair import PairEvent
from sansice.machine import LocalProtocolError

FROZEN, WAITING, IN_PROGRESS = PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS
SUCCEEDED, FAILED = PairState.SUCCEEDED, PairState.FAILED
RUNNING, COMPLETED, DEAD = ChecklistState.RUNNING, ChecklistState.COMPLETED, ChecklistState.FAILED
MOVES = {
    (RUNNING, ChecklistEvent.NOMINATE): COMPLETED,
    (RUNNING, ChecklistEvent.FAIL): DEAD,
    (RUNNING, ChecklistEvent.REVIVE): RUNNING,
    (COMPLETED, ChecklistEvent.NOMINATE): COMPLETED,
    (COMPLETED, ChecklistEvent.REVIVE): COMPLETED,
    (DEAD, ChecklistEvent.NOMINATE): COMPLETED,
    (DEAD, ChecklistEvent.FAIL): DEAD,
    (DEAD, ChecklistEvent.REVIVE): RUNNING,
}


def checklist(*pairs):
    made = Checklist()
    made.is_running = True
    for pair in pairs:
        made.add(pair)
    return made


def states(*pairs):
    return [pair.state for pair in pairs]


@pytest.mark.parametrize(("state", "event"), list(itertools.product(ChecklistState, ChecklistEvent)))
def test_a_checklist_moves_as_the_table_says_and_in_no_other_way(state, event):
    made = Checklist()
    made.state = state
    if (state, event) in MOVES:
        made.move(event)
        assert made.state is MOVES[state, event]
    else:
        with pytest.raises(LocalProtocolError, match=f"a {state.value} checklist: {event.value}"):
            made.move(event)
        assert made.state is state


def test_the_table_cannot_be_changed():
    with pytest.raises(TypeError):
        CHECKLIST_TRANSITIONS[RUNNING] = {}


@pytest.mark.req("RFC8445-038")
def test_pairs_are_in_order_of_decreasing_priority_and_stay_so():
    low, high, middle = (make_pair(n, priority=p) for n, p in enumerate((1, 9, 5)))
    made = checklist(low, high, middle)
    assert list(made) == [high, middle, low] and len(made) == 3
    low.priority = 100
    made.sort()
    assert list(made) == [low, high, middle]


def test_a_pair_is_found_by_its_socket_and_remote_address_until_it_is_removed():
    pair, other = make_pair(1), make_pair(2)
    made = checklist(pair, other)
    assert made.find(pair.local.socket, pair.remote_address) is pair
    assert made.find(99, pair.remote_address) is None
    made.trigger(pair)
    made.remove(pair)
    assert made.find(pair.local.socket, pair.remote_address) is None
    assert not made.has_next([made]) or made.next([made]) is other


@pytest.mark.req("RFC8445-046")
def test_triggered_checks_leave_first_in_first_out_and_each_once():
    pairs = [make_pair(n, priority=n, state=WAITING) for n in range(3)]
    made = checklist(*pairs)
    for pair in (pairs[1], pairs[0], pairs[2], pairs[1], pairs[0]):
        made.trigger(pair)
    assert made.has_next([made])
    assert [made.next([made]) for _ in range(3)] == [pairs[1], pairs[0], pairs[2]]
    assert made.next([made]) is pairs[2]  # the ordinary one of highest priority: the queue is empty


def test_a_pair_that_is_not_queued_can_be_taken_out_of_the_queue():
    pair = make_pair(state=FAILED)
    made = checklist(pair)
    made.untrigger(pair)
    made.trigger(pair)
    made.untrigger(pair)
    assert made.next([made]) is None and not made.has_next([made])


@pytest.mark.req("RFC8445-048")
def test_at_each_tick_triggered_checks_come_before_waiting_pairs_and_those_before_frozen_ones():
    frozen = make_pair(1, priority=9, foundation="other")
    low, high = (make_pair(n, priority=p, state=WAITING) for n, p in ((2, 3), (3, 4)))
    triggered = make_pair(4, priority=1, state=WAITING)
    made = checklist(frozen, low, high, triggered)
    made.trigger(triggered)
    order = []
    while (pair := made.next([made])) is not None:
        assert pair.state is WAITING  # a frozen one thaws when it is its turn
        pair.state = IN_PROGRESS
        order.append(pair)
    assert order == [triggered, high, low, frozen]


@pytest.mark.req("RFC8445-049")
@pytest.mark.parametrize(
    ("other", "thaws"), [(WAITING, False), (IN_PROGRESS, False), (SUCCEEDED, True), (FAILED, True), (FROZEN, True)]
)
def test_a_frozen_pair_thaws_by_itself_only_where_its_foundation_is_idle_in_all_lists(other, thaws):
    pair, elsewhere = make_pair(1, foundation="same"), make_pair(2, foundation="same", state=other)
    busy_with_another = make_pair(3, foundation="other", state=IN_PROGRESS)
    first, second = checklist(pair, busy_with_another), checklist(elsewhere)
    assert first.has_next([first, second]) is thaws
    assert first.next([first, second]) is (pair if thaws else None)
    assert pair.state is (WAITING if thaws else FROZEN)


def test_of_frozen_pairs_the_one_of_highest_priority_thaws():
    low, high = make_pair(1, priority=1, foundation="a"), make_pair(2, priority=2, foundation="b")
    made = checklist(low, high)
    assert made.next([made]) is high
    assert low.state is FROZEN


def test_asking_whether_there_is_a_next_changes_nothing():
    pair = make_pair()
    made = checklist(pair)
    assert made.has_next([made]) and pair.state is FROZEN


@pytest.mark.req("RFC8445-043")
def test_table_1_of_the_rfc_one_pair_of_each_foundation_starts_over_the_whole_set():
    m1 = {f: make_pair(n, foundation=f) for n, f in enumerate(("f1", "f2", "f3"))}
    m2 = {f: make_pair(n, foundation=f) for n, f in enumerate(("f1", "f2", "f3", "f4"))}
    m3 = {f: make_pair(n, foundation=f) for n, f in enumerate(("f1", "f5"))}
    lists = [checklist(*row.values()) for row in (m1, m2, m3)]
    assert {one.state for one in lists} == {RUNNING}
    unfreeze_initial(lists)
    assert states(*m1.values()) == [WAITING] * 3
    assert states(*m2.values()) == [FROZEN, FROZEN, FROZEN, WAITING]
    assert states(*m3.values()) == [FROZEN, WAITING]


@pytest.mark.req("RFC8445-043")
def test_the_lowest_component_starts_then_the_highest_priority():
    second = make_pair(1, component=2, priority=9)
    low, high = make_pair(2, priority=1), make_pair(3, priority=2)
    unfreeze_initial([checklist(second, low, high)])
    assert states(second, low, high) == [FROZEN, FROZEN, WAITING]


def test_a_foundation_that_has_started_already_does_not_start_another_pair():
    started, other = make_pair(1, priority=2, state=IN_PROGRESS), make_pair(2, priority=1)
    unfreeze_initial([checklist(started, other)])
    assert states(started, other) == [IN_PROGRESS, FROZEN]


@pytest.mark.req("RFC8445-075")
def test_success_thaws_the_frozen_pairs_of_its_foundation_in_every_list_and_nothing_else():
    pairs = {state: make_pair(n, state=state) for n, state in enumerate(PairState)}
    elsewhere, stranger = make_pair(8), make_pair(9, foundation="other")
    foundation = pairs[FROZEN].foundation
    assert foundation == elsewhere.foundation
    unfreeze_foundation([checklist(*pairs.values()), checklist(elsewhere, stranger)], foundation)
    assert states(*pairs.values()) == [WAITING, WAITING, IN_PROGRESS, SUCCEEDED, FAILED]
    assert states(elsewhere, stranger) == [WAITING, FROZEN]


@pytest.mark.req("RFC8838-018")
@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], WAITING),  # the first of its foundation
        ([{"priority": 4}], WAITING),  # the top pair
        ([{"priority": 6}], FROZEN),
        ([{"priority": 6, "state": FAILED}], FROZEN),
        ([{"priority": 6, "state": WAITING}], FROZEN),
        ([{"priority": 6, "state": SUCCEEDED}], WAITING),  # the foundation works
        ([{"priority": 6, "foundation": "other"}], WAITING),
        ([{"priority": 6, "component": 2}], WAITING),  # the lowest component counts before the priority
        ([{"priority": 6}, {"priority": 1, "state": SUCCEEDED}], WAITING),
        ([{"priority": 6, "state": SUCCEEDED, "foundation": "other"}, {"priority": 7}], FROZEN),
    ],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_late_pair_waits_if_it_is_the_top_of_its_foundation_or_that_has_succeeded(others, expected, apart):
    new = make_pair(0, priority=5)
    old = [make_pair(n, **one) for n, one in enumerate(others, 1)]
    lists = [checklist(*old), checklist(new)] if apart else [checklist(new, *old)]
    before = states(*old)
    thaw_late(lists, new)
    assert new.state is expected
    assert states(*old) == before


@pytest.mark.req("RFC8838-015")
@pytest.mark.parametrize("state", [IN_PROGRESS, SUCCEEDED])
def test_a_pair_that_is_tried_or_works_never_makes_room(state):
    assert checklist(make_pair(state=state)).evictable() is None


@pytest.mark.req("RFC8838-016")
def test_failed_pairs_make_room_first_then_the_lowest_on_which_nothing_was_spent():
    failed = make_pair(1, priority=9, state=FAILED)
    waiting, frozen = make_pair(2, priority=2, state=WAITING), make_pair(3, priority=3)
    spent = make_pair(4, priority=1, state=WAITING)
    spent.tally.requests_sent = 1  # waits for its repetition
    better = make_pair(5, priority=10, state=FAILED)
    made = checklist(failed, waiting, frozen, spent, better)
    order = []
    while (pair := made.evictable()) is not None:
        order.append(pair)
        made.remove(pair)
    assert order == [failed, better, waiting, frozen]


def test_component_that_has_most_pairs_makes_room_so_that_each_keeps_one():
    many = [make_pair(number, priority=100 + number, state=WAITING) for number in range(4)]
    only = make_pair(9, component=2, priority=1)
    made = Checklist(2)
    for pair in (*many, only):
        made.add(pair)
    order = []
    for _ in many:
        order.append(made.evictable())
        made.remove(order[-1])
    assert order == [*many[:3], only]  # of as many the one of lower priority


def test_a_failed_pair_stays_whose_path_is_spent_or_whose_late_answer_counts():
    spent, listened = make_pair(1, state=FAILED), make_pair(2, state=FAILED)
    spent.is_spent = True
    listened.cancelled = 1
    assert checklist(spent, listened).evictable() is None


def test_pairs_are_counted_by_state():
    made = checklist(*(make_pair(n, state=state) for n, state in enumerate((WAITING, WAITING, FROZEN, FAILED))))
    assert (made.count(WAITING), made.count(WAITING, FAILED), made.count(SUCCEEDED)) == (2, 3, 0)


def test_triggered_checks_without_end_leave_every_fifth_turn_to_the_others():
    """Two NATs may show each agent ever new addresses of the other; each check of one triggers one of the next."""
    ordinary = [make_pair(priority, priority=priority, state=WAITING, foundation=f"f{priority}") for priority in (7, 5)]
    made = checklist(*ordinary)
    turns = []
    for turn in range(12):
        chase = make_pair(100 + turn, priority=100 + turn, state=WAITING, foundation=f"new{turn}")
        made.add(chase)
        made.trigger(chase)
        chosen = made.next([made])
        chosen.move(PairEvent.CHECK)
        turns.append(chosen if chosen in ordinary else None)
    assert turns == ([None] * MAX_TRIGGERED_ROW + ordinary[:1]) + ([None] * MAX_TRIGGERED_ROW + ordinary[1:]) + [None] * 2


def test_triggered_pair_is_not_checked_once_more_in_the_turn_of_the_others():
    """It is Waiting as they are, and of a higher priority."""
    pairs = [make_pair(index, priority=9 - index, state=WAITING, foundation=f"f{index}") for index in range(7)]
    made = checklist(*pairs)
    for pair in pairs[:6]:
        made.trigger(pair)
    for expected in (*pairs[:4], pairs[6], pairs[4]):
        chosen = made.next([made])
        assert chosen is expected
        chosen.move(PairEvent.CHECK)
