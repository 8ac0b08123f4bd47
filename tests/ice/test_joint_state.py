"""What an agent makes of the states of its streams."""

import pytest

from sansice.ice import IceState
from sansice.ice._joint_state import joint_state


@pytest.mark.parametrize(
    ("states", "joint"),
    [
        ("new", "new"),
        ("failed", "failed"),
        ("closed closed", "closed"),
        ("failed failed", "failed"),
        ("new new", "new"),
        ("new checking", "checking"),
        ("new completed", "checking"),
        ("checking completed", "checking"),
        ("connected completed", "connected"),
        ("completed completed", "completed"),
        ("failed completed", "connected"),
        ("failed checking", "checking"),
        ("disconnected completed", "disconnected"),
        ("disconnected checking", "disconnected"),
        ("failed disconnected", "disconnected"),
    ],
)
def test_joint_state_of_streams(states, joint):
    assert joint_state([IceState(one) for one in states.split()]) is IceState(joint)
