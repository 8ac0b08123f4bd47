import re

import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address
from sansice.stun import NONCE_LIFETIME, NonceIssuer, NonceState, SecurityFeatures, nonce_features

CLIENT = Address("198.51.100.7", 40000)
FRESH, STALE, FOREIGN = NonceState
QDTEXT = re.compile(r"[!#-\[\]-~]+")  # RFC 3261 25.1, without spaces and what is beyond ASCII
DAY = 86400.0


def counting(start=0):
    """Entropy that never repeats and is the same every time."""
    count = start

    def entropy(size):
        nonlocal count
        count += 1
        return count.to_bytes(size, "big")

    return entropy


def issuer(**options):
    return NonceIssuer(entropy=counting(), **options)


@pytest.mark.req("RFC8489-084")
@pytest.mark.parametrize(
    ("features", "cookie"),
    [
        (SecurityFeatures.NONE, "obMatJos2AAAA"),
        (SecurityFeatures.PASSWORD_ALGORITHMS, "obMatJos2gAAA"),
        (SecurityFeatures.PASSWORD_ALGORITHMS | SecurityFeatures.USERNAME_ANONYMITY, "obMatJos2wAAA"),
    ],
)
def test_a_nonce_begins_with_the_cookie_of_its_features(features, cookie):
    nonce = issuer(features=features).issue(CLIENT, now=5.0)
    assert nonce.startswith(cookie)
    assert nonce_features(nonce) == features


@pytest.mark.req("RFC8489-134")
@pytest.mark.parametrize("now", [0.0, 1.0, 1e9])
def test_a_nonce_is_short_and_needs_no_quoting(now):
    one = issuer()
    one.issue(CLIENT, now=0.0)
    nonce = one.issue(CLIENT, now=now)
    assert QDTEXT.fullmatch(nonce)
    assert len(nonce) == 24


@pytest.mark.req("RFC8489-090")
@pytest.mark.parametrize(
    ("host", "port"), [("198.51.100.7", 40001), ("198.51.100.8", 40000), ("2001:db8::7", 40000), ("198.51.100.74", 0)]
)
def test_no_two_clients_share_a_nonce_and_one_does_not_know_the_others(host, port):
    one, other = issuer(), Address(host, port)
    nonce = one.issue(CLIENT, now=0.0)
    assert one.issue(other, now=0.0) != nonce
    assert one.check(nonce, CLIENT, now=0.0) is FRESH
    assert one.check(nonce, other, now=0.0) is FOREIGN


def test_an_address_and_its_port_are_not_run_together():
    one = issuer()
    assert one.issue(Address("192.0.2.1", 12), now=0.0) != one.issue(Address("2.192.0.2.1", 1), now=0.0)


def test_it_is_fresh_for_its_lifetime_then_stale_and_at_last_forgotten():
    one = issuer(lifetime=60.0)
    nonce = one.issue(CLIENT, now=100.0)
    assert one.check(nonce, CLIENT, now=159.999) is FRESH
    assert one.check(nonce, CLIENT, now=160.0) is STALE
    assert one.check(nonce, CLIENT, now=219.999) is STALE
    assert one.check(nonce, CLIENT, now=220.0) is FOREIGN
    assert one.check(nonce, CLIENT, now=100.0 + DAY) is FOREIGN


def test_a_key_that_rested_for_long_is_changed_before_anything_else():
    one = issuer(lifetime=60.0)
    nonce = one.issue(CLIENT, now=0.0)
    assert one.check(nonce, CLIENT, now=DAY) is not FRESH
    fresh = one.issue(CLIENT, now=DAY)
    assert one.check(fresh, CLIENT, now=DAY + 59.9) is FRESH
    assert one.check(nonce, CLIENT, now=DAY + 60.0) is FOREIGN


@pytest.mark.parametrize("issued", [0.0, 59.9, 60.0, 61.0, 119.9, 150.0])
def test_whenever_it_is_made_a_nonce_outlives_the_change_of_keys(issued):
    one = issuer(lifetime=60.0)
    one.issue(CLIENT, now=0.0)
    nonce = one.issue(CLIENT, now=issued)
    for age in (0.0, 0.1, 30.0, 59.9):
        assert one.check(nonce, CLIENT, now=issued + age) is FRESH
    assert one.check(nonce, CLIENT, now=issued + 60.1) is not FRESH


@given(st.lists(st.floats(0.0, 100.0), max_size=20), st.floats(0.0, 59.9))
def test_whatever_else_was_asked_meanwhile_a_nonce_is_good_for_its_lifetime(steps, age):
    one = issuer(lifetime=60.0)
    now = 0.0
    for step in steps:
        now += step
        one.issue(CLIENT, now=now)
    nonce = one.issue(CLIENT, now=now)
    assert one.check(nonce, CLIENT, now=now + age / 2) is FRESH
    assert one.check(nonce, CLIENT, now=now + age) is FRESH
    assert one.check(nonce, CLIENT, now=now + 60.001) is not FRESH


def test_keys_are_drawn_once_a_lifetime_and_only_two_are_kept():
    drawn = []

    def entropy(size):
        drawn.append(size)
        return bytes((len(drawn),)) * size

    one = NonceIssuer(lifetime=60.0, entropy=entropy)
    for second in range(601):
        one.check(one.issue(CLIENT, now=second), CLIENT, now=second)
    assert drawn == [32] * 11


