"""Counters of an agent."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason


@attrs.define(eq=False)
class IceStats:
    """Counters of an agent.

    Attributes:
        dropped: what arrived and was dropped, by reason.
        datagrams_sent, bytes_sent, datagrams_received, bytes_received: the application's data.
    """

    dropped: Counter[DropReason] = attrs.field(factory=Counter)
    datagrams_sent: int = 0
    bytes_sent: int = 0
    datagrams_received: int = 0
    bytes_received: int = 0

    def drop(self, reason: DropReason) -> None:
        """Count one."""
        self.dropped[reason] += 1
