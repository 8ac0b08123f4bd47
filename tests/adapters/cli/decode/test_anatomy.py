import json
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from sansice.stun import (
    ERROR_CODE,
    NONCE,
    PRIORITY,
    REALM,
    SOFTWARE,
    USE_CANDIDATE,
    USERHASH,
    USERNAME,
    ErrorCode,
    IntegrityAlgorithm,
    MessageClass,
    Method,
    TransactionId,
    encode,
    long_term_key,
    short_term_key,
    userhash,
)
from sansice_cli.decode._anatomy import take_apart
from sansice_cli.decode._keys import Keys

ID = TransactionId(bytes(range(12)))
VECTORS = json.loads((Path(__file__).parents[3] / "stun" / "vectors.json").read_text())["vectors"]


def binding(*attributes, **options):
    return encode(Method.BINDING, MessageClass.REQUEST, ID, attributes, **options)


def values(anatomy):
    return {one.name: one.value.problem or one.value.text for one in anatomy.attributes}


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_published_vectors_are_taken_apart_and_verified(vector):
    parameters = vector["parameters"]
    keys = Keys(parameters.get("password_processed") or parameters["password"], parameters.get("username"))
    anatomy = take_apart(bytes.fromhex(vector["hex"]), keys)
    verdict = anatomy.verdict("MESSAGE-INTEGRITY", "MESSAGE-INTEGRITY-SHA256")
    assert verdict == ("valid" if vector["verified"]["integrity_ok"] else "wrong")
    assert anatomy.is_good == vector["verified"]["integrity_ok"]


def test_every_byte_is_in_exactly_one_field():
    data = binding((SOFTWARE, "four5"), (PRIORITY, 7), (USE_CANDIDATE, None), key=short_term_key("x"), fingerprint=True)
    anatomy = take_apart(data)
    fields = [*anatomy.header]
    for one in anatomy.attributes:
        fields += filter(None, (one.tag, one.value, one.padding))
    position = 0
    for field in fields:
        assert field.offset == position
        assert data[position : position + len(field.raw)] == field.raw
        position += len(field.raw)
    assert position == len(data)


def test_both_integrity_attributes_are_judged_each():
    data = binding((USERNAME, "u"), key=short_term_key("x"), algorithm=IntegrityAlgorithm.BOTH)
    assert [one.value.text for one in take_apart(data, Keys("x")).attributes[1:]] == ["right (short-term)"] * 2
    wrong = take_apart(data[:-1] + bytes([data[-1] ^ 1]), Keys("x"))
    assert [one.verdict for one in wrong.attributes] == ["", "valid", "wrong"]
    assert not wrong.is_good
    assert take_apart(data).verdict("MESSAGE-INTEGRITY") == "not checked"


def test_truncated_sha256_is_verified_and_a_digest_of_another_length_is_none():
    data = binding(key=short_term_key("x"), algorithm=IntegrityAlgorithm.SHA256, truncate_sha256=16)
    assert take_apart(data, Keys("x")).is_good
    short = data[:20] + b"\x00\x1c\x00\x0c" + data[24:36]
    short = short[:2] + b"\x00\x10" + short[4:]
    assert values(take_apart(short, Keys("x"))) == {"MESSAGE-INTEGRITY-SHA256": "12 bytes are not a digest"}


def test_response_is_verified_with_name_and_realm_of_the_request_before():
    key = long_term_key("user", "realm", "x")
    keys = Keys("x")
    request = binding((USERNAME, "user"), (REALM, "realm"), (NONCE, "n"), key=key)
    response = encode(Method.BINDING, MessageClass.SUCCESS, ID, key=key)
    assert values(take_apart(response, Keys("x"))) == {"MESSAGE-INTEGRITY": "wrong, or of another password"}
    assert take_apart(request, keys).is_good
    assert values(take_apart(response, keys)) == {"MESSAGE-INTEGRITY": "right (long-term, MD5)"}


def test_name_behind_a_hash_has_to_be_given():
    key = long_term_key("user", "realm", "x", sha256=True)
    attributes = [(USERHASH, userhash("user", "realm")), (REALM, "realm"), (NONCE, "n")]
    data = binding(*attributes, key=key, algorithm=IntegrityAlgorithm.SHA256)
    hidden = take_apart(data, Keys("x"))
    assert hidden.verdict("MESSAGE-INTEGRITY-SHA256") == "not checked"
    assert values(hidden)["MESSAGE-INTEGRITY-SHA256"].endswith("give --username")
    assert values(take_apart(data, Keys("x", "user")))["MESSAGE-INTEGRITY-SHA256"] == "right (long-term, SHA-256)"
    assert take_apart(data, Keys("x", "other")).verdict("MESSAGE-INTEGRITY-SHA256") == "wrong"


def test_attributes_after_the_integrity_are_marked_as_unprotected():
    data = binding((SOFTWARE, "a"), key=short_term_key("x"))
    late = binding((PRIORITY, 1))[20:]
    data = data[:2] + (len(data) - 20 + len(late)).to_bytes(2, "big") + data[4:] + late
    anatomy = take_apart(data, Keys("x"))
    assert [one.is_protected for one in anatomy.attributes] == [True, True, False]
    assert "not protected" in anatomy.attributes[2].value.text
    assert anatomy.is_good


