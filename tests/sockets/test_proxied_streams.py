"""Streams through a CONNECT proxy over loopback: what proxies may do, good and bad ones."""

import errno
import socket

import pytest

from _certificates import Authority
from sansice import ANY_IPV4, Address, CloseMode, ProxyOptions, SocketErrorKind, SocketId, SocketOptions, TlsOptions, Transport
from sansice.sockets import TlsConfig, _stream
from sansice.sockets._stream import CONNECT_TIMEOUT
from sockets._bare import LOOPBACK, PATIENCE

ONE = SocketId(1)
SERVER = Address("192.0.2.7", 443)  # whose packets would go nowhere: all that is heard comes from the proxy
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


class Proxy:
    """The other end of a stream, which asks to be let through."""

    def __init__(self, bare, listener, remote=SERVER, transport=Transport.TCP, tls=None, **options):
        self.bare = bare
        self.address = Address(*listener.getsockname())
        through = SocketOptions(proxy=ProxyOptions(self.address, **options), tls=tls)
        assert bare.open(remote=remote, bind=Address(ANY_IPV4, 0), transport=transport, options=through) is None
        self.sock, _ = listener.accept()
        self.sock.settimeout(PATIENCE)
        bare.feed()

    def request(self):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            data += self.sock.recv(1)
        return data

    def answer(self, data):
        self.sock.sendall(data)

    def read(self, length):
        data = b""
        while len(data) < length and (chunk := self.sock.recv(length - len(data))):
            data += chunk
        return data


@pytest.fixture
def ask(bare, listener):
    proxies = []

    def make(**options):
        proxies.append(Proxy(bare, listener, **options))
        return proxies[-1]

    yield make
    for proxy in proxies:
        proxy.sock.close()


def failure(bare):
    bare.until("failed")
    return bare.machine.errors[-1]


# ---------------------------------------------------------------- what good ones do


def test_a_stream_opens_when_the_proxy_lets_it_through_and_talks(bare, ask):
    proxy = ask(username="u", password="p")
    assert proxy.request() == (
        b"CONNECT 192.0.2.7:443 HTTP/1.1\r\nHost: 192.0.2.7:443\r\nProxy-Authorization: Basic dTpw\r\n\r\n"
    )
    assert bare.heard == []
    proxy.answer(OK)
    assert bare.until("opened")[2] == Address(*proxy.sock.getpeername())
    bare.sockets.send_stream(ONE, b"hello")
    assert proxy.read(5) == b"hello"
    proxy.answer(b"world")
    bare.until("data")
    assert bare.stream(1) == b"world"


def test_what_is_sent_early_leaves_behind_the_request_and_not_before_the_answer(bare, ask):
    proxy = ask()
    bare.sockets.send_stream(ONE, b"early")
    proxy.request()
    assert bare.idle()  # an epoll that wanted to write would say so without end
    proxy.answer(OK)
    bare.until("opened")
    assert proxy.read(5) == b"early"


def test_an_answer_that_is_announced_and_not_there_is_waited_for(bare, ask, monkeypatch):
    def recv(self, size):
        raise BlockingIOError(errno.EAGAIN, "empty")

    proxy = ask()
    proxy.request()
    proxy.answer(OK)
    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "recv", recv)
        bare.feed()
        assert bare.heard == []
    bare.until("opened")


@pytest.mark.parametrize("cut", range(len(OK) + 1))
def test_an_answer_may_come_in_any_pieces_and_nothing_behind_it_is_lost(bare, ask, cut):
    proxy = ask()
    proxy.request()
    answer = OK + b"welcome"
    proxy.answer(answer[:cut])
    if cut:
        bare.feed()
    proxy.answer(answer[cut:])
    bare.until("opened", "data")
    assert bare.stream(1) == b"welcome"


def test_a_machine_that_reads_nothing_yet_is_not_fed_what_comes_later(bare, ask):
    proxy = ask()
    bare.sockets.set_reading(ONE, False)
    proxy.request()
    proxy.answer(OK)
    bare.until("opened")
    proxy.answer(b"later")
    assert bare.idle()
    bare.sockets.set_reading(ONE, True)
    bare.until("data")


def test_a_machine_may_close_when_the_proxys_answer_opens_its_stream(bare, ask):
    proxy = ask()
    bare.machine.react["opened"] = lambda *_: bare.sockets.close(ONE, CloseMode.RESET)
    proxy.answer(OK + b"welcome")
    bare.until("opened")
    assert bare.of("data") == []


def test_a_machine_may_close_while_the_proxy_is_asked(bare, ask):
    proxy = ask()
    bare.sockets.close(ONE)
    proxy.request()
    assert proxy.read(1) == b""
    assert bare.heard == []


