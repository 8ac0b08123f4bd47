"""Each cause is claimed first in a scene in which it is the cause, and none is claimed where agents connect."""

import attrs
import pytest

from ice._facts import LOCAL, facts, pair, stream
from ice._lite import LiteBench
from ice._relay_scene import World, relay
from ice._session import LOST, Two, checking, selected, validated
from ice._tcp_bench import TcpBench, remote
from ice._wire import Bench, at, candidate
from sansice.ice import (
    Candidate,
    CandidateType,
    Cause,
    CheckFailure,
    Finding,
    GatheringOptions,
    IceAgent,
    IceConfig,
    IceState,
    LiteAgent,
    PairState,
    ServerAnswered,
    ServerFailed,
    TcpType,
)
from sansice.ice._telling._causes import find_causes
from sansice.machine import SocketId
from sansice.simulation import At, HostSlept, Network, scene, scenes, simulate
from sansice.turn import TurnLimits

PATIENCE = IceConfig().pac_timeout + 2.0
ASK_STUN = "stun:192.0.2.9"


def of_library(name, who, **changes):
    """An agent of a scene of the library, after that is over."""
    return simulate(attrs.evolve(scene(name), **changes), seed=1).agents[who]


def told(two):
    """Both agents of ``two`` have gathered and know each other."""
    two.net.run(until=two.net.now + 5.0)
    two.exchange()
    return two


def failed(two):
    told(two)
    two.net.run(until=two.net.now + 2 * PATIENCE)
    assert two.a.state is IceState.FAILED
    return two.a


# ------------------------------------------------------------------- what has been connected


def consent_revoked():
    bench = selected()
    bench.run(until=4.2)
    bench.answer(bench.requests[-1], code=403)
    return bench.agent


def stood_still():
    return of_library("laptop-sleeps", "laptop", changes=(At(10.0, HostSlept("laptop", 60.0)),))


def address_lost():
    two = told(Two())
    assert two.connect()
    two.node_a.call(two.a.update_addresses, ["192.0.2.99"])
    return two.a


def path_died():
    return of_library("nat-reboots", "alice")


def path_is_dying():
    two = told(Two())
    assert two.connect()
    two.net.drop = lambda packet: True
    two.net.run(until=two.net.now + 20.0)
    assert two.a.state is IceState.DISCONNECTED
    return two.a


# ------------------------------------------------------------------- this end


def not_gathered():
    return IceAgent(controlling=True)


def no_address():
    host = Network(seed=1).host("A", "192.0.2.1")
    agent = IceAgent(controlling=True)
    host.run(agent).call(agent.gather, [])
    return agent


def sockets_refused():
    host = Network(seed=1).host("A", "192.0.2.1")
    agents = [IceAgent(controlling=True, gathering=GatheringOptions(port_range=(5000, 5000))) for _ in range(2)]
    for agent in agents:
        host.run(agent).call(agent.gather, host.addresses)
    return agents[1]


def policy_hides_all():
    host = Network(seed=1).host("A", "192.0.2.1")
    agent = IceAgent(controlling=True, policy="relay", servers=[ASK_STUN])
    node = host.run(agent)
    node.call(agent.gather, host.addresses)
    return agent


# ------------------------------------------------------------------- servers


def relayed(servers, **world):
    """An agent behind a symmetric NAT, after it has tried to connect with another behind another one."""
    world = World(**world)
    agent, _ = world.add(servers=servers)
    world.add()
    world.connect(within=2 * PATIENCE)
    assert agent.state is IceState.FAILED
    return agent


def server_refuses_login():
    return relayed([relay(password="wrong")])


def server_refuses_login_of_one_who_has_nothing_else():
    world = World()
    agent, _ = world.add(servers=[relay(password="wrong")], policy="relay")
    world.gather()
    return agent


def server_full():
    return relayed([relay()], limits=TurnLimits(allocations=0))


def server_name_unknown():
    return relayed(["stun:nowhere.example"])


def relay_forbids_peer():
    return relayed([relay()], peers=("192.0.2.0/24",))


def udp_blocked():
    return of_library("office-udp-blocked", "alice")


# ------------------------------------------------------------------- what the ends were told


def restart_unanswered():
    two = Two()
    two.net.drop = lambda packet: True
    agent = failed(two)
    two.node_a.call(agent.restart)
    two.node_a.call(agent.gather, ["192.0.2.1"])
    two.net.run(until=two.net.now + 1.0)
    return agent


