"""`MuxConfig` refuses what makes no sense, by name."""

import math

import pytest

from sansice.ice import MuxConfig

BOUNDS = ("max_unknown_per_prefix", "max_refused", "max_sources", "max_transactions", "max_silent", "max_silent_per_prefix")


@pytest.mark.parametrize("name", BOUNDS)
def test_bound_below_one_is_refused_by_name(name):
    with pytest.raises(ValueError, match=name):
        MuxConfig(**{name: 0})


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
@pytest.mark.parametrize("name", ["unknown_timeout", "refused_timeout", "transaction_timeout", "first_frame_timeout"])
def test_time_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=name):
        MuxConfig(**{name: value})


@pytest.mark.parametrize("name", ["max_unknown", "receive_buffer"])
def test_none_may_be_offered_and_the_system_may_choose_a_buffer_but_nothing_is_below_that(name):
    assert getattr(MuxConfig(**{name: 0}), name) == 0
    with pytest.raises(ValueError, match=name):
        MuxConfig(**{name: -1})
