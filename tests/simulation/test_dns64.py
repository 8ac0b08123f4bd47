"""DNS64: names that have only an IPv4 address, asked for by a host that has only IPv6 (RFC 6147)."""

import pytest

from sansice.machine import Address, AddressRecord, RecordKind, ResolveError, SrvRecord, Transport
from sansice.simulation import Dns64, Nat64Prefix, Network
from sansice.simulation._world._names import NameService
from sansice.stun import BindingLookup, Listener, MappedAddressDiscovered, StunServer

SRV = SrvRecord(1, 1, 3478, "stun.example.org")


def resolver(answer, latency=0.0):
    names = NameService(latency)
    names.say("stun.example.org", answer)
    return Dns64(names, Nat64Prefix())


def test_a_name_with_ipv4_alone_gets_ipv6():
    answer = resolver([AddressRecord("192.0.2.1", 300), AddressRecord("192.0.2.2"), SRV])
    took, records = answer.look_up("stun.example.org", RecordKind.AAAA)
    assert took == 0.0
    assert records == (AddressRecord("64:ff9b::c000:201", 300), AddressRecord("64:ff9b::c000:202"))


def test_a_name_that_has_ipv6_keeps_it():
    answer = resolver([AddressRecord("192.0.2.1"), AddressRecord("2001:db8::1")])
    assert answer.look_up("stun.example.org", RecordKind.AAAA) == (0.0, (AddressRecord("2001:db8::1"),))


@pytest.mark.parametrize(("kind", "records"), [(RecordKind.A, (AddressRecord("192.0.2.1"),)), (RecordKind.SRV, (SRV,))])
def test_other_questions_are_answered_as_elsewhere(kind, records):
    assert resolver([AddressRecord("192.0.2.1"), SRV]).look_up("stun.example.org", kind) == (0.0, records)


@pytest.mark.parametrize("error", ResolveError)
def test_an_error_for_both_families_stays_one(error):
    assert resolver(error, latency=0.25).look_up("stun.example.org", RecordKind.AAAA) == (0.5, error)


def test_the_second_question_takes_its_time_too():
    took, _ = resolver([AddressRecord("192.0.2.1")], latency=0.25).look_up("stun.example.org", RecordKind.AAAA)
    assert took == 0.5


def test_the_prefix_can_be_learnt_from_the_name_that_has_ipv4_only():
    answer = resolver(ResolveError.NOT_FOUND)
    _, records = answer.look_up("IPv4only.arpa.", RecordKind.AAAA)
    assert records == (AddressRecord("64:ff9b::c000:aa"), AddressRecord("64:ff9b::c000:ab"))
    assert answer.look_up("ipv4only.arpa", RecordKind.A)[1] == (AddressRecord("192.0.0.170"), AddressRecord("192.0.0.171"))
    assert answer.look_up("ipv4only.arpa", RecordKind.SRV)[1] is ResolveError.NOT_FOUND


@pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
def test_a_phone_with_ipv6_alone_learns_its_ipv4_address_from_a_server_that_has_ipv4_alone(transport):
    net = Network(seed=4, latency=0.02)
    net.resolve("stun.example.org", [AddressRecord("198.51.100.9")])
    outside = net.host("server", "198.51.100.9")
    server = StunServer(entropy=outside.entropy)
    listeners = [Listener(one, Address("198.51.100.9", 3478)) for one in (Transport.UDP, Transport.TCP)]
    outside.run(server).call(server.start, listeners)
    nat = net.nat("203.0.113.1", nat64="64:ff9b::/96")
    phone = net.host("phone", "2001:db8:6::2", behind=nat)
    phone.names = Dns64(net.names, nat.nat64)
    lookup = BindingLookup("stun:stun.example.org", transports=[transport], entropy=phone.entropy)
    node = phone.run(lookup)
    node.call(lookup.start)
    net.run(until=5.0)
    [(_, found)] = node.events
    assert isinstance(found, MappedAddressDiscovered)
    assert found.mapped.host == "203.0.113.1"
