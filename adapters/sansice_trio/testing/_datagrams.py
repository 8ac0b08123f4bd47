"""UDP sockets of a simulated network."""

from __future__ import annotations

import errno
import socket
from collections import deque
from collections.abc import Sequence
from typing import Any

import trio

from sansice import ANY_IPV4, ANY_IPV6, Address, IcmpError, SocketError, SocketId, SocketOptions
from sansice.simulation import Fate, Host, HostInterface, Interface, Network, Packet

from ._addresses import SockAddr, addresses_of, any_address, have_loopback, resolve, to_sockaddr
from ._base import SimulatedSocket, at_every_address
from ._errors import number_of, of_icmp, os_error

_MAX_PAYLOAD = 65507  # of UDP over IPv4: 65535 - 20 - 8
_OVERHEAD = 768  # bytes that Linux counts for a small datagram beside its data (sk_buff and its page)
_ONLY: SocketId = SocketId(0)  # whoever is told of datagrams here has one socket


class DatagramSocket(SimulatedSocket):
    """A UDP socket: of one address, or of every address that its host has in its family."""

    _kind = socket.SOCK_DGRAM
    _protocol = socket.IPPROTO_UDP

    def __init__(self, host: Host, network: Network, family: socket.AddressFamily) -> None:
        super().__init__(host, network, family)
        self._bound: dict[str, tuple[Address, Interface]] = {}  # by the host of the address
        self._waiting: deque[tuple[Address, bytes]] = deque()
        self._size = 0

    # ------------------------------------------------------------- binding

    async def bind(self, address: Any) -> None:
        """Bind to an address of the host, or to all of them by the wildcard."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        wanted = await resolve(address, self._family, self._kind, local=True)
        if self._local is not None:
            raise os_error(errno.EINVAL, "bound already")
        self._bind(wanted)

    def _bind(self, wanted: Address) -> None:
        have_loopback(self._host, self._network, wanted.host)
        if wanted.host not in (ANY_IPV4, ANY_IPV6):
            self._local = self._bind_one(wanted)
            return
        self._local = Address(wanted.host, at_every_address(self._bind_all, self._unbind, wanted.port))

    def _bind_all(self, port: int) -> int:
        for host in addresses_of(self._host, self._family):
            port = self._bind_one(Address(host, port)).port
        return port

    def _bind_one(self, wanted: Address) -> Address:
        options = SocketOptions(
            reuse_port=self._options.reuse_port or self._options.reuse_address, interface=self._options.device
        )
        bound = self._host.bind(self, _ONLY, wanted, options)
        if isinstance(bound, SocketError):
            raise os_error(number_of(bound), bound.text)
        self._bound[bound[0].host] = bound
        return bound[0]

    def _unbind(self) -> None:
        for local, _ in self._bound.values():
            self._host.unbind(local, self, _ONLY)
        self._bound.clear()

    def _release(self) -> None:
        self._unbind()
        self._waiting.clear()

    async def connect(self, address: Any) -> None:
        """Send to, and hear, one peer only; errors that come back from there are told by then."""
        self._check_open()
        await trio.lowlevel.checkpoint()
        peer = await resolve(address, self._family, self._kind, local=False)
        have_loopback(self._host, self._network, peer.host)
        interface = self._way_to(peer)
        if self._local is None:
            self._bind(Address(interface.address, 0))
        elif self._local.host in (ANY_IPV4, ANY_IPV6):
            self._local = self._bound_at(interface)[0]
        self._peer = peer

    def listen(self, backlog: int = 0) -> None:
        """Refused: datagrams have no connections."""
        self._refuse("listen")

    async def accept(self) -> Any:
        """Refused: datagrams have no connections."""
        await trio.lowlevel.checkpoint()
        self._refuse("accept")

    def shutdown(self, flag: int) -> None:
        """End the direction to the peer: what is sent then is refused."""
        self._check_open()
        if self._peer is None:
            raise os_error(errno.ENOTCONN)
        self._ended_writing |= flag in (socket.SHUT_WR, socket.SHUT_RDWR)

    # ------------------------------------------------------------- sending

    def _is_writable(self) -> bool:
        return True

    async def _send(self, data: bytes, given: Any | None) -> int:
        await self._wait(self._writers, self._is_writable)
        destination = self._peer if given is None else await resolve(given, self._family, self._kind, local=False)
        self._raise_pending()
        if self._ended_writing:
            raise os_error(errno.EPIPE)
        if destination is None:
            raise os_error(errno.EDESTADDRREQ)
        if not destination.port:
            raise os_error(errno.EINVAL, "port 0")
        if len(data) > _MAX_PAYLOAD:
            raise os_error(errno.EMSGSIZE)
        self._transmit(destination, data)
        return len(data)

    def _transmit(self, destination: Address, data: bytes) -> None:
        host = self._host
        have_loopback(host, self._network, destination.host)
        if self._local is None:
            self._bind(Address(any_address(self._family), 0))
        local, interface = self._bound.get(self._local.host if self._local else "", (None, None))
        if local is None or interface is None:
            local, interface = self._bound_at(self._way_to(destination))
        packet = Packet(local, destination, data, dont_fragment=self._options.whole)
        if not host.send(interface, packet):
            mtu = host.path_mtu(local.host, destination.host)
            raise os_error(errno.EMSGSIZE if packet.dont_fragment and mtu and packet.size > mtu else errno.ENETUNREACH)

    def _way_to(self, destination: Address) -> HostInterface:
        interface = self._host.route(destination.host)
        if interface is None:
            raise os_error(errno.ENETUNREACH, f"{self._host.name} has no way to {destination.host}")
        return interface

    def _bound_at(self, interface: HostInterface) -> tuple[Address, Interface]:
        """The part of a wildcard that an interface has; it may have got its address after the socket was bound."""
        if interface.address not in self._bound:
            self._bind_one(Address(interface.address, self._local.port if self._local else 0))
        return self._bound[interface.address]

    # ------------------------------------------------------------- what arrives

    @property
    def driver(self) -> DatagramSocket:
        """Whom the host tells."""
        return self

    def datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]]) -> None:
        """Keep what arrives, as far as there is room."""
        for source, data in batch:
            if self._peer is not None and source != self._peer:
                continue
            if self._size + len(data) + _OVERHEAD > self._options.receive_buffer:
                self._network.lost[Fate.QUEUE_FULL] += 1
                continue
            self._size += len(data) + _OVERHEAD
            self._waiting.append((source, data))
        self._readers.unpark_all()

    def icmp(self, socket: SocketId, destination: Address, error: IcmpError) -> None:
        """Keep an error for the next call, where the socket is connected."""
        number = of_icmp(error)
        if number is not None and destination == self._peer:
            self._pending = number
            self._changed()

    def _is_readable(self) -> bool:
        return bool(self._waiting)

    def _receive(self, size: int, flags: int) -> tuple[bytes, bool, SockAddr | None]:
        source, data = self._waiting[0]
        if not flags & socket.MSG_PEEK:
            self._waiting.popleft()
            self._size -= len(data) + _OVERHEAD
        return data[:size], len(data) > size, to_sockaddr(source)
