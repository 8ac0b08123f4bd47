"""``sansice turn`` against servers of ours: what works is measured, and what does not is told with its step."""

import json
import signal
import socket
import threading

import pytest
import trio

from sansice.stun import TimeLimitedSecrets
from sansice.turn import TurnLimits, TurnLost, TurnStep

HANG = 60  # seconds
KEYS = {"allocated", "relayed", "mapped", "rtt_ms", "throughput_mbps", "error", "step", "server", "transport", "lifetime_s"} | {
    "setup_ms", "peer", "probes", "lost",
}  # fmt: skip


def told(result):
    code, output, _ = result
    return code, json.loads(output.splitlines()[-1])


@pytest.mark.parametrize("number", [0, 1], ids=["udp", "tcp"])
def test_two_allocations_measure_each_other(invoke, relay, uri, number):
    with relay() as service:
        server = uri(service, number)
        code, found = told(invoke("turn", server, "--user", "alice:secret", "--echo", "--seconds", "0.1", "--json"))
        assert code == 0
        assert set(found) == KEYS
        assert (found["allocated"], found["error"], found["step"]) == (True, None, None)
        assert found["relayed"].startswith("127.0.0.1:")
        assert found["peer"].startswith("127.0.0.1:") and found["peer"] != found["relayed"]
        assert found["mapped"].startswith("127.0.0.1:")
        assert found["server"] == str(service.listening[number][1])
        assert (found["transport"], found["lifetime_s"], found["probes"], found["lost"]) == (["udp", "tcp"][number], 600, 20, 0)
        assert found["rtt_ms"] > 0
        assert found["throughput_mbps"] > 0
        assert service.allocations() == ()


def test_people_are_told_each_step_as_it_succeeds(invoke, relay, uri):
    with relay() as service:
        code, output, errors = invoke("turn", uri(service), "--user", "alice:secret", "--seconds", "0.05")
        assert (code, errors) == (0, "")
        allocated, measured, speed = output.splitlines()
        assert allocated.startswith(f"{uri(service)}: relays at 127.0.0.1:")
        assert f"allocated over udp by {service.listening[0][1]} in " in allocated
        assert " for 600 s; it sees this machine as 127.0.0.1:" in allocated
        assert measured.startswith("round trip through the relay to 127.0.0.1:")
        assert measured.endswith(" ms (median of 20)")
        assert speed.startswith("throughput through the relay and back: ")


def test_a_secure_server_is_verified_by_the_authority_and_the_name_that_were_given(invoke, relay, uri, certificate, tls):
    with relay("tls:127.0.0.1:0", tls=tls) as service:
        options = ["--user", "alice:secret", "--ca", certificate[1], "--allocate-only", "--json"]
        code, found = told(invoke("turn", uri(service), "--server-name", "localhost", *options))
        assert (code, found["transport"], found["rtt_ms"]) == (0, "tls", None)
        code, found = told(invoke("turn", uri(service), "--server-name", "other.example", *options))
        assert (code, found["allocated"], found["step"]) == (1, False, "open")
        assert "certificate" in found["error"]


