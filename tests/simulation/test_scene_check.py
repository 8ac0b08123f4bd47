"""Scenes that cannot be built are refused, and the text names the place."""

import re

import pytest

from sansice.simulation import (
    AgentSpec,
    At,
    Forward,
    HostSlept,
    HostSpec,
    InterfaceDown,
    InterfaceReaddressed,
    InterfaceSpec,
    InterfaceUp,
    Link,
    LinkChanged,
    NameSpec,
    NatRebooted,
    NatSpec,
    RouterSpec,
    SegmentSpec,
    ServerRebooted,
    StunServerSpec,
)
from simulation._scenes import two_homes

HOME_A, HOME_B = NatSpec("home A", "203.0.113.1"), NatSpec("home B", "198.51.100.1")
ALICE, BOB = HostSpec("alice", "192.168.1.2", behind="home A"), HostSpec("bob", "192.168.1.2", behind="home B")


def change(what):
    return (At(1.0, what),)


IMPOSSIBLE = {
    "a name of two parts": (
        {"servers": (StunServerSpec("alice", "192.0.2.9"),)},
        "servers[0] 'alice': the name is taken by hosts[0] 'alice'",
    ),
    "a place called like the Internet": (
        {"segments": (SegmentSpec("internet"),)},
        "segments[0] 'internet': the name is taken by the place that every scene has",
    ),
    "a name answered twice": (
        {"names": (NameSpec("stun.example.org", "192.0.2.9"), NameSpec("STUN.example.org.", "192.0.2.8"))},
        "names[1] 'STUN.example.org.': answered before",
    ),
    "a host nowhere": (
        {"hosts": (ALICE, HostSpec("bob", "192.168.1.2", behind="home C"))},
        "hosts[1] 'bob': there is no place 'home C' to stand behind",
    ),
    "a NAT nowhere": (
        {"nats": (HOME_A, NatSpec("home B", "198.51.100.1", behind="carrier"))},
        "nats[1] 'home B': there is no place 'carrier' to stand behind",
    ),
    "a server nowhere": (
        {"servers": (StunServerSpec("stun", "192.0.2.9", behind="alice"),)},
        "servers[0] 'stun': there is no place 'alice' to stand behind",
    ),
    "NATs in a circle": (
        {"nats": (NatSpec("home A", "10.0.0.1", behind="home B"), NatSpec("home B", "10.0.0.2", behind="home A"))},
        "'home A' stands behind itself: 'home A' behind 'home B' behind 'home A'",
    ),
    "one address of two hosts on a LAN": (
        {"hosts": (ALICE, HostSpec("bob", "192.168.1.2", behind="home A"))},
        "hosts[1] 'bob': 192.168.1.2 at 'home A' is taken by hosts[0] 'alice', and no NAT stands between them",
    ),
    "one address of two LANs that are only routed": (
        {
            "hosts": (
                HostSpec("alice", "2001:db8::1", behind="home A"),
                HostSpec("bob", "2001:db8::1", behind="home B"),
            )
        },
        "hosts[1] 'bob': 2001:db8::1 at 'internet' is taken by hosts[0] 'alice', and no NAT stands between them",
    ),
    "a NAT and a server of one address": (
        {"servers": (StunServerSpec("stun", "203.0.113.1"),)},
        "servers[0] 'stun': 203.0.113.1 at 'internet' is taken by nats[0] 'home A', and no NAT stands between them",
    ),
    "a pool with one address twice": (
        {"nats": (NatSpec("home A", ("203.0.113.1", "203.0.113.1")), HOME_B)},
        "nats[0] 'home A': 203.0.113.1 at 'internet' is taken by nats[0] 'home A', and no NAT stands between them",
    ),
    "a pool of two addresses that nothing says how to share": (
        {"nats": (NatSpec("home A", ("203.0.113.1", "203.0.113.2")), HOME_B)},
        "home A: one outer address a family, not both 203.0.113.1 and 203.0.113.2, unless pooling says",
    ),
    "a forward from an address that the NAT has not": (
        {"nats": (NatSpec("home A", "203.0.113.1", forwards=(Forward(("203.0.113.9", 0), ("192.168.1.2", 0)),)), HOME_B)},
        "home A",
    ),
    "a host with one address in two places": (
        {"hosts": (HostSpec("alice", "192.168.1.2", behind="home A", interfaces=(InterfaceSpec("192.168.1.2", "home B"),)),)},
        "hosts[0] 'alice': 192.168.1.2 twice",
    ),
    "a private address on the Internet": (
        {"hosts": (ALICE, HostSpec("bob", "192.168.1.2"))},
        "hosts[1] 'bob': 192.168.1.2 is private, and no NAT stands between it and the Internet",
    ),
    "a local IPv6 address behind a NAT of IPv4": (
        {"hosts": (HostSpec("alice", "fd00::1", behind="home A"), BOB)},
        "hosts[0] 'alice': fd00::1 is private, and no NAT stands between it and the Internet",
    ),
    "a NAT with a private address on the Internet": (
        {"nats": (HOME_A, NatSpec("home B", "100.64.0.1"))},
        "nats[1] 'home B': 100.64.0.1 is private, and no NAT stands between it and the Internet",
    ),
    "subnets that overlap behind one router": (
        {
            "routers": (RouterSpec("core", behind="home A"),),
            "segments": (
                SegmentSpec("ground floor", "10.1.0.0/16", behind="core"),
                SegmentSpec("first floor", "10.1.2.0/24", behind="core"),
            ),
        },
        "10.1.2.0/24 of first floor overlaps 10.1.0.0/16 of ground floor",
    ),
    "an address that is none of its network's": (
        {
            "segments": (SegmentSpec("ground floor", "10.1.0.0/16", behind="home A"),),
            "hosts": (ALICE, HostSpec("bob", "10.2.0.1", behind="ground floor")),
        },
        "10.2.0.1 is none of ground floor's",
    ),
    "a private address that is only routed to the Internet": (
        {
            "routers": (RouterSpec("core"),),
            "segments": (SegmentSpec("ground floor", behind="core"),),
            "hosts": (ALICE, HostSpec("bob", "10.1.0.1", behind="ground floor")),
        },
        "hosts[1] 'bob': 10.1.0.1 is private, and no NAT stands between it and the Internet",
    ),
    "a host at a router, which is no place": (
        {"routers": (RouterSpec("core"),), "hosts": (ALICE, HostSpec("bob", "192.0.2.1", behind="core"))},
        "hosts[1] 'bob': there is no place 'core' to stand behind",
    ),
    "a router at a router": (
        {"routers": (RouterSpec("core"), RouterSpec("edge", behind="core"))},
        "routers[1] 'edge': there is no place 'core' to stand behind",
    ),
    "a host without an address": (
        {"hosts": (ALICE, HostSpec("bob"))},
        "hosts[1] 'bob': no address, so no route to anybody",
    ),
    "a host alone on a network without a way out": (
        {"segments": (SegmentSpec("cellar"),), "hosts": (ALICE, HostSpec("bob", "192.168.1.2", behind="cellar"))},
        "hosts[1] 'bob': no route to anybody: 'cellar' leads nowhere, and nobody else is there",
    ),
    "an agent nowhere": (
        {"agents": (AgentSpec("alice"), AgentSpec("carol"))},
        "agents[1] 'carol': there is no host 'carol'",
    ),
    "an agent with a proxy that is not there": (
        {"agents": (AgentSpec("alice", proxy="proxy"), AgentSpec("bob"))},
        "agents[0] 'alice': there is no proxy 'proxy'",
    ),
    "two agents of one name": (
        {"agents": (AgentSpec("alice"), AgentSpec("alice"))},
        "agents[1] 'alice': agents[0] has this name; give one of them a name of its own",
    ),
    "an agent alone": (
        {"agents": (AgentSpec("alice"),)},
        "agents[0] 'alice': no peer: name one where there are not exactly two agents",
    ),
    "an agent whose peer is nobody": (
        {"agents": (AgentSpec("alice", peer="carol"), AgentSpec("bob"))},
        "agents[0] 'alice': there is no agent 'carol' to connect with",
    ),
    "an agent that is its own peer": (
        {"agents": (AgentSpec("alice", peer="alice"), AgentSpec("bob"))},
        "agents[0] 'alice': 'alice' does not connect with it",
    ),
    "an agent whose peer has another": (
        {"agents": (AgentSpec("alice", peer="bob"), AgentSpec("bob", peer="carol"), AgentSpec("bob", name="carol", peer="bob"))},
        "agents[0] 'alice': 'bob' does not connect with it",
    ),
    "a server that is none": (
        {"agents": (AgentSpec("alice", ice_servers="https://192.0.2.9"), AgentSpec("bob"))},
        "agents[0] 'alice': ICE server 'https://192.0.2.9'",
    ),
    "a server that agents cannot use": (
        {"agents": (AgentSpec("alice", ice_servers="stuns:192.0.2.9"), AgentSpec("bob"))},
        "agents[0] 'alice': ICE server 'stuns:192.0.2.9': what it sees is a connection, and a candidate is a UDP socket",
    ),
    "a change of nobody": (
        {"changes": change(InterfaceDown("carol", "192.168.1.2"))},
        "changes[0]: there is no host 'carol'",
    ),
    "a change of an address that its host never has": (
        {"changes": change(InterfaceUp("alice", "192.168.1.3"))},
        "changes[0]: 'alice' never has the address 192.168.1.3",
    ),
    "a new address that is taken": (
        {"changes": change(InterfaceReaddressed("alice", "192.168.1.4", "192.168.1.3"))},
        "changes[0]: 'alice' never has the address 192.168.1.4",
    ),
    "a change of an address that its host has no more": (
        {
            "changes": (
                At(2.0, InterfaceDown("alice", "192.168.1.2")),
                At(1.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7")),
            )
        },
        "changes[0]: 'alice' does not have the address 192.168.1.2 at 2.0 s",
    ),
    "an address that is another's by then": (
        {
            "hosts": (ALICE, BOB, HostSpec("carol", "192.168.1.3", behind="home A")),
            "changes": change(InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.3")),
        },
        "changes[0]: 192.168.1.3 is taken at inside home A by carol",
    ),
    "an address that becomes one of the other family": (
        {"changes": change(InterfaceReaddressed("alice", "192.168.1.2", "2001:db8::2"))},
        "changes[0]: alice 192.168.1.2 cannot become 2001:db8::2, which is of the other family",
    ),
    "a host that is not there falls asleep": (
        {"changes": change(HostSlept("carol", 1.0))},
        "changes[0]: there is no host 'carol'",
    ),
    "a NAT that is not there reboots": ({"changes": change(NatRebooted("carrier"))}, "changes[0]: there is no NAT 'carrier'"),
    "a link that is not there changes": (
        {"changes": change(LinkChanged("carrier", Link()))},
        "changes[0]: there is no place 'carrier'",
    ),
    "a server that is not there reboots": (
        {"changes": change(ServerRebooted("turn", 1.0))},
        "changes[0]: there is no server 'turn'",
    ),
}


@pytest.mark.parametrize(("parts", "text"), IMPOSSIBLE.values(), ids=IMPOSSIBLE)
def test_impossible_scene_is_refused_with_its_place(parts, text):
    with pytest.raises(ValueError, match=f"^{re.escape(text)}"):
        two_homes(**parts)


POSSIBLE = {
    "equal addresses behind two NATs": {},
    "a NAT written before the one that it stands behind": {
        "nats": (NatSpec("home A", "100.64.0.1", behind="carrier"), HOME_B, NatSpec("carrier", "203.0.113.1"))
    },
    "a tunnel between two hosts": {
        "segments": (SegmentSpec("tunnel"),),
        "hosts": (
            HostSpec("alice", "192.168.1.2", behind="home A", interfaces=(InterfaceSpec("10.8.0.1", "tunnel"),)),
            HostSpec("bob", "10.8.0.2", behind="tunnel"),
        ),
    },
    "IPv6 that is only routed": {
        "hosts": (
            HostSpec("alice", ("192.168.1.2", "2001:db8:a::1"), behind="home A"),
            HostSpec("bob", ("192.168.1.2", "2001:db8:b::1"), behind="home B"),
        )
    },
    "a network without agents": {"agents": ()},
    "two couples": {
        "agents": (
            AgentSpec("alice", peer="bob"),
            AgentSpec("bob", peer="alice"),
            AgentSpec("alice", name="carol", peer="dave"),
            AgentSpec("bob", name="dave", peer="carol"),
        )
    },
    "an address that comes later": {
        "changes": (
            At(1.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7")),
            At(2.0, InterfaceDown("alice", "192.168.1.7")),
        )
    },
    "an address that goes and comes back, written in any order": {
        "changes": (
            At(3.0, InterfaceDown("alice", "192.168.1.2")),
            At(2.0, InterfaceReaddressed("alice", "192.168.1.7", "192.168.1.2")),
            At(1.0, InterfaceReaddressed("alice", "192.168.1.2", "192.168.1.7")),
        )
    },
}


@pytest.mark.parametrize("parts", POSSIBLE.values(), ids=POSSIBLE)
def test_possible_scene_is_built(parts):
    scene = two_homes(**parts)
    assert list(scene.build().agents) == [agent.name for agent in scene.agents]
