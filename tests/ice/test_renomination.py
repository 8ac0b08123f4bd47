"""Renomination: what two agents make of it once both offer it (draft-thatcher-ice-renomination)."""

import itertools

import pytest

from ice import _tcp_bench as tcp_bench
from ice._session import LOST, ONE, STRANGER, Two, states
from ice._wire import Bench, at, candidate
from sansice.ice import (
    CandidateType,
    Choice,
    ConsentExpired,
    IceConfig,
    IceState,
    Nomination,
    NominationRefused,
    PairSelected,
    PairState,
)
from sansice.ice._nomination import MAX_NOMINATION
from sansice.machine import LocalProtocolError, SocketId
from sansice.simulation._exploration._endless import bounded
from sansice.stun import ERROR_CODE, MessageClass

HIGH, LOW, THIRD = at("198.51.100.1"), at("198.51.100.2"), at("198.51.100.3")
HIGH_C = candidate("198.51.100.1", preference=300)
LOW_C = candidate("198.51.100.2", preference=200, foundation="r2")
THIRD_C = candidate("198.51.100.3", preference=100, foundation="r3")
OFFERED = ("ice2", "renomination")
MOVING = Nomination(renominate=True)


def bench_of(*remotes, controlling=True, nomination=MOVING, options=OFFERED, **more):
    return Bench(remotes=remotes, controlling=controlling, nomination=nomination, options=options, **more)


def controlling(*remotes, first=HIGH, **more):
    """An agent that has selected the pair to ``first``, at 0.3 at the latest, with all the others valid too."""
    bench = bench_of(*remotes, **more)
    bench.run(0.05 * len(remotes))
    for check in bench.checks:
        if check.destination == first:
            bench.answer(check)
    bench.run(0.3)
    bench.answer(next(one for one in bench.checks if one.nominates))
    for check in bench.checks:
        if check.destination != first:
            bench.answer(check)
    assert selected(bench) == first
    return bench


def controlled(*remotes, **more):
    """An agent whose pairs are all valid; nothing is nominated."""
    bench = bench_of(*remotes, controlling=False, **more)
    bench.run(0.05 * len(remotes))
    for check in bench.checks:
        bench.answer(check)
    return bench


def selected(bench):
    pair = bench.agent.selected_pair
    return None if pair is None else pair.remote.address


def selections(bench):
    return [(when, event.pair.remote.address) for when, event in bench.events if isinstance(event, PairSelected)]


def nominations(bench):
    return [(one.at, one.destination, one.number) for one in bench.checks if one.nominates]


def answering(bench, until, *alive, answered=None):
    """Let time pass, and answer at once what is sent to the ``alive`` ones."""
    answered = set() if answered is None else answered
    while True:
        for check in bench.checks:
            if check.destination in alive and check.data not in answered:
                answered.add(check.data)
                bench.answer(check)
        if bench.agent.deadline() > until + 1e-9:
            break
        bench.run(bench.agent.deadline())
    bench.run(until)


# What is agreed


def test_renomination_is_offered_by_who_wants_it_only():
    assert Bench(known=False).agent.local_description.options == ("ice2",)
    assert Bench(known=False, nomination=MOVING).agent.local_description.options == OFFERED


@pytest.mark.req("RFC8445-098", "RFC8445-100")
@pytest.mark.parametrize(("policy", "options"), [(MOVING, ("ice2",)), (Nomination(), OFFERED)])
def test_without_the_offer_of_both_the_first_nomination_is_the_last(policy, options):
    bench = bench_of(HIGH_C, LOW_C, nomination=policy, options=options)
    bench.run(0.05)
    bench.answer(bench.check)
    bench.run(0.2)
    nominating = bench.check
    assert (nominating.nominates, nominating.number, nominating.destination) == (True, None, LOW)
    bench.answer(nominating)
    assert bench.states() == {("192.0.2.1:4001", str(LOW)): "succeeded"}
    bench.request(HIGH)
    answering(bench, 60.0, LOW, HIGH)
    assert selections(bench) == [(0.2, LOW)]


def test_the_first_nomination_is_numbered_and_has_use_candidate_too():
    bench = bench_of(HIGH_C)
    bench.answer(bench.check)
    bench.run(0.05)
    assert nominations(bench) == [(0.05, HIGH, 1)]


# The controlling agent moves


def test_a_better_pair_that_is_found_later_is_moved_to_when_the_choice_has_stood_for_a_while():
    bench = bench_of(HIGH_C, LOW_C)
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    bench.run(0.2)
    bench.answer(bench.check)
    assert selections(bench) == [(0.2, LOW)]
    bench.run(1.0)
    bench.answer(better)  # its check went on, though another pair was nominated
    bench.run(3.25)
    assert nominations(bench) == [(0.15, LOW, 1), (3.2, HIGH, 2)]
    assert selected(bench) == LOW
    bench.answer(bench.check)
    assert selections(bench) == [(0.2, LOW), (3.25, HIGH)]
    assert [pair.remote.address for pair in bench.agent.pairs if pair.nominated] == [HIGH]
    answering(bench, 60.0, HIGH, LOW)
    assert len(nominations(bench)) == 2
    assert bench.agent.state is IceState.COMPLETED


def test_a_candidate_that_is_trickled_after_completion_may_be_moved_to():
    bench = controlling(LOW_C, first=LOW, complete=False)
    bench.run(10.0)
    bench.call(bench.agent.add_remote_candidate, HIGH_C)
    answering(bench, 12.0, LOW, HIGH)
    assert selected(bench) == HIGH


