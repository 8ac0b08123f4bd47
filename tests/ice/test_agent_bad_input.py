"""Bad input to an agent in the middle of connecting: the documented outcome, and then it connects all the same.

Each test meddles with two agents in the simulation whose packets are all lost at first. When `Meddling` ends, packets
arrive, and both agents must select the same pair and exchange data.
"""

import zlib
from collections import Counter

import pytest

from ice._session import STRANGER, Two
from ice._wire import ANY, STRANGER as WRONG_KEY
from sansice.ice import Candidate, IceState
from sansice.machine import Address, DropReason, SocketId
from sansice.simulation import Fate
from sansice.stun import (
    ERROR_CODE,
    ICE_CONTROLLED,
    ICE_CONTROLLING,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    PRIORITY,
    REALM,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    Attribute,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
    is_stun,
    short_term_key,
)
from sansice.stun.shapes import opaque

ONE = SocketId(1)
FINGERPRINT_XOR = 0x5354554E  # RFC 8489 14.7
REQUIRED = [Attribute(code, f"X-{code:#x}", opaque()) for code in (0x7FF1, 0x7FF0)]  # nobody understands them
OPTIONAL = Attribute(0xC0FF, "X-OPTIONAL", opaque())
SHORT_PRIORITY = Attribute(PRIORITY.code, "X-SHORT-PRIORITY", opaque())
TID = TransactionId(b"their id 012")


class Meddling:
    """Two agents that connect as soon as the block ends, and what the first makes of what it is fed meanwhile."""

    def __init__(self):
        self.two = Two(trace=10_000)
        self.agent = self.two.a
        self.peer = self.two.b.local_candidates[0].address

    def __enter__(self):
        self.two.net.drop = lambda packet: True
        self.two.exchange()
        self.two.net.run(until=0.2)
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            self.two.net.drop = None
            assert self.two.connect(), (self.two.a.explain(), self.two.b.explain())
            assert self.two.echo()

    def feed(self, *batch, source=STRANGER):
        """What is counted, and what is sent, when these datagrams arrive."""
        net, dropped = self.two.net, Counter(self.agent.stats.dropped)
        before = len(net.packets)
        self.two.node_a.driver.datagrams(ONE, [(source, data) for data in batch])
        sent = [one.packet for one in list(net.packets)[before:] if one.fate is Fate.SENT and one.place == "A"]
        answers = [packet for packet in sent if decode_untrusted(packet.data).message_class is not MessageClass.REQUEST]
        assert all(packet.destination == source for packet in answers)
        return dict(self.agent.stats.dropped - dropped), [decode_untrusted(packet.data) for packet in answers]

    def request(
        self,
        *attributes,
        username=ANY,
        key=ANY,
        priority=1,
        algorithm=IntegrityAlgorithm.SHA1,
        fingerprint=True,
        method=Method.BINDING,
        message_class=MessageClass.REQUEST,
    ):
        """A check of the peer's, right in every respect that is not asked to be wrong."""
        content = [] if username is None else [(USERNAME, self.username if username is ANY else username)]
        content += [] if priority is None else [(PRIORITY, priority)]
        return encode(
            method,
            message_class,
            TID,
            [*content, *attributes],
            key=short_term_key(self.agent.credentials.pwd) if key is ANY else key,
            algorithm=algorithm,
            fingerprint=fingerprint,
        )

    @property
    def username(self):
        return f"{self.agent.credentials.ufrag}:{self.two.b.credentials.ufrag}"

    @property
    def checks(self):
        """The checks that the agent has sent."""
        sent = [one.packet.data for one in self.two.net.packets if one.fate is Fate.SENT and one.place == "A"]
        return [decode_untrusted(data) for data in sent if is_stun(data)]

    def reply(self, *attributes, code=None, mapped=True, key=ANY, algorithm=IntegrityAlgorithm.SHA1, tid=None, fingerprint=True):
        """An answer to the first check, right in every respect that is not asked to be wrong."""
        content = [(XOR_MAPPED_ADDRESS, self.agent.local_candidates[0].address)] if mapped and code is None else []
        content += [] if code is None else [(ERROR_CODE, ErrorCode(code, ""))]
        return encode(
            Method.BINDING,
            MessageClass.SUCCESS if code is None else MessageClass.ERROR,
            self.checks[0].transaction_id if tid is None else tid,
            [*content, *attributes],
            key=short_term_key(self.two.b.credentials.pwd) if key is ANY else key,
            algorithm=algorithm,
            fingerprint=fingerprint,
        )

    def refused(self, data, code, reason, *, protected):
        """It is counted, and answered with an error of this code."""
        dropped, (answer,) = self.feed(data)
        assert dropped == ({reason: 1} if reason else {})
        assert answer.message_class is MessageClass.ERROR
        assert answer.get(ERROR_CODE).code == code
        assert answer.transaction_id == TID
        assert answer.has_fingerprint
        assert answer.has_integrity == protected
        assert not protected or answer.verify(short_term_key(self.agent.credentials.pwd))
        assert USERNAME not in answer
        return answer

    def accepted(self, data, source=STRANGER):
        """It is answered with success, from where and to where it came."""
        dropped, (answer,) = self.feed(data, source=source)
        assert dropped == {}
        assert answer.message_class is MessageClass.SUCCESS
        assert answer.get(XOR_MAPPED_ADDRESS) == source
        assert answer.transaction_id == TID
        assert answer.verify(short_term_key(self.agent.credentials.pwd))
        assert answer.has_fingerprint
        return answer

    def ignored(self, data, reason, source=STRANGER):
        """It is counted, and nothing else happens."""
        before = (self.agent.pairs, self.agent.remote_candidates, self.agent.role, self.agent.deadline())
        assert self.feed(data, source=source) == ({reason: 1} if reason else {}, [])
        assert (self.agent.pairs, self.agent.remote_candidates, self.agent.role, self.agent.deadline()) == before


