"""How long to wait for a server that has answered before (RFC 8489 6.2.1, RFC 6298)."""

from __future__ import annotations

from collections import OrderedDict

import attrs

from ._schedule import RTO

_ALPHA = 1 / 8  # RFC 6298 2
_BETA = 1 / 4  # RFC 6298 2
_K = 4  # RFC 6298 2
_GRANULARITY = 0.001  # seconds; RFC 8489 6.2.1 asks for an accuracy of 1 ms, where RFC 6298 rounds up to a second
_MAXIMUM = 60.0  # seconds; RFC 6298 2.5

CACHE_LIFETIME = 600.0  # seconds; RFC 8489 6.2.1
CACHE_SIZE = 1024  # ours: servers that one program talks to; the least recently used goes first


class RttEstimator:
    """RTO from round-trip samples: RFC 6298 with STUN's initial value and without its rounding up to a second.

    Args:
        initial: the RTO before the first sample, in seconds.
    """

    __slots__ = ("_initial", "_rttvar", "_srtt")

    def __init__(self, initial: float = RTO) -> None:
        self._initial = initial
        self._srtt: float | None = None
        self._rttvar = 0.0

    def sample(self, rtt: float | None) -> None:
        """Take a round-trip time in seconds; ``None``, a retransmitted request, changes nothing (Karn, RFC 6298 3)."""
        if rtt is None:
            return
        if self._srtt is None:
            self._srtt = rtt
            self._rttvar = rtt / 2
            return
        self._rttvar += _BETA * (abs(self._srtt - rtt) - self._rttvar)
        self._srtt += _ALPHA * (rtt - self._srtt)

    @property
    def rto(self) -> float:
        """Seconds: the initial value before the first sample."""
        if self._srtt is None:
            return self._initial
        return min(self._srtt + max(_GRANULARITY, _K * self._rttvar), _MAXIMUM)


@attrs.define(eq=False)
class _Entry:
    estimator: RttEstimator
    used: float


class RtoCache:
    """RTO per server address, forgotten after ten minutes without a transaction (RFC 8489 6.2.1).

    Args:
        size: servers remembered; the one asked least recently is forgotten first.
        initial: the RTO for a server that has not answered yet, in seconds.
    """

    __slots__ = ("_entries", "_initial", "_size")

    def __init__(self, size: int = CACHE_SIZE, *, initial: float = RTO) -> None:
        self._initial = initial
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._size = size

    def rto(self, host: str, *, now: float) -> float:
        """The RTO to start the next transaction to ``host`` with, in seconds.

        It may be below half a second: ``Schedule(rto, minimum_rto=0)``.
        """
        entry = self._fresh(host, now)
        return self._initial if entry is None else entry.estimator.rto

    def finished(self, host: str, rtt: float | None, *, now: float) -> None:
        """A transaction with ``host`` ended: ``TransactionSucceeded.rtt``, or ``None``."""
        entry = self._fresh(host, now)
        if entry is None:
            entry = self._entries[host] = _Entry(RttEstimator(self._initial), now)
        entry.used = now
        entry.estimator.sample(rtt)
        self._entries.move_to_end(host)
        if len(self._entries) > self._size:
            self._entries.popitem(last=False)

    def __len__(self) -> int:
        return len(self._entries)

    def _fresh(self, host: str, now: float) -> _Entry | None:
        entry = self._entries.get(host)
        if entry is not None and now - entry.used > CACHE_LIFETIME:
            del self._entries[host]
            return None
        return entry
