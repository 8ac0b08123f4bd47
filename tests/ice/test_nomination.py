import itertools
import math

import pytest

from ice._wire import Bench, at, candidate, make_local, make_pair
from sansice.ice import (
    CandidateType,
    Credentials,
    Description,
    GatheringCompleted,
    GatheringState,
    IceConfig,
    IceState,
    PairSelected,
    PairState,
    candidate_priority,
)
from sansice.ice._agent._nomination import Nominable, best_valid, choose
from sansice.machine import SocketError, SocketErrorKind, SocketId

HIGH, LOW, LOWEST = at("198.51.100.1"), at("198.51.100.2"), at("198.51.100.3")
HIGH_C = candidate("198.51.100.1", preference=300)
LOW_C = candidate("198.51.100.2", preference=200, foundation="r2")
LOWEST_C = candidate("198.51.100.3", preference=100, foundation="r3")
ICE2, BEFORE_8445 = ("ice2",), ()
WAITS = {CandidateType.HOST: 0.1, CandidateType.SERVER_REFLEXIVE: 0.8, CandidateType.RELAYED: 2.0}


def valid_pair(number=1, type=CandidateType.HOST, remote_type=CandidateType.HOST):
    pair = make_pair(number, state=PairState.SUCCEEDED)
    pair.valid = make_pair(number, state=PairState.SUCCEEDED)
    pair.valid.local = make_local(type=type)
    pair.valid.remote = candidate("198.51.100.1", type=remote_type)
    return pair


def selections(bench):
    return [(when, event.pair.remote.address) for when, event in bench.events if isinstance(event, PairSelected)]


def selected(bench):
    return bench.agent.selected_pair.remote.address


def nominations(bench):
    return [(one.at, one.destination) for one in bench.checks if one.nominates]


# ------------------------------------------------------------- the policy


def test_nothing_valid_is_nothing_to_choose():
    pairs = [make_pair(n, state=state) for n, state in enumerate(PairState)]
    assert choose(pairs, 1.0, WAITS) is None
    assert best_valid(pairs) is None


def test_the_best_valid_pair_is_the_first_in_order():
    first, second = valid_pair(1), valid_pair(2)
    assert best_valid([make_pair(3), first, second]) is first


def test_a_valid_pair_with_nothing_better_on_trial_is_chosen_at_once():
    pair = valid_pair(type=CandidateType.RELAYED)
    assert choose([make_pair(state=PairState.FAILED), pair, make_pair(2)], 1.0, WAITS) == Nominable(pair, -math.inf)


@pytest.mark.parametrize("state", [PairState.FROZEN, PairState.WAITING, PairState.IN_PROGRESS])
@pytest.mark.parametrize(
    ("local", "remote", "wait"),
    [
        (CandidateType.HOST, CandidateType.HOST, 0.1),
        (CandidateType.SERVER_REFLEXIVE, CandidateType.HOST, 0.8),
        (CandidateType.HOST, CandidateType.RELAYED, 2.0),
        (CandidateType.PEER_REFLEXIVE, CandidateType.PEER_REFLEXIVE, 0.0),  # not in this table
    ],
)
def test_while_something_better_is_on_trial_the_slower_type_of_the_two_decides_how_long_to_wait(state, local, remote, wait):
    pair = valid_pair(type=local, remote_type=remote)
    assert choose([make_pair(2, state=state), pair], 1.0, WAITS) == Nominable(pair, 1.0 + wait)


# ------------------------------------------------------------- controlling


@pytest.mark.req("RFC8445-076", "RFC8445-097", "RFC8445-101", "RFC8445-045")
def test_the_check_of_the_valid_pair_is_repeated_with_use_candidate_and_its_success_selects():
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check)
    assert bench.agent.state is IceState.CONNECTED and bench.agent.selected_pair is None
    bench.run(0.05)
    first, second = bench.checks
    assert (first.nominates, second.nominates, second.at, second.path) == (False, True, 0.05, first.path)
    assert bench.agent.selected_pair is None
    bench.answer(second)
    assert selections(bench) == [(0.05, HIGH)]
    assert bench.agent.selected_pair.nominated and bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-097", "RFC8445-072")
