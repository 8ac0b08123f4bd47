"""The program around a client of TURN: it tells its peer where it is relayed, then exchanges data with it."""

from __future__ import annotations

import contextlib
import math
from typing import Literal

from sansice.machine import Address, Event, LocalProtocolError
from sansice.simulation._network import Network
from sansice.simulation._world._host import Host
from sansice.simulation._world._node import Node
from sansice.stun import LongTermCredentials
from sansice.turn import (
    AllocationCreated,
    AllocationFailed,
    AllocationLost,
    DataReceived,
    PermissionCreated,
    TurnClient,
)

from ._program import PROBE, PROBE_INTERVAL, PROBES, ROUND, ROUNDS
from ._relay_peer import INTERVAL, PeerGathered, PeerHeard, RelayPeer
from ._relays import RelayCallSpec, TurnServerSpec, first_of_family

AGAIN = 5.0  # s until a client that was refused, or not answered, tries anew
_QUIET = 3 * INTERVAL  # s without an answer to any knock, after which a call counts as broken


class RelayCall:
    """Runs both ends of one call through a relay as an application would.

    The far end is told the relayed address as soon as it is permitted to send there.

    Attributes:
        name: of the call.
        start: when both ends begin, virtual seconds.
        client: the machine.
        node, peer_node: what runs the client, and the far end.
        agreed_at: when data had first come back from the client through the relay to the far end, virtual seconds.
        probed_at: when the probes began; that is then.
        sent, echoed: how many probes left the client, and how many came back.
        allocations: how many were made.
        failed: whether an allocation was refused, or got no answer, at any time.
    """

    __slots__ = (
        "_addresses",
        "_answered_at",
        "_family",
        "_mobility",
        "_network",
        "_path",
        "_payload",
        "_peer",
        "_signalling",
        "_told",
        "agreed_at",
        "allocations",
        "client",
        "echoed",
        "failed",
        "name",
        "node",
        "peer_node",
        "probed_at",
        "sent",
        "start",
    )

    def __init__(
        self,
        spec: RelayCallSpec,
        server: TurnServerSpec,
        hosts: tuple[Host, Host],
        network: Network,
        signalling: float,
        payload: int,
    ) -> None:
        ipv6 = first_of_family(hosts[0].addresses, ipv6=False) is None
        credentials = LongTermCredentials(server.username, server.password)
        client = TurnClient(
            server.uri(spec.transport, ipv6=ipv6), credentials=credentials, verify_name=server.domain, entropy=hosts[0].entropy
        )
        self._payload = payload
        self.name: str = spec.name
        self.start: float = spec.start
        self.client: TurnClient = client
        self.node: Node = hosts[0].run(client)
        self._family: Literal[6] | None = 6 if _is_ipv6_alone(server, hosts[1]) else None
        self._peer = self._make_peer(server, hosts[1])
        self.peer_node: Node = hosts[1].run(self._peer)
        self.node.listener, self.peer_node.listener = self._react, self._react_to_peer
        self.agreed_at: float | None = None
        self.probed_at: float | None = None
        self.sent: int = 0
        self.echoed: int = 0
        self.allocations: int = 0
        self.failed: bool = False
        self._network = network
        self._signalling = signalling
        self._mobility = spec.mobility
        self._addresses = hosts[0].addresses
        self._told: PeerGathered | None = None
        self._path: Address | None = None
        self._answered_at = -math.inf

    def _make_peer(self, server: TurnServerSpec, host: Host) -> RelayPeer:
        local, remote = (first_of_family(one, ipv6=self._family == 6) for one in (host.addresses, server.addresses))
        assert local is not None and remote is not None  # `check_scene` has seen to that
        return RelayPeer(local, Address(remote, server.port), self._payload, entropy=host.entropy)

    @property
    def pair_type(self) -> str:
        """``"relay-"`` and how the client sees the far end: ``host``, ``srflx`` as the server saw it, or ``prflx``."""
        told = self._told
        assert told is not None
        kinds = {told.mapped: "srflx", told.local: "host"}
        return f"relay-{kinds.get(self._path, 'prflx')}"

    @property
    def is_up(self) -> bool:
        """Whether data goes through, both ways, just now."""
        return self._network.now <= self._answered_at + _QUIET

    @property
    def is_settled(self) -> bool:
        """Whether the probes have come back, or are not waited for any more, or there is no relay."""
        if self.probed_at is not None:
            return self.echoed >= PROBES or self._network.now >= self.probed_at + ROUNDS * ROUND
        return self.failed

    def begin(self) -> None:
        """Allocate, and find out where the far end is seen."""
        self._allocate()
        self.peer_node.call(self._peer.start)
        self._network.at(self._network.now + INTERVAL, self._look)

    def _allocate(self) -> None:
        self.node.call(self.client.allocate, family=self._family, mobility=self._mobility)

    def _look(self) -> None:
        """Programs watch the addresses of their host; a client that can move its allocation then does."""
        addresses = self.node.host.addresses
        if addresses != self._addresses:
            self._addresses = addresses
            if self._mobility and addresses and self.client.relayed:
                with contextlib.suppress(LocalProtocolError):  # it has noticed by itself, and is on the move
                    self.node.call(self.client.rebind)
        self._network.at(self._network.now + INTERVAL, self._look)

    def _react(self, event: Event) -> None:
        match event:
            case AllocationCreated():
                self.allocations += 1
                self._permit()
            case PermissionCreated():
                relayed = self.client.relayed[0]
                self._network.at(self._network.now + self._signalling, lambda: self._tell(relayed))
            case AllocationFailed():
                self.failed = True
                self._network.at(self._network.now + AGAIN, self._allocate)
            case AllocationLost():
                self._path = None
                self._network.at(self._network.now, self._allocate)
            case DataReceived():
                self._take(event.peer, event.data)

    def _react_to_peer(self, event: Event) -> None:
        match event:
            case PeerGathered():
                self._network.at(self._network.now + self._signalling, lambda: self._be_told(event))
            case PeerHeard(knocked=True):
                self._answered()

    def _be_told(self, told: PeerGathered) -> None:
        self._told = told
        self._permit()

    def _permit(self) -> None:
        """A permission counts for a host, whatever its ports: so that a NAT may have the far end come from any of them."""
        if self._told is None or not self.client.relayed:
            return
        ipv6 = self.client.relayed[0].is_ipv6
        peers = [one for one in (self._told.local, self._told.mapped) if one is not None and one.is_ipv6 is ipv6]
        self.node.call(self.client.create_permission, *peers)

    def _tell(self, relayed: Address) -> None:
        if relayed != self._peer.relayed:
            self.peer_node.call(self._peer.call, relayed)

    def _take(self, peer: Address, data: bytes) -> None:
        if data[0] == PROBE:
            self.echoed += 1
            return
        if self._path != peer:
            self._path = peer
            self.node.call(self.client.bind_channel, peer)
        self.node.call(self.client.send, peer, data)

    def _answered(self) -> None:
        self._answered_at = self._network.now
        if self.agreed_at is None:
            self.agreed_at = self.probed_at = self._network.now
            for number in range(ROUNDS):
                self._network.at(self._network.now + number * ROUND, self._ask)

    def _ask(self) -> None:
        """Send as many datagrams as echoes are still out."""
        for number in range(PROBES - self.echoed):
            self._network.at(self._network.now + number * PROBE_INTERVAL, self._probe)

    def _probe(self) -> None:
        if self._path is not None and self.client.relayed:
            self.sent += 1
            self.node.call(self.client.send, self._path, bytes([PROBE]) * self._payload)


def _is_ipv6_alone(server: TurnServerSpec, host: Host) -> bool:
    """Whether the far end can be relayed to over IPv6 only."""
    return first_of_family(host.addresses, ipv6=False) is None or first_of_family(server.addresses, ipv6=False) is None
