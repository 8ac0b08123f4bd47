"""Round trip times of a pair: W3C's three figures, and for how long an answer is worth waiting for."""

import pytest

from ice._wire import make_pair
from sansice.ice._rtt import MAX_PATIENCE, MIN_PATIENCE, UNMEASURED_PATIENCE, PairRtt


def measured(*rtts):
    one = PairRtt()
    for rtt in rtts:
        one.measure(rtt)
    return one


def test_nothing_measured_is_nothing_known():
    one = PairRtt()
    assert (one.current, one.smoothed, one.total, one.measurements) == (None, None, 0.0, 0)
    assert one.patience == UNMEASURED_PATIENCE


def test_the_latest_and_the_sum_are_told_as_w3c_has_them():
    one = measured(0.1, 0.3, 0.2)
    assert (one.current, one.measurements) == (0.2, 3)
    assert one.total == pytest.approx(0.6)


def test_the_estimate_moves_by_an_eighth_and_its_variation_by_a_quarter():
    one = measured(0.8)
    assert (one.smoothed, one.patience) == (0.8, pytest.approx(0.8 + 4 * 0.4))
    one.measure(1.6)
    assert one.smoothed == pytest.approx(0.9)
    assert one.patience == pytest.approx(0.9 + 4 * (0.4 + 0.25 * (0.8 - 0.4)))


def test_patience_with_a_steady_link_of_800_ms_nears_what_it_takes():
    one = measured(*[0.8] * 100)
    assert one.smoothed == pytest.approx(0.8)
    assert one.patience == pytest.approx(0.8)


@pytest.mark.parametrize(("rtt", "patience"), [(0.0, MIN_PATIENCE), (0.01, MIN_PATIENCE), (3600.0, MAX_PATIENCE)])
def test_patience_has_a_floor_and_a_ceiling(rtt, patience):
    assert measured(rtt).patience == patience


def test_a_pair_counts_what_was_measured_on_it():
    pair = make_pair()
    assert pair.patience == UNMEASURED_PATIENCE
    pair.answered(None, now=10.0)  # after a retransmission
    assert (pair.answered_at, pair.valid_since, pair.rtt.measurements) == (10.0, 10.0, 0)
    pair.answered(0.8, now=12.0)
    assert (pair.answered_at, pair.valid_since, pair.rtt.current) == (12.0, 10.0, 0.8)
    assert pair.patience == pytest.approx(2.4)
