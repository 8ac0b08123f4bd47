import zlib

import pytest
from hypothesis import given, strategies as st

from sansice.machine import Address, DecodeError, DropReason
from sansice.stun import (
    DATA,
    FINGERPRINT,
    LIFETIME,
    MAX_ATTRIBUTES,
    MESSAGE_INTEGRITY,
    MESSAGE_INTEGRITY_SHA256,
    PRIORITY,
    REALM,
    SOFTWARE,
    USE_CANDIDATE,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    XOR_PEER_ADDRESS,
    IntegrityAlgorithm,
    IntegrityKey,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    short_term_key,
)
from sansice.stun._header import CLASSES, join_type

TID = bytes(range(12))
KEY = short_term_key("password")
REQUEST = bytes.fromhex("0001")
COOKIE = bytes.fromhex("2112a442")


def frame(body, kind=REQUEST, cookie=COOKIE, length=None):
    """A message from parts that may be wrong."""
    return kind + (len(body) if length is None else length).to_bytes(2, "big") + cookie + TID + body


def tlv(code, value=b"", length=None, pad=b"\0"):
    """An attribute whose length may lie and whose padding may be anything."""
    size = len(value) if length is None else length
    return code.to_bytes(2, "big") + size.to_bytes(2, "big") + value + pad * (-len(value) % 4)


def sealed(before, after=b"", key=KEY, fingerprint=False):
    """A message with a right MESSAGE-INTEGRITY after ``before``, and ``after`` behind that."""
    body = before + tlv(8, key.sha1(frame(before, length=len(before) + 24)))
    body += after
    if fingerprint:
        body += tlv(0x8028, (zlib.crc32(frame(body, length=len(body) + 8)) ^ 0x5354554E).to_bytes(4, "big"))
    return frame(body)


def reason(data, **options):
    """Why a message is not decoded; ``None`` when it is."""
    try:
        decode_untrusted(data, **options)
    except DecodeError as error:
        return error.reason
    return None


# ------------------------------------------------------------------- the frame


@pytest.mark.req("RFC8489-001", "RFC8489-005", "RFC8489-010")
def test_an_empty_request_is_a_header_of_twenty_bytes():
    data = encode(Method.BINDING, MessageClass.REQUEST, TID)
    assert data.hex() == "00010000" + "2112a442" + "000102030405060708090a0b"
    message = decode_untrusted(data)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert (message.transaction_id, message.data) == (TID, data)
    assert (message.attributes(), message.has_integrity, message.has_fingerprint, message.integrity) == ([], False, False, None)


def test_an_empty_datagram_is_a_reason_of_its_own():
    assert reason(b"") is DropReason.EMPTY


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize("size", range(1, 20))
def test_less_than_a_header_is_not_stun(size):
    assert reason(encode(Method.BINDING, MessageClass.REQUEST, TID)[:size]) is DropReason.NOT_STUN


@pytest.mark.req("RFC8489-002", "RFC8489-039")
@pytest.mark.parametrize("first", [0x40, 0x80, 0xC0, 0xFF])
def test_either_top_bit_makes_it_not_stun(first):
    assert reason(frame(b"", kind=bytes([first, 1]))) is DropReason.NOT_STUN


@pytest.mark.req("RFC8489-005", "RFC8489-039")
@pytest.mark.parametrize("bit", range(32))
def test_a_cookie_with_any_bit_wrong_is_refused(bit):
    assert reason(frame(b"", cookie=(0x2112A442 ^ 1 << bit).to_bytes(4, "big"))) is DropReason.BAD_COOKIE


@pytest.mark.req("RFC8489-011", "RFC8489-039")
@pytest.mark.parametrize("extra", [1, 2, 3])
def test_a_length_that_is_no_multiple_of_four_is_refused_even_if_the_datagram_has_it(extra):
    assert reason(frame(bytes(extra))) is DropReason.BAD_LENGTH
    assert reason(frame(tlv(0x8022, b"abcd") + bytes(extra))) is DropReason.BAD_LENGTH


@pytest.mark.req("RFC8489-010", "RFC8489-039")
@pytest.mark.parametrize("length", [0, 4, 12, 28, 0xFFFC])
def test_a_length_other_than_that_of_the_datagram_is_refused(length):
    assert reason(frame(tlv(0x8022, b"abcd"), length=length)) is DropReason.BAD_LENGTH


