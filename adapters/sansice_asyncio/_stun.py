"""STUN for an application: the address that others see, the kind of NAT in between, and a server."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence

from sansice import Address, Entropy, Event, Transport
from sansice.sockets import TlsConfig
from sansice.stun import (
    DEFAULT_BEHAVIOR_TESTS,
    LOOKUP_TIMEOUT,
    MAPPING_LIFETIME_LIMIT,
    Authentication,
    Authentications,
    BehaviorConfig,
    BehaviorDiscovery,
    BehaviorTest,
    BindingLookup,
    CredentialRequested,
    Listener,
    LongTermCredentials,
    NatBehavior,
    ServerUri,
    ShortTermCredentials,
    StunClientConfig,
    StunServer,
    StunServerConfig,
    StunServiceBase,
    mapped_address,
    nat_behavior,
    parse_listeners,
)

from ._driver import AsyncioDriver, EventQueue, open_driver
from ._recording import RecordTo, open_recorder

_DEFAULT_CLIENT_CONFIG = StunClientConfig()
_DEFAULT_SERVER_CONFIG = StunServerConfig()


async def stun_binding(
    uri: ServerUri | str,
    *,
    transports: Sequence[Transport] | None = None,
    credentials: ShortTermCredentials | LongTermCredentials | None = None,
    local: Address | None = None,
    verify_name: str | None = None,
    timeout: float = LOOKUP_TIMEOUT,  # noqa: ASYNC109 - the machine gives up, and says what it was at
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    alpn: Sequence[str] = (),
    config: StunClientConfig = _DEFAULT_CLIENT_CONFIG,
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> Address:
    """Ask a STUN server from which address and port our datagrams come. Cancelling is safe.

    ``await stun_binding("stun:stun.example.org")``. The name is resolved, servers are tried in the order of RFC 8489 8.1
    and RFC 8305, and the first answer wins. It is about a socket of its own, which is closed then; for the addresses
    of a connection's socket see `open_ice`.

    Args:
        uri: ``stun:`` (UDP unless ``transports`` says more) or ``stuns:`` (TLS).
        transports: what to use, in order of preference; ``None`` for the default of the URI's scheme.
        credentials: for servers that ask for them.
        local: what to bind to: then only servers of its family are tried. Port 0 is any port.
        verify_name: the name that certificates must carry instead of the URI's host.
        timeout: seconds until it gives up.
        tls: authorities to trust, where the system's are not the right ones. DTLS needs ``sansice[tls]``.
        alpn: protocols to offer over TLS and DTLS (RFC 7443).
        config: of the client.
        entropy: the only source of randomness.
        record: a file that the look-up is written to, secrets included; see `open_ice`.

    Raises:
        StunError: no server answered; it says how far it came, and why.
        ValueError: not a URI of these schemes, or a timeout that is none.
        LocalProtocolError: ``config`` rules out the credentials or every transport; ``verify_name`` is no host name.
    """
    with contextlib.closing(open_recorder(record)) as recorder:
        lookup = recorder.make(
            BindingLookup,
            uri,
            transports=transports,
            credentials=credentials,
            local=local,
            verify_name=verify_name,
            timeout=timeout,
            alpn=alpn,
            config=config,
            entropy=entropy,
        )
        async with open_driver(lookup, tls=tls) as (driver, events):
            driver.call(lookup.start)
            return mapped_address(await events.get())


async def discover_nat(
    uri: ServerUri | Address | str,
    *,
    progress: Callable[[Event], None] | None = None,
    local: Address | None = None,
    tests: Collection[BehaviorTest] = DEFAULT_BEHAVIOR_TESTS,
    lifetime_limit: float = MAPPING_LIFETIME_LIMIT,
    families: Sequence[int] = (4, 6),
    config: BehaviorConfig | None = None,
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> NatBehavior:
    """Find out what kind of NAT or firewall is in the way (RFC 5780). Cancelling is safe.

    Takes about 20 seconds behind the commonest NATs, as silence has to be waited for. See `BehaviorDiscovery`.

    Args:
        uri: of a server with two addresses: ``stun:...``; or its address.
        progress: called with each event on the way (`BehaviorProgressed`, a finding, `TestUnavailable`), in this task,
            outside of any step of the machine. What it raises ends the discovery and comes out here.
        local, tests, lifetime_limit, families, config, entropy: see `BehaviorDiscovery`.
        record: a file that the discovery is written to; see `open_ice`.

    Raises:
        StunError: there is no server to run the tests with.
        ValueError: not a URI.
        LocalProtocolError: a URI of another scheme, no test, or a limit that is not positive.
    """
    with contextlib.closing(open_recorder(record)) as recorder:
        discovery = recorder.make(
            BehaviorDiscovery,
            uri,
            local=local,
            tests=tests,
            lifetime_limit=lifetime_limit,
            families=families,
            config=config,
            entropy=entropy,
        )
        async with open_driver(discovery) as (driver, events):
            driver.call(discovery.start)
            while (behavior := nat_behavior(event := await events.get())) is None:
                if progress is not None and event is not None:
                    progress(event)
    return behavior


class StunService(StunServiceBase[AsyncioDriver, EventQueue]):
    """A running STUN server; `serve_stun` makes it."""

    __slots__ = ()

    async def drain(self) -> None:
        """Take nothing new, answer what is owed, close, and return when that is done. Cancelling is safe: draining
        goes on.

        Raises:
            LocalProtocolError: the server is closed.
        """
        self._driver.call(self.server.drain)
        await self.wait_closed()

    async def wait_closed(self) -> None:
        """Wait until the server has been drained, by whomever. Cancelling is safe."""
        while await self._steps.get() is not None:
            pass

    async def _ready(self) -> None:
        await self._steps.get()
        self._check_listeners()


@contextlib.asynccontextmanager
async def serve_stun(
    listen: Iterable[Listener | str],
    *,
    config: StunServerConfig = _DEFAULT_SERVER_CONFIG,
    authentication: Authentication | Authentications | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    inherited: Sequence[socket.socket] = (),
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> AsyncIterator[StunService]:
    """Run a STUN server: an ``async with`` block that yields a `StunService` once all listeners are open.

    Leaving the block closes everything at once; `StunService.drain` first answers what is owed. The events of
    `StunService.events` need no reader: only a server whose ``lookup_key`` says `PENDING` has something to be told.

    Args:
        listen: `Listener` values, or texts: ``"udp:192.0.2.1:3478"``, ``"tls:[2001:db8::1]:5349"``, or
            ``"192.0.2.1:3478"`` for UDP and TCP. Port 0 is any port.
        config: policy and bounds.
        authentication: a mechanism, or a mapping that has one for each listener. ``None`` asks nobody for credentials.
        tls: certificates of TLS and DTLS listeners. `TlsConfig.reload` has new connections use renewed files.
        inherited: bound sockets of the process (systemd's, say) to use instead of opening others.
        entropy: the only source of randomness.
        record: a file that the server's life is written to, its users' keys included; see `open_ice`.

    Raises:
        StunError: a listener could not be opened; it says which, and why.
        ValueError: a text that names no place to listen at.
        LocalProtocolError: what `StunServer` or `StunServer.start` refuses.
    """
    listeners = parse_listeners(listen)
    with contextlib.closing(open_recorder(record)) as recorder:
        server = recorder.make(StunServer, config=config, authentication=authentication, entropy=entropy)
        service = StunService(
            server,
            lambda machine, deliver: AsyncioDriver(machine, deliver, tls=tls, inherited=inherited),
            EventQueue(),
            EventQueue((CredentialRequested,)),
        )
        try:
            async with service._driver as driver:
                driver.call(server.start, listeners)
                await service._ready()
                yield service
        finally:
            service._end()
