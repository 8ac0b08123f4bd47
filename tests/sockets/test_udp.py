"""UDP sockets, below any runtime."""

import errno
import random
import select
import socket
import sys

import pytest

from sansice import Address, IcmpError, SocketErrorKind, SocketId, SocketOptions
from sansice.driver import Driver
from sansice.sockets import Batching, _batching, from_sockaddr, socket_error
from sansice.sockets._udp import _EXTENDED_ERROR, MANY, MAX_BATCH, MAX_SEGMENTED, MAX_SEGMENTS, UdpSocket, end_of_run
from sockets._bare import DEFAULT, LOOPBACK, PATIENCE

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


# ---------------------------------------------------------------- many at once


@pytest.fixture(params=["all", "many", "cut", "none"])
def able(request, monkeypatch):
    """A system that can do all of it, some, or nothing."""
    many, segmentation = request.param in ("all", "many"), request.param in ("all", "cut")
    found = Batching(many, segmentation)
    monkeypatch.setattr(_batching, "_of_thread", _batching._OfThread())
    monkeypatch.setattr(_batching, "batching", lambda: found)
    monkeypatch.setattr("sansice.sockets._udp.batching", lambda: found)
    return request.param


def receive_all(sock, count):
    return [sock.recv(70_000) for _ in range(count)]


HOSTS = ["127.0.0.1", "::1"]


@pytest.mark.parametrize("host", HOSTS)
def test_a_batch_is_what_its_datagrams_are_one_by_one(able, host):
    lost = []
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with (
        opened(Address(host, 0)) as sock,
        socket.socket(family, socket.SOCK_DGRAM) as one,
        socket.socket(family, socket.SOCK_DGRAM) as two,
    ):
        ends = []
        for end in (one, two):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
            end.bind((host, 0))
            end.settimeout(PATIENCE)
            ends.append(from_sockaddr(end.getsockname()))
        draw = random.Random(5)
        for _ in range(40):
            items = []
            for _ in range(draw.randrange(6)):  # runs, and what interrupts them
                size, end = draw.choice([0, 1, 160, 1200, 9000]), draw.choice(ends)
                items += [(end, draw.randbytes(size)) for _ in range(draw.randrange(1, 20))]
            sock.transmit_all(items, lost.append)
            for end, address in zip((one, two), ends, strict=True):
                expected = [data for destination, data in items if destination == address]
                assert receive_all(end, len(expected)) == expected
    assert lost == []


def test_a_batch_longer_than_a_call_leaves_in_several(able):
    lost = []
    with opened() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        end.bind(("127.0.0.1", 0))
        end.settimeout(PATIENCE)
        there = Address(*end.getsockname())
        for size in (8, 2):
            items = [(there, number.to_bytes(size) if number % size else b"?") for number in range(3 * MAX_SEGMENTS)]
            sock.transmit_all(items, lost.append)
            assert receive_all(end, len(items)) == [data for _, data in items]
    assert lost == []


def test_what_cannot_be_sent_is_lost_alone_and_the_rest_leaves(able):
    lost = []
    with opened() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(PATIENCE)
        there, nowhere = Address(*end.getsockname()), Address("name.example", 9)
        items = [(there, b"1"), (there, bytes(65_508)), (there, b"2"), (nowhere, b"x"), (nowhere, b"y"), (there, b"3")]
        sock.transmit_all(items, lost.append)
        assert receive_all(end, 3) == [b"1", b"2", b"3"]
        assert [type(error) for error in lost] == [OSError] * 3
        lost.clear()
        sock.transmit_all([(Address("127.0.0.1", 65_536), b"x")] * 2, lost.append)
        assert [type(error) for error in lost] == [OverflowError] * 2
        lost.clear()
        sock.transmit_all([(there, bytes(65_508)), *[(there, bytes([number])) for number in range(MANY)]], lost.append)
        assert receive_all(end, MANY) == [bytes([number]) for number in range(MANY)]
        assert [error.errno for error in lost] == [errno.EMSGSIZE]


def test_the_icmp_error_of_an_earlier_batch_costs_no_datagram(able, bare):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(PATIENCE)
        there = Address(*end.getsockname())
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
            gone.bind(("127.0.0.1", 0))
            closed = Address(*gone.getsockname())
        bare.open()
        for items in (
            [(there, bytes([number])) for number in range(6)],
            [(there, bytes(1 + number)) for number in range(6)],
        ):
            bare.sockets.send_all(SocketId(1), [(closed, b"x")])
            bare.sockets.send_all(SocketId(1), items)
            assert receive_all(end, 6) == [data for _, data in items]
        bare.until("icmp")
        assert {what[0] for what in bare.heard} == {"icmp"}
        assert bare.sockets.lost == {}


@pytest.mark.parametrize(
    ("number", "tries"), [(errno.EMSGSIZE, 3), (errno.EINVAL, 3), (errno.ENOBUFS, 3), (errno.EIO, 1), (errno.EOPNOTSUPP, 1)]
)
def test_what_is_not_cut_leaves_uncut_and_where_no_device_cuts_it_is_not_tried_again(monkeypatch, number, tries):
    tried = []

    def sendmsg(self, buffers, *rest):
        tried.append(len(buffers[0]))
        raise OSError(number, "as the test wants it")

    monkeypatch.setattr(UdpSocket, "sendmsg", sendmsg)
    with opened() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.bind(("127.0.0.1", 0))
        end.settimeout(PATIENCE)
        there = Address(*end.getsockname())
        for size in (1200, 1300, 1000):
            sock.transmit_all([(there, bytes(size))] * 2, pytest.fail)
            assert receive_all(end, 2) == [bytes(size)] * 2
    assert tried == [1200, 1300, 1000][:tries]