def test_tricky_25_nomination_repeats_the_checked_pair_but_selects_the_valid_one():
    bench = Bench(remotes=(HIGH_C,))
    mapped = at("203.0.113.9", 61000)
    bench.answer(bench.check, mapped=mapped)
    bench.run(0.05)
    assert bench.check.nominates and bench.check.path == (1, HIGH)
    bench.answer(bench.check, mapped=mapped)
    pair = bench.agent.selected_pair
    assert (pair.local.address, pair.local.type, pair.remote.address) == (mapped, CandidateType.PEER_REFLEXIVE, HIGH)


@pytest.mark.req("RFC8445-097", "RFC8863-005")
@pytest.mark.parametrize("answered", [True, False])
def test_a_better_pair_on_trial_is_waited_for_as_long_as_the_type_says(answered):
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    if answered:
        bench.run(0.11)
        bench.answer(better)
        assert nominations(bench) == [(0.11, HIGH)]
    else:
        bench.run(0.2)
        assert nominations(bench) == [(0.15, LOW)]  # 0.1 s for host candidates, from the first valid pair on


SILENT = ("stun:198.51.100.53",)


def check_of(bench, remote):
    return next(one for one in reversed(bench.checks) if one.destination == remote)


def test_while_servers_are_asked_the_wait_begins_when_the_peer_shows_that_it_knows_us():
    bench = Bench(remotes=(HIGH_C, LOW_C), servers=SILENT)
    bench.run(0.1)
    bench.answer(check_of(bench, LOW))
    bench.run(2.0)
    assert nominations(bench) == []  # the peer may not even have our description: what it can open is not tried
    bench.request(LOW)
    bench.run(2.2)
    assert nominations(bench) == [(2.1, LOW)]


def test_while_servers_are_asked_of_a_peer_that_is_silent_the_wait_begins_when_gathering_ends():
    bench = Bench(remotes=(HIGH_C, LOW_C), servers=SILENT)
    bench.run(0.1)
    bench.answer(check_of(bench, LOW))
    bench.run(4.0)
    [ended] = [when for when, event in bench.events if isinstance(event, GatheringCompleted)]
    assert nominations(bench) == [(pytest.approx(ended + 0.1), LOW)] and ended > 2.9


def test_while_servers_are_asked_the_best_pair_is_nominated_at_once_as_ever():
    bench = Bench(remotes=(HIGH_C, LOW_C), servers=SILENT)
    bench.run(0.05)
    bench.answer(check_of(bench, HIGH))
    bench.run(0.2)
    assert nominations(bench) == [(0.1, HIGH)]


def test_a_lite_peer_checks_nothing_so_the_wait_begins_with_the_first_valid_pair():
    bench = Bench(remotes=(HIGH_C, LOW_C), servers=SILENT, lite=True)
    bench.run(0.1)
    bench.answer(check_of(bench, LOW))
    bench.run(0.3)
    assert nominations(bench) == [(0.2, LOW)]


def test_after_a_restart_the_wait_begins_anew_with_what_is_gathered():
    bench = Bench(remotes=(HIGH_C,), servers=SILENT)
    bench.run(5.0)
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, ("192.0.2.1",))
    again = Credentials("next", "n" * 22)
    bench.call(bench.agent.set_remote, Description(again.ufrag, again.pwd, candidates=(HIGH_C, LOW_C), options=ICE2))
    bench.run(5.3)
    bench.answer(check_of(bench, LOW), theirs=again)
    bench.run(6.5)
    assert bench.agent.gathering_state is GatheringState.GATHERING and nominations(bench) == []


def test_the_failure_of_the_better_pair_ends_the_wait():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    bench.run(0.12)
    bench.answer(better, code=400)
    assert nominations(bench) == [(0.12, LOW)]


@pytest.mark.req("RFC8445-098")
def test_no_second_pair_is_ever_nominated():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    bench.run(0.16)
    nominating = bench.check
    bench.answer(better)  # valid too, while the nomination of the worse one is on its way
    bench.run(0.3)
    bench.answer(nominating)
    bench.request(HIGH)
    bench.request(at("198.51.100.77"))
    bench.run(20.0)
    assert nominations(bench) == [(0.15, LOW)]
    assert selections(bench) == [(0.3, LOW)]


