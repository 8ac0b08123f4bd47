"""libnice as a peer: an agent in a process of its own, and what a test asks it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import attrs
import pytest
import trio

from interop._ours import LOOPBACK, Ours
from interop._peer_process import LIMIT, PeerProcess, peer_process
from sansice.ice import Candidate, Description, IceState

PROGRAM = Path(__file__).with_name("_libnice_peer.py")
PYTHON = Path("/usr/bin/python3")  # the one that Debian's bindings are for
COUNT = 20  # datagrams each way
NEEDED = {"gir1.2-nice-0.1": "*/girepository-1.0/Nice-0.1.typelib", "python3-gi": "python3/dist-packages/gi"}


class Libnice:
    """An agent of libnice's.

    Attributes:
        ufrag, pwd: its credentials of this moment.
    """

    def __init__(self, process: PeerProcess) -> None:
        self._process = process
        self.ufrag = self.pwd = ""

    async def ask(self, **command: Any) -> Any:
        """See `_libnice_peer`."""
        return await self._process.ask(**command)

    async def open(
        self,
        *,
        controlling: bool,
        options: Iterable[str] = (),
        components: int = 1,
        addresses: Iterable[str] = LOOPBACK,
        stun: tuple[str, int] | None = None,
        relay: tuple[str, int, str, str] | None = None,
        only_relays: bool = False,
        udp: bool = True,
        tcp: bool = False,
    ) -> None:
        await self._take_credentials(
            open={
                "controlling": controlling,
                "options": list(options),
                "components": components,
                "addresses": list(addresses),
                "stun": stun,
                "relay": relay,
                "only_relays": only_relays,
                "udp": udp,
                "tcp": tcp,
            }
        )

    async def restart(self) -> None:
        await self._take_credentials(restart=None)

    async def _take_credentials(self, **command: Any) -> None:
        told = await self.ask(**command)
        self.ufrag, self.pwd = told["ufrag"], told["pwd"]

    async def candidates(self) -> list[Candidate]:
        """All of its candidates, when there are no more of them."""
        found: list[Candidate] = []
        while (line := await self.ask(candidate=len(found))) is not None:
            found.append(Candidate.from_sdp(line))
        return found

    async def description(self, **options: Any) -> Description:
        """All of it, when its candidates are complete."""
        return Description(self.ufrag, self.pwd, candidates=await self.candidates(), **options)

    async def learn(self, description: Description) -> None:
        """Tell it all of a description, or more of one."""
        await self.ask(
            remote={
                "ufrag": description.ufrag,
                "pwd": description.pwd,
                "candidates": [candidate.to_sdp() for candidate in description.candidates],
                "end": description.end_of_candidates,
            }
        )

    async def ready(self) -> None:
        """Wait until every component is; fail when one has failed."""
        states = await self.ask(until="ready")
        assert {history[-1] for history in states.values()} == {"ready"}, states

    async def selected(self, component: int = 1) -> tuple[Candidate, Candidate]:
        local, remote = map(Candidate.from_sdp, await self.ask(selected=component))
        return local, remote


@contextlib.asynccontextmanager
async def libnice(*prefix: str, **options: Any) -> AsyncIterator[Libnice]:
    """An agent for the time of a test, perhaps started through another command; it must end in time."""
    with trio.fail_after(LIMIT), peer_process([*prefix, _python(), PROGRAM]) as process:
        peer = Libnice(process)
        await peer.open(**options)
        yield peer
        await process.end()


def _python() -> Path:
    for package, path in NEEDED.items():
        if not any(Path("/usr/lib").glob(path)):
            pytest.fail(f"There is no /usr/lib/{path}: install the Debian package {package}.", pytrace=False)
    return PYTHON


async def at_once(peer: Libnice, ours: Ours, **fields: Any) -> None:
    """Tell each the whole description of the other; libnice says itself neither what options it has, nor whether it is lite."""
    await ours.gathered()
    ours.call(ours.agent.set_remote, await peer.description(**fields))
    await peer.learn(ours.description)


async def trickled(peer: Libnice, ours: Ours) -> None:
    """Tell each first who the other is, and then candidate by candidate."""
    nobody = attrs.evolve(ours.description, candidates=(), end_of_candidates=False)
    await peer.learn(nobody)
    ours.call(ours.agent.set_remote, attrs.evolve(nobody, ufrag=peer.ufrag, pwd=peer.pwd))
    ours.gather()
    async for line in ours.candidates():
        await peer.ask(remote={"ufrag": nobody.ufrag, "pwd": nobody.pwd, "candidates": [line]})
    await peer.ask(remote={"ufrag": nobody.ufrag, "pwd": nobody.pwd, "end": True})
    for candidate in await peer.candidates():
        ours.call(ours.agent.add_remote_candidate, candidate)
    ours.call(ours.agent.end_of_candidates)


async def connected(peer: Libnice, ours: Ours, component: int = 1) -> None:
    """Wait until both are, and have selected the same pair for a component."""
    await peer.ready()
    await ours.until_state(IceState.COMPLETED)
    local, remote = await peer.selected(component)
    pair = ours.agent.selected_pair_of(component=component)
    assert (local.address, remote.address) == (pair.remote.address, pair.local.address)


async def exchange(peer: Libnice, ours: Ours, component: int = 1) -> None:
    """Datagrams each way: all arrive, unchanged and in order."""
    from_us = [b"to libnice %d " % number + os.urandom(number) for number in range(COUNT)]
    from_peer = [b"from libnice %d " % number + os.urandom(number) for number in range(COUNT)]
    for data in from_us:
        ours.call(ours.agent.send, data, component=component)
    received = await peer.ask(receive=COUNT, component=component)
    assert [bytes.fromhex(data) for data in received] == from_us
    await peer.ask(send=[data.hex() for data in from_peer], component=component)
    assert await ours.data(COUNT, component=component) == from_peer
