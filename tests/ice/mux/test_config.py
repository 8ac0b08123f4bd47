"""`MuxConfig` refuses what makes no sense, by name."""

import math

import pytest

from sansice.ice import MuxConfig


@pytest.mark.parametrize("name", ["max_unknown_per_prefix", "max_refused", "max_sources", "max_transactions", "max_silent"])
def test_bound_below_one_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        MuxConfig(**{name: 0})


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["unknown_timeout", "refused_timeout", "transaction_timeout", "first_frame_timeout"])
def test_time_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        MuxConfig(**{name: value})


def test_none_may_be_offered():
    assert MuxConfig(max_unknown=0).max_unknown == 0