@pytest.mark.req("RFC8445-077")
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_nomination_that_fails_takes_the_pair_and_the_checklist_with_it(elsewhere):
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.answer(bench.check)
    bench.run(0.05)
    nominating = bench.check
    assert nominating.nominates
    bench.run(0.1)
    bench.answer(bench.check)  # the other pair works too, and is not nominated instead
    if elsewhere:
        bench.answer(nominating, source=at("198.51.100.1", 9))
    else:
        bench.answer(nominating, code=400)
    assert bench.state(HIGH) == "failed"
    assert bench.agent.state is IceState.CONNECTED  # RFC 8863: patience
    bench.run(29.0)
    assert bench.check.destination == LOW  # consent: data goes on the pair that is still valid
    bench.answer(bench.check)
    bench.run(39.4)
    assert bench.agent.state is not IceState.FAILED
    bench.run(39.5)
    assert bench.agent.state is IceState.FAILED
    assert [path for _, path in nominations(bench)] == [HIGH]


@pytest.mark.req("RFC8445-077")
def test_a_nomination_that_is_never_answered_fails():
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check)
    bench.run(0.05)
    nominating = bench.check
    bench.run(29.0)
    bench.answer(bench.check)  # consent, so that the nomination alone is missing
    assert bench.check is not nominating
    bench.run(39.54)
    assert (bench.state(HIGH), bench.agent.writable) == ("succeeded", True)
    bench.run(39.56)
    assert (bench.state(HIGH), bench.agent.writable) == ("failed", False)
    assert bench.agent.state is IceState.FAILED


@pytest.mark.parametrize("loss", ["socket", "consent"])
def test_a_valid_pair_that_is_lost_before_its_nomination_gives_way_to_the_next(loss):
    hosts = ("192.0.2.1", "192.0.2.2")
    bench = Bench(hosts=hosts, remotes=(HIGH_C,), config=IceConfig(acceptance_waits={CandidateType.HOST: 50}))
    bench.run(0.05)
    first, second = bench.checks
    assert first.socket != second.socket
    if loss == "socket":
        bench.answer(second)
        bench.answer(first)  # nothing better is on trial any more: its nomination starts with the next slot
        bench.call(bench.agent.handle_socket_failed, SocketId(first.socket), SocketError(SocketErrorKind.OTHER, "gone"))
        bench.run(0.1)
        assert [(one.at, one.socket) for one in bench.checks if one.nominates] == [(0.1, second.socket)]
    else:
        bench.answer(second)
        bench.run(4.05)
        consent = bench.check
        assert consent.path == second.path
        bench.answer(consent, code=403)  # not selected, so the rest goes on
        assert not bench.agent.writable
        bench.run(5.0)
        bench.answer(first)
        assert [(one.at, one.socket) for one in bench.checks if one.nominates] == [(5.0, first.socket)]


def test_consent_revoked_between_choice_and_nomination_is_no_error():
    bench = Bench(remotes=(HIGH_C, LOW_C), config=IceConfig(acceptance_waits={CandidateType.HOST: 4.06}))
    bench.run(0.05)
    _, worse = bench.checks
    bench.answer(worse)
    bench.run(4.05)
    consent = bench.check
    assert consent.path == (1, LOW) and not consent.nominates
    for number in range(3):  # new paths, whose checks keep the pacing busy when the wait ends
        bench.request(at("198.51.100.50", 6000 + number))
    bench.run(4.12)
    assert nominations(bench) == []  # queued behind them
    bench.answer(consent, code=403)
    bench.run(10.0)
    assert nominations(bench) == []
    assert bench.state(LOW) == "failed"


# ------------------------------------------------------------- controlled


@pytest.mark.req("RFC8445-094", "RFC8445-054")
def test_a_nominated_pair_that_works_already_is_selected_at_once():
    bench = Bench(controlling=False, remotes=(HIGH_C,))
    bench.answer(bench.check)
    bench.request(HIGH)
    assert selections(bench) == []
    bench.run(1.0)
    bench.request(HIGH, use_candidate=True)
    assert selections(bench) == [(1.0, HIGH)]
    assert not any(one.nominates for one in bench.checks)


