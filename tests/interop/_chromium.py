"""A page of Chromium's as a peer: what a test asks it, and the SDP around the lines that are ICE's."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import trio

from interop._loopback import find_tool
from interop._ours import Ours
from interop._peer_process import LIMIT, PeerProcess, peer_process
from sansice.ice import Candidate, Description, IceState, Restarted, SessionDescription, SessionSdp

PROGRAM = Path(__file__).with_name("_chromium_peer.py")
FINGERPRINT = ":".join(["AB"] * 32)  # of a certificate that nobody ever asks for: media is not reached

# One section with data channels (RFC 8841), without ICE.
TEMPLATE = """v=0
o=- 1 {version} IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
m=application 9 UDP/DTLS/SCTP webrtc-datachannel
c=IN IP4 0.0.0.0
a=mid:0
a=sctp-port:5000
a=setup:{setup}
a=fingerprint:sha-256 {fingerprint}
"""


class PeerPage:
    """A page of a test; one of several has a number."""

    def __init__(self, process: PeerProcess, number: int = 0) -> None:
        self._process = process
        self._number = number

    def another(self, number: int) -> PeerPage:
        """Another page of the same browser. Only one of them can be asked at a time."""
        return PeerPage(self._process, number)

    async def open(self, *, hidden: bool = False, **configuration: Any) -> None:
        """Make its RTCPeerConnection."""
        await self._process.ask(open=configuration, hidden=hidden, page=self._number)

    async def ask(self, name: str, *arguments: Any) -> Any:
        """Call one of the functions of `_chromium_page.js`."""
        return await self._process.ask(**{"call": name, "with": arguments, "page": self._number})

    async def candidates(self) -> AsyncIterator[dict[str, Any]]:
        """Each of its candidates since its last description, as it is found, until there are no more of them."""
        number = 0
        while (candidate := await self.ask("candidate", number)) is not None:
            yield candidate
            number += 1


@contextlib.contextmanager
def chromium(*prefix: str, loopback: bool = True) -> Iterator[PeerPage]:
    """Start the browser, perhaps through another command, and for loopback too, where a machine may have nothing else."""
    switches = ["--allow-loopback-in-peer-connection"] if loopback else []
    with peer_process([*prefix, sys.executable, PROGRAM, find_tool("chromium", "chromium"), *switches]) as process:
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
    template = TEMPLATE.format(version=version, setup=setup, fingerprint=FINGERPRINT)
    return SessionSdp.from_sdp(template).with_ice(SessionDescription([description], mids=["0"])).to_sdp()


def description_of(sdp: str) -> Description:
    """What the page said of its only section."""
    return SessionSdp.from_sdp(sdp).description[0]


async def offer_at_once(page: PeerPage, ours: Ours, **options: Any) -> None:
    """Offer our whole description, and take the page's, which it makes with such options."""
    await ours.gathered()
    await page.ask("answer", sdp_of(ours.description, setup="actpass"), options)
    ours.call(ours.agent.set_remote, description_of(await page.ask("gathered")))


async def answer_at_once(page: PeerPage, ours: Ours, **options: Any) -> None:
    """Answer the page's whole description, which it makes with such options, with ours."""
    await ours.gathered()
    await page.ask("offer", options)
    ours.call(ours.agent.set_remote, description_of(await page.ask("gathered")))
    await page.ask("accept", sdp_of(ours.description, setup="passive"))


async def offer_and_trickle(page: PeerPage, ours: Ours) -> None:
    """Offer a description without a candidate."""
    answer = await page.ask("answer", sdp_of(ours.description, setup="actpass"))
    ours.call(ours.agent.set_remote, description_of(answer))
    await _trickle(page, ours)


async def answer_and_trickle(page: PeerPage, ours: Ours) -> None:
    """Answer with a description without a candidate."""
    offer = await page.ask("offer")
    ours.call(ours.agent.set_remote, description_of(offer))
    await page.ask("accept", sdp_of(ours.description, setup="passive"))
    await _trickle(page, ours)


async def _trickle(page: PeerPage, ours: Ours) -> None:
    """Tell each the other's candidates as they come, until both know that there are no more."""
    ours.gather()
    async for line in ours.candidates():
        await page.ask("add", line, ours.description.ufrag)
    await page.ask("add", None, ours.description.ufrag)
    async for told in page.candidates():
        ours.call(ours.agent.add_remote_candidate, Candidate.from_sdp(told["candidate"]))
    ours.call(ours.agent.end_of_candidates)


async def restart_by_page(page: PeerPage, ours: Ours) -> None:
    """The page offers new credentials, and we answer with new ones of ours."""
    await page.ask("offer", {"restart": True})
    ours.call(ours.agent.set_remote, description_of(await page.ask("gathered")))
    await ours.until(lambda: any(event.by_peer for event in ours.told(Restarted)))
    await ours.gathered()
    await page.ask("accept", sdp_of(ours.description, setup="passive", version=2))


async def restart_by_us(page: PeerPage, ours: Ours) -> None:
    """We offer new credentials, and the page answers with new ones of its own."""
    ours.call(ours.agent.restart)
    await ours.gathered()
    await page.ask("answer", sdp_of(ours.description, setup="actpass", version=2))
    ours.call(ours.agent.set_remote, description_of(await page.ask("gathered")))


async def connected(page: PeerPage, ours: Ours) -> dict[str, Any]:
    """Wait until both are connected; the pair that the page's statistics show, which is ours."""
    await ours.until_state(IceState.COMPLETED)
    assert await page.ask("until", "connected", "completed", "failed") != "failed"
    while not _is_settled(shown := await page.ask("selected"), ours):  # its statistics lag behind by some milliseconds
        await trio.lowlevel.checkpoint()
    return shown


def _is_settled(shown: dict[str, Any] | None, ours: Ours) -> bool:
    if shown is None or not shown["nominated"] or shown["state"] != "succeeded":
        return False
    ends = [(shown[end]["address"], shown[end]["port"]) for end in ("local", "remote")]
    theirs, our_end = ours.pair.remote.address, ours.pair.local.address
    # What the page learnt from our checks it does not show.
    return ends in ([theirs, our_end], [theirs, ("", our_end.port)])
