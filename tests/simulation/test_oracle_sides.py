"""What an agent has and is told, by the oracle's account."""

import attrs
import pytest

from sansice import OpenSocket
from sansice.ice import CandidatePolicy, CandidateType, IceAgent
from sansice.simulation import (
    AgentSpec,
    Direction,
    FirewallKind,
    FirewallSpec,
    HostSpec,
    InterfaceSpec,
    Link,
    NameSpec,
    NatSpec,
    ProxySpec,
    Rule,
    Scene,
    StunServerSpec,
    TurnServerSpec,
    Verdict,
)
from sansice.simulation._oracle._geography import Geography
from sansice.simulation._oracle._sides import (
    GATHERING_TIMEOUT,
    MAX_PEER_REFLEXIVE,
    PACE,
    Side,
    by_preference,
    can_pair,
    gather,
    priority,
)
from sansice.simulation._oracle._values import Chances, Endpoint, Socket
from sansice.simulation._oracle._walk import Walk

LATENCY = 0.02
HOST, REFLEXIVE, FOUND = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.PEER_REFLEXIVE
RELAYED = CandidateType.RELAYED
SCENE = Scene(
    name="scene",
    internet=Link(latency=LATENCY),
    nats=(NatSpec("home", "203.0.113.1"),),
    hosts=(HostSpec("alice", ("10.0.0.2", "2001:db8::2"), behind="home"), HostSpec("bob", "203.0.113.2")),
    servers=(StunServerSpec("stun", ("192.0.2.9", "2001:db8:9::9")), StunServerSpec("other", "192.0.2.10", port=5000)),
    names=(
        NameSpec("stun.example", ("192.0.2.9",)),
        NameSpec("moved.example", ("192.0.2.10", "192.0.2.9")),
        NameSpec("lost.example", ("192.0.2.77", "192.0.2.9")),
    ),
    agents=(AgentSpec("alice"), AgentSpec("bob")),
)


def gathered(*servers: str, scene: Scene = SCENE, start: float = 0.0) -> Side:
    spec = attrs.evolve(scene.agents[0], ice_servers=servers, start=start)
    geography = Geography(scene)
    side = Side(spec, geography, Chances())
    gather(side, scene, Walk(geography, Chances()))
    return side


def reflexive(side: Side) -> list[tuple[str, str]]:
    return [(socket.local.host, endpoint.host) for socket, found in side.reflexive.items() for endpoint in found]


def ipv4_of(side: Side) -> Socket:
    return next(socket for socket in side.sockets if not socket.local.is_ipv6)


def test_host_candidates_are_liked_in_the_order_of_their_addresses_and_ipv6_first():
    assert [(endpoint.host, type, value) for endpoint, type, value in gathered().candidates()] == [
        ("2001:db8::2", HOST, 126 * 2**24 + 65535 * 2**8 + 255),
        ("10.0.0.2", HOST, 126 * 2**24 + 65534 * 2**8 + 255),
    ]


@pytest.mark.parametrize("families", ["", "4", "6", "64", "444", "664", "644", "66664", "66466", "4466", "44666666"])
def test_families_take_turns_as_agents_have_it(families):
    """RFC 8421 4: two IPv4 and six IPv6 addresses make four IPv6, one IPv4, two IPv6, one IPv4."""
    addresses = [f"2001:db8::{n}" if family == "6" else f"192.0.2.{n}" for n, family in enumerate(families, 1)]
    agent = IceAgent(controlling=True)
    agent.gather(addresses, include_loopback=False, now=0.0)
    opened = [output.bind.host for output in agent.take_outputs() if isinstance(output, OpenSocket)]
    assert by_preference(addresses) == opened


@pytest.mark.parametrize(
    ("server", "found"),
    [
        ("stun:192.0.2.9", [("10.0.0.2", "203.0.113.1")]),
        ("stun:192.0.2.10:5000", [("10.0.0.2", "203.0.113.1")]),
        ("stun:stun.example", [("10.0.0.2", "203.0.113.1")]),
        ("stun:[2001:db8:9::9]", []),  # the address is what the host has itself
        ("stun:192.0.2.10", []),  # nobody listens there
        ("stun:192.0.2.77", []),
        ("stun:no.example", []),
        ("stun:moved.example", [("10.0.0.2", "203.0.113.1")]),  # the first address refuses, so the second is asked
        ("stun:lost.example", []),  # the first address is silent for too long
    ],
)
def test_server_that_answers_tells_a_reflexive_address(server, found):
    assert reflexive(gathered(server)) == found


def test_reflexive_candidate_comes_after_host_and_peer_reflexive_ones_of_its_socket():
    side = gathered("stun:192.0.2.10:5000", "stun:192.0.2.9")
    [(_, type, value)] = [candidate for candidate in side.candidates() if candidate[1] is not HOST]
    assert type is REFLEXIVE
    assert value == 100 * 2**24 + 65533 * 2**8 + 255  # the second address's, the first server's; the other said nothing new
    preference = side.bases[ipv4_of(side)].preference
    assert value < priority(FOUND, preference) < priority(HOST, preference)


