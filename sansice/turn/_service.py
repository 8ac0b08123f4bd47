"""What the ``serve_turn`` of the adapters does without a runtime: whom to ask for credentials, and a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from sansice.driver import EventQueueBase
from sansice.machine import Address, Event, LocalProtocolError, SocketId, Transport
from sansice.stun import (
    Authentication,
    Authentications,
    CredentialRequested,
    Found,
    ListenerFailed,
    LookupKey,
    RequestId,
    ServerAuthentication,
    ServerDrained,
    ServerReady,
    StaticUsers,
)

from ._errors import TurnError, TurnStep
from ._server._allocation import AllocationId
from ._server._elsewhere import DatagramsElsewhere, StreamElsewhere
from ._server._events import (
    AllocationClosed,
    AllocationInfo,
    AllocationMoved,
    AllocationOpened,
    AllocationsDrained,
    ResourcesExhausted,
)
from ._server._limits import TurnLimits
from ._server._server import TurnServer
from ._server._stats import TurnServerStats

R = TypeVar("R")

DEFAULT_REALM = "sansice"

Socket: TypeAlias = Any
"""A `socket.socket` on its way between processes; what it is, the core does not know."""

SERVICE_EVENTS: tuple[type[Event], ...] = (
    AllocationClosed,
    AllocationMoved,
    AllocationOpened,
    CredentialRequested,
    DatagramsElsewhere,
    ListenerFailed,
    ResourcesExhausted,
)
"""What waits in ``events`` of a service, up to `sansice.driver.MAX_DATA_EVENTS` of them; then the oldest gives way."""

Users: TypeAlias = Mapping[str, str] | LookupKey
"""Passwords by name; or a function that finds keys, such as `sansice.stun.TimeLimitedSecrets`."""


def server_authentication(
    users: Users | None, realm: str, authentication: Authentication | Authentications | None, *, anonymous: bool
) -> Authentication | Authentications | None:
    """What the arguments of ``serve_turn`` come to.

    Raises:
        LocalProtocolError: ``users`` and ``authentication`` both; or neither, without ``anonymous``.
        ValueError: RFC 8265 forbids the realm, a name or a password.
    """
    if users is None:
        if authentication is None and not anonymous:
            raise LocalProtocolError(
                "serve_turn(): a relay that asks nobody for credentials is open to the whole world, so it is refused; name "
                "users, as in users={'alice': 'a long password'}, or say config=TurnServerConfig(anonymous=True) where everybody "
                "who can reach the server may use it"
            )
        return authentication
    if authentication is not None:
        raise LocalProtocolError("serve_turn(): users and authentication are two ways to say the same")
    return ServerAuthentication(realm=realm, lookup_key=StaticUsers(users, realm) if isinstance(users, Mapping) else users)


class TurnServiceDriver(Protocol):
    """What a service needs of the driver that runs its server."""

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams were not sent, by reason."""
        ...

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the server's with ``now`` filled in, and perform what it wants."""
        ...

    def hand_out(self, id: SocketId) -> Socket | None:
        """Take a stream from the server, for another process."""
        ...

    def take_in(self, listener: SocketId, sock: Socket, remote: Address, data: bytes) -> None:
        """Have the server accept a stream of another process's."""
        ...


D = TypeVar("D", bound=TurnServiceDriver)
Q = TypeVar("Q", bound=EventQueueBase)

MakeTurnServiceDriver: TypeAlias = Callable[[TurnServer, Callable[[Event], None]], D]
"""``make(server, deliver)``: a driver that is not running yet."""


