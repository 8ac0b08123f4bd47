import pytest
from hypothesis import given, strategies as st

from sansice.stun import (
    ERROR_CODE,
    NONCE,
    PASSWORD_ALGORITHMS,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    ErrorCode,
    MessageClass,
    Method,
    PasswordAlgorithm,
    SecurityFeatures,
    decode_untrusted,
    encode,
    first_supported,
    nonce_cookie,
    nonce_features,
    strongest_supported,
)
from sansice.stun._security import hides_algorithms, promises_algorithms

BOTH = SecurityFeatures.PASSWORD_ALGORITHMS | SecurityFeatures.USERNAME_ANONYMITY
COOKIES = [
    (SecurityFeatures.NONE, "obMatJos2AAAA"),
    (SecurityFeatures.PASSWORD_ALGORITHMS, "obMatJos2gAAA"),
    (SecurityFeatures.USERNAME_ANONYMITY, "obMatJos2QAAA"),
    (BOTH, "obMatJos2wAAA"),
]
UNKNOWN = PasswordAlgorithm(0x7777)


@pytest.mark.req("RFC8489-084", "RFC8489-085")
@pytest.mark.parametrize(("features", "cookie"), COOKIES)
def test_bit_0_is_the_first_of_the_first_byte_both_ways(features, cookie):
    assert nonce_cookie(features) == cookie
    assert nonce_features(cookie) == features
    assert nonce_features(cookie + "and what follows") == features


@pytest.mark.parametrize(
    "nonce", ["", "f//499k954d6OL34oL9FSTvy64sA", "obMatJos1wAAA", "obMatJos2", "obMatJos2wAA", "obMatJos2?AAA"]
)
def test_a_nonce_without_a_whole_cookie_promises_nothing(nonce):
    assert nonce_features(nonce) == SecurityFeatures.NONE
    assert not promises_algorithms(nonce)


@pytest.mark.parametrize("nonce", ["obMatJos2AAAB", "obMatJos2AAAC", "obMatJos2AAAD", "obMatJos2P///"])
def test_bits_that_are_not_assigned_are_left_out_and_so_are_those_who_count_from_the_other_end(nonce):
    assert nonce_features(nonce) == SecurityFeatures.NONE
    assert not promises_algorithms(nonce)


@given(st.integers(0, 2**24 - 1))
def test_the_two_assigned_bits_are_found_among_any_others(bits):
    nonce = nonce_cookie(SecurityFeatures(bits))
    assert len(nonce) == 13
    assert nonce_features(nonce) == SecurityFeatures(bits & BOTH)
    assert promises_algorithms(nonce) is bool(bits & SecurityFeatures.PASSWORD_ALGORITHMS)


@given(st.text())
def test_any_text_may_be_asked(nonce):
    assert nonce_features(nonce) in SecurityFeatures(BOTH)


def response(*attributes, nonce=None):
    data = encode(Method.BINDING, MessageClass.ERROR, bytes(12), [(ERROR_CODE, ErrorCode(401)), *attributes])
    if nonce is not None:  # bytes that encode() would not send
        data += bytes((0, 0x15, 0, len(nonce))) + nonce
        data = data[:2] + (len(data) - 20).to_bytes(2, "big") + data[4:]
    return decode_untrusted(data)


@pytest.mark.parametrize(("features", "cookie"), COOKIES)
def test_a_message_hides_what_its_nonce_promises_and_it_does_not_have(features, cookie):
    promise = bool(features & SecurityFeatures.PASSWORD_ALGORITHMS)
    assert hides_algorithms(response((NONCE, cookie))) is promise
    assert not hides_algorithms(response((NONCE, cookie), (PASSWORD_ALGORITHMS, (PASSWORD_MD5,))))


def test_without_a_nonce_that_can_be_read_nothing_is_promised():
    assert not hides_algorithms(response())
    assert not hides_algorithms(response(nonce=b"obMatJos2gAAA" + b"\xff" * 3))


@pytest.mark.parametrize(
    ("offered", "first", "strongest"),
    [
        ((), None, None),
        ((UNKNOWN,), None, None),
        ((PASSWORD_MD5,), PASSWORD_MD5, PASSWORD_MD5),
        ((UNKNOWN, PASSWORD_MD5, PASSWORD_SHA256), PASSWORD_MD5, PASSWORD_SHA256),
        ((PASSWORD_SHA256, PASSWORD_MD5), PASSWORD_SHA256, PASSWORD_SHA256),
        ((PasswordAlgorithm(2, b"salt"), PASSWORD_MD5), PASSWORD_MD5, PASSWORD_MD5),
    ],
)
@pytest.mark.req("RFC8489-103")
def test_stun_takes_the_first_algorithm_that_it_knows_and_turn_the_strongest(offered, first, strongest):
    assert first_supported(offered) == first
    assert strongest_supported(offered) == strongest
