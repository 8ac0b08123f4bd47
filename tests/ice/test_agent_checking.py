"""The agent while it checks: pacing, patience and failure, candidates that trickle in."""

import itertools

import pytest

from ice._session import (
    LOST,
    ONE,
    PEER,
    STUN,
    bench_of,
    checking,
    peer,
    refuses,
    selected,
    states,
)
from ice._wire import OURS, THEIRS, Bench, at, candidate
from sansice.ice import (
    Candidate,
    Description,
    GatheringCompleted,
    HostName,
    IceAgent,
    IceConfig,
    IceServer,
    IceState,
    NotConnected,
    PairState,
)
from sansice.machine import (
    Transport,
)

# Pacing


def test_first_check_leaves_at_once_and_the_others_ta_apart():
    bench = Bench(remotes=[peer(number) for number in range(1, 5)])
    bench.run(until=0.4)
    assert [(one.at, one.destination.host) for one in bench.checks] == [
        (0.0, "198.51.100.1"),
        (0.05, "198.51.100.2"),
        (0.1, "198.51.100.3"),
        (0.15, "198.51.100.4"),
    ]


@pytest.mark.req("RFC8445-123", "RFC8839-040")
@pytest.mark.parametrize(
    ("ours", "theirs", "used"),
    [(0.02, None, 0.05), (0.02, 30, 0.03), (0.02, 20, 0.02), (0.05, 20, 0.05), (0.02, 500, 0.5), (0.02, 0, 0.02)],
)
def test_larger_of_both_pacings_is_used_and_a_missing_one_counts_as_50_ms(ours, theirs, used):
    bench = Bench(config=IceConfig(ta=ours), pacing=theirs, remotes=[peer(1), peer(2), peer(3)])
    bench.run(until=1.1)
    assert [one.at for one in bench.checks] == pytest.approx([0.0, used, 2 * used])


def test_driver_that_wakes_late_sends_one_check_and_not_a_burst():
    bench = Bench(remotes=[peer(number) for number in range(1, 5)])
    bench.now = 0.4
    bench.call(bench.agent.handle_timer)
    assert [one.at for one in bench.checks] == [0.0, 0.4]
    bench.run(until=0.49)
    assert [one.at for one in bench.checks] == [0.0, 0.4, 0.45]


def test_checks_go_before_questions_to_servers():
    servers = [IceServer(f"stun:198.51.100.{number}") for number in (51, 52)]
    bench = Bench(servers=servers, remotes=(peer(1),))
    bench.run(until=0.4)
    assert [(one.at, one.destination.host) for one in bench.checks] == [
        (0.0, "198.51.100.51"),
        (0.05, "198.51.100.1"),
        (0.1, "198.51.100.52"),
    ]


# Patience (RFC 8863) and failure


@pytest.mark.req("RFC8863-001", "RFC8863-002", "RFC8863-003", "RFC8863-004", "RFC8838-005", "RFC8838-003")
@pytest.mark.parametrize("hosts", [("192.0.2.1",), ()])
def test_agent_that_knows_no_candidate_waits_39_5_s_before_it_fails(hosts):
    bench = Bench(hosts=hosts)
    bench.run(until=1000.0)
    assert states(bench) == [(0.0, "checking"), (39.5, "failed")]


@pytest.mark.req("RFC8445-100")
def test_candidate_that_is_trickled_after_the_selection_makes_no_pair():
    bench = selected(complete=False)
    pairs, checks = bench.agent.pairs, len(bench.checks)
    bench.call(bench.agent.add_remote_candidate, peer(9))
    bench.run(until=3.0)
    assert bench.agent.pairs == pairs and len(bench.checks) == checks


@pytest.mark.req("RFC8863-001")
def test_patience_begins_when_the_peer_is_known():
    bench = Bench(known=False)
    bench.run(until=100.0)
    assert bench.agent.state is IceState.NEW
    bench.tell()
    bench.run(until=1000.0)
    assert states(bench) == [(100.0, "checking"), (139.5, "failed")]


@pytest.mark.req("RFC8863-003", "RFC8863-004")
def test_pairs_that_all_failed_early_do_not_fail_the_agent_before_patience_ends():
    bench = checking()
    bench.run(until=1.0)
    bench.unreachable(1, PEER)
    assert bench.state(PEER) == "failed"
    bench.run(until=1000.0)
    assert states(bench)[-1] == (39.5, "failed")


