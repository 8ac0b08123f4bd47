"""Other people's traffic, which fills the queues that an agent's packets wait in."""

from __future__ import annotations

import math
from collections.abc import Sequence

from sansice.machine import Address, Ids, Machine, OpenSocket, SendDatagram, SocketId, Transport

DISCARD_PORT = 9  # RFC 863


class Upload(Machine):
    """Sends datagrams of one size at a steady pace, whether they arrive or not.

    Args:
        local: the literal to send from.
        destination: where to.
        interval: seconds from one to the next.
        data: of each.
        start, stop: when the first goes out, and when no more do, seconds.
    """

    __slots__ = ("_data", "_destination", "_interval", "_next", "_socket", "_stop")

    def __init__(self, local: str, destination: Address, *, interval: float, data: bytes, start: float, stop: float) -> None:
        super().__init__()
        self._socket = Ids().socket()
        self._destination = destination
        self._interval = interval
        self._data = data
        self._next = start
        self._stop = stop
        self._outputs.append(OpenSocket(self._socket, Transport.UDP, Address(local, 0)))

    def deadline(self) -> float:
        """When the next goes out."""
        return self._next

    def handle_timer(self, *, now: float) -> None:
        """Send what is due; what a jump of the clock made late is left out."""
        if now < self._next:
            return
        if now >= self._stop:
            self._next = math.inf
            return
        self._outputs.append(SendDatagram(self._socket, self._destination, self._data))
        self._next += self._interval
        if self._next <= now:
            self._next = now + self._interval


class Sink(Machine):
    """Takes datagrams at the discard port and says nothing."""

    __slots__ = ()

    def __init__(self, local: str) -> None:
        super().__init__()
        self._outputs.append(OpenSocket(Ids().socket(), Transport.UDP, Address(local, DISCARD_PORT)))

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        """Nothing."""
