"""A channel of an ICE connection as a socket, and DTLS over it."""

import errno
import functools
import socket

import pytest
import trio
import trustme
from OpenSSL import SSL

from sansice.ice import IceConfig, NotConnected
from sansice_trio import IceSocket, open_ice

QUICK = IceConfig(ta=0.005)


@pytest.fixture(params=["127.0.0.1", "::1"])
async def pair(request):
    """Two connected ends, over either family."""
    opened = functools.partial(
        open_ice, config=QUICK, include_loopback=True, interface_filter=lambda name, address: address == request.param
    )
    async with opened(controlling=True) as alice, opened(controlling=False) as bob:
        of_alice, of_bob = await alice.gather(), await bob.gather()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(alice.connect, of_bob)
            nursery.start_soon(bob.connect, of_alice)
        yield alice, bob


async def test_a_socket_has_the_names_of_the_path(pair):
    alice, _ = pair
    with IceSocket(alice.channel()) as sock:
        local, remote = alice.selected_pair.local.address, alice.selected_pair.remote.address
        assert sock.family is (socket.AF_INET6 if remote.is_ipv6 else socket.AF_INET)
        assert (sock.type, sock.proto) == (socket.SOCK_DGRAM, socket.IPPROTO_UDP)
        assert sock.getsockname()[:2] == local
        assert sock.getpeername()[:2] == remote
        assert "component 1" in repr(sock)


async def test_datagrams_go_to_the_peer_and_come_from_it(pair):
    alice, bob = pair
    with IceSocket(alice.channel()) as sock:
        assert await sock.sendto(b"to bob", sock.getpeername()) == 6
        assert await sock.sendto(b"with flags", 0, sock.getpeername()) == 10
        assert [await bob.receive() for _ in range(2)] == [b"to bob", b"with flags"]
        await bob.send(b"to alice")
        assert await sock.recvfrom(2) == (b"to", sock.getpeername())


async def test_nobody_else_is_sent_to(pair):
    with IceSocket(pair[0].channel()) as sock, pytest.raises(OSError, match="alone") as caught:
        await sock.sendto(b"data", ("192.0.2.1", 1))
    assert caught.value.errno == errno.EDESTADDRREQ


async def test_closing_wakes_who_reads_and_leaves_the_connection_alone(pair):
    alice, bob = pair
    sock = IceSocket(alice.channel())

    async def read():
        with pytest.raises(trio.ClosedResourceError, match="being read"):
            await sock.recvfrom(100)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(read)
        nursery.start_soon(read)
        await trio.testing.wait_all_tasks_blocked()
        sock.close()
    for refused in (lambda: sock.recvfrom(100), lambda: sock.sendto(b"x", sock.getpeername())):
        with pytest.raises(trio.ClosedResourceError):
            await refused()
    await bob.send(b"still there")
    assert await alice.receive() == b"still there"


async def test_reading_that_is_given_up_loses_nothing(pair):
    alice, bob = pair
    with IceSocket(alice.channel()) as sock:
        with trio.move_on_after(0.01) as scope:
            await sock.recvfrom(100)
        assert scope.cancelled_caught
        await bob.send(b"kept")
        assert (await sock.recvfrom(100))[0] == b"kept"


async def test_the_end_of_the_connection_is_the_end_of_the_socket(pair):
    alice, _ = pair
    with IceSocket(alice.channel()) as sock:
        alice.close()
        with pytest.raises(trio.ClosedResourceError, match="has ended"):
            await sock.recvfrom(100)
        with pytest.raises(OSError, match="closed") as caught:
            await sock.sendto(b"x", sock.getpeername())
        assert caught.value.errno == errno.ENOTCONN


async def test_there_is_no_socket_before_a_pair_is_selected():
    async with open_ice(controlling=True) as ice:
        with pytest.raises(NotConnected, match="no pair is selected yet"):
            IceSocket(ice.channel())


# DTLS


async def test_who_waits_for_data_over_dtls_is_woken_when_ice_ends(pair):
    authority, identity = trustme.CA(), SSL.Context(SSL.DTLS_METHOD)
    authority.issue_cert("bob.example").configure_cert(identity)
    alice, bob = pair
    woken = []

    async def wait_for_data(dtls):
        with pytest.raises(trio.ClosedResourceError):
            await dtls.receive()
        woken.append(dtls)

    async with trio.open_nursery() as nursery:
        client, server = IceSocket(alice.channel()).dtls(), IceSocket(bob.channel()).dtls()
        await nursery.start(server.serve, identity, wait_for_data)
        dtls = client.connect(client.socket.getpeername(), SSL.Context(SSL.DTLS_METHOD))
        await dtls.do_handshake()
        nursery.start_soon(wait_for_data, dtls)
        await trio.testing.wait_all_tasks_blocked(0.01)
        alice.close()
        bob.close()
    assert len(woken) == 2


async def test_who_waits_for_a_handshake_is_woken_when_ice_ends(pair):
    client = IceSocket(pair[0].channel()).dtls(incoming_packets_buffer=1)
    dtls = client.connect(client.socket.getpeername(), SSL.Context(SSL.DTLS_METHOD))
    async with trio.open_nursery() as nursery:

        async def shake_hands():
            with pytest.raises(trio.ClosedResourceError):
                await dtls.do_handshake(initial_retransmit_timeout=100.0)

        nursery.start_soon(shake_hands)
        await trio.testing.wait_all_tasks_blocked(0.01)
        pair[0].close()


async def test_an_endpoint_that_nobody_has_any_more_is_none_to_close(pair):
    sock = IceSocket(pair[0].channel())
    sock.dtls().close()
    with pytest.raises(trio.ClosedResourceError, match="was closed"):
        sock.dtls()
    other = IceSocket(pair[0].channel())
    other._endpoint = lambda: None
    pair[0].close()
    with pytest.raises(trio.ClosedResourceError, match="has ended"):
        await other.recvfrom(100)
