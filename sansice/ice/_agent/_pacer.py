"""One pace for all agents of a process (RFC 8445 14.2)."""

from __future__ import annotations

import math

from sansice.machine import LocalProtocolError

MIN_INTERVAL = 0.005  # seconds; RFC 8445 14.2: all agents together start no more than one transaction in that time


class Pacer:
    """Hands out moments at which one check or one question to a server may start; consent checks need none.

    Agents that were given the same pacer take turns in the order in which they asked, so that each wakes up once for each
    turn. They must share their clock and their thread.

    Args:
        interval: seconds between any two moments.

    Raises:
        LocalProtocolError: less than 5 ms.
    """

    __slots__ = ("_free_at", "_started_at", "interval")

    def __init__(self, interval: float = MIN_INTERVAL) -> None:
        if not MIN_INTERVAL <= interval < math.inf:
            raise LocalProtocolError(f"interval: {interval!r} is not at least {MIN_INTERVAL} s (RFC 8445 14.2)")
        self.interval: float = interval
        self._free_at = self._started_at = -math.inf

    def reserve(self, now: float) -> float:
        """The next moment that is free, ``now`` or later; nobody else is given it."""
        moment = max(now, self._free_at)
        self._free_at = moment + self.interval
        return moment

    def started(self, now: float) -> None:
        """Something was started, at its moment or late."""
        self._started_at = now
        self._free_at = max(self._free_at, now + self.interval)

    def is_quiet(self, now: float) -> bool:
        """Whether nobody has started anything for as long as an interval."""
        return now >= self._started_at + self.interval
