import math

import pytest
from hypothesis import given, strategies as st

from sansice_cli.demo._echo import ALLOWANCE, LOST_AFTER, SHARE, SILENCE, Echo


def bounce(echo, now, after=0.001):
    """One datagram there and back."""
    assert echo.received(echo.next(now=now), now=now + after)


def test_all_datagrams_come_back_one_at_a_time():
    echo = Echo(3, 200)
    sent = []
    for step in range(3):
        data = echo.next(now=step)
        assert echo.next(now=step) is None
        sent.append(data)
        assert echo.received(data, now=step + 0.25)
    assert (echo.sent, echo.echoed, echo.round_trips) == (3, 3, [0.25] * 3)
    assert echo.is_over
    assert echo.next(now=3.0) is None
    assert [len(data) for data in sent] == [200] * 3
    assert len(set(sent)) == 3


@pytest.mark.parametrize("size", [16, 17, 200, 65507])
def test_datagrams_have_the_size_asked_for_and_name_their_number(size):
    echo = Echo(1000, size)
    data = echo.datagram(999)
    assert len(data) == size
    assert data.startswith(b"echo 000000999,")


def test_no_datagram_can_be_taken_for_stun():
    assert Echo(1, 16).datagram(0)[0] >= 4


def test_changed_echo_is_not_counted():
    echo = Echo(1, 200)
    data = echo.next(now=0.0)
    assert not echo.received(data[:-1] + b"?", now=0.1)
    assert not echo.received(data[:-1], now=0.1)
    assert not echo.received(data + b"e", now=0.1)
    assert echo.echoed == 0


def test_second_copy_of_an_echo_is_not_counted():
    echo = Echo(2, 200)
    data = echo.next(now=0.0)
    assert echo.received(data, now=0.1)
    assert not echo.received(data, now=0.2)
    assert (echo.echoed, echo.round_trips) == (1, [0.1])


def test_echo_of_a_datagram_not_sent_yet_is_not_counted():
    echo = Echo(2, 200)
    echo.next(now=0.0)
    assert not echo.received(echo.datagram(1), now=0.1)


@given(st.binary(max_size=40))
def test_strange_datagrams_are_not_counted(data):
    echo = Echo(2, 16)
    sent = echo.next(now=0.0)
    assert echo.received(data, now=0.1) == (data == sent)


def test_next_is_sent_when_an_echo_is_late_and_the_late_one_still_counts():
    echo = Echo(2, 200)
    first = echo.next(now=0.0)
    assert echo.deadline() == LOST_AFTER
    echo.handle_timer(now=LOST_AFTER)
    second = echo.next(now=LOST_AFTER)
    assert echo.received(first, now=0.5)
    assert echo.received(second, now=0.75)
    assert echo.is_over
    assert echo.round_trips == [0.5, 0.5]


def test_late_echo_does_not_release_the_datagram_after_it():
    echo = Echo(3, 200)
    first = echo.next(now=0.0)
    echo.next(now=LOST_AFTER)
    assert echo.received(first, now=0.3)
    assert echo.next(now=0.3) is None


def test_silence_ends_the_attempt():
    echo = Echo(1000, 200)
    bounce(echo, 0.0, 0.0)
    now, sent = 0.0, 0
    while not echo.is_over:
        sent += echo.next(now=now) is not None
        now = echo.deadline()
        echo.handle_timer(now=now)
    assert now == SILENCE
    assert sent == SILENCE / LOST_AFTER
    assert (echo.echoed, echo.sent) == (1, 1 + sent)
    assert echo.next(now=now) is None


def test_lone_lost_datagram_at_the_end_is_waited_for_until_silence():
    echo = Echo(1, 200)
    echo.next(now=10.0)
    assert echo.deadline() == 10.0 + SILENCE
    echo.handle_timer(now=10.0 + SILENCE)
    assert echo.is_over
    assert echo.echoed == 0


def test_trickle_of_echoes_ends_with_the_allowance():
    echo = Echo(10, 200)
    ends = ALLOWANCE + 10 * SHARE
    now = 0.0
    while not echo.is_over:
        data = echo.next(now=now)
        now = min(now + 1.0, ends)
        if now < ends:
            echo.received(data, now=now)
        assert echo.deadline() <= ends
        echo.handle_timer(now=now)
    assert now == ends
    assert echo.echoed == math.ceil(ends) - 1


def test_timer_before_the_first_datagram_changes_nothing():
    echo = Echo(1, 200)
    echo.handle_timer(now=1000.0)
    bounce(echo, 1000.0)
    assert echo.is_over
