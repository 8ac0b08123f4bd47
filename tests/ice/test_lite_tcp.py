"""A lite agent that takes TCP connections (RFC 6544 4.4, 7.2)."""

import pytest

from ice._session import Two
from ice._tcp_bench import ACTIVE, PASSIVE, tcp
from sansice.ice import IceAgent, IceConfig, IceState, LiteAgent, TcpType
from sansice.machine import Address, DropReason, SocketError, SocketErrorKind, SocketId, Transport
from sansice.simulation import Network


class FullAndLite(Two):
    """``a`` is full and connects, ``b`` is lite and listens."""

    def __init__(self, *, a_tcp=(ACTIVE,), b_tcp=(PASSIVE,), udp=False, a_options=None, **b_options) -> None:
        self.net = Network(seed=1, latency=0.01)
        here, there = self.net.host("A", "192.0.2.1"), self.net.host("B", "198.51.100.1")
        self.a = IceAgent(controlling=True, entropy=here.entropy, gathering=tcp(*a_tcp, udp=udp), **(a_options or {}))
        self.b = LiteAgent(controlling=False, entropy=there.entropy, gathering=tcp(*b_tcp, udp=udp), **b_options)
        self.node_a, self.node_b = here.run(self.a), there.run(self.b)
        self.node_a.call(self.a.gather, here.addresses)
        self.node_b.call(self.b.gather, there.addresses)
        self.net.run(until=1.0)
        self.exchange()


@pytest.mark.req("RFC6544-006")
def test_a_lite_agent_has_passive_candidates_whatever_else_is_wished():
    two = FullAndLite(b_tcp=tuple(TcpType))
    assert [(one.transport, one.tcp_type, one.type.value) for one in two.b.local_candidates] == [
        (Transport.TCP, TcpType.PASSIVE, "host")
    ]


def test_two_lite_agents_both_wait_and_explain_that_they_cannot_meet():
    net = Network(seed=1, latency=0.01)
    agents = []
    for name, address, controlling in (("A", "192.0.2.1", True), ("B", "198.51.100.1", False)):
        host = net.host(name, address)
        agent = LiteAgent(controlling=controlling, entropy=host.entropy, gathering=tcp(PASSIVE))
        agents.append((agent, host.run(agent)))
        agents[-1][1].call(agent.gather, host.addresses)
    net.run(until=1.0)
    for (agent, node), (other, _) in zip(agents, agents[::-1], strict=True):
        node.call(agent.set_remote, other.local_description)
    net.run(until=60.0)
    for agent, _ in agents:
        assert agent.state is IceState.FAILED
        assert "the peer is lite too" in str(agent.explain()) and "have the peer tell UDP candidates" in str(agent.explain())


@pytest.mark.req("RFC6544-015")
def test_a_full_agent_connects_to_a_lite_one_over_tcp_and_data_flows():
    two = FullAndLite()
    assert two.connect()
    assert two.echo()
    pair = two.b.selected_pair
    assert (pair.remote.transport, pair.remote.tcp_type) == (Transport.TCP, TcpType.ACTIVE)


def test_udp_is_preferred():
    two = FullAndLite(udp=True)
    assert two.connect()
    assert two.a.selected_pair.local.transport is Transport.UDP
    two.net.run(until=30.0)
    assert two.echo()


@pytest.mark.req("RFC6544-019")
def test_a_lite_agent_waits_for_another_connection_and_goes_on_there():
    two = FullAndLite()
    assert two.connect()
    two.net.run(until=10.0)
    lost = next(one for one in two.b._session.tcp._by_socket)
    two.node_b.call(two.b.handle_stream_data, lost, b"")
    two.net.run(until=20.0)
    assert two.echo()
    assert two.b.state is IceState.COMPLETED
    two.net.run(until=90.0)
    assert two.echo()


def lite(**options):
    agent = LiteAgent(controlling=False, gathering=tcp(PASSIVE), entropy=bytes, **options)
    agent.gather(["192.0.2.1"], now=0.0)
    (listening,) = [one for one in agent.take_outputs() if hasattr(one, "bind")]
    agent.handle_socket_opened(listening.socket, Address("192.0.2.1", 4000), now=0.0)
    agent.take_outputs()
    return agent, listening.socket


