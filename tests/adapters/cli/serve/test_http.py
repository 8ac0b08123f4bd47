"""The least of HTTP servers, and what strangers may try with it."""

import contextlib

import pytest
import trio

from sansice import Address
from sansice_cli.serve import _http
from sansice_cli.serve._http import MAX_CONNECTIONS, MAX_REQUEST, TIMEOUT, Answer, serve_http

LOCAL = Address("127.0.0.1", 0)


@pytest.fixture
async def served():
    """Asks: ``await served(b"GET / HTTP/1.1\r\n\r\n")``; ``served.address`` is where."""

    async def hello():
        await trio.lowlevel.checkpoint()
        return Answer(200, "text/plain", b"hello")

    async def ask(request):
        stream = await trio.open_tcp_stream(*ask.address)
        async with stream:
            await stream.send_all(request)
            found = b""
            with contextlib.suppress(trio.BrokenResourceError):
                while more := await stream.receive_some():
                    found += more
            return found

    async with serve_http(LOCAL, {"/": hello, "/x": hello}) as ask.address:
        yield ask


async def test_a_path_is_served_with_its_length_and_type(served):
    answer = await served(b"GET /x?y=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    head, _, content = answer.partition(b"\r\n\r\n")
    assert content == b"hello"
    assert head.splitlines() == [
        b"HTTP/1.1 200 OK", b"Content-Type: text/plain", b"Content-Length: 5", b"Connection: close",
    ]  # fmt: skip


async def test_a_head_is_served_without_the_content(served):
    answer = await served(b"HEAD / HTTP/1.0\r\n\r\n")
    assert b"Content-Length: 5" in answer
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET /\xff HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"POST / HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET / HTTP/2\r\n\r\n", b"400 Bad Request"),
        (b"GET  / HTTP/1.1\r\n\r\n", b"400 Bad Request"),
        (b"nonsense\r\n\r\n", b"400 Bad Request"),
        (b"GET / HTTP/1.1\r\n" + b"x" * MAX_REQUEST, b"400 Bad Request"),
    ],
)
async def test_what_is_not_served(served, request_, status):
    assert (await served(request_)).startswith(b"HTTP/1.1 " + status + b"\r\n")


async def test_who_leaves_early_is_no_trouble(served):
    stream = await trio.open_tcp_stream(*served.address)
    await stream.send_all(b"GET / HTTP/1.1")
    await stream.send_eof()
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")
    await stream.aclose()
    assert (await served(b"GET / HTTP/1.1\r\n\r\n")).endswith(b"hello")


async def test_who_says_nothing_is_closed_in_time(served, monkeypatch):
    monkeypatch.setattr(_http, "TIMEOUT", 0.05)
    assert TIMEOUT == 5
    assert await served(b"GET / HTTP/1.1\r\n") == b""


async def test_connections_are_bounded(served, monkeypatch):
    assert MAX_CONNECTIONS == 64
    monkeypatch.setattr(_http, "MAX_CONNECTIONS", 1)
    first = await trio.open_tcp_stream(*served.address)
    await first.send_all(b"GET ")
    assert await served(b"GET / HTTP/1.1\r\n\r\n") == b""
    await first.send_all(b"/ HTTP/1.1\r\n\r\n")
    assert (await first.receive_some()).startswith(b"HTTP/1.1 200")
    await first.aclose()


async def test_a_place_that_cannot_be_had():
    with pytest.raises(OSError, match="assign"):
        async with serve_http(Address("192.0.2.77", 1), {}):
            pass
