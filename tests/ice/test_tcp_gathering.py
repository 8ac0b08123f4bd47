"""TCP candidates as they are gathered (RFC 6544 4): which there are, and how they are preferred."""

import pytest

from ice._tcp_bench import ACTIVE, BOTH, PASSIVE, TcpBench, remote, tcp
from ice._wire import at
from sansice.ice import (
    CandidatePolicy,
    CandidateType,
    Description,
    GatheringOptions,
    GatheringState,
    IceAgent,
    RewriteRule,
    TcpType,
)
from sansice.ice._priority import (
    MAX_OTHER_PREFERENCE,
    TCP_TYPE_PREFERENCES,
    TYPE_PREFERENCES,
    Foundations,
    candidate_priority,
    tcp_local_preference,
)
from sansice.machine import OpenSocket, SocketError, SocketErrorKind, Transport

HOST, REFLEXIVE = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE
EVERY = tuple(TcpType)


def local(bench):
    return bench.agent.local_candidates


@pytest.mark.req("RFC6544-001")
def test_each_address_and_component_has_a_candidate_of_each_kind_and_an_active_one_needs_no_port():
    bench = TcpBench(*EVERY, udp=True, components=2, hosts=("192.0.2.1", "192.0.2.2"))
    found = {(one.component, one.address.host, one.transport, one.tcp_type) for one in local(bench)}
    kinds = [(Transport.UDP, None), *((Transport.TCP, kind) for kind in EVERY)]
    assert found == {(c, h, *kind) for c in (1, 2) for h in ("192.0.2.1", "192.0.2.2") for kind in kinds}
    assert len(bench.listeners) == 2 * 2 * 2
    assert {one.address.port for one in local(bench) if one.tcp_type is ACTIVE} == {9}


def test_tcp_is_off_unless_somebody_asks_for_it():
    assert GatheringOptions().tcp == ()
    bench = TcpBench(udp=True)
    assert [one.transport for one in local(bench)] == [Transport.UDP]


@pytest.mark.parametrize("given", [["passive", TcpType.ACTIVE], ("active", "passive", "active")])
def test_kinds_are_said_by_their_words_in_any_order(given):
    assert GatheringOptions(tcp=given).tcp == (ACTIVE, PASSIVE)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"tcp": "active"}, "one word"),
        ({"tcp": ["actpass"]}, "actpass.*there are active, passive, so"),
        ({"udp": False}, "neither UDP nor TCP"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, match):
    with pytest.raises(ValueError, match=match):
        GatheringOptions(**options)


def test_without_udp_gathering_ends_with_what_listens():
    bench = TcpBench(ACTIVE, PASSIVE)
    assert bench.agent.gathering_state is GatheringState.COMPLETE
    assert [one.transport for one in local(bench)] == [Transport.TCP] * 2


@pytest.mark.req("RFC6544-003")
def test_the_local_preference_is_the_direction_above_what_tells_addresses_apart():
    bench = TcpBench(*EVERY, hosts=("192.0.2.1", "192.0.2.2"))
    preferences = {(one.address.host, one.tcp_type): one.priority >> 8 & 0xFFFF for one in local(bench)}
    assert preferences == {
        ("192.0.2.1", ACTIVE): 6 * 2**13 + 8191,
        ("192.0.2.1", PASSIVE): 4 * 2**13 + 8191,
        ("192.0.2.1", BOTH): 2 * 2**13 + 8191,
        ("192.0.2.2", ACTIVE): 6 * 2**13 + 8190,
        ("192.0.2.2", PASSIVE): 4 * 2**13 + 8190,
        ("192.0.2.2", BOTH): 2 * 2**13 + 8190,
    }