def test_data_follows_the_move():
    bench = controlling(HIGH_C, LOW_C, first=LOW)
    bench.call(bench.agent.send, b"data" * 5)
    assert bench.sent[-1].destination == LOW
    answering(bench, 4.0, HIGH, LOW)
    bench.call(bench.agent.send, b"data" * 5)
    assert bench.sent[-1].destination == HIGH


@pytest.mark.parametrize("consent", [True, False])
def test_pairs_beside_the_one_in_use_are_checked_at_the_pace_of_keepalives(consent):
    bench = controlling(HIGH_C, LOW_C, config=IceConfig(consent=consent))
    began = bench.now
    answering(bench, 100.0, HIGH, LOW)
    kept = [one.at for one in bench.requests if one.destination == LOW and one.at > began]
    assert kept == pytest.approx([began + 15.0 * n for n in range(1, 7)], abs=0.06)


def test_no_more_pairs_are_kept_than_the_policy_says():
    many = [candidate(f"198.51.100.{n}", preference=300 - n, foundation=f"r{n}") for n in range(1, 9)]
    bench = controlling(*many, nomination=Nomination(renominate=True, max_kept=2))
    began = bench.now
    answering(bench, began + 15.5, *[one.address for one in many])
    kept = [one.destination.host for one in bench.requests if one.at > began + 6 and one.destination != HIGH]
    assert kept == ["198.51.100.2", "198.51.100.3"]


def test_sockets_stay_open_that_may_be_moved_to():
    bench = controlling(HIGH_C, hosts=("192.0.2.1", "192.0.2.2"))
    answering(bench, 60.0, HIGH)
    assert bench.closed == []


# The pair in use dies


def test_when_the_pair_in_use_falls_silent_a_living_one_is_moved_to_within_seconds():
    bench = controlling(HIGH_C, LOW_C)
    answering(bench, 6.0, HIGH, LOW)
    assert bench.checks[-1].at == 4.1
    answering(bench, 30.0, LOW)
    # Dead since 4.1 at the least: asked at 8.1, late at 8.6, all are checked; judged after three transmissions, at 10.6.
    assert nominations(bench)[-1] == (pytest.approx(10.6, abs=0.06), LOW, 2)
    assert selected(bench) == LOW
    assert bench.agent.state is IceState.COMPLETED
    assert bench.heard(ConsentExpired) == []
    answering(bench, 200.0, LOW)
    assert len(nominations(bench)) == 2  # the dead one has the higher priority, and is not gone back to
    assert bench.state(HIGH) != "succeeded"


def test_one_lost_consent_check_moves_nobody():
    bench = controlling(HIGH_C, LOW_C)
    bench.run(8.55)  # consent checks of 4.1 and 8.1 are lost, those for the judgement are not
    answering(bench, 60.0, HIGH, LOW, answered={one.data for one in bench.checks})
    assert len(nominations(bench)) == 1
    assert selected(bench) == HIGH


def test_where_nobody_lives_nobody_is_nominated_and_consent_ends_as_ever():
    bench = controlling(HIGH_C, LOW_C)
    bench.run(100.0)
    assert len(nominations(bench)) == 1
    assert [when for when, event in bench.events if isinstance(event, ConsentExpired)] == [30.3]
    assert states(bench)[-1] == (30.3, "failed")


def test_a_pair_that_answers_only_after_the_judgement_is_moved_to_then():
    bench = controlling(HIGH_C, LOW_C)
    bench.run(20.0)
    answering(bench, 25.0, LOW)
    assert selected(bench) == LOW
    assert bench.agent.state is IceState.COMPLETED


def test_a_pair_that_failed_is_tried_once_in_a_while_and_may_be_gone_back_to():
    bench = controlling(HIGH_C, LOW_C)
    answering(bench, 6.0, HIGH, LOW)
    answering(bench, 60.0, LOW)
    assert selected(bench) == LOW
    tries = [one.at for one in bench.checks if one.destination == HIGH and one.at > 12.0]
    assert len(tries) == 1
    assert tries[0] == pytest.approx(8.6 + 39.5, abs=0.1)  # when the check of the judgement has failed
    answering(bench, 120.0, LOW, HIGH)
    assert selected(bench) == HIGH


def test_pairs_that_failed_are_tried_one_at_a_time():
    bench = controlling(HIGH_C, LOW_C, THIRD_C)
    answering(bench, 200.0, HIGH)
    tried = [one.at for one in bench.checks if one.destination != HIGH and one.at > 100.0]
    assert len(tried) >= 2
    assert all(later - earlier >= 39.5 for earlier, later in itertools.pairwise(tried))


def test_of_pairs_that_failed_one_that_has_worked_is_tried_before_one_that_never_has():
    bench = bench_of(HIGH_C, LOW_C, THIRD_C)
    answering(bench, 6.0, HIGH, THIRD)
    answering(bench, 300.0, HIGH)
    tried = [one.destination for one in bench.checks if one.destination != HIGH and one.at > 100.0]
    assert len(tried) >= 3 and set(tried) == {THIRD}


def test_a_path_that_dies_is_left_though_it_was_slow():
    bench = controlling(HIGH_C, LOW_C)
    answered = set()
    while bench.now < 50.0:
        for check in bench.checks:
            is_time = check.destination == LOW or check.at + 2.0 <= bench.now < 20.0
            if is_time and check.data not in answered:
                answered.add(check.data)
                bench.answer(check)
        bench.run(bench.now + 0.25)
    assert selected(bench) == LOW
    assert bench.agent.state is IceState.COMPLETED and bench.heard(ConsentExpired) == []


def test_what_was_in_doubt_is_forgotten_when_it_has_failed():
    bench = controlling(HIGH_C, LOW_C)
    answering(bench, 100.0, LOW)
    assert selected(bench) == LOW
    assert bench.agent._streams[0].checker.conclusions[0].mover._doubted == {}


