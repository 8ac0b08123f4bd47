"""States for those who read them later."""

from sansice.ice import MAX_STATES, IceState, IceStatesBase
from sansice.ice._state_log import StateLog

C, D, X = IceState.CONNECTED, IceState.DISCONNECTED, IceState.CLOSED


class Ice:
    def __init__(self):
        self._left = False
        self.log = StateLog(IceState.NEW)

    def _log(self):
        return self.log


def read_all(reader):
    return list(iter(reader._take, None))


def test_a_reader_begins_with_the_state_of_its_moment_and_sees_each_one_after_it():
    ice = Ice()
    first = IceStatesBase(ice)
    ice.log.append(IceState.CHECKING)
    second = IceStatesBase(ice)
    ice.log.append(C)
    assert read_all(first) == [IceState.NEW, IceState.CHECKING, C]
    assert read_all(second) == [IceState.CHECKING, C]
    ice.log.append(D)
    assert (read_all(first), read_all(second)) == ([D], [D])


def test_states_beyond_the_bound_are_counted_as_missed_and_the_latest_are_kept():
    ice = Ice()
    slow = IceStatesBase(ice)
    for state in (C, D) * (MAX_STATES // 2):
        ice.log.append(state)
    quick = IceStatesBase(ice)
    assert quick._take() is D
    ice.log.append(X)
    assert read_all(slow) == [*(D, C) * (MAX_STATES // 2 - 1), D, X]
    assert slow.missed == 2
    assert read_all(quick) == [X]
    assert quick.missed == 0


def test_it_is_over_once_the_agent_is_closed_or_the_block_was_left():
    ice = Ice()
    reader = IceStatesBase(ice)
    assert not reader._is_over()
    ice._left = True
    assert reader._is_over()
    ice._left = False
    ice.log.append(X)
    assert reader._is_over()
