"""UDP ports of a host: who is bound to which, alone or with others."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Protocol

from sansice.machine import Address, IcmpError, SocketError, SocketErrorKind, SocketId

from ._world import World

FIRST_EPHEMERAL, EPHEMERALS = 49152, 65536 - 49152  # RFC 6335 6


class Taker(Protocol):
    """What is told of datagrams: `sansice.driver.Driver`, or a socket that makes something of them first."""

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Datagrams have arrived."""
        ...

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """A datagram came back."""
        ...


class Bound(Protocol):
    """Who may have a UDP port: a `Node`, or one of its sockets."""

    @property
    def driver(self) -> Taker:
        """Who is told."""
        ...


class _Shared:
    """Several sockets that have one address and port, by SO_REUSEPORT or as members of a multicast group.

    Attributes:
        sockets: oldest first.
    """

    __slots__ = ("sockets",)

    def __init__(self) -> None:
        self.sockets: list[tuple[Bound, SocketId]] = []

    @property
    def driver(self) -> Taker:
        return self

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Tell one of them, by the source: the same peer always meets the same socket, as on Linux."""
        for source, data in batch:
            chosen, id = self.sockets[zlib.crc32(str(source).encode()) % len(self.sockets)]
            chosen.driver.datagrams(id, [(source, data)])

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """Tell all: which of them sent what came back is not known."""
        for one, id in tuple(self.sockets):
            one.driver.icmp(id, destination, error)


class _Members(_Shared):
    """The sockets of a host that joined a multicast group."""

    __slots__ = ()

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Tell all."""
        for member, id in tuple(self.sockets):
            member.driver.datagrams(id, batch)


class UdpPorts:
    """Who is bound to which address and port at one host.

    Attributes:
        bound: whom to tell of what arrives at an address and port.
    """

    __slots__ = ("_drawn", "_host", "_world", "bound")

    def __init__(self, world: World, host: str) -> None:
        self._world = world
        self._host = host
        self._drawn = 0
        self.bound: dict[Address, tuple[Bound, SocketId]] = {}

    def bind(self, one: Bound, socket: SocketId, wanted: Address, *, reuse_port: bool) -> Address | SocketError:
        """Give a socket a port of an address; port 0 asks for any free one.

        Returns:
            What it is bound to, or what a system would have said.
        """
        if not wanted[1]:
            free = self._free(wanted[0])
            if free is None:
                return SocketError(SocketErrorKind.NO_RESOURCES, f"{self._host} has no free port at {wanted[0]}")
            local = free
        else:
            local = Address(*wanted)
            known = self.bound.get(local)
            if known is not None and not (reuse_port and isinstance(known[0], _Shared)):
                return SocketError(SocketErrorKind.ADDRESS_IN_USE, f"{local} is in use on {self._host}")
        if reuse_port:
            self._share(_Shared(), local, one, socket)
        else:
            self.bound[local] = (one, socket)
        return local

    def join(self, group: str, local: Address, one: Bound, socket: SocketId) -> None:
        """Tell a socket of what is sent to its port of a multicast group."""
        self._share(_Members(), Address(group, local.port), one, socket)

    def unbind(self, local: Address, one: Bound, socket: SocketId) -> None:
        """Free a port, or a socket's share of it."""
        shared = self.bound[local][0]
        if isinstance(shared, _Shared):
            shared.sockets.remove((one, socket))
            if shared.sockets:
                return
        del self.bound[local]

    def _share(self, new: _Shared, local: Address, one: Bound, socket: SocketId) -> None:
        known = self.bound.get(local)
        shared = known[0] if known is not None and isinstance(known[0], _Shared) else new
        shared.sockets.append((one, socket))
        self.bound[local] = (shared, socket)

    def _free(self, address: str) -> Address | None:
        self._drawn += 1
        start = self._world.draw(f"ports of {self._host}", self._drawn, EPHEMERALS)
        for step in range(EPHEMERALS):
            local = Address(address, FIRST_EPHEMERAL + (start + step) % EPHEMERALS)
            if local not in self.bound:
                return local
        return None
