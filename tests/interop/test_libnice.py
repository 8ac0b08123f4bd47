"""Our agent against libnice's."""

from __future__ import annotations

import os

import attrs
import pytest

from interop._libnice import Libnice, libnice
from interop._ours import Ours, open_ours
from sansice.ice import IceRole, IceState

COUNT = 20
NOMINATION = pytest.mark.parametrize("options", [(), ("REGULAR_NOMINATION",)], ids=["aggressive", "regular"])
ROLES = pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "libnice-controls"])


async def at_once(peer: Libnice, ours: Ours) -> None:
    """Tell each the whole description of the other."""
    await ours.gathered()
    ours.call(ours.agent.set_remote, await peer.description())
    await peer.learn(ours.description)


async def trickled(peer: Libnice, ours: Ours) -> None:
    """Tell each first who the other is, and then candidate by candidate."""
    nobody = attrs.evolve(ours.description, candidates=(), end_of_candidates=False)
    await peer.learn(nobody)
    ours.call(ours.agent.set_remote, attrs.evolve(nobody, ufrag=peer.ufrag, pwd=peer.pwd))
    ours.gather()
    async for line in ours.candidates():
        await peer.ask(remote={"ufrag": nobody.ufrag, "pwd": nobody.pwd, "candidates": [line]})
    await peer.ask(remote={"ufrag": nobody.ufrag, "pwd": nobody.pwd, "end": True})
    for candidate in await peer.candidates():
        ours.call(ours.agent.add_remote_candidate, candidate)
    ours.call(ours.agent.end_of_candidates)


async def connected(peer: Libnice, ours: Ours) -> None:
    """Wait until both are, and have selected the same pair."""
    await peer.ready()
    await ours.until_state(IceState.COMPLETED)
    local, remote = await peer.selected()
    assert (local.address, remote.address) == (ours.pair.remote.address, ours.pair.local.address)


async def exchange(peer: Libnice, ours: Ours, component: int = 1) -> None:
    """Datagrams each way: all arrive, unchanged and in order."""
    from_us = [b"to libnice %d " % number + os.urandom(number) for number in range(COUNT)]
    from_peer = [b"from libnice %d " % number + os.urandom(number) for number in range(COUNT)]
    for data in from_us:
        ours.call(ours.agent.send, data, component=component)
    received = await peer.ask(receive=COUNT, component=component)
    assert [bytes.fromhex(data) for data in received] == from_us
    await peer.ask(send=[data.hex() for data in from_peer], component=component)
    assert await ours.data(COUNT, component=component) == from_peer


@NOMINATION
@ROLES
@pytest.mark.parametrize("tell", [at_once, trickled])
async def test_connects_with_libnice_and_data_flows_both_ways(tell, controlling, options):
    options = (*options, "ICE_TRICKLE") if tell is trickled else options
    async with libnice(controlling=not controlling, options=options) as peer, open_ours(controlling=controlling) as ours:
        await tell(peer, ours)
        await connected(peer, ours)
        await exchange(peer, ours)
        assert (ours.agent.role is IceRole.CONTROLLING) is controlling
        assert await peer.ask(controlling=None) is not controlling
