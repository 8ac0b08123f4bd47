"""What a mux reads of an agent, of either kind."""

from ice._mux import MuxBench, credentials
from sansice.ice import IceAgent, LiteAgent, Pacer
from sansice.ice._mux._inside import ids_of, is_trusted, pacer_of, stream_of, ufrags_of
from sansice.machine import Address, Ids, OpenSocket, SocketId


def both(**options):
    ids = Ids()
    given = {"controlling": False, "streams": 2, "credentials": [credentials(1), credentials(2)], "ids": ids, **options}
    return ids, (IceAgent(**given), LiteAgent(**given))


def test_counter_and_pacer_are_those_that_the_agent_was_made_with():
    ids, agents = both()
    assert [ids_of(agent) is ids for agent in agents] == [True, True]
    pacer = Pacer()
    assert pacer_of(IceAgent(controlling=True, pacer=pacer)) is pacer
    assert pacer_of(IceAgent(controlling=True)) is None


def test_each_stream_has_its_ufrags_and_a_closed_agent_has_none():
    for agent in both()[1]:
        assert ufrags_of(agent) == ((b"server1",), (b"server2",))
        agent.restart(stream=1, now=0.0)
        assert ufrags_of(agent)[0] == (b"server1",)
        assert (
            ufrags_of(agent)[1][0] == agent._streams[1].checker.credentials.ufrag.encode()
            if isinstance(agent, IceAgent)
            else True
        )
        agent.close(now=0.0)
        assert ufrags_of(agent) == ()


def test_socket_is_for_a_stream_from_the_moment_when_it_is_asked_for():
    for agent in both()[1]:
        agent.gather(["192.0.2.1"], now=0.0)
        wishes = [one for one in agent.take_outputs() if isinstance(one, OpenSocket)]
        assert [stream_of(agent, wish.socket) for wish in wishes] == [0, 1]
        assert stream_of(agent, SocketId(99)) is None


def test_nobody_trusts_an_address_at_a_socket_that_is_not_there():
    for agent in both()[1]:
        assert not is_trusted(agent, SocketId(99), Address("198.51.100.1", 5000))
    bench = MuxBench()
    assert bench.mux.agents == ()
