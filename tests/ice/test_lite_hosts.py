"""The sockets of a lite agent."""

import pytest

from ice._lite import hosts_of
from ice._session import LOST
from ice._wire import at
from sansice.ice import CandidateType, GatheringOptions, RewriteRule
from sansice.ice._gathering._host_list import HostList
from sansice.machine import SocketError, SocketErrorKind, SocketId

TAKEN = SocketError(SocketErrorKind.ADDRESS_IN_USE, "taken")


def asked(hosts, *streams):
    return [(one.socket, one.bind.host) for stream in streams for one in hosts.ask(stream, (1, 2))]


def test_what_is_open_or_opening_is_not_asked_for_again():
    hosts = hosts_of(["192.0.2.1"])
    assert asked(hosts, 0) == [(1, "192.0.2.1"), (2, "192.0.2.1")]
    hosts.opened(SocketId(1), at("192.0.2.1", 4001))
    assert asked(hosts, 0) == [] and hosts.is_opening
    assert asked(hosts, 1) == [(3, "192.0.2.1"), (4, "192.0.2.1")]


@pytest.mark.req("RFC8445-007")
def test_candidate_is_its_own_base():
    hosts = hosts_of(["192.0.2.1"])
    asked(hosts, 3)
    host = hosts.opened(SocketId(2), at("192.0.2.1", 4002))
    assert (host.base, host.candidate.address, host.component, host.stream) == (at("192.0.2.1", 4002), host.base, 2, 3)
    assert list(hosts.of(3)) == [host] and list(hosts.of(0)) == []


def test_forgetting_says_whether_there_was_one():
    hosts = hosts_of(["192.0.2.1"])
    asked(hosts, 0)
    hosts.opened(SocketId(1), at("192.0.2.1", 4001))
    assert [hosts.forget(SocketId(one)) for one in (1, 2, 1, 9)] == [True, True, False, False]


def test_scope_of_a_link_local_address_tells_addresses_apart():
    hosts = hosts_of(["fe80::1%eth0", "fe80::1%eth1"])
    asked(hosts, 0)
    first = hosts.opened(SocketId(1), at("fe80::1%eth0", 4001))
    second = hosts.opened(SocketId(2), at("fe80::1%eth1", 4002))
    assert first.candidate.foundation != second.candidate.foundation
    assert hosts.use(HostList(["fe80::1%eth1"])) == [SocketId(1), SocketId(3)]


def ports(hosts, count):
    return [one.bind.port for one in hosts.ask(0, range(1, count + 1))]


def test_ports_of_a_range_are_asked_for_in_turn_from_one_that_is_drawn():
    options = GatheringOptions(port_range=(5000, 5002))
    assert ports(hosts_of(["192.0.2.1"], options, lambda n: bytes(n)), 4) == [5001, 5002, 5000, 5001]
    assert ports(hosts_of(["192.0.2.1"], options, lambda n: b"\x00\x01"), 2) == [5002, 5000]


def test_port_that_is_taken_makes_way_for_the_next_until_all_have_been_tried():
    hosts = hosts_of(["192.0.2.1"], GatheringOptions(port_range=(5000, 5002)), lambda n: bytes(n))
    (asked,) = hosts.ask(0, (1,))
    tried = [asked.bind.port]
    while (again := hosts.ask_again(asked.socket, TAKEN)) is not None:
        asked = again
        tried.append(asked.bind.port)
    assert tried == [5001, 5002, 5000] and hosts.is_opening


def test_other_errors_and_other_sockets_are_not_tried_again():
    ranged = hosts_of(["192.0.2.1"], GatheringOptions(port_range=(5000, 5002)), lambda n: bytes(n))
    (asked,) = ranged.ask(0, (1,))
    assert ranged.ask_again(asked.socket, LOST) is None
    assert ranged.ask_again(SocketId(99), TAKEN) is None
    free = hosts_of(["192.0.2.1"])
    (asked,) = free.ask(0, (1,))
    assert asked.bind.port == 0 and free.ask_again(asked.socket, TAKEN) is None


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (RewriteRule("203.0.113.9"), "203.0.113.9"),
        (RewriteRule(("203.0.113.9", "203.0.113.10")), "203.0.113.9"),
        (RewriteRule("203.0.113.9", local="10.0.0.9"), "10.0.0.1"),
        (RewriteRule("203.0.113.9", type=CandidateType.SERVER_REFLEXIVE), "10.0.0.1"),
        (RewriteRule("2001:db8::9"), "10.0.0.1"),
    ],
)
@pytest.mark.req("RFC8445-026")
def test_address_is_told_as_a_1_to_1_nat_has_it_and_there_is_still_one_candidate(rule, told):
    hosts = hosts_of(["10.0.0.1"], GatheringOptions(rewrite=(rule,)))
    asked(hosts, 0)
    host = hosts.opened(SocketId(1), at("10.0.0.1", 4001))
    assert (host.candidate.address, host.base) == (at(told, 4001), at("10.0.0.1", 4001))
    assert list(hosts.of(0)) == [host]
