"""What a lite agent does with the checks of its peer (RFC 8445 7.3, 7.3.2)."""

import pytest

from ice._lite import BEFORE_ICE2, OTHER, PEER, STRANGER, LiteBench, check_bytes, connected
from ice._session import LOST
from ice._wire import OURS, at, candidate
from sansice.ice import CandidateType, DataReceived, IceConfig, IceRole, IceState, PairSelected, PairValidated
from sansice.ice._lite._stream import MAX_REMEMBERED
from sansice.machine import DropReason, SocketId
from sansice.stun import (
    ERROR_CODE,
    FINGERPRINT,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    UNKNOWN_ATTRIBUTES,
    XOR_MAPPED_ADDRESS,
    Attribute,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    TransactionId,
    encode,
    short_term_key,
)
from sansice.stun.shapes import UINT32


@pytest.mark.req("RFC8445-052", "RFC7675-001")
def test_lite_agent_answers_checks_and_never_sends_one():
    bench = LiteBench(remotes=(candidate(PEER.host),))
    bench.run(until=39.0)
    assert bench.sent == []
    assert bench.check().get(XOR_MAPPED_ADDRESS) == PEER
    bench.nominate()
    bench.run(until=200.0)
    assert bench.requests == []


@pytest.mark.req("RFC7675-001")
def test_lite_agent_answers_consent_checks_like_any_check_and_asks_for_no_consent():
    bench = connected()
    for _ in range(20):
        bench.run(until=bench.now + 5.0)
        answer = bench.check()
        assert answer.message_class is MessageClass.SUCCESS
    assert bench.requests == []
    assert bench.agent.state is IceState.COMPLETED


@pytest.mark.req("RFC8445-081")
def test_answers_carry_integrity_of_the_requests_algorithm_and_a_fingerprint():
    bench = LiteBench()
    for algorithm, attribute in (
        (IntegrityAlgorithm.SHA1, MESSAGE_INTEGRITY),
        (IntegrityAlgorithm.SHA256, MESSAGE_INTEGRITY_SHA256),
    ):
        answer = bench.check(algorithm=algorithm)
        assert attribute in answer and FINGERPRINT in answer
        assert answer.verify(short_term_key(OURS.pwd))


@pytest.mark.req("RFC8445-096")
def test_nomination_makes_the_pair_of_the_received_addresses_valid_and_nominated():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"), remotes=(candidate(OTHER.host),))
    bench.nominate(PEER, socket=2)
    (pair,) = bench.agent.pairs
    assert (pair.local.address, pair.remote.address) == (at("192.0.2.2", 4002), PEER)
    assert pair.nominated and pair.state.value == "succeeded"
    assert pair.remote.type is CandidateType.PEER_REFLEXIVE
    assert [type(event) for event in bench.heard((PairValidated, PairSelected))] == [PairValidated, PairSelected]


@pytest.mark.req("RFC8445-096")
def test_nomination_from_a_signalled_address_uses_the_signalled_candidate():
    remote = candidate(PEER.host)
    bench = connected(remotes=(remote,))
    assert bench.agent.selected_pair.remote == remote
    assert bench.agent.remote_candidates == (remote,)


def test_peer_reflexive_candidate_is_told_among_the_remote_ones():
    bench = connected(remotes=(candidate(OTHER.host),))
    assert [one.address for one in bench.agent.remote_candidates] == [OTHER, PEER]


@pytest.mark.parametrize("priority", [0, 2**31, 2**32 - 1])
def test_priority_out_of_range_does_not_keep_a_nomination_from_being_followed(priority):
    bench = LiteBench()
    bench.nominate(priority=priority)
    assert 1 <= bench.agent.selected_pair.remote.priority <= 2**31 - 1


def test_check_without_nomination_makes_no_pair_but_trusts_its_source():
    bench = LiteBench()
    bench.arrive(1, PEER, b"\x80 too early")
    bench.check()
    bench.arrive(1, PEER, b"\x80 data")
    assert bench.agent.pairs == () and not bench.agent.writable
    assert [event.data for event in bench.heard(DataReceived)] == [b"\x80 data"]
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_full_peer_controls_whatever_this_side_was_made_for():
    bench = LiteBench(controlling=True, known=False)
    assert bench.agent.role is IceRole.CONTROLLING
    bench.tell()
    assert bench.agent.role is IceRole.CONTROLLED


@pytest.mark.req("RFC8445-031")
@pytest.mark.parametrize("tiebreaker", [0, 2**64 - 1])
@pytest.mark.parametrize("known", [True, False])
def test_full_agent_that_believes_to_be_controlled_is_told_to_switch(tiebreaker, known):
    bench = LiteBench(controlling=True, known=known)
    answer = bench.request(PEER, controlling=False, tiebreaker=tiebreaker, use_candidate=True)
    assert answer.get(ERROR_CODE).code == 487
    assert answer.verify(short_term_key(OURS.pwd))
    assert (bench.agent.role is IceRole.CONTROLLED) == known  # what says who controls is the description
    assert bench.agent.pairs == ()
    bench.arrive(1, PEER, b"\x80")
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_check_that_says_nothing_of_roles_is_followed():
    bench = LiteBench()
    bench.nominate(controlling=None)
    assert bench.selected == PEER