def peer_unknown():
    two = Two()
    two.net.run(until=1.0)
    return two.a


def candidates_unusable():
    nowhere = Candidate.from_sdp("candidate:1 1 udp 2122260223 198.51.100.1 0 typ host")
    bench = Bench(remotes=(nowhere,))
    bench.run(until=PATIENCE)
    return bench.agent


def names_not_found():
    hidden = Candidate.from_sdp("candidate:1 1 udp 2122260223 3b4b1f7e-1f4e-4c0e-8f0b-6d7c7a3a0b5d.local 5000 typ host")
    bench = Bench(remotes=(hidden,))
    bench.run(until=PATIENCE)
    return bench.agent


def peer_has_no_candidates():
    two = Two()
    two.node_b.call(two.b.close)
    two.net.run(until=1.0)
    nothing = attrs.evolve(two.b.local_description, candidates=(), end_of_candidates=True)
    two.node_a.call(two.a.set_remote, nothing)
    two.net.run(until=PATIENCE)
    return two.a


def trickle_unfinished():
    two = Two()
    two.net.drop = lambda packet: True
    two.net.run(until=1.0)
    two.node_a.call(two.a.set_remote, attrs.evolve(two.b.local_description, end_of_candidates=False))
    two.net.run(until=2 * PATIENCE)
    assert two.a.state is IceState.CHECKING
    return two.a


def no_common_family():
    return of_library("one-ipv4-one-ipv6", "alice")


# ------------------------------------------------------------------- checks


def wrong_password():
    two = Two()
    two.net.run(until=1.0)
    two.node_a.call(two.a.set_remote, attrs.evolve(two.b.local_description, pwd="somethingElseThatIsLongEnough"))
    two.node_b.call(two.b.set_remote, two.a.local_description)
    two.net.run(until=2 * PATIENCE)
    return two.a


def wrong_password_at_the_other_end():
    two = Two()
    two.net.run(until=1.0)
    two.node_a.call(two.a.set_remote, two.b.local_description)
    two.node_b.call(two.b.set_remote, attrs.evolve(two.a.local_description, ufrag="another"))
    two.net.run(until=1.0 + PATIENCE)
    return two.b


def wrong_password_that_only_the_peer_has():
    two = Two()
    two.net.run(until=1.0)
    two.node_a.call(two.a.set_remote, attrs.evolve(two.b.local_description, pwd="somethingElseThatIsLongEnough"))
    two.node_b.call(two.b.set_remote, two.a.local_description)
    two.net.run(until=1.0 + PATIENCE)
    assert two.b.state is IceState.CONNECTED
    return two.b


def role_conflict():
    bench = checking()
    while bench.agent.pairs[0].state is not PairState.FAILED:
        bench.run(until=bench.now + 0.1)
        bench.answer(bench.requests[-1], code=487)
    bench.run(until=bench.now + PATIENCE)
    return bench.agent


def not_nominated():
    bench = validated(controlling=False)
    while bench.now < PATIENCE:
        bench.run(until=bench.now + 1.0)
        bench.answer(bench.requests[-1])
    assert bench.agent.state is IceState.CONNECTED
    return bench.agent


def nomination_failed():
    bench = validated()
    bench.run(until=0.05)
    bench.answer(bench.check, code=400)
    bench.run(until=PATIENCE)
    return bench.agent


def answers_from_elsewhere():
    bench = checking()
    bench.answer(bench.check, source=at("198.51.100.77"))
    bench.run(until=PATIENCE)
    return bench.agent


def answers_lost():
    two = Two()
    two.net.drop = lambda packet: packet.source.host == "192.0.2.1"
    return failed(two)


def nobody_listens():
    two = Two()
    two.net.run(until=1.0)
    description = two.b.local_description
    two.node_b.call(two.b.close)
    two.node_a.call(two.a.set_remote, description)
    two.net.run(until=2 * PATIENCE)
    assert two.a.state is IceState.FAILED
    return two.a


def over_tcp():
    options = {"gathering": GatheringOptions(udp=False, tcp=("active", "passive"))}
    return Two(a_options=options, b_options=options)


def tcp_refused():
    two = over_tcp()
    two.net.run(until=1.0)
    description = two.b.local_description
    two.node_b.call(two.b.close)
    two.node_a.call(two.a.set_remote, description)
    two.net.run(until=2 * PATIENCE)
    assert two.a.state is IceState.FAILED
    return two.a


