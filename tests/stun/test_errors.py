import copy
import pickle

from sansice.stun import LookupStep, StunError


def test_an_error_says_whom_it_is_about_and_why_and_survives_a_copy():
    error = StunError("stun:stun.example", LookupStep.RESOLVE, "no such name")
    assert str(error) == "stun:stun.example: no such name"
    for one in (error, copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (one.uri, one.step, one.reason) == ("stun:stun.example", LookupStep.RESOLVE, "no such name")


def test_a_subclass_survives_a_copy_as_itself():
    class Special(StunError):
        pass

    assert type(copy.copy(Special("stun:a", LookupStep.OPEN, "b"))) is Special
