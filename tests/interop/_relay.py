"""A TURN server, ours or coturn, as the relay of a peer or of our own agent."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import attrs

from _certificates import Authority
from interop._coturn import coturn
from sansice import Address
from sansice.ice import IceServer
from sansice.turn import PeerPolicy
from sansice_trio import serve_turn

HOST = "127.0.0.1"
USER, PASSWORD = "alice", "wonderland"
COTURN = ("--lt-cred-mech", "--user", f"{USER}:{PASSWORD}", "--realm", "example.org", "--allow-loopback-peers")


@attrs.frozen
class Relay:
    """A running server."""

    address: Address

    @property
    def url(self) -> str:
        return f"turn:{self.address}"

    @property
    def for_page(self) -> dict[str, str]:
        return {"urls": self.url, "username": USER, "credential": PASSWORD}

    @property
    def for_peer(self) -> tuple[str, int, str, str]:
        return (*self.address, USER, PASSWORD)

    @property
    def for_us(self) -> IceServer:
        return IceServer(self.url, USER, PASSWORD)


@contextlib.asynccontextmanager
async def open_relay(host: str = HOST) -> AsyncIterator[Relay]:
    """Serve for the time of a block; peers may be where everything is in these tests, on loopback."""
    async with serve_turn([f"udp:{Address(host, 0)}"], users={USER: PASSWORD}, peer_policy=PeerPolicy(allow=[HOST])) as service:
        [(_, address)] = service.listening
        yield Relay(address)


@contextlib.contextmanager
def open_coturn(folder: Path) -> Iterator[Relay]:
    """The same of coturn's, in a process of its own."""
    with coturn(folder, Authority(folder).issue(HOST), COTURN) as server:
        yield Relay(server.plain)