def test_the_way_back_is_taken_when_the_better_pair_lives_again():
    bench = controlling(HIGH_C, LOW_C)
    bench.run(12.0)
    answering(bench, 20.0, LOW)
    assert selected(bench) == LOW
    answering(bench, 60.0, LOW, HIGH)
    assert selected(bench) == HIGH


def test_when_the_socket_in_use_dies_data_goes_on_at_once_and_another_pair_is_nominated():
    bench = controlling(HIGH_C, hosts=("192.0.2.1", "192.0.2.2"))
    used = bench.agent.selected_pair.local.address.port - 4000
    other = 3 - used
    bench.run(2.0)
    bench.call(bench.agent.handle_socket_failed, SocketId(used), LOST)
    assert bench.agent.selected_pair is None
    bench.call(bench.agent.send, b"data" * 5)
    assert next(one for one in reversed(bench.sent) if one.data == b"data" * 5).socket == other
    answering(bench, 2.5, HIGH, answered={one.data for one in bench.checks if one.at < 2.0})
    assert bench.agent.selected_pair.local.address.port == 4000 + other
    assert nominations(bench)[-1] == (2.0, HIGH, 2)
    assert bench.agent.state is IceState.COMPLETED


def test_an_agent_that_has_lost_its_last_socket_waits_for_another_as_long_as_for_consent():
    bench = controlling(HIGH_C)
    bench.run(2.0)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert bench.agent.state is IceState.CHECKING and not bench.agent.writable
    bench.run(31.9)
    assert bench.agent.state is IceState.CHECKING
    bench.run(32.0)
    assert bench.agent.state is IceState.FAILED


def test_a_socket_that_is_not_in_use_may_die():
    bench = controlling(HIGH_C, hosts=("192.0.2.1", "192.0.2.2"))
    unused = 3 - (bench.agent.selected_pair.local.address.port - 4000)
    bench.call(bench.agent.handle_socket_failed, SocketId(unused), LOST)
    assert bench.agent.state is IceState.COMPLETED and selected(bench) == HIGH


def test_pairs_of_a_socket_that_is_gone_are_forgotten():
    bench = controlling(HIGH_C, hosts=("192.0.2.1", "192.0.2.2"))
    bench.request(STRANGER, socket=1)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert bench.states() == {("192.0.2.2:4002", str(HIGH)): "succeeded"}
    assert [remote.address for remote in bench.agent.remote_candidates] == [HIGH]


def discovered(bench):
    return [remote.address for remote in bench.agent.remote_candidates if remote.type is CandidateType.PEER_REFLEXIVE]


def test_a_discovered_address_is_known_for_as_long_as_one_of_its_pairs_is():
    bench = controlling(HIGH_C, hosts=("192.0.2.1", "192.0.2.2"))
    for socket in (1, 2):
        bench.request(STRANGER, socket=socket)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert discovered(bench) == [STRANGER]
    bench.call(bench.agent.handle_socket_failed, SocketId(2), LOST)
    assert discovered(bench) == []


@pytest.mark.parametrize(("has_worked", "tries"), [(False, 1), (True, 2)])
def test_a_discovered_address_that_is_silent_is_given_up_and_found_again_when_it_speaks(has_worked, tries):
    bench = controlling(HIGH_C)
    answered = {one.data for one in bench.checks}
    bench.request(STRANGER)
    answering(bench, 1.0, HIGH, *([STRANGER] if has_worked else []), answered=answered)
    before = len([one for one in bench.checks if one.destination == STRANGER]) - (not has_worked)
    answering(bench, 200.0, HIGH, answered=answered)
    assert len([one for one in bench.checks if one.destination == STRANGER]) - before == tries
    assert discovered(bench) == []
    bench.request(STRANGER)
    answering(bench, 201.0, HIGH, STRANGER, answered=answered)
    assert bench.states()["192.0.2.1:4001", str(STRANGER)] == "succeeded"


@pytest.mark.req("RFC7675-016")
def test_a_discovered_address_where_consent_was_lost_is_not_found_again():
    bench = controlled(LOW_C)
    answered = {one.data for one in bench.checks}
    bench.request(STRANGER, nomination=1)
    answering(bench, 0.2, LOW, STRANGER, answered=answered)
    assert selected(bench) == STRANGER
    answering(bench, 32.0, LOW, answered=answered)
    assert len(bench.heard(ConsentExpired)) == 1
    bench.request(LOW, nomination=2)
    answering(bench, 200.0, LOW, answered=answered)
    bench.request(STRANGER, nomination=3)
    answering(bench, 300.0, LOW, STRANGER, answered=answered)
    assert [one for one in bench.requests if one.destination == STRANGER and one.at > 32.0] == []


def test_a_nomination_that_is_not_answered_in_time_gives_way_to_another():
    bench = controlling(HIGH_C, LOW_C, THIRD_C)
    bench.run(10.3)
    answering(bench, 10.45, LOW, THIRD)
    bench.run(10.55)
    assert nominations(bench)[-1][1:] == (LOW, 2)
    answering(bench, 20.0, THIRD)
    assert nominations(bench)[-1][1:] == (THIRD, 3)
    assert selected(bench) == THIRD


