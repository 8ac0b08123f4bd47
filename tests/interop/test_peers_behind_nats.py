"""Our agent and a real peer, each behind a NAT of the Linux kernel, with a server of ours between them."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator

import pytest

from interop import _chromium, _libnice
from interop._aioice import aioice_peer, connect_ours, exchange_ours
from interop._chromium import chromium, page_of
from interop._kernel_scene import KernelScene
from interop._libnice import libnice
from interop._netns import Namespaces, required_namespaces
from interop._ours import open_ours
from sansice.ice import CandidateType, IceServer
from sansice.simulation import HostSpec, NatSpec, Scene, StunServerSpec
from sansice_blocking import stun_binding

SERVER = "192.0.2.9"
OUR_HOST, THEIR_HOST = "10.1.0.2", "10.2.0.2"
OUR_NAT, THEIR_NAT = "203.0.113.1", "203.0.113.2"
USER, PASSWORD = "alice", "wonderland"
RELAY = f"turn:{SERVER}:3479"
# One of its own, because libnice asks as RFC 3489 has it, which no TURN server answers (RFC 8656 5).
STUN = ("--stun-only", "--listen", f"udp:{SERVER}:3478")
ALLOWED = ("--allow-peer", "203.0.113.0/24", "--allow-peer", "192.0.2.0/24")
TURN = ("--listen", f"udp:{SERVER}:3479", "--user", f"{USER}:{PASSWORD}", *ALLOWED)


def scene_of(preset: str) -> Scene:
    """Each behind a NAT of that kind, and the server in the Internet."""
    return Scene(
        name=preset,
        nats=(NatSpec("nat a", OUR_NAT, preset), NatSpec("nat b", THEIR_NAT, preset)),
        hosts=(HostSpec("a", OUR_HOST, behind="nat a"), HostSpec("b", THEIR_HOST, behind="nat b")),
        servers=(StunServerSpec("server", SERVER),),
    )


@contextlib.contextmanager
def built(preset: str, prefix: str) -> Iterator[Places]:
    """The namespaces of a scene, and servers that answer."""
    with required_namespaces() as spaces:
        scene = KernelScene(spaces, scene_of(preset), prefix)
        for options in (STUN, TURN):
            server = spaces.start(scene.name_of("server"), [sys.executable, "-m", "sansice_cli", "serve", *options])
            assert json.loads(server.stdout.readline())["ready"]
        for name, nat in (("a", OUR_NAT), ("b", THEIR_NAT)):
            # New cables take a second or two until they carry anything, and libnice does not ask for longer.
            with spaces.inside(scene.name_of(name)):
                assert stun_binding(f"stun:{SERVER}").host == nat
        yield Places(spaces, scene)


class Places:
    def __init__(self, spaces: Namespaces, scene: KernelScene) -> None:
        self._spaces, self._scene = spaces, scene

    def ours(self) -> contextlib.AbstractContextManager[None]:
        """Where our agent's sockets are opened, for the time of a block."""
        return self._spaces.inside(self._scene.name_of("a"))

    def theirs(self) -> list[str]:
        """What stands before a command so that it runs at the peer's place."""
        return self._spaces.command(self._scene.name_of("b"))


@pytest.fixture(scope="module")
def places():
    """NATs that let each find the other."""
    with built("linux-masquerade", "peers") as one:
        yield one


@pytest.fixture(scope="module")
def strict_places():
    """NATs with another port for each destination, so that only a relay helps."""
    with built("linux-masquerade-random", "strict") as one:
        yield one


@pytest.fixture(scope="module")
def browser(places):
    with chromium(*places.theirs(), loopback=False) as page:
        yield page


@pytest.fixture(scope="module")
def strict_browser(strict_places):
    with chromium(*strict_places.theirs(), loopback=False) as page:
        yield page


def open_behind_nat(**options):
    return open_ours(addresses=[OUR_HOST], servers=[f"stun:{SERVER}"], **options)


