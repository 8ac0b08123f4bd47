import itertools
import json
import os
import re
import signal
import socket
import time
import urllib.error
import urllib.request

import pytest

from sansice.stun import TimeLimitedSecrets

LOCAL = "127.0.0.1:0"


def test_first_line_says_where_it_listens_and_it_answers_there(serving, invoke):
    with serving("--listen", LOCAL, "--listen", "tcp:[::1]:0") as server:
        assert server.ready["ready"] is True
        assert [one.rpartition(":")[0] for one in server.ready["listening"]] == ["udp:127.0.0.1", "tcp:127.0.0.1", "tcp:[::1]"]
        assert all(int(one.rpartition(":")[2]) for one in server.ready["listening"])
        assert invoke("stun", f"stun:127.0.0.1:{server.port('udp')}")[0] == 0
        assert server.stop()[:2] == (0, "")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--listen", LOCAL], "nobody is named who may use it"),
        (["--stun-only", "--listen", "localhost:3478"], "cannot listen at 'localhost:3478'"),
        (["--stun-only", "--listen", "0.0.0.0:3478"], "name each address to listen at"),
        (["--stun-only", "--listen", "sctp:127.0.0.1:1"], "'sctp' is no transport: udp, tcp, tls or dtls"),
        (
            ["--stun-only", "--listen", "127.0.0.1:7", "--listen", "udp:127.0.0.1:7"],
            "the same transport and address twice: udp:127.0.0.1:7",
        ),
        (["--stun-only", "--listen", "127.0.0.1:7", *("--rfc5780", "127.0.0.2:8") * 2], "--rfc5780 is given twice for IPv4"),
        (["--stun-only", "--listen", LOCAL, "--user", "me:x", "--user", "me:y"], "--user: 'me' is given twice"),
        (["--stun-only", "--listen", "tls:" + LOCAL], "tls:127.0.0.1:0 needs --tls-cert FILE"),
        (["--stun-only", "--listen", LOCAL, "--tls-key", "x"], "--tls-key needs --tls-cert"),
        (["--stun-only", "--listen", LOCAL, "--tls-cert", "x"], "of use with a tls: or dtls: listener only"),
        (["--stun-only", "--listen", LOCAL, "--user", "name"], "--user is NAME:PASSWORD"),
        (["--stun-only", "--listen", LOCAL, "--metrics", "here"], "is not ADDRESS:PORT"),
        (["--stun-only", "--listen", LOCAL, "--software", "x" * 128], "128 characters"),
        (["--stun-only", "--listen", "tcp:" + LOCAL, "--rfc5780", "127.0.0.2:1"], "UDP listener of IPv4, and there are 0"),
        (["--stun-only", "--listen", LOCAL, "--rfc5780", "[::1]:1"], "UDP listener of IPv6, and there are 0"),
        (["--stun-only", "--listen", LOCAL, "--rfc5780", "127.0.0.2:1"], "must both differ from 127.0.0.1:0, and no port be 0"),
        (["--stun-only", "--listen", "127.0.0.1:7", "--rfc5780", "127.0.0.2:7"], "must both differ"),
    ],
)
def test_wrong_usage_is_2_and_explained(invoke, arguments, complaint):
    code, output, errors = invoke("serve", *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


def test_listener_that_cannot_be_opened_is_named_and_nothing_is_left_half_started(invoke):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, output, errors = invoke("serve", "--stun-only", "--listen", f"tcp:{LOCAL}", "--listen", f"udp:{place}")
    assert (code, output) == (1, "")
    assert f"cannot listen at udp:{place}: " in errors
    code, _, errors = invoke("serve", "--stun-only", "--listen", "192.0.2.77:3478")
    assert (code, errors.count("192.0.2.77:3478")) == (1, 2)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--users-file", "/does/not/exist"], "/does/not/exist: No such file"),
        (["--users-file", "users"], "users: line 1: "),
        (["--users-file", "binary"], "binary: it is not UTF-8"),
        (["--secret", "empty"], "empty: there is no secret in it"),
        (["--user", "a:b\x07"], "--user: U+0007 at position 1 is not allowed"),
        (["--user", "a:b", "--realm", "x" * 128], "--realm: 128 characters"),
        (["--user", "a:b", "--realm", ""], "--realm: "),
        (["--users-file", "empty", "--realm", "x" * 128], "--realm: 128 characters"),
        (["--listen", "tls:" + LOCAL, "--tls-cert", "users"], "cannot use the certificate users: "),
    ],
)
def test_file_that_cannot_be_used_is_named(invoke, tmp_path, monkeypatch, arguments, complaint):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "users").write_text("nonsense\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    (tmp_path / "empty").write_text("\n")
    code, output, errors = invoke("serve", "--stun-only", "--listen", LOCAL, *arguments)
    assert (code, output) == (1, "")
    assert complaint in errors


def test_interrupt_ends_it_at_once_with_130(serving):
    with serving("--listen", LOCAL) as server:
        code, _, errors = server.stop(signal.SIGINT)
        assert code == 130
        assert errors.endswith("Interrupted.\n")


def test_termination_drains_and_closes_what_nothing_is_owed_to(serving):
    with serving("--listen", LOCAL, "--log-format", "json") as server, socket.socket() as client:
        client.settimeout(60)
        client.connect(("127.0.0.1", server.port("tcp")))
        code, _, errors = server.stop()
        assert code == 0
        assert client.recv(100) == b""
    assert [json.loads(line)["message"] for line in errors.splitlines()] == ["ready", "draining", "ended"]


def test_logs_are_lines_of_text_or_json_with_the_time_in_utc(serving):
    with serving("--listen", LOCAL) as server:
        _, _, errors = server.stop()
    first, *_, last = errors.splitlines()
    assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info ready ready=true listening=\["udp:.*"\]', first)
    assert last.endswith("info ended requests=0 responses=0 dropped=0")
    with serving("--listen", LOCAL, "--log-format", "auto") as server:  # which is no terminal
        line = json.loads(server.line())
        assert {key: line[key] for key in ("level", "message", "listening")} == {
            "level": "info", "message": "ready", "listening": server.ready["listening"],
        }  # fmt: skip


def asked(invoke, server, user, password):
    """The exit code of a question with these credentials."""
    uri = f"stun:127.0.0.1:{server.port('udp')}"
    return invoke("stun", uri, "--timeout", "5", *(("--user", user, "--password", password) if user else ()))[0]


def test_named_users_and_only_they_may_ask(serving, invoke, tmp_path):
    path = tmp_path / "users"
    path.write_text("# people\nfiled:two\n")
    with serving("--listen", LOCAL, "--user", "given:one", "--users-file", path, "--realm", "example.org") as server:
        assert asked(invoke, server, "given", "one") == 0
        assert asked(invoke, server, "filed", "two") == 0
        assert asked(invoke, server, "given", "two") == 1
        assert asked(invoke, server, "nobody", "one") == 1
        assert asked(invoke, server, None, None) == 1


def test_users_that_a_secret_issued_may_ask(serving, invoke, tmp_path):
    path = tmp_path / "secrets"
    path.write_text("new\n\nold\n")
    with serving("--listen", LOCAL, "--secret", path) as server:
        for secret, code in (("new", 0), ("old", 0), ("other", 1)):
            issued = TimeLimitedSecrets(secret).issue("me", lifetime=3600, unix=time.time())
            assert asked(invoke, server, *issued) == code
        assert asked(invoke, server, *TimeLimitedSecrets("new").issue("me", lifetime=-1, unix=time.time())) == 1


def test_hangup_reads_users_anew_and_a_broken_file_keeps_the_old_ones(serving, invoke, tmp_path):
    path = tmp_path / "users"
    path.write_text("me:one\n")
    with serving("--listen", LOCAL, "--users-file", path) as server:
        server.line()
        path.write_text("me:two\n")
        server.process.send_signal(signal.SIGHUP)
        assert server.line().endswith("info reloaded\n")
        assert asked(invoke, server, "me", "one") == 1
        assert asked(invoke, server, "me", "two") == 0
        path.write_text("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        assert "error reload failed, the old keys and users stay error=" in (line := server.line())
        assert f"{path}: line 1" in line
        assert asked(invoke, server, "me", "two") == 0


def test_hangup_reads_the_certificate_anew_and_a_broken_one_keeps_the_old(serving, invoke, certificate, authority):
    own, ca = certificate
    with serving("--listen", f"tls:{LOCAL}", "--tls-cert", own) as server:
        server.line()
        uri = f"stuns:127.0.0.1:{server.port('tls')}"
        authority.issue_cert("renewed.example").private_key_and_cert_chain_pem.write_to_path(own)
        server.process.send_signal(signal.SIGHUP)
        assert server.line().endswith("info reloaded\n")
        assert invoke("stun", uri, "--ca", ca, "--server-name", "localhost")[0] == 1
        assert invoke("stun", uri, "--ca", ca, "--server-name", "renewed.example")[0] == 0
        own.write_text("nonsense")
        server.process.send_signal(signal.SIGHUP)
        assert "reload failed" in server.line()
        assert invoke("stun", uri, "--ca", ca, "--server-name", "renewed.example")[0] == 0


def test_hangup_takes_all_files_or_none(serving, invoke, certificate, authority, tmp_path):
    own, ca = certificate
    users = tmp_path / "users"
    users.write_text("me:one\n")
    with serving("--listen", f"tls:{LOCAL}", "--tls-cert", own, "--users-file", users) as server:
        server.line()
        uri = f"stuns:127.0.0.1:{server.port('tls')}"
        authority.issue_cert("renewed.example").private_key_and_cert_chain_pem.write_to_path(own)
        users.write_text("nonsense\n")
        server.process.send_signal(signal.SIGHUP)
        assert "reload failed" in server.line()
        good = ("--ca", ca, "--user", "me", "--password", "one", "--server-name")
        assert invoke("stun", uri, *good, "localhost")[0] == 0


def test_metrics_are_served_where_they_were_asked_for_and_nowhere_else(serving, invoke):
    with serving("--listen", LOCAL, "--metrics", LOCAL) as server:
        assert invoke("stun", f"stun:127.0.0.1:{server.port('udp')}")[0] == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(b"junk", ("127.0.0.1", server.port("udp")))
        assert invoke("stun", f"stun:127.0.0.1:{server.port('udp')}")[0] == 0  # the junk was before it
        with urllib.request.urlopen(server.ready["metrics"], timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        assert "sansice_stun_requests_total 2.0" in lines
        assert "sansice_stun_responses_total 2.0" in lines
        assert 'sansice_dropped_total{reason="not-stun"} 1.0' in lines
        assert "sansice_stun_connections 0.0" in lines
        assert server.stop()[0] == 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(server.ready["metrics"], timeout=60)
    with serving("--listen", LOCAL) as server:
        assert "metrics" not in server.ready


def test_metrics_that_cannot_be_served_are_the_reason(invoke):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, output, errors = invoke("serve", "--stun-only", "--listen", LOCAL, "--metrics", place)
    assert (code, output) == (1, "")
    assert f"cannot serve metrics at {place}: Address already in use" in errors


def test_service_manager_is_told_of_readiness_reloads_and_the_end(serving, manager):
    path, message = manager
    with serving("--listen", f"udp:{LOCAL}", env={**os.environ, "NOTIFY_SOCKET": path}) as server:
        assert message() == ["READY=1", f"STATUS=Listening at udp:127.0.0.1:{server.port('udp')}"]
        server.process.send_signal(signal.SIGHUP)
        reloading, since = message()
        assert (reloading, message()) == ("RELOADING=1", ["READY=1"])
        assert re.fullmatch(r"MONOTONIC_USEC=\d+", since)
        server.process.terminate()
        assert message() == ["STOPPING=1"]
        assert server.process.wait(60) == 0


def test_service_manager_that_has_gone_is_no_reason_to_stop(serving, tmp_path):
    with serving("--listen", LOCAL, env={**os.environ, "NOTIFY_SOCKET": f"@{tmp_path}"}) as server:
        assert server.stop()[0] == 0


def test_sockets_of_the_service_manager_are_served(serving, activation, invoke, certificate):
    own, ca = certificate
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.create_server(("127.0.0.1", 0)) as tls,
    ):
        udp.bind(("127.0.0.1", 0))
        ports = [sock.getsockname()[1] for sock in (udp, tcp, tls)]
        with serving("--tls-cert", own, **activation({"udp": udp, "tcp": tcp, "tls-1": tls})) as server:
            words = ("udp", "tcp", "tls")
            assert server.ready["listening"] == [f"{word}:127.0.0.1:{port}" for word, port in zip(words, ports, strict=True)]
            assert invoke("stun", f"stun:127.0.0.1:{ports[0]}")[0] == 0
            assert invoke("stun", f"stun:127.0.0.1:{ports[1]}", "--transport", "tcp")[0] == 0
            assert invoke("stun", f"stuns:127.0.0.1:{ports[2]}", "--ca", ca, "--server-name", "localhost")[0] == 0
            assert server.stop()[0] == 0


def test_socket_of_the_service_manager_that_is_of_no_use_is_named(start, activation):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        with start("serve", "--stun-only", **activation({"odd": sock})) as process:
            _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "the inherited socket odd is neither UDP nor TCP" in errors


def test_second_address_lets_clients_discover_what_their_nat_does(serving, invoke, two_ports):
    first, second = two_ports
    with serving("--listen", f"udp:127.0.0.1:{first}", "--rfc5780", f"127.0.0.2:{second}") as server:
        expected = {f"udp:127.0.0.{host}:{port}" for host, port in itertools.product((1, 2), two_ports)}
        assert set(server.ready["listening"]) == expected
        code, output, _ = invoke("nat", f"stun:127.0.0.1:{first}", "--test", "filtering", "--json")
        assert (code, json.loads(output)["filtering"]) == (0, "endpoint-independent")


def test_limits_are_those_that_were_asked_for(serving, invoke):
    with serving("--listen", LOCAL, "--rate", "1", "--burst", "1", "--software", "sansice test") as server:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(60)
            sock.connect(("127.0.0.1", server.port("udp")))
            request = bytes.fromhex("000100002112a442") + bytes(12)
            sock.send(request)
            assert b"sansice test" in sock.recv(1000)
            for _ in range(5):
                sock.send(request)
        code, _, errors = server.stop()
        assert code == 0
        assert int(re.search(r"dropped=(\d+)", errors)[1]) >= 4


def test_reuse_port_lets_two_processes_share_it(serving, two_ports):
    place = f"udp:127.0.0.1:{two_ports[0]}"
    with serving("--listen", place, "--reuse-port") as one, serving("--listen", place, "--reuse-port") as other:
        assert one.ready == other.ready


def test_reader_that_leaves_before_it_is_ready_ends_it_quietly(start):
    reading, writing = os.pipe()
    os.close(reading)
    with start("serve", "--stun-only", "--listen", LOCAL, stdout=writing) as process:
        os.close(writing)
        assert process.wait(60) == 1
        assert "Traceback" not in process.stderr.read()