def with_length(data, length):
    return data[:2] + (length & 0xFFFF).to_bytes(2, "big") + data[4:]


def sealed(data):
    """The message with its length put right and a FINGERPRINT at its end."""
    data = with_length(data, len(data) + 8 - 20)
    return data + bytes.fromhex("80280004") + (zlib.crc32(data) ^ FINGERPRINT_XOR).to_bytes(4, "big")


def attribute(code, value):
    return code.to_bytes(2, "big") + len(value).to_bytes(2, "big") + value + bytes(-len(value) % 4)


# Frames


@pytest.mark.req("RFC8445-082", "RFC8489-039")
def test_wrong_magic_cookie_makes_it_a_strangers_data():
    with Meddling() as meddling:
        data = meddling.request()
        meddling.ignored(data[:4] + b"\x21\x12\xa4\x43" + data[8:], DropReason.UNVALIDATED_SOURCE)


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize("lie", [-24, -8, -4, 4, 8, 1000, 0xFF00])
def test_length_that_lies_is_dropped(lie):
    with Meddling() as meddling:
        data = meddling.request()
        meddling.ignored(with_length(data, len(data) - 20 + lie), DropReason.BAD_LENGTH)


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize("extra", [1, 2, 3])
def test_length_that_is_no_multiple_of_four_is_dropped(extra):
    with Meddling() as meddling:
        data = meddling.request() + bytes(extra)
        meddling.ignored(with_length(data, len(data) - 20), DropReason.BAD_LENGTH)


def test_truncated_message_is_dropped_wherever_it_is_cut():
    with Meddling() as meddling:
        data = meddling.request()
        for size in range(1, len(data)):
            reason = DropReason.UNVALIDATED_SOURCE if size < 20 else DropReason.BAD_LENGTH
            meddling.ignored(data[:size], reason)


