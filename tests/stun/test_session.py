import pytest

from sansice.stun import IntegrityKey, Session


def session(lifetime=100):
    return Session("north", IntegrityKey(b"k" * 20), 1000.0, lifetime, "north 1")


@pytest.mark.req("RFC7635-012")
@pytest.mark.parametrize(("unix", "left"), [(1000.0, 100), (1000.5, 99), (1099.0, 1), (1104.0, 1), (995.0, 95)])
def test_what_a_token_has_left_is_counted_down_from_both_clocks(unix, left):
    assert session().remaining(unix) == left


def test_the_session_key_is_not_shown():
    assert "key" not in repr(session())
