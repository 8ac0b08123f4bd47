"""The control socket: a request is a line of JSON, and so is its answer. Who may open the file may do everything."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import stat
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import trio

from ._sparing import SparingListener

MAX_LINE = 2**20  # bytes of a request: all allocations of a server may be named to be killed
TIMEOUT = 30.0  # seconds for a request to arrive and be done: workers have to be asked

Handler: TypeAlias = Callable[[Mapping[str, Any]], Awaitable[dict[str, object]]]
"""``await handle(request)``; a `ValueError` says what is wrong with it."""


@contextlib.asynccontextmanager
async def control_socket(path: str, handlers: Mapping[str, Handler]) -> AsyncIterator[None]:
    """Answer within the block.

    Args:
        path: of the socket, which only this user may open.
        handlers: by the request's ``command``.

    Raises:
        OSError: it cannot be made; the text says why.
    """
    sock = await _bound(path)
    try:
        async with SparingListener(trio.SocketListener(sock)) as listener, trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, _server(handlers, listener), [listener])
            yield
            nursery.cancel_scope.cancel()
    finally:
        with contextlib.suppress(OSError):
            os.unlink(path)


async def _bound(path: str) -> trio.socket.SocketType:
    """A socket that listens at the path, in the place of one that a dead server has left.

    Raises:
        OSError: a server answers there, or it is no socket, or the folder does not let us.
    """
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            raise OSError(errno.EEXIST, f"{path} is there and no socket")
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
            else:
                raise OSError(errno.EADDRINUSE, f"another server answers at {path}")
    sock = trio.socket.socket(socket.AF_UNIX)
    try:
        before = os.umask(0o177)
        try:
            await sock.bind(path)
        finally:
            os.umask(before)
        sock.listen()
    except BaseException:
        sock.close()
        raise
    return sock


def _server(handlers: Mapping[str, Handler], listener: SparingListener) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def serve(stream: trio.SocketStream) -> None:
        try:
            with trio.move_on_after(TIMEOUT), contextlib.suppress(trio.BrokenResourceError):
                answer = await _answer(await _line(stream), handlers)
                await stream.send_all(json.dumps(answer).encode() + b"\n")
        finally:
            await trio.aclose_forcefully(stream)
            listener.restock()

    return serve


async def _line(stream: trio.SocketStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < MAX_LINE and (more := await stream.receive_some()):
        line += more
    return line


async def _answer(line: bytes, handlers: Mapping[str, Handler]) -> dict[str, object]:
    try:
        request = json.loads(line)
        handler = handlers.get(request["command"])
    except (ValueError, RecursionError, LookupError, TypeError):
        return {"ok": False, "error": "a request is a JSON object with a command, on one line"}
    if handler is None:
        return {"ok": False, "error": f"there is no command {request['command']!r}; there are {', '.join(handlers)}"}
    try:
        return {"ok": True, **await handler(request)}
    except (ValueError, LookupError, TypeError) as error:
        return {"ok": False, "error": str(error) or type(error).__name__}