@pytest.fixture
def echoing():
    """The address of something that echoes UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))

        def echo():
            while (received := sock.recvfrom(65535))[0]:
                sock.sendto(*received)

        thread = threading.Thread(target=echo, daemon=True)
        thread.start()
        yield "{}:{}".format(*sock.getsockname())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
            end.sendto(b"", sock.getsockname())
        thread.join(HANG)


def test_a_peer_that_echoes_may_be_named(invoke, relay, uri, loopback, echoing):
    with relay(peer_policy=loopback) as service:
        arguments = ["--user", "alice:secret", "--peer", echoing, "--seconds", "0", "--json"]
        code, found = told(invoke("turn", uri(service), *arguments))
        assert (code, found["peer"], found["lost"], found["throughput_mbps"]) == (0, echoing, 0, None)
        assert service.stats.opened == 1


def test_a_peer_that_says_nothing_fails_in_the_data_step(invoke, relay, uri, loopback):
    with relay(peer_policy=loopback) as service, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        peer = "{}:{}".format(*silent.getsockname())
        code, output, _ = invoke("turn", uri(service), "--user", "alice:secret", "--peer", peer, "--timeout", "0.25")
        assert code == 1
        assert f"sending data through the relay failed: nothing of 20 datagrams came back from {peer}\n" in output
        assert "RFC 862" in output


def test_a_peer_with_a_closed_port_is_told_as_such(invoke, relay, uri, loopback):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        peer = "{}:{}".format(*gone.getsockname())
    with relay(peer_policy=loopback) as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--peer", peer, "--timeout", "0.25", "--json"))
        assert (code, found["step"], found["allocated"], found["lost"]) == (1, "data", True, 20)
        assert found["error"].endswith(f"{peer} is said to be unreachable (ICMP)")


def test_a_refused_peer_is_told_with_the_code(invoke, relay, uri):
    with relay() as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--peer", "10.0.0.1:7", "--json"))
        assert (code, found["step"], found["allocated"], found["rtt_ms"]) == (1, "permit", True, None)
        assert found["error"].startswith("403 10.0.0.1: ")


def test_a_wrong_password_is_told_with_what_to_do(invoke, relay, uri):
    with relay() as service:
        code, output, _ = invoke("turn", uri(service), "--user", "alice:guess")
        assert code == 1
        assert f"{uri(service)}: authenticating failed: 401 " in output
        assert "sansice credentials" in output


def test_a_second_allocation_that_is_refused_fails_the_measurement(invoke, relay, uri):
    with relay(limits=TurnLimits(allocations_per_user=1)) as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--json"))
        assert (code, found["allocated"], found["step"]) == (1, True, "allocate")
        assert found["error"].startswith("486 ")


def test_a_server_that_is_not_there_is_told_at_once(invoke, refusing):
    code, found = told(invoke("turn", refusing.replace("stun:", "turn:") + "?transport=udp", "--json"))
    assert (code, found["allocated"], found["relayed"]) == (1, False, None)
    assert "nobody is there" in found["error"]


def test_names_that_expire_are_parted_from_their_passwords_at_the_last_colon(invoke, relay, uri):
    secrets = TimeLimitedSecrets("north")
    name, password = secrets.issue("alice", lifetime=1e10, unix=0.0)
    with relay(users=secrets) as service:
        for user in ([f"{name}:{password}"], [name, "--password", password]):
            code, found = told(invoke("turn", uri(service), "--user", *user, "--allocate-only", "--json"))
            assert (code, found["error"]) == (0, None)


def test_the_password_may_come_from_a_file(invoke, relay, uri):
    with relay() as service:
        arguments = ["--user", "alice", "--password-file", "-", "--allocate-only"]
        assert invoke("turn", uri(service), *arguments, input="secret\n")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["stun:127.0.0.1"], "is not a TURN server's"),
        (["turn:"], "turn:"),
        (["turn:127.0.0.1", "--echo", "--peer", "192.0.2.1:7"], "exclude each other"),
        (["turn:127.0.0.1", "--peer", "name.example:7"], "not a literal"),
        (["turn:127.0.0.1", "--user", "alice"], "needs a password"),
        (["turn:127.0.0.1", "--password", "secret"], "needs a user name"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(invoke, arguments, told):
    code, _, errors = invoke("turn", *arguments)
    assert code == 2
    assert told in errors


def test_a_peer_of_another_family_than_the_relayed_address_is_a_usage_error(invoke, relay, uri):
    with relay() as service:
        code, _, errors = invoke("turn", uri(service), "--user", "alice:secret", "--peer", "[2001:db8::1]:7")
        assert code == 2
        assert "another family" in errors
        assert service.allocations() == ()


def test_a_relay_that_swallows_data_is_told(invoke, relay, uri, monkeypatch):
    async def swallow(peer):
        await trio.sleep_forever()

    monkeypatch.setattr("sansice_cli.turn._trial.echo", swallow)
    with relay() as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--timeout", "0.25", "--json"))
        assert (code, found["allocated"], found["step"], found["lost"]) == (1, True, "data", 20)


def test_an_allocation_that_is_lost_meanwhile_is_told(invoke, relay, uri, monkeypatch):
    async def lose(peer):
        raise TurnLost("turn:relay.example", TurnStep.REFRESH, "allocation mismatch", 437)

    monkeypatch.setattr("sansice_cli.turn._trial.echo", lose)
    with relay() as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--json"))
        assert (code, found["allocated"], found["step"]) == (1, True, "refresh")
        assert found["error"] == "437 allocation mismatch"


def test_a_server_that_answers_no_more_is_given_up_in_time(invoke, relay, uri, monkeypatch):
    async def wait(self):
        await trio.sleep_forever()

    monkeypatch.setattr("sansice_trio.TurnPeer.ready", wait)
    with relay() as service:
        code, found = told(invoke("turn", uri(service), "--user", "alice:secret", "--timeout", "0.1", "--json"))
        assert (code, found["step"], found["error"]) == (1, "permit", "the server did not answer within 0.1 s")


def test_an_interrupt_deletes_the_allocation(start, relay, uri, loopback):
    with relay(peer_policy=loopback) as service:
        with start("turn", uri(service), "--user", "alice:secret", "--seconds", "50") as process:
            process.stdout.readline()
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=HANG)
            assert (process.returncode, errors) == (130, "Interrupted.\n")
        assert service.allocations() == ()


def test_a_proxy_that_is_not_there_is_told_and_one_that_is_no_url_is_no_use(invoke):
    options = ["--user", "alice:secret", "--allocate-only", "--json"]
    with socket.create_server(("127.0.0.1", 0)) as sock:
        nobody = f"127.0.0.1:{sock.getsockname()[1]}"
    code, found = told(invoke("turn", "turn:turn.example.org?transport=tcp", "--proxy", f"http://bob:horse@{nobody}", *options))
    assert (code, found["allocated"], found["step"]) == (1, False, "open")
    assert f"turn.example.org:3478 through {nobody} (tcp): the proxy: " in found["error"]
    code, _, errors = invoke("turn", "turn:turn.example.org", "--proxy", "bob:horse@127.0.0.1", *options)
    assert code == 2
    assert "a proxy is written http://HOST:PORT" in errors
    assert "horse" not in errors
