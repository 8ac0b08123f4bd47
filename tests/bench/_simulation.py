"""The laboratory's speed: sessions and packets for each second of the processor, against the bare loop of `_bare_loop`.

Figures are rates, so more is better, and a ratio is the share of the floor's speed that a whole network leaves.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench._bare_loop import HOSTS, LATENCY, bare_packets, bare_session
from bench._timing import Metric, interleave, quiet_gc
from sansice.ice import GatheringState, IceAgent, IceServer
from sansice.machine import Address, Machine, OpenSocket, SendDatagram, SocketId, Transport
from sansice.simulation import Filtering, Host, Network, Node

SESSIONS = 60  # in one round
PACKETS = 20_000
BATCH = 500  # datagrams sent in one step of the sender
PAYLOAD = bytes(160)  # 20 ms of telephone voice
ROUNDS = 7
STUN_SERVER = "203.0.113.9"
_SOCKET = SocketId(1)


def run(rounds: int | None = None) -> dict[str, Metric]:
    """What a simulated network costs.

    - `sessions`: two agents behind two port-restricted NATs with a STUN server, from the empty network to a selected pair
      at both ends, without loss; the floor is two agents that need no NAT, no server and no network.
    - `sessions_direct`: the same session as the floor's, so that the ratio is the cost of the network alone.
    - `packets`: datagrams of 160 bytes from a host through its NAT, the Internet and another NAT to a host; the floor is
      one heap entry and one input of the same machine for each.
    """
    rounds = rounds or ROUNDS
    floor = "the same agents in a bare loop, no network"
    bare = _rate(lambda: _all_connect(bare_session), SESSIONS)
    return {
        "sessions": interleave(
            _rate(lambda: _all_connect(nat_session), SESSIONS), bare, unit="/s", peer_name=floor, rounds=rounds
        ),
        "sessions_direct": interleave(
            _rate(lambda: _all_connect(direct_session), SESSIONS), bare, unit="/s", peer_name=floor, rounds=rounds
        ),
        "packets": _packets(rounds),
    }


def _rate(work: Callable[[], object], count: int) -> Callable[[], float]:
    def measure() -> float:
        with quiet_gc():
            start = time.process_time()
            work()
            return count / (time.process_time() - start)

    return measure


def _all_connect(session: Callable[[int], bool]) -> None:
    for seed in range(SESSIONS):
        if not session(seed):
            raise RuntimeError(f"the session with the seed {seed} did not connect")


def direct_session(seed: int) -> bool:
    """Two agents on the Internet."""
    net = Network(seed=seed, latency=LATENCY)
    return _connect(net, [net.host(f"host {n}", address) for n, address in enumerate(HOSTS)], [])


def nat_session(seed: int) -> bool:
    """Two agents behind a NAT each, with a STUN server."""
    net = Network(seed=seed, latency=LATENCY)
    net.stun_server(STUN_SERVER)
    hosts = [net.host(f"host {n}", f"10.0.{n}.2", behind=net.nat(f"203.0.113.{n + 1}")) for n in range(2)]
    return _connect(net, hosts, [IceServer(f"stun:{STUN_SERVER}")])


def _connect(net: Network, hosts: Sequence[Host], servers: Sequence[IceServer]) -> bool:
    agents = [IceAgent(controlling=not n, servers=servers, entropy=host.entropy) for n, host in enumerate(hosts)]
    nodes = [host.run(agent) for host, agent in zip(hosts, agents, strict=True)]
    for node, agent, host in zip(nodes, agents, hosts, strict=True):
        node.call(agent.gather, host.addresses)
    one, two = agents
    net.run(until=10.0, when=lambda: one.gathering_state is two.gathering_state is GatheringState.COMPLETE)
    descriptions = one.local_description, two.local_description
    for node, agent, other in zip(nodes, agents, reversed(descriptions), strict=True):
        node.call(agent.set_remote, other)
    return net.run(until=60.0, when=lambda: one.selected_pair is not None and two.selected_pair is not None)


class Counter(Machine):
    """Sends datagrams, counts those that come in, and remembers from where the last came."""

    def __init__(self, host: str) -> None:
        super().__init__()
        self.received = 0
        self.source = Address("", 0)
        self._outputs.append(OpenSocket(_SOCKET, Transport.UDP, Address(host, 5000)))

    def send(self, destination: Address, count: int, *, now: float) -> None:
        self._outputs.extend(SendDatagram(_SOCKET, destination, PAYLOAD) for _ in range(count))

    def handle_datagrams(self, socket: SocketId, batch: Sequence[tuple[Address, bytes]], *, now: float) -> None:
        self.received += len(batch)
        self.source = batch[-1][0]


def two_nats() -> tuple[Network, Node, Node, Address]:
    """A sender and a receiver behind a NAT each, and where the receiver's lets anybody in."""
    net = Network(latency=LATENCY)
    counters = []
    for n in range(2):
        nat = net.nat(f"203.0.113.{n + 1}", filtering=Filtering.ENDPOINT_INDEPENDENT)
        counters.append(net.host(f"host {n}", f"10.0.{n}.2", behind=nat).run(Counter(f"10.0.{n}.2")))
    mirror = net.host("mirror", STUN_SERVER).run(Counter(STUN_SERVER))
    sender, receiver = counters
    receiver.call(receiver.machine.send, Address(STUN_SERVER, 5000), 1)
    net.run()
    return net, sender, receiver, mirror.machine.source


def _packets(rounds: int) -> Metric:
    net, sender, receiver, mapped = two_nats()
    counter = receiver.machine

    def forward() -> None:
        before = counter.received
        for _ in range(PACKETS // BATCH):
            sender.call(sender.machine.send, mapped, BATCH)
            net.run()
        if counter.received - before != PACKETS:
            raise RuntimeError(f"{before + PACKETS - counter.received} of {PACKETS} packets did not arrive")

    def bare() -> None:
        for _ in range(PACKETS // BATCH):
            bare_packets(counter, _SOCKET, mapped, PAYLOAD, BATCH)

    name = "a bare heap loop, one entry and one input of the same machine a packet"
    return interleave(_rate(forward, PACKETS), _rate(bare, PACKETS), unit="/s", peer_name=name, rounds=rounds)
