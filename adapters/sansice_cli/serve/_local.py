"""A server in this process."""

from __future__ import annotations

import contextlib
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TypeAlias

import attrs
import trio

from sansice import Event, LocalProtocolError
from sansice.sockets import TlsConfig
from sansice.stun import (
    Authentications,
    CredentialRequested,
    Found,
    ListenerFailed,
    Path,
    RequestId,
    StunError,
    TimeLimitedSecrets,
)
from sansice.turn import (
    AllocationClosed,
    AllocationId,
    AllocationInfo,
    AllocationMoved,
    AllocationOpened,
    DatagramsElsewhere,
    ResourcesExhausted,
    StreamElsewhere,
    TurnError,
    TurnLimits,
    same_account,
)
from sansice_trio import StunService, TurnService, serve_stun, serve_turn

from ._asking import Asking, by_command, by_url
from ._backend import Allocations, ServingError
from ._exchange import Exchange
from ._logs import Log
from ._lookups import Lookups
from ._settings import Settings
from ._snapshot import Snapshot, snapshot_of
from ._users import Material, authentication

Service: TypeAlias = StunService | TurnService


@contextlib.asynccontextmanager
async def open_local(
    settings: Settings,
    material: Material,
    log: Log,
    *,
    inherited: Sequence[socket.socket] = (),
    exchange: Exchange | None = None,
) -> AsyncIterator[LocalServer]:
    """Serve within the block, which is entered when everything is open.

    Args:
        settings: what to do.
        material: who may ask.
        log: where to tell what happens.
        inherited: bound sockets to serve at.
        exchange: with the other workers, where there are any.

    Raises:
        ServingError: something cannot be opened, read or used. Nothing is left open then.
    """
    server = LocalServer(settings, log, exchange)
    try:
        tls = settings.tls()
        if tls is not None:
            tls.reload()
        authentications = server.authentications(material)
        server.name_accounts(material)
        async with _service(settings, authentications, server.account, tls, inherited) as service:
            async with trio.open_nursery() as nursery:
                server.begin(service, tls, nursery)
                yield server
                nursery.cancel_scope.cancel()
    except (StunError, TurnError) as error:
        raise ServingError(error.reason) from None
    except ValueError as error:
        raise ServingError(str(error)) from None


def _service(
    settings: Settings,
    authentications: Authentications | None,
    account: Callable[[str], str],
    tls: TlsConfig | None,
    inherited: Sequence[socket.socket],
) -> contextlib.AbstractAsyncContextManager[Service]:
    if settings.turn is None:
        return serve_stun(settings.listeners, config=settings.stun, authentication=authentications, tls=tls, inherited=inherited)
    return serve_turn(
        settings.listeners,
        config=settings.turn,
        limits=settings.limits,
        authentication=authentications,
        peer_policy=settings.peer_policy(),
        account=account,
        tls=tls,
        inherited=inherited,
    )


