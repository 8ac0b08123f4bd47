"""UDP through `trio.socket` in a simulated network."""

import errno
import os
import socket

import pytest
import trio

from sansice.simulation import Fate, Link, Network
from sansice_trio.testing import on_host, open_network

A, B = "192.0.2.1", "192.0.2.2"
A6, B6 = "2001:db8::1", "2001:db8::2"


@pytest.fixture
async def net():
    net = Network(seed=1, latency=0.25, trace=1000)
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
        return trio.socket.socket(family, socket.SOCK_DGRAM)


async def bound(host, address=("", 0), family=socket.AF_INET):
    sock = on(host, family)
    with on_host(host):
        await sock.bind(address)
    return sock


def refused(number):
    return pytest.raises(OSError, match=rf"\[Errno {number}\]")


async def test_an_echo_takes_its_round_trip(a, b, autojump_clock):
    server, client = await bound(b, (B, 7)), on(a)
    assert await client.sendto(b"hello", (B, 7)) == 5
    data, source = await server.recvfrom(100)
    assert (data, trio.current_time()) == (b"hello", 0.25)
    assert source == (A, client.getsockname()[1])
    await server.sendto(data, 0, source)
    assert await client.recvfrom(100) == (b"hello", (B, 7))
    assert trio.current_time() == 0.5


async def test_ipv6_has_addresses_of_four_parts(a, b, autojump_clock):
    server, client = await bound(b, ("::", 7), socket.AF_INET6), on(a, socket.AF_INET6)
    assert client.getsockname() == ("::", 0, 0, 0)
    await client.sendto(b"x", (B6, 7, 0, 0))
    _, source = await server.recvfrom(100)
    assert source == (A6, client.getsockname()[1], 0, 0)


async def test_a_wildcard_hears_at_every_address_and_answers_from_the_one_that_leads_there(net, a, b, autojump_clock):
    a.attach("10.0.0.1", net.segment("lan"))
    inside = net.host("inside", "10.0.0.2", behind=a.interface("10.0.0.1").place)
    server = await bound(a, ("0.0.0.0", 7))
    for host, address in ((b, A), (inside, "10.0.0.1")):
        client = on(host)
        await client.sendto(b"x", (address, 7))
        data, source = await server.recvfrom(9)
        await server.sendto(data, source)
        assert (await client.recvfrom(9))[1] == (address, 7)


async def test_a_wildcard_takes_in_an_address_that_came_later_when_it_sends_from_there(net, a, b, autojump_clock):
    server, client = await bound(a, ("", 7)), await bound(b, ("", 8))
    a.interface(A).readdress("192.0.2.77")
    await server.sendto(b"x", (B, 8))
    assert (await client.recvfrom(9))[1] == ("192.0.2.77", 7)
    await client.sendto(b"y", ("192.0.2.77", 7))
    assert await server.recv(9) == b"y"


async def test_any_port_is_the_same_at_every_address(net, a, autojump_clock):
    a.attach("192.0.2.66", net.internet)
    one = await bound(a)
    port = one.getsockname()[1]
    assert port >= 49152
    with refused(errno.EADDRINUSE):
        await bound(a, ("192.0.2.66", port))


async def test_a_port_that_is_free_at_one_address_only_is_not_taken_for_a_wildcard(net, a, monkeypatch, autojump_clock):
    a.attach("192.0.2.66", net.internet)
    ports = iter([50_000, 50_001])
    real = type(a).bind

    def bind(host, node, id, wanted, options):
        if not wanted.port:
            wanted = wanted._replace(port=next(ports))
        return real(host, node, id, wanted, options)

    await bound(a, ("192.0.2.66", 50_000))
    monkeypatch.setattr(type(a), "bind", bind)
    assert (await bound(a)).getsockname() == ("0.0.0.0", 50_001)


async def test_binding_fails_as_on_a_system(net, a, b, autojump_clock):
    sock = await bound(a, (A, 7))
    with refused(errno.EADDRINUSE):
        await bound(a, (A, 7))
    with refused(errno.EADDRINUSE):
        await bound(a, ("", 7))
    with refused(errno.EADDRNOTAVAIL):
        await bound(a, (B, 7))
    with refused(errno.EINVAL):
        await sock.bind((A, 8))
    sock.close()
    (await bound(a, (A, 7))).close()


