"""The sending half of TCP: windows, times and repetitions, step by step."""

import math

import pytest

from sansice.simulation._world._tcp_sending import (
    FIRST_RTO,
    INITIAL_WINDOW,
    MAX_RTO,
    MIN_MARGIN,
    MIN_MSS,
    RTO_AFTER_LOST_SYN,
    SEND_BUFFER,
    Outgoing,
    Sending,
)

MSS = 1000


def opened(window=60000, at=0.0, rtt=0.1):
    sending = Sending(MSS)
    sending.sent_syn(at)
    assert not sending.acknowledge(1, window, at + rtt, bare=True)
    assert sending.deadline == math.inf
    return sending


def sent(sending, now=1.0):
    out = []
    while (one := sending.take(now)) is not None:
        out.append(one)
    return out


def test_nothing_leaves_before_the_peer_has_our_syn():
    sending = Sending(MSS)
    sending.put(b"early")
    assert sending.take(0.0) is None
    sending.sent_syn(0.0)
    assert sending.deadline == FIRST_RTO
    assert sending.take(0.0) is None


def test_bytes_are_cut_into_segments_and_the_fin_follows_the_last():
    sending = opened()
    assert sending.put(b"x" * 2500) == 2500
    sending.fin = True
    assert [(out.offset, len(out.data), out.fin) for out in sent(sending)] == [
        (1, 1000, False),
        (1001, 1000, False),
        (2001, 500, True),
    ]
    assert not sending.is_done
    sending.acknowledge(2502, 60000, 1.1, bare=True)
    assert sending.is_done
    assert sending.deadline == math.inf
    assert sent(sending) == []


def test_a_fin_alone_is_a_segment_of_its_own():
    sending = opened()
    sending.fin = True
    assert sent(sending) == [Outgoing(1, b"", True)]


def test_no_more_is_taken_than_the_buffer_holds():
    sending = opened()
    assert sending.put(bytes(SEND_BUFFER + 7)) == SEND_BUFFER
    assert (sending.room, sending.unacknowledged) == (0, SEND_BUFFER)
    assert sending.put(b"x") == 0


def test_the_peers_window_is_kept():
    sending = opened(window=1500)
    sending.put(bytes(4000))
    assert [(out.offset, len(out.data)) for out in sent(sending)] == [(1, 1000)]  # 500 more would be a silly window
    sending.acknowledge(1001, 1500, 1.1, bare=True)
    assert [(out.offset, len(out.data)) for out in sent(sending)] == [(1001, 1000)]


def test_a_window_below_a_segment_is_used_when_nothing_is_under_way():
    sending = opened(window=300)
    sending.put(bytes(4000))
    assert [len(out.data) for out in sent(sending)] == [300]


def test_the_first_flight_is_ten_segments_and_acknowledgements_open_more():
    sending = opened()
    sending.put(bytes(40000))
    assert len(sent(sending)) == INITIAL_WINDOW
    sending.acknowledge(5001, 60000, 1.1, bare=True)
    assert len(sent(sending)) == 6  # five have left the network, and slow start adds one


def test_after_a_loss_the_window_grows_by_a_segment_a_round_trip():
    sending = opened()
    sending.put(bytes(SEND_BUFFER))
    sent(sending)
    sending.expire(2.0)
    grown, now = [], 2.0
    for _ in range(40):
        out = sent(sending, now)
        grown.append(len(out))
        now += 0.1
        sending.put(bytes(SEND_BUFFER))
        for one in out:
            sending.acknowledge(one.offset + len(one.data), 60000, now, bare=True)
    assert grown[:4] == [1, 2, 4, 5]  # half of what was lost is the threshold
    assert grown[10] - grown[9] <= 1


def test_the_time_to_repeat_follows_the_round_trips():
    sending = opened(rtt=0.5)
    sending.put(b"x")
    sent(sending, 10.0)
    assert sending.deadline == 10.0 + 0.5 + 4 * 0.25  # RFC 6298 2.2
    sending.acknowledge(2, 60000, 10.5, bare=True)
    sending.put(b"x")
    sent(sending, 11.0)
    assert sending.deadline == pytest.approx(11.0 + 0.5 + 4 * 0.1875)  # 2.3
    for _ in range(50):
        sending.acknowledge(sending.highest, 60000, 11.5, bare=True)
        sending.put(b"x")
        sent(sending, 11.0)
    assert sending.deadline == pytest.approx(11.0 + 0.5 + MIN_MARGIN)


