"""The sockets that all agents of a mux share: which are open, and which one serves an address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from sansice.ice._gathering._host_list import HostsGiven
from sansice.machine import (
    Address,
    Event,
    Ids,
    LocalProtocolError,
    OpenSocket,
    SocketError,
    SocketId,
    SocketOptions,
    Transport,
)
from sansice.stun import Listener, ListenerFailed, ListenerOpened, ServerReady

from ._members import SharedSocket

_SHARED = (Transport.UDP, Transport.TCP)


class Listening:
    """The shared sockets, in the order of `IceMux.start`."""

    __slots__ = ("_hosts", "_is_ready", "sockets")

    def __init__(self) -> None:
        self.sockets: dict[SocketId, SharedSocket] = {}
        self._hosts: HostsGiven | None = None  # as long as the sockets are the same
        self._is_ready = False

    def start(self, listeners: Iterable[Listener], ids: Ids, receive_buffer: int) -> Iterator[OpenSocket]:
        """Ask for a socket for each listener."""
        for listener in listeners:
            shared = SharedSocket(ids.socket(), listener)
            self.sockets[shared.id] = shared
            self._hosts = None
            # A listener hands its own on to each connection, where as much would be far too much.
            buffer = receive_buffer if listener.transport is Transport.UDP else 0
            options = SocketOptions(reuse_port=listener.reuse_port, receive_buffer=buffer)
            yield OpenSocket(shared.id, listener.transport, listener.address, options=options)

    def opened(self, shared: SharedSocket, local: Address) -> Iterator[Event]:
        """A socket is open: what is to be told."""
        shared.local = local
        yield ListenerOpened(shared.listener, local)
        yield from self._decided()

    def failed(self, shared: SharedSocket, error: SocketError) -> Iterator[Event]:
        """A socket did not open, or has died."""
        del self.sockets[shared.id]
        self._hosts = None
        yield ListenerFailed(shared.listener, error)
        yield from self._decided()

    def clear(self) -> None:
        """Nothing is listened at any more."""
        self.sockets.clear()
        self._hosts = None

    def _decided(self) -> Iterator[Event]:
        if not self._is_ready and all(one.local is not None for one in self.sockets.values()):
            self._is_ready = True
            yield ServerReady(self.addresses)

    @property
    def addresses(self) -> tuple[tuple[Transport, Address], ...]:
        """Transport and address of the sockets that are open."""
        return tuple((one.listener.transport, one.local) for one in self.sockets.values() if one.local is not None)

    @property
    def hosts(self) -> HostsGiven:
        """The IP addresses that agents can gather from, each once, with how many sockets there are at it.

        What is not listened over at all is an agent's own affair.
        """
        if self._hosts is None:
            self._hosts = self._count()
        return self._hosts

    def _count(self) -> HostsGiven:
        counts = Counter([(one.listener.transport, one.listener.address.host) for one in self.sockets.values()])
        names = tuple(dict.fromkeys([host for _, host in counts]))
        listened = [transport for transport, _ in counts]
        udp = {host: counts[Transport.UDP, host] if Transport.UDP in listened else 1 for host in names}
        tcp = {host: counts[Transport.TCP, host] if Transport.TCP in listened else 1 for host in names}
        if all(udp[host] == tcp[host] == 1 for host in names):
            return names
        from sansice.ice._gathering._hosts import HostAddress  # most have one port, and say nothing about their addresses

        return tuple([HostAddress(host, udp_sockets=udp[host], tcp_listeners=tcp[host]) for host in names])

    def serving(self, wish: OpenSocket, taken: Collection[SharedSocket] = ()) -> SharedSocket | None:
        """The socket that does for what an agent wants to open: of its address, and of its port where it asks for one.

        None of those that are ``taken``: where several ports of an address are listened at, an agent has a place at each.

        A connection is the agent's own, and so is the listener of a simultaneous-open candidate, which connects from its port
        as well (RFC 6544 7.1): it says so by ``reuse_port``.
        """
        if wish.remote is not None or wish.options.reuse_port:
            return None
        host, port = wish.bind
        for one in self.sockets.values():
            known = one.listener.address if one.local is None else one.local
            if one in taken:
                continue
            if known.host == host and port in (0, known.port) and one.listener.transport is wish.transport:
                return one
        return None


def read_listeners(given: Iterable[Listener | Address]) -> tuple[Listener, ...]:
    """What `IceMux.start` was given.

    Raises:
        LocalProtocolError: none; the same one twice; neither UDP nor TCP; a wildcard address, from which answers could leave by
            another.
    """
    if isinstance(given, (Listener, Address)):
        given = (given,)
    try:
        listed = tuple([Listener(Transport.UDP, one) if isinstance(one, Address) else one for one in given])
    except ValueError as error:
        raise LocalProtocolError(f"start(): {error}") from None
    if not listed:
        raise LocalProtocolError("start() needs at least one address")
    for one in listed:
        if one.transport not in _SHARED:
            raise LocalProtocolError(f"start(): {one} is neither UDP nor TCP")
    fixed = [(one.transport, one.address) for one in listed if one.address.port]
    if len(set(fixed)) < len(fixed):
        raise LocalProtocolError("start(): the same address twice")
    return listed
