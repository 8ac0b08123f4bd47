"""Servers given by name (RFC 8489 8.1): alone, and all the way to a candidate in the simulation."""

import attrs
import pytest

from sansice.ice import CandidateType, GatheringState, IceAgent, IceConfig, IceServer, ServerFailed
from sansice.ice._gathering._server_search import ServerFound, ServerNotFound, ServerSearch
from sansice.ice._server import read_servers
from sansice.machine import (
    Address,
    AddressRecord,
    Ids,
    LocalProtocolError,
    RecordKind,
    Resolve,
    ResolveError,
    SrvRecord,
    Transport,
)
from sansice.simulation import BindingResponder, Fate, Network
from sansice.stun import HttpProxy, ServerTarget

NAME = "stun:stun.example.org"


class Bench:
    """A search whose name service is the test."""

    def __init__(self, *urls):
        self.machine = ServerSearch(read_servers([IceServer(urls)]), ids=Ids(), timeout=3.0, entropy=bytes)
        self.machine.start(now=0.0)
        self.events = []
        self.asked = {}
        self.drain()

    def drain(self):
        for output in self.machine.take_outputs():
            if isinstance(output, Resolve):
                self.asked[output.name, output.kind] = output.query
            else:
                self.events.append(output)

    def answer(self, name, kind, answer):
        self.machine.handle_resolved(self.asked[name, kind], answer, now=0.0)
        self.drain()


def found(number, url, *addresses):
    (server,) = read_servers(url)
    return ServerFound(number, server, tuple(ServerTarget(Transport.UDP, address) for address in addresses))


def test_literal_is_found_at_once_and_nobody_is_asked():
    bench = Bench("stun:192.0.2.1", "stun:[2001:db8::1]:5000")
    assert bench.events == [
        found(0, "stun:192.0.2.1", Address("192.0.2.1", 3478)),
        found(1, "stun:[2001:db8::1]:5000", Address("2001:db8::1", 5000)),
    ]
    assert not bench.asked
    assert bench.machine.is_over


def test_each_name_ends_in_one_event_of_its_own():
    bench = Bench("stun:a.example:1", "stun:b.example:2")
    bench.answer("b.example", RecordKind.A, (AddressRecord("192.0.2.2"),))
    bench.answer("b.example", RecordKind.AAAA, (AddressRecord("2001:db8::2"),))
    assert bench.events == [found(1, "stun:b.example:2", Address("2001:db8::2", 2), Address("192.0.2.2", 2))]
    assert not bench.machine.is_over
    bench.answer("a.example", RecordKind.A, ResolveError.NOT_FOUND)
    bench.answer("a.example", RecordKind.AAAA, ResolveError.NOT_FOUND)
    (failed,) = bench.events[1:]
    assert isinstance(failed, ServerNotFound)
    assert failed.server.url == "stun:a.example:1"
    assert bench.machine.is_over


def test_name_service_that_says_nothing_is_given_up():
    bench = Bench("stun:a.example:1")
    while bench.machine.deadline() <= 3.0:
        bench.machine.handle_timer(now=bench.machine.deadline())
        bench.drain()
    assert [type(event) for event in bench.events] == [ServerNotFound]
    assert bench.machine.is_over


def test_search_that_was_stopped_tells_nothing_more():
    bench = Bench("stun:a.example:1")
    bench.machine.stop()
    bench.answer("a.example", RecordKind.A, (AddressRecord("192.0.2.2"),))
    assert bench.events == []
    assert bench.machine.is_over


def test_server_over_tls_cannot_see_the_socket_of_a_candidate_and_is_not_asked():
    bench = Bench("stuns:stun.example", "stun:192.0.2.1")
    failed, there = bench.events
    assert (failed.server.url, there.server.url) == ("stuns:stun.example", "stun:192.0.2.1")
    assert "UDP" in failed.reason
    assert not bench.asked and bench.machine.is_over


def test_relay_is_found_over_every_transport_with_the_name_that_its_certificate_must_say():
    servers = read_servers([IceServer("turns:192.0.2.1", "user", "secret", verify_name="turn.example")])
    machine = ServerSearch(servers, ids=Ids(), timeout=3.0, entropy=bytes)
    machine.start(now=0.0)
    (there,) = machine.take_outputs()
    assert [(one.transport, one.server_hostname) for one in there.targets] == [
        (Transport.TLS, "turn.example"),
        (Transport.DTLS, "turn.example"),
    ]


def test_name_for_a_certificate_that_is_none_is_refused_at_once():
    servers = read_servers([IceServer("turns:192.0.2.1", "user", "secret", verify_name="no name")])
    with pytest.raises(LocalProtocolError, match="ICE server 'turns:192"):
        ServerSearch(servers, ids=Ids(), timeout=3.0, entropy=bytes)


# All the way


def gather(network, *servers, until=60.0, hosts=("10.0.0.2",), config=None):
    """An agent behind a NAT that has gathered, and the node that runs it."""
    nat = network.nat("203.0.113.9")
    home = network.host("home", *hosts, behind=nat)
    agent = IceAgent(controlling=True, servers=servers, entropy=home.entropy, config=config or IceConfig())
    node = home.run(agent)
    node.call(agent.gather, home.addresses)
    network.run(until=until, when=lambda: agent.gathering_state is GatheringState.COMPLETE)
    return agent, node


def reflexive(agent):
    return [one.address.host for one in agent.local_candidates if one.type is CandidateType.SERVER_REFLEXIVE]


def failures(node):
    return [event for _, event in node.events if isinstance(event, ServerFailed)]


def server(network, *addresses):
    host = network.host("server", *addresses)
    host.run(BindingResponder(addresses))


