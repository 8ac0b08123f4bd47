"""TCP connections over loopback, with plain sockets as peers."""

import errno
import math
import os
import select
import socket
import struct

import pytest

from sansice import ANY_IPV4, Address, CloseMode, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.sockets import _hub, _stream
from sansice.sockets._stream import CONNECT_TIMEOUT, LINGER_TIMEOUT, MAX_READ
from sockets._bare import LOOPBACK, PATIENCE

ONE = SocketId(1)


@pytest.fixture
def server():
    """A listening socket of the socket module."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@pytest.fixture
def peer(bare, server):
    """The other end of socket 1, which is open."""
    bare.open(remote=Address(*server.getsockname()), transport=Transport.TCP)
    with server.accept()[0] as sock:
        sock.settimeout(PATIENCE)
        bare.until("opened")
        bare.heard.clear()
        yield sock


def receive(sock, length):
    data = b""
    while len(data) < length and (chunk := sock.recv(length - len(data))):
        data += chunk
    return data


def fill(bare, number=1, limit=2**24):
    """Send until something has to wait; return what was sent."""
    sent = b""
    while not bare.of("sent"):
        chunk = bytes([len(sent) >> 16]) * 65536
        bare.sockets.send_stream(SocketId(number), chunk)
        sent += chunk
        assert len(sent) < limit
    return sent


# ---------------------------------------------------------------- opening


def test_a_connection_opens_from_the_address_that_was_asked_for(bare, server):
    assert bare.open(bind=Address("127.0.0.7", 0), transport=Transport.TCP, remote=Address(*server.getsockname())) is None
    *_, local = bare.until("opened")
    with server.accept()[0] as sock:
        assert sock.getpeername() == local
        assert local.host == "127.0.0.7"
    assert bare.sockets.deadline() == math.inf


def test_a_connection_from_any_address_tells_the_one_that_it_has(bare, server):
    bare.open(bind=Address(ANY_IPV4, 0), transport=Transport.TCP, remote=Address(*server.getsockname()))
    assert bare.until("opened")[2].host == "127.0.0.1"


def test_a_connection_over_ipv6_opens(bare):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as sock:
        bare.open(bind=Address("::1", 0), transport=Transport.TCP, remote=Address(*sock.getsockname()[:2]))
        assert bare.until("opened")[2].host == "::1"


def test_the_local_port_is_one_of_those_permitted(make_bare, server):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        bare = make_bare(ports=range(port, port + 20))
        bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
        assert bare.until("opened")[2].port in range(port + 1, port + 20)


def test_a_closed_port_refuses(bare, server):
    remote = Address(*server.getsockname())
    server.close()
    told = bare.open(transport=Transport.TCP, remote=remote) or bare.until("failed")
    assert told == ("failed", 1, SocketErrorKind.REFUSED)
    assert bare.machine.errors[0].text == os.strerror(errno.ECONNREFUSED)
    assert bare.idle()
    assert bare.sockets.deadline() == math.inf


@pytest.mark.parametrize(
    ("bind", "remote", "kind"),
    [
        (LOOPBACK, Address("example.org", 1), SocketErrorKind.OTHER),
        (Address("192.0.2.254", 0), Address("127.0.0.1", 1), SocketErrorKind.ADDRESS_UNAVAILABLE),
        (LOOPBACK, Address("255.255.255.255", 1), SocketErrorKind.UNREACHABLE),
    ],
)
def test_a_connection_that_fails_at_once_leaves_nothing(bare, bind, remote, kind):
    assert bare.open(bind=bind, transport=Transport.TCP, remote=remote) == ("failed", 1, kind)
    assert bare.sockets.deadline() == math.inf


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.EHOSTUNREACH, SocketErrorKind.UNREACHABLE), (errno.ETIMEDOUT, SocketErrorKind.TIMEOUT)],
)
def test_what_the_system_says_of_a_failed_connection_is_told(bare, server, monkeypatch, number, kind):
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
    monkeypatch.setattr(socket.socket, "getsockopt", lambda *_: number)
    assert bare.until("failed") == ("failed", 1, kind)


def silent():
    """A listening socket that takes no connection: its queue is full."""
    sock = socket.create_server(("127.0.0.1", 0), backlog=0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(sock.getsockname())
    return sock, fillers


def test_who_does_not_answer_is_given_up(bare):
    sock, fillers = silent()
    bare.open(transport=Transport.TCP, remote=Address(*sock.getsockname()))
    assert bare.sockets.deadline() == 100 + CONNECT_TIMEOUT
    bare.fire()
    assert bare.heard == [("failed", 1, SocketErrorKind.TIMEOUT)]
    assert bare.sockets.deadline() == math.inf
    for each in (sock, *fillers):
        each.close()


@pytest.mark.parametrize("mode", CloseMode)
def test_a_connection_closed_before_it_opens_is_never_heard_of(bare, server, mode):
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
    bare.sockets.send_stream(ONE, b"never sent")
    bare.sockets.close(ONE, mode)
    assert bare.idle()
    assert bare.heard == []
    assert bare.sockets.deadline() == math.inf
    assert bare.sockets.unsent == 0


def test_a_connection_that_meets_itself_is_refused(bare):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = Address(*free.getsockname())
    told = bare.open(bind=address, transport=Transport.TCP, remote=address) or bare.until("failed")
    assert told == ("failed", 1, SocketErrorKind.REFUSED)


def test_news_about_an_earlier_socket_of_the_same_descriptor_opens_nothing(bare):
    sock, fillers = silent()
    bare.open(transport=Transport.TCP, remote=Address(*sock.getsockname()))
    stream = bare.sockets._sockets[1]
    for flags in (select.EPOLLIN, select.EPOLLHUP | select.EPOLLOUT):
        stream.feed(flags, bare.driver)
    assert bare.heard == []
    for each in (sock, *fillers):
        each.close()


# ---------------------------------------------------------------- reading and writing


def test_bytes_arrive_both_ways_in_order(bare, peer):
    bare.sockets.send_stream(ONE, b"to ")
    bare.sockets.send_stream(ONE, b"you")
    assert receive(peer, 6) == b"to you"
    peer.sendall(b"and back")
    bare.until("data")
    assert bare.heard == [("data", 1, b"and back")]


def test_small_messages_leave_at_once(bare, peer):
    assert bare.sockets._sockets[1]._sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_what_is_sent_before_the_connection_is_there_follows_it(bare, server):
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
    bare.sockets.send_stream(ONE, b"early ")
    bare.sockets.send_stream(ONE, b"bird")
    bare.until("opened")
    with server.accept()[0] as sock:
        assert receive(sock, 10) == b"early bird"


def test_a_round_reads_a_bounded_piece(bare, peer):
    while not bare.idle() or not bare.heard:
        peer.setblocking(False)
        try:
            peer.send(bytes(2 * MAX_READ))
        except BlockingIOError:
            break
    bare.feed()
    assert [len(what[2]) for what in bare.heard] == [MAX_READ]


def test_the_backlog_is_told_as_it_grows_and_until_it_is_gone(bare, peer):
    sent = fill(bare)
    assert bare.sockets.unsent == bare.heard[-1][2] > 0
    bare.sockets.send_stream(ONE, b"last")
    received = b""
    while len(received) < len(sent) + 4:
        received += peer.recv(2**20)
        while not bare.idle():
            bare.feed()
    assert received == sent + b"last"
    told = [what[2] for what in bare.of("sent")]
    assert told[1] == told[0] + 4
    assert told[1:] == sorted(told[1:], reverse=True)
    assert told[-1] == bare.sockets.unsent == 0
    assert bare.idle()


def test_a_peer_that_does_not_read_costs_no_more_than_the_limit(make_bare, server):
    bare = make_bare(max_unsent=1000)
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
    with server.accept()[0]:
        bare.until("opened")
        while not bare.of("failed"):
            bare.sockets.send_stream(ONE, bytes(700))
        bare.sockets.send_stream(ONE, b"nobody")
    assert bare.of("failed") == [("failed", 1, SocketErrorKind.BACKLOG)]
    assert all(unsent <= 1000 for _, _, unsent in bare.of("sent"))


def test_too_much_before_the_connection_is_there_fails_too(make_bare, server):
    bare = make_bare(max_unsent=1000)
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
    bare.sockets.send_stream(ONE, bytes(1001))
    assert bare.heard == [("failed", 1, SocketErrorKind.BACKLOG)]
    assert bare.idle()


def test_a_paused_stream_is_not_read_until_it_is_resumed(bare, peer):
    bare.sockets.set_reading(ONE, False)
    peer.sendall(b"wait")
    peer.shutdown(socket.SHUT_WR)
    assert bare.idle()
    bare.sockets.set_reading(ONE, True)
    bare.until("data")
    assert bare.stream(1) == b"wait"


def test_a_paused_stream_still_writes(bare, peer):
    sent = fill(bare)
    bare.sockets.set_reading(ONE, False)
    peer.sendall(b"wait")
    received = b""
    while len(received) < len(sent):
        received += peer.recv(2**20)
        while not bare.idle():
            bare.feed()
    assert bare.of("data") == []


def test_a_full_buffer_lets_everything_wait(bare, peer, monkeypatch):
    def send(self, data):
        raise BlockingIOError(errno.EAGAIN, "full")

    with monkeypatch.context() as patch:
        patch.setattr(socket.socket, "send", send)
        bare.sockets.send_stream(ONE, b"later")
        assert bare.heard == [("sent", 1, 5)]
        bare.feed()  # it was said that there is room, and there is none
        assert bare.sockets.unsent == 5
    bare.feed()
    assert receive(peer, 5) == b"later"
    assert bare.heard[-1] == ("sent", 1, 0)


def test_the_peers_reset_is_told_although_reading_is_paused(bare, peer):
    bare.sockets.set_reading(ONE, False)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    assert bare.until("failed") == ("failed", 1, SocketErrorKind.RESET)
    assert bare.idle()


def test_stale_news_about_a_paused_stream_changes_nothing(bare, peer):
    bare.sockets.set_reading(ONE, False)
    bare.sockets._sockets[1].feed(select.EPOLLHUP, bare.driver)
    bare.sockets.set_reading(ONE, True)
    bare.sockets._sockets[1].feed(select.EPOLLIN, bare.driver)
    bare.sockets.send_stream(ONE, b"alive")
    assert receive(peer, 5) == b"alive"
    assert bare.heard == []


# ---------------------------------------------------------------- ending


def test_the_peers_end_is_told_once_and_one_may_still_write(bare, peer):
    peer.sendall(b"last words")
    peer.shutdown(socket.SHUT_WR)
    while ("data", 1, b"") not in bare.heard:
        bare.feed()
    assert bare.stream(1) == b"last words"
    assert bare.idle()
    bare.sockets.send_stream(ONE, b"answer")
    assert receive(peer, 6) == b"answer"


@pytest.mark.parametrize("sending", [False, True])
def test_the_peers_reset_is_told_once(bare, peer, sending):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    if sending:
        bare.sockets.send_stream(ONE, b"x")
    else:
        bare.feed()
    bare.sockets.send_stream(ONE, b"x")
    assert bare.heard == [("failed", 1, SocketErrorKind.RESET)]
    assert bare.idle()


def test_a_reset_with_a_backlog_is_told_once(bare, peer):
    fill(bare)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    bare.until("failed")
    assert bare.of("failed") == [("failed", 1, SocketErrorKind.RESET)]
    assert bare.idle()


def test_flush_sends_the_backlog_and_the_end_and_waits_for_the_peers(bare, peer):
    sent = fill(bare)
    bare.sockets.close(ONE, CloseMode.FLUSH)
    bare.sockets.send_stream(ONE, b"too late")
    assert bare.sockets.unsent
    told = list(bare.heard)
    received = b""
    while len(received) < len(sent):
        received += peer.recv(2**20)
        while not bare.idle():
            bare.feed()
    assert received == sent
    assert peer.recv(1) == b""
    assert bare.sockets.unsent == 0
    peer.sendall(b"nobody listens")  # which would reset the connection, were it closed
    bare.feed()
    peer.close()
    bare.feed()
    assert bare.sockets._sockets == {}
    assert bare.heard == told
    assert bare.sockets.deadline() == math.inf


def test_flush_closes_at_once_when_the_peer_has_ended(bare, peer):
    peer.shutdown(socket.SHUT_WR)
    bare.until("data")
    bare.sockets.close(ONE)
    assert peer.recv(1) == b""
    assert bare.sockets._sockets == {}


def test_flush_gives_up_a_peer_that_does_not_read(bare, peer):
    fill(bare)
    bare.sockets.close(ONE)
    assert bare.sockets.deadline() == 100 + LINGER_TIMEOUT
    told = list(bare.heard)
    bare.fire()
    assert bare.sockets._sockets == {}
    assert bare.sockets.unsent == 0
    assert bare.heard == told


@pytest.mark.parametrize("backlog", [False, True])
def test_a_reset_after_closing_is_not_told(bare, peer, backlog):
    if backlog:
        fill(bare)
    bare.sockets.close(ONE)
    told = list(bare.heard)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()
    bare.feed()
    assert bare.sockets._sockets == {}
    assert bare.heard == told


def test_a_connection_reset_just_before_the_end_is_sent_is_released(bare, peer, monkeypatch):
    def shutdown(*_):
        raise OSError(errno.ENOTCONN, "gone")

    monkeypatch.setattr(socket.socket, "shutdown", shutdown)
    bare.sockets.close(ONE)
    assert bare.sockets._sockets == {}


def test_reset_drops_the_backlog_and_the_peer_sees_it(bare, peer):
    fill(bare)
    bare.sockets.close(ONE, CloseMode.RESET)
    assert bare.sockets._sockets == {}
    with pytest.raises(ConnectionResetError):
        receive(peer, 2**24)


def test_closed_streams_that_wait_for_the_peer_are_bounded(bare, server, monkeypatch):
    monkeypatch.setattr(_stream, "MAX_LINGERING", 2)
    peers = []
    for number in range(1, 5):
        bare.open(number, transport=Transport.TCP, remote=Address(*server.getsockname()))
        peers.append(server.accept()[0])
        bare.until("opened")
        bare.heard.clear()
    for number in range(1, 5):
        bare.sockets.close(SocketId(number))
    assert len(bare.sockets._sockets) == 2
    for peer in peers:
        peer.close()
    assert _hub.MAX_LINGERING == 256


def test_the_machine_may_close_whenever_it_is_told_something(make_bare, server):
    for word in ("opened", "sent", "data"):
        bare = make_bare()
        bare.machine.react[word] = lambda *_, bare=bare: bare.sockets.close(ONE, CloseMode.RESET)
        bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()))
        with server.accept()[0] as peer:
            peer.sendall(b"x")
            peer.shutdown(socket.SHUT_WR)
            while bare.sockets._sockets:
                if word == "sent":
                    bare.until("opened")
                    bare.machine.react["data"] = lambda *_: None
                    fill(bare)
                else:
                    bare.feed()
            assert bare.heard[-1][0] == word
            assert len(bare.of(word)) == 1


def test_all_descriptors_are_released_in_the_end(make_bare, server):
    before = len(os.listdir("/proc/self/fd"))
    bare = make_bare()
    bare.listen(2)
    bare.open(3)
    bare.open(1, transport=Transport.TCP, remote=Address(*server.getsockname()))
    bare.until("opened")
    bare.sockets.close(ONE)
    bare.sockets.close_all()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_unknown_stream_is_nobodys(bare):
    bare.open(1)
    for number in (1, 5):
        bare.sockets.send_stream(SocketId(number), b"x")
        bare.sockets.set_reading(SocketId(number), False)
    bare.sockets.close(SocketId(5))
    assert bare.heard == []


def test_options_are_set_on_streams_too(bare, server):
    bare.open(transport=Transport.TCP, remote=Address(*server.getsockname()), options=SocketOptions(dscp=46))
    assert bare.sockets._sockets[1]._sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 46 << 2