def test_silence_doubles_the_time_up_to_two_minutes_and_begins_again_where_the_peer_is():
    sending = opened(rtt=0.5)
    sending.put(bytes(3000))
    sent(sending, 0.0)
    waits, now = [], 0.0
    for retry in range(9):
        waits.append(sending.deadline - now)
        now = sending.deadline
        sending.expire(now)
        assert sending.retries == retry + 1
        assert sent(sending, now)[0].offset == 1
    assert waits == [1.5, 3, 6, 12, 24, 48, 96, MAX_RTO, MAX_RTO]
    sending.acknowledge(3001, 60000, now + 1, bare=True)
    assert sending.retries == 0


def test_what_was_repeated_is_not_measured():
    sending = opened(rtt=0.1)
    sending.put(b"x")
    sent(sending, 0.0)
    sending.expire(1.0)
    sent(sending, 1.0)
    sending.acknowledge(2, 60000, 50.0, bare=True)
    sending.put(b"y")
    sent(sending, 50.0)
    assert sending.deadline == pytest.approx(
        50.0 + 2 * (0.1 + MIN_MARGIN)
    )  # backed off, and no sample of 50 seconds (RFC 6298 3 and 5.7)


def test_a_segment_that_holds_repeated_and_new_bytes_is_not_measured():
    sending = opened(rtt=0.1)
    sending.put(bytes(500))
    sent(sending, 0.0)
    sending.expire(1.0)
    sending.put(bytes(500))
    assert sent(sending, 1.0) == [Outgoing(1, bytes(1000), False)]
    sending.acknowledge(1001, 60000, 50.0, bare=True)
    sending.put(b"y")
    sent(sending, 50.0)
    assert sending.deadline == pytest.approx(50.0 + 2 * (0.1 + MIN_MARGIN))


def test_what_was_repeated_at_once_is_not_measured():
    sending = opened(rtt=0.1)
    sending.put(bytes(4000))
    sent(sending, 1.0)
    assert [sending.acknowledge(1, 60000, 1.1, bare=True) for _ in range(3)] == [False, False, True]
    assert sending.first() == Outgoing(1, bytes(1000), False)
    sending.acknowledge(4001, 60000, 50.0, bare=True)
    sending.put(b"y")
    sent(sending, 50.0)
    assert sending.deadline == pytest.approx(50.0 + 0.1 + MIN_MARGIN)


def test_after_a_lost_syn_the_time_begins_at_three_seconds():
    sending = Sending(MSS)
    sending.sent_syn(0.0)
    sending.expire(1.0)
    sending.sent_syn(1.0)
    assert sending.deadline == 3.0
    sending.acknowledge(1, 60000, 1.1, bare=True)
    sending.put(b"x")
    sent(sending, 2.0)
    assert sending.deadline == 2.0 + RTO_AFTER_LOST_SYN == 5.0


def test_three_duplicates_repeat_the_first_hole_once_and_each_further_hole_at_its_turn():
    sending = opened()
    sending.put(bytes(8000))
    sent(sending)
    assert [sending.acknowledge(1, 60000, 1.1, bare=True) for _ in range(5)] == [False, False, True, False, False]
    assert sending.first() == Outgoing(1, bytes(1000), False)
    assert sending.acknowledge(3001, 60000, 1.2, bare=True)  # a partial one: another hole (RFC 6582)
    assert sending.first().offset == 3001
    assert not sending.acknowledge(8001, 60000, 1.3, bare=True)
    assert sending.deadline == math.inf


def test_after_a_loss_two_segments_at_least_may_be_under_way():
    sending = opened()
    sending.put(bytes(1000))
    sent(sending)
    assert [sending.acknowledge(1, 60000, 1.1, bare=True) for _ in range(3)] == [False, False, True]
    sending.put(bytes(5000))
    assert [out.offset for out in sent(sending)] == [1001]  # RFC 5681 3.1, equation 4


def test_a_repetition_by_the_timer_ends_a_recovery():
    sending = opened()
    sending.put(bytes(8000))
    sent(sending)
    assert [sending.acknowledge(1, 60000, 1.1, bare=True) for _ in range(3)] == [False, False, True]
    sending.expire(2.1)
    assert [out.offset for out in sent(sending, 2.1)] == [1]
    assert not sending.acknowledge(1001, 60000, 2.2, bare=True)
    assert [out.offset for out in sent(sending, 2.2)] == [1001, 2001]


def test_no_second_recovery_begins_within_the_first():
    sending = opened()
    sending.put(bytes(8000))
    sent(sending)
    for _ in range(3):
        sending.acknowledge(1, 60000, 1.1, bare=True)
    sending.acknowledge(2001, 60000, 1.2, bare=True)
    assert [sending.acknowledge(2001, 60000, 1.2, bare=True) for _ in range(4)] == [False] * 4


def test_no_more_is_repeated_than_had_left():
    sending = opened(window=300)
    sending.put(bytes(4000))
    assert [len(out.data) for out in sent(sending)] == [300]
    assert sending.first() == Outgoing(1, bytes(300), False)


