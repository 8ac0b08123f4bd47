"""``sansice credentials``: what it issues is what servers with the same secret take."""

import base64
import hmac
import json

import pytest

from sansice.stun import TimeLimitedSecrets


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "secret"
    path.write_text("\n  north  \nolder\n")
    return path


def test_a_server_with_the_same_secret_knows_the_user_until_the_time_is_over(invoke, secret):
    code, output, _ = invoke("credentials", "--secret", secret, "--ttl", "1h", "alice", "--json")
    assert code == 0
    told = json.loads(output)
    assert set(told) == {"username", "password", "ttl_s", "expires_unix"}
    assert told["username"] == f"{told['expires_unix']}:alice"
    assert told["ttl_s"] == 3600
    assert told["password"] == base64.b64encode(hmac.digest(b"north", told["username"].encode(), "sha1")).decode()
    users = TimeLimitedSecrets("north")
    assert users(told["username"], "realm", told["expires_unix"] - 1) is not None
    assert users(told["username"], "realm", told["expires_unix"]) is None


def test_people_are_told_in_two_lines(invoke, secret):
    code, output, _ = invoke("credentials", "--secret", secret, "bob")
    assert code == 0
    (_, _, username), (_, password) = (line.split() for line in output.splitlines())
    assert username.endswith(":bob")
    assert len(base64.b64decode(password)) == 20


def test_the_secret_may_come_over_standard_input(invoke):
    code, output, _ = invoke("credentials", "--secret", "-", "carol", "--json", input="north\n")
    assert code == 0
    assert json.loads(output)["username"].endswith(":carol")


@pytest.mark.parametrize(("content", "told"), [(b"\n \n", "there is no secret in it"), (b"\xff\n", "it is not UTF-8")])
def test_a_file_without_a_secret_issues_nothing(invoke, tmp_path, content, told):
    path = tmp_path / "secret"
    path.write_bytes(content)
    code, _, errors = invoke("credentials", "--secret", path, "alice")
    assert code == 1
    assert errors == f"--secret {path}: {told}"


def test_a_file_that_cannot_be_read_issues_nothing(invoke, monkeypatch, secret):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("click.open_file", refuse)
    assert invoke("credentials", "--secret", secret, "alice") == (1, "", f"--secret {secret}: Permission denied")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [(["--ttl", "soon", "alice"], "no duration"), (["--ttl", "0s", "alice"], "no time at all"), (["a\u0007b"], "NAME: ")],
)
def test_what_cannot_be_issued_is_a_usage_error(invoke, secret, arguments, told):
    code, _, errors = invoke("credentials", "--secret", secret, *arguments)
    assert code == 2
    assert told in errors
