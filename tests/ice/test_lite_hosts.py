"""The sockets of a lite agent."""

import pytest

from ice._lite import hosts_of
from ice._session import LOST
from ice._wire import at
from sansice.ice import CandidateType, GatheringOptions, RewriteRule
from sansice.ice._gathering._host_list import Counts, HostList
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


def test_further_sockets_of_an_address_are_further_candidates_of_one_foundation():
    hosts = hosts_of(["192.0.2.1", "192.0.2.2"], counts={"192.0.2.1": Counts(udp=3)})
    assert [one.bind.host for one in hosts.ask(0, (1,))] == ["192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.1"]
    found = [hosts.opened(SocketId(number), at(f"192.0.2.{2 if number == 2 else 1}", 4000 + number)) for number in range(1, 5)]
    assert list(hosts.ask(0, (1,))) == []
    assert [one.candidate.foundation for one in found] == ["1", "2", "1", "1"]
    assert [one.candidate.priority >> 8 & 0xFFFF for one in found] == [65535, 65534, 65533, 65532]
    hosts.forget(SocketId(3))
    (again,) = hosts.ask(0, (1,))
    assert hosts.opened(again.socket, at("192.0.2.1", 4005)).candidate.priority == found[2].candidate.priority
    assert hosts.use(HostList(["192.0.2.2"])) == [SocketId(1), SocketId(4), again.socket]


def test_address_that_gives_a_socket_to_one_transport_only_gives_none_to_the_other():
    counts = {"192.0.2.1": Counts(udp=1, passive=0), "192.0.2.2": Counts(udp=0, passive=2)}
    hosts = hosts_of(["192.0.2.1", "192.0.2.2"], GatheringOptions(tcp=("passive",)), counts=counts)
    asked = [(one.transport.value, one.bind.host[-1]) for one in hosts.ask(0, (1,))]
    assert asked == [("udp", "1"), ("tcp", "2"), ("tcp", "2")]


@pytest.mark.parametrize("later", [[], ["2001:db8::2"]])
@pytest.mark.parametrize("names", [["192.0.2.1"], ["192.0.2.1", "192.0.2.2"], ["192.0.2.1", "2001:db8::1", "::1", "fd00::1"]])
@pytest.mark.req("RFC8445-027")
def test_priorities_are_unique_over_udp_and_tcp_whatever_the_families(names, later):
    counts = {name: Counts(2, 2) for name in names}
    hosts = hosts_of(names, GatheringOptions(tcp=("passive",)), counts=counts)
    for given in (names, names + later):
        hosts.use(HostList(given, counts=counts))
        for asked in list(hosts.ask(0, (1,))):
            hosts.opened(asked.socket, at(asked.bind.host, 4000 + asked.socket))
    told = [one.candidate.priority for one in hosts.of(0)]
    assert len(told) == len({*told}) == 4 * len(names) + 2 * len(later)


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
