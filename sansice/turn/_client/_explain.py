"""What a client knows, in words for a person."""

from __future__ import annotations

from collections.abc import Sequence

from sansice.machine import Address

from ._allocation import ClientAllocation
from ._events import AllocationFailed, AllocationLost
from ._states import TurnClientState
from ._stats import TurnClientStats


def explain(
    server: str,
    state: TurnClientState,
    allocation: ClientAllocation | None,
    last: AllocationFailed | AllocationLost | None,
    stats: TurnClientStats,
    now: float,
) -> str:
    """Several lines: where it stands, why it is not better, and what was counted."""
    lines = [f"{server}: {state.value}"]
    if allocation is not None:
        lines += _describe(allocation, now)
    elif isinstance(last, AllocationLost):
        lines.append(f"  the last allocation was lost: {last.reason}")
    elif last is not None:
        lines.append(f"  no allocation ({last.step.value}{f', {last.code}' if last.code is not None else ''}): {last.reason}")
        if last.retry_after:
            lines.append(f"  the server wants to be left alone for {last.retry_after:g} s from then (RFC 8656 7.4)")
    lines.append(f"  {_traffic(stats)}")
    lines += [f"  dropped, {reason.value}: {count}" for reason, count in stats.dropped.items()]
    return "\n".join(lines)


def _describe(allocation: ClientAllocation, now: float) -> Sequence[str]:
    target = allocation.origin.target
    relayed = " and ".join(str(address) for address in allocation.relayed)
    refused = allocation.grant.refused
    lines = [
        f"  server {target.address} over {target.transport.value}",
        f"  from {allocation.origin.local}, {_seen_as(allocation.mapped)}",
        f"  relayed {relayed}, for {allocation.expires - now:.0f} s more unless refreshed",
        f"  {len(allocation.permissions)} permissions, {len(allocation.channels)} channels",
    ]
    if refused is not None:
        lines.append(f"  no IPv{6 if refused.family == 2 else 4} address: {refused.code} {refused.reason}".rstrip())
    return lines


def _seen_as(mapped: Address | None) -> str:
    return "and it has not said how it sees that since the move" if mapped is None else f"which it sees as {mapped}"


def _traffic(stats: TurnClientStats) -> str:
    return (
        f"sent {stats.sent_packets} datagrams ({stats.sent_bytes} bytes), "
        f"received {stats.received_packets} ({stats.received_bytes} bytes), {stats.unsent} not sent"
    )