def test_wrong_fingerprint_says_what_would_be_right():
    data = binding(fingerprint=True)
    anatomy = take_apart(data[:-4] + bytes(4))
    assert values(anatomy) == {"FINGERPRINT": f"wrong: {data[-4:].hex()} would be right"}
    assert anatomy.problem == "missing or wrong FINGERPRINT: wrong"


def test_malformed_value_does_not_hide_the_others():
    data = bytearray(binding((ERROR_CODE, ErrorCode(400, "x")), (SOFTWARE, "y")))
    data[26] = 9
    anatomy = take_apart(bytes(data))
    assert values(anatomy) == {"ERROR-CODE": "malformed: class 1 and number 0 make no error code", "SOFTWARE": '"y"'}
    assert anatomy.problem == ""
    assert not anatomy.is_good


@pytest.mark.parametrize(
    ("data", "problem", "last"),
    [
        (binding()[:7], "it ends within its header", "a header has 20 bytes"),
        (binding((SOFTWARE, "four"))[:-2], "length field does not match: 8 in a datagram of 26 bytes", "only 2 of"),
        (binding((SOFTWARE, "four"))[:-6], "length field does not match: 8 in a datagram of 22 bytes", "cut short"),
        (
            b"\0\1\0\x08" + binding()[4:] + b"\x80\x22\x10\0four",
            "malformed attribute: the last attribute overruns the message",
            "only 4 of its 4096 bytes are there",
        ),
        (b"\0\1\0\x03" + binding()[4:] + b"abc", "length field does not match: 3 in a datagram of 23 bytes", "cut short"),
        (b"\0\0" + binding()[2:], "unknown method: 0x000", "transaction id"),
        (b"\0\x13" + binding()[2:], "class not allowed for this method: INDICATION of ALLOCATE", "transaction id"),
        (binding()[:4] + b"\x21\x12\xa4\x43" + ID + b"rest", "wrong magic cookie", "transaction id"),
    ],
    ids=["header", "value", "tag", "overrun", "length", "method", "class", "cookie"],
)  # fmt: skip
def test_damaged_message_is_shown_as_far_as_it_goes(data, problem, last):
    anatomy = take_apart(data)
    fields = [*anatomy.header, *(one.value for one in anatomy.attributes)]
    assert anatomy.problem == problem
    assert last in (fields[-1].problem or fields[-1].text)
    assert not anatomy.is_good


def test_bytes_after_the_message_are_kept_apart():
    anatomy = take_apart(binding() + b"rest")
    assert (anatomy.rest.offset, anatomy.rest.raw) == (20, b"rest")
    assert "length field" in anatomy.problem


def test_message_of_rfc_3489_is_recognised():
    anatomy = take_apart(binding()[:4] + b"\x00\x11\x22\x33" + ID)
    assert anatomy.title == "STUN Binding request, 20 bytes, of RFC 3489"
    assert anatomy.header[2].raw == b"\x00\x11\x22\x33" + ID
    assert anatomy.is_good


def test_unknown_attributes_say_whether_they_matter():
    body = b"\x7f\xff\x00\x00" + b"\xff\xff\x00\x00"
    anatomy = take_apart(b"\0\1\0\x08" + binding()[4:20] + body)
    assert values(anatomy) == {
        "unknown attribute 0x7fff": "must be understood: a receiver refuses a request with it",
        "unknown attribute 0xffff": "may be ignored",
    }
    assert anatomy.is_good


@pytest.mark.parametrize(
    ("data", "title", "problem"),
    [
        (b"\x40\x01\x00\x02hi", "ChannelData, 6 bytes", ""),
        (b"\x4f\xff\x00\x02hi\0\0", "ChannelData, 8 bytes", ""),
        (b"\x40\x01\x00\x03hi", "ChannelData, 6 bytes", "1 byte of the data are missing"),
        (b"\x40\x01", "ChannelData", "it ends within its header"),
        (b"\x80", "RTP or RTCP, 1 byte", ""),
        (b"\x16\xfe\xfd", "DTLS, 3 bytes", ""),
        (b"\x10", "ZRTP, 1 byte", ""),
        (b"\xff", "nothing that shares a port with STUN (RFC 7983), 1 byte", ""),
        (b"", "nothing, 0 bytes", ""),
    ],
)
def test_other_protocols_are_named(data, title, problem):
    anatomy = take_apart(data)
    assert (anatomy.title, anatomy.problem) == (title, problem)


def test_channel_data_names_what_it_carries():
    inner = binding()
    [_, _, data] = take_apart(b"\x40\x00\x00\x14" + inner).header
    assert data.text == "data: STUN"
    assert take_apart(b"\x40\x00\x00\x01\x80").header[2].text == "data: RTP or RTCP"
    assert take_apart(b"\x40\x00\x00\x01\xff").header[2].text == "data"


@given(st.binary(max_size=120), st.booleans())
def test_any_bytes_are_taken_apart(data, with_keys):
    keys = Keys("password") if with_keys else None
    for whole in (data, b"\0\1" + len(data).to_bytes(2, "big") + binding()[4:] + data):
        take_apart(whole, keys)


@given(st.binary(min_size=1, max_size=8), st.integers(0, 200))
def test_any_damage_to_a_message_is_survived(damage, position):
    attributes = [(USERNAME, "user"), (REALM, "realm"), (ERROR_CODE, ErrorCode(401, "no")), (SOFTWARE, "x")]
    data = binding(*attributes, key=short_term_key("x"), fingerprint=True)
    position %= len(data)
    take_apart(data[:position] + damage + data[position + len(damage) :], Keys("x"))
