"""A connection that a trusted proxy made to a listener, until it has said whose it is."""

from __future__ import annotations

import errno
import ipaddress
import math
import socket
from collections.abc import Callable, Sequence
from typing import TypeAlias

from sansice.driver import Driver
from sansice.machine import Address, CloseMode, DecodeError, SocketId

from ._hub import Hub
from ._proxy_protocol import MAX_BINARY, read_proxy_header_untrusted

HEADER_TIMEOUT = 3.0  # seconds: a proxy sends its header at once, and loses one segment at most
MAX_PROXIED = 256  # connections whose header is awaited; a proxy that hangs must not take every descriptor

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Announce: TypeAlias = "Callable[[SocketId, socket.socket, Address | None], None]"
"""``announce(id, sock, source)``: the connection is ready for its own bytes."""


def trusted_networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The networks whose connections begin with a header.

    Raises:
        OSError: EINVAL, a text is no network.
    """
    try:
        return tuple(ipaddress.ip_network(text) for text in texts)
    except ValueError as error:
        raise OSError(errno.EINVAL, f"trusted_proxies: {error}") from None


def is_trusted(host: str, networks: Sequence[Network]) -> bool:
    """Whether a connection from ``host`` begins with a header."""
    address = ipaddress.ip_address(host.partition("%")[0])
    return any(address in network for network in networks)


class Proxied:
    """Reads the header and not a byte more; what comes after it is read by whoever ``announce`` hands the socket to.

    Attributes:
        id: what the machine will call the connection.
    """

    __slots__ = ("_announce", "_head", "_hub", "_listener", "_sock", "id")

    def __init__(self, hub: Hub, sock: socket.socket, listener: SocketId, announce: Announce) -> None:
        self.id: SocketId = hub.waiting.accepted.next()
        self._hub = hub
        self._sock = sock
        self._listener = listener
        self._announce = announce
        self._head = b""

    def begin(self) -> None:
        """Wait for the header."""
        hub, pending = self._hub, self._hub.waiting.proxied
        hub.add(self)
        hub.at(hub.driver.now() + HEADER_TIMEOUT, self)
        pending[self] = None
        if len(pending) > MAX_PROXIED:
            next(iter(pending))._refuse("too many connections without a header of their proxy")

    def fileno(self) -> int:
        """The descriptor; negative once it is closed."""
        return self._sock.fileno()

    def close(self) -> None:
        """Release the descriptor."""
        self._sock.close()

    def shut(self, mode: CloseMode) -> None:
        """Close; nobody has heard of it."""
        self._release()

    def expire(self, driver: Driver, now: float) -> None:
        """It took too long."""
        self._refuse("no header of the proxy in time")

    def feed(self, flags: int, driver: Driver) -> None:
        """Look at what has arrived, and take it out as far as it belongs to the header."""
        try:
            seen = self._sock.recv(MAX_BINARY, socket.MSG_PEEK)
            header = read_proxy_header_untrusted(self._head + seen)
            of_header = len(seen) if header is None else header.length - len(self._head)
            self._head += self._sock.recv(of_header)
        except BlockingIOError:
            return
        except (OSError, DecodeError):
            self._refuse("bad header of a proxy")
            return
        if not seen:
            self._refuse("bad header of a proxy")
        elif header is not None:
            self._hand_over(header.source)

    def _hand_over(self, source: Address | None) -> None:
        hub, sock = self._hub, self._sock
        if self._listener not in hub.sockets:
            self._release()  # the machine has closed the listener meanwhile, and expects no more of its connections
            return
        hub.at(math.inf, self)
        del hub.waiting.proxied[self]
        hub.forget(self)
        self._announce(self.id, sock, source)

    def _refuse(self, reason: str) -> None:
        self._release()
        self._hub.count(reason)

    def _release(self) -> None:
        hub = self._hub
        hub.at(math.inf, self)
        del hub.waiting.proxied[self]
        hub.remove(self)
