"""Connections whose machine goes to another network: told by the system, or by whoever knows better."""

import pytest

from adapters.conformance.test_ice import QUICK, connect, until
from interop._netns import required_namespaces
from sansice.ice import CandidatePair, GatheringOptions, IceClosed, IceState, Nomination
from sansice.sockets import interfaces

MOVING = {"nomination": Nomination(renominate=True), "gathering": GatheringOptions(continual=True)}
V4, V6 = "127.0.0.1", "::1"


def opened(rt, controlling, wanted, **arguments):
    """A connection that uses the addresses in ``wanted``, which a test may change."""
    only = {"include_loopback": True, "interface_filter": lambda name, address: address in wanted}
    return rt.opened(rt.adapter.open_ice(controlling=controlling, **{"config": QUICK, **only, **arguments}))


async def echo(rt, alice, bob):
    """Data goes both ways."""
    for one, other in ((alice, bob), (bob, alice)):
        await rt.call(one.send(b"still there?"))
        while await rt.call(other.receive()) != b"still there?":
            pass


async def restart(rt, alice, bob):
    """Alice's restart, from her words to the new pair."""
    alice.restart()
    bob.set_remote(await rt.call(alice.gather()))
    answer = await rt.call(bob.gather())

    async def from_alice():
        return await rt.call(alice.connect(answer))

    async def from_bob():
        return await rt.call(bob.connected())

    return await rt.together(from_alice, from_bob)


def local_host(ice):
    pair = ice.selected_pair
    return pair.local.address.host if isinstance(pair, CandidatePair) else None


def local_hosts_of(ice):
    return {candidate.address.host for candidate in ice.local_description.candidates}


def test_a_pair_whose_address_is_gone_is_left_for_another_by_renomination(rt):
    async def body(rt):
        wanted = [V4]
        async with opened(rt, True, wanted, watch_network=0.005, **MOVING) as alice:
            async with opened(rt, False, [V4, V6], **MOVING) as bob:
                await connect(rt, alice, bob)
                wanted[:] = [V6]
                await until(rt, alice, lambda: local_host(alice) == V6)
                await until(rt, bob, lambda: local_host(bob) == V6)
                assert not alice.needs_restart
                await echo(rt, alice, bob)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_where_only_a_restart_helps_whoever_waits_for_that_is_told_and_nobody_else_fails(rt):
    async def body(rt):
        wanted = [V4]
        async with opened(rt, True, wanted, watch_network=0.005) as alice, opened(rt, False, [V4, V6]) as bob:
            await connect(rt, alice, bob)
            assert not alice.needs_restart

            async def leave():
                wanted[:] = [V6]
                await rt.call(alice.restart_needed())
                assert alice.state is IceState.DISCONNECTED
                await restart(rt, alice, bob)
                await rt.call(bob.send(b"found you"))

            async def read_on():
                return await rt.call(alice.receive())

            assert (await rt.together(leave, read_on))[1] == b"found you"
            assert local_host(alice) == V6 and not alice.needs_restart
            await echo(rt, alice, bob)

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_addresses_that_are_given_by_who_knows_better_stay_whatever_the_system_says(rt):
    async def body(rt):
        async with opened(rt, True, [V4], watch_network=0.005) as alice, opened(rt, False, [V4, V6], watch_network=False) as bob:
            await connect(rt, alice, bob)
            alice.update_addresses([V6])
            await rt.call(alice.restart_needed())
            await rt.call(alice.restart_needed())  # it is still
            await restart(rt, alice, bob)
            assert local_host(alice) == V6

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_who_waits_for_a_need_to_restart_hears_of_the_end_instead(rt):
    async def body(rt):
        async with opened(rt, True, [V4]) as alice:
            await rt.call(alice.gather())

            async def wait():
                with pytest.raises(IceClosed):
                    await rt.call(alice.restart_needed())

            async def close():
                await rt.sleep(0.01)
                alice.close()

            await rt.together(wait, close)
            await wait()

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


def test_continual_candidates_go_on_with_those_of_new_addresses_and_end_with_the_connection(rt):
    async def body(rt):
        wanted = [V4]
        async with opened(rt, True, wanted, watch_network=0.005, gathering=GatheringOptions(continual=True)) as alice:
            seen = []

            async def read():
                async for candidate in rt.each(alice.candidates()):
                    seen.append(candidate.address.host)  # noqa: PERF401  # it is read while it grows

            async def move():
                for number, host in enumerate((V4, V6, V4), 1):
                    wanted[:] = [host]
                    while len(seen) < number:
                        await rt.sleep(0.002)
                assert not alice.local_description.end_of_candidates
                alice.close()

            await rt.together(read, move)
            assert seen == [V4, V6, V4]

    rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt)))


GONE = {
    "address taken": ("phone", "addr del 10.1.0.2/24 dev wifi", "addr add 10.1.0.2/24 dev wifi"),
    "switched off": ("phone", "link set wifi down", "link set wifi up"),
    "cable pulled": ("far", "link set wifi down", "link set wifi up"),
}


@pytest.mark.parametrize("moves", [True, False], ids=["renomination", "restart"])
@pytest.mark.parametrize("gone", GONE)
def test_the_call_goes_on_when_an_interface_is_lost_and_what_comes_back_is_gathered_from(rt, gone, moves):
    where, away, back = GONE[gone]

    async def body(rt, spaces):
        options = MOVING if moves else {}
        of_phone = {"interface_filter": lambda name, address: name in ("wifi", "lte") and ":" not in address, **options}
        at_home = {"interface_filter": lambda name, address: name == "home" and ":" not in address, **options}
        async with rt.opened(rt.adapter.open_ice(controlling=True, config=QUICK, **of_phone)) as alice:
            async with rt.opened(rt.adapter.open_ice(controlling=False, config=QUICK, **at_home)) as bob:
                await connect(rt, alice, bob)
                assert local_host(alice) == "10.1.0.2"
                await echo(rt, alice, bob)
                spaces.ip(where, [away])
                spaces.ip("phone", ["addr add 10.2.0.2/24 dev lte"])
                if not moves:
                    await rt.call(alice.restart_needed())
                    await restart(rt, alice, bob)
                await until(rt, alice, lambda: local_host(alice) == "10.2.0.2")
                await until(rt, bob, lambda: bob.selected_pair.remote.address.host == "10.2.0.2")
                await echo(rt, alice, bob)
                if moves:  # what is selected for good has no use for more
                    assert "10.1.0.2" not in local_hosts_of(alice)
                    spaces.ip(where, [back])
                    while "10.1.0.2" not in local_hosts_of(alice):
                        await rt.sleep(0.01)

    with required_namespaces() as spaces:
        for name in ("phone", "far"):
            spaces.add(name)
        spaces.join("phone", "wifi", "far", "wifi")
        spaces.join("phone", "lte", "far", "lte")
        spaces.join("phone", "home", "far", "home")
        spaces.ip("phone", ["addr add 10.3.0.1/24 dev home", "addr add 10.1.0.2/24 dev wifi"])
        with spaces.inside("phone"):
            interfaces(refresh=True)  # not those that were listed a moment ago, out there
            rt.run(lambda rt: rt.leaves_nothing(lambda: body(rt, spaces)))
    interfaces(refresh=True)
