"""The watch that all connections of a trio run share: it ends alone, and on its own."""

import pytest
import trio

from sansice.sockets import POLL
from sansice_trio import open_ice


@pytest.mark.parametrize("ending", ["fail", "end"])
async def test_a_watch_that_is_over_leaves_its_connections_as_they_are(nothing_left, ending):
    with nothing_left():
        async with open_ice(controlling=True) as alice, open_ice(controlling=False) as bob:
            watches = alice._driver._reactor.watches
            (watch,) = watches.values()
            assert set(watch._watch.members) == {alice, bob}
            if ending == "fail":
                watch._fail(RuntimeError("a defect"))
            else:
                watch._end()
            assert watches == {}
            watch._fire(trio.current_time() + 60.0)
            watch.leave(alice)


async def test_who_leaves_leaves_the_others_watched_and_the_last_one_ends_it(nothing_left):
    with nothing_left():
        async with open_ice(controlling=True) as alice:
            reactor = alice._driver._reactor
            async with open_ice(controlling=False), open_ice(controlling=False, watch_network=30.0):
                assert set(reactor.watches) == {None, 30.0}
            assert list(reactor.watches) == [None] and list(reactor.watches[None]._watch.members) == [alice]


async def test_a_network_of_a_test_is_looked_at_now_and_then(sockets, nothing_left):
    with nothing_left():
        async with open_ice(controlling=True) as alice:
            (watch,) = alice._driver._reactor.watches.values()
            assert watch._watch._interval == (POLL if sockets == "trio.socket" else None)
