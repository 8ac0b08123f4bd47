"""Two small machines that find out what a NAT does to ports, in the laboratory and over real sockets alike."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import attrs

from sansice import Address, Event, Ids, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice._timers import Timers

PATIENCE = 3.0  # seconds that an asker waits longer than the longest silence that it asked for


class Question(NamedTuple):
    """From the socket at local port ``port`` (0: one of its own): ``server`` answers after ``silence`` seconds."""

    server: Address
    port: int = 0
    silence: float = 0.0


@attrs.frozen
class Told(Event):
    """For each question the address that it was seen from, or ``None`` where no answer came through."""

    seen: tuple[str | None, ...]


class LateEcho(Machine):
    """Answers each datagram, after the seconds that it names, with the address that it came from."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        super().__init__()
        self._timers: Timers[tuple[SocketId, Address, bytes]] = Timers()
        ids = Ids()
        self._outputs += [OpenSocket(ids.socket(), Transport.UDP, address) for address in addresses]

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        for source, data in batch:
            number, silence = data.split()
            self._timers.set((socket, source, number), now + float(silence))

    def handle_timer(self, *, now: float) -> None:
        while (due := self._timers.pop_due(now)) is not None:
            socket, source, number = due
            self._outputs.append(SendDatagram(socket, source, b"%s %s" % (number, str(source).encode())))

    def deadline(self) -> float:
        return self._timers.deadline()


class Asker(Machine):
    """Puts questions from one local address, and tells once what came of them."""

    def __init__(self, host: str, questions: Sequence[Question]) -> None:
        super().__init__()
        self._questions = questions
        self._seen: list[str | None] = [None] * len(questions)
        self._until = math.inf
        self._asked: dict[SocketId, list[int]] = {}
        shared: dict[int, SocketId] = {}
        ids = Ids()
        for index, question in enumerate(questions):
            socket = shared.get(question.port) if question.port else None
            if socket is None:
                socket = shared[question.port] = ids.socket()
                self._outputs.append(OpenSocket(socket, Transport.UDP, Address(host, question.port)))
            self._asked.setdefault(socket, []).append(index)

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        for index in self._asked[socket]:
            question = self._questions[index]
            self._outputs.append(SendDatagram(socket, question.server, b"%d %g" % (index, question.silence)))
        self._until = now + max(question.silence for question in self._questions) + PATIENCE

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        for _, data in batch:
            number, seen = data.split()
            self._seen[int(number)] = seen.decode()

    def handle_timer(self, *, now: float) -> None:
        if now >= self._until:
            self._until = math.inf
            self._outputs.append(Told(tuple(self._seen)))

    def deadline(self) -> float:
        return self._until
