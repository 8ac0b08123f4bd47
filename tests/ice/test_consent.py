"""The consent clock of one pair (RFC 7675); what an agent makes of it is in test_agent.py."""

import math

import pytest

from ice._wire import at, candidate
from sansice.ice import IceConfig
from sansice.ice._agent._consent import Consent, ConsentAnswer
from sansice.ice._pair import LocalCandidate, Pair
from sansice.machine import DecodeError, DropReason, SocketId
from sansice.stun import (
    ERROR_CODE,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.stun.shapes import opaque

BASE = at("192.0.2.1", 4001)


def identifier(number):
    return TransactionId(number.to_bytes(12, "big"))


def consent(answered_at=100.0, **config):
    local = candidate(BASE.host, BASE.port)
    pair = Pair(LocalCandidate(local, SocketId(1), BASE, 65535), candidate("198.51.100.1"), at("198.51.100.1"), 1)
    pair.answered_at = answered_at
    return Consent(pair, IceConfig(**config))


def answer(number, code=None, attributes=None):
    message_class = MessageClass.SUCCESS if code is None else MessageClass.ERROR
    if attributes is None:
        attributes = [(XOR_MAPPED_ADDRESS, BASE)] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
    return decode_untrusted(encode(Method.BINDING, message_class, identifier(number), attributes))


@pytest.mark.req("RFC7675-005")
def test_consent_ends_30_s_after_the_last_answer():
    one = consent(answered_at=100.0)
    assert one.expires_at == 130.0
    one.asked(identifier(1), now=105.0)
    assert one.expires_at == 130.0
    assert one.answered(answer(1), now=105.5) is ConsentAnswer.RENEWED
    assert one.expires_at == 135.5


@pytest.mark.req("RFC7675-007", "RFC7675-008")
@pytest.mark.parametrize(("drawn", "seconds"), [(b"\x00\x00", 4.0), (b"\xff\xff", 6.0)])
def test_interval_is_drawn_from_four_to_six_seconds(drawn, seconds):
    assert consent().interval(lambda count: drawn[:count]) == pytest.approx(seconds)


@pytest.mark.req("RFC7675-007")
def test_interval_follows_the_base_period_and_is_drawn_each_time():
    draws = iter([b"\x00\x00", b"\xff\xff", b"\x80\x00"])
    one = consent(consent_interval=10.0)
    assert [one.interval(lambda count: next(draws)) for _ in range(3)] == pytest.approx([8.0, 12.0, 10.0], abs=1e-3)


@pytest.mark.req("RFC7675-010")
def test_earlier_check_is_answered_late_and_counts():
    one = consent()
    one.asked(identifier(1), now=105.0)
    one.asked(identifier(2), now=110.0)
    assert one.answered(answer(1), now=111.0) is ConsentAnswer.RENEWED
    assert one.expires_at == 141.0
    assert [one.is_outstanding(identifier(number)) for number in (1, 2)] == [False, True]


def test_answer_counts_once():
    one = consent()
    one.asked(identifier(1), now=105.0)
    one.answered(answer(1), now=105.5)
    assert not one.is_outstanding(identifier(1))


def test_check_older_than_consent_itself_is_forgotten():
    one = consent()
    for number in range(1000):
        one.asked(identifier(number), now=100.0 + 4 * number)
        assert sum(one.is_outstanding(identifier(other)) for other in range(number + 1)) <= 8


@pytest.mark.req("RFC7675-017")
def test_403_revokes():
    one = consent()
    one.asked(identifier(1), now=105.0)
    assert one.answered(answer(1, 403), now=105.5) is ConsentAnswer.REVOKED


@pytest.mark.req("RFC7675-006")
@pytest.mark.parametrize("code", [400, 401, 420, 487, 500])
def test_any_other_error_neither_renews_nor_revokes(code):
    one = consent()
    one.asked(identifier(1), now=105.0)
    assert one.answered(answer(1, code), now=105.5) is ConsentAnswer.NEITHER
    assert one.expires_at == 130.0


UNKNOWN = Attribute(0x7FF0, "X-UNKNOWN", opaque())  # not registered: nobody understands it


@pytest.mark.req("RFC7675-006", "RFC8489-057", "RFC8489-058")
@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (answer(1, attributes=[]), DropReason.MISSING_ATTRIBUTE),
        (answer(1, attributes=[(XOR_MAPPED_ADDRESS, BASE), (UNKNOWN, b"x")]), DropReason.UNKNOWN_ATTRIBUTE),
        (answer(1, 403, attributes=[(UNKNOWN, b"x"), (ERROR_CODE, ErrorCode(403, ""))]), DropReason.UNKNOWN_ATTRIBUTE),
        (answer(1, 403, attributes=[(Attribute(ERROR_CODE.code, "X-SHORT", opaque()), b"x")]), DropReason.BAD_ATTRIBUTE),
    ],
)
def test_invalid_answer_counts_for_nothing_and_ends_its_check(response, reason):
    one = consent()
    one.asked(identifier(1), now=105.0)
    with pytest.raises(DecodeError) as caught:
        one.answered(response, now=105.5)
    assert caught.value.reason is reason
    assert one.expires_at == 130.0
    assert not one.is_outstanding(identifier(1))


