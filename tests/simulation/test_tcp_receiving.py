"""The receiving half of TCP: any order, any overlap, never more than the window."""

import random

from hypothesis import given, strategies as st

from sansice.simulation._world._tcp_receiving import RECEIVE_BUFFER, Receiving


@given(st.binary(min_size=1, max_size=60), st.randoms(use_true_random=False))
def test_segments_in_any_order_with_any_overlap_give_the_bytes_once(data, draw):
    receiving = Receiving()
    pieces = []
    for start in range(len(data)):
        pieces += [(start, min(len(data), start + draw.randint(1, 9))) for _ in range(draw.randint(1, 3))]
    draw.shuffle(pieces)
    for start, stop in pieces:
        receiving.put(1 + start, data[start:stop], stop == len(data))
    assert receiving.read(1000) == data
    assert receiving.ended
    assert receiving.next == len(data) + 2
    assert receiving.window == RECEIVE_BUFFER


def test_a_fin_before_its_turn_waits():
    receiving = Receiving()
    receiving.put(4, b"", True)
    assert not receiving.ended
    receiving.put(1, b"abc", False)
    assert receiving.ended
    receiving.put(5, b"more", True)
    assert (receiving.read(9), receiving.waiting) == (b"abc", 0)


def test_a_fin_beyond_the_window_is_not_remembered():
    receiving = Receiving()
    receiving.put(1, bytes(RECEIVE_BUFFER + 10), True)
    receiving.read(RECEIVE_BUFFER)
    receiving.put(receiving.next, bytes(10), False)
    assert (receiving.waiting, receiving.ended) == (10, False)


def test_what_goes_beyond_the_window_is_cut_off():
    receiving = Receiving()
    receiving.put(1, bytes(RECEIVE_BUFFER + 10), True)
    assert (receiving.waiting, receiving.window, receiving.ended) == (RECEIVE_BUFFER, 0, False)
    receiving.put(receiving.next, b"x", False)
    receiving.put(receiving.next + 5, b"x", False)
    assert receiving.waiting == RECEIVE_BUFFER
    assert receiving.read(10) == bytes(10)
    assert receiving.window == 10
    receiving.put(receiving.next, b"", True)
    assert receiving.ended


def test_the_longer_of_two_early_pieces_is_kept():
    receiving = Receiving()
    for piece in (b"bc", b"bcd", b"b"):
        receiving.put(2, piece, False)
    receiving.put(1, b"a", False)
    assert receiving.read(9) == b"abcd"


def test_random_early_pieces_stay_within_the_window():
    receiving, draw = Receiving(), random.Random(5)
    for _ in range(2000):
        receiving.put(2 + draw.randrange(2 * RECEIVE_BUFFER), bytes(draw.randrange(2000)), False)
    receiving.put(1, b"x", False)
    assert receiving.waiting <= RECEIVE_BUFFER
