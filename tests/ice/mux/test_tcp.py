"""Agents of a mux that have TCP candidates: connections of their own beside the shared port (RFC 6544)."""

import pytest

from sansice.ice import GatheringOptions, IceAgent, IceMux, LiteAgent
from sansice.machine import Address, CloseMode, CloseSocket, SocketId, Transport
from sansice.simulation import Network


@pytest.mark.parametrize("kind", [IceAgent, LiteAgent])
def test_an_agent_behind_a_shared_port_takes_connections_where_udp_is_dead(kind):
    net = Network(seed=1, latency=0.01)
    there, here = net.host("server", "198.51.100.1"), net.host("client", "192.0.2.1")
    mux = IceMux()
    server = there.run(mux)
    server.call(mux.start, (Address("198.51.100.1", 4000),))
    net.drop = lambda packet: packet.protocol == "udp"
    net.run(until=0.1)
    pacer = {"pacer": mux.pacer} if kind is IceAgent else {}
    options = {"gathering": GatheringOptions(tcp=("passive",)), "entropy": there.entropy, "ids": mux.ids}
    agent = kind(controlling=False, **pacer, **options)
    name = server.call(mux.add, agent)
    server.call(mux.gather, name)
    other = IceAgent(controlling=True, gathering=GatheringOptions(tcp=("active",)), entropy=here.entropy)
    client = here.run(other)
    client.call(other.gather, here.addresses)
    net.run(until=1.0)
    agent.set_remote(other.local_description, now=net.now)
    server.call(mux.absorb, name)
    client.call(other.set_remote, agent.local_description)
    assert net.run(until=60.0, when=lambda: agent.selected_pair is not None and other.selected_pair is not None)
    assert agent.selected_pair.local.transport is Transport.TCP


def test_a_connection_that_is_nobodys_is_reset():
    mux = IceMux()
    mux.handle_accepted(SocketId(7), SocketId(-1), Address("203.0.113.1", 1), now=0.0)
    assert mux.take_outputs() == [CloseSocket(SocketId(-1), CloseMode.RESET)]
