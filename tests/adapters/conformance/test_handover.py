"""Clients that come to the wrong one of several servers, and are handed over, on every runtime."""

import contextlib
import socket

import pytest

from sansice import LocalProtocolError, SocketId, Transport
from sansice.stun import (
    ERROR_CODE,
    REQUESTED_TRANSPORT,
    RESERVATION_TOKEN,
    MessageClass,
    Method,
    TransactionId,
    decode_untrusted,
    encode,
)
from sansice.turn import DatagramsElsewhere, RelayAddress, StreamElsewhere, TurnServerConfig

ID = TransactionId(bytes(12))
TOKEN_OF_ONE = b"\x01" + bytes(7)
REQUEST = encode(Method.ALLOCATE, MessageClass.REQUEST, ID, [(REQUESTED_TRANSPORT, 17), (RESERVATION_TOKEN, TOKEN_OF_ONE)])


@contextlib.asynccontextmanager
async def two_workers(rt, transport):
    """Two servers that would share a listener, had each not its own here; for everybody."""
    async with contextlib.AsyncExitStack() as stack:
        services = []
        for number in (0, 1):
            config = TurnServerConfig(anonymous=True, relay_addresses=[RelayAddress("127.0.0.1")], worker=number, workers=2)
            opened = rt.adapter.serve_turn([f"{transport.value}:127.0.0.1:0"], config=config)
            services.append(await stack.enter_async_context(rt.opened(opened)))
        yield services


def address(service):
    return service.listening[0][1]


def run(rt, body):
    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


async def answered(rt, sock):
    """What a plain socket receives."""
    sock.setblocking(False)
    while True:
        with contextlib.suppress(BlockingIOError):
            return decode_untrusted(sock.recv(2048))
        await rt.sleep(0.001)


def test_a_stream_is_served_by_the_other_from_its_first_byte_on(rt):
    async def body(rt):
        async with two_workers(rt, Transport.TCP) as (zero, one):
            with socket.create_connection(address(zero)) as client:
                client.sendall(REQUEST)
                event = await rt.call(zero.events.get())
                assert (type(event), event.worker, event.data) == (StreamElsewhere, 1, REQUEST)
                handed = zero.hand_out(event)
                assert one.take_in(Transport.TCP, address(one), event.path.remote, handed, event.data)
                assert (await answered(rt, client)).get(ERROR_CODE).code == 508  # there is no such token there
                assert (zero.stats.stun.connections, one.stats.stun.connections) == (0, 1)
                assert zero.hand_out(event) is None

    run(rt, body)


def test_datagrams_are_answered_by_the_other(rt):
    async def body(rt):
        async with two_workers(rt, Transport.UDP) as (zero, one):
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
                client.bind(("127.0.0.1", 0))
                client.sendto(REQUEST, address(zero))
                event = await rt.call(zero.events.get())
                assert (type(event), event.datagrams) == (DatagramsElsewhere, (REQUEST,))
                assert one.feed(Transport.UDP, address(one), event.path.remote, event.datagrams)
                assert (await answered(rt, client)).get(ERROR_CODE).code == 508

    run(rt, body)


def test_nothing_is_handed_out_of_a_driver_outside_of_its_block(rt):
    async def body(rt):
        async with two_workers(rt, Transport.TCP) as (zero, one):
            pass
        for service in (zero, one):
            with pytest.raises(LocalProtocolError, match="outside of its block"):
                service._driver.hand_out(SocketId(1))

    run(rt, body)