def tcp_timed_out():
    two = over_tcp()
    two.net.drop = lambda packet: packet.protocol == "tcp"
    return failed(two)


def tcp_elsewhere():
    bench = TcpBench(TcpType.ACTIVE, remotes=(remote(),))
    bench.arrive(bench.connect(), bench.opened[0].remote, b"SSH-2.0-server")
    bench.run(until=PATIENCE)
    assert bench.agent.state is IceState.FAILED
    return bench.agent


def nobody_connects():
    bench = TcpBench(TcpType.PASSIVE, remotes=(remote(TcpType.ACTIVE),))
    bench.run(until=PATIENCE)
    assert bench.agent.state is IceState.FAILED
    assert "the peer is to open a TCP connection" in str(bench.agent.explain())
    return bench.agent


def no_servers():
    net = scene("two-homes")
    return of_library("two-homes", "alice", agents=tuple(attrs.evolve(agent, ice_servers=()) for agent in net.agents))


def peer_only_private():
    return of_library("office-udp-blocked", "bob")


def same_nat():
    return of_library("same-home-no-hairpin", "alice")


def nats_need_relay():
    return of_library("symmetric-to-symmetric", "alice")


def peer_silent():
    two = Two()
    two.net.drop = lambda packet: True
    return failed(two)


# ------------------------------------------------------------------- lite agents


def lite_no_address():
    host = Network(seed=1).host("A", "192.0.2.1")
    agent = LiteAgent(controlling=False)
    host.run(agent).call(agent.gather, [])
    return agent


def lite_sockets_refused():
    bench = LiteBench(gather=False, known=False)
    bench.agent.gather(["192.0.2.1"], now=0.0)
    bench.agent.take_outputs()
    bench.agent.handle_socket_failed(SocketId(1), LOST, now=0.0)
    return bench.agent


def lite_peer_silent():
    bench = LiteBench()
    bench.run(until=PATIENCE)
    return bench.agent


def lite_not_nominated():
    bench = LiteBench()
    for _ in range(25):
        bench.run(until=bench.now + 0.05)
        bench.check()
    return bench.agent


def lite_stood_still():
    bench = LiteBench()
    bench.nominate()
    bench.agent.handle_timer(now=3600.0)
    return bench.agent


def lite_path_died():
    bench = LiteBench()
    bench.nominate()
    bench.run(until=60.0)
    return bench.agent


def lite_address_lost():
    bench = LiteBench()
    bench.nominate()
    bench.call(bench.agent.handle_socket_failed, SocketId(1), LOST)
    return bench.agent


def lite_pair_without_common_family():
    bench = LiteBench(peer_lite=True, remotes=(candidate("2001:db8::1"),))
    bench.run(until=PATIENCE)
    return bench.agent


def lite_restart_unanswered():
    bench = LiteBench()
    bench.run(until=PATIENCE)
    bench.call(bench.agent.restart)
    return bench.agent


