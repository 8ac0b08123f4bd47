import hmac
import itertools
import zlib

import pytest

from ice._wire import OURS, STRANGER, THEIRS, Bench, at, candidate
from sansice.ice import (
    CandidateType,
    Description,
    IceConfig,
    IceRole,
    IceServer,
    IceState,
    PairValidated,
    Restarted,
    candidate_priority,
    pair_priority,
)
from sansice.ice._agent._checker import MAX_CONFLICTS
from sansice.ice._agent._checklist import ChecklistState
from sansice.ice._agent._checks import MAX_CANCELLED
from sansice.machine import SocketError, SocketErrorKind, SocketId
from sansice.stun import (
    ALTERNATE_SERVER,
    ERROR_CODE,
    PRIORITY,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    IntegrityAlgorithm,
    MessageClass,
    Schedule,
    short_term_key,
)

HIGH, LOW = at("198.51.100.1"), at("198.51.100.2")
HIGH_C = candidate("198.51.100.1", preference=300)
LOW_C = candidate("198.51.100.2", preference=200, foundation="r2")
NEW = at("203.0.113.5", 6000)  # where no candidate of the peer's is
NAT = at("203.0.113.9", 61000)  # where a NAT puts the agent
BACKOFF = [0.0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]  # RFC 8489 6.2.1
HOST, PRFLX, SRFLX = CandidateType.HOST, CandidateType.PEER_REFLEXIVE, CandidateType.SERVER_REFLEXIVE


def error_code(message):
    error = message.get(ERROR_CODE)
    return None if error is None else error.code


def is_success(message):
    return message.message_class is MessageClass.SUCCESS


# ------------------------------------------------------------- our checks


@pytest.mark.req("RFC8445-053")
def test_tricky_21_priority_is_that_of_a_peer_reflexive_candidate_with_the_local_preference_kept():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(HIGH_C,))
    bench.run(0.05)
    sent = {one.socket: one.message.get(PRIORITY) for one in bench.checks}
    assert sent == {1: (110 << 24) + (65535 << 8) + 255, 2: (110 << 24) + (65534 << 8) + 255}


@pytest.mark.req("RFC8445-054", "RFC8445-055", "RFC8445-058", "RFC8445-059")
@pytest.mark.parametrize("controlling", [True, False])
def test_a_check_carries_what_it_must_in_either_role(controlling):
    tiebreaker = 0x123456789ABCDEF0
    bench = Bench(controlling=controlling, remotes=(HIGH_C,), tiebreakers=(tiebreaker,))
    message = bench.check.message
    assert message.get(USERNAME) == f"{THEIRS.ufrag}:{OURS.ufrag}"
    assert message.verify(short_term_key(THEIRS.pwd)) and not message.verify(short_term_key(OURS.pwd))
    assert message.has_fingerprint
    assert (bench.check.role, bench.check.tiebreaker) == ("controlling" if controlling else "controlled", tiebreaker)
    assert not bench.check.nominates


@pytest.mark.req("RFC8445-129")
def test_the_tiebreaker_is_the_same_in_all_checks_consent_included():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.answer(bench.check)
    bench.run(9.0)
    assert len(bench.checks) >= 5
    assert len({one.tiebreaker for one in bench.checks}) == 1


@pytest.mark.req("RFC8445-051")
def test_checks_leave_from_the_base_of_a_reflexive_candidate():
    bench = Bench(known=False, servers=(IceServer("stun:203.0.113.1"),))
    bench.answer(bench.sent[0], mapped=NAT, key=None)
    assert [one.type for one in bench.agent.local_candidates] == [HOST, SRFLX]
    bench.tell(HIGH_C)
    bench.run(0.3)
    assert [one.path for one in bench.checks[1:]] == [(1, HIGH)]


@pytest.mark.req("RFC8445-051")
def test_each_check_leaves_by_the_socket_of_its_own_local_candidate():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(HIGH_C, LOW_C))
    bench.run(0.4)
    assert sorted(one.path for one in bench.checks) == [(1, HIGH), (1, LOW), (2, HIGH), (2, LOW)]


@pytest.mark.req("RFC8445-060")
def test_a_response_belongs_to_the_pair_whose_transaction_it_answers():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    bench.answer(bench.checks[1])
    assert (bench.state(HIGH), bench.state(LOW)) == ("in-progress", "succeeded")


@pytest.mark.req("RFC8445-060", "RFC8445-066")
def test_swapped_responses_fail_both_pairs():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    first, second = bench.checks
    bench.answer(first, source=LOW)
    bench.answer(second, source=HIGH)
    assert (bench.state(HIGH), bench.state(LOW)) == ("failed", "failed")


def test_a_response_to_no_check_is_dropped():
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check)
    bench.answer(bench.check)
    assert bench.dropped() == {"UNKNOWN_TRANSACTION": 1}


# ------------------------------------------------------------- how they fail


@pytest.mark.req("RFC8445-068", "RFC8445-065")
def test_a_check_that_is_never_answered_fails_its_pair_after_the_last_wait():
    bench = Bench(remotes=(HIGH_C,))
    bench.run(39.49)
    assert bench.times(bench.check) == BACKOFF
    assert bench.state(HIGH) == "in-progress"
    bench.run(39.5)
    assert bench.state(HIGH) == "failed"


@pytest.mark.req("RFC8445-065")
def test_a_failed_check_leaves_the_others_of_its_foundation_as_they_are():
    same = candidate("198.51.100.2", preference=200)  # the foundation of the first
    bench = Bench(remotes=(HIGH_C, same, candidate("198.51.100.3", preference=400, foundation="r3")))
    assert bench.state(LOW) == "frozen"
    bench.run(0.04)
    bench.answer(bench.checks[0], code=400)  # of the third, which comes first
    assert (bench.state(HIGH), bench.state(LOW)) == ("waiting", "frozen")
    bench.run(0.05)
    bench.arrive(1, HIGH, b"")
    bench.answer(bench.check, source=LOW)
    assert (bench.state(HIGH), bench.state(LOW)) == ("failed", "frozen")
    bench.run(0.1)
    assert bench.check.destination == LOW  # which thaws by itself at its own tick (RFC 8445 6.1.4.2)


