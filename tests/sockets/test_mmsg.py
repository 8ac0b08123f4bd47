"""Many datagrams in one system call: byte for byte what single calls would have carried."""

import ctypes
import os
import random
import socket
import threading

import pytest

from sansice import Address
from sansice.sockets import _mmsg, from_sockaddr
from sansice.sockets._mmsg import MAX_MESSAGES, Receiver, Sender, why_not

FAMILIES = [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not() or "there are such calls")


@pytest.fixture(params=FAMILIES, ids=["ipv4", "ipv6"])
def pair(request):
    """Two sockets of a family that do not block, and whether it is IPv6."""
    family, host = request.param
    with socket.socket(family, socket.SOCK_DGRAM) as one, socket.socket(family, socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 21)
            sock.bind((host, 0))
            sock.setblocking(False)
        yield one, other, family == socket.AF_INET6


def local(sock):
    return from_sockaddr(sock.getsockname())


def test_what_is_sent_at_once_arrives_at_each_destination_in_order(pair):
    one, other, ipv6 = pair
    items = [(local((one, other)[number % 2]), bytes([number]) * (number * 7 % 50)) for number in range(MAX_MESSAGES)]
    assert Sender(ipv6).send(one.fileno(), items) == MAX_MESSAGES
    receiver = Receiver(ipv6)
    for parity, sock in enumerate((one, other)):
        batch = receiver.receive(sock.fileno(), MAX_MESSAGES)
        assert batch == [(local(one), data) for _, data in items[parity::2]]
    assert receiver.receive(one.fileno(), MAX_MESSAGES) == []


def test_datagrams_of_every_size_come_whole(pair):
    one, other, ipv6 = pair
    sizes = [0, 1, 2047, 2048, 2049, 9000, 65_507, 3]
    sent = [os.urandom(size) for size in sizes]
    for data in sent:
        one.sendto(data, other.getsockname())
    receiver = Receiver(ipv6)
    assert [data for _, data in receiver.receive(other.fileno(), MAX_MESSAGES)] == sent
    # Nothing of an earlier batch shows in a later one.
    one.sendto(b"short", other.getsockname())
    assert receiver.receive(other.fileno(), MAX_MESSAGES) == [(local(one), b"short")]


def test_no_more_is_read_than_was_asked_for(pair):
    one, other, ipv6 = pair
    for number in range(5):
        one.sendto(bytes([number]), other.getsockname())
    receiver = Receiver(ipv6)
    assert [data for _, data in receiver.receive(other.fileno(), 2)] == [b"\0", b"\1"]
    assert [data for _, data in receiver.receive(other.fileno(), MAX_MESSAGES)] == [b"\2", b"\3", b"\4"]


def test_sizes_and_destinations_may_differ_from_call_to_call(pair):
    one, other, ipv6 = pair
    sender, receiver = Sender(ipv6), Receiver(ipv6)
    draw = random.Random(8)
    for _ in range(50):
        size = draw.choice([0, 100, 100, 200])
        items = [
            (local(draw.choice((one, other))), draw.randbytes(size or draw.randrange(3000))) for _ in range(draw.randrange(1, 20))
        ]
        assert sender.send(one.fileno(), items) == len(items)
        for sock in (one, other):
            expected = [data for destination, data in items if destination == local(sock)]
            assert [data for _, data in receiver.receive(sock.fileno(), MAX_MESSAGES)] == expected


def test_more_payload_than_there_is_room_for_is_left_to_the_next_call(pair):
    one, other, ipv6 = pair
    items = [(local(other), bytes([number]) * 50_000) for number in range(3)]
    sender = Sender(ipv6)
    assert sender.send(one.fileno(), items) == 2
    assert sender.send(one.fileno(), items[2:]) == 1
    assert [data[:1] for _, data in Receiver(ipv6).receive(other.fileno(), 9)] == [b"\0", b"\1", b"\2"]
    assert sender.send(one.fileno(), [(local(other), bytes(200_000)), *items]) == 0


