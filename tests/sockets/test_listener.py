"""Listening for TCP, and sockets that the process was started with."""

import errno
import math
import socket

import pytest

from sansice import ANY_IPV4, Address, CloseMode, OpenSocket, SocketErrorKind, SocketId, Transport
from sansice.sockets._listener import ACCEPT_PAUSE, MAX_ACCEPTS
from sockets._bare import LOOPBACK, PATIENCE


def connect(address):
    return socket.create_connection(address, PATIENCE)


def test_an_accepted_stream_has_an_id_of_the_drivers_and_talks(bare):
    local = bare.listen()
    with connect(local) as client:
        told = bare.until("accepted")
        assert told == ("accepted", 1, -1, Address(*client.getsockname()))
        client.sendall(b"hello")
        bare.until("data")
        bare.sockets.send_stream(SocketId(-1), b"back")
        assert client.recv(10) == b"back"
    with connect(local):
        bare.heard.clear()
        assert bare.until("accepted")[2] == -2


def test_an_ipv6_listener_takes_no_ipv4(bare):
    local = bare.listen(bind=Address("::1", 0))
    assert bare.sockets._sockets[1]._sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1
    with connect(local) as client:
        assert bare.until("accepted")[3] == Address("::1", client.getsockname()[1])


def test_a_taken_port_is_told_and_the_range_is_tried(make_bare):
    bare = make_bare()
    local = bare.listen()
    assert bare.open(2, bind=local, transport=Transport.TCP) == ("failed", 2, SocketErrorKind.ADDRESS_IN_USE)
    other = make_bare(ports=range(local.port, local.port + 20))
    assert other.listen().port > local.port


def test_the_wildcard_is_not_listened_on(bare):
    assert bare.open(bind=Address(ANY_IPV4, 0), transport=Transport.TCP) == ("failed", 1, SocketErrorKind.ADDRESS_UNAVAILABLE)


def test_a_server_comes_back_on_its_port_although_connections_were_open(make_bare):
    first = make_bare()
    local = first.listen()
    with connect(local):
        first.until("accepted")
        first.sockets.close(SocketId(-1))
        first.sockets.close(SocketId(1))
        first.sockets.close_all()
        assert make_bare().listen(bind=local) == local


def test_a_round_accepts_a_bounded_number(bare):
    local = bare.listen()
    clients = [connect(local) for _ in range(MAX_ACCEPTS + 3)]
    bare.feed()
    assert len(bare.of("accepted")) == MAX_ACCEPTS
    bare.feed()
    assert len(bare.of("accepted")) == MAX_ACCEPTS + 3
    for client in clients:
        client.close()


def test_a_listener_closed_while_accepting_accepts_no_more(bare):
    local = bare.listen()
    bare.machine.react["accepted"] = lambda *_: bare.sockets.close(SocketId(1), CloseMode.FLUSH)
    clients = [connect(local) for _ in range(3)]
    bare.feed()
    assert len(bare.of("accepted")) == 1
    clients[0].sendall(b"still here")
    assert bare.until("data") == ("data", -1, b"still here")
    for client in clients:
        client.close()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_accepting_pauses_instead_of_spinning(bare, monkeypatch, number):
    local = bare.listen()

    def accept(self):
        raise OSError(number, "out of them")

    with connect(local), monkeypatch.context() as patch:
        patch.setattr(socket.socket, "accept", accept)
        bare.feed()
        assert bare.idle()
        assert bare.sockets.lost == {"out of sockets or memory to accept with": 1}
        assert bare.sockets.deadline() == 100 + ACCEPT_PAUSE
        bare.fire()
        patch.undo()
        assert bare.until("accepted")[2] == -1
    assert bare.sockets.deadline() == math.inf


def test_a_listener_may_close_while_it_pauses(bare, monkeypatch):
    local = bare.listen()

    def accept(self):
        raise OSError(errno.EMFILE, "out of them")

    with connect(local):
        monkeypatch.setattr(socket.socket, "accept", accept)
        bare.feed()
        bare.sockets.close(SocketId(1))
    assert bare.sockets.deadline() == math.inf


