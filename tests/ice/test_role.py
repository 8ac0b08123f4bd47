import pytest

from sansice.ice import IceRole
from sansice.ice._role import Conflict, find_conflict
from sansice.machine import DecodeError
from sansice.stun import ICE_CONTROLLED, ICE_CONTROLLING, MessageClass, Method, TransactionId, decode_untrusted, encode

MINE = 0x8000_0000_0000_0000  # a signed comparison would take it for the smallest


def request(*attributes):
    return decode_untrusted(encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), attributes))


def test_roles_are_each_others_opposite():
    assert [role.opposite for role in IceRole] == [IceRole.CONTROLLED, IceRole.CONTROLLING]


@pytest.mark.req("RFC8445-083")
@pytest.mark.parametrize(
    ("theirs", "expected"), [(MINE - 1, Conflict.REJECT), (MINE, Conflict.REJECT), (MINE + 1, Conflict.SWITCH)]
)
def test_a_controlling_agent_yields_only_to_a_larger_tiebreaker(theirs, expected):
    assert find_conflict(IceRole.CONTROLLING, MINE, request((ICE_CONTROLLING, theirs))) is expected


@pytest.mark.req("RFC8445-084")
@pytest.mark.parametrize(
    ("theirs", "expected"), [(MINE - 1, Conflict.SWITCH), (MINE, Conflict.SWITCH), (MINE + 1, Conflict.REJECT)]
)
def test_a_controlled_agent_takes_over_unless_the_tiebreaker_is_larger(theirs, expected):
    assert find_conflict(IceRole.CONTROLLED, MINE, request((ICE_CONTROLLED, theirs))) is expected


@pytest.mark.parametrize("theirs", [0, MINE, 2**64 - 1])
def test_opposite_roles_never_conflict(theirs):
    assert find_conflict(IceRole.CONTROLLING, MINE, request((ICE_CONTROLLED, theirs))) is Conflict.NONE
    assert find_conflict(IceRole.CONTROLLED, MINE, request((ICE_CONTROLLING, theirs))) is Conflict.NONE


@pytest.mark.parametrize("role", IceRole)
def test_a_request_without_a_role_conflicts_with_nothing(role):
    assert find_conflict(role, MINE, request()) is Conflict.NONE


def test_a_malformed_role_is_a_decode_error():
    data = encode(Method.BINDING, MessageClass.REQUEST, TransactionId(bytes(12)), [(ICE_CONTROLLING, 1)])
    shorter = data[:2] + b"\0\x08" + data[4:22] + b"\0\x04" + data[24:28]
    with pytest.raises(DecodeError):
        find_conflict(IceRole.CONTROLLING, MINE, decode_untrusted(shorter))
