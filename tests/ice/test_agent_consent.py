"""The agent after a pair is in use: consent (RFC 7675), keepalives (RFC 8445 11), and who may speak."""

import itertools
import math

import pytest

from ice._session import PEER, STRANGER, Two, checking, selected, states, validated
from ice._wire import ANY, OURS, STRANGER as WRONG_KEY, THEIRS, at, candidate
from sansice.ice import (
    ConsentExpired,
    GatheringOptions,
    IceAgent,
    IceConfig,
    IceState,
    Nomination,
    NotConnected,
    PairSelected,
    PairValidated,
)
from sansice.machine import DropReason, LocalProtocolError, OpenSocket, SendDatagram, SocketId
from sansice.stun import (
    ERROR_CODE,
    FINGERPRINT,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)

# On the bench entropy draws the shortest interval: consent checks leave every 4 s from the first valid pair (0.0) on.
CHECKED = [4.0, 8.0, 12.0, 16.0, 20.0, 24.0, 28.0]


def expiries(bench):
    return [(when, event.revoked) for when, event in bench.events if isinstance(event, ConsentExpired)]


def reply(check, *, content=None, code=None, key=ANY, algorithm=IntegrityAlgorithm.SHA1, fingerprint=True):
    """The bytes of an answer to a check."""
    right = [(XOR_MAPPED_ADDRESS, at("192.0.2.1", 4001))] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
    return encode(
        Method.BINDING,
        MessageClass.SUCCESS if code is None else MessageClass.ERROR,
        check.message.transaction_id,
        right if content is None else content,
        key=short_term_key(THEIRS.pwd) if key is ANY else key,
        algorithm=algorithm,
        fingerprint=fingerprint,
    )


# The clock


@pytest.mark.req("RFC7675-005", "RFC7675-016")
@pytest.mark.parametrize("controlling", [True, False])
def test_silence_disconnects_when_two_checks_are_late_and_ends_the_session_after_30_s(controlling):
    bench = selected(controlling=controlling)
    last = 0.05 if controlling else 0.0  # the nomination was answered, or not asked for
    bench.run(until=1000.0)
    assert states(bench)[-2:] == [(8.5, "disconnected"), (last + 30.0, "failed")]
    assert expiries(bench) == [(last + 30.0, False)]
    assert not bench.agent.writable
    with pytest.raises(NotConnected, match="failed"):
        bench.call(bench.agent.send, b"x" * 100)
    assert bench.is_idle


@pytest.mark.req("RFC7675-010", "RFC7675-002")
def test_consent_checks_are_sent_once_each_with_an_id_of_their_own_and_no_keepalives_beside_them():
    bench = selected()
    before = len(bench.sent)
    bench.run(until=30.0)
    checks = bench.sent[before:]
    assert [one.at for one in checks] == CHECKED
    assert all(one.is_request and one.path == (1, PEER) for one in checks)
    assert len({one.message.transaction_id for one in checks}) == len(checks)


@pytest.mark.req("RFC7675-007", "RFC7675-008")
def test_intervals_are_random_between_four_and_six_seconds():
    two = Two(trace=100_000)
    two.exchange()
    assert two.connect()
    began = two.net.now
    two.net.run(until=began + 600.0)
    sent = [
        one.time
        for one in two.net.packets
        if one.fate.name == "SENT"
        and one.place == "A"
        and one.time > began
        and decode_untrusted(one.packet.data).message_class is MessageClass.REQUEST
    ]
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert len(gaps) > 100
    assert all(3.99 < gap < 6.01 for gap in gaps)
    assert min(gaps) < 4.3 and max(gaps) > 5.7
    assert 4.8 < sum(gaps) / len(gaps) < 5.2


@pytest.mark.req("RFC7675-005")
def test_each_answer_moves_the_end_30_s_on():
    bench = selected()
    bench.run(until=20.0)
    bench.answer(bench.check)
    bench.run(until=1000.0)
    assert expiries(bench) == [(50.0, False)]


