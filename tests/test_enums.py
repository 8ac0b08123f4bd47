"""Members are keys like those of any enumeration, only faster."""

import copy
import pickle

from sansice._enums import IdentityEnum


class Colour(IdentityEnum):
    RED = "red"
    BLUE = "blue"


def test_members_are_keys() -> None:
    table = {Colour.RED: 1, Colour.BLUE: 2}
    assert table[Colour("red")] == 1
    assert table[copy.deepcopy(Colour.BLUE)] == 2


def test_hash_is_that_of_the_identity_and_no_python_code() -> None:
    assert Colour.__hash__ is object.__hash__


def test_members_survive_pickling() -> None:
    assert pickle.loads(pickle.dumps(Colour.RED)) is Colour.RED
