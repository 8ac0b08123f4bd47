"""Our agent against aioice, each in a process of its own, over the machine's real addresses."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from sansice.ice import Candidate, Description, IceRole, IceState
from sansice_trio import open_ice

LIMIT = 30  # seconds; two processes on one machine need a fraction of one
COUNT = 100
PEER = Path(__file__).with_name("_aioice_peer.py")


class AioicePeer:
    """The other process."""

    def __init__(self, process: trio.Process, address: str | None) -> None:
        self._process = process
        self._address = address
        self._lines = b""

    async def say(self, **command: object) -> None:
        await self._process.stdin.send_all(json.dumps(command).encode() + b"\n")

    async def hear(self) -> dict:
        while b"\n" not in self._lines:
            chunk = await self._process.stdout.receive_some()
            assert chunk, f"aioice's process ended with {await self._process.wait()}; see its stderr above"
            self._lines += chunk
        line, self._lines = self._lines.split(b"\n", 1)
        return json.loads(line)

    async def ask(self, **command: object) -> dict:
        await self.say(**command)
        return await self.hear()

    async def start(self, *, controlling: bool) -> Description:
        told = await self.ask(controlling=controlling, address=self._address)
        return Description(told["ufrag"], told["pwd"], candidates=[Candidate.from_sdp(line) for line in told["candidates"]])

    async def connect(self, remote: Description) -> dict:
        answer = await self.ask(connect=json.loads(remote.to_json()))
        assert answer.get("connected"), answer
        return answer


@contextlib.asynccontextmanager
async def aioice_peer(own_address: str | None):
    """Start the other process, and have it gone at the end."""
    with trio.fail_after(LIMIT):
        process = await trio.lowlevel.open_process(
            [sys.executable, PEER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=os.path.sep
        )
        try:
            yield AioicePeer(process, own_address)
            await process.stdin.aclose()
            await process.wait()
            assert process.returncode == 0
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                await process.stdin.aclose()
                await process.stdout.aclose()


def open_here(own_address: str | None, **options):
    """Our side, on the address made for this process, if one was made."""
    only = None if own_address is None else lambda name, address: address == own_address
    return open_ice(interface_filter=only, **options)


def entropy_with_tiebreaker(tiebreaker: bytes):
    """Randomness as ever, but for the eight bytes that decide a role conflict."""
    return lambda count: tiebreaker if count == len(tiebreaker) else os.urandom(count)


async def connect(ice, peer, *, peer_controls: bool) -> dict:
    """Tell each the other's description, both at once, and wait until both are connected."""
    told = []

    async def connect_peer():
        told.append(await peer.connect(ours))

    theirs = await peer.start(controlling=peer_controls)
    ours = await ice.gather()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connect_peer)
        nursery.start_soon(ice.connect, theirs)
    return told[0]


async def exchange(ice, peer) -> None:
    """A hundred datagrams each way: all arrive, unchanged and in order."""
    from_us = [b"to aioice %d " % number + bytes(number) for number in range(COUNT)]
    from_peer = [b"from aioice %d " % number + bytes(number) for number in range(COUNT)]
    for data in from_us:
        await ice.send(data)
    answer = await peer.ask(receive=COUNT)
    assert [bytes.fromhex(data) for data in answer["received"]] == from_us
    assert await peer.ask(send=[data.hex() for data in from_peer]) == {"sent": COUNT}
    assert [await ice.receive() for _ in range(COUNT)] == from_peer


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "aioice-controls"])
async def test_connects_with_aioice_and_data_flows_both_ways(own_address, controlling):
    async with aioice_peer(own_address) as peer, open_here(own_address, controlling=controlling) as ice:
        told = await connect(ice, peer, peer_controls=not controlling)
        await exchange(ice, peer)
        assert told["controlling"] is not controlling
        assert (ice.role is IceRole.CONTROLLING) is controlling
        assert ice.state is IceState.COMPLETED
        assert ice.selected_pair.local.address.host != "127.0.0.1"


@pytest.mark.parametrize("tiebreaker", [bytes(8), b"\xff" * 8], ids=["aioice-wins", "we-win"])
@pytest.mark.parametrize("controlling", [True, False], ids=["both-control", "both-controlled"])
async def test_role_conflict_with_aioice_is_settled_by_the_tiebreaker_and_data_flows(own_address, controlling, tiebreaker):
    async with (
        aioice_peer(own_address) as peer,
        open_here(own_address, controlling=controlling, entropy=entropy_with_tiebreaker(tiebreaker)) as ice,
    ):
        told = await connect(ice, peer, peer_controls=controlling)
        await exchange(ice, peer)
        we_control = tiebreaker != bytes(8)
        assert (ice.role is IceRole.CONTROLLING, told["controlling"]) == (we_control, not we_control)


async def test_aioice_that_controls_connects_before_we_know_its_description(own_address):
    async with aioice_peer(own_address) as peer, open_here(own_address, controlling=False) as ice:
        theirs = await peer.start(controlling=True)
        await peer.connect(await ice.gather())  # our answers to its early checks are all that it needs
        assert ice.state is IceState.NEW
        await ice.connect(theirs)
        await exchange(ice, peer)


async def test_we_may_send_before_aioice_knows_our_description_and_it_connects_later(own_address):
    async with aioice_peer(own_address) as peer, open_here(own_address, controlling=True) as ice:
        theirs = await peer.start(controlling=False)
        ours = await ice.gather()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ice.connect, theirs)
            while not ice.writable:
                await ice.changed()
            await peer.connect(ours)
        await exchange(ice, peer)


@pytest.mark.parametrize("who", ["aioice", "we"])
async def test_large_datagrams_reach_the_other_end_whole(own_address, who):
    data = os.urandom(1300)
    async with aioice_peer(own_address) as peer, open_here(own_address, controlling=True) as ice:
        await connect(ice, peer, peer_controls=False)
        if who == "we":
            await ice.send(data)
            assert (await peer.ask(receive=1))["received"] == [data.hex()]
        else:
            await peer.ask(send=[data.hex()])
            assert await ice.receive() == data