def test_what_the_peer_may_have_followed_unheard_is_undone_by_a_higher_number():
    policy = Nomination(renominate=True, choose=lambda nominees, now: None)
    bench = bench_of(HIGH_C, LOW_C, nomination=policy)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    high, low = bench.agent.pairs
    bench.call(bench.agent.nominate, high)
    bench.run(0.1)
    bench.answer(bench.check)
    assert selected(bench) == HIGH
    bench.run(1.0)
    bench.call(bench.agent.nominate, low)
    lost = bench.check
    assert (lost.destination, lost.number) == (LOW, 2)
    answering(bench, 10.0, HIGH)  # the peer got it, and its answers are lost
    assert nominations(bench)[-1] == (pytest.approx(3.0, abs=0.06), HIGH, 3)
    assert selected(bench) == HIGH
    assert len(nominations(bench)) == 3


def test_a_nomination_that_was_answered_from_elsewhere_may_have_been_followed_and_is_undone():
    policy = Nomination(renominate=True, choose=lambda nominees, now: None)
    bench = bench_of(HIGH_C, LOW_C, nomination=policy)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    high, low = bench.agent.pairs
    bench.call(bench.agent.nominate, high)
    bench.run(0.1)
    bench.answer(bench.check)
    bench.call(bench.agent.nominate, low)
    bench.run(0.2)
    bench.answer(bench.check, source=THIRD)
    bench.run(0.3)
    assert nominations(bench)[-1][1:] == (HIGH, 3)
    bench.answer([one for one in bench.checks if one.nominates][-1])
    bench.run(4.0)
    assert len(nominations(bench)) == 3


def test_an_answer_that_comes_late_is_followed_unless_a_later_nomination_was():
    policy = Nomination(renominate=True, choose=lambda nominees, now: None)
    bench = bench_of(HIGH_C, LOW_C, THIRD_C, nomination=policy)
    bench.run(0.1)
    for check in bench.checks:
        bench.answer(check)
    high, low, third = bench.agent.pairs
    sent = []
    for pair in (high, low, third):
        bench.call(bench.agent.nominate, pair)
        bench.run(bench.now + 0.05)
        sent.append(bench.check)
    assert [one.number for one in sent] == [1, 2, 3]
    bench.answer(sent[1])
    assert selected(bench) == LOW
    bench.answer(sent[0])
    assert selected(bench) == LOW
    bench.answer(sent[2])
    assert selected(bench) == THIRD


# By round trip times


def with_rtt(bench, until, **rtts):
    """Let time pass; ``rtts`` says how long an answer of each remote takes."""
    by_address = {HIGH: rtts["high"], LOW: rtts["low"]}
    pending = []
    seen = {one.data for one in bench.checks}
    while True:
        for check in bench.checks:
            if check.data not in seen and check.destination in by_address:
                seen.add(check.data)
                pending.append((check.at + by_address[check.destination], check))
        pending.sort(key=lambda one: one[0])
        due = min(bench.agent.deadline(), pending[0][0] if pending else until + 1)
        if due > until:
            break
        bench.run(due)
        while pending and pending[0][0] <= bench.now:
            bench.answer(pending.pop(0)[1])
    bench.run(until)


def test_by_time_the_pair_that_answers_sooner_is_moved_to_and_stays():
    bench = controlling(HIGH_C, LOW_C, nomination=Nomination(renominate=True, prefer_rtt=True))
    with_rtt(bench, 60.0, high=0.3, low=0.05)
    assert selections(bench)[-1][1] == LOW
    with_rtt(bench, 300.0, high=0.3, low=0.05)
    assert len(selections(bench)) == 2


def test_by_time_nothing_moves_for_a_little():
    bench = controlling(HIGH_C, LOW_C, nomination=Nomination(renominate=True, prefer_rtt=True))
    with_rtt(bench, 300.0, high=0.3, low=0.27)
    assert len(selections(bench)) == 1


# The application's own policy


def test_a_policy_of_the_application_sees_valid_pairs_only_and_is_asked_again_when_it_wants():
    asked = []

    def choose(nominees, now):
        asked.append((now, [one.pair.remote.address for one in nominees], [one.selected for one in nominees]))
        return Choice(nominees[-1], at=2.0)

    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(choose=choose), options=("ice2",))
    bench.run(0.05)
    bench.answer(bench.checks[1])
    bench.run(1.0)
    assert nominations(bench) == []
    assert asked[-1][1:] == ([LOW], [False])
    bench.run(2.0)
    assert nominations(bench) == [(2.0, LOW, None)]
    bench.answer(bench.check)
    count = len(asked)
    bench.run(30.0)
    assert len(asked) == count  # what is nominated once is nominated for good


def test_a_policy_of_the_application_is_asked_after_the_selection_where_renomination_is_agreed():
    wanted = [HIGH]

    def choose(nominees, now):
        return next((Choice(one) for one in nominees if one.pair.remote.address == wanted[0]), None)

    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(renominate=True, choose=choose))
    answering(bench, 1.0, HIGH, LOW)
    assert selected(bench) == HIGH
    wanted[0] = LOW
    answering(bench, 20.0, HIGH, LOW)
    assert selected(bench) == LOW


def test_a_policy_that_waits_with_its_next_choice_is_asked_again_then():
    def choose(nominees, now):
        return Choice(nominees[-1], at=7.0) if nominees[0].selected else Choice(nominees[0])

    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(renominate=True, choose=choose))
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    answering(bench, 6.9, HIGH, LOW)
    assert selected(bench) == HIGH
    answering(bench, 7.1, HIGH, LOW)
    assert (7.0, LOW) in [(when, path) for when, path, _ in nominations(bench)]


def test_a_policy_that_chooses_what_it_was_not_shown_is_told():
    made = []

    def choose(nominees, now):
        made.extend(nominees)
        return Choice(type(nominees[0])(pair=nominees[0].pair, rtt=99.0))

    bench = bench_of(HIGH_C, nomination=Nomination(choose=choose))
    with pytest.raises(LocalProtocolError, match="what it was not shown"):
        bench.answer(bench.check)


