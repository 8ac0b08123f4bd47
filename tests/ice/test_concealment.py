"""Names in place of our own addresses: what is told, and for how long (draft-ietf-mmusic-mdns-ice-candidates 3.1)."""

import re

import pytest

from ice._wire import Bench, at, candidate
from sansice.ice import (
    CandidateGathered,
    CandidateType,
    GatheringOptions,
    HostName,
    IceAgent,
    IceState,
    RewriteMode,
    RewriteRule,
    SessionDescription,
    SessionSdp,
    is_concealing_name,
)
from sansice.ice._gathering._concealment import Concealment
from sansice.machine import Address, PublishName, WithdrawName
from sansice.simulation import Network

V4, V6 = "192.168.1.2", "2001:db8:1::2"
LOCAL = "fe80::2%eth0"
TEMPLATE = "v=0\no=- 1 1 IN IP4 127.0.0.1\ns=-\nt=0 0\nm=audio 9 RTP/AVP 0\nc=IN IP4 0.0.0.0\na=mid:0\na=rtcp-mux\n"


def concealed(*hosts, **options):
    return Bench(hosts=hosts or (V4,), policy="conceal-host", known=False, **options)


def named(bench):
    return [one.address for one in bench.agent.local_candidates]


def public_host():
    """An agent on a host with a public address, which a server sees as it is."""
    net = Network(seed=1)
    net.stun_server("198.51.100.53")
    host = net.host("A", "192.0.2.1")
    node = host.run(IceAgent(controlling=True, policy="conceal-host", servers=["stun:198.51.100.53"], entropy=host.entropy))
    node.call(node.machine.gather, host.addresses)
    net.run(until=1.0)
    return node


@pytest.mark.req("MDNS-001")
def test_a_concealed_host_candidate_has_a_uuid_of_version_4_in_place_of_its_address():
    [name] = named(concealed())
    assert name.port == 4001 and is_concealing_name(name.name)
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\.local", name.name)


@pytest.mark.req("MDNS-002")
def test_each_address_has_one_name_in_all_components_and_after_a_restart():
    bench = concealed(V4, V6, components=2)
    first = {at_.port: at_.name for at_ in named(bench)}
    assert first[4001] == first[4002] != first[4003] == first[4004]
    bench.call(bench.agent.restart)
    bench.call(bench.agent.gather, (V4, V6))
    assert {at_.port: at_.name for at_ in named(bench)} == first
    assert bench.names == [PublishName(first[4001], V6), PublishName(first[4003], V4)]  # RFC 8421: IPv6 first


@pytest.mark.req("MDNS-002")
def test_another_agent_has_other_names_for_the_same_address():
    net = Network(seed=1)
    host = net.host("A", V4, behind=net.segment("LAN"))
    agents = [IceAgent(controlling=True, policy="conceal-host", entropy=host.entropy) for _ in range(2)]
    for agent in agents:
        node = host.run(agent)
        node.call(agent.gather, host.addresses)
    assert len({agent.local_candidates[0].address.name for agent in agents}) == 2


@pytest.mark.req("MDNS-003")
def test_the_name_is_to_be_published_before_its_candidate_is_told_and_that_waits_for_nobody():
    agent = IceAgent(controlling=True, policy="conceal-host")
    agent.gather([V4], now=0.0)
    [opening] = agent.take_outputs()
    agent.handle_socket_opened(opening.socket, at(V4), now=0.0)
    publish, gathered, *_ = agent.take_outputs()
    assert isinstance(publish, PublishName) and isinstance(gathered, CandidateGathered)
    assert gathered.candidate.address == HostName(publish.name, 5000)


@pytest.mark.req("MDNS-004")
def test_what_a_server_sees_of_a_public_host_is_a_candidate_beside_its_name_and_hides_its_base():
    host, reflexive = public_host().machine.local_candidates
    assert (host.type, reflexive.type) == (CandidateType.HOST, CandidateType.SERVER_REFLEXIVE)
    assert isinstance(host.address, HostName) and reflexive.address == Address("192.0.2.1", host.address.port)
    assert reflexive.related_address == Address("0.0.0.0", 9)
    assert " raddr 0.0.0.0 rport 9" in reflexive.to_sdp()


@pytest.mark.req("MDNS-004")
def test_over_ipv6_the_base_is_hidden_by_the_wildcard_of_ipv6():
    net = Network(seed=1)
    net.stun_server("2001:db8::53")
    host = net.host("A", V6)
    node = host.run(IceAgent(controlling=True, policy="conceal-host", servers=["stun:[2001:db8::53]"], entropy=host.entropy))
    node.call(node.machine.gather, host.addresses)
    net.run(until=1.0)
    _, reflexive = node.machine.local_candidates
    assert " raddr :: rport 9" in reflexive.to_sdp()


