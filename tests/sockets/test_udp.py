"""UDP sockets, below any runtime."""

import errno
import socket
import sys

import pytest

from sansice import Address, IcmpError, SocketErrorKind, SocketId, SocketOptions
from sansice.sockets import from_sockaddr, socket_error
from sansice.sockets._udp import _EXTENDED_ERROR, MAX_BATCH, UdpSocket
from sockets._bare import DEFAULT, LOOPBACK

# ---------------------------------------------------------------- opening


def opened(bind=LOOPBACK, options=DEFAULT, ports=None):
    return UdpSocket.open(SocketId(1), bind, options, ports)


def test_an_ipv6_socket_takes_no_ipv4():
    with opened(Address("::1", 0)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 1


def test_a_receive_buffer_is_as_large_as_was_asked_for():
    with opened(options=SocketOptions(receive_buffer=10_000)) as sock:
        # Linux doubles it, for its own records.
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in (10_000, 20_000)


def test_a_dscp_is_set_in_both_families():
    with opened(options=SocketOptions(dscp=46)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 46 << 2
    with opened(Address("::1", 0), SocketOptions(dscp=46)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 46 << 2


def test_two_sockets_share_a_port_with_reuse_port():
    options = SocketOptions(reuse_port=True)
    with opened(options=options) as first:
        with opened(Address(*first.getsockname()), options) as second:
            assert first.getsockname() == second.getsockname()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere these fail as unsupported, which is tested below")
def test_fragmentation_can_be_allowed_and_forbidden_where_the_system_would_look_for_the_mtu_by_itself():
    for host, level, name in (("127.0.0.1", socket.IPPROTO_IP, 10), ("::1", socket.IPPROTO_IPV6, 23)):  # IP_MTU_DISCOVER
        for wanted, set_to in ((None, 1), (False, 0), (True, 2)):  # IP_PMTUDISC_WANT, _DONT, _DO
            with opened(Address(host, 0), SocketOptions(dont_fragment=wanted)) as sock:
                assert sock.getsockopt(level, name) == set_to


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere these fail as unsupported, which is tested below")
def test_an_interface_and_no_fragmentation_can_be_asked_for():
    with opened(options=SocketOptions(interface="lo", dont_fragment=True)) as sock:
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"
        assert sock.getsockopt(socket.IPPROTO_IP, 10) == 2  # IP_MTU_DISCOVER is IP_PMTUDISC_DO
    with opened(Address("::1", 0), SocketOptions(dont_fragment=True)) as sock:
        assert sock.getsockopt(socket.IPPROTO_IPV6, 23) == 2


def test_an_option_that_the_system_lacks_fails_as_unsupported(monkeypatch):
    monkeypatch.delattr(socket, "SO_REUSEPORT")
    with pytest.raises(OSError, match="this system has no SO_REUSEPORT") as caught:
        opened(options=SocketOptions(reuse_port=True))
    assert socket_error(caught.value).kind is SocketErrorKind.UNSUPPORTED
    monkeypatch.setattr("sansice.sockets._options._LINUX", False)
    with pytest.raises(OSError, match="dont_fragment") as caught:
        opened(options=SocketOptions(dont_fragment=True))
    assert socket_error(caught.value).kind is SocketErrorKind.UNSUPPORTED


# ---------------------------------------------------------------- together


@pytest.mark.parametrize(("host", "unreachable"), [("127.0.0.1", IcmpError(3, 3)), ("::1", IcmpError(1, 4, ipv6=True))])
def test_a_closed_port_is_told_as_an_icmp_error_of_its_datagram(bare, host, unreachable):
    bare.open(bind=Address(host, 0))
    with opened(Address(host, 0)) as gone:
        closed = from_sockaddr(gone.getsockname())
    bare.sockets.send(SocketId(1), closed, b"anybody?")
    bare.feed()
    assert bare.heard == [("icmp", closed, unreachable)]
    assert unreachable.is_hard
    assert bare.sockets.lost == {}


def test_an_icmp_error_does_not_cost_the_next_datagram_nor_what_has_arrived(bare):
    *_, local = bare.open()
    with opened() as gone:
        closed = Address(*gone.getsockname())
    bare.sockets.send(SocketId(1), closed, b"anybody?")
    bare.sockets.send(SocketId(1), local, b"to myself")
    assert bare.sockets.lost == {}
    bare.feed()
    assert bare.heard == [("icmp", closed, IcmpError(3, 3)), ("datagram", 1, local, b"to myself")]


def test_nothing_is_told_of_a_socket_that_the_machine_closed_on_the_first_error(bare):
    *_, local = bare.open()
    with opened() as one, opened() as two:
        closed = [Address(*one.getsockname()), Address(*two.getsockname())]
    for address in closed:
        bare.sockets.send(SocketId(1), address, b"anybody?")
        bare.sockets.send(SocketId(1), local, b"to myself")
    bare.machine.react["icmp"] = lambda *_: bare.sockets.close(SocketId(1))
    bare.feed()
    assert bare.heard == [("icmp", closed[0], IcmpError(3, 3))]


def test_a_datagram_that_no_udp_can_carry_is_lost_and_no_icmp_error(bare):
    bare.open(options=SocketOptions(dont_fragment=True))
    bare.sockets.send(SocketId(1), Address("127.0.0.1", 9), bytes(65507))  # with headers 65535, under lo's MTU of 65536
    bare.sockets.send(SocketId(1), Address("127.0.0.1", 9), bytes(65508))
    assert bare.sockets.lost == {"EMSGSIZE": 1}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is known of the path's MTU")
def test_one_datagram_alone_may_be_kept_from_being_fragmented_and_one_too_big_is_told_as_a_router_would(bare):
    *_, local = bare.open(bind=Address("::1", 0))
    big = bytes(65500)  # with headers 65548: over lo's MTU of 65536, which is known before anything leaves
    bare.sockets.send(SocketId(1), local, big)
    bare.sockets.set_dont_fragment(SocketId(1), True)
    bare.sockets.send(SocketId(1), local, big)
    bare.sockets.send(SocketId(1), local, b"small")
    bare.sockets.set_dont_fragment(SocketId(1), False)
    bare.sockets.send(SocketId(1), local, big)
    bare.feed()
    assert bare.sockets.lost == {"EMSGSIZE": 1}
    assert bare.heard == [
        ("icmp", local, IcmpError(2, 0, ipv6=True, mtu=65536)),
        ("datagram", 1, local, big),
        ("datagram", 1, local, b"small"),
        ("datagram", 1, local, big),
    ]


def test_fragmentation_is_no_business_of_streams_and_of_sockets_that_are_closed(bare):
    bare.listen()
    for id in (1, 2):
        bare.sockets.set_dont_fragment(SocketId(id), True)
    assert bare.sockets.lost == {}


def test_a_system_that_cannot_say_it_of_datagrams_is_counted(bare, monkeypatch):
    *_, local = bare.open()
    monkeypatch.setattr("sansice.sockets._options._LINUX", False)
    bare.sockets.set_dont_fragment(SocketId(1), True)
    bare.sockets.send(SocketId(1), local, b"goes all the same")
    bare.feed()
    assert bare.sockets.lost == {"ENOTSUP": 1}
    assert len(bare.heard) == 1


@pytest.mark.parametrize(("number", "told"), [(errno.EMSGSIZE, [IcmpError(3, 4, mtu=1400)]), (errno.EHOSTUNREACH, [])])
def test_of_local_errors_in_the_error_queue_only_the_paths_mtu_is_told(monkeypatch, number, told):
    # What Linux queues for a datagram over the path's MTU: ee_origin is SO_EE_ORIGIN_LOCAL. It was tried twice.
    local_error = _EXTENDED_ERROR.pack(number, 1, 0, 0, 1400, 0)
    answers = [(b"", [(0, 11, local_error)], 0, ("127.0.0.1", 9))] * 2

    def recvmsg(self, *args):
        if not answers:
            raise BlockingIOError(errno.EAGAIN, "empty")
        return answers.pop()

    monkeypatch.setattr(UdpSocket, "recvmsg", recvmsg)
    with opened() as sock:
        assert sock.read_errors() == [(Address("127.0.0.1", 9), error) for error in told]
    assert answers == []


def refuse_to_send(monkeypatch, error):
    tries = []

    def sendto(self, *args):
        tries.append(args)
        raise error

    monkeypatch.setattr(UdpSocket, "sendto", sendto)
    return tries


def test_a_full_send_buffer_loses_the_datagram_without_waiting(bare, monkeypatch):
    bare.open()
    tries = refuse_to_send(monkeypatch, BlockingIOError(errno.EAGAIN, "full"))
    bare.sockets.send(SocketId(1), LOOPBACK, b"x")
    assert len(tries) == 1
    assert bare.sockets.lost == {"EAGAIN": 1}


def test_a_refused_datagram_is_tried_once_more_and_then_lost(bare, monkeypatch):
    # The first answer may be about an earlier datagram; the second is about this one.
    bare.open()
    tries = refuse_to_send(monkeypatch, OSError(errno.ENETUNREACH, "no route"))
    bare.sockets.send(SocketId(1), LOOPBACK, b"x")
    assert len(tries) == 2
    assert bare.sockets.lost == {"ENETUNREACH": 1}


def test_a_datagram_for_an_unknown_socket_is_lost_and_counted(bare):
    bare.sockets.send(SocketId(5), LOOPBACK, b"x")
    assert bare.sockets.lost == {"socket closed": 1}


def test_a_round_reads_a_bounded_batch(bare):
    *_, local = bare.open()
    for number in range(MAX_BATCH + 1):
        bare.sockets.send(SocketId(1), local, b"%d" % number)
    bare.feed()
    assert len(bare.heard) == MAX_BATCH
    bare.feed()
    assert bare.heard[-1] == ("datagram", 1, local, b"%d" % MAX_BATCH)


def test_a_round_reads_a_bounded_number_of_errors(monkeypatch):
    icmp = _EXTENDED_ERROR.pack(errno.ECONNREFUSED, 2, 3, 3, 0, 0)
    monkeypatch.setattr(UdpSocket, "recvmsg", lambda self, *_: (b"", [(0, 11, icmp)], 0, ("127.0.0.1", 9)))
    with opened() as sock:
        assert sock.read_errors() == [(Address("127.0.0.1", 9), IcmpError(3, 3))] * MAX_BATCH


def test_where_there_is_no_error_queue_none_is_asked_for(monkeypatch):
    monkeypatch.setattr("sansice.sockets._udp._LINUX", False)
    with opened() as sock:
        assert sock.getsockopt(socket.IPPROTO_IP, 11) == 0  # IP_RECVERR


def test_nothing_is_fed_from_a_socket_closed_in_the_same_round(bare):
    locals_ = [bare.open(number)[2] for number in (1, 2)]
    for local in locals_:
        bare.sockets.send(SocketId(1), local, b"x")
    bare.machine.react["datagram"] = lambda number, *_: bare.sockets.close(SocketId(3 - number))
    bare.feed()
    assert len(bare.heard) == 1
