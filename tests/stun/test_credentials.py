import pytest

from sansice.stun import IntegrityAlgorithm, LongTermCredentials, ShortTermCredentials


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
