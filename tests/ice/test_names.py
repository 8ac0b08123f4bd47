"""Candidates that have a name: one address is found for each, within bounds (RFC 8839 5.1)."""

import math

import attrs
import pytest

from ice._session import Two
from ice._wire import Bench, at, candidate
from sansice.ice import HostName, IceConfig, IceState
from sansice.ice._agent._names import OTHER_FAMILY, NameSearch
from sansice.machine import AddressRecord, DropReason, Ids, RecordKind, Resolve, ResolveError

A, AAAA = RecordKind.A, RecordKind.AAAA
V4, V6 = AddressRecord("198.51.100.9"), AddressRecord("2001:db8::9")
DUAL = ("192.0.2.1", "2001:db8::1")


def named(name="peer.example", port=5000, **options):
    return attrs.evolve(candidate("198.51.100.9", **options), address=HostName(name, port))


def told(*names, **options):
    """An agent whose peer has candidates with names."""
    return Bench(remotes=names or (named(),), **options)


def answer(bench, records, kind=A, number=-1):
    [*_, query] = [one.query for one in bench.asked if one.kind is kind][: None if number == -1 else number + 1]
    bench.call(bench.agent.handle_resolved, query, records)


def remotes(bench):
    return [one.address for one in bench.agent.remote_candidates]


# In an agent


def test_name_is_asked_for_in_both_families_and_its_address_is_checked():
    bench = told()
    assert [(one.name, one.kind) for one in bench.asked] == [("peer.example", AAAA), ("peer.example", A)]
    assert bench.checks == []
    answer(bench, ResolveError.NOT_FOUND, AAAA)
    answer(bench, (V4,))
    assert bench.check.destination == at("198.51.100.9")
    [known] = bench.agent.remote_candidates
    assert attrs.evolve(known, address=named().address) == named()


@pytest.mark.req("RFC8839-033")
def test_agent_that_does_not_resolve_names_ignores_such_candidates():
    bench = told(config=IceConfig(resolve_names=False))
    assert (bench.asked, bench.agent.remote_candidates) == ([], ())
    assert bench.dropped() == {"UNUSABLE_CANDIDATE": 1}


@pytest.mark.req("RFC8839-033")
def test_agent_never_has_a_name_itself():
    bench = told(hosts=DUAL)
    assert not [one for one in bench.agent.local_candidates if isinstance(one.address, HostName)]


def test_trickled_name_is_asked_for_too():
    bench = Bench(complete=False)
    assert bench.call(bench.agent.add_remote_candidate, named()) is True
    bench.call(bench.agent.end_of_candidates)
    answer(bench, (V4,))
    bench.run(OTHER_FAMILY)
    assert remotes(bench) == [at("198.51.100.9")]


@pytest.mark.parametrize(
    ("hosts", "chosen"), [(("192.0.2.1",), "198.51.100.9"), (DUAL, "2001:db8::9"), (("2001:db8::1",), "2001:db8::9")]
)
def test_one_address_is_taken_of_the_family_that_this_side_prefers_and_has(hosts, chosen):
    bench = told(hosts=hosts)
    answer(bench, (V4, AddressRecord("198.51.100.10")))
    answer(bench, (V6, AddressRecord("2001:db8::a")), AAAA)
    assert remotes(bench) == [at(chosen)]


def test_address_of_the_other_family_is_better_than_none():
    bench = told(hosts=("2001:db8::1",))
    answer(bench, (V4,))
    bench.run(1.0)
    assert remotes(bench) == [at("198.51.100.9")]


def test_who_has_one_family_gives_the_other_a_twentieth_of_a_second():
    bench = told(hosts=DUAL)
    answer(bench, (V4,))
    assert remotes(bench) == []
    bench.run(OTHER_FAMILY)
    assert remotes(bench) == [at("198.51.100.9")]


def test_address_that_cannot_be_sent_to_is_not_used():
    bench = told()
    answer(bench, (AddressRecord("224.0.0.1"),))
    bench.run(1.0)
    assert (remotes(bench), bench.dropped()) == ([], {"UNUSABLE_CANDIDATE": 1})


