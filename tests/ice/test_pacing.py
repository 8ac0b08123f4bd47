"""The times of RFC 8445 14: how often a transaction starts, and how soon a request is repeated."""

import math

import pytest

from ice._wire import THEIRS, Bench, at, candidate
from sansice.ice import Description, IceConfig, IceServer
from sansice.stun import Schedule


def remotes(count, *, foundation=None):
    return tuple(candidate("198.51.100.1", 5000 + n, foundation=foundation or f"r{n}") for n in range(count))


def starts(bench):
    return [one.at for one in bench.checks]


def first_waits(bench):
    """For each check: seconds until it is repeated for the first time."""
    return [round(bench.times(check)[1] - check.at, 6) for check in bench.checks]


@pytest.mark.req("RFC8445-122")
def test_the_first_check_leaves_at_once_and_the_others_every_50_ms():
    bench = Bench(remotes=remotes(5))
    bench.run(0.45)
    assert starts(bench) == [0.0, 0.05, 0.1, 0.15, 0.2]
    assert bench.agent.local_description.pacing == 50


@pytest.mark.req("RFC8445-123")
@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [
        (0.02, None, 0.05),
        (0.02, 30, 0.03),
        (0.02, 20, 0.02),
        (0.02, 5, 0.02),
        (0.05, 200, 0.2),
        (0.07, None, 0.07),
        (0.02, 0, 0.02),
    ],
)
def test_the_larger_pacing_of_the_two_is_used_and_who_says_nothing_means_50_ms(ours, theirs, used):
    bench = Bench(remotes=remotes(3), config=IceConfig(ta=ours), pacing=theirs)
    bench.run(0.45)
    assert starts(bench) == [0.0, used, round(2 * used, 6)]
    assert bench.agent.local_description.pacing == round(ours * 1000)


def test_a_pacing_below_5_ms_is_refused():
    IceConfig(ta=0.005)
    with pytest.raises(ValueError, match=r"ta: below 0\.005"):
        IceConfig(ta=0.0049)


def test_triggered_checks_nominations_and_repetitions_share_the_pacing():
    bench = Bench(remotes=remotes(2))
    bench.answer(bench.check)
    for number in range(3):
        bench.request(at("203.0.113.5", 6000 + number))
    bench.run(0.4)
    assert starts(bench) == [0.0, 0.05, 0.1, 0.15, 0.2, 0.25]


def test_retransmissions_are_not_paced():
    bench = Bench(remotes=remotes(2))
    bench.run(0.49)
    bench.request(at("203.0.113.5"))
    bench.run(0.6)
    assert [one.at for one in bench.requests] == [0.0, 0.05, 0.49, 0.5, 0.55]


@pytest.mark.req("RFC8445-126")
def test_the_first_wait_of_a_check_grows_with_the_pairs_and_with_what_is_on_trial():
    # N = 10 pairs; the first check leaves with all of them Waiting or In-Progress.
    bench = Bench(remotes=remotes(10), config=IceConfig(max_check_rto=100.0))
    bench.run(0.04)
    for number in range(5):
        bench.answer(bench.check, code=400)
        bench.run(0.05 * (number + 1))
    bench.run(9.0)
    waits = {check.at: bench.times(check)[1] - check.at for check in bench.checks if len(bench.times(check)) > 1}
    # Five have failed when the sixth starts: Ta x 10 x 5.
    assert round(waits[0.25], 6) == 2.5
    assert {round(wait, 6) for wait in waits.values()} == {2.5}


@pytest.mark.req("RFC8445-126")
def test_frozen_pairs_count_as_pairs_but_not_as_on_trial():
    bench = Bench(remotes=remotes(20, foundation="same"), config=IceConfig(max_check_rto=100.0))
    bench.run(3.0)
    assert first_waits(bench)[0] == 1.0  # Ta x 20 x 1


@pytest.mark.req("RFC8445-126")
def test_the_first_wait_uses_the_pacing_on_which_both_agreed():
    bench = Bench(remotes=remotes(4, foundation="same"), config=IceConfig(max_check_rto=100.0), pacing=250)
    bench.run(3.0)
    assert first_waits(bench)[0] == 1.0  # 0.25 x 4 x 1


def test_the_formula_is_capped_so_that_a_lost_check_is_repeated_soon():
    bench = Bench(remotes=remotes(30))
    bench.run(3.0)
    assert first_waits(bench)[0] == 1.0


@pytest.mark.req("RFC8445-127", "RFC8445-126")
def test_no_wait_is_below_half_a_second():
    bench = Bench(remotes=remotes(2), config=IceConfig(ta=0.005), pacing=5)
    bench.run(1.0)
    assert first_waits(bench) == [0.5, 0.5]
    bench = Bench(remotes=remotes(4, foundation="same"))  # Ta x 4 x 1 is less, Ta x 4 x 4 is more
    bench.run(1.0)
    assert first_waits(bench)[0] == 0.5
    with pytest.raises(ValueError, match=r"RTO below 0\.5 s"):
        IceConfig(schedule=Schedule(0.4, minimum_rto=0.4))


@pytest.mark.req("RFC8445-125", "RFC8445-009")
@pytest.mark.parametrize(("count", "rto"), [(2, 0.5), (10, 0.5), (20, 1.0), (30, 1.5)])
def test_questions_to_servers_are_paced_and_repeated_no_sooner_than_all_of_them_take(count, rto):
    urls = tuple(f"stun:203.0.113.{n}" for n in range(1, count + 1))
    bench = Bench(known=False, servers=(IceServer(urls),))
    bench.run(2.9)
    queries = bench.checks
    assert [one.at for one in queries] == [round(0.05 * n, 6) for n in range(count)]
    assert bench.times(queries[0])[:2] == [0.0, rto]


def test_checks_go_before_questions_to_servers_and_both_share_the_pacing():
    bench = Bench(known=False, servers=(IceServer(("stun:203.0.113.1", "stun:203.0.113.2", "stun:203.0.113.3")),))
    bench.call(bench.agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd, candidates=remotes(2), end_of_candidates=False))
    bench.run(0.3)
    assert [(one.at, one.destination.host) for one in bench.checks] == [
        (0.0, "203.0.113.1"),
        (0.05, "198.51.100.1"),
        (0.1, "198.51.100.1"),
        (0.15, "203.0.113.2"),
        (0.2, "203.0.113.3"),
    ]


def test_a_check_that_became_needless_wakes_nobody():
    bench = Bench(controlling=False, remotes=remotes(1))
    check = bench.check
    bench.request(at("198.51.100.1"))
    assert bench.agent.deadline() == 0.05  # the triggered check waits for its turn
    bench.answer(check)
    assert bench.agent.deadline() == 4.0  # consent


def test_nothing_waits_for_its_turn_once_the_agent_is_closed():
    bench = Bench(controlling=False, remotes=remotes(2))
    bench.request(at("198.51.100.1"))
    bench.call(bench.agent.close)
    assert bench.agent.deadline() == math.inf
