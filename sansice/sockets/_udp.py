"""A UDP socket without a runtime: batched reading, sending that never blocks, ICMP errors."""

from __future__ import annotations

import errno
import select
import socket
import struct
import sys
from collections.abc import Callable, Sequence

from sansice.driver import Driver
from sansice.machine import Address, IcmpError, SocketId, SocketOptions

from ._addresses import AF_INET, AF_INET6, from_sockaddr, to_sockaddr
from ._batching import UDP_SEGMENT, batching, receiver, sender
from ._options import bind_socket, configure

MAX_BATCH = 64  # datagrams read from one socket before the others, and the timer, get their turn
MANY = 4  # datagrams from which on calls for many at once cost less than calls for one each
MAX_SEGMENTS = 64  # UDP_MAX_SEGMENTS of Linux until 6.8; then 128
MAX_SEGMENTED = 65_507  # bytes of all segments together: what one datagram over IPv4 holds
_MAX_DATAGRAM = 65535  # more than UDP can carry, so nothing is ever cut short

_make = tuple.__new__

# <linux/in.h>, <linux/in6.h>, <linux/errqueue.h>: the socket module does not name these.
_LINUX = sys.platform == "linux"
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_MSG_ERRQUEUE: int = getattr(socket, "MSG_ERRQUEUE", 0)
_EXTENDED_ERROR = struct.Struct("=IBBBxII")  # struct sock_extended_err: errno, origin, type, code, info, data
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
_UINT16 = struct.Struct("=H")
_NO_DEVICE_FOR_IT = frozenset({errno.EIO, errno.EOPNOTSUPP, errno.ENOPROTOOPT})  # EIO: it does not compute checksums


