"""Many real peers on one port of `serve_ice`, over UDP and TCP: pages of Chromium's, aioice, and libnice."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
import trio

from interop._aioice import aioice_peer
from interop._chromium import chromium, description_of, sdp_of
from interop._libnice import libnice
from interop._peer_process import LIMIT
from sansice.ice import Admission, Description, IceState
from sansice.machine import Transport
from sansice_trio import serve_ice

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "sfu_front_end.py"
DTLS_HANDSHAKE = 22
HELLO_RANDOM = slice(27, 59)  # of a ClientHello in a record of its own (RFC 6347 4.1, 4.2.2; RFC 5246 7.4.1.2)
PAGES, RELOADS, COUNT = 3, 5, 20


@pytest.fixture(scope="module")
def browser():
    with chromium() as page:
        yield page


async def visit(service, page, transport=None):
    """A page offers, and is answered, perhaps only with candidates of one transport: the connection to it."""
    await page.open()
    await page.ask("offer")
    offer = description_of(await page.ask("gathered"))
    served = service.open()
    answer = await served.gather()
    served.set_remote(offer)
    told = [one for one in answer.candidates if transport in (None, one.transport)]
    await page.ask("accept", sdp_of(attrs.evolve(answer, candidates=told), setup="passive"))
    return served


async def connected(service, page, served):
    """Wait until both ends say so; what the page begins to say over DTLS."""
    await served.connected()
    assert await page.ask("until", "connected", "completed", "failed") != "failed"
    assert served.selected_pair.local.address in service.listening
    hello = await served.receive()
    assert hello[0] == DTLS_HANDSHAKE
    return hello[HELLO_RANDOM]


async def hears(page, served):
    """Whether the page gets what its connection sends."""
    before = (await page.ask("selected"))["bytesReceived"]
    while (await page.ask("selected"))["bytesReceived"] == before:
        served.send_nowait(bytes([DTLS_HANDSHAKE]) + bytes(40))
        await trio.lowlevel.checkpoint()
    return True


@pytest.mark.parametrize("lite", [True, False], ids=["lite", "full"])
async def test_three_pages_share_a_port_while_one_of_them_is_reloaded_again_and_again(browser, lite):
    with trio.fail_after(LIMIT):
        async with serve_ice("127.0.0.1:0", lite=lite) as service:
            pages = [browser.another(number) for number in range(PAGES)]
            served = [await visit(service, page) for page in pages]
            randoms = [await connected(service, page, one) for page, one in zip(pages, served, strict=True)]
            for number in range(RELOADS):
                before = served[-1]
                if number % 2:  # the server learns before the new page comes that the old one is gone; or only later, or never
                    before.close()
                served[-1] = await visit(service, pages[-1])
                randoms.append(await connected(service, pages[-1], served[-1]))
                if number == 0:
                    before.close()
            assert len(set(randoms)) == len(randoms) == PAGES + RELOADS  # nobody's packet has reached another's connection
            for page, one in zip(pages, served, strict=True):
                assert one.state is IceState.COMPLETED
                assert await hears(page, one)
                assert await page.ask("history") == ["checking", "connected"]
            for page in pages:
                await page.ask("close")


@pytest.mark.parametrize(("listen", "lite"), [("127.0.0.1:0", True), ("tcp:127.0.0.1:0", False)], ids=["lite", "full"])
async def test_pages_that_are_told_of_no_udp_connect_over_tcp_and_one_is_reloaded(browser, listen, lite):
    """A full agent would check over UDP by itself."""
    with trio.fail_after(LIMIT):
        async with serve_ice(listen, lite=lite) as service:
            pages = [browser.another(number) for number in range(PAGES)]
            served = [await visit(service, page, Transport.TCP) for page in pages]
            randoms = [await connected(service, page, one) for page, one in zip(pages, served, strict=True)]
            served[-1].close()
            served[-1] = await visit(service, pages[-1], Transport.TCP)
            randoms.append(await connected(service, pages[-1], served[-1]))
            assert len(set(randoms)) == PAGES + 1
            for page, one in zip(pages, served, strict=True):
                assert one.selected_pair.local.transport is Transport.TCP
                assert one.selected_pair.local.address == service.listening[-1]
                assert await hears(page, one)
                await page.ask("close")


@pytest.mark.parametrize("lite", [True, False], ids=["lite", "full"])
async def test_libnice_connects_over_tcp_through_the_port(lite):
    async with serve_ice("tcp:127.0.0.1:0", lite=lite) as service, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            peer = await stack.enter_async_context(
                libnice(controlling=True, options=("REGULAR_NOMINATION",), udp=False, tcp=True)
            )
            served = service.open()
            ours = await served.gather()
            served.set_remote(await peer.description())
            await peer.learn(ours)
            await peer.ready()
            await served.connected()
            assert served.selected_pair.local.address == service.listening[0]
            said = [b"to libnice %d" % number for number in range(COUNT)]
            for data in said:
                await served.send(data)
            assert await peer.ask(receive=COUNT, component=1) == [data.hex() for data in said]
            await peer.ask(send=[data.hex() for data in said], component=1)
            assert [await served.receive() for _ in said] == said
        assert not service.dropped


@contextlib.asynccontextmanager
async def front_end():
    """The example program, which must end by itself once there is no more signalling, and a receiver of its lines."""
    command = [sys.executable, EXAMPLE, "--listen", "127.0.0.1:0"]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        yield process
        await process.stdin.aclose()
        assert await process.wait() == 0
    finally:
        process.kill()
        await process.stdout.aclose()


async def lines_of(stream):
    """JSON, a line each."""
    received = b""
    async for chunk in stream:
        *lines, received = (received + chunk).split(b"\n")
        for line in lines:
            yield json.loads(line)


async def test_pages_connect_to_the_front_end_that_is_an_example(browser):
    """Its signalling is ours to carry."""
    with trio.fail_after(LIMIT):
        async with front_end() as program, contextlib.aclosing(lines_of(program.stdout)) as told:
            completed = []
            pages = {f"page {number}": browser.another(number) for number in range(PAGES)}
            for name, page in pages.items():
                await page.open()
                await page.ask("offer")
                offer = {"from": name, "sdp": await page.ask("gathered")}
                await program.stdin.send_all(json.dumps(offer).encode() + b"\n")
                async for line in told:
                    if line.get("to") == name:
                        await page.ask("accept", line["sdp"])
                        break
                    completed += [line["of"]] * (line["state"] == "completed")
            async for line in told:
                completed += [line["of"]] * (line["state"] == "completed")
                if len(completed) == PAGES:
                    break
            assert set(completed) == set(pages)
            for page in pages.values():
                while "connected" not in await page.ask("history"):  # the server may be a moment ahead
                    await trio.lowlevel.checkpoint()
                await page.ask("close")


@contextlib.asynccontextmanager
async def serving(own_address, **options):
    """The service at the address that aioice can use, for it ignores loopback."""
    with trio.fail_after(LIMIT):
        async with serve_ice(f"{own_address or '0.0.0.0'}:0", **options) as service:
            yield service


async def exchange(served, peer):
    """Data both ways: all of it arrives, unchanged and in order."""
    from_us = [b"to aioice %d " % number + bytes(number) for number in range(COUNT)]
    from_peer = [b"from aioice %d " % number + bytes(number) for number in range(COUNT)]
    for data in from_us:
        await served.send(data)
    assert await peer.receive(COUNT) == from_us
    await peer.send(from_peer)
    assert [await served.receive() for _ in range(COUNT)] == from_peer


@pytest.mark.parametrize(
    ("lite", "controlling"), [(True, False), (False, False), (False, True)], ids=["lite", "full", "full-we-control"]
)
async def test_several_of_aioice_connect_through_one_port_in_both_roles(own_address, lite, controlling):
    async with (
        serving(own_address, lite=lite) as service,
        aioice_peer(address=own_address) as one,
        aioice_peer(address=own_address) as other,
    ):
        for peer in (one, other):
            theirs = await peer.start(controlling=not controlling)
            served = service.open(controlling=controlling)
            ours = await served.gather()
            served.set_remote(theirs)
            assert await peer.connect(ours) is not controlling
            await served.connected()
        for peer, served in zip((one, other), service.connections, strict=True):
            await exchange(served, peer)


@pytest.mark.parametrize("lite", [True, False], ids=["lite", "full"])
async def test_aioice_comes_unannounced_and_its_first_check_is_answered(own_address, lite):
    async with aioice_peer(address=own_address) as peer:
        theirs = await peer.start(controlling=True)

        def admit(stranger):
            return Admission("a" * 22, theirs.pwd) if stranger.remote_ufrag == theirs.ufrag else None

        async with serving(own_address, lite=lite, admit=admit) as service:
            await peer.connect(Description("room", "a" * 22, candidates=service.local_candidates))
            await exchange(await service.accept(), peer)
            assert service.stats.admitted == service.stats.accepted == 1