@pytest.mark.parametrize(
    ("servers", "seconds"),
    [
        ((), 0.0),
        (("stun:[2001:db8:9::9]",), 2 * LATENCY),
        (("stun:192.0.2.9", "stun:192.0.2.10:5000"), PACE + 2 * LATENCY),
        (("stun:192.0.2.10",), 2 * LATENCY),
        (("stun:192.0.2.9", "stun:192.0.2.77"), GATHERING_TIMEOUT),
    ],
)
def test_gathering_takes_as_long_as_the_questions_or_the_silence(servers, seconds):
    assert gathered(*servers, start=7.0).gathered_at == pytest.approx(7.0 + seconds)


UDP, TCP, TLS = "turn:192.0.2.20?transport=udp", "turn:192.0.2.20?transport=tcp", "turns:192.0.2.20:443?transport=tcp"
DTLS, NAMED = "turns:192.0.2.20:443?transport=udp", "turns:turn.example:443?transport=tcp"
RELAYING = attrs.evolve(
    SCENE,
    turn_servers=(
        TurnServerSpec("turn", ("192.0.2.20", "2001:db8:9::20"), tls_port=443),
        TurnServerSpec("other turn", "192.0.2.21"),
    ),
    names=(NameSpec("turn.example", ("2001:db8:9::20", "192.0.2.20")),),
    firewalls=(FirewallSpec("office", "udp-blocked", behind="home"),),
    proxies=(ProxySpec("proxy", "10.0.0.9", behind="home"), ProxySpec("far", ("2001:db8:9::8", "192.0.2.8"))),
)
BLOCKED = attrs.evolve(RELAYING, hosts=(HostSpec("alice", ("10.0.0.2", "2001:db8::2"), behind="office"), SCENE.hosts[1]))
CAGE = FirewallKind(
    rules=(Rule(Verdict.ALLOW, "tcp", direction=Direction.OUT, inside="10.0.0.0/8", outside="10.0.0.9/32"),),
    outbound=Verdict.DROP,
)
CAGED = attrs.evolve(BLOCKED, firewalls=(FirewallSpec("office", kind=CAGE, behind="home"),))


def told_of(scene: Scene, proxy: str) -> Scene:
    return attrs.evolve(scene, agents=(attrs.evolve(scene.agents[0], proxy=proxy), *scene.agents[1:]))


