"""Counters of a TURN client."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason


@attrs.define(eq=False)
class TurnClientStats:
    """Counters, over all allocations of a client.

    Attributes:
        dropped: what arrived and came to nothing, by reason.
        unsent: datagrams that the application gave and that did not leave: their peer had no permission, or too many waited
            for one, or the server reads its stream too slowly.
        sent_packets, sent_bytes: data towards peers.
        received_packets, received_bytes: data from peers.
        allocations: how many were created.
    """

    dropped: Counter[DropReason] = attrs.Factory(Counter)
    unsent: int = 0
    sent_packets: int = 0
    sent_bytes: int = 0
    received_packets: int = 0
    received_bytes: int = 0
    allocations: int = 0
