"""What an agent does once a pair works, and once one is selected (RFC 8445 8.1.2, 8.3, 11, 12)."""

import itertools

import pytest

from ice._wire import Bench, at, candidate
from sansice.ice import DataReceived, IceConfig, IceState, IceStateChanged, NotConnected, PairSelected
from sansice.machine import SendDatagram, SocketId
from sansice.stun import XOR_MAPPED_ADDRESS, MessageClass, Method, TransactionId, encode

HIGH, LOW = at("198.51.100.1"), at("198.51.100.2")
HIGH_C = candidate("198.51.100.1", preference=300)
LOW_C = candidate("198.51.100.2", preference=200, foundation="r2")
HOSTS = ("192.0.2.1", "192.0.2.2")
NO_CONSENT = IceConfig(consent=False)


def connect(*, remotes=(HIGH_C,), hosts=HOSTS[:1], config=None):
    """A bench whose agent, controlling, has selected the pair to the first remote at time 0.05."""
    bench = Bench(remotes=remotes, hosts=hosts, config=config)
    bench.answer(bench.check)
    bench.run(0.05)
    bench.answer(bench.check)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.selected_pair.remote.address == HIGH
    return bench


def datagrams(bench, since=0.05):
    """What is neither request nor answer: indications and data."""
    return [one for one in bench.sent if one.at > since and not _is_exchange(one)]


def _is_exchange(one):
    return one.data[:4] != b"data" and one.message.message_class is not MessageClass.INDICATION


@pytest.mark.req("RFC8445-102", "RFC8445-116")
def test_after_the_selection_requests_are_answered_without_consequences():
    bench = connect(remotes=(HIGH_C, LOW_C), hosts=HOSTS)
    pairs, events, checks = bench.agent.pairs, len(bench.events), len(bench.checks)
    for source, socket in ((HIGH, 1), (HIGH, 2), (LOW, 1), (at("203.0.113.5"), 2)):
        for use_candidate in (False, True):
            answer = bench.request(source, socket=socket, use_candidate=use_candidate)
            assert answer.message_class is MessageClass.SUCCESS
            assert answer.get(XOR_MAPPED_ADDRESS) == source
    assert (bench.agent.pairs, len(bench.events), len(bench.checks)) == (pairs, events, checks)
    bench.run(2.0)
    assert len(bench.checks) == checks
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-105")
def test_candidates_that_were_not_selected_are_kept_for_3_seconds():
    bench = connect(hosts=(*HOSTS, "192.0.2.3"))
    used = bench.checks[0].socket
    bench.run(3.04)
    assert bench.closed == [] and bench.request(HIGH, socket=3) is not None
    bench.run(3.05)
    assert bench.closed == [(3.05, socket) for socket in (1, 2, 3) if socket != used]
    bench.call(bench.agent.send, b"data")
    assert bench.sent[-1].socket == used


@pytest.mark.req("RFC8445-112", "RFC8445-114")
def test_a_path_that_is_silent_for_15_seconds_gets_an_indication_of_28_bytes():
    bench = connect(config=NO_CONSENT)
    bench.run(46.0)
    kept = datagrams(bench)
    assert [(one.at, one.path) for one in kept] == [(at_, (1, HIGH)) for at_ in (15.0, 30.0, 45.0)]
    for one in kept:
        assert len(one.data) == 28
        assert one.data[:8] == bytes.fromhex("001100082112a442")
        assert one.data[20:24] == bytes.fromhex("80280004")
        assert one.message.has_fingerprint and not one.message.has_integrity
    assert len({one.data[8:20] for one in kept}) == 3


@pytest.mark.req("RFC8445-112")
def test_data_postpones_the_keepalive():
    bench = connect(config=NO_CONSENT)
    for second in (10.0, 20.0):
        bench.run(second)
        bench.call(bench.agent.send, b"data")
    bench.run(51.0)
    assert [one.at for one in datagrams(bench)] == [10.0, 20.0, 35.0, 50.0]


@pytest.mark.req("RFC8445-113")
def test_the_keepalive_interval_is_15_seconds_or_more():
    assert IceConfig().keepalive_interval == 15.0
    with pytest.raises(ValueError, match="keepalive_interval: below 15"):
        IceConfig(keepalive_interval=14.0)
    bench = connect(config=IceConfig(consent=False, keepalive_interval=20.0))
    bench.run(41.0)
    assert [one.at for one in datagrams(bench)] == [20.0, 40.0]


