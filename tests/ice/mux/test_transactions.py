"""Who asked is known for a while, within a bound."""

import pytest

from sansice.ice._mux._transactions import Transactions
from sansice.machine import SocketId


def test_answer_finds_who_asked_for_the_timeout_and_not_for_twice_that():
    table = Transactions(40.0, 100)
    table.note(b"one", SocketId(7), now=5.0)
    assert table.find(b"one", now=44.9) == 7 and table.find(b"two", now=44.9) is None
    assert table.find(b"one", now=45.0) == 7  # the table has turned once
    assert table.find(b"one", now=85.0) is None and len(table) == 0


def test_nobody_finds_an_entry_after_twice_the_timeout_however_seldom_anybody_looks():
    table = Transactions(40.0, 100)
    table.note(b"one", SocketId(7), now=5.0)
    assert table.find(b"one", now=85.0) is None
    table.note(b"two", SocketId(7), now=85.0)
    assert table.find(b"two", now=164.9) == 7  # the first look since
    assert table.find(b"two", now=165.0) is None and len(table) == 0


def test_long_silence_forgets_both_tables():
    table = Transactions(40.0, 100)
    table.note(b"one", SocketId(7), now=0.0)
    assert table.find(b"one", now=1000.0) is None and len(table) == 0


def test_repeated_request_is_one_entry():
    table = Transactions(40.0, 100)
    table.note(b"one", SocketId(7), now=0.0)
    table.note(b"one", SocketId(7), now=1.0)
    assert len(table) == 1


def test_a_repeated_request_pushes_out_nobody():
    table = Transactions(40.0, 2)
    for number in (1, 2, 1, 2, 1, 2):
        table.note(bytes([number]), SocketId(number), now=0.0)
    assert len(table) == 2
    assert [table.find(bytes([number]), now=0.0) for number in (1, 2)] == [1, 2]


@pytest.mark.parametrize("limit", [1, 3])
def test_flood_keeps_the_latest_and_never_more_than_twice_the_bound(limit):
    table = Transactions(40.0, limit)
    for number in range(100):
        table.note(bytes([number]), SocketId(number + 1), now=0.0)
        assert len(table) <= 2 * limit
        assert table.find(bytes([number]), now=0.0) == number + 1
