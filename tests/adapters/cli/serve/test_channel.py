"""Calls from one process to another, tried between two tasks."""

import contextlib
import os
import socket

import pytest
import trio

from sansice_cli.serve._backend import ServingError
from sansice_cli.serve._channel import Caller, Channel, WorkerGoneError, answer_calls


@pytest.fixture
async def ends():
    """A caller that is being served, and what to close to have the worker gone."""
    ours, theirs = socket.socketpair()
    supervisor, worker = Channel.of_supervisor(ours), Channel.of_worker(theirs)
    caller, began = Caller(supervisor), trio.Event()
    kept = []

    async def double(number):
        await trio.lowlevel.checkpoint()
        return {"is": 2 * number}

    async def refuse():
        await trio.lowlevel.checkpoint()
        raise ServingError("because")

    async def hold():
        began.set()
        await trio.sleep_forever()

    async def keep(*words, descriptors=()):
        await trio.lowlevel.checkpoint()
        kept.extend(descriptors)
        return [len(words), len(descriptors)]

    handlers = {"double": double, "refuse": refuse, "hold": hold, "keep": keep}
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        nursery.start_soon(answer_calls, worker, handlers)
        yield caller, supervisor, worker, began, kept
        nursery.cancel_scope.cancel()
    supervisor.close()
    worker.close()
    for one in kept:
        os.close(one)


async def test_calls_are_answered_each_with_its_own(ends):
    caller = ends[0]
    found = {}

    async def ask(number):
        found[number] = await caller.call("double", number)

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)
    assert found == {number: {"is": 2 * number} for number in range(20)}


async def test_a_refusal_says_why(ends):
    with pytest.raises(ServingError, match="because"):
        await ends[0].call("refuse")


async def test_messages_of_any_size_and_descriptors_arrive_whole(ends):
    caller, kept = ends[0], ends[-1]
    reading, writing = os.pipe()
    assert await caller.call("keep", "x" * 3_000_000, descriptors=[writing]) == [1, 1]
    assert await caller.call("keep", "y", b"z") == [2, 0]
    assert await caller.call("keep", descriptors=[reading, writing]) == [0, 2]
    os.close(writing)
    os.write(kept[0], b"through")
    assert os.read(reading, 10) == b"through"
    os.close(reading)


async def test_a_worker_that_ends_fails_calls_that_wait_and_all_that_come(ends):
    caller, _, worker, began, _ = ends
    async with trio.open_nursery() as nursery:

        async def ask():
            with pytest.raises(WorkerGoneError):
                await caller.call("hold")

        nursery.start_soon(ask)
        await began.wait()
        worker.close()
    with pytest.raises(WorkerGoneError):
        await caller.call("double", 1)


async def test_a_call_that_is_given_up_leaves_nothing(ends):
    caller, began = ends[0], ends[3]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.call, "hold")
        await began.wait()
        nursery.cancel_scope.cancel()
    assert not caller._waiting
    assert await caller.call("double", 4) == {"is": 8}


async def test_answers_to_nobody_and_a_supervisor_that_is_gone_are_no_trouble():
    ours, theirs = socket.socketpair()
    supervisor, worker = Channel.of_supervisor(ours), Channel.of_worker(theirs)
    with contextlib.closing(worker):
        caller = Caller(supervisor)
        await worker.send({"id": 99, "result": None})

        async def slow():
            supervisor.close()
            await trio.lowlevel.checkpoint()

        await supervisor.send((1, "slow", ()))
        with trio.fail_after(60):
            await answer_calls(worker, {"slow": slow})
        assert caller


async def test_descriptors_that_nobody_took_are_closed():
    ours, theirs = socket.socketpair()
    supervisor, worker = Channel.of_supervisor(ours), Channel.of_worker(theirs)
    reading, writing = os.pipe()
    await supervisor.send("cut short", [writing])
    os.close(writing)
    supervisor.close()
    worker._received += b"\xff\xff\xff\xff\x00"  # as if a longer message came first: the descriptor belongs to what follows
    assert await worker.receive() is None
    worker.close()
    assert os.read(reading, 1) == b""
    os.close(reading)
