"""Delays are within what RFC 6762 says, from the first of it to the last."""

import pytest

from sansice.ice._mdns._delay import delay_for_more, random_delay


@pytest.mark.parametrize(("delay", "low", "high"), [(random_delay, 0.02, 0.12), (delay_for_more, 0.4, 0.5)])
def test_a_delay_is_drawn_from_its_whole_range(delay, low, high):
    assert delay(lambda size: bytes(size)) == pytest.approx(low)
    assert delay(lambda size: b"\xff" * size) == pytest.approx(high)