@pytest.mark.req("RFC6544-004")
@pytest.mark.parametrize(
    ("type", "kind", "direction"),
    [
        (HOST, ACTIVE, 6),
        (HOST, PASSIVE, 4),
        (HOST, BOTH, 2),
        (CandidateType.RELAYED, ACTIVE, 6),
        (CandidateType.RELAYED, PASSIVE, 4),
        (CandidateType.RELAYED, BOTH, 2),
        (CandidateType.PEER_REFLEXIVE, ACTIVE, 6),
        (REFLEXIVE, BOTH, 6),
        (REFLEXIVE, ACTIVE, 4),
        (REFLEXIVE, PASSIVE, 2),
    ],
)
def test_who_connects_is_preferred_by_the_type(type, kind, direction):
    assert tcp_local_preference(type, kind, 0) == direction * 2**13
    assert tcp_local_preference(type, kind, MAX_OTHER_PREFERENCE) == direction * 2**13 + 8191


@pytest.mark.req("RFC6544-005")
def test_any_udp_candidate_but_a_relayed_one_is_before_any_for_tcp():
    udp = [preference for type, preference in TYPE_PREFERENCES.items() if type is not CandidateType.RELAYED]
    assert min(udp) > max(TCP_TYPE_PREFERENCES.values())
    lowest = candidate_priority(REFLEXIVE, 0, 256)
    assert lowest > candidate_priority(HOST, 65535, 1, Transport.TCP)
    bench = TcpBench(*EVERY, udp=True)
    assert max(local(bench), key=lambda one: one.priority).transport is Transport.UDP


def test_foundations_tell_udp_from_tcp_and_not_one_kind_of_tcp_from_another():
    bench = TcpBench(*EVERY, udp=True)
    by_transport = {one.transport: set() for one in local(bench)}
    for one in local(bench):
        by_transport[one.transport].add(one.foundation)
    assert [len(foundations) for foundations in by_transport.values()] == [1, 1]
    assert by_transport[Transport.UDP] != by_transport[Transport.TCP]
    known = Foundations()
    assert known.of(HOST, "192.0.2.1") == known.of(HOST, "192.0.2.1", "", Transport.UDP)
    assert known.of(HOST, "192.0.2.1", "", Transport.TCP) != known.of(HOST, "192.0.2.1")


def test_a_rule_about_the_outside_makes_a_server_reflexive_candidate_without_any_server():
    rule = RewriteRule(external=("203.0.113.80",), local="192.0.2.1", type=REFLEXIVE)
    bench = TcpBench(PASSIVE, ACTIVE, options={"rewrite": (rule,)})
    told = {(one.type, one.tcp_type): (one.address, one.related_address) for one in local(bench)}
    listening = next(iter(bench.listeners.values()))
    assert told == {
        (HOST, ACTIVE): (at("192.0.2.1", 9), None),
        (HOST, PASSIVE): (listening, None),
        (REFLEXIVE, ACTIVE): (at("203.0.113.80", 9), at("192.0.2.1", 9)),
        (REFLEXIVE, PASSIVE): (at("203.0.113.80", listening.port), listening),
    }
    priorities = {one.tcp_type: one.priority >> 8 & 0xFFFF for one in local(bench) if one.type is REFLEXIVE}
    assert priorities[ACTIVE] >> 13 == 4 and priorities[PASSIVE] >> 13 == 2


def test_a_rule_may_put_the_outside_in_place_of_the_address():
    rule = RewriteRule(external=("203.0.113.80",), local="192.0.2.1")
    bench = TcpBench(PASSIVE, options={"rewrite": (rule,)})
    assert [(one.type, one.address.host) for one in local(bench)] == [(HOST, "203.0.113.80")]


def made(policy, *rules, kinds=(ACTIVE, PASSIVE)):
    agent = IceAgent(controlling=True, policy=policy, gathering=tcp(*kinds, rewrite=rules))
    agent.gather(["192.0.2.1"], now=0.0)
    for output in agent.take_outputs():
        if isinstance(output, OpenSocket):
            agent.handle_socket_opened(output.socket, at("192.0.2.1", 4000), now=0.0)
    return agent


