"""Where relayed addresses are made (RFC 8656 7.2)."""

import pytest

from _turn_serving import CLIENT, HOST, UDP_RELAY, TurnServing
from sansice.machine import Address
from sansice.stun import XOR_RELAYED_ADDRESS, AddressFamily, Method
from sansice.turn import RelayAddress, TurnServerConfig
from sansice.turn._server._places import Places

OTHERS = ("198.51.100.2", "198.51.100.3")


def hosts(serving, number):
    """The hosts of the relayed addresses that so many clients get, in order."""
    found = []
    for port in range(number):
        answer = serving.client(CLIENT._replace(port=1000 + port)).ask(Method.ALLOCATE, UDP_RELAY)
        found += [relayed.host for relayed in answer.get_all(XOR_RELAYED_ADDRESS)]
    return found


def test_without_a_word_about_it_it_is_where_the_server_listens():
    assert set(hosts(TurnServing(), 5)) == {HOST}


def test_of_several_hosts_that_the_client_does_not_know_any_may_be_it():
    serving = TurnServing(policy={"relay_addresses": OTHERS})
    assert set(hosts(serving, 50)) == set(OTHERS)


def test_the_one_that_it_knows_is_preferred_as_long_as_it_has_a_port():
    serving = TurnServing(policy={"relay_addresses": [*OTHERS, HOST], "relay_ports": (50000, 50002)})
    found = hosts(serving, 9)
    assert found[:3] == [HOST] * 3
    assert sorted(found[3:]) == sorted(OTHERS * 3)


def test_no_family_is_served_from_a_host_of_another():
    serving = TurnServing(policy={"relay_addresses": [OTHERS[0], "2001:db8::2"]})
    assert set(hosts(serving, 30)) == {OTHERS[0]}


def test_a_listener_that_opens_late_frees_no_port_that_is_taken():
    places = Places(TurnServerConfig(relay_ports=(50000, 50001)), entropy=bytes)
    places.listen(HOST)
    taken = places.choose(AddressFamily.IPV4, HOST).ports.take(now=0.0)
    places.listen(HOST)
    assert places.choose(AddressFamily.IPV4, HOST).ports.take(now=0.0) != taken


def test_without_a_port_anywhere_there_is_no_address():
    serving = TurnServing(policy={"relay_addresses": OTHERS, "relay_ports": (50000, 50000)})
    hosts(serving, 2)
    assert serving.client(CLIENT._replace(port=9)).code(Method.ALLOCATE, UDP_RELAY) == 508


@pytest.mark.req("RFC8656-014")
def test_a_host_that_is_listened_at_twice_has_its_ports_once():
    serving = TurnServing(policy={"relay_ports": (50000, 50001)})  # it is, over UDP, TCP, TLS and DTLS
    user = serving.client()
    user.allocate()
    other = serving.stream()
    other.allocate()
    assert {*user.relayed, *other.relayed} == {Address(HOST, 50000), Address(HOST, 50001)}


def test_what_is_bound_may_be_called_something_else():
    serving = TurnServing(policy={"relay_addresses": [RelayAddress("10.0.0.1", "203.0.113.1")]})
    assert hosts(serving, 1) == ["203.0.113.1"]
    assert [asked.bind.host for asked in serving.opened.values()][-1] == "10.0.0.1"
