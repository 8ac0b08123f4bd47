"""The library's own machines in the world on all four transports, unchanged: STUN's client, server and look-up."""

import os
import subprocess
import sys

import pytest

from sansice.machine import Address, AddressRecord, Transport
from sansice.simulation import Mapping, Network, StreamReads
from sansice.stun import (
    BindingLookup,
    BindingLookupFailed,
    Listener,
    LongTermCredentials,
    MappedAddressDiscovered,
    MessageClass,
    Method,
    ServerAuthentication,
    ServerTarget,
    StaticUsers,
    StunClient,
    StunServer,
    StunServerConfig,
    TransactionFailed,
    TransactionSucceeded,
    encode,
)
from simulation._ends import End

UDP, TCP, TLS, DTLS = Transport
NAME = "stun.example.org"
SERVER = "198.51.100.9"
LISTENERS = [Listener(transport, Address(SERVER, 5349 if transport.is_secure else 3478)) for transport in Transport]
ALL = pytest.mark.parametrize("transport", Transport)
STREAMS = pytest.mark.parametrize("transport", [TCP, TLS])


class Place:
    """A server outside, a host at home; what the look-ups from there say."""

    def __init__(self, certificate=(NAME, SERVER), authentication=None, **network):
        self.net = Network(**{"latency": 0.02, **network})
        self.net.resolve(NAME, [AddressRecord(SERVER)])
        self.outside = self.net.host("server", SERVER)
        self.outside.certificate = certificate
        self.server = StunServer(config=StunServerConfig(rate=None), authentication=authentication, entropy=self.outside.entropy)
        self.serving = self.outside.run(self.server)
        self.serving.call(self.server.start, LISTENERS)
        nat = self.net.nat("203.0.113.1", mapping=Mapping.ADDRESS_AND_PORT_DEPENDENT)
        self.inside = self.net.host("home", "10.0.0.2", behind=nat)

    def look_up(self, transport, **options):
        uri = f"{'stuns' if transport.is_secure else 'stun'}:{NAME}"
        lookup = BindingLookup(uri, transports=[transport], entropy=self.inside.entropy, **options)
        node = self.inside.run(lookup)
        start = self.net.now
        node.call(lookup.start)
        self.net.run(until=start + 60, when=lambda: node.events)
        [(at, event)] = node.events
        assert node.sockets == {}
        return at - start, event

    def client(self, transport, **options):
        client = StunClient(entropy=self.inside.entropy, **options)
        node = self.inside.run(client)
        target = ServerTarget(transport, Address(SERVER, 5349 if transport.is_secure else 3478), server_hostname=NAME)
        path = node.call(client.open, target, local=Address("10.0.0.2", 0))
        return client, node, path


@pytest.mark.parametrize(("transport", "trips"), [(UDP, 1), (TCP, 2), (TLS, 3), (DTLS, 4)])
def test_a_look_up_takes_the_round_trips_of_its_transport(transport, trips):
    took, found = Place().look_up(transport)
    assert isinstance(found, MappedAddressDiscovered)
    assert (found.mapped.host, found.target.transport) == ("203.0.113.1", transport)
    assert took == pytest.approx(trips * 0.04)


@ALL
@pytest.mark.parametrize("seed", range(4))
def test_loss_only_delays_a_look_up(transport, seed):
    place = Place(seed=seed, loss=0.15, jitter=0.05, duplication=0.1, reordering=0.1)
    took, found = place.look_up(transport, timeout=50.0)
    assert isinstance(found, MappedAddressDiscovered), found
    assert took < 50


@STREAMS
def test_answers_are_understood_whatever_pieces_they_come_in(transport):
    for reads in (StreamReads(size=1), StreamReads(size=3, delay=0.01), StreamReads(random=True, jitter=0.02)):
        place = Place()
        place.inside.reads = place.outside.reads = reads
        _, found = place.look_up(transport)
        assert isinstance(found, MappedAddressDiscovered)


@STREAMS
def test_a_request_cut_at_each_of_its_bytes_is_answered(transport):
    request = encode(Method.BINDING, MessageClass.REQUEST, bytes(12))
    for cut in range(1, len(request)):
        place = Place()
        end = End(place.inside)
        server = Address(SERVER, 5349 if transport is TLS else 3478)
        end.open(transport=transport, bind=Address("10.0.0.2", 0), remote=server)
        place.net.run(until=1)
        end.send(request[:cut])
        place.net.run(until=2)
        end.send(request[cut:])
        place.net.run(until=3)
        assert len(end.of("data")) == 1, cut


