"""Our TURN client and somebody else's server: coturn, over UDP, TCP, TLS and DTLS, in everything that it can do."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import itertools
import sqlite3
import time

import pytest
import trio

from _certificates import Authority
from interop._coturn import coturn
from interop._loopback import LIMIT
from interop._uclient import HOST, HOST6, echo
from sansice import Address, Transport
from sansice.sockets import TlsConfig
from sansice.stun import AccessToken, TokenContents, TokenKey, encode_token
from sansice.turn import AllocationCreated, TurnError, TurnStep
from sansice_trio import open_turn

NAME, REALM = "turn.example.org", "example.org"
USER, PASSWORD, SECRET = "alice", "Ein Geheimnis", "a long secret"
UDP, TCP, TLS, DTLS = Transport.UDP, Transport.TCP, Transport.TLS, Transport.DTLS
EVERY = pytest.mark.parametrize("transport", [UDP, TCP, TLS, DTLS])
COUNT = 20  # datagrams of each exchange
BOTH = ("-L", HOST6, "--relay-ip", HOST6, "--allow-loopback-peers", "--realm", REALM, "--mobility")
# The table of coturn's schema.sql where it looks tokens' keys up.
OAUTH_KEYS = """
CREATE TABLE oauth_key (kid varchar(128), ikm_key varchar(256), timestamp bigint default 0, lifetime integer default 0,
    as_rs_alg varchar(64) default '', realm varchar(127), primary key (kid));
