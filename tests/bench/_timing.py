"""Honest comparison of two programs on a machine that others use too.

What makes a figure here believable:

- **Processor time** of this process (`time.process_time`), not the wall clock: a neighbour that takes the core costs nothing.
- **Interleaved rounds**: A B, B A, A B, ... so that a slow minute, a warm cache or a falling clock frequency meets both sides.
- **Paired ratios**: each round gives one ratio of neighbours in time; the ratio printed is the median of those, and not the
  quotient of two medians that may come from different minutes.
- **The garbage collector** runs before a timing and not within one, so that neither side pays for the other's garbage.
- Nothing is asserted: the programs print, a person (or an issue) judges.
"""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Callable
from contextlib import contextmanager
from typing import TypedDict

ROUNDS = 15
ROUND_SECONDS = 0.05  # long against the clock's granularity (1 us) and against one interrupt

_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}


class Metric(TypedDict):
    """One line of a benchmark: `ratio` is ours / peer, so smaller is better for costs."""

    ours: float
    peer: float
    ratio: float
    unit: str
    peer_name: str


@contextmanager
def quiet_gc():
    """Collect now, and not until the block ends."""
    enabled = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def cpu_seconds(function: Callable[[], object], number: int = 1) -> float:
    """Processor seconds of one call, averaged over `number` calls in a row."""
    with quiet_gc():
        start = time.process_time()
        for _ in range(number):
            function()
        return (time.process_time() - start) / number


def calibrate(function: Callable[[], object], seconds: float = ROUND_SECONDS) -> int:
    """How many calls take at least `seconds`; warms the function up on the way."""
    number = 1
    while (took := cpu_seconds(function, number) * number) < seconds:
        number = max(2 * number, round(1.1 * number * seconds / took) if took > seconds / 20 else 0)
    return number


def interleave(
    ours: Callable[[], float],
    peer: Callable[[], float],
    *,
    unit: str,
    peer_name: str,
    rounds: int | None = None,
) -> Metric:
    """Compare two programs that measure themselves: each call is one round and returns its cost.

    Args:
        ours: measures our side once; any figure, in any unit.
        peer: measures the peer, or the floor, once, in the same unit.
        unit: what the figures are in.
        peer_name: what the peer is, with its version where that matters.
        rounds: `ROUNDS` unless given.
    """
    costs: list[tuple[float, float]] = []
    for number in range(rounds or ROUNDS):
        if number % 2:
            theirs = peer()
            costs.append((ours(), theirs))
        else:
            costs.append((ours(), peer()))
    return {
        "ours": statistics.median(mine for mine, _ in costs),
        "peer": statistics.median(theirs for _, theirs in costs),
        "ratio": statistics.median(mine / theirs for mine, theirs in costs),
        "unit": unit,
        "peer_name": peer_name,
    }


def compare_calls(
    ours: Callable[[], object],
    peer: Callable[[], object],
    *,
    peer_name: str,
    unit: str = "us",
    rounds: int | None = None,
) -> Metric:
    """Compare the processor time of one call of each, both called often enough to be measured.

    The cost of calling an empty function (some 30 ns) is in both figures.

    Args:
        ours, peer: one operation each, with nothing but the operation in it.
        peer_name: what the peer is.
        unit: `s`, `ms`, `us` or `ns`.
        rounds: `ROUNDS` unless given.
    """
    scale = _UNITS[unit]
    our_number, peer_number = calibrate(ours), calibrate(peer)
    return interleave(
        lambda: scale * cpu_seconds(ours, our_number),
        lambda: scale * cpu_seconds(peer, peer_number),
        unit=unit,
        peer_name=peer_name,
        rounds=rounds,
    )
