"""Stand-ins for secrets: of the same length, allowed where the secret was, and telling nothing of it."""

import pytest

from sansice.ice import Credentials
from sansice.simulation._recording._secrets import Secrets, secret_texts, stand_in_bytes
from sansice.simulation._recording._values import from_json, to_json
from sansice.stun import IntegrityKey, LongTermCredentials, UserKeys, long_term_key, short_term_key


def secrets_of(*values):
    secrets = Secrets()
    for value in values:
        secrets.find(to_json(value, strict=True))
    return secrets


def pairs_of(secrets):
    return {old.secret: new.secret for old, new in secrets.pairs}


def test_a_password_becomes_another_of_its_length_that_the_same_class_takes():
    credentials = Credentials("ufrag", "the+old+password+of+an+agent")
    secrets = secrets_of(credentials)
    replaced = from_json(secrets.replaced(to_json(credentials, strict=True)))
    assert replaced == Credentials("ufrag", "scrubbed0xxxxxxxxxxxxxxxxxxx")
    assert list(secret_texts(to_json(replaced, strict=True))) == [replaced.pwd]


def test_a_password_is_replaced_wherever_its_text_is():
    secrets = secrets_of(Credentials("ufrag", "the+old+password+of+an+agent"), LongTermCredentials("me", "abc"))
    assert secrets.replaced("the+old+password+of+an+agent") == "scrubbed0xxxxxxxxxxxxxxxxxxx"
    assert secrets.replaced(["a=ice-pwd:the+old+password+of+an+agent\r\n"]) == ["a=ice-pwd:scrubbed0xxxxxxxxxxxxxxxxxxx\r\n"]
    assert secrets.replaced({"tuple": ["abc", 5, None]}) == {"tuple": ["xx1", 5, None]}
    assert secrets.replaced("abcdef") == "abcdef"  # three letters are in too many words


def test_keys_made_of_a_password_become_keys_made_of_the_other():
    secrets = secrets_of(LongTermCredentials("me", "the old one"))
    new = secrets.replaced("the old one")
    assert pairs_of(secrets) == {b"the old one": new.encode()}
    secrets.add_realm("r")
    assert pairs_of(secrets) == {
        short_term_key("the old one").secret: short_term_key(new).secret,
        long_term_key("me", "r", "the old one").secret: long_term_key("me", "r", new).secret,
        long_term_key("me", "r", "the old one", sha256=True).secret: long_term_key("me", "r", new, sha256=True).secret,
    }
    before = secrets.pairs
    secrets.add_realm("r")
    assert secrets.pairs is before
    secrets.add_realm("\0")  # which no server may have
    assert len(secrets.pairs) == 3


def test_keys_become_others_of_their_length():
    keys = UserKeys("me", md5=IntegrityKey(b"m" * 16), sha256=IntegrityKey(b"s" * 32))
    secrets = secrets_of(keys, keys, IntegrityKey(b""))
    found = pairs_of(secrets)
    assert {old: len(new) for old, new in found.items()} == {b"m" * 16: 16, b"s" * 32: 32}
    replaced = from_json(secrets.replaced(to_json(keys, strict=True)))
    assert replaced.md5.secret == found[b"m" * 16]
    assert secrets.replaced({"secret": {"key": "00ff"}}) == {"secret": {"key": "00ff"}}  # never taken up


def test_bytes_that_are_secret_become_others():
    secrets = Secrets()
    form = {"secret": {"bytes": b"a ticket".hex()}}
    secrets.find(form)
    replaced = secrets.replaced(form)
    assert len(replaced["secret"]["bytes"]) == 16
    assert replaced != form


def test_a_password_that_no_mechanism_allows_still_has_a_stand_in():
    secrets = Secrets()
    secrets.add_text("line\nbreak")
    secrets.add_text("")
    assert pairs_of(secrets) == {b"line\nbreak": b"scrubbed0x"}


@pytest.mark.parametrize("length", [1, 2, 3])
def test_there_are_stand_ins_for_any_number_of_short_passwords(length):
    secrets = Secrets()
    for number in range(200):
        secrets.add_text(chr(0x100 + number) * length)
    assert {len(new) for _, new in secrets._texts.items()} == {length}
    assert len(set(secrets._texts.values())) >= 10


def test_a_stand_in_is_never_the_password_itself():
    secrets = Secrets()
    secrets.add_text("scrubbed0x")
    assert secrets.replaced("scrubbed0x") == "scrubbed1x"


def test_bytes_of_any_length_tell_nothing():
    assert stand_in_bytes("a", 100)[:10] == stand_in_bytes("a", 10)
    assert len(stand_in_bytes("a", 100)) == 100
    assert stand_in_bytes("b", 10) != stand_in_bytes("a", 10)
    assert stand_in_bytes("a", 0) == b""