A, B = Address("192.0.2.1", 1), Address("192.0.2.1", 2)


@pytest.mark.parametrize(
    ("items", "end"),
    [
        ([(A, 5)], 1),
        ([(A, 5), (A, 5), (A, 5)], 3),
        ([(A, 5), (Address("192.0.2.1", 1), 5)], 2),
        ([(A, 5), (B, 5)], 1),
        ([(A, 5), (A, 6)], 1),
        ([(A, 5), (A, 4), (A, 4)], 2),
        ([(A, 5), (A, 5), (A, 0)], 2),
        ([(A, 0), (A, 0)], 1),
        ([(A, 1)] * 100, MAX_SEGMENTS),
        ([(A, 30_000)] * 3, 2),
        ([(A, MAX_SEGMENTED - 1), (A, 1), (A, 1)], 2),
    ],
)
def test_a_run_is_for_one_place_and_of_one_size_but_for_its_last(items, end):
    items = [(B, b"before"), *((address, bytes(size)) for address, size in items)]
    assert end_of_run(items, 1) == 1 + end


def test_a_socket_that_has_many_is_read_many_at_a_time_and_one_that_has_few_is_spared(able):
    with opened() as sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        there = sock.getsockname()

        def arrive(count):
            for number in range(count):
                peer.sendto(bytes([number]), there)

        def read(sparing):
            return len(sock.read(sparing=sparing))

        arrive(6)
        assert [read(True), read(True), read(False)] == [1, 1, 4]
        arrive(10)
        assert read(True) == 10  # it had many the last time
        arrive(1)
        assert [read(True), read(True)] == [1, 0]
        arrive(10)
        # Whether it has many again is asked after a few rounds in which it had one.
        assert [read(True) for _ in range(4)] == [1, 1, 1, 7]


def test_a_round_reads_all_sockets_before_anything_leaves_and_sends_in_order(bare):
    first, second = (bare.open(number)[2] for number in (1, 2))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.bind(("127.0.0.1", 0))
        there = Address(*peer.getsockname())

        def answer(socket_id, source, data):
            bare.sockets.send(SocketId(1), there, data + b"1")
            bare.sockets.send_all(SocketId(1), ((there, data + b"2"), (there, data + b"3")))
            bare.sockets.send_all(SocketId(2), ((there, data + b"4"),))
            if data == b"b":
                bare.sockets.set_dont_fragment(SocketId(2), True)  # what is collected has left before
                bare.sockets.send(SocketId(2), there, b"b5")
                bare.sockets.close(SocketId(1))

        bare.machine.react["datagram"] = answer
        for local, data in ((first, b"a"), (second, b"b")):
            peer.sendto(data, local)
        while len(bare.heard) < 2:
            bare.feed()
        got = [peer.recvfrom(10) for _ in range(9)]
    for local, numbers in ((first, b"123123"), (second, b"445")):
        assert [data[1:] for data, source in got if source == local] == [bytes([number]) for number in numbers]
    assert bare.sockets.lost == {}


def test_a_socket_that_floods_does_not_hold_back_what_the_others_send(bare, monkeypatch):
    monkeypatch.setattr("sansice.sockets._sockets._MAX_HEARD", 2)
    locals_ = [bare.open(number)[2] for number in range(1, 4)]
    flushes = []
    monkeypatch.setattr(Driver, "flush", lambda driver: flushes.append(len(bare.heard)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        for local in locals_:
            peer.sendto(b"x", local)
        bare.sockets.feed(bare.driver)
    assert flushes == [2, 3]


# ---------------------------------------------------------------- lending


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_socket_that_is_lent_is_read_by_nobody_else_and_still_sends_and_closes(bare, host):
    local = bare.open(bind=Address(host, 0))[2]
    lent, again = (bare.sockets.lend(SocketId(1)) for _ in range(2))
    with lent, again, socket.socket(lent.family, socket.SOCK_DGRAM) as peer:
        peer.settimeout(PATIENCE)
        peer.bind((host, 0))
        peer.sendto(b"to whom it was lent", lent.getsockname())
        assert select.select([lent], [], [], PATIENCE)[0]
        bare.sockets.feed(bare.driver)
        assert bare.heard == []
        assert lent.recv(100) == b"to whom it was lent"
        with pytest.raises(BlockingIOError):
            again.recv(100)
        bare.sockets.send(SocketId(1), from_sockaddr(peer.getsockname()), b"from the machine")
        assert peer.recv(100) == b"from the machine"
        bare.sockets.close(SocketId(1))
        lent.sendto(b"from whom it was lent", peer.getsockname())
        data, source = peer.recvfrom(100)
        assert (data, from_sockaddr(source)) == (b"from whom it was lent", local)
    assert bare.sockets.lost == {}


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the system keeps no errors for a socket that is not connected")
def test_errors_that_nobody_knows_how_to_read_do_not_wake_who_reads_what_was_lent(bare):
    bare.open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        nobody = Address(*gone.getsockname())
    bare.sockets.send(SocketId(1), nobody, b"before")
    with bare.sockets.lend(SocketId(1)) as lent:
        bare.sockets.send(SocketId(1), nobody, b"after")
        poll = select.poll()
        poll.register(lent, select.POLLIN)
        assert poll.poll(0) in ([], [(lent.fileno(), select.POLLERR)])
        with pytest.raises((BlockingIOError, ConnectionRefusedError)):
            lent.recv(100)
        assert poll.poll(0) == []


def test_only_udp_sockets_are_lent(bare):
    bare.listen()
    assert bare.sockets.lend(SocketId(1)) is None
    assert bare.sockets.lend(SocketId(2)) is None
