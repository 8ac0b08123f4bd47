"""A relay of the demonstration's own, for those who name none."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator

import attrs

from sansice.ice import IceServer
from sansice.turn import ANY_PEER, RelayAddress, TurnServerConfig
from sansice_trio import serve_turn

from ._settings import Settings

_HERE = "127.0.0.1"
_USER = "demo"


@contextlib.asynccontextmanager
async def with_relay(settings: Settings) -> AsyncIterator[Settings]:
    """The settings, with a server of our own where relays are wanted and none was named."""
    if not settings.relay or settings.has_relay:
        yield settings
        return
    async with own_relay() as server:
        yield attrs.evolve(settings, servers=(*settings.servers, server))


@contextlib.asynccontextmanager
async def own_relay() -> AsyncIterator[IceServer]:
    """A TURN server on this machine alone, which relays to anywhere for who knows a password that is made here."""
    password = os.urandom(16).hex()
    config = TurnServerConfig(relay_addresses=[RelayAddress(_HERE)])
    opened = serve_turn([f"udp:{_HERE}:0"], users={_USER: password}, realm="demo", config=config, peer_policy=ANY_PEER)
    async with opened as service:
        yield IceServer(f"turn:{_HERE}:{service.listening[0][1].port}", _USER, password)
