"""What the gatherer tells of sockets that the agent has given up already."""

import pytest

from sansice.ice import IceAgent
from sansice.ice._gathering._gatherer import LocalLost, PeerUnreachable
from sansice.machine import Address, SocketId

GONE = SocketId(99)


@pytest.mark.parametrize(
    "told", [LocalLost(GONE, "gone"), PeerUnreachable(GONE, "192.0.2.9", None, is_refused=True)], ids=["lost", "unreachable"]
)
def test_what_is_told_of_a_socket_that_is_gone_changes_nothing(told):
    agent = IceAgent(controlling=True, entropy=bytes)
    agent.gather(["192.0.2.1"], now=0.0)
    [opened] = agent.take_outputs()
    agent.handle_socket_opened(opened.socket, Address("192.0.2.1", 1000), now=0.0)
    agent.take_outputs()
    before = (agent.state, agent.local_candidates, agent.pairs)
    agent._gatherer._outputs.append(told)
    agent.handle_timer(now=1.0)
    agent._pass_on(1.0)
    assert agent.take_outputs() == []
    assert (agent.state, agent.local_candidates, agent.pairs) == before
