"""Our own adapters, unmodified, on the hosts of a simulated network."""

import pytest
import trio

from sansice import AddressRecord
from sansice.ice import IceFailed
from sansice.simulation import Network
from sansice.stun import StunError, StunServerConfig
from sansice_trio import discover_nat, open_ice, serve_stun, stun_binding
from sansice_trio.testing import on_host, open_network

STUN = "198.51.100.9"


@pytest.fixture
async def net():
    net = Network(seed=1, latency=0.02)
    net.stun_server(STUN)
    net.resolve("stun.example", [AddressRecord(STUN)])
    async with open_network(net):
        yield net


def behind(net, preset, name, outer, inner):
    return net.host(name, inner, behind=net.nat(outer, preset=preset))


def two_homes(net, one, other):
    return behind(net, one, "alice", "203.0.113.1", "10.0.0.2"), behind(net, other, "bob", "203.0.113.2", "192.168.1.2")


async def talk(controlling, mine, theirs, outcomes, entropy):
    async with open_ice(controlling=controlling, ice_servers=["stun:stun.example"], entropy=entropy) as ice:
        await mine.send(await ice.gather())
        try:
            pair = await ice.connect(await theirs.receive())
        except IceFailed:
            outcomes.append("failed")
            return
        await ice.send(b"hello")
        outcomes.append((pair.local.type.value, pair.remote.type.value, await ice.receive()))
        await trio.sleep(5)


async def call(alice, bob):
    """What both ends say of their call."""
    outcomes = []
    to_bob, from_alice = trio.open_memory_channel(1)
    to_alice, from_bob = trio.open_memory_channel(1)
    async with trio.open_nursery() as nursery:
        with on_host(alice):
            nursery.start_soon(talk, True, to_bob, from_bob, outcomes, alice.entropy)
        with on_host(bob):
            nursery.start_soon(talk, False, to_alice, from_alice, outcomes, bob.entropy)
    return outcomes


async def test_a_call_through_two_nats_connects(net, autojump_clock):
    assert await call(*two_homes(net, "port-restricted", "port-restricted")) == 2 * [("srflx", "srflx", b"hello")]


async def test_a_call_through_two_symmetric_nats_fails_at_both_ends(net, autojump_clock):
    assert await call(*two_homes(net, "symmetric", "symmetric")) == ["failed", "failed"]
    assert trio.current_time() < 60


async def test_addresses_gathered_are_those_of_the_simulated_host(net, autojump_clock):
    host = net.host("host", "192.0.2.1", "2001:db8::1")
    with on_host(host):
        async with open_ice(controlling=True) as ice:
            candidates = (await ice.gather()).candidates
        async with open_ice(controlling=True, interface_filter=lambda name, address: ":" in address) as ice:
            filtered = (await ice.gather()).candidates
    assert {one.address.host for one in candidates} == {"192.0.2.1", "2001:db8::1"}
    assert {one.address.host for one in filtered} == {"2001:db8::1"}


async def test_a_binding_shows_the_outer_address(net, autojump_clock):
    with on_host(behind(net, "symmetric", "alice", "203.0.113.1", "10.0.0.2")) as alice:
        assert (await stun_binding("stun:stun.example", entropy=alice.entropy)).host == "203.0.113.1"


async def test_a_binding_without_an_answer_or_a_way_fails(net, autojump_clock):
    with on_host(net.host("a", "192.0.2.1")), pytest.raises(StunError):
        await stun_binding("stun:198.51.100.77")
    lonely = net.host("lonely", "10.0.0.9", behind=net.segment("island"))
    with on_host(lonely), pytest.raises(StunError):
        await stun_binding(f"stun:{STUN}")


async def test_our_server_answers_our_discovery_on_another_host(net, autojump_clock):
    server = net.host("server", "198.51.100.1", "198.51.100.2")
    listeners = [f"udp:{address}:{port}" for address in server.addresses for port in (3478, 3479)]
    with on_host(server):
        async with serve_stun(listeners, config=StunServerConfig(behavior=True), entropy=server.entropy):
            with on_host(behind(net, "symmetric", "alice", "203.0.113.1", "10.0.0.2")) as alice:
                found = await stun_binding("stun:198.51.100.1", entropy=alice.entropy)
                behavior = await discover_nat("stun:198.51.100.1", entropy=alice.entropy, lifetime_limit=1.0)
    assert found.host == "203.0.113.1"
    assert behavior.mapping is not None
    assert behavior.mapping.value == "address-and-port-dependent"
