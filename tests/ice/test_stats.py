"""Counters start at nothing and count by reason."""

from sansice.ice import IceStats
from sansice.machine import DropReason


def test_drops_are_counted_by_reason():
    stats = IceStats()
    assert not stats.dropped
    stats.drop(DropReason.EMPTY)
    stats.drop(DropReason.EMPTY)
    assert dict(stats.dropped) == {DropReason.EMPTY: 2}
