import itertools

import pytest

from ice._session import peer
from ice._wire import Bench
from sansice.ice import IceConfig, IceServer, Pacer
from sansice.machine import LocalProtocolError


@pytest.mark.parametrize("interval", [0.0, 0.0049, -1.0, float("inf"), float("nan")])
def test_less_than_five_milliseconds_is_no_interval(interval):
    with pytest.raises(LocalProtocolError, match=r"at least 0\.005 s"):
        Pacer(interval)


def test_each_moment_is_given_once_and_none_before_it_is_asked_for():
    pacer = Pacer(0.01)
    assert [pacer.reserve(1.0), pacer.reserve(1.0), pacer.reserve(1.005), pacer.reserve(2.0)] == [1.0, 1.01, 1.02, 2.0]


def started(*benches):
    """When which agent started a check or a question to a server."""
    return sorted((one.at, number) for number, bench in enumerate(benches) for one in bench.checks)


def run(until, *benches):
    """Let the agents live in one time."""
    while min(bench.agent.deadline() for bench in benches) <= until:
        first = min(benches, key=lambda bench: bench.agent.deadline())
        first.run(first.agent.deadline())
    for bench in benches:
        bench.run(until)


@pytest.mark.req("RFC8445-124")
def test_agents_that_share_a_pacer_start_one_transaction_in_five_milliseconds():
    pacer, config = Pacer(), IceConfig(ta=0.005)
    benches = [Bench(pacer=pacer, config=config, remotes=tuple(map(peer, range(1, 7))), pacing=5) for _ in range(3)]
    run(0.2, *benches)
    times = [when for when, _ in started(*benches)]
    assert len(times) == 18 and times[0] == 0.0
    assert all(later - earlier >= 0.00499 for earlier, later in itertools.pairwise(times))
    assert times[-1] == pytest.approx(17 * 0.005)
    turns = [number for _, number in started(*benches)]
    assert all(sorted(turns[first : first + 3]) == [0, 1, 2] for first in range(0, 18, 3))  # nobody is left out


@pytest.mark.req("RFC8445-124")
def test_questions_to_servers_count_too():
    pacer = Pacer(0.02)
    servers = tuple(IceServer(f"stun:203.0.113.{number}") for number in (1, 2))
    benches = [Bench(pacer=pacer, known=False, servers=servers) for _ in range(2)]
    run(0.3, *benches)
    assert [when for when, _ in started(*benches)] == [0.0, 0.02, 0.05, 0.07]


def test_agents_without_a_pacer_of_their_own_start_when_they_like():
    benches = [Bench(remotes=(peer(1),)) for _ in range(2)]
    assert started(*benches) == [(0.0, 0), (0.0, 1)]


def test_consent_is_asked_for_whatever_the_pacer_says():
    pacer = Pacer(1000.0)
    bench = Bench(pacer=pacer, remotes=(peer(1),), controlling=False)
    bench.answer(bench.check)
    pacer.reserve(0.0)
    bench.run(4.0)
    assert [one.at for one in bench.checks] == [0.0, 4.0]


def test_what_became_needless_while_it_waited_for_its_turn_gives_the_turn_back():
    pacer = Pacer(0.1)
    pacer.reserve(0.0)
    bench = Bench(pacer=pacer, remotes=(peer(1),))
    assert bench.checks == []
    bench.call(bench.agent.close)
    assert bench.is_idle
    assert pacer.reserve(0.0) == pytest.approx(0.2)


def test_an_agent_that_missed_its_moment_asks_for_another():
    pacer = Pacer(0.1)
    pacer.reserve(0.0)
    bench = Bench(pacer=pacer, remotes=(peer(1),))
    pacer.reserve(0.0)
    bench.now = 5.0  # it slept, and others have begun theirs
    pacer.started(4.95)
    bench.call(bench.agent.handle_timer)
    assert bench.checks == []
    bench.run(6.0)
    assert [one.at for one in bench.checks] == [5.05]


@pytest.mark.parametrize("late", [0.001, 0.006, 0.02])
def test_timers_that_are_all_late_delay_the_agents_and_starve_none(late):
    pacer = Pacer()
    benches = [Bench(pacer=pacer, remotes=tuple(map(peer, (1, 2, 3)))) for _ in range(8)]
    while min(bench.agent.deadline() for bench in benches) + late <= 2.0:
        first = min(benches, key=lambda bench: bench.agent.deadline())
        first.now = first.agent.deadline() + late
        first.call(first.agent.handle_timer)
    assert [len(bench.checks) for bench in benches] == [3] * 8
    times = [when for when, _ in started(*benches)]
    assert len(times) / (times[-1] - times[0]) <= 1 / 0.005


def test_agents_that_are_given_up_while_they_wait_hold_up_nobody_for_longer_than_their_moments():
    pacer = Pacer()
    benches = [Bench(pacer=pacer, remotes=tuple(map(peer, (1, 2, 3)))) for _ in range(40)]
    for number, bench in enumerate(benches):
        if number % 3:
            bench.call(bench.agent.close)
    left = benches[::3]
    run(1.0, *left)
    assert [len(bench.checks) for bench in left] == [3] * 14
    assert max(when for when, _ in started(*left)) <= 40 * 0.005 + 2 * (0.05 + 14 * 0.005)