@pytest.mark.req("RFC7675-010", "RFC7675-006")
def test_late_answer_to_an_earlier_check_renews():
    bench = selected()
    bench.run(until=9.0)
    first, second = bench.checks[-2:]
    assert (first.at, second.at) == (4.0, 8.0)
    bench.answer(first)
    bench.run(until=1000.0)
    assert expiries(bench) == [(39.0, False)]


def test_disconnected_agent_still_sends_and_comes_back_with_an_answer():
    bench = selected()
    bench.run(until=16.5)
    assert bench.agent.state is IceState.DISCONNECTED
    check = bench.check
    bench.call(bench.agent.send, b"x" * 100)
    assert bench.sent.pop().data == b"x" * 100
    bench.answer(check)
    assert states(bench)[-2:] == [(8.5, "disconnected"), (16.5, "completed")]
    # Its round trip was half a second, 16.0 to 16.5, so that the next checks, of 20.0 and 24.0, have longer to be answered.
    bench.run(until=24.5)
    assert bench.agent.state is IceState.COMPLETED
    bench.run(until=25.0)
    assert bench.agent.state is IceState.DISCONNECTED
    assert states(bench)[-1] == (pytest.approx(24.0 + 0.0625 + 4 * 0.125), "disconnected")


def test_one_lost_check_is_no_silence_at_the_longest_intervals_either():
    bench = selected(config=IceConfig(consent_interval=7.5))  # 0.8 of it: 6 s, as long as one of 5 s can be
    for moment in (12.0, 24.0, 36.0):  # each second check is lost
        bench.run(until=moment)
        bench.answer(bench.check)
    bench.run(until=48.0)
    assert [new for _, new in states(bench)][-1] == "completed"


def test_disconnected_is_told_once_and_consent_goes_on_to_be_asked_for():
    bench = selected()
    bench.run(until=29.0)
    assert [new for _, new in states(bench)].count("disconnected") == 1
    assert [one.at for one in bench.checks if one.at > 1.0] == CHECKED


def test_disconnected_before_nomination_comes_back_as_connected():
    bench = validated(controlling=False)
    bench.run(until=16.5)
    assert bench.agent.state is IceState.DISCONNECTED
    bench.answer(bench.check)
    assert bench.agent.state is IceState.CONNECTED


# What the application has to do with it


@pytest.mark.req("RFC7675-012")
def test_the_application_neither_sees_nor_chooses_the_ids_of_consent_checks():
    bench = selected()
    bench.run(until=8.5)
    ids = [one.message.transaction_id for one in bench.checks]
    told = (
        repr(bench.events)
        + bench.agent.explain()
        + repr([getattr(bench.agent, name) for name in dir(bench.agent) if name[0] != "_"])
    )
    assert [one for one in ids if one.hex() in told or repr(bytes(one))[2:-1] in told] == []
    forged = encode(Method.BINDING, MessageClass.REQUEST, ids[-1], [], fingerprint=True)
    with pytest.raises(LocalProtocolError, match="STUN"):
        bench.call(bench.agent.send, forged)


@pytest.mark.req("RFC7675-019")
def test_checks_consent_and_data_leave_by_one_socket_with_one_code_point():
    agent = IceAgent(controlling=True, gathering=GatheringOptions(dscp=46), streams=2, components=2)
    agent.gather(["192.0.2.1", "2001:db8::1"], now=0.0)
    opened = [output for output in agent.take_outputs() if isinstance(output, OpenSocket)]
    assert [one.options.dscp for one in opened] == [46] * 8
    assert [field for field in SendDatagram._fields if field not in ("socket", "destination", "data")] == []
    bench = selected()
    bench.run(until=4.0)
    bench.call(bench.agent.send, b"x" * 50)
    assert {one.socket for one in bench.sent} == {1}


