"""TCP through `trio.socket` in a simulated network, and what trio builds on it."""

import errno
import socket
import struct

import pytest
import trio
import trustme

from sansice import AddressRecord
from sansice.simulation import Link, Network
from sansice_trio.testing import on_host, open_network

A, B = "192.0.2.1", "192.0.2.2"
A6, B6 = "2001:db8::1", "2001:db8::2"


@pytest.fixture
async def net():
    net = Network(seed=1, latency=0.25, trace=1000)
    net.resolve("b.example", [AddressRecord(B), AddressRecord(B6)])
    async with open_network(net):
        yield net


@pytest.fixture
def a(net):
    return net.host("a", A, A6)


@pytest.fixture
def b(net):
    return net.host("b", B, B6)


def on(host, family=socket.AF_INET):
    with on_host(host):
        return trio.socket.socket(family, socket.SOCK_STREAM)


async def listening(host, port=7, address="", backlog=10):
    sock = on(host)
    await sock.bind((address, port))
    sock.listen(backlog)
    return sock


async def connected(a, b):
    """Two ends of one connection."""
    listener, client = await listening(b), on(a)
    await client.connect((B, 7))
    server, _ = await listener.accept()
    listener.close()
    return client, server


def refused(number):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


async def echo(stream):
    async for data in stream:
        await stream.send_all(data)


# ---------------------------------------------------------------- as programs use it


async def test_an_unmodified_client_and_server_find_each_other_by_name(net, a, b, autojump_clock):
    async with trio.open_nursery() as nursery:
        with on_host(b):
            listeners = await nursery.start(trio.serve_tcp, echo, 7)
        assert [one.socket.getsockname()[:2] for one in listeners] == [("0.0.0.0", 7), ("::", 7)]
        with on_host(a):
            stream = await trio.open_tcp_stream("b.example", 7)
        assert trio.current_time() == 0.5
        assert stream.socket.getpeername() == (B6, 7, 0, 0)
        await stream.send_all(bytes(200_000))
        await stream.send_eof()
        total = 0
        async for data in stream:
            total += len(data)
        assert total == 200_000
        nursery.cancel_scope.cancel()


async def test_a_dead_ipv6_costs_the_happy_eyeballs_their_delay(net, a, autojump_clock):
    four = net.host("b", B)
    async with trio.open_nursery() as nursery:
        with on_host(four):
            await nursery.start(trio.serve_tcp, echo, 7)
        with on_host(a):
            stream = await trio.open_tcp_stream("b.example", 7)
        assert stream.socket.getpeername() == (B, 7)
        assert trio.current_time() == 0.75
        nursery.cancel_scope.cancel()


async def test_tls_of_trio_runs_over_it(net, a, b, autojump_clock):
    import ssl

    authority = trustme.CA()
    server_context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("b.example").configure_cert(server_context)
    client_context = ssl.create_default_context()
    authority.configure_trust(client_context)
    async with trio.open_nursery() as nursery:
        with on_host(b):
            await nursery.start(trio.serve_ssl_over_tcp, echo, 443, server_context)
        with on_host(a):
            stream = await trio.open_ssl_over_tcp_stream("b.example", 443, ssl_context=client_context)
            await stream.send_all(b"hello")
            assert await stream.receive_some() == b"hello"
        nursery.cancel_scope.cancel()


async def test_dtls_of_trio_runs_over_it(net, a, b, autojump_clock):
    from OpenSSL import SSL

    authority, certificate = trustme.CA(), SSL.Context(SSL.DTLS_METHOD)
    authority.issue_cert("b.example").configure_cert(certificate)
    client_context = SSL.Context(SSL.DTLS_METHOD)

    async def serve(channel):
        await channel.send(await channel.receive())

    socks = []
    for host, port in ((a, 0), (b, 443)):
        with on_host(host):
            sock = trio.socket.socket(type=socket.SOCK_DGRAM)
            await sock.bind(("", port))
            socks.append(sock)
    async with trio.open_nursery() as nursery:
        client, server = map(trio.DTLSEndpoint, socks)
        await nursery.start(server.serve, certificate, serve)
        channel = client.connect((B, 443), client_context)
        await channel.send(b"hello")
        assert await channel.receive() == b"hello"
        nursery.cancel_scope.cancel()
        client.close()
        server.close()


