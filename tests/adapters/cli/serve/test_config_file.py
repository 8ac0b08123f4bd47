"""The configuration file: the names of the options, and every mistake with its place."""

import json
import re

import click
import pytest

from sansice import Address
from sansice_cli.serve._command import serve
from sansice_cli.serve._config_file import read_config
from sansice_cli.serve._options import NOT_IN_FILES


@pytest.fixture
def read(tmp_path):
    """What a file says: ``read("quota = 5")``; its path is ``read.path``."""

    def reading(text):
        reading.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_config(str(reading.path), serve, click.Context(serve))

    reading.path = tmp_path / "turn.toml"
    return reading


def test_values_are_what_the_command_line_would_make_of_them(read):
    found = read("""
        listen = ["udp:192.0.2.1:3478", "tls:192.0.2.1:5349"]
        realm = "example.org"
        quota = 5
        max-bps = "1.5M"
        tcp-relay = true
        relay-ports = "50000-50099"
        metrics = "127.0.0.1:9100"
        external-address = ["10.0.0.5=192.0.2.1"]
        rate = 50
        "stun-only" = false
    """)
    assert found == {
        "listen": ("udp:192.0.2.1:3478", "tls:192.0.2.1:5349"),
        "realm": ("example.org",),
        "quota": 5,
        "max_bps": 1_500_000,
        "tcp_relay": True,
        "relay_ports": (50000, 50099),
        "metrics": Address("127.0.0.1", 9100),
        "external_address": (("10.0.0.5", "192.0.2.1"),),
        "rate": 50.0,
        "stun_only": False,
    }


def test_every_option_of_the_server_has_its_key(read):
    names = [one for one in serve.params if one.name not in NOT_IN_FILES]
    for one in names:
        for text in one.opts:
            with pytest.raises(ValueError, match=r"line 1: .* is not a table"):
                read(f"[{text.removeprefix('--')}]\nx = 1\n")


def test_both_names_of_an_option_are_keys(read):
    assert read('users = "a"') == read('users-file = "a"') == {"users": ("a",)}
    assert read("drain-timeout = 3") == read("drain-grace = 3") == {"drain_timeout": 3.0}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("\n\nquotas = 5", "line 3: no option is called 'quotas'; is it 'quota'?"),
        ("xyzzy = 5", "line 1: no option is called 'xyzzy'"),
        ("check = true", "line 1: no option is called 'check'"),
        ('config = "x"', "no option is called 'config'"),
        ("relay_ports = 5", "no option is called 'relay_ports'; is it 'relay-ports'?"),
        ('# quota = 1\n"quota" = "many"', "line 2: quota: 'many' is not a valid integer"),
        ("quota = 0", "line 1: quota: 0 is not in the range x>=1"),
        ("quota = [5, 6]", "line 1: quota has one value, not a list of them"),
        ("tcp-relay = 1", "line 1: tcp-relay is true or false"),
        ('relay-ports = "5"', "line 1: relay-ports: '5' is not a range of ports"),
        ("quota = 5\nquota = 6", "Cannot overwrite a value"),
        ("quota = x", "Invalid value (at line 1, column 9)"),
        ("[quota]\nx = 5", "line 1: quota is not a table"),
        (b"\xff", "it is not UTF-8"),
    ],
)
def test_mistakes_are_told_with_their_place(read, text, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)) as caught:
        read(text)
    assert str(caught.value).startswith(str(read.path))


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere\.toml: No such file"):
        read_config(str(tmp_path / "nowhere.toml"), serve, click.Context(serve))


def test_the_command_line_counts_more_than_the_file(invoke, tmp_path):
    path = tmp_path / "turn.toml"
    path.write_text('listen = "udp:127.0.0.1:3478"\nuser = ["a:b"]\nquota = 5\ntotal-quota = 50\n')
    code, output, _ = invoke("serve", "--config", path, "--quota", "7", "--check", "--json")
    assert code == 0
    assert json.loads(output)["facts"]["Bounds"][0] == "50 allocations, 7 of a user"


def test_a_mistake_in_the_file_is_one_of_usage(invoke, tmp_path):
    path = tmp_path / "turn.toml"
    path.write_text("quotas = 5\n")
    code, output, errors = invoke("serve", "--config", path)
    assert (code, output) == (2, "")
    assert f"{path}, line 1: no option is called 'quotas'" in errors


def test_a_file_that_is_nested_without_end_is_a_mistake_like_others(read):
    with pytest.raises(ValueError, match=r"turn\.toml: it is nested too deeply"):
        read("users = " + "[" * 100_000)
