import base64
import hashlib
import hmac

import pytest

from sansice.stun import (
    PASSWORD_MD5,
    PASSWORD_SHA256,
    IntegrityKey,
    PasswordFile,
    StaticUsers,
    TimeLimitedSecrets,
    UserKeys,
    long_term_key,
    short_term_key,
    userhash,
)

REALM = "example.org"
MD5 = hashlib.md5(b"user:example.org:pass").hexdigest()
SHA256 = hashlib.sha256(b"user:example.org:pass").hexdigest()
TEXT = b"anything"


def same(key, other):
    """Keys have no value that could be compared: what they sign has."""
    return key.sha256(TEXT) == other.sha256(TEXT)


def test_a_password_makes_the_long_term_keys_of_a_realm_or_the_short_term_key():
    long = UserKeys.of_password("user", "pass", REALM)
    assert long.username == "user"
    assert same(long.md5, IntegrityKey(bytes.fromhex(MD5)))
    assert same(long.sha256, IntegrityKey(bytes.fromhex(SHA256)))
    assert long.short_term is None
    short = UserKeys.of_password("user", "pass")
    assert same(short.short_term, short_term_key("pass"))
    assert (short.md5, short.sha256) == (None, None)


def test_names_are_prepared_like_passwords():
    keys = UserKeys.of_password("A\u030a\u00a0b", "pass", REALM)
    assert keys.username == "\u00c5 b"
    assert same(keys.md5, long_term_key("\u00c5 b", REALM, "pass"))


def test_no_key_is_shown():
    assert repr(UserKeys.of_password("user", "pass", REALM)) == "UserKeys(username='user')"
    assert "pass" not in repr(StaticUsers({"user": "pass"}, REALM))
    assert "north" not in repr(TimeLimitedSecrets("north"))
    assert MD5 not in repr(PasswordFile.parse(f"user:{REALM}:{MD5}", REALM))


# ------------------------------------------------------------------- static users


def test_static_users_are_found_by_name_and_by_hash_in_their_realm():
    users = StaticUsers({"user": "pass", "other": "word"}, REALM)
    found = users("user", REALM, 0.0)
    assert same(found.sha256, IntegrityKey(bytes.fromhex(SHA256)))
    assert users(userhash("user", REALM), REALM, 0.0) is found
    assert users("other", REALM, 0.0) is not found
    assert users("nobody", REALM, 0.0) is None
    assert users(bytes(32), REALM, 0.0) is None
    assert users("user", "example.net", 0.0) is None
    assert users("user", "", 0.0) is None


def test_without_a_realm_static_users_are_of_the_short_term_mechanism():
    users = StaticUsers({"evtj:h6vY": "pass"})
    assert same(users("evtj:h6vY", "", 0.0).short_term, short_term_key("pass"))
    assert users("evtj:h6vY", REALM, 0.0) is None


@pytest.mark.parametrize(("name", "password"), [("", "pass"), ("user", ""), ("us\ter", "pass")])
def test_what_cannot_be_a_name_or_a_password_is_refused(name, password):
    with pytest.raises(ValueError, match=r"OpaqueString|not allowed"):
        StaticUsers({name: password}, REALM)


# ------------------------------------------------------------------- time-limited secrets


def test_a_time_limited_password_is_the_hmac_of_the_name_under_the_secret():
    name, password = TimeLimitedSecrets("north").issue("bob", lifetime=3600, unix=1000.9)
    assert name == "4600:bob"
    assert password == base64.b64encode(hmac.new(b"north", b"4600:bob", "sha1").digest()).decode()


@pytest.mark.parametrize("user", ["bob", "", "bob:2", "J\u00f6rg"])
@pytest.mark.parametrize("separator", [":", "|"])
def test_whoever_was_issued_a_credential_is_known_until_it_expires(user, separator):
    secrets = TimeLimitedSecrets("north", separator=separator)
    name, password = secrets.issue(user, lifetime=60, unix=1000.0)
    (keys,) = secrets(name, REALM, 1059.9)
    assert keys.username == name
    assert same(keys.sha256, long_term_key(name, REALM, password, sha256=True))
    assert same(keys.md5, long_term_key(name, REALM, password))
    (short,) = secrets(name, "", 1059.9)
    assert same(short.short_term, short_term_key(password))
    assert secrets(name, REALM, 1060.0) is None


