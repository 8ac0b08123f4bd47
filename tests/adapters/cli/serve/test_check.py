"""What `--check` says would be open to whom, and what it finds risky."""

import json

import pytest

from sansice_cli.serve import _check
from sansice_cli.serve._check import look
from sansice_cli.serve._command import serve
from sansice_cli.serve._settings import read_settings

HERE = ("--listen", "1.1.1.1:3478")


@pytest.fixture
def users(tmp_path):
    path = tmp_path / "users"
    path.write_text("me:pw\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def found(users):
    """What is found of a command line that is sound apart from ``arguments``."""

    def looked(*arguments, sound=("--users", users, *HERE)):
        context = serve.make_context("serve", [str(one) for one in (*sound, *arguments)])
        return look(read_settings(context.params))

    return looked


def test_a_sound_server_has_facts_and_no_risks(found, users):
    finding = found("--realm", "example.org")
    assert (finding.risks, finding.errors) == ([], [])
    assert finding.facts["Listening"] == [f"{one}:1.1.1.1:3478: anybody on the Internet" for one in ("udp", "tcp")]
    assert finding.facts["Users"] == [f"{users}: NAME:PASSWORD, one a line", "realm example.org"]
    assert finding.facts["Relayed addresses"] == [
        "1.1.1.1, ports 49152-65535",
        "publish them all, as in: docker run -p 49152-65535:49152-65535/udp",
    ]
    assert finding.facts["Peers"][0] == "the public Internet"
    assert finding.facts["Bounds"][0] == "10000 allocations, 500 of a user"


def test_who_reaches_a_listener(found):
    places = ["--listen", "udp:127.0.0.1:1", "--listen", "tcp:10.0.0.1:1", "--listen", "udp:[fe80::1%lo]:1"]
    finding = found(*places, "--proxy-protocol", "10.9.0.0/16")
    assert finding.facts["Listening"][2:] == [
        "udp:127.0.0.1:1: programs of this machine",
        "tcp:10.0.0.1:1: whoever reaches this network, or is let in by its NAT; connections from 10.9.0.0/16 say whose they are",
        "udp:[fe80::1%lo]:1: whoever reaches this network, or is let in by its NAT",
    ]


@pytest.mark.parametrize(
    ("arguments", "risk"),
    [
        (["--user", "a:b"], "passwords on a command line can be seen by everybody on this machine"),
        (["--auth-url", "http://users.example.org/"], "sends passwords without encryption: use https"),
        (["--metrics", "1.1.1.1:9100"], "--metrics 1.1.1.1:9100 asks nobody for a password"),
        (["--health", "1.1.1.1:9100"], "--health 1.1.1.1:9100 asks nobody for a password"),
        (["--allow-peer", "127.0.0.0/8"], "--allow-peer lets users reach this machine itself (loopback)"),
        (["--allow-peer", "169.254.0.0/16"], "lets users reach the metadata service of clouds, which hands out their keys"),
        (["--allow-peer", "10.0.0.0/8"], "lets users reach private networks"),
        (["--allow-peer", "10.0.0.0/8", "--tcp-relay"], "with --tcp-relay they may open TCP connections there"),
        (["--proxy-protocol", "0.0.0.0/0"], "--proxy-protocol trusts everybody to say who he is, at tcp:1.1.1.1:3478"),
        (
            ["--relay-address", "10.0.0.5"],
            "peers on the Internet cannot reach 10.0.0.5: behind a NAT say --external-address PUBLIC",
        ),
        (["--external-address", "10.0.0.5"], "peers on the Internet cannot reach 10.0.0.5: --external-address says so"),
        (["--relay-ports", "5000-5099"], "100 ports for 10000 allocations: later ones are refused with 508"),
        (["--relay-ports", "5000-5009", "--workers", "4"], "10 ports are few for 4 workers, who divide them"),
    ],
)
def test_risks_are_told(found, arguments, risk):
    assert any(risk in one for one in found(*arguments).risks), found(*arguments).risks


@pytest.mark.parametrize(
    "arguments",
    [
        ["--auth-url", "http://127.0.0.1:8080/users"],
        ["--auth-url", "https://users.example.org/"],
        ["--metrics", "127.0.0.1:9100"],
        ["--allow-peer", "8.8.8.0/24"],
        ["--allow-peer", "0.0.0.0/0"],
        ["--relay-address", "10.0.0.5", "--external-address", "1.1.1.2"],
        ["--few-ports", "100"],
    ],
)
def test_what_is_no_risk_is_not_told(found, arguments):
    assert found(*arguments).risks == []


def test_everybody_may_use_an_anonymous_relay(found):
    finding = found("--anonymous", sound=HERE)
    assert finding.facts["Users"] == ["nobody is asked: anybody may use it"]
    assert finding.risks == ["anybody may relay through this server, at your cost and in your name: name users"]
    assert found("--stun-only", sound=HERE).risks == []


def test_files_that_everybody_may_read_are_told(found, users):
    users.chmod(0o644)
    assert found().risks == [f"{users} can be read by everybody on this machine: chmod 600 {users}"]


def test_too_few_descriptors_are_told(found, monkeypatch):
    monkeypatch.setattr(_check, "descriptor_limit", lambda: 1000)
    assert "1000 file descriptors a process, and 10064 wanted" in found().risks[0]
    assert "5064 wanted" in found("--workers", "2").risks[0]


def test_users_of_every_kind_and_their_realms(found, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("x\n")
    secret.chmod(0o600)
    sources = ["--secret", secret, "--user", "a:b", "--auth-url", "https://x/", "--auth-command", "look up", "--realm", "r"]
    lines = found(*sources, "--realm", "udp:1.1.1.1:3478=s", sound=HERE).facts["Users"]
    assert lines == [
        "on the command line: a",
        f"{secret}: whoever has credentials that this secret issued, until they expire",
        "https://x/: whoever it knows",
        "look up: whoever it knows",
        "realm r, s",
    ]


def test_what_workers_share_and_what_peers_are_ruled(found):
    finding = found("--workers", "2", "--tcp-relay", "--relay-ports", "50000-50099", "--max-bps", "5k", "--allow-peer", "8.8.8.8",
                    "--deny-peer", "9.9.9.9")  # fmt: skip
    assert "shared by 2 workers: 50000-50049, 50050-50099" in finding.facts["Relayed addresses"]
    assert "peers over UDP and TCP (RFC 6062)" in finding.facts["Relayed addresses"]
    assert finding.facts["Peers"][-2:] == ["also: 8.8.8.8/32 (--allow-peer)", "not: 9.9.9.9/32 (--deny-peer)"]
    bounds = finding.facts["Bounds"]
    assert [*bounds[2:4], bounds[-1]] == [
        "all users: any rate",
        "a user: 5000 bytes a second",
        "totals are divided by 2 workers; what a user may have, he may have in each",
    ]


def test_bounds_are_those_that_are_set_and_the_way_to_all_of_them(found):
    bounds = found().facts["Bounds"]
    assert bounds[:2] == [
        "10000 allocations, 500 of a user",
        "an allocation lives 3600 seconds from one refresh to the next, at most",
    ]
    assert bounds[4].startswith("others as they are by default; all that --limit NAME=VALUE takes: allocations, ")
    assert bounds[5:] == ["those of a server that runs: sansice serve --control limits"]
    limits = ["--limit", "channels=7", "--limit", "burst=2", "--quota", "3", "--max-lifetime", "1800"]
    changed = found(*limits).facts["Bounds"]
    assert changed[:2] == [
        "10000 allocations, 3 of a user",
        "an allocation lives 1800 seconds from one refresh to the next, at most",
    ]
    assert changed[4:-2] == ["channels: 7", "burst: 2.0"]


def test_too_few_ports_for_the_workers_are_an_error(found):
    assert found("--workers", "8", "--relay-ports", "50000-50009").errors == [
        "10 relay ports for 8 workers: each needs two at least"
    ]


def test_mistakes_are_errors_and_the_exit_code_says_so(invoke, users, tmp_path):
    users.write_text("nonsense\n")
    (tmp_path / "cert").write_text("nonsense")
    arguments = [*HERE, "--users", users, "--listen", "tls:1.1.1.1:5349", "--tls-cert", tmp_path / "cert", "--tls-key", "/gone"]
    code, output, _ = invoke("serve", *arguments, "--check")
    assert code == 1
    assert f"error: {users}: line 1: " in output
    assert "error: cannot use the certificate" in output
    code, output, _ = invoke("serve", *arguments, "--check", "--json")
    assert code == 1
    found = json.loads(output)
    assert (found["ok"], len(found["errors"])) == (False, 2)


def test_a_sound_server_is_told_to_a_person(invoke, users):
    code, output, _ = invoke("serve", *HERE, "--users", users, "--check")
    assert code == 0
    assert output.startswith("Listening:\n  udp:1.1.1.1:3478: anybody on the Internet\n")
    assert "risk" not in output
