"""What `trio.socket.socket` makes inside a simulated network."""

from __future__ import annotations

import errno
import socket

import trio

from sansice.simulation import Network
from sansice.sockets import Interface

from ._datagrams import DatagramSocket
from ._errors import os_error
from ._here import here
from ._streams import StreamSocket

_FLAGS = getattr(socket, "SOCK_NONBLOCK", 0) | getattr(socket, "SOCK_CLOEXEC", 0)


class Sockets(trio.abc.SocketFactory):
    """Makes sockets on the host that the task is on."""

    def __init__(self, network: Network) -> None:
        self._network = network

    def socket(self, family: int | None = None, type: int | None = None, proto: int = 0) -> trio.socket.SocketType:
        """A UDP or TCP socket of the simulated network; those of other families than IP are real.

        Raises:
            SimulationError: the task is on no host.
            OSError: EPROTONOSUPPORT, for other protocols.
        """
        family = socket.AF_INET if family is None else family
        kind = (socket.SOCK_STREAM if type is None else type) & ~_FLAGS
        if family not in (socket.AF_INET, socket.AF_INET6):
            return trio.socket.from_stdlib_socket(socket.socket(family, kind, proto))
        host = here("a socket is wanted")
        if kind == socket.SOCK_DGRAM and proto in (0, socket.IPPROTO_UDP):
            return DatagramSocket(host, self._network, socket.AddressFamily(family))
        if kind == socket.SOCK_STREAM and proto in (0, socket.IPPROTO_TCP):
            return StreamSocket(host, self._network, socket.AddressFamily(family))
        raise os_error(errno.EPROTONOSUPPORT, f"type {kind}, protocol {proto} in a simulated network")

    def interfaces(self) -> tuple[Interface, ...]:
        """The addresses of the host that the task is on, as `sansice.sockets.interfaces` lists those of a system."""
        host = here("the interfaces are listed")
        return tuple(Interface(one.label, one.address) for one in host.interfaces if one.is_up)
