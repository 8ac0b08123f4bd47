"""Counters of an agent."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason

from ._tally import Ledger


@attrs.define(eq=False)
class IceStats:
    """Counters of an agent, as they are at the moment of reading; `IceAgent.report` has all that is counted, and keeps it.

    Attributes:
        dropped: what arrived and was dropped, by reason.
    """

    dropped: Counter[DropReason] = attrs.field(factory=Counter)
    _ledgers: list[Ledger] = attrs.field(factory=list, repr=False)

    def drop(self, reason: DropReason) -> None:
        """Count one."""
        self.dropped[reason] += 1

    def add_component(self) -> Ledger:
        """Count the data of one component more."""
        ledger = Ledger()
        self._ledgers.append(ledger)
        return ledger

    @property
    def datagrams_sent(self) -> int:
        """Of the application's data."""
        return sum(ledger.total.packets_sent for ledger in self._ledgers)

    @property
    def bytes_sent(self) -> int:
        """Of the application's data."""
        return sum(ledger.total.bytes_sent for ledger in self._ledgers)

    @property
    def datagrams_received(self) -> int:
        """Of the application's data, whichever way they came."""
        return sum(carried.packets_received for ledger in self._ledgers for carried in ledger.all_received)

    @property
    def bytes_received(self) -> int:
        """Of the application's data, whichever way it came."""
        return sum(carried.bytes_received for ledger in self._ledgers for carried in ledger.all_received)
