"""The program around an agent: it exchanges descriptions with its peer, then data."""

from __future__ import annotations

from collections.abc import Callable

from sansice.ice import (
    CandidatePair,
    DataReceived,
    Description,
    GatheringCompleted,
    IceAgent,
    IceState,
    PairSelected,
)
from sansice.machine import Address, Event
from sansice.simulation._network import Network
from sansice.simulation._world._host import Host
from sansice.simulation._world._node import Node

PROBES = 3  # echoes that the caller wants
PROBE_INTERVAL = 0.02  # s: of voice
ROUNDS, ROUND = 4, 1.0  # so often it asks for those that are still out, and s between: a satellite's round trip and a half

PROBE = 0x80  # the first byte of RTP, RFC 7983 7: none of STUN's

_OVER = (IceState.FAILED, IceState.CLOSED)


class Program:
    """Runs one agent of a scene as an application would.

    It gathers, tells the peer's program what was gathered, and is told in turn. Once both have selected a pair, the caller
    sends datagrams that the other echoes, until it has had `PROBES` echoes or has asked often enough.

    Attributes:
        name: the agent's.
        agent: the machine.
        node: that runs it.
        peer: the other program; `pair_up` sets it.
        caller: whether this one sends first.
        agreed_at: when both had first selected the same pair, virtual seconds.
        agreed_on: the pair of the latest agreement, as seen from here.
        probed_at: when the probes began.
        sent, echoed: how many datagrams left, and how many came back.
    """

    __slots__ = (
        "_begun",
        "_network",
        "_payload",
        "_signalling",
        "_told",
        "agent",
        "agreed_at",
        "agreed_on",
        "caller",
        "echoed",
        "name",
        "node",
        "peer",
        "probed_at",
        "sent",
    )

    def __init__(self, name: str, agent: IceAgent, host: Host, network: Network, signalling: float, payload: int) -> None:
        self.name: str = name
        self.agent: IceAgent = agent
        self.node: Node = host.run(agent)
        self.node.listener = self._react
        self.peer: Program = self
        self.caller: bool = False
        self.agreed_at: float | None = None
        self.agreed_on: CandidatePair | None = None
        self.probed_at: float | None = None
        self.sent: int = 0
        self.echoed: int = 0
        self._begun = False
        self._told: Description | None = None
        self._network = network
        self._signalling = signalling
        self._payload = payload

    def pair_up(self, peer: Program) -> None:
        """Make this the caller, and ``peer`` the called."""
        self.peer, peer.peer, self.caller = peer, self, True

    def begin(self) -> None:
        """Gather from all addresses that the host has now, or once it is awake."""
        self._when_awake(self._gather)

    def _gather(self) -> None:
        self._begun = True
        self.node.call(self.agent.gather, self.node.host.addresses)
        if self._told is not None:
            self._set_remote(self._told)

    def _react(self, event: Event) -> None:
        match event:
            case GatheringCompleted():
                description = self.agent.local_description
                self._network.at(self._network.now + self._signalling, lambda: self.peer.be_told(description))
            case PairSelected():
                caller = self if self.caller else self.peer
                caller.compare()
            case DataReceived():
                self._take(event.data)

    def be_told(self, description: Description) -> None:
        """Know what the peer gathered, now or once the host is awake and this program has begun."""
        self._when_awake(lambda: self._set_remote(description))

    def _set_remote(self, description: Description) -> None:
        if not self._begun:
            self._told = description
        elif self.agent.state not in _OVER:
            self.node.call(self.agent.set_remote, description)

    def _when_awake(self, action: Callable[[], object]) -> None:
        wakes = self.node.host.wakes
        if wakes > self._network.now:
            self._network.at(wakes, action)
        else:
            action()

    def compare(self) -> None:
        """See whether both ends have selected the same pair by now, and begin to send once they have."""
        pair, other = self.agent.selected_pair, self.peer.agent.selected_pair
        if pair is None or other is None or not is_same_pair(pair, other):
            return
        self.agreed_on, self.peer.agreed_on = pair, other
        if self.agreed_at is None:
            self.agreed_at = self.peer.agreed_at = self.probed_at = self._network.now
            for number in range(ROUNDS):
                self._network.at(self._network.now + number * ROUND, self._ask)

    def _ask(self) -> None:
        """Send as many datagrams as echoes are still out."""
        for number in range(PROBES - self.echoed):
            self._network.at(self._network.now + number * PROBE_INTERVAL, self._probe)

    def _probe(self) -> None:
        if self.agent.writable:
            self.sent += 1
            self.node.call(self.agent.send, bytes([PROBE]) * self._payload)

    def _take(self, data: bytes) -> None:
        if self.caller:
            self.echoed += 1
        elif self.agent.writable:
            self.node.call(self.agent.send, data)


def is_same_pair(pair: CandidatePair, other: CandidatePair) -> bool:
    """Whether two ends mean the same path by their pairs.

    Where a translator between the families is on the way, each end knows one of the addresses by another name.
    """
    near = pair.local.address == other.remote.address
    far = pair.remote.address == other.local.address
    if near and far:
        return True
    return (near or far) and _is_ipv6(pair) != _is_ipv6(other)


def _is_ipv6(pair: CandidatePair) -> bool:
    return isinstance(pair.remote.address, Address) and ":" in pair.remote.address.host
