"""How long the way through a relay is, and how much fits through it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Protocol

import trio

_NUMBER = struct.Struct(">Q")
_PROBE_SIZE = 172  # bytes: a voice packet of 20 ms
_BULK_SIZE = 1200  # bytes: fits through every tunnel, as QUIC's first packets
_WINDOW = 64  # datagrams under way: at 100 ms a round trip that is 6 Mbit/s, and no burst that a server's buffer would lose
_STALLED = 0.25  # seconds without an echo after which the window counts as lost, and is filled anew


class Echoing(Protocol):
    """Somebody beyond the relay who sends back what he gets."""

    def send_nowait(self, data: bytes) -> None:
        """Send a datagram."""
        ...

    async def receive(self) -> bytes:
        """Wait for one."""
        ...


async def round_trips(peer: Echoing, count: int, patience: float) -> list[float]:
    """The seconds that ``count`` probes took, one after the other, without those that did not come back in time."""
    found: list[float] = []
    for number in range(count):
        probe = _datagram(number, _PROBE_SIZE)
        with trio.move_on_after(patience):
            sent = trio.current_time()
            peer.send_nowait(probe)
            while await peer.receive() != probe:
                pass  # an earlier one that was given up
            found.append(trio.current_time() - sent)
    return found


async def throughput(peer: Echoing, seconds: float, clock: Callable[[], float] = trio.current_time) -> float:
    """Bits a second that came back, while as many datagrams were under way as a window allows."""
    sent = returned = 0
    began = clock()
    under_way = 0
    with trio.move_on_after(seconds):
        while True:
            while under_way < _WINDOW:
                peer.send_nowait(_datagram(sent, _BULK_SIZE))
                sent += 1
                under_way += 1
            with trio.move_on_after(_STALLED) as scope:
                returned += len(await peer.receive())
                under_way -= 1
            if scope.cancelled_caught:
                under_way = 0
    return returned * 8 / max(clock() - began, 1e-9)


async def echo(peer: Echoing) -> None:
    """Send back what comes, until cancelled."""
    while True:
        peer.send_nowait(await peer.receive())


def _datagram(number: int, size: int) -> bytes:
    return _NUMBER.pack(number).ljust(size, b"\0")