def test_what_the_system_refuses_ends_the_call_before_it(pair):
    one, other, ipv6 = pair
    good = (local(other), b"good")
    too_long = (local(other), bytes(65_536))
    sender = Sender(ipv6)
    assert sender.send(one.fileno(), [good, good, too_long, good]) == 2
    assert sender.send(one.fileno(), [too_long, good]) == 0
    assert sender.send(-1, [good]) == 0


@pytest.mark.parametrize(
    "destination",
    [Address("name.example", 9), Address("2001:db8::1", 9), Address("192.0.2.1", 65536), Address("192.0.2.1", -1)],
)
def test_what_is_no_destination_raises_and_nothing_is_sent(destination):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        with pytest.raises((OSError, ValueError, OverflowError)):
            Sender(False).send(sock.fileno(), [(local(sock), b"x"), (destination, b"x")])
        assert Receiver(False).receive(sock.fileno(), 1) == []


def test_an_address_is_made_once_and_the_table_of_them_is_bounded(pair, monkeypatch):
    monkeypatch.setattr(_mmsg, "_KNOWN", 2)
    one, other, ipv6 = pair
    sender, receiver = Sender(ipv6), Receiver(ipv6)
    sources = []
    for _ in range(2):
        sender.send(one.fileno(), [(local(other), b"x")])
        sources += [source for source, _ in receiver.receive(other.fileno(), 9)]
    assert sources[0] is sources[1]
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    for _ in range(4):
        with socket.socket(family, socket.SOCK_DGRAM) as another:
            another.bind((local(one).host, 0))
            another.sendto(b"x", other.getsockname())
            assert receiver.receive(other.fileno(), 9) == [(local(another), b"x")]
            sender.send(other.fileno(), [(local(another), b"y")])
            assert another.recv(9) == b"y"
    assert len(receiver._known) <= 2
    assert len(sender._known) <= 2


def test_the_table_of_sizes_is_bounded(pair, monkeypatch):
    monkeypatch.setattr(_mmsg, "_SIZES", 3)
    one, other, ipv6 = pair
    sender, receiver = Sender(ipv6), Receiver(ipv6)
    for size in range(9):
        sender.send(one.fileno(), [(local(other), bytes(size))])
        assert len(sender._parts_for) <= 3
    assert [len(data) for _, data in receiver.receive(other.fileno(), 64)] == list(range(9))


def test_zones_are_looked_up_each_time_for_interfaces_come_and_go(monkeypatch):
    raw = _mmsg._IPV6.pack(socket.AF_INET6, (9).to_bytes(2), 0, socket.inet_pton(socket.AF_INET6, "fe80::1"), 7)
    names = iter(["eth0", "eth1"])
    monkeypatch.setattr(_mmsg, "from_sockaddr", lambda source: Address(f"{source[0]}%{next(names)}", source[1]))
    receiver = Receiver(True)
    assert [receiver._learn(raw) for _ in range(2)] == [Address("fe80::1%eth0", 9), Address("fe80::1%eth1", 9)]
    numbers = iter([3, 4])
    monkeypatch.setattr(_mmsg, "to_sockaddr", lambda address, ipv6: ("fe80::1", 9, 0, next(numbers)))
    sender = Sender(True)
    scopes = [_mmsg._IPV6.unpack_from(sender._learn(Address("fe80::1%eth0", 9)))[-1] for _ in range(2)]
    assert scopes == [3, 4]


def test_a_pending_error_reads_as_nothing(pair):
    _, _, ipv6 = pair
    assert Receiver(ipv6).receive(-1, 1) == []


def test_threads_have_memory_of_their_own():
    from sansice.sockets._batching import receiver, sender

    found = {}

    def look():
        found[threading.get_ident()] = (receiver(False), sender(False))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    look()
    (first, second) = found.values()
    assert first[0] is not second[0]
    assert first[1] is not second[1]
    assert (receiver(False), sender(False)) == second


def test_a_c_library_without_the_calls_is_a_reason(monkeypatch):
    class Poor:
        recvmmsg = ctypes.CDLL(None).recvmmsg

    monkeypatch.setattr(_mmsg, "_libc", Poor())
    assert why_not() == "the C library has no sendmmsg"
    monkeypatch.setattr(_mmsg.struct, "calcsize", lambda layout: 4)
    assert why_not() == "recvmmsg and sendmmsg are known only where pointers have 8 bytes"