class LocalServer:
    """See `Backend`, whose methods these are."""

    _service: Service
    _tls: TlsConfig | None
    _nursery: trio.Nursery

    def __init__(self, settings: Settings, log: Log, exchange: Exchange | None) -> None:
        self._settings = settings
        self._log = log
        self._exchange = exchange
        self._nonce_key = os.urandom(32)  # one for all reloads: else each of them would have every client challenged anew
        self._failed = trio.Event()
        self._is_draining = False
        self._closed: Counter[str] = Counter()
        self._account: Callable[[str], str] = same_account
        self._lookups: Lookups | None = None
        users = settings.users
        if users.are_elsewhere:
            self._lookups = Lookups(settings.auth_cache, self._provide)
            asks = [*([by_url(users.url)] if users.url else []), *([by_command(users.command)] if users.command else [])]
            self._asking = Asking(asks, self._lookups, log)

    def authentications(self, material: Material) -> Authentications | None:
        """For each listener; ``None``: nobody is asked.

        Raises:
            ValueError: something cannot be used.
        """
        if not material.names_anybody and self._lookups is None:
            return None
        if material.nonce_key is None:
            material = attrs.evolve(material, nonce_key=self._nonce_key)
        realms = self._settings.realms
        names = realms.names
        by_realm = {name: authentication(material, name, elsewhere=self._lookups, others=names) for name in names}
        return {one: by_realm[realms.own.get(one, realms.default)] for one in self._settings.listeners}

    def name_accounts(self, material: Material) -> None:
        """From now on `account` goes by these users: who gets a new name with each credential is one user all the same."""
        self._account = TimeLimitedSecrets(*material.secrets).account if material.secrets else same_account

    def account(self, username: str) -> str:
        """Whose a name is, for quotas."""
        return self._account(username)

    def begin(self, service: Service, tls: TlsConfig | None, nursery: trio.Nursery) -> None:
        """The server is open."""
        self._service, self._tls, self._nursery = service, tls, nursery
        nursery.start_soon(self._watch)
        if self._exchange is not None and isinstance(service, TurnService):
            nursery.start_soon(self._exchange.serve, service)

    @property
    def listening(self) -> list[str]:
        """See `Backend`."""
        return [f"{transport.value}:{address}" for transport, address in self._service.listening]

    @property
    def trouble(self) -> str:
        """See `Backend`."""
        if self._is_draining:
            return "draining"
        return "" if self._service.listening else "no listener is left"

    async def snapshot(self) -> Snapshot:
        """See `Backend`."""
        found = snapshot_of(self._service.stats)
        if "turn" in found:
            found["turn"]["closed"] = dict(self._closed)
        lost = Counter(self._service.lost) if isinstance(self._service, TurnService) else Counter[str]()
        if self._exchange is not None:
            lost += self._exchange.lost
        found["lost"] = dict(lost)
        if self._lookups is not None:
            found["lookups"] = {"failures": self._lookups.failures, "refused": self._lookups.refused}
        await trio.lowlevel.checkpoint()
        return found

    async def allocations(self) -> Allocations:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        service = self._service
        return [allocation_row(one) for one in service.allocations()] if isinstance(service, TurnService) else []

    async def kill(self, id: str) -> bool:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        if not (isinstance(self._service, TurnService) and id.isascii() and id.isdigit() and len(id) < 20):
            return False
        try:
            return self._service.close_allocation(AllocationId(int(id)))
        except LocalProtocolError:  # there has never been such an allocation
            return False

    async def set_limits(self, limits: TurnLimits) -> None:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        if isinstance(self._service, TurnService):
            self._service.set_limits(limits)

    async def reload(self, material: Material, limits: TurnLimits) -> None:
        """See `Backend`."""
        await trio.lowlevel.checkpoint()
        service = self._service
        try:
            authentications = self.authentications(material)
            if self._tls is not None:
                self._tls.reload()  # the last that may fail: it takes effect at once
        except ValueError as error:
            raise ServingError(str(error)) from None
        self.name_accounts(material)
        if authentications is not None:
            service.replace_authentication(authentications)
        if self._lookups is not None:
            self._lookups.forget()
        await self.set_limits(limits)

    async def drain(self, seconds: float, *, close: bool = True) -> None:
        """See `Backend`. Without ``close`` a TURN server goes on sending newcomers away afterwards, until the block is left."""
        self._is_draining = True
        if isinstance(self._service, TurnService):
            await self._service.drain(grace=seconds, close=close)
        else:
            await self._service.drain()

    async def wait_failed(self) -> str:
        """See `Backend`."""
        await self._failed.wait()
        return "no listener is left"

    # ------------------------------------------------------------- what the server tells

    async def _watch(self) -> None:
        async for event in self._service.events:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case CredentialRequested(id=id, username=username, realm=realm):
                self._ask(id, username, realm)
            case AllocationOpened():
                relayed = [str(one) for one in event.relayed]
                client = _named(event.client)
                self._log.info("allocation opened", id=self._told(event.id), user=event.username, client=client, relayed=relayed)
            case AllocationMoved():
                left, client = _named(event.left), _named(event.client)
                self._log.info("allocation moved", id=self._told(event.id), user=event.username, client=client, left=left)
            case AllocationClosed():
                reason = event.reason.name.lower().replace("_", "-")
                self._closed[reason] += 1
                stats = event.stats
                self._log.info(
                    "allocation closed",
                    id=self._told(event.id),
                    user=event.username,
                    reason=reason,
                    from_client_bytes=stats.received_bytes,
                    to_client_bytes=stats.sent_bytes,
                    dropped=stats.dropped,
                )
            case DatagramsElsewhere() if self._exchange is not None:
                self._exchange.send_datagrams(event)
            case StreamElsewhere() if self._exchange is not None and isinstance(self._service, TurnService):
                sock = self._service.hand_out(event)
                if sock is not None:
                    self._exchange.send_stream(event, sock)
            case ResourcesExhausted(text=text, refused=refused):
                self._log.error("no sockets left for relayed addresses", error=text, refused=refused)
            case ListenerFailed(listener=listener, error=error):
                self._log.error("listener failed", listener=str(listener), error=error.text or error.kind.value)
                if not self._service.listening:
                    self._failed.set()

    def _told(self, id: AllocationId) -> str:
        """An allocation's id as the control socket has it: what the log says can be killed."""
        config = self._settings.turn
        return str(id) if config is None or config.workers == 1 else f"{config.worker}:{id}"

    def _ask(self, id: RequestId, username: str | bytes, realm: str) -> None:
        if self._lookups is not None and (who := self._lookups.want(id, username, realm)) is not None:
            self._nursery.start_soon(self._asking.about, who)

    def _provide(self, id: RequestId, keys: Found) -> None:
        with contextlib.suppress(LocalProtocolError):  # the server was closed meanwhile
            self._service.provide_key(id, keys)


def _named(client: Path) -> str:
    """How a client is reached, and from where."""
    return f"{client.transport.value}:{client.remote}"


def allocation_row(info: AllocationInfo) -> dict[str, object]:
    """An allocation as plain values, as the control socket tells it."""
    stats = info.stats
    return {
        "id": str(info.id),
        "user": info.username,
        "client": _named(info.client),
        "protocol": "udp" if info.protocol == socket.IPPROTO_UDP else "tcp",
        "relayed": [str(one) for one in info.relayed],
        "lifetime_s": info.lifetime,
        "permissions": info.permissions,
        "channels": info.channels,
        "from_client_packets": stats.received_packets,
        "from_client_bytes": stats.received_bytes,
        "to_client_packets": stats.sent_packets,
        "to_client_bytes": stats.sent_bytes,
        "dropped": stats.dropped,
    }
