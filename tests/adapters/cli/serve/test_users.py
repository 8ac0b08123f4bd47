"""Who may ask: named, filed, issued by a secret, or known elsewhere."""

import pytest

from sansice import Address, Transport
from sansice.stun import PENDING, Listener, TimeLimitedSecrets, UserKeys, long_term_key, parse_listeners
from sansice_cli.serve._users import Material, Realms, Users, authentication

KEY = long_term_key("filed", "example.org", "pw").secret.hex()


def found(mechanism, name, unix=0.0):
    return mechanism.lookup_key(name, mechanism.realm, unix)


def has_password(keys, password, realm):
    """Whether these are the keys that a password makes."""
    wanted = UserKeys.of_password(keys.username, password, realm)
    return (keys.md5.secret, keys.sha256.secret) == (wanted.md5.secret, wanted.sha256.secret)


def test_users_of_every_source_are_found_and_the_first_that_knows_one_counts(tmp_path):
    first, second, secret = tmp_path / "first", tmp_path / "second", tmp_path / "secret"
    first.write_text("one:a\ngiven:other\n")
    second.write_text(f"# people\n\nfiled:example.org:{KEY}\n")
    secret.write_text("hidden\n")
    users = Users(given={"given": "pw"}, files=[str(first), str(second)], secret_files=[str(secret)])
    made = authentication(users.read(), "example.org", elsewhere=lambda *who: PENDING)
    assert has_password(found(made, "given"), "pw", "example.org")
    assert has_password(found(made, "one"), "a", "example.org")
    assert found(made, "filed").md5.secret.hex() == KEY
    name, _ = TimeLimitedSecrets("hidden").issue("x", lifetime=10, unix=0)
    assert len(found(made, name)) == 1
    assert found(made, "nobody") is PENDING
    assert not made.settings["userhash"]
    assert authentication(Material(given={"a": "b"}), "example.org").settings["userhash"]


def test_only_algorithms_that_all_users_have_a_key_for_are_offered(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"filed:example.org:{KEY}\n")
    made = authentication(Users(files=[str(path)]).read(), "example.org")
    assert len(made.settings["algorithms"]) == 1


def test_keys_of_one_realm_are_no_business_of_another(tmp_path):
    path = tmp_path / "users"
    path.write_text(f"filed:example.org:{KEY}\nboth:pw\n")
    material = Users(files=[str(path)]).read()
    names = ("example.org", "example.net")
    org, net = (authentication(material, name, others=names) for name in names)
    assert found(org, "filed")
    assert found(net, "filed") is None
    assert has_password(found(net, "both"), "pw", "example.net")
    with pytest.raises(ValueError, match="users: line 1: the realm is not the server's"):
        authentication(material, "example.net")


def test_what_is_read_outlives_the_files(tmp_path):
    path = tmp_path / "users"
    path.write_text("one:a\n")
    material = Users(files=[str(path)]).read()
    path.unlink()
    assert found(authentication(material, "x"), "one")
    with pytest.raises(ValueError, match="No such file"):
        Users(files=[str(path)]).read()


def test_who_is_named_anywhere():
    assert not Users().are_named
    assert not Material().names_anybody
    for one in (Users(given={"a": "b"}), Users(files=["x"]), Users(secret_files=["x"]), Users(url="x"), Users(command=["x"])):
        assert one.are_named
    assert [Users(given={"a": "b"}).are_elsewhere, Users(url="x").are_elsewhere] == [False, True]


def test_a_nonce_key_is_made_of_whatever_is_in_its_file_and_shared_by_those_who_have_it(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(b"0123456789abcdef\n")
    one = Users(nonce_key=str(path)).read().nonce_key
    assert len(one) == 32
    path.write_bytes(b"0123456789abcdef")
    assert Users(nonce_key=str(path)).read().nonce_key == one
    first, second = (authentication(Material(given={"a": "b"}, nonce_key=one), "x") for _ in range(2))
    assert [key.secret for key in first.settings["nonce_keys"]] == [key.secret for key in second.settings["nonce_keys"]] == [one]
    assert authentication(Material(given={"a": "b"}), "x").settings["nonce_keys"] == ()


@pytest.mark.parametrize("content", [b"", b"too short", None])
def test_a_nonce_key_that_can_be_guessed_is_refused(tmp_path, content):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match="openssl rand -hex 32" if content is not None else "No such file"):
        Users(nonce_key=str(path)).read()


def test_realms_of_listeners_written_as_they_are_listened_at():
    both = parse_listeners(["192.0.2.1:3478", "tls:[2001:db8::1]:5349"])
    found = Realms.parse(["192.0.2.1:3478=a", "tls:[2001:db8::1]:5349=b"], both)
    assert [found.own.get(one) for one in both] == ["a", "a", "b"]
    assert found.names == ("sansice", "a", "b")
    shared = Listener(Transport.UDP, Address("192.0.2.1", 3478), reuse_port=True)
    assert Realms.parse(["udp:192.0.2.1:3478=a"], [shared]).own == {shared: "a"}
