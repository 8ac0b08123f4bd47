"""Who looks at the network, and when: at news, at intervals, and never for who lives shorter than a second."""

import errno
import math
import socket

import pytest

from sansice.sockets._links import CARRIER_GRACE
from sansice.sockets._network_watch import (
    FIRST_LOOK,
    LOOK_AGAIN,
    MAX_SETTLE,
    POLL,
    SETTLE,
    SLEPT,
    NetworkWatch,
)


@pytest.fixture
def news():
    """Both ends of what a watch waits for: what is written to the second is news."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    ends[0].setblocking(False)
    yield ends
    for end in ends:
        end.close()


def watching(news, **options):
    """A watch of one member, which was looked at for the first time."""
    watch = NetworkWatch(open_source=lambda: news[0], **options)
    watch.join("alice", 0.0)
    assert watch.timer(watch.deadline) == ["alice"]
    return watch


def test_nothing_is_opened_for_who_leaves_within_a_second():
    def fails():
        raise AssertionError

    watch = NetworkWatch(open_source=fails)
    watch.join("alice", 5.0)
    assert watch.deadline == 5.0 + FIRST_LOOK and watch.timer(5.9) == []
    assert watch.leave("alice")
    watch.close()
    assert watch.deadline == math.inf and watch.source is None


def test_where_news_is_told_nobody_looks_without_any(news):
    watch = watching(news)
    assert watch.source is news[0] and watch.deadline == math.inf


def test_members_are_looked_at_once_some_time_after_they_came_and_not_the_others_with_them(news):
    watch = watching(news)
    watch.join("bob", 10.0)
    watch.join("carol", 10.5)
    assert watch.deadline == 11.0 and watch.timer(11.0) == ["bob", "carol"] and watch.deadline == math.inf


def test_all_look_once_the_network_has_settled(news):
    watch = watching(news)
    watch.join("bob", 1.0)
    assert watch.timer(2.0) == ["bob"]
    for at in (5.0, 5.05):
        news[1].send(b"an address has gone")
        news[1].send(b"another has come")
        watch.readable(at)
    with pytest.raises(BlockingIOError):
        news[0].recv(1)
    assert watch.deadline == 5.05 + SETTLE
    assert watch.timer(watch.deadline) == ["alice", "bob"] and watch.deadline == math.inf


def test_what_never_settles_is_looked_at_twice_a_second(news):
    watch = watching(news)
    looks = []
    for number in range(1000):  # 10 s
        now = 10.0 + number / 100
        news[1].send(b"flap")
        watch.readable(now)
        looks += watch.timer(now)
    assert 15 <= len(looks) <= 10.0 / MAX_SETTLE


def test_a_flood_of_news_is_read_in_pieces():
    class Endless:
        reads = 0

        def recv(self, size):
            self.reads += 1
            return b"news"

        def close(self):
            pass

    endless = Endless()
    watch = watching((endless,))
    watch.readable(5.0)
    assert 10 <= endless.reads <= 100 and watch.deadline == 5.0 + SETTLE


@pytest.mark.parametrize("error", [OSError(errno.ENOBUFS, "No buffer space"), InterruptedError()])
def test_news_that_was_lost_is_news(error):
    class Overrun:
        def recv(self, size):
            raise error

        def close(self):
            pass

    watch = watching((Overrun(),))
    watch.readable(5.0)
    assert watch.deadline == 5.0 + SETTLE


@pytest.mark.parametrize("interval", [None, 30.0])
def test_where_a_look_left_something_open_all_look_again_and_no_more_once_it_is_settled(news, interval):
    open_still = [False]
    watch = NetworkWatch(interval, open_source=lambda: news[0], is_unsettled=lambda: open_still[0])
    watch.join("alice", 0.0)
    open_still[0] = True  # by somebody else's look
    assert watch.deadline == (FIRST_LOOK if interval is None else interval)
    at = watch.deadline
    assert watch.timer(at) == ["alice"] and watch.deadline == at + LOOK_AGAIN
    watch.join("bob", at)
    at = watch.deadline
    assert watch.timer(at) == ["alice", "bob"] and watch.deadline == at + LOOK_AGAIN
    open_still[0] = False
    assert watch.deadline == (math.inf if interval is None else at + interval)
    watch.close()
    open_still[0] = True
    assert watch.deadline == math.inf
    assert LOOK_AGAIN > CARRIER_GRACE


def test_where_there_is_no_news_everybody_looks_now_and_then():
    watch = NetworkWatch(open_source=lambda: None)
    watch.join("alice", 0.0)
    looks = []
    while watch.deadline < 10.0:
        now = watch.deadline
        looks += [(now, who) for who in watch.timer(now)]
    assert looks == [(FIRST_LOOK + number * POLL, "alice") for number in range(5)]
    watch.readable(10.0)
    assert watch.deadline == FIRST_LOOK + 5 * POLL


def test_an_interval_is_kept_whatever_the_system_could_tell(news):
    watch = NetworkWatch(0.5, open_source=lambda: news[0])
    watch.join("alice", 0.0)
    assert [watch.deadline, watch.timer(0.5), watch.deadline, watch.timer(1.0)] == [0.5, ["alice"], 1.0, ["alice"]]
    assert watch.source is None


def test_a_watch_is_as_new_when_its_last_member_has_left(news):
    watch = watching(news)
    watch.join("bob", 1.0)
    watch.timer(2.0)
    assert not watch.leave("alice") and watch.source is not None
    assert not watch.leave("nobody")
    assert watch.leave("bob")
    watch.close()
    assert watch.source is None and news[0].fileno() < 0
    watch.join("carol", 3.0)
    assert watch.deadline == 4.0


def test_a_watch_that_is_closed_while_there_is_news_knows_nothing_of_it_when_it_is_used_again():
    pairs = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(2)]
    for one, _ in pairs:
        one.setblocking(False)
    opened = iter([one for one, _ in pairs])
    watch = NetworkWatch(open_source=lambda: next(opened))
    watch.join("alice", 0.0)
    watch.timer(1.0)
    watch.readable(2.0)
    watch.join("bob", 2.0)
    watch.close()
    assert watch.members == {} and watch.deadline == math.inf
    watch.join("carol", 10.0)
    assert watch.timer(11.0) == ["carol"] and watch.source is pairs[1][0]
    watch.readable(20.0)
    assert watch.deadline == 20.0 + SETTLE and watch.timer(watch.deadline) == ["carol"]
    watch.close()
    for _, other in pairs:
        other.close()


class Clocks:
    """The clock of machines, and that by which a runtime waits, which stands still in `sleep`."""

    def __init__(self):
        self.now = self.waiting = 100.0

    def run(self, seconds):
        self.now += seconds
        self.waiting += seconds

    def sleep(self, seconds):
        self.now += seconds


def test_a_machine_has_slept_where_one_clock_has_gone_on_without_the_other_and_that_is_told_once(news):
    clocks = Clocks()
    watch = NetworkWatch(waiting=lambda: clocks.waiting, open_source=lambda: news[0])
    assert not watch.has_slept(clocks.now)  # who has no members asks for nobody
    watch.join("alice", clocks.now)
    clocks.run(3600.0)
    assert not watch.has_slept(clocks.now)
    clocks.sleep(5.0)
    watch.join("bob", clocks.now)
    assert watch.has_slept(clocks.now) and not watch.has_slept(clocks.now)
    clocks.sleep(SLEPT / 2)  # a clock that is read a little later than the other
    assert not watch.has_slept(clocks.now)
    watch.close()
    clocks.sleep(60.0)
    watch.join("carol", clocks.now)
    assert not watch.has_slept(clocks.now)
