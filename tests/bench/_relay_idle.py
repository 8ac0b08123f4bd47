"""What allocations cost that nobody uses: ``COUNT``. Prints how many there are, and bytes of this process for each.

The server has no real sockets: it is told that each is open. What is weighed is the memory that the system has given to this
process, so what the allocator wastes is counted as well.
"""

from __future__ import annotations

import gc
import json
import os
import sys
from pathlib import Path
from typing import Any

from sansice import Address, OpenSocket, SocketId, Transport
from sansice.stun import (
    CHANNEL_NUMBER,
    REQUESTED_TRANSPORT,
    XOR_PEER_ADDRESS,
    Attribute,
    Listener,
    MessageClass,
    Method,
    StunServerConfig,
    TransactionId,
    encode,
)
from sansice.turn import PeerPolicy, TurnLimits, TurnServer, TurnServerConfig

NOW = 1000.0
AFTERWARDS = 120.0  # seconds: answers are no longer kept for repetitions, permissions are valid still
HOSTS = [f"203.0.113.{number}" for number in range(1, 9)]  # each has 16,384 ports for relayed addresses
PEER = Address("198.51.100.9", 9)
UDP = 17
CHANNEL = 0x4000


class Crowd:
    """A server with as many allocations as are wanted, each with a channel to one peer.

    Attributes:
        server: the machine.
        now: its time.
        last: the newest client, and the socket of its relayed address.
    """

    def __init__(self, count: int) -> None:
        unlimited = TurnLimits(
            allocations=count,
            allocations_per_user=count,
            permissions=count,
            permissions_per_user=count,
            channels=count,
            channels_per_user=count,
        )
        self.server = TurnServer(
            authentication=None,
            config=TurnServerConfig(anonymous=True, relay_addresses=HOSTS, stun=StunServerConfig(rate=None)),
            limits=unlimited,
            peer_policy=PeerPolicy(allow=["198.51.100.0/24", "203.0.113.0/24"]),
        )
        self.now = NOW
        self.server.start([Listener(Transport.UDP, Address("192.0.2.1", 3478))], now=NOW)
        self.listener = self._open()
        self.last = (Address("", 0), self.listener)
        for number in range(count):
            self._allocate(Address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 5000), number)
        self._pass(AFTERWARDS)

    def relay(self, batch: list[tuple[Address, bytes]]) -> None:
        """Have data of the last client relayed, and forget what comes of it."""
        self.server.handle_datagrams(self.listener, batch, now=self.now)
        self.server.take_outputs()

    def _open(self) -> SocketId:
        (action,) = (output for output in self.server.take_outputs() if isinstance(output, OpenSocket))
        self.server.handle_socket_opened(action.socket, action.bind, now=self.now)
        return action.socket

    def _allocate(self, client: Address, number: int) -> None:
        self.server.take_outputs()
        self._ask(client, Method.ALLOCATE, 2 * number, (REQUESTED_TRANSPORT, UDP))
        self.last = (client, self._open())
        self._ask(client, Method.CHANNEL_BIND, 2 * number + 1, (CHANNEL_NUMBER, CHANNEL), (XOR_PEER_ADDRESS, PEER))

    def _ask(self, client: Address, method: Method, number: int, *attributes: tuple[Attribute[Any], Any]) -> None:
        request = encode(method, MessageClass.REQUEST, TransactionId(number.to_bytes(12)), attributes)
        self.server.handle_datagrams(self.listener, [(client, request)], now=self.now)

    def _pass(self, seconds: float) -> None:
        self.server.take_outputs()
        end = self.now + seconds
        while (deadline := self.server.deadline()) <= end:
            self.now = deadline
            self.server.handle_timer(now=deadline)
        self.now = end


def main(count: int) -> dict[str, float]:
    """Weigh."""
    Crowd(100)  # whatever is imported and filled once
    before = _resident()
    crowd = Crowd(count)
    return {"allocations": crowd.server.stats.allocations, "bytes": (_resident() - before) / count}


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    print(json.dumps(main(int(sys.argv[1]))))