def test_the_fin_is_repeated_with_the_last_bytes_when_it_had_left():
    sending = opened()
    sending.put(b"bye")
    sent(sending)
    sending.fin = True
    assert sending.first() == Outgoing(1, b"bye", False)
    assert sent(sending) == [Outgoing(4, b"", True)]
    assert sending.first() == Outgoing(1, b"bye", True)


def test_segments_that_carry_something_are_no_duplicates():
    sending = opened()
    sending.put(bytes(8000))
    sent(sending)
    assert not any(sending.acknowledge(1, 60000, 1.1, bare=False) for _ in range(5))
    assert not any(sending.acknowledge(1, 60000, 1.1, bare=True) for _ in range(2))


@pytest.mark.parametrize(("segments", "told"), [(2, [True]), (3, [False, True]), (4, [False, False, True])])
def test_of_few_segments_under_way_fewer_acknowledgements_tell_that_the_first_is_lost(segments, told):
    sending = opened()
    for _ in range(segments):
        sending.put(b"small")
        sent(sending)
    assert [sending.acknowledge(1, 60000, 1.1, bare=True) for _ in told] == told
    assert not sending.acknowledge(1, 60000, 1.1, bare=True)
    assert sending.first() == Outgoing(1, b"small" * segments, False)


def test_one_segment_under_way_and_a_window_that_is_full_are_no_reason_to_repeat_anything_sooner():
    sending = opened()
    sending.put(b"small")
    sent(sending)
    assert not sending.acknowledge(1, 60000, 1.1, bare=True)
    sending = opened(window=2000)
    sending.put(bytes(3000))
    assert len(sent(sending)) == 2
    assert not sending.acknowledge(1, 2000, 1.1, bare=True)


@pytest.mark.parametrize("lose", [lambda sending: sending.expire(3.0), lambda sending: sending.shrink(900)])
def test_what_was_repeated_is_not_counted_among_the_few(lose):
    sending = opened()
    for _ in range(2):
        sending.put(b"small")
        sent(sending)
    lose(sending)
    sent(sending, 3.0)
    assert not sending.acknowledge(1, 60000, 3.1, bare=True)


def test_an_old_acknowledgement_changes_nothing():
    sending = opened()
    sending.put(bytes(3000))
    sent(sending)
    sending.acknowledge(2001, 60000, 1.1, bare=True)
    assert not sending.acknowledge(1001, 10, 1.2, bare=True)
    assert sending.acknowledged == 2001
    sending.put(bytes(2000))
    assert [out.offset for out in sent(sending)] == [3001, 4001]  # the window is what was allowed later


def test_a_shut_window_is_tried_with_one_byte_for_as_long_as_the_peer_answers():
    sending = opened(window=1000)
    sending.put(bytes(3000))
    assert len(sent(sending, 1.0)) == 1
    sending.acknowledge(1001, 0, 1.1, bare=True)
    assert sent(sending, 1.1) == []
    now = sending.deadline
    assert now == pytest.approx(1.1 + 0.1 + MIN_MARGIN)
    for _ in range(20):
        sending.expire(now)
        assert sent(sending, now) == [Outgoing(1001, b"\0", False)]
        sending.acknowledge(1001, 0, now, bare=True)
        assert sending.retries == 0
        now = sending.deadline
    sending.acknowledge(1001, 5000, now, bare=True)
    assert [(out.offset, len(out.data)) for out in sent(sending, now)] == [(1001, 1000), (2001, 1000)]


def test_a_reset_is_believed_where_the_window_ends_and_not_after_what_was_tried_beyond_it():
    sending = opened(window=1000)
    sending.put(bytes(3000))
    sent(sending, 1.0)
    assert sending.newest == 1001
    sending.acknowledge(1001, 0, 1.1, bare=True)
    assert sent(sending, 1.1) == []
    sending.expire(sending.deadline)
    assert sent(sending, 3.0) == [Outgoing(1001, b"\0", False)]
    assert (sending.highest, sending.newest) == (1002, 1001)


def test_a_window_that_opens_further_while_bytes_are_under_way_lets_more_leave():
    sending = opened(window=2000)
    sending.put(bytes(3000))
    assert len(sent(sending)) == 2
    deadline = sending.deadline
    sending.acknowledge(1, 4000, 1.1, bare=True)
    assert [out.offset for out in sent(sending, 1.1)] == [2001]
    assert sending.deadline == deadline


def test_a_narrower_path_has_everything_repeated_in_smaller_pieces():
    sending = opened()
    sending.put(bytes(2000))
    sent(sending)
    sending.shrink(700)
    assert [len(out.data) for out in sent(sending)] == [700, 700, 600]
    sending.shrink(5)
    assert sending.mss == MIN_MSS
    sending.shrink(1400)
    assert sending.mss == MIN_MSS