@pytest.mark.req("RFC8445-066")
@pytest.mark.parametrize("code", [None, 487])
@pytest.mark.parametrize("wrong", [{"source": at("198.51.100.1", 5001)}, {"source": LOW}, {"socket": 2}])
def test_tricky_24_a_response_on_another_path_fails_the_pair_though_its_integrity_is_right(wrong, code):
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(HIGH_C,))
    bench.answer(bench.check, code=code, **wrong)
    assert bench.state(HIGH) == "failed"
    assert bench.dropped() == {"WRONG_SOURCE": 1}
    assert bench.agent.role is IceRole.CONTROLLING and not bench.agent.writable
    bench.run(3.0)
    assert bench.times(bench.checks[0]) == [0.0]


@pytest.mark.parametrize("key", [STRANGER, None])
@pytest.mark.parametrize("source", [HIGH, LOW])
@pytest.mark.parametrize("code", [None, 400, 401, 487])
def test_a_forged_response_changes_nothing_wherever_it_comes_from(key, source, code):
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check, key=key, source=source, code=code)
    assert bench.state(HIGH) == "in-progress"
    assert bench.agent.role is IceRole.CONTROLLING
    assert bench.dropped() == {"BAD_INTEGRITY": 1}
    bench.run(0.5)
    assert bench.times(bench.check) == [0.0, 0.5]
    bench.answer(bench.check)
    assert bench.state(HIGH) == "succeeded"


@pytest.mark.req("RFC8445-069")
@pytest.mark.parametrize("code", [400, 401, 420, 500])
def test_an_error_that_the_peer_signed_fails_the_pair(code):
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check, code=code)
    assert bench.state(HIGH) == "failed"
    bench.run(3.0)
    assert len(bench.requests) == 1


@pytest.mark.req("RFC8445-082")
def test_an_alternate_server_is_not_followed():
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check, code=300, attributes=((ALTERNATE_SERVER, NEW),))
    bench.run(3.0)
    assert bench.state(HIGH) == "failed"
    assert {one.destination for one in bench.sent} == {HIGH}


@pytest.mark.req("RFC8445-067")
def test_a_hard_icmp_error_fails_the_pair_that_it_names():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.run(0.05)
    bench.unreachable(1, HIGH)
    assert (bench.state(HIGH), bench.state(LOW)) == ("failed", "in-progress")
    bench.run(3.0)
    assert bench.times(bench.checks[0]) == [0.0]


def test_other_icmp_errors_change_nothing():
    bench = Bench(remotes=(HIGH_C, LOW_C, candidate("198.51.100.3", preference=100, foundation="r3")))
    bench.answer(bench.check)
    bench.run(0.1)
    bench.unreachable(1, LOW, code=1)  # host unreachable: soft
    bench.unreachable(1, NEW)  # no pair
    bench.unreachable(1, at("198.51.100.3"))  # not tried yet
    bench.unreachable(1, HIGH)  # worked: the nomination that is on its way goes on
    bench.answer(next(one for one in bench.checks if one.nominates))
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-078")
def test_a_list_does_not_fail_while_a_pair_is_still_tried_that_was_told_late():
    bench = Bench(remotes=(HIGH_C,), complete=False)
    bench.answer(bench.check, code=400)
    bench.run(39.0)
    bench.call(bench.agent.add_remote_candidate, LOW_C)
    bench.call(bench.agent.end_of_candidates)
    bench.run(78.4)
    assert bench.agent.state is IceState.CHECKING
    bench.run(78.5)
    assert bench.agent.state is IceState.FAILED


@pytest.mark.req("RFC8445-078", "RFC8863-003", "RFC8863-004", "RFC8863-006")
@pytest.mark.parametrize("complete", [True, False])
def test_a_list_fails_when_every_pair_has_and_patience_has_ended_and_no_candidate_may_come(complete):
    bench = Bench(remotes=(HIGH_C, LOW_C), complete=complete)
    bench.answer(bench.check, code=400)
    bench.run(0.05)
    bench.answer(bench.check, code=400)
    bench.run(39.49)
    assert bench.agent.state is IceState.CHECKING
    bench.run(39.5)
    assert bench.agent.state is (IceState.FAILED if complete else IceState.CHECKING)
    bench.run(60.0)
    if not complete:
        bench.call(bench.agent.end_of_candidates)
        assert bench.agent.state is IceState.FAILED


@pytest.mark.req("RFC8863-003", "RFC8863-004")
def test_tricky_30_without_any_candidate_nothing_fails_before_patience_has_ended():
    bench = Bench(remotes=())
    bench.run(39.49)
    assert bench.agent.state is IceState.CHECKING
    bench.run(39.5)
    assert bench.agent.state is IceState.FAILED


def test_a_pair_on_trial_or_valid_keeps_the_list_alive_when_patience_has_ended():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.run(30.0)
    bench.request(HIGH)  # checked again from here on
    bench.run(45.0)
    assert (bench.agent.state, bench.state(HIGH)) == (IceState.CHECKING, "in-progress")
    bench.answer(bench.check)
    bench.run(50.0)
    assert bench.agent.state is IceState.CONNECTED


# ------------------------------------------------------------- how they succeed


def validated(bench):
    return [event.pair for event in bench.heard(PairValidated)]