@pytest.mark.req("RFC8489-039")
@pytest.mark.parametrize("method", [0x000, 0x002, 0x005, 0x00D, 0x080, 0x100, 0xFFF])
@pytest.mark.parametrize("message_class", range(4))
def test_an_unknown_method_is_refused(method, message_class):
    assert reason(frame(b"", kind=join_type(method, message_class).to_bytes(2, "big"))) is DropReason.UNKNOWN_METHOD


@pytest.mark.req("RFC8489-012", "RFC8489-039")
@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("message_class", MessageClass)
def test_a_class_is_accepted_exactly_where_the_method_permits_it(method, message_class):
    expected = None if message_class in CLASSES[method] else DropReason.BAD_CLASS
    assert reason(frame(b"", kind=join_type(method, message_class).to_bytes(2, "big"))) is expected


@pytest.mark.req("RFC8489-012")
def test_indications_and_requests_are_not_interchangeable():
    for method in (Method.SEND, Method.DATA, Method.CONNECTION_ATTEMPT):
        assert CLASSES[method] == (MessageClass.INDICATION,)
    for method in (Method.ALLOCATE, Method.REFRESH, Method.CREATE_PERMISSION, Method.CHANNEL_BIND, Method.CONNECT):
        assert CLASSES[method] == (MessageClass.REQUEST, MessageClass.SUCCESS, MessageClass.ERROR)
    assert CLASSES[Method.CONNECTION_BIND] == CLASSES[Method.ALLOCATE]
    assert CLASSES[Method.BINDING] == tuple(MessageClass)


@pytest.mark.req("RFC8489-039")
def test_faults_are_looked_for_in_the_order_of_the_rfc():
    bad_class = join_type(Method.SEND, MessageClass.REQUEST).to_bytes(2, "big")
    assert reason(frame(b"", kind=b"\x40\x01", cookie=bytes(4), length=3)) is DropReason.NOT_STUN
    assert reason(frame(b"", kind=bad_class, cookie=bytes(4), length=3)) is DropReason.BAD_COOKIE
    assert reason(frame(b"", kind=bad_class, length=4)) is DropReason.BAD_LENGTH
    assert reason(frame(tlv(0x24, length=9), kind=bad_class)) is DropReason.BAD_CLASS


# ------------------------------------------------------------------- attributes


@pytest.mark.req("RFC8489-118")
@pytest.mark.parametrize("length", range(9))
def test_values_of_any_length_are_padded_to_four_and_any_padding_is_accepted(length):
    value = bytes(range(1, length + 1))
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(DATA, value), (PRIORITY, 5)])
    assert data == frame(tlv(0x13, value) + tlv(0x24, bytes([0, 0, 0, 5])))
    for pad in (b"\0", b" ", b"\xff"):
        message = decode_untrusted(frame(tlv(0x13, value, pad=pad) + tlv(0x24, bytes([0, 0, 0, 5]))))
        assert message.attributes() == [(0x13, value), (0x24, bytes([0, 0, 0, 5]))]
        assert message.get(DATA) == value
        assert message.get(PRIORITY) == 5


@pytest.mark.parametrize("length", [1, 4, 5, 100, 0xFFFC, 0xFFFF])
def test_an_attribute_that_overruns_the_message_is_refused(length):
    assert reason(frame(tlv(0x8022, length=length))) is DropReason.BAD_ATTRIBUTE
    assert reason(frame(tlv(0x24, bytes(4)) + tlv(0x8022, length=length))) is DropReason.BAD_ATTRIBUTE


@pytest.mark.req("RFC8489-119")
def test_the_first_of_repeated_attributes_counts():
    message = decode_untrusted(frame(tlv(0x14, b"one") + tlv(0x14, b"two") + tlv(0x14)))
    assert message.get(REALM) == "one"
    assert message.attributes() == [(0x14, b"one"), (0x14, b"two"), (0x14, b"")]


@pytest.mark.req("RFC8489-043", "RFC8489-120")
def test_unknown_optional_attributes_change_nothing_and_are_kept():
    message = decode_untrusted(frame(tlv(0xC0FF, b"?") + tlv(0x24, bytes(4)) + tlv(0x8000 | 0x7FF0)))
    assert message.get(PRIORITY) == 0
    assert message.unknown_required() == ()
    assert message.attributes() == [(0xC0FF, b"?"), (0x24, bytes(4)), (0xFFF0, b"")]


@pytest.mark.req("RFC8489-120")
def test_unknown_required_attributes_are_listed_in_order_and_once():
    body = tlv(0x7FF1) + tlv(0x24, bytes(4)) + tlv(0x7FFF) + tlv(0x8000) + tlv(0x7FF1) + tlv(0x7FF0)
    assert decode_untrusted(frame(body)).unknown_required() == (0x7FF1, 0x7FFF, 0x7FF0)


