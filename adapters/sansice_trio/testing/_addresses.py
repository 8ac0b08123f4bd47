"""Addresses as the socket module has them, and the addresses of a host."""

from __future__ import annotations

import socket
from typing import Any, TypeAlias

import trio

from sansice import ANY_IPV4, ANY_IPV6, Address
from sansice.simulation import Host, Network

SockAddr: TypeAlias = tuple[str, int] | tuple[str, int, int, int]

_LOOPBACKS = {"127.0.0.1", "::1"}


def to_sockaddr(address: Address) -> SockAddr:
    """What ``getsockname`` says."""
    return (address.host, address.port, 0, 0) if address.is_ipv6 else (address.host, address.port)


def any_address(family: socket.AddressFamily) -> str:
    """The wildcard."""
    return ANY_IPV6 if family is socket.AF_INET6 else ANY_IPV4


async def resolve(given: Any, family: socket.AddressFamily, kind: socket.SocketKind, *, local: bool) -> Address:
    """The address that a program named, its name looked up.

    Raises:
        ValueError: not the tuple that is wanted.
        socket.gaierror: there is no such name, or not in this family.
    """
    longest = 4 if family is socket.AF_INET6 else 2
    if not isinstance(given, tuple) or not 2 <= len(given) <= longest:
        wanted = "(host, port)" if longest == 2 else "(host, port, [flow, [scope]])"
        raise ValueError(f"an address is a tuple {wanted}, not {given!r}")
    host, port = given[:2]
    if isinstance(host, str) and isinstance(port, int):
        try:
            return _canonical(host, port, family)
        except ValueError:
            pass  # a name, then
    if host == "<broadcast>":
        host = "255.255.255.255"
    flags = socket.AI_PASSIVE if local else 0
    found = await trio.socket.getaddrinfo(host or None, port, family, kind, 0, flags)
    first: Any = found[0][4]
    return _canonical(first[0], first[1], family)


def _canonical(host: str, port: int, family: socket.AddressFamily) -> Address:
    if not 0 <= port <= 65535:
        raise OverflowError(f"port must be 0-65535, not {port}")
    address = Address.of(host, port)
    if address.is_ipv6 != (family is socket.AF_INET6):
        raise ValueError(f"{host} is of the other family")
    return address


def addresses_of(host: Host, family: socket.AddressFamily) -> list[str]:
    """The literals of one family that a host has, of interfaces that are down as well."""
    ipv6 = family is socket.AF_INET6
    return [interface.address for interface in host.interfaces if (":" in interface.address) == ipv6]


def have_loopback(host: Host, network: Network, address: str) -> None:
    """Give a host the loopback address of its family when a program first asks for it: others need none."""
    if address in (ANY_IPV4, ANY_IPV6):
        address = "::1" if address == ANY_IPV6 else "127.0.0.1"
    if address in _LOOPBACKS and host.interface(address) is None:
        host.attach(address, network.segment(f"loopback of {host.name}"))
