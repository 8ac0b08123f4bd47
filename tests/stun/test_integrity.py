import hashlib
import hmac

import pytest
from hypothesis import example, given, strategies as st

from sansice.stun import (
    PASSWORD_ALGORITHM,
    PASSWORD_MD5,
    PASSWORD_SHA256,
    PRIORITY,
    IntegrityAlgorithm,
    IntegrityKey,
    MessageClass,
    Method,
    decode_untrusted,
    encode,
    long_term_key,
    short_term_key,
    userhash,
)

TID = bytes(range(12))


def same_key(key, expected):
    return key.sha1(b"x") == hmac.digest(expected, b"x", "sha1") and key.sha256(b"x") == hmac.digest(expected, b"x", "sha256")


@example(key=bytes(64), messages=[b"the block of both hashes"])
@example(key=bytes(65), messages=[b"one byte more: the key is hashed first"])
@given(key=st.binary(max_size=200), messages=st.lists(st.binary(max_size=200), min_size=1, max_size=4))
def test_kept_hash_states_give_the_hmac_of_the_standard_library_again_and_again(key, messages):
    ours = IntegrityKey(key)
    for message in messages:
        assert ours.sha1(message) == hmac.digest(key, message, "sha1")
        assert ours.sha256(message) == hmac.digest(key, message, "sha256")


@pytest.mark.req("RFC8489-073")
def test_the_short_term_key_is_the_prepared_password_in_utf8():
    assert same_key(short_term_key("VOkJxbRl1RmTxUk/WvJxBt"), b"VOkJxbRl1RmTxUk/WvJxBt")
    assert same_key(short_term_key("A\u030a\u00a0\uff21"), "\u00c5 \uff21".encode())
    with pytest.raises(ValueError, match="empty"):
        short_term_key("")


@pytest.mark.req("RFC8489-086")
def test_the_legacy_long_term_key_is_md5_over_name_realm_and_password(vectors):
    expected = bytes.fromhex(vectors["derived"]["long_term_key_md5"]["key"])
    assert expected.hex() == "8493fbc53ba582fb4c044c456bdc40eb"
    assert same_key(long_term_key("user", "realm", "pass"), expected)
    assert same_key(long_term_key("user", '"realm"\0\0', "pass\0"), expected)
    assert same_key(long_term_key('"user"\0', "realm", "pass"), expected)
    prepared = hashlib.md5("user:\u00c5 :p\u00c5".encode()).digest()
    assert same_key(long_term_key("user", "A\u030a\u00a0", "pA\u030a"), prepared)
    assert same_key(long_term_key('us"er', '"', "pass"), hashlib.md5(b'us"er:":pass').digest())


@pytest.mark.req("RFC8489-143")
def test_password_algorithm_one_has_a_key_of_sixteen_bytes():
    assert PASSWORD_ALGORITHM.pack(PASSWORD_MD5, b"") == bytes.fromhex("00010000")
    assert same_key(long_term_key("u", "r", "p"), hashlib.md5(b"u:r:p").digest())
    assert hashlib.md5().digest_size == 16


@pytest.mark.req("RFC8489-144")
def test_password_algorithm_two_is_sha256_over_name_realm_and_password(vectors):
    assert PASSWORD_ALGORITHM.pack(PASSWORD_SHA256, b"") == bytes.fromhex("00020000")
    expected = bytes.fromhex(vectors["derived"]["long_term_key_sha256"]["key"])
    assert len(expected) == 32
    assert same_key(long_term_key("user", "realm", "pass", sha256=True), expected)


@pytest.mark.req("RFC8489-124")
def test_userhash_is_sha256_over_prepared_name_and_realm():
    value = userhash("\u30de\u30c8\u30ea\u30c3\u30af\u30b9", "example.org")
    assert value.hex() == "4a3cf38fef6992bda952c6780417da0f24819415569e60b205c46e41407f1704"
    assert userhash("A\u030a", "r\u00a0") == hashlib.sha256("\u00c5:r ".encode()).digest()


def test_a_key_does_not_show_itself():
    key = short_term_key("correct horse battery staple")
    key.sha1(b"")
    key.sha256(b"")
    for text in (repr(key), str(key), f"{key}"):
        assert text == "IntegrityKey(...)"


@pytest.mark.req("RFC8489-125")
@pytest.mark.parametrize("fingerprint", [False, True])
def test_sha1_covers_all_before_it_under_a_header_that_ends_with_it(fingerprint):
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(PRIORITY, 7)], key=IntegrityKey(b"k"), fingerprint=fingerprint)
    body = bytes.fromhex("0024000400000007")
    header = bytes.fromhex("000100202112a442") + TID  # 8 of PRIORITY and 24 of MESSAGE-INTEGRITY, never FINGERPRINT
    assert data[20:52] == body + bytes.fromhex("00080014") + hmac.digest(b"k", header + body, "sha1")
    assert decode_untrusted(data).verify(IntegrityKey(b"k"))
    assert not decode_untrusted(data).verify(IntegrityKey(b"K"))


@pytest.mark.req("RFC8489-128")
@pytest.mark.parametrize("fingerprint", [False, True])
def test_sha256_covers_the_sha1_attribute_under_its_own_header(fingerprint):
    key = IntegrityKey(b"k")
    options = {"key": key, "algorithm": IntegrityAlgorithm.BOTH, "fingerprint": fingerprint}
    data = encode(Method.BINDING, MessageClass.REQUEST, TID, [(PRIORITY, 7)], **options)
    body = bytes.fromhex("0024000400000007")
    sha1 = bytes.fromhex("00080014") + hmac.digest(b"k", bytes.fromhex("000100202112a442") + TID + body, "sha1")
    covered = bytes.fromhex("000100442112a442") + TID + body + sha1
    assert data[20:88] == body + sha1 + bytes.fromhex("001c0020") + hmac.digest(b"k", covered, "sha256")
    assert decode_untrusted(data).verify(key)
