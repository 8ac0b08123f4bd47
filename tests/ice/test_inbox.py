"""Datagrams that wait for a reader."""

from sansice.ice import Inbox


def contents(inbox):
    return [inbox.take() for _ in range(len(inbox))]


def test_datagrams_come_out_in_the_order_in_which_they_came():
    inbox = Inbox(3, 100)
    assert [inbox.put(data) for data in (b"1", b"22", b"333")] == [0, 0, 0]
    assert contents(inbox) == [b"1", b"22", b"333"]
    assert not inbox


def test_the_oldest_make_room_and_are_counted():
    inbox = Inbox(2, 5)
    inbox.put(b"1")
    inbox.put(b"2")
    assert inbox.put(b"3") == 1
    assert inbox.put(b"4444") == 1
    assert contents(inbox) == [b"3", b"4444"]


def test_a_datagram_larger_than_the_queue_leaves_nothing():
    inbox = Inbox(2, 5)
    inbox.put(b"1")
    assert inbox.put(b"666666") == 2
    assert contents(inbox) == []
    assert inbox.put(b"55555") == 0


def test_a_bound_may_be_changed_while_datagrams_wait():
    inbox = Inbox(3, 100)
    for data in (b"1", b"2", b"3"):
        inbox.put(data)
    inbox.max_queued = 1
    assert inbox.put(b"4") == 3
    assert contents(inbox) == [b"4"]
