"""Calls between the supervisor and a worker: messages with descriptors, over a pair of sockets."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import pickle
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeAlias

import trio

from ._backend import ServingError

_HEAD = struct.Struct("!IB")  # bytes of the message behind it, and descriptors that come with it
_MAX_DESCRIPTORS = 250  # SCM_MAX_FD is 253; a worker has a descriptor for each listener
_READ = 65536

Handlers: TypeAlias = Mapping[str, Callable[..., Awaitable[object]]]


class Channel:
    """One end. The supervisor's settings travel as pickles, which none but the parent of a process can send it; what a worker
    says, who talks with strangers all day, is JSON.

    Args:
        sock: of a pair of stream sockets.
        encode, decode: of messages.
    """

    def __init__(self, sock: socket.socket, encode: Callable[[Any], bytes], decode: Callable[[bytes], Any]) -> None:
        self._sock = trio.socket.from_stdlib_socket(sock)
        self._encode = encode
        self._decode = decode
        self._received = bytearray()
        self._descriptors: deque[int] = deque()
        self._sending = trio.Lock()

    @classmethod
    def of_supervisor(cls, sock: socket.socket) -> Channel:
        """The supervisor's end."""
        return cls(sock, pickle.dumps, json.loads)

    @classmethod
    def of_worker(cls, sock: socket.socket) -> Channel:
        """The worker's end."""
        return cls(sock, lambda message: json.dumps(message).encode(), pickle.loads)

    async def send(self, message: object, descriptors: Sequence[int] = ()) -> None:
        """Send a message; the descriptors stay open here.

        Raises:
            OSError: the other end is gone.
        """
        body = self._encode(message)
        data = _HEAD.pack(len(body), len(descriptors)) + body
        async with self._sending:
            sent = 0
            if descriptors:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack(f"{len(descriptors)}i", *descriptors))]
                sent = await self._sock.sendmsg([data], rights)
            while sent < len(data):
                sent += await self._sock.send(data[sent:])

    async def receive(self) -> tuple[Any, list[int]] | None:
        """The next message with its descriptors, which are the caller's; ``None``: the other end is gone, or this one closed."""
        while (found := self._take()) is None:
            try:
                data, ancillary, _, _ = await self._sock.recvmsg(_READ, socket.CMSG_SPACE(4 * _MAX_DESCRIPTORS))
            except (ConnectionError, trio.ClosedResourceError):
                return None
            for _, _, rights in ancillary:
                self._descriptors.extend(struct.unpack(f"{len(rights) // 4}i", rights[: len(rights) // 4 * 4]))
            if not data:
                return None
            self._received += data
        return found

    def _take(self) -> tuple[Any, list[int]] | None:
        received = self._received
        if len(received) < _HEAD.size:
            return None
        length, count = _HEAD.unpack_from(received)
        if len(received) < _HEAD.size + length:
            return None
        body = bytes(received[_HEAD.size : _HEAD.size + length])
        del received[: _HEAD.size + length]
        return self._decode(body), [self._descriptors.popleft() for _ in range(count)]

    def close(self) -> None:
        """Close, with the descriptors that nobody has taken."""
        self._sock.close()
        for descriptor in self._descriptors:
            os.close(descriptor)
        self._descriptors.clear()


class WorkerGoneError(Exception):
    """A worker has ended before it answered."""


class Caller:
    """The supervisor's side: asks, and waits for answers."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._ids = itertools.count(1)
        self._waiting: dict[int, tuple[trio.Event, list[Mapping[str, Any]]]] = {}
        self._gone = False

    async def call(self, method: str, *arguments: object, descriptors: Sequence[int] = ()) -> Any:
        """What the worker's handler of this name answers.

        Raises:
            ServingError: what the handler raised.
            WorkerGoneError: the worker has ended.
        """
        id, event, answers = next(self._ids), trio.Event(), []  # type: ignore[var-annotated]
        self._waiting[id] = event, answers
        try:
            if not self._gone:
                with contextlib.suppress(OSError):  # the end of the other side comes out of `run`
                    await self._channel.send((id, method, arguments), descriptors)
                await event.wait()
        finally:
            del self._waiting[id]
        if not answers:
            raise WorkerGoneError
        answer: Mapping[str, Any] = answers[0]
        if "error" in answer:
            raise ServingError(answer["error"])
        return answer["result"]

    async def run(self) -> None:
        """Hand answers over until the worker ends."""
        while (received := await self._channel.receive()) is not None:
            answer, _ = received
            if (waiting := self._waiting.get(answer["id"])) is not None:
                waiting[1].append(answer)
                waiting[0].set()
        self._gone = True
        for event, _ in self._waiting.values():
            event.set()


async def answer_calls(channel: Channel, handlers: Handlers) -> None:
    """The worker's side: do what the supervisor asks, several things at a time, until it is gone.

    A handler gets the call's arguments, and as ``descriptors`` what came with it, if anything.
    """

    async def answer(id: int, method: str, arguments: Sequence[object], more: Mapping[str, list[int]]) -> None:
        said: dict[str, object] = {"id": id}
        try:
            said["result"] = await handlers[method](*arguments, **more)
        except ServingError as error:
            said["error"] = str(error)
        with contextlib.suppress(OSError):  # the supervisor is gone, which the loop below sees
            await channel.send(said)

    async with trio.open_nursery() as nursery:
        while (received := await channel.receive()) is not None:
            (id, method, arguments), descriptors = received
            nursery.start_soon(answer, id, method, arguments, {"descriptors": descriptors} if descriptors else {})
        nursery.cancel_scope.cancel()
