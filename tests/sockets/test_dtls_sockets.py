"""DTLS over loopback: who is told what, and what becomes of peers that misbehave."""

import math
import random
import select
import socket

import pytest

from _certificates import Authority
from sansice import Address, CloseMode, IcmpError, SocketErrorKind, SocketId, SocketOptions, TlsOptions, Transport
from sansice._dtls_server import IDLE_TIMEOUT
from sansice._tls_error import TlsError
from sansice.sockets import TlsConfig
from sansice.sockets._dtls_sockets import HANDSHAKE_TIMEOUT
from sansice.sockets._udp import UdpSocket
from sockets._bare import LOOPBACK
from sockets.test_tls_streams import both, until

ONE = SocketId(1)
NAMED = SocketOptions(tls=TlsOptions(server_hostname="stun.example"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("dtls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("stun.example", "127.0.0.1", "::1")


@pytest.fixture
def server(make_bare, certificate):
    return make_bare(tls=TlsConfig(certificate))


@pytest.fixture
def client(make_bare, authority):
    return make_bare(tls=TlsConfig(ca_file=authority.ca_file))


@pytest.fixture
def pair(client, server):
    """A client whose socket 1 has an association with the server's socket 1; and both addresses."""
    remote = server.listen(transport=Transport.DTLS)
    client.open(transport=Transport.DTLS, remote=remote, options=NAMED)
    until([client, server], "opened")
    local = client.heard.pop()[2]
    both(client, server)
    return client, server, local, remote


def test_the_machine_hears_of_its_socket_when_the_handshake_is_done(client, server):
    remote = server.listen(transport=Transport.DTLS)
    assert client.open(transport=Transport.DTLS, remote=remote, options=NAMED) is None
    assert 100 < client.sockets.deadline() <= 101
    server.feed()  # the first ClientHello
    client.feed()
    assert client.heard == []
    assert server.sockets.deadline() == math.inf  # nothing is kept before the cookie returns
    until([client, server], "opened")
    both(client, server)
    assert len(client.heard) == 1
    assert client.sockets.deadline() == math.inf
    assert server.sockets.deadline() == 100 + IDLE_TIMEOUT
    assert server.heard == []


def test_datagrams_pass_both_ways_and_come_from_where_they_were_sent(pair):
    client, server, local, remote = pair
    client.sockets.send(ONE, remote, b"question")
    until([server, client], "datagram")
    assert server.heard == [("datagram", 1, local, b"question")]
    server.sockets.send(ONE, local, b"answer")
    until([client, server], "datagram")
    assert client.heard == [("datagram", 1, remote, b"answer")]


def test_a_listener_has_many_peers(server, make_bare, authority):
    remote = server.listen(transport=Transport.DTLS)
    clients = [make_bare(tls=TlsConfig(ca_file=authority.ca_file)) for _ in range(3)]
    for number, client in enumerate(clients):
        client.open(transport=Transport.DTLS, remote=remote, options=NAMED)
        until([client, server], "opened")
        client.sockets.send(ONE, remote, b"from %d" % number)
    both(server, *clients)
    assert server.of("datagram") == [("datagram", 1, client.heard[0][2], b"from %d" % n) for n, client in enumerate(clients)]


@pytest.mark.req("RFC8489-038", "RFC7350-001")
@pytest.mark.parametrize("name", ["other.example", "localhost"])
def test_nothing_is_sent_to_a_server_of_another_name(client, server, name):
    options = SocketOptions(tls=TlsOptions(server_hostname=name))
    remote = server.listen(transport=Transport.DTLS)
    client.open(transport=Transport.DTLS, remote=remote, options=options)
    client.sockets.send(ONE, remote, b"a STUN request")
    until([client, server], "failed")
    both(server)
    assert client.heard == [("failed", 1, SocketErrorKind.TLS)]
    assert client.machine.errors[0].text == f"the certificate was refused: it is not for {name}"
    assert client.sockets.lost == {"DTLS: not sendable": 1}
    assert server.heard == []
    assert server.sockets.lost == {"DTLS: failed": 1}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_without_a_name_the_certificate_must_be_for_the_address(client, server, host):
    bind = Address(host, 0)
    client.open(bind=bind, transport=Transport.DTLS, remote=server.listen(bind=bind, transport=Transport.DTLS))
    until([client, server], "opened")


def test_goodbyes_are_heard(pair):
    client, server, _, _ = pair
    server.sockets.close(ONE, CloseMode.FLUSH)
    until([client], "failed")
    assert client.heard == [("failed", 1, SocketErrorKind.RESET)]
    assert client.sockets._sockets == server.sockets._sockets == {}
    assert server.sockets.deadline() == math.inf


@pytest.mark.parametrize("mode", CloseMode)
def test_a_client_says_goodbye_only_when_it_flushes(pair, mode):
    client, server, local, _ = pair
    client.sockets.close(ONE, mode)
    both(server)
    server.sockets.send(ONE, local, b"still there?")
    assert (server.sockets.lost == {"DTLS: no association": 1}) is (mode is CloseMode.FLUSH)


def test_nobody_at_the_port_is_told_at_once(client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        remote = Address(*gone.getsockname())
    client.open(transport=Transport.DTLS, remote=remote, options=NAMED)
    assert client.until("failed") == ("failed", 1, SocketErrorKind.REFUSED)
    assert client.sockets.deadline() == math.inf


def test_errors_of_an_association_are_the_machines(pair):
    client, server, _, remote = pair
    server.sockets.close(ONE, CloseMode.RESET)
    client.sockets.send(ONE, remote, b"anybody?")
    client.until("icmp")
    assert client.heard == [("icmp", remote, IcmpError(3, 3))]


def test_an_error_that_may_pass_does_not_end_a_handshake(client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client.open(transport=Transport.DTLS, remote=Address(*silent.getsockname()), options=NAMED)
        client.sockets._sockets[1].take_error(LOOPBACK, IcmpError(3, 1), client.driver)
        assert client.heard == []


def test_a_closed_peer_is_told_to_the_listeners_machine(pair):
    client, server, local, _ = pair
    client.sockets.close(ONE, CloseMode.RESET)
    server.sockets.send(ONE, local, b"one")
    server.machine.react["icmp"] = lambda *_: server.sockets.close(ONE, CloseMode.RESET)
    server.sockets.send(ONE, local, b"two")
    server.until("icmp")
    assert server.heard == [("icmp", local, IcmpError(3, 3))]


def test_nothing_is_told_after_the_machine_closed_on_the_first_error(pair, monkeypatch):
    _, server, local, remote = pair
    errors = [(local, IcmpError(3, 3)), (remote, IcmpError(3, 3))]
    monkeypatch.setattr(UdpSocket, "read_errors", lambda self: errors)
    server.machine.react["icmp"] = lambda *_: server.sockets.close(ONE, CloseMode.RESET)
    server.sockets._sockets[1].feed(select.EPOLLERR, server.driver)
    assert server.heard == [("icmp", local, IcmpError(3, 3))]


def test_a_server_that_says_nothing_is_asked_again_and_given_up(client):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client.open(transport=Transport.DTLS, remote=Address(*silent.getsockname()), options=NAMED)
        first = silent.recv(2000)
        client.fire()
        while not readable(silent):  # until OpenSSL's clock, which is the system's, has reached the time
            client.sockets._sockets[1].expire(client.driver, client.time)
        assert silent.recv(2000)[13:] == first[13:]
        client.time = 100 + HANDSHAKE_TIMEOUT
        client.sockets.timer(client.driver, client.time)
    assert client.heard == [("failed", 1, SocketErrorKind.TIMEOUT)]
    assert client.sockets.deadline() == math.inf


def readable(sock):
    try:
        sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK)
    except BlockingIOError:
        return False
    return True


def test_openssl_may_give_up_first(client, monkeypatch):
    def tired(self):
        raise TlsError("read timeout expired")

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        client.open(transport=Transport.DTLS, remote=Address(*silent.getsockname()), options=NAMED)
        monkeypatch.setattr(type(client.sockets._sockets[1]._session), "handle_timeout", tired)
        client.fire()
    assert client.heard == [("failed", 1, SocketErrorKind.TIMEOUT)]


def test_who_is_silent_for_long_is_forgotten(pair):
    client, server, local, _ = pair
    server.fire()
    until([client], "failed")
    server.sockets.send(ONE, local, b"x")
    assert server.sockets.lost == {"DTLS: no association": 1}
    assert server.sockets.deadline() == math.inf


def test_garbage_from_anywhere_changes_nothing(pair):
    client, server, local, remote = pair
    source = random.Random(3)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        stranger.bind(("127.0.0.1", 0))
        for size in (0, 1, 13, 100, 1400):
            for start in (b"", b"\x16\xfe\xfd\0\0", b"\x17\xfe\xfd\0\1", bytes.fromhex("000100002112a442")):
                stranger.sendto(start + source.randbytes(size), remote)
                stranger.sendto(start + source.randbytes(size), local)
    both(client, server)
    assert client.heard == server.heard == []
    assert server.sockets.lost == {"DTLS: no association": 20}
    client.sockets.send(ONE, remote, b"still here")
    until([server, client], "datagram")


def test_a_client_sends_to_its_server_alone(pair):
    client, _, _, remote = pair
    client.sockets.send(ONE, Address("127.0.0.2", remote.port), b"x")
    client.sockets.send(ONE, remote, b"")
    assert client.sockets.lost == {"DTLS: no association": 1, "DTLS: not sendable": 1}


def test_what_the_system_does_not_send_is_counted(pair, monkeypatch):
    client, _, _, remote = pair

    def sendto(self, *_):
        raise OSError(101, "no route")

    monkeypatch.setattr(socket.socket, "sendto", sendto)
    client.sockets.send(ONE, remote, b"x")
    assert client.sockets.lost == {"ENETUNREACH": 1}


def test_a_machine_that_closes_when_it_is_told_is_told_no_more(client, server):
    remote = server.listen(transport=Transport.DTLS)
    client.machine.react["opened"] = lambda *_: client.sockets.close(ONE)
    client.open(transport=Transport.DTLS, remote=remote, options=NAMED)
    until([client, server], "opened")
    both(client, server)
    assert [what[0] for what in client.heard] == ["opened"]


def test_several_errors_after_closing_are_not_told(pair):
    client, _, local, remote = pair
    client.machine.react["datagram"] = lambda *_: client.sockets.close(ONE)
    server = pair[1]
    server.sockets.send(ONE, local, b"the end")
    server.sockets.close(ONE, CloseMode.FLUSH)
    both(client)
    assert client.heard == [("datagram", 1, remote, b"the end")]


def test_a_listener_without_a_certificate_says_what_it_needs(client):
    assert client.open(transport=Transport.DTLS) == ("failed", 1, SocketErrorKind.TLS)
    assert "needs a certificate" in client.machine.errors[0].text


@pytest.mark.parametrize("which", ["certificate", "ca_file"])
def test_an_unusable_file_is_named(make_bare, tmp_path, which):
    runtime = make_bare(tls=TlsConfig(**{which: tmp_path / "none.pem"}))
    remote = Address("127.0.0.1", 9) if which == "ca_file" else None
    assert runtime.open(transport=Transport.DTLS, remote=remote) == ("failed", 1, SocketErrorKind.TLS)
    assert "none.pem" in runtime.machine.errors[0].text


def test_a_name_that_no_certificate_can_have_fails_the_socket(client):
    options = SocketOptions(tls=TlsOptions(server_hostname="stün.example"))
    told = client.open(transport=Transport.DTLS, remote=Address("127.0.0.1", 9), options=options)
    assert told == ("failed", 1, SocketErrorKind.TLS)


def test_without_pyopenssl_the_socket_fails_and_says_what_to_install(make_bare, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sansice._dtls", None)
    runtime = make_bare()
    assert runtime.open(transport=Transport.DTLS, remote=Address("127.0.0.1", 9)) == ("failed", 1, SocketErrorKind.TLS)


def test_an_inherited_socket_may_carry_dtls(make_bare, certificate):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    local = Address(*sock.getsockname())
    server = make_bare(tls=TlsConfig(certificate), inherited=[sock])
    assert server.listen(bind=local, transport=Transport.DTLS) == local


def test_a_reload_reaches_new_associations(make_bare, authority, certificate, tmp_path):
    path = tmp_path / "server.pem"
    path.write_bytes(certificate.read_bytes())
    config = TlsConfig(path)
    server = make_bare(tls=config)
    remote = server.listen(transport=Transport.DTLS)
    path.write_bytes(authority.issue("other.example").read_bytes())
    for number, word in ((1, "opened"), (2, "failed")):
        client = make_bare(tls=TlsConfig(ca_file=authority.ca_file))
        client.open(transport=Transport.DTLS, remote=remote, options=NAMED)
        until([client, server], word)
        if number == 1:
            config.reload()
