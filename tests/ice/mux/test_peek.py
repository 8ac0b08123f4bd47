"""The ufrag of a check is found without decoding it, in whatever anybody sends."""

import pytest
from hypothesis import given, strategies as st

from ice._lite import check_bytes
from ice._mux import client, credentials
from sansice.ice._mux._peek import MAX_ATTRIBUTES, Ufrags, local_ufrag_untrusted, ufrags_untrusted
from sansice.machine import DecodeError, DropReason
from sansice.stun import (
    PRIORITY,
    SOFTWARE,
    USERNAME,
    MessageClass,
    Method,
    TransactionId,
    encode,
    short_term_key,
)

KEY = short_term_key("passwordOfServer00000001")
CHECK = check_bytes(1, ours=credentials(1), theirs=client(1).ufrag)


def request(*attributes, key=KEY, fingerprint=True):
    return encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), attributes, key=key, fingerprint=fingerprint)


def test_ufrag_is_what_comes_before_the_colon_wherever_the_username_is():
    assert local_ufrag_untrusted(CHECK) == b"server1"
    assert local_ufrag_untrusted(request((PRIORITY, 1), (SOFTWARE, "odd"), (USERNAME, "abcd:efgh"))) == b"abcd"
    assert local_ufrag_untrusted(request((USERNAME, "abcd:ef:gh"))) == b"abcd"


@pytest.mark.parametrize("username", ["", "nocolon", ":remote"])
def test_username_without_a_local_half_names_nobody(username):
    assert local_ufrag_untrusted(request((USERNAME, username))) is None


def test_a_colon_behind_the_username_is_none_of_it():
    assert local_ufrag_untrusted(request((USERNAME, "nocolon"), (SOFTWARE, "a:b"))) is None


def test_a_username_that_is_cut_off_names_nobody():
    whole = request((USERNAME, "abcd:efghijkl"), key=None, fingerprint=False)
    assert local_ufrag_untrusted(whole) == b"abcd"
    assert local_ufrag_untrusted(whole[:-4]) is None


@pytest.mark.parametrize("kind", [b"\x80\x06", b"\0\x07"])
def test_only_the_whole_type_makes_an_attribute_the_username(kind):
    whole = request((USERNAME, "abcd:efgh"), key=None, fingerprint=False)
    assert local_ufrag_untrusted(whole[:20] + kind + whole[22:]) is None
    assert local_ufrag_untrusted(whole[:20] + kind + whole[22:] + whole[20:]) == b"abcd"


def test_username_is_not_looked_for_behind_many_attributes():
    last = request(*[(PRIORITY, 1)] * (MAX_ATTRIBUTES - 1), (USERNAME, "abcd:efgh"))
    assert local_ufrag_untrusted(last) == b"abcd"
    assert local_ufrag_untrusted(request(*[(PRIORITY, 1)] * MAX_ATTRIBUTES, (USERNAME, "abcd:efgh"))) is None
    assert local_ufrag_untrusted(CHECK[:20] + bytes(65000)) is None


def test_request_without_a_username_names_nobody():
    assert local_ufrag_untrusted(request((PRIORITY, 1), key=None)) is None


@given(st.integers(0, len(CHECK)), st.lists(st.tuples(st.integers(0, len(CHECK) - 1), st.integers(0, 255)), max_size=4))
def test_whatever_is_cut_or_changed_a_ufrag_is_found_within_the_datagram_or_none(length, changes):
    data = bytearray(CHECK)
    for position, value in changes:
        data[position] = value
    found = local_ufrag_untrusted(bytes(data[:length]))
    assert found is None or (found and b":" not in found and found + b":" in data[:length])


@given(st.binary(max_size=80))
def test_noise_raises_nothing(data):
    found = local_ufrag_untrusted(data)
    assert found is None or found in data


def test_both_ufrags_of_a_whole_check():
    assert ufrags_untrusted(CHECK) == Ufrags("server1", "client1")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (CHECK[:-1], DropReason.BAD_LENGTH),
        (request((USERNAME, "abcd:efgh"), fingerprint=False), DropReason.BAD_FINGERPRINT),
        (request((PRIORITY, 1)), DropReason.BAD_USERNAME),
        (request((USERNAME, "abcd:efgh"), key=None), DropReason.BAD_INTEGRITY),
        (request((USERNAME, "abcd:")), DropReason.BAD_USERNAME),
        (request((USERNAME, "ab:efgh")), DropReason.BAD_USERNAME),
        (request((USERNAME, "ab d:efgh")), DropReason.BAD_USERNAME),
        (request((USERNAME, "abcd:" + "e" * 257)), DropReason.BAD_USERNAME),
    ],
)
def test_what_is_no_whole_check_is_refused_with_the_reason(data, reason):
    with pytest.raises(DecodeError) as raised:
        ufrags_untrusted(data)
    assert raised.value.reason is reason