@pytest.mark.req("RFC8445-070", "RFC8445-073")
def test_an_unknown_mapped_address_is_a_peer_reflexive_candidate_with_the_priority_announced():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(HIGH_C, LOW_C), controlling=False)
    bench.run(0.15)
    by_path = {one.path: one for one in bench.checks}
    bench.answer(by_path[2, HIGH], mapped=NAT)
    bench.answer(by_path[2, LOW], mapped=at("203.0.113.9", 61001))
    first, second = validated(bench)
    own = first.local
    assert (own.type, own.address, own.related_address) == (PRFLX, NAT, bench.base(2))
    assert own.priority == by_path[2, HIGH].message.get(PRIORITY) == candidate_priority(PRFLX, 65534, 1)
    assert first.priority == pair_priority(HIGH_C.priority, own.priority)
    hosts = {one.foundation for one in bench.agent.local_candidates}
    assert second.local.foundation == own.foundation not in hosts
    bench.answer(by_path[1, HIGH], mapped=at("203.0.113.9", 61002))
    assert validated(bench)[2].local.foundation not in {own.foundation, *hosts}


@pytest.mark.req("RFC8445-071")
def test_that_candidate_is_paired_with_nothing_else():
    bench = Bench(remotes=(HIGH_C, LOW_C), complete=False, controlling=False)
    bench.answer(bench.check, mapped=NAT)
    assert len(bench.agent.pairs) == 2
    bench.call(bench.agent.add_remote_candidate, candidate("198.51.100.3", foundation="r3"))
    assert len(bench.agent.pairs) == 3
    bench.run(3.0)
    assert {one.path for one in bench.checks} == {(1, HIGH), (1, LOW), (1, at("198.51.100.3"))}


@pytest.mark.req("RFC8445-072", "RFC8445-073", "RFC8445-074")
@pytest.mark.parametrize("controlling", [True, False])
def test_tricky_25_the_valid_pair_is_built_from_the_mapped_address(controlling):
    bench = Bench(known=False, controlling=controlling, servers=(IceServer("stun:203.0.113.1"),))
    bench.answer(bench.sent[0], mapped=NAT, key=None)
    bench.tell(HIGH_C)
    bench.run(0.05)
    bench.answer(bench.check, mapped=NAT)
    (pair,) = validated(bench)
    reflexive = bench.agent.local_candidates[1]
    assert (pair.local, pair.remote, pair.state.value) == (reflexive, HIGH_C, "succeeded")
    ours, theirs = reflexive.priority, HIGH_C.priority
    assert pair.priority == (pair_priority(ours, theirs) if controlling else pair_priority(theirs, ours))
    assert [(one.local.type, one.state.value) for one in bench.agent.pairs] == [(HOST, "succeeded")]
    bench.call(bench.agent.send, b"data")
    assert bench.sent[-1].path == (1, HIGH)


@pytest.mark.req("RFC8445-073")
def test_the_priority_of_a_valid_pair_of_unsignalled_ends_is_made_of_both_priority_attributes():
    bench = Bench(remotes=(), controlling=False)
    bench.request(NEW, priority=12345)
    bench.answer(bench.check, mapped=NAT)
    (pair,) = validated(bench)
    assert (pair.local.type, pair.remote.type) == (PRFLX, PRFLX)
    assert pair.priority == pair_priority(12345, candidate_priority(PRFLX, 65535, 1))


@pytest.mark.req("RFC8445-072")
def test_a_mapped_address_that_moves_makes_another_valid_pair():
    bench = Bench(remotes=(HIGH_C,))
    bench.answer(bench.check, mapped=NAT)
    bench.run(0.05)
    moved = at("203.0.113.9", 61001)
    bench.answer(bench.check, mapped=moved)
    assert [pair.local.address for pair in validated(bench)] == [NAT, moved]
    assert bench.agent.selected_pair.local.address == moved


def test_mappings_without_end_are_not_remembered():
    bench = Bench(remotes=(HIGH_C,), config=IceConfig(max_pairs=1))
    bench.answer(bench.check, mapped=NAT)
    bench.run(0.05)
    bench.answer(bench.check, mapped=at("203.0.113.9", 61001))
    assert (bench.state(HIGH), bench.agent.writable) == ("failed", False)
    assert bench.dropped() == {"LIMIT": 1}


@pytest.mark.req("RFC8445-075", "RFC8445-074")
def test_tricky_26_success_thaws_the_pairs_of_its_foundation_and_no_others():
    remotes = (
        candidate("198.51.100.1", preference=500),
        candidate("198.51.100.2", preference=400),
        candidate("198.51.100.3", preference=300),
        candidate("198.51.100.4", preference=200, foundation="r2"),
        candidate("198.51.100.5", preference=100, foundation="r2"),
    )
    bench = Bench(remotes=remotes, controlling=False)
    bench.run(0.05)
    assert list(bench.states().values()) == ["in-progress", "frozen", "frozen", "in-progress", "frozen"]
    bench.answer(bench.check)
    assert list(bench.states().values()) == ["in-progress", "frozen", "frozen", "succeeded", "waiting"]


# ------------------------------------------------------------- role conflict, told by the peer


@pytest.mark.req("RFC8445-061", "RFC8445-062")
@pytest.mark.parametrize("controlling", [True, False])
def test_tricky_22_after_487_the_check_is_repeated_in_the_other_role_with_a_new_tiebreaker(controlling):
    bench = Bench(controlling=controlling, remotes=(HIGH_C, LOW_C), tiebreakers=(5, 6))
    bench.answer(bench.check, code=487)
    assert bench.agent.role.value == ("controlled" if controlling else "controlling")
    assert bench.state(HIGH) == "waiting"
    bench.run(0.04)
    assert len(bench.checks) == 1  # paced
    bench.run(0.05)
    again = bench.check
    assert (again.path, again.role, again.tiebreaker) == ((1, HIGH), bench.agent.role.value, 6)
    bench.answer(again)
    assert bench.state(HIGH) == "succeeded"


