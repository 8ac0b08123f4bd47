"""UDP sockets that are members of a multicast group on one link (RFC 1112, RFC 3493 5.2).

Such a socket is bound to the group, not to its address: it hears the group alone, and leaves what comes by unicast to the
daemon that most machines have on the port of mDNS (RFC 6762 15.1). What it sends leaves from the address all the same.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import sys

from sansice.machine import Address, SocketOptions

from ._addresses import zone_number

HOPS = 255  # RFC 6762 11: who is asked from another link can tell by less

# <linux/in.h>, <linux/in6.h>: the socket module does not name these.
_LINUX = sys.platform == "linux"
_IP_MULTICAST_ALL, _IPV6_MULTICAST_ALL = 49, 29
_MEMBERSHIP = struct.Struct("=4s4si")  # struct ip_mreqn: group, address, interface
_MEMBERSHIP6 = struct.Struct("=16sI")  # struct ipv6_mreq: group, interface


def join_group(sock: socket.socket, bind: Address, options: SocketOptions) -> Address:
    """Join the group on the link of an address, before the socket is bound.

    Args:
        sock: of the family of ``bind``.
        bind: one of this machine's addresses, and the port.
        options: with one group; where the address is of IPv6 and has no zone, with the interface, too.

    Returns:
        What to bind to.

    Raises:
        OSError: more than one group, none of this family, no such interface, or the system refused.
    """
    group = _group_of(bind, options)
    # Every member then hears everything, and no program has the port for itself (RFC 6762 15.1).
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    number = _interface_of(bind, options)
    if bind.is_ipv6:
        return _join_ipv6(sock, group, number, bind.port)
    return _join_ipv4(sock, group, bind, number)


def _group_of(bind: Address, options: SocketOptions) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    first, *others = options.multicast_groups
    if others:
        raise OSError(errno.ENOTSUP, "a socket is a member of one group: open one for each")
    group = ipaddress.ip_address(first)
    if not group.is_multicast or (group.version == 6) != bind.is_ipv6:
        raise OSError(errno.EINVAL, f"{group} is no multicast group that {bind.host} could join")
    return group


def _interface_of(bind: Address, options: SocketOptions) -> int:
    """The number of the interface; 0 leaves it to the system, which knows it by an IPv4 address."""
    zone = options.interface or bind.host.partition("%")[2]
    if zone:
        return zone_number(zone)
    if bind.is_ipv6:
        raise OSError(errno.EINVAL, f"{bind.host}: to join a group over IPv6 takes the name of the interface")
    return 0


def _join_ipv4(sock: socket.socket, group: ipaddress.IPv4Address | ipaddress.IPv6Address, bind: Address, number: int) -> Address:
    membership = _MEMBERSHIP.pack(group.packed, socket.inet_aton(bind.host), number)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, membership)
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, HOPS)
    if _LINUX:  # or else it hears what others have joined on other links
        sock.setsockopt(socket.IPPROTO_IP, _IP_MULTICAST_ALL, 0)
    return Address(str(group), bind.port)


def _join_ipv6(sock: socket.socket, group: ipaddress.IPv4Address | ipaddress.IPv6Address, number: int, port: int) -> Address:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, _MEMBERSHIP6.pack(group.packed, number))
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, HOPS)
    if _LINUX:
        sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MULTICAST_ALL, 0)
    return Address(f"{group}%{number}", port)
