"""Cancelling a relay's client on trio and asyncio, wherever it waits: nothing is left behind, here or at the server."""

import asyncio
import contextlib
import threading

import pytest
import trio

import sansice_asyncio
import sansice_trio
from adapters.conformance._runtimes import cancelled_at
from adapters.conftest import HANG, _cancelled_at, open_files
from sansice import Transport
from sansice.turn import PeerPolicy, TurnServerConfig
from sansice_blocking import serve_turn


@pytest.fixture
def service():
    """A server in a thread."""
    config = TurnServerConfig(tcp_relay=True)
    policy = PeerPolicy(allow=["127.0.0.0/8"])
    with serve_turn(["127.0.0.1:0"], users={"alice": "secret"}, config=config, peer_policy=policy) as running:
        yield running


def uri_of(service, number):
    return f"turn:{service.listening[number][1]}?transport={'tcp' if number else 'udp'}"


async def datagrams(adapter, service, number):
    """Everything that waits, of datagrams."""
    opening = adapter.open_turn(uri_of(service, number), "alice", "secret")
    async with opening as alice, adapter.open_turn(uri_of(service, number), "alice", "secret") as bob:
        await alice.permit("127.0.0.1")
        there, here = alice.peer(bob.relayed[0]), bob.peer(alice.relayed[0])
        await here.ready()
        await there.send(b"hello")
        assert await here.receive() == b"hello"
        await bob.send(alice.relayed[0], b"welcome")
        assert await there.receive() == b"welcome"
        assert await bob.allocate() == bob.relayed


async def streams(adapter, service, number):
    """Everything that waits, of streams."""
    options = {"transport": Transport.TCP}
    opening = adapter.open_turn(uri_of(service, number), "alice", "secret", **options)
    async with opening as alice, adapter.open_turn(uri_of(service, number), "alice", "secret", **options) as bob:
        await bob.permit("127.0.0.1")
        connecting = alice.connect(bob.relayed[0])
        async with await connecting as there, await bob.accept() as here:
            await there.send(b"hello")
            assert await here.receive() == b"hello"


@pytest.mark.parametrize(("scenario", "number"), [(datagrams, 0), (datagrams, 1), (streams, 1)])
async def test_cancelling_at_any_await_of_trio_leaves_nothing_behind(service, scenario, number):
    before = open_files()
    with trio.fail_after(HANG * 4):
        for step in range(1, 10_000):
            with trio.CancelScope() as scope:
                await _cancelled_at(step, scenario(sansice_trio, service, number), scope)
            while service.allocations() or open_files() != before:  # noqa: ASYNC110 - the server is in another thread
                await trio.sleep(0.001)
            if not scope.cancel_called:
                break
    assert step > 8


@pytest.mark.parametrize(("scenario", "number"), [(datagrams, 0), (datagrams, 1), (streams, 1)])
def test_cancelling_at_any_await_of_asyncio_leaves_nothing_behind(service, scenario, number):
    async def once(step):
        task = asyncio.current_task()
        was_cancelled = False

        def cancel():
            nonlocal was_cancelled
            was_cancelled = True
            task.cancel()

        with contextlib.suppress(asyncio.CancelledError):
            await cancelled_at(step, scenario(sansice_asyncio, service, number), cancel)
        if was_cancelled:
            task.uncancel()
        async with asyncio.timeout(HANG):
            while service.allocations():  # noqa: ASYNC110 - the server is in another thread
                await asyncio.sleep(0.001)
        return was_cancelled

    before = open_files()
    step = 1
    while asyncio.run(once(step)):
        step += 1
    assert step > 8
    pause = threading.Event()
    for _ in range(HANG * 1000):  # the server's sockets close in its own thread
        if open_files() == before:
            break
        pause.wait(0.001)
    assert open_files() == before


async def test_a_relay_and_its_clients_run_on_trios_own_sockets_too(sockets):
    policy = PeerPolicy(allow=["127.0.0.0/8"])
    with trio.fail_after(HANG):
        async with sansice_trio.serve_turn(["udp:127.0.0.1:0"], users={"alice": "secret"}, peer_policy=policy) as serving:
            await datagrams(sansice_trio, serving, 0)
            assert serving.allocations() == ()
