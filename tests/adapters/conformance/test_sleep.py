"""A machine that sleeps: the clock of what runs on an adapter goes on, and that by which the adapter waits stands still."""

import contextlib
import socket

import pytest

from adapters.conformance.test_ice import connect
from adapters.conformance.test_moving import V4, echo, opened, restart
from sansice.driver import clock
from sansice.ice import ConsentLost, IceConfig, IceState
from sansice_asyncio import _network as _of_asyncio
from sansice_blocking import _network as _of_blocking

HOUR = 3600.0
# Whoever goes on waiting by a clock that has stood still is stuck: nothing is due for longer than a test may take.
SELDOM = IceConfig(consent_interval=60.0, consent_timeout=120.0, free_delay=0.01)


class Clock:
    """`sansice.driver.clock`, and what it has slept."""

    def __init__(self):
        self.slept = 0.0

    def __call__(self):
        return clock() + self.slept


def on_clock(driver, now):
    """Have a driver read that clock: trio's knows which it reads, and the others are asked for the time."""
    if hasattr(driver, "_clock"):
        driver._clock = now
        return
    kind = type(driver)
    driver.__class__ = type(kind.__name__, (kind,), {"__slots__": (), "now": lambda self: now()})


def watch_of(rt, ice):
    """What watches the network for a connection."""
    if rt.name == "trio":
        [watch] = ice._driver._reactor.watches.values()
    elif rt.name == "asyncio":
        [watch] = _of_asyncio._WATCHES[ice._driver._loop].values()
    else:
        [watch] = _of_blocking._WATCHES.values()
    return watch


@contextlib.asynccontextmanager
async def sleeper(rt, ice, news=None):
    """A clock for one who is connected, and for the watch; it looks at ``news``, where there is some."""
    now = Clock()
    watch = watch_of(rt, ice)
    on_clock(ice._driver, now)
    if news is not None:
        watch._watch._open_source = lambda: news
        while watch._watch.source is None:
            await rt.sleep(0.01)
    if rt.name == "trio":
        watch._reactor.now = now
        yield now
        watch._reactor.now = clock  # by which it knows where it belongs
    else:
        watch._clock = now
        yield now


@pytest.mark.parametrize("is_told", [True, False], ids=["told_by_the_kernel", "looked_at"])
def test_who_has_slept_for_an_hour_is_told_at_once_and_comes_back_by_a_restart(rt, is_told):
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    async def body(rt):
        how = True if is_told else 0.005
        async with opened(rt, True, [V4], config=SELDOM, watch_network=how) as alice:
            async with opened(rt, False, [V4], config=SELDOM, watch_network=False) as bob:
                await connect(rt, alice, bob)
                async with sleeper(rt, alice, ends[0] if is_told else None) as now:
                    assert not alice.needs_restart
                    now.slept += HOUR
                    ends[1].send(b"awake")
                    await rt.call(alice.restart_needed())
                    assert alice.state is IceState.FAILED
                    with pytest.raises(ConsentLost):
                        alice.receive_nowait()
                    await restart(rt, alice, bob)
                    await echo(rt, alice, bob)

    rt.run(body)
    for end in ends:
        end.close()


def test_who_has_slept_for_less_than_consent_lasts_asks_at_once_and_goes_on(rt):
    async def body(rt):
        async with opened(rt, True, [V4], config=SELDOM, watch_network=0.005) as alice:
            async with opened(rt, False, [V4], config=SELDOM, watch_network=False) as bob:
                await connect(rt, alice, bob)
                async with sleeper(rt, alice) as now:
                    asked = consent_checks(alice)
                    now.slept += 100.0
                    while consent_checks(alice) == asked:
                        await rt.sleep(0.005)
                    assert alice.state is IceState.COMPLETED and not alice.needs_restart
                    await echo(rt, alice, bob)

    rt.run(body)


def consent_checks(ice):
    return sum(pair.consent_requests_sent for pair in ice.stats().pairs)


def test_who_has_left_as_the_machine_wakes_is_left_alone(rt):
    async def body(rt):
        async with opened(rt, True, [V4], watch_network=0.005) as alice:
            watch, driver = watch_of(rt, alice), alice._driver
            catch_up = {"trio": lambda: driver._reactor.catch_up(), "asyncio": lambda: driver._catch_up()}.get(rt.name)
        if catch_up is None:
            watch._catch_up(alice)
        else:
            catch_up()

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))
