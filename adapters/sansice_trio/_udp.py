"""UDP sockets without a runtime: opening, batched reading, sending that never blocks, ICMP errors.

Nothing here waits: all sockets of a driver sit in one epoll, whose own descriptor is what a runtime
waits on (`UdpSockets.fileno`).
"""

from __future__ import annotations

import errno
import functools
import select
import socket
import struct
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sansice import Address, IcmpError, OpenSocket, SocketError, SocketErrorKind, SocketId, SocketOptions, Transport
from sansice.driver import Driver

MAX_BATCH = 64  # datagrams read from one socket before the others, and the timer, get their turn
_MAX_READY = 64  # sockets served in one round
_MAX_DATAGRAM = 65535  # more than UDP can carry, so nothing is ever cut short

# Sockets are found by id and by descriptor in one table: a second would cost every connection 224 bytes.
# Ids count up from one (and down, for accepted streams) and never come near.
_BY_FD = 1 << 62

_AF_INET, _AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
_make = tuple.__new__

# <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>: the socket module does not name these.
_LINUX = sys.platform == "linux"
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DO = 10, 23, 2
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE: int = getattr(socket, "MSG_ERRQUEUE", 0)
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err: errno, origin, type, code, info, data
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3

_KINDS = {
    errno.EADDRINUSE: SocketErrorKind.ADDRESS_IN_USE,
    errno.EADDRNOTAVAIL: SocketErrorKind.ADDRESS_UNAVAILABLE,
    errno.ENODEV: SocketErrorKind.ADDRESS_UNAVAILABLE,
    errno.EACCES: SocketErrorKind.PERMISSION,
    errno.EPERM: SocketErrorKind.PERMISSION,
    errno.EMFILE: SocketErrorKind.NO_RESOURCES,
    errno.ENFILE: SocketErrorKind.NO_RESOURCES,
    errno.ENOBUFS: SocketErrorKind.NO_RESOURCES,
    errno.ENOMEM: SocketErrorKind.NO_RESOURCES,
    errno.EAFNOSUPPORT: SocketErrorKind.UNSUPPORTED,
    errno.ENOPROTOOPT: SocketErrorKind.UNSUPPORTED,
    errno.ENOTSUP: SocketErrorKind.UNSUPPORTED,
}


def socket_error(error: OSError) -> SocketError:
    """What a machine is told of an `OSError`."""
    return SocketError(_KINDS.get(error.errno or 0, SocketErrorKind.OTHER), error.strerror or str(error))


def check_supported(action: OpenSocket) -> None:
    """Refuse what this slice does not open.

    Raises:
        OSError: ENOTSUP, saying what it was.
    """
    options = action.options
    if action.transport is not Transport.UDP:
        raise OSError(errno.ENOTSUP, f"{action.transport.name} sockets are not built yet")
    if options.tls is not None or options.proxy is not None or options.multicast_groups:
        raise OSError(errno.ENOTSUP, "TLS, proxies and multicast groups are not built yet")


@functools.lru_cache(64)  # a system call otherwise; cleared when the interfaces are listed anew
def zone_number(zone: str) -> int:
    """The scope id for the zone of an `Address`: an interface's name, or its number in digits."""
    return int(zone) if zone.isdigit() else socket.if_nametoindex(zone)


@functools.lru_cache(64)
def zone_name(scope: int) -> str:
    """The zone for a scope id: digits where the interface has gone."""
    try:
        return socket.if_indextoname(scope)
    except OSError:
        return str(scope)


def from_sockaddr(source: tuple[Any, ...]) -> Address:
    """The canonical address for what the socket module returned.

    An IPv6 tuple holds the scope as a number, `Address` as the interface's name.
    """
    if len(source) == 2:
        return _make(Address, source)
    host, port, _, scope = source
    if scope:
        host = f"{host}%{zone_name(scope)}"
    elif "." in host:  # ::192.0.2.1 is the kernel's way to write ::c000:201
        return Address.of(host, port)
    return Address(host, port)