async def test_two_sockets_may_share_a_port(a, b, autojump_clock):
    socks = []
    for _ in range(2):
        sock = on(a)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        await sock.bind((A, 7))
        socks.append(sock)
    await on(b).sendto(b"x", (A, 7))
    await trio.sleep(1)
    assert sorted(sock.is_readable() for sock in socks) == [False, True]


async def test_names_and_strange_addresses_are_resolved_or_refused(net, a, b, autojump_clock):
    from sansice import AddressRecord

    net.resolve("b.example", [AddressRecord(B)], latency=0.5)
    server, client = await bound(b, (B, 7)), on(a)
    with on_host(a):
        await client.sendto(b"x", ("b.example", 7))
        assert trio.current_time() == 0.5
        with pytest.raises(socket.gaierror):
            await client.sendto(b"x", (B6, 7))
        with pytest.raises(ValueError, match=r"\(host, port\), not 'b'"):
            await client.sendto(b"x", "b")
        with pytest.raises(ValueError, match=r"\(host, port, \[flow, \[scope\]\]\)"):
            await on(a, socket.AF_INET6).bind((A6,))
        with pytest.raises(OverflowError, match="65536"):
            await client.sendto(b"x", (B, 65536))
        with refused(errno.ENETUNREACH):
            await on(net.host("nowhere", "10.0.0.9", behind=net.segment("island"))).sendto(b"x", (B, 7))
        with pytest.raises(TypeError):
            await client.sendto(b"x")
    assert await server.recv(10) == b"x"


async def test_ports_may_be_text_and_no_host_is_the_wildcard(a, autojump_clock):
    assert (await bound(a, (None, "7"))).getsockname() == ("0.0.0.0", 7)
    assert (await bound(a, (None, 8), socket.AF_INET6)).getsockname() == ("::", 8, 0, 0)


async def test_broadcast_has_no_way(a, autojump_clock):
    with on_host(a):
        await on(a).sendto(b"x", ("<broadcast>", 7))  # the Internet loses it


# ---------------------------------------------------------------- connected


async def test_a_connected_socket_hears_its_peer_only(net, a, b, autojump_clock):
    server, stranger, client = await bound(b, (B, 7)), await bound(b, (B, 8)), on(a)
    await client.connect((B, 7))
    assert client.getpeername() == (B, 7)
    assert client.getsockname()[0] == A
    assert await client.send(b"x") == 1
    _, source = await server.recvfrom(9)
    await stranger.sendto(b"no", source)
    await server.sendto(b"yes", source)
    assert await client.recv(9) == b"yes"
    await trio.sleep(1)
    assert not client.is_readable()


async def test_a_wildcard_that_connects_has_the_address_that_leads_there(a, b, autojump_clock):
    client = await bound(a, ("", 5))
    await client.connect((B, 7))
    assert client.getsockname() == (A, 5)


@pytest.mark.parametrize("call", ["recv", "send", "getsockopt"])
async def test_an_icmp_error_comes_out_of_the_next_call_of_a_connected_socket(a, b, call, autojump_clock):
    client = on(a)
    await client.connect((B, 7))
    await client.send(b"x")
    if call == "recv":
        with pytest.raises(ConnectionRefusedError):
            await client.recv(9)
        assert trio.current_time() == 0.5
        return
    await trio.sleep(1)
    assert client.is_readable()
    if call == "send":
        with pytest.raises(ConnectionRefusedError):
            await client.send(b"x")
        assert await client.send(b"x") == 1
    else:
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        assert client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


async def test_a_socket_that_is_not_connected_hears_of_no_error(a, b, autojump_clock):
    client = on(a)
    await client.sendto(b"x", (B, 7))
    await trio.sleep(1)
    assert not client.is_readable()


async def test_ipv6_errors_are_told_too(a, b, autojump_clock):
    client = on(a, socket.AF_INET6)
    await client.connect((B6, 7))
    await client.send(b"x")
    with pytest.raises(ConnectionRefusedError):
        await client.recv(9)


async def test_what_is_not_connected_has_no_peer(a, autojump_clock):
    sock = on(a)
    for number, call in ((errno.ENOTCONN, sock.getpeername), (errno.ENOTCONN, lambda: sock.shutdown(socket.SHUT_WR))):
        with refused(number):
            call()
    with refused(errno.EDESTADDRREQ):
        await sock.send(b"x")