@pytest.mark.parametrize("value", [-1, 64])
def test_a_code_point_that_is_none_is_refused(value):
    assert GatheringOptions().dscp == 0
    with pytest.raises(ValueError, match=f"dscp: {value} is outside 0..63"):
        GatheringOptions(dscp=value)


def test_the_application_is_told_how_much_data_a_packet_carries_once_there_is_a_path():
    bench = checking(config=IceConfig(path_mtu=1500))
    assert bench.agent.data_mtu is None
    bench.answer(bench.check)
    assert bench.agent.data_mtu == bench.agent.data_mtu_of(0, 1) == 1472
    with pytest.raises(LocalProtocolError, match="no component 2"):
        bench.agent.data_mtu_of(0, 2)


# Who renews


@pytest.mark.req("RFC7675-006", "RFC8489-079", "RFC8489-041")
@pytest.mark.parametrize(
    ("options", "source", "socket", "reason"),
    [
        ({"key": WRONG_KEY}, PEER, 1, DropReason.BAD_INTEGRITY),
        ({"key": None}, PEER, 1, DropReason.BAD_INTEGRITY),
        ({"algorithm": IntegrityAlgorithm.SHA256}, PEER, 1, DropReason.BAD_INTEGRITY),
        ({"fingerprint": False}, PEER, 1, DropReason.BAD_FINGERPRINT),
        ({}, STRANGER, 1, DropReason.WRONG_SOURCE),
        ({}, PEER, 2, DropReason.WRONG_SOURCE),
        ({"content": []}, PEER, 1, DropReason.MISSING_ATTRIBUTE),
        ({"code": 500}, PEER, 1, None),
        ({"code": 487}, PEER, 1, None),
    ],
)
def test_only_an_authentic_success_from_the_pair_renews(options, source, socket, reason):
    bench = validated(controlling=False, hosts=("192.0.2.1", "192.0.2.2"))
    for moment in CHECKED:
        bench.run(until=moment)
        assert bench.check.at == moment
        bench.arrive(socket, source, reply(bench.check, **options))
    if reason is not None:
        assert bench.agent.stats.dropped[reason] == len(CHECKED)
    bench.run(until=1000.0)
    assert expiries(bench) == [(30.0, False)]


@pytest.mark.req("RFC7675-006", "RFC7675-011")
def test_answer_after_consent_has_ended_is_nobodys():
    bench = selected()
    bench.run(until=28.0)
    check = bench.check
    bench.run(until=30.05)
    assert bench.agent.state is IceState.FAILED
    bench.arrive(1, PEER, reply(check))
    assert bench.agent.state is IceState.FAILED
    assert bench.agent.stats.dropped[DropReason.CLOSED] == 1


@pytest.mark.req("RFC7675-006", "RFC7675-005")
def test_driver_that_wakes_late_neither_sends_nor_renews_after_the_end():
    bench = selected()
    bench.run(until=28.0)
    check = bench.check
    bench.now = 30.05  # a laptop slept: what arrived meanwhile is read before the timer is called
    with pytest.raises(NotConnected, match="consent"):
        bench.call(bench.agent.send, b"x" * 100)
    bench.arrive(1, PEER, reply(check))
    assert bench.agent.stats.dropped[DropReason.CLOSED] == 1
    assert expiries(bench) == [(30.05, False)]
    assert bench.agent.state is IceState.FAILED
    bench.call(bench.agent.handle_timer)
    assert expiries(bench) == [(30.05, False)]


@pytest.mark.req("RFC7675-005")
def test_a_pair_whose_consent_has_ended_is_not_nominated_in_place_of_another():
    ways = [candidate(f"203.0.113.{number}", 7000, foundation=str(number)) for number in (7, 8)]
    bench = checking(remotes=(candidate(PEER.host, PEER.port), *ways))
    bench.run(until=0.1)
    for check in bench.checks[1:]:
        bench.now += 0.01
        bench.answer(check)
    sent = len(bench.requests)
    bench.now = 60.0  # a better pair was still being checked
    bench.call(bench.agent.handle_timer)
    assert len(bench.requests) == sent
    assert expiries(bench) == [(60.0, False)]
    assert bench.agent.state is IceState.FAILED


