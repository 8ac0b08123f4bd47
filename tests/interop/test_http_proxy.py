"""An office that lets out nothing but what its proxy carries, on real sockets: tinyproxy, and a relay behind it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sys
import threading
import time

import pytest
import trio

import sansice_asyncio
import sansice_blocking
import sansice_trio
from _certificates import Authority
from interop._loopback import LIMIT, find_tool
from interop._netns import required_namespaces
from interop._tinyproxy import PASSWORD as PROXY_PASSWORD, PORT, USER as PROXY_USER, start_tinyproxy
from sansice.ice import CandidateType, GatheringOptions, IceServer
from sansice.sockets import TlsConfig, interfaces
from sansice.turn import TurnError

NAME, REALM, USER, PASSWORD = "turn.example.org", "example.org", "carol", "a secret"
OFFICE, PROXY, GATE, RELAY, BOB = "10.1.0.20", "10.1.0.10", "192.0.2.1", "192.0.2.10", "192.0.2.20"
URL = f"turns:{NAME}:443?transport=tcp"
THROUGH = f"http://{PROXY_USER}:{PROXY_PASSWORD}@{PROXY}:{PORT}"

# Routed, and dropped without a word, as most offices do it: UDP, and TCP whatever its port.
_NOTHING_PASSES = "table inet office {\n chain forward {\n type filter hook forward priority 0; policy drop;\n }\n}"


@pytest.fixture(scope="module")
def office(tmp_path_factory):
    """The namespaces: an office, its gate, and the world with a relay of each kind."""
    with required_namespaces() as spaces:
        for name in ("office", "gate", "world"):
            spaces.add(name)
        spaces.join("office", "out", "gate", "in")
        spaces.join("world", "out", "gate", "far")
        spaces.ip("office", [f"addr add {OFFICE}/24 dev out", f"route add default via {PROXY}"])
        spaces.ip("gate", [f"addr add {PROXY}/24 dev in", f"addr add {GATE}/24 dev far"])
        spaces.ip("world", [f"addr add {RELAY}/24 dev out", f"addr add {BOB}/24 dev out", f"route add default via {GATE}"])
        spaces.sysctl("gate", "net.ipv4.ip_forward", "1")
        spaces.nft("gate", _NOTHING_PASSES)
        spaces.log = start_tinyproxy(spaces, "gate", tmp_path_factory.mktemp("proxy"), {NAME: RELAY})
        yield spaces


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["coturn", "ours"])
def relay(request, office, authority, tmp_path_factory):
    """A server with TLS at port 443, and UDP that nobody in the office can reach."""
    certificate = str(authority.issue(NAME))
    folder = tmp_path_factory.mktemp("relay")
    process = office.start("world", _COMMANDS[request.param](certificate, folder))
    if request.param == "ours":
        assert json.loads(process.stdout.readline())["ready"]
    _await_listener(office, process)
    yield request.param
    process.kill()
    process.wait()


def _coturn(certificate, folder):
    command = [find_tool("turnserver"), "-n", "-L", RELAY, "--relay-ip", RELAY, "-p", "3478", "--tls-listening-port", "443"]
    command += ["--cert", certificate, "--pkey", certificate, "--userdb", str(folder / "turndb"), "--no-cli", "--pidfile", ""]
    return [*command, "--log-file", "/dev/null", "--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", REALM]


def _ours(certificate, folder):
    listen = ["--listen", f"tls:{RELAY}:443", "--listen", f"udp:{RELAY}:3478"]
    command = [sys.executable, "-m", "sansice_cli", "serve", *listen, "--user", f"{USER}:{PASSWORD}", "--realm", REALM]
    return [*command, "--tls-cert", certificate, "--allow-peer", "192.0.2.0/24"]


_COMMANDS = {"coturn": _coturn, "ours": _ours}


def _await_listener(spaces, process):
    give_up = time.monotonic() + LIMIT
    while spaces.start("world", ["sh", "-c", "ss -Hltn 'sport = :443' | grep -q ."]).wait():
        assert process.poll() is None and time.monotonic() < give_up, process.communicate()
        time.sleep(0.02)


# ---------------------------------------------------------------- two agents


class Bob:
    """An agent in the world, with a public address and no relay, in a thread of its own."""

    def __init__(self, spaces):
        self.told = queue.Queue()
        self.failure = None
        described = queue.Queue()
        self._describe = described.put
        with spaces.inside("world"):
            self.thread = threading.Thread(target=self._run)
            self.thread.start()
        self.description = described.get(timeout=LIMIT)

    def _run(self):
        try:
            interfaces(refresh=True)
            only = lambda _, address: address == BOB  # noqa: E731
            with sansice_blocking.open_ice(controlling=False, interface_filter=only, watch_network=False) as ice:
                self._describe(ice.gather())
                ice.connect(self.told.get(timeout=LIMIT), timeout=LIMIT)
                ice.send(b"to the office: " + ice.receive(timeout=LIMIT))
                assert ice.receive(timeout=LIMIT) == b"bye"
        except BaseException as error:
            self.failure = error


@contextlib.contextmanager
def in_office(spaces):
    """What this thread opens is in the office, and what is listed are its interfaces."""
    with spaces.inside("office"):
        interfaces(refresh=True)
        yield
    interfaces(refresh=True)


def options(authority):
    return {
        "controlling": True,
        "ice_servers": [IceServer([f"turn:{RELAY}?transport=udp", URL], USER, PASSWORD)],
        "gathering": GatheringOptions(proxy=THROUGH, relayed_family=4),
        "tls": TlsConfig(ca_file=authority.ca_file),
        "watch_network": False,  # one watch serves all of a process, and so would see another namespace than some of them are in
    }


async def _talk(open_ice, bob, options):
    async with open_ice(**options) as ice:
        bob.told.put(await ice.gather())
        pair = await ice.connect(bob.description)
        await ice.send(b"hello")
        answer = await ice.receive()
        await ice.send(b"bye")
        return pair, answer, ice.explain()


def _in_trio(bob, options):
    async def main():
        with trio.fail_after(LIMIT):
            return await _talk(sansice_trio.open_ice, bob, options)

    return trio.run(main)


def _in_asyncio(bob, options):
    return asyncio.run(asyncio.wait_for(_talk(sansice_asyncio.open_ice, bob, options), LIMIT))


def _in_threads(bob, options):
    with sansice_blocking.open_ice(**options) as ice:
        bob.told.put(ice.gather())
        pair = ice.connect(bob.description, timeout=LIMIT)
        ice.send(b"hello")
        answer = ice.receive(timeout=LIMIT)
        ice.send(b"bye")
        return pair, answer, ice.explain()


@pytest.mark.parametrize("run", [_in_trio, _in_asyncio, _in_threads])
def test_two_agents_connect_through_a_proxy_which_alone_knows_the_relays_name(office, relay, authority, run):
    bob = Bob(office)
    with in_office(office):
        pair, answer, explanation = run(bob, options(authority))
    bob.thread.join(LIMIT)
    assert bob.failure is None
    assert (pair.local.type, pair.local.address.host, pair.remote.address.host) == (CandidateType.RELAYED, RELAY, BOB)
    assert answer == b"to the office: hello"
    assert PROXY_PASSWORD not in explanation
    assert f"CONNECT {NAME}:443" in office.log.read_text()


# ---------------------------------------------------------------- a client of the relay


def _allocate(authority, proxy, uri=URL):
    with sansice_blocking.open_turn(uri, USER, PASSWORD, proxy=proxy, tls=TlsConfig(ca_file=authority.ca_file)) as turn:
        return turn.relayed[0].host


def test_a_client_of_turn_goes_through_the_proxy_too(office, relay, authority):
    with office.inside("office"):
        assert _allocate(authority, THROUGH) == RELAY


@pytest.mark.parametrize(
    ("proxy", "uri", "words"),
    [
        (THROUGH.replace(PROXY_PASSWORD, "wrong"), URL, "does not accept the user name and password"),
        (f"http://{PROXY}:{PORT}", URL, "it wants a user name and password (Basic)"),
        (THROUGH, URL.replace(":443", ":444"), "answered 403"),
        (THROUGH.replace(f":{PORT}", ":9"), URL, "the proxy: "),
        (THROUGH, f"turn:{NAME}?transport=udp", "through a proxy UDP is not among"),
    ],
)
def test_what_the_proxy_does_not_want_is_told_with_its_words_and_without_ours(office, relay, authority, proxy, uri, words):
    with office.inside("office"), pytest.raises(TurnError) as caught:
        _allocate(authority, proxy, uri)
    assert words in str(caught.value)
    assert PROXY_PASSWORD not in str(caught.value)


def test_the_three_adapters_take_the_same_argument(office, relay, authority):
    tls = TlsConfig(ca_file=authority.ca_file)

    async def main(open_turn):
        async with open_turn(URL, USER, PASSWORD, proxy=THROUGH, tls=tls) as turn:
            return turn.relayed[0].host

    with office.inside("office"):
        assert trio.run(main, sansice_trio.open_turn) == asyncio.run(main(sansice_asyncio.open_turn)) == RELAY


# ---------------------------------------------------------------- the command


def _command(office, authority, *words):
    command = [sys.executable, "-m", "sansice_cli", *words, "--user", f"{USER}:{PASSWORD}", "--proxy", THROUGH, "--json"]
    process = office.start("office", [*command, "--ca", str(authority.ca_file)])
    output, errors = process.communicate(timeout=LIMIT)
    assert PROXY_PASSWORD not in output + errors
    return process.returncode, json.loads(output)


def test_the_command_tries_a_relay_through_the_proxy(office, relay, authority):
    code, found = _command(office, authority, "turn", URL, "--allocate-only")
    assert (code, found["allocated"], found["transport"]) == (0, True, "tls")


def test_the_command_gathers_through_the_proxy(office, relay, authority):
    code, found = _command(office, authority, "gather", "--server", URL, "--timeout", "5", "--family", "ipv4")
    assert code == 0
    (server,) = found["servers"]
    assert (server["url"], server["ok"]) == (URL, True)
    assert any(f" {RELAY} " in candidate and " typ relay" in candidate for candidate in found["candidates"])
