import hmac
import zlib

import pytest

from sansice.ice import IceRole
from sansice.ice._binding import (
    Check,
    Refusal,
    Refused,
    encode_check,
    encode_refusal,
    encode_success,
    read_check,
)
from sansice.ice._nomination import NOMINATION
from sansice.machine import Address, DecodeError, DropReason
from sansice.stun import (
    ERROR_CODE,
    PRIORITY,
    REALM,
    UNKNOWN_ATTRIBUTES,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
    short_term_key,
)

ID = TransactionId(bytes(range(12)))
KEY = short_term_key("password")
OTHER = short_term_key("another")
SOURCE = Address("198.51.100.7", 4321)


def check(role=IceRole.CONTROLLING, **keywords):
    return encode_check(ID, username="r:l", key=KEY, priority=0x6E00_01FF, role=role, tiebreaker=0x1122334455667788, **keywords)


def request(*attributes, key=KEY, algorithm=IntegrityAlgorithm.SHA1):
    return decode_untrusted(
        encode(Method.BINDING, MessageClass.REQUEST, ID, attributes, key=key, algorithm=algorithm, fingerprint=True)
    )


def golden(body):
    """The message around ``body``, sealed by hand: MESSAGE-INTEGRITY, then FINGERPRINT (RFC 8489 14.5, 14.7)."""
    fixed = b"\x21\x12\xa4\x42" + ID + body
    protected = b"\0\x01" + (len(body) + 24).to_bytes(2, "big") + fixed
    whole = b"\0\x01" + (len(body) + 32).to_bytes(2, "big") + fixed
    whole += b"\0\x08\0\x14" + hmac.digest(b"password", protected, "sha1")
    return whole + b"\x80\x28\0\x04" + (zlib.crc32(whole) ^ 0x5354554E).to_bytes(4, "big")


@pytest.mark.req("RFC8445-128", "RFC8445-055", "RFC8445-058", "RFC8445-059")
def test_a_controlling_check_is_these_bytes():
    expected = golden(
        b"\0\x06\0\x03r:l\0"  # USERNAME
        b"\0\x24\0\x04\x6e\0\x01\xff"  # PRIORITY
        b"\x80\x2a\0\x08\x11\x22\x33\x44\x55\x66\x77\x88"  # ICE-CONTROLLING
        b"\0\x25\0\0"  # USE-CANDIDATE
    )
    assert check(use_candidate=True) == expected


@pytest.mark.req("RFC8445-128", "RFC8445-055")
def test_a_controlled_check_is_these_bytes():
    expected = golden(b"\0\x06\0\x03r:l\0\0\x24\0\x04\x6e\0\x01\xff\x80\x29\0\x08\x11\x22\x33\x44\x55\x66\x77\x88")
    assert check(IceRole.CONTROLLED) == expected


@pytest.mark.req("RFC8445-081")
@pytest.mark.parametrize("algorithm", [IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256])
def test_an_answer_is_sealed_as_its_request_was_and_tells_the_source(algorithm):
    asked = request((USERNAME, "r:l"), (PRIORITY, 1), algorithm=algorithm)
    message = decode_untrusted(encode_success(asked, SOURCE, KEY))
    assert (message.message_class, message.transaction_id) == (MessageClass.SUCCESS, ID)
    assert message.integrity is algorithm and message.verify(KEY) and not message.verify(OTHER)
    assert message.has_fingerprint
    assert message.get(XOR_MAPPED_ADDRESS) == SOURCE


@pytest.mark.parametrize("algorithm", [IntegrityAlgorithm.SHA1, IntegrityAlgorithm.SHA256])
def test_a_refusal_is_sealed_where_the_request_was_authentic(algorithm):
    asked = request((USERNAME, "r:l"), algorithm=algorithm)
    message = decode_untrusted(encode_refusal(asked, Refusal.UNKNOWN_ATTRIBUTE, KEY, (0x7777, 0x7778)))
    assert message.message_class is MessageClass.ERROR and message.has_fingerprint
    assert message.integrity is algorithm and message.verify(KEY)
    assert message.get(ERROR_CODE) == ErrorCode(420, "")
    assert message.get(UNKNOWN_ATTRIBUTES) == (0x7777, 0x7778)


def test_a_stranger_gets_back_less_than_was_sent():
    asked = request((USERNAME, "r:l"), (PRIORITY, 1))
    data = encode_refusal(asked, Refusal.UNAUTHENTICATED, None)
    message = decode_untrusted(data)
    assert not message.has_integrity and UNKNOWN_ATTRIBUTES not in message
    assert len(data) == 36 < len(asked.data)


@pytest.mark.req("RFC8445-080")
@pytest.mark.parametrize("username", ["l:", "l:r", "l:r:more", "l::"])
def test_a_username_is_valid_whose_first_part_is_ours(username):
    asked = request((USERNAME, username), (PRIORITY, 7))
    assert read_check(asked, "l", KEY) == Check(username.partition(":")[2], 7, use_candidate=False)