@pytest.mark.req("RFC7675-005")
def test_a_check_that_is_read_after_the_end_is_not_answered():
    bench = selected()
    bench.run(until=28.0)
    bench.now = 30.05
    assert bench.request(PEER) is None
    assert bench.agent.state is IceState.FAILED


def test_clock_that_jumps_an_hour_ends_consent_and_raises_nothing():
    bench = selected()
    bench.now = 3600.0
    bench.call(bench.agent.handle_timer)
    assert expiries(bench) == [(3600.0, False)]
    assert bench.agent.state is IceState.FAILED
    assert bench.is_idle


@pytest.mark.req("RFC7675-005")
def test_timer_that_comes_after_the_end_asks_for_nothing_more():
    bench = selected()
    bench.run(until=3.0)  # the check that is due at 4.0 was not sent
    sent = len(bench.requests)
    bench.now = 60.0
    bench.call(bench.agent.handle_timer)
    assert len(bench.requests) == sent
    assert expiries(bench) == [(60.0, False)]


def test_timer_that_comes_after_the_end_nominates_nothing():
    bench = validated()
    bench.now = 60.0  # the nominating check was due at 0.05
    bench.call(bench.agent.handle_timer)
    assert len(bench.checks) == 1
    assert bench.agent.state is IceState.FAILED


# Revocation


@pytest.mark.req("RFC7675-017")
def test_authentic_403_revokes_at_once():
    bench = selected()
    bench.run(until=4.0)
    bench.answer(bench.check, code=403)
    assert expiries(bench) == [(4.0, True)]
    assert states(bench)[-1] == (4.0, "failed")
    assert not bench.agent.writable and bench.is_idle


@pytest.mark.req("RFC7675-017")
@pytest.mark.parametrize(
    ("options", "source"), [({"key": None}, PEER), ({"key": WRONG_KEY}, PEER), ({}, STRANGER), ({"fingerprint": False}, PEER)]
)
def test_403_that_anybody_could_have_sent_revokes_nothing(options, source):
    bench = selected()
    bench.run(until=4.0)
    bench.arrive(1, source, reply(bench.check, code=403, **options))
    assert expiries(bench) == []
    bench.answer(bench.check)
    assert bench.agent.state is IceState.COMPLETED


def test_rest_of_a_batch_after_a_revocation_is_dropped():
    bench = selected()
    bench.run(until=4.0)
    before = len(bench.sent)
    batch = [(PEER, b"before"), (PEER, reply(bench.check, code=403)), (PEER, b"after"), (PEER, b"after")]
    bench.call(bench.agent.handle_datagrams, SocketId(1), batch)
    assert bench.agent.stats.datagrams_received == 1
    assert bench.agent.stats.dropped[DropReason.CLOSED] == 2
    assert bench.sent[before:] == []


def test_nomination_and_revocation_in_one_batch_raise_nothing():
    bench = validated()
    bench.run(until=0.05)
    nomination = bench.check
    assert nomination.nominates
    bench.run(until=4.0)  # its answer is late, and consent is asked meanwhile
    batch = [(PEER, reply(nomination)), (PEER, reply(bench.check, code=403))]
    bench.call(bench.agent.handle_datagrams, SocketId(1), batch)
    assert [event for _, event in bench.events if isinstance(event, PairSelected)]
    assert expiries(bench) == [(4.0, True)]
    assert [new for _, new in states(bench)][-2:] == ["completed", "failed"]


@pytest.mark.req("RFC7675-016")
def test_failed_agent_is_silent_even_to_authentic_checks():
    bench = selected()
    bench.run(until=4.0)
    bench.answer(bench.check, code=403)
    before = len(bench.sent)
    assert bench.request(PEER) is None
    bench.run(until=100.0)
    assert bench.sent[before:] == []


