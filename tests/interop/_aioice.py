"""aioice as a peer: an agent in a process of its own, and what a test asks it."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import trio

from interop._ours import Ours
from interop._peer_process import LIMIT, PeerProcess, peer_process
from sansice.ice import Candidate, Description, IceState

COUNT = 20  # datagrams each way
PROGRAM = Path(__file__).with_name("_aioice_peer.py")


class AioicePeer:
    """An agent of aioice's.

    Args:
        process: where it runs.
        address: the only one that it may use; ``None``: all.
    """

    def __init__(self, process: PeerProcess, address: str | None) -> None:
        self._process = process
        self._address = address

    async def ask(self, **command: Any) -> Any:
        """See `_aioice_peer`."""
        return await self._process.ask(**command)

    async def start(
        self,
        *,
        controlling: bool,
        components: int = 1,
        stun: tuple[str, int] | None = None,
        relay: tuple[str, int, str, str] | None = None,
        only_relays: bool = False,
    ) -> Description:
        told = await self.ask(
            open={
                "controlling": controlling,
                "components": components,
                "address": self._address,
                "stun": stun,
                "relay": relay,
                "only_relays": only_relays,
            }
        )
        return Description(told["ufrag"], told["pwd"], candidates=[Candidate.from_sdp(line) for line in told["candidates"]])

    async def connect(self, remote: Description) -> bool:
        """Whether it controls, once it is connected."""
        return await self.ask(connect=json.loads(remote.to_json()))

    async def send(self, datagrams: Sequence[bytes], component: int = 1) -> None:
        await self.ask(send=[data.hex() for data in datagrams], component=component)

    async def receive(self, count: int, component: int = 1) -> list[bytes]:
        return [bytes.fromhex(data) for data in await self.ask(receive=count, component=component)]


@contextlib.asynccontextmanager
async def aioice_peer(*prefix: str, address: str | None = None) -> AsyncIterator[AioicePeer]:
    """An agent for the time of a test, perhaps started through another command; it must end in time."""
    with trio.fail_after(LIMIT), peer_process([*prefix, sys.executable, PROGRAM]) as process:
        yield AioicePeer(process, address)
        await process.end()


async def connect_ours(ours: Ours, peer: AioicePeer, theirs: Description) -> None:
    """Tell each the other's description, both at once, and wait until both are connected."""
    await ours.gathered()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(peer.connect, ours.description)
        ours.call(ours.agent.set_remote, theirs)
    await ours.until_state(IceState.COMPLETED)


async def exchange_ours(ours: Ours, peer: AioicePeer, component: int = 1) -> None:
    """Datagrams each way on a component: all arrive, unchanged and in order."""
    from_us = [b"to %d: %d" % (component, number) for number in range(COUNT)]
    from_peer = [b"from %d: %d" % (component, number) for number in range(COUNT)]
    for data in from_us:
        ours.call(ours.agent.send, data, component=component)
    assert await peer.receive(COUNT, component) == from_us
    await peer.send(from_peer, component)
    assert await ours.data(COUNT, component=component) == from_peer
