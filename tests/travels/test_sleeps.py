"""Laptops that sleep in the middle of a call, for as long as people sleep, and where they wake."""

import pytest

from travels._sleep import MAX_WAIT, SLEEPS, wait_after


@pytest.mark.parametrize("sleep", SLEEPS, ids=lambda sleep: sleep.name.replace(", ", "-").replace(" ", "_"))
def test_both_ends_hear_each_other_within_a_second_of_waking(sleep):
    waits = {seed: wait_after(sleep, seed) for seed in range(4)}
    assert max(waits.values()) < MAX_WAIT, waits


@pytest.mark.long
def test_of_a_thousand_laptops_none_waits_for_a_second():
    waits = {(sleep.name, seed): wait_after(sleep, seed) for sleep in SLEEPS for seed in range(4, 20)}
    assert [one for one, wait in waits.items() if wait >= MAX_WAIT] == []