@pytest.mark.req("RFC8489-071")
def test_server_by_name_gives_a_server_reflexive_candidate():
    network = Network(seed=1, latency=0.01)
    server(network, "198.51.100.1")
    network.resolve("stun.example.org", [AddressRecord("198.51.100.1")])
    agent, node = gather(network, NAME)
    assert reflexive(agent) == ["203.0.113.9"]
    assert failures(node) == []


@pytest.mark.req("RFC8489-068")
def test_srv_record_says_which_host_and_port_to_ask():
    network = Network(seed=1, latency=0.01)
    host = network.host("server", "198.51.100.1")
    host.run(BindingResponder(["198.51.100.1"], port=4000))
    network.resolve("_stun._udp.stun.example.org", [SrvRecord(0, 0, 4000, "here.example.org")])
    network.resolve("here.example.org", [AddressRecord("198.51.100.1")])
    agent, _ = gather(network, NAME)
    assert reflexive(agent) == ["203.0.113.9"]


@pytest.mark.req("RFC8489-069")
def test_other_address_of_a_name_is_asked_where_the_first_refuses():
    network = Network(seed=1, latency=0.01)
    network.host("nobody listens here", "198.51.100.1")
    server(network, "198.51.100.2")
    network.resolve("stun.example.org", [AddressRecord("198.51.100.1"), AddressRecord("198.51.100.2")])
    agent, node = gather(network, NAME)
    assert reflexive(agent) == ["203.0.113.9"]
    assert network.lost[Fate.CLOSED_PORT] == 1
    assert failures(node) == []


def test_name_that_leads_nowhere_is_told_once_and_delays_nobody():
    network = Network(seed=1, latency=0.01)
    agent, node = gather(network, NAME)
    assert agent.gathering_state is GatheringState.COMPLETE
    assert network.now < 0.1
    (failed,) = failures(node)
    assert (failed.url, failed.local) == (NAME, "")
    assert "no such name" in failed.text


def test_closed_agent_forgets_the_names_it_asked_for():
    agent = IceAgent(controlling=True, servers=NAME)
    agent.gather(["192.0.2.1"], now=0.0)
    (query,) = [output.query for output in agent.take_outputs() if isinstance(output, Resolve)][:1]
    agent.close(now=0.0)
    agent.take_outputs()
    agent.handle_resolved(query, ResolveError.NOT_FOUND, now=0.0)
    assert agent.take_outputs() == []
    assert agent.deadline() == float("inf")


def test_answer_to_an_agent_without_named_servers_is_ignored():
    agent = IceAgent(controlling=True)
    agent.handle_resolved(7, (), now=0.0)
    assert agent.take_outputs() == []


def test_silent_name_service_ends_gathering_after_its_timeout():
    agent = IceAgent(controlling=True, servers="stun:a.example:1")
    agent.gather(["192.0.2.1"], now=0.0)
    (socket,) = [output.socket for output in agent.take_outputs() if hasattr(output, "bind")]
    agent.handle_socket_opened(socket, Address("192.0.2.1", 4001), now=0.0)
    while agent.gathering_state is not GatheringState.COMPLETE:
        now = agent.deadline()
        agent.handle_timer(now=now)
    assert now <= IceConfig().gathering_timeout
    assert [event.local for event in agent.take_outputs() if isinstance(event, ServerFailed)] == [""]


def test_host_that_opens_after_the_answer_asks_too_and_one_that_failed_does_not():
    agent = IceAgent(controlling=True, servers="stun:stun.example.org:3478")
    agent.gather(["192.0.2.1", "192.0.2.2", "192.0.2.3"], now=0.0)
    outputs = agent.take_outputs()
    first, second, third = [output.socket for output in outputs if hasattr(output, "bind")]
    agent.handle_socket_opened(first, Address("192.0.2.1", 4001), now=0.0)
    agent.handle_socket_opened(third, Address("192.0.2.3", 4003), now=0.0)
    agent.handle_socket_failed(third, None, now=0.0)
    for query in [output.query for output in outputs if isinstance(output, Resolve)]:
        agent.handle_resolved(query, (AddressRecord("198.51.100.1"),), now=0.0)
    agent.handle_socket_opened(second, Address("192.0.2.2", 4002), now=0.0)
    sent = [output.socket for output in agent.take_outputs() if hasattr(output, "destination")]
    agent.handle_timer(now=agent.deadline())
    sent += [output.socket for output in agent.take_outputs() if hasattr(output, "destination")]
    assert sent == [first, second]


def test_servers_that_are_silent_until_the_end_of_gathering_are_told_by_their_url():
    network = Network(seed=1, latency=0.01)
    network.resolve("stun.example.org", ResolveError.TIMEOUT)
    network.drop = lambda packet: packet.destination.host == "198.51.100.7"
    agent, node = gather(network, NAME, "stun:198.51.100.7", config=IceConfig(gathering_timeout=1.0))
    assert agent.gathering_state is GatheringState.COMPLETE
    assert sorted((one.url, one.local) for one in failures(node)) == [("stun:198.51.100.7", "10.0.0.2"), (NAME, "")]


def test_a_server_behind_a_proxy_is_found_without_asking_for_its_name():
    proxy = HttpProxy("10.1.0.10", 3128)
    (server,) = read_servers(["turns:turn.example:443?transport=tcp"])
    server = attrs.evolve(server, proxy=proxy, transports=(Transport.TCP, Transport.TLS))
    search = ServerSearch((server,), ids=Ids(), timeout=5.0, entropy=bytes)
    search.start(now=0.0)
    (found,) = search.take_outputs()
    assert [str(target) for target in found.targets] == ["turn.example:443 through 10.1.0.10:3128"]
    assert search.is_over