def test_the_policys_own_waits_take_the_place_of_the_configurations():
    policy = Nomination(acceptance_waits={CandidateType.HOST: 1.0})
    bench = bench_of(HIGH_C, LOW_C, nomination=policy)
    bench.run(0.05)
    bench.answer(bench.check)
    bench.run(2.0)
    assert [(when, path) for when, path, _ in nominations(bench)] == [(1.05, LOW)]


# By command


def test_the_application_nominates_a_pair_that_is_valid():
    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(choose=lambda nominees, now: None), options=("ice2",))
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.run(5.0)
    assert nominations(bench) == []
    low = next(pair for pair in bench.agent.pairs if pair.remote.address == LOW)
    bench.call(bench.agent.nominate, low)
    bench.answer(bench.check)
    assert selected(bench) == LOW


def test_the_application_may_change_its_mind_before_the_nomination_leaves():
    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(renominate=True, choose=lambda nominees, now: None))
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    checks = len(bench.checks)
    for where in (HIGH, LOW):
        bench.call(bench.agent.nominate, next(pair for pair in bench.agent.pairs if pair.remote.address == where))
    bench.run(1.0)
    assert [(one.destination, one.nominates) for one in bench.checks[checks:]] == [(LOW, True)]


@pytest.mark.req("RFC8445-098")
def test_a_second_nomination_by_command_is_refused_without_renomination():
    bench = bench_of(HIGH_C, LOW_C, nomination=Nomination(choose=lambda nominees, now: None), options=("ice2",))
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    high, low = bench.agent.pairs
    bench.call(bench.agent.nominate, low)
    bench.run(0.1)
    for _ in ("on its way", "selected"):
        with pytest.raises(LocalProtocolError, match="renomination"):
            bench.call(bench.agent.nominate, high)
        bench.answer(bench.check)
    assert [path for _, path, _ in nominations(bench)] == [LOW]


def test_what_cannot_be_nominated_is_refused():
    bench = bench_of(HIGH_C, LOW_C)
    bench.answer(bench.check)
    failed = next(pair for pair in bench.agent.pairs if pair.remote.address == LOW)
    with pytest.raises(LocalProtocolError, match="is not valid"):
        bench.call(bench.agent.nominate, failed)
    with pytest.raises(LocalProtocolError, match="a CandidatePair, not 'x'"):
        bench.call(bench.agent.nominate, "x")
    with pytest.raises(LocalProtocolError, match="there is no stream 1"):
        bench.call(bench.agent.nominate, failed, stream=1)
    other = candidate("192.0.2.1", 4001, component=2)
    with pytest.raises(LocalProtocolError, match="no component 2"):
        bench.call(bench.agent.nominate, type(failed)(other, LOW_C, 1, PairState.SUCCEEDED, False))
    bench = controlled(HIGH_C)
    with pytest.raises(LocalProtocolError, match="this agent is controlled"):
        bench.call(bench.agent.nominate, bench.agent.pairs[0])


# The controlled agent follows


def test_the_nomination_with_the_highest_number_is_followed():
    bench = controlled(HIGH_C, LOW_C)
    for number, source in [(1, HIGH), (2, LOW), (5, HIGH), (9, LOW)]:
        bench.request(source, use_candidate=True, nomination=number)
        assert selected(bench) == source
    assert len(selections(bench)) == 4


@pytest.mark.parametrize("number", [1, 4, 5])
def test_a_nomination_that_does_not_go_up_is_answered_and_not_followed(number):
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=5)
    answer = bench.request(LOW, use_candidate=True, nomination=number)
    assert answer.message_class is MessageClass.SUCCESS
    assert selected(bench) == HIGH


def answered_in_another_role(*meanwhile):
    """An agent whose first nomination, of the pair to `HIGH`, is answered after it has lost the role and was nominated these."""
    bench = bench_of(HIGH_C, LOW_C, tiebreakers=(1,))
    bench.run(0.05)
    bench.agent._streams[0].checker.conclusions[0].mover.number = 6  # it has nominated before
    for check in list(bench.checks):
        bench.answer(check)
    bench.run(0.1)
    (nomination,) = [one for one in bench.checks if one.nominates]
    assert (nomination.destination, nomination.number) == (HIGH, 7)
    bench.request(LOW, controlling=True, tiebreaker=2)
    assert bench.agent.role.value == "controlled"
    for number in meanwhile:
        bench.request(LOW, use_candidate=True, nomination=number)
    bench.answer(nomination)
    return bench


def test_a_number_of_ours_that_is_answered_after_the_roles_have_changed_does_not_bind_the_peers():
    bench = answered_in_another_role()
    assert selected(bench) == HIGH
    bench.request(LOW, use_candidate=True, nomination=1)
    assert selected(bench) == LOW
    bench.request(HIGH, use_candidate=True, nomination=1)
    assert selected(bench) == LOW


def test_what_the_peer_nominates_after_the_roles_have_changed_is_not_undone_by_an_answer_to_ours():
    bench = answered_in_another_role(1)
    assert selected(bench) == LOW


def test_a_plain_nomination_does_not_undo_a_numbered_one():
    bench = controlled(HIGH_C, LOW_C, options=("renomination",))
    bench.request(LOW, nomination=5)
    bench.request(HIGH, use_candidate=True)
    assert selected(bench) == LOW


def test_a_numbered_nomination_is_followed_though_it_was_not_agreed_on():
    bench = controlled(HIGH_C, LOW_C, nomination=Nomination(), options=())
    bench.request(HIGH, nomination=1)
    bench.request(LOW, nomination=2)
    assert selected(bench) == LOW