@pytest.mark.req("RFC8863-006", "RFC8838-008")
def test_patience_holds_after_end_of_candidates_too():
    bench = Bench(complete=False)
    bench.run(until=1.0)
    bench.call(bench.agent.end_of_candidates)
    bench.call(bench.agent.end_of_candidates)
    bench.run(until=1000.0)
    assert states(bench)[-1] == (39.5, "failed")


@pytest.mark.req("RFC8838-006", "RFC8838-008")
def test_agent_waits_for_candidates_as_long_as_the_peer_may_trickle_more():
    bench = Bench(complete=False, remotes=(peer(1),))
    bench.run(until=500.0)
    assert bench.state(PEER) == "failed"
    assert bench.agent.state is IceState.CHECKING
    bench.call(bench.agent.end_of_candidates)
    assert states(bench)[-1] == (500.0, "failed")


@pytest.mark.req("RFC8838-008")
def test_agent_does_not_fail_while_it_still_gathers():
    bench = Bench(servers=STUN, config=IceConfig(gathering_timeout=45.0, pac_timeout=1.0))
    bench.run(until=39.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(until=1000.0)
    assert states(bench)[-1] == (39.5, "failed")  # when the question to the server has timed out


@pytest.mark.req("RFC8838-008")
def test_check_still_under_way_keeps_the_agent_alive_beyond_patience():
    bench = Bench(complete=False)
    bench.run(until=20.0)
    bench.call(bench.agent.add_remote_candidate, peer(1))
    bench.call(bench.agent.end_of_candidates)
    bench.run(until=1000.0)
    assert states(bench)[-1] == (59.5, "failed")


def test_failed_agent_takes_no_more_commands_but_close():
    bench = Bench()
    bench.run(until=39.5)
    agent = bench.agent
    refuses(bench, agent.set_remote, Description(THEIRS.ufrag, THEIRS.pwd), match="failed")
    refuses(bench, agent.add_remote_candidate, peer(1), match="failed")
    refuses(bench, agent.end_of_candidates, match="failed")
    refuses(bench, agent.gather, ["192.0.2.1"], match="failed")
    refuses(bench, agent.send, b"x" * 50, match="failed", error=NotConnected)
    bench.unreachable(1, PEER)
    bench.call(agent.handle_socket_failed, ONE, LOST)
    bench.call(agent.close)
    assert states(bench)[-1] == (39.5, "closed")


def test_clock_that_jumps_an_hour_while_checking_raises_nothing_and_does_not_end_in_a_burst():
    bench = Bench(remotes=[peer(1), peer(2)])
    bench.now = 3600.0
    bench.call(bench.agent.handle_timer)
    assert len(bench.sent) <= 2
    bench.run(until=4000.0)
    assert bench.agent.state is IceState.FAILED


def test_nomination_that_fails_while_gathering_ends_both_at_once():
    bench = Bench(servers=STUN, config=IceConfig(gathering_timeout=100.0), remotes=(peer(1),))
    bench.run(until=0.05)
    bench.answer(bench.check)
    bench.run(until=0.1)
    assert bench.check.nominates
    bench.answer(bench.check, code=500)
    bench.run(until=39.49)
    assert bench.agent.state is IceState.CHECKING  # the one valid pair is gone
    bench.run(until=39.5)
    assert states(bench)[-1] == (39.5, "failed")
    assert bench.heard(GatheringCompleted) == [GatheringCompleted()]
    assert bench.agent.take_outputs() == []


# Trickle (RFC 8838)


@pytest.mark.req("RFC8838-013")
@pytest.mark.parametrize("order", list(itertools.permutations(["gather", "describe", "first", "second"])), ids="-".join)
def test_whatever_the_order_of_news_the_pairs_are_the_same_and_they_connect(order):
    agent = IceAgent(controlling=True, credentials=OURS)
    bench = bench_of(agent)
    steps = {
        "gather": lambda: bench.call(agent.gather, ["192.0.2.1", "192.0.2.2"]),
        "describe": lambda: bench.tell(complete=False),
        "first": lambda: bench.call(agent.add_remote_candidate, peer(1)),
        "second": lambda: bench.call(agent.add_remote_candidate, peer(2)),
    }
    for step in order:
        steps[step]()
        bench.run(until=bench.now + 0.01)
    bench.call(agent.end_of_candidates)
    bench.run(until=bench.now + 0.5)
    assert [(pair.local.address.host, pair.remote.address.host) for pair in agent.pairs] == [
        ("192.0.2.1", "198.51.100.1"),
        ("192.0.2.2", "198.51.100.1"),
        ("192.0.2.1", "198.51.100.2"),
        ("192.0.2.2", "198.51.100.2"),
    ]
    assert {pair.state for pair in agent.pairs} == {PairState.IN_PROGRESS}
    best = next(one for one in bench.checks if one.path == (1, PEER))
    bench.answer(best)
    bench.run(until=bench.now + 0.1)
    bench.answer(bench.check)
    assert agent.selected_pair.remote.address == PEER


@pytest.mark.req("RFC8838-022")
def test_candidate_after_the_end_is_ignored_and_counted():
    bench = Bench(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, peer(1)) is True
    bench.call(bench.agent.end_of_candidates)
    before = bench.agent.pairs
    assert bench.call(bench.agent.add_remote_candidate, peer(2)) is False
    assert bench.agent.pairs == before
    assert bench.agent.remote_candidates == (peer(1),)
    assert bench.dropped() == {"UNUSABLE_CANDIDATE": 1}


@pytest.mark.req("RFC8838-010", "RFC8839-033")
@pytest.mark.parametrize(
    "useless",
    [
        peer(1),
        candidate("198.51.100.9", 0),
        candidate("0.0.0.0", 9),
        candidate("224.0.0.1"),
        candidate("198.51.100.9", component=2),
        candidate("198.51.100.9", transport=Transport.TCP),
        Candidate("1", 1, Transport.UDP, 1, HostName("peer.local", 5000), peer(1).type),
        Candidate("1", 1, Transport.TCP, 1, HostName("host.example", 5000), peer(1).type),
        Candidate("1", 1, Transport.UDP, 1, HostName("host.example", 0), peer(1).type),
    ],
    ids=["duplicate", "port 0", "wildcard", "multicast", "component", "tcp", "mdns", "fqdn tcp", "fqdn port 0"],
)
def test_candidate_that_cannot_be_used_is_told_so_and_counted_and_changes_nothing(useless):
    bench = checking(complete=False)
    before = bench.agent.pairs, bench.agent.remote_candidates, bench.agent.deadline()
    assert bench.call(bench.agent.add_remote_candidate, useless) is False
    assert (bench.agent.pairs, bench.agent.remote_candidates, bench.agent.deadline()) == before
    assert bench.dropped() == ({} if useless == peer(1) else {"UNUSABLE_CANDIDATE": 1})


def test_peer_that_told_only_what_cannot_be_used_is_named_by_the_explanation():
    bench = Bench(remotes=(candidate("198.51.100.9", 0),))
    assert "told no candidate that can be used" in bench.agent.explain()


def test_mapped_address_of_the_other_family_fails_the_pair():
    bench = checking()
    bench.answer(bench.check, mapped=at("2001:db8::1", 5000))
    assert [pair.state for pair in bench.agent.pairs] == [PairState.FAILED]
    assert bench.dropped() == {"BAD_ATTRIBUTE": 1}
    assert not bench.agent.writable


def test_candidate_of_another_family_is_kept_for_a_local_one_that_may_come():
    bench = checking(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, candidate("2001:db8::9")) is True
    assert len(bench.agent.pairs) == 1


def test_candidate_that_is_trickled_after_patience_has_ended_still_connects():
    bench = Bench(complete=False)
    bench.run(until=60.0)
    assert bench.agent.state is IceState.CHECKING  # nobody has said that no more candidates come
    bench.call(bench.agent.add_remote_candidate, candidate(PEER.host, PEER.port))
    bench.answer(bench.check)
    bench.run(until=61.0)
    bench.answer(bench.check)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.end_of_candidates)
    bench.run(until=62.0)
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8863-007")
@pytest.mark.parametrize("assume", [True, False])
def test_the_end_of_patience_may_stand_for_the_end_of_candidates(assume):
    bench = checking(complete=False, config=IceConfig(assume_end_of_candidates=assume))
    bench.run(until=39.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(until=40.0)
    assert bench.agent.state is (IceState.FAILED if assume else IceState.CHECKING)
    bench.run(until=3600.0)
    assert bench.agent.state is (IceState.FAILED if assume else IceState.CHECKING)
