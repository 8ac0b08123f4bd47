"""Access tokens, byte for byte as coturn's tool makes them."""

import base64
import json

import pytest
from hypothesis import given, strategies as st

from sansice.machine import DecodeError, DropReason
from sansice.stun import TokenAlgorithm, TokenCipher, TokenContents, TokenKey, decode_token_untrusted, encode_token

GCM, SMALL_GCM, CBC = TokenAlgorithm
SERVER = "blackdow.carleon.gov"
NONCE = bytes.fromhex("8788f79369769f86f9000000")
CONTENTS = TokenContents(bytes.fromhex("664b23a707a88b15e6be7ebbe77e26"), 1410984813.0, 3600)

# turnutils_oauth -e -i blackdow.carleon.gov -j oldempire -k KEY -n ALGORITHM -o h4j3k2l2n4b5 -p ZksjpweoixXmvn67534m
# -q 92470300704768 -r 3600, of coturn 4.6.1, with these keys.
COTURN = [
    (
        TokenKey("oldempire", b"0123456789abcdef0123456789abcdef"),
        "AAyHiPeTaXafhvkAAAAJ4Y6C9xCdROjJoZiCpzHCS8Rur6NcA/6Viw7Y7o0ZuxUXgVzAhHjx51ZnSyo=",
    ),
    (
        TokenKey("oldempire", b"0123456789abcdef", SMALL_GCM),
        "AAyHiPeTaXafhvkAAAAo0Sx84nU8VzjflR2KPC59WUnb8KuygHSs+v9wHPSopHiH71NLuuZc59Sxx9M=",
    ),
]
KEY = COTURN[0][0]


def cipher_of(key):
    return TokenCipher(key.algorithm, key.key)


def read(token, key=KEY, server=SERVER):
    return decode_token_untrusted(token, cipher_of(key), server)


@pytest.mark.req("RFC7635-004", "RFC7635-005")
@pytest.mark.parametrize(("key", "text"), COTURN, ids=["A256GCM", "A128GCM"])
def test_a_token_of_coturns_is_read_and_made_byte_for_byte(key, text):
    token = base64.b64decode(text)
    assert read(token, key) == CONTENTS
    assert encode_token(CONTENTS, key, SERVER, nonce=NONCE) == token


@pytest.mark.req("RFC7635-005")
def test_a_time_stamp_counts_seconds_and_sixty_four_thousandths():
    token = encode_token(TokenContents(b"k" * 20, 1000.5, 7), KEY, SERVER, nonce=NONCE)
    plain = cipher_of(KEY).open_untrusted(NONCE, token[14:], SERVER.encode())
    assert plain == b"\x00\x14" + b"k" * 20 + (1000).to_bytes(6, "big") + (32000).to_bytes(2, "big") + b"\0\0\0\7"
    assert read(token).timestamp == 1000.5


@pytest.mark.req("RFC7635-006")
def test_a_token_for_another_server_is_worth_nothing():
    token = encode_token(CONTENTS, KEY, "other.carleon.gov", nonce=NONCE)
    with pytest.raises(DecodeError) as caught:
        read(token)
    assert caught.value.reason is DropReason.BAD_TOKEN


@given(
    st.binary(min_size=1, max_size=64),
    st.integers(0, 2**40).map(lambda ticks: ticks / 64000),
    st.integers(0, 2**32 - 1),
    st.sampled_from(
        [TokenKey("a", bytes(32)), TokenKey("b", bytes(16), SMALL_GCM), TokenKey("c", bytes(range(64)), CBC)],
    ),
)
def test_what_is_put_into_a_token_comes_out(mac_key, timestamp, lifetime, key):
    contents = TokenContents(mac_key, timestamp, lifetime)
    token = encode_token(contents, key, SERVER, nonce=b"" if key.algorithm is CBC else NONCE)
    assert read(token, key) == contents


