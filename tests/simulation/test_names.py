"""The name service: what it says, when, and how it fails."""

import pytest

from sansice.machine import AddressRecord, NaptrRecord, RecordKind, ResolveError, SrvRecord
from sansice.simulation import NameService, Network
from simulation._machines import Peer, Resolved

RECORDS = {
    RecordKind.A: AddressRecord("192.0.2.1", 60),
    RecordKind.AAAA: AddressRecord("2001:db8::1"),
    RecordKind.SRV: SrvRecord(0, 0, 3478, "a"),
    RecordKind.NAPTR: NaptrRecord(1, 1, "s", "RELAY:turn.udp", "", "turn.example"),
}


def answers(node):
    return [(time, event.answer) for time, event in node.events if isinstance(event, Resolved)]


def asker(net, name="A", address="198.51.100.1"):
    node = net.host(name, address).run(Peer(address))
    node.call(node.machine.ask, "stun.example", RecordKind.A)
    return node


@pytest.mark.parametrize("kind", RecordKind)
def test_of_the_records_of_a_name_those_are_told_that_were_asked_for(kind):
    names = NameService()
    names.say("Stun.Example.", RECORDS.values())
    assert names.look_up("stun.EXAMPLE", kind) == (0.0, (RECORDS[kind],))


def test_a_name_or_a_kind_that_is_not_there_is_not_found():
    names = NameService()
    names.say("stun.example", [RECORDS[RecordKind.A]])
    assert names.look_up("stun.example", RecordKind.AAAA) == (0.0, ResolveError.NOT_FOUND)
    assert names.look_up("nowhere.example", RecordKind.A) == (0.0, ResolveError.NOT_FOUND)


def test_answers_take_the_latency_of_the_service_or_their_own():
    net = Network()
    net.names.latency = 0.25
    net.resolve("stun.example", [RECORDS[RecordKind.A]])
    first = asker(net)
    net.resolve("stun.example", ResolveError.TIMEOUT, latency=10.0)
    second = asker(net, "B", "198.51.100.2")
    net.resolve("stun.example", [RECORDS[RecordKind.A]])
    third = asker(net, "C", "198.51.100.3")
    net.run()
    assert answers(first) == answers(third) == [(0.25, (RECORDS[RecordKind.A],))]
    assert answers(second) == [(10.0, ResolveError.TIMEOUT)]


@pytest.mark.parametrize("latency", [-0.5, float("inf"), float("nan")])
def test_a_latency_that_no_answer_takes_is_refused_with_the_name(latency):
    with pytest.raises(ValueError, match=r"the answer about stun\.example must take a number of seconds"):
        Network().resolve("stun.example", ResolveError.TIMEOUT, latency=latency)


def test_a_service_that_fails_fails_for_every_name_until_it_works():
    net = Network()
    net.resolve("stun.example", [RECORDS[RecordKind.A]])
    net.names.failure = ResolveError.FAILURE
    node = asker(net)
    net.run()
    net.names.failure = None
    node.call(node.machine.ask, "stun.example", RecordKind.A)
    net.run()
    assert [answer for _, answer in answers(node)] == [ResolveError.FAILURE, (RECORDS[RecordKind.A],)]


def test_a_host_may_ask_a_name_service_of_its_own():
    net = Network()
    net.resolve("stun.example", [RECORDS[RecordKind.A]])
    own = NameService(latency=0.5)
    host = net.host("A", "198.51.100.1")
    host.names = own
    node = host.run(Peer("198.51.100.1"))
    node.call(node.machine.ask, "stun.example", RecordKind.A)
    other = asker(net, "B", "198.51.100.2")
    net.run()
    assert answers(node) == [(0.5, ResolveError.NOT_FOUND)]
    assert answers(other) == [(0.0, (RECORDS[RecordKind.A],))]