@pytest.mark.req("RFC8445-061")
def test_the_check_that_follows_487_is_triggered_and_does_not_wait_behind_better_pairs():
    middle = candidate("198.51.100.3", preference=250, foundation="r3")
    bench = Bench(remotes=(LOW_C,), complete=False)
    bench.call(bench.agent.add_remote_candidate, HIGH_C)
    bench.call(bench.agent.add_remote_candidate, middle)
    bench.answer(bench.check, code=487)
    bench.run(0.1)
    assert [one.destination for one in bench.checks[:2]] == [LOW, LOW]


@pytest.mark.req("RFC8445-063")
@pytest.mark.parametrize("controlling", [True, False])
def test_a_change_of_role_recomputes_the_priority_of_what_is_valid_too(controlling):
    bench = Bench(controlling=controlling, remotes=(HIGH_C,), tiebreakers=(1,))
    bench.answer(bench.check, mapped=NAT)
    sent = bench.check.message.get(PRIORITY)
    bench.request(HIGH, controlling=controlling, tiebreaker=2 if controlling else 0)
    assert bench.agent.role.value == ("controlled" if controlling else "controlling")
    if controlling:
        bench.request(HIGH, use_candidate=True)
    else:
        bench.run(0.1)
        bench.answer(bench.check, mapped=NAT)
    ends = (HIGH_C.priority, sent) if controlling else (sent, HIGH_C.priority)
    assert bench.agent.selected_pair.priority == pair_priority(*ends)


@pytest.mark.req("RFC8445-063")
@pytest.mark.parametrize("controlling", [True, False])
def test_a_change_of_role_recomputes_the_priorities_of_all_pairs(controlling):
    bench = Bench(controlling=controlling, remotes=(HIGH_C, LOW_C))
    own = bench.agent.local_candidates[0].priority

    def expected(ours_first):
        both = [(own, one.priority) for one in (HIGH_C, LOW_C)]
        return [pair_priority(*(ends if ours_first else ends[::-1])) for ends in both]

    assert [pair.priority for pair in bench.agent.pairs] == expected(controlling)
    bench.answer(bench.check, code=487)
    assert [pair.priority for pair in bench.agent.pairs] == expected(not controlling)


@pytest.mark.req("RFC8445-063")
def test_a_change_of_role_changes_the_order_of_the_list():
    hosts = ("192.0.2.1", "192.0.2.2")
    own = [candidate_priority(HOST, 65535 - n, 1) for n in range(2)]
    # Two pairs that differ in nothing but which end has the larger priority.
    remotes = (
        candidate("198.51.100.1", priority=own[1]),
        candidate("198.51.100.2", priority=own[0], foundation="r2"),
    )
    orders = []
    for controlling in (True, False):
        bench = Bench(controlling=controlling, hosts=hosts, remotes=remotes)
        before = [(pair.local.address.host, pair.remote.address.host) for pair in bench.agent.pairs]
        bench.answer(bench.check, code=487)
        after = [(pair.local.address.host, pair.remote.address.host) for pair in bench.agent.pairs]
        assert before != after
        orders.append((before, after))
    assert orders[0] == orders[1][::-1]


@pytest.mark.req("RFC8445-061", "RFC8445-064")
def test_tricky_22_two_487_for_checks_of_the_old_role_switch_it_once():
    bench = Bench(remotes=(HIGH_C, LOW_C), tiebreakers=(5, 6, 7))
    bench.run(0.05)
    for check in bench.checks[:2]:
        bench.answer(check, code=487)
        assert bench.agent.role is IceRole.CONTROLLED
    bench.run(0.15)
    assert [(one.at, one.destination, one.role, one.tiebreaker) for one in bench.checks[2:]] == [
        (0.1, HIGH, "controlled", 7),
        (0.15, LOW, "controlled", 7),
    ]


@pytest.mark.req("RFC8445-064")
def test_tricky_22_a_487_that_comes_after_a_request_has_switched_the_role_switches_nothing():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5, 6))
    bench.request(NEW, controlling=True, tiebreaker=9)
    assert bench.agent.role is IceRole.CONTROLLED
    bench.answer(bench.checks[0], code=487)
    assert bench.agent.role is IceRole.CONTROLLED


@pytest.mark.parametrize("controlling", [True, False])
def test_a_peer_that_answers_487_for_ever_is_given_up_after_a_few_paced_checks(controlling):
    bench = Bench(controlling=controlling, remotes=(HIGH_C, LOW_C))
    answered = 0
    while bench.now < 5.0:
        for check in bench.checks[answered:]:
            answered += 1
            bench.answer(check, code=487)
        bench.run(bench.now + 0.01)
    assert (bench.state(HIGH), bench.state(LOW)) == ("failed", "failed")
    times = [one.at for one in bench.requests]
    assert len(times) == 2 * (MAX_CONFLICTS + 1)
    assert all(late - early > 0.0499 for early, late in itertools.pairwise(times))
    assert len({one.tiebreaker for one in bench.checks}) == 2 * MAX_CONFLICTS + 1


def test_a_487_to_a_cancelled_check_switches_the_role_without_another_check():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5, 6))
    bench.request(HIGH)
    cancelled = bench.checks[0]
    bench.answer(cancelled, code=487)
    assert bench.agent.role is IceRole.CONTROLLED
    bench.run(0.4)
    assert [(one.at, one.role) for one in bench.checks] == [(0.0, "controlling"), (0.05, "controlled")]


# ------------------------------------------------------------- the peer's checks


