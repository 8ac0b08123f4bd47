"""Priorities and foundations (RFC 8445 5.1.1.3, 5.1.2, 6.1.2.3)."""

import itertools

import pytest
from hypothesis import given, strategies as st

from sansice.ice import CandidateType, candidate_priority, pair_priority
from sansice.ice._candidate import MAX_PRIORITY
from sansice.ice._priority import MAX_FOUNDATIONS, MAX_LOCAL_PREFERENCE, TYPE_PREFERENCES, Foundations

PRIORITIES = st.integers(1, MAX_PRIORITY)


@pytest.mark.req("RFC8445-019")
@pytest.mark.parametrize(
    ("type", "preference", "component", "priority"),
    [
        (CandidateType.HOST, 65535, 1, 2130706431),
        (CandidateType.HOST, 65535, 2, 2130706430),
        (CandidateType.PEER_REFLEXIVE, 65535, 1, 1862270975),
        (CandidateType.SERVER_REFLEXIVE, 65535, 1, 1694498815),
        (CandidateType.RELAYED, 65535, 1, 16777215),
        (CandidateType.RELAYED, 0, 255, 1),
        (CandidateType.HOST, 1, 256, (126 << 24) + 256),
    ],
)
def test_priority_is_the_recommended_formula(type, preference, component, priority):
    assert candidate_priority(type, preference, component) == priority


@pytest.mark.req("RFC8445-024", "RFC8445-020")
def test_type_preferences_are_the_recommended_ones_and_peer_reflexive_is_above_server_reflexive():
    assert {kind.value: preference for kind, preference in TYPE_PREFERENCES.items()} == {
        "host": 126,
        "prflx": 110,
        "srflx": 100,
        "relay": 0,
    }


@pytest.mark.req("RFC8445-018")
@given(st.sampled_from(CandidateType), st.integers(0, MAX_LOCAL_PREFERENCE), st.integers(1, 255))
def test_priorities_are_within_31_bits_and_unique_because_each_tells_what_it_was_made_of(type, preference, component):
    priority = candidate_priority(type, preference, component)
    assert 1 <= priority <= MAX_PRIORITY
    assert (priority >> 24, priority >> 8 & 0xFFFF, 256 - (priority & 0xFF)) == (TYPE_PREFERENCES[type], preference, component)


@given(PRIORITIES, PRIORITIES)
def test_both_agents_compute_the_same_pair_priority(g, d):
    assert pair_priority(g, d) == 2**32 * min(g, d) + 2 * max(g, d) + (1 if g > d else 0)


@given(PRIORITIES, PRIORITIES, PRIORITIES, PRIORITIES)
def test_pairs_of_different_priorities_are_never_equal(g, d, other_g, other_d):
    assert (pair_priority(g, d) == pair_priority(other_g, other_d)) == ((g, d) == (other_g, other_d))


@pytest.mark.req("RFC8445-015")
def test_foundations_are_equal_exactly_when_type_base_and_server_are():
    foundations = Foundations()
    kinds = [CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED]
    keys = list(itertools.product(kinds, ["192.0.2.1", "192.0.2.2"], ["", "198.51.100.1", "198.51.100.2"]))
    first = {key: foundations.of(*key) for key in keys}
    assert len(set(first.values())) == len(keys)
    assert {key: foundations.of(*key) for key in reversed(keys)} == first
    assert all(text.isalnum() and 1 <= len(text) <= 32 for text in first.values())


def test_who_roams_for_ever_is_given_ever_new_foundations_and_the_old_ones_are_forgotten():
    foundations = Foundations()
    bases = [f"10.0.{number // 256}.{number % 256}" for number in range(3 * MAX_FOUNDATIONS)]
    numbers = [foundations.of(CandidateType.HOST, base) for base in bases]
    assert numbers == [str(number + 1) for number in range(3 * MAX_FOUNDATIONS)]
    latest = bases[-MAX_FOUNDATIONS:]
    assert [foundations.of(CandidateType.HOST, base) for base in latest] == numbers[-MAX_FOUNDATIONS:]
    assert len(foundations._known) == MAX_FOUNDATIONS
    assert foundations.of(CandidateType.HOST, bases[0]) == str(3 * MAX_FOUNDATIONS + 1)
