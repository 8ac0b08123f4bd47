"""What of discovery may be tuned, and how far."""

import pytest

from _behavior_world import World
from sansice.stun import (
    PADDING,
    RESPONSE_PORT,
    BehaviorConfig,
    BehaviorTest,
    MessageClass,
    Method,
    TransactionId,
    encode,
)
from sansice.stun._behavior._config import MAX_PADDING


def test_the_default_schedule_asks_five_times_and_ends_after_eight_and_a_half_seconds():
    schedule = BehaviorConfig().schedule
    assert [schedule.send_offset(number) for number in range(schedule.rc)] == [0.0, 0.5, 1.5, 3.5, 7.5]
    assert schedule.duration == 8.5


@pytest.mark.parametrize(
    "bad",
    [
        {"pacing": 0.05},
        {"spread": -0.1},
        {"classic_requests": 0},
        {"padding": 0},
        {"padding": MAX_PADDING + 1},
        {"lifetime_first": 0.0},
        {"lifetime_precision": 0.0},
        {"max_silences": 0},
        {"max_targets": 0},
        {"resolve_timeout": 0.0},
    ],
)
@pytest.mark.req("RFC5780-008", "RFC5780-017")
def test_values_out_of_range_are_refused(bad):
    with pytest.raises(ValueError, match=f"'{next(iter(bad))}' must be"):
        BehaviorConfig(**bad)


@pytest.mark.req("RFC5780-017")
def test_padding_is_rounded_up_to_four_bytes():
    assert [BehaviorConfig(padding=size).padding for size in (1497, 1500, 1501)] == [1500, 1500, 1504]


@pytest.mark.req("RFC5780-017")
def test_the_longest_padding_still_makes_an_ip_datagram_within_64_kib():
    longest = [(RESPONSE_PORT, 1), (PADDING, bytes(MAX_PADDING))]
    message = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), longest)
    assert 65535 - 4 < 20 + 8 + len(message) <= 65535


@pytest.mark.req("RFC5780-017")
def test_what_is_sent_has_the_padding_that_is_configured():
    world = World(tests=[BehaviorTest.FRAGMENTS], config=BehaviorConfig(padding=1997))
    world.discover()
    assert [len(request.get(PADDING)) for *_, request in world.server.asked if PADDING in request] == [2000]
