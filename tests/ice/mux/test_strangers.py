"""Checks for ufrags that nobody has: one a ufrag, few, not for long, and from no network too many."""

import pytest

from ice._wire import at
from sansice.ice import MuxConfig
from sansice.ice._mux._strangers import MAX_CHECK, FirstCheck, Strangers, prefix_of
from sansice.machine import DropReason, SocketId

CONFIG = MuxConfig(max_unknown=4, max_unknown_per_prefix=2, max_refused=3, unknown_timeout=10.0, refused_timeout=60.0)


def check(host="198.51.100.1", data=b"check"):
    return FirstCheck(SocketId(1), at(host), data)


def test_first_check_waits_and_a_second_one_is_not_admitted():
    strangers = Strangers(CONFIG)
    assert strangers.admit(b"abcd", check(), now=0.0) is None
    assert strangers.admit(b"abcd", check(data=b"other"), now=9.0) is DropReason.BAD_USERNAME
    assert strangers.find(b"abcd", now=9.9) == check()
    assert strangers.find(b"abcd", now=10.0) is None


def test_whoever_is_welcome_waits_no_more():
    strangers = Strangers(CONFIG)
    strangers.admit(b"abcd", check(), now=0.0)
    strangers.welcome(b"abcd")
    assert strangers.find(b"abcd", now=0.0) is None
    assert strangers.admit(b"abcd", check(), now=0.0) is None
    strangers.refuse(b"abcd", now=1.0)
    strangers.welcome(b"abcd")
    assert strangers.admit(b"abcd", check("192.0.2.9"), now=1.0) is None


def test_refused_ufrag_is_not_admitted_for_its_time():
    strangers = Strangers(CONFIG)
    strangers.admit(b"abcd", check(), now=0.0)
    strangers.refuse(b"abcd", now=1.0)
    assert strangers.find(b"abcd", now=1.0) is None
    assert strangers.admit(b"abcd", check(), now=60.9) is DropReason.BAD_USERNAME
    assert strangers.admit(b"abcd", check(), now=61.0) is None


def test_refusing_again_begins_its_time_again_and_the_oldest_is_forgotten():
    strangers = Strangers(CONFIG)
    for ufrag in (b"aaaa", b"bbbb", b"cccc", b"aaaa", b"dddd"):
        strangers.refuse(ufrag, now=0.0)
    assert strangers.admit(b"bbbb", check(), now=0.0) is None
    assert strangers.admit(b"aaaa", check(), now=0.0) is DropReason.BAD_USERNAME


def test_of_whose_agent_is_gone_the_peers_late_checks_are_not_admitted_and_anothers_are():
    strangers = Strangers(CONFIG)
    strangers.retire(b"abcd", b"his", now=0.0)
    assert strangers.admit(b"abcd", check()._replace(remote_ufrag=b"his"), now=59.9) is DropReason.BAD_USERNAME
    assert strangers.admit(b"abcd", check()._replace(remote_ufrag=b"other"), now=59.9) is None
    assert len(strangers) == 3
    strangers.clear()
    assert strangers.admit(b"abcd", check()._replace(remote_ufrag=b"his"), now=59.9) is None


def test_a_ufrag_that_is_declined_is_admitted_again_a_little_later_and_counts_once():
    strangers = Strangers(CONFIG)
    for moment in (0.0, 0.4, 0.8):
        assert strangers.admit(b"abcd", check(), now=moment) is None
        strangers.decline(b"abcd", now=moment)
        assert strangers.find(b"abcd", now=moment) is None
        assert strangers.admit(b"abcd", check(), now=moment + 0.39) is DropReason.BAD_USERNAME
    assert strangers.admit(b"efgh", check(), now=1.2) is None
    assert strangers.admit(b"ijkl", check(), now=1.2) is DropReason.RATE_LIMITED
    strangers.clear()
    assert len(strangers) == 0


def test_of_those_that_are_declined_the_oldest_is_forgotten_and_with_their_window_all():
    strangers = Strangers(CONFIG)
    strangers.admit(b"first", check(), now=0.0)
    for ufrag in (b"aaaa", b"bbbb", b"aaaa", b"cccc", b"dddd"):
        strangers.decline(ufrag, now=0.1)
    assert strangers.admit(b"bbbb", check(), now=0.1) is None
    assert strangers.admit(b"aaaa", check(), now=0.1) is DropReason.BAD_USERNAME
    strangers.admit(b"eeee", check("203.0.113.1"), now=10.0)
    assert strangers._declined == {}


