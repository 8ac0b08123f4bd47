"""What has arrived for a reader."""

from sansice.turn import Inbox


class Bell:
    rung = 0

    def wake(self):
        self.rung += 1


def test_items_come_out_in_order_and_every_one_wakes_the_readers():
    inbox = Inbox(Bell(), 10, 100)
    assert [inbox.put(item, 1) for item in "abc"] == [0, 0, 0]
    assert len(inbox) == 3
    assert [inbox.take() for _ in range(3)] == ["a", "b", "c"]
    assert len(inbox) == 0
    assert inbox.news.rung == 3


def test_the_oldest_items_make_room_by_number_and_by_size():
    inbox = Inbox(Bell(), 2, 100)
    assert [inbox.put(item, 10) for item in "abc"] == [0, 0, 1]
    assert inbox.put("d", 95) == 2
    assert inbox.take() == "d"
    assert inbox.put("e", 100) == 0


def test_an_item_larger_than_all_that_may_wait_is_dropped_itself():
    inbox = Inbox(Bell(), 2, 100)
    assert inbox.put("a", 101) == 1
    assert len(inbox) == 0
