"""How long a pair's answers take: what W3C's statistics tell, and for how long an answer is worth waiting for."""

from __future__ import annotations

# RFC 8489 6.2.1 keeps what RFC 6298 2 says: the estimate moves by an eighth, its variation by a quarter.
_GAIN, _VARIATION_GAIN = 1 / 8, 1 / 4
MIN_PATIENCE = 0.5  # seconds; the least RTO of a check (RFC 8445 14.3): a computer may be busy for that long, too
MAX_PATIENCE = 10.0  # seconds; who measures minutes has measured a clock that jumped
# Seconds, where nothing was measured: after a retransmission nobody knows which request was answered (RFC 8489 6.2.1), and
# so it is on each link that is slower than the first RTO. Two satellites and a mobile network answer within this.
UNMEASURED_PATIENCE = 3.0


class PairRtt:
    """The round trip times of one pair, in seconds.

    Not an attrs class: each pair that is answered has one, and slots keep it small.

    Attributes:
        current: the latest; W3C's ``currentRoundTripTime``.
        total: the sum of all; W3C's ``totalRoundTripTime``.
        measurements: how many there were.
        smoothed: what is to be expected (RFC 6298 2), ``None`` before the first measurement.
    """

    __slots__ = ("_variation", "current", "measurements", "smoothed", "total")

    def __init__(self) -> None:
        self.current: float | None = None
        self.smoothed: float | None = None
        self.total: float = 0.0
        self.measurements: int = 0
        self._variation = 0.0

    def measure(self, rtt: float) -> None:
        """Take a measurement: of a request that was transmitted once."""
        if self.smoothed is None:
            self.smoothed, self._variation = rtt, rtt / 2  # RFC 6298 2.2
        else:
            self._variation += _VARIATION_GAIN * (abs(self.smoothed - rtt) - self._variation)
            self.smoothed += _GAIN * (rtt - self.smoothed)
        self.current = rtt
        self.total += rtt
        self.measurements += 1

    @property
    def patience(self) -> float:
        """For how long an answer is worth waiting for, with an allowance for what varies (RFC 7675 5.1)."""
        if self.smoothed is None:
            return UNMEASURED_PATIENCE
        return min(MAX_PATIENCE, max(MIN_PATIENCE, self.smoothed + 4 * self._variation))
