"""The pairs that two lite agents can make."""

from ice._lite import hosts_of
from ice._wire import at, candidate
from sansice.ice import IceRole
from sansice.ice._lite._choice import possible_pairs
from sansice.ice._lite._component import Component


def made(local, remote, role=IceRole.CONTROLLING):
    hosts = hosts_of(local)
    for opening in list(hosts.ask(0, (1,))):
        hosts.opened(opening.socket, at(opening.bind.host, 4000 + opening.socket))
    component = Component(1)
    component.remotes = {at(host): candidate(host) for host in remote}
    return [(pair.host.host, pair.address.host) for pair in possible_pairs(component, hosts.of(0), role, 0.0)]


def test_pairs_are_of_one_family_and_link_local_ones_among_themselves():
    assert made(["192.0.2.1", "2001:db8::1"], ["198.51.100.1", "fe80::2"]) == [("192.0.2.1", "198.51.100.1")]


def test_ipv6_comes_before_ipv4_and_then_the_longer_common_prefix():
    pairs = made(["192.0.2.1", "2001:db8::1", "2001:db8:1::1"], ["198.51.100.1", "2001:db8:1::2"])
    assert pairs == [("2001:db8:1::1", "2001:db8:1::2"), ("2001:db8::1", "2001:db8:1::2"), ("192.0.2.1", "198.51.100.1")]


def test_candidates_of_another_component_make_no_pair():
    hosts = hosts_of(["192.0.2.1"])
    for opening in list(hosts.ask(0, (2,))):
        hosts.opened(opening.socket, at(opening.bind.host, 4001))
    component = Component(1)
    component.remotes = {at("198.51.100.1"): candidate("198.51.100.1")}
    assert possible_pairs(component, hosts.of(0), IceRole.CONTROLLED, 0.0) == []
