"""Relayed addresses on their way: sockets that the system has been asked for, port by port (RFC 8656 7.2)."""

from __future__ import annotations

import attrs

from sansice.machine import (
    Action,
    Address,
    CloseMode,
    CloseSocket,
    Event,
    Ids,
    OpenSocket,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import AddressFamily, RequestReceived

from ._allocate import PortWish, RelayWish
from ._allocation import TCP_PROTOCOL
from ._limits import User
from ._places import OpenRelay, Place, Places

Outputs = list[Action | Event]

# What another port may help against.
_ANOTHER_PORT = (SocketErrorKind.ADDRESS_IN_USE, SocketErrorKind.PERMISSION)


class Seat:
    """One relayed address of an `Opening`: a place, and the port that is tried.

    Attributes:
        opening: what it is part of.
        family: of the address.
        place: where.
        tries: ports that may still be tried.
        ports: what the system was asked for, by socket. A pair has two.
        opened: what of these is open, and where.
        done: it is decided: all of ``ports`` are open, or there are none.
        error: the system's last word, where there are none.
    """

    __slots__ = ("done", "error", "family", "opened", "opening", "place", "ports", "tries")

    def __init__(self, opening: Opening, family: AddressFamily, place: Place, tries: int) -> None:
        self.opening = opening
        self.family = family
        self.place = place
        self.tries = tries
        self.ports: dict[SocketId, int] = {}
        self.opened: dict[SocketId, Address] = {}
        self.done = False
        self.error: SocketError | None = None

    def relays(self) -> list[OpenRelay]:
        """What has become of it; for a pair the second is the one to reserve."""
        told = self.place.told
        # In the order of the ports, whichever was open first.
        locals = [(socket, self.opened[socket]) for socket in self.ports if socket in self.opened]
        return [OpenRelay(socket, Address(told, local.port), local) for socket, local in locals]


@attrs.define(eq=False)
class Opening:
    """An Allocate request that waits for its sockets.

    Attributes:
        request: to be answered.
        username: who is authenticated.
        user: what the allocation, and the reservation, are counted for already.
        wish: what is wanted.
        seats: one a family.
    """

    request: RequestReceived
    username: str
    user: User
    wish: RelayWish
    seats: list[Seat] = attrs.field(factory=list)

    @property
    def is_done(self) -> bool:
        """Whether every seat is decided."""
        return all(seat.done for seat in self.seats)


class Openings:
    """All that are on their way; bounded by the quota of allocations, which each of them has taken.

    Args:
        places: where there are ports.
        tries: ports that are tried for an address.
        ids: names the sockets.
    """

    __slots__ = ("_by_client", "_ids", "_places", "_seats", "_tries")

    def __init__(self, places: Places, tries: int, ids: Ids) -> None:
        self._places = places
        self._tries = tries
        self._ids = ids
        self._seats: dict[SocketId, Seat] = {}
        self._by_client: dict[tuple[SocketId, Address], Opening] = {}

    def __len__(self) -> int:
        return len(self._by_client)

    def all(self) -> list[Opening]:
        """Every one, oldest first."""
        return list(self._by_client.values())

    def find(self, socket: SocketId, remote: Address) -> Opening | None:
        """What a client waits for."""
        return self._by_client.get((socket, remote))

    def of_socket(self, socket: SocketId) -> list[Opening]:
        """What the clients of a listener, or of a stream, wait for."""
        return [opening for opening in self._by_client.values() if opening.request.path.socket == socket]

    def begin(self, opening: Opening, preferred: str, outputs: Outputs, *, now: float) -> None:
        """Ask the system for what is wanted; the opening may be done at once, where there is no port."""
        path = opening.request.path
        self._by_client[path.socket, path.remote] = opening
        for family in opening.wish.families:
            seat = Seat(opening, family, self._places.choose(family, preferred), self._tries)
            opening.seats.append(seat)
            self._try(seat, outputs, now)

    def opened(self, socket: SocketId, local: Address) -> Opening | None:
        """A socket is open; the opening it belongs to, if any."""
        seat = self._seats.get(socket)
        if seat is None:
            return None
        seat.opened[socket] = local
        if len(seat.opened) == len(seat.ports):
            seat.done = True
        return seat.opening

    def failed(self, socket: SocketId, error: SocketError, outputs: Outputs, *, now: float) -> Opening | None:
        """A socket could not be opened: another port is tried, as often as may be; the opening it belongs to, if any."""
        seat = self._seats.pop(socket, None)
        if seat is None:
            return None
        port = seat.ports.pop(socket)
        if error.kind in _ANOTHER_PORT:
            seat.place.ports.refuse(port, now=now)
        else:
            seat.place.ports.give_back(port)
        seat.error = error
        self._release(seat, outputs)
        if error.kind in _ANOTHER_PORT and seat.tries:
            self._try(seat, outputs, now)
        else:
            seat.done = True
        return seat.opening

    def finish(self, opening: Opening) -> None:
        """It is done, or abandoned: forget it. Its sockets are the caller's."""
        path = opening.request.path
        del self._by_client[path.socket, path.remote]
        for seat in opening.seats:
            for socket in seat.ports:
                del self._seats[socket]

    def abandon(self, opening: Opening, outputs: Outputs) -> None:
        """Nobody waits for it any more: close what is open."""
        for seat in opening.seats:
            self._release(seat, outputs)
        self.finish(opening)

    def _try(self, seat: Seat, outputs: Outputs, now: float) -> None:
        seat.tries -= 1
        wish = seat.opening.wish
        ports = seat.place.ports
        take = {PortWish.ANY: ports.take, PortWish.EVEN: ports.take_even, PortWish.PAIR: ports.take_pair}[wish.port]
        port = take(now=now)
        if port is None:
            seat.done = True
            return
        is_tcp = wish.protocol == TCP_PROTOCOL
        # A TCP relay listens, and connects to peers from the same port (RFC 6062 5.2).
        options = SocketOptions(reuse_port=is_tcp, dont_fragment=None if is_tcp else False)
        for offset in range(2 if wish.port is PortWish.PAIR else 1):
            socket = self._ids.socket()
            seat.ports[socket] = port + offset
            self._seats[socket] = seat
            bind = Address(seat.place.host, port + offset)
            outputs.append(OpenSocket(socket, Transport.TCP if is_tcp else Transport.UDP, bind, options=options))

    def _release(self, seat: Seat, outputs: Outputs) -> None:
        """Close the sockets of a seat, and give their ports back."""
        seat.done = False
        for socket, port in seat.ports.items():
            outputs.append(CloseSocket(socket, CloseMode.RESET))
            del self._seats[socket]
            seat.place.ports.give_back(port)
        seat.ports.clear()
        seat.opened.clear()