def test_of_nominations_that_wait_for_their_checks_the_highest_counts_in_any_order():
    for order in ((HIGH, LOW), (LOW, HIGH)):
        bench = bench_of(HIGH_C, LOW_C, controlling=False)
        bench.run(0.05)
        bench.request(HIGH, nomination=7)
        bench.request(LOW, nomination=6)
        bench.run(0.2)
        triggered = {one.destination: one for one in bench.checks}
        for remote in order:
            bench.answer(triggered[remote])
        assert selected(bench) == HIGH


def test_a_replayed_nomination_from_elsewhere_makes_no_pair_and_no_check():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=3)
    pairs, checks = bench.agent.pairs, len(bench.checks)
    for _ in range(100):
        bench.request(STRANGER, nomination=3)
    bench.run(1.0)
    assert selected(bench) == HIGH
    assert len(bench.agent.pairs) == len(pairs) + 1  # as by any authentic check: it is looked at, and not nominated
    assert len(bench.checks) <= checks + 2
    for check in bench.checks[checks:]:
        assert check.destination == STRANGER
        bench.answer(check)
    assert selected(bench) == HIGH


def test_a_replayed_number_makes_no_pair_at_all_where_renomination_was_not_agreed_on():
    bench = controlled(HIGH_C, LOW_C, options=("ice2",))
    bench.request(HIGH, nomination=3)
    pairs, checks = bench.agent.pairs, len(bench.checks)
    for number in (2, 3):
        bench.request(STRANGER, nomination=number)
    bench.run(1.0)
    assert bench.agent.pairs == pairs and len(bench.checks) == checks


def test_a_peer_that_renominates_a_thousand_times_is_followed_and_grows_nothing():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    deadline, pairs = bench.agent.deadline(), len(bench.agent.pairs)
    checks = len(bench.checks)
    for number in range(2, 1002):
        bench.request(LOW if number % 2 == 0 else HIGH, nomination=number)
    assert len(selections(bench)) == 1001
    assert (bench.agent.deadline(), len(bench.agent.pairs), len(bench.checks)) == (deadline, pairs, checks)


def test_a_peer_that_moves_every_second_is_asked_for_consent_all_the_same():
    bench = controlled(HIGH_C, LOW_C)
    number = 0
    while bench.now < 120.0:
        number += 1
        bench.request((HIGH, LOW)[number % 2], nomination=number)
        answering(bench, bench.now + 1.0, HIGH, LOW)
    moments = [round(0.1 + 4.0 * n, 2) for n in range(1, 30)]
    assert [moment for moment in moments if moment not in {one.at for one in bench.requests}] == []
    assert bench.heard(ConsentExpired) == []
    assert bench.agent.state is IceState.COMPLETED


def test_the_highest_number_of_all_is_followed_and_then_nothing_can_be_higher():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=2**32 - 1)
    assert selected(bench) == HIGH
    bench.request(LOW, nomination=2**32 - 1)
    assert selected(bench) == HIGH


def test_a_controlled_agent_keeps_pairs_too_and_nominates_none():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    answering(bench, 40.0, HIGH, LOW)
    assert [one.at for one in bench.requests if one.destination == LOW and one.at > 1.0] == pytest.approx(
        [15.05, 30.05], abs=0.06
    )
    assert nominations(bench) == []


@pytest.mark.req("RFC7675-016")
def test_a_pair_whose_consent_was_lost_is_never_tried_again():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    answering(bench, 31.0, LOW)
    assert len(bench.heard(ConsentExpired)) == 1
    answering(bench, 200.0, LOW)
    bench.request(HIGH, nomination=2)
    answering(bench, 300.0, LOW)
    assert [one for one in bench.requests if one.destination == HIGH and one.at > 31.0] == []
    assert bench.agent.writable


def test_a_controlled_agent_whose_consent_ends_goes_on_where_somebody_lives_and_follows():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    answering(bench, 31.0, LOW)
    assert [event.revoked for event in bench.heard(ConsentExpired)] == [False]
    assert bench.agent.state is not IceState.FAILED
    bench.call(bench.agent.send, b"data" * 5)
    assert bench.sent[-1].destination == LOW
    bench.request(LOW, nomination=2)
    assert selected(bench) == LOW
    assert bench.agent.state is IceState.COMPLETED


def test_a_controlled_agent_that_nobody_nominates_for_sends_where_somebody_answers():
    bench = controlled(HIGH_C, LOW_C, hosts=("192.0.2.1", "192.0.2.2"))
    answering(bench, 1.0, HIGH, LOW)
    bench.request(HIGH, nomination=1)
    bench.call(bench.agent.handle_socket_failed, ONE, LOST)
    assert bench.agent.state is IceState.DISCONNECTED and bench.agent.selected_pair is None
    answered = {one.data for one in bench.checks if one.socket == ONE}
    answering(bench, 2.0, LOW, answered=answered)
    assert bench.agent.state is IceState.CONNECTED
    assert destination_of_data(bench) == LOW  # though the other one has the higher priority
    answering(bench, 5.0, HIGH, LOW, answered=answered)
    assert destination_of_data(bench) == HIGH
    answering(bench, 40.0, LOW, answered=answered)
    assert [event.revoked for event in bench.heard(ConsentExpired)] == [False]
    assert destination_of_data(bench) == LOW


def destination_of_data(bench):
    bench.call(bench.agent.send, b"data" * 5)
    return bench.sent[-1].destination