@pytest.mark.parametrize("length", [5, 8, 0xFFFF])
def test_attribute_that_overruns_the_message_is_dropped(length):
    with Meddling() as meddling:
        data = encode(Method.BINDING, MessageClass.REQUEST, TID) + b"\x80\x22" + length.to_bytes(2, "big") + b"soft"
        meddling.ignored(with_length(data, len(data) - 20), DropReason.BAD_ATTRIBUTE)


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (0x0003, DropReason.UNKNOWN_METHOD),  # Allocate: a method of STUN's, not of ICE's
        (0x3EEF, DropReason.UNKNOWN_METHOD),
        (0x0013, DropReason.BAD_CLASS),  # an Allocate indication
    ],
)
def test_method_that_is_not_binding_is_dropped(kind, reason):
    with Meddling() as meddling:
        meddling.ignored(kind.to_bytes(2, "big") + meddling.request(fingerprint=False)[2:], reason)


def test_empty_datagram_is_dropped_and_counted():
    with Meddling() as meddling:
        meddling.ignored(b"", DropReason.EMPTY)
        meddling.ignored(b"", DropReason.EMPTY, source=meddling.peer)


@pytest.mark.parametrize("first", [b"\x00", b"\x80", b"\xff"])
def test_64_kib_of_noise_are_a_strangers_data(first):
    with Meddling() as meddling:
        meddling.ignored(first + bytes(65506), DropReason.UNVALIDATED_SOURCE)


def test_message_of_64_kib_is_dropped_for_its_thousands_of_attributes():
    with Meddling() as meddling:
        meddling.ignored(sealed(encode(Method.BINDING, MessageClass.REQUEST, TID) + b"\x80\x22\0\0" * 16_000), DropReason.LIMIT)


def test_message_of_64_kib_in_one_attribute_is_judged_like_any_other():
    with Meddling() as meddling:
        data = meddling.request((OPTIONAL, bytes(65_000)), key=WRONG_KEY)
        meddling.refused(data, 401, DropReason.BAD_INTEGRITY, protected=False)


# Fingerprints


@pytest.mark.req("RFC8489-041", "RFC8445-081")
def test_check_without_fingerprint_is_dropped():
    with Meddling() as meddling:
        meddling.ignored(meddling.request(fingerprint=False), DropReason.BAD_FINGERPRINT)


@pytest.mark.req("RFC8489-041")
def test_check_with_a_wrong_fingerprint_is_dropped_whatever_bit_is_wrong():
    with Meddling() as meddling:
        data = bytearray(meddling.request())
        for position in (20, 60, len(data) - 1):
            data[position] ^= 1
            dropped, answers = meddling.feed(bytes(data))
            assert answers == [] and sum(dropped.values()) == 1
            data[position] ^= 1


@pytest.mark.req("RFC8489-041")
def test_answer_without_fingerprint_is_dropped():
    with Meddling() as meddling:
        meddling.ignored(meddling.reply(fingerprint=False), DropReason.BAD_FINGERPRINT, source=meddling.peer)


def test_attribute_after_fingerprint_is_dropped():
    with Meddling() as meddling:
        data = meddling.request() + attribute(0x8022, b"soft")
        meddling.ignored(with_length(data, len(data) - 20), DropReason.MISPLACED_ATTRIBUTE)


def test_integrity_after_fingerprint_is_dropped():
    with Meddling() as meddling:
        key = short_term_key(meddling.agent.credentials.pwd)
        data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(USERNAME, meddling.username), (PRIORITY, 1)], fingerprint=True)
        data = with_length(data, len(data) + 24 - 20)
        data += attribute(MESSAGE_INTEGRITY.code, key.sha1(data))
        meddling.ignored(data, DropReason.MISPLACED_ATTRIBUTE)


def test_attribute_between_integrity_and_fingerprint_is_not_seen():
    with Meddling() as meddling:
        data = meddling.request(fingerprint=False)
        meddling.accepted(sealed(data + attribute(0x7FF0, b"x") + attribute(ICE_CONTROLLING.code, b"\xff" * 8)))
        assert meddling.agent.role.value == "controlling"


