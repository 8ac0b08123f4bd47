"""The published messages, byte for byte (RFC 5769, RFC 8489 B.1)."""

import struct
import zlib

import pytest

from sansice.machine import Address, DecodeError, DropReason
from sansice.stun import (
    FINGERPRINT,
    ICE_CONTROLLED,
    NONCE,
    PASSWORD_ALGORITHM,
    PRIORITY,
    REALM,
    SOFTWARE,
    USERHASH,
    USERNAME,
    XOR_MAPPED_ADDRESS,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    PasswordAlgorithm,
    decode_untrusted,
    encode,
    long_term_key,
    short_term_key,
    userhash,
)
from sansice.stun._attributes import REGISTRY

NAME = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9"
SHORT_TERM = short_term_key("VOkJxbRl1RmTxUk/WvJxBt")
ANOTHER = short_term_key("VOkJxbRl1RmTxUk/WvJxBT")
MD5 = long_term_key(NAME, "example.org", "TheMatrIX")
SHA256 = long_term_key(NAME, "example.org", "TheMatrIX", sha256=True)


@pytest.fixture
def vector(vectors):
    by_name = {one["name"]: one for one in vectors["vectors"]}
    return lambda name: (bytes.fromhex(by_name[name]["hex"]), by_name[name]["expect"])


def codes(message):
    return [REGISTRY[code].name for code, _ in message.attributes()]


@pytest.mark.req("RFC5769-001", "RFC5769-005", "RFC8489-073", "RFC8489-125", "RFC8489-129")
def test_the_request_of_rfc5769_is_read_verified_and_made_again(vector):
    data, expect = vector("rfc5769-2.1-request")
    message = decode_untrusted(data, require_fingerprint=True)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.REQUEST)
    assert message.transaction_id.hex() == expect["transaction_id"]
    assert codes(message) == expect["attribute_order"]
    assert message.get(SOFTWARE) == "STUN test client"
    assert message.get(PRIORITY) == expect["priority"]
    assert message.get(ICE_CONTROLLED) == int(expect["ice_controlled"], 16)
    assert message.get(USERNAME) == "evtj:h6vY"
    assert message.verify(SHORT_TERM)
    assert not message.verify(ANOTHER)
    again = encode(
        Method.BINDING,
        MessageClass.REQUEST,
        message.transaction_id,
        [(SOFTWARE, "STUN test client"), (PRIORITY, 0x6E0001FF), (ICE_CONTROLLED, 0x932FF9B151263B36), (USERNAME, "evtj:h6vY")],
        key=SHORT_TERM,
        fingerprint=True,
        padding=0x20,
    )
    assert again == data


@pytest.mark.parametrize(
    ("name", "mapped"),
    [
        pytest.param("rfc5769-2.2-response-ipv4", "192.0.2.1", marks=pytest.mark.req("RFC5769-002", "RFC8489-122")),
        pytest.param(
            "rfc5769-2.3-response-ipv6",
            "2001:db8:1234:5678:11:2233:4455:6677",
            marks=pytest.mark.req("RFC5769-003", "RFC8489-122"),
        ),
    ],
)
def test_the_responses_of_rfc5769_are_read_verified_and_made_again(vector, name, mapped):
    data, expect = vector(name)
    message = decode_untrusted(data, require_fingerprint=True)
    assert (message.method, message.message_class) == (Method.BINDING, MessageClass.SUCCESS)
    assert codes(message) == expect["attribute_order"]
    assert message.get(XOR_MAPPED_ADDRESS) == Address(mapped, 32853)
    assert message.get(SOFTWARE) == "test vector"
    assert message.verify(SHORT_TERM)
    assert not message.verify(ANOTHER)
    again = encode(
        Method.BINDING,
        MessageClass.SUCCESS,
        message.transaction_id,
        [(SOFTWARE, "test vector"), (XOR_MAPPED_ADDRESS, Address(mapped, 32853))],
        key=SHORT_TERM,
        fingerprint=True,
        padding=0x20,
    )
    assert again == data


