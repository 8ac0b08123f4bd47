"""Addresses as the socket module has them, and its errors as a machine is told of them."""

from __future__ import annotations

import errno
import functools
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from sansice.machine import Address, SocketError, SocketErrorKind

AF_INET, AF_INET6 = int(socket.AF_INET), int(socket.AF_INET6)
_make = tuple.__new__

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
    errno.ECONNREFUSED: SocketErrorKind.REFUSED,
    errno.ECONNRESET: SocketErrorKind.RESET,
    errno.EPIPE: SocketErrorKind.RESET,
    errno.ENETUNREACH: SocketErrorKind.UNREACHABLE,
    errno.EHOSTUNREACH: SocketErrorKind.UNREACHABLE,
    errno.ENETDOWN: SocketErrorKind.UNREACHABLE,
    errno.EHOSTDOWN: SocketErrorKind.UNREACHABLE,
    errno.ETIMEDOUT: SocketErrorKind.TIMEOUT,
}

NOTHING_LOST: Mapping[str, int] = MappingProxyType({})


def socket_error(error: OSError) -> SocketError:
    """What a machine is told of an `OSError`."""
    return SocketError(_KINDS.get(error.errno or 0, SocketErrorKind.OTHER), error.strerror or str(error))


def one_more(lost: Mapping[str, int], reason: str) -> Mapping[str, int]:
    """The counters, one of them increased. Copied, because most drivers never lose a thing here."""
    return {**lost, reason: lost.get(reason, 0) + 1}


def reason_of(error: Exception) -> str:
    """The word under which a lost datagram is counted."""
    number = error.errno if isinstance(error, OSError) else None
    return errno.errorcode.get(number or 0, "not an address")


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
        socket.inet_pton(AF_INET, address[0])
        return address
    host, _, zone = address[0].partition("%")
    socket.inet_pton(AF_INET6, host)
    return (host, address[1], 0, zone_number(zone) if zone else 0)


def source_address(remote: Address) -> Address:
    """The local address, with port 0, by which the system routes to ``remote``. Nothing is sent.

    Raises:
        OSError: there is no route, or ``remote`` is not a literal.
    """
    ipv6 = remote.is_ipv6
    with socket.socket(AF_INET6 if ipv6 else AF_INET, socket.SOCK_DGRAM) as probe:
        # Port 0 is refused by some systems, and no port matters for the route.
        probe.connect(to_sockaddr(Address(remote.host, remote.port or 9), ipv6))
        return from_sockaddr(probe.getsockname())._replace(port=0)
