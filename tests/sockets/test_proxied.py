"""Connections that a trusted proxy hands on."""

import math
import select
import socket
import ssl
import struct

import pytest

from _certificates import Authority
from sansice import Address, CloseMode, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.sockets import TlsConfig
from sansice.sockets._proxied import HEADER_TIMEOUT, MAX_PROXIED
from sockets._bare import LOOPBACK, PATIENCE

TRUSTING = SocketOptions(trusted_proxies=("127.0.0.0/8",))
HEADER = b"PROXY TCP4 192.0.2.7 198.51.100.1 5000 3478\r\n"
CLIENT = Address("192.0.2.7", 5000)


def connect(address):
    return socket.create_connection(address, PATIENCE)


def received(sock):
    """What arrives; nothing where the connection was reset."""
    try:
        return sock.recv(100)
    except ConnectionResetError:
        return b""


def test_a_connection_is_told_with_the_address_that_the_proxy_names_and_without_the_header(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        proxy.sendall(HEADER + b"hello")
        assert bare.until("accepted") == ("accepted", 1, -1, CLIENT)
        bare.until("data")
        assert bare.stream(-1) == b"hello"
        bare.sockets.send_stream(SocketId(-1), b"back")
        assert proxy.recv(10) == b"back"
    assert bare.sockets.deadline() == math.inf


def test_a_header_that_comes_in_pieces_is_waited_for_without_spinning(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        for byte in HEADER[:-1]:
            proxy.sendall(bytes([byte]))
            bare.feed()
            assert bare.idle()
        assert not bare.of("accepted")
        proxy.sendall(HEADER[-1:] + b"x")
        bare.until("accepted", "data")
        assert bare.stream(-1) == b"x"


def test_a_proxy_that_speaks_for_itself_keeps_its_address(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        proxy.sendall(bytes.fromhex("0d0a0d0a000d0a515549540a") + struct.pack("!BBH", 0x20, 0, 0))
        assert bare.until("accepted")[3] == Address(*proxy.getsockname())


def test_whoever_is_not_trusted_has_no_header_read(bare):
    local = bare.listen(options=SocketOptions(trusted_proxies=("192.0.2.0/24", "2001:db8::/32")))
    with connect(local) as liar:
        liar.sendall(HEADER)
        assert bare.until("accepted")[3] == Address(*liar.getsockname())
        bare.until("data")
        assert bare.stream(-1) == HEADER


@pytest.mark.parametrize("sent", [b"\x00\x01\x00\x00", HEADER[:20], b""])
def test_a_proxy_that_says_something_else_or_leaves_is_refused_and_counted(bare, sent):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        proxy.sendall(sent)
        proxy.shutdown(socket.SHUT_WR)
        while not bare.sockets.lost:
            bare.feed()
        assert received(proxy) == b""
    assert bare.sockets.lost == {"bad header of a proxy": 1}
    assert not bare.of("accepted")
    assert bare.sockets.deadline() == math.inf


def test_a_report_of_the_epoll_about_an_earlier_socket_changes_nothing(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        bare.sockets._sockets[-1].feed(select.EPOLLIN, bare.driver)
        assert not bare.sockets.lost
        proxy.sendall(HEADER)
        assert bare.until("accepted")[3] == CLIENT


def test_a_proxy_that_says_nothing_is_given_up(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        assert bare.sockets.deadline() == bare.time + HEADER_TIMEOUT
        bare.fire()
        assert received(proxy) == b""
    assert bare.sockets.lost == {"no header of the proxy in time": 1}


def test_connections_without_a_header_are_bounded_and_the_oldest_goes(bare):
    local = bare.listen(options=TRUSTING)
    proxies = []
    for _ in range(MAX_PROXIED + 1):
        proxies.append(connect(local))
        bare.feed()
    assert received(proxies[0]) == b""
    assert bare.sockets.lost == {"too many connections without a header of their proxy": 1}
    proxies[1].sendall(HEADER)
    assert bare.until("accepted")[3] == CLIENT
    for one in proxies:
        one.close()


def test_a_listener_that_was_closed_gets_no_connection_any_more(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        bare.sockets.close(SocketId(1))
        proxy.sendall(HEADER)
        bare.feed()
        assert received(proxy) == b""
    assert not bare.of("accepted")


def test_a_connection_without_a_header_can_be_closed_by_its_id(bare):
    local = bare.listen(options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        bare.sockets.close(SocketId(-1), CloseMode.FLUSH)
        assert received(proxy) == b""
    assert bare.sockets.deadline() == math.inf


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def certificate(authority):
    return authority.issue("stun.example")


def test_tls_begins_after_the_header(make_bare, authority, certificate):
    bare = make_bare(tls=TlsConfig(certificate))
    local = bare.listen(transport=Transport.TLS, options=TRUSTING)
    context = ssl.create_default_context(cafile=authority.ca_file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="stun.example")
    with connect(local) as proxy:
        with pytest.raises(ssl.SSLWantReadError):
            tls.do_handshake()
        proxy.sendall(HEADER + outgoing.read())
        while not select.select([proxy], [], [], 0)[0]:
            bare.feed()
        incoming.write(proxy.recv(65536))
        tls.do_handshake()
        proxy.sendall(outgoing.read())
        assert bare.until("accepted")[3] == CLIENT


def test_a_certificate_that_is_gone_by_then_is_counted(make_bare, certificate):
    config = TlsConfig(certificate)
    bare = make_bare(tls=config)
    local = bare.listen(transport=Transport.TLS, options=TRUSTING)
    with connect(local) as proxy:
        bare.feed()
        config.certificate = None
        config._contexts.clear()
        proxy.sendall(HEADER)
        while not bare.sockets.lost:
            bare.feed()
        assert received(proxy) == b""
    assert bare.sockets.lost == {"gone before it was accepted": 1}


def test_only_accepted_connections_can_be_a_proxys(bare):
    assert bare.open(options=TRUSTING) == ("failed", 1, SocketErrorKind.UNSUPPORTED)
    told = bare.open(transport=Transport.TCP, remote=Address("127.0.0.1", 9), options=TRUSTING)
    assert told == ("failed", 1, SocketErrorKind.UNSUPPORTED)
    told = bare.open(transport=Transport.TCP, options=SocketOptions(trusted_proxies=("10.0.0.1/8",)))
    assert told == ("failed", 1, SocketErrorKind.OTHER)
    assert "10.0.0.1/8 has host bits set" in bare.machine.errors[-1].text
    assert bare.open(2, LOOPBACK, Transport.TCP)[0] == "opened"
