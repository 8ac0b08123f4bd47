"""Other people's TURN clients of `serve_turn`: coturn's load generator in all its modes, and aioice's client."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from _certificates import Authority
from interop._loopback import LIMIT
from interop._uclient import HOST, HOST6, LENGTH, MESSAGES, echo, uclient
from sansice import Address, DropReason, Transport
from sansice.sockets import TlsConfig
from sansice.stun import (
    ServerAuthentication,
    StaticUsers,
    ThirdPartyServerAuthentication,
    TimeLimitedSecrets,
    TokenAlgorithm,
    TokenKey,
)
from sansice.turn import PeerPolicy, TurnServerConfig
from sansice_trio import serve_turn

AIOICE = Path(__file__).with_name("_aioice_turn.py")
REALM, USER = "example.org", ("u", "p")
UDP, TCP, TLS, DTLS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS
OPTIONS = {UDP: (), TCP: ("-t",), TLS: ("-t", "-S"), DTLS: ("-S",)}  # of uclient, to reach a server
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
LOOPBACK = ("127.0.0.0/8", "::1/128")
ATTACK = 8  # seconds
# The keys that are built into uclient, each with a line end behind it that is not part of it.
TOKEN_KEYS = (
    TokenKey("north", b"01234567890123456789012345678901"),
    TokenKey("union", b"1234567890123456", TokenAlgorithm.A128GCM),
    TokenKey("oldempire", b"12345678901234567890123456789012"),
)


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    """For both addresses: aioice verifies the one that it connects to."""
    return authority.issue(HOST, HOST6)


@pytest.fixture
async def echo_port():
    async with echo() as port:
        yield port


def known_users():
    return ServerAuthentication(realm=REALM, lookup_key=StaticUsers(dict([USER]), REALM))


@contextlib.asynccontextmanager
async def relay(certificate, authentication=None, **policy):
    """Our server over everything on both loopback addresses, whose peers are there, too; and where it listens."""
    listen = [f"{transport.value}:{Address(host, 0)}" for host in (HOST, HOST6) for transport in Transport]
    async with serve_turn(
        listen,
        authentication=authentication or known_users(),
        peer_policy=PeerPolicy(allow=LOOPBACK),
        config=TurnServerConfig(wide_channels=True, **policy),
        tls=TlsConfig(certificate=certificate),
    ) as service:
        yield service, {(transport, address.host): address for transport, address in service.listening}


async def run_all(server, modes):
    """The runs of all modes at the same time: each is a process that mostly waits."""
    runs = {}

    async def run(name, options, more):
        runs[name] = await uclient(server, *options, **more)

    async with trio.open_nursery() as nursery:
        for name, (options, more) in modes.items():
            nursery.start_soon(run, name, options, more)
    return runs


def lossy(runs):
    """What uclient printed last, of the runs that lost something."""
    return {name: run.printed.splitlines()[-12:] for name, run in runs.items() if not run.lossless}


def modes(transport, port):
    """Ways to use a relay, as options of uclient and of `uclient`."""
    # Over TLS it reads one record each time that bytes come, and leaves a second one where it is until more do: with its own
    # server, too. So it must not be sent two things at the same moment, which on a busy machine may be 20 ms long.
    over = (*OPTIONS[transport], *(("-z", 100) if transport is TLS else ()))
    several = ("-z", 100) if transport is DTLS else ()  # on a busy machine it decrypts too slowly for its own receive buffer
    peer, peer6 = ("-e", HOST, "-r", port), ("-e", HOST6, "-r", port)
    return {
        "channels": ((*over, "-c", "-X", *peer), {}),
        "Send indications": ((*over, "-c", "-s", "-X", *peer), {}),
        "RTP and RTCP: EVEN-PORT and RESERVATION-TOKEN": ((*over, "-X", *peer), {}),
        "an IPv6 relay": ((*over, "-c", "-x", *peer6), {}),
        "a relay of both families, peers of IPv4": ((*over, "-Z", *peer), {}),
        "a relay of both families, peers of IPv6": ((*over, "-Z", *peer6), {}),
        "between clients over channels": ((*over, "-y", "-c"), {}),
        "between clients in indications": ((*over, "-y", "-c", "-s"), {}),
        "DONT-FRAGMENT": ((*over, "-c", "-g", *peer), {}),
        "odd lengths, padded everywhere": ((*over, "-c", "-D", *peer), {"length": 171}),
        "odd lengths, unpadded over UDP": ((*over, "-c", *peer), {"length": 171}),
        "superfluous requests": ((*over, "-c", "-G", *peer), {}),
        "five clients": ((*over, *several, "-c", "-m", 5, *peer), {}),
    }


@EVERY
async def test_uclient_loses_nothing_in_any_mode(certificate, echo_port, transport):
    async with relay(certificate) as (service, at):
        runs = await run_all(at[transport, HOST], modes(transport, echo_port))
    assert lossy(runs) == {}
    assert {
        name: run.refusals for name, run in runs.items() if set(run.refusals) - {443} and name != "superfluous requests"
    } == {}
    assert service.stats.received_packets >= MESSAGES * len(runs)


@EVERY
async def test_uclient_loses_nothing_when_it_comes_over_ipv6(certificate, echo_port, transport):
    over = OPTIONS[transport]
    both = {
        "an IPv6 relay": ((*over, "-c", "-x", "-e", HOST6, "-r", echo_port), {}),
        "an IPv4 relay": ((*over, "-c", "-X", "-e", HOST, "-r", echo_port), {}),
    }
    async with relay(certificate) as (_, at):
        assert lossy(await run_all(at[transport, HOST6], both)) == {}


@pytest.mark.parametrize("transport", [TCP, TLS])
async def test_uclients_reach_each_other_over_tcp_allocations(certificate, transport):
    async with relay(certificate, tcp_relay=True) as (service, at):
        runs = await run_all(at[transport, HOST], {"clients": ((*OPTIONS[transport], "-T"), {})})
    assert lossy(runs) == {}
    assert service.stats.received_bytes == service.stats.sent_bytes == 2 * MESSAGES * LENGTH


async def test_uclient_takes_the_connections_of_peers(certificate):
    async with relay(certificate, tcp_relay=True) as (service, at):
        run = await uclient(at[TCP, HOST], "-P", "-z", 100)
    # What its active peers send it counts as sent, and not as received where it arrives: with its own server, too.
    assert (run.code, run.sent, run.received) == (0, 2 * MESSAGES * LENGTH, MESSAGES * LENGTH)
    assert service.stats.received_bytes == service.stats.sent_bytes == MESSAGES * LENGTH


async def test_uclient_is_refused_tcp_allocations_unless_they_are_on(certificate):
    async with relay(certificate) as (_, at):
        run = await uclient(at[TCP, HOST], "-T")
    assert not run.lossless
    assert 442 in run.refusals


async def test_uclient_moves_its_allocation_and_loses_nothing(certificate, echo_port):
    """Over UDP: with DTLS or a stream it falls over itself when it moves, with its own server, too."""
    options = ("-M", "-c", "-e", HOST, "-r", echo_port)
    async with relay(certificate, mobility=True) as (service, at):
        runs = await run_all(at[UDP, HOST], {"a ticket": (options, {}), "five tickets": ((*options, "-m", 5), {})})
        assert lossy(runs) == {}
    assert service.stats.opened == 12  # two for each of six clients, as it always makes: those who moved took theirs along


async def test_uclient_with_time_limited_credentials_loses_nothing(certificate, echo_port):
    secret = "a-long-secret"
    authentication = ServerAuthentication(realm=REALM, lookup_key=TimeLimitedSecrets(secret))
    async with relay(certificate, authentication) as (_, at):
        for transport in (UDP, TCP):
            run = await uclient(
                at[transport, HOST], *OPTIONS[transport], "-u", "user", "-W", secret, "-c", "-e", HOST, "-r", echo_port, user=None
            )
            assert run.lossless, run.printed


async def test_uclient_with_access_tokens_loses_nothing(certificate, echo_port):
    authentication = ThirdPartyServerAuthentication(server_name="turn.example.org", keys=TOKEN_KEYS, realm=REALM, short_keys=True)
    modes = {
        f"run {number}": (("-J", "-c", "-e", HOST, "-r", echo_port), {"user": None}) for number in range(3)
    }  # a random key each
    async with relay(certificate, authentication) as (_, at):
        assert lossy(await run_all(at[UDP, HOST], modes)) == {}


async def test_uclient_that_nobody_knows_is_refused(certificate, echo_port):
    options = ("-c", "-e", HOST, "-r", echo_port)
    async with relay(certificate) as (service, at):
        for user in (("u", "wrong"), ("nobody", "p")):
            run = await uclient(at[UDP, HOST], *options, user=user)
            assert not run.lossless
            assert "Cannot complete Allocation" in run.printed
    assert service.stats.opened == 0


async def test_uclient_that_asks_for_no_permissions_gets_nothing_through(certificate, echo_port):
    """This also shows that a run which loses something is seen as one."""
    async with relay(certificate) as (service, at):
        run = await uclient(at[UDP, HOST], "-c", "-s", "-I", "-e", HOST, "-r", echo_port)
    assert (run.lossless, run.sent, run.received, run.lost) == (False, MESSAGES * LENGTH, 0, MESSAGES)
    assert service.stats.received_packets == 0


async def test_server_bears_what_uclient_does_to_servers(certificate, echo_port):
    peer = ("-c", "-e", HOST, "-r", echo_port)
    attacks = {"wrong requests": "-N", "damage": "-R", "hanging up": "-B", "hit and run": "-O"}
    async with relay(certificate) as (service, at):
        with trio.move_on_after(ATTACK):  # damage goes on for minutes
            async with trio.open_nursery() as nursery:
                for transport in (UDP, TCP):
                    modes = {name: ((*OPTIONS[transport], option, "-m", 3, *peer), {}) for name, option in attacks.items()}
                    nursery.start_soon(run_all, at[transport, HOST], modes)
        assert set(service.stats.stun.errors) >= {400, 401}
        run = await uclient(at[UDP, HOST], *peer)
        assert run.lossless, run.printed


# ------------------------------------------------------------- aioice


async def aioice_turn(server, transport, peer, *, password=USER[1], authority=None, count=20):
    command = [sys.executable, AIOICE, *server, transport.value, USER[0], password, authority.ca_file if authority else "", *peer]
    with trio.fail_after(LIMIT):
        done = await trio.run_process([str(one) for one in (*command, count)], stdin=subprocess.DEVNULL, capture_stdout=True)
    return json.loads(done.stdout)


@pytest.mark.parametrize("transport", [UDP, TCP, TLS])
async def test_aioice_talks_through_our_relay(certificate, authority, echo_port, transport):
    async with relay(certificate) as (service, at):
        told = await aioice_turn(at[transport, HOST], transport, (HOST, echo_port), authority=authority)
        assert told["echoed"] == 20, told
        assert told["relayed"][0] == told["mapped"][0] == HOST
        assert service.stats.received_packets == service.stats.sent_packets == 20
        assert service.allocations() == ()  # it deletes what it made
    assert +service.stats.dropped == {DropReason.MISSING_ATTRIBUTE: 1}  # its first request, which has no credentials yet


async def test_aioice_with_a_wrong_password_is_refused(certificate, echo_port):
    async with relay(certificate) as (_, at):
        told = await aioice_turn(at[UDP, HOST], UDP, (HOST, echo_port), password="wrong")
    assert "401" in told["error"]
