"""What a NAT means for calls, tried on agents that do call each other through simulated NATs."""

import itertools

import pytest

from sansice.ice import IceAgent, IceServer
from sansice.simulation import Filtering, Mapping, Network
from sansice.stun import FilteringBehavior, MappingBehavior, NatBehavior, direct_path
from sansice.stun._behavior._nat_verdict import verdict_of

ANYONE, BY_ADDRESS, BY_PORT = FilteringBehavior
KINDS = list(itertools.product(list(MappingBehavior)[1:], FilteringBehavior))
ALL_KINDS = list(itertools.product(MappingBehavior, FilteringBehavior))


def agents_connect(one, other):
    """Whether two agents behind such NATs, with a STUN server and without a relay, select a pair."""
    net = Network(seed=3, latency=0.02)
    net.stun_server("198.51.100.53")
    ends = []
    for number, (mapping, filtering) in enumerate((one, other)):
        nat = net.nat(f"203.0.113.{number + 1}", mapping=Mapping(mapping.value), filtering=Filtering(filtering.value))
        host = net.host(f"end {number}", f"10.0.{number}.2", behind=nat)
        servers = [IceServer("stun:198.51.100.53:3478")]
        agent = IceAgent(controlling=not number, servers=servers, entropy=host.entropy)
        ends.append((host.run(agent), agent))
        ends[number][0].call(agent.gather, host.addresses)
    net.run(until=3.0)
    (node, agent), (other_node, other_agent) = ends
    node.call(agent.set_remote, other_agent.local_description)
    other_node.call(other_agent.set_remote, agent.local_description)
    return net.run(until=45.0, when=lambda: None not in (agent.selected_pair, other_agent.selected_pair))


@pytest.mark.parametrize("one", KINDS, ids=lambda kind: f"{kind[0].value}+{kind[1].value}")
def test_agents_behind_any_two_nats_connect_exactly_where_a_direct_path_is_said_to_exist(one):
    assert {other: agents_connect(one, other) for other in KINDS} == {other: direct_path(*one, *other) for other in KINDS}


def test_a_direct_path_is_the_same_from_both_ends():
    for one, other in itertools.combinations_with_replacement(ALL_KINDS, 2):
        assert direct_path(*one, *other) is direct_path(*other, *one)


def test_without_a_nat_only_the_filter_counts_as_with_a_steady_mapping():
    for filtering, other in itertools.product(FilteringBehavior, ALL_KINDS):
        steady = direct_path(MappingBehavior.ENDPOINT_INDEPENDENT, filtering, *other)
        assert direct_path(MappingBehavior.NONE, filtering, *other) is steady


def partners(mapping, filtering):
    """Whom a direct path exists with, as the sentences tell them apart."""
    return {kind for kind in ALL_KINDS if direct_path(mapping, filtering, *kind)}


def among(*, mappings=tuple(MappingBehavior), filterings=tuple(FilteringBehavior)):
    return set(itertools.product(mappings, filterings))


NONE, INDEPENDENT, ADDRESS, PORT = MappingBehavior
STEADY = (NONE, INDEPENDENT)
NOT_SYMMETRIC = among(mappings=STEADY)
NOT_BY_PORT = among(filterings=(ANYONE, BY_ADDRESS))
EVERYBODY = among()


@pytest.mark.parametrize(
    ("mapping", "filtering", "whom", "phrase"),
    [
        (NONE, ANYONE, EVERYBODY, "with everybody, and anybody can begin"),
        (NONE, BY_ADDRESS, EVERYBODY, "with everybody, as long as both"),
        (NONE, BY_PORT, NOT_SYMMETRIC, "with everybody but those behind"),
        (INDEPENDENT, ANYONE, EVERYBODY, "with everybody, and anybody can begin"),
        (INDEPENDENT, BY_ADDRESS, EVERYBODY, "with everybody, as long as both"),
        (INDEPENDENT, BY_PORT, NOT_SYMMETRIC, "with everybody but those behind"),
        (ADDRESS, ANYONE, NOT_BY_PORT, "with everybody whose NAT or firewall does not filter by port; any other"),
        (
            ADDRESS,
            BY_ADDRESS,
            (NOT_BY_PORT & NOT_SYMMETRIC) | {(ADDRESS, ANYONE), (PORT, ANYONE)},
            "only where it lets anybody in",
        ),
        (ADDRESS, BY_PORT, NOT_BY_PORT & NOT_SYMMETRIC, "and who are not themselves behind"),
        (PORT, ANYONE, NOT_BY_PORT - among(mappings=(PORT,)), "unless its mapping, too, depends on address and port"),
        (PORT, BY_ADDRESS, (NOT_BY_PORT & NOT_SYMMETRIC) | {(ADDRESS, ANYONE)}, "lets anybody in, excepted"),
        (PORT, BY_PORT, NOT_BY_PORT & NOT_SYMMETRIC, "and who are not behind"),
    ],
)
def test_each_sentence_names_exactly_those_whom_a_direct_path_exists_with(mapping, filtering, whom, phrase):
    assert partners(mapping, filtering) == whom
    assert phrase in verdict_of(mapping, filtering, blocked=False)


@pytest.mark.parametrize("mapping", MappingBehavior)
def test_where_filtering_is_not_known_the_sentence_promises_no_more_than_every_filter_allows(mapping):
    sentence = verdict_of(mapping, None, blocked=False)
    assert "could not be tested" in sentence
    certain = set.intersection(*(partners(mapping, filtering) for filtering in FilteringBehavior))
    possible = set.union(*(partners(mapping, filtering) for filtering in FilteringBehavior))
    if mapping in STEADY:
        assert "at least with everybody who is not behind" in sentence
        assert certain == NOT_SYMMETRIC
    else:
        assert "at best with those whose NAT or firewall does not filter by port" in sentence
        assert possible <= NOT_BY_PORT


def test_sentences_differ_end_once_and_name_the_relay_where_some_need_it():
    sentences = {kind: verdict_of(*kind, blocked=False) for kind in ALL_KINDS}
    assert len(set(sentences.values())) == len(ALL_KINDS)
    for kind, sentence in sentences.items():
        assert sentence.endswith(".")
        assert ". " not in sentence
        assert ("relay (TURN)" in sentence) is (partners(*kind) != EVERYBODY)


def test_blocked_and_unknown_say_what_to_do():
    assert verdict_of(None, None, blocked=True).startswith("Nothing came back over UDP")
    assert "TCP or TLS (TURN)" in verdict_of(None, None, blocked=True)
    assert verdict_of(None, BY_PORT, blocked=False).startswith("There is a NAT, but the server could not tell")
    assert NatBehavior("stun:x").verdict == verdict_of(None, None, blocked=True)