@pytest.mark.req("MDNS-005")
def test_the_name_stands_in_the_candidate_and_never_in_the_default_destination():
    description = concealed().agent.local_description
    text = SessionSdp.from_sdp(TEMPLATE).with_ice(SessionDescription([description], mids=["0"])).to_sdp()
    [name] = [one.address for one in description.candidates]
    assert text.count(name.name) == 1 and f" {name.name} 4001 typ host" in text
    assert "m=audio 9 " in text and "c=IN IP4 0.0.0.0" in text


@pytest.mark.req("MDNS-006")
@pytest.mark.parametrize("hosts", [(V4,), (V6,), (V4, V6), (LOCAL,)])
def test_nothing_that_is_told_of_this_end_shows_its_address(hosts):
    bench = concealed(*hosts, components=2)
    agent = bench.agent
    told = [event.candidate for _, event in bench.events if isinstance(event, CandidateGathered)]
    shown = (
        agent.local_description.to_sdp(),
        agent.local_description.to_json(),
        agent.local_descriptions.to_json(),
        agent.explain(),
        agent.explain().to_json(),
        agent.report().to_json(),
        repr((told, agent.local_candidates, agent.report())),
    )
    assert told and not [host for host in hosts for text in shown if host.partition("%")[0] in text]


def test_what_a_rule_makes_of_an_address_is_told_as_it_is():
    rules = [RewriteRule(("203.0.113.7",), mode=RewriteMode.APPEND)]
    inside, outside = named(concealed(gathering=GatheringOptions(rewrite=rules)))
    assert isinstance(inside, HostName) and outside == at("203.0.113.7", 4001)


def test_tcp_candidates_are_concealed_by_the_same_name():
    bench = concealed(gathering=GatheringOptions(tcp=("active", "passive")))
    assert len(named(bench)) == 3 and len({address.name for address in named(bench)}) == 1


def test_loopback_tells_nothing_and_stays():
    assert named(concealed("127.0.0.1")) == [at("127.0.0.1", 4001)]


def test_names_are_taken_back_at_the_end():
    bench = concealed(V4, V6)
    published = [one.name for one in bench.names]
    bench.call(bench.agent.close)
    assert bench.names[2:] == [WithdrawName(name) for name in published]
    bench.call(bench.agent.close)
    assert len(bench.names) == 4


def test_the_name_of_an_address_that_is_gone_is_taken_back_and_another_time_it_has_another():
    bench = concealed(V4, V6)
    (second, _), (first, _) = bench.names
    bench.call(bench.agent.update_addresses, [V6])
    assert bench.names[2:] == [WithdrawName(first)]
    bench.call(bench.agent.update_addresses, [V4, V6])
    assert bench.names[3].host == V4 and bench.names[3].name not in (first, second)


def test_an_address_list_that_flaps_leaves_one_name():
    bench = concealed(V4)
    for number in range(100):
        bench.call(bench.agent.update_addresses, [f"192.168.2.{number}"])
    bench.run(10.0)  # of a list that flaps not each one is gathered from
    live = {}
    for one in bench.names:
        if isinstance(one, PublishName):
            live[one.name] = one.host
        else:
            del live[one.name]
    assert list(live.values()) == ["192.168.2.99"]


def test_a_mapped_address_that_is_the_own_one_makes_no_other_candidate():
    bench = Bench(hosts=(V4,), remotes=(candidate("192.168.1.9"),), policy="conceal-host")
    bench.answer(bench.check)
    bench.run(1.0)
    for check in bench.checks[1:]:
        bench.answer(check)
    assert bench.agent.state is IceState.COMPLETED
    assert isinstance(bench.agent.selected_pair.local.address, HostName)
    assert [one.candidate_type for one in bench.agent.report().candidates if not one.is_remote] == [CandidateType.HOST]


def test_what_checks_reveal_of_a_nat_hides_its_base():
    bench = Bench(hosts=(V4,), remotes=(candidate("198.51.100.9"),), policy="conceal-host")
    bench.answer(bench.check, mapped=at("203.0.113.7", 4444))
    [_, mapped, _] = bench.agent.report().candidates
    assert (mapped.candidate_type, mapped.address) == (CandidateType.PEER_REFLEXIVE, "203.0.113.7")
    assert (mapped.related_address, mapped.related_port) == ("0.0.0.0", 9)
    assert V4 not in bench.agent.report().to_json() + bench.agent.explain().to_json()


def test_names_are_drawn_from_the_entropy_that_is_given():
    one = Concealment(bytes)
    address = one.address_of(at(V4))
    assert address.name == "00000000-0000-4000-8000-000000000000.local"
    assert one.name_of(V4) == address.name and one.name_of(V6) == V6
