"""Our agent against a page of Chromium's: what the page itself says of its connection."""

from __future__ import annotations

import os

import pytest
import trio

from interop._chromium import (
    answer_and_trickle,
    answer_at_once,
    chromium,
    connected,
    offer_and_trickle,
    offer_at_once,
    page_of,
    restart_by_page,
    restart_by_us,
)
from interop._ours import another_valid_pair, open_lite, open_ours, running
from interop._relay import open_relay
from sansice.ice import CandidateType, IceAgent, IceRole, IceState, Nomination, PairSelected
from sansice.stun import decode_untrusted, is_stun

DTLS_HANDSHAKE = 22
HOSTS = ("127.0.0.1", "127.0.0.2")
NOMINATION = 0xC001  # draft-thatcher-ice-renomination, as libwebrtc numbers it
RENOMINATION = {"options": "renomination"}
MOVING = Nomination(renominate=True)
EXCHANGES = pytest.mark.parametrize("exchange", [offer_at_once, answer_at_once, offer_and_trickle, answer_and_trickle])


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


@EXCHANGES
async def test_page_connects_on_the_pair_that_we_select(browser, exchange):
    controlling = exchange in (offer_at_once, offer_and_trickle)
    async with page_of(browser) as page, open_ours(controlling=controlling) as ours:
        await exchange(page, ours)
        shown = await connected(page, ours)
        assert await page.ask("history") == ["checking", "connected"]
        assert (shown["transport"]["iceRole"] == "controlled") is controlling is (ours.agent.role is IceRole.CONTROLLING)


async def test_data_flows_both_ways_as_far_as_it_can_without_dtls(browser):
    async with page_of(browser) as page, open_ours(controlling=True) as ours:
        await offer_at_once(page, ours)
        await connected(page, ours)
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
        shown = await connected(page, ours)
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


@EXCHANGES
@pytest.mark.parametrize(("ours_only", "page_only"), [(False, True), (True, False), (True, True)], ids=["page", "we", "both"])
async def test_who_may_use_only_relays_connects_through_our_server(browser, exchange, ours_only, page_only):
    async with open_relay() as relay:
        ours_options = {"servers": [relay.for_us], "policy": "relay"} if ours_only else {}
        page_options = {"iceServers": [relay.for_page], "iceTransportPolicy": "relay"} if page_only else {}
        controlling = exchange in (offer_at_once, offer_and_trickle)
        async with open_ours(controlling=controlling, **ours_options) as ours, page_of(browser, **page_options) as page:
            await exchange(page, ours)
            shown = await connected(page, ours)
            assert (shown["local"]["candidateType"] == "relay") is page_only is (ours.pair.remote.type is CandidateType.RELAYED)
            assert ours_only is (ours.pair.local.type is CandidateType.RELAYED)
            assert (await ours.data(1))[0][0] == DTLS_HANDSHAKE


@pytest.mark.parametrize("exchange", [offer_at_once, answer_at_once])
async def test_page_connects_with_our_lite_agent_and_controls_whoever_offers(browser, exchange):
    async with page_of(browser) as page, open_lite(controlling=False) as ours:
        await exchange(page, ours)
        shown = await connected(page, ours)
        assert shown["transport"]["iceRole"] == "controlling"
        assert ours.agent.role is IceRole.CONTROLLED
        assert (await ours.data(1))[0][0] == DTLS_HANDSHAKE


class Overhearing(IceAgent):
    """An agent that keeps what its peer sent."""

    def __init__(self, **options) -> None:
        super().__init__(**options)
        self.heard = []

    def handle_datagrams(self, socket, batch, *, now) -> None:
        self.heard += [data for _, data in batch]
        super().handle_datagrams(socket, batch, now=now)

    def numbers(self) -> list[bytes]:
        """Of the peer's nominations."""
        messages = [decode_untrusted(data) for data in self.heard if is_stun(data)]
        return [value for message in messages for kind, value in message.attributes() if kind == NOMINATION]


async def test_page_that_numbers_its_nominations_is_followed(browser):
    agent = Overhearing(controlling=False, nomination=MOVING)
    async with page_of(browser) as page, running(agent) as ours:
        await answer_at_once(page, ours, **RENOMINATION)
        await connected(page, ours)
        assert agent.numbers()


async def test_page_follows_us_to_another_pair_without_a_restart(browser):
    async with page_of(browser) as page:
        async with open_ours(controlling=True, nomination=MOVING, addresses=HOSTS) as ours:
            await offer_at_once(page, ours, **RENOMINATION)
            await connected(page, ours)
            other = await another_valid_pair(ours)
            ours.call(ours.agent.nominate, other)
            await ours.until(lambda: ours.pair.local == other.local)
            await connected(page, ours)
            assert await page.ask("history") == ["checking", "connected"]


@pytest.mark.parametrize(
    ("exchange", "open_agent", "restart"),
    [
        (offer_at_once, open_ours, restart_by_page),
        (offer_at_once, open_ours, restart_by_us),
        (answer_at_once, open_ours, restart_by_page),
        (answer_at_once, open_ours, restart_by_us),
        (offer_at_once, open_lite, restart_by_page),
        (offer_at_once, open_lite, restart_by_us),
    ],
)
async def test_restart_leads_to_a_new_pair_and_interrupts_nothing(browser, exchange, open_agent, restart):
    controlling = exchange is offer_at_once and open_agent is open_ours
    async with page_of(browser) as page, open_agent(controlling=controlling) as ours:
        await exchange(page, ours)
        before = await connected(page, ours)
        selections = len(ours.told(PairSelected))
        await restart(page, ours)
        await ours.until(lambda: len(ours.told(PairSelected)) > selections)
        after = await connected(page, ours)
        assert after["transport"]["iceLocalUsernameFragment"] != before["transport"]["iceLocalUsernameFragment"]
        assert after["remote"]["usernameFragment"] == ours.description.ufrag
        assert not {"failed", "disconnected"} & set(await page.ask("history"))
