"""Which nominations a lite agent follows: of regular and aggressive partners, of those that renominate, and of replays."""

import pytest

from ice._lite import BEFORE_ICE2, OTHER, PEER, STRANGER, LiteBench, check_bytes, connected
from ice._wire import at, candidate
from sansice.ice import IceConfig, PairSelected, PairValidated
from sansice.ice._lite._component import AGGRESSIVE_PHASE, CONFIRMATION, MAX_MOVES
from sansice.ice._lite._stream import MAX_REMEMBERED
from sansice.stun import ERROR_CODE, MessageClass

LOW, MIDDLE, HIGH = 10, 1000, 100000


def is_success(answer):
    return answer.message_class is MessageClass.SUCCESS


# Regular nomination (RFC 8445 8.1.1)


def test_partner_that_follows_rfc_8445_cannot_nominate_another_pair_and_is_told():
    bench = connected()
    answer = bench.nominate(OTHER)
    assert answer.get(ERROR_CODE).code == 400
    assert bench.selected == PEER and bench.dropped() == {"LIMIT": 1}
    assert len(bench.heard(PairSelected)) == 1


def test_nomination_of_the_pair_in_use_changes_nothing():
    bench = connected()
    for _ in range(5):
        assert is_success(bench.nominate())
    assert len(bench.heard(PairValidated)) == len(bench.heard(PairSelected)) == 1


def test_another_pair_may_be_nominated_once_the_one_in_use_is_silent():
    bench = connected()
    bench.run(until=11.9)
    assert bench.nominate(OTHER).get(ERROR_CODE).code == 400
    bench.run(until=12.0)
    assert is_success(bench.nominate(OTHER))
    assert bench.selected == OTHER


def test_silence_that_tells_nothing_of_disconnection_still_lets_another_pair_be_nominated():
    bench = connected(config=IceConfig(disconnected_after=float("inf"), consent_timeout=20.0, consent=False))
    bench.run(until=19.9)
    assert not is_success(bench.nominate(OTHER))
    bench.run(until=20.0)
    assert is_success(bench.nominate(OTHER)) and bench.selected == OTHER


# Aggressive nomination (RFC 5245)


def aggressive(**options):
    return LiteBench(options=BEFORE_ICE2, **options)


def test_aggressive_partner_ends_on_its_best_pair_in_whatever_order_the_checks_come():
    for order in ([LOW, MIDDLE, HIGH], [HIGH, LOW, MIDDLE], [MIDDLE, HIGH, LOW]):
        bench = aggressive()
        for priority in order:
            assert is_success(bench.nominate(at("198.51.100.1", priority % 60000 + 1), priority=priority))
            bench.run(until=bench.now + 0.05)
        assert bench.selected.port == HIGH % 60000 + 1


def test_signalled_priority_of_an_aggressive_partners_candidate_counts_not_that_of_the_check():
    bench = aggressive(remotes=(candidate(PEER.host, priority=HIGH), candidate(OTHER.host, priority=LOW)))
    bench.nominate(PEER, priority=LOW)
    bench.nominate(OTHER, priority=HIGH)
    assert bench.selected == PEER


def test_retransmission_of_an_aggressive_nomination_confirms_nothing():
    bench = aggressive()
    bench.nominate(PEER, priority=HIGH)
    lower = check_bytes(5, priority=LOW, use_candidate=True)
    for _ in range(7):
        bench.arrive(1, OTHER, lower)
        assert is_success(bench.sent[-1].message)
        bench.run(until=bench.now + 1.5)
    assert bench.selected == PEER


def test_browser_that_nominates_the_pair_in_use_with_each_check_moves_when_it_nominates_another():
    bench = aggressive()
    bench.nominate(PEER, priority=HIGH)
    for _ in range(8):
        bench.run(until=bench.now + 2.5)
        bench.nominate(PEER, priority=HIGH)
    for at_rest in (0.0, 2.5):
        bench.run(until=bench.now + at_rest)
        assert is_success(bench.nominate(OTHER, priority=LOW))
        assert bench.selected == PEER
    bench.run(until=bench.now + 2.5)
    bench.nominate(OTHER, priority=LOW)
    assert bench.selected == OTHER


def test_nomination_beside_one_of_the_pair_in_use_never_adds_up_to_a_move():
    bench = aggressive()
    bench.nominate(PEER, priority=HIGH)
    for _ in range(20):
        bench.run(until=bench.now + CONFIRMATION / 2)
        bench.nominate(OTHER, priority=LOW)
        bench.run(until=bench.now + CONFIRMATION / 2)
        bench.nominate(PEER, priority=HIGH)
    assert bench.selected == PEER


