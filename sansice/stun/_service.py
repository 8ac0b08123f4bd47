"""What the STUN functions of the adapters do without a runtime: where to listen, what an event means, a running server."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeAlias, TypeVar

from sansice.driver import EventQueueBase
from sansice.machine import Address, Event, Transport

from ._authentication._user_keys import Found
from ._behavior._events import BehaviorDiscovered, BehaviorFailed
from ._behavior._nat_behavior import NatBehavior
from ._client._lookup import BindingLookupFailed, MappedAddressDiscovered
from ._errors import LookupStep, StunError
from ._server._config import Listener
from ._server._events import ListenerFailed, RequestId, ServerDrained, ServerReady
from ._server._listening import Authentication, Authentications
from ._server._server import StunServer
from ._server._stats import StunServerStats

R = TypeVar("R")

_TRANSPORTS = {transport.value: transport for transport in Transport}


def parse_listeners(listen: Iterable[Listener | str]) -> tuple[Listener, ...]:
    """Where a server is to listen, as `StunServer.start` takes it.

    Args:
        listen: listeners; or texts: ``udp:192.0.2.1:3478``, ``tls:[2001:db8::1]:5349``, and without a transport,
            ``192.0.2.1:3478``, UDP and TCP both.

    Raises:
        ValueError: a text that is neither, named.
    """
    if isinstance(listen, (str, Listener)):
        listen = (listen,)
    return tuple(one for item in listen for one in (_parse(item) if isinstance(item, str) else (item,)))


def _parse(text: str) -> tuple[Listener, ...]:
    word, _, rest = text.partition(":")
    transport = _TRANSPORTS.get(word.lower())
    try:
        if transport is None and word.isalpha() and rest.count(":") > 0:
            raise ValueError(f"{word!r} is no transport: udp, tcp, tls or dtls")
        if transport is not None:
            return (Listener(transport, Address.parse(rest)),)
        address = Address.parse(text)
        return (Listener(Transport.UDP, address), Listener(Transport.TCP, address))
    except ValueError as error:
        raise ValueError(f"cannot listen at {text!r}: {error}") from None


def mapped_address(event: Event | None) -> Address:
    """The outcome of a `BindingLookup`.

    Raises:
        StunError: no server answered.
    """
    match event:
        case MappedAddressDiscovered(mapped=mapped):
            return mapped
        case BindingLookupFailed(uri=uri, step=step, reason=reason):
            raise StunError(str(uri), step, reason)
    raise RuntimeError("the look-up ended without an answer")


def nat_behavior(event: Event | None) -> NatBehavior | None:
    """The outcome of a `BehaviorDiscovery`, or ``None``: it goes on.

    Raises:
        StunError: there is no server to run the tests with.
    """
    match event:
        case BehaviorDiscovered(behavior=behavior):
            return behavior
        case BehaviorFailed(server=server, step=step, reason=reason):
            raise StunError(server, step, reason)
        case None:
            raise RuntimeError("the discovery ended without a result")
    return None


class ServiceDriver(Protocol):
    """What a service needs of the driver that runs its server."""

    def call(self, command: Callable[..., R], *args: object, **kwargs: object) -> R:
        """Run a command of the server's with ``now`` filled in, and perform what it wants."""
        ...


D = TypeVar("D", bound=ServiceDriver)
Q = TypeVar("Q", bound=EventQueueBase)

MakeServiceDriver: TypeAlias = Callable[[StunServer, Callable[[Event], None]], D]
"""``make(server, deliver)``: a driver that is not running yet."""


class StunServiceBase(Generic[D, Q]):
    """The part of an adapter's ``StunService`` that never waits. Applications use that, not this.

    Args:
        server: not started yet.
        make_driver: given the server, and where to deliver its events.
        steps: a queue of the runtime's for the events that the service itself waits for: `ServerReady`, `ServerDrained`.
        events: a queue for all others.

    Attributes:
        server: the machine.
        events: what the server tells the application: `CredentialRequested`, and `ListenerFailed` where a listener dies.
    """

    __slots__ = ("_driver", "_failed", "_steps", "events", "server")

    def __init__(self, server: StunServer, make_driver: MakeServiceDriver[D], steps: Q, events: Q) -> None:
        self.server: StunServer = server
        self.events: Q = events
        self._steps = steps
        self._failed: list[ListenerFailed] = []
        self._driver: D = make_driver(server, self._deliver)

    @property
    def listening(self) -> tuple[tuple[Transport, Address], ...]:
        """Transport and address of the listeners that are open, with the real ports where 0 was asked for."""
        return self.server.addresses

    @property
    def stats(self) -> StunServerStats:
        """The server's counters, which go on counting."""
        return self.server.stats

    def provide_key(self, id: RequestId, keys: Found) -> bool:
        """Answer a `CredentialRequested`. See `StunServer.provide_key`."""
        return self._driver.call(self.server.provide_key, id, keys)

    def replace_authentication(self, authentication: Authentication | Authentications | None) -> None:
        """Use other credentials from now on. See `StunServer.replace_authentication`."""
        self._driver.call(self.server.replace_authentication, authentication)

    def _check_listeners(self) -> None:
        """Refuse to serve at only some of the places.

        Raises:
            StunError: with what failed where.
        """
        if self._failed:
            reason = "; ".join(f"{one.listener}: {one.error.text or one.error.kind.value}" for one in self._failed)
            raise StunError("serve_stun()", LookupStep.OPEN, f"cannot listen at {reason}")

    def _deliver(self, event: Event) -> None:
        match event:
            case ServerReady():
                self._steps.put(event)
            case ServerDrained():
                self._steps.close()
            case _:
                if isinstance(event, ListenerFailed):
                    self._failed.append(event)
                self.events.put(event)

    def _end(self) -> None:
        """The block is left, or its driver has failed."""
        self._steps.close()
        self.events.close()