@pytest.mark.req("RFC8445-080", "RFC8445-081")
@pytest.mark.parametrize(
    ("options", "code", "reason"),
    [
        ({"key": short_term_key("nobodyKnowsThisPassword")}, 401, "BAD_INTEGRITY"),
        ({"username": "other:their"}, 401, "BAD_USERNAME"),
        ({"username": "ours"}, 401, "BAD_USERNAME"),
        ({"username": None}, 400, "BAD_USERNAME"),
        ({"key": None}, 400, "BAD_INTEGRITY"),
        ({"priority": None}, 400, "MISSING_ATTRIBUTE"),
    ],
)
def test_check_that_is_not_the_peers_is_refused_and_changes_nothing(options, code, reason):
    bench = LiteBench()
    answer = bench.nominate(**options)
    assert answer.get(ERROR_CODE).code == code
    assert bench.dropped() == {reason: 1}
    assert bench.agent.pairs == () and bench.agent.state is IceState.CHECKING
    bench.arrive(1, PEER, b"\x80 data")
    assert bench.heard(DataReceived) == []


def test_unknown_required_attribute_is_named_to_the_peer_that_knows_the_password():
    bench = LiteBench()
    answer = bench.nominate(attributes=((Attribute(0x7F77, "NEVER", UINT32), 1),))
    assert answer.get(ERROR_CODE).code == 420 and answer.get(UNKNOWN_ATTRIBUTES) == (0x7F77,)
    assert bench.agent.pairs == ()


def test_check_without_a_fingerprint_is_dropped():
    bench = LiteBench()
    assert bench.nominate(fingerprint=False) is None
    assert bench.dropped() == {"BAD_FINGERPRINT": 1}


def test_check_with_a_malformed_role_is_dropped():
    bench = LiteBench()
    assert bench.nominate(controlling=None, attributes=((Attribute(0x802A, "SHORT", UINT32), 1),)) is None
    assert bench.dropped() == {"BAD_ATTRIBUTE": 1}


def test_check_of_another_peer_is_answered_without_consequences():
    bench = LiteBench()
    answer = bench.nominate(username=f"{OURS.ufrag}:fork")
    assert answer.message_class is MessageClass.SUCCESS
    assert bench.agent.pairs == ()
    bench.arrive(1, PEER, b"\x80")
    assert bench.heard(DataReceived) == []


# Before the peer is known


@pytest.mark.req("RFC8445-079", "RFC8445-030")
def test_early_nomination_is_answered_at_once_and_followed_when_the_peer_is_known():
    bench = LiteBench(known=False)
    assert bench.nominate().message_class is MessageClass.SUCCESS
    assert bench.agent.pairs == () and bench.agent.state is IceState.NEW
    bench.run(until=2.0)
    bench.tell()
    assert bench.selected == PEER
    assert bench.agent.state is IceState.COMPLETED


def test_data_of_a_peer_that_checked_early_is_taken():
    bench = LiteBench(known=False)
    bench.check()
    bench.arrive(1, PEER, b"\x80 early")
    assert [event.data for event in bench.heard(DataReceived)] == [b"\x80 early"]


def test_early_checks_of_a_stranger_who_knows_the_password_count_for_nothing():
    bench = LiteBench(known=False)
    bench.nominate(STRANGER, username=f"{OURS.ufrag}:fork")
    bench.tell()
    assert bench.agent.pairs == ()
    bench.arrive(1, STRANGER, b"\x80")
    assert bench.dropped() == {"UNVALIDATED_SOURCE": 1}


def test_an_early_check_that_somebody_repeats_from_elsewhere_says_nothing_of_him():
    bench = LiteBench(known=False)
    seen = check_bytes(1)
    bench.arrive(1, PEER, seen)
    bench.arrive(1, STRANGER, seen)
    for source in (PEER, STRANGER):
        bench.arrive(1, source, b"\x80")
    bench.tell()
    for source in (PEER, STRANGER):
        bench.arrive(1, source, b"\x80")
    assert len(bench.heard(DataReceived)) == 2 and bench.dropped() == {"UNVALIDATED_SOURCE": 2}


def test_early_checks_are_remembered_up_to_a_bound():
    bench = LiteBench(known=False, options=BEFORE_ICE2, config=IceConfig(max_early_checks=3))
    for number in range(1, 6):
        assert bench.check(at(f"198.51.100.{number}")).message_class is MessageClass.SUCCESS
    assert bench.dropped() == {"LIMIT": 2}


