"""A page of Chromium's as a peer: what a test asks it, and the SDP around the lines that are ICE's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import trio

from interop._loopback import find_tool
from interop._peer_process import LIMIT, PeerProcess, peer_process
from sansice.ice import Description

PROGRAM = Path(__file__).with_name("_chromium_peer.py")
FINGERPRINT = ":".join(["AB"] * 32)  # of a certificate that nobody ever asks for: media is not reached

# A data channel's section as RFC 8841 has it.
SESSION = ("v=0", "o=- 1 {version} IN IP4 127.0.0.1", "s=-", "t=0 0", "a=group:BUNDLE 0")
SECTION = (
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel",
    "c=IN IP4 0.0.0.0",
    "a=mid:0",
    "a=sctp-port:5000",
    f"a=fingerprint:sha-256 {FINGERPRINT}",
)


class PeerPage:
    """The page of a test."""

    def __init__(self, process: PeerProcess) -> None:
        self._process = process

    async def open(self, *, hidden: bool = False, **configuration: Any) -> None:
        """Make its RTCPeerConnection."""
        await self._process.ask(open=configuration, hidden=hidden)

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions of `_chromium_page.js`."""
        return await self._process.ask(**{"call": name, "with": arguments})

    async def candidates(self) -> AsyncIterator[dict[str, Any]]:
        """Each of its candidates since its last description, as it is found, until there are no more of them."""
        number = 0
        while (candidate := await self.ask("candidate", number)) is not None:
            yield candidate
            number += 1


@contextlib.contextmanager
def chromium(*prefix: str) -> Iterator[PeerPage]:
    """Start the browser, perhaps through another command."""
    with peer_process([*prefix, sys.executable, PROGRAM, find_tool("chromium", "chromium")]) as process:
        yield PeerPage(process)


@contextlib.asynccontextmanager
async def page_of(browser: PeerPage, **options: Any) -> AsyncIterator[PeerPage]:
    """A new page for one test, which must end in time."""
    with trio.fail_after(LIMIT):
        await browser.open(**options)
        yield browser


def sdp_of(description: Description, *, setup: str, version: int = 1) -> str:
    """A session of one section with a data channel.

    Args:
        setup: ``"actpass"`` in an offer, ``"passive"`` or ``"active"`` in an answer.
        version: counts the descriptions of one session.
    """
    lines = description.to_sdp().splitlines()
    session = [line.format(version=version) for line in SESSION] + [line for line in lines if line == "a=ice-lite"]
    section = [*SECTION, f"a=setup:{setup}"] + [line for line in lines if line != "a=ice-lite"]
    return "".join(f"{line}\r\n" for line in (*session, *section))