# Before anything is selected


@pytest.mark.req("RFC7675-003", "RFC7675-005")
def test_consent_lost_before_nomination_falls_back_to_another_valid_pair():
    bench = checking(
        controlling=False,
        remotes=(candidate(PEER.host, PEER.port), candidate("198.51.100.2", 5000, preference=1, foundation="r2")),
    )
    other = at("198.51.100.2")
    bench.answer(bench.check)
    bench.run(until=0.05)
    assert bench.check.destination == other
    bench.run(until=4.0)
    check = next(one for one in bench.checks if one.destination == other)
    bench.answer(check)  # the second pair becomes valid at 4.0; the better one stays in use
    bench.run(until=29.9)
    bench.call(bench.agent.send, b"x" * 50)
    assert bench.sent[-1].destination == PEER
    bench.run(until=30.0)
    assert expiries(bench) == [(30.0, False)]
    bench.call(bench.agent.send, b"x" * 50)
    assert bench.sent[-1].destination == other
    bench.run(until=100.0)
    assert expiries(bench) == [(30.0, False), (34.0, False)]
    assert not bench.agent.writable


def test_consent_on_pairs_that_were_answered_last_at_one_time_ends_at_one_time():
    bench = checking(controlling=False, remotes=(candidate(PEER.host), candidate("198.51.100.2", preference=1, foundation="r2")))
    bench.run(until=0.5)
    for check in list(bench.checks):
        bench.answer(check)
    bench.run(until=40.0)
    assert expiries(bench) == [(30.5, False)]


@pytest.mark.req("RFC7675-016")
def test_path_whose_consent_was_lost_is_never_checked_again_and_who_checks_it_is_not_answered():
    bench = validated(controlling=False)
    bench.run(until=30.0)
    assert expiries(bench) == [(30.0, False)]
    before = len(bench.sent)
    assert bench.request(PEER, use_candidate=True) is None
    assert bench.dropped() == {"UNUSABLE_CANDIDATE": 1}
    bench.run(until=39.0)
    assert bench.sent[before:] == []
    assert not bench.agent.writable


@pytest.mark.req("RFC7675-016")
def test_late_answer_to_the_nominating_check_does_not_revive_what_lost_consent():
    bench = validated()
    bench.run(until=0.05)
    nomination = bench.check
    bench.run(until=30.0)
    assert expiries(bench) == [(30.0, False)]
    bench.answer(nomination)
    assert bench.agent.selected_pair is None
    assert not bench.agent.writable


