"""Users that somebody else knows, at exact times and within bounds."""

import re

import pytest

from sansice.stun import PENDING, UserKeys
from sansice_cli.serve import _lookups
from sansice_cli.serve._lookups import MAX_LIFETIME, UNKNOWN_LIFETIME, Answer, Lookups, read_answer

REALM = "example.org"
ALICE = ("alice", REALM)
KEYS = UserKeys.of_password("alice", "pw", REALM)


@pytest.fixture
def provided():
    return []


@pytest.fixture
def lookups(provided):
    return Lookups(60.0, lambda id, keys: provided.append((id, keys)))


def test_who_is_not_known_is_asked_about_once_and_all_who_waited_are_told(lookups, provided):
    assert lookups("alice", REALM, 0.0) is PENDING
    assert lookups.want(1, *ALICE) == ALICE
    assert lookups.want(2, *ALICE) is None
    assert lookups.want(3, "bob", REALM) == ("bob", REALM)
    lookups.answered(ALICE, Answer(KEYS), 0.0)
    assert provided == [(1, KEYS), (2, KEYS)]
    assert lookups.want(4, *ALICE) == ALICE


def test_an_answer_is_good_for_as_long_as_it_says_or_as_is_usual(lookups):
    lookups.answered(ALICE, Answer(KEYS), 100.0)
    assert lookups("alice", REALM, 159.9) is KEYS
    assert lookups("alice", REALM, 160.0) is PENDING
    lookups.answered(ALICE, Answer(KEYS, 5.0), 200.0)
    assert lookups("alice", REALM, 204.9) is KEYS
    assert lookups("alice", REALM, 205.0) is PENDING
    assert lookups("alice", "other", 204.0) is PENDING


def test_that_nobody_has_a_name_is_soon_forgotten(lookups):
    lookups.answered(ALICE, Answer(None), 100.0)
    assert lookups("alice", REALM, 100.0 + UNKNOWN_LIFETIME - 0.1) is None
    assert lookups("alice", REALM, 100.0 + UNKNOWN_LIFETIME) is PENDING
    lookups.answered(ALICE, Answer(None), 200.0)
    lookups.answered(ALICE, Answer(KEYS), 201.0)
    assert lookups("alice", REALM, 201.0) is KEYS


def test_nothing_is_kept_where_nothing_is_to_be_kept(provided):
    lookups = Lookups(0.0, lambda id, keys: provided.append(keys))
    lookups.want(1, *ALICE)
    lookups.answered(ALICE, Answer(KEYS), 100.0)
    assert provided == [KEYS]
    assert lookups("alice", REALM, 100.0) is PENDING


def test_a_failure_says_nothing_about_the_user_and_is_no_answer(lookups, provided):
    lookups.want(1, *ALICE)
    lookups.failed(ALICE)
    assert (provided, lookups.failures) == ([], 1)
    assert lookups("alice", REALM, 0.0) is PENDING
    assert lookups.want(2, *ALICE) == ALICE


def test_names_that_nobody_has_cannot_push_out_those_that_somebody_has(lookups, monkeypatch):
    monkeypatch.setattr(_lookups, "MAX_KNOWN", 2)
    monkeypatch.setattr(_lookups, "MAX_UNKNOWN", 3)
    lookups.answered(ALICE, Answer(KEYS), 0.0)
    for number in range(10):
        lookups.answered((f"made up {number}", REALM), Answer(None), 0.0)
    assert lookups("alice", REALM, 1.0) is KEYS
    assert lookups("made up 9", REALM, 1.0) is None
    assert lookups("made up 6", REALM, 1.0) is PENDING
    for name in ("bob", "carol"):
        lookups.answered((name, REALM), Answer(KEYS), 0.0)
    assert lookups("alice", REALM, 1.0) is PENDING


def test_questions_are_bounded_and_those_over_it_are_counted(lookups, monkeypatch):
    monkeypatch.setattr(_lookups, "MAX_ASKED", 2)
    assert [lookups.want(number, f"user {number}", REALM) for number in range(3)][2] is None
    assert lookups.refused == 1


def test_a_hash_of_a_name_is_nobody_at_once(lookups, provided):
    assert lookups(bytes(32), REALM, 0.0) is None
    assert lookups.want(1, bytes(32), REALM) is None
    assert provided == [(1, None)]


def test_after_a_reload_everybody_is_asked_about_anew(lookups):
    lookups.answered(ALICE, Answer(KEYS), 0.0)
    lookups.answered(("bob", REALM), Answer(None), 0.0)
    lookups.forget()
    assert lookups("alice", REALM, 0.0) is PENDING
    assert lookups("bob", REALM, 0.0) is PENDING


def test_answers_are_passwords_or_keys():
    md5, sha256 = KEYS.md5.secret.hex(), KEYS.sha256.secret.hex()
    for content, lifetime in (
        ({"password": "pw"}, None),
        ({"password": "pw", "ttl": 7}, 7),
        ({"md5": md5, "sha256": sha256}, None),
    ):
        answer = read_answer("alice", REALM, content)
        assert (answer.keys.md5.secret, answer.keys.sha256.secret) == (KEYS.md5.secret, KEYS.sha256.secret)
        assert (answer.keys.username, answer.lifetime) == ("alice", lifetime)
    assert read_answer("alice", REALM, {"md5": md5}).keys.sha256 is None


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ([], "no JSON object"),
        ({}, "neither password nor md5 nor sha256"),
        ({"password": 5}, "neither password"),
        ({"password": "a\x07b"}, "U+0007"),
        ({"md5": "abcd"}, "md5 is not 32 hexadecimal digits"),
        ({"md5": "x" * 32}, "md5 is not 32 hexadecimal digits"),
        ({"sha256": 5}, "sha256 is not 64 hexadecimal digits"),
        ({"password": "secret", "ttl": -1}, "ttl is not a number of seconds"),
        ({"password": "secret", "ttl": MAX_LIFETIME + 1}, "ttl is not a number of seconds"),
        ({"password": "secret", "ttl": "long"}, "ttl is not a number of seconds"),
    ],
)
def test_answers_that_make_no_sense_are_told_without_what_is_in_them(content, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        read_answer("alice", REALM, content)
    assert "secret" not in str(caught.value)