@pytest.mark.req("RFC8445-079", "RFC8445-030")
def test_checks_that_come_before_the_peer_is_known_are_answered_at_once_and_followed_later():
    bench = Bench(known=False, controlling=False)
    answer = bench.request(NEW, use_candidate=True)
    assert is_success(answer) and answer.get(XOR_MAPPED_ADDRESS) == NEW
    bench.request(HIGH)
    bench.run(1.0)
    assert bench.checks == [] and bench.agent.remote_candidates == ()
    bench.tell(HIGH_C, LOW_C)
    bench.run(1.1)
    assert [(one.at, one.destination) for one in bench.checks] == [(1.0, NEW), (1.05, HIGH), (1.1, LOW)]
    bench.answer(bench.checks[0])
    assert bench.agent.selected_pair.remote.address == NEW


@pytest.mark.parametrize("first", [True, False])
def test_an_early_nomination_is_remembered_whichever_check_of_its_source_carried_it(first):
    bench = Bench(known=False, controlling=False)
    bench.request(HIGH)
    bench.request(NEW, use_candidate=first, priority=1000)
    bench.request(NEW, use_candidate=not first, priority=2000)
    bench.tell()
    bench.run(0.05)
    assert [one.priority for one in bench.agent.remote_candidates if one.address == NEW] == [2000]
    bench.answer(bench.check)
    assert bench.agent.selected_pair.remote.address == NEW


def test_a_nomination_whose_check_was_lost_is_followed_when_a_later_one_succeeds():
    bench = Bench(controlling=False, remotes=(HIGH_C,), config=IceConfig(schedule=Schedule(rc=2, rm=2.0)))
    bench.request(HIGH, use_candidate=True)
    bench.run(2.0)  # the check has timed out, and patience has not (RFC 8863 4)
    assert bench.agent.state is IceState.CHECKING and bench.agent.pairs[0].state.value == "failed"
    bench.request(HIGH)  # the peer's consent check
    bench.run(2.1)
    bench.answer(bench.check)
    assert bench.agent.selected_pair.remote.address == HIGH


@pytest.mark.parametrize("answered", [(HIGH, NEW), (NEW, HIGH)])
def test_of_two_early_nominations_the_later_one_is_meant_whoever_checked_first(answered):
    bench = Bench(known=False, controlling=False)
    bench.request(HIGH)
    bench.request(NEW, use_candidate=True)  # somebody who saw the nomination sends it on, and is faster
    bench.request(HIGH, use_candidate=True)
    bench.tell()
    bench.run(0.05)
    for destination in answered:
        bench.answer(next(check for check in bench.checks if check.destination == destination))
    assert bench.agent.selected_pair.remote.address == HIGH


@pytest.mark.parametrize("answered", [(HIGH, NEW), (NEW, HIGH)])
def test_a_repeated_early_check_nominates_no_later_than_it_did(answered):
    bench = Bench(known=False, controlling=False)
    bench.request(HIGH, use_candidate=True)
    bench.request(NEW, use_candidate=True)
    bench.request(HIGH)
    bench.tell()
    bench.run(0.05)
    for destination in answered:
        bench.answer(next(check for check in bench.checks if check.destination == destination))
    assert bench.agent.selected_pair.remote.address == NEW


def test_early_checks_are_bounded_and_those_of_another_peer_are_forgotten():
    bench = Bench(known=False, config=IceConfig(max_early_checks=2))
    bench.request(HIGH, username=f"{OURS.ufrag}:stranger")
    bench.request(LOW)
    assert is_success(bench.request(NEW))
    assert bench.dropped() == {"LIMIT": 1}
    bench.arrive(1, HIGH, b"\x80data")
    bench.arrive(1, NEW, b"\x80data")
    assert bench.dropped() == {"LIMIT": 1, "UNVALIDATED_SOURCE": 1}
    bench.tell()
    bench.run(1.0)
    assert {one.destination for one in bench.checks} == {LOW}
    bench.arrive(1, HIGH, b"\x80data")  # of whom we have learned that it was not the peer
    assert bench.dropped()["UNVALIDATED_SOURCE"] == 2


def test_early_checks_from_one_source_to_two_addresses_are_two():
    bench = Bench(known=False, hosts=("192.0.2.1", "192.0.2.2"))
    bench.request(NEW, socket=1)
    bench.request(NEW, socket=2)
    bench.tell()
    bench.run(1.0)
    assert {(check.socket, check.destination) for check in bench.checks} == {(1, NEW), (2, NEW)}


def test_an_early_check_on_a_socket_that_died_is_forgotten():
    bench = Bench(known=False, hosts=("192.0.2.1", "192.0.2.2"))
    bench.request(NEW, socket=2)
    bench.call(bench.agent.handle_socket_failed, SocketId(2), SocketError(SocketErrorKind.OTHER, "gone"))
    bench.tell()
    bench.run(1.0)
    assert bench.checks == []


@pytest.mark.req("RFC8445-080")
@pytest.mark.parametrize("username", ["ours", "", "their:ours", "our:their", "OURS:their"])
def test_a_check_for_another_session_is_refused(username):
    bench = Bench(remotes=(HIGH_C,))
    assert error_code(bench.request(NEW, username=username)) == 401
    assert bench.dropped() == {"BAD_USERNAME": 1}
    assert len(bench.agent.pairs) == 1


@pytest.mark.req("RFC8445-081")
def test_a_check_with_another_password_is_refused_without_state():
    bench = Bench(remotes=(HIGH_C,))
    answer = bench.request(NEW, key=STRANGER)
    assert error_code(answer) == 401 and answer.has_fingerprint and not answer.has_integrity
    assert bench.dropped() == {"BAD_INTEGRITY": 1}
    assert len(bench.agent.pairs) == 1


