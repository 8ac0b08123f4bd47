"""Counters of a TURN server."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason
from sansice.stun import StunServerStats


@attrs.define(eq=False)
class TurnServerStats:
    """Counters of a TURN server, from its start on.

    Attributes:
        stun: of the STUN server underneath: requests, answers and errors of all methods, connections.
        dropped: what arrived and was not served or relayed, by reason; the same counter as ``stun.dropped``.
        allocations: allocations that exist now.
        opened: allocations made so far.
        tcp_connections: connections with peers that exist now (RFC 6062).
        received_packets, received_bytes: data relayed from clients to peers.
        sent_packets, sent_bytes: data relayed from peers to clients.
    """

    stun: StunServerStats = attrs.field(factory=StunServerStats)
    allocations: int = 0
    opened: int = 0
    tcp_connections: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    sent_packets: int = 0
    sent_bytes: int = 0

    @property
    def dropped(self) -> Counter[DropReason]:
        """What was not served, by reason."""
        return self.stun.dropped

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count what was dropped."""
        self.stun.dropped[reason] += count
