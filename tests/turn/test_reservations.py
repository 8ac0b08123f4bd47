"""A reserved port and the token that fetches it."""

import math

import pytest

from sansice.turn._server._reservations import Reservations
from sansice.turn._server._tickets import Tokens


class Counted:
    def __init__(self):
        self.count = 0

    def __call__(self, size):
        self.count += 1
        return self.count.to_bytes(size, "big")


@pytest.fixture
def reservations():
    return Reservations(Tokens(entropy=Counted()), 30.0)


@pytest.mark.req("RFC8656-029", "RFC8656-039")
def test_a_token_fetches_what_is_held_until_thirty_seconds_are_over(reservations):
    late = reservations.hold("late", "ann", now=100.0)
    in_time = reservations.hold("in time", "ann", now=100.0)
    assert reservations.claim(in_time, "ann", now=129.999) == "in time"
    assert reservations.claim(late, "ann", now=130.0) is None


@pytest.mark.req("RFC8656-029")
def test_a_token_is_good_once(reservations):
    token = reservations.hold("port", "ann", now=0.0)
    assert reservations.claim(token, "ann", now=1.0) == "port"
    assert reservations.claim(token, "ann", now=1.0) is None


@pytest.mark.req("RFC8656-029")
def test_a_token_that_was_never_given_out_fetches_nothing(reservations):
    reservations.hold("port", "ann", now=0.0)
    assert reservations.claim(bytes(8), "ann", now=0.0) is None


def test_a_stranger_with_the_token_gets_nothing_and_takes_nothing_away(reservations):
    token = reservations.hold("port", "ann", now=0.0)
    assert reservations.claim(token, "eve", now=1.0) is None
    assert reservations.claim(token, "ann", now=2.0) == "port"


def test_what_nobody_fetches_comes_out_in_order(reservations):
    reservations.hold("first", "ann", now=0.0)
    reservations.hold("second", "bob", now=5.0)
    assert reservations.deadline() == 30.0
    assert reservations.pop_due(29.0) is None
    due = reservations.pop_due(30.0)
    assert due is not None
    assert (due.held, due.account, due.expires) == ("first", "ann", 30.0)
    assert reservations.deadline() == 35.0
    assert len(reservations) == 1


def test_clearing_hands_over_all_that_was_held(reservations):
    reservations.hold("first", "ann", now=0.0)
    reservations.hold("second", "bob", now=5.0)
    assert [one.held for one in reservations.clear()] == ["first", "second"]
    assert len(reservations) == 0
    assert reservations.deadline() == math.inf