def to_sockaddr(address: Address, ipv6: bool) -> tuple[Any, ...]:
    """What a socket of that family takes for a literal address.

    Raises:
        OSError: not a literal of this family. The socket module would look a name up in place, and block.
        ValueError: not even text that could be one.
    """
    if not ipv6:
        socket.inet_pton(_AF_INET, address[0])
        return address
    host, _, zone = address[0].partition("%")
    socket.inet_pton(_AF_INET6, host)
    return (host, address[1], 0, zone_number(zone) if zone else 0)


def configure(sock: Any, ipv6: bool, options: SocketOptions) -> None:
    """Set options on a socket (of the socket module, or of trio) before it is bound.

    Raises:
        OSError: the system refused, or has no such option.
    """
    if ipv6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if options.dscp:
        level, name = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ipv6 else (socket.IPPROTO_IP, socket.IP_TOS)
        sock.setsockopt(level, name, options.dscp << 2)
    if options.reuse_port:
        sock.setsockopt(socket.SOL_SOCKET, _option("SO_REUSEPORT"), 1)
    if options.interface is not None:
        sock.setsockopt(socket.SOL_SOCKET, _option("SO_BINDTODEVICE"), options.interface.encode())
    if options.dont_fragment:
        if not _LINUX:
            raise OSError(errno.ENOTSUP, "dont_fragment is known only on Linux")
        level, name = (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER) if ipv6 else (socket.IPPROTO_IP, _IP_MTU_DISCOVER)
        sock.setsockopt(level, name, _PMTUDISC_DO)


def _option(name: str) -> int:
    option: int | None = getattr(socket, name, None)
    if option is None:
        raise OSError(errno.ENOTSUP, f"this system has no {name}")
    return option


def ports_to_try(bind: Address, ports: Sequence[int] | None) -> Sequence[int]:
    """The ports to bind, in order: a port asked for, one of the permitted ``ports``, or any (0)."""
    return (bind.port,) if bind.port or ports is None else ports


NOTHING_LOST: Mapping[str, int] = MappingProxyType({})


class UdpSocket(socket.socket):
    """A bound, non-blocking UDP socket that knows its id, so that no second object has to."""

    __slots__ = ("id", "ipv6")

    id: SocketId
    ipv6: bool

    @classmethod
    def open(cls, id: SocketId, bind: Address, options: SocketOptions, ports: Sequence[int] | None) -> UdpSocket:
        """Open and bind.

        Raises:
            OSError: no socket is left behind.
        """
        ipv6 = ":" in bind.host
        sock = cls(_AF_INET6 if ipv6 else _AF_INET, socket.SOCK_DGRAM)
        try:
            sock.id, sock.ipv6 = id, ipv6
            sock.setblocking(False)
            configure(sock, ipv6, options)
            if _LINUX:
                sock.setsockopt(*(socket.IPPROTO_IPV6, _IPV6_RECVERR) if ipv6 else (socket.IPPROTO_IP, _IP_RECVERR), 1)
            tries = ports_to_try(bind, ports)
            for port in tries:
                try:
                    sock.bind(to_sockaddr(Address(bind.host, port), ipv6))
                except OSError as error:
                    if error.errno != errno.EADDRINUSE or port == tries[-1]:
                        raise
                else:
                    break
        except BaseException:
            sock.close()
            raise
        return sock

    def read(self) -> list[tuple[Address, bytes]]:
        """What has arrived: at most `MAX_BATCH` datagrams, in order."""
        batch: list[tuple[Address, bytes]] = []
        recvfrom = self.recvfrom
        for _ in range(MAX_BATCH):
            try:
                data, source = recvfrom(_MAX_DATAGRAM)
            except OSError:
                break  # empty; or the ICMP error of an earlier send, which the error queue tells better
            batch.append((_make(Address, source) if len(source) == 2 else from_sockaddr(source), data))
        return batch

    def read_errors(self) -> list[tuple[Address, IcmpError]]:
        """ICMP errors that came back, with the destination of the datagram that caused each (Linux)."""
        errors: list[tuple[Address, IcmpError]] = []
        for _ in range(MAX_BATCH):
            try:
                _, ancillary, _, destination = self.recvmsg(0, socket.CMSG_SPACE(64), _MSG_ERRQUEUE)
            except OSError:
                break
            for _, _, data in ancillary:
                _, origin, kind, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
                if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
                    continue  # a local error: the send has told it
                ipv6 = origin == _ORIGIN_ICMP6
                too_big = kind == 2 if ipv6 else (kind, code) == (3, 4)
                errors.append((from_sockaddr(destination), IcmpError(kind, code, ipv6, info if too_big else 0)))
        return errors


