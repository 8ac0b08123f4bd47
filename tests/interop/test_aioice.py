"""Our agent against aioice, each in a process of its own, over the machine's real addresses."""

from __future__ import annotations

import os

import pytest
import trio

from interop._aioice import aioice_peer, connect_ours, exchange_ours
from interop._ours import open_ours
from interop._relay import open_relay
from sansice.ice import CandidateType, IceRole, IceState
from sansice_trio import open_ice

COUNT = 100


def open_here(own_address: str | None, **options):
    """Our side, on the address made for this process, if one was made."""
    only = None if own_address is None else lambda name, address: address == own_address
    return open_ice(interface_filter=only, **options)


def entropy_with_tiebreaker(tiebreaker: bytes):
    """Randomness as ever, but for the eight bytes that decide a role conflict."""
    return lambda count: tiebreaker if count == len(tiebreaker) else os.urandom(count)


async def connect(ice, peer, *, peer_controls: bool) -> bool:
    """Tell each the other's description, both at once, and wait until both are connected. Whether aioice controls then."""
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
    assert await peer.receive(COUNT) == from_us
    await peer.send(from_peer)
    assert [await ice.receive() for _ in range(COUNT)] == from_peer


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "aioice-controls"])
async def test_connects_with_aioice_and_data_flows_both_ways(own_address, controlling):
    async with aioice_peer(address=own_address) as peer, open_here(own_address, controlling=controlling) as ice:
        told = await connect(ice, peer, peer_controls=not controlling)
        await exchange(ice, peer)
        assert told is not controlling
        assert (ice.role is IceRole.CONTROLLING) is controlling
        assert ice.state is IceState.COMPLETED
        assert ice.selected_pair.local.address.host != "127.0.0.1"


@pytest.mark.parametrize("tiebreaker", [bytes(8), b"\xff" * 8], ids=["aioice-wins", "we-win"])
@pytest.mark.parametrize("controlling", [True, False], ids=["both-control", "both-controlled"])
async def test_role_conflict_with_aioice_is_settled_by_the_tiebreaker_and_data_flows(own_address, controlling, tiebreaker):
    async with (
        aioice_peer(address=own_address) as peer,
        open_here(own_address, controlling=controlling, entropy=entropy_with_tiebreaker(tiebreaker)) as ice,
    ):
        told = await connect(ice, peer, peer_controls=controlling)
        await exchange(ice, peer)
        we_control = tiebreaker != bytes(8)
        assert (ice.role is IceRole.CONTROLLING, told) == (we_control, not we_control)


async def test_aioice_that_controls_connects_before_we_know_its_description(own_address):
    async with aioice_peer(address=own_address) as peer, open_here(own_address, controlling=False) as ice:
        theirs = await peer.start(controlling=True)
        await peer.connect(await ice.gather())  # our answers to its early checks are all that it needs
        assert ice.state is IceState.NEW
        await ice.connect(theirs)
        await exchange(ice, peer)


async def test_we_may_send_before_aioice_knows_our_description_and_it_connects_later(own_address):
    async with aioice_peer(address=own_address) as peer, open_here(own_address, controlling=True) as ice:
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
    async with aioice_peer(address=own_address) as peer, open_here(own_address, controlling=True) as ice:
        await connect(ice, peer, peer_controls=False)
        if who == "we":
            await ice.send(data)
            assert await peer.receive(1) == [data]
        else:
            await peer.send([data])
            assert await ice.receive() == data


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "aioice-controls"])
async def test_both_components_connect_and_carry_their_own_data(controlling):
    async with aioice_peer(address="127.0.0.1") as peer, open_ours(controlling=controlling, components=2) as ours:
        await connect_ours(ours, peer, await peer.start(controlling=not controlling, components=2))
        for component in (1, 2):
            await exchange_ours(ours, peer, component)


@pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "aioice-controls"])
@pytest.mark.parametrize(("ours_only", "theirs_only"), [(False, True), (True, False), (True, True)], ids=["aioice", "we", "both"])
async def test_who_may_use_only_relays_connects_through_our_server(controlling, ours_only, theirs_only):
    async with open_relay() as relay:
        here = {"servers": [relay.for_us], "policy": "relay"} if ours_only else {}
        there = {"relay": relay.for_peer, "only_relays": True} if theirs_only else {}
        async with open_ours(controlling=controlling, **here) as ours, aioice_peer(address="127.0.0.1") as peer:
            theirs = await peer.start(controlling=not controlling, **there)
            await connect_ours(ours, peer, theirs)
            await exchange_ours(ours, peer)
            assert (ours.pair.local.type is CandidateType.RELAYED) is ours_only
            assert (ours.pair.remote.type is CandidateType.RELAYED) is theirs_only