def ranks(side: Side) -> list[int]:
    """By which protocol each server was reached that relays for the agent's IPv4 socket, in the order of `Transport`."""
    bases = [base for socket, base in side.bases.items() if base.type is RELAYED and not socket.local.is_ipv6]
    return sorted((65535 - base.preference) // 2**14 for base in bases)


@pytest.mark.parametrize(
    ("scene", "servers", "by"),
    [
        (RELAYING, (UDP, TCP, TLS), [0]),
        (RELAYING, (TLS, TCP, UDP), [0]),  # UDP is better wherever it stands
        (RELAYING, (TCP, TLS), [2]),
        (RELAYING, (TLS, DTLS), [1]),
        (RELAYING, (UDP, NAMED), [0, 3, 3]),  # of two names an agent does not know that they are one server
        (RELAYING, (UDP, "turn:192.0.2.21?transport=tcp"), [0, 2]),
        (BLOCKED, (UDP, TCP, TLS), [2]),
        (BLOCKED, (UDP, DTLS), []),
        (CAGED, (UDP, TCP, TLS), []),
        (CAGED, ("turn:192.0.2.77?transport=tcp",), []),
    ],
)
def test_one_allocation_is_made_of_a_server_by_the_best_of_its_urls_that_gets_through(scene, servers, by):
    assert ranks(gathered(*servers, scene=scene)) == by


@pytest.mark.parametrize(
    ("proxy", "servers", "by"),
    [
        ("proxy", (UDP, TCP, TLS), [3]),  # it connects to no port but 443
        ("proxy", (UDP, "turns:192.0.2.20:443"), [3]),
        ("proxy", ("turn:192.0.2.20:443",), [2]),  # a URL that leaves it open is tried over a stream, too
        ("proxy", (NAMED,), [3]),  # whose name the proxy looks up
        ("proxy", ("turns:[2001:db8:9::20]:443?transport=tcp",), []),  # the proxy has no IPv6
        ("far", (TLS,), []),  # the firewall is between
    ],
)
def test_proxy_that_an_agent_was_told_of_lets_its_streams_through(proxy, servers, by):
    assert ranks(gathered(*servers, scene=told_of(CAGED, proxy))) == by


def test_whoever_reaches_a_proxy_by_ipv6_is_relayed_by_servers_of_ipv4():
    side = gathered(TLS, scene=told_of(BLOCKED, "far"))
    assert len(ranks(side)) == 1


@pytest.mark.parametrize(
    ("scene", "servers", "seconds"),
    [
        (RELAYING, (UDP, TLS), 4 * LATENCY),
        (BLOCKED, (UDP, TLS), PACE + 0.7 + 8 * LATENCY),
        (BLOCKED, (UDP,), GATHERING_TIMEOUT),
        (told_of(CAGED, "proxy"), (TLS,), 12 * LATENCY),
    ],
)
def test_gathering_of_relays_takes_as_long_as_the_way_that_gets_through(scene, servers, seconds):
    assert gathered(*servers, scene=scene).gathered_at == pytest.approx(seconds)


def test_relays_alone_need_no_reflection():
    scene = attrs.evolve(RELAYING, agents=(attrs.evolve(SCENE.agents[0], policy=CandidatePolicy.RELAY), SCENE.agents[1]))
    assert gathered("stun:192.0.2.77", UDP, scene=scene).gathered_at == pytest.approx(4 * LATENCY)


def test_server_behind_the_same_nat_reflects_nothing():
    inside = attrs.evolve(SCENE, servers=(StunServerSpec("stun", "10.0.0.9", behind="home"),))
    assert reflexive(gathered("stun:10.0.0.9", scene=inside)) == []


def test_answer_from_another_address_is_none():
    server = StunServerSpec("stun", "10.0.0.9", behind="away")
    away = attrs.evolve(SCENE, nats=(*SCENE.nats, NatSpec("away", "203.0.113.3", "full-cone")), servers=(server,))
    assert reflexive(gathered("stun:203.0.113.3", scene=away)) == []


def test_type_of_what_a_check_came_from():
    side = gathered("stun:192.0.2.9")
    socket = ipv4_of(side)
    [told] = side.reflexive[socket]
    assert side.type_of(socket, socket.local) is HOST
    assert side.type_of(socket, told) is REFLEXIVE
    assert side.type_of(socket, Endpoint(told.host, 1)) is FOUND


def sides(chances: Chances = Chances()) -> tuple[Side, Side]:  # noqa: B008
    geography = Geography(SCENE)
    alice, bob = (Side(spec, geography, chances) for spec in SCENE.agents)
    alice.be_told(bob)
    return alice, bob


def test_candidates_are_paired_with_sockets_of_their_family():
    alice, bob = sides()
    ipv6, ipv4 = alice.sockets
    assert list(alice.targets[ipv4]) == [bob.sockets[0].local]
    assert list(alice.targets[ipv6]) == []


def test_known_candidate_keeps_the_higher_priority():
    alice, bob = sides()
    [address] = alice.known
    before = alice.known[address]
    bob.reflexive[bob.sockets[0]][address] = 1
    alice.be_told(bob)
    assert alice.known[address] == before
    bob.reflexive[bob.sockets[0]][address] = before[1] + 1
    alice.be_told(bob)
    assert alice.known[address] == (REFLEXIVE, before[1] + 1)


def test_check_from_elsewhere_is_a_new_candidate_of_that_socket_alone():
    alice, _ = sides()
    socket, source = ipv4_of(alice), Endpoint("192.0.2.1", ("a NAT", 0))
    assert alice.learn(socket, source, 65533)
    assert alice.known[source] == (FOUND, priority(FOUND, 65533))
    assert source in alice.targets[socket]
    assert not alice.learn(socket, source, 65533)


def test_check_from_a_known_candidate_is_no_news():
    alice, bob = sides()
    assert not alice.learn(ipv4_of(alice), bob.sockets[0].local, 65535)


def test_check_of_the_other_family_teaches_nothing():
    alice, _ = sides()
    assert not alice.learn(ipv4_of(alice), Endpoint("2001:db8::9", 1), 65535)


@pytest.mark.parametrize(("crowded", "room"), [(False, MAX_PEER_REFLEXIVE), (True, 0)])
def test_room_for_new_candidates_is_bounded(crowded, room):
    alice, _ = sides(Chances(crowded=crowded))
    learned = [alice.learn(ipv4_of(alice), Endpoint("192.0.2.1", port), 65535) for port in range(1, 100)]
    assert learned.count(True) == room
    assert alice.room == 0


@pytest.mark.parametrize(
    ("base", "remote", "possible"),
    [
        ("192.0.2.1", "192.0.2.2", True),
        ("192.0.2.1", "2001:db8::1", False),
        ("2001:db8::2", "2001:db8::1", True),
        ("fe80::2", "fe80::1", True),
        ("fe80::2", "2001:db8::1", False),
        ("2001:db8::1", "fe80::2", False),
    ],
)
def test_pairs_are_of_one_family_and_link_local_with_its_like(base, remote, possible):
    assert can_pair(Endpoint(base, 1), Endpoint(remote, 2)) is possible


def test_addresses_that_no_agent_would_use_have_no_socket():
    interfaces = (InterfaceSpec("169.254.0.2", "home"), InterfaceSpec("10.0.0.2", "home"))
    scene = attrs.evolve(SCENE, hosts=(HostSpec("alice", interfaces=interfaces), SCENE.hosts[1]))
    assert [socket.local.host for socket in gathered(scene=scene).sockets] == ["10.0.0.2"]
