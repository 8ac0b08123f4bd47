"""Other people's clients of `serve_stun`, each in a process of its own, and the requests that RFCs print."""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import pytest
import trio

from interop._aioice import aioice_peer
from interop._loopback import HOSTS, LIMIT, find_tool, free_ports, output_of
from sansice import Address, DropReason
from sansice.stun import (
    ERROR_CODE,
    NONCE,
    XOR_MAPPED_ADDRESS,
    IntegrityAlgorithm,
    MessageClass,
    ServerAuthentication,
    ShortTermServerAuthentication,
    StaticUsers,
    StunError,
    StunServerConfig,
    decode_untrusted,
    short_term_key,
)
from sansice_trio import serve_stun

PYSTUN3 = Path(__file__).with_name("_pystun3_client.py")
AIOICE = Path(__file__).with_name("_aioice_peer.py")
VECTORS = Path(__file__).parent.with_name("stun") / "vectors.json"
NATTED = "0.0.0.0"  # as the source address, which no server ever sees: pystun3 takes it for a NAT's doing
TRIES = 20  # of ports that were free a moment ago


@contextlib.asynccontextmanager
async def square():
    """A server for behaviour discovery on two addresses with two ports each, and the first of the four."""
    for _ in range(TRIES):
        ports = free_ports(2)
        async with contextlib.AsyncExitStack() as stack:
            try:
                listen = [f"udp:{host}:{port}" for host in HOSTS for port in ports]
                server = await stack.enter_async_context(serve_stun(listen, config=StunServerConfig(behavior=True)))
            except StunError:
                continue  # somebody has taken one of them since
            yield server, Address(HOSTS[0], ports[0])
            return
    raise AssertionError("no two ports stay free on both loopback addresses")


@contextlib.asynccontextmanager
async def alone(authentication=None, **policy):
    """A plain server, and where it is over UDP."""
    async with serve_stun([f"udp:{HOSTS[0]}:0"], config=StunServerConfig(**policy), authentication=authentication) as server:
        yield server, server.listening[0][1]


# ------------------------------------------------------------- coturn's clients


async def stunclient(address, *options):
    return await output_of([find_tool("turnutils_stunclient"), "-p", address.port, *options, address.host])


async def natdiscovery(address, *options):
    return await output_of([find_tool("turnutils_natdiscovery"), "-p", address.port, *options, address.host])


async def test_stunclient_learns_its_address():
    async with alone() as (server, address):
        printed = await stunclient(address)
    assert "reflexive addr: 127.0.0.1:" in printed, printed
    assert server.stats.responses > 0
    assert not server.stats.errors


async def test_stunclient_asks_from_both_ports_and_both_addresses():
    async with square() as (server, address):
        printed = await stunclient(address, "-f")
    answers = printed.split("RFC 5780 response ")[1:]
    origins = [HOSTS[0], HOSTS[1], HOSTS[1]]  # asked for: nothing, another address and port, the other address itself
    assert [f"Response origin: : {origin}:" in answer for origin, answer in zip(origins, answers, strict=True)] == [True] * 3
    assert server.stats.responses == 3
    assert not server.stats.errors


async def test_natdiscovery_finds_its_padding_returned():
    async with square() as (server, address):
        printed = await natdiscovery(address, "-m", "-f", "-P")
    assert "NAT with Endpoint Independent Mapping!" in printed, printed
    assert "NAT with Endpoint Independent Filtering!" in printed, printed
    assert "No ALG: Mapped == XOR-Mapped" in printed, printed
    assert not server.stats.errors


async def test_natdiscovery_hears_itself_where_there_is_no_nat():
    async with square() as (_, address):
        printed = await natdiscovery(address, "-H")
    assert "Received a request (maybe a successful hairpinning)" in printed, printed


async def test_natdiscovery_has_the_answer_sent_to_another_port_of_its_own():
    async with square() as (server, address):
        printed = await natdiscovery(address, "-t", "-T", 1)
    first, second = (answer.split("reflexive addr: ")[1].split()[0] for answer in printed.split("RFC 5780 response ")[1:])
    assert first != second
    assert "STUN receive timeout" not in printed
    assert not server.stats.errors


async def test_natdiscovery_sees_that_a_server_alone_has_no_second_address():
    async with alone() as (server, address):
        printed = await natdiscovery(address, "-m", "-f")
    assert "reflexive addr: 127.0.0.1:" in printed, printed
    assert "RFC 5780 response" not in printed
    assert not server.stats.errors