def test_first_of_two_attributes_of_one_type_counts():
    with Meddling() as meddling:
        data = meddling.request((USERNAME, "stranger:stranger"), (SHORT_PRIORITY, b"x"))
        meddling.accepted(data)
        data = meddling.request((USERNAME, meddling.username), username="stranger:stranger")
        meddling.refused(data, 401, DropReason.BAD_USERNAME, protected=False)


# Credentials


@pytest.mark.req("RFC8445-081", "RFC8489-076", "RFC8489-050")
@pytest.mark.parametrize("algorithm", IntegrityAlgorithm)
def test_wrong_password_is_answered_401_without_integrity(algorithm):
    with Meddling() as meddling:
        data = meddling.request(key=WRONG_KEY, algorithm=algorithm)
        meddling.refused(data, 401, DropReason.BAD_INTEGRITY, protected=False)


@pytest.mark.req("RFC8489-077")
def test_wrong_sha256_is_answered_401_although_sha1_is_right():
    with Meddling() as meddling:
        data = meddling.request(fingerprint=False)
        meddling.refused(
            sealed(data + attribute(MESSAGE_INTEGRITY_SHA256.code, bytes(32))), 401, DropReason.BAD_INTEGRITY, protected=False
        )


@pytest.mark.req("RFC8445-080", "RFC8489-076")
@pytest.mark.parametrize("form", ["{theirs}:{ours}", "{ours}", "stranger:{theirs}", ":{theirs}", "{ours}{theirs}", ""])
def test_wrong_username_is_answered_401_without_integrity(form):
    with Meddling() as meddling:
        username = form.format(ours=meddling.agent.credentials.ufrag, theirs=meddling.two.b.credentials.ufrag)
        meddling.refused(meddling.request(username=username), 401, DropReason.BAD_USERNAME, protected=False)


@pytest.mark.parametrize("theirs", ["another", "", "{theirs}:more"])
def test_another_peers_ufrag_is_answered_and_has_no_other_effect(theirs):
    with Meddling() as meddling:
        before = meddling.agent.pairs, meddling.agent.remote_candidates
        theirs = theirs.format(theirs=meddling.two.b.credentials.ufrag)
        meddling.accepted(meddling.request(username=f"{meddling.agent.credentials.ufrag}:{theirs}"))
        assert (meddling.agent.pairs, meddling.agent.remote_candidates) == before


@pytest.mark.req("RFC8489-075", "RFC8489-050")
def test_check_without_username_or_integrity_is_answered_400():
    with Meddling() as meddling:
        meddling.refused(meddling.request(username=None), 400, DropReason.BAD_USERNAME, protected=False)
        meddling.refused(meddling.request(key=None), 400, DropReason.BAD_INTEGRITY, protected=False)


@pytest.mark.req("RFC8489-078", "RFC8489-051")
@pytest.mark.parametrize(
    ("algorithm", "answered"),
    [
        (IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA1),
        (IntegrityAlgorithm.SHA256, IntegrityAlgorithm.SHA256),
        (IntegrityAlgorithm.BOTH, IntegrityAlgorithm.SHA256),
    ],
)
def test_answer_carries_the_one_integrity_attribute_that_the_request_asks_for(algorithm, answered):
    with Meddling() as meddling:
        answer = meddling.accepted(meddling.request(algorithm=algorithm))
        assert answer.integrity is answered
        assert USERNAME not in answer
        refusal = meddling.refused(
            meddling.request((REQUIRED[0], b""), algorithm=algorithm), 420, DropReason.UNKNOWN_ATTRIBUTE, protected=True
        )
        assert refusal.integrity is answered


# Attributes of an authentic check