def test_strangers_are_bounded_and_silent_ones_are_closed():
    agent, listener = lite(config=IceConfig(max_tcp_strangers=3))
    for number in range(100):
        agent.handle_accepted(listener, SocketId(-1 - number), Address("203.0.113.1", 1000 + number), now=0.0)
    assert agent.stats.dropped[DropReason.LIMIT] == 97
    agent.handle_timer(now=5.0)
    assert agent.stats.dropped[DropReason.UNPROVEN_STREAM] == 3
    assert len(agent.take_outputs()) == 100


def test_a_lite_agent_without_tcp_resets_what_it_never_listened_for():
    agent = LiteAgent(controlling=False)
    agent.handle_accepted(SocketId(1), SocketId(-1), Address("203.0.113.1", 1000), now=0.0)
    agent.handle_stream_data(SocketId(-1), b"data", now=0.0)
    agent.handle_stream_sent(SocketId(-1), 0, now=0.0)
    (closed,) = agent.take_outputs()
    assert closed.socket == -1


def test_what_closes_a_lite_agent_closes_its_connections():
    two = FullAndLite()
    assert two.connect()
    sockets = [*two.b._session.tcp._by_socket, *two.b._session.hosts.open]
    two.b.close(now=two.net.now)
    closed = [one.socket for one in two.b.take_outputs() if hasattr(one, "mode")]
    assert sorted(closed) == sorted(sockets)


def test_data_that_finds_no_connection_is_discarded_and_counted():
    two = FullAndLite()
    assert two.connect()
    two.net.run(until=10.0)
    (lost,) = two.b._session.tcp._by_socket
    two.node_b.call(two.b.handle_socket_failed, lost, SocketError(SocketErrorKind.RESET, "reset"))
    two.node_b.call(two.b.send, b"lost")
    assert two.b.report().transports[0].packets_sent == 0


def test_connections_that_no_pair_uses_are_closed_when_ice_is_done():
    two = FullAndLite(a_tcp=(ACTIVE,))
    tcp_of_b = two.b._session.tcp
    assert two.net.run(until=60.0, when=lambda: len(tcp_of_b._by_socket) == 1)
    (listener,) = two.b._session.hosts.open
    used = next(iter(tcp_of_b._by_socket))
    spare = SocketId(-77)
    two.node_b.call(two.b.handle_accepted, listener, spare, Address("192.0.2.1", 7777))
    tcp_of_b._by_socket[spare].is_proven = True
    assert two.connect()
    two.net.run(until=30.0)
    assert list(tcp_of_b._by_socket) == [used]


def test_how_much_waits_for_a_slow_peer_is_bounded():
    two = FullAndLite(config=IceConfig(max_tcp_unsent=100))
    assert two.connect()
    (socket,) = two.b._session.tcp._by_socket
    two.node_b.call(two.b.handle_stream_sent, socket, 101)
    sent = two.b.report().transports[0].packets_sent
    two.node_b.call(two.b.send, b"too much")
    assert two.b.report().transports[0].packets_sent == sent


def test_a_listener_that_dies_ends_the_stream_that_is_sent_from():
    two = FullAndLite()
    assert two.connect()
    (listener,) = two.b._session.hosts.open
    two.node_b.call(two.b.handle_socket_failed, listener, SocketError(SocketErrorKind.OTHER, "gone"))
    assert two.b.state is IceState.FAILED


def test_keepalives_of_a_lite_agent_go_in_frames():
    two = FullAndLite(config=IceConfig(consent=False))
    assert two.connect()
    two.net.drop = lambda packet: packet.protocol == "tcp" and packet.source.host == "192.0.2.1"
    start = two.net.now
    before = two.b._session.streams[0].carrier.components[0].pair.sent_at
    two.net.run(until=start + 40.0)
    assert two.b._session.streams[0].carrier.components[0].pair.sent_at >= before + 15.0