@given(st.binary(max_size=80))
def test_no_bytes_are_a_token(data):
    with pytest.raises(DecodeError):
        read(data)


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        b"\0",
        b"\0\0" + bytes(12),
        b"\0\4keys" + bytes(11),
        b"\0\4keys" + bytes(13),
        b"\xff\xffkeys" + bytes(12),
    ],
)
def test_a_sound_envelope_with_something_else_inside_is_refused(plain):
    token = b"\0\x0c" + NONCE + cipher_of(KEY).seal(NONCE, plain, SERVER.encode())
    with pytest.raises(DecodeError) as caught:
        read(token)
    assert caught.value.reason is DropReason.BAD_TOKEN


def test_a_session_key_of_any_length_is_read_however_long_it_says_it_is():
    # coturn 4.10 copied as many bytes as the token said into a buffer on its stack (CVE-2026-43994).
    contents = TokenContents(b"k" * 65000, 0.0, 0)
    assert read(encode_token(contents, KEY, SERVER, nonce=NONCE)) == contents


@pytest.mark.parametrize(
    ("contents", "nonce", "match"),
    [
        (CONTENTS, NONCE[:-1], "nonce of 11 bytes"),
        (CONTENTS._replace(mac_key=b""), NONCE, "mac_key"),
        (CONTENTS._replace(mac_key=bytes(65536)), NONCE, "no room"),
        (CONTENTS._replace(lifetime=2**32), NONCE, "no room"),
        (CONTENTS._replace(timestamp=-1.0), NONCE, "no room"),
    ],
)
def test_a_token_that_cannot_be_is_refused(contents, nonce, match):
    with pytest.raises(ValueError, match=match) as caught:
        encode_token(contents, KEY, SERVER, nonce=nonce)
    assert "664b" not in str(caught.value)


@pytest.mark.parametrize(("algorithm", "size"), [(GCM, 32), (SMALL_GCM, 16), (CBC, 64)])
def test_a_key_has_the_length_of_its_algorithm(algorithm, size):
    assert TokenKey("north", bytes(size), algorithm).key == bytes(size)
    with pytest.raises(ValueError, match=f"needs {size}"):
        TokenKey("north", bytes(size + 1), algorithm)


@pytest.mark.parametrize("kid", ["", "k" * 509])
def test_the_name_of_a_key_fits_into_username(kid):
    with pytest.raises(ValueError, match="kid"):
        TokenKey(kid, bytes(32))


def test_the_answer_of_an_authorization_server_is_read():
    text = base64.urlsafe_b64encode(b"\xff" * 32).rstrip(b"=").decode()
    key = TokenKey.parse(json.dumps({"kid": "22BIjxU93h/IgwEb", "k": text, "exp": 1300819380, "enc": "A256GCM"}))
    assert key == TokenKey("22BIjxU93h/IgwEb", b"\xff" * 32, GCM, 1300819380)
    assert TokenKey.parse(json.dumps({"kid": "n", "k": base64.b64encode(b"\xff" * 32).decode()})).expires is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("no JSON", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "not a JSON object"),
        ('{"k": "AAAA"}', "kid: it is missing"),
        ('{"kid": 7, "k": "AAAA"}', "kid: .* not a text"),
        ('{"kid": "n", "k": "secret!"}', "k: it is not Base64"),
        ('{"kid": "n", "k": "AAAAA"}', "k: it is not Base64"),
        ('{"kid": "n", "k": "AAAA"}', "has 3 bytes"),
        ('{"kid": "n", "k": "AAAA", "enc": "none"}', "enc: 'none' is not one of A256GCM, A128GCM, A256CBC-HS512"),
        ('{"kid": "n", "k": "AAAA", "exp": "soon"}', "exp: 'soon'"),
        ('{"kid": "n", "k": "AAAA", "exp": true}', "exp: True"),
    ],
)
def test_an_answer_that_is_no_key_is_refused_without_showing_it(text, match):
    with pytest.raises(ValueError, match=match) as caught:
        TokenKey.parse(text)
    assert "secret" not in str(caught.value)


def test_no_secret_is_shown():
    assert repr(KEY) == "TokenKey(kid='oldempire', algorithm=<TokenAlgorithm.A256GCM: 'A256GCM'>, expires=None)"
    assert repr(CONTENTS) == "TokenContents(timestamp=1410984813.0, lifetime=3600)"
