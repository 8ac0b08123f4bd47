"""Round trips and throughput, over ways that a test has made; the clock is trio's."""

import math

import pytest
import trio

from sansice_cli.turn._measure import echo, round_trips, throughput


class Way:
    """Brings back what is sent after ``delay`` seconds, except for what is lost: numbers from 0 on."""

    def __init__(self, delay, lost=()):
        self.delay, self.lost = delay, lost
        self.sent = 0
        self._send, self._receive = trio.open_memory_channel(math.inf)

    def send_nowait(self, data):
        if self.sent not in self.lost:
            self._send.send_nowait((trio.current_time() + self.delay, data))
        self.sent += 1

    async def receive(self):
        at, data = await self._receive.receive()
        await trio.sleep_until(at)
        return data


async def test_round_trips_are_measured_one_after_the_other(autojump_clock):
    way = Way(0.02)
    assert await round_trips(way, 3, 1.0) == pytest.approx([0.02] * 3)
    assert way.sent == 3


async def test_a_lost_probe_is_left_out_and_a_late_one_is_not_taken_for_the_next(autojump_clock):
    assert await round_trips(Way(0.02, lost=(1,)), 3, 1.0) == pytest.approx([0.02] * 2)
    late = Way(0.5)
    assert await round_trips(late, 3, 0.4) == []


async def test_throughput_is_a_window_a_round_trip(autojump_clock):
    # 64 datagrams of 1,200 bytes each 0.1 s, ten times: the last window has just come back.
    assert await throughput(Way(0.1), 1.05) == pytest.approx(10 * 64 * 1200 * 8 / 1.05)


async def test_a_window_that_is_lost_is_filled_anew(autojump_clock):
    way = Way(0.1, lost=range(64))
    assert await throughput(way, 0.5) == pytest.approx(2 * 64 * 1200 * 8 / 0.5, rel=0.5)
    assert way.sent > 64


async def test_nothing_that_comes_back_is_no_throughput(autojump_clock):
    assert await throughput(Way(0.1, lost=range(10_000)), 1.0) == 0.0


async def test_an_echo_sends_back_until_it_is_cancelled(autojump_clock):
    near, far = trio.open_memory_channel(10)

    class Ends:
        sent = []

        def send_nowait(self, data):
            self.sent.append(data)

        async def receive(self):
            return await far.receive()

    for data in (b"a", b"b"):
        near.send_nowait(data)
    with trio.move_on_after(1) as scope:
        await echo(Ends())
    assert scope.cancelled_caught
    assert Ends.sent == [b"a", b"b"]