def test_one_prefix_has_so_many_in_a_window_even_if_all_are_refused_at_once():
    strangers = Strangers(CONFIG)
    for number in range(2):
        assert strangers.admit(b"abc%d" % number, check(f"198.51.100.{number}"), now=1.0) is None
        strangers.refuse(b"abc%d" % number, now=1.0)
    assert strangers.admit(b"abc2", check("198.51.100.9"), now=10.9) is DropReason.RATE_LIMITED
    assert strangers.admit(b"abc2", check("198.51.101.9"), now=10.9) is None
    assert strangers.admit(b"abc3", check("198.51.100.9"), now=11.0) is None


def test_all_together_are_bounded_and_so_are_the_prefixes_that_are_counted():
    strangers = Strangers(CONFIG)
    for number in range(100):
        strangers.admit(b"a%03d" % number, check(f"198.{number}.100.9"), now=0.0)
    assert len(strangers) == 6  # three that wait, and their prefixes
    strangers = Strangers(MuxConfig(max_unknown=4))
    for number in range(100):
        assert strangers.admit(b"a%03d" % number, check(f"198.{number}.100.9"), now=0.0) is (
            None if number < 4 else DropReason.LIMIT
        )


def test_check_that_is_too_long_does_not_wait():
    strangers = Strangers(CONFIG)
    assert strangers.admit(b"abcd", check(data=bytes(MAX_CHECK + 1)), now=0.0) is DropReason.LIMIT
    assert strangers.admit(b"abcd", check(data=bytes(MAX_CHECK)), now=0.0) is None
    strangers.refuse(b"efgh", now=0.0)
    strangers.distrust(b"abcd", now=0.0)
    strangers.admit(b"ijkl", check(), now=0.0)
    strangers.clear()
    assert len(strangers) == 0


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("198.51.100.1", "198.51.100.200", True),
        ("198.51.100.1", "198.51.101.1", False),
        ("2001:db8:0:100::1", "2001:db8:0:1ff::1", True),
        ("2001:db8:0:100::1", "2001:db8:0:200::1", False),
    ],
)
def test_prefix_is_what_one_network_has(one, other, same):
    assert (prefix_of(one) == prefix_of(other)) is same


def test_a_check_that_is_forgotten_makes_room_for_the_next_and_leaves_its_ufrag_as_unknown_as_before():
    strangers = Strangers(CONFIG)
    assert strangers.admit(b"abcd", check(), now=0.0) is None
    strangers.forget(b"abcd", now=1.0)
    strangers.forget(b"efgh", now=1.0)
    assert strangers.find(b"abcd", now=1.0) is None
    assert strangers.admit(b"abcd", check(), now=1.0) is None


def test_whose_check_is_distrusted_is_not_listened_to_for_a_window_and_all_others_are():
    strangers = Strangers(CONFIG)
    assert strangers.admit(b"abcd", check(), now=0.0) is None
    strangers.distrust(b"abcd", now=1.0)
    strangers.distrust(b"efgh", now=1.0)
    assert strangers.admit(b"abcd", check(), now=9.0) is DropReason.BAD_INTEGRITY
    assert strangers.admit(b"efgh", check(), now=9.0) is None
    assert strangers.admit(b"abcd", check("198.51.100.2"), now=9.0) is DropReason.RATE_LIMITED  # two of one network
    assert strangers.admit(b"abcd", check("192.0.2.2"), now=9.0) is None
    strangers.forget(b"abcd", now=9.0)
    assert strangers.admit(b"abcd", check(), now=10.0) is None


def test_those_who_are_distrusted_are_bounded_and_whom_somebody_vouches_for_does_not_count():
    strangers = Strangers(MuxConfig(max_unknown=4, max_unknown_per_prefix=2))
    for number in range(9):
        assert strangers.admit(b"abcd", check(f"192.0.{number}.1"), now=1.0) is None
        strangers.distrust(b"abcd", now=1.0)
    assert len(strangers) == 9 + 4  # that many networks, and so many senders of theirs
    for number in range(9):
        assert strangers.admit(b"ab%02d" % number, check("198.51.100.1"), now=20.0) is None
        strangers.welcome(b"ab%02d" % number)
        strangers.vouch(check("198.51.100.1").source)
        assert len(strangers) == 0  # and leaves nothing to remember
    for number in range(2):
        assert strangers.admit(b"cd%02d" % number, check("198.51.100.1"), now=20.0) is None
    strangers.vouch(check("198.51.100.1").source)
    assert strangers.admit(b"efgh", check("198.51.100.1"), now=20.0) is None
    assert strangers.admit(b"ijkl", check("198.51.100.1"), now=20.0) is DropReason.RATE_LIMITED
