"""What was found becomes candidates: priorities, redundancy, what is told and what is hidden (RFC 8445 5.1.2, 5.1.3)."""

import pytest

from ice._wire import at
from sansice.ice import CandidatePolicy, CandidateType, HostName, RewriteMode, RewriteRule, candidate_priority
from sansice.ice._gathering._local_candidates import LocalCandidates, LocalFound
from sansice.ice._priority import Foundations
from sansice.machine import Address, LocalProtocolError, SocketId, Transport

HOST, REFLEXIVE, RELAYED = CandidateType.HOST, CandidateType.SERVER_REFLEXIVE, CandidateType.RELAYED
ALL, CONCEAL, NO_HOST, RELAY = CandidatePolicy
ONE, TWO, VIRTUAL = SocketId(1), SocketId(2), SocketId(50)
INSIDE, OUTSIDE, SERVER = at("10.0.0.2"), at("203.0.113.7", 6000), at("198.51.100.53", 3478)
HIDDEN = Address("0.0.0.0", 9)
AT_RELAY = at("198.51.100.53", 60000)


def make(*, rules=(), policy=ALL, hosts=32, servers=2, is_ordered=False):
    return LocalCandidates(
        foundations=Foundations(), hosts=hosts, servers=servers, rules=tuple(rules), policy=policy, is_ordered=is_ordered
    )


def add(made, index=0, *, stream=0, component=1, socket=ONE, address=INSIDE, interface=""):
    return made.add_host(index, stream, component, socket, address, interface)


def told(made):
    return [(local.candidate.type, local.candidate.address) for local in made.told]


def relay(made, host, *, socket=VIRTUAL, address=AT_RELAY, via=Transport.UDP, number=0, server=SERVER):
    made.add_relayed(host, socket, address, OUTSIDE, server, via, number)


# ------------------------------------------------------------- without rules


def test_host_candidate_is_told_and_paired():
    made = make()
    host = add(made)
    assert made.found == [LocalFound(host)] and made.told == [host]
    assert host.candidate.priority == candidate_priority(HOST, 65535, 1) and host.candidate.related_address is None


@pytest.mark.req("RFC8445-025")
def test_address_that_is_told_already_is_redundant_on_the_same_socket_only():
    made = make()
    one = add(made, address=OUTSIDE)
    two = add(made, 1, socket=TWO, address=at("10.0.0.3"))
    made.add_reflexive(one, OUTSIDE, SERVER, 0)
    made.add_reflexive(two, OUTSIDE, SERVER, 0)
    made.add_reflexive(two, OUTSIDE, SERVER, 1)
    assert told(made) == [(HOST, OUTSIDE), (HOST, at("10.0.0.3")), (REFLEXIVE, OUTSIDE)]


@pytest.mark.req("RFC8838-009")
def test_mapping_that_is_told_already_is_redundant_even_from_a_server_with_a_better_preference():
    made = make()
    host = add(made)
    made.add_reflexive(host, OUTSIDE, SERVER, 1)
    [_, first] = made.told
    made.add_reflexive(host, OUTSIDE, at("198.51.100.54", 3478), 0)
    assert made.told == [host, first]


@pytest.mark.req("RFC8445-018", "RFC8445-021", "RFC8421-004")
def test_priorities_of_everything_that_can_be_found_are_unique():
    rules = [RewriteRule(("203.0.113.1", "203.0.113.2"), mode=RewriteMode.APPEND)]
    made = make(hosts=4, servers=3, rules=rules)
    port = iter(range(1, 10_000))
    for index in range(4):
        for component in (1, 2):
            host = add(made, index, component=component, socket=SocketId(next(port)), address=at(f"10.0.0.{index}", next(port)))
            for number in range(3):
                made.add_reflexive(host, at("203.0.113.9", next(port)), SERVER, number)
                for via in Transport:
                    for address in ("198.51.100.53", "2001:db8::53"):
                        relay(made, host, socket=SocketId(next(port)), address=at(address, next(port)), via=via, number=number)
    priorities = [local.candidate.priority for local in made.told]
    assert len(priorities) == 8 * (3 + 3 + 24) == len(set(priorities))
    assert all(1 <= local.local_preference <= 65535 for local in made.told)
    assert all(local.candidate.priority & 0xFF == 256 - local.candidate.component for local in made.told)


def test_more_servers_than_there_are_preferences_are_refused():
    assert make(hosts=32, servers=255)
    with pytest.raises(LocalProtocolError, match="more candidates than"):
        make(hosts=32, servers=256)