@pytest.mark.req("RFC8489-120")
def test_a_usage_may_understand_less_than_the_registry_and_never_needs_what_is_optional():
    message = decode_untrusted(frame(tlv(0x24, bytes(4)) + tlv(0x0003, bytes(4)) + tlv(0x8000, bytes(4))))
    assert message.unknown_required() == ()
    assert message.unknown_required({0x24}) == (0x0003,)


def test_attributes_of_rfc3489_are_recognised_and_its_reserved_ones_are_not():
    body = b"".join(tlv(code, bytes.fromhex("00010001c0000201")) for code in (2, 4, 5, 0x0B))
    assert decode_untrusted(frame(body)).unknown_required() == ()
    assert decode_untrusted(frame(tlv(0x07) + tlv(0x10) + tlv(0x21))).unknown_required() == (0x07, 0x10, 0x21)


@pytest.mark.req("RFC8489-044")
def test_a_known_attribute_is_no_fault_where_it_does_not_belong():
    data = frame(tlv(0x24, bytes(4)) + tlv(0x0D, bytes(4)), kind=join_type(Method.ALLOCATE, 0).to_bytes(2, "big"))
    message = decode_untrusted(data)
    assert message.unknown_required() == ()
    assert message.get(LIFETIME) == 0


def test_an_absent_attribute_is_none_and_not_contained():
    message = decode_untrusted(frame(tlv(0x25)))
    assert message.get(PRIORITY) is None
    assert PRIORITY not in message
    assert USE_CANDIDATE in message


def test_a_malformed_value_is_an_error_only_when_asked_for():
    message = decode_untrusted(frame(tlv(0x06, b"\xff") + tlv(0x20, b"\0") + tlv(0x25, b"no")))
    for attribute in (USERNAME, XOR_MAPPED_ADDRESS, USE_CANDIDATE):
        with pytest.raises(DecodeError, match=attribute.name) as caught:
            message.get(attribute)
        assert caught.value.reason is DropReason.BAD_ATTRIBUTE


def test_a_number_cut_off_by_the_end_of_the_message_is_malformed():
    with pytest.raises(DecodeError, match="PRIORITY") as caught:
        decode_untrusted(frame(tlv(0x24))).get(PRIORITY)
    assert caught.value.reason is DropReason.BAD_ATTRIBUTE


def test_more_attributes_than_any_honest_message_has_are_refused():
    assert reason(frame(tlv(0x25) * MAX_ATTRIBUTES)) is None
    assert reason(frame(tlv(0x25) * (MAX_ATTRIBUTES + 1))) is DropReason.LIMIT
    assert reason(frame(tlv(0x25) * 16383)) is DropReason.LIMIT


def test_the_largest_message_is_decoded():
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(DATA, bytes(65504))], key=KEY)
    assert len(data) == 20 + 65532
    message = decode_untrusted(data)
    assert message.verify(KEY)
    assert len(message.get(DATA)) == 65504


def test_a_message_describes_itself():
    message = decode_untrusted(sealed(tlv(0x06, b"a:b") + tlv(0x7FF0)))
    assert repr(message) == "<Message BINDING REQUEST 000102030405060708090a0b [USERNAME, 0x7ff0, MESSAGE-INTEGRITY]>"


# ------------------------------------------------------------------- FINGERPRINT


