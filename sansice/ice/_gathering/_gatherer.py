"""Gathering: host candidates from the addresses given, server-reflexive ones from STUN servers (RFC 8445 5.1.1).

A machine inside the agent. It opens the sockets; `Gatherer.start_next` asks the next server when the
agent's pacing allows one more transaction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

import attrs

from sansice._timers import FewTimers
from sansice.ice._candidate import Candidate, CandidateType
from sansice.ice._config import IceConfig
from sansice.ice._events import GatheringCompleted, GatheringState, ServerFailed
from sansice.ice._pair import LocalCandidate
from sansice.ice._priority import MAX_LOCAL_PREFERENCE, Foundations, candidate_priority
from sansice.machine import (
    Address,
    Entropy,
    Event,
    IcmpError,
    Ids,
    Machine,
    OpenSocket,
    QueryId,
    Record,
    ResolveError,
    SendDatagram,
    SocketError,
    SocketId,
    Transport,
)
from sansice.stun import (
    Message,
    MessageClass,
    Method,
    ServerUri,
    StunTransaction,
    TransactionFailed,
    TransactionId,
    TransactionSucceeded,
    encode,
    new_transaction_id,
)

if TYPE_CHECKING:
    from ._server_search import ServerFound, ServerSearch

_OVER = TransactionId(b"over")  # keys of the two timers that are no transaction's
_KEEPALIVE = TransactionId(b"keepalive")


@attrs.frozen
class LocalFound(Event):
    """A local candidate is known."""

    local: LocalCandidate


class Place(NamedTuple):
    """What a socket is opened for: the number of its address, and a component."""

    index: int
    stream: int
    component: int


@attrs.frozen
class _Query:
    """A server to ask, from one host candidate.

    Attributes:
        others: further addresses of the same server, for where this one fails (RFC 8489 8.1).
    """

    host: LocalCandidate
    url: str
    server: Address
    others: tuple[Address, ...]
    local_preference: int
    keepalive: bool = False


@attrs.frozen
class _Running:
    transaction: StunTransaction
    query: _Query


class Gatherer(Machine):
    """The local candidates of all streams and components."""

    __slots__ = (
        "_config",
        "_count",
        "_entropy",
        "_found",
        "_foundations",
        "_hosts",
        "_ids",
        "_layout",
        "_opening",
        "_queries",
        "_reflexive",
        "_running",
        "_search",
        "_servers",
        "_timers",
        "state",
    )

    def __init__(
        self,
        *,
        servers: tuple[tuple[str, ServerUri], ...],
        ids: Ids,
        foundations: Foundations,
        config: IceConfig,
        entropy: Entropy,
        layout: Sequence[int] = (1,),
    ) -> None:
        super().__init__()
        self.state = GatheringState.NEW
        self._config = config
        self._entropy = entropy
        self._foundations = foundations
        self._ids = ids
        self._layout = layout  # the number of components of each stream
        self._search: ServerSearch | None = None
        if servers:
            from ._server_search import ServerSearch  # an agent without servers need not load what finds them

            self._search = ServerSearch(servers, ids=ids, timeout=config.gathering_timeout, entropy=entropy)
        self._count = len(servers)
        self._servers: list[ServerFound] = []
        self._hosts: list[tuple[int, LocalCandidate]] = []  # with their index among the addresses
        self._opening: dict[SocketId, Place] = {}
        self._found: list[LocalCandidate] = []
        self._queries: list[_Query] = []
        self._reflexive: list[_Query] = []
        self._running: dict[TransactionId, _Running] = {}
        self._timers: FewTimers[TransactionId] = FewTimers()

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        """What was found so far, in order."""
        return tuple(local.candidate for local in self._found)

    def candidates_of(self, stream: int) -> tuple[Candidate, ...]:
        """Those of one stream."""
        return tuple(local.candidate for local in self._found if local.stream == stream)

    def start(self, hosts: Sequence[str], *, now: float) -> None:
        """Open a socket for each host address."""
        self._timers.set(_OVER, now + self._config.gathering_timeout)
        self.state = GatheringState.GATHERING
        # Of one address, lower components come first: they are told no later than higher ones (RFC 8838 17).
        places = (
            (host, Place(index, stream, component))
            for index, host in enumerate(hosts)
            for stream, components in enumerate(self._layout)
            for component in range(1, components + 1)
        )
        for host, place in places:
            socket = self._ids.socket()
            self._opening[socket] = place
            self._outputs.append(OpenSocket(socket, Transport.UDP, Address(host, 0)))
        if self._search is not None and hosts:
            self._search.start(now=now)
            self._absorb_search(self._search)
        self._complete_if_idle()

    @property
    def opening(self) -> Mapping[SocketId, Place]:
        """Sockets that were asked for and have not opened yet."""
        return self._opening

    def handle_socket_opened(self, socket: SocketId, local: Address, *, now: float) -> None:
        """A host candidate is known: ask each server of its family through it (RFC 8445 5.1.1.2)."""
        place = self._opening.pop(socket, None)
        if place is None:
            return
        index = place.index
        preference = MAX_LOCAL_PREFERENCE - index  # RFC 8445 5.1.2.1: unique; 65535 where there is one
        host = self._add(CandidateType.HOST, local, socket, local, preference, place.stream, place.component)
        if self._search is not None:
            self._hosts.append((index, host))
            for server in self._servers:
                self._ask(index, host, server)
        self._complete_if_idle()

    def handle_socket_failed(self, socket: SocketId, error: SocketError, *, now: float) -> None:
        """That address has no candidate, or has no more."""
        self._opening.pop(socket, None)
        self._queries = [query for query in self._queries if query.host.socket != socket]
        self._reflexive = [query for query in self._reflexive if query.host.socket != socket]
        self._found = [local for local in self._found if local.socket != socket]
        self._hosts = [(index, host) for index, host in self._hosts if host.socket != socket]
        for running in tuple(self._running.values()):
            running.transaction.handle_socket_failed(socket, error, now=now)
            self._absorb(running, now)
        self._complete_if_idle()

    def _add(
        self,
        type: CandidateType,
        address: Address,
        socket: SocketId,
        base: Address,
        preference: int,
        stream: int,
        component: int,
        server: str = "",
    ) -> LocalCandidate:
        candidate = Candidate(
            foundation=self._foundations.of(type, base.host, server),
            component=component,
            transport=Transport.UDP,
            priority=candidate_priority(type, preference, component),
            address=address,
            type=type,
            related_address=None if type is CandidateType.HOST else base,
        )
        local = LocalCandidate(candidate, socket, base, preference, stream)
        self._found.append(local)
        self._outputs.append(LocalFound(local))
        return local

    # ------------------------------------------------------------- finding servers

    def handle_resolved(self, query: QueryId, answer: tuple[Record, ...] | ResolveError, *, now: float) -> None:
        """An answer of the DNS about a server's name."""
        if self._search is not None:
            self._search.handle_resolved(query, answer, now=now)
            self._absorb_search(self._search)
            self._complete_if_idle()

    def _absorb_search(self, search: ServerSearch) -> None:
        from ._server_search import ServerFound, ServerNotFound

        for output in search.take_outputs():
            if isinstance(output, ServerFound):
                self._servers.append(output)
                for index, host in self._hosts:
                    self._ask(index, host, output)
            elif isinstance(output, ServerNotFound):
                self._outputs.append(ServerFailed(output.url, "", output.reason))
            else:
                self._outputs.append(output)

    def _ask(self, index: int, host: LocalCandidate, server: ServerFound) -> None:
        addresses = tuple(one for one in server.addresses if one.is_ipv6 == host.base.is_ipv6)
        if addresses:
            preference = MAX_LOCAL_PREFERENCE - index * self._count - server.number
            self._queries.append(_Query(host, server.url, addresses[0], addresses[1:], preference))

    # ------------------------------------------------------------- asking servers

    def has_next(self) -> bool:
        """Whether `start_next` would start a transaction."""
        return bool(self._queries)

    def start_next(self, *, now: float) -> bool:
        """Ask one server, if any is to be asked."""
        if not self._queries:
            return False
        query = self._queries.pop(0)
        transaction_id = new_transaction_id(self._entropy)
        request = encode(Method.BINDING, MessageClass.REQUEST, transaction_id, fingerprint=True)
        # RFC 8445 14.3: at least 500 ms, and more where many are asked.
        rto = max(self._config.schedule.rto, self._config.ta * (len(self._queries) + len(self._running) + 1))
        schedule = attrs.evolve(self._config.schedule, rto=rto)
        transaction = StunTransaction.of_encoded(request, transaction_id, query.host.socket, query.server, schedule=schedule)
        running = self._running[transaction_id] = _Running(transaction, query)
        transaction.start(now=now)
        self._absorb(running, now)
        return True

    def handle_response(self, socket: SocketId, source: Address, message: Message, *, now: float) -> bool:
        """Take a response; ``False`` where it answers no request of ours from there."""
        running = self._running.get(message.transaction_id)
        if running is None or (running.query.host.socket, running.query.server) != (socket, source):
            return False
        taken = running.transaction.handle_response(message, now=now)
        self._absorb(running, now)
        return taken

    def handle_icmp(self, socket: SocketId, destination: Address, error: IcmpError, *, now: float) -> None:
        """A server that is not there delays nobody."""
        for running in tuple(self._running.values()):
            running.transaction.handle_icmp(socket, destination, error, now=now)
            self._absorb(running, now)

    def handle_timer(self, *, now: float) -> None:
        """Retransmit, keep bindings alive, or end the wait for silent servers."""
        if self._search is not None and self._search.deadline() <= now:
            self._search.handle_timer(now=now)
            self._absorb_search(self._search)
            self._complete_if_idle()
        while (key := self._timers.pop_due(now)) is not None:
            if key == _OVER:
                self._give_up()
            elif key == _KEEPALIVE:
                self._timers.set(_KEEPALIVE, now + self._config.keepalive_interval)
                self._queries.extend(attrs.evolve(query, keepalive=True) for query in self._reflexive)
            else:
                running = self._running[key]
                running.transaction.handle_timer(now=now)
                self._absorb(running, now)

    def deadline(self) -> float:
        """The earliest retransmission, keepalive or end."""
        if self._search is None:
            return self._timers.earliest
        return min(self._timers.earliest, self._search.deadline())

    def stop(self) -> None:
        """ICE has completed or failed: ask nobody any more, let bindings lapse (RFC 8445 5.1.1.4, 8.3.2).

        A socket that opens now comes too late: after nomination nothing new is told to the peer (RFC 8838 13).
        """
        if self._search is not None:
            self._search.stop()
            self._servers.clear()
        self._opening.clear()
        self._queries.clear()
        self._reflexive.clear()
        self._running.clear()
        self._timers.clear()
        self._complete_if_idle()

    def _absorb(self, running: _Running, now: float) -> None:
        transaction = running.transaction
        for output in transaction.take_outputs():
            if isinstance(output, SendDatagram):
                self._outputs.append(output)
            elif isinstance(output, TransactionSucceeded):
                self._add_reflexive(running.query, cast(Address, output.mapped), now)
            elif isinstance(output, TransactionFailed):
                self._try_other(
                    running.query, output.reason if output.code is None else f"{output.code} {output.reason}".rstrip()
                )
            else:  # TransactionTimedOut
                self._try_other(running.query, "no answer")
        deadline = transaction.deadline()
        if deadline != math.inf:
            self._timers.set(transaction.id, deadline)
            return
        self._timers.cancel(transaction.id)
        self._running.pop(transaction.id, None)
        self._complete_if_idle()

    def _add_reflexive(self, query: _Query, mapped: Address, now: float) -> None:
        """A server told what it saw (RFC 8445 5.1.1.2); redundant ones are left out (5.1.3)."""
        host = query.host
        if query.keepalive or mapped.is_ipv6 != host.base.is_ipv6:
            return
        if not self._reflexive:
            self._timers.set(_KEEPALIVE, now + self._config.keepalive_interval)
        self._reflexive.append(query)
        if not any(local.socket == host.socket and local.candidate.address == mapped for local in self._found):
            self._add(
                CandidateType.SERVER_REFLEXIVE,
                mapped,
                host.socket,
                host.base,
                query.local_preference,
                host.stream,
                host.candidate.component,
                query.server.host,
            )

    def _try_other(self, query: _Query, text: str) -> None:
        """A server's name may stand for several addresses (RFC 8489 8.1)."""
        if query.others and not query.keepalive:
            self._queries.append(attrs.evolve(query, server=query.others[0], others=query.others[1:]))
        else:
            self._report(query, text)

    def _report(self, query: _Query, text: str) -> None:
        if not query.keepalive:
            self._outputs.append(ServerFailed(query.url, query.host.base.host, text))

    def _give_up(self) -> None:
        if self._search is not None:
            self._search.stop()
        for query in [*(running.query for running in self._running.values()), *self._queries]:
            self._report(query, f"no answer within {self._config.gathering_timeout:g} s")
        for transaction_id in self._running:
            self._timers.cancel(transaction_id)
        self._running.clear()
        self._queries.clear()
        self._opening.clear()
        self._complete_if_idle()

    def _complete_if_idle(self) -> None:
        if self.state is not GatheringState.GATHERING or self._opening or self._queries or self._running:
            return
        if self._search is not None and not self._search.is_over:
            return
        self.state = GatheringState.COMPLETE
        self._opening.clear()
        self._running.clear()
        self._timers.cancel(_OVER)
        self._outputs.append(GatheringCompleted())
