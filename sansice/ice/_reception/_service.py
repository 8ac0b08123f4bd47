"""What the ``serve_ice`` of the adapters does without a runtime: a running reception, and the connections on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

import attrs

from sansice.driver import EventQueueBase
from sansice.ice._candidate import Candidate
from sansice.ice._connection import IceConnectionBase
from sansice.ice._description import Credentials
from sansice.ice._errors import IceClosed, IceError
from sansice.ice._events import Closed
from sansice.ice._gathering._host_list import HostsGiven
from sansice.ice._mux._events import AgentEvent, AgentId, UfragTaken, UnknownUfrag
from sansice.machine import Address, DropReason, Event, LocalProtocolError
from sansice.stun import ListenerFailed, ListenerOpened, ServerReady

from ._admission import Admission
from ._events import AdmissionFailed, PeerAdmitted, PeerArrived, ReceptionStats
from ._member_driver import MemberDriver, ReceptionDriver
from ._reception import IceReception


@attrs.frozen(eq=False)
class HandlerFailed(Event):
    """A handler that ``IceService.serve`` has called has raised. Its connection was closed; the others go on.

    Attributes:
        agent: the name of the connection's agent.
        error: what it raised, with its traceback.
    """

    agent: AgentId
    error: Exception


SERVICE_EVENTS: tuple[type[Event], ...] = (AdmissionFailed, HandlerFailed, ListenerFailed, UfragTaken, UnknownUfrag)
"""What waits in ``events`` of a service, up to `sansice.driver.MAX_DATA_EVENTS` of them; then the oldest gives way."""

D = TypeVar("D", bound=ReceptionDriver)
Q = TypeVar("Q", bound=EventQueueBase)
C = TypeVar("C", bound=IceConnectionBase[Any])

Queue = tuple[int, int]


class IceServiceBase(Generic[D, Q, C]):
    """The part of an adapter's ``IceService`` that never waits. Applications use that, not this.

    A runtime supplies `_connection` and `_wake`.

    Args:
        reception: not started yet.
        make_driver: given the reception, and where to deliver its events: a driver that is not running yet.
        steps: a queue of the runtime's, for the events that the service itself waits for.
        events: a queue for those that the application may want to know.
        queue: received data that may wait at each connection: datagrams, and bytes.

    Attributes:
        reception: the machine.
        events: what the application may want to know: `AdmissionFailed`, `HandlerFailed`, `ListenerFailed` where a
            listener dies, `UfragTaken`, and `UnknownUfrag` where ``admit`` has said `sansice.stun.PENDING`.
    """

    __slots__ = ("_connections", "_driver", "_failed", "_is_over", "_queue", "_steps", "events", "reception")

    def __init__(
        self,
        reception: IceReception,
        make_driver: Callable[[IceReception, Callable[[Event], None]], D],
        steps: Q,
        events: Q,
        queue: Queue,
    ) -> None:
        self.reception: IceReception = reception
        self.events: Q = events
        self._steps = steps
        self._queue = queue
        self._connections: dict[AgentId, C] = {}
        self._failed: list[ListenerFailed] = []
        self._is_over = False
        self._driver: D = make_driver(reception, self._deliver)

    # ------------------------------------------------------------- what a runtime supplies

    def _connection(self, name: AgentId) -> C:
        """Make a connection that stands on an agent here."""
        raise NotImplementedError

    def _wake(self) -> None:
        """Have everybody who waits for a connection look again. Called within a step of the machine, so it runs nobody."""
        raise NotImplementedError

    # ------------------------------------------------------------- what may be read

    @property
    def listening(self) -> tuple[Address, ...]:
        """The addresses of the sockets that are open, with the real ports where 0 was asked for."""
        return self.reception.mux.addresses

    @property
    def local_candidates(self) -> tuple[Candidate, ...]:
        """The candidates that all connections have: those at `listening`, and outside of a 1:1 NAT."""
        return self.reception.local_candidates

    @property
    def connections(self) -> tuple[C, ...]:
        """All that are not closed, also those that were not accepted yet."""
        return tuple(self._connections.values())

    @property
    def stats(self) -> ReceptionStats:
        """How it went with the peers that came by themselves. The counters go on counting."""
        return self.reception.stats

    @property
    def dropped(self) -> Mapping[DropReason, int]:
        """How many packets were given to no connection, by reason."""
        return self.reception.mux.stats.dropped

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams the system refused to send, by reason."""
        return self._driver.lost

    # ------------------------------------------------------------- commands that never wait

    def open(
        self,
        *,
        credentials: Credentials | Sequence[Credentials] | None = None,
        streams: int = 1,
        controlling: bool = False,
        trickle: bool = False,
    ) -> C:
        """A connection to a peer that signalling tells of: ``async with service.open() as ice``, and go on as with ``open_ice``.

        Its ``gather`` gives the description for the peer, ``connect`` takes the peer's. Leaving its block closes it, and so does
        ``close``.

        Args:
            credentials: used as given, for all streams or for each one its own; drawn otherwise.
            streams: how many. Each has one component, for a ufrag names a stream.
            controlling: the first guess of the role.
            trickle: tell the peer that candidates may follow the description (RFC 8838). A lite agent's never do.

        Raises:
            LocalProtocolError: outside of the block; a ufrag that another connection has; credentials that do not fit.
        """

        def make(*, now: float) -> C:
            name = self.reception.open(credentials=credentials, streams=streams, controlling=controlling, now=now)
            return self._add(name, trickle=trickle)

        return self._driver.call(make)

    def admit(self, ufrag: str, admission: Admission | str) -> bool:
        """Let somebody in about whom ``admit`` has said `sansice.stun.PENDING`. See `IceReception.admit`."""
        try:
            told = Admission(admission) if isinstance(admission, str) else admission  # a recording knows that it is a secret
        except ValueError as error:
            raise LocalProtocolError(f"admit(): {error}") from None
        return self._driver.call(self.reception.admit, ufrag, told)

    def refuse(self, ufrag: str) -> None:
        """Do not. See `IceReception.refuse`."""
        self._driver.call(self.reception.refuse, ufrag)

    def close(self) -> None:
        """Close all connections, and the port, now. Whoever waits gets `IceClosed`; a second call is harmless."""
        self._is_over = True
        self._driver.call(self.reception.close)
        self._wake()

    # ------------------------------------------------------------- inside

    def _add(self, name: AgentId, *, trickle: bool = False) -> C:
        connection = self._connections[name] = self._connection(name)
        connection._stand_on(
            self.reception.mux.agent(name),
            MemberDriver(self._driver, self.reception, name),
            trickle=trickle,
            include_loopback=True,  # that of the service is no other
            queue=self._queue,
        )
        return connection

    def _hosts(self) -> HostsGiven:
        return self.reception.mux.hosts

    def _accepted(self) -> C | None:
        """The oldest connection that waits.

        Raises:
            IceClosed: the service is over.
        """
        if self._is_over:
            raise IceClosed("the service is closed")
        name = self._driver.call(self.reception.accept)
        return None if name is None else self._connections[name]

    def _handler_failed(self, connection: C, error: Exception) -> None:
        """What a handler raised; that its connection has ended is no failure."""
        if not isinstance(error, IceError):
            self.events.put(HandlerFailed(connection._driver.name, error))

    def _deliver(self, event: Event) -> None:
        if type(event) is AgentEvent:
            connection = self._connections.get(event.agent)
            if connection is None:
                return
            connection._deliver(event.event)
            if type(event.event) is Closed:
                del self._connections[event.agent]
        elif isinstance(event, PeerAdmitted):
            if event.agent in self.reception.mux:  # and was not closed in the same step, for there are too many
                self._add(event.agent)
        elif isinstance(event, PeerArrived):
            self._wake()
        elif isinstance(event, ServerReady):
            self._steps.put(event)
        elif not isinstance(event, ListenerOpened):
            if isinstance(event, ListenerFailed):
                self._failed.append(event)
            self.events.put(event)

    def _check_listeners(self) -> None:
        """Refuse to serve at only some of the places.

        Raises:
            IceError: with what failed where.
        """
        if self._failed:
            reason = "; ".join(f"{one.listener}: {one.error.text or one.error.kind.value}" for one in self._failed)
            raise IceError(f"serve_ice(): cannot listen at {reason}")

    def _end(self) -> None:
        """The block is left: whoever still waits waits in vain."""
        self._is_over = True
        for connection in self._left_over():
            connection._leave()
        self._steps.close()
        self.events.close()
        self._wake()

    def _left_over(self) -> Iterator[C]:
        while self._connections:
            yield self._connections.popitem()[1]
