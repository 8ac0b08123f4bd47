"""From a scene to a network: everything is where the scene says."""

import attrs
import pytest

from sansice import Address, AddressRecord, RecordKind, ResolveError
from sansice.ice import CandidateType
from sansice.simulation import (
    AgentSpec,
    Expectation,
    Filtering,
    FirewallSpec,
    Forward,
    Hairpinning,
    HostSpec,
    InterfaceSpec,
    Link,
    Mapping,
    NameSpec,
    NatKind,
    NatSpec,
    ProxySpec,
    RouterSpec,
    SegmentSpec,
    StunServerSpec,
    simulate,
)
from simulation._scenes import two_homes


def test_places_are_known_by_their_names():
    world = two_homes(segments=(SegmentSpec("cellar", link=Link(latency=0.3)),), firewalls=(FirewallSpec("gate"),)).build()
    assert list(world.places) == ["internet", "cellar", "home A", "home B", "gate"]
    assert world.places["internet"] is world.network.internet
    assert world.places["cellar"].inside.link == Link(latency=0.3)
    assert list(world.nats) == ["home A", "home B"]
    assert list(world.firewalls) == ["gate"]


def test_firewall_has_the_links_that_the_scene_gives_it():
    link, lan = Link(latency=0.1), Link(latency=0.2)
    gate = two_homes(firewalls=(FirewallSpec("gate", link=link, lan=lan),)).build().firewalls["gate"]
    assert (gate.outer.link, gate.inside.link) == (link, lan)


def test_nat_behaves_as_its_preset_where_nothing_else_is_said():
    kind = (
        two_homes(
            nats=(
                NatSpec("home A", "203.0.113.1", "symmetric", filtering=Filtering.ADDRESS_DEPENDENT, lifetime=9.0),
                NatSpec("home B", "198.51.100.1", hairpinning=True),
            )
        )
        .build()
        .nats
    )
    assert (kind["home A"].mapping, kind["home A"].filtering) == (Mapping.ADDRESS_AND_PORT_DEPENDENT, Filtering.ADDRESS_DEPENDENT)
    assert kind["home A"].lifetime == 9.0
    assert kind["home B"].kind.hairpinning is Hairpinning.EXTERNAL_SOURCE


def test_nat_may_be_of_a_kind_without_a_name():
    kind = NatKind(parity=True, hairpinning=True)
    spec = NatSpec("home A", "203.0.113.1", kind=kind, hairpinning=False)
    assert spec.nat_kind == NatKind(parity=True)


def test_family_that_a_nat_routes_meets_the_firewall_that_the_scene_gives_it():
    def connects(firewall):
        scene = two_homes(
            nats=(NatSpec("home A", "203.0.113.1", firewall=firewall), NatSpec("home B", "198.51.100.1", firewall=firewall)),
            hosts=(HostSpec("alice", "2001:db8:a::2", behind="home A"), HostSpec("bob", "2001:db8:b::2", behind="home B")),
            agents=(AgentSpec("alice", controlling=True), AgentSpec("bob")),
        )
        return simulate(scene).connected

    assert (connects(None), connects("stateful"), connects("udp-blocked")) == (True, True, False)


def test_forward_lets_strangers_in():
    forward = Forward(Address("203.0.113.1", 0), Address("192.168.1.2", 0))
    scene = two_homes(
        nats=(NatSpec("home A", "203.0.113.1", forwards=(forward,)), NatSpec("home B", "198.51.100.1", "symmetric")),
        expect=Expectation(pair_types="srflx-prflx"),
    )
    assert simulate(scene).surprises == ()


def test_interfaces_are_attached_where_and_how_they_say():
    world = two_homes(
        segments=(SegmentSpec("tunnel"),),
        hosts=(
            HostSpec("alice", "192.168.1.2", behind="home A", interfaces=(InterfaceSpec("10.8.0.1", "tunnel"),)),
            HostSpec("bob", "10.8.0.2", behind="tunnel", link=Link(latency=0.5)),
        ),
        agents=(AgentSpec("alice", controlling=True), AgentSpec("bob")),
    ).build()
    assert world.hosts["alice"].addresses == ("192.168.1.2", "10.8.0.1")
    assert list(world.interfaces) == [
        ("alice", "192.168.1.2"),
        ("alice", "10.8.0.1"),
        ("bob", "10.8.0.2"),
        ("stun", "192.0.2.9"),
    ]
    run = world.run()
    assert run.pair_types == ("host-host",)
    assert run.setup_ms is not None and run.setup_ms > 1000.0


