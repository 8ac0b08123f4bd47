"""TCP connections with peers through a relay (RFC 6062) on every runtime."""

import contextlib
import socket

import pytest

from sansice import Address, LocalProtocolError, Transport
from sansice.turn import ConnectFailed, PeerConnected, PeerPolicy, TurnClosed, TurnError, TurnServerConfig, TurnStep

LOOPBACK = PeerPolicy(allow=["127.0.0.0/8"])
CONFIG = TurnServerConfig(tcp_relay=True)


@contextlib.asynccontextmanager
async def relaying(rt, clients=1, **options):
    """A server with TCP relaying, and clients with TCP allocations."""
    async with contextlib.AsyncExitStack() as stack:
        serving = rt.adapter.serve_turn(["tcp:127.0.0.1:0"], users={"alice": "secret"}, peer_policy=LOOPBACK, config=CONFIG)
        service = await stack.enter_async_context(rt.opened(serving))
        uri = f"turn:{service.listening[0][1]}?transport=tcp"
        turns = []
        for _ in range(clients):
            opening = rt.adapter.open_turn(uri, "alice", "secret", transport=Transport.TCP, **options)
            turns.append(await stack.enter_async_context(rt.opened(opening)))
        yield service, *turns


@pytest.fixture
def listener():
    """A plain TCP listener to be reached through the relay."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.setblocking(False)
        yield sock


def at(sock):
    return Address(*sock.getsockname())


async def until(rt, step):
    """Try until it would not block."""
    while True:
        with contextlib.suppress(BlockingIOError):
            return step()
        await rt.sleep(0.001)


async def accepted(rt, listener):
    """A connection that somebody has made."""
    sock, _ = await until(rt, listener.accept)
    sock.setblocking(False)
    return contextlib.closing(sock)


async def heard(rt, sock, count):
    """So many bytes, or all until the end."""
    found = b""
    while len(found) < count and (data := await until(rt, lambda: sock.recv(65536))):
        found += data
    return found


async def send_all(rt, sock, data):
    left = memoryview(data)

    def step():
        return sock.send(left[:65536])

    while left:
        left = left[await until(rt, step) :]


def run(rt, body):
    """Run a body that leaves nothing behind."""
    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_a_peer_is_connected_to_and_bytes_go_both_ways(rt, listener):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            stream = await rt.call(turn.connect(at(listener)))
            assert (stream.peer, stream.is_open) == (at(listener), True)
            assert repr(stream) == f"<TurnStream {at(listener)}>"
            with await accepted(rt, listener) as peer:
                assert peer.getpeername() == tuple(turn.relayed[0])
                await rt.call(stream.send(b"question"))
                assert await heard(rt, peer, 8) == b"question"
                peer.sendall(b"answer")
                assert await rt.call(stream.receive(3)) == b"ans"
                assert await rt.call(stream.receive()) == b"wer"
                stream.close()
                stream.close()
                assert await heard(rt, peer, 1) == b""
            for use in (lambda: stream.send(b"x"), stream.receive):
                with pytest.raises(TurnClosed):
                    await rt.call(use())
            assert [chunk async for chunk in rt.each(stream)] == []

    run(rt, body)


def test_the_end_of_the_peer_is_the_end_of_both_directions(rt, listener):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            async with rt.opened(await rt.call(turn.connect(str(at(listener))))) as stream:
                with await accepted(rt, listener) as peer:
                    peer.sendall(b"last words")
                chunks = [chunk async for chunk in rt.each(stream)]
                assert b"".join(chunks) == b"last words"
                assert await rt.call(stream.receive()) == b""
                assert not stream.is_open
                with pytest.raises(TurnError, match="has ended the connection") as caught:
                    await rt.call(stream.send(b"x"))
                assert caught.value.step is TurnStep.DATA

    run(rt, body)


def test_many_bytes_wait_for_their_reader_at_both_ends(rt, listener):
    many = bytes(range(256)) * 16_384  # 4 MiB: more than all buffers on the way hold

    async def body(rt):
        async with relaying(rt) as (_, turn):
            stream = await rt.call(turn.connect(at(listener)))
            with await accepted(rt, listener) as peer:

                async def write():
                    await rt.call(stream.send(many))

                async def read():
                    found = bytearray()
                    while len(found) < len(many):
                        found += await rt.call(stream.receive())
                    return bytes(found)

                _, found = await rt.together(write, lambda: heard(rt, peer, len(many)))
                assert found == many
                _, found = await rt.together(lambda: send_all(rt, peer, many), read)
                assert found == many

    run(rt, body)


def test_a_peer_that_connects_is_accepted(rt):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            with pytest.raises(TimeoutError):
                await rt.within(0.01, turn.accept)
            await rt.call(turn.permit("127.0.0.1"))
            with socket.socket() as peer:
                peer.setblocking(False)
                peer.connect_ex(turn.relayed[0])
                async with rt.opened(await rt.call(turn.accept())) as stream:
                    assert stream.peer == at(peer)
                    await until(rt, lambda: peer.send(b"hello"))
                    assert await rt.call(stream.receive()) == b"hello"
                    await rt.call(stream.send(b"welcome"))
                    assert await heard(rt, peer, 7) == b"welcome"
                assert await heard(rt, peer, 1) == b""

    run(rt, body)


def test_two_clients_of_one_relay_meet(rt):
    async def body(rt):
        async with relaying(rt, clients=2) as (_, alice, bob):
            await rt.call(bob.permit("127.0.0.1"))

            async def call():
                return await rt.call(alice.connect(bob.relayed[0]))

            async def answer():
                return await rt.call(bob.accept())

            here, there = await rt.together(call, answer)
            await rt.call(here.send(b"hello"))
            assert await rt.call(there.receive()) == b"hello"
            here.close(reset=True)
            with contextlib.suppress(TurnError):
                assert await rt.call(there.receive()) == b""

    run(rt, body)


def test_a_peer_that_is_not_there_or_not_allowed_is_told_with_the_code(rt):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        closed = at(gone)

    async def body(rt):
        async with relaying(rt) as (_, turn):
            for peer, code in ((closed, 447), ("10.0.0.1:80", 403)):
                with pytest.raises(TurnError, match=str(code)) as caught:
                    await rt.call(turn.connect(peer))
                assert (caught.value.step, caught.value.code) == (TurnStep.CONNECT, code)
            found = []
            while found.count(ConnectFailed) < 2:
                found.append(type(await rt.call(turn.events.get())))
            assert PeerConnected not in found

    run(rt, body)


def test_connections_need_an_allocation_for_them(rt):
    async def body(rt):
        serving = rt.adapter.serve_turn(["udp:127.0.0.1:0"], users={"alice": "secret"}, config=CONFIG)
        async with rt.opened(serving) as service:
            uri = f"turn:{service.listening[0][1]}?transport=udp"
            async with rt.opened(rt.adapter.open_turn(uri, "alice", "secret")) as turn:
                with pytest.raises(LocalProtocolError):
                    await rt.call(turn.connect("127.0.0.1:9"))
                turn.close()
                for use in (lambda: turn.connect("127.0.0.1:9"), turn.accept):
                    with pytest.raises(TurnClosed):
                        await rt.call(use())

    run(rt, body)


def test_a_wait_for_bytes_may_be_given_up_and_loses_none(rt, listener):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            stream = await rt.call(turn.connect(at(listener)))
            with await accepted(rt, listener) as peer:
                with pytest.raises(TimeoutError):
                    await rt.within(0.01, stream.receive)
                peer.sendall(b"late")
                assert await rt.call(stream.receive()) == b"late"
                with contextlib.suppress(TimeoutError, TurnError):  # threads find out at once that nobody is there
                    await rt.within(0.0, turn.connect, "127.0.0.2:9")

    run(rt, body)


def test_leaving_ends_every_stream(rt, listener):
    async def body(rt):
        async with relaying(rt) as (_, turn):
            stream = await rt.call(turn.connect(at(listener)))
            peer = (await accepted(rt, listener)).thing
            await rt.call(stream.send(b"bye"))
        with peer:
            assert await heard(rt, peer, 10) == b"bye"
        for use in (lambda: stream.send(b"x"), stream.receive):
            with pytest.raises(TurnError):
                await rt.call(use())
        stream.close()

    rt.run(body)
