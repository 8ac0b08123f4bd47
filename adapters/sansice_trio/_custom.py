"""What a test may have put under trio: sockets and names of its own.

Beside what trio asks of them, a socket factory may have ``interfaces() -> Iterable[sansice.sockets.Interface]``, and a resolver
``look_up(name, kind: RecordKind) -> Answer``, a coroutine, for every kind of record.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from sansice.ice import HostAddress
from sansice.sockets import Interface, InterfaceFilter, local_hosts


def socket_factory() -> trio.abc.SocketFactory | None:
    """The factory that `trio.socket.set_custom_socket_factory` was given."""
    # There is no other way to ask trio which one is set.
    factory = trio.socket.set_custom_socket_factory(None)
    if factory is not None:
        trio.socket.set_custom_socket_factory(factory)
    return factory


def hostname_resolver() -> trio.abc.HostnameResolver | None:
    """The resolver that `trio.socket.set_custom_hostname_resolver` was given."""
    resolver = trio.socket.set_custom_hostname_resolver(None)
    if resolver is not None:
        trio.socket.set_custom_hostname_resolver(resolver)
    return resolver


def host_addresses(
    interface_filter: InterfaceFilter | None = None, *, in_use: Iterable[HostAddress | str] = (), refresh: bool = False
) -> list[HostAddress]:
    """The addresses that the filter lets through: those that the socket factory lists, where it has a method ``interfaces``,
    and otherwise those of this machine, as `sansice.sockets.local_hosts` has them.
    """
    listed: Callable[[], Iterable[Interface]] | None = getattr(socket_factory(), "interfaces", None)
    if listed is None:
        return local_hosts(interface_filter, in_use=in_use, refresh=refresh)
    return [
        HostAddress(address, interface=name)
        for name, address in listed()
        if interface_filter is None or interface_filter(name, address)
    ]