# ---------------------------------------------------------------- connecting


async def test_a_closed_port_refuses_and_silence_times_out(net, a, b, autojump_clock):
    sock = on(a)
    with pytest.raises(ConnectionRefusedError):
        await sock.connect((B, 7))
    with refused(errno.ENOTCONN):
        sock.getpeername()
    await listening(b)
    await sock.connect((B, 7))  # the same socket may try again
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    net.drop = lambda packet: True
    started = trio.current_time()
    with pytest.raises(TimeoutError):
        await on(a).connect((B, 7))
    assert trio.current_time() - started == 127


async def test_no_way_is_told_at_once(net, autojump_clock):
    lonely = net.host("lonely", "10.0.0.9", behind=net.segment("island"))
    with refused(errno.ENETUNREACH):
        await on(lonely).connect((B, 7))
    assert trio.current_time() == 0


async def test_an_interface_that_is_down_has_no_way(a, b, autojump_clock):
    sock = on(a)
    await sock.bind((A, 5))
    a.interface(A).down()
    with refused(errno.ENETUNREACH):
        await sock.connect((B, 7))


async def test_a_bound_socket_connects_from_its_port(net, a, b, autojump_clock):
    listener = await listening(b)
    for address in (A, ""):
        sock = on(a)
        await sock.bind((address, 5000))
        await sock.connect((B, 7))
        assert (await listener.accept())[1] == (A, 5000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


async def test_a_port_that_is_connected_cannot_be_bound(a, b, autojump_clock):
    client, _ = await connected(a, b)
    with refused(errno.EADDRINUSE):
        await on(a).bind(client.getsockname())
    other = on(a)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    with refused(errno.EISCONN):
        await client.connect((B, 7))
    with refused(errno.EINVAL):
        client.listen()


async def test_cancelling_a_connection_closes_the_socket(net, a, b, autojump_clock):
    sock = on(a)
    with trio.move_on_after(0.1):
        await sock.connect((B, 7))
    assert sock.fileno() == -1


# ---------------------------------------------------------------- listening


async def test_binding_fails_as_on_a_system(net, a, autojump_clock):
    first = on(a)
    await first.bind(("", 7))
    assert first.getsockname() == ("0.0.0.0", 7)
    assert not first.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    with refused(errno.EADDRINUSE):
        await on(a).bind((A, 7))
    with refused(errno.EADDRNOTAVAIL):
        await on(a).bind((B, 7))
    with refused(errno.EINVAL):
        await first.bind((A, 8))
    with refused(errno.EINVAL):
        await first.accept()
    with refused(errno.EOPNOTSUPP):
        on(a).listen()
    first.listen()
    first.listen(5)
    assert first.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    first.close()
    assert (await listening(a, 0)).getsockname()[1] >= 49152


async def test_a_listener_whose_port_others_share_may_find_it_taken(net, a, monkeypatch, autojump_clock):
    from sansice import SocketError, SocketErrorKind
    from sansice.simulation import TcpPorts

    sock = on(a)
    await sock.bind((A, 7))
    monkeypatch.setattr(TcpPorts, "listen", lambda *_, **__: SocketError(SocketErrorKind.ADDRESS_IN_USE, "taken"))
    with refused(errno.EADDRINUSE):
        sock.listen()


async def test_beyond_the_backlog_connections_are_reset(net, a, b, autojump_clock):
    listener = await listening(b, backlog=1)
    kept, lost = on(a), on(a)
    await kept.connect((B, 7))
    await lost.connect((B, 7))
    with pytest.raises(ConnectionResetError):
        await lost.recv(9)
    assert listener.is_readable()


async def test_closing_a_listener_resets_who_was_not_taken_and_wakes_who_waits(net, a, b, autojump_clock):
    listener, client = await listening(b), on(a)
    await client.connect((B, 7))
    await trio.sleep(1)
    assert listener.is_readable()
    listener.close()
    with pytest.raises(ConnectionResetError):
        await client.recv(9)
    other = trio.SocketListener(await listening(b))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait():
            with pytest.raises(trio.ClosedResourceError):
                await other.accept()

        await trio.testing.wait_all_tasks_blocked()
        await other.aclose()


# ---------------------------------------------------------------- data and ends


async def test_each_direction_ends_by_itself(a, b, autojump_clock):
    client, server = await connected(a, b)
    client.shutdown(socket.SHUT_WR)
    assert client.did_shutdown_SHUT_WR
    assert await server.recv(9) == b""
    await server.send(b"still")
    assert await client.recv(2) == b"st"
    assert await client.recv(9) == b"ill"
    with pytest.raises(BrokenPipeError):
        await client.send(b"x")
    client.shutdown(socket.SHUT_RD)
    assert await client.recv(9) == b""
    server.shutdown(socket.SHUT_RDWR)
    assert await server.recv(9) == b""


async def test_a_reset_is_told_once_after_what_had_arrived(a, b, autojump_clock):
    client, server = await connected(a, b)
    await server.send(b"last words")
    await client.wait_writable()
    await trio.sleep(1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    server.close()
    await trio.sleep(1)
    assert client.is_readable()
    assert await client.recv(100) == b"last words"
    with pytest.raises(ConnectionResetError):
        await client.recv(9)
    assert await client.recv(9) == b""
    with pytest.raises(BrokenPipeError):
        await client.send(b"x")


async def test_sending_to_who_has_closed_breaks_the_pipe(a, b, autojump_clock):
    client, server = await connected(a, b)
    server.close()
    await trio.sleep(1)
    await client.send(b"x")
    await trio.sleep(1)
    with pytest.raises(BrokenPipeError):
        await client.send(b"x")


async def test_closing_with_data_unread_resets(a, b, autojump_clock):
    client, server = await connected(a, b)
    await client.send(b"x")
    await trio.sleep(1)
    server.close()
    with pytest.raises(ConnectionResetError):
        await client.recv(9)


async def test_a_peer_that_does_not_read_stops_the_sender(net, a, b, autojump_clock):
    client, server = await connected(a, b)
    total = 0
    with trio.move_on_after(30) as scope:
        while True:
            total += await client.send(bytes(50_000))
    assert scope.cancelled_caught
    with trio.move_on_after(30) as scope:
        await client.wait_writable()
    assert scope.cancelled_caught
    assert 65_535 <= total <= 2**20
    read = 0
    while read < total:
        read += len(await server.recv(100_000))
    await client.wait_writable()
    assert await client.send(b"") == 0


async def test_a_slow_line_takes_its_time(net, b, autojump_clock):
    slow = net.host("slow", "192.0.2.3", link=Link(bandwidth=80_000, queue=100_000))
    client, server = await connected(slow, b)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.SocketStream(client).send_all, bytes(100_000))
        left = 100_000
        while left:
            left -= len(await server.recv(left))
    assert 10 < trio.current_time() - started < 14


async def test_what_is_not_connected_can_neither_send_nor_receive(a, autojump_clock):
    sock = on(a)
    assert not sock.did_shutdown_SHUT_WR
    for call in (sock.getpeername, lambda: sock.shutdown(socket.SHUT_WR)):
        with refused(errno.ENOTCONN):
            call()
    with refused(errno.ENOTCONN):
        await sock.recv(9)
    with refused(errno.ENOTCONN):
        await sock.send(b"x")
    sock.close()
    for call in (sock.recv(9), sock.send(b"x"), sock.accept(), sock.connect((B, 7))):
        with refused(errno.EBADF):
            await call


async def test_peeking_into_a_stream_is_refused(a, b, autojump_clock):
    client, server = await connected(a, b)
    await client.send(b"x")
    with refused(errno.EOPNOTSUPP):
        await server.recv(9, socket.MSG_PEEK)


async def test_a_host_connects_to_itself_over_loopback(a, autojump_clock):
    listener, sock = await listening(a, address="127.0.0.1"), on(a)
    await sock.connect(("127.0.0.1", 7))
    assert (await listener.accept())[1] == sock.getsockname()
    assert trio.current_time() == 0
