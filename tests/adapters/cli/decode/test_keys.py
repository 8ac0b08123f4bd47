import pytest

from sansice.stun import IntegrityKey, long_term_key, short_term_key
from sansice_cli.decode._keys import MAX_PAIRS, Keys


def find(keys, key):
    return keys.find(lambda candidate: candidate.sha1(b"message"), key.sha1(b"message"))


def test_short_term_key_is_found():
    assert find(Keys("secret"), short_term_key("secret")) == "short-term"
    assert find(Keys("secret"), short_term_key("other")) is None


@pytest.mark.parametrize(("sha256", "name"), [(False, "long-term, MD5"), (True, "long-term, SHA-256")])
def test_long_term_keys_are_made_of_what_was_given_or_seen(sha256, name):
    key = long_term_key("user", "realm", "secret", sha256=sha256)
    given, seen, half = Keys("secret", "user", "realm"), Keys("secret"), Keys("secret", "user")
    assert find(given, key) == name
    assert find(seen, key) is None
    seen.saw(None, "realm")
    half.saw(None, "realm")
    assert find(half, key) == name
    seen.saw("someone", None)
    seen.saw("user", None)
    assert find(seen, key) == name


def test_what_was_seen_is_bounded_and_the_oldest_is_forgotten():
    keys = Keys("secret")
    keys.saw("user", "realm")
    for n in range(MAX_PAIRS):
        keys.saw(f"user{n}", None)
    assert find(keys, long_term_key("user", "realm", "secret")) is None
    assert find(keys, long_term_key(f"user{MAX_PAIRS - 1}", "realm", "secret")) == "long-term, MD5"


def test_realm_that_makes_no_key_is_passed_over():
    keys = Keys("secret", "user")
    keys.saw(None, "realm")
    keys.saw(None, "\0\x07")
    assert find(keys, long_term_key("user", "realm", "secret")) == "long-term, MD5"


@pytest.mark.parametrize("arguments", [("",), ("a\x07",), ("secret", "user", "\x07")])
def test_password_that_makes_no_key_is_refused(arguments):
    with pytest.raises(ValueError, match=r"OpaqueString|not allowed"):
        Keys(*arguments)


def test_truncated_digest_counts_as_far_as_it_goes():
    key = short_term_key("secret")
    assert Keys("secret").find(lambda candidate: candidate.sha256(b"x"), key.sha256(b"x")[:16]) == "short-term"
    assert isinstance(key, IntegrityKey)
