"""A UDP socket without a runtime: batched reading, sending that never blocks, ICMP errors."""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections.abc import Sequence

from sansice.driver import Driver
from sansice.machine import Address, IcmpError, SocketId, SocketOptions

from ._addresses import AF_INET, AF_INET6, from_sockaddr, to_sockaddr
from ._options import bind_socket, configure

MAX_BATCH = 64  # datagrams read from one socket before the others, and the timer, get their turn
_MAX_DATAGRAM = 65535  # more than UDP can carry, so nothing is ever cut short

_make = tuple.__new__

# <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>: the socket module does not name these.
_LINUX = sys.platform == "linux"
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE: int = getattr(socket, "MSG_ERRQUEUE", 0)
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err: errno, origin, type, code, info, data
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3


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
        sock = cls(AF_INET6 if ipv6 else AF_INET, socket.SOCK_DGRAM)
        try:
            sock.id, sock.ipv6 = id, ipv6
            sock.setblocking(False)
            configure(sock, ipv6, options)
            sock._tell_errors()
            bind_socket(sock, bind, ipv6, ports)
        except BaseException:
            sock.close()
            raise
        return sock

    @classmethod
    def adopt(cls, id: SocketId, bound: socket.socket) -> UdpSocket:
        """Take a bound socket over, which is of no use to its holder afterwards."""
        sock = cls(fileno=bound.detach())
        sock.id, sock.ipv6 = id, sock.family == AF_INET6
        sock.setblocking(False)
        sock._tell_errors()
        return sock

    def _tell_errors(self) -> None:
        if _LINUX:
            self.setsockopt(*(socket.IPPROTO_IPV6, _IPV6_RECVERR) if self.ipv6 else (socket.IPPROTO_IP, _IP_RECVERR), 1)

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
                number, origin, kind, code, info, _ = _EXTENDED_ERROR.unpack_from(data)
                if origin not in (_ORIGIN_ICMP, _ORIGIN_ICMP6):
                    if number == errno.EMSGSIZE:
                        self._add_too_big(errors, from_sockaddr(destination), info)
                    continue  # another local error: the send has told it
                ipv6 = origin == _ORIGIN_ICMP6
                too_big = kind == 2 if ipv6 else (kind, code) == (3, 4)
                errors.append((from_sockaddr(destination), IcmpError(kind, code, ipv6, info if too_big else 0)))
        return errors

    def _add_too_big(self, errors: list[tuple[Address, IcmpError]], destination: Address, mtu: int) -> None:
        """What a router on the path said of an earlier datagram the system says itself of this one, which never leaves."""
        error = IcmpError(2, 0, True, mtu) if self.ipv6 else IcmpError(3, 4, False, mtu)
        if not errors or errors[-1] != (destination, error):  # `transmit` has tried it twice
            errors.append((destination, error))

    def transmit(self, destination: Address, data: bytes) -> None:
        """Send a datagram.

        Raises:
            OSError, ValueError, OverflowError: it is lost; see `reason_of`.
        """
        target = to_sockaddr(destination, self.ipv6)
        try:
            self.sendto(data, target)
        except BlockingIOError:
            raise
        except OSError:
            # With IP_RECVERR the ICMP error of an earlier datagram comes out here, and this one has
            # not been tried yet. Asking clears it, so the second answer is about this datagram.
            self.sendto(data, target)

    def feed(self, flags: int, driver: Driver) -> None:
        """Feed what has arrived: ICMP errors one by one, datagrams in one batch."""
        if flags & select.EPOLLERR:
            for destination, error in self.read_errors():
                if self.fileno() < 0:
                    break  # the machine has closed it
                driver.icmp(self.id, destination, error)
        # Also after an error: reading is what clears a pending one. A closed socket reads nothing.
        if batch := self.read():
            driver.datagrams(self.id, batch)
