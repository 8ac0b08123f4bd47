"""Our agent against a page of Chromium's: what the page itself says of its connection."""

from __future__ import annotations

import os

import pytest
import trio

from interop._chromium import PeerPage, chromium, page_of, sdp_of
from interop._ours import Ours, open_ours
from sansice.ice import Candidate, CandidateType, Description, IceRole, IceState

DTLS_HANDSHAKE = 22


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


async def offer_at_once(page: PeerPage, ours: Ours) -> None:
    """Offer our whole description, and take the page's."""
    await ours.gathered()
    await page.ask("answer", sdp_of(ours.description, setup="actpass"))
    ours.call(ours.agent.set_remote, Description.from_sdp(await page.ask("gathered")))


async def answer_at_once(page: PeerPage, ours: Ours) -> None:
    """Answer the page's whole description with ours."""
    await ours.gathered()
    await page.ask("offer")
    ours.call(ours.agent.set_remote, Description.from_sdp(await page.ask("gathered")))
    await page.ask("accept", sdp_of(ours.description, setup="passive"))


async def offer_and_trickle(page: PeerPage, ours: Ours) -> None:
    """Offer a description without a candidate."""
    answer = await page.ask("answer", sdp_of(ours.description, setup="actpass"))
    ours.call(ours.agent.set_remote, Description.from_sdp(answer))
    await trickle(page, ours)


async def answer_and_trickle(page: PeerPage, ours: Ours) -> None:
    """Answer with a description without a candidate."""
    offer = await page.ask("offer")
    ours.call(ours.agent.set_remote, Description.from_sdp(offer))
    await page.ask("accept", sdp_of(ours.description, setup="passive"))
    await trickle(page, ours)


async def trickle(page: PeerPage, ours: Ours) -> None:
    """Tell each the other's candidates as they come, until both know that there are no more."""
    ours.gather()
    async for line in ours.candidates():
        await page.ask("add", line, ours.description.ufrag)
    await page.ask("add", None, ours.description.ufrag)
    async for told in page.candidates():
        ours.call(ours.agent.add_remote_candidate, Candidate.from_sdp(told["candidate"]))
    ours.call(ours.agent.end_of_candidates)


async def connect(page: PeerPage, ours: Ours) -> dict:
    """Wait until both are connected; the pair that the page's statistics show, which is ours."""
    await ours.until_state(IceState.COMPLETED)
    assert await page.ask("until", "connected", "completed", "failed") != "failed"
    while not is_settled(shown := await page.ask("selected"), ours):  # its statistics lag behind by some milliseconds
        await trio.lowlevel.checkpoint()
    return shown


def is_settled(shown: dict | None, ours: Ours) -> bool:
    if shown is None or not shown["nominated"]:
        return False
    ends = [(shown[end]["address"], shown[end]["port"]) for end in ("local", "remote")]
    theirs, our_end = ours.pair.remote.address, ours.pair.local.address
    # What the page learnt from our checks it does not show.
    return ends in ([theirs, our_end], [theirs, ("", our_end.port)])


@pytest.mark.parametrize("exchange", [offer_at_once, answer_at_once, offer_and_trickle, answer_and_trickle])
async def test_page_connects_on_the_pair_that_we_select(browser, exchange):
    controlling = exchange in (offer_at_once, offer_and_trickle)
    async with page_of(browser) as page, open_ours(controlling=controlling) as ours:
        await exchange(page, ours)
        shown = await connect(page, ours)
        assert shown["state"] == "succeeded"
        assert await page.ask("history") == ["checking", "connected"]
        assert (shown["transport"]["iceRole"] == "controlled") is controlling is (ours.agent.role is IceRole.CONTROLLING)


async def test_data_flows_both_ways_as_far_as_it_can_without_dtls(browser):
    async with page_of(browser) as page, open_ours(controlling=True) as ours:
        await offer_at_once(page, ours)
        await connect(page, ours)
        hello = (await ours.data(1))[0]
        assert hello[0] == DTLS_HANDSHAKE
        ours.call(ours.agent.send, hello)
        while (await page.ask("selected"))["bytesReceived"] < len(hello):
            await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("tiebreaker", [bytes(8), b"\xff" * 8], ids=["page-wins", "we-win"])
@pytest.mark.parametrize("exchange", [offer_at_once, answer_at_once], ids=["both-controlled", "both-control"])
async def test_role_conflict_with_a_page_is_settled_by_the_tiebreaker(browser, exchange, tiebreaker):
    def entropy(count: int) -> bytes:
        return tiebreaker if count == len(tiebreaker) else os.urandom(count)

    we_win = tiebreaker != bytes(8)
    async with page_of(browser) as page, open_ours(controlling=exchange is answer_at_once, entropy=entropy) as ours:
        await exchange(page, ours)
        shown = await connect(page, ours)
        assert (ours.agent.role is IceRole.CONTROLLING) is we_win
        assert (shown["transport"]["iceRole"] == "controlled") is we_win


@pytest.mark.parametrize("exchange", [offer_and_trickle, answer_and_trickle])
async def test_page_that_hides_its_addresses_behind_names_connects(browser, exchange):
    async with page_of(browser, hidden=True) as page, open_ours(controlling=exchange is offer_and_trickle) as ours:
        await exchange(page, ours)
        await ours.until_state(IceState.COMPLETED)
        assert await page.ask("until", "connected", "completed", "failed") != "failed"
        told = [candidate["candidate"] async for candidate in page.candidates()]
        assert told and all(".local " in line for line in told)
        assert ours.pair.remote.type is CandidateType.PEER_REFLEXIVE  # its checks told where it is
