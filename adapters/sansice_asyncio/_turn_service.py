"""A TURN server for an application."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence

from sansice import Entropy
from sansice.sockets import TlsConfig
from sansice.stun import Authentication, Authentications, Listener, parse_listeners
from sansice.turn import (
    DEFAULT_PEER_POLICY,
    DEFAULT_REALM,
    SERVICE_EVENTS,
    PeerPolicy,
    TurnLimits,
    TurnServer,
    TurnServerConfig,
    TurnServiceBase,
    Users,
    same_account,
    server_authentication,
)

from ._driver import AsyncioDriver, EventQueue
from ._recording import RecordTo, open_recorder

_DEFAULT_CONFIG = TurnServerConfig()
_DEFAULT_LIMITS = TurnLimits()


class TurnService(TurnServiceBase[AsyncioDriver, EventQueue]):
    """A running TURN server; `serve_turn` makes it."""

    __slots__ = ()

    async def drain(self, *, grace: float | None = None, close: bool = True) -> None:
        """Take no new allocations, serve those there are, close, and return when that is done. Cancelling is safe: draining
        goes on.

        Args:
            grace: seconds after which the allocations that are left are ended; by default those of the configuration.
            close: otherwise return when the last allocation has ended, and go on sending newcomers away until the block is
                left: for one of several processes that share their listeners. See `sansice.turn.TurnServer.drain`.

        Raises:
            LocalProtocolError: the server is closed; a grace below 0.
        """
        done = EventQueue()
        self._driver.call(self._drain, done, grace, close)
        if close:
            await self.wait_closed()
        else:
            await done.get()

    async def wait_closed(self) -> None:
        """Wait until the server has been drained, by whomever. Cancelling is safe."""
        while await self._steps.get() is not None:
            pass

    async def _ready(self) -> None:
        await self._steps.get()
        self._check_listeners()


@contextlib.asynccontextmanager
async def serve_turn(
    listen: Iterable[Listener | str],
    *,
    users: Users | None = None,
    realm: str = DEFAULT_REALM,
    authentication: Authentication | Authentications | None = None,
    config: TurnServerConfig = _DEFAULT_CONFIG,
    limits: TurnLimits = _DEFAULT_LIMITS,
    peer_policy: PeerPolicy = DEFAULT_PEER_POLICY,
    account: Callable[[str], str] = same_account,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> AsyncIterator[TurnService]:
    """Run a TURN server: an ``async with`` block that yields a `TurnService` once all listeners are open.

    ``async with serve_turn(["192.0.2.1:3478"], users={"alice": "password"}) as service``. Without ``config`` and
    ``peer_policy`` nobody is relayed to private or otherwise special addresses. Leaving the block closes everything at once;
    `TurnService.drain` first serves those who are there.

    Args:
        listen: `Listener` values, or texts: ``"udp:192.0.2.1:3478"``, ``"tls:[2001:db8::1]:5349"``, or
            ``"192.0.2.1:3478"`` for UDP and TCP. Port 0 is any port.
        users: passwords by name; or a function that finds keys, such as `sansice.stun.TimeLimitedSecrets`.
        realm: of ``users``, usually the provider's domain name.
        authentication: instead of ``users``: a mechanism, or a mapping that has one for each listener.
        config: policy and timers.
        limits: how much a user, and all of them, may have.
        peer_policy: which peers may be reached.
        account: whose a user name is, for quotas, where one has many names: a pure function.
        tls: certificates of TLS and DTLS listeners. `TlsConfig.reload` has new connections use renewed files.
        inherited: bound sockets of the process (systemd's, say) to use instead of opening others.
        entropy: the only source of randomness.
        record: a file that the server's life is written to, its users' keys included; see `open_ice`.

    Raises:
        TurnError: a listener could not be opened; it says which, and why.
        ValueError: a text that names no place to listen at; a realm or a name that RFC 8265 forbids.
        LocalProtocolError: nobody would be asked for credentials, and ``config.anonymous`` does not say that this is meant;
            what else `TurnServer` or `TurnServer.start` refuses.
    """
    listeners = parse_listeners(listen)
    asked = server_authentication(users, realm, authentication, anonymous=config.anonymous)
    with contextlib.closing(open_recorder(record)) as recorder:
        server = recorder.make(
            TurnServer,
            authentication=asked,
            config=config,
            limits=limits,
            peer_policy=peer_policy,
            account=account,
            entropy=entropy,
        )
        service = TurnService(
            server,
            lambda machine, deliver: AsyncioDriver(machine, deliver, tls=tls, inherited=inherited),
            EventQueue(),
            EventQueue(SERVICE_EVENTS),
        )
        try:
            async with service._driver as driver:
                driver.call(server.start, listeners)
                await service._ready()
                yield service
        finally:
            service._end()
