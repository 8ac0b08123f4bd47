"""The sockets of a lite agent."""

import pytest

from ice._wire import at
from sansice.ice._lite._hosts import Hosts
from sansice.machine import Ids, SocketId


def asked(hosts, *streams):
    return [(one.socket, one.bind.host) for stream in streams for one in hosts.ask(stream, (1, 2))]


def test_what_is_open_or_opening_is_not_asked_for_again():
    hosts = Hosts(Ids())
    hosts.use(["192.0.2.1"])
    assert asked(hosts, 0) == [(1, "192.0.2.1"), (2, "192.0.2.1")]
    hosts.opened(SocketId(1), at("192.0.2.1", 4001))
    assert asked(hosts, 0) == [] and hosts.is_opening
    assert asked(hosts, 1) == [(3, "192.0.2.1"), (4, "192.0.2.1")]


@pytest.mark.req("RFC8445-007")
def test_candidate_is_its_own_base():
    hosts = Hosts(Ids())
    hosts.use(["192.0.2.1"])
    asked(hosts, 3)
    host = hosts.opened(SocketId(2), at("192.0.2.1", 4002))
    assert (host.base, host.candidate.address, host.component, host.stream) == (at("192.0.2.1", 4002), host.base, 2, 3)
    assert list(hosts.of(3)) == [host] and list(hosts.of(0)) == []


def test_forgetting_says_whether_there_was_one():
    hosts = Hosts(Ids())
    hosts.use(["192.0.2.1"])
    asked(hosts, 0)
    hosts.opened(SocketId(1), at("192.0.2.1", 4001))
    assert [hosts.forget(SocketId(one)) for one in (1, 2, 1, 9)] == [True, True, False, False]


def test_scope_of_a_link_local_address_tells_addresses_apart():
    hosts = Hosts(Ids())
    hosts.use(["fe80::1%eth0", "fe80::1%eth1"])
    asked(hosts, 0)
    first = hosts.opened(SocketId(1), at("fe80::1%eth0", 4001))
    second = hosts.opened(SocketId(2), at("fe80::1%eth1", 4002))
    assert first.candidate.foundation != second.candidate.foundation
    assert hosts.use(["fe80::1%eth1"]) == [SocketId(1), SocketId(3)]