@pytest.mark.req("RFC8445-080")
@pytest.mark.parametrize("username", ["", "l", "L:r", "r:l", ":l", "ll:r", " l:r"])
def test_a_username_is_refused_whose_first_part_is_not_ours(username):
    asked = request((USERNAME, username), (PRIORITY, 7))
    assert read_check(asked, "l", KEY) == Refused(DropReason.BAD_USERNAME, Refusal.UNAUTHENTICATED)


def test_use_candidate_is_read():
    assert read_check(request((USERNAME, "l:r"), (PRIORITY, 7), (USE_CANDIDATE, None)), "l", KEY) == Check("r", 7, True)


@pytest.mark.parametrize(
    ("asked", "refused"),
    [
        (request((PRIORITY, 7)), Refused(DropReason.BAD_USERNAME, Refusal.BAD_REQUEST)),
        (request((USERNAME, "l:r"), (PRIORITY, 7), key=None), Refused(DropReason.BAD_INTEGRITY, Refusal.BAD_REQUEST)),
        (request((USERNAME, "l:r"), (PRIORITY, 7), key=OTHER), Refused(DropReason.BAD_INTEGRITY, Refusal.UNAUTHENTICATED)),
        (request((USERNAME, "l:r")), Refused(DropReason.MISSING_ATTRIBUTE, Refusal.BAD_REQUEST, authenticated=True)),
    ],
)
def test_a_check_is_refused_with_the_error_of_its_first_fault(asked, refused):
    assert read_check(asked, "l", KEY) == refused


def _with_unknown(key):
    body = b"\0\x06\0\x03l:r\0\x77\x77\0\0\x77\x78\0\0"
    data = b"\0\x01" + (len(body) + 24).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + ID + body
    return decode_untrusted(data + b"\0\x08\0\x14" + hmac.digest(key, data, "sha1"))


def test_unknown_attributes_are_told_to_who_knows_the_password_and_to_nobody_else():
    refused = read_check(_with_unknown(b"password"), "l", KEY)
    assert refused == Refused(DropReason.UNKNOWN_ATTRIBUTE, Refusal.UNKNOWN_ATTRIBUTE, True, (0x7777, 0x7778))
    assert read_check(_with_unknown(b"wrong"), "l", KEY) == Refused(DropReason.BAD_INTEGRITY, Refusal.UNAUTHENTICATED)


def test_attributes_that_another_usage_knows_are_no_fault():
    assert isinstance(read_check(request((USERNAME, "l:r"), (PRIORITY, 7), (REALM, "x")), "l", KEY), Check)


def test_a_malformed_attribute_is_a_decode_error():
    body = b"\0\x06\0\x03l:r\0\0\x24\0\x02\0\0\0\0"  # PRIORITY of two bytes
    data = b"\0\x01" + (len(body) + 24).to_bytes(2, "big") + b"\x21\x12\xa4\x42" + ID + body
    with pytest.raises(DecodeError):
        read_check(decode_untrusted(data + b"\0\x08\0\x14" + hmac.digest(b"password", data, "sha1")), "l", KEY)


@pytest.mark.req("RFC8489-072")
def test_a_nomination_that_stands_after_the_integrity_is_not_seen():
    head = encode(Method.BINDING, MessageClass.REQUEST, ID, [(USERNAME, "l:r"), (PRIORITY, 1)], key=KEY)
    message = head + b"\0\x25\0\0"  # USE-CANDIDATE, by somebody on the path
    message = message[:2] + (len(message) + 8 - 20).to_bytes(2, "big") + message[4:]
    message += b"\x80\x28\0\x04" + (zlib.crc32(message) ^ 0x5354554E).to_bytes(4, "big")
    assert read_check(decode_untrusted(message), "l", KEY) == Check("r", 1, use_candidate=False)


def test_a_numbered_nomination_is_written_beside_use_candidate():
    body = bytes.fromhex("0006 0003 723a6c00 0024 0004 6e0001ff 802a 0008 1122334455667788 0025 0000 c001 0004 00000007")
    assert check(use_candidate=True, nomination=7) == golden(body)


@pytest.mark.parametrize("flag", [(), ((USE_CANDIDATE, None),)])
def test_a_number_nominates_with_or_without_use_candidate(flag):
    asked = request((USERNAME, "l:r"), (PRIORITY, 7), *flag, (NOMINATION, 5))
    assert read_check(asked, "l", KEY) == Check("r", 7, use_candidate=True, nomination=5)


def test_nought_is_no_nomination():
    assert read_check(request((USERNAME, "l:r"), (PRIORITY, 7), (NOMINATION, 0)), "l", KEY) == Check("r", 7, False)
