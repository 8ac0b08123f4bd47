"""What is remembered of names, and for how long."""

import pytest

from ice._mdns import NAME, OTHER_NAME
from sansice.ice import MdnsConfig
from sansice.ice._mdns._cache import Cache
from sansice.ice._mdns._message import HostRecord

ONE, TWO, SIX = "192.168.1.2", "192.168.1.3", "2001:db8::2"


def learned(*records, now=0.0, cache=None, name=NAME, **bounds):
    cache = cache or Cache(MdnsConfig(**bounds))
    cache.learn(name, [HostRecord(name, *record) for record in records], now=now)
    return cache


def test_a_record_lasts_as_long_as_it_says():
    cache = learned((ONE, 60))
    assert [cache.hosts(NAME, now=now) for now in (0, 59.9, 60)] == [(ONE,), (ONE,), ()]


def test_nobody_is_believed_for_longer_than_the_bound():
    cache = learned((ONE, 2**31 - 1), max_ttl=75)
    assert [cache.hosts(NAME, now=now) for now in (74, 75)] == [(ONE,), ()]


def test_hearing_it_again_makes_it_last():
    cache = learned((ONE, 60), now=50, cache=learned((ONE, 60), max_addresses=1))
    assert cache.hosts(NAME, now=100) == (ONE,)


def test_goodbye_holds_after_a_second():
    cache = learned((ONE, 0), now=10, cache=learned((ONE, 60)))
    assert [cache.hosts(NAME, now=now) for now in (10.9, 11)] == [(ONE,), ()]


def test_goodbye_makes_nothing_last_longer_nor_known():
    cache = learned((ONE, 0), (TWO, 0), now=59.5, cache=learned((ONE, 60)))
    assert [cache.hosts(NAME, now=now) for now in (59.9, 60)] == [(ONE,), ()]
    assert len(learned((ONE, 0))) == 0


@pytest.mark.parametrize(("later", "hosts"), [(0.9, (ONE, SIX, TWO)), (1.0, (ONE, SIX, TWO)), (1.1, (SIX, TWO))])
def test_a_flush_takes_back_what_was_told_of_the_same_family_more_than_a_second_ago(later, hosts):
    cache = learned((ONE, 60), (SIX, 60))
    assert learned((TWO, 60), now=later, cache=cache).hosts(NAME, now=2) == hosts


def test_without_the_flush_bit_nothing_is_taken_back():
    assert learned((TWO, 60, False), now=5, cache=learned((ONE, 60))).hosts(NAME, now=5) == (ONE, TWO)


def test_what_has_expired_makes_room():
    cache = learned((ONE, 1), max_addresses=1)
    assert learned((TWO, 60, False), now=2, cache=cache).hosts(NAME, now=2) == (TWO,)


def test_the_name_that_was_told_first_goes_when_there_are_too_many():
    cache = learned((ONE, 60), max_cached=2)
    for name in (OTHER_NAME, NAME, "third"):
        learned((TWO, 60, False), cache=cache, name=name)
    assert [cache.hosts(name, now=1) for name in (NAME, OTHER_NAME, "third")] == [(ONE, TWO), (), (TWO,)]
    assert len(cache) == 2
