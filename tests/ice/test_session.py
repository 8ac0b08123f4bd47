import pytest

from ice._wire import make_pair, make_session
from sansice.ice import IceRole, IceState, IceStateChanged, PairState
from sansice.ice._agent._session import nomination_timer, owner_of, timer_of
from sansice.ice._events import IceCause
from sansice.machine import DropReason
from sansice.stun import Schedule

FROZEN, WAITING, IN_PROGRESS = PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS


def session(*pairs_of_lists, **config):
    made = make_session(IceRole.CONTROLLING, *[1] * len(pairs_of_lists), **config)
    for checklist, pairs in zip(made.lists, pairs_of_lists, strict=True):
        checklist.is_running = True
        for pair in pairs:
            checklist.add(pair)
    return made


def pairs(count, state=WAITING, first=1):
    return [
        make_pair(first + number, foundation=f"f{first + number}", priority=100 - number, state=state) for number in range(count)
    ]


def chosen(made, ticks):
    """Which stream had its turn at each tick, each pair checked once."""
    turns = []
    for _ in range(ticks):
        found = made.next_pair()
        turns.append(None if found is None else found[0])
        if found is not None:
            found[1].state = IN_PROGRESS
    return turns


@pytest.mark.req("RFC8445-047")
def test_checklists_take_turns():
    made = session(pairs(3), pairs(3, first=10), pairs(3, first=20))
    assert chosen(made, 9) == [0, 1, 2] * 3


@pytest.mark.req("RFC8445-050", "RFC8838-007")
def test_a_list_with_nothing_to_do_is_passed_over_in_the_same_tick_and_none_is_chosen_where_all_are_idle():
    made = session([], pairs(3), [], pairs(1, first=10))
    assert made.has_next()
    assert chosen(made, 5) == [1, 3, 1, 1, None]
    assert not made.has_next()


def test_a_list_whose_peer_is_not_known_has_no_turn():
    made = session(pairs(1), pairs(1, first=10))
    made.lists[0].is_running = False
    assert chosen(made, 2) == [1, None]


@pytest.mark.req("RFC8445-042")
def test_room_is_made_evenly_by_the_longest_list():
    made = session(pairs(5), pairs(3, first=10), pairs(1, first=20), max_pairs=9)
    assert made.is_full() and made.pair_count() == 9
    for _ in range(5):
        made.lists[2].add(make_pair(90, foundation="new", priority=1))
        assert made.evict(made.lists[2])
    # From the third on the new pair's own list is the longest, and it has the lowest priority there.
    assert [len(checklist) for checklist in made.lists] == [3, 3, 3]


def test_a_list_gives_up_its_own_pair_where_the_longer_ones_have_none_to_spare():
    made = session(pairs(3, state=IN_PROGRESS), pairs(2, first=10))
    assert made.evict(made.lists[1]) and [len(checklist) for checklist in made.lists] == [3, 1]


@pytest.mark.req("RFC8445-042")
def test_a_shorter_list_gives_up_nothing_for_a_longer_one():
    made = session(pairs(3, state=IN_PROGRESS), pairs(2, first=10))
    assert not made.evict(made.lists[0]) and [len(checklist) for checklist in made.lists] == [3, 2]


@pytest.mark.req("RFC8445-126")
def test_the_retransmission_timeout_counts_the_pairs_of_all_lists():
    made = session(pairs(4), pairs(2, first=10) + pairs(2, state=PairState.FAILED, first=20), max_check_rto=60.0)
    assert made.schedule() == Schedule(rto=0.05 * 8 * 6)


def test_a_role_is_taken_over_all_lists():
    first, second = make_pair(1, priority=1), make_pair(2, priority=1)
    made = session([first], [second])
    second.nominating = True
    made.lists[1].trigger(second)
    made.take_role(IceRole.CONTROLLED)
    assert made.is_to_consider and not second.nominating and first.priority == second.priority > 1
    second.state = IN_PROGRESS
    first.state = IN_PROGRESS
    assert made.next_pair() is None  # the nomination is not on its way any more
    made.is_to_consider = False
    made.take_role(IceRole.CONTROLLED)
    assert not made.is_to_consider


def test_a_state_is_told_when_that_of_the_agent_changes():
    made = session([], [])
    made.move(0, IceCause.START)
    made.move(1, IceCause.START)
    made.move(0, IceCause.VALIDATE)
    made.move(1, IceCause.VALIDATE)
    told = [(event.old, event.new) for event in made.outputs if isinstance(event, IceStateChanged)]
    assert told == [(IceState.NEW, IceState.CHECKING), (IceState.CHECKING, IceState.CONNECTED)]


def test_timers_have_numbers_of_their_own():
    numbers = [timer_of(stream, component) for stream in range(3) for component in (0, 1, 2, 256)]
    numbers += [nomination_timer(stream, component) for stream in range(3) for component in (1, 2, 256)]
    assert len(set(numbers)) == len(numbers) and min(numbers) == 0
    assert owner_of(timer_of(2)) == (2, 0, False)
    assert owner_of(timer_of(2, 256)) == (2, 256, False)
    assert owner_of(nomination_timer(2, 256)) == (2, 256, True)


def test_drops_are_counted():
    made = session([])
    made.drop(DropReason.LIMIT)
    made.drop(DropReason.LIMIT, 3)
    assert made.stats.dropped == {DropReason.LIMIT: 4}
