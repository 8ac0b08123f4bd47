"""What only asyncio has: cancellation by exception at any await, loops without readers, and other people's cancellations."""

import asyncio
import contextlib
import socket
import threading

import pytest

from adapters.conformance._runtimes import HANG, RUNTIMES, cancelled_at
from sansice import Address, CloseSocket, Event, LocalProtocolError, Machine, OpenSocket, SendStream, SocketId, Transport
from sansice.ice import Description
from sansice_asyncio import AsyncioDriver, open_driver, open_ice, serve_ice, serve_stun, stun_binding

RT = next(runtime for runtime in RUNTIMES if runtime.name == "asyncio")
LOOPBACK = Address("127.0.0.1", 0)


def on_loopback(controlling):
    return open_ice(controlling=controlling, include_loopback=True, interface_filter=lambda name, address: address == "127.0.0.1")


class Opened(Event):
    """A socket is open."""

    def __init__(self, local):
        self.local = local


class Toy(Machine):
    """Opens sockets, and fails when it is told to."""

    def __init__(self):
        super().__init__()
        self.last_words = ()

    def perform(self, *actions, now):
        self._outputs.extend(actions)

    def close(self, *, now):
        self._outputs.extend(self.last_words)

    def handle_socket_opened(self, socket, local, *, now):
        self._outputs.append(Opened(local))

    def handle_datagrams(self, socket, batch, *, now):
        raise RuntimeError("a defect")


def run(body):
    """Run a body; what hangs fails."""
    return RT.run(lambda rt: rt.leaves_nothing(body))


def cancel_everywhere(scenario):
    """Run a scenario again and again, cancelled at its first, second, ... await, until it completes: how many it had."""

    async def once(step):
        task = asyncio.current_task()
        was_cancelled = False

        def cancel():
            nonlocal was_cancelled
            was_cancelled = True
            task.cancel()

        with contextlib.suppress(asyncio.CancelledError):
            await cancelled_at(step, scenario(), cancel)
        task.uncancel()
        return was_cancelled

    for step in range(1, 10_000):
        if not run(lambda step=step: once(step)):
            return step - 1
    raise AssertionError("the scenario never completes")


# ---------------------------------------------------------------- cancelling


def test_cancelling_a_connection_at_any_await_leaves_nothing_behind():
    async def scenario():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            async for _ in alice.candidates():
                pass
            of_alice, of_bob = await alice.gather(), await bob.gather()
            async with asyncio.TaskGroup() as group:
                group.create_task(alice.connect(of_bob))
                group.create_task(bob.connect(of_alice))
            await alice.connected()
            await alice.send(b"x")
            assert await bob.receive() == b"x"

    assert cancel_everywhere(scenario) >= 7


def test_cancelling_a_service_and_who_comes_to_it_at_any_await_leaves_nothing_behind():
    async def scenario():
        async with (
            serve_ice(["udp:127.0.0.1:0", "127.0.0.1:0"], admit=lambda stranger: "p" * 22) as service,
            on_loopback(True) as ice,
        ):
            await ice.connect(Description("room", "p" * 22, candidates=service.local_candidates[-1:], lite=True))
            served = await service.accept()
            await ice.send(b"x")
            assert await served.receive() == b"x"

    assert cancel_everywhere(scenario) >= 4


def test_cancelling_stun_at_any_await_leaves_nothing_behind():
    async def scenario():
        async with serve_stun(["127.0.0.1:0"]) as service:
            for transport, address in service.listening:
                assert (await stun_binding(f"stun:{address}", transports=[transport])).host == "127.0.0.1"
            await service.drain()

    assert cancel_everywhere(scenario) >= 4


def test_a_cancellation_from_outside_stays_one():
    async def body():
        async def block():
            async with open_driver(Toy()):
                await asyncio.Event().wait()

        task = asyncio.create_task(block())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(body)


def test_a_time_limit_around_a_block_is_a_time_limit():
    async def body():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), on_loopback(True) as ice:
                await ice.receive()
        assert asyncio.current_task().cancelling() == 0

    run(body)


