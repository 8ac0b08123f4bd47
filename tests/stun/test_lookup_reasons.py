import pytest

from sansice.machine import DropReason
from sansice.stun import FailureCause, TransactionFailed, TransactionTimedOut
from sansice.stun._client._lookup_reasons import describe_failure, describe_silence

ID = bytes(12)


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (TransactionTimedOut(ID), "no answer within 39.5 s"),
        (TransactionTimedOut(ID, True), "it answers, but with wrong integrity: another password, or somebody in between"),
        (TransactionFailed(ID, 420, "Unknown Attribute"), "it answers with the error 420 Unknown Attribute"),
        (TransactionFailed(ID, 500, ""), "it answers with the error 500"),
        (TransactionFailed(ID, 401, ""), "it answers only who has a user name and a password: error 401"),
        (
            TransactionFailed(ID, 300, "Try Alternate"),
            "it sends us to another server, and only one that a password protects is followed (RFC 8489 10): "
            "error 300 Try Alternate",
        ),
        (
            TransactionFailed(ID, 300, "", authenticated=True),
            "it sends us to another server, which leads nowhere new (RFC 8489 10): error 300",
        ),
        (TransactionFailed(ID, None, "", FailureCause.ICMP), "nobody listens there (an ICMP error came back)"),
        (TransactionFailed(ID, None, "connection reset", FailureCause.CLOSED), "connection reset"),
    ],
)
def test_each_end_has_its_words(event, words):
    assert describe_failure(event, {}, 39.5) == words


def test_silence_is_told_from_answers_of_no_use_and_from_no_connection():
    assert describe_silence(False, {}, 10.0) == "no connection within 10 s"
    assert describe_silence(True, {}, 9.749) == "no answer within 9.7 s"
    dropped = {DropReason.BAD_COOKIE: 2, DropReason.UNKNOWN_TRANSACTION: 1}
    words = "it answers, but with nothing that can be used: wrong magic cookie (2 times), answers no request of ours (once)"
    assert describe_silence(True, dropped, 10.0) == words