@ALL
def test_long_term_credentials_are_asked_for_and_given_on_every_transport(transport):
    users = StaticUsers({"alice": "secret"}, "example.org")
    place = Place(authentication=ServerAuthentication(realm="example.org", lookup_key=users, entropy=bytes))
    credentials = LongTermCredentials("alice", "secret")
    client, node, path = place.client(transport, credentials=credentials)
    node.call(client.request, Method.BINDING, path=path)
    place.net.run(until=5)
    assert [type(event) for _, event in node.events][-1] is TransactionSucceeded
    assert place.server.stats.errors == {401: 1}


@pytest.mark.parametrize("transport", [TLS, DTLS])
@pytest.mark.parametrize("certificate", [("other.example",), None])
def test_a_server_without_the_right_certificate_is_not_asked(transport, certificate):
    place = Place(certificate=certificate)
    took, failed = place.look_up(transport)
    assert isinstance(failed, BindingLookupFailed)
    assert took < 1
    assert place.server.stats.requests == 0


@STREAMS
def test_the_death_of_a_server_fails_what_waits_for_it(transport):
    place = Place()
    client, node, path = place.client(transport)
    place.net.run(until=1)
    node.call(client.request, Method.BINDING, path=path)
    place.serving.stop()
    place.net.run(until=50)
    assert [type(event) for _, event in node.events if isinstance(event, TransactionFailed)] == [TransactionFailed]


@STREAMS
def test_a_client_that_does_not_read_its_answers_is_not_read_either(transport):
    place = Place()
    end = End(place.inside)
    remote = Address(SERVER, 5349 if transport is TLS else 3478)
    end.open(transport=transport, bind=Address("10.0.0.2", 0), remote=remote)
    place.net.run(until=1)
    end.read(False)
    request = encode(Method.BINDING, MessageClass.REQUEST, bytes(12))
    for _ in range(40):
        end.send(request * 500)
        place.net.run(until=place.net.now + 1)
    assert end.of("data") == []
    assert end.heard[-1][2] > 100_000  # its requests heap up with itself
    assert place.server.stats.requests < 40 * 500 / 2


@STREAMS
def test_a_server_that_drains_ends_its_streams(transport):
    place = Place()
    client, node, path = place.client(transport)
    place.net.run(until=1)
    node.call(client.request, Method.BINDING, path=path)
    place.net.run(until=2)
    place.serving.call(place.server.close)
    place.net.run(until=20)
    assert place.serving.sockets == {}
    assert client.deadline() > place.net.now
    assert path.socket not in node.sockets


@STREAMS
def test_a_server_closes_who_is_idle(transport):
    place = Place()
    end = End(place.inside)
    end.machine.react["data"] = lambda *_: end.close()
    end.open(transport=transport, bind=Address("10.0.0.2", 0), remote=Address(SERVER, 5349 if transport is TLS else 3478))
    place.net.run(until=2000)
    assert end.heard[-1] == ("data", 1, b"")
    assert len(place.serving.sockets) == len(LISTENERS)
    assert place.server.stats.timed_out == 1


SESSION = """
import hashlib, sys
sys.path.insert(0, {tests!r})
from simulation.test_stun_everywhere import Place, Transport
from sansice.simulation import StreamReads

digest = hashlib.sha256()
for transport in Transport:
    place = Place(seed=5, loss=0.1, jitter=0.05, duplication=0.1, reordering=0.1, trace=100000)
    place.inside.reads = StreamReads(random=True, jitter=0.01)
    took, found = place.look_up(transport, timeout=50.0)
    digest.update(repr((took, found)).encode())
    for passage in place.net.packets:
        digest.update(repr(passage).encode())
print(digest.hexdigest())
"""


def test_all_transports_give_the_same_bytes_whatever_the_hash_seed():
    tests = os.path.dirname(os.path.dirname(__file__))
    printed = {
        subprocess.run(
            [sys.executable, "-c", SESSION.format(tests=tests)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4294967295")
    }
    assert len(printed) == 1