def test_a_failure_does_not_count_as_a_cancellation_from_outside():
    async def block():
        machine = Toy()
        async with open_driver(machine) as (driver, events):
            driver.call(machine.perform, OpenSocket(SocketId(1), Transport.UDP, LOOPBACK))
            local = (await anext(events)).local
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
                sock.sendto(b"defect", local)
            await asyncio.Event().wait()

    async def body():
        with pytest.raises(ExceptionGroup) as caught:
            await block()
        assert caught.group_contains(RuntimeError, match="a defect")
        assert asyncio.current_task().cancelling() == 0

    run(body)


def test_what_has_arrived_is_received_without_the_loops_reader():
    async def body():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            await asyncio.gather(alice.connect(of_bob), bob.connect(of_alice))
            asyncio.get_running_loop().remove_reader(bob._driver._sockets.fileno())
            alice.send_nowait(b"there")
            assert await bob.receive() == b"there"
            alice.send_nowait(b"again")
            await bob.changed()
            assert bob.receive_nowait() == b"again"
        bob._driver.look()  # after the block it is no use, and harmless

    run(body)


def test_leaving_is_finished_before_a_cancellation_is_obeyed(monkeypatch):
    monkeypatch.setattr("sansice_asyncio._driver.LINGER", HANG)  # a busy machine may need more than the second
    with socket.create_server(("127.0.0.1", 0)) as listener:
        go_on, arrived = threading.Event(), []

        def read():
            stream, _ = listener.accept()
            with stream:
                go_on.wait(HANG)
                while data := stream.recv(65536):
                    arrived.append(len(data))

        reader = threading.Thread(target=read)
        reader.start()
        size = 900_000  # more than the system takes at once, and less than may wait

        async def block(leaving):
            machine = Toy()
            async with open_driver(machine) as (driver, events):
                remote = Address(*listener.getsockname())
                driver.call(machine.perform, OpenSocket(SocketId(1), Transport.TCP, LOOPBACK, remote))
                await anext(events)
                driver.call(machine.perform, *[SendStream(SocketId(1), bytes(size // 3))] * 3)
                machine.last_words = [CloseSocket(SocketId(1))]
                leaving.set()

        async def body():
            leaving = asyncio.Event()
            task = asyncio.create_task(block(leaving))
            await leaving.wait()
            await asyncio.sleep(0)
            task.cancel()
            await asyncio.sleep(0)
            task.cancel()
            go_on.set()
            with contextlib.suppress(asyncio.CancelledError):  # unless all of it fitted into the system's buffers
                await task
            reader.join(HANG)  # its end of the stream is none of those that the block left

        run(body)
    assert sum(arrived) == size


# ---------------------------------------------------------------- loops


class WithoutReaders(asyncio.SelectorEventLoop):
    """A loop like Windows' proactor."""

    def add_reader(self, fd, callback, *args):
        raise NotImplementedError


def test_a_loop_without_readers_is_refused_with_what_to_use():
    async def body():
        driver = AsyncioDriver(Toy(), lambda event: None)
        with pytest.raises(LocalProtocolError, match=r"WithoutReaders has no add_reader\(\): run on .*SelectorEventLoop"):
            async with driver:
                pass

    with asyncio.Runner(loop_factory=WithoutReaders) as runner:
        runner.run(RT.leaves_nothing(body))


def test_a_look_up_that_outlives_its_loop_harms_nobody(monkeypatch):
    asked, go_on = threading.Event(), threading.Event()

    def slow(*args, **kwargs):
        asked.set()
        go_on.wait(HANG)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)

    async def body():
        asking = asyncio.create_task(stun_binding("stun:slow.example:3478"))
        assert await asyncio.to_thread(asked.wait, HANG)
        asking.cancel()
        await asyncio.wait([asking])

    RT.run(lambda rt: body())
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "sansice look-up":
            thread.join(HANG)
            assert not thread.is_alive()


def test_two_hundred_sessions_leak_nothing():
    async def session():
        async with on_loopback(True) as alice, on_loopback(False) as bob:
            of_alice, of_bob = await alice.gather(), await bob.gather()
            await asyncio.gather(alice.connect(of_bob), bob.connect(of_alice))
            await alice.send(b"x")
            assert await bob.receive() == b"x"

    async def body():
        for _ in range(4):
            await asyncio.gather(*(session() for _ in range(50)))

    run(body)
