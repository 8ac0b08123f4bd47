"""Token buckets for prefixes, in a table of one size."""

import random
import tracemalloc

import pytest

from sansice.stun._server._rate_limit import BUCKETS, PrefixLimiter, prefix_of


def zeros(count):
    return bytes(count)


def limiter(rate=10.0, burst=5, entropy=zeros):
    return PrefixLimiter(rate, burst, entropy=entropy)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("192.0.2.1", "192.0.22.1", False),
        ("2001:db8:0:1::1", "2001:db8:0:ff:ffff::", True),
        ("2001:db8:0:1::1", "2001:db8:0:100::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_prefix_is_a_24_of_ipv4_and_a_56_of_ipv6(one, other, same):
    assert (prefix_of(one) == prefix_of(other)) is same


def test_a_full_bucket_holds_the_burst_and_fills_up_at_the_rate():
    buckets = limiter()
    assert [buckets.take("192.0.2.1", 100.0) for _ in range(6)] == [True] * 5 + [False]
    assert [buckets.take("192.0.2.1", 100.1) for _ in range(2)] == [True, False]
    assert [buckets.take("192.0.2.1", 100.35) for _ in range(3)] == [True, True, False]
    assert [buckets.take("192.0.2.1", 1000.0) for _ in range(6)] == [True] * 5 + [False]


@pytest.mark.parametrize(("rate", "burst"), [(100.0, 200), (3.0, 7), (0.1, 1), (1e6, 1000)])
def test_the_last_token_of_a_burst_is_not_lost_to_rounding(rate, burst):
    buckets = limiter(rate, burst)
    assert [buckets.take("192.0.2.1", 12345.678) for _ in range(burst + 1)] == [True] * burst + [False]


def test_what_is_refused_costs_nothing():
    buckets = limiter()
    for _ in range(1000):
        buckets.take("192.0.2.1", 100.0)
    assert buckets.take("192.0.2.1", 100.11)


def test_a_charge_may_exceed_what_is_there_and_is_made_up_for():
    buckets = limiter()
    assert buckets.take("192.0.2.1", 100.0)
    buckets.charge("192.0.2.1", 100.0, 9.0)
    assert not buckets.take("192.0.2.1", 100.5)
    assert buckets.take("192.0.2.1", 100.6)
    buckets.charge("192.0.2.77", 100.6, 1.0)
    assert not buckets.take("192.0.2.1", 100.7)


def test_a_busy_prefix_does_not_harm_others():
    buckets = limiter()
    for _ in range(100):
        buckets.take("192.0.2.1", 100.0)
    wronged = sum(not buckets.take(f"10.{number >> 8}.{number & 255}.1", 100.0) for number in range(10_000))
    assert wronged == 0


def test_a_prefix_is_wronged_only_where_both_its_buckets_are_exhausted_by_others():
    """1,638 prefixes over their rate fill a tenth of each row, so one in a hundred others is refused."""
    buckets = limiter(entropy=random.Random(1).randbytes)
    for number in range(BUCKETS // 10):
        for _ in range(6):
            buckets.take(f"10.{number >> 8}.{number & 255}.1", 100.0)
    wronged = sum(not buckets.take(f"11.{number >> 8}.{number & 255}.1", 100.0) for number in range(10_000))
    assert 40 < wronged < 160


def test_nobody_can_choose_prefixes_that_collide_as_the_key_decides():
    def slots(seed):
        buckets = limiter(entropy=random.Random(seed).randbytes)
        return [buckets._find(f"10.0.{number}.1") for number in range(256)]

    assert slots(1) == slots(1)
    assert sum(one == other for one, other in zip(slots(1), slots(2), strict=True)) == 0


def test_memory_does_not_grow_with_the_number_of_prefixes():
    buckets = limiter()
    for number in range(5_000):
        buckets.take(f"10.{number >> 8}.{number & 255}.1", 100.0)
    tracemalloc.start()
    try:
        for number in range(20_000):
            buckets.take(f"11.{number >> 8}.{number & 255}.1", 100.0)
        grown, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert grown < 400_000  # the cache of 1,024 hosts, filled by what came last
    assert len(buckets._cache) <= 1024
