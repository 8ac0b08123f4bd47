"""Of one foundation, lower components are told no later than higher ones (RFC 8838 17)."""

import pytest

from ice._wire import make_local
from sansice.ice._gathering._order import TellingOrder

ORIGIN, OTHER = (0, 0, -1), (0, 1, -1)
ONE, TWO, THREE = (make_local(component=number) for number in (1, 2, 3))


@pytest.fixture
def order():
    order = TellingOrder()
    for component in (1, 2, 3):
        order.expect(ORIGIN, component)
    return order


@pytest.mark.req("RFC8838-025")
def test_higher_components_wait_for_lower_ones(order):
    assert not order.offer(ORIGIN, 3, THREE)
    assert not order.offer(ORIGIN, 2, TWO)
    assert order.done(ORIGIN, 3) == order.done(ORIGIN, 2) == []
    assert order.offer(ORIGIN, 1, ONE)
    assert order.done(ORIGIN, 1) == [TWO, THREE]


def test_component_that_finds_nothing_holds_nobody_up(order):
    assert not order.offer(ORIGIN, 2, TWO)
    assert order.done(ORIGIN, 1) == [TWO]
    assert not order.offer(ORIGIN, 3, THREE)


def test_origins_do_not_concern_each_other(order):
    assert order.offer(OTHER, 3, THREE)
    assert order.done(OTHER, 3) == []
    assert not order.offer(ORIGIN, 2, TWO)


def test_what_waits_is_told_when_nothing_more_is_expected(order):
    order.offer(ORIGIN, 3, THREE)
    order.offer(ORIGIN, 2, TWO)
    assert order.release() == [TWO, THREE]
    assert order.release() == []
    assert order.offer(ORIGIN, 3, THREE)


def test_what_is_forgotten_is_never_told(order):
    order.offer(ORIGIN, 2, TWO)
    order.clear()
    assert order.release() == []
    assert order.done(ORIGIN, 1) == []