@pytest.mark.req("RFC8445-081")
@pytest.mark.parametrize("algorithm", [IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256])
def test_an_authentic_check_is_answered_with_what_it_used(algorithm):
    bench = Bench(remotes=(HIGH_C,))
    answer = bench.request(HIGH, algorithm=algorithm)
    assert is_success(answer) and answer.has_fingerprint
    assert answer.integrity is algorithm and answer.verify(short_term_key(OURS.pwd))


@pytest.mark.req("RFC8445-082")
def test_a_check_of_the_time_before_the_cookie_is_not_answered():
    bench = Bench(remotes=(HIGH_C,))
    bench.request(HIGH)
    sent = len(bench.sent)
    data = bytes.fromhex("0001000000000000") + bytes(12)
    bench.arrive(1, NEW, data)
    assert len(bench.sent) == sent


def test_a_check_without_fingerprint_or_priority_or_with_a_bad_attribute_is_not_followed():
    bench = Bench(remotes=())
    assert bench.request(NEW, fingerprint=False) is None
    assert error_code(bench.request(NEW, priority=None)) == 400
    assert bench.dropped() == {"BAD_FINGERPRINT": 1, "MISSING_ATTRIBUTE": 1}
    assert bench.agent.pairs == ()


@pytest.mark.parametrize("attribute", ["0024000200010000", "802a000400000001", "0006000200ff0000"])
def test_a_check_whose_attributes_are_malformed_is_dropped_in_silence(attribute):
    bench = Bench(remotes=())
    body = bytes.fromhex(attribute) + b"\0\x06\0\x0aours:their\0\0" + bytes.fromhex("0024000400000001")
    head = b"\0\x01" + (len(body) + 24).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + bytes(12)
    sealed = head + body + b"\0\x08\0\x14" + hmac.digest(OURS.pwd.encode(), head + body, "sha1")
    whole = sealed[:2] + (len(sealed) - 12).to_bytes(2, "big") + sealed[4:]
    bench.arrive(1, NEW, whole + b"\x80\x28\0\x04" + (zlib.crc32(whole) ^ 0x5354554E).to_bytes(4, "big"))
    assert bench.dropped() == {"BAD_ATTRIBUTE": 1}
    assert bench.sent == [] and bench.agent.pairs == ()


@pytest.mark.parametrize(("priority", "learned"), [(0, False), (1, True), (2**31 - 1, True), (2**31, False), (2**32 - 1, False)])
def test_a_priority_out_of_range_teaches_no_candidate(priority, learned):
    bench = Bench(remotes=())
    assert is_success(bench.request(NEW, priority=priority))
    assert len(bench.agent.remote_candidates) == learned
    bench.run(1.0)
    assert bool(bench.checks) is learned


ROLE_CONFLICTS = [
    # our role, the peer's tie-breaker beside ours, whether we answer 487, our role afterwards
    (True, -1, True, True),
    (True, 0, True, True),
    (True, +1, False, False),
    (False, -1, False, True),
    (False, 0, False, True),
    (False, +1, True, False),
]


@pytest.mark.req("RFC8445-083", "RFC8445-084", "RFC8445-085")
@pytest.mark.parametrize(("controlling", "beside", "refused", "after"), ROLE_CONFLICTS)
@pytest.mark.parametrize("known", [True, False])
def test_tricky_23_a_conflict_is_settled_by_the_larger_tiebreaker_and_on_equality_as_the_rfc_says(
    controlling, beside, refused, after, known
):
    bench = Bench(controlling=controlling, remotes=(), tiebreakers=(1 << 63,), known=known)
    answer = bench.request(NEW, controlling=controlling, tiebreaker=(1 << 63) + beside)
    assert bench.agent.role is (IceRole.CONTROLLING if after else IceRole.CONTROLLED)
    if refused:
        assert error_code(answer) == 487
        assert answer.verify(short_term_key(OURS.pwd)) and answer.has_fingerprint
    else:
        assert is_success(answer)
    if not known:
        bench.tell()
    # A refusal may get lost, so that it is followed too: by our check the peer learns of our role as well.
    assert [(one.destination, one.role) for one in bench.checks] == [(NEW, bench.agent.role.value)]
    assert all(one.tiebreaker == 1 << 63 for one in bench.checks)


@pytest.mark.req("RFC8445-085")
def test_a_request_that_switches_the_role_may_nominate_too():
    bench = Bench(controlling=True, remotes=(HIGH_C,), tiebreakers=(5,))
    bench.request(HIGH, controlling=True, tiebreaker=6, use_candidate=True)
    bench.run(0.05)
    bench.answer(bench.check)
    assert bench.agent.selected_pair is not None and bench.check.role == "controlled"


@pytest.mark.req("RFC8445-031")
def test_facing_a_lite_agent_we_control():
    bench = Bench(controlling=False, remotes=(HIGH_C,), lite=True)
    assert (bench.agent.role, bench.check.role) == (IceRole.CONTROLLING, "controlling")


@pytest.mark.req("RFC8445-087", "RFC8445-088", "RFC8445-089")
def test_a_request_from_an_unknown_source_teaches_a_candidate_that_is_paired_once():
    bench = Bench(known=False, hosts=("192.0.2.1", "192.0.2.2"), servers=(IceServer("stun:203.0.113.1"),))
    for query in bench.sent[:2]:
        bench.answer(query, mapped=NAT, key=None)
    bench.run(0.05)
    bench.answer(bench.sent[1], mapped=at("203.0.113.9", 61001), key=None)
    remotes = tuple(candidate(f"198.51.100.{n}", foundation=f) for n, f in ((1, "prflx2"), (2, "prflx3")))
    bench.tell(*remotes)
    before = len(bench.agent.pairs)
    bench.request(NEW, socket=2, priority=777)
    (learned,) = (one for one in bench.agent.remote_candidates if one.address == NEW)
    assert (learned.type, learned.priority, learned.component) == (PRFLX, 777, 1)
    assert learned.foundation not in {one.foundation for one in remotes}
    (pair,) = (one for one in bench.agent.pairs if one.remote.address == NEW)
    assert len(bench.agent.pairs) == before + 1
    assert (pair.local.type, pair.local.address) == (HOST, bench.base(2))
    bench.request(NEW, socket=2, priority=888)
    assert len(bench.agent.pairs) == before + 1
    assert len([one for one in bench.agent.remote_candidates if one.address == NEW]) == 1