def assert_through_a_relay(ours) -> None:
    assert CandidateType.RELAYED in (ours.pair.local.type, ours.pair.remote.type)
    assert SERVER in (ours.pair.local.address.host, ours.pair.remote.address.host)


def assert_through_both_nats(ours) -> None:
    assert ours.pair.local.type is CandidateType.SERVER_REFLEXIVE
    assert (ours.pair.local.address.host, ours.pair.remote.address.host) == (OUR_NAT, THEIR_NAT)


@pytest.mark.parametrize(
    "exchange", [_chromium.offer_at_once, _chromium.answer_at_once, _chromium.offer_and_trickle, _chromium.answer_and_trickle]
)
async def test_page_connects_through_two_nats(places, browser, exchange):
    controlling = exchange in (_chromium.offer_at_once, _chromium.offer_and_trickle)
    with places.ours():
        async with (
            page_of(browser, iceServers=[{"urls": f"stun:{SERVER}"}]) as page,
            open_behind_nat(controlling=controlling) as ours,
        ):
            await exchange(page, ours)
            await _chromium.connected(page, ours)
            assert_through_both_nats(ours)


@pytest.mark.parametrize(
    ("tell", "options"),
    [(_libnice.at_once, ()), (_libnice.trickled, ("REGULAR_NOMINATION", "ICE_TRICKLE"))],
    ids=["at-once-aggressive", "trickled-regular"],
)
@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "libnice-controls"])
async def test_libnice_connects_through_two_nats(places, tell, options, controlling):
    theirs = {"controlling": not controlling, "options": options, "addresses": [THEIR_HOST], "stun": (SERVER, 3478)}
    with places.ours():
        async with libnice(*places.theirs(), **theirs) as peer, open_behind_nat(controlling=controlling) as ours:
            await tell(peer, ours)
            await _libnice.connected(peer, ours)
            await _libnice.exchange(peer, ours)
            assert_through_both_nats(ours)


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "aioice-controls"])
async def test_aioice_connects_through_two_nats(places, controlling):
    with places.ours():
        async with aioice_peer(*places.theirs(), address=THEIR_HOST) as peer, open_behind_nat(controlling=controlling) as ours:
            await connect_ours(ours, peer, await peer.start(controlling=not controlling, stun=(SERVER, 3478)))
            await exchange_ours(ours, peer)
            assert_through_both_nats(ours)


@pytest.mark.parametrize("exchange", [_chromium.offer_at_once, _chromium.answer_and_trickle])
async def test_page_connects_through_a_relay_where_nothing_else_can_work(strict_places, strict_browser, exchange):
    controlling = exchange is _chromium.offer_at_once
    theirs = [{"urls": RELAY, "username": USER, "credential": PASSWORD}]
    ours_too = [IceServer(RELAY, USER, PASSWORD)]
    with strict_places.ours():
        async with page_of(strict_browser, iceServers=theirs) as page:
            async with open_ours(controlling=controlling, addresses=[OUR_HOST], servers=ours_too) as ours:
                await exchange(page, ours)
                await _chromium.connected(page, ours)
                assert_through_a_relay(ours)


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "libnice-controls"])
async def test_libnice_connects_through_our_relay_where_nothing_else_can_work(strict_places, controlling):
    theirs = {
        "options": ["REGULAR_NOMINATION"],
        "addresses": [THEIR_HOST],
        "stun": (SERVER, 3478),
    }
    ours_too = [IceServer(RELAY, USER, PASSWORD)]
    with strict_places.ours():
        async with (
            libnice(*strict_places.theirs(), controlling=not controlling, **theirs) as peer,
            open_ours(controlling=controlling, addresses=[OUR_HOST], servers=ours_too) as ours,
        ):
            await _libnice.at_once(peer, ours)
            await _libnice.connected(peer, ours)
            await _libnice.exchange(peer, ours)
            assert_through_a_relay(ours)