def test_a_nomination_of_a_pair_that_seems_dead_is_followed_when_a_check_was_answered():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    answering(bench, 17.0, HIGH)  # the other is asked once in a while, and is silent
    bench.request(LOW, nomination=2)
    assert selected(bench) == HIGH
    answering(bench, 18.0, HIGH)
    assert selected(bench) == HIGH
    answering(bench, 60.0, HIGH, LOW)
    assert selected(bench) == LOW


def test_a_nomination_of_a_pair_that_seems_dead_is_followed_at_once_where_the_one_in_use_seems_dead_as_well():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    bench.run(17.0)
    bench.request(LOW, nomination=2)
    assert selected(bench) == LOW


def test_a_suspicion_that_was_groundless_is_forgotten_by_a_controlled_agent_too_and_the_next_one_is_looked_into():
    bench = controlled(HIGH_C, LOW_C)
    bench.request(HIGH, nomination=1)
    answered = set()
    for began in (0.0, 20.0):
        bench.run(began + 6.0)
        answered.update(one.data for one in bench.checks)
        before = len([one for one in bench.checks if one.destination == LOW])
        answering(bench, began + 20.0, HIGH, LOW, answered=answered)
        assert len([one for one in bench.checks if one.destination == LOW]) > before or before > 1
        assert bench.agent.state is IceState.COMPLETED
    asked = [one.at for one in bench.checks if one.destination == LOW and one.at > 1.0]
    assert [sum(began < at < began + 10.0 for at in asked) for began in (0.0, 20.0)] == [1, 1]


def test_a_better_pair_that_was_answered_long_ago_is_checked_before_it_is_nominated():
    policy = Nomination(renominate=True, settle=10.0)
    bench = controlling(HIGH_C, LOW_C, first=LOW, nomination=policy)
    answering(bench, 11.0, LOW)
    assert len(nominations(bench)) == 1
    asked = [one for one in bench.checks if one.destination == HIGH][-1]
    assert asked.at == pytest.approx(10.3, abs=0.1) and not asked.nominates
    answered = {one.data for one in bench.checks}
    bench.answer(asked)
    answering(bench, 12.0, LOW, HIGH, answered=answered)
    assert selected(bench) == HIGH


def test_consent_that_ends_on_a_connection_that_was_lost_before_ends_once_and_data_goes_on_elsewhere():
    one, other = tcp_bench.remote(), tcp_bench.remote(host=LOW.host, preference=5 << 13, foundation="r2")
    bench = tcp_bench.TcpBench(tcp_bench.ACTIVE, controlling=False, remotes=(one, other), nomination=MOVING, offered=OFFERED)
    used = bench.connect()
    bench.run(0.05)
    beside = bench.connect()
    answering(bench, 0.2, one.address, other.address)
    bench.request(one.address, socket=used, nomination=1)
    bench.feed(used, b"")
    bench.fail(bench.opened[-1].socket)
    bounded(lambda: answering(bench, 45.0, other.address))
    assert [event.revoked for event in bench.heard(ConsentExpired)] == [False]
    bench.call(bench.agent.send, b"data" * 5)
    assert (bench.sent[-1].socket, bench.sent[-1].data) == (beside, b"data" * 5)


def test_revocation_ends_the_session_whatever_else_lives():
    bench = controlling(HIGH_C, LOW_C)
    bench.run(4.1)
    bench.answer(bench.check, code=403)
    assert bench.agent.state is IceState.FAILED


def test_a_number_of_our_own_does_not_stand_against_the_peers_once_it_controls():
    bench = controlling(HIGH_C, LOW_C, tiebreakers=(5,))
    bench.request(LOW, controlling=True, tiebreaker=6, nomination=1)
    assert bench.agent.role.value == "controlled"
    assert selected(bench) == LOW


def test_numbers_end_and_with_them_the_moves():
    bench = controlling(HIGH_C, LOW_C, first=LOW)
    bench.agent._streams[0].checker.conclusions[0].mover.number = MAX_NOMINATION
    answering(bench, 60.0, HIGH, LOW)
    assert selected(bench) == LOW


def test_an_early_nomination_keeps_its_number():
    bench = bench_of(known=False, controlling=False)
    bench.request(HIGH, nomination=7)
    bench.request(HIGH)
    bench.tell(HIGH_C, LOW_C, options=OFFERED)
    bench.run(0.1)
    for check in bench.checks:
        bench.answer(check)
    assert selected(bench) == HIGH
    bench.request(LOW, nomination=6)
    assert selected(bench) == HIGH


# A policy may refuse


@pytest.mark.req("RFC8445-095")
def test_a_nomination_that_the_policy_refuses_is_answered_with_400_and_has_no_consequence():
    policy = Nomination(accept=lambda nominee: nominee.pair.remote.address != LOW)
    bench = controlled(HIGH_C, LOW_C, nomination=policy, options=("ice2",))
    for _ in range(3):
        answer = bench.request(LOW, use_candidate=True)
        assert answer.message_class is MessageClass.ERROR and answer.get(ERROR_CODE).code == 400
        assert answer.has_integrity
    assert selected(bench) is None
    assert [(event.pair.remote.address, event.by_peer) for event in bench.heard(NominationRefused)] == [(LOW, False)]
    assert bench.dropped() == {"REFUSED_NOMINATION": 3}
    assert bench.request(LOW).message_class is MessageClass.SUCCESS
    bench.request(HIGH, use_candidate=True)
    assert selected(bench) == HIGH


