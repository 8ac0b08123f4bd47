"""Letters between workers."""

import socket

import pytest
import trio

from sansice import Address, LocalProtocolError, SocketId, Transport
from sansice.stun import Path
from sansice.turn import DatagramsElsewhere, StreamElsewhere
from sansice_cli.serve._exchange import Exchange, make_boxes

LOCAL, REMOTE = Address("192.0.2.1", 3478), Address("2001:db8::7", 5000)
UDP = Path(SocketId(1), REMOTE, Transport.UDP)
TCP = Path(SocketId(2), REMOTE, Transport.TCP)


class Service:
    """Writes down what it is told to take in."""

    def __init__(self, has_listener=True, closed=False):
        self.has_listener = has_listener
        self.closed = closed
        self.told = []
        self.came = trio.Event()

    def feed(self, transport, local, remote, datagrams):
        self.told.append((transport, local, remote, datagrams))
        self.came.set()
        return self.has_listener

    def take_in(self, transport, local, remote, sock, data):
        self.came.set()
        if self.closed:
            raise LocalProtocolError("closed")
        self.told.append((transport, local, remote, data))
        with sock:
            sock.sendall(b"taken")
        return self.has_listener


@pytest.fixture
async def exchanges():
    """Of two workers."""
    boxes = make_boxes(2)
    made = [Exchange(reading, [writing.dup() for _, writing in boxes]) for reading, _ in boxes]
    yield made
    for one in made:
        one.close()
    for _, writing in boxes:
        writing.close()


async def until_told(exchange, service):
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.serve, service)
            await service.came.wait()
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()


async def test_datagrams_arrive_one_by_one_and_in_order(exchanges):
    service = Service()
    datagrams = (b"", b"\n{}", b"x" * 1500)
    exchanges[0].send_datagrams(DatagramsElsewhere(1, UDP, LOCAL, datagrams))
    await until_told(exchanges[1], service)
    assert service.told == [(Transport.UDP, LOCAL, REMOTE, list(datagrams))]
    assert not exchanges[0].lost + exchanges[1].lost


async def test_a_stream_arrives_with_what_was_read_of_it(exchanges):
    service = Service()
    ours, theirs = socket.socketpair()
    exchanges[0].send_stream(StreamElsewhere(1, TCP, LOCAL, b"a request\n"), theirs)
    assert theirs.fileno() < 0
    await until_told(exchanges[1], service)
    assert service.told == [(Transport.TCP, LOCAL, REMOTE, b"a request\n")]
    with ours:
        assert ours.recv(10) == b"taken"


@pytest.mark.parametrize("service", [{"has_listener": False}, {"closed": True}], ids=["no listener", "closed"])
async def test_what_is_of_no_use_is_counted_and_closed(exchanges, service):
    service = Service(**service)
    ours, theirs = socket.socketpair()
    with ours:
        exchanges[0].send_stream(StreamElsewhere(1, TCP, LOCAL, b""), theirs)
        await until_told(exchanges[1], service)
        assert ours.recv(10) in (b"", b"taken")
    assert exchanges[1].lost == {"no listener for what another worker handed over": 1}


async def test_a_worker_that_is_behind_loses_letters_and_holds_nobody_up(exchanges):
    event = DatagramsElsewhere(1, UDP, LOCAL, (bytes(60_000),))
    for _ in range(1000):
        exchanges[0].send_datagrams(event)
    assert exchanges[0].lost["another worker is behind"] > 900
    ours, theirs = socket.socketpair()
    with ours:
        exchanges[0].send_stream(StreamElsewhere(1, TCP, LOCAL, b""), theirs)
        assert ours.recv(1) == b""


async def test_a_letter_that_is_too_long_is_lost_alone():
    boxes = make_boxes(1)
    exchange = Exchange(boxes[0][0], [boxes[0][1]])
    exchange.send_datagrams(DatagramsElsewhere(0, UDP, LOCAL, (bytes(2**23),)))
    assert exchange.lost == {"another worker cannot be reached": 1}
    exchange.close()