@pytest.mark.req("RFC5769-004", "RFC8489-086", "RFC8489-143")
def test_the_long_term_request_of_rfc5769_verifies_with_the_md5_key(vector):
    data, expect = vector("rfc5769-2.4-request-long-term")
    message = decode_untrusted(data)
    assert codes(message) == expect["attribute_order"]
    assert not message.has_fingerprint
    values = [(USERNAME, NAME), (NONCE, "f//499k954d6OL34oL9FSTvy64sA"), (REALM, "example.org")]
    assert [(attribute, message.get(attribute)) for attribute, _ in values] == values
    assert message.verify(MD5)
    assert not message.verify(SHA256)
    assert encode(Method.BINDING, MessageClass.REQUEST, message.transaction_id, values, key=MD5) == data


@pytest.mark.req("RFC8489-145")
def test_the_message_of_rfc8489_b1_as_printed_is_refused_for_its_length(vector):
    data, _ = vector("rfc8489-B.1-as-printed")
    with pytest.raises(DecodeError) as caught:
        decode_untrusted(data)
    assert caught.value.reason is DropReason.BAD_LENGTH


@pytest.mark.req("RFC8489-145", "RFC8489-144", "RFC8489-124", "RFC8489-136")
def test_the_corrected_message_of_rfc8489_b1_verifies_and_is_made_again(vector):
    data, expect = vector("rfc8489-B.1-corrected")
    message = decode_untrusted(data)
    assert codes(message) == expect["attribute_order"]
    values = [
        (USERHASH, userhash(NAME, "example.org")),
        (NONCE, "obMatJos2AAACf//499k954d6OL34oL9FSTvy64sA"),
        (REALM, "example.org"),
        (PASSWORD_ALGORITHM, PasswordAlgorithm(2)),
    ]
    assert [(attribute, message.get(attribute)) for attribute, _ in values] == values
    assert message.get(USERHASH).hex() == expect["userhash"]
    assert message.verify(SHA256)
    assert not message.verify(MD5)
    again = encode(
        Method.BINDING, MessageClass.REQUEST, message.transaction_id, values, key=SHA256, algorithm=IntegrityAlgorithm.SHA256
    )
    assert again == data


@pytest.mark.req("RFC5769-005", "RFC8489-118")
@pytest.mark.parametrize("name", ["rfc5769-2.1-request", "rfc5769-2.2-response-ipv4", "rfc5769-2.3-response-ipv6"])
def test_any_flipped_bit_breaks_fingerprint_or_integrity(vector, name):
    data, _ = vector(name)
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        try:
            message = decode_untrusted(bytes(flipped), require_fingerprint=True)
        except DecodeError:
            continue
        raise AssertionError(f"bit {bit} is not covered by the fingerprint: {message!r}")


@pytest.mark.req("RFC5769-005")
@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("rfc5769-2.1-request", SHORT_TERM),
        ("rfc5769-2.2-response-ipv4", SHORT_TERM),
        ("rfc5769-2.3-response-ipv6", SHORT_TERM),
        ("rfc5769-2.4-request-long-term", MD5),
    ],
)
def test_any_flipped_bit_breaks_the_integrity_of_a_message_whose_fingerprint_was_made_anew(vector, name, key):
    """As somebody on the way could do it: he has no key, but a fingerprint needs none."""
    data, _ = vector(name)
    has_fingerprint = decode_untrusted(data).has_fingerprint
    sealed = data[:-8] if has_fingerprint else data
    for bit in range(8 * len(sealed)):
        flipped = bytearray(sealed)
        flipped[bit // 8] ^= 0x80 >> bit % 8
        if has_fingerprint:
            flipped += struct.pack("!HHI", FINGERPRINT.code, 4, zlib.crc32(flipped) ^ 0x5354554E)  # RFC 5389 15.5
        try:
            verified = decode_untrusted(bytes(flipped)).verify(key)
        except DecodeError:
            continue
        assert not verified, f"bit {bit}"
