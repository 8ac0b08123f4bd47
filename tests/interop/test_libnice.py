"""Our agent against libnice's."""

from __future__ import annotations

import pytest

from interop._libnice import COUNT, Libnice, at_once, connected, exchange, libnice, trickled
from interop._ours import Ours, open_lite, open_ours
from interop._relay import open_coturn, open_relay
from sansice.ice import CandidateType, Choice, GatheringOptions, IceRole, Nomination, PairSelected, TcpType
from sansice.machine import Transport

NOMINATION = pytest.mark.parametrize("options", [(), ("REGULAR_NOMINATION",)], ids=["aggressive", "regular"])
HOSTS = ["127.0.0.1", "127.0.0.2"]
ROLES = pytest.mark.parametrize("controlling", [True, False], ids=["we-control", "libnice-controls"])


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


@ROLES
@pytest.mark.parametrize("kind", ["active", "passive"])
async def test_connects_with_libnice_over_tcp_whoever_opens_the_connection(controlling, kind):
    gathering = GatheringOptions(udp=False, tcp=(kind,))
    async with (
        libnice(controlling=not controlling, options=("REGULAR_NOMINATION",), udp=False, tcp=True) as peer,
        open_ours(controlling=controlling, gathering=gathering) as ours,
    ):
        await at_once(peer, ours)
        await connected(peer, ours)
        await exchange(peer, ours)
        assert ours.pair.local.tcp_type is TcpType(kind)
        assert ours.pair.remote.transport is Transport.TCP


@ROLES
async def test_udp_is_preferred_where_both_ends_have_both(controlling):
    gathering = GatheringOptions(tcp=("active", "passive"))
    async with (
        libnice(controlling=not controlling, options=("REGULAR_NOMINATION",), tcp=True) as peer,
        open_ours(controlling=controlling, gathering=gathering) as ours,
    ):
        await at_once(peer, ours)
        await connected(peer, ours)
        await exchange(peer, ours)
        assert ours.pair.local.transport is Transport.UDP


@ROLES
@pytest.mark.parametrize(
    ("ours_only", "theirs_only", "options"),
    [(False, True, ()), (True, False, ("REGULAR_NOMINATION",)), (True, True, ("REGULAR_NOMINATION",))],
    ids=["libnice", "we", "both"],
)
async def test_who_may_use_only_relays_connects_through_our_server(controlling, ours_only, theirs_only, options):
    async with open_relay() as relay:
        here = {"servers": [relay.for_us], "policy": "relay"} if ours_only else {}
        there = {"relay": relay.for_peer, "only_relays": True} if theirs_only else {}
        async with (
            open_ours(controlling=controlling, **here) as ours,
            libnice(controlling=not controlling, options=options, **there) as peer,
        ):
            await at_once(peer, ours)
            await connected(peer, ours)
            await exchange(peer, ours)
            assert (ours.pair.local.type is CandidateType.RELAYED) is ours_only
            assert (ours.pair.remote.type is CandidateType.RELAYED) is theirs_only


@ROLES
async def test_both_connect_through_coturn(tmp_path, controlling):
    with open_coturn(tmp_path) as relay:
        async with (
            open_ours(controlling=controlling, servers=[relay.for_us], policy="relay") as ours,
            libnice(controlling=not controlling, relay=relay.for_peer, only_relays=True) as peer,
        ):
            await at_once(peer, ours)
            await connected(peer, ours)
            await exchange(peer, ours)
            assert ours.pair.local.type is ours.pair.remote.type is CandidateType.RELAYED


@NOMINATION
async def test_libnice_connects_with_our_lite_agent(options):
    async with libnice(controlling=True, options=options) as peer, open_lite(controlling=False) as ours:
        await at_once(peer, ours)
        await connected(peer, ours)
        await exchange(peer, ours)


@NOMINATION
async def test_lite_libnice_connects_with_our_full_agent(options):
    options = (*options, "LITE_MODE")
    async with libnice(controlling=False, options=options) as peer, open_ours(controlling=True) as ours:
        await at_once(peer, ours, lite=True)
        await connected(peer, ours)
        await exchange(peer, ours)


@NOMINATION
@ROLES
@pytest.mark.parametrize("tell", [at_once, trickled])
async def test_both_components_connect_and_carry_their_own_data(tell, controlling, options):
    options = (*options, "ICE_TRICKLE") if tell is trickled else options
    theirs = {"controlling": not controlling, "options": options, "components": 2}
    async with libnice(**theirs) as peer, open_ours(controlling=controlling, components=2) as ours:
        await tell(peer, ours)
        for component in (1, 2):
            await connected(peer, ours, component)
            await exchange(peer, ours, component)


def worst_first(nominees, now):
    """A policy that begins with the worst pair, and moves to the best one."""
    if len(nominees) < len(HOSTS):
        return None
    return Choice(nominees[0] if any(one.selected for one in nominees) else nominees[-1])


async def test_libnice_follows_us_to_a_better_pair_without_a_restart():  # to a worse one it never goes
    moving = Nomination(renominate=True, choose=worst_first)
    theirs = {"controlling": False, "options": ["REGULAR_NOMINATION", "SUPPORT_RENOMINATION"]}
    async with libnice(**theirs) as peer, open_ours(controlling=True, nomination=moving, addresses=HOSTS) as ours:
        await at_once(peer, ours, options=("renomination",))
        await ours.until(lambda: len(ours.told(PairSelected)) == 2)
        await connected(peer, ours)
        await exchange(peer, ours)
        assert [event.pair.local.address.host for event in ours.told(PairSelected)] == HOSTS[::-1]


async def restart_by_libnice(peer: Libnice, ours: Ours) -> None:
    await peer.restart()
    ours.call(ours.agent.set_remote, await peer.description())
    await ours.gathered()
    await peer.learn(ours.description)


async def restart_by_us(peer: Libnice, ours: Ours) -> None:
    ours.call(ours.agent.restart)
    await ours.gathered()
    await peer.restart()  # which it leaves to the application, on either side
    await peer.learn(ours.description)
    ours.call(ours.agent.set_remote, await peer.description())


@NOMINATION
@ROLES
@pytest.mark.parametrize("restart", [restart_by_libnice, restart_by_us])
async def test_restart_leads_to_a_new_pair_and_data_goes_on(restart, controlling, options):
    async with libnice(controlling=not controlling, options=options) as peer, open_ours(controlling=controlling) as ours:
        await at_once(peer, ours)
        await connected(peer, ours)
        await exchange(peer, ours)
        selections = len(ours.told(PairSelected))
        await restart(peer, ours)
        ours.call(ours.agent.send, b"in the middle")
        await ours.until(lambda: len(ours.told(PairSelected)) > selections)
        await connected(peer, ours)
        ours.call(ours.agent.send, b"afterwards")
        received = await peer.ask(receive=COUNT + 2, component=1)
        assert [bytes.fromhex(data) for data in received[COUNT:]] == [b"in the middle", b"afterwards"]
