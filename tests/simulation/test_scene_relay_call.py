"""Calls through relays: over every transport, between all kinds of NAT, and what the program around the client does."""

import attrs
import pytest

from sansice import Address
from sansice.simulation import (
    MATRIX_KINDS,
    At,
    Capture,
    HostSpec,
    Link,
    NatSpec,
    RelayCallSpec,
    Scene,
    ServerRebooted,
    Story,
    TurnServerSpec,
    matrix_scene,
    predict,
    scene,
    simulate,
)
from sansice.turn import AllocationCreated, AllocationFailed, AllocationLost, TurnServer

TURN = TurnServerSpec("turn", ("192.0.2.10", "2001:db8::10"))


def call(**parts):
    """Alice, behind a NAT, calls Bob, behind another, through a relay."""
    return Scene(
        **{
            "name": "a call",
            "nats": (NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")),
            "hosts": (HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")),
            "turn_servers": (TURN,),
            "calls": (RelayCallSpec("alice", "bob"),),
            **parts,
        }
    )


def events_of(run, kind):
    return [time for time, _, event in run.events if type(event) is kind]


SEEN_AS = {
    "open": "relay-host",
    "full-cone": "relay-srflx",
    "restricted-cone": "relay-srflx",
    "port-restricted": "relay-srflx",
    "symmetric": "relay-prflx",
}


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
@pytest.mark.parametrize("b", MATRIX_KINDS)
def test_every_kind_of_nat_is_called_through_a_relay(transport, b):
    for a in MATRIX_KINDS:
        calls = (RelayCallSpec("alice", "bob", transport=transport),)
        run = simulate(attrs.evolve(matrix_scene(a, b), agents=(), turn_servers=(TURN,), calls=calls))
        assert run.pair_types == (SEEN_AS[b],)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "dtls"])
def test_every_transport_carries_a_call(transport):
    run = simulate(call(calls=(RelayCallSpec("alice", "bob", transport=transport),)))
    assert (run.connected, run.lasted, run.sent, run.echoed, run.surprises) == (True, True, 3, 3, ())
    assert run.agents == {}
    assert list(run.world.nodes) == ["alice", "alice's peer"]


def test_lost_packets_are_made_up_for():
    scene = call(internet=Link(latency=0.02, loss=0.2))
    for seed in range(10):
        run = simulate(scene, seed=seed)
        assert run.connected and run.echoed, seed


def test_peer_that_reaches_no_server_is_still_reached_where_it_is_public():
    """Its own packets are lost while it asks; its address is one that anybody can send to."""
    hosts = (HostSpec("alice", "203.0.113.7"), HostSpec("bob", "198.51.100.7"))
    world = call(nats=(), hosts=hosts).build()
    world.network.drop = lambda packet: packet.source.host == "198.51.100.7" and world.network.now < 3.5
    run = world.run()
    assert (run.connected, run.pair_types) == (True, ("relay-host",))


def test_call_over_ipv6_alone_is_possible():
    hosts = (HostSpec("alice", "2001:db8:1::2"), HostSpec("bob", "2001:db8:2::2"))
    servers = (attrs.evolve(TURN, addresses="2001:db8::10"),)
    run = simulate(call(nats=(), hosts=hosts, turn_servers=servers))
    assert (run.connected, run.pair_types) == (True, ("relay-host",))
    assert run.world.calls["alice"].client.relayed[0].is_ipv6


def test_call_that_finds_no_server_is_not_connected_and_tries_again():
    servers = (attrs.evolve(TURN, port=3479), TurnServerSpec("elsewhere", "192.0.2.11"))
    world = call(turn_servers=servers).build()
    world.servers["turn"].stop()
    run = world.run(until=30.0)
    assert (run.connected, run.lasted, run.setup_ms, run.pair_types) == (False, False, None, ())
    assert len(events_of(run, AllocationFailed)) > 1
    assert world.settled


def test_restarted_server_is_noticed_and_the_peer_is_told_where_to_send_now():
    run = simulate(scene("relay-restart"))
    [lost] = events_of(run, AllocationLost)
    first, second = events_of(run, AllocationCreated)
    assert 35.0 < lost < 30.0 + 300.0
    assert first < 1.0 and second - lost < 0.5
    call = run.world.calls["alice"]
    assert (call.allocations, call.is_up, run.lasted) == (2, True, True)


