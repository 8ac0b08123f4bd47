"""Machines for the tests of the laboratory, as small as a machine can be."""

import math
from collections.abc import Sequence

import attrs

from sansice.machine import (
    Address,
    Event,
    IcmpError,
    Machine,
    OpenSocket,
    QueryId,
    Record,
    RecordKind,
    Resolve,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketId,
    Transport,
)

SOCKET = SocketId(1)


@attrs.frozen
class Opened(Event):
    local: Address


@attrs.frozen
class Failed(Event):
    error: SocketError


@attrs.frozen
class Received(Event):
    source: Address
    data: bytes = attrs.field(repr=lambda data: data.hex())


@attrs.frozen
class Unreachable(Event):
    destination: Address
    error: IcmpError


@attrs.frozen
class Resolved(Event):
    answer: tuple[Record, ...] | ResolveError


@attrs.frozen
class Woken(Event):
    pass


@attrs.frozen
class WallClockTold(Event):
    unix: float


class Peer(Machine):
    """One UDP socket; tells everything that happens as events, and answers datagrams if ``echo``."""

    def __init__(self, host: str, port: int = 0, *, echo: bool = False, tells_clock: bool = False) -> None:
        super().__init__()
        self.echo = echo
        self.tells_clock = tells_clock
        self.local = Address("", 0)
        self.wakes = math.inf
        self._outputs.append(OpenSocket(SOCKET, Transport.UDP, Address(host, port)))

    def send(self, destination: Address, data: bytes, *, now: float) -> None:
        self._outputs.append(SendDatagram(SOCKET, destination, data))

    def do(self, *outputs: object, now: float) -> None:
        self._outputs += outputs

    def wake(self, at: float, *, now: float) -> None:
        self.wakes = at

    def ask(self, name: str, kind: RecordKind, *, now: float) -> None:
        self._outputs.append(Resolve(QueryId(7), name, kind))

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        self.local = local
        self._outputs.append(Opened(local))

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        self._outputs.append(Failed(error))

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        for source, data in batch:
            self._outputs.append(Received(source, data))
            if self.echo:
                self._outputs.append(SendDatagram(socket, source, data))

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        self._outputs.append(Unreachable(destination, error))

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        self._outputs.append(Resolved(answer))

    def handle_wall_clock(self, unix: float, *, now: float) -> None:
        if self.tells_clock:
            self._outputs.append(WallClockTold(unix))

    def handle_timer(self, *, now: float) -> None:
        if now >= self.wakes:
            self.wakes = math.inf
            self._outputs.append(Woken())

    def deadline(self) -> float:
        return self.wakes
