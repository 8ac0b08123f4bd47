"""What an application may answer about a stranger, and the bounds on those who have not been accepted."""

import pytest

from ice._mux import ALICE, PORT
from sansice.ice import Admission, Credentials, ReceptionLimits, UnknownUfrag, recordable
from sansice.ice._reception._admission import read_admission
from sansice.machine import LocalProtocolError
from sansice.stun import PENDING

STRANGER = UnknownUfrag("room", "guest", ALICE, PORT)
PWD, THEIRS = "p" * 22, "q" * 22


def test_an_admission_makes_our_credentials_and_the_strangers_description():
    admission = Admission(PWD, THEIRS)
    assert admission.credentials(STRANGER) == Credentials("room", PWD)
    description = admission.description(STRANGER)
    assert (description.ufrag, description.pwd, description.candidates, description.lite) == ("guest", THEIRS, (), False)


@pytest.mark.parametrize("wrong", [("short",), (PWD, "short"), ("ü" * 22,)])
def test_what_is_no_password_is_refused(wrong):
    with pytest.raises(ValueError, match="ice-pwd"):
        Admission(*wrong)


def test_a_text_is_our_password_and_enough_for_a_lite_agent():
    assert read_admission(PWD, lite=True) == Admission(PWD)
    assert read_admission(Admission(PWD, THEIRS), lite=False) == Admission(PWD, THEIRS)
    with pytest.raises(ValueError, match="remote_pwd"):
        read_admission(PWD, lite=False)
    with pytest.raises(ValueError, match="not int"):
        read_admission(5, lite=True)


def test_no_password_is_in_a_repr():
    assert PWD not in repr(Admission(PWD, THEIRS))
    assert THEIRS not in repr(Admission(PWD, THEIRS))


@pytest.mark.parametrize(
    "wrong", [{"max_arriving": 0}, {"max_waiting": 0}, {"arrival_timeout": 0}, {"accept_timeout": float("inf")}]
)
def test_bounds_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ReceptionLimits(**wrong)


def test_passwords_that_are_answered_are_admissions_in_a_recording():
    answers = {"room": PWD, "hall": Admission(PWD, THEIRS), "later": PENDING}
    admit = recordable(lambda stranger: answers.get(stranger.ufrag))
    said = [admit(UnknownUfrag(ufrag, "guest", ALICE, PORT)) for ufrag in (*answers, "nowhere")]
    assert said == [Admission(PWD), Admission(PWD, THEIRS), PENDING, None]
    assert recordable(None) is None
    with pytest.raises(LocalProtocolError, match="admit: a function"):
        recordable("lobby")
