"""What a test may have put under trio: a socket factory, and the interfaces that this knows of."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import trio

from sansice.sockets import Interface, InterfaceFilter, interfaces


def socket_factory() -> trio.abc.SocketFactory | None:
    """The factory that `trio.socket.set_custom_socket_factory` was given."""
    # There is no other way to ask trio which one is set.
    factory = trio.socket.set_custom_socket_factory(None)
    trio.socket.set_custom_socket_factory(factory)
    return factory


def host_addresses(interface_filter: InterfaceFilter | None) -> list[str]:
    """The addresses that the filter lets through: those that the socket factory lists, where it has a method ``interfaces``,
    and otherwise those of this machine.
    """
    listed: Callable[[], Iterable[Interface]] = getattr(socket_factory(), "interfaces", interfaces)
    return [address for name, address in listed() if interface_filter is None or interface_filter(name, address)]