@pytest.mark.req("RFC8489-129", "RFC8489-041")
def test_a_fingerprint_covers_all_before_it_under_the_final_header():
    data = sealed(tlv(0x24, bytes(4)), fingerprint=True)
    message = decode_untrusted(data, require_fingerprint=True)
    assert message.has_fingerprint
    assert message.get(FINGERPRINT) == zlib.crc32(data[:-8]) ^ 0x5354554E
    for bit in range(8 * (len(data) - 8), 8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        assert reason(bytes(flipped), require_fingerprint=True) is not None


@pytest.mark.req("RFC8489-041")
def test_a_wrong_fingerprint_is_refused_even_where_none_is_required():
    data = bytearray(sealed(tlv(0x24, bytes(4)), fingerprint=True))
    data[-1] ^= 1
    assert reason(bytes(data)) is DropReason.BAD_FINGERPRINT
    assert reason(frame(tlv(0x8028, bytes(4)))) is DropReason.BAD_FINGERPRINT


@pytest.mark.req("RFC8489-041", "RFC8489-065")
def test_a_missing_fingerprint_is_refused_only_where_it_is_required():
    data = sealed(tlv(0x24, bytes(4)))
    assert reason(data, require_fingerprint=True) is DropReason.BAD_FINGERPRINT
    assert reason(data) is None
    assert not decode_untrusted(data).has_fingerprint


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_fingerprint_is_four_bytes_long(length):
    right = sealed(b"", fingerprint=True)[-4:]
    body = sealed(b"", fingerprint=True)[20:-8] + tlv(0x8028, right, length=length)
    assert reason(frame(body)) is DropReason.BAD_FINGERPRINT


@pytest.mark.req("RFC8489-129")
@pytest.mark.parametrize("after", [tlv(0x25), tlv(0x8028, bytes(4)), tlv(0x08, bytes(20)), tlv(0xC0FF, b"x")])
def test_anything_after_the_fingerprint_is_refused(after):
    body = tlv(0x24, bytes(4))
    crc = zlib.crc32(frame(body, length=len(body) + 8 + len(after))) ^ 0x5354554E
    assert reason(frame(body + tlv(0x8028, crc.to_bytes(4, "big")) + after)) is DropReason.MISPLACED_ATTRIBUTE


@pytest.mark.parametrize("value", [b"", bytes(8)])
def test_a_fingerprint_of_a_length_that_moves_its_end_is_misplaced(value):
    assert reason(frame(tlv(0x8028, value))) is DropReason.MISPLACED_ATTRIBUTE


# ------------------------------------------------------------------- integrity


@pytest.mark.req("RFC8489-072")
@pytest.mark.parametrize("fingerprint", [False, True])
def test_what_follows_message_integrity_is_not_seen_except_sha256_and_fingerprint(fingerprint):
    after = tlv(0x06, b"evil") + tlv(0x7FF0) + tlv(0x25) + tlv(0x1C, bytes(32)) + tlv(0x24, bytes(4))
    message = decode_untrusted(sealed(tlv(0x14, b"realm"), after, fingerprint=fingerprint))
    assert message.get(REALM) == "realm"
    for attribute in (USERNAME, USE_CANDIDATE, PRIORITY):
        assert message.get(attribute) is None
        assert attribute not in message
    assert message.unknown_required() == ()
    assert message.get(MESSAGE_INTEGRITY_SHA256) == bytes(32)
    assert MESSAGE_INTEGRITY_SHA256 in message
    assert MESSAGE_INTEGRITY in message
    assert (FINGERPRINT in message) is (message.get(FINGERPRINT) is not None) is fingerprint
    assert (0x06, b"evil") in message.attributes()


@pytest.mark.req("RFC8489-072")
def test_what_follows_sha256_alone_is_not_seen_except_fingerprint():
    before = tlv(0x14, b"realm")
    body = before + tlv(0x1C, KEY.sha256(frame(before, length=len(before) + 36))) + tlv(0x06, b"evil") + tlv(0x7FF0)
    message = decode_untrusted(frame(body))
    assert message.verify(KEY)
    assert message.get(REALM) == "realm"
    assert message.get(USERNAME) is None
    assert message.unknown_required() == ()


def test_a_forged_sha1_after_a_right_sha256_smuggles_nothing_in():
    before = tlv(0x14, b"realm")
    right = before + tlv(0x1C, KEY.sha256(frame(before, length=len(before) + 36)))
    message = decode_untrusted(frame(right + tlv(0x06, b"evil") + tlv(0x08, bytes(20)) + tlv(0x25)))
    assert message.verify(KEY)
    assert message.integrity is IntegrityAlgorithm.SHA256
    assert message.get(USERNAME) is None
    assert USE_CANDIDATE not in message
    assert message.get(MESSAGE_INTEGRITY) is None


def test_an_attribute_first_seen_after_integrity_does_not_hide_behind_a_copy():
    message = decode_untrusted(sealed(tlv(0x14, b"realm"), tlv(0x14, b"evil")))
    assert message.get(REALM) == "realm"


@pytest.mark.parametrize("algorithm", IntegrityAlgorithm)
@pytest.mark.parametrize("fingerprint", [False, True])
def test_the_integrity_of_a_message_is_what_it_was_encoded_with(algorithm, fingerprint):
    data = encode(
        Method.BINDING, MessageClass.REQUEST, TID, [(SOFTWARE, "x")], key=KEY, algorithm=algorithm, fingerprint=fingerprint
    )
    message = decode_untrusted(data)
    assert message.integrity is algorithm
    assert message.has_integrity
    assert message.verify(KEY)
    assert not message.verify(short_term_key("Password"))


def test_a_message_without_integrity_verifies_with_no_key():
    assert not decode_untrusted(frame(tlv(0x24, bytes(4)))).verify(IntegrityKey(b""))


@pytest.mark.req("RFC8489-077")
def test_sha256_decides_where_it_is_present_although_sha1_is_right():
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(SOFTWARE, "x")], key=KEY, algorithm=IntegrityAlgorithm.BOTH)
    wrong_sha256 = data[:-1] + bytes([data[-1] ^ 1])
    assert not decode_untrusted(wrong_sha256).verify(KEY)
    sha1_at = data.index(bytes.fromhex("00080014")) + 4
    wrong_sha1 = bytearray(data)
    wrong_sha1[sha1_at] ^= 1
    assert not decode_untrusted(bytes(wrong_sha1)).verify(KEY)  # it is covered by SHA256