@pytest.mark.req("RFC8445-089")
def test_a_check_that_arrives_elsewhere_makes_the_pair_of_the_receiving_socket():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=())
    bench.request(NEW, socket=1)
    bench.request(NEW, socket=2)
    assert {pair.local.address for pair in bench.agent.pairs} == {bench.base(1), bench.base(2)}


def test_peer_reflexive_candidates_are_bounded():
    bench = Bench(remotes=(), config=IceConfig(max_peer_reflexive=3))
    for port in range(6000, 6010):
        assert is_success(bench.request(at("203.0.113.5", port)))
    assert len(bench.agent.pairs) == len(bench.agent.remote_candidates) == 3
    assert bench.dropped() == {"LIMIT": 7}


def test_a_check_from_another_family_of_addresses_is_answered_only():
    bench = Bench(hosts=("fe80::1%eth0",), remotes=())
    assert is_success(bench.request(at("2001:db8::1")))
    bench.run(1.0)
    assert bench.agent.pairs == () and bench.checks == []


def test_a_check_for_another_peer_of_ours_is_answered_only():
    bench = Bench(remotes=())
    assert is_success(bench.request(NEW, username=f"{OURS.ufrag}:another"))
    assert bench.agent.pairs == ()
    bench.arrive(1, NEW, b"\x80data")
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


# ------------------------------------------------------------- triggered checks


def _in_state(state):
    """A bench with a pair to HIGH in ``state``, and one to a better remote that keeps the pacing busy."""
    best = candidate("198.51.100.9", preference=900)
    bench = Bench(remotes=(best, candidate("198.51.100.1", preference=300)), controlling=False)
    if state == "waiting":
        bench.answer(bench.check)
    elif state != "frozen":
        bench.answer(bench.check)
        bench.run(0.05)
        if state == "succeeded":
            bench.answer(bench.check)
        elif state == "failed":
            bench.answer(bench.check, code=400)
    assert bench.state(HIGH) == state
    return bench


@pytest.mark.req("RFC8445-090")
@pytest.mark.parametrize("state", ["frozen", "waiting", "in-progress", "failed"])
def test_a_request_triggers_one_check_of_its_pair_in_any_state_but_succeeded(state):
    bench = _in_state(state)
    before = len(bench.checks)
    bench.request(HIGH)
    bench.request(HIGH)
    assert bench.state(HIGH) == "waiting"
    bench.run(bench.now + 0.3)
    assert [one.destination for one in bench.checks[before:]] == [HIGH]
    assert bench.state(HIGH) == "in-progress"
    bench.answer(bench.check)
    assert bench.state(HIGH) == "succeeded"


@pytest.mark.req("RFC8445-090")
def test_a_request_on_a_pair_that_succeeded_triggers_nothing():
    bench = _in_state("succeeded")
    before = len(bench.requests)
    bench.request(HIGH)
    bench.run(3.0)
    assert bench.state(HIGH) == "succeeded" and len(bench.requests) == before


@pytest.mark.req("RFC8445-090")
def test_a_request_on_an_unknown_pair_inserts_it_by_priority_and_checks_it_first():
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    between = candidate_priority(HOST, 250, 1)
    bench.request(NEW, priority=between)
    assert [pair.remote.address for pair in bench.agent.pairs] == [HIGH, NEW, LOW]
    assert bench.state(NEW) == "waiting"
    bench.run(0.1)
    assert [one.destination for one in bench.checks] == [HIGH, NEW, LOW]
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    bench.request(NEW, priority=1)
    bench.run(0.1)
    assert [one.destination for one in bench.checks] == [HIGH, NEW, LOW]


@pytest.mark.req("RFC8445-091")
def test_tricky_27_a_cancelled_check_falls_silent_without_failing():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.run(0.2)
    bench.request(HIGH)
    first, second = bench.checks
    assert second.at == 0.2
    bench.run(39.6)
    assert bench.times(first) == [0.0]  # no retransmission
    assert bench.times(second) == [0.2 + offset for offset in BACKOFF]
    assert bench.state(HIGH) == "in-progress"  # the first has ended in silence at 39.5
    bench.answer(first)
    assert bench.dropped() == {"UNKNOWN_TRANSACTION": 1}
    bench.run(39.7)
    assert bench.state(HIGH) == "failed"


@pytest.mark.req("RFC8445-091")
@pytest.mark.parametrize("when", [0.01, 0.4, 39.4])
def test_tricky_27_a_late_answer_to_a_cancelled_check_still_counts(when):
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.request(HIGH)
    bench.run(when)
    bench.answer(bench.checks[0])
    assert bench.state(HIGH) == "succeeded"
    sent = len(bench.requests)
    bench.run(when + 3.9)
    assert len(bench.requests) == sent  # the check that was triggered meanwhile is needless now


@pytest.mark.req("RFC8445-091")
def test_a_late_answer_counts_even_when_the_later_check_has_failed():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.request(HIGH)
    bench.run(0.05)
    first, second = bench.checks
    bench.answer(second, code=400)
    assert bench.state(HIGH) == "failed"
    bench.answer(first)
    assert bench.state(HIGH) == "succeeded" and bench.agent.writable


