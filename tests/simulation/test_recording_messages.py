"""Messages with other keys, of the same length, and data without content."""

import pytest
from hypothesis import given, strategies as st

from sansice.simulation._recording._messages import (
    as_message,
    blanked,
    is_like_message,
    messages_in_stream,
    nonce_of,
    realm_of,
    resigned,
)
from sansice.stun import (
    DATA,
    NONCE,
    REALM,
    SOFTWARE,
    Attribute,
    IntegrityAlgorithm,
    IntegrityKey,
    MessageClass,
    Method,
    TransactionId,
    demultiplex,
    encode,
    shapes,
)

OLD, NEW, OTHER = IntegrityKey(b"old"), IntegrityKey(b"new"), IntegrityKey(b"other")
PAIRS = [(OTHER, OTHER), (OLD, NEW)]


def message(*attributes, key=None, integrity=IntegrityAlgorithm.SHA1, fingerprint=False):
    data = encode(
        Method.BINDING,
        MessageClass.REQUEST,
        TransactionId(bytes(12)),
        attributes,
        key=key,
        algorithm=integrity,
        fingerprint=fingerprint,
    )
    return as_message(data)


@pytest.mark.parametrize("fingerprint", [False, True])
@pytest.mark.parametrize("integrity", list(IntegrityAlgorithm))
def test_what_one_key_signed_is_signed_by_the_other(integrity, fingerprint):
    before = message((SOFTWARE, "x"), key=OLD, integrity=integrity, fingerprint=fingerprint)
    after = as_message(resigned(before, PAIRS, {}))
    assert after.verify(NEW)
    assert not after.verify(OLD)
    assert after.integrity is integrity
    assert after.has_fingerprint is fingerprint  # and right, or it would not have been decoded
    assert after.get(SOFTWARE) == "x"
    assert after.data == message((SOFTWARE, "x"), key=NEW, integrity=integrity, fingerprint=fingerprint).data


def test_a_signature_that_was_cut_short_is_made_anew_in_its_length():
    long = message(key=OLD, integrity=IntegrityAlgorithm.SHA256).data  # RFC 8489 14.6: 16 bytes at least, of 32
    head = long[:2] + (20).to_bytes(2, "big") + long[4:20] + long[20:22] + (16).to_bytes(2, "big")
    covered = head[:20]
    before = as_message(head + OLD.sha256(covered)[:16])
    assert resigned(before, PAIRS, {}) == head + NEW.sha256(covered)[:16]


@pytest.mark.parametrize("key", [None, IntegrityKey(b"a stranger's")])
def test_what_none_of_the_keys_signed_is_left_as_it_is(key):
    before = message((SOFTWARE, "x"), key=key, fingerprint=True)
    assert resigned(before, PAIRS, {}) == before.data


def test_nonces_are_replaced_by_those_of_the_same_length_before_the_signature_is_made():
    before = message((NONCE, "first"), key=OLD, fingerprint=True)
    after = as_message(resigned(before, PAIRS, {b"first": b"other"}))
    assert after.get(NONCE) == "other"
    assert after.verify(NEW)
    assert resigned(message((NONCE, "first")), [], {b"first": b"longer"}) == message((NONCE, "first")).data
    assert nonce_of(before) == b"first"
    assert nonce_of(message()) is None


def test_data_in_a_message_becomes_zeros():
    after = as_message(resigned(message((DATA, b"what was said"), fingerprint=True), [], {}))
    assert after.get(DATA) == bytes(13)


def test_a_realm_that_is_no_text_is_none():
    raw = Attribute(REALM.code, "RAW", shapes.OPAQUE)
    assert realm_of(message((raw, b"\xff"))) is None
    assert realm_of(message((REALM, "r"))) == "r"
    assert realm_of(message()) is None


@given(st.binary(max_size=60))
def test_blanked_data_is_of_the_same_length_and_protocol(data):
    blank = blanked(data)
    assert len(blank) == len(data)
    assert not any(blank[1:])
    if data:
        assert demultiplex(blank[0]) is demultiplex(data[0])


@pytest.mark.parametrize(
    ("data", "is_like"),
    [
        (b"", False),
        (bytes(19), False),
        (b"\x00\x01\x00\x00" + bytes(16), True),  # of RFC 3489, without a cookie
        (b"\x00\x01\x00\x04" + bytes(16), False),
        (b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12), True),  # a wrong length
        (b"\x40\x01\x00\x00\x21\x12\xa4\x42" + bytes(12), False),
    ],
)
def test_what_was_meant_to_be_a_message_is_told_from_data(data, is_like):
    assert is_like_message(data) is is_like
    assert as_message(data) is None or is_like


def test_messages_in_a_stream_are_found_up_to_what_is_none():
    one, two = message((SOFTWARE, "x")).data, message().data
    places = [(0, len(one)), (len(one), len(one) + len(two))]
    assert messages_in_stream(one + two) == places
    assert messages_in_stream(one + two + one[:-1]) == places
    assert messages_in_stream(one + two + b"GET / HTTP/1.1\r\n\r\n.......") == places
    assert messages_in_stream(one + two + bytes(40)) == places
    assert messages_in_stream(b"") == []