SCENES = [
    (Cause.CONSENT_REVOKED, consent_revoked),
    (Cause.STOOD_STILL, stood_still),
    (Cause.ADDRESS_LOST, address_lost),
    (Cause.PATH_DIED, path_died),
    (Cause.PATH_DIED, path_is_dying),
    (Cause.NOT_GATHERED, not_gathered),
    (Cause.NO_ADDRESS, no_address),
    (Cause.SOCKETS_REFUSED, sockets_refused),
    (Cause.POLICY_HIDES_ALL, policy_hides_all),
    (Cause.SERVER_REFUSES_LOGIN, server_refuses_login),
    (Cause.SERVER_REFUSES_LOGIN, server_refuses_login_of_one_who_has_nothing_else),
    (Cause.SERVER_FULL, server_full),
    (Cause.SERVER_NAME_UNKNOWN, server_name_unknown),
    (Cause.RELAY_FORBIDS_PEER, relay_forbids_peer),
    (Cause.UDP_BLOCKED, udp_blocked),
    (Cause.RESTART_UNANSWERED, restart_unanswered),
    (Cause.PEER_UNKNOWN, peer_unknown),
    (Cause.CANDIDATES_UNUSABLE, candidates_unusable),
    (Cause.NAMES_NOT_FOUND, names_not_found),
    (Cause.PEER_HAS_NO_CANDIDATES, peer_has_no_candidates),
    (Cause.TRICKLE_UNFINISHED, trickle_unfinished),
    (Cause.NO_COMMON_FAMILY, no_common_family),
    (Cause.WRONG_PASSWORD, wrong_password),
    (Cause.WRONG_PASSWORD, wrong_password_at_the_other_end),
    (Cause.WRONG_PASSWORD, wrong_password_that_only_the_peer_has),
    (Cause.ROLE_CONFLICT, role_conflict),
    (Cause.NOT_NOMINATED, not_nominated),
    (Cause.NOMINATION_FAILED, nomination_failed),
    (Cause.ANSWERS_FROM_ELSEWHERE, answers_from_elsewhere),
    (Cause.ANSWERS_LOST, answers_lost),
    (Cause.NOBODY_LISTENS, nobody_listens),
    (Cause.TCP_REFUSED, tcp_refused),
    (Cause.TCP_TIMED_OUT, tcp_timed_out),
    (Cause.TCP_ELSEWHERE, tcp_elsewhere),
    (Cause.NO_SERVERS, no_servers),
    (Cause.PEER_ONLY_PRIVATE, peer_only_private),
    (Cause.SAME_NAT, same_nat),
    (Cause.NATS_NEED_RELAY, nats_need_relay),
    (Cause.PEER_SILENT, peer_silent),
    (Cause.PEER_SILENT, nobody_connects),
    (Cause.NO_ADDRESS, lite_no_address),
    (Cause.SOCKETS_REFUSED, lite_sockets_refused),
    (Cause.PEER_SILENT, lite_peer_silent),
    (Cause.NOT_NOMINATED, lite_not_nominated),
    (Cause.STOOD_STILL, lite_stood_still),
    (Cause.PATH_DIED, lite_path_died),
    (Cause.ADDRESS_LOST, lite_address_lost),
    (Cause.NO_COMMON_FAMILY, lite_pair_without_common_family),
    (Cause.RESTART_UNANSWERED, lite_restart_unanswered),
]


@pytest.mark.parametrize(("cause", "make"), SCENES, ids=[make.__name__ for _, make in SCENES])
def test_cause_comes_first_where_it_is_the_cause(cause, make):
    agent = make()
    explanation = agent.explain()
    assert [one.cause for one in explanation.findings][:1] == [cause], explanation


def test_each_cause_has_its_scene():
    assert {cause for cause, _ in SCENES} == set(Cause)


@pytest.mark.parametrize("name", [name for name, one in scenes().items() if one.agents and one.expect.lasts])
def test_no_cause_is_claimed_where_agents_connect(name):
    for agent in simulate(scene(name), seed=2).agents.values():
        assert agent.explain().findings == (), agent.explain()


# ------------------------------------------------------------------- what the rules hold to


SRFLX = candidate("203.0.113.9", 999, type=CandidateType.SERVER_REFLEXIVE)
SILENT = ServerFailed("stun:192.0.2.9", "192.0.2.1", "no answer", seconds=3.0, is_silent=True)
NEAR, FAR = candidate("192.168.1.2", 4001), candidate("10.0.0.2")


def causes(**situation):
    situation = {"state": IceState.FAILED, "pairs": (pair(sent=7, failure=CheckFailure.SILENCE),), **situation}
    return [one.cause for one in find_causes(facts(**situation))]


def test_nothing_is_claimed_of_an_agent_that_is_closed_connected_or_still_trying():
    assert causes() == [Cause.PEER_SILENT]
    assert causes(state=IceState.CLOSED) == []
    assert causes(state=IceState.COMPLETED, selected=pair(PairState.SUCCEEDED)) == []
    assert causes(state=IceState.CHECKING) == []
    assert causes(state=IceState.CHECKING, is_patient=False, has_names=True) == []
    assert causes(state=IceState.CHECKING, is_patient=False, pairs=(pair(PairState.IN_PROGRESS, sent=7),)) == []
    assert causes(state=IceState.CHECKING, is_patient=False) == [Cause.PEER_SILENT]


@pytest.mark.parametrize(
    "other",
    [
        {"servers": (SILENT, ServerAnswered("stun:b", "192.0.2.1", 0.1, at("203.0.113.9", 9)))},
        {"pairs": (pair(sent=7, heard=1),)},
        {"servers": (attrs.evolve(SILENT, url="turn:192.0.2.9?transport=tcp"),)},
        {"servers": (attrs.evolve(SILENT, is_silent=False, code=500),)},
    ],
)
def test_udp_is_not_blocked_where_any_of_it_comes_back(other):
    assert Cause.UDP_BLOCKED in causes(servers=(SILENT,))
    assert Cause.UDP_BLOCKED not in causes(**{"servers": (SILENT,), **other})


