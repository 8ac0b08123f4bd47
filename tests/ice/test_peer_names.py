"""Names in place of the peer's addresses: found, ignored and kept out of what is shown (mDNS draft 3.2, 3.3)."""

import attrs
import pytest

from ice._wire import Bench, at, candidate
from sansice.ice import CandidateType, GatheringOptions, HostName, IceConfig, IceState, TcpType
from sansice.machine import AddressRecord, OpenSocket, RecordKind, ResolveError, Transport

A, AAAA = RecordKind.A, RecordKind.AAAA
NAME = "0b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
OTHER = "1b5a4d2e-7c1f-4a3b-9e8d-5f6a7b8c9d0e.local"
THERE = "192.168.1.9"
SEEN = at(THERE)
REFLEXIVE = CandidateType.SERVER_REFLEXIVE


def concealed(name=NAME, port=5000, **options):
    return attrs.evolve(candidate(THERE, **options), address=HostName(name, port))


def told(*remotes, **options):
    return Bench(hosts=options.pop("hosts", ("192.168.1.2",)), remotes=remotes or (concealed(),), **options)


def answer(bench, *hosts, name=NAME, until=1.0):
    """Somebody on the link answers, or nobody does."""
    for one in [one for one in bench.asked if one.name == name]:
        fitting = tuple(AddressRecord(host) for host in hosts if (":" in host) is (one.kind is AAAA))
        bench.call(bench.agent.handle_resolved, one.query, fitting or ResolveError.NOT_FOUND)
    bench.run(bench.now + until)


def remotes(bench):
    return [one.address for one in bench.agent.remote_candidates]


def stats(bench):
    return [(one.candidate_type.value, one.address, one.port) for one in bench.agent.report().candidates if one.is_remote]


# ------------------------------------------------------------- finding


@pytest.mark.req("MDNS-008")
def test_what_a_name_leads_to_is_checked_and_what_is_shown_is_the_name():
    bench = told()
    assert [(one.name, one.kind) for one in bench.asked] == [(NAME, AAAA), (NAME, A)] and not bench.checks
    answer(bench, THERE)
    assert bench.checks[0].destination == SEEN
    assert remotes(bench) == [HostName(NAME, 5000)]


@pytest.mark.req("MDNS-008", "MDNS-010")
@pytest.mark.parametrize(
    "hosts",
    [
        (),
        (THERE, "192.168.1.10"),
        (THERE, "2001:db8::9"),
        tuple(f"10.{n // 250}.7.{n % 250}" for n in range(1000)),
        ("127.0.0.1",),
        ("::1",),
        ("224.0.0.251",),
        ("ff02::fb",),
        ("0.0.0.0",),
        ("255.255.255.255",),
    ],
    ids=["nowhere", "two", "two-families", "thousand", "loopback", "loopback6", "group", "group6", "any", "broadcast"],
)
def test_a_name_that_leads_nowhere_to_many_or_to_ourselves_is_dropped_and_explained(hosts):
    bench = told()
    answer(bench, *hosts)
    assert (remotes(bench), bench.checks, bench.dropped()) == ([], [], {"UNUSABLE_CANDIDATE": 1})
    assert f"{NAME}: no usable address" in bench.agent.explain()


@pytest.mark.req("MDNS-008")
def test_a_name_that_nobody_ever_answers_for_ends_the_wait():
    bench = told(config=IceConfig(name_timeout=5.0, pac_timeout=1.0))
    bench.run(4.9)
    assert bench.agent.state is IceState.CHECKING
    bench.run(5.0)
    assert (bench.agent.state, bench.dropped()) == (IceState.FAILED, {"UNUSABLE_CANDIDATE": 1})


@pytest.mark.req("MDNS-008")
def test_names_are_looked_for_at_once_and_a_late_one_is_paired_when_it_comes():
    bench = told(concealed(), concealed(OTHER, foundation="r2"))
    assert {one.name for one in bench.asked} == {NAME, OTHER}
    answer(bench, THERE, name=OTHER, until=3.0)
    assert remotes(bench) == [HostName(OTHER, 5000)]
    answer(bench, "192.168.1.10")
    assert remotes(bench) == [HostName(OTHER, 5000), HostName(NAME, 5000)]


@pytest.mark.req("MDNS-007", "MDNS-010")
@pytest.mark.parametrize(
    "name",
    ["printer.local", f"{NAME}.", f"a.{NAME}", f"{NAME[:-7]}.local", f"{'x' * 57}.local", f"{NAME[:8]}x{NAME[9:]}", "a.b.local"],
)
def test_other_names_under_local_are_never_asked_for(name):
    bench = told(concealed(name))
    assert (bench.asked, bench.dropped()) == ([], {"UNUSABLE_CANDIDATE": 1})


@pytest.mark.req("MDNS-009")
def test_who_uses_only_relays_asks_for_no_name():
    bench = told(policy="relay", servers=())
    assert (bench.asked, bench.dropped()) == ([], {"UNUSABLE_CANDIDATE": 1})
    openly = told(policy="no-host")
    assert openly.asked


def test_names_that_a_peer_may_have_asked_for_are_bounded_however_long_it_goes_on():
    bench = told(concealed(), config=IceConfig(max_remote_candidates=5), complete=False)
    for number in range(20):
        name = f"{number:08x}{NAME[8:]}"
        bench.call(bench.agent.add_remote_candidate, concealed(name))
        answer(bench, name=name)
    assert len({one.name for one in bench.asked}) == 5
    assert bench.dropped() == {"LIMIT": 16, "UNUSABLE_CANDIDATE": 5}


def test_the_same_name_is_not_asked_for_again():
    bench = told(complete=False)
    answer(bench)
    assert bench.call(bench.agent.add_remote_candidate, concealed(priority=7)) is False
    assert len(bench.asked) == 2