@pytest.mark.parametrize("said", [ResolveError.NOT_FOUND, ()])
def test_name_that_leads_nowhere_is_counted(said):
    bench = told()
    answer(bench, said)
    answer(bench, said, AAAA)
    assert (remotes(bench), bench.dropped()) == ([], {"UNUSABLE_CANDIDATE": 1})


def test_silent_name_server_is_given_up():
    bench = told(config=IceConfig(name_timeout=2.0))
    bench.run(1.9)
    assert bench.dropped() == {}
    bench.run(2.0)
    assert bench.dropped() == {"UNUSABLE_CANDIDATE": 1}
    answer(bench, (V4,))  # too late
    assert remotes(bench) == []


def test_stream_does_not_fail_while_a_name_may_still_lead_somewhere():
    bench = told(config=IceConfig(name_timeout=50.0))
    bench.run(49.0)
    assert bench.agent.state is IceState.CHECKING  # patience was over at 39.5
    bench.run(50.0)
    assert bench.agent.state is IceState.FAILED


def test_answers_after_the_end_are_ignored():
    bench = told()
    bench.call(bench.agent.close)
    answer(bench, (V4,))
    assert (remotes(bench), bench.agent.deadline()) == ([], math.inf)


def test_names_of_a_generation_that_is_over_are_not_paired():
    bench = told()
    bench.call(bench.agent.restart)
    answer(bench, (V4,))
    bench.run(1.0)
    assert remotes(bench) == []


@pytest.mark.parametrize("name", ["peer.local", "PEER.LOCAL."])
def test_names_of_multicast_are_not_asked_of_a_name_server(name):
    bench = told(named(name))
    assert (bench.asked, bench.dropped()) == ([], {"UNUSABLE_CANDIDATE": 1})


def test_name_of_several_candidates_is_asked_for_once():
    bench = told(named(), named("Peer.Example.", port=5001, foundation="2"), named())
    assert [one.name for one in bench.asked] == ["peer.example"] * 2
    answer(bench, (V4,))
    bench.run(1.0)
    assert remotes(bench) == [at("198.51.100.9", 5000), at("198.51.100.9", 5001)]


def test_what_a_peer_can_have_asked_is_bounded():
    bench = told(*(named(f"host{number}.example") for number in range(40)), config=IceConfig(max_names=3))
    assert len(bench.asked) == 6
    assert bench.dropped() == {"LIMIT": 37}
    many = told(*(named(port=port) for port in range(1, 40)), config=IceConfig(max_remote_candidates=5))
    assert (len(many.asked), many.dropped()) == (2, {"LIMIT": 34})


def test_two_agents_find_each_other_by_name_in_the_laboratory():
    two = Two()
    two.net.resolve("a.example", [AddressRecord("192.0.2.1")])
    two.net.run(until=0.1)
    [host] = two.a.local_candidates
    hidden = attrs.evolve(host, address=HostName("a.example", host.address.port))
    two.node_b.call(two.b.set_remote, attrs.evolve(two.a.local_description, candidates=[hidden]))
    two.node_a.call(two.a.set_remote, attrs.evolve(two.b.local_description, candidates=()))
    assert two.connect()
    assert two.b.selected_pair.remote == attrs.evolve(hidden, address=host.address)


# By itself


def test_search_ignores_what_it_has_not_asked():
    drops = []
    ids = Ids()
    search = NameSearch(ids, IceConfig(), drops.append)
    generation = object()
    assert search.deadline() == math.inf
    assert search.waits_for(generation) is False
    assert search.add(named(), named().address, generation) is True
    assert search.add(named(), named().address, generation) is False
    search.start(now=1.0)
    search.start(now=2.0)
    questions = search.take_outputs()
    assert [type(one) for one in questions] == [Resolve, Resolve]
    assert search.deadline() == 1.0 + IceConfig().name_timeout
    search.handle_resolved(ids.query(), (V4,), now=2.0)
    search.handle_timer(now=3.0)
    assert (search.waits_for(generation), search.waits_for(object()), search.take_found()) == (True, False, [])
    assert (search.take_outputs(), drops) == ([], [])
    search.handle_timer(now=6.0)
    assert (search.deadline(), drops) == (math.inf, [DropReason.UNUSABLE_CANDIDATE])