def test_a_policy_that_hides_host_addresses_leaves_what_a_rule_tells_and_nothing_else():
    rule = RewriteRule(external=("203.0.113.80",), local="192.0.2.1", type=REFLEXIVE)
    assert made(CandidatePolicy.NO_HOST).local_candidates == ()
    assert made(CandidatePolicy.RELAY, rule).local_candidates == ()
    agent = made(CandidatePolicy.NO_HOST, rule)
    assert {(one.type, one.address.host) for one in agent.local_candidates} == {(REFLEXIVE, "203.0.113.80")}
    assert "192.0.2.1" not in agent.local_description.to_sdp()
    replaced = RewriteRule(external=("203.0.113.80",), local="192.0.2.1")
    assert made(CandidatePolicy.NO_HOST, replaced).local_candidates == ()


def test_a_hidden_base_is_checked_from_all_the_same():
    rule = RewriteRule(external=("203.0.113.80",), local="192.0.2.1", type=REFLEXIVE)
    agent = made(CandidatePolicy.NO_HOST, rule)
    agent.set_remote(Description("their", "theirPasswordIsTwentyTwoLong", candidates=[remote()]), now=0.0)
    assert [output.remote for output in agent.take_outputs() if isinstance(output, OpenSocket)] == [at("198.51.100.1", 5000)]


def test_listeners_have_ports_of_the_range_and_another_where_one_is_taken():
    agent = IceAgent(controlling=True, gathering=tcp(PASSIVE, port_range=(5000, 5003)), entropy=bytes)
    agent.gather(["192.0.2.1"], now=0.0)
    (first,) = [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]
    agent.handle_socket_failed(first.socket, SocketError(SocketErrorKind.ADDRESS_IN_USE, "taken"), now=0.0)
    (second,) = [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]
    assert (first.bind.port, second.bind.port) == (5000, 5001)


def test_a_listener_that_does_not_open_leaves_the_others():
    agent = IceAgent(controlling=True, components=2, gathering=tcp(PASSIVE, udp=True))
    agent.gather(["192.0.2.1"], now=0.0)
    for output in agent.take_outputs():
        if isinstance(output, OpenSocket) and output.transport is Transport.TCP:
            agent.handle_socket_failed(output.socket, SocketError(SocketErrorKind.PERMISSION, "no"), now=0.0)
        elif isinstance(output, OpenSocket):
            agent.handle_socket_opened(output.socket, at("192.0.2.1", 4000 + output.socket), now=0.0)
    assert [one.transport for one in agent.local_candidates] == [Transport.UDP] * 2
    assert agent.gathering_state is GatheringState.COMPLETE


def test_a_listener_that_dies_takes_its_connections_and_candidates_along():
    bench = TcpBench(PASSIVE)
    listener = next(iter(bench.listeners))
    socket = bench.accept()
    bench.call(bench.agent.handle_socket_failed, listener, SocketError(SocketErrorKind.OTHER, "gone"))
    assert bench.closed_of() == [socket]
    assert local(bench) == ()


def test_an_address_that_goes_takes_its_tcp_candidates_along_and_one_that_comes_brings_some():
    bench = TcpBench(ACTIVE, PASSIVE)
    before = next(iter(bench.listeners))
    bench.call(bench.agent.update_addresses, ["192.0.2.2"])
    assert bench.closed_of() == [before]
    assert {one.local.host for one in bench.agent._tcp._bases.values()} == {"192.0.2.2"}


def test_simultaneous_open_listeners_share_their_port_with_their_connections():
    for kind in EVERY:
        agent = IceAgent(controlling=True, gathering=tcp(kind))
        agent.gather(["192.0.2.1"], now=0.0)
        opened = [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]
        assert [one.options.reuse_port for one in opened] == {ACTIVE: [], PASSIVE: [False], BOTH: [True]}[kind]


def test_connections_have_the_code_point_of_the_sockets():
    bench = TcpBench(ACTIVE, options={"dscp": 46}, remotes=(remote(),))
    assert bench.opened[0].options.dscp == 46
