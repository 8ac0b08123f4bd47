import json
import signal

import pytest

HANG = 60  # seconds


@pytest.fixture
def motley(peers, honest, refusing):
    """A good server among others, by name."""
    asked = []

    def second_time(data, source):
        asked.append(data)
        return honest(data, source) if len(asked) > 1 else None

    return peers(
        good=honest,
        dead=lambda data, source: None,
        wrong_id=lambda data, source: honest(data[:8] + bytes(12) + data[20:], source),
        wrong_cookie=lambda data, source: (answer := honest(data, source))[:4] + b"\1\2\3\4" + answer[8:],
        slow=second_time,
    ) | {"refusing": refusing}


def test_good_answer_comes_at_once_and_each_other_server_is_explained(start, motley):
    with start("stun", *motley.values(), "--timeout", "3") as process:
        first = {process.stdout.readline() for _ in range(2)}
        assert process.poll() is None  # the others are still waited for
        output, errors = process.communicate(timeout=HANG)
        assert (process.returncode, errors) == (1, "")
    lines = [*first, *output.splitlines(keepends=True)]
    said = {name: next(line for line in lines if line.startswith(uri + ": ")) for name, uri in motley.items()}
    assert first == {said["good"], said["refusing"]}
    assert f"as {motley['good'].removeprefix('stun:')} sees it over udp in " in said["good"]
    assert "nobody listens there" in said["refusing"]
    assert "no answer within 3 s" in said["dead"]
    assert "it answers, but with nothing that can be used: answers no request of ours" in said["wrong_id"]
    assert "it answers, but with nothing that can be used: wrong magic cookie" in said["wrong_cookie"]
    assert "sees it over udp, after repeated requests" in said["slow"]


def test_json_has_the_results_in_the_order_of_the_arguments(invoke, motley):
    code, output, errors = invoke("stun", *motley.values(), "--timeout", "0.4", "--json")
    assert code == 1
    assert output.count("\n") == 1
    results = json.loads(output)["results"]
    assert [one["uri"] for one in results] == [*motley.values()]
    assert [one["ok"] for one in results] == [True, False, False, False, False, False]
    assert set(results[0]) == {"uri", "ok", "mapped", "rtt_ms", "error", "local", "server", "transport"}
    assert results[0]["mapped"] == results[0]["local"]
    assert results[0]["rtt_ms"] > 0
    assert results[0]["error"] is None
    for one in results[1:]:
        assert (one["mapped"], one["rtt_ms"]) == (None, None)
        assert f"{one['uri']}: {one['error']}\n" in errors


def test_server_cannot_make_the_terminal_do_anything(invoke, peers):
    code = b"\0\x09\0\x0c" + b"\0\0\4\0" + b"\x1b[2J\r\n"
    code = code[:3] + bytes([len(code) - 4]) + code[4:] + bytes(-len(code) % 4)
    [uri] = peers(evil=lambda data, source: b"\1\x11\0" + bytes([len(code)]) + data[4:20] + code).values()
    assert invoke("stun", uri) == (1, f"{uri}: {uri[5:]} (udp): it answers with the error 400 \\x1b[2J\\r\\n\n", "")
    assert "\x1b" not in invoke("nat", uri, "--test", "mapping")[2]


def test_every_server_must_answer_for_code_0(invoke, motley, refusing):
    assert invoke("stun", motley["good"], motley["good"])[0] == 0
    assert invoke("stun", motley["good"], refusing)[0] == 1


def test_one_address_is_enough_where_that_is_said(sansice, motley):
    done = sansice("stun", "--any", "--json", "--timeout", "600", *motley.values())
    assert done.returncode == 0
    results = json.loads(done.stdout)["results"]
    assert results[0]["ok"]
    assert results[1]["error"] == "not waited for, as another server has answered"


def test_one_address_is_not_found_where_nobody_gives_one(invoke, refusing):
    assert invoke("stun", "--any", refusing)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'URI...'"),
        (["http://example.org"], "stun"),
        (["stun:a", "--transport", "pigeon"], "'pigeon' is not one of"),
        (["stun:a", "--timeout", "0"], "0.0 is not in the range"),
        (["stun:a", "--timeout", "nan"], "nan is no finite number"),
        (["stuns:192.0.2.1", "--server-name", "192.0.2.1"], "'192.0.2.1' is an IP address"),
        (["stun:a", "--user", "x"], "a user name needs a password"),
        (["stun:a", "--password", "x"], "a password needs a user name"),
        (["stun:a", "--short-term"], "--short-term needs --user"),
        (["stun:a", "--user", "x" * 600, "--password", "x"], "user name or password: a user name of 600 bytes"),
        (["stun:a", "--ca", "/does/not/exist"], "does not exist"),
        (["stun:a", "--ca", __file__], "--ca: "),
    ],
)
def test_wrong_usage_is_2_and_explained(invoke, arguments, complaint):
    code, output, errors = invoke("stun", *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


def test_interrupt_ends_it_with_130(start, motley):
    with start("stun", motley["refusing"], motley["dead"], "--timeout", "600") as process:
        assert process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=HANG) == ("", "Interrupted.\n")
        assert process.returncode == 130


def test_termination_ends_it_as_a_shell_would_say(start, motley):
    with start("stun", motley["refusing"], motley["dead"], "--timeout", "600") as process:
        assert process.stdout.readline()
        process.terminate()
        assert process.communicate(timeout=HANG) == ("", "Ended by SIGTERM.\n")
        assert process.returncode == 143


def test_reader_that_leaves_ends_it_quietly(start, motley):
    with start("stun", motley["refusing"], motley["slow"], "--timeout", "30") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(HANG) == 1


@pytest.mark.parametrize("transport", ["tls", "dtls"])
def test_secure_server_is_verified_by_the_name_that_is_given(serving, invoke, certificate, transport):
    own, ca = certificate
    with serving("--listen", f"{transport}:127.0.0.1:0", "--tls-cert", own) as server:
        uri = [f"stuns:127.0.0.1:{server.port(transport)}", "--transport", transport]
        code, output, _ = invoke("stun", *uri, "--ca", ca, "--server-name", "localhost")
        assert (code, f"over {transport} in" in output) == (0, True)
        code, output, _ = invoke("stun", *uri, "--ca", ca, "--server-name", "example.org")
        assert (code, "certificate" in output) == (1, True)
        code, output, _ = invoke("stun", *uri, "--server-name", "localhost")
        assert (code, "certificate" in output) == (1, True)
        code, output, _ = invoke("stun", *uri, "--ca", ca)
        assert (code, "write the server's name, or give it as --server-name" in output) == (1, True)


def test_server_that_wants_a_password_gets_it(serving, invoke, tmp_path):
    path = tmp_path / "password"
    path.write_text("secret\n")
    with serving("--listen", "127.0.0.1:0", "--user", "me:secret") as server:
        uri = f"stun:127.0.0.1:{server.port('udp')}"
        assert invoke("stun", uri, "--user", "me", "--password-file", path)[0] == 0
        code, output, _ = invoke("stun", uri, "--user", "me", "--password", "wrong")
        assert (code, "401" in output) == (1, True)
        code, output, _ = invoke("stun", uri)
        assert (code, "401" in output) == (1, True)


def test_transport_is_chosen(serving, invoke):
    with serving("--listen", "tcp:127.0.0.1:0") as server:
        code, output, _ = invoke("stun", f"stun:127.0.0.1:{server.port('tcp')}", "--transport", "tcp", "--timeout", "5")
        assert (code, "over tcp in" in output) == (0, True)
