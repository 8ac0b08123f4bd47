import pytest

from sansice.stun import RtoCache, RttEstimator, Schedule


def test_before_any_sample_the_rto_is_half_a_second():
    assert RttEstimator().rto == 0.5


@pytest.mark.req("RFC8489-021")
def test_rto_follows_rfc6298():
    estimator = RttEstimator()
    seen = []
    for sample in (0.1, 0.2, 0.2, 0.05):
        estimator.sample(sample)
        seen.append(estimator.rto)
    # SRTT, RTTVAR: (0.1, 0.05), (0.1125, 0.0625), (0.1234375, 0.06875), (0.1142578125, 0.069921875), by hand
    assert seen == pytest.approx([0.3, 0.3625, 0.3984375, 0.3939453125])


@pytest.mark.req("RFC8489-020")
def test_rto_keeps_its_milliseconds():
    estimator = RttEstimator()
    estimator.sample(0.137)
    assert estimator.rto == pytest.approx(0.411)


def test_a_steady_path_keeps_a_millisecond_of_margin_and_a_slow_one_stops_at_a_minute():
    estimator = RttEstimator()
    for _ in range(200):
        estimator.sample(0.1)
    assert estimator.rto == pytest.approx(0.101)
    slow = RttEstimator()
    slow.sample(100.0)
    assert slow.rto == 60.0


@pytest.mark.req("RFC8489-022")
def test_a_retransmitted_request_is_no_sample():
    estimator = RttEstimator()
    estimator.sample(None)
    assert estimator.rto == 0.5
    estimator.sample(0.2)
    before = estimator.rto
    estimator.sample(None)
    assert estimator.rto == before


@pytest.mark.req("RFC8489-023")
def test_the_next_transaction_with_a_server_starts_from_its_rto():
    cache = RtoCache()
    assert cache.rto("192.0.2.1", now=0.0) == 0.5
    cache.finished("192.0.2.1", 0.137, now=1.0)
    assert cache.rto("192.0.2.1", now=2.0) == pytest.approx(0.411)
    assert cache.rto("192.0.2.2", now=2.0) == 0.5
    assert Schedule(cache.rto("192.0.2.1", now=2.0), minimum_rto=0).send_offset(1) == pytest.approx(0.411)
    cache.finished("192.0.2.1", 0.137, now=3.0)
    assert cache.rto("192.0.2.1", now=3.0) == pytest.approx(0.137 + 4 * 0.0685 * 0.75)


@pytest.mark.req("RFC8489-024")
def test_after_ten_minutes_without_transactions_the_rto_is_forgotten():
    cache = RtoCache()
    cache.finished("192.0.2.1", 0.1, now=0.0)
    cache.finished("192.0.2.1", None, now=500.0)  # a transaction, if not a sample
    assert cache.rto("192.0.2.1", now=1100.0) == pytest.approx(0.3)
    assert cache.rto("192.0.2.1", now=1101.0) == 0.5
    assert len(cache) == 0
    cache.finished("192.0.2.1", 0.2, now=1200.0)
    assert cache.rto("192.0.2.1", now=1200.0) == pytest.approx(0.6)


def test_the_cache_is_bounded_and_forgets_the_least_recently_used():
    cache = RtoCache(size=2)
    for host in ("a", "b"):
        cache.finished(host, 0.1, now=0.0)
    cache.finished("a", 0.1, now=1.0)
    cache.finished("c", 0.1, now=2.0)
    assert len(cache) == 2
    assert [cache.rto(host, now=3.0) == 0.5 for host in "abc"] == [False, True, False]


def test_the_initial_rto_is_the_callers():
    assert RttEstimator(2.0).rto == 2.0
    cache = RtoCache(initial=2.0)
    assert cache.rto("192.0.2.1", now=0.0) == 2.0
    cache.finished("192.0.2.1", None, now=0.0)
    assert cache.rto("192.0.2.1", now=1.0) == 2.0