async def test_sending_can_be_shut_down(a, b, autojump_clock):
    sock = on(a)
    await sock.connect((B, 7))
    sock.shutdown(socket.SHUT_RD)
    assert not sock.did_shutdown_SHUT_WR
    sock.shutdown(socket.SHUT_RDWR)
    assert sock.did_shutdown_SHUT_WR
    with pytest.raises(BrokenPipeError):
        await sock.send(b"x")


# ---------------------------------------------------------------- limits


async def test_too_much_for_a_datagram_or_for_the_path_is_emsgsize(net, b, autojump_clock):
    a = net.host("a", A, link=Link(mtu=1400))
    client = on(a)
    with refused(errno.EMSGSIZE):
        await client.sendto(bytes(65508), (B, 7))
    with refused(errno.EINVAL):
        await client.sendto(b"x", (B, 0))
    server = await bound(b, (B, 7))
    await client.sendto(bytes(3000), (B, 7))
    assert len(await server.recv(5000)) == 3000
    client.setsockopt(socket.IPPROTO_IP, 10, 2)  # IP_MTU_DISCOVER: IP_PMTUDISC_DO
    with refused(errno.EMSGSIZE):
        await client.sendto(bytes(3000), (B, 7))


async def test_nothing_is_sent_by_an_interface_that_is_down(a, b, autojump_clock):
    client = await bound(a, (A, 5))
    a.interface(A).down()
    with refused(errno.ENETUNREACH):
        await client.sendto(b"x", (B, 7))


async def test_a_full_buffer_loses_what_comes_after(net, a, b, autojump_clock):
    server, client = await bound(b, (B, 7)), on(a)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    assert server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) == 4096
    for _ in range(5):
        await client.sendto(bytes(1000), (B, 7))
    await trio.sleep(1)
    assert net.lost[Fate.QUEUE_FULL] == 3
    for _ in range(2):
        await server.recv(1000)
    assert not server.is_readable()


# ---------------------------------------------------------------- all the ways to receive and to send


async def test_every_way_to_receive_gives_the_same(a, b, autojump_clock):
    server, client = await bound(b, (B, 7)), await bound(a, (A, 5))
    for _ in range(7):
        await client.sendto(b"hello", (B, 7))
    buffer = bytearray(8)
    assert await server.recv(3, socket.MSG_PEEK) == b"hel"
    assert await server.recv(100) == b"hello"
    assert (await server.recv_into(buffer), bytes(buffer)) == (5, b"hello\0\0\0")
    assert await server.recvfrom_into(buffer, 2) == (2, (A, 5))
    assert await server.recvmsg(100) == (b"hello", [], 0, (A, 5))
    assert await server.recvmsg(4) == (b"hell", [], socket.MSG_TRUNC, (A, 5))
    parts = [bytearray(2), bytearray(9)]
    assert await server.recvmsg_into(parts) == (5, [], 0, (A, 5))
    assert parts == [b"he", b"llo" + bytes(6)]
    assert await server.recvmsg_into([bytearray(1)]) == (1, [], socket.MSG_TRUNC, (A, 5))
    with pytest.raises(ValueError, match="-1 bytes"):
        await server.recv(-1)


async def test_every_way_to_send_sends(a, b, autojump_clock):
    server, client = await bound(b, (B, 7)), on(a)
    await client.sendmsg([b"he", bytearray(b"l"), memoryview(b"lo")], [], 0, (B, 7))
    assert await server.recv(9) == b"hello"
    await client.connect((B, 7))
    await client.sendmsg([b"again"])
    assert await server.recv(9) == b"again"
    with refused(errno.EOPNOTSUPP):
        await client.sendmsg([b"x"], [(0, 0, b"")])


# ---------------------------------------------------------------- the socket itself


