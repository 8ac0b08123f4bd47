"""What the options come to together, and which do not go together."""

import click
import pytest

from sansice import Address, Transport
from sansice.stun import Listener
from sansice_cli.serve import _settings
from sansice_cli.serve._command import serve
from sansice_cli.serve._settings import FEW_PORTS_FROM, read_settings
from sansice_cli.serve._users import Realms

HERE = ("--listen", "192.0.2.1:3478")
ME = ("--user", "me:pw")


def settings(*arguments, **options):
    """Of a command line."""
    context = serve.make_context("serve", [str(one) for one in arguments])
    return read_settings(context.params, **options)


def test_without_credentials_no_turn_and_it_says_how_to_make_some(invoke):
    code, output, errors = invoke("serve", *HERE)
    assert (code, output) == (2, "")
    assert "--user alice:PASSWORD" in errors
    assert "openssl rand -hex 32" in errors
    assert "sansice credentials --secret FILE" in errors
    assert "--stun-only" in errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--stun-only", "--quota", "5"], "--quota is of no use with --stun-only"),
        (["--stun-only", "--relay-ports", "5000-6000"], "--relay-ports is of no use with --stun-only"),
        (["--stun-only", "--max-lifetime", "1800"], "--max-lifetime is of no use with --stun-only"),
        (["--stun-only", "--anonymous"], "--anonymous is of no use with --stun-only"),
        ([*ME, "--anonymous"], "--anonymous asks nobody, so users are of no use"),
        ([*ME, "--rfc5780", "192.0.2.2:3479"], "--rfc5780 needs --stun-only"),
        ([*ME, "--few-ports", "5", "--relay-ports", "5000-6000"], "exclude each other"),
        ([*ME, "what"], "what is 'what'? Only --control takes words"),
        (["--user", "me:pw", "--user", "me:other"], "--user: 'me' is given twice"),
        ([*ME, "--listen", "tls:192.0.2.1:5349"], "tls:192.0.2.1:5349 needs --tls-cert FILE"),
    ],
)
def test_options_that_do_not_go_together(invoke, arguments, complaint):
    code, output, errors = invoke("serve", *HERE, *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--max-lifetime", "599"], "599 is not in the range 600<=x<="),
        (["--relay-ports", "80-90"], "--relay-ports: 80-90 is not a range of ports from 1024 to 65535"),
        (["--external-address", "10.0.0.7=192.0.2.7"], "--external-address: 10.0.0.7: no relayed address is made there"),
        (["--allow-peer", "10.0.0.1/8"], "--allow-peer: '10.0.0.1/8' is not a network of peers"),
        (["--deny-peer", "nonsense"], "--deny-peer: 'nonsense' is not a network of peers"),
        (["--limit", "quota=5"], "--limit: 'quota=5' is no limit"),
        (["--limit", "burst=0"], "--limit: burst: 0.0 is not a number of seconds above 0"),
        (["--proxy-protocol", "nonsense"], "trusted_proxies: 'nonsense' does not appear to be"),
        (["--realm", "a", "--realm", "b"], "--realm: 'a' and 'b' are both for every listener"),
        (["--realm", "192.0.2.9:1=a"], "--realm 192.0.2.9:1=a: there is no such listener"),
        (["--realm", "192.0.2.1:3478=a", "--realm", "udp:192.0.2.1:3478=b"], "udp:192.0.2.1:3478 is given two, 'a' and 'b'"),
        (["--software", "x" * 128], "128 characters"),
    ],
)
def test_values_that_make_no_sense_are_named(invoke, arguments, complaint):
    code, output, errors = invoke("serve", *HERE, *ME, *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


def test_by_default_it_listens_at_every_address_that_others_reach(monkeypatch):
    monkeypatch.setattr(
        _settings, "host_addresses", lambda: ["127.0.0.1", "192.0.2.1", "::1", "fe80::1%eth0", "2001:db8::1", "169.254.1.1"]
    )
    found = settings(*ME)
    assert [str(one) for one in found.listeners] == [
        "udp:192.0.2.1:3478", "tcp:192.0.2.1:3478", "udp:[2001:db8::1]:3478", "tcp:[2001:db8::1]:3478",
    ]  # fmt: skip
    assert [one.host for one in found.turn.relay_addresses] == ["192.0.2.1", "2001:db8::1"]


def test_a_machine_that_nobody_reaches_has_nowhere_to_listen(monkeypatch):
    monkeypatch.setattr(_settings, "host_addresses", lambda: ["127.0.0.1", "::1"])
    with pytest.raises(click.UsageError, match="nowhere to listen: say --listen ADDRESS:PORT"):
        settings("--stun-only")


def test_inherited_sockets_are_listened_at_without_being_named():
    place = Listener(Transport.TCP, Address("192.0.2.1", 3478))
    assert settings(*ME, inherited=[place]).listeners == (place,)


def test_relayed_addresses_and_bounds_are_those_that_were_asked_for():
    found = settings(
        *HERE, *ME, "--relay-address", "10.0.0.5", "--external-address", "192.0.2.9", "--relay-ports", "5000-5999",
        "--quota", "3", "--total-quota", "30", "--max-bps", "100k", "--total-bps", "1M", "--limit", "channels=7",
        "--tcp-relay", "--mobility", "--wide-channels", "--alternate", "192.0.2.8:3478", "--max-lifetime", "1800",
    )  # fmt: skip
    turn, limits = found.turn, found.limits
    assert [(one.host, one.told) for one in turn.relay_addresses] == [("10.0.0.5", "192.0.2.9")]
    assert (turn.relay_ports, turn.tcp_relay, turn.mobility, turn.wide_channels) == ((5000, 5999), True, True, True)
    assert (turn.alternates, turn.max_lifetime) == ((Address("192.0.2.8", 3478),), 1800)
    assert (limits.allocations_per_user, limits.allocations, limits.channels) == (3, 30, 7)
    assert (limits.bytes_per_second_per_user, limits.bytes_per_second) == (100_000, 1_000_000)


def test_few_ports_are_the_first_of_the_range_and_bound_the_allocations():
    found = settings(*HERE, *ME, "--few-ports", "20")
    assert found.turn.relay_ports == (FEW_PORTS_FROM, FEW_PORTS_FROM + 19)
    assert found.limits.allocations == 20
    assert settings(*HERE, *ME, "--few-ports", "20", "--total-quota", "5").limits.allocations == 5


def test_proxies_are_trusted_where_connections_come_and_nowhere_else():
    found = settings(*HERE, *ME, "--proxy-protocol", "10.0.0.0/8")
    assert [(one.transport, one.trusted_proxies) for one in found.listeners] == [
        (Transport.UDP, ()),
        (Transport.TCP, ("10.0.0.0/8",)),
    ]
    with pytest.raises(click.UsageError, match="with a tcp: or tls: listener only"):
        settings("--listen", "udp:192.0.2.1:3478", *ME, "--proxy-protocol", "10.0.0.0/8")


def test_a_realm_of_one_listener_beside_the_default():
    found = settings(*HERE, *ME, "--realm", "example.org", "--realm", "tcp:192.0.2.1:3478=example.net")
    udp, tcp = found.listeners
    assert found.realms == Realms("example.org", {tcp: "example.net"})
    assert found.realms.names == ("example.org", "example.net")
    assert settings(*HERE, *ME, "--realm", "a=b").realms == Realms("a=b", {})
    assert settings(*HERE, *ME).realms.default == "sansice"
    assert udp not in found.realms.own


def test_how_long_a_drain_may_take():
    assert settings(*HERE, *ME).drain_timeout == 60
    assert settings(*HERE, "--stun-only").drain_timeout == 5
    assert settings(*HERE, "--stun-only", "--drain-grace", "7").stun.drain_grace == 7
    assert settings(*HERE, *ME, "--drain-timeout", "7").drain_timeout == 7


def test_the_control_socket_is_where_systemd_has_a_place_for_it():
    assert settings(*HERE, *ME).control_socket is None
    assert settings(*HERE, *ME, runtime_directory="/run/x").control_socket == "/run/x/control"
    assert settings(*HERE, *ME, "--control-socket", "/y", runtime_directory="/run/x").control_socket == "/y"


def test_no_secret_is_shown():
    found = settings(*HERE, "--user", "me:hidden-password")
    assert "hidden-password" not in repr(found)
    assert "hidden-password" not in repr(found.users.read())


def test_runtime_directory_of_systemd_is_asked(invoke, monkeypatch, tmp_path):
    monkeypatch.setenv("RUNTIME_DIRECTORY", f"{tmp_path}:{tmp_path}/other")
    code, _, errors = invoke("serve", "--control", "list")
    assert (code, errors) == (1, f"{tmp_path}/control: no server has made this socket")


@pytest.mark.parametrize("url", ["http://bob:hunter2@127.0.0.1/", "https://hunter2@users.example.org:8443/x"])
def test_a_password_in_a_url_is_refused_and_not_shown(invoke, url):
    code, output, errors = invoke("serve", *HERE, "--auth-url", url)
    assert (code, output) == (2, "")
    assert "--auth-url: a user and a password in a URL" in errors
    assert "hunter2" not in errors