@pytest.mark.parametrize("size", [0, 4, 16, 19, 21, 24, 32])
def test_message_integrity_of_another_length_than_twenty_is_wrong(size):
    digest = KEY.sha1(frame(b"", length=24)) + bytes(12)  # right, if only twenty bytes were looked at
    message = decode_untrusted(frame(tlv(0x08, digest[:size], pad=digest[size : size + 1])))
    assert message.has_integrity
    assert not message.verify(KEY)


@pytest.mark.req("RFC8489-126")
@pytest.mark.parametrize("size", [0, 4, 12, 14, 15, 16, 17, 18, 20, 24, 28, 30, 31, 32, 33, 36, 40])
def test_sha256_is_16_to_32_bytes_in_steps_of_four(size):
    digest = KEY.sha256(frame(b"", length=4 + size))
    message = decode_untrusted(frame(tlv(0x1C, (digest + bytes(8))[:size])))
    assert message.verify(KEY, minimum_sha256=0) is (size in (16, 20, 24, 28, 32))


@pytest.mark.req("RFC8489-127")
def test_truncated_sha256_is_refused_unless_the_usage_allows_it_and_then_down_to_its_minimum():
    for size in (16, 20, 24, 28):
        data = encode(
            Method.BINDING, MessageClass.REQUEST, TID, key=KEY, algorithm=IntegrityAlgorithm.SHA256, truncate_sha256=size
        )
        message = decode_untrusted(data)
        assert not message.verify(KEY)
        assert message.verify(KEY, minimum_sha256=size)
        assert not message.verify(KEY, minimum_sha256=size + 4)
        wrong = bytearray(data)
        wrong[-1] ^= 1
        assert not decode_untrusted(bytes(wrong)).verify(KEY, minimum_sha256=size)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_integrity_verifies_with_the_key_that_made_it_and_with_no_other(key, other):
    data = encode(Method.BINDING, MessageClass.SUCCESS, TID, [(XOR_MAPPED_ADDRESS, Address("::1", 1))], key=IntegrityKey(key))
    assert decode_untrusted(data).verify(IntegrityKey(key))
    # HMAC pads keys with zeros (RFC 2104 2)
    assert decode_untrusted(data).verify(IntegrityKey(other)) is (key.rstrip(b"\0") == other.rstrip(b"\0"))


PEERS = [Address("192.0.2.1", 1), Address("2001:db8::2", 2), Address("192.0.2.1", 1)]


def test_an_attribute_that_comes_more_than_once_has_all_its_values_in_order():
    message = decode_untrusted(
        encode(Method.CREATE_PERMISSION, MessageClass.REQUEST, TID, [(XOR_PEER_ADDRESS, one) for one in PEERS])
    )
    assert message.get_all(XOR_PEER_ADDRESS) == tuple(PEERS)
    assert message.get_all(LIFETIME) == ()


def test_of_those_the_unprotected_ones_are_not_seen():
    message = decode_untrusted(sealed(tlv(LIFETIME.code, b"\0\0\0\1"), tlv(LIFETIME.code, b"\0\0\0\2")))
    assert message.verify(KEY)
    assert message.get_all(LIFETIME) == (1,)


def test_one_that_is_malformed_spoils_all_of_them():
    message = decode_untrusted(frame(tlv(LIFETIME.code, b"\0\0\0\1") + tlv(LIFETIME.code, b"\0")))
    with pytest.raises(DecodeError) as error:
        message.get_all(LIFETIME)
    assert error.value.reason is DropReason.BAD_ATTRIBUTE
