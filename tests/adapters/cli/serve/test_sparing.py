"""Whoever looks after a server is let in when its clients have taken every descriptor."""

import contextlib
import json
import os
import resource

import pytest
import trio

from sansice import Address
from sansice_cli.serve._control import control_socket
from sansice_cli.serve._http import Answer, serve_http
from sansice_cli.serve._sparing import SparingListener


@contextlib.contextmanager
def nothing_left():
    """There is no descriptor to be had within the block."""
    taken = []
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
        with contextlib.suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in taken:
            os.close(one)


async def said(stream):
    data = b""
    while more := await stream.receive_some():
        data += more
    return data


async def echo(request):
    await trio.lowlevel.checkpoint()
    return {"said": request["say"]}


async def health():
    await trio.lowlevel.checkpoint()
    return Answer(200, "text/plain", b"well")


async def test_the_control_socket_answers_one_after_the_other(tmp_path, capfd):
    path = str(tmp_path / "control")
    async with control_socket(path, {"echo": echo}):
        callers = [await trio.open_unix_socket(path) for _ in range(3)]
        with nothing_left():
            for caller in callers:
                await caller.send_all(b'{"command": "echo", "say": 5}\n')
                assert json.loads(await said(caller)) == {"ok": True, "said": 5}
        for caller in callers:
            await caller.aclose()
    assert capfd.readouterr().err == ""


async def test_the_health_of_the_server_can_be_asked_for():
    async with serve_http(Address("127.0.0.1", 0), {"/health": health}) as address:
        callers = [await trio.open_tcp_stream(*address) for _ in range(2)]
        with nothing_left():
            for caller in callers:
                await caller.send_all(b"GET /health HTTP/1.1\r\n\r\n")
                assert (await said(caller)).endswith(b"well")
        for caller in callers:
            await caller.aclose()


async def test_any_other_trouble_is_not_hidden_and_costs_nothing_that_is_kept():
    [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with SparingListener(listener) as sparing:
        await listener.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await sparing.accept()
        assert sparing._spare is not None
    assert sparing._spare is None
