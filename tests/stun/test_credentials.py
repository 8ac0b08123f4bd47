import json

import pytest

from sansice.stun import AccessToken, IntegrityAlgorithm, LongTermCredentials, ShortTermCredentials


@pytest.mark.req("RFC8489-123")
@pytest.mark.parametrize("kind", [LongTermCredentials, ShortTermCredentials])
def test_names_and_passwords_are_kept_as_they_are_sent_and_passwords_are_not_shown(kind):
    credentials = kind("A\u030a", "a\u00a0b")
    assert (credentials.username, credentials.password) == ("\u00c5", "a b")
    assert "a b" not in repr(credentials)


def test_short_term_credentials_may_know_what_the_other_end_supports():
    assert ShortTermCredentials("user", "pass").algorithm is None
    assert ShortTermCredentials("user", "pass", IntegrityAlgorithm.SHA256).algorithm is IntegrityAlgorithm.SHA256


@pytest.mark.parametrize("kind", [LongTermCredentials, ShortTermCredentials])
@pytest.mark.parametrize("name", ["a" * 508, "\u00e9" * 254])
def test_a_name_of_508_bytes_can_be_sent_and_not_one_more(kind, name):
    assert kind(name, "pass").username == name
    with pytest.raises(ValueError, match="at most 508"):
        kind(name + "a", "pass")


@pytest.mark.parametrize("kind", [LongTermCredentials, ShortTermCredentials])
@pytest.mark.parametrize(("name", "password"), [("", "pass"), ("user", ""), ("user", "pa\0ss"), ("us\uffffer", "pass")])
def test_what_opaque_string_forbids_is_refused(kind, name, password):
    with pytest.raises(ValueError, match=r"empty|not allowed"):
        kind(name, password)


def test_an_access_token_is_read_from_what_the_authorization_server_answers():
    first_party = LongTermCredentials("user", "pass")
    answer = {"access_token": "dG9rZW4=", "token_type": "pop", "expires_in": 1800, "kid": "22BIjxU93h/IgwEb", "key": "a2V5"}
    token = AccessToken.parse(json.dumps(answer), first_party=first_party)
    assert token == AccessToken("22BIjxU93h/IgwEb", b"token", b"key", first_party)
    assert "token=" not in repr(token) and "key" not in repr(token)


@pytest.mark.parametrize("name", ["access_token", "key", "kid"])
def test_an_answer_without_a_token_is_refused_by_the_name_of_what_is_missing(name):
    answer = {"access_token": "dG9rZW4=", "kid": "north", "key": "a2V5"}
    del answer[name]
    with pytest.raises(ValueError, match=name):
        AccessToken.parse(json.dumps(answer))


@pytest.mark.parametrize(("token", "key"), [(b"", b"key"), (b"token", b"")])
def test_a_token_is_not_empty_and_nor_is_its_key(token, key):
    with pytest.raises(ValueError, match="access token needs"):
        AccessToken("north", token, key)
