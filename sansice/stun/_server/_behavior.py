"""The two addresses and two ports of a server for NAT behaviour discovery (RFC 5780 6)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from sansice.machine import Address, LocalProtocolError, SocketId, Transport
from sansice.stun._values import ChangeRequest

from ._config import Listener


@attrs.frozen
class Corner:
    """One of the four sockets, as table 1 of RFC 5780 6.1 sees it.

    Attributes:
        origins: by flags of CHANGE-REQUEST: the socket that the response leaves from, and its address.
        other: Ca:Cp, whatever the flags: the value of OTHER-ADDRESS.
    """

    origins: Mapping[ChangeRequest, tuple[SocketId, Address]]
    other: Address


def corners(sockets: Mapping[SocketId, tuple[Transport, Address]]) -> dict[SocketId, Corner]:
    """What each socket's alternates are. Sockets that are not two addresses with the same two ports have none.

    Args:
        sockets: those that are open. Each transport and family is judged by itself.
    """
    found: dict[SocketId, Corner] = {}
    for group in _groups(sockets).values():
        by_address = {address: socket for socket, address in group.items()}
        if not _is_square(by_address):
            continue
        for socket, here in group.items():
            host = next(address.host for address in by_address if address.host != here.host)
            port = next(address.port for address in by_address if address.port != here.port)
            origins = {
                ChangeRequest(change_ip, change_port): Address(
                    host if change_ip else here.host, port if change_port else here.port
                )
                for change_ip in (False, True)
                for change_port in (False, True)
            }
            found[socket] = Corner(
                {flags: (by_address[address], address) for flags, address in origins.items()}, Address(host, port)
            )
    return found


def check_behavior_listeners(listeners: Iterable[Listener]) -> None:
    """Refuse UDP listeners that cannot serve RFC 5780 (section 6).

    Raises:
        LocalProtocolError: says what is missing.
    """
    udp = {
        SocketId(number): (one.transport, one.address) for number, one in enumerate(listeners) if one.transport is Transport.UDP
    }
    if not udp:
        raise LocalProtocolError("behavior: there is no UDP listener (RFC 5780 6)")
    for group in _groups(udp).values():
        if not all(address.port for address in group.values()) or not _is_square(group.values()):
            listed = ", ".join(str(address) for address in group.values())
            raise LocalProtocolError(
                f"behavior: {listed}: RFC 5780 needs two addresses with the same two ports, all four of them, and none of them 0"
            )


def _groups(sockets: Mapping[SocketId, tuple[Transport, Address]]) -> dict[tuple[Transport, bool], dict[SocketId, Address]]:
    groups: dict[tuple[Transport, bool], dict[SocketId, Address]] = {}
    for socket, (transport, address) in sockets.items():
        groups.setdefault((transport, address.is_ipv6), {})[socket] = address
    return groups


def _is_square(addresses: Iterable[Address]) -> bool:
    listed = set(addresses)
    return len(listed) == 4 and len({one.host for one in listed}) == len({one.port for one in listed}) == 2
