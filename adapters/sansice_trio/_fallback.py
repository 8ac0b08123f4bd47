"""UDP through `trio.socket`: a task a socket.

For systems without epoll, and for tests that put a network of their own under trio
(`trio.socket.set_custom_socket_factory`). The same face as `sansice.sockets.Sockets`, but streams fail as
unsupported, and sockets open, and datagrams leave, a moment later.
"""

from __future__ import annotations

import errno
import math
import socket
from collections import deque
from collections.abc import Sequence

import attrs
import trio

from sansice import ANY_IPV4, ANY_IPV6, Address, CloseMode, OpenSocket, SocketId, Transport
from sansice.driver import Driver
from sansice.sockets import (
    NOTHING_LOST,
    check_supported,
    configure,
    from_sockaddr,
    local_address,
    one_more,
    ports_to_try,
    reason_of,
    set_dont_fragment,
    socket_error,
    to_sockaddr,
)

_MAX_UNSENT = 256  # datagrams that wait for the sending task; more are lost, as in a full socket buffer
_MAX_DATAGRAM = 65535


@attrs.define(eq=False)
class _Slot:
    """A socket, from the moment that it is asked for."""

    ipv6: bool
    scope: trio.CancelScope = attrs.field(factory=trio.CancelScope)
    socket: trio.socket.SocketType | None = None

    def close(self) -> None:
        self.scope.cancel()
        if self.socket is not None:
            self.socket.close()