@pytest.mark.req("RFC8445-115")
def test_only_the_selected_pair_is_kept_alive_and_no_longer_than_the_session():
    bench = Bench(remotes=(HIGH_C, LOW_C), config=NO_CONSENT)
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    bench.run(0.1)
    bench.answer(better)
    bench.run(0.15)
    bench.answer(bench.check)
    bench.run(31.0)
    assert {one.path for one in datagrams(bench)} == {(1, HIGH)}
    sent = len(bench.sent)
    bench.call(bench.agent.close)
    assert bench.is_idle
    bench.run(100.0)
    assert len(bench.sent) == sent


@pytest.mark.req("RFC7675-002")
def test_where_consent_is_checked_there_are_no_indications():
    bench = connect()
    for tick in range(1, 60):
        bench.run(tick)
        if bench.check.at > tick - 1:
            bench.answer(bench.check)
    assert datagrams(bench) == [] and bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-116")
def test_an_indication_keeps_alive_and_changes_nothing():
    bench = connect()
    before = len(bench.events), len(bench.sent), bench.agent.pairs, dict(bench.agent.stats.dropped)
    for source in (HIGH, LOW):
        data = encode(Method.BINDING, MessageClass.INDICATION, TransactionId(bytes(12)), fingerprint=True)
        bench.arrive(1, source, data)
    assert before == (len(bench.events), len(bench.sent), bench.agent.pairs, dict(bench.agent.stats.dropped))


@pytest.mark.req("RFC8445-117")
def test_data_flows_on_the_best_valid_pair_before_any_is_selected():
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    with pytest.raises(NotConnected):
        bench.agent.send(b"data", now=bench.now)
    bench.run(0.05)
    better, worse = bench.checks
    bench.answer(worse)
    bench.call(bench.agent.send, b"data1")
    bench.answer(better)
    bench.call(bench.agent.send, b"data2")
    assert bench.agent.selected_pair is None
    assert [(one.data, one.destination) for one in datagrams(bench, 0.0)] == [(b"data1", LOW), (b"data2", HIGH)]


@pytest.mark.req("RFC8445-118")
def test_after_the_selection_data_goes_on_the_selected_pair_only():
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.request(LOW, use_candidate=True)
    assert bench.heard(PairSelected)[0].pair.remote == LOW_C
    bench.call(bench.agent.send, b"data")
    bench.request(HIGH)
    bench.call(bench.agent.send, b"data")
    assert {one.destination for one in datagrams(bench, 0.0)} == {LOW}


@pytest.mark.req("RFC8445-118")
def test_the_selection_redirects_data_within_the_same_call():
    bench = Bench(remotes=(HIGH_C, LOW_C), controlling=False)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.request(LOW, use_candidate=True)
    bench.agent.send(b"data", now=bench.now)
    assert bench.agent.take_outputs()[-1] == SendDatagram(SocketId(1), LOW, b"data")


@pytest.mark.req("RFC8445-121")
def test_data_is_accepted_on_every_candidate_that_the_peer_has_shown_to_use():
    bench = connect(remotes=(HIGH_C, LOW_C), hosts=HOSTS)
    bench.request(LOW)
    for socket in (1, 2):
        for source in (HIGH, LOW):
            bench.arrive(socket, source, b"\x80data")
    assert bench.heard(DataReceived) == [DataReceived(0, 1, b"\x80data")] * 4
    bench.arrive(1, at("203.0.113.66"), b"\x80data")
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


@pytest.mark.req("RFC8445-101", "RFC8445-045")
def test_the_states_of_a_session_that_succeeds():
    bench = connect()
    assert [(event.old.value, event.new.value) for event in bench.heard(IceStateChanged)] == [
        ("new", "checking"),
        ("checking", "connected"),
        ("connected", "completed"),
    ]


@pytest.mark.req("RFC7675-005", "RFC7675-010", "RFC7675-016")
def test_tricky_29_consent_is_a_clock_of_30_seconds_and_its_loss_is_final():
    bench = connect()
    bench.run(10.0)
    checks = [one for one in bench.checks if one.at > 1.0]
    assert [one.at for one in checks] == [4.0, 8.0]  # drawn at the short end: 0.8 x 5 s
    bench.answer(checks[0])  # an earlier one that is outstanding counts as well
    bench.run(39.9)
    assert bench.agent.writable
    assert all(len(bench.times(one)) == 1 for one in bench.checks if one.at > 1.0)  # each sent once
    bench.run(40.0)
    assert bench.agent.state is IceState.FAILED and not bench.agent.writable
    bench.answer(bench.check)
    assert bench.request(HIGH, use_candidate=True) is None
    with pytest.raises(NotConnected):
        bench.agent.send(b"data", now=bench.now)
    assert bench.is_idle