@pytest.mark.req("RFC8445-091")
@pytest.mark.parametrize("how", [{"code": 400}, {"source": LOW}])
def test_a_cancelled_check_cannot_fail_its_pair(how):
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.request(HIGH)
    bench.run(0.05)
    bench.answer(bench.checks[0], **how)
    assert bench.state(HIGH) == "in-progress"
    bench.answer(bench.checks[1])
    assert bench.state(HIGH) == "succeeded"


def test_cancelled_checks_that_are_listened_for_are_bounded():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    for _ in range(MAX_CANCELLED + 3):
        bench.request(HIGH)
        bench.run(bench.now + 0.05)
    forgotten, *listened = bench.checks[-(MAX_CANCELLED + 2) : -1]
    bench.answer(forgotten)
    assert bench.state(HIGH) == "in-progress" and bench.dropped() == {"UNKNOWN_TRANSACTION": 1}
    bench.answer(listened[0])
    assert bench.state(HIGH) == "succeeded"


# ------------------------------------------------------------- who refuses a role


def test_who_refuses_a_role_checks_back_for_the_refusal_may_never_arrive():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5,))
    bench.answer(bench.check, code=400)
    assert bench.state(HIGH) == "failed"
    for _ in range(3):  # the peer hears nothing of it, and repeats its request
        assert error_code(bench.request(HIGH, controlling=True, tiebreaker=4)) == 487
    bench.run(1.0)
    assert len(bench.checks) == 2 and (bench.check.destination, bench.check.role) == (HIGH, "controlling")
    assert bench.agent.role is IceRole.CONTROLLING


def test_a_check_that_is_on_its_way_shows_the_role_and_is_not_begun_anew():
    bench = Bench(remotes=(HIGH_C,), tiebreakers=(5,))
    bench.request(HIGH, controlling=True, tiebreaker=4)
    bench.run(0.4)
    assert len(bench.requests) == 1
    bench.answer(bench.check)
    bench.request(HIGH, controlling=True, tiebreaker=4)
    bench.run(2.0)
    assert [one.nominates for one in bench.checks] == [False, True]


def test_a_refused_nomination_is_no_nomination():
    bench = Bench(remotes=(), controlling=False, tiebreakers=(5,))
    bench.request(NEW, controlling=False, tiebreaker=6, use_candidate=True)
    bench.answer(bench.check)
    assert bench.agent.selected_pair is None


# ------------------------------------------------------------- the end of a socket


def test_a_socket_that_dies_takes_its_pairs_and_their_checks_along():
    bench = Bench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(HIGH_C,), controlling=False)
    bench.run(0.05)
    bench.request(HIGH, socket=1)
    bench.call(bench.agent.handle_socket_failed, SocketId(1), SocketError(SocketErrorKind.OTHER, "gone"))
    sent = len(bench.sent)
    bench.run(20.0)
    assert {one.socket for one in bench.sent[sent:]} == {2}
    states = {(pair.local.address.port, pair.state.value) for pair in bench.agent.pairs}
    assert states == {(4001, "failed"), (4002, "in-progress")}


# ------------------------------------------------------------- the machine alone


def test_before_the_peer_is_known_there_is_nothing_to_start():
    bench = Bench(known=False)
    bench.call(bench.agent.add_remote_candidate, HIGH_C)
    bench.run(5.0)
    assert bench.checks == [] and list(bench.states().values()) == ["frozen"]


@pytest.mark.req("RFC8445-092")
def test_a_failed_pair_that_is_checked_again_takes_its_list_back_to_running():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    (check,) = bench.checks
    bench.answer(check, code=400)
    (checklist,) = bench.agent._session.lists
    checklist.state = ChecklistState.FAILED
    bench.run(0.05)
    assert bench.requests == [check]
    bench.request(HIGH)
    assert checklist.state is ChecklistState.RUNNING
    bench.run(0.05)
    assert bench.check.destination == HIGH and bench.check is not check


def test_closing_ends_the_checks_but_not_a_list_that_was_completed():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.answer(bench.check)
    bench.run(0.05)
    bench.answer(bench.check)
    bench.call(bench.agent.close)
    assert bench.agent._session.lists[0].state is ChecklistState.COMPLETED


def test_closing_leaves_no_pair_in_progress_and_those_that_work_as_they_are():
    bench = Bench(remotes=(HIGH_C, LOW_C))
    bench.answer(bench.check)
    bench.run(0.1)
    assert (bench.state(HIGH), bench.state(LOW)) == ("succeeded", "in-progress")
    bench.call(bench.agent.close)
    assert (bench.state(HIGH), bench.state(LOW)) == ("succeeded", "failed")
    assert bench.is_idle


AGAIN = Description("again", "their+password+of+the+next+time")


def check_of_the_next_generation(bench):
    """A browser that has offered a restart checks from new sockets with its new ufrag, and addresses our old one."""
    return bench.request(NEW, username=f"{OURS.ufrag}:{AGAIN.ufrag}")


def test_check_with_another_ufrag_is_answered_as_long_as_no_pair_has_worked():
    bench = Bench(remotes=(candidate("198.51.100.1"),), controlling=False)
    assert check_of_the_next_generation(bench).message_class is MessageClass.SUCCESS


def test_check_of_a_restart_that_we_do_not_know_of_is_dropped_and_its_description_restarts():
    bench = Bench(remotes=(candidate("198.51.100.1"),), controlling=False)
    check_of_the_next_generation(bench)
    bench.answer(bench.check)
    assert check_of_the_next_generation(bench) is None
    assert bench.dropped() == {"BAD_USERNAME": 1}
    bench.call(bench.agent.set_remote, AGAIN)
    [restarted] = bench.heard(Restarted)
    assert restarted.by_peer and bench.agent.credentials == restarted.credentials != OURS
    assert check_of_the_next_generation(bench) is None  # and still is, by the generation that goes