def test_interface_that_is_not_up_is_no_candidate():
    hosts = (
        HostSpec("alice", interfaces=(InterfaceSpec("192.168.1.2", "home A"), InterfaceSpec("192.168.1.3", "home A", up=False))),
        HostSpec("bob", "192.168.1.2", behind="home B"),
    )
    run = simulate(two_homes(hosts=hosts))
    hosts = [candidate for candidate in run.agents["alice"].local_candidates if candidate.type is CandidateType.HOST]
    assert [str(candidate.address).partition(":")[0] for candidate in hosts] == ["192.168.1.2"]


def test_server_stands_where_it_says_with_its_port():
    scene = two_homes(
        servers=(StunServerSpec("stun", "192.168.1.9", port=3500, behind="home A"),),
        names=(NameSpec("stun.example.org", "192.168.1.9"),),
        hosts=(HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.3", behind="home A")),
        agents=(AgentSpec("alice", controlling=True, ice_servers="stun:stun.example.org:3500"), AgentSpec("bob")),
    )
    run = simulate(scene)
    assert run.connected
    assert not [event for _, _, event in run.events if type(event).__name__ == "ServerFailed"]


def test_proxy_runs_on_its_host():
    world = two_homes(proxies=(ProxySpec("proxy", "192.0.2.80", port=8080, ports=(443, 5349)),)).build()
    assert list(world.servers) == ["stun", "proxy"]
    assert list(world.servers["proxy"].sockets.values()) == [Address("192.0.2.80", 8080)]


def test_agents_draw_their_bytes_from_the_seed():
    def passwords(seed):
        return [agent.credentials.pwd for agent in two_homes().build(seed=seed).agents.values()]

    assert passwords(1) == passwords(1)
    assert len({*passwords(1), *passwords(2)}) == 4


def test_two_agents_of_one_host_draw_different_bytes():
    agents = (AgentSpec("alice", controlling=True), AgentSpec("alice", name="echo"))
    first, second = two_homes(agents=agents).build().agents.values()
    assert first.credentials != second.credentials


def test_hosts_on_two_floors_reach_each_other_over_the_router():
    scene = two_homes(
        segments=(
            SegmentSpec("first floor", "10.1.1.0/24", behind="core"),
            SegmentSpec("second floor", "10.1.2.0/24", behind="core"),
            SegmentSpec("cellar", "10.1.3.0/24", behind="home A"),
        ),
        routers=(RouterSpec("core", behind="home A", link=Link(latency=0.3)),),
        hosts=(HostSpec("alice", "10.1.1.2", behind="first floor"), HostSpec("bob", "10.1.2.2", behind="second floor")),
        expect=Expectation(pair_types="host-host"),
    )
    assert simulate(scene).surprises == ()
    assert list(scene.build().routers) == ["core"]
    upstairs = attrs.evolve(scene, hosts=(scene.hosts[0], HostSpec("bob", "10.1.3.2", behind="cellar")))
    run = simulate(upstairs)
    assert run.pair_types == ("host-host",)
    assert run.setup_ms is not None and run.setup_ms > 1000.0  # over the router's slow access


def test_host_with_nothing_but_ipv6_is_told_names_by_the_nat64_in_front_of_it():
    scene = two_homes(
        nats=(NatSpec("home A", "203.0.113.1", nat64="64:ff9b::/96"), NatSpec("home B", "198.51.100.1")),
        hosts=(
            HostSpec("alice", "2001:db8:a::2", behind="home A"),
            HostSpec("bob", "2001:db8:b::2", behind="home B"),
            HostSpec("printer", ("2001:db8:a::3", "192.168.1.3"), behind="home A"),
        ),
        names=(NameSpec("stun.example.org", "192.0.2.9"),),
    )
    hosts = scene.build().hosts
    answers = {name: hosts[name].names.look_up("stun.example.org", RecordKind.AAAA)[1] for name in ("alice", "bob", "printer")}
    assert answers == {
        "alice": (AddressRecord("64:ff9b::c000:209"),),
        "bob": ResolveError.NOT_FOUND,
        "printer": ResolveError.NOT_FOUND,
    }


@pytest.mark.parametrize("order", [1, -1])
def test_nested_nats_are_built_in_any_order(order):
    nats = (
        NatSpec("carrier", "203.0.113.7", "cgnat"),
        NatSpec("home A", "100.64.0.1", behind="carrier"),
        NatSpec("home B", "198.51.100.1"),
    )
    assert simulate(two_homes(nats=nats[::order])).connected


def test_nothing_has_happened_yet():
    world = two_homes().build(trace=5)
    assert (world.network.now, list(world.network.packets), world.nodes["alice"].events) == (0.0, [], [])
    assert [program.name for program in world.callers] == ["alice"]
