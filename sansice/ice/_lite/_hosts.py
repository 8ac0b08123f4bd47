"""The host candidates of a lite agent: one for each IP address, stream and component (RFC 8445 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import attrs

from sansice.ice._candidate import Candidate, CandidateType, TcpType
from sansice.ice._gathering._host_list import HostList
from sansice.ice._gathering._options import GatheringOptions
from sansice.ice._priority import (
    MAX_LOCAL_PREFERENCE,
    MAX_OTHER_PREFERENCE,
    Foundations,
    candidate_priority,
    tcp_local_preference,
)
from sansice.machine import (
    DEFAULT_OPTIONS,
    Address,
    Entropy,
    Ids,
    OpenSocket,
    SocketError,
    SocketErrorKind,
    SocketId,
    SocketOptions,
    Transport,
)

from ._precedence import assign_preferences

MAX_PORT_TRIES = 128  # ports of a range that are tried for one socket, as the full agent does


@attrs.frozen
class Host:
    """A host candidate and the socket that is its base.

    Attributes:
        base: the address of the socket, which is the candidate's, unless a 1:1 NAT gives it another one.
    """

    stream: int
    candidate: Candidate
    socket: SocketId
    base: Address

    @property
    def component(self) -> int:
        """1..256."""
        return self.candidate.component

    @property
    def host(self) -> str:
        """The IP address."""
        return self.base.host

    @property
    def transport(self) -> Transport:
        """UDP or TCP."""
        return self.candidate.transport


@attrs.frozen
class _Opening:
    stream: int
    component: int
    host: str
    transport: Transport
    tries: int = 1


class Hosts:
    """Which sockets are open, and which are about to be.

    Attributes:
        options: how they are gathered.
        addresses: that are used.
        error: why the last socket that did not open did not; "" where all did.
        open: the candidates by socket, in the order of opening.
    """

    __slots__ = (
        "_entropy",
        "_foundations",
        "_ids",
        "_interfaces",
        "_opening",
        "_port",
        "_preferences",
        "addresses",
        "error",
        "open",
        "options",
    )

    def __init__(self, ids: Ids, options: GatheringOptions, entropy: Entropy) -> None:
        self._ids = ids
        self.options = options
        self._entropy = entropy
        self._port: int | None = None
        self._interfaces: Mapping[str, str] = {}
        self._foundations = Foundations()
        self._preferences: dict[str, int] = {}
        self._opening: dict[SocketId, _Opening] = {}
        self.addresses: Sequence[str] = ()
        self.error = ""
        self.open: dict[SocketId, Host] = {}

    @property
    def is_opening(self) -> bool:
        """Whether a socket that was asked for has neither opened nor failed yet."""
        return bool(self._opening)

    def use(self, hosts: HostList) -> list[SocketId]:
        """Have these addresses and no others; returns the sockets of those that are gone."""
        addresses = hosts.names
        self._interfaces = hosts.interfaces
        self._preferences = assign_preferences(addresses, {host: self._preferences[host] for host in self._kept(addresses)})
        self.addresses = addresses
        places: dict[SocketId, Host | _Opening] = {**self.open, **self._opening}
        return [socket for socket, place in places.items() if place.host not in addresses]

    def _kept(self, addresses: Sequence[str]) -> Iterator[str]:
        return (host for host in self._preferences if host in addresses)

    def ask(self, stream: int, components: Iterable[int]) -> Iterator[OpenSocket]:
        """Open what one stream lacks: a socket for each address and component, and for TCP a listener (RFC 6544 4.4)."""
        places: list[Host | _Opening] = [*self.open.values(), *self._opening.values()]
        has = [(place.component, place.host, place.transport) for place in places if place.stream == stream]
        transports = ((Transport.UDP,) if self.options.udp else ()) + ((Transport.TCP,) if self.has_tcp else ())
        for component in components:
            for host in self.addresses:
                for transport in transports:
                    if (component, host, transport) not in has:
                        yield self._ask(_Opening(stream, component, host, transport))

    @property
    def has_tcp(self) -> bool:
        """Whether there are candidates for TCP."""
        return TcpType.PASSIVE in self.options.tcp

    def _ask(self, opening: _Opening) -> OpenSocket:
        socket = self._ids.socket()
        self._opening[socket] = opening
        options = SocketOptions(dscp=self.options.dscp) if self.options.dscp else DEFAULT_OPTIONS
        return OpenSocket(socket, opening.transport, Address(opening.host, self._next_port()), options=options)

    def _next_port(self) -> int:
        """Any port, or the ports of a range in turn, from one on that nobody can know (RFC 6056)."""
        if self.options.port_range is None:
            return 0
        first, last = self.options.port_range
        if self._port is None:
            self._port = int.from_bytes(self._entropy(2), "big")
        self._port += 1
        return first + self._port % (last - first + 1)

    def ask_again(self, socket: SocketId, error: SocketError) -> OpenSocket | None:
        """Ask for the next port of the range in place of one that is taken; ``None`` where there is none to be had."""
        opening = self._opening.get(socket)
        if opening is None or self.options.port_range is None or error.kind is not SocketErrorKind.ADDRESS_IN_USE:
            return None
        first, last = self.options.port_range
        if opening.tries >= min(last - first + 1, MAX_PORT_TRIES):
            return None
        del self._opening[socket]
        return self._ask(attrs.evolve(opening, tries=opening.tries + 1))

    def opened(self, socket: SocketId, local: Address) -> Host | None:
        """The candidate of a socket that is open now; ``None`` where none was asked for."""
        opening = self._opening.pop(socket, None)
        if opening is None:
            return None
        preference, tcp_type = self._preferences[opening.host], None
        if opening.transport is Transport.TCP:
            tcp_type = TcpType.PASSIVE
            other = max(0, preference - MAX_LOCAL_PREFERENCE + MAX_OTHER_PREFERENCE)
            preference = tcp_local_preference(CandidateType.HOST, tcp_type, other)
        candidate = Candidate(
            foundation=self._foundations.of(CandidateType.HOST, opening.host, transport=opening.transport),
            component=opening.component,
            transport=opening.transport,
            priority=candidate_priority(CandidateType.HOST, preference, opening.component, opening.transport),
            address=Address(self._outside(opening.host), local.port),
            type=CandidateType.HOST,
            tcp_type=tcp_type,
        )
        host = self.open[socket] = Host(opening.stream, candidate, socket, local)
        return host

    def _outside(self, host: str) -> str:
        """The address by which peers reach this one: one only, for there is one candidate for each (RFC 8445 5.2)."""
        if not self.options.rewrite:
            return host
        from sansice.ice._gathering._rewrite import outside_of  # who has no rules need not load them

        outside = outside_of(host, self._interfaces.get(host, ""), self.options.rewrite)
        return outside.hosts[0] if outside.hosts and outside.type is CandidateType.HOST else host

    def give_up(self) -> list[SocketId]:
        """Wait for no socket any more; returns those that have not opened."""
        sockets = list(self._opening)
        self._opening.clear()
        return sockets

    def forget(self, socket: SocketId) -> bool:
        """A socket that is gone, or goes; whether there was one."""
        return self._opening.pop(socket, None) is not None or self.open.pop(socket, None) is not None

    def of(self, stream: int) -> Iterator[Host]:
        """The open ones of a stream."""
        return (host for host in self.open.values() if host.stream == stream)

    def clear(self) -> list[SocketId]:
        """Forget all; returns their sockets."""
        sockets = [*self.open, *self._opening]
        self.open.clear()
        self._opening.clear()
        return sorted(sockets)
