"""What the tests of the adapter share: both ways to hold sockets, and what a block may leave behind."""

import contextlib
import gc
import os
import socket
import types

import pytest
import trio

HANG = 20  # seconds after which a test that waits for a real socket is stuck


class RealSockets(trio.abc.SocketFactory):
    """A socket factory of a test's own, so that the adapter takes the way through `trio.socket`."""

    def socket(self, family, type, proto):
        return trio.socket.from_stdlib_socket(socket.socket(family, type, proto))


@pytest.fixture(params=["epoll", "trio.socket"])
async def sockets(request):
    """Run a test once over the epoll and once over `trio.socket`."""
    if request.param == "trio.socket":
        trio.socket.set_custom_socket_factory(RealSockets())
    return request.param


@pytest.fixture
async def peer():
    """A plain UDP socket to talk to."""
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.bind(("127.0.0.1", 0))
        yield sock


@pytest.fixture
def nothing_left():
    """A context manager: what was opened or started inside is gone at its end."""

    @contextlib.contextmanager
    def check():
        gc.collect()
        before = open_files(), living_tasks()
        yield
        assert (open_files(), living_tasks()) == before

    return check


def open_files():
    return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if _is_open(fd))


def _is_open(fd):
    return os.path.lexists(f"/proc/self/fd/{fd}")  # not the one that the listing itself used


def living_tasks():
    return trio.lowlevel.current_statistics().tasks_living


@types.coroutine
def _cancelled_at(steps, coroutine, scope):
    """Run a coroutine, and cancel ``scope`` at its checkpoint number ``steps``."""
    resume, value, step = coroutine.send, None, 0
    while True:
        try:
            trap = resume(value)
        except StopIteration as stop:
            return stop.value
        step += 1
        if step == steps:
            scope.cancel()
        try:
            value = yield trap
            resume = coroutine.send
        except BaseException as error:
            value = error
            resume = coroutine.throw


@pytest.fixture
def cancel_everywhere(nothing_left):
    """Run a scenario again and again, cancelled at its first, second, ... checkpoint, until it completes.

    Returns how many checkpoints it had.
    """

    async def run(scenario):
        with trio.fail_after(HANG):
            for step in range(1, 10_000):
                with nothing_left():
                    with trio.CancelScope() as scope:
                        await _cancelled_at(step, scenario(), scope)
                if not scope.cancel_called:
                    return step - 1
        raise AssertionError("the scenario never completes")

    return run