@pytest.mark.req("RFC8445-013", "RFC8445-015")
def test_relayed_candidate_is_its_own_base_and_relates_to_the_mapped_address():
    made = make()
    host = add(made)
    relay(made, host)
    relay(made, host, via=Transport.TCP, number=1, socket=SocketId(51))
    one, two = made.told[1:]
    assert (one.base, one.socket, one.candidate.related_address) == (one.candidate.address, VIRTUAL, OUTSIDE)
    assert one.candidate.foundation != two.candidate.foundation
    assert one.candidate.priority > two.candidate.priority


@pytest.mark.req("RFC8445-015")
def test_foundation_of_relayed_candidates_is_the_relays_and_the_servers_addresses_whatever_the_ports():
    made = make()
    host = add(made)
    relay(made, host)
    relay(made, host, number=1, server=at(SERVER.host, SERVER.port + 1), address=at(AT_RELAY.host, AT_RELAY.port + 1))
    relay(made, host, number=2, server=at("198.51.100.99", SERVER.port))
    relay(made, host, number=3, address=at("198.51.100.98", AT_RELAY.port))
    one, two, three, four = (local.candidate.foundation for local in made.told[1:])
    assert one == two
    assert len({one, three, four}) == 3


# ------------------------------------------------------------- rules


def test_rule_of_the_host_type_replaces_the_address_and_keeps_the_base():
    made = make(rules=[RewriteRule("203.0.113.1")])
    host = add(made)
    (found,) = made.found
    assert found.local.candidate.address == at("203.0.113.1", INSIDE.port)
    assert (found.local.base, found.local.socket, found.told) == (INSIDE, ONE, True)
    assert found.local.candidate.priority == host.candidate.priority


def test_appended_host_candidates_come_after_the_private_one():
    made = make(rules=[RewriteRule(("203.0.113.1", "203.0.113.2"), mode=RewriteMode.APPEND)])
    add(made)
    addresses = [local.candidate.address.host for local in sorted(made.told, key=lambda local: -local.candidate.priority)]
    assert addresses == ["10.0.0.2", "203.0.113.1", "203.0.113.2"]
    assert len({local.candidate.foundation for local in made.told}) == 3


def test_rule_of_the_reflexive_type_says_what_a_server_would():
    made = make(rules=[RewriteRule("203.0.113.1", type=REFLEXIVE)])
    host = add(made)
    reflexive = made.told[1].candidate
    assert (reflexive.type, reflexive.address, reflexive.related_address) == (REFLEXIVE, at("203.0.113.1", 5000), INSIDE)
    made.add_reflexive(host, at("203.0.113.1", 5000), SERVER, 0)
    assert len(made.told) == 2


def test_replaced_private_address_is_checked_from_and_not_told():
    made = make(rules=[RewriteRule("203.0.113.1", type=REFLEXIVE, mode=RewriteMode.REPLACE)])
    add(made)
    base, reflexive = made.found
    assert (base.told, base.local.candidate.type, base.local.socket) == (False, HOST, ONE)
    assert (reflexive.told, reflexive.local.candidate.type) == (True, REFLEXIVE)
    assert base.local.candidate.priority == reflexive.local.candidate.priority
    assert told(made) == [(REFLEXIVE, at("203.0.113.1", 5000))]


def test_rule_for_an_interface_concerns_no_other():
    made = make(rules=[RewriteRule("203.0.113.1", interface="eth0")])
    add(made, interface="eth0")
    add(made, 1, socket=TWO, address=at("10.0.0.3"), interface="wlan0")
    assert [address.host for _, address in told(made)] == ["203.0.113.1", "10.0.0.3"]


# ------------------------------------------------------------- policies


@pytest.mark.parametrize("rules", [(), (RewriteRule("203.0.113.1"),), (RewriteRule("203.0.113.1", mode=RewriteMode.APPEND),)])
def test_without_hosts_nothing_of_a_socket_is_known_before_its_outside_is(rules):
    made = make(policy=NO_HOST, rules=rules)
    host = add(made)
    assert made.found == []
    made.add_reflexive(host, OUTSIDE, SERVER, 0)
    made.add_reflexive(host, at("203.0.113.8", 6001), SERVER, 1)
    assert [(found.told, found.local.candidate.type) for found in made.found] == [
        (False, HOST),
        (True, REFLEXIVE),
        (True, REFLEXIVE),
    ]
    assert all(local.candidate.related_address == HIDDEN for local in made.told)


def test_without_hosts_a_rule_may_tell_the_outside():
    made = make(policy=NO_HOST, rules=[RewriteRule("203.0.113.1", type=REFLEXIVE)])
    add(made)
    assert told(made) == [(REFLEXIVE, at("203.0.113.1", 5000))]