async def test_closing_wakes_who_waits_and_frees_the_port(a, autojump_clock):
    sock = await bound(a, (A, 7))
    async with trio.open_nursery() as nursery:

        @nursery.start_soon
        async def wait():
            with pytest.raises(trio.ClosedResourceError):
                await sock.recv(9)

        await trio.testing.wait_all_tasks_blocked()
        sock.close()
        sock.close()
    assert sock.fileno() == -1
    for call in (sock.getsockname, sock.getpeername, lambda: sock.setsockopt(1, 2, 3), lambda: sock.getsockopt(1, 2)):
        with refused(errno.EBADF):
            call()
    with refused(errno.EBADF):
        await sock.recv(9)
    with await bound(a, (A, 7)) as again:
        assert again.fileno() > 2**20
    assert again.fileno() == -1


async def test_a_wait_that_is_cancelled_loses_nothing(a, b, autojump_clock):
    server, client = await bound(b, (B, 7)), on(a)
    with trio.move_on_after(0.1) as scope:
        await server.recv(9)
    assert scope.cancelled_caught
    await client.sendto(b"x", (B, 7))
    assert await server.recv(9) == b"x"


async def test_every_call_that_waits_is_a_checkpoint(a, b, autojump_clock):
    sock = await bound(a, (A, 7))
    await on(b).sendto(b"x", (A, 7))
    await trio.sleep(1)
    for call, arguments in ((sock.recv, (9,)), (sock.sendto, (b"", (B, 7))), (sock.connect, ((B, 7),)), (sock.bind, ((A, 8),))):
        with trio.CancelScope() as scope:
            scope.cancel()
            await call(*arguments)
        assert scope.cancelled_caught
    await sock.wait_writable()


async def test_what_a_socket_says_of_itself(a, autojump_clock):
    sock = on(a)
    assert (sock.type, sock.family, sock.proto) == (socket.SOCK_DGRAM, socket.AF_INET, 0)
    assert repr(sock) == "<DatagramSocket unbound on a>"
    option = sock.getsockopt
    level = socket.SOL_SOCKET
    assert option(level, socket.SO_TYPE) == socket.SOCK_DGRAM
    assert option(level, socket.SO_TYPE, 2) == b"\2\0"
    assert (option(level, socket.SO_ACCEPTCONN), option(level, socket.SO_PROTOCOL)) == (0, socket.IPPROTO_UDP)
    assert not sock.get_inheritable()
    sock.set_inheritable(False)
    for call in (sock.detach, sock.dup, sock.listen, lambda: sock.set_inheritable(True)):
        with refused(errno.EOPNOTSUPP):
            call()
    with refused(errno.EOPNOTSUPP):
        await sock.accept()
    with on_host(a):
        assert trio.socket.socket(type=socket.SOCK_DGRAM | socket.SOCK_CLOEXEC).type is socket.SOCK_DGRAM


async def test_options_are_kept_and_unknown_ones_refused(a, autojump_clock):
    sock = on(a)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 0xB8)
    assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0xB8
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, A.encode() + b"\0")
    await sock.bind((A, 7))
    other = on(a)
    other.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth9")
    with refused(errno.EADDRNOTAVAIL):
        await other.bind((A, 8))
    other.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, None, 0)
    await other.bind((A, 8))
    for call in (lambda: sock.setsockopt(99, 99, 1), lambda: sock.getsockopt(99, 99)):
        with refused(errno.ENOPROTOOPT):
            call()


async def test_a_host_talks_to_itself_over_loopback(a, autojump_clock):
    server = await bound(a, ("127.0.0.1", 7))
    client = on(a)
    await client.sendto(b"x", ("127.0.0.1", 7))
    assert await server.recvfrom(9) == (b"x", ("127.0.0.1", client.getsockname()[1]))
    assert trio.current_time() == 0
    six = await bound(a, ("::1", 7), socket.AF_INET6)
    await six.connect(("::1", 7))
    await six.send(b"x")
    assert await six.recv(9) == b"x"


def test_numbers_of_files_differ(tmp_path):
    from sansice_trio.testing import _base

    assert next(_base._NUMBERS) != next(_base._NUMBERS)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(next(_base._NUMBERS))


async def test_a_socket_base_has_no_behaviour_of_its_own(a, net, autojump_clock):
    from sansice_trio.testing._base import SimulatedSocket

    plain = SimulatedSocket(a, net, socket.AF_INET)
    for call in (plain._release, plain._is_readable, plain._is_writable, lambda: plain._receive(1, 0)):
        with pytest.raises(NotImplementedError):
            call()
    with pytest.raises(NotImplementedError):
        await plain._send(b"", None)