@pytest.mark.req("RFC8489-046", "RFC8489-050", "RFC8489-051")
def test_unknown_required_attributes_are_answered_420_with_the_list():
    with Meddling() as meddling:
        data = meddling.request(*((one, b"x") for one in REQUIRED))
        answer = meddling.refused(data, 420, DropReason.UNKNOWN_ATTRIBUTE, protected=True)
        assert answer.get(UNKNOWN_ATTRIBUTES) == (0x7FF1, 0x7FF0)
        assert len(meddling.agent.remote_candidates) == 1


@pytest.mark.req("RFC8489-045")
def test_wrong_password_and_unknown_attribute_are_answered_401_and_not_420():
    with Meddling() as meddling:
        data = meddling.request((REQUIRED[0], b""), key=WRONG_KEY)
        answer = meddling.refused(data, 401, DropReason.BAD_INTEGRITY, protected=False)
        assert UNKNOWN_ATTRIBUTES not in answer


@pytest.mark.req("RFC8489-043", "RFC8489-044", "RFC8489-053", "RFC8489-054", "RFC8445-081")
def test_unknown_optional_and_unexpected_known_attributes_change_nothing():
    with Meddling() as meddling:
        meddling.accepted(meddling.request((OPTIONAL, b"whatever"), (REALM, "example.org")))
        assert meddling.agent.remote_candidates[-1].address == STRANGER


def test_check_without_priority_is_answered_400_with_integrity():
    with Meddling() as meddling:
        meddling.refused(meddling.request(priority=None), 400, DropReason.MISSING_ATTRIBUTE, protected=True)


@pytest.mark.parametrize("wrong", [(SHORT_PRIORITY, b"\0\0\1"), (SHORT_PRIORITY, b"")])
def test_malformed_attribute_is_dropped(wrong):
    with Meddling() as meddling:
        meddling.ignored(meddling.request(wrong, priority=None), DropReason.BAD_ATTRIBUTE)


@pytest.mark.parametrize("priority", [0, 2**31, 2**32 - 1])
def test_priority_out_of_range_makes_no_candidate(priority):
    with Meddling() as meddling:
        dropped, (answer,) = meddling.feed(meddling.request(priority=priority))
        assert dropped == {DropReason.LIMIT: 1}
        assert answer.message_class is MessageClass.SUCCESS
        assert len(meddling.agent.remote_candidates) == 1


@pytest.mark.req("RFC8489-051", "RFC8489-050")
def test_lost_role_conflict_is_answered_487_with_integrity():
    with Meddling() as meddling:
        meddling.refused(meddling.request((ICE_CONTROLLING, 0)), 487, None, protected=True)
        assert meddling.agent.role.value == "controlling"


def test_role_conflict_that_a_stranger_invents_changes_nothing():
    with Meddling() as meddling:
        data = meddling.request((ICE_CONTROLLING, 2**64 - 1), key=WRONG_KEY)
        meddling.refused(data, 401, DropReason.BAD_INTEGRITY, protected=False)
        assert meddling.agent.role.value == "controlling"


@pytest.mark.req("RFC8489-049")
def test_repeated_check_gets_the_same_answer_and_makes_nothing_new():
    with Meddling() as meddling:
        data = meddling.request((ICE_CONTROLLED, 1), (USE_CANDIDATE, None))
        first = meddling.accepted(data)
        known = [(pair.local, pair.remote) for pair in meddling.agent.pairs], meddling.agent.remote_candidates
        assert meddling.accepted(data).data == first.data
        assert ([(pair.local, pair.remote) for pair in meddling.agent.pairs], meddling.agent.remote_candidates) == known


# Indications


@pytest.mark.req("RFC8489-056", "RFC8489-075", "RFC8489-076", "RFC8489-077")
@pytest.mark.parametrize("key", [None, WRONG_KEY])
@pytest.mark.parametrize("username", [None, "stranger:stranger", ANY])
def test_indication_is_never_answered_and_changes_nothing(key, username):
    with Meddling() as meddling:
        data = meddling.request((REQUIRED[0], b""), key=key, username=username, message_class=MessageClass.INDICATION)
        meddling.ignored(data, None)