"""
KNOWN = ("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue(NAME)


@pytest.fixture(scope="module")
def server(tmp_path_factory, certificate):
    """A server that knows one user."""
    with coturn(tmp_path_factory.mktemp("coturn"), certificate, [*BOTH, *KNOWN]) as one:
        yield one


@pytest.fixture
async def echo_port():
    async with echo() as port:
        yield port


@pytest.fixture
def tls(authority):
    return TlsConfig(ca_file=authority.ca_file)


def uri_of(server, transport):
    scheme, address = ("turns", server.secure) if transport.is_secure else ("turn", server.plain)
    return f"{scheme}:{address}?transport={'tcp' if transport.is_stream else 'udp'}"


@contextlib.asynccontextmanager
async def relayed(server, over=UDP, username=USER, credential=PASSWORD, **options):
    if over.is_secure:
        options.setdefault("verify_name", NAME)
    with trio.fail_after(LIMIT):
        async with open_turn(uri_of(server, over), username, credential, **options) as turn:
            yield turn


async def exchange(turn, address, count=COUNT):
    """Datagrams of many lengths to an echo: all come back, unchanged and in order."""
    peer = turn.peer(address)
    for number in range(count):
        data = b"datagram %d" % number + bytes(7 * number)
        await peer.send(data)
        assert await peer.receive() == data


@EVERY
async def test_data_goes_through_a_permission_and_then_a_channel(server, echo_port, transport, tls):
    async with relayed(server, transport, tls=tls) as turn:
        assert [address.host for address in turn.relayed] == [HOST]
        assert turn.mapped.host == HOST
        echoes = [Address(HOST, echo_port), Address(HOST, echo_port + 1)]
        await turn.permit(*echoes)
        for address in echoes:
            await exchange(turn, address)
        stats = turn.stats()
        assert (stats.sent_packets, stats.received_packets) == (2 * COUNT, 2 * COUNT)
        assert not stats.dropped


@EVERY
async def test_both_families_are_relayed_at_once(server, echo_port, transport, tls):
    async with relayed(server, transport, tls=tls, family="both") as turn:
        assert [address.host for address in turn.relayed] == [HOST, HOST6]
        for host in (HOST, HOST6):
            await exchange(turn, Address(host, echo_port))


async def test_a_family_can_be_chosen(server, echo_port):
    async with relayed(server, family=6) as turn:
        assert [address.host for address in turn.relayed] == [HOST6]
        await exchange(turn, Address(HOST6, echo_port))


async def test_two_clients_talk_through_two_relays(server):
    async with relayed(server) as one, relayed(server, TCP) as other:
        here, there = one.peer(other.relayed[0]), other.peer(one.relayed[0])
        await other.permit(one.relayed[0])
        await here.send(b"hello")
        assert await there.receive() == b"hello"
        await there.send(b"and back")
        assert await here.receive() == b"and back"


async def test_a_reserved_port_is_the_next_one(server):
    async with relayed(server, even_port=True, reserve_next=True) as first:
        assert first.relayed[0].port % 2 == 0
        created = await first.events.get()
        assert isinstance(created, AllocationCreated)
        async with relayed(server, reservation_token=created.reservation_token) as second:
            assert second.relayed[0].port == first.relayed[0].port + 1


async def test_a_wrong_password_is_an_error_that_says_so(server):
    with pytest.raises(TurnError) as caught:
        async with relayed(server, credential="another"):
            pass
    assert (caught.value.step, caught.value.code) == (TurnStep.AUTHENTICATE, 401)


async def test_an_allocation_is_gone_when_its_block_is_left(tmp_path, certificate, echo_port):
    """With a quota of one, which would be full for ten minutes."""
    with coturn(tmp_path, certificate, [*BOTH, *KNOWN, "--user-quota", "1"]) as server:
        for transport in (UDP, TCP, UDP):
            async with until_there_is_room(server, transport) as turn:
                await exchange(turn, Address(HOST, echo_port), 2)


@contextlib.asynccontextmanager
async def until_there_is_room(server, transport):
    """coturn ends what was deleted by a timer of its own, a moment later."""
    with trio.fail_after(LIMIT):
        while True:
            async with contextlib.AsyncExitStack() as stack:
                try:
                    turn = await stack.enter_async_context(relayed(server, transport))
                except TurnError as error:
                    if error.code != 486:
                        raise
                    await trio.sleep(0.05)
                    continue
                yield turn
                return


async def test_a_full_server_is_an_error_that_says_so(tmp_path, certificate):
    with coturn(tmp_path, certificate, [*BOTH, *KNOWN, "--user-quota", "1"]) as server:
        async with relayed(server):
            with pytest.raises(TurnError) as caught:
                async with relayed(server):
                    pass
    assert (caught.value.step, caught.value.code) == (TurnStep.ALLOCATE, 486)


async def test_time_limited_credentials_are_accepted(tmp_path, certificate, echo_port):
    username = f"{int(time.time()) + 600}:alice"
    password = base64.b64encode(hmac.digest(SECRET.encode(), username.encode(), hashlib.sha1)).decode()
    options = [*BOTH, "--use-auth-secret", "--static-auth-secret", SECRET]
    with coturn(tmp_path, certificate, options) as server:
        async with relayed(server, UDP, username, password) as turn:
            await exchange(turn, Address(HOST, echo_port))


async def test_a_server_without_users_is_used_without_credentials(tmp_path, certificate, echo_port):
    with coturn(tmp_path, certificate, [*BOTH, "--no-auth"]) as server:
        async with relayed(server, UDP, None, None) as turn:
            await exchange(turn, Address(HOST, echo_port))


async def test_data_flows_on_when_nonces_grow_stale(tmp_path, certificate, echo_port):
    """Permissions of ever new peers are asked for, until the server has refused a nonce."""
    with coturn(tmp_path, certificate, [*BOTH, *KNOWN, "--stale-nonce=10", "--verbose"]) as server:
        async with relayed(server) as turn:
            peer = turn.peer(Address(HOST, echo_port))
            for number in itertools.count(2):
                await turn.permit(Address(f"127.0.0.{number}", 9))
                await peer.send(b"datagram %d" % number)
                assert await peer.receive() == b"datagram %d" % number
                if "error 438: Stale nonce" in (tmp_path / "log").read_text():
                    break
                await trio.sleep(0.25)  # or it would be thousands of permissions
            await exchange(turn, Address(HOST, echo_port))


# ------------------------------------------------------------- RFC 8016, 7635 and 6062


@pytest.mark.parametrize("transport", [UDP, DTLS])
async def test_an_allocation_moves_to_another_socket_and_data_flows_on(server, echo_port, transport, tls):
    async with relayed(server, transport, mobility=True, tls=tls) as turn:
        before, local = turn.relayed, turn.client.local
        await exchange(turn, Address(HOST, echo_port))
        await turn.rebind()
        await exchange(turn, Address(HOST, echo_port))
        assert turn.relayed == before
        assert turn.client.local != local


async def test_an_access_token_is_accepted(tmp_path, certificate, echo_port):
    key, mac_key = TokenKey("north", b"k" * 32), b"m" * 20
    with contextlib.closing(sqlite3.connect(tmp_path / "turndb")) as database:
        database.executescript(OAUTH_KEYS)
        database.execute(
            "INSERT INTO oauth_key VALUES (?, ?, 0, 0, ?, ?)",
            (key.kid, base64.b64encode(key.key).decode(), key.algorithm.value, REALM),
        )
        database.commit()
    # coturn 4.6 wants 20 bytes in the token, and makes integrity with the first 16 of them.
    token = encode_token(TokenContents(mac_key, time.time(), 600), key, NAME, nonce=b"n" * 12)
    with coturn(tmp_path, certificate, [*BOTH, "--lt-cred-mech", "--oauth", "--server-name", NAME, "-v"]) as server:
        async with relayed(server, UDP, None, AccessToken(key.kid, token, mac_key[:16])) as turn:
            await exchange(turn, Address(HOST, echo_port))


@contextlib.asynccontextmanager
async def tcp_echo():
    """A peer that accepts connections, and sends everything back."""
    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host=HOST)
        nursery.start_soon(trio.serve_listeners, send_back, [listener])
        yield Address(*listener.socket.getsockname())
        nursery.cancel_scope.cancel()


async def send_back(stream):
    async with stream:
        async for data in stream:
            await stream.send_all(data)


async def read(receive, size):
    data = b""
    while len(data) < size:
        more = await receive()
        assert more, f"it ended after {len(data)} bytes"
        data += more
    return data


@pytest.mark.parametrize("transport", [TCP, TLS])
async def test_bytes_go_to_a_peer_over_tcp_and_back(server, transport, tls):
    data = bytes(range(256)) * 800
    async with relayed(server, transport, transport=TCP, tls=tls) as turn, tcp_echo() as address:
        async with await turn.connect(address) as stream, trio.open_nursery() as nursery:
            nursery.start_soon(stream.send, data)
            assert await read(stream.receive, len(data)) == data


async def test_a_peer_connects_to_the_relayed_address(server):
    async with relayed(server, TCP, transport=TCP) as turn:
        await turn.permit(Address(HOST, 0))
        async with await trio.open_tcp_stream(*turn.relayed[0]) as peer, await turn.accept() as stream:
            await peer.send_all(b"who is there?")
            assert await read(stream.receive, 13) == b"who is there?"
            await stream.send(b"me")
            assert await read(peer.receive_some, 2) == b"me"


async def test_a_peer_where_nobody_listens_is_an_error_that_says_so(server, echo_port):
    async with relayed(server, TCP, transport=TCP) as turn:
        with pytest.raises(TurnError) as caught:
            await turn.connect(Address(HOST, echo_port))  # over UDP alone
    assert (caught.value.step, caught.value.code) == (TurnStep.CONNECT, 447)