@pytest.mark.req("RFC8445-095")
def test_a_nomination_from_a_new_address_may_be_refused_and_leaves_no_trace():
    policy = Nomination(accept=lambda nominee: nominee.pair.remote.type is not CandidateType.PEER_REFLEXIVE)
    bench = controlled(HIGH_C, nomination=policy)
    pairs, remotes = bench.agent.pairs, bench.agent.remote_candidates
    for number in range(200):
        assert bench.request(at("203.0.113.9", 1000 + number), use_candidate=True).get(ERROR_CODE).code == 400
    assert (bench.agent.pairs, bench.agent.remote_candidates) == (pairs, remotes)
    assert bench.heard(NominationRefused) == []
    assert bench.dropped() == {"REFUSED_NOMINATION": 200}
    bench.request(at("203.0.113.9", 1000), use_candidate=True, priority=0)
    assert bench.dropped() == {"REFUSED_NOMINATION": 200, "LIMIT": 1}


def test_a_controlling_agent_is_told_what_the_peer_refused():
    bench = bench_of(HIGH_C, options=("ice2",))
    bench.answer(bench.check)
    bench.run(0.05)
    bench.answer(bench.check, code=400)
    assert [(event.pair.remote.address, event.by_peer) for event in bench.heard(NominationRefused)] == [(HIGH, True)]


def test_where_renomination_is_agreed_another_pair_is_nominated_after_a_refusal():
    bench = bench_of(HIGH_C, LOW_C)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.run(0.1)
    assert nominations(bench) == [(0.1, HIGH, 1)]
    bench.answer(bench.check, code=400)
    answering(bench, 1.0, LOW)
    assert selected(bench) == LOW
    assert bench.agent.state is IceState.COMPLETED


# USE-CANDIDATE in consent checks


@pytest.mark.parametrize("agreed", [True, False])
def test_consent_checks_repeat_the_nomination_where_it_is_asked_for(agreed):
    policy = Nomination(renominate=agreed, use_candidate_in_consent=True)
    bench = bench_of(HIGH_C, nomination=policy)
    bench.answer(bench.check)
    bench.run(0.05)
    bench.answer(bench.check)
    bench.run(4.0)
    assert bench.check.at == 4.0
    assert (bench.check.nominates, bench.check.number) == (True, 1 if agreed else None)


@pytest.mark.parametrize("options", [{"controlling": False}, {"nomination": Nomination()}])
def test_consent_checks_nominate_nothing_elsewhere(options):
    policy = options.pop("nomination", Nomination(use_candidate_in_consent=True))
    bench = bench_of(HIGH_C, nomination=policy, options=("ice2",), **options)
    bench.answer(bench.check)
    bench.run(0.05)
    if bench.agent.role.value == "controlled":
        bench.request(HIGH, use_candidate=True)
    else:
        bench.answer(bench.check)
    bench.run(4.0)
    assert bench.check.at == 4.0 and not bench.check.nominates


def test_consent_before_nomination_nominates_nothing():
    policy = Nomination(use_candidate_in_consent=True, choose=lambda nominees, now: None)
    bench = bench_of(HIGH_C, nomination=policy)
    bench.answer(bench.check)
    bench.run(4.0)
    assert bench.check.at == 4.0 and not bench.check.nominates
    bench.run(20.0)  # nothing is judged either where nothing was selected
    assert {one.destination for one in bench.checks if one.at > 4.0} == {HIGH}
    assert len(bench.times(bench.check)) == 1


KEPT = 3  # what is in use, what was before, and what was replayed from there


def test_a_peer_that_roams_all_day_is_followed_from_address_to_address_and_those_it_has_left_are_forgotten():
    bench = bench_of(HIGH_C, controlling=False)
    bench.answer(bench.check)
    bench.request(HIGH, nomination=1)
    answered = set()
    before = HIGH
    for number in range(2, 80):
        address = at("203.0.113.5", 10000 + number)
        bench.request(address, nomination=number)
        answering(bench, bench.now + 0.2, address, answered=answered)
        assert selected(bench) == address
        answering(bench, bench.now + 200.0, address, answered=answered)
        bench.request(before, nomination=number)  # replayed from where it was
        assert selected(bench) == address
        before = address
        bench.sent.clear()  # reading all of it again and again takes longer than the day
        assert len(bench.agent.remote_candidates) <= 1 + KEPT
        assert len(bench.agent.pairs) <= 1 + KEPT
    assert bench.agent.state is IceState.COMPLETED
    assert bench.dropped() == {}


def test_addresses_that_live_give_way_to_none():
    bench = bench_of(HIGH_C, controlling=False)
    addresses = [at("203.0.113.5", 10000 + number) for number in range(17)]
    for address in addresses:
        bench.request(address)
    answering(bench, 2.0, *addresses)
    assert bench.dropped() == {"LIMIT": 1}
    assert len(bench.agent.remote_candidates) == 17


# Both ends


def test_a_nat_that_forgets_moves_nothing_but_the_mapped_address():
    bench = controlling(HIGH_C)
    answering(bench, 6.0, HIGH)
    bench.run(8.65)  # the consent check of 8.05 is lost, and then all is checked
    assert bench.check.destination == HIGH and bench.check.at == 8.55
    mapped = at("203.0.113.200", 61000)
    bench.answer(bench.check, mapped=mapped)
    assert bench.agent.selected_pair.local.address == mapped
    assert bench.agent.selected_pair.nominated
    assert bench.agent.state is IceState.COMPLETED
    answering(bench, 60.0, HIGH)
    assert bench.heard(ConsentExpired) == []


def test_two_agents_that_offer_it_agree_and_stay():
    two = Two(a_options={"nomination": MOVING}, b_options={"nomination": MOVING})
    two.exchange()
    assert two.connect()
    two.net.run(until=two.net.now + 120.0)
    assert two.agree and two.echo()
    assert two.a.state is two.b.state is IceState.COMPLETED