class UdpSockets:
    """All UDP sockets of one driver, in one epoll.

    Args:
        ports: the ports to choose from where a machine asks for any.

    Attributes:
        lost: how many datagrams were not sent, by reason.
    """

    __slots__ = ("_epoll", "_ports", "_sockets", "lost")

    def __init__(self, ports: Sequence[int] | None = None) -> None:
        self.lost = NOTHING_LOST
        self._ports = ports
        self._sockets: dict[int, UdpSocket] = {}  # by id, and by descriptor above _BY_FD
        self._epoll = select.epoll()

    def fileno(self) -> int:
        """Readable while any socket has something to feed."""
        return self._epoll.fileno()

    def open(self, action: OpenSocket, driver: Driver) -> None:
        """Open, bind and read a socket; the driver hears how that went."""
        try:
            check_supported(action)
            sock = UdpSocket.open(action.socket, action.bind, action.options, self._ports)
        except OSError as error:
            driver.socket_failed(action.socket, socket_error(error))
            return
        fd = sock.fileno()
        self._sockets[action.socket] = self._sockets[_BY_FD + fd] = sock
        self._epoll.register(fd, select.EPOLLIN)
        driver.socket_opened(action.socket, from_sockaddr(sock.getsockname()))

    def close(self, id: SocketId) -> None:
        """Close a socket; an unknown one is a no-op."""
        sock = self._sockets.pop(id, None)
        if sock is not None:
            del self._sockets[_BY_FD + sock.fileno()]
            sock.close()  # which takes it out of the epoll

    def close_all(self) -> None:
        """Release every descriptor."""
        for sock in set(self._sockets.values()):
            self.close(sock.id)
        self._epoll.close()

    def send(self, socket: SocketId, destination: Address, data: bytes) -> None:
        """Send a datagram, or count it as lost."""
        sock = self._sockets.get(socket)
        if sock is None:
            self.count("socket closed")
            return
        try:
            target = to_sockaddr(destination, sock.ipv6)
            try:
                sock.sendto(data, target)
            except BlockingIOError:
                raise
            except OSError:
                # With IP_RECVERR the ICMP error of an earlier datagram comes out here, and this one has
                # not been tried yet. Asking clears it, so the second answer is about this datagram.
                sock.sendto(data, target)
        except (OSError, ValueError, OverflowError) as error:
            self.count(reason_of(error))

    def count(self, reason: str) -> None:
        """Count a lost datagram."""
        self.lost = one_more(self.lost, reason)

    def feed(self, driver: Driver) -> None:
        """Feed what has arrived on every readable socket: one batch, and one flush, each."""
        for fd, flags in self._epoll.poll(0, _MAX_READY):
            sock = self._sockets.get(_BY_FD + fd)
            if sock is None:
                continue  # closed by what was fed a moment ago
            if flags & select.EPOLLERR:
                for destination, error in sock.read_errors():
                    if sock.fileno() < 0:
                        break  # the machine has closed it
                    driver.icmp(sock.id, destination, error)
            # Also after an error: reading is what clears a pending one. A closed socket reads nothing.
            if batch := sock.read():
                driver.datagrams(sock.id, batch)


def one_more(lost: Mapping[str, int], reason: str) -> Mapping[str, int]:
    """The counters, one of them increased. Copied, because most connections never lose a datagram here."""
    return {**lost, reason: lost.get(reason, 0) + 1}


def reason_of(error: Exception) -> str:
    """The word under which a lost datagram is counted."""
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, "not an address")
