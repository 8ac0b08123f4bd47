"""libnice as a peer: an agent in a process of its own, and what a test asks it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
import trio

from interop._ours import LOOPBACK
from interop._peer_process import LIMIT, PeerProcess, peer_process
from sansice.ice import Candidate, Description

PROGRAM = Path(__file__).with_name("_libnice_peer.py")
PYTHON = Path("/usr/bin/python3")  # the one that Debian's bindings are for
BINDING = "girepository-1.0/Nice-0.1.typelib"


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
    ) -> None:
        await self._take_credentials(
            open={
                "controlling": controlling,
                "options": list(options),
                "components": components,
                "addresses": list(addresses),
                "stun": stun,
                "relay": relay,
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
    if not any(Path("/usr/lib").glob(f"*/{BINDING}")):
        pytest.fail(
            "There is no binding of libnice's: install the Debian packages gir1.2-nice-0.1 and python3-gi.", pytrace=False
        )
    with trio.fail_after(LIMIT), peer_process([*prefix, PYTHON, PROGRAM]) as process:
        peer = Libnice(process)
        await peer.open(**options)
        yield peer