def test_tls_is_spoken_with_the_server_inside(make_bare, listener, tmp_path):
    authority = Authority(tmp_path)
    client = make_bare(tls=TlsConfig(ca_file=authority.ca_file))
    server = make_bare(tls=TlsConfig(authority.issue("turn.example.org")))
    there = server.listen(transport=Transport.TLS)
    tls = TlsOptions(server_hostname="turn.example.org")
    proxy = Proxy(client, listener, transport=Transport.TLS, tls=tls, authority="turn.example.org:443")
    assert proxy.request().startswith(b"CONNECT turn.example.org:443 HTTP/1.1\r\n")
    with proxy.sock, socket.create_connection(there, PATIENCE) as onward:
        proxy.answer(OK)
        proxy.sock.settimeout(0.01)
        onward.settimeout(0.01)
        client.sockets.send_stream(ONE, b"hello")
        while not server.stream(-1):
            for one in (client, server):
                if not one.idle():
                    one.feed()
            for source, target in ((proxy.sock, onward), (onward, proxy.sock)):
                try:
                    target.sendall(source.recv(65536))
                except TimeoutError:
                    pass
    assert client.of("opened")
    assert server.stream(-1) == b"hello"


def test_the_servers_first_words_may_come_with_the_proxys_answer_under_tls(bare, ask):
    proxy = ask(transport=Transport.TLS, tls=TlsOptions("turn.example.org"))
    proxy.request()
    proxy.answer(OK + b"\x15\x03\x03\x00\x02\x02\x28")  # a fatal alert: handshake_failure
    assert failure(bare).kind is SocketErrorKind.TLS


# ---------------------------------------------------------------- what others do


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\n\r\n", "it wants a user name"),
        (b"HTTP/1.1 403 Forbidden\r\n\r\n", "answered 403 Forbidden"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 65536, "does not end within"),
        (b"220 mail.example ESMTP\r\n", "is no HTTP proxy"),
    ],
)
def test_another_answer_is_told_as_what_it_is(bare, ask, answer, words):
    proxy = ask()
    proxy.request()
    proxy.answer(answer)
    error = failure(bare)
    assert (error.kind, words in error.text) == (SocketErrorKind.PROXY, True)


def test_a_proxy_that_refuses_again_and_again_is_asked_once(bare, ask):
    proxy = ask(username="u", password="p")
    proxy.request()
    proxy.answer(b"HTTP/1.1 407 No\r\n\r\n" * 3)
    assert failure(bare).kind is SocketErrorKind.PROXY
    try:
        assert proxy.read(1) == b""
    except ConnectionResetError:
        pass  # what it said twice more was never read


def test_garbage_behind_a_good_answer_is_no_tls(bare, ask):
    proxy = ask(transport=Transport.TLS, tls=TlsOptions("turn.example.org"))
    proxy.request()
    proxy.answer(OK + b"welcome to the web filter\r\n")
    error = failure(bare)
    assert (error.kind, error.text) == (SocketErrorKind.TLS, "the other end does not speak TLS")


def test_a_proxy_that_closes_at_once_is_told_as_one(bare, ask):
    proxy = ask()
    proxy.request()
    proxy.sock.close()
    error = failure(bare)
    assert (error.kind, "closed the connection without an answer" in error.text) == (SocketErrorKind.PROXY, True)


def test_a_proxy_that_resets_is_a_reset(bare, ask):
    proxy = ask()
    proxy.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _stream._NO_LINGER)
    proxy.sock.close()
    assert failure(bare).kind is SocketErrorKind.RESET


def test_a_byte_a_minute_is_given_up_in_time(bare, ask):
    proxy = ask()
    proxy.request()
    proxy.answer(b"H")
    bare.feed()
    bare.fire()
    assert bare.time == 100 + CONNECT_TIMEOUT
    error = failure(bare)
    assert (error.kind, "no more than 1 bytes" in error.text) == (SocketErrorKind.TIMEOUT, True)


def test_an_early_backlog_is_bounded_while_the_proxy_is_asked(make_bare, listener):
    bare = make_bare(max_unsent=1000)
    proxy = Proxy(bare, listener)
    bare.sockets.send_stream(ONE, bytes(1001))
    assert failure(bare).kind is SocketErrorKind.BACKLOG
    proxy.sock.close()


def test_a_proxy_that_nobody_runs_is_refused_and_named(bare, listener):
    address = Address(*listener.getsockname())
    listener.close()
    bare.open(remote=SERVER, transport=Transport.TCP, options=SocketOptions(proxy=ProxyOptions(address)))
    bare.until("failed")
    error = bare.machine.errors[-1]
    assert (error.kind, error.text.startswith("the proxy: ")) == (SocketErrorKind.REFUSED, True)


def test_a_connection_that_is_lost_before_the_request_leaves_has_failed(bare, listener, monkeypatch):
    def send(self, data):
        raise OSError(errno.EPIPE, "gone")

    class Lost(socket.socket):
        pass

    Lost.send = send
    monkeypatch.setattr(_stream.socket, "socket", Lost)
    Proxy(bare, listener).sock.close()
    assert bare.machine.errors


def test_a_proxy_of_the_other_family_than_the_server_is_gone_to(bare, listener):
    through = SocketOptions(proxy=ProxyOptions(Address(*listener.getsockname())))
    bare.open(remote=Address("2001:db8::7", 443), bind=LOOPBACK, transport=Transport.TCP, options=through)
    with listener.accept()[0] as sock:
        sock.settimeout(PATIENCE)
        bare.feed()
        assert sock.recv(4096).startswith(b"CONNECT [2001:db8::7]:443 HTTP/1.1\r\n")
