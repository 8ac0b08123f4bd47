"""Counters start at nothing and count by reason."""

from sansice.ice import IceStats
from sansice.machine import DropReason


def test_drops_are_counted_by_reason():
    stats = IceStats()
    assert not stats.dropped
    stats.drop(DropReason.EMPTY)
    stats.drop(DropReason.EMPTY)
    assert dict(stats.dropped) == {DropReason.EMPTY: 2}


def test_data_is_that_of_all_components_whichever_way_it_came():
    stats = IceStats()
    first, second = stats.add_component(), stats.add_component()
    first.total.packets_sent, first.total.bytes_sent = 2, 20
    second.total.packets_sent, second.total.bytes_sent = 1, 5
    first.total.receive(7, 1.0)
    second.stray(None, 3, 2.0)
    assert (stats.datagrams_sent, stats.bytes_sent, stats.datagrams_received, stats.bytes_received) == (3, 25, 2, 10)