def test_link_local_addresses_are_reached_by_their_link():
    bench = told(hosts=("fe80::2%eth0",))
    answer(bench, "fe80::9%eth0")
    assert bench.checks[0].destination == at("fe80::9%eth0")


def test_names_of_tcp_candidates_are_found_where_tcp_is_used():
    passive = concealed(transport=Transport.TCP, tcp_type=TcpType.PASSIVE)
    assert told(passive).asked == []
    bench = told(passive, gathering=GatheringOptions(udp=False, tcp=("active",)))
    agent, (ipv6, ipv4) = bench.agent, bench.asked
    agent.handle_resolved(ipv6.query, ResolveError.NOT_FOUND, now=bench.now)
    agent.handle_resolved(ipv4.query, (AddressRecord(THERE),), now=bench.now)
    assert remotes(bench) == [HostName(NAME, 5000)]
    [connecting] = [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]
    assert connecting.remote == SEEN


# ------------------------------------------------------------- what is shown


@pytest.mark.req("MDNS-007", "MDNS-012")
@pytest.mark.parametrize("name", [NAME, NAME.upper()], ids=["lower", "upper"])
def test_no_statistics_show_the_address_of_a_name(name):
    bench = told(concealed(name))
    answer(bench, THERE)
    bench.answer(bench.checks[0])
    bench.run(bench.now + 1.0)
    bench.answer(bench.checks[-1])
    agent = bench.agent
    assert agent.state is IceState.COMPLETED and stats(bench) == [("host", name, 5000)]
    shown = (agent.report().to_json(), agent.explain(), agent.explain().to_json(), repr(agent.report()), repr(agent.pairs))
    assert not [text for text in shown if THERE in text]
    assert THERE not in repr([event for _, event in bench.events])
    assert agent.path_of() == (1, SEEN)


@pytest.mark.req("MDNS-012")
@pytest.mark.parametrize("hosts", [(THERE,), ()], ids=["found", "lost"])
def test_statistics_have_the_same_candidate_whether_a_name_leads_anywhere_or_not(hosts):
    bench = told()
    before = [one for one in bench.agent.report().candidates if one.is_remote]
    answer(bench, *hosts)
    assert [one for one in bench.agent.report().candidates if one.is_remote] == before != []


@pytest.mark.req("MDNS-012")
def test_what_only_checks_have_revealed_is_not_in_statistics():
    bench = told(candidate("203.0.113.9"))
    bench.request(SEEN)
    assert stats(bench) == [("host", "203.0.113.9", 5000), ("prflx", None, None)]
    assert THERE not in bench.agent.report().to_json()
    assert THERE in bench.agent.explain()  # this peer conceals nothing


@pytest.mark.req("MDNS-012")
def test_an_address_that_the_peer_told_itself_is_shown_at_whatever_port():
    bench = told(candidate("203.0.113.9"))
    bench.request(at("203.0.113.9", 6000))
    assert stats(bench) == [("host", "203.0.113.9", 5000), ("prflx", "203.0.113.9", 6000)]


@pytest.mark.req("MDNS-012")
@pytest.mark.parametrize("is_early", [True, False], ids=["before-the-name", "after-the-name"])
def test_what_the_checks_of_a_peer_with_names_reveal_is_shown_nowhere(is_early):
    bench = told(*(() if is_early else (concealed(),)), complete=False, hosts=("192.168.1.2",))
    if is_early:
        bench = Bench(hosts=("192.168.1.2",), complete=False)
    bench.request(SEEN)
    if is_early:
        bench.call(bench.agent.add_remote_candidate, concealed())
    bench.answer(bench.checks[-1])
    bench.run(1.0)
    agent = bench.agent
    assert agent.pairs[0].remote.address == at("0.0.0.0", 9)
    assert THERE not in agent.report().to_json() + agent.explain().to_json() + agent.explain() + repr(agent.pairs)
    answer(bench, THERE)
    assert [pair.remote.address for pair in agent.pairs] == [HostName(NAME, 5000)]


def test_the_id_of_what_checks_revealed_leads_from_the_pair_to_the_candidate():
    bench = told(candidate("203.0.113.9"))
    bench.request(SEEN)
    bench.request(at("192.168.1.10"))
    report = bench.agent.report()
    remote = [report[pair.remote_candidate_id].candidate_type.value for pair in report.pairs]
    assert sorted(remote) == ["host", "prflx", "prflx"] and len({pair.remote_candidate_id for pair in report.pairs}) == 3


# ------------------------------------------------------------- an address that is told openly, too


@pytest.mark.parametrize("order", ["name-first", "open-first"])
def test_the_address_of_a_name_may_be_told_openly_as_well(order):
    openly = candidate(THERE, type=REFLEXIVE, foundation="r9")
    bench = told(*([concealed(), openly] if order == "name-first" else [openly, concealed()]), complete=False)
    if order == "name-first":
        answer(bench, THERE)
        bench.call(bench.agent.add_remote_candidate, openly)
    else:
        answer(bench, THERE)
    [pair] = bench.agent.pairs
    assert pair.remote.address == HostName(NAME, 5000)
    assert sorted(stats(bench)) == [("host", NAME, 5000), ("srflx", THERE, 5000)]


def test_a_name_of_lower_priority_changes_nothing_for_an_open_address():
    openly = candidate(THERE, foundation="r9")
    bench = told(openly, concealed(priority=5))
    answer(bench, THERE)
    assert [pair.remote for pair in bench.agent.pairs] == [openly]
    bench.call(bench.agent.add_remote_candidate, attrs.evolve(openly, priority=6))
    assert [pair.remote for pair in bench.agent.pairs] == [openly]
