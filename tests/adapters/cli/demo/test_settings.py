"""What both ends are told."""

import io

import click
import pytest

from sansice.ice import IceServer
from sansice_cli.demo._settings import Settings, read_settings


def test_settings_survive_the_way_to_the_other_process():
    settings = Settings((IceServer("turn:192.0.2.9", "alice", "secret"), IceServer("stun:192.0.2.9")), relay=True)
    assert Settings.from_line(settings.to_line()) == settings
    assert Settings.from_line(Settings(lite=True).to_line()) == Settings(lite=True)


@pytest.mark.parametrize("line", [b"", b"[]", b"{}", b'{"servers": [1]}', b'{"servers": [], "what": 1}', b"\xff"])
def test_anything_else_is_refused(line):
    with pytest.raises(ValueError, match="no settings"):
        Settings.from_line(line)


def test_only_the_other_end_is_lite_and_it_asks_no_servers():
    settings = Settings((IceServer("stun:192.0.2.9"),), lite=True)
    of_a, of_b = settings.arguments(of_b=False), settings.arguments(of_b=True)
    assert (of_a["controlling"], of_a["lite"], of_a["ice_servers"]) == (True, False, settings.servers)
    assert (of_b["controlling"], of_b["lite"], of_b["ice_servers"]) == (False, True, ())
    assert Settings(relay=True).arguments(of_b=True)["policy"] == "relay"


def test_relays_are_told_who_asks_and_others_are_not():
    settings = read_settings(["stun:a.example", "turn:b.example"], "alice", io.StringIO("secret\n"), relay=False, lite=False)
    assert settings.servers == (IceServer("stun:a.example"), IceServer("turn:b.example", "alice", "secret"))
    assert settings.has_relay
    assert not read_settings(["stun:a.example"], None, None, relay=True, lite=False).has_relay


@pytest.mark.parametrize(
    ("urls", "user", "relay", "lite"),
    [
        (["http://a.example"], None, False, False),
        ([], "alice", False, False),
        ([], None, True, True),
    ],
)
def test_wrong_settings_are_usage_errors(urls, user, relay, lite):
    with pytest.raises(click.UsageError):
        read_settings(urls, user, None, relay=relay, lite=lite)