@pytest.mark.req("RFC7675-015")
def test_peer_that_changes_to_a_pair_unused_for_long_is_asked_for_consent_first():
    second = at("198.51.100.2")
    bench = checking(controlling=False, remotes=(candidate(PEER.host), candidate(second.host, preference=1, foundation="r2")))
    bench.answer(bench.check)
    bench.run(until=0.05)
    bench.answer(bench.check)
    bench.request(PEER, use_candidate=True)
    assert bench.agent.selected_pair.remote.address == PEER
    while bench.now < 60.0:  # consent on the selected pair goes on
        bench.run(until=bench.now + 4.0)
        bench.answer(bench.check)
    bench.request(second, use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    assert bench.agent.selected_pair.remote.address == PEER
    bench.run(until=bench.now + 0.05)
    assert bench.check.destination == second
    bench.answer(bench.check)
    assert bench.agent.selected_pair.remote.address == second
    bench.run(until=bench.now + 29.0)
    assert expiries(bench) == []


def two_paths():
    """A controlled agent on the first of two paths, both of which were answered at 0.05; and the second address."""
    second = at("198.51.100.2")
    bench = checking(controlling=False, remotes=(candidate(PEER.host), candidate(second.host, preference=1, foundation="r2")))
    bench.run(until=0.05)
    for check in bench.checks:
        bench.answer(check)
    bench.request(PEER, use_candidate=True)
    return bench, second


@pytest.mark.req("RFC7675-010")
def test_what_was_asked_on_the_path_before_renews_that_one_and_not_the_one_in_use():
    bench, second = two_paths()
    bench.run(until=4.05)
    check = bench.check
    bench.request(second, use_candidate=True)
    bench.run(until=6.0)
    bench.answer(check)
    assert bench.agent.stats.dropped == {}
    bench.run(until=100.0)
    assert expiries(bench) == [(30.05, False)]


def test_revocation_on_the_path_before_bars_that_one_and_leaves_the_one_in_use():
    bench, second = two_paths()
    bench.run(until=4.05)
    check = bench.check
    bench.request(second, use_candidate=True)
    bench.answer(check, code=403)
    assert expiries(bench) == [] and bench.agent.state is IceState.COMPLETED
    bench.request(PEER, use_candidate=True)
    assert bench.agent.selected_pair.remote.address == second
    assert [one for one in bench.requests if one.destination == PEER and one.at > 4.05] == []


def test_answer_from_elsewhere_to_what_was_asked_on_the_path_before_counts_for_nothing():
    bench, second = two_paths()
    bench.run(until=4.05)
    check = bench.check
    bench.request(second, use_candidate=True)
    bench.answer(check, source=second)
    assert bench.dropped() == {"WRONG_SOURCE": 1}


def test_peer_that_changes_to_a_pair_validated_just_now_is_followed_at_once():
    second = at("198.51.100.2")
    bench = checking(controlling=False, remotes=(candidate(PEER.host), candidate(second.host, preference=1, foundation="r2")))
    bench.answer(bench.check)
    bench.run(until=0.05)
    bench.answer(bench.check)
    bench.request(PEER, use_candidate=True)
    bench.request(second, use_candidate=True)
    assert bench.agent.selected_pair.remote.address == second


@pytest.mark.req("RFC7675-003", "RFC7675-004", "RFC8445-117")
def test_data_may_be_sent_from_the_first_valid_pair_on_and_not_before():
    bench = checking()
    assert not bench.agent.writable
    with pytest.raises(NotConnected):
        bench.call(bench.agent.send, b"x" * 100)
    bench.answer(bench.check)
    assert bench.agent.writable and bench.agent.selected_pair is None
    bench.call(bench.agent.send, b"x" * 100)
    assert (bench.sent[-1].path, bench.sent[-1].data) == ((1, PEER), b"x" * 100)
    assert len(bench.heard(PairValidated)) == 1


@pytest.mark.req("RFC7675-013")
def test_while_a_restart_is_on_its_way_consent_goes_on_with_the_credentials_of_the_path_in_use():
    bench = selected()
    bench.run(until=1.0)
    bench.call(bench.agent.restart)
    for moment in (4.0, 8.0):
        bench.run(until=moment)
        assert (bench.check.at, bench.check.path) == (moment, (1, PEER))
        assert bench.check.message.get(USERNAME) == f"{THEIRS.ufrag}:{OURS.ufrag}"
        bench.answer(bench.check)
        bench.call(bench.agent.send, b"x" * 50)
        assert bench.sent.pop().destination == PEER
    bench.run(until=37.9)
    assert expiries(bench) == [] and bench.agent.writable
    bench.run(until=38.0)  # 30 s after the last answer
    assert expiries(bench) == [(38.0, False)] and not bench.agent.writable


# Keepalives, where consent is switched off


def without_consent(**options):
    return selected(config=IceConfig(consent=False), **options)


@pytest.mark.req("RFC8445-112", "RFC8445-114", "RFC8445-113")
def test_idle_pair_gets_an_indication_of_28_bytes_every_15_s():
    bench = without_consent()
    before = len(bench.sent)
    bench.run(until=60.0)
    sent = bench.sent[before:]
    assert [one.at for one in sent] == [15.0, 30.0, 45.0, 60.0]
    for one in sent:
        assert one.path == (1, PEER)
        assert len(one.data) == 28
        assert one.data[:8].hex() == "001100082112a442"
        assert [code for code, _ in one.message.attributes()] == [FINGERPRINT.code]
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-112")
def test_data_takes_the_place_of_a_keepalive():
    bench = without_consent()
    bench.run(until=10.0)
    bench.call(bench.agent.send, b"x" * 100)
    bench.run(until=39.9)
    assert [one.at for one in bench.sent if is_stun(one.data) and one.at > 1.0] == [25.0]


@pytest.mark.req("RFC8445-115")
def test_keepalives_go_to_the_selected_pair_only_and_end_with_the_agent():
    bench = without_consent(remotes=(candidate(PEER.host), candidate("198.51.100.2", preference=1, foundation="r2")))
    bench.run(until=31.0)
    assert [(one.at, one.destination) for one in bench.sent if one.at > 1.0] == [(15.0, PEER), (30.0, PEER)]
    bench.call(bench.agent.close)
    assert bench.is_idle


@pytest.mark.req("RFC8445-116", "RFC8445-102")
def test_check_of_the_peer_after_selection_is_answered_and_changes_nothing():
    bench = without_consent()
    bench.run(until=20.0)
    before = (bench.agent.state, bench.agent.selected_pair, bench.agent.pairs, len(bench.events), bench.agent.deadline())
    answer = bench.request(PEER)
    assert answer.message_class is MessageClass.SUCCESS
    bench.run(until=20.0)
    assert before == (bench.agent.state, bench.agent.selected_pair, bench.agent.pairs, len(bench.events), bench.agent.deadline())


def test_without_consent_nothing_expires():
    bench = without_consent()
    bench.run(until=3600.0)
    assert bench.agent.state is IceState.COMPLETED and bench.agent.writable
    assert bench.agent.deadline() < math.inf


# A NAT that forgets


def mapped_anew(bench):
    """A connected bench whose consent check is answered as from another mapping."""
    bench.run(4.0)
    bench.answer(bench.check, mapped=ANEW)
    bench.run(4.1)


ANEW = at("203.0.113.9", 61000)
MOVING = {"nomination": Nomination(renominate=True), "options": ("ice2", "renomination")}


@pytest.mark.parametrize("controlling", [True, False])
def test_a_mapping_that_consent_shows_to_be_another_is_checked_and_told(controlling):
    bench = selected(controlling=controlling, **MOVING)
    asked = len(bench.checks)
    mapped_anew(bench)
    [*_, again] = bench.checks
    assert len(bench.checks) == asked + 2 and not again.nominates
    bench.answer(again, mapped=ANEW)
    pair = bench.agent.selected_pair
    assert (pair.local.address, pair.nominated) == (ANEW, True)
    bench.run(8.0)
    bench.answer(bench.check, mapped=ANEW)  # known by now
    bench.run(8.2)
    assert len(bench.checks) == asked + 3
    assert [when for when, event in bench.events if isinstance(event, PairSelected)][-1] == pytest.approx(4.1)


def test_without_renomination_another_mapping_changes_nothing():
    bench = selected()
    asked, pair = len(bench.checks), bench.agent.selected_pair
    mapped_anew(bench)
    assert len(bench.checks) == asked + 1  # that of consent
    assert bench.agent.selected_pair == pair


def test_mappings_without_end_do_not_end_a_pair_that_works():
    bench = selected(config=IceConfig(max_pairs=1), **MOVING)  # one mapping more than the base is remembered
    answered = len(bench.checks)
    while bench.now < 20.0:
        bench.run(bench.now + 0.1)
        while answered < len(bench.checks):
            bench.answer(bench.checks[answered], mapped=at("203.0.113.9", 61000 + answered))
            answered += 1
    assert bench.agent.selected_pair.local.address.host == "203.0.113.9"
    assert (bench.agent.state, bench.state(PEER)) == (IceState.COMPLETED, "succeeded")
