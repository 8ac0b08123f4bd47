"""The host candidates of a lite agent: one for each IP address, stream and component (RFC 8445 5.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import attrs

from sansice.ice._candidate import Candidate, CandidateType
from sansice.ice._priority import Foundations, candidate_priority
from sansice.machine import Address, Ids, OpenSocket, SocketId, Transport

from ._precedence import assign_preferences


@attrs.frozen
class Host:
    """A host candidate and the socket that is its base.

    Attributes:
        base: the address of the socket, which is the candidate's.
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


@attrs.frozen
class _Opening:
    stream: int
    component: int
    host: str


class Hosts:
    """Which sockets are open, and which are about to be.

    Attributes:
        open: the candidates by socket, in the order of opening.
    """

    __slots__ = ("_foundations", "_ids", "_opening", "_preferences", "addresses", "open")

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._foundations = Foundations()
        self._preferences: dict[str, int] = {}
        self._opening: dict[SocketId, _Opening] = {}
        self.addresses: list[str] = []
        self.open: dict[SocketId, Host] = {}

    @property
    def is_opening(self) -> bool:
        """Whether a socket that was asked for has neither opened nor failed yet."""
        return bool(self._opening)

    def use(self, addresses: Sequence[str]) -> list[SocketId]:
        """Have these addresses and no others; returns the sockets of those that are gone."""
        self._preferences = assign_preferences(addresses, {host: self._preferences[host] for host in self._kept(addresses)})
        self.addresses = list(addresses)
        places: dict[SocketId, Host | _Opening] = {**self.open, **self._opening}
        return [socket for socket, place in places.items() if place.host not in addresses]

    def _kept(self, addresses: Sequence[str]) -> Iterator[str]:
        return (host for host in self._preferences if host in addresses)

    def ask(self, stream: int, components: Iterable[int]) -> Iterator[OpenSocket]:
        """Open what one stream lacks: a socket for each address and component."""
        places: list[Host | _Opening] = [*self.open.values(), *self._opening.values()]
        has = [(place.component, place.host) for place in places if place.stream == stream]
        for component in components:
            for host in self.addresses:
                if (component, host) not in has:
                    socket = self._ids.socket()
                    self._opening[socket] = _Opening(stream, component, host)
                    yield OpenSocket(socket, Transport.UDP, Address(host, 0))

    def opened(self, socket: SocketId, local: Address) -> Host | None:
        """The candidate of a socket that is open now; ``None`` where none was asked for."""
        opening = self._opening.pop(socket, None)
        if opening is None:
            return None
        candidate = Candidate(
            foundation=self._foundations.of(CandidateType.HOST, opening.host),
            component=opening.component,
            transport=Transport.UDP,
            priority=candidate_priority(CandidateType.HOST, self._preferences[opening.host], opening.component),
            address=local,
            type=CandidateType.HOST,
        )
        host = self.open[socket] = Host(opening.stream, candidate, socket, local)
        return host

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