def test_a_connection_that_dies_before_it_is_accepted_costs_no_other(bare, monkeypatch):
    local = bare.listen()
    real, errors = socket.socket.accept, [OSError(errno.ECONNABORTED, "gone")]

    def accept(self):
        if errors:
            raise errors.pop()
        return real(self)

    monkeypatch.setattr(socket.socket, "accept", accept)
    with connect(local):
        assert bare.until("accepted")[2] == -1


def test_a_connection_that_dies_while_it_is_accepted_is_counted(bare, monkeypatch):
    def getpeername(self):
        raise OSError(errno.ENOTCONN, "gone")

    local = bare.listen()
    with connect(local):
        monkeypatch.setattr(socket.socket, "getpeername", getpeername)
        bare.feed()
    assert bare.heard == []
    assert bare.sockets.lost == {"gone before it was accepted": 1}


def test_a_connection_whose_options_cannot_be_set_is_counted(bare, monkeypatch):
    def setsockopt(self, *_):
        raise OSError(errno.EINVAL, "gone")

    local = bare.listen()
    with connect(local):
        monkeypatch.setattr(socket.socket, "setsockopt", setsockopt)
        bare.feed()
    assert bare.heard == []
    assert bare.sockets.lost == {"gone before it was accepted": 1}


def test_a_listener_that_cannot_listen_leaves_nothing(bare, monkeypatch):
    def listen(self, *_):
        raise OSError(errno.EADDRINUSE, "taken")

    monkeypatch.setattr(socket.socket, "listen", listen)
    assert bare.open(transport=Transport.TCP) == ("failed", 1, SocketErrorKind.ADDRESS_IN_USE)


def test_only_taken_ports_are_passed_over(make_bare):
    bare = make_bare(ports=range(40000, 40010))
    told = bare.open(bind=Address("192.0.2.254", 0), transport=Transport.TCP)
    assert told == ("failed", 1, SocketErrorKind.ADDRESS_UNAVAILABLE)


def test_there_must_be_a_port_to_choose(make_bare):
    with pytest.raises(ValueError, match="no ports"):
        make_bare(ports=range(0))


# ---------------------------------------------------------------- inherited sockets


def inherited(kind, host="127.0.0.1"):
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind)
    sock.bind((host, 0))
    return sock, Address(*sock.getsockname()[:2])


def test_an_inherited_listener_is_taken_over(make_bare):
    sock, local = inherited(socket.SOCK_STREAM)
    sock.listen()
    bare = make_bare(inherited=[sock])
    with connect(local):  # before anybody accepts: systemd holds the connection
        assert bare.listen(bind=local) == local
        bare.until("accepted")
    assert sock.fileno() == -1


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_an_inherited_udp_socket_is_taken_over(make_bare, host):
    sock, local = inherited(socket.SOCK_DGRAM, host)
    bare = make_bare(inherited=[sock])
    assert bare.open(bind=local) == ("opened", 1, local)
    bare.sockets.send(SocketId(1), local, b"to myself")
    assert bare.until("datagram") == ("datagram", 1, local, b"to myself")


def test_inherited_sockets_of_another_kind_or_address_stay_with_their_holder(make_bare):
    stream, local = inherited(socket.SOCK_STREAM)
    bare = make_bare(inherited=[stream])
    bare.open(1, bind=local)
    bare.open(2, bind=LOOPBACK, transport=Transport.TCP)
    bare.sockets.open(OpenSocket(SocketId(3), Transport.TCP, local, local), bare.driver)
    assert stream.getsockname() == local
    stream.close()


def test_an_inherited_socket_is_taken_over_once(make_bare):
    sock, local = inherited(socket.SOCK_DGRAM)
    bare = make_bare(inherited=[sock])
    bare.open(1, bind=local)
    assert bare.open(2, bind=local) == ("failed", 2, SocketErrorKind.ADDRESS_IN_USE)