def test_error_without_a_code_neither_renews_nor_revokes():
    one = consent()
    one.asked(identifier(1), now=105.0)
    assert one.answered(answer(1, 403, attributes=[]), now=105.5) is ConsentAnswer.NEITHER
    assert one.expires_at == 130.0


def measured(rtt, **config):
    """A clock at 100.0, on a pair whose round trips are known and steady."""
    one = consent(**config)
    for _ in range(100):
        one.pair.answered(rtt, now=100.0)
    return one


@pytest.mark.parametrize("rtt", [0.01, 0.8, 5.0])
def test_a_check_is_late_when_a_round_trip_has_passed_with_an_allowance(rtt):
    one = measured(rtt)
    assert one.overdue_at == math.inf
    one.asked(identifier(1), now=105.0)
    assert one.overdue_at == pytest.approx(105.0 + max(0.5, rtt))
    one.asked(identifier(2), now=110.0)
    assert one.overdue_at == pytest.approx(105.0 + max(0.5, rtt))


@pytest.mark.parametrize("rtt", [0.01, 0.8, 5.0])
def test_two_late_checks_in_a_row_are_silence_and_one_is_not(rtt):
    one = measured(rtt)
    one.asked(identifier(1), now=106.0)
    one.asked(identifier(2), now=112.0)
    assert one.quiet_at == pytest.approx(112.0 + max(0.5, rtt))
    one.answered(answer(2), now=112.0 + rtt)
    assert (one.quiet_at, one.overdue_at) == (math.inf, math.inf)
    one.asked(identifier(3), now=118.0)
    assert one.quiet_at == math.inf


def test_nothing_is_silence_before_its_time_has_come():
    one = measured(0.01, disconnected_after=20.0)
    one.asked(identifier(1), now=104.0)
    one.asked(identifier(2), now=108.0)
    assert one.quiet_at == 120.0
    one = measured(0.01, disconnected_after=math.inf)
    one.asked(identifier(1), now=104.0)
    one.asked(identifier(2), now=108.0)
    assert one.quiet_at == math.inf


def test_a_computer_that_slept_has_not_asked_and_so_nobody_was_silent():
    one = measured(0.01)
    one.asked(identifier(1), now=125.0)
    assert one.quiet_at == math.inf


def test_each_answer_to_a_consent_check_is_a_measurement():
    one = consent()
    one.asked(identifier(1), now=105.0)
    one.asked(identifier(2), now=110.0)
    one.answered(answer(2), now=110.75)
    one.answered(answer(1), now=111.0)
    assert (one.pair.rtt.measurements, one.pair.rtt.total, one.pair.rtt.current) == (2, 6.75, 6.0)
    one.asked(identifier(3), now=115.0)
    one.answered(answer(3, 500), now=115.5)
    assert one.pair.rtt.measurements == 2


def test_another_pair_has_a_clock_of_its_own_and_what_was_asked_before_still_counts():
    one = measured(0.01)
    before, after = one.pair, measured(0.01).pair
    after.answered_at = 104.0
    one.asked(identifier(1), now=105.0)
    one.use(after)
    assert (one.pair, one.expires_at, one.overdue_at) == (after, 134.0, math.inf)
    assert one.asked_on(identifier(1)) is before
    assert one.answered(answer(1), now=105.5) is ConsentAnswer.RENEWED
    assert (before.answered_at, one.expires_at) == (105.5, 134.0)
