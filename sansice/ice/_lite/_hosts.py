"""The host candidates of a lite agent: one for each IP address, stream and component (RFC 8445 5.2).

Where a mux listens at several ports of one address, there is one for each: its clients, who are full, find out which one works.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from sansice.ice._candidate import Candidate, CandidateType, TcpType
from sansice.ice._gathering._host_list import NO_HOSTS, HostList, Seat
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

from ._precedence import assign_preferences, first_preferences

MAX_PORT_TRIES = 128  # ports of a range that are tried for one socket, as the full agent does


@attrs.frozen
class Host:
    """A host candidate and the socket that is its base.

    Attributes:
        base: the address of the socket, which is the candidate's, unless a 1:1 NAT gives it another one.
        seat: which of the sockets of that IP address it is.
    """

    stream: int
    candidate: Candidate
    socket: SocketId
    base: Address
    seat: Seat

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
    seat: Seat
    transport: Transport
    tries: int = 1

    @property
    def host(self) -> str:
        """The IP address."""
        return self.seat.host


class Hosts:
    """Which sockets are open, and which are about to be.

    Attributes:
        options: how they are gathered.
        used: the addresses.
        error: why the last socket that did not open did not; "" where all did.
        open: the candidates by socket, in the order of opening.
    """

    __slots__ = (
        "_entropy",
        "_foundations",
        "_ids",
        "_opening",
        "_port",
        "_preferences",
        "error",
        "open",
        "options",
        "used",
    )

    def __init__(self, ids: Ids, options: GatheringOptions, entropy: Entropy) -> None:
        self._ids = ids
        self.options = options
        self._entropy = entropy
        self._port: int | None = None
        self._foundations = Foundations()
        self._preferences: Mapping[Seat, int] = first_preferences(())
        self._opening: dict[SocketId, _Opening] = {}
        self.used: HostList = NO_HOSTS
        self.error = ""
        self.open: dict[SocketId, Host] = {}

    @property
    def is_opening(self) -> bool:
        """Whether a socket that was asked for has neither opened nor failed yet."""
        return bool(self._opening)

    def use(self, hosts: HostList) -> list[SocketId]:
        """Have these addresses and no others; returns the sockets of those that are gone."""
        kept = {seat: preference for seat, preference in self._preferences.items() if seat.host in hosts.names}
        self._preferences = assign_preferences(hosts.seats, kept) if kept else first_preferences(hosts.seats)
        self.used = hosts
        places: dict[SocketId, Host | _Opening] = {**self.open, **self._opening}
        return [socket for socket, place in places.items() if place.host not in hosts.names]

    def ask(self, stream: int, components: Iterable[int]) -> Iterator[OpenSocket]:
        """Open what one stream lacks: a socket for each address and component, and for TCP a listener (RFC 6544 4.4)."""
        places: list[Host | _Opening] = [*self.open.values(), *self._opening.values()]
        there = [(place.component, place.seat, place.transport) for place in places if place.stream == stream]
        kinds = ((None,) if self.options.udp else ()) + ((TcpType.PASSIVE,) if self.has_tcp else ())
        for component in components:
            for seat in self.used.seats:
                for kind in kinds:
                    transport = Transport.UDP if kind is None else Transport.TCP
                    if self.used.has(seat, kind) and (component, seat, transport) not in there:
                        yield self._ask(_Opening(stream, component, seat, transport))

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
        preference, tcp_type = self._preferences[opening.seat], None
        if opening.transport is Transport.TCP:
            tcp_type = TcpType.PASSIVE
            if preference > MAX_OTHER_PREFERENCE:  # it counts down from the highest, and is no precedence of RFC 6724
                preference = max(0, preference - MAX_LOCAL_PREFERENCE + MAX_OTHER_PREFERENCE)
            preference = tcp_local_preference(CandidateType.HOST, tcp_type, preference)
        candidate = Candidate(
            foundation=self._foundations.of(CandidateType.HOST, opening.host, transport=opening.transport),
            component=opening.component,
            transport=opening.transport,
            priority=candidate_priority(CandidateType.HOST, preference, opening.component, opening.transport),
            address=Address(self._outside(opening.host), local.port),
            type=CandidateType.HOST,
            tcp_type=tcp_type,
        )
        host = self.open[socket] = Host(opening.stream, candidate, socket, local, opening.seat)
        return host

    def _outside(self, host: str) -> str:
        """The address by which peers reach this one: one only, for there is one candidate for each (RFC 8445 5.2)."""
        if not self.options.rewrite:
            return host
        from sansice.ice._gathering._rewrite import outside_of  # who has no rules need not load them

        outside = outside_of(host, self.used.interfaces.get(host, ""), self.options.rewrite)
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
