"""Clients whose server is another process that shares the listeners.

The system spreads clients over processes by their addresses. What a client was given under one address may be shown from
another: a RESERVATION-TOKEN, a CONNECTION-ID, a MOBILITY-TICKET. Each says which process made it. Where that is not this one, the
client is handed over: a stream with all that has been read of it; of datagrams, these and all that follow from that address.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence

import attrs

from sansice.machine import Action, Address, DecodeError, Event, SetReading, SocketId, Transport
from sansice.stun import (
    CONNECTION_ID,
    MOBILITY_TICKET,
    RESERVATION_TOKEN,
    Message,
    Method,
    Path,
    RequestReceived,
    StunServer,
)

from ._config import TurnServerConfig
from ._tickets import Tickets, worker_of_connection, worker_of_reservation

MAX_ELSEWHERE = 10_000  # clients whose datagrams are handed on: as many as may have an allocation here by default
MAX_ELSEWHERE_PER_USER = 500  # of these; the oldest makes room
LIFETIME = 3600.0  # seconds after the last datagram: no allocation lasts longer without being refreshed (RFC 8656 7.2)

_HANDED_OVER = (Transport.UDP, Transport.TCP, Transport.TLS)  # DTLS: only who has the association can answer


@attrs.frozen
class DatagramsElsewhere(Event):
    """Datagrams of a client are for another process: it feeds them to its server, at its own `TurnServer.listening_socket`.

    Attributes:
        worker: which one, by its `TurnServerConfig.worker`.
        path: how they came.
        local: where they came to.
        datagrams: in order.
    """

    worker: int
    path: Path
    local: Address
    datagrams: tuple[bytes, ...] = attrs.field(repr=lambda datagrams: repr([one.hex() for one in datagrams]))


@attrs.frozen
class StreamElsewhere(Event):
    """A client's stream is for another process. It is not this server's any more, and is not read: the application takes it from
    the driver and hands it to the other one, which has it accepted by its own `TurnServer.listening_socket`.

    Attributes:
        worker: which one, by its `TurnServerConfig.worker`.
        path: the stream, and whose it is.
        local: where the client came to.
        data: all that has been read and not been served: the other server reads it first.
    """

    worker: int
    path: Path
    local: Address
    data: bytes = attrs.field(repr=bytes.hex)


@attrs.define(eq=False)
class _Redirection:
    worker: int
    path: Path
    local: Address
    username: str
    expires: float


class Elsewhere:
    """Knows who is to be handed over, and does it.

    Args:
        config: says which process this is, and how many there are.
        stun: has the requests and the streams.
        tickets: reads those of other processes as well, where they have the key in common.
    """

    __slots__ = ("_by_user", "_config", "_redirections", "_stun", "_tickets")

    def __init__(self, config: TurnServerConfig, stun: StunServer, tickets: Tickets) -> None:
        self._config = config
        self._stun = stun
        self._tickets = tickets
        self._redirections: OrderedDict[tuple[SocketId, Address], _Redirection] = OrderedDict()
        self._by_user: Counter[str] = Counter()

    def __len__(self) -> int:
        """Clients whose datagrams are handed on."""
        return len(self._redirections)

    def hand_over(self, received: RequestReceived, outputs: list[Action | Event], *, now: float) -> bool:
        """Hand the client of an authenticated request over; whether it is another process's."""
        if self._config.workers < 2:
            return False
        worker = self._worker_of(received.message)
        path, local = received.path, received.local
        if worker is None or local is None or path.transport not in _HANDED_OVER:
            return False
        data = received.message.data
        if not path.reliable:
            self._stun.withdraw(received, now=now)
            self._redirect(_Redirection(worker, path, local, received.username or "", now + LIFETIME))
            outputs.append(DatagramsElsewhere(worker, path, local, (data,)))
            return True
        rest = self._stun.release_stream(path.socket, now=now)
        if rest is None:  # it ends: there is nothing to hand over
            return False
        outputs += (SetReading(path.socket, False), StreamElsewhere(worker, path, local, data + rest))
        return True

    def forward(
        self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], outputs: list[Action | Event], *, now: float
    ) -> Sequence[tuple[Address, bytes]]:
        """Hand on what is for another process; the rest of a batch."""
        table = self._redirections
        found: dict[Address, list[bytes]] = {}
        rest = []
        for source, data in batch:
            if (socket, source) in table:
                found.setdefault(source, []).append(data)
            else:
                rest.append((source, data))
        for source, datagrams in found.items():
            one = table[socket, source]
            if one.expires <= now:
                self._forget((socket, source))
                rest += [(source, data) for data in datagrams]
            else:
                one.expires = now + LIFETIME
                table.move_to_end((socket, source))
                outputs.append(DatagramsElsewhere(one.worker, one.path, one.local, tuple(datagrams)))
        return rest

    def _worker_of(self, request: Message) -> int | None:
        """Which other process a request is for."""
        find = _WORKERS.get(request.method)
        try:
            worker = None if find is None else find(request, self._tickets)
        except DecodeError:
            return None
        return worker if worker is not None and worker != self._config.worker and worker < self._config.workers else None

    def _redirect(self, one: _Redirection) -> None:
        key = one.path.socket, one.path.remote
        if key in self._redirections:
            self._forget(key)
        if self._by_user[one.username] >= MAX_ELSEWHERE_PER_USER:
            self._forget(next(key for key, other in self._redirections.items() if other.username == one.username))
        elif len(self._redirections) >= MAX_ELSEWHERE:
            self._forget(next(iter(self._redirections)))
        self._redirections[key] = one
        self._by_user[one.username] += 1

    def _forget(self, key: tuple[SocketId, Address]) -> None:
        one = self._redirections.pop(key)
        self._by_user[one.username] -= 1
        if not self._by_user[one.username]:
            del self._by_user[one.username]


def _by_token(request: Message, tickets: Tickets) -> int | None:
    token = request.get(RESERVATION_TOKEN)
    return None if token is None else worker_of_reservation(token)


def _by_connection(request: Message, tickets: Tickets) -> int | None:
    connection = request.get(CONNECTION_ID)
    return None if connection is None else worker_of_connection(connection)


def _by_ticket(request: Message, tickets: Tickets) -> int | None:
    ticket = request.get(MOBILITY_TICKET)
    return tickets.read_untrusted(ticket).worker if ticket else None


_WORKERS: Mapping[Method, Callable[[Message, Tickets], int | None]] = {
    Method.ALLOCATE: _by_token,
    Method.REFRESH: _by_ticket,
    Method.CONNECTION_BIND: _by_connection,
}