# Replies


@pytest.mark.req("RFC8489-040")
@pytest.mark.parametrize("code", [None, 400, 487])
def test_reply_to_nobody_is_dropped(code):
    with Meddling() as meddling:
        meddling.ignored(meddling.reply(code=code, tid=TID), DropReason.UNKNOWN_TRANSACTION, source=meddling.peer)


def test_authentic_reply_from_the_wrong_address_fails_the_pair_only():
    with Meddling() as meddling:
        assert meddling.feed(meddling.reply()) == ({DropReason.WRONG_SOURCE: 1}, [])
        assert [pair.state.value for pair in meddling.agent.pairs] == ["failed"]
        assert meddling.agent.state is IceState.CHECKING


@pytest.mark.parametrize("code", [None, 400, 487])
def test_forged_reply_from_the_wrong_address_does_not_even_that(code):
    with Meddling() as meddling:
        meddling.ignored(meddling.reply(code=code, key=WRONG_KEY), DropReason.BAD_INTEGRITY)


@pytest.mark.req("RFC8489-080", "RFC8489-079")
@pytest.mark.parametrize(
    "options", [{"key": WRONG_KEY}, {"key": None}, {"algorithm": IntegrityAlgorithm.SHA256}, {"key": WRONG_KEY, "code": 487}]
)
def test_reply_whose_integrity_is_wrong_is_dropped_and_retransmission_goes_on(options):
    with Meddling() as meddling:
        meddling.ignored(meddling.reply(**options), DropReason.BAD_INTEGRITY, source=meddling.peer)
        sent = len(meddling.checks)
        meddling.two.net.run(until=0.6)
        assert len(meddling.checks) == sent + 1
        assert meddling.checks[-1].transaction_id == meddling.checks[0].transaction_id


@pytest.mark.req("RFC8489-057", "RFC8489-058")
@pytest.mark.parametrize("wrong", ["no mapped address", "unknown attribute"])
def test_reply_that_is_not_valid_fails_its_check(wrong):
    with Meddling() as meddling:
        data = meddling.reply(mapped=False) if wrong == "no mapped address" else meddling.reply((REQUIRED[0], b""))
        assert meddling.feed(data, source=meddling.peer) == ({}, [])
        assert [pair.state.value for pair in meddling.agent.pairs] == ["failed"]


# Data and candidates


def test_data_of_a_stranger_is_dropped_before_and_after_connecting():
    with Meddling() as meddling:
        meddling.ignored(b"data", DropReason.UNVALIDATED_SOURCE)
        meddling.ignored(b"data", DropReason.UNVALIDATED_SOURCE, source=meddling.peer)  # nothing of its was checked yet
    meddling.ignored(b"data", DropReason.UNVALIDATED_SOURCE)
    meddling.ignored(b"data", DropReason.UNVALIDATED_SOURCE, source=Address(meddling.peer.host, 1))


@pytest.mark.parametrize("port", [70000, 65536, -1])
def test_candidate_line_with_an_impossible_port_is_a_value_error(port):
    with Meddling(), pytest.raises(ValueError, match="port"):
        Candidate.from_sdp(f"candidate:1 1 udp 1 198.51.100.9 {port} typ host")


def test_candidate_line_of_nonsense_is_a_value_error():
    with Meddling(), pytest.raises(ValueError, match="candidate"):
        Candidate.from_sdp("candidate: the quick brown fox jumps over the lazy dog")


def test_candidate_with_port_0_is_not_used():
    two = Two()
    assert two.node_a.call(two.a.add_remote_candidate, Candidate.from_sdp("1 1 udp 1 198.51.100.9 0 typ host")) is False
    two.exchange()
    assert two.connect() and two.echo()
    assert len(two.a.remote_candidates) == 1