class UdpSocket(socket.socket):
    """A bound, non-blocking UDP socket that knows its id, so that no second object has to."""

    __slots__ = ("_cuts", "_expected", "id", "ipv6")

    id: SocketId
    ipv6: bool
    _expected: int  # datagrams that are probably there when it is readable
    _cuts: bool  # whether the system may be asked to cut datagrams (UDP_SEGMENT)

    @classmethod
    def open(cls, id: SocketId, bind: Address, options: SocketOptions, ports: Sequence[int] | None) -> UdpSocket:
        """Open and bind.

        Raises:
            OSError: no socket is left behind.
        """
        ipv6 = ":" in bind.host
        sock = cls(AF_INET6 if ipv6 else AF_INET, socket.SOCK_DGRAM)
        try:
            sock._begin(id, ipv6)
            sock.setblocking(False)
            configure(sock, ipv6, options)
            sock.tell_errors()
            if options.multicast_groups:
                bind = _join_group(sock, bind, options)
            bind_socket(sock, bind, ipv6, ports)
        except BaseException:
            sock.close()
            raise
        return sock

    @classmethod
    def adopt(cls, id: SocketId, bound: socket.socket) -> UdpSocket:
        """Take a bound socket over, which is of no use to its holder afterwards."""
        sock = cls(fileno=bound.detach())
        sock._begin(id, sock.family == AF_INET6)
        sock.setblocking(False)
        sock.tell_errors()
        return sock

    def _begin(self, id: SocketId, ipv6: bool) -> None:
        self.id, self.ipv6 = id, ipv6
        self._expected = 1
        self._cuts = True

    def tell_errors(self, *, told: bool = True) -> None:
        """Have the system keep the ICMP errors of each datagram, for `feed` to read; or forget them."""
        if _LINUX:
            self.setsockopt(*(socket.IPPROTO_IPV6, _IPV6_RECVERR) if self.ipv6 else (socket.IPPROTO_IP, _IP_RECVERR), told)

    def read(self, *, sparing: bool = False) -> list[tuple[Address, bytes]]:
        """What has arrived: at most `MAX_BATCH` datagrams, in order.

        Args:
            sparing: many sockets are readable. Then one that seldom has several datagrams is asked for one only: what it may
                have beside that waits for the next round, and nobody has to be told that it has nothing more.
        """
        expected = self._expected
        if expected >= MANY and (many := receiver(self.ipv6)) is not None:
            batch = many.receive(self.fileno(), MAX_BATCH)
            self._expected = len(batch)
        elif sparing and expected < MANY:
            try:
                data, source = self.recvfrom(_MAX_DATAGRAM)
            except OSError:
                return []
            batch = [(_make(Address, source) if len(source) == 2 else from_sockaddr(source), data)]
            self._expected = expected + 1  # whether it has many can only be found out by asking for them, now and then
        else:
            batch = self._read_one_by_one()
            self._expected = len(batch)
        return batch

    def _read_one_by_one(self) -> list[tuple[Address, bytes]]:
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

    def transmit_all(self, items: Sequence[tuple[Address, bytes]], lose: Callable[[Exception], None]) -> None:
        """Send datagrams in order, as many at a time as the system takes.

        Args:
            items: destinations and data.
            lose: told of each that could not be sent.
        """
        if len(items) == 1:
            self.transmit_or_lose(items[0], lose)
            return
        at, end = 0, len(items)
        alone = 0  # where those begin that do not leave as segments of one
        while at < end:
            after = at + 1
            if after < end and items[after][0] == items[at][0] and self._cuts:
                after = end_of_run(items, at)
                if after - at > 1 and batching().segmentation:
                    self._transmit_mixed(items[alone:at], lose)
                    self._transmit_run(items[at:after], lose)
                    alone = after
            at = after
        self._transmit_mixed(items[alone:], lose)

    def _transmit_run(self, items: Sequence[tuple[Address, bytes]], lose: Callable[[Exception], None]) -> None:
        """Send datagrams for one destination, of one size but for the last: the system cuts them (UDP_SEGMENT)."""
        destination, first = items[0]
        try:
            target = to_sockaddr(destination, self.ipv6)
            size = (socket.IPPROTO_UDP, UDP_SEGMENT, _UINT16.pack(len(first)))
            self.sendmsg([data for _, data in items], [size], 0, target)
        except (OSError, ValueError, OverflowError) as error:
            # All or nothing, so nothing has left. That beyond the MTU nothing is cut is true of this destination, and must
            # not slow down the others; that a device cannot do it is remembered.
            if isinstance(error, OSError) and error.errno in _NO_DEVICE_FOR_IT:
                self._cuts = False
            self._transmit_mixed(items, lose)

    def _transmit_mixed(self, items: Sequence[tuple[Address, bytes]], lose: Callable[[Exception], None]) -> None:
        while len(items) >= MANY and (many := sender(self.ipv6)) is not None:
            try:
                sent = many.send(self.fileno(), items[:MAX_BATCH])
            except (OSError, ValueError, OverflowError):
                break  # one has no destination that could be one: which, is found one by one
            if sent == 0:  # the first was refused; or it is about an earlier datagram, and then it is asked again
                self.transmit_or_lose(items[0], lose)
                sent = 1
            items = items[sent:]
        for item in items:
            self.transmit_or_lose(item, lose)

    def transmit_or_lose(self, item: tuple[Address, bytes], lose: Callable[[Exception], None]) -> None:
        """Send a datagram, or tell ``lose`` why not."""
        destination, data = item
        try:
            self.transmit(destination, data)
        except (OSError, ValueError, OverflowError) as error:
            lose(error)

    def feed(self, flags: int, driver: Driver, now: float, *, sparing: bool = False) -> int:
        """Feed what has arrived: ICMP errors one by one, datagrams in one batch. Whoever calls this flushes what comes of those.

        Returns:
            How many datagrams.
        """
        if flags & select.EPOLLERR:
            for destination, error in self.read_errors():
                if self.fileno() < 0:
                    break  # the machine has closed it
                driver.icmp(self.id, destination, error)
        # Also after an error: reading is what clears a pending one. A closed socket reads nothing.
        batch = self.read(sparing=sparing)
        if batch:
            driver.feed_datagrams(self.id, batch, now)
        return len(batch)


def _join_group(sock: UdpSocket, bind: Address, options: SocketOptions) -> Address:
    from ._multicast import join_group  # here, because hardly any program joins one

    return join_group(sock, bind, options)


def end_of_run(items: Sequence[tuple[Address, bytes]], start: int) -> int:
    """Where those end that may leave as one datagram to be cut: to one destination, of one size, the last perhaps shorter."""
    destination, first = items[start]
    size = len(first)
    after = start + 1
    room = MAX_SEGMENTED - size
    for other, data in items[after : start + MAX_SEGMENTS]:
        length = len(data)
        room -= length
        if not 0 < length <= size or room < 0 or other != destination:
            break
        after += 1
        if length < size:
            break
    return after
