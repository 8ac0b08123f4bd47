"""Many ICE connections on one port: `serve_ice`, and the service and the connections that it gives."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from sansice import Address, Entropy, Event
from sansice.ice import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    SERVICE_EVENTS,
    Admit,
    AgentId,
    GatheringOptions,
    HostAddress,
    IceClosed,
    IceConfig,
    IceReception,
    IceServer,
    IceServiceBase,
    MuxConfig,
    Nomination,
    ReceptionLimits,
    read_places,
    recordable,
)
from sansice.sockets import InterfaceFilter, TlsConfig, local_hosts
from sansice.stun import Listener

from ._driver import BlockingDriver, EventQueue
from ._ice import IceConnection
from ._recording import RecordTo, open_recorder

_DEFAULT_CONFIG = IceConfig()
_DEFAULT_GATHERING = GatheringOptions()
_DEFAULT_LIMITS = ReceptionLimits()
_DEFAULT_MUX = MuxConfig()


class ServedConnection(IceConnection):
    """A connection on the port of a service: `IceService.open` and `IceService.accept` give it.

    It is used as one of `open_ice`, but for `detach`: no socket is its own. Any thread may call it. Leaving its block closes it,
    and does not wait.
    """

    __slots__ = ("_service",)

    def __init__(self, service: IceService) -> None:
        self._service = service

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._finish()

    def _finish(self) -> None:
        with self._driver.lock:
            if not self._is_closed():
                self.close()

    def _host_addresses(self, *, in_use: Sequence[HostAddress | str] = (), refresh: bool = False) -> Sequence[HostAddress | str]:
        return self._service._hosts()


class IceService(IceServiceBase[BlockingDriver, EventQueue, ServedConnection]):
    """Many ICE connections on one port; `serve_ice` makes it. ``for ice in service`` gives those that come.

    Any thread may call it.
    """

    __slots__ = ("_news",)

    def __init__(
        self,
        reception: IceReception,
        make_driver: Callable[[IceReception, Callable[[Event], None]], BlockingDriver],
        steps: EventQueue,
        events: EventQueue,
        queue: tuple[int, int],
    ) -> None:
        super().__init__(reception, make_driver, steps, events, queue)
        self._driver._at_failure = self._end
        self._news = threading.Condition(self._driver.lock)

    def accept(self, *, timeout: float | None = None) -> ServedConnection:
        """Wait for a peer that comes by itself, and give the connection to it.

        The connection is the caller's to close: use it in a ``with`` block.

        Raises:
            IceClosed: the service is closed.
            TimeoutError: nobody has come within ``timeout`` seconds.
        """
        with self._driver.lock:
            connection = self._news.wait_for(self._accepted, timeout)
            if connection is None:
                raise TimeoutError(f"accept(): not within {timeout} s")
            return connection

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> ServedConnection:
        """As `accept`; the iteration ends where the service is closed."""
        try:
            return self.accept()
        except IceClosed:
            raise StopIteration from None

    def serve(self, handler: Callable[[ServedConnection], object]) -> None:
        """Accept connections until the service is closed, and call ``handler`` with each, in a thread of its own.

        When the handler returns, its connection is closed. What it raises ends its own connection only, and comes as
        `HandlerFailed` in `events`; that the connection has ended (`IceError`) is no failure. An interrupt closes
        all their connections. Either way it returns when the handlers have.
        """
        handling: dict[threading.Thread, ServedConnection] = {}

        def handle(connection: ServedConnection) -> None:
            self._handle(handler, connection)
            del handling[threading.current_thread()]

        try:
            for connection in self:
                thread = threading.Thread(target=handle, args=(connection,), name="sansice handler", daemon=True)
                handling[thread] = connection
                thread.start()
        finally:
            threads = tuple(handling.items())
            for _, connection in threads:
                connection._finish()
            for thread, _ in threads:
                thread.join()

    def _handle(self, handler: Callable[[ServedConnection], object], connection: ServedConnection) -> None:
        try:
            with connection:
                handler(connection)
        except Exception as error:
            self._handler_failed(connection, error)

    def _connection(self, name: AgentId) -> ServedConnection:
        return ServedConnection(self)

    def _wake(self) -> None:
        with self._driver.lock:
            self._news.notify_all()

    def _ready(self) -> None:
        self._steps.get()
        self._check_listeners()


@contextlib.contextmanager
def serve_ice(
    listen: Iterable[Listener | Address | str],
    *,
    lite: bool = True,
    admit: Admit | None = None,
    ice_servers: Iterable[IceServer | str] = (),
    interface_filter: InterfaceFilter | None = None,
    nomination: Nomination | None = None,
    gathering: GatheringOptions = _DEFAULT_GATHERING,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
    entropy: Entropy = os.urandom,
    config: IceConfig = _DEFAULT_CONFIG,
    limits: ReceptionLimits = _DEFAULT_LIMITS,
    mux: MuxConfig = _DEFAULT_MUX,
    max_queued: int = MAX_QUEUED,
    max_queued_bytes: int = MAX_QUEUED_BYTES,
    record: RecordTo = None,
) -> Iterator[IceService]:
    """Serve any number of ICE peers on one port: a ``with`` block that yields an `IceService` once it is open.

    Peers that signalling tells of get a connection each with `IceService.open`. Where ``admit`` is given, others may come by
    themselves: ``for ice in service`` gives those that it lets in, once they are connected. All of them have one
    socket for each listener, and one thread. Leaving the block closes everything.

    Args:
        listen: `Listener` values, addresses, or texts: ``"udp:192.0.2.1:3478"``, ``"tcp:[2001:db8::1]:3478"``, and without a
            transport, ``"192.0.2.1:3478"``, UDP and TCP both. A wildcard (``"0.0.0.0:3478"``, ``"[::]:3478"``) stands for each
            address of the machine, and for loopback only where it has no other. Port 0 is any port, for each listener another:
            `IceService.listening` has the real ones; any other place that is named twice is one.
            Each listener gives a candidate to all connections, the first ones the best of their kind; several ports of one
            address, such as 443 and 3478, are for networks that let out one of them only. Over TCP peers connect to
            passive candidates (RFC 6544): those that no UDP reaches.
        lite: be a lite agent to everybody (RFC 8445 2.5), as servers that are reachable as they are can; otherwise a full one.
        admit: is asked about each check for a ufrag that no connection has, and answers with our password for it, or with an
            `Admission`; ``None`` lets nobody in now. A pure function that does not wait; where it has to, it answers
            `sansice.stun.PENDING`, `IceService.events` has the `UnknownUfrag`, and `IceService.admit` answers.
        ice_servers: STUN and TURN servers, of full agents. See `open_ice`.
        interface_filter: asked with an interface's name and an address of it, which of them a wildcard means.
        nomination: how full agents that control choose their pairs.
        gathering: what is known of the addresses: ``GatheringOptions(rewrite=[...])`` tells of a 1:1 NAT.
        tls: authorities to trust for ``turns:`` servers.
        inherited: bound sockets of the process (systemd's, say) to use instead of opening others.
        entropy: the only source of randomness.
        config: timers and bounds of each connection.
        limits: bounds on connections that nobody has accepted.
        mux: bounds on what strangers can make the port remember.
        max_queued, max_queued_bytes: received data that may wait at each connection. See `open_ice`.
        record: a file that the life of the whole service is written to, with all its connections. See `open_ice`.

    Raises:
        IceError: a listener could not be opened; it says which, and why.
        ValueError: a text that names no place to listen at.
        OSError: the file of ``record`` cannot be opened.
        LocalProtocolError: servers or a nomination for lite agents; no place to listen at; an ``admit`` that is no function.
    """
    listeners = read_places(listen, lambda: local_hosts(interface_filter))
    with contextlib.closing(open_recorder(record)) as recorder:
        reception = recorder.make(
            IceReception,
            lite=lite,
            admit=recordable(admit),
            servers=tuple(ice_servers),
            gathering=gathering,
            nomination=nomination,
            config=config,
            limits=limits,
            mux=mux,
            entropy=entropy,
        )
        service = IceService(
            reception,
            lambda machine, deliver: BlockingDriver(machine, deliver, tls=tls, inherited=inherited),
            EventQueue(),
            EventQueue(SERVICE_EVENTS),
            (max_queued, max_queued_bytes),
        )
        try:
            with service._driver as driver:
                driver.call(reception.start, listeners)
                service._ready()
                yield service
        finally:
            service._end()