@pytest.mark.req("RFC8445-094")
@pytest.mark.parametrize("late", [False, True])
def test_a_nomination_is_remembered_until_the_pair_works(late):
    bench = Bench(controlling=False, remotes=(HIGH_C,))
    bench.request(HIGH, use_candidate=True)
    assert selections(bench) == []
    bench.run(0.05)
    first, triggered = bench.checks
    bench.answer(first if late else triggered)
    assert selections(bench) == [(0.05, HIGH)]
    assert bench.agent.state is IceState.COMPLETED
    assert not any(one.nominates for one in bench.checks)


@pytest.mark.req("RFC8445-094")
@pytest.mark.parametrize("code", [400, None])
def test_a_remembered_nomination_whose_check_fails_fails_the_checklist(code):
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C))
    bench.request(HIGH, use_candidate=True)
    bench.run(0.05)
    bench.answer(bench.check, code=400) if code else bench.answer(bench.check, source=LOW)
    assert bench.state(HIGH) == "failed"
    bench.run(0.1)
    bench.answer(bench.check)
    assert bench.agent.writable
    bench.run(29.0)
    bench.answer(bench.check)
    bench.run(39.5)
    assert bench.agent.state is IceState.FAILED


def test_use_candidate_from_a_peer_that_is_controlled_means_nothing():
    bench = Bench(controlling=True, remotes=(HIGH_C,), config=IceConfig(acceptance_waits={}))
    bench.request(HIGH, use_candidate=True)
    bench.run(0.05)
    bench.answer(bench.check)
    assert selections(bench) == []


@pytest.mark.req("RFC8445-099", "RFC8839-003")
@pytest.mark.parametrize("order", list(itertools.permutations((HIGH, LOW, LOWEST))))
@pytest.mark.parametrize("tried", ["before", "after"])
def test_of_several_nominations_by_a_peer_before_rfc_8445_the_best_wins_in_any_order(order, tried):
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C, LOWEST_C), options=BEFORE_8445)
    bench.run(0.1)
    if tried == "before":
        for check in bench.checks:
            bench.answer(check)
    for remote in order:
        bench.request(remote, use_candidate=True)
        bench.run(bench.now + 0.05)
        if tried == "after":
            bench.answer(next(one for one in reversed(bench.checks) if one.destination == remote))
    assert selected(bench) == HIGH
    bench.run(2.0)
    assert selected(bench) == HIGH
    assert [pair.remote.address for pair in bench.agent.pairs if pair.nominated] == [HIGH]


@pytest.mark.req("RFC8445-099")
@pytest.mark.parametrize("nominated", list(itertools.permutations((HIGH, LOW, LOWEST))))
@pytest.mark.parametrize("answered", list(itertools.permutations((HIGH, LOW, LOWEST))))
def test_of_several_nominations_that_wait_for_their_checks_the_best_wins_in_any_order(nominated, answered):
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C, LOWEST_C), options=BEFORE_8445)
    bench.run(0.1)
    for remote in nominated:
        bench.request(remote, use_candidate=True)
    bench.run(0.3)
    triggered = {one.destination: one for one in bench.checks}
    for remote in answered:
        bench.answer(triggered[remote])
    assert selected(bench) == HIGH
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.parametrize("answered", [(HIGH, LOW), (LOW, HIGH)])
def test_a_second_nomination_by_a_peer_of_rfc_8445_is_deliberate(answered):
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C), options=ICE2)
    bench.run(0.05)
    bench.request(HIGH, use_candidate=True)
    bench.request(LOW, use_candidate=True)
    bench.run(0.15)
    triggered = {one.destination: one for one in bench.checks}
    for remote in answered:
        bench.answer(triggered[remote])
    assert selected(bench) == LOW
    bench.run(1.0)
    bench.request(HIGH, use_candidate=True)
    if answered == (HIGH, LOW):
        assert selected(bench) == HIGH
        assert [pair.remote.address for pair in bench.agent.pairs if pair.nominated] == [HIGH]
    else:
        bench.run(1.05)
        bench.answer(bench.check)
        assert selected(bench) == HIGH


