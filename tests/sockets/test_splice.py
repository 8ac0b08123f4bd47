"""Streams that are handed from one process to another."""

import socket
import ssl

import pytest

from _certificates import Authority
from sansice import Address, CloseMode, SocketId, Transport
from sansice.sockets import TlsConfig
from sansice.sockets._splice import CROWDED
from sockets._bare import PATIENCE

CLIENT = Address("192.0.2.7", 5000)


def connect(address):
    return socket.create_connection(address, PATIENCE)


@pytest.fixture
def accepted(bare):
    """A client's socket, and the server's end of it, -1."""
    with connect(bare.listen()) as client:
        bare.until("accepted")
        yield client


def test_a_plain_stream_is_handed_out_as_its_socket_and_the_machine_hears_no_more(bare, accepted):
    sock = bare.sockets.hand_out(SocketId(-1))
    with sock:
        assert sock.getpeername() == accepted.getsockname()
        accepted.sendall(b"for the other")
        assert sock.recv(100) == b"for the other"
    assert bare.idle()
    assert not bare.of("data")
    assert bare.sockets.hand_out(SocketId(-1)) is None


def test_what_is_no_stream_is_not_handed_out(bare):
    bare.open(2)
    assert bare.sockets.hand_out(SocketId(2)) is None
    assert bare.sockets.hand_out(SocketId(9)) is None


def test_another_runtime_takes_it_in_with_what_was_read(make_bare, bare, accepted):
    other = make_bare()
    other.listen(7)
    other.sockets.take_in(SocketId(7), bare.sockets.hand_out(SocketId(-1)), CLIENT, b"first ")
    assert other.of("accepted") == [("accepted", 7, -1, CLIENT)]
    accepted.sendall(b"then")
    while other.stream(-1) != b"first then":
        other.feed()
    other.sockets.send_stream(SocketId(-1), b"answer")
    assert accepted.recv(100) == b"answer"


def test_nothing_is_read_of_one_that_the_machine_closes_at_once(make_bare, bare, accepted):
    other = make_bare()
    other.listen(7)
    other.machine.react["accepted"] = lambda *_: other.sockets.close(SocketId(-1), CloseMode.RESET)
    other.sockets.take_in(SocketId(7), bare.sockets.hand_out(SocketId(-1)), CLIENT, b"first")
    assert not other.of("data")


def test_one_that_comes_when_the_listener_is_closed_is_reset(make_bare, bare, accepted):
    other = make_bare()
    other.open(2)
    other.sockets.take_in(SocketId(7), bare.sockets.hand_out(SocketId(-1)), CLIENT, b"")
    assert not other.of("accepted")
    with pytest.raises(ConnectionResetError):
        accepted.recv(1)


class Spliced:
    """A TLS client, a runtime that has its keys, and another runtime that serves it."""

    def __init__(self, make_bare, authority):
        self.near = make_bare(tls=TlsConfig(authority.issue("stun.example")))
        self.far = make_bare()
        self.far.listen(7)
        context = ssl.create_default_context(cafile=authority.ca_file)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="stun.example")
        self.sock = connect(self.near.listen(transport=Transport.TLS))
        self.sock.setblocking(False)
        while not self.shake():
            pass
        while not self.near.of("accepted"):
            self.step()
        self.sent = self.near.sockets.hand_out(SocketId(-1))
        self.far.sockets.take_in(SocketId(7), self.sent, CLIENT, b"")

    def shake(self):
        try:
            self.tls.do_handshake()
            return True
        except ssl.SSLWantReadError:
            return False
        finally:
            self.step()

    def step(self):
        """Let everything go on that can."""
        if data := self.outgoing.read():
            self.sock.setblocking(True)
            self.sock.sendall(data)
            self.sock.setblocking(False)
        for runtime in (self.near, self.far):
            if not runtime.idle():
                runtime.feed()
        try:
            if data := self.sock.recv(65536):
                self.incoming.write(data)
        except BlockingIOError:
            pass

    def received(self, size):
        """So many bytes, decrypted."""
        found = b""
        while len(found) < size:
            self.step()
            try:
                found += self.tls.read(65536)
            except ssl.SSLWantReadError:
                pass
        return found


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def spliced(make_bare, authority):
    made = Spliced(make_bare, authority)
    yield made
    made.sock.close()


def test_a_tls_stream_is_carried_on_from_here_both_ways(spliced):
    assert spliced.far.of("accepted") == [("accepted", 7, -1, CLIENT)]
    spliced.tls.write(b"up")
    while spliced.far.stream(-1) != b"up":
        spliced.step()
    spliced.far.sockets.send_stream(SocketId(-1), b"down")
    assert spliced.received(4) == b"down"
    assert not spliced.near.of("data")


def test_who_is_served_slowly_is_not_read_faster(spliced):
    spliced.far.sockets.set_reading(SocketId(-1), False)
    data = bytes(2**14)
    near = spliced.near.sockets._sockets[-1]
    for _ in range(2**9):
        spliced.tls.write(data)
        spliced.step()
        if not near._reading:
            break
    assert not near._reading
    far = near._hub.driver._far
    assert CROWDED < far.unsent < 3 * CROWDED
    spliced.far.sockets.set_reading(SocketId(-1), True)
    while not near._reading:
        spliced.step()


@pytest.mark.parametrize("mode", [CloseMode.FLUSH, CloseMode.RESET])
def test_the_end_of_one_is_the_end_of_the_other(spliced, mode):
    spliced.far.sockets.send_stream(SocketId(-1), b"last words")
    spliced.far.sockets.close(SocketId(-1), mode)
    assert spliced.received(10) == b"last words"
    while SocketId(-1) in spliced.near.sockets._sockets:
        spliced.step()


def test_a_client_that_leaves_ends_it_there(spliced):
    spliced.sock.close()
    while ("data", -1, b"") not in spliced.far.heard:
        for runtime in (spliced.near, spliced.far):
            if not runtime.idle():
                runtime.feed()
    assert not spliced.near.of("failed")


def test_a_stream_with_bytes_that_wait_is_carried_on_so_that_none_is_lost(make_bare):
    bare, other = make_bare(), make_bare()
    other.listen(7)
    with connect(bare.listen()) as client:
        bare.until("accepted")
        queued = 0
        while not bare.sockets.unsent:
            bare.sockets.send_stream(SocketId(-1), bytes(2**16))
            queued += 2**16
        other.sockets.take_in(SocketId(7), bare.sockets.hand_out(SocketId(-1)), CLIENT, b"")
        other.sockets.send_stream(SocketId(-1), b"!")
        client.setblocking(False)
        read = b""
        while len(read) < queued + 1:
            for runtime in (bare, other):
                if not runtime.idle():
                    runtime.feed()
            try:
                read += client.recv(2**20)
            except BlockingIOError:
                pass
        assert read[-1:] == b"!"