def test_the_first_of_several_secrets_issues_and_all_are_good():
    old, both = TimeLimitedSecrets("north"), TimeLimitedSecrets("south", "north")
    assert (old.keys_per_user, both.keys_per_user) == (1, 2)
    name, password = old.issue("bob", lifetime=60, unix=0.0)
    new_name, new_password = both.issue("bob", lifetime=60, unix=0.0)
    assert name == new_name
    assert password != new_password
    south, north = both(name, REALM, 0.0)
    assert same(south.md5, long_term_key(name, REALM, new_password))
    assert same(north.md5, long_term_key(name, REALM, password))


@pytest.mark.parametrize(
    "name",
    [
        "bob",
        ":bob",
        "",
        "-1:bob",
        "1e9:bob",
        "\u0661\u0662\u0663\u0664:bob",
        "9" * 16 + ":bob",
        "2000:b\tob",
        bytes(32),
        " 2000:bob",
    ],
)
def test_a_name_without_an_expiry_is_nobodys(name):
    assert TimeLimitedSecrets("north")(name, REALM, 1000.0) is None


@pytest.mark.parametrize(("secrets", "separator"), [((), ":"), (("",), ":"), (("north", ""), ":"), (("north",), "")])
def test_there_is_at_least_one_secret_and_none_is_empty(secrets, separator):
    with pytest.raises(ValueError, match="at least one secret"):
        TimeLimitedSecrets(*secrets, separator=separator)


# ------------------------------------------------------------------- password files


def test_a_password_file_has_passwords_or_keys_a_line():
    users = PasswordFile.parse(
        f"# who may use this server\n\nuser:pass\nlegacy:{REALM}:{MD5}\nboth:{REALM}:{MD5.upper()}:{SHA256}\n", REALM
    )
    assert len(users) == 3
    user, legacy, both = (users(name, REALM, 0.0) for name in ("user", "legacy", "both"))
    key = IntegrityKey(bytes.fromhex(MD5))
    assert same(user.md5, key) and same(legacy.md5, key) and same(both.md5, key)
    assert same(user.sha256, both.sha256)
    assert legacy.sha256 is None
    assert users(userhash("legacy", REALM), REALM, 0.0) is legacy
    assert users("nobody", REALM, 0.0) is None
    assert users("user", "example.net", 0.0) is None


def test_a_password_file_tells_what_a_server_can_offer():
    assert PasswordFile.parse("a:b\nc:d", REALM).algorithms == (PASSWORD_SHA256, PASSWORD_MD5)
    assert PasswordFile.parse(f"a:b\nc:{REALM}:{MD5}", REALM).algorithms == (PASSWORD_MD5,)
    assert PasswordFile.parse("", REALM).algorithms == (PASSWORD_SHA256, PASSWORD_MD5)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("secret", "neither"),
        ("user:", "empty"),
        (":secret", "empty"),
        ("user:secret:with:many:colons", "neither"),
        (f"user:other.org:{MD5}", "the realm is not the server's, 'example.org'"),
        ("user:secret word:colon", "a password cannot have a colon"),
        (f"user:{REALM}:{MD5[1:]}", "32 hexadecimal digits"),
        (f"user:{REALM}:{'z' * 32}", "32 hexadecimal digits"),
        (f"user:{REALM}:{SHA256}", "32 hexadecimal digits"),
        (f"user:{REALM}:{MD5}:{MD5}", "64 hexadecimal digits"),
        ("first:again", "in line 2 already"),
        ("us\x01er:secret", "U\\+0001 at position 2"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_not_shown(line, complaint):
    with pytest.raises(ValueError, match=f"line 4: .*{complaint}") as caught:
        PasswordFile.parse(f"# users\nfirst:secret\n\n{line}\n", REALM)
    assert MD5 not in str(caught.value) and "secret" not in str(caught.value)


def test_a_password_file_needs_a_realm():
    with pytest.raises(ValueError, match="empty"):
        PasswordFile.parse("user:pass", "")


@pytest.mark.parametrize(
    ("username", "account"),
    [
        ("1700000000:bob", "bob"),
        ("1800000000:bob", "bob"),
        ("bob", "bob"),
        ("1700000000", "1700000000"),
        ("x:bob", "x:bob"),
        ("17:", "17:"),
    ],
)
def test_all_names_of_a_user_are_one_account(username, account):
    assert TimeLimitedSecrets("south").account(username) == account


def test_the_account_is_behind_the_separator():
    assert TimeLimitedSecrets("south", separator="-").account("17-bob:x") == "bob:x"
