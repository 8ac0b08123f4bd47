"""The sockets that workers share a listener by: one each, all at the same address (SO_REUSEPORT).

The kernel spreads clients over the sockets of such a set by a hash, and spreads them anew when the set changes: then half of
all clients would be with the wrong worker. So a set is fixed while the server lives. The supervisor holds every socket, and a
worker that is started in the place of a dead one finds in its own what has come meanwhile.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from sansice import Address, SocketOptions, Transport
from sansice.sockets import configure, from_sockaddr, to_sockaddr
from sansice.stun import Listener

from ._backend import ServingError

_BACKLOG = 128  # connections that the system may hold ready
_KINDS = {True: socket.SOCK_STREAM, False: socket.SOCK_DGRAM}


class SocketSets:
    """For each listener a socket for each worker.

    Attributes:
        addresses: where the listeners are, with the real ports.
    """

    def __init__(self, sets: Sequence[Sequence[socket.socket]]) -> None:
        self._sets = sets
        self.addresses: list[Address] = [from_sockaddr(one[0].getsockname()) for one in sets]

    def of_worker(self, number: int) -> list[socket.socket]:
        """A socket for each listener."""
        return [one[number] for one in self._sets]

    def close(self) -> None:
        """Nobody is served any more."""
        for one in self._sets:
            for sock in one:
                sock.close()


def open_socket_sets(
    listeners: Sequence[Listener], workers: int, receive_buffer: int, inherited: Sequence[socket.socket]
) -> SocketSets:
    """Open all of them.

    Args:
        listeners: where.
        workers: how many share each.
        receive_buffer: bytes that may wait in a socket for datagrams.
        inherited: bound sockets that the service manager has opened: one, of a listener for streams, serves all workers;
            for datagrams there have to be as many as workers.

    Raises:
        ServingError: one could not be opened; none is left open then.
    """
    with contextlib.ExitStack() as stack:
        sets = []
        for listener in listeners:
            given = _given(listener, inherited, workers)
            opened = [*given] if given else _open(listener, workers, receive_buffer, stack)
            sets.append(opened)
        stack.pop_all()
        return SocketSets(sets)


def _given(listener: Listener, inherited: Sequence[socket.socket], workers: int) -> list[socket.socket]:
    kind = _KINDS[listener.transport.is_stream]
    found = [sock for sock in inherited if sock.type == kind and from_sockaddr(sock.getsockname()) == listener.address]
    if not found:
        return []
    if listener.transport.is_stream:
        found[0].listen(_BACKLOG)
        # A connection goes to whoever accepts it first, so one socket is enough.
        return [found[0], *(found[0].dup() for _ in range(workers - 1))]
    if len(found) != workers:
        raise ServingError(f"{listener}: {workers} workers need a socket each of the service manager, and there are {len(found)}")
    return found


def _open(listener: Listener, workers: int, receive_buffer: int, stack: contextlib.ExitStack) -> list[socket.socket]:
    opened: list[socket.socket] = []
    address = listener.address
    try:
        for _ in range(workers):
            opened.append(stack.enter_context(_bound(listener.transport, address, receive_buffer)))
            address = from_sockaddr(opened[0].getsockname())
        # Not before the set is whole: from here on connections come.
        for sock in opened if listener.transport.is_stream else ():
            sock.listen(_BACKLOG)
    except OSError as error:
        raise ServingError(f"cannot listen at {listener}: {error.strerror or error}") from None
    return opened


def _bound(transport: Transport, address: Address, receive_buffer: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if address.is_ipv6 else socket.AF_INET, _KINDS[transport.is_stream])
    try:
        options = SocketOptions(reuse_port=True, receive_buffer=0 if transport.is_stream else receive_buffer)
        configure(sock, address.is_ipv6, options)
        if transport.is_stream:
            # Otherwise a server cannot come back while connections of its earlier run are in TIME_WAIT.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(to_sockaddr(address, address.is_ipv6))
    except BaseException:
        sock.close()
        raise
    return sock