def test_early_nomination_is_not_forgotten_over_a_later_check_from_there():
    bench = LiteBench(known=False)
    bench.check(PEER)
    bench.nominate(OTHER)
    bench.check(OTHER)
    bench.check(PEER)
    bench.tell()
    assert bench.selected == OTHER


def test_early_checks_on_a_socket_that_has_died_since_are_forgotten():
    bench = LiteBench(hosts=("192.0.2.1", "192.0.2.2"), known=False)
    bench.nominate(PEER, socket=1)
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    bench.tell()
    assert bench.agent.pairs == ()


def test_early_checks_of_what_turns_out_a_lite_peer_are_forgotten():
    bench = LiteBench(known=False, controlling=True)
    bench.nominate(STRANGER)
    bench.tell(candidate(PEER.host), lite=True)
    assert bench.selected == PEER
    bench.arrive(1, STRANGER, b"\x80")
    assert bench.heard(DataReceived) == []


# What is no check


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", DropReason.EMPTY),
        (b"\x80 from nobody", DropReason.UNVALIDATED_SOURCE),
        (check_bytes()[:-8], DropReason.BAD_LENGTH),
        (encode(Method.ALLOCATE, MessageClass.REQUEST, TransactionId(bytes(12)), ()), DropReason.UNKNOWN_METHOD),
        (encode(Method.BINDING, MessageClass.SUCCESS, TransactionId(bytes(12)), ()), DropReason.UNKNOWN_TRANSACTION),
    ],
)
def test_what_is_no_check_is_dropped_and_counted(data, reason):
    bench = LiteBench()
    bench.arrive(1, PEER, data)
    assert bench.sent == [] and dict(bench.agent.stats.dropped) == {reason: 1}


def test_keepalives_of_the_peer_are_no_drops_and_no_answers():
    bench = connected()
    sent = len(bench.sent)
    bench.arrive(1, PEER, encode(Method.BINDING, MessageClass.INDICATION, TransactionId(bytes(12)), (), fingerprint=True))
    assert len(bench.sent) == sent and bench.dropped() == {}


def test_datagrams_on_a_socket_that_is_not_the_agents_are_counted():
    bench = LiteBench()
    bench.arrive(9, PEER, check_bytes())
    assert bench.dropped() == {"UNKNOWN_SOCKET": 1}


def test_check_of_what_says_to_be_lite_is_answered_and_not_followed():
    bench = LiteBench(peer_lite=True, remotes=(candidate(PEER.host),), controlling=True)
    answer = bench.request(OTHER, controlling=False, use_candidate=True)
    assert answer.message_class is MessageClass.SUCCESS
    assert bench.selected == PEER and bench.agent.role is IceRole.CONTROLLING


def test_check_of_a_restart_that_is_not_known_yet_is_dropped_once_every_component_has_its_pair():
    bench = connected()
    assert bench.nominate(OTHER, username=f"{OURS.ufrag}:again") is None
    assert bench.dropped() == {"BAD_USERNAME": 1}
    assert bench.selected == PEER


# Replays


def test_a_recorded_check_is_answered_but_is_no_new_consent():
    bench = connected()
    recorded = [check_bytes(number) for number in range(100, 103)]
    for data in recorded:
        bench.run(until=bench.now + 5.0)
        bench.arrive(1, PEER, data)
    answered = len(bench.sent)
    while bench.agent.state is not IceState.FAILED and bench.now < 100.0:
        bench.run(until=bench.now + 1.0)
        bench.arrive(1, PEER, recorded[int(bench.now) % 3])
    assert bench.now == 45.0  # 30 s after the last that was new
    assert len(bench.sent) > answered + 20


def test_a_check_of_before_the_description_counts_once():
    bench = LiteBench(known=False)
    early = check_bytes(100, use_candidate=True)
    bench.arrive(1, PEER, early)
    bench.run(until=1.0)
    bench.tell()
    assert bench.selected == PEER
    while bench.agent.state is not IceState.FAILED and bench.now < 100.0:
        bench.run(until=bench.now + 1.0)
        bench.arrive(1, PEER, early)
    assert bench.now == 31.0


def test_how_many_checks_are_remembered_is_bounded():
    bench = connected()
    for number in range(100, 100 + 3 * MAX_REMEMBERED):
        bench.arrive(1, PEER, check_bytes(number))
    (stream,) = bench.agent._session.streams
    assert len(stream.current.heard) == MAX_REMEMBERED


def test_data_is_not_taken_from_where_a_recorded_check_comes_from():
    bench = connected()
    recorded = check_bytes(100)
    bench.arrive(1, PEER, recorded)
    bench.arrive(1, STRANGER, recorded)
    bench.arrive(1, STRANGER, b"\x80")
    assert bench.heard(DataReceived) == [] and bench.dropped()["UNVALIDATED_SOURCE"] == 1
