"""The counters of a server as plain numbers, which can be sent to another process and added up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from sansice.stun import StunServerStats
from sansice.turn import TurnServerStats

Snapshot: TypeAlias = dict[str, Any]
"""Numbers by name, in tables of tables: ``{"stun": {"requests": 1, "errors": {"401": 1}, ...}, "turn": {...}}``."""

_STUN = ("requests", "responses", "indications", "classic", "retransmissions", "accepted", "timed_out", "connections")
_TURN = ("allocations", "opened", "received_packets", "received_bytes", "sent_packets", "sent_bytes")


def snapshot_of(stats: StunServerStats | TurnServerStats) -> Snapshot:
    """The counters as they are now."""
    stun = stats.stun if isinstance(stats, TurnServerStats) else stats
    found: Snapshot = {"stun": {name: getattr(stun, name) for name in _STUN}}
    found["stun"]["errors"] = {str(code): number for code, number in stun.errors.items()}
    found["stun"]["dropped"] = {reason.name.lower().replace("_", "-"): number for reason, number in stun.dropped.items()}
    if isinstance(stats, TurnServerStats):
        found["turn"] = {name: getattr(stats, name) for name in _TURN}
    return found


def added(snapshots: Iterable[Mapping[str, Any]]) -> Snapshot:
    """All of them together."""
    total: Snapshot = {}
    for one in snapshots:
        for name, value in one.items():
            total[name] = added((total.get(name, {}), value)) if isinstance(value, Mapping) else total.get(name, 0) + value
    return total


def nothing_counted(relays: bool) -> Snapshot:
    """Of a server that has just begun."""
    return snapshot_of(TurnServerStats() if relays else StunServerStats())


def without_gauges(snapshot: Snapshot) -> Snapshot:
    """What goes on counting when the process that counted it is gone: not what exists now."""
    kept = {part: dict(numbers) for part, numbers in snapshot.items()}
    for part, name in _GAUGES:
        kept.get(part, {}).pop(name, None)
    return kept


_GAUGES = (("stun", "connections"), ("turn", "allocations"))
