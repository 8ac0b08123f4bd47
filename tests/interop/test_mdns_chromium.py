"""Names in place of addresses against Chromium as it is by default, on a link between two network namespaces.

Neither tells an address: each finds the other's by multicast DNS, which Chromium speaks itself.
"""

from __future__ import annotations

import attrs
import pytest
import trio

from interop._chromium import (
    answer_and_trickle,
    answer_at_once,
    chromium,
    description_of,
    offer_and_trickle,
    offer_at_once,
    page_of,
    sdp_of,
)
from interop._netns import required_namespaces
from interop._ours import open_ours
from sansice.ice import CandidateType, IceState, is_concealing_name
from sansice.sockets import _interfaces, _link_names

OURS, PAGE = "10.9.0.1", "10.9.0.2"
EXCHANGES = pytest.mark.parametrize("exchange", [offer_at_once, answer_at_once, offer_and_trickle, answer_and_trickle])
DTLS_HANDSHAKE = 22


@pytest.fixture(scope="module")
def spaces():
    """Two hosts on one link; what they send elsewhere goes to the other one, and is lost."""
    with required_namespaces() as made:
        for name in ("ours", "page"):
            made.add(name)
        made.join("ours", "eth0", "page", "eth0")
        for name, address, other in (("ours", OURS, PAGE), ("page", PAGE, OURS)):
            made.ip(name, [f"addr add {address}/24 dev eth0", f"route add default via {other}"])
        yield made


@pytest.fixture(scope="module")
def browser(spaces):
    with chromium(*spaces.command("page"), loopback=False) as page:
        yield page


@pytest.fixture
def here(spaces, monkeypatch):
    """This thread is on our host, and so is the mDNS of the process."""
    monkeypatch.setattr(_link_names, "_shared", {})
    monkeypatch.setattr(_interfaces, "_listing", _interfaces._Listing())
    with spaces.inside("ours"):
        yield
    for names in _link_names._shared.values():
        names.close()


def concealing(controlling):
    return open_ours(controlling=controlling, policy="conceal-host", addresses=[OURS])


async def offer(page, ours, *, told, heard):
    """Offer, with our candidates or without, and listen to the page's or not."""
    await ours.gathered()
    await page.ask("answer", sdp_of(told(ours.description), setup="actpass"))
    ours.call(ours.agent.set_remote, heard(description_of(await page.ask("gathered"))))


async def answer(page, ours, *, told, heard):
    """Answer, with our candidates or without, and listen to the page's or not."""
    await ours.gathered()
    await page.ask("offer")
    ours.call(ours.agent.set_remote, heard(description_of(await page.ask("gathered"))))
    await page.ask("accept", sdp_of(told(ours.description), setup="passive"))


SIDES = pytest.mark.parametrize("exchange", [offer, answer])


def whole(description):
    assert description.candidates and all(is_concealing_name(one.address[0]) for one in description.candidates)
    return description


def without_candidates(description):
    return attrs.evolve(whole(description), candidates=())


async def finished(page, ours):
    await ours.until_state(IceState.COMPLETED)
    assert await page.ask("until", "connected", "completed", "failed") != "failed"
    assert (await ours.data(1))[0][0] == DTLS_HANDSHAKE


@EXCHANGES
async def test_page_and_we_connect_by_nothing_but_names(browser, here, exchange):
    controlling = exchange in (offer_at_once, offer_and_trickle)
    async with page_of(browser, hidden=True) as page, concealing(controlling) as ours:
        await exchange(page, ours)
        await finished(page, ours)
        agent = ours.agent
        assert all(is_concealing_name(one.address[0]) for one in agent.local_candidates)
        shown = agent.explain() + agent.report().to_json() + agent.local_description.to_sdp() + repr(agent.pairs)
        assert OURS not in shown and PAGE not in shown
        assert agent.path_of()[1].host == PAGE


@SIDES
async def test_we_find_the_page_by_its_name_alone(browser, here, exchange):
    async with page_of(browser, hidden=True) as page, concealing(exchange is offer) as ours:
        await exchange(page, ours, told=without_candidates, heard=whole)
        await finished(page, ours)
        assert is_concealing_name(ours.pair.remote.address[0])


@SIDES
async def test_the_page_finds_us_by_our_name_alone(browser, here, exchange):
    async with page_of(browser, hidden=True) as page, concealing(exchange is offer) as ours:
        await exchange(page, ours, told=whole, heard=without_candidates)
        await finished(page, ours)
        assert ours.pair.remote.type is CandidateType.PEER_REFLEXIVE
        while (shown := await page.ask("selected")) is None:  # its statistics lag behind by some milliseconds
            await trio.lowlevel.checkpoint()
        assert (shown["remote"]["candidateType"], shown["remote"]["port"]) == ("host", ours.pair.local.address.port)