def test_restarted_server_behind_a_stream_is_noticed_at_once():
    run = simulate(scene("relay-restart-stream"))
    [lost] = events_of(run, AllocationLost)
    assert 30.0 <= lost < 30.5
    assert events_of(run, AllocationCreated)[-1] < 45.0


def test_server_that_never_comes_back_ends_the_call():
    run = simulate(call(changes=(At(10.0, ServerRebooted("turn", 1000.0)),)), until=400.0)
    assert (run.connected, run.lasted, run.world.calls["alice"].is_up) == (True, False, False)


def test_client_without_a_ticket_has_a_new_relayed_address_where_its_own_has_changed():
    mobile = scene("relay-mobile")
    # Nothing answers any more, so that it is the end of the allocation's life that tells.
    run = simulate(attrs.evolve(mobile, calls=(RelayCallSpec("alice", "bob"),), duration=700.0))
    assert (run.lasted, run.world.calls["alice"].allocations) == (True, 2)
    kept = simulate(mobile)
    assert (kept.lasted, kept.world.calls["alice"].allocations) == (True, 1)


def test_probes_wait_while_there_is_no_relay():
    """The stream breaks right after the first of them."""
    streams = (RelayCallSpec("alice", "bob", transport="tcp"),)
    run = simulate(call(calls=streams, changes=(At(0.34, ServerRebooted("turn", 1.0)),)))
    assert (run.connected, run.lasted, run.echoed) == (True, True, 3)
    assert run.sent > 3


def test_two_calls_through_one_server_do_not_disturb_each_other():
    hosts = tuple(HostSpec(name, f"203.0.113.{number}") for number, name in enumerate(("a", "b", "c", "d"), 20))
    calls = (RelayCallSpec("a", "b"), RelayCallSpec("c", "d", start=1.0))
    run = simulate(call(nats=(), hosts=hosts, calls=calls))
    assert (run.connected, run.echoed, run.pair_types) == (True, 6, ("relay-host",) * 2)
    server = run.world.servers["turn"].machine
    assert len(server.allocations(now=run.network.now)) == 2


def test_agents_and_calls_live_in_one_scene():
    homes = scene("two-homes")
    run = simulate(attrs.evolve(homes, turn_servers=(TURN,), calls=(RelayCallSpec("alice", "bob", name="beside it"),)))
    assert (run.connected, run.pair_types, run.echoed) == (True, ("srflx-srflx", "relay-srflx"), 6)
    assert list(run.world.nodes) == ["alice", "bob", "beside it", "beside it's peer"]


def test_relayed_address_in_a_private_network_is_refused_by_the_servers_policy():
    lan = (HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.3", behind="home A"))
    servers = (TurnServerSpec("turn", "192.168.1.10", behind="home A"),)
    run = simulate(call(hosts=lan, turn_servers=servers))
    assert not run.connected


def test_same_seed_gives_the_same_run():
    lossy = call(internet=Link(latency=0.02, jitter=0.01, loss=0.1))
    first, second = (simulate(lossy, seed=5, trace=10**6) for _ in range(2))
    assert list(first.network.packets) == list(second.network.packets)


def test_oracle_says_nothing_of_calls():
    prediction = predict(call())
    assert (prediction.connected, prediction.couples, prediction.calls) == (None, (), ("alice",))
    assert predict(attrs.evolve(scene("two-homes"), turn_servers=(TURN,))).calls == ()


def test_story_tells_what_client_and_peer_are_told():
    story = Story()
    run = simulate(call(), observers=[story])
    text = story.timeline(run.world.nodes)
    assert "alice tells AllocationCreated" in text
    assert "alice's peer tells PeerHeard" in text


def test_capture_of_a_call_can_be_made(tmp_path):
    with (tmp_path / "call.pcapng").open("wb") as file, Capture(file) as capture:
        simulate(matrix_scene("symmetric", "symmetric", "tls"), observers=[capture])
    assert (tmp_path / "call.pcapng").stat().st_size > 5000


def test_turn_server_of_a_scene_is_what_runs_on_its_host():
    world = call().build()
    server = world.servers["turn"].machine
    assert isinstance(server, TurnServer)
    assert len(server.addresses) == 8  # four transports on two addresses
    assert {address.port for _, address in server.addresses} == {3478, 5349}
    assert Address("192.0.2.10", 3478) in dict.fromkeys(address for _, address in server.addresses)
