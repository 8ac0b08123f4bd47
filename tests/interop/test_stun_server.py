"""Other people's clients of our STUN server, over loopback: coturn's two, pystun3 (RFC 3489), aioice."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess

import aioice.ice
import trio

import stun as pystun3
from sansice import Address, Transport
from sansice.stun import Listener, ServerReady, StunServer, StunServerConfig
from sansice_trio import open_driver

HOSTS = ("127.0.0.1", "127.0.0.2")
BUSY_PORTS = 20  # pairs of ports to try before giving up


@contextlib.asynccontextmanager
async def running(config, make_listeners):
    """A server whose listeners are all open, and its first address."""
    for _ in range(BUSY_PORTS):
        server = StunServer(config=config)
        async with open_driver(server) as (driver, events):
            listeners = make_listeners()
            driver.call(server.start, listeners)
            async for event in events:
                if isinstance(event, ServerReady):
                    break
            if len(event.addresses) == len(listeners):
                yield server, event.addresses[0][1]
                return
    raise AssertionError("no two ports are free on both loopback addresses")


def square():
    """UDP at two addresses with the same two ports, which were free a moment ago."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        for probe in (one, other):
            probe.bind((HOSTS[1], 0))
        ports = one.getsockname()[1], other.getsockname()[1]
    return [Listener(Transport.UDP, Address(host, port)) for host in HOSTS for port in ports]


def alone():
    return [Listener(Transport.UDP, Address(HOSTS[0], 0))]


BEHAVIOR = StunServerConfig(behavior=True)


async def run(*command):
    """What a command prints."""
    with trio.fail_after(30):
        done = await trio.run_process([str(one) for one in command], capture_stdout=True, stderr=subprocess.STDOUT)
    return done.stdout.decode()


async def test_turnutils_stunclient_learns_its_address():
    async with running(StunServerConfig(), alone) as (server, address):
        printed = await run("turnutils_stunclient", "-p", address.port, address.host)
    assert "reflexive addr: 127.0.0.1:" in printed, printed
    assert server.stats.responses > 0


async def test_turnutils_natdiscovery_finds_no_nat():
    async with running(BEHAVIOR, square) as (server, address):
        printed = await run("turnutils_natdiscovery", "-m", "-f", "-p", address.port, address.host)
    assert "NAT with Endpoint Independent Mapping!" in printed, printed
    assert "NAT with Endpoint Independent Filtering!" in printed, printed
    assert "No ALG: Mapped == XOR-Mapped" in printed, printed
    assert not server.stats.errors


async def test_pystun3_a_client_of_rfc3489_finds_an_open_internet():
    async with running(BEHAVIOR, square) as (server, address):
        kind, host, port = await trio.to_thread.run_sync(pystun3.get_ip_info, HOSTS[0], 0, address.host, address.port)
    assert (kind, host) == ("Open Internet", HOSTS[0])
    assert port is not None
    assert server.stats.classic == server.stats.requests == 2


async def test_aioice_learns_its_server_reflexive_candidate():
    async with running(StunServerConfig(), alone) as (server, address):
        host, port, local = await trio.to_thread.run_sync(_aioice_asks, address)
    assert (host, port) == local
    assert server.stats.responses == 1


def _aioice_asks(address):
    async def ask():
        loop = asyncio.get_running_loop()
        receiver = aioice.ice.Connection(ice_controlling=True)
        _, protocol = await loop.create_datagram_endpoint(lambda: aioice.ice.StunProtocol(receiver), local_addr=(HOSTS[0], 0))
        local = protocol.transport.get_extra_info("sockname")
        foundation = {"foundation": "1", "component": 1, "transport": "udp", "priority": 1, "type": "host"}
        protocol.local_candidate = aioice.Candidate(host=local[0], port=local[1], **foundation)
        try:
            found, _ = await aioice.ice.server_reflexive_candidate(protocol, tuple(address))
        finally:
            await protocol.close()
        return found.host, found.port, local

    return asyncio.run(ask())
