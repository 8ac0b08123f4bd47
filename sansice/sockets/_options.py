"""What a machine may ask of a socket, checked and set before it is bound."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence
from typing import Any

from sansice.machine import ANY_IPV4, ANY_IPV6, Address, OpenSocket, SocketOptions, Transport

from ._addresses import source_address, to_sockaddr

# <linux/in.h>, <linux/in6.h>: the socket module does not name these.
_LINUX = sys.platform == "linux"
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _PMTUDISC_DONT, _PMTUDISC_DO = 10, 23, 0, 2


def check_supported(action: OpenSocket) -> None:
    """Refuse what is not built.

    Raises:
        OSError: ENOTSUP, saying what it was.
    """
    options = action.options
    if options.multicast_groups and (action.transport is not Transport.UDP or action.remote is not None):
        raise OSError(errno.ENOTSUP, "only a UDP socket without a remote is a member of a multicast group: no use to others")
    if options.proxy is not None and (not action.transport.is_stream or action.remote is None):
        raise OSError(errno.ENOTSUP, "only a stream that connects goes through a proxy")
    if options.trusted_proxies and (action.remote is not None or not action.transport.is_stream):
        raise OSError(errno.ENOTSUP, "only connections that a listener accepts can be a proxy's")
    if options.tls is not None and action.transport in (Transport.UDP, Transport.TCP):
        raise OSError(errno.ENOTSUP, f"options for TLS are of no use to {action.transport.name}")


def local_address(action: OpenSocket) -> Address:
    """The address to bind: `ANY_IPV4` and `ANY_IPV6` become the one that leads to the remote.

    Raises:
        OSError: no route leads there; or the wildcard was asked for, whose answers could leave from another
            address than the one that was asked.
    """
    bind = action.bind
    if bind[0] not in (ANY_IPV4, ANY_IPV6):
        return bind
    towards = action.towards
    if towards is None:
        raise OSError(errno.EADDRNOTAVAIL, f"{bind.host} is no address to bind: name each local address")
    return source_address(towards)._replace(port=bind.port)


def bare_host(address: Address) -> str:
    """The literal without its zone: what a certificate for an address holds."""
    return address.host.partition("%")[0]


def configure(sock: Any, ipv6: bool, options: SocketOptions) -> None:
    """Set options on a socket (of the socket module, or of a runtime) before it is bound.

    Raises:
        OSError: the system refused, or has no such option.
    """
    if ipv6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if options.dscp:
        level, name = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS) if ipv6 else (socket.IPPROTO_IP, socket.IP_TOS)
        sock.setsockopt(level, name, options.dscp << 2)
    # Members of a group share its port by SO_REUSEADDR, and on Linux by that alone: with SO_REUSEPORT it gives, from 6.6 on, what
    # comes on one link to any of them, be it that of another link or program.
    if options.reuse_port and not (options.multicast_groups and sys.platform == "linux"):
        sock.setsockopt(socket.SOL_SOCKET, _option("SO_REUSEPORT"), 1)
    if options.interface is not None and not options.multicast_groups:  # a member's interface is that of its group
        sock.setsockopt(socket.SOL_SOCKET, _option("SO_BINDTODEVICE"), options.interface.encode())
    if options.receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    if options.dont_fragment is not None:
        set_dont_fragment(sock, ipv6, options.dont_fragment)


def set_dont_fragment(sock: Any, ipv6: bool, enabled: bool) -> None:
    """Say whether datagrams may be fragmented from now on: by the socket, because no call of Linux says it for one IPv4 datagram.

    Raises:
        OSError: the system refused, or has no such option.
    """
    if not _LINUX:
        raise OSError(errno.ENOTSUP, "dont_fragment is known only on Linux")
    level, name = (socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER) if ipv6 else (socket.IPPROTO_IP, _IP_MTU_DISCOVER)
    sock.setsockopt(level, name, _PMTUDISC_DO if enabled else _PMTUDISC_DONT)


def _option(name: str) -> int:
    option: int | None = getattr(socket, name, None)
    if option is None:
        raise OSError(errno.ENOTSUP, f"this system has no {name}")
    return option


def ports_to_try(bind: Address, ports: Sequence[int] | None) -> Sequence[int]:
    """The ports to bind, in order: a port asked for, one of the permitted ``ports``, or any (0)."""
    return (bind.port,) if bind.port or ports is None else ports


def bind_socket(sock: socket.socket, local: Address, ipv6: bool, ports: Sequence[int] | None) -> None:
    """Bind to an address and the first free one of its `ports_to_try`.

    Raises:
        OSError: none is free, or the address is none of ours.
    """
    *tries, last = ports_to_try(local, ports)
    for port in tries:
        try:
            sock.bind(to_sockaddr(Address(local.host, port), ipv6))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
    sock.bind(to_sockaddr(Address(local.host, last), ipv6))