def test_better_pair_is_followed_at_once_only_while_an_aggressive_partner_still_checks():
    bench = aggressive()
    bench.nominate(PEER, priority=LOW)
    bench.run(until=AGGRESSIVE_PHASE)
    bench.check(PEER)
    bench.nominate(OTHER, priority=HIGH)
    assert bench.selected == PEER


def test_each_of_two_contenders_begins_anew():
    bench = aggressive()
    bench.nominate(PEER, priority=HIGH)
    for number in range(6):
        bench.run(until=bench.now + 2.0)
        bench.check(PEER)
        bench.nominate(OTHER if number % 2 else STRANGER, priority=LOW)
    assert bench.selected == PEER


# Renomination (draft-thatcher-ice-renomination)


def test_numbered_nominations_move_at_once_and_the_highest_counts():
    bench = LiteBench()
    for number, source, expected in ((1, PEER, PEER), (3, OTHER, OTHER), (2, PEER, OTHER), (3, PEER, OTHER), (4, PEER, PEER)):
        bench.arrive(1, source, check_bytes(number * 10 + source.port % 7 + len(bench.sent), nomination=number))
        assert is_success(bench.sent[-1].message)
        assert bench.selected == expected


def test_number_of_the_pair_in_use_counts_too():
    bench = LiteBench()
    bench.arrive(1, PEER, check_bytes(1, nomination=1))
    bench.arrive(1, PEER, check_bytes(2, nomination=5))
    bench.arrive(1, OTHER, check_bytes(3, nomination=4))
    assert bench.selected == PEER


def test_nomination_without_a_number_means_nothing_from_a_peer_that_numbers_them():
    bench = LiteBench(options=BEFORE_ICE2)
    bench.arrive(1, PEER, check_bytes(1, nomination=1))
    for _ in range(3):
        bench.run(until=bench.now + 2 * CONFIRMATION)
        bench.check(PEER)
        assert is_success(bench.nominate(OTHER, priority=2**31 - 1))
    assert bench.selected == PEER


# Attacks


def test_nomination_replayed_from_elsewhere_is_neither_answered_nor_followed():
    for options in (("ice2",), BEFORE_ICE2):
        bench = LiteBench(options=options)
        recorded = check_bytes(1, use_candidate=True, priority=HIGH)
        bench.arrive(1, PEER, recorded)
        sent = len(bench.sent)
        for _ in range(10):
            bench.run(until=bench.now + CONFIRMATION)
            bench.arrive(1, PEER, check_bytes(100 + int(bench.now), use_candidate=True))
            sent += 1
            bench.arrive(1, STRANGER, recorded)
        assert len(bench.sent) == sent
        assert bench.selected == PEER and bench.dropped() == {"REPLAYED": 10}


def test_recorded_nominations_that_are_forgotten_by_now_move_no_browser():
    bench = LiteBench(options=BEFORE_ICE2)
    recorded = [check_bytes(number, use_candidate=True) for number in range(1, MAX_REMEMBERED + 20)]
    for data in recorded:
        bench.run(until=bench.now + 2.5)
        bench.arrive(1, PEER, data)
    for step in range(20):
        bench.arrive(1, STRANGER, recorded[step % 19])
        bench.run(until=bench.now + 2.5)
        bench.nominate(PEER)
        assert bench.selected == PEER


def test_flood_of_better_and_better_pairs_moves_a_bounded_number_of_times():
    bench = LiteBench(options=BEFORE_ICE2)
    for number in range(1000):
        bench.nominate(at("203.0.113.5", 1000 + number), priority=1000 + number)
    assert len(bench.heard(PairSelected)) == MAX_MOVES
    assert bench.dropped()["LIMIT"] == 1000 - MAX_MOVES
    bench.run(until=5.0)
    for number in range(1000):
        bench.nominate(at("203.0.113.6", 1000 + number), priority=100000 + number)
    assert len(bench.heard(PairSelected)) == MAX_MOVES + 5


def test_nominations_with_ever_higher_numbers_move_a_bounded_number_of_times():
    bench = LiteBench()
    for number in range(1, 500):
        bench.arrive(1, PEER if number % 2 else OTHER, check_bytes(number, nomination=number))
    assert len(bench.heard(PairSelected)) == MAX_MOVES


@pytest.mark.parametrize("nominates", [False, True])
def test_ten_thousand_addresses_with_the_right_password_are_answered_and_forgotten(nominates):
    bench = connected(config=IceConfig(max_peer_reflexive=16))
    ask = bench.nominate if nominates else bench.check
    for number in range(10000):
        assert ask(at(f"10.{number // 250}.{number % 250}.1", 5000)) is not None
    (component,) = bench.agent._session.streams[0].current.components
    assert len(component.sources) == 16 and PEER in component.sources
    assert len(bench.agent.remote_candidates) == 1
    assert bench.selected == PEER
    assert len(bench.agent._session.streams[0].current.nominations) <= MAX_REMEMBERED
