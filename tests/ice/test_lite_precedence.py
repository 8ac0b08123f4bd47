"""RFC 6724 for lite agents: precedences, unique local preferences, and which addresses go together."""

import pytest
from hypothesis import given, strategies as st

from sansice.ice._gathering._host_list import HostList, Seat
from sansice.ice._lite._precedence import affinity, assign_preferences, first_preferences, precedence


@pytest.mark.req("RFC8445-028")
@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("::1", 50),
        ("2001:db8::1", 40),
        ("fe80::1%eth0", 40),
        ("192.0.2.1", 35),
        ("127.0.0.1", 35),
        ("2002::1", 30),
        ("2001:0:1::1", 5),
        ("fd00::1", 3),
        ("::192.0.2.1", 1),
        ("fec0::1", 1),
        ("3ffe::1", 1),
    ],
)
def test_precedence_is_that_of_the_default_policy_table(host, expected):
    assert precedence(host) == expected


def one(host):
    return Seat(host, 0)


def seats(*hosts):
    return HostList(hosts).seats


def test_hosts_of_ipv4_alone_count_down_from_the_highest():
    assert assign_preferences(seats("192.0.2.1", "192.0.2.2"), {}) == {one("192.0.2.1"): 65535, one("192.0.2.2"): 65534}


def test_several_sockets_of_one_address_are_preferred_one_after_the_other():
    first, second, other = one("192.0.2.1"), Seat("192.0.2.1", 1), one("192.0.2.2")
    assert assign_preferences([first, other, second], {}) == {first: 65535, other: 65534, second: 65533}
    six = one("2001:db8::1")
    assert assign_preferences([first, six, second], {}) == {second: 35, first: 36, six: 40}


def test_agents_of_the_same_addresses_share_the_first_preferences():
    assert first_preferences(seats("192.0.2.1")) == assign_preferences(seats("192.0.2.1"), {})
    assert first_preferences(seats("192.0.2.1")) is first_preferences(seats("192.0.2.1"))


def test_hosts_of_one_precedence_lie_above_it_the_first_one_highest():
    given = assign_preferences(seats("2001:db8::1", "192.0.2.1", "2001:db8::2", "fd00::1"), {})
    assert given == {one("fd00::1"): 3, one("192.0.2.1"): 35, one("2001:db8::2"): 40, one("2001:db8::1"): 41}


def test_preferences_that_are_known_stay_and_are_not_given_again():
    known = assign_preferences(seats("192.0.2.1"), {})
    assert assign_preferences(seats("192.0.2.2", "192.0.2.1"), known) == {one("192.0.2.1"): 65535, one("192.0.2.2"): 65534}
    assert assign_preferences(seats("2001:db8::1"), known) == {one("192.0.2.1"): 65535, one("2001:db8::1"): 40}


HOSTS = st.one_of(
    st.integers(1, 250).map(lambda n: f"192.0.2.{n}"),
    st.integers(1, 250).map(lambda n: f"2001:db8::{n:x}"),
    st.integers(1, 250).map(lambda n: f"fd00::{n:x}"),
    st.integers(1, 250).map(lambda n: f"fe80::{n:x}%eth0"),
)


@pytest.mark.req("RFC8445-027", "RFC8445-021")
@given(st.lists(HOSTS, unique=True, max_size=40), st.lists(HOSTS, unique=True, max_size=40))
def test_preferences_are_unique_in_range_and_in_the_order_of_precedence(first, second):
    given_first = assign_preferences(seats(*first), {})
    for preferences in (given_first, assign_preferences(seats(*second), given_first)):
        assert len(set(preferences.values())) == len(preferences)
        assert all(1 <= value <= 65535 for value in preferences.values())
    ranked = sorted(first, key=lambda host: given_first[one(host)])
    assert [precedence(host) for host in ranked] == sorted(precedence(host) for host in first)


@given(HOSTS, HOSTS)
def test_affinity_is_the_same_from_either_side(one, other):
    assert affinity(one, other) == affinity(other, one)


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (("2001:db8::1", "2001:db8::2"), ("2001:db8::1", "fe80::2")),  # rule 2: scopes
        (("2001:db8::1", "2001:db9::2"), ("2001:db8::1", "fd00::2")),  # rule 5: labels
        (("2001:db8::1", "2001:db9::2"), ("fd00::1", "fd00::2")),  # rule 6: precedence
        (("fe80::1", "fe80::2"), ("2001:db8::1", "2001:db8::2")),  # rule 8: the smaller scope
        (("192.0.2.1", "192.0.2.2"), ("192.0.2.1", "198.51.100.1")),  # rule 9: the longer common prefix
        (("2001:db8::1", "2001:db8::2"), ("192.0.2.1", "192.0.2.2")),
        (("192.0.2.1", "192.0.2.2"), ("169.254.1.1", "192.0.2.2")),
        (("fec0::1", "fec0::2"), ("fec0::1", "2001:db8::2")),
    ],
)
def test_rules_of_destination_address_selection_come_in_their_order(better, worse):
    assert affinity(*better) > affinity(*worse)
