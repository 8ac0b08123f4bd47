"""A NAT's rules on symbolic endpoints, by the words of RFC 4787."""

import itertools

import pytest

from sansice.simulation import Fate, Filtering, Forward, Mapping, NatKind, NatSpec, Pooling, PortAssignment
from sansice.simulation._oracle._translation import Translation
from sansice.simulation._oracle._values import Chances, Endpoint

OUTER, INNER = "203.0.113.1", Endpoint("10.0.0.2", ("a socket", 0))
PEER = Endpoint("192.0.2.1", 5000)
SAME_HOST = Endpoint("192.0.2.1", 5001)
ELSEWHERE = Endpoint("192.0.2.2", 5000)


def translation(chances: Chances = Chances(), outside: tuple[str, ...] = (OUTER,), **behaviour) -> Translation:  # noqa: B008
    forwards = behaviour.pop("forwards", ())
    return Translation(NatSpec("home", outside, kind=NatKind(**behaviour), forwards=forwards), outside, chances)


@pytest.mark.parametrize(
    ("mapping", "same"),
    [
        (Mapping.ENDPOINT_INDEPENDENT, [SAME_HOST, ELSEWHERE]),
        (Mapping.ADDRESS_DEPENDENT, [SAME_HOST]),
        (Mapping.ADDRESS_AND_PORT_DEPENDENT, []),
    ],
)
def test_mapping_is_one_for_as_much_of_the_peer_as_it_does_not_depend_on(mapping, same):
    nat = translation(mapping=mapping)
    first = nat.leave(INNER, PEER)
    assert first.host == OUTER
    assert nat.leave(INNER, PEER) == first
    assert [peer for peer in (SAME_HOST, ELSEWHERE) if nat.leave(INNER, peer) == first] == same
    assert nat.leave(Endpoint("10.0.0.3", INNER.port), PEER) != first


@pytest.mark.parametrize(
    ("filtering", "let_in"),
    [
        (Filtering.ENDPOINT_INDEPENDENT, [PEER, SAME_HOST, ELSEWHERE]),
        (Filtering.ADDRESS_DEPENDENT, [PEER, SAME_HOST]),
        (Filtering.ADDRESS_AND_PORT_DEPENDENT, [PEER]),
    ],
)
def test_filtering_lets_in_who_was_sent_to_as_far_as_it_looks(filtering, let_in):
    nat = translation(filtering=filtering)
    outer = nat.leave(INNER, PEER)
    for peer in (PEER, SAME_HOST, ELSEWHERE):
        assert nat.enter(peer, outer) == (INNER if peer in let_in else Fate.FILTERED)


def test_nobody_is_let_in_where_no_packet_left():
    assert translation().enter(PEER, Endpoint(OUTER, 4000)) is Fate.NO_MAPPING


def test_only_news_count_as_learned():
    nat = translation()
    nat.leave(INNER, PEER)
    learned = nat.learned
    nat.leave(INNER, PEER)
    assert nat.learned == learned
    nat.leave(INNER, ELSEWHERE)
    assert nat.learned == learned + 1


@pytest.mark.parametrize("ports", [PortAssignment.PRESERVATION, PortAssignment.OVERLOADING])
def test_preserved_port_is_that_of_the_inside(ports):
    assert translation(ports=ports).leave(INNER, PEER) == Endpoint(OUTER, INNER.port)


def test_port_that_is_taken_cannot_be_preserved():
    nat = translation(ports=PortAssignment.PRESERVATION)
    taken = nat.leave(INNER, PEER)
    other = nat.leave(Endpoint("10.0.0.3", INNER.port), PEER)
    assert other.host == OUTER
    assert other != taken


def test_forward_of_an_address_works_both_ways_for_anyone():
    nat = translation(forwards=(Forward((OUTER, 0), ("10.0.0.2", 0)),))
    assert nat.leave(INNER, PEER) == Endpoint(OUTER, INNER.port)
    assert nat.enter(ELSEWHERE, Endpoint(OUTER, INNER.port)) == INNER
    assert nat.learned == 0


def test_forward_of_a_port_is_of_that_port_alone():
    nat = translation(forwards=(Forward((OUTER, 3478), ("10.0.0.2", 3479)),))
    assert nat.leave(Endpoint("10.0.0.2", 3479), PEER) == Endpoint(OUTER, 3478)
    assert nat.enter(PEER, Endpoint(OUTER, 3478)) == Endpoint("10.0.0.2", 3479)
    assert nat.enter(PEER, Endpoint(OUTER, 3480)) is Fate.NO_MAPPING
    assert nat.leave(INNER, PEER).port not in (INNER.port, 3478)


def test_forward_of_tcp_says_nothing_of_udp():
    nat = translation(forwards=(Forward((OUTER, 0), ("10.0.0.2", 0), protocols=("tcp",)),))
    assert nat.enter(PEER, Endpoint(OUTER, 4000)) is Fate.NO_MAPPING


def test_address_that_is_forwarded_whole_is_given_to_nobody_else():
    other = "203.0.113.2"
    nat = translation(outside=(OUTER, other), pooling=Pooling.PAIRED, forwards=(Forward((OUTER, 0), ("10.0.0.9", 0)),))
    assert nat.leave(INNER, PEER).host == other


@pytest.mark.parametrize(
    ("pooling", "spread", "hosts"),
    [
        (Pooling.PAIRED, True, [OUTER, OUTER, "203.0.113.2"]),
        (Pooling.ARBITRARY, False, [OUTER, OUTER, "203.0.113.2"]),
        (Pooling.ARBITRARY, True, [OUTER, "203.0.113.2", OUTER]),
    ],
)
def test_pooling_gives_an_inner_host_one_outer_address_or_any(pooling, spread, hosts):
    outside = (OUTER, "203.0.113.2")
    mapping = Mapping.ADDRESS_AND_PORT_DEPENDENT
    nat = translation(Chances(spread=spread), outside=outside, pooling=pooling, mapping=mapping)
    left = [(INNER, PEER), (INNER, ELSEWHERE), (Endpoint("10.0.0.3", 1), PEER)]
    assert [nat.leave(inner, peer).host for inner, peer in left] == hosts


@pytest.mark.parametrize(("open_input", "outside_first"), list(itertools.product((False, True), repeat=2)))
def test_probe_that_comes_first_takes_the_port_where_the_input_is_open(open_input, outside_first):
    kind = {"tracking": "connections", "ports": "preservation", "open_input": open_input}
    nat = translation(Chances(outside_first=outside_first), **kind)
    agent, other = Endpoint("192.0.2.3", ("a peer", 0)), Endpoint("192.0.2.3", ("a peer", 1))
    server = nat.leave(INNER, PEER)
    assert server.port == INNER.port  # servers send no probes
    same = nat.leave(INNER, agent) == nat.leave(INNER, other) == server
    assert same is not (open_input and outside_first)