@pytest.mark.parametrize(
    ("host", "is_told"),
    [
        ("203.0.113.50", True),
        ("2001:db8::50", True),
        ("10.0.0.2", False),
        ("172.31.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.1.1", False),
        ("fd00::1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_without_hosts_an_address_that_no_nat_hides_is_told_unless_it_is_private(host, is_told):
    made = make(policy=NO_HOST)
    address = at(host)
    made.add_reflexive(add(made, address=address), address, SERVER, 0)
    assert told(made) == ([(REFLEXIVE, address)] if is_told else [])


def test_with_relays_alone_nothing_else_is_found_and_nothing_is_related():
    made = make(policy=RELAY, rules=[RewriteRule("203.0.113.1")])
    host = add(made)
    made.add_reflexive(host, OUTSIDE, SERVER, 0)
    relay(made, host)
    relay(made, host, address=at("2001:db8::53"), socket=SocketId(51))
    assert [found.local.candidate.type for found in made.found] == [RELAYED, RELAYED]
    assert [local.candidate.related_address for local in made.told] == [HIDDEN, Address("::", 9)]


# ------------------------------------------------------------- generations, and losses


def test_another_generation_finds_everything_anew():
    made = make(policy=NO_HOST)
    host = add(made)
    made.add_reflexive(host, OUTSIDE, SERVER, 0)
    other = add(made, 1, stream=1, socket=TWO, address=at("10.0.0.3"))
    made.add_reflexive(other, OUTSIDE, SERVER, 0)
    made.found.clear()
    made.begin([0])
    assert [local.stream for local in made.told] == [1]
    made.add_reflexive(add(made), OUTSIDE, SERVER, 0)
    assert [(found.told, found.local.stream) for found in made.found] == [(False, 0), (True, 0)]


def test_what_is_found_too_late_is_used_and_not_told():
    made = make()
    add(made)
    made.is_silent = True
    add(made, 1, socket=TWO, address=at("10.0.0.3"))
    assert [found.told for found in made.found] == [True, False]
    assert told(made) == [(HOST, INSIDE)]
    made.begin([0])
    assert not made.is_silent


def test_candidates_of_a_lost_socket_are_told_no_more():
    made = make()
    made.add_reflexive(add(made), OUTSIDE, SERVER, 0)
    add(made, 1, socket=TWO, address=at("10.0.0.3"))
    made.lose(ONE)
    assert told(made) == [(HOST, at("10.0.0.3"))]


@pytest.mark.req("RFC8838-025")
def test_components_are_told_in_order_whatever_is_found_first():
    made = make(is_ordered=True)
    for component in (1, 2):
        made.expect(0, 0, component)
    two = add(made, component=2, socket=TWO)
    made.add_reflexive(two, OUTSIDE, SERVER, 0)
    assert made.found == []
    one = add(made, address=at("10.0.0.2", 5001))
    assert [(local.candidate.type, local.candidate.component) for local in made.told] == [(HOST, 1), (HOST, 2)]
    made.add_reflexive(one, at("203.0.113.7", 6001), SERVER, 0)
    made.ended(one, 0)
    assert [local.candidate.component for local in made.told[2:]] == [1, 2]
    made.add_reflexive(two, at("203.0.113.7", 6002), SERVER, 1)
    made.release()
    assert made.told[-1].candidate.component == 2


def test_a_lower_component_without_a_socket_holds_nobody_up():
    made = make(is_ordered=True)
    for component in (1, 2):
        made.expect(0, 0, component)
    add(made, component=2, socket=TWO)
    made.lose_place(0, 0, 1)
    assert [local.candidate.component for local in made.told] == [2]


def test_what_waits_at_the_end_is_never_told():
    made = make(is_ordered=True)
    for component in (1, 2):
        made.expect(0, 0, component)
    add(made, component=2, socket=TWO)
    made.end()
    made.release()
    assert made.found == []


def test_a_single_component_waits_for_nobody():
    made = make()
    made.expect(0, 0, 1)
    made.lose_place(0, 0, 1)
    made.release()
    made.end()
    made.ended(add(made), 0)
    assert len(made.found) == 1


def test_a_server_on_the_own_network_does_not_give_away_what_a_name_conceals():
    made = make(policy=CONCEAL)
    host = add(made)
    made.add_reflexive(host, INSIDE, SERVER, 0)
    assert made.told == [host]
    made.add_reflexive(host, OUTSIDE, SERVER, 0)
    assert made.told[1].candidate.related_address == HIDDEN


@pytest.mark.req("MDNS-004")
def test_a_mapping_that_is_the_base_of_a_concealed_host_is_not_redundant():
    made = LocalCandidates(
        foundations=Foundations(), hosts=1, servers=1, policy=CONCEAL, conceal=lambda address: HostName("a.local", address.port)
    )
    made.add_reflexive(add(made, address=OUTSIDE), OUTSIDE, SERVER, 0)
    assert told(made) == [(HOST, HostName("a.local", OUTSIDE.port)), (REFLEXIVE, OUTSIDE)]