class TrioSockets:
    """All UDP sockets of one driver, each read by a task; one more sends for all. `start` says where these tasks live."""

    __slots__ = ("_nursery", "_outbox", "_ports", "_sending", "_slots", "_waiting", "lost")

    _nursery: trio.Nursery

    def __init__(self, ports: Sequence[int] | None = None) -> None:
        self.lost = NOTHING_LOST
        self._ports = ports
        self._slots: dict[SocketId, _Slot] = {}
        # What to send, and where to; or whether datagrams may not be fragmented from here on; or None: to close the socket.
        self._outbox: deque[tuple[_Slot, Address | bool | None, bytes]] = deque()
        self._waiting = trio.lowlevel.ParkingLot()  # the sending task, for something to send
        self._sending = trio.Lock()

    def start(self, nursery: trio.Nursery) -> None:
        """Have the tasks live in ``nursery``; to be called before anything else."""
        self._nursery = nursery
        nursery.start_soon(self._send)

    def open(self, action: OpenSocket, driver: Driver) -> None:
        """Open, bind and read a socket; the driver hears how that went."""
        slot = self._slots[action.socket] = _Slot(":" in action.bind.host)
        self._nursery.start_soon(self._serve, action, slot, driver)

    def close(self, id: SocketId, mode: CloseMode = CloseMode.FLUSH) -> None:
        """Close a socket once what is queued before has left; an unknown one is a no-op."""
        slot = self._slots.pop(id, None)
        if slot is not None:
            self._enqueue(slot, None, b"")

    def close_all(self) -> None:
        """Release every socket."""
        for slot in (*self._slots.values(), *[slot for slot, _, _ in self._outbox]):
            slot.close()
        self._slots.clear()

    def send(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Queue a datagram, or count it as lost."""
        slot = self._slots.get(socket)
        if slot is None:
            self.count("socket closed")
        elif len(self._outbox) >= _MAX_UNSENT:
            self.count("ENOBUFS")
        else:
            self._enqueue(slot, destination, data)

    def send_all(self, socket: SocketId, items: Sequence[tuple[Address, bytes]]) -> None:
        """Queue datagrams, or count them as lost."""
        for destination, data in items:
            self.send(socket, destination, data)

    def send_stream(self, id: SocketId, data: bytes) -> None:
        """No stream opens, so this is for one that failed."""

    def set_reading(self, id: SocketId, enabled: bool) -> None:
        """No stream opens, so this is for one that failed."""

    def set_dont_fragment(self, socket: SocketId, enabled: bool) -> None:
        """Say whether datagrams that are queued from now on may be fragmented."""
        slot = self._slots.get(socket)
        if slot is None:
            return
        if self._outbox and self._outbox[-1][0] is slot and isinstance(self._outbox[-1][1], bool):
            self._outbox.pop()  # no datagram came in between: only the last word counts
        self._enqueue(slot, enabled, b"")

    def publish_name(self, name: str, host: str) -> None:
        """Nothing: who brings sockets of his own may have no link, and a candidate is told whether or not its name is known."""

    def withdraw_name(self, name: str) -> None:
        """Nothing: see `publish_name`."""

    def feed(self, driver: Driver) -> None:
        """Nothing: the tasks do."""

    def deadline(self) -> float:
        """Never: datagrams have no timers."""
        return math.inf

    def timer(self, driver: Driver, fired: float) -> None:
        """Nothing: see `deadline`."""

    def count(self, reason: str) -> None:
        """Count a lost datagram."""
        self.lost = one_more(self.lost, reason)

    async def finish(self) -> None:
        """Send what is still queued."""
        await self._send_queued()

    def _enqueue(self, slot: _Slot, destination: Address | bool | None, data: bytes) -> None:
        self._outbox.append((slot, destination, data))
        self._waiting.unpark()

    async def _send(self) -> None:
        while True:
            await self._send_queued()
            await self._waiting.park()

    async def _send_queued(self) -> None:
        async with self._sending:  # or the last words could overtake what the task is sending
            while self._outbox:
                slot, destination, data = self._outbox.popleft()
                if destination is None:
                    slot.close()
                    continue
                try:
                    if slot.socket is None:
                        continue
                    if isinstance(destination, bool):
                        set_dont_fragment(slot.socket, slot.ipv6, destination)
                    else:
                        await slot.socket.sendto(data, to_sockaddr(destination, slot.ipv6))
                except (OSError, ValueError, OverflowError) as error:
                    self.count(reason_of(error))

    async def _serve(self, action: OpenSocket, slot: _Slot, driver: Driver) -> None:
        id = action.socket
        with slot.scope:
            try:
                check_supported(action)
                if action.transport is not Transport.UDP:
                    raise OSError(errno.ENOTSUP, f"{action.transport.name} sockets need epoll, and trio's own sockets")
                slot.socket = sock = await self._bind(action, slot.ipv6)
            except OSError as error:
                if self._slots.pop(id, None) is not None:
                    driver.socket_failed(id, socket_error(error))
                return
            if id in self._slots:
                driver.socket_opened(id, from_sockaddr(sock.getsockname()))
            while True:
                try:
                    data, source = await sock.recvfrom(_MAX_DATAGRAM)
                except OSError:
                    continue  # the ICMP error of an earlier datagram
                if id not in self._slots:
                    return
                driver.datagrams(id, [(from_sockaddr(source), data)])
        if slot.socket is not None:  # closed by the machine, perhaps while it was being bound
            slot.socket.close()

    async def _bind(self, action: OpenSocket, ipv6: bool) -> trio.socket.SocketType:
        local = await _local_address(action)
        sock = trio.socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            configure(sock, ipv6, action.options)
            tries = ports_to_try(local, self._ports)
            for port in tries:
                try:
                    await sock.bind(to_sockaddr(Address(local.host, port), ipv6))
                    break
                except OSError as error:
                    if error.errno != errno.EADDRINUSE or port == tries[-1]:
                        raise
        except BaseException:
            sock.close()
            raise
        return sock


async def _local_address(action: OpenSocket) -> Address:
    """As `sansice.sockets.local_address`, but it is the network under trio that knows the way to the remote."""
    bind, remote = action.bind, action.remote
    if bind.host not in (ANY_IPV4, ANY_IPV6) or remote is None:
        return local_address(action)
    with trio.socket.socket(socket.AF_INET6 if remote.is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
        await probe.connect(to_sockaddr(remote, remote.is_ipv6))
        return from_sockaddr(probe.getsockname())._replace(port=bind.port)