class TurnServiceBase(Generic[D, Q]):
    """The part of an adapter's ``TurnService`` that never waits. Applications use that, not this.

    Args:
        server: not started yet.
        make_driver: given the server, and where to deliver its events.
        steps: a queue of the runtime's for the events that the service itself waits for: `ServerReady`, `ServerDrained`.
        events: a queue for `SERVICE_EVENTS`.

    Attributes:
        server: the machine.
        events: what the server tells the application: allocations that begin, move and end, `CredentialRequested`,
            `ListenerFailed` where a listener dies, `ResourcesExhausted`. They need no reader.
    """

    __slots__ = ("_drains", "_driver", "_failed", "_steps", "events", "server")

    def __init__(self, server: TurnServer, make_driver: MakeTurnServiceDriver[D], steps: Q, events: Q) -> None:
        self.server: TurnServer = server
        self.events: Q = events
        self._steps = steps
        self._failed: list[ListenerFailed] = []
        self._drains: list[Q] = []
        self._driver: D = make_driver(server, self._deliver)

    def __repr__(self) -> str:
        places = ", ".join(f"{transport.value}:{address}" for transport, address in self.listening) or "nowhere"
        return f"<{type(self).__name__} at {places}: {self.server.state.value}, allocations: {self.stats.allocations}>"

    # ------------------------------------------------------------- what a runtime supplies

    def _look(self, read: Callable[[], R]) -> R:
        """Read more than one thing of the server. A runtime with threads keeps them out meanwhile."""
        return read()

    # ------------------------------------------------------------- what may be read

    @property
    def listening(self) -> tuple[tuple[Transport, Address], ...]:
        """Transport and address of the listeners that are open, with the real ports where 0 was asked for."""
        return self._look(lambda: self.server.addresses)

    @property
    def stats(self) -> TurnServerStats:
        """The server's counters, which go on counting."""
        return self.server.stats

    @property
    def limits(self) -> TurnLimits:
        """The bounds, as `set_limits` left them."""
        return self.server.limits

    @property
    def lost(self) -> Mapping[str, int]:
        """How many datagrams the system refused to send, by reason."""
        return self._driver.lost

    def allocations(self) -> tuple[AllocationInfo, ...]:
        """What clients have, oldest first. Costs time in proportion."""
        return self._driver.call(self.server.allocations)

    # ------------------------------------------------------------- commands that never wait

    def set_limits(self, limits: TurnLimits) -> None:
        """Use other bounds from now on. See `TurnServer.set_limits`."""
        self._driver.call(self.server.set_limits, limits)

    def close_allocation(self, id: AllocationId) -> bool:
        """End an allocation; whether it still existed. See `TurnServer.close_allocation`."""
        return self._driver.call(self.server.close_allocation, id)

    def provide_key(self, id: RequestId, keys: Found) -> bool:
        """Answer a `CredentialRequested`. See `TurnServer.provide_key`."""
        return self._driver.call(self.server.provide_key, id, keys)

    def replace_authentication(self, authentication: Authentication | Authentications | None) -> None:
        """Use other credentials from now on. See `TurnServer.replace_authentication`."""
        self._driver.call(self.server.replace_authentication, authentication)

    # ------------------------------------------------------------- several processes that share the listeners

    def hand_out(self, event: StreamElsewhere) -> Socket | None:
        """The stream that another process has to serve, as a socket that can be sent there; ``None``: it has ended."""
        return self._driver.hand_out(event.path.socket)

    def take_in(self, transport: Transport, local: Address, remote: Address, sock: Socket, data: bytes) -> bool:
        """Serve a stream that another process handed out.

        Args:
            transport, local: the listener that accepted it there, and has its like here.
            remote: whose it is.
            sock: from `hand_out`; the service's from now on, or closed.
            data: what `StreamElsewhere` says has been read of it.

        Returns:
            Whether there is such a listener.
        """
        listener = self.server.listening_socket(transport, local)
        if listener is None:
            sock.close()
            return False
        self._driver.take_in(listener, sock, remote, data)
        return True

    def feed(self, transport: Transport, local: Address, remote: Address, datagrams: Iterable[bytes]) -> bool:
        """Serve datagrams that another process received, see `DatagramsElsewhere`; whether there is such a listener."""
        listener = self.server.listening_socket(transport, local)
        if listener is None:
            return False
        self._driver.call(self.server.handle_datagrams, listener, [(remote, data) for data in datagrams])
        return True

    # ------------------------------------------------------------- inside

    def _check_listeners(self) -> None:
        """Refuse to serve at only some of the places.

        Raises:
            TurnError: with what failed where.
        """
        if self._failed:
            reason = "; ".join(f"{one.listener}: {one.error.text or one.error.kind.value}" for one in self._failed)
            raise TurnError("serve_turn()", TurnStep.OPEN, f"cannot listen at {reason}")

    def _drain(self, done: Q, grace: float | None, close: bool, *, now: float) -> None:
        """Begin a drain; ``done`` is closed when nobody is left. A command for the driver, so that no other thread is between."""
        self.server.drain(grace=grace, close=close, now=now)
        self._drains.append(done)

    def _deliver(self, event: Event) -> None:
        match event:
            case ServerReady():
                self._steps.put(event)
            case AllocationsDrained():
                self._end_drains()
            case ServerDrained():
                self._steps.close()
            case StreamElsewhere():
                self.events.put(event)  # never dropped: it stands for a descriptor
            case _ if isinstance(event, SERVICE_EVENTS):
                if isinstance(event, ListenerFailed):
                    self._failed.append(event)
                self.events.put(event)

    def _end_drains(self) -> None:
        for done in self._drains:
            done.close()
        self._drains.clear()

    def _end(self) -> None:
        """The block is left, or its driver has failed."""
        self._end_drains()
        self._steps.close()
        self.events.close()
