"""TLS over loopback: who is told what, and what becomes of peers that misbehave."""

import math
import socket
import ssl

import pytest

from _certificates import Authority
from sansice import Address, CloseMode, SocketErrorKind, SocketId, SocketOptions, TlsOptions, Transport
from sansice.sockets import TlsConfig, _stream
from sansice.sockets._stream import HANDSHAKE_TIMEOUT
from sockets._bare import PATIENCE

ONE = SocketId(1)
NAMED = SocketOptions(tls=TlsOptions(server_hostname="stun.example"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def certificate(authority):
    return authority.issue("stun.example", "127.0.0.1")


@pytest.fixture
def server(make_bare, certificate):
    return make_bare(tls=TlsConfig(certificate))


@pytest.fixture
def client(make_bare, authority):
    return make_bare(tls=TlsConfig(ca_file=authority.ca_file))


def both(*runtimes):
    """Feed whoever has something, until nobody does."""
    while ready := [runtime for runtime in runtimes if not runtime.idle()]:
        for runtime in ready:
            runtime.feed()


def until(runtimes, *kinds):
    """Feed them all until the first has heard of each of these kinds."""
    while not {what[0] for what in runtimes[0].heard}.issuperset(kinds):
        ready = [runtime for runtime in runtimes if not runtime.idle()]
        for runtime in ready or runtimes[:1]:
            runtime.feed()


@pytest.fixture
def pair(client, server):
    """A client whose socket 1 is open, and the server's end of it, -1."""
    local = server.listen(transport=Transport.TLS)
    client.open(transport=Transport.TLS, remote=local, options=NAMED)
    until([client, server], "opened")
    until([server, client], "accepted")
    client.heard.clear()
    server.heard.clear()
    return client, server


def plain(address):
    return socket.create_connection(address, PATIENCE)


# ---------------------------------------------------------------- the handshake


def test_the_machine_hears_of_a_connection_when_the_handshake_is_done(client, server):
    local = server.listen(transport=Transport.TLS)
    assert client.open(transport=Transport.TLS, remote=local, options=NAMED) is None
    client.feed()  # connected
    assert client.heard == []
    assert client.sockets.deadline() == 100 + HANDSHAKE_TIMEOUT
    until([client, server], "opened")
    until([server, client], "accepted")
    assert client.heard[0][:2] == ("opened", 1)
    assert server.heard == [("accepted", 1, -1, client.heard[0][2])]
    assert client.sockets.deadline() == server.sockets.deadline() == math.inf


@pytest.mark.req("RFC8489-038")
@pytest.mark.parametrize("name", ["other.example", "example"])
def test_nothing_is_sent_to_a_server_of_another_name(client, server, name):
    local = server.listen(transport=Transport.TLS)
    client.open(transport=Transport.TLS, remote=local, options=SocketOptions(tls=TlsOptions(server_hostname=name)))
    client.sockets.send_stream(ONE, b"a STUN request")
    until([client, server], "failed")
    both(client, server)
    assert client.heard == [("failed", 1, SocketErrorKind.TLS)]
    assert "certificate was refused" in client.machine.errors[0].text
    assert server.heard == []
    assert server.sockets.lost == {"TLS handshake failed": 1}


@pytest.mark.req("RFC8489-038")
def test_without_a_name_the_certificate_must_be_for_the_address(client, make_bare, authority, certificate):
    for number, path, told in ((1, certificate, "opened"), (2, authority.issue("stun.example"), "failed")):
        server = make_bare(tls=TlsConfig(path))
        client.open(number, transport=Transport.TLS, remote=server.listen(transport=Transport.TLS))
        until([client, server], told)


@pytest.mark.req("RFC8489-038")
def test_a_client_without_configuration_trusts_no_stranger(make_bare, server):
    client = make_bare()
    client.open(transport=Transport.TLS, remote=server.listen(transport=Transport.TLS), options=NAMED)
    until([client, server], "failed")
    assert client.heard == [("failed", 1, SocketErrorKind.TLS)]


def test_what_is_sent_early_arrives_after_the_handshake(client, server):
    local = server.listen(transport=Transport.TLS)
    client.open(transport=Transport.TLS, remote=local, options=NAMED)
    client.sockets.send_stream(ONE, b"early ")
    client.feed()
    client.sockets.send_stream(ONE, b"bird")
    until([server, client], "data")
    assert server.stream(-1) == b"early bird"


def test_too_much_before_the_handshake_fails(make_bare, server):
    client = make_bare(max_unsent=1000)
    client.open(transport=Transport.TLS, remote=server.listen(transport=Transport.TLS), options=NAMED)
    client.sockets.send_stream(ONE, bytes(1001))
    assert client.heard == [("failed", 1, SocketErrorKind.BACKLOG)]


def test_reading_may_be_paused_during_the_handshake_which_goes_on(client, server):
    local = server.listen(transport=Transport.TLS)
    client.open(transport=Transport.TLS, remote=local, options=NAMED)
    client.sockets.set_reading(ONE, False)
    until([client, server], "opened")
    until([server, client], "accepted")
    server.sockets.send_stream(SocketId(-1), b"wait")
    assert client.of("data") == []
    client.sockets.set_reading(ONE, True)
    until([client, server], "data")


# ---------------------------------------------------------------- data, and its end


def test_data_passes_both_ways_whatever_its_length(pair):
    client, server = pair
    data = bytes(range(256)) * 1000
    client.sockets.send_stream(ONE, data)
    while len(server.stream(-1)) < len(data):
        until([server, client], "data")
        both(server, client)
    assert server.stream(-1) == data
    server.sockets.send_stream(SocketId(-1), b"short")
    until([client, server], "data")
    assert client.stream(1) == b"short"


def test_a_flushed_end_is_clean(pair):
    client, server = pair
    client.sockets.send_stream(ONE, b"last words")
    client.sockets.close(ONE, CloseMode.FLUSH)
    until([server, client], "data")
    both(server, client)
    assert server.heard == [("data", -1, b"last words"), ("data", -1, b"")]
    server.sockets.close(SocketId(-1))
    both(server, client)
    assert client.sockets._sockets == {}
    assert client.heard == []


def test_a_reset_is_told_as_a_reset(pair):
    client, server = pair
    client.sockets.close(ONE, CloseMode.RESET)
    until([server], "failed")
    assert server.heard == [("failed", -1, SocketErrorKind.RESET)]


def test_a_cut_connection_is_a_failure_and_no_end(server, authority):
    local = server.listen(transport=Transport.TLS)
    context = ssl.create_default_context(cafile=authority.ca_file)
    sock = plain(local)
    sock.setblocking(False)
    tls = context.wrap_socket(sock, server_hostname="stun.example", do_handshake_on_connect=False)
    while not server.of("accepted"):
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            pass
        if not server.idle():
            server.feed()
    with socket.socket(fileno=tls.detach()) as below:
        below.shutdown(socket.SHUT_WR)  # FIN, without close_notify
        server.until("failed")
    assert server.heard[1:] == [("failed", -1, SocketErrorKind.TLS)]
    assert "cut" in server.machine.errors[0].text


def test_a_changed_byte_on_the_way_fails_the_connection(pair):
    client, server = pair
    stream = client.sockets._sockets[1]
    stream._sock.send(bytes.fromhex("1703030020") + bytes(32))
    until([server, client], "failed")
    assert server.heard == [("failed", -1, SocketErrorKind.TLS)]
    until([client, server], "failed")  # by the server's alert
    assert client.heard == [("failed", 1, SocketErrorKind.TLS)]


def test_sending_on_a_stream_whose_tls_is_broken_fails_it(pair):
    client, _ = pair
    stream = client.sockets._sockets[1]
    stream._tls.close()
    client.sockets.send_stream(ONE, b"x")
    assert client.heard == [("failed", 1, SocketErrorKind.TLS)]


# ---------------------------------------------------------------- peers that misbehave


def drained(sock):
    sock.settimeout(PATIENCE)
    try:
        while sock.recv(4096):
            pass
    except ConnectionResetError:
        return "reset"
    return "end"


@pytest.mark.parametrize("data", [bytes.fromhex("000100002112a442") + bytes(12), b"GET / HTTP/1.1\r\n\r\n"])
def test_a_plaintext_client_is_dropped_at_once_and_counted(server, data):
    local = server.listen(transport=Transport.TLS)
    with plain(local) as sock:
        sock.sendall(data)
        while not server.sockets.lost:
            server.feed()
        assert drained(sock) == "end"
    both(server)
    assert server.heard == []
    assert server.sockets.lost == {"TLS handshake failed": 1}
    assert list(server.sockets._sockets) == [1, *[key for key in server.sockets._sockets if key > 1]]
    assert len(server.sockets._sockets) == 2


def test_a_client_that_leaves_during_the_handshake_is_counted(server):
    local = server.listen(transport=Transport.TLS)
    with plain(local) as sock:
        sock.sendall(bytes.fromhex("16030100ff01"))  # the beginning of a ClientHello
    while not server.sockets.lost:
        server.feed()
    assert server.heard == []
    assert server.sockets.lost == {"TLS handshake failed": 1}
    assert len(server.sockets._sockets) == 2
    assert server.sockets.deadline() == math.inf


def test_a_client_that_resets_during_the_handshake_is_counted(server):
    local = server.listen(transport=Transport.TLS)
    with plain(local) as sock:
        server.feed()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    while not server.sockets.lost:
        server.feed()
    assert server.heard == []
    assert server.sockets.lost == {"TLS handshake cut off": 1}


def test_a_client_that_says_nothing_is_dropped_after_a_while(server):
    local = server.listen(transport=Transport.TLS)
    with plain(local) as sock:
        server.feed()
        assert server.sockets.deadline() == 100 + HANDSHAKE_TIMEOUT
        server.fire()
        assert drained(sock) == "end"
    assert server.heard == []
    assert server.sockets.lost == {"TLS handshake timed out": 1}
    assert len(server.sockets._sockets) == 2


def test_a_server_that_says_nothing_is_given_up(client):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        client.open(transport=Transport.TLS, remote=Address(*silent.getsockname()), options=NAMED)
        client.feed()
        client.fire()
    assert client.heard == [("failed", 1, SocketErrorKind.TIMEOUT)]
    assert client.sockets.deadline() == math.inf


def test_pending_handshakes_are_bounded_and_the_oldest_goes(server, monkeypatch):
    monkeypatch.setattr(_stream, "MAX_HANDSHAKES", 2)
    local = server.listen(transport=Transport.TLS)
    socks = []
    for _ in range(4):
        socks.append(plain(local))
        server.feed()
    assert server.sockets.lost == {"too many TLS handshakes": 2}
    assert [drained(sock) for sock in socks[:2]] == ["end", "end"]
    assert sorted(key for key in server.sockets._sockets if key < 10) == [-4, -3, 1]
    for sock in socks:
        sock.close()


@pytest.mark.parametrize("mode", CloseMode)
def test_closing_during_the_handshake_is_quiet(client, server, mode):
    client.open(transport=Transport.TLS, remote=server.listen(transport=Transport.TLS), options=NAMED)
    client.feed()
    client.sockets.close(ONE, mode)
    both(client, server)
    assert client.heard == []
    assert client.sockets._sockets == {}
    assert client.sockets.deadline() == math.inf


def test_what_is_accepted_when_the_listener_has_closed_is_reset(client, server):
    client.open(transport=Transport.TLS, remote=server.listen(transport=Transport.TLS), options=NAMED)
    client.feed()
    server.feed()
    server.sockets.close(ONE)
    until([client, server], "failed")
    assert server.heard == []
    assert server.sockets._sockets == {}


# ---------------------------------------------------------------- configuration


def test_contexts_are_chosen_by_name(make_bare, authority, certificate):
    server = make_bare(tls={"public": TlsConfig(certificate)})
    options = SocketOptions(tls=TlsOptions(context="public"))
    server.listen(transport=Transport.TLS, options=options)
    assert server.open(2, transport=Transport.TLS) == ("failed", 2, SocketErrorKind.TLS)
    assert server.machine.errors[0].text == "no TLS configuration is named ''"


def test_a_listener_without_a_certificate_says_what_it_needs(make_bare, client):
    for runtime in (make_bare(), client):
        assert runtime.open(7, transport=Transport.TLS) == ("failed", 7, SocketErrorKind.TLS)
        assert "needs a certificate" in runtime.machine.errors[0].text


@pytest.mark.parametrize("which", ["certificate", "private_key", "ca_file"])
def test_an_unusable_file_is_named(make_bare, certificate, tmp_path, which):
    files = {"certificate": certificate, which: tmp_path / "none.pem"}
    config = TlsConfig(**files)
    with pytest.raises(ValueError, match=r"none\.pem"):
        config.reload()
    runtime = make_bare(tls=config)
    remote = Address("127.0.0.1", 9) if which == "ca_file" else None
    assert runtime.open(transport=Transport.TLS, remote=remote) == ("failed", 1, SocketErrorKind.TLS)


def test_a_name_that_is_none_fails_the_socket(client):
    options = SocketOptions(tls=TlsOptions(server_hostname=".example"))
    assert client.open(transport=Transport.TLS, remote=Address("127.0.0.1", 9), options=options)[0] == "failed"


def test_alpn_is_negotiated(make_bare, authority, certificate):
    options = SocketOptions(tls=TlsOptions(server_hostname="stun.example", alpn=("stun.turn",)))
    server, client = make_bare(tls=TlsConfig(certificate)), make_bare(tls=TlsConfig(ca_file=authority.ca_file))
    local = server.listen(transport=Transport.TLS, options=SocketOptions(tls=TlsOptions(alpn=("x", "stun.turn"))))
    client.open(transport=Transport.TLS, remote=local, options=options)
    until([client, server], "opened")
    assert client.sockets._sockets[1]._tls.alpn == "stun.turn"


def serial(address, authority):
    """The serial number of the certificate that a server presents now."""
    context = ssl.create_default_context(cafile=authority.ca_file)
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="stun.example")
    with plain(address) as sock:
        while True:
            try:
                tls.do_handshake()
                return tls.getpeercert()["serialNumber"]
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
            yield
            incoming.write(sock.recv(65536))


def presented(server, address, authority):
    steps = serial(address, authority)
    try:
        while True:
            next(steps)
            server.feed()
            both(server)
    except StopIteration as stop:
        return stop.value


def test_a_reload_is_for_new_connections_and_a_bad_one_changes_nothing(make_bare, authority, certificate, tmp_path):
    path = tmp_path / "server.pem"
    path.write_bytes(certificate.read_bytes())
    config = TlsConfig(path)
    server = make_bare(tls=config)
    local = server.listen(transport=Transport.TLS)
    first = presented(server, local, authority)
    assert presented(server, local, authority) == first
    path.write_bytes(b"half written")
    with pytest.raises(ValueError, match=r"server\.pem"):
        config.reload()
    assert presented(server, local, authority) == first
    path.write_bytes(authority.issue("stun.example").read_bytes())
    assert presented(server, local, authority) == first
    config.reload()
    assert presented(server, local, authority) != first


def test_a_client_alone_reloads_its_authorities(authority):
    config = TlsConfig(ca_file=authority.ca_file)
    before = config.tls_client(())
    config.reload()
    assert config.tls_client(()) is not before


def test_a_password_is_never_shown():
    assert "secret" not in repr(TlsConfig(password="secret"))
