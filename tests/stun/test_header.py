import pytest
from hypothesis import given, strategies as st

from sansice.stun import MessageClass, Method, encode, is_stun, new_transaction_id
from sansice.stun._header import CLASSES, OF_TYPE, TYPE_OF, join_type, split_type

TID = bytes(range(12))


@pytest.mark.req("RFC8489-003")
@given(method=st.integers(0, 0xFFF), message_class=st.integers(0, 3))
def test_method_and_class_bits_interleave_and_come_apart_again(method, message_class):
    kind = join_type(method, message_class)
    assert split_type(kind) == (method, message_class)
    assert kind & 0xC000 == 0
    assert bool(kind & 0x0100) == bool(message_class & 2)
    assert bool(kind & 0x0010) == bool(message_class & 1)


@pytest.mark.req("RFC8489-003")
def test_every_type_is_a_different_pair_of_method_and_class():
    assert len({join_type(method, kind) for method in range(0x1000) for kind in range(4)}) == 0x4000


@pytest.mark.req("RFC8489-004")
def test_the_class_bits_of_binding_are_those_of_the_rfc():
    first_two = [encode(Method.BINDING, kind, TID)[:2].hex() for kind in MessageClass]
    assert first_two == ["0001", "0011", "0101", "0111"]


def test_message_types_agree_with_the_derived_vectors(vectors):
    names = {"binding": Method.BINDING, "allocate": Method.ALLOCATE, "send": Method.SEND, "data": Method.DATA}
    names |= {"refresh": Method.REFRESH, "create_permission": Method.CREATE_PERMISSION}
    names |= {"channel_bind": Method.CHANNEL_BIND, "connection_attempt": Method.CONNECTION_ATTEMPT}
    for name, expected in vectors["derived"]["message_types"].items():
        method, _, kind = name.rpartition("_")
        assert TYPE_OF[names[method], MessageClass[kind.upper()]] == int(expected, 16)


def test_the_two_type_tables_are_each_others_inverse():
    assert {kind: pair for pair, kind in TYPE_OF.items()} == OF_TYPE
    assert set(CLASSES) == set(Method)
    assert sum(len(kinds) for kinds in CLASSES.values()) == len(OF_TYPE)


@pytest.mark.req("RFC8489-006")
def test_a_transaction_id_is_twelve_bytes_drawn_from_the_entropy():
    drawn = []

    def entropy(size):
        drawn.append(size)
        return bytes([len(drawn)]) * size

    assert new_transaction_id(entropy) == b"\1" * 12
    assert new_transaction_id(entropy) == b"\2" * 12
    assert drawn == [12, 12]


@pytest.mark.req("RFC8489-042")
@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        bytes(19),
        bytes(20),
        bytes.fromhex("0001000021 12a443") + TID,
        bytes.fromhex("4001000021 12a442") + TID,
        bytes.fromhex("8001000021 12a442") + TID,
        bytes.fromhex("c001000021 12a442") + TID,
        bytes.fromhex("000100002112a442") + TID[:-1],
    ],
)
def test_the_demultiplexing_question_says_no_without_raising(data):
    assert is_stun(data) is False


def test_the_demultiplexing_question_says_yes_to_a_header():
    assert is_stun(encode(Method.BINDING, MessageClass.REQUEST, TID)) is True
    assert is_stun(bytes.fromhex("3fff00002112a442") + TID) is True
