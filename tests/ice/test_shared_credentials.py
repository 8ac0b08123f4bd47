"""Both ends with the same ufrag and password, as libp2p's WebRTC-direct has it: refused unless it is asked for."""

import random

import pytest

from ice._wire import candidate
from sansice.ice import Credentials, DataReceived, Description, IceAgent, IceConfig, IceState, LiteAgent
from sansice.machine import LocalProtocolError, SendDatagram
from sansice.simulation import Network

SAME = Credentials("libp2p+webrtc+v1/abcdefgh", "libp2p+webrtc+v1/abcdefgh")
SHARED = IceConfig(shared_credentials=True)


def pair(server, *, config=SHARED):
    """A full client, and a server that has its credentials."""
    net = Network(seed=11, latency=0.02, loss=0.1)
    nodes = []
    for kind, address in ((IceAgent, "192.0.2.1"), (server, "192.0.2.2")):
        host = net.host(kind.__name__ + address[-1], address)
        agent = kind(controlling=not nodes, credentials=SAME, config=config, entropy=host.entropy)
        node = host.run(agent)
        node.call(agent.gather, host.addresses)
        nodes.append(node)
    net.run(until=1.0)
    return net, nodes


@pytest.mark.parametrize("server", [IceAgent, LiteAgent])
def test_two_ends_with_the_same_credentials_connect_and_part_where_both_know(server):
    net, (client, served) = pair(server)
    client.call(client.machine.set_remote, served.machine.local_description)
    served.call(served.machine.set_remote, client.machine.local_description)
    done = lambda: client.machine.state is served.machine.state is IceState.COMPLETED  # noqa: E731
    assert net.run(until=10.0, when=done)
    client.call(client.machine.send, b"up")
    served.call(served.machine.send, b"down")
    net.run(until=11.0)
    for node, data in ((served, b"up"), (client, b"down")):
        assert [event.data for _, event in node.events if isinstance(event, DataReceived)] == [data]
    net.run(until=100.0)  # consent goes on
    assert done()


@pytest.mark.parametrize("agent", [IceAgent, LiteAgent])
def test_own_credentials_are_refused_without_it(agent):
    one = agent(controlling=True, credentials=SAME)
    with pytest.raises(LocalProtocolError, match="own description"):
        one.set_remote(Description(SAME.ufrag, SAME.pwd), now=0.0)
    assert one.state is IceState.NEW
    assert not IceConfig().shared_credentials


def test_checks_that_come_back_to_their_sender_connect_it_to_nobody():
    """A mirror needs no password: what it sends back is well signed, for both ends have one key."""
    agent = IceAgent(controlling=True, credentials=SAME, config=SHARED, entropy=random.Random(11).randbytes)
    sent = []
    agent.gather(["192.0.2.1"], now=0.0)
    (opened,) = agent.take_outputs()
    agent.handle_socket_opened(opened.socket, opened.bind._replace(port=5000), now=0.0)
    agent.set_remote(Description(SAME.ufrag, SAME.pwd, candidates=[candidate("192.0.2.2")]), now=0.0)
    now = 0.0
    while agent.deadline() <= 60.0 and agent.state not in (IceState.FAILED, IceState.COMPLETED):
        now = max(now, agent.deadline())
        agent.handle_timer(now=now)
        while datagrams := [one for one in agent.take_outputs() if isinstance(one, SendDatagram)]:
            for one in datagrams:
                sent.append(one)
                agent.handle_datagrams(one.socket, [(one.destination, one.data)], now=now)
    assert sent and agent.state is IceState.FAILED
    assert agent.selected_pair is None
