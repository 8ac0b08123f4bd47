"""TURN for an application: a relayed address, and datagrams through it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from sansice import Address, Entropy, Transport
from sansice.sockets import TlsConfig
from sansice.stun import HttpProxy, ServerTarget, ServerUri
from sansice.turn import (
    MAX_QUEUED,
    MAX_QUEUED_BYTES,
    MAX_TURN_EVENTS,
    TURN_EVENTS,
    AsyncNews,
    AsyncTurnConnection,
    AsyncTurnPeer,
    AsyncTurnStream,
    Family,
    TurnClient,
    TurnClientConfig,
    TurnCredentials,
    through,
    turn_credentials,
)

from ._driver import AsyncioDriver, EventQueue
from ._recording import RecordTo, open_recorder

_DEFAULT_CONFIG = TurnClientConfig()

TurnPeer: TypeAlias = AsyncTurnPeer
TurnStream: TypeAlias = AsyncTurnStream


@contextlib.asynccontextmanager
async def open_turn(
    uri: ServerTarget | ServerUri | str,
    username: str | None = None,
    credential: TurnCredentials | str | None = None,
    *,
    transport: Transport = Transport.UDP,
    family: Family | None = None,
    even_port: bool = False,
    reserve_next: bool = False,
    reservation_token: bytes | None = None,
    dont_fragment: bool = False,
    lifetime: int | None = None,
    mobility: bool = False,
    transports: Sequence[Transport] | None = None,
    local: Address | None = None,
    verify_name: str | None = None,
    proxy: HttpProxy | str | None = None,
    tls: TlsConfig | Mapping[str, TlsConfig] | None = None,
    config: TurnClientConfig = _DEFAULT_CONFIG,
    max_queued: int = MAX_QUEUED,
    max_queued_bytes: int = MAX_QUEUED_BYTES,
    entropy: Entropy = os.urandom,
    record: RecordTo = None,
) -> AsyncIterator[TurnConnection]:
    """Have a TURN server relay: an ``async with`` block that yields a `TurnConnection` once there is a relayed address.

    ``async with open_turn("turn:turn.example.org", "alice", "password") as turn``. The allocation, its permissions and its
    channels are refreshed meanwhile. Leaving the block deletes it, for which the server gets a second at most. An exception
    of the body comes out as it is.

    Args:
        uri: ``turn:`` or ``turns:``, whose name is resolved by RFC 5928; or where exactly the server is.
        username: for servers that ask for credentials, which most do.
        credential: the password; or what else `TurnClient` takes for credentials, and then without ``username``.
        transport: between the relayed address and peers: UDP; or TCP (RFC 6062), for `TurnConnection.connect`.
        family: of the relayed address: 4, 6 or ``"both"``; ``None`` leaves it to the server, which gives IPv4.
        even_port, reserve_next, reservation_token, dont_fragment, lifetime, mobility: see `TurnClient.allocate`.
        transports: towards the server, in order of preference, where the URI leaves a choice.
        local: what to bind to towards the server. Port 0 is any port.
        verify_name: the name that certificates must carry instead of the URI's host.
        proxy: an HTTP proxy, the only way out of some networks: `HttpProxy`, or ``"http://user:password@host:port"``. The server
            is reached through it, over TCP or TLS, and its name is the proxy's to look up. No variable of the environment is
            looked at.
        tls: authorities to trust, where the system's are not the right ones. DTLS needs ``sansice[tls]``.
        config: timers and bounds of the client.
        max_queued, max_queued_bytes: received data that may wait, of each `TurnConnection.peer`, and of all others together;
            over either the oldest datagram is dropped, and counted as ``DropReason.QUEUE_FULL`` in `TurnConnection.stats`.
        entropy: the only source of randomness.
        record: a file that the client's life is written to, secrets and data included; see `open_ice`.

    Raises:
        TurnError: no server gave an address; it says how far it came, with which code, and why.
        ValueError: not a URI of these schemes.
        LocalProtocolError: what `TurnClient` or `TurnClient.allocate` refuses.
    """
    wish = {
        "transport": transport,
        "family": family,
        "even_port": even_port,
        "reserve_next": reserve_next,
        "reservation_token": reservation_token,
        "dont_fragment": dont_fragment,
        "lifetime": lifetime,
        "mobility": mobility,
    }
    credentials = turn_credentials(username, credential)
    with contextlib.closing(open_recorder(record)) as recorder:
        client = recorder.make(
            TurnClient,
            uri,
            credentials=credentials,
            config=through(config, proxy),
            transports=transports,
            local=local,
            verify_name=verify_name,
            entropy=entropy,
        )
        turn = TurnConnection(
            client,
            str(uri),
            wish,
            lambda machine, deliver: AsyncioDriver(machine, deliver, tls=tls),
            lambda driver: AsyncNews(asyncio.Event, partial(asyncio.sleep, 0)),
            EventQueue(TURN_EVENTS, MAX_TURN_EVENTS),
            max_queued=max_queued,
            max_queued_bytes=max_queued_bytes,
        )
        try:
            async with turn._driver:
                await turn.allocate()
                yield turn
        finally:
            turn._end()


class TurnConnection(AsyncTurnConnection[AsyncioDriver, EventQueue]):
    """A relay at work; `open_turn` makes it."""

    __slots__ = ()