def test_servers_are_no_cause_where_one_of_them_relays():
    refusal = ServerFailed("turn:a", "192.0.2.1", "Unauthorized", 401)
    relays = ServerAnswered("turn:b", "192.0.2.1", 0.1, at("203.0.113.9", 9), (at("203.0.113.53", 7),))
    assert causes(servers=(refusal,))[0] is Cause.SERVER_REFUSES_LOGIN
    assert Cause.SERVER_REFUSES_LOGIN not in causes(servers=(refusal, relays))


def test_icmp_of_a_nat_or_of_a_stranger_with_a_private_address_does_not_say_that_nobody_listens():
    def icmp(source, remote, type=CandidateType.HOST):
        one = pair(sent=1, failure=CheckFailure.UNREACHABLE, source=source, destination=remote, remote=type)
        return causes(pairs=(one,))

    assert icmp(at("192.168.1.2"), at("198.51.100.1"))[0] is Cause.NOBODY_LISTENS
    assert icmp(at("192.168.1.2"), at("192.168.1.9"))[0] is Cause.NOBODY_LISTENS
    assert icmp(at("fe80::1%eth0"), at("fe80::2%eth0"))[0] is Cause.NOBODY_LISTENS
    assert Cause.NOBODY_LISTENS not in icmp(at("192.168.1.2"), at("192.168.7.9"))
    assert Cause.NOBODY_LISTENS not in icmp(at("192.168.1.2"), at("198.51.100.1"), CandidateType.SERVER_REFLEXIVE)


def test_private_addresses_are_no_cause_among_neighbours():
    apart = {"local": (NEAR,), "remote": (FAR,), "pairs": (pair(sent=7, source=NEAR.address, destination=FAR.address),)}
    assert causes(**apart) == [Cause.NO_SERVERS, Cause.PEER_ONLY_PRIVATE, Cause.PEER_SILENT]
    neighbour = candidate("192.168.1.9")
    beside = {"local": (NEAR,), "remote": (neighbour,)}
    pairs = (pair(sent=7, source=NEAR.address, destination=neighbour.address),)
    assert causes(**beside, pairs=pairs) == [Cause.PEER_SILENT]


def test_relay_is_not_what_is_missing_where_there_is_one_or_the_peer_is_public():
    hidden = {"local": (NEAR, SRFLX), "remote": (FAR, attrs.evolve(SRFLX, address=at("203.0.113.77", 9)))}
    pairs = (pair(sent=7, source=NEAR.address, destination=FAR.address),)
    assert causes(**hidden, pairs=pairs, has_servers=True) == [Cause.NATS_NEED_RELAY, Cause.PEER_SILENT]
    relayed = attrs.evolve(SRFLX, type=CandidateType.RELAYED)
    assert Cause.NATS_NEED_RELAY not in causes(**{**hidden, "local": (NEAR, SRFLX, relayed)}, pairs=pairs)
    assert Cause.NATS_NEED_RELAY not in causes(**{**hidden, "remote": (candidate("198.51.100.1"),)}, pairs=pairs)


def test_names_of_candidates_are_no_public_addresses():
    named = Candidate.from_sdp("candidate:1 1 udp 2122260223 peer.example 5000 typ host")
    assert Cause.PEER_ONLY_PRIVATE in causes(local=(NEAR,), remote=(named,), pairs=(pair(sent=1, source=NEAR.address),))


def test_streams_that_are_connected_speak_for_nothing():
    fine = stream(index=0, state=IceState.COMPLETED, selected=pair(PairState.SUCCEEDED, sent=1, answered=1), local=(LOCAL,))
    worse = stream(index=1, state=IceState.FAILED, pairs=(pair(sent=7),))
    assert [one.cause for one in find_causes(facts(streams=(fine, worse)))] == [Cause.PEER_SILENT]


def test_finding_is_a_sentence_with_what_speaks_for_it_and_what_to_do():
    text = str(Finding(Cause.UDP_BLOCKED, "stun:a: no answer"))
    assert text == f"{Cause.UDP_BLOCKED.text} (stun:a: no answer); {Cause.UDP_BLOCKED.advice}"
    assert str(Finding(Cause.PEER_SILENT)) == f"{Cause.PEER_SILENT.text}; {Cause.PEER_SILENT.advice}"
    assert Cause("udp-blocked") is Cause.UDP_BLOCKED
