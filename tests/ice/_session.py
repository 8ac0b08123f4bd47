"""Sessions for the tests of the agent: one played by hand that is connected, and two agents in the simulation."""

import pytest

from ice._wire import Bench, at, candidate
from sansice.ice import IceAgent, IceServer, IceState, IceStateChanged
from sansice.machine import LocalProtocolError, SocketError, SocketErrorKind, SocketId
from sansice.simulation import Network
from sansice.stun import ERROR_CODE, ErrorCode, MessageClass, Method, TransactionId, encode

PEER = at("198.51.100.1", 5000)
STRANGER = at("203.0.113.66", 6666)
ONE, TWO = SocketId(1), SocketId(2)
SERVER = at("198.51.100.53", 3478)
STUN = (IceServer("stun:198.51.100.53"),)
LOST = SocketError(SocketErrorKind.OTHER, "interface gone")


def peer(number, **options):
    """The n-th of the peer's candidates, each of a foundation of its own, in decreasing priority."""
    return candidate(f"198.51.100.{number}", preference=65535 - number, foundation=f"r{number}", **options)


def states(bench):
    return [(when, event.new.value) for when, event in bench.events if isinstance(event, IceStateChanged)]


def untouched(bench):
    """All that can be seen of an agent."""
    agent = bench.agent
    return (
        agent.state,
        agent.gathering_state,
        agent.role,
        agent.pairs,
        agent.local_candidates,
        agent.remote_candidates,
        agent.selected_pair,
        agent.writable,
        agent.deadline(),
        agent.explain(),
        (agent.stats.datagrams_sent, agent.stats.bytes_sent),
        dict(agent.stats.dropped),
        agent.take_outputs(),
    )


def refuses(bench, command, *args, match, error=LocalProtocolError, **keywords):
    """The command raises and leaves no trace."""
    before = untouched(bench)
    with pytest.raises(error, match=match):
        bench.call(command, *args, **keywords)
    assert untouched(bench) == before


def server_answer(request, *attributes, code=None):
    content = [(ERROR_CODE, ErrorCode(code, "No"))] if code else []
    return encode(
        Method.BINDING,
        MessageClass.ERROR if code else MessageClass.SUCCESS,
        request.message.transaction_id,
        [*content, *attributes],
        fingerprint=True,
    )


def checking(**options) -> Bench:
    """An agent that has sent its first check to `PEER`."""
    options.setdefault("remotes", (candidate(PEER.host, PEER.port),))
    return Bench(**options)


def validated(**options) -> Bench:
    """An agent whose first check was answered at 0.0; nothing is selected."""
    bench = checking(**options)
    bench.answer(bench.check)
    assert bench.agent.writable and bench.agent.selected_pair is None
    return bench


def selected(**options) -> Bench:
    """An agent whose pair was selected, and its consent renewed, at 0.05."""
    bench = validated(**options)
    bench.run(until=0.05)
    if options.get("controlling", True):
        bench.answer(bench.check)
    else:
        bench.request(PEER, use_candidate=True)
    assert bench.agent.state is IceState.COMPLETED
    return bench


def bench_of(agent: IceAgent) -> Bench:
    """A bench for an agent that the test made itself."""
    bench = Bench(hosts=(), known=False)
    bench.agent = agent
    bench.events.clear()
    return bench


def indication(*attributes, fingerprint=True) -> bytes:
    """A Binding indication of the peer's."""
    return encode(Method.BINDING, MessageClass.INDICATION, TransactionId(b"indication.."), attributes, fingerprint=fingerprint)


class Two:
    """Two agents on two hosts of a simulated Internet; ``a`` controls."""

    def __init__(self, *, seed=1, latency=0.01, a_options=None, b_options=None, behind_nats=False, **network) -> None:
        self.net = Network(seed=seed, latency=latency, **network)
        if behind_nats:
            self.net.stun_server("198.51.100.53")
        self.a, self.node_a = self._run("A", "192.0.2.1", behind_nats, controlling=True, **(a_options or {}))
        self.b, self.node_b = self._run("B", "198.51.100.1", behind_nats, controlling=False, **(b_options or {}))

    def _run(self, name, address, behind_nat, **options):
        nat = self.net.nat(f"203.0.113.{ord(name)}") if behind_nat else None
        host = self.net.host(name, f"10.0.{ord(name)}.2" if behind_nat else address, behind=nat)
        agent = IceAgent(entropy=host.entropy, **options)
        node = host.run(agent)
        node.call(agent.gather, host.addresses)
        return agent, node

    def exchange(self) -> None:
        """Tell each the other's description."""
        self.node_a.call(self.a.set_remote, self.b.local_descriptions)
        self.node_b.call(self.b.set_remote, self.a.local_descriptions)

    @property
    def agree(self) -> bool:
        """Whether both have selected the same pair, for every component of every stream."""
        places = [(stream, number + 1) for stream, count in enumerate(self.a.components) for number in range(count)]
        return all(self.agree_on(*place) for place in places)

    def agree_on(self, stream, component) -> bool:
        a, b = self.a.selected_pair_of(stream, component), self.b.selected_pair_of(stream, component)
        return a is not None and b is not None and (a.local.address, a.remote.address) == (b.remote.address, b.local.address)

    def connect(self, within=60.0) -> bool:
        """Let time pass until both agree."""
        return self.net.run(until=self.net.now + within, when=lambda: self.agree)

    def echo(self) -> bool:
        """Whether data goes both ways."""
        self.node_a.call(self.a.send, b"from A")
        self.node_b.call(self.b.send, b"from B")
        self.net.run(until=self.net.now + 1.0)
        got_a = [event.data for _, event in self.node_a.events if hasattr(event, "data")]
        got_b = [event.data for _, event in self.node_b.events if hasattr(event, "data")]
        return got_a[-1:] == [b"from B"] and got_b[-1:] == [b"from A"]