# ------------------------------------------------------------- pystun3: RFC 3489


async def pystun3(address, source):
    return json.loads(await output_of([sys.executable, PYSTUN3, address.host, address.port, source]))


async def test_pystun3_names_what_is_in_the_way():
    async with square() as (server, address):
        kind, host, _ = await pystun3(address, HOSTS[0])
        assert (kind, host) == ("Open Internet", HOSTS[0])
        kind, host, _ = await pystun3(address, NATTED)
        assert (kind, host) == ("Full Cone", HOSTS[0])
    assert server.stats.classic == server.stats.requests == 4


async def test_pystun3_repeats_for_ever_what_is_refused_and_the_rate_limit_bears_it():
    # Without a second address, CHANGE-REQUEST gets 420 (RFC 5389 12.2), which pystun3 takes for nothing at all.
    command = [sys.executable, PYSTUN3, HOSTS[0]]
    async with alone(rate=1.0, burst=5) as (server, address), trio.open_nursery() as nursery:
        with trio.fail_after(LIMIT):
            process = await nursery.start(trio.run_process, [*command, str(address.port), HOSTS[0]])
            while server.stats.dropped[DropReason.RATE_LIMITED] == 0:  # noqa: ASYNC110 - nobody tells of what is dropped
                await trio.sleep(0.01)
        assert process.returncode is None
        nursery.cancel_scope.cancel()
    assert server.stats.errors.keys() == {420}
    assert server.stats.responses == 1


# ------------------------------------------------------------- aioice


async def test_aioice_gathers_a_server_reflexive_candidate(own_address):
    async with alone() as (server, address), aioice_peer(address=own_address) as peer:
        told = await peer.start(controlling=True, stun=(address.host, address.port))
    candidates = [candidate.to_sdp().split() for candidate in told.candidates]
    hosts = [one[4:6] for one in candidates if one[7] == "host" and ":" not in one[4]]
    # Nothing is between it and us, so each of its IPv4 sockets is told of itself.
    assert [one[4:6] for one in candidates if one[7] == "srflx"] == hosts != []
    assert server.stats.responses == len(hosts)
    assert not server.stats.dropped


# ------------------------------------------------------------- the requests that RFC 5769 and RFC 8489 B.1 print

NAME, REALM, PASSWORD = "\u30de\u30c8\u30ea\u30c3\u30af\u30b9", "example.org", "TheMatrIX"
SHORT_TERM = ("evtj:h6vY", "VOkJxbRl1RmTxUk/WvJxBt")
RFC5769, RFC8489 = "rfc5769-2.4-request-long-term", "rfc8489-B.1-corrected"


async def answer_to(name, authentication):
    """What a server that is asked over a socket answers to a published message."""
    by_name = {one["name"]: one["hex"] for one in json.loads(VECTORS.read_text(encoding="utf-8"))["vectors"]}
    async with alone(authentication) as (_, address):
        with trio.fail_after(LIMIT), trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as client:
            await client.bind((HOSTS[0], 0))
            await client.sendto(bytes.fromhex(by_name[name]), tuple(address))
            data = await client.recv(2048)
            return decode_untrusted(data), Address(*client.getsockname())


def long_term(password):
    users = StaticUsers({NAME: password}, REALM)
    return ServerAuthentication(realm=REALM, lookup_key=users, userhash=True)


async def test_the_published_short_term_request_is_answered():
    authentication = ShortTermServerAuthentication(lookup_key=StaticUsers(dict([SHORT_TERM])))
    message, client = await answer_to("rfc5769-2.1-request", authentication)
    assert message.message_class is MessageClass.SUCCESS
    assert message.get(XOR_MAPPED_ADDRESS) == client
    assert message.integrity is IntegrityAlgorithm.SHA1
    assert message.has_fingerprint
    assert message.verify(short_term_key(SHORT_TERM[1]))


@pytest.mark.parametrize("name", [RFC5769, RFC8489])
@pytest.mark.parametrize(("password", "code"), [(PASSWORD, 438), ("TheMatrix", 401)])
async def test_of_the_published_long_term_requests_only_the_nonce_is_refused(name, password, code):
    # No server can have given out that nonce. RFC 8489 9.2.4 looks at it last: 438 says that all else was right.
    message, _ = await answer_to(name, long_term(password))
    assert message.get(ERROR_CODE).code == code
    assert message.get(NONCE) is not None