@pytest.mark.parametrize("refused", [True, False])
def test_a_nomination_replayed_by_somebody_else_does_not_undo_the_one_before(refused):
    stranger = at("203.0.113.66", 6666)
    bench = Bench(controlling=False, remotes=(HIGH_C,), options=ICE2)
    bench.request(HIGH, use_candidate=True)
    bench.request(stranger, use_candidate=True)
    bench.run(0.15)
    triggered = {one.destination: one for one in bench.checks}
    if refused:
        bench.answer(triggered[stranger], code=400)
    bench.answer(triggered[HIGH])
    assert selected(bench) == HIGH
    bench.run(29.0)
    assert selected(bench) == HIGH
    assert bench.agent.state in (IceState.COMPLETED, IceState.DISCONNECTED)


def test_when_all_that_was_nominated_fails_so_does_the_checklist():
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C), options=ICE2)
    bench.run(0.05)
    for remote in (HIGH, LOW):
        bench.request(remote, use_candidate=True)
    bench.run(0.15)
    triggered = {one.destination: one for one in bench.checks}
    for remote in (HIGH, LOW):
        bench.answer(triggered[remote], code=400)
    bench.run(39.5)
    assert bench.agent.state is IceState.FAILED


def test_a_nominated_pair_is_nominated_again_without_consequences():
    bench = Bench(controlling=False, remotes=(HIGH_C,))
    bench.answer(bench.check)
    bench.request(HIGH, use_candidate=True)
    bench.request(HIGH, use_candidate=True)
    assert selections(bench) == [(0.0, HIGH)]


def test_a_stale_pair_is_checked_again_before_a_nomination_puts_data_there():
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    while bench.now < 36.0:  # consent on the better pair is kept
        bench.run(bench.now + 1.0)
        if bench.check.at > bench.now - 1.0:
            bench.answer(bench.check)
    checks = len(bench.checks)
    bench.request(LOW, use_candidate=True)
    assert bench.agent.selected_pair is None
    assert [one.destination for one in bench.checks[checks:]] == [LOW]
    bench.answer(bench.check)
    assert bench.agent.selected_pair.remote.address == LOW


# ------------------------------------------------------------- what a nomination ends


@pytest.mark.req("RFC8445-100")
def test_a_nomination_ends_all_other_checks_of_the_component():
    bench = Bench(remotes=(HIGH_C, LOW_C, LOWEST_C), hosts=("192.0.2.1", "192.0.2.2"))
    bench.answer(bench.check)
    bench.run(0.16)  # the nomination and two more checks are on their way, two pairs are Waiting or Frozen
    nominating = next(one for one in bench.checks if one.nominates)
    bench.request(LOWEST)  # and one is queued
    assert len(bench.checks) == 4
    bench.answer(nominating)
    assert bench.states() == {("192.0.2.1:4001", "198.51.100.1:5000"): "succeeded"}
    bench.run(3.9)
    assert len(bench.requests) == 4  # no new check, no retransmission
    late = bench.checks[-1]
    bench.answer(late)
    assert selected(bench) == HIGH


def test_a_worse_pair_that_works_stays_but_is_checked_no_more():
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.request(HIGH, use_candidate=True)
    assert bench.states() == {("192.0.2.1:4001", str(HIGH)): "succeeded", ("192.0.2.1:4001", str(LOW)): "succeeded"}
    bench.run(3.9)
    assert len(bench.requests) == 2


# ------------------------------------------------------------- role changes


def test_a_nomination_sent_in_the_old_role_is_void_if_it_fails():
    bench = Bench(remotes=(HIGH_C, LOW_C), tiebreakers=(5,))
    bench.answer(bench.check)
    bench.run(0.05)
    nominating = bench.check
    assert nominating.nominates
    bench.run(0.1)
    bench.answer(bench.check)
    bench.request(LOW, controlling=True, tiebreaker=6)  # the peer controls after all
    assert bench.agent.role.value == "controlled"
    bench.answer(nominating, code=400)
    bench.run(1.0)
    bench.request(LOW, use_candidate=True)
    assert selected(bench) == LOW


