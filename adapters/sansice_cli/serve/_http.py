"""The least of HTTP servers: GET of a few paths, a connection each, everything bounded."""

from __future__ import annotations

import contextlib
import http
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

import trio

from sansice import Address

from ._sparing import SparingListener

MAX_REQUEST = 8192  # bytes of a request's head
MAX_CONNECTIONS = 64  # at once; a scraper needs one
TIMEOUT = 5.0  # seconds for a request to arrive, and for its answer to leave


class Answer(NamedTuple):
    """What is answered: status, type of the content, content."""

    status: int
    kind: str
    content: bytes


Route: TypeAlias = Callable[[], Awaitable[Answer]]


@contextlib.asynccontextmanager
async def serve_http(address: Address, routes: Mapping[str, Route]) -> AsyncIterator[Address]:
    """Answer within the block; the address with the real port.

    Args:
        address: where.
        routes: what is asked for each path.

    Raises:
        OSError: the address cannot be listened at.
    """
    [opened] = await trio.open_tcp_listeners(address.port, host=address.host)
    async with SparingListener(opened) as listener, trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, _Server(routes, listener).serve, [listener])
        yield Address(address.host, opened.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


class _Server:
    def __init__(self, routes: Mapping[str, Route], listener: SparingListener) -> None:
        self._routes = routes
        self._listener = listener
        self._connections = 0

    async def serve(self, stream: trio.SocketStream) -> None:
        self._connections += 1
        try:
            if self._connections <= MAX_CONNECTIONS:
                with trio.move_on_after(TIMEOUT):
                    head = await _read_head(stream)
                    await stream.send_all(_encoded(*await self._answer(head)))
                    await stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # whoever asked has left
        finally:
            self._connections -= 1
            await trio.aclose_forcefully(stream)
            self._listener.restock()

    async def _answer(self, head: bytes) -> tuple[Answer, bool]:
        """What is said, and whether with the content: not to HEAD."""
        match head.partition(b"\r\n")[0].split(b" "):
            case [b"GET" | b"HEAD" as method, path, version] if version.startswith(b"HTTP/1."):
                route = self._routes.get(path.partition(b"?")[0].decode("latin-1"))
                return (_said(http.HTTPStatus.NOT_FOUND) if route is None else await route()), method == b"GET"
            case [_, _, version] if version.startswith(b"HTTP/1."):
                return _said(http.HTTPStatus.METHOD_NOT_ALLOWED), True
        return _said(http.HTTPStatus.BAD_REQUEST), True


async def _read_head(stream: trio.SocketStream) -> bytes:
    """The request up to its empty line; as far as it goes where it is too long or the client leaves."""
    head = b""
    while b"\r\n\r\n" not in head and len(head) < MAX_REQUEST:
        more = await stream.receive_some(MAX_REQUEST)
        if not more:
            break
        head += more
    return head if b"\r\n\r\n" in head else b""


def _said(status: http.HTTPStatus) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{status.phrase}\n".encode())


def _encoded(answer: Answer, with_content: bool) -> bytes:
    lines = (
        f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}",
        f"Content-Type: {answer.kind}",
        f"Content-Length: {len(answer.content)}",
        "Connection: close",
    )
    head = "".join(f"{line}\r\n" for line in lines).encode() + b"\r\n"
    return head + answer.content if with_content else head