@pytest.mark.req("RFC7675-016")
def test_tricky_29_consent_lost_on_a_pair_that_was_not_selected_is_lost_for_good():
    bench = Bench(remotes=(HIGH_C,), controlling=False)
    bench.answer(bench.check)
    bench.run(4.0)
    bench.answer(bench.check, code=403)
    assert bench.state(HIGH) == "failed" and not bench.agent.writable
    sent = len(bench.requests)
    bench.request(HIGH, use_candidate=True)
    bench.run(20.0)
    assert len(bench.requests) == sent and bench.agent.selected_pair is None


def test_a_lone_agent_that_is_done_wakes_for_consent_only():
    bench = connect(config=NO_CONSENT)
    assert bench.agent.deadline() == 15.0  # the keepalive: there is nothing to be released
    bench.run(31.0)
    assert bench.agent.deadline() == 45.0  # nor to be patient for
    bench = connect()
    assert bench.agent.deadline() == 4.0  # the first consent check, 0.8 times 5 s after the pair became valid


def test_a_pair_that_is_selected_after_patience_has_ended_stays_selected():
    bench = Bench(complete=False, config=NO_CONSENT)
    bench.run(60.0)
    bench.call(bench.agent.add_remote_candidate, HIGH_C)
    bench.answer(bench.check)
    bench.run(60.1)
    bench.answer(bench.check)
    assert bench.agent.state is IceState.COMPLETED
    bench.call(bench.agent.end_of_candidates)  # and with that everything is known to have been tried
    bench.run(120.0)
    assert bench.agent.state is IceState.COMPLETED


def aggressive(options=()):
    """A controlled agent with two valid pairs, whose partner has nominated both: the better one is selected."""
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C), options=options)
    bench.run(0.05)
    for check in bench.checks:
        bench.answer(check)
    for source in (LOW, HIGH):
        bench.request(source, use_candidate=True)
    assert bench.agent.selected_pair.remote.address == HIGH
    return bench


def nominations(bench, *times):
    """At each of these times the partner nominates the worse pair; where we are when each was answered."""
    seen = []
    for when in times:
        bench.run(when)
        bench.request(LOW, use_candidate=True)
        seen.append(bench.agent.selected_pair.remote.address)
    return seen


@pytest.mark.parametrize("times", [(0.1, 2.6, 3.1), (0.1, 3.1), (5.0, 6.0, 8.0)])
def test_partner_that_goes_on_nominating_a_worse_pair_and_no_other_for_3_seconds_is_followed_there(times):
    bench = aggressive()
    assert nominations(bench, *times) == [HIGH] * (len(times) - 1) + [LOW]
    assert [pair.nominated for pair in bench.agent.pairs] == [False, True]
    assert [event.pair.remote.address for _, event in bench.events if isinstance(event, PairSelected)][-2:] == [HIGH, LOW]
    bench.call(bench.agent.send, b"data")
    assert bench.sent[-1].destination == LOW


def test_partner_may_come_back_as_it_went():
    bench = aggressive()
    nominations(bench, 0.1, 3.1)
    bench.request(HIGH, use_candidate=True)  # of higher priority: followed at once
    assert bench.agent.selected_pair.remote.address == HIGH
    assert nominations(bench, 6.0, 8.9, 9.0) == [HIGH, HIGH, LOW]


def test_nomination_of_the_selected_pair_says_that_it_is_still_meant():
    bench = aggressive()
    for when in (2.0, 4.0, 6.0):
        assert nominations(bench, when) == [HIGH]
        bench.request(HIGH, use_candidate=True)


def test_nominations_of_two_worse_pairs_in_turn_move_nothing():
    third = candidate("198.51.100.3", preference=100, foundation="r3")
    bench = Bench(controlling=False, remotes=(HIGH_C, LOW_C, third), options=())
    bench.run(0.1)
    for check in bench.checks:
        bench.answer(check)
    bench.request(HIGH, use_candidate=True)
    for when in (1.0, 5.0, 9.0):
        assert nominations(bench, when) == [HIGH]
        bench.request(third.address, use_candidate=True)
        assert bench.agent.selected_pair.remote.address == HIGH


def test_retransmission_of_a_nomination_insists_on_nothing():
    bench = aggressive()
    bench.their_transactions = itertools.repeat(999)
    assert nominations(bench, 0.1, 3.5, 7.5) == [HIGH] * 3


def test_worse_pair_that_is_insisted_on_after_a_long_silence_is_checked_again_first():
    bench = aggressive()
    for second in range(1, 41):  # consent for the pair in use is renewed meanwhile, and for the other one is not
        bench.run(float(second))
        bench.answer(bench.check)
    assert nominations(bench, 40.0, 43.0) == [HIGH, HIGH]
    again = bench.check
    assert again.destination == LOW
    bench.answer(again)
    assert bench.agent.selected_pair.remote.address == LOW
