import json
import signal
import socket

import pytest

from sansice.stun import BehaviorTest

HANG = 60  # seconds


@pytest.fixture
def server(serving):
    """The URI of a server with two addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            sock.bind(("127.0.0.1", 0))
        first, second = (sock.getsockname()[1] for sock in (one, other))
    with serving("--listen", f"udp:127.0.0.1:{first}", "--rfc5780", f"127.0.0.2:{second}"):
        yield f"stun:127.0.0.1:{first}"


def test_lines_drawing_and_verdict_where_no_terminal_is(sansice, server):
    done = sansice("nat", server)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "test 1 of 4: filtering"
    assert "  mapping: no-nat: the address is not translated" in lines
    assert f"| {server} |" in done.stdout
    assert lines[-1] == "No NAT and no firewall in the way: direct calls work with everybody, and anybody can begin one."


def test_json_has_the_words_of_rfc_4787_and_the_rest_goes_to_stderr(sansice, server):
    done = sansice("nat", server, "--json")
    assert done.returncode == 0
    assert done.stdout.count("\n") == 1
    result = json.loads(done.stdout)
    assert {"mapping", "filtering", "hairpinning", "lifetime_s", "verdict"} <= set(result)
    assert (result["mapping"], result["filtering"], result["lifetime_s"]) == ("no-nat", "endpoint-independent", None)
    assert "hairpinning" in result["unavailable"]
    assert done.stderr.startswith("test 1 of 4: filtering\n")
    assert result["verdict"] in done.stderr


def test_chosen_tests_alone_are_run(invoke, server):
    code, output, errors = invoke("nat", server, "--test", "mapping", "--test", "filtering", "--family", "ipv4", "--json")
    assert code == 0
    result = json.loads(output)
    assert (result["mapping"], result["filtering"], result["fragments"]) == ("no-nat", "endpoint-independent", None)
    assert "test 2 of 2: mapping" in errors


def test_no_test_that_could_be_run_is_1(invoke, server):
    code, output, _ = invoke("nat", server, "--test", "hairpinning")
    assert code == 1
    assert "hairpinning  not tested: there is no NAT" in output


def test_nobody_at_the_other_end_is_1_and_told(invoke, refusing):
    code, output, errors = invoke("nat", refusing)
    assert (code, output) == (1, "")
    assert errors.startswith(f"{refusing}: ")
    code, output, errors = invoke("nat", refusing, "--json")
    assert code == 1
    result = json.loads(output)
    assert {result[key] for key in ("mapping", "filtering", "hairpinning", "lifetime_s", "verdict")} == {None}
    assert result["error"] in errors


def test_lifetime_is_tested_on_request_alone_and_can_be_interrupted(start, server):
    with start("nat", server, "--test", "mapping", "--lifetime", "--lifetime-limit", "1") as process:
        assert process.stdout.readline() == "test 1 of 2: mapping\n"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=HANG)
        assert (process.returncode, errors) == (130, "Interrupted.\n")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'URI'"),
        (["stuns:example.org"], "over UDP, so with a stun: URI"),
        (["example.org"], "stun"),
        (["stun:example.org", "--test", "speed"], "'speed' is not one of"),
        (["stun:example.org", "--family", "ipv5"], "'ipv5' is not one of"),
        (["stun:example.org", "--lifetime-limit", "0"], "0.0 is not in the range"),
        (["stun:example.org", "--lifetime-limit", "nan"], "nan is no finite number"),
    ],
)
def test_wrong_usage_is_2_and_explained(invoke, arguments, complaint):
    code, output, errors = invoke("nat", *arguments)
    assert (code, output) == (2, "")
    assert complaint in errors


def test_help_names_every_test(invoke):
    code, output, _ = invoke("nat", "--help")
    assert code == 0
    assert all(test.value in output for test in BehaviorTest)