def test_no_character_of_it_can_be_changed():
    one = issuer(features=SecurityFeatures.PASSWORD_ALGORITHMS)
    nonce = one.issue(CLIENT, now=12.0)
    for position, character in enumerate(nonce):
        for other in {"A", "B", "\u00e9", "="} - {character}:
            assert one.check(nonce[:position] + other + nonce[position + 1 :], CLIENT, now=12.0) is FOREIGN
    assert one.check(nonce, CLIENT, now=12.0) is FRESH


@given(st.text(max_size=60) | st.text("ABCD", min_size=11, max_size=11).map("obMatJos2AAAA".__add__))
def test_any_text_may_be_checked(nonce):
    assert issuer().check(nonce, CLIENT, now=0.0) is FOREIGN


def test_another_servers_nonces_are_foreign():
    nonce = NonceIssuer(entropy=counting(100)).issue(CLIENT, now=0.0)
    assert issuer().check(nonce, CLIENT, now=0.0) is FOREIGN


def test_time_stamps_do_not_tell_how_long_the_machine_has_been_running():
    young, old = issuer(), issuer()
    assert young.issue(CLIENT, now=0.0) == old.issue(CLIENT, now=1e8)
    assert young.issue(CLIENT, now=7.5) == old.issue(CLIENT, now=1e8 + 7.5)


def test_a_time_stamp_that_comes_round_again_is_still_the_old_one():
    one = issuer(lifetime=60.0)
    nonce = one.issue(CLIENT, now=0.0)
    shared = NonceIssuer(keys=[KEY], lifetime=60.0)
    lasting = shared.issue(CLIENT, now=0.0, unix=1e9)
    for turn in range(1, 5):
        assert one.check(nonce, CLIENT, now=240.0 * turn) is FOREIGN
        assert shared.check(lasting, CLIENT, now=0.0, unix=1e9 + 240.0 * turn) is FOREIGN


@pytest.mark.parametrize("at", ["", "udp 192.0.2.2:3478", "tcp 192.0.2.1:3478", "udp 192.0.2.1:3479"])
def test_a_nonce_is_good_for_one_5_tuple(at):
    one = issuer()
    nonce = one.issue(CLIENT, now=0.0, at="udp 192.0.2.1:3478")
    assert one.check(nonce, CLIENT, now=0.0, at=at) is FOREIGN
    assert one.check(nonce, CLIENT, now=0.0, at="udp 192.0.2.1:3478") is FRESH


KEY = bytes(range(16))


def test_servers_with_one_key_recognise_each_others_nonces_whatever_their_own_clocks_say():
    one, other = NonceIssuer(keys=[KEY], lifetime=60.0), NonceIssuer(keys=[KEY], lifetime=60.0)
    nonce = one.issue(CLIENT, now=5.0, unix=1e9)
    assert nonce == other.issue(CLIENT, now=70000.0, unix=1e9)
    assert other.check(nonce, CLIENT, now=0.0, unix=1e9) is FRESH
    assert other.check(nonce, CLIENT, now=0.0, unix=1e9 + 59.99) is FRESH
    assert other.check(nonce, CLIENT, now=0.0, unix=1e9 + 60.0) is STALE
    assert other.check(nonce, Address("198.51.100.8", 40000), now=0.0, unix=1e9) is FOREIGN


def test_a_nonce_from_a_server_whose_clock_is_a_little_ahead_is_fresh_and_from_one_far_ahead_is_not():
    one = NonceIssuer(keys=[KEY], lifetime=60.0)
    nonce = one.issue(CLIENT, now=0.0, unix=1e9)
    assert one.check(nonce, CLIENT, now=0.0, unix=1e9 - 7.0) is FRESH
    assert one.check(nonce, CLIENT, now=0.0, unix=1e9 - 8.0) is FOREIGN


def test_a_key_is_replaced_by_putting_another_before_it():
    old, both, new = (NonceIssuer(keys=keys) for keys in ([KEY], [b"n" * 16, KEY], [b"n" * 16]))
    before, after = old.issue(CLIENT, now=0.0, unix=1e9), both.issue(CLIENT, now=0.0, unix=1e9)
    assert both.check(before, CLIENT, now=0.0, unix=1e9) is FRESH
    assert old.check(after, CLIENT, now=0.0, unix=1e9) is FOREIGN
    assert new.check(after, CLIENT, now=0.0, unix=1e9) is FRESH
    assert new.check(before, CLIENT, now=0.0, unix=1e9) is FOREIGN


def test_shared_keys_draw_nothing():
    assert NonceIssuer(keys=[KEY], entropy=lambda size: pytest.fail("drawn")).issue(CLIENT, now=0.0, unix=1e9)


def test_shared_keys_without_a_wall_clock_make_nonces_that_those_with_one_do_not_take():
    lost, good = NonceIssuer(keys=[KEY]), NonceIssuer(keys=[KEY])
    assert good.check(lost.issue(CLIENT, now=0.0), CLIENT, now=0.0, unix=1e9) is FOREIGN


def test_a_shared_key_has_sixteen_bytes_at_least():
    with pytest.raises(ValueError, match="16 bytes or more"):
        NonceIssuer(keys=[KEY, KEY[:-1]])


@pytest.mark.parametrize("lifetime", [0.0, -1.0, float("inf"), float("nan")])
def test_a_lifetime_is_positive_and_finite(lifetime):
    with pytest.raises(ValueError, match="cannot live"):
        NonceIssuer(lifetime=lifetime)


def test_ten_minutes_unless_told_otherwise():
    one = NonceIssuer()
    nonce = one.issue(CLIENT, now=0.0)
    assert one.check(nonce, CLIENT, now=NONCE_LIFETIME - 1.0) is FRESH
    assert one.check(nonce, CLIENT, now=NONCE_LIFETIME) is STALE
    assert NONCE_LIFETIME == 600.0
