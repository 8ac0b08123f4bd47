"""Two of our agents that may only use relays, and relays in processes of their own: coturn, and `sansice serve`."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys

import pytest
import trio

from _certificates import Authority
from interop._coturn import coturn
from interop._loopback import LIMIT
from sansice import Address, Transport
from sansice.ice import CandidateType, GatheringOptions, IceServer, IceState
from sansice.sockets import TlsConfig
from sansice_trio import open_ice

NAME, REALM, USER, PASSWORD = "turn.example.org", "example.org", "alice", "a secret"
UDP, TCP, TLS, DTLS = Transport
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
KINDS = pytest.mark.parametrize("kind", ["coturn", "ours"])
COUNT = 50  # datagrams of each exchange


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue(NAME)


@pytest.fixture(scope="module")
def places(tmp_path_factory, certificate):
    """Where each server listens, by its name and by transport."""
    known = ("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", REALM, "--allow-loopback-peers")
    with coturn(tmp_path_factory.mktemp("coturn"), certificate, known) as theirs, serving(certificate) as ours:
        of_coturn = {transport: theirs.secure if transport.is_secure else theirs.plain for transport in Transport}
        yield {"coturn": of_coturn, "ours": ours}


@contextlib.contextmanager
def serving(certificate):
    """`sansice serve` over every transport, and where it listens."""
    listen = [word for transport in Transport for word in ("--listen", f"{transport.value}:127.0.0.1:0")]
    command = [sys.executable, "-m", "sansice_cli", "serve", *listen, "--user", f"{USER}:{PASSWORD}", "--realm", REALM]
    command += ["--tls-cert", str(certificate), "--allow-peer", "127.0.0.0/8"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            listening = json.loads(process.stdout.readline())["listening"]
            yield {Transport(word): Address.parse(place) for word, _, place in (one.partition(":") for one in listening)}
        finally:
            process.kill()


def server_of(places, kind, *transports):
    urls = [
        f"{'turns' if transport.is_secure else 'turn'}:{places[kind][transport]}"
        f"?transport={'tcp' if transport.is_stream else 'udp'}"
        for transport in transports
    ]
    return IceServer(urls, USER, PASSWORD, verify_name=NAME)


@contextlib.asynccontextmanager
async def connected(authority, *servers, policy="relay"):
    """Two agents, each with its server, that have selected a pair."""
    tls = TlsConfig(ca_file=authority.ca_file)
    options = {
        "policy": policy,
        "include_loopback": True,
        "tls": tls,
        "gathering": GatheringOptions(relayed_family=4, every_url=True),
    }
    loopback = {"interface_filter": lambda _, address: address == "127.0.0.1"}
    with trio.fail_after(LIMIT):
        async with contextlib.AsyncExitStack() as stack:
            agents = [
                await stack.enter_async_context(open_ice(controlling=not number, ice_servers=[server], **options, **loopback))
                for number, server in enumerate(servers)
            ]
            described = [await agent.gather() for agent in agents]
            async with trio.open_nursery() as nursery:
                for agent, remote in zip(agents, reversed(described), strict=True):
                    nursery.start_soon(agent.connect, remote)
            yield agents


async def exchange(a, b):
    """Data both ways: how many of `COUNT` datagrams arrived on each side."""
    for number in range(COUNT):
        for one, data in ((a, b"\x80"), (b, b"\x81")):
            await one.send(data + bytes([number]) * 1000)
        await b.receive()
        await a.receive()


@EVERY
@KINDS
async def test_agents_connect_through_a_relay_alone_over_every_transport(authority, places, kind, transport):
    async with connected(authority, *[server_of(places, kind, transport)] * 2) as (a, b):
        for agent in (a, b):
            assert {one.type for one in agent.local_candidates} == {CandidateType.RELAYED}
            assert agent.selected_pair.local.type is CandidateType.RELAYED
            assert agent.state is IceState.COMPLETED
        await exchange(a, b)


@EVERY
async def test_one_relay_is_coturns_and_the_other_ours(authority, places, transport):
    servers = [server_of(places, kind, transport) for kind in ("coturn", "ours")]
    async with connected(authority, *servers) as (a, b):
        assert a.selected_pair.local.address != b.selected_pair.local.address
        await exchange(a, b)


@KINDS
async def test_all_transports_at_once_and_the_cheapest_relay_is_chosen(authority, places, kind):
    async with connected(authority, *[server_of(places, kind, TLS, TCP, DTLS, UDP)] * 2) as (a, b):
        best = max(a.local_candidates, key=lambda one: one.priority)
        assert len(a.local_candidates) == 4
        assert a.selected_pair.local == best
        await exchange(a, b)


@KINDS
async def test_relays_stand_back_where_there_is_a_direct_way(authority, places, kind):
    async with connected(authority, *[server_of(places, kind, UDP)] * 2, policy="all") as (a, b):
        assert a.selected_pair.local.type is CandidateType.HOST
        assert CandidateType.RELAYED in {one.type for one in a.local_candidates}
        await exchange(a, b)