def test_a_nomination_that_the_peer_took_counts_though_the_role_changed_meanwhile():
    bench = Bench(remotes=(HIGH_C, LOW_C), tiebreakers=(5,))
    bench.answer(bench.check)
    bench.run(0.05)
    nominating = bench.check
    bench.request(HIGH, controlling=True, tiebreaker=6)
    bench.answer(nominating)
    assert selected(bench) == HIGH


def test_a_nomination_of_the_peers_outweighs_an_answer_to_ours():
    bench = Bench(remotes=(HIGH_C, LOW_C), tiebreakers=(5,))
    bench.run(0.05)
    for check in bench.checks[:2]:
        bench.answer(check)
    bench.run(0.1)
    nominating = bench.check
    assert nominating.nominates and nominating.destination == HIGH
    bench.request(LOW, controlling=True, tiebreaker=6, use_candidate=True)
    assert selected(bench) == LOW
    bench.answer(nominating)
    assert selected(bench) == LOW


def test_a_queued_nomination_does_not_outlive_the_role():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5,))
    bench.answer(bench.check)  # its nomination waits for the next slot
    bench.request(HIGH, controlling=True, tiebreaker=6)
    bench.run(3.9)
    assert len(bench.checks) == 1


def test_who_becomes_controlling_nominates_what_is_valid_already():
    bench = Bench(controlling=False, remotes=(HIGH_C,), tiebreakers=(5,))
    bench.answer(bench.check)
    bench.run(1.0)
    bench.request(HIGH, controlling=False, tiebreaker=5)
    assert bench.agent.role.value == "controlling"
    bench.run(1.1)
    assert nominations(bench) == [(1.0, HIGH)]


def test_a_nomination_remembered_in_the_old_role_fails_nothing_in_the_new_one():
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C), tiebreakers=(5,))
    bench.request(HIGH, use_candidate=True)
    bench.run(0.05)
    triggered = bench.check
    bench.request(LOW, controlling=False, tiebreaker=4)
    bench.answer(triggered, code=400)
    bench.run(0.1)
    bench.answer(bench.check)
    assert bench.check.destination == LOW
    bench.run(0.2)
    assert [path for _, path in nominations(bench)] == [LOW]


def test_two_nominations_of_one_pair_are_never_on_their_way():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5,))
    bench.answer(bench.check)
    bench.run(0.05)
    nominating = bench.check
    bench.request(HIGH, controlling=True, tiebreaker=6)
    bench.request(HIGH, controlling=False, tiebreaker=4)
    assert bench.agent.role.value == "controlling"
    bench.run(0.3)
    assert nominations(bench) == [(0.05, HIGH)]
    bench.answer(nominating, code=487)
    bench.run(0.4)
    assert bench.check.role == "controlled" and not bench.check.nominates


def test_a_nomination_answered_with_487_is_repeated_as_an_ordinary_check():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5, 6))
    bench.answer(bench.check)
    bench.run(0.05)
    bench.answer(bench.check, code=487)
    assert bench.agent.role.value == "controlled" and bench.agent.writable
    bench.run(0.1)
    assert (bench.check.role, bench.check.nominates, bench.check.tiebreaker) == ("controlled", False, 6)
    bench.answer(bench.check)
    bench.request(HIGH, use_candidate=True)
    assert selections(bench) == [(0.1, HIGH)]


def test_priorities_of_nominated_pairs_are_those_of_the_valid_pairs():
    # The peer behind a symmetric NAT sees what it nominates as pairs of its own reflexive candidates; so do we.
    early = candidate_priority(CandidateType.PEER_REFLEXIVE, 65535, 1)
    bench = Bench(controlling=False, remotes=(), options=BEFORE_8445, complete=False)
    bench.request(HIGH, use_candidate=True, priority=early - 256)
    bench.request(LOW, use_candidate=True, priority=early)
    bench.run(0.05)
    first, second = bench.checks
    bench.answer(second)
    bench.answer(first)
    assert selected(bench) == LOW
