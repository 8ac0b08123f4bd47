"""The sending half of a TCP connection: what the peer has not acknowledged, how much may be under way, when it is repeated."""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

SEND_BUFFER = 65536  # bytes that a system takes before the application has to wait

FIRST_RTO = 1.0  # seconds; RFC 6298 2.1
# Seconds that are waited beyond the round trip, at least: Linux, TCP_RTO_MIN. RFC 6298 2.4 has a whole second, as a SHOULD; with
# that each lost segment would delay a call by far more than it does where programs run.
MIN_MARGIN = 0.2
MAX_RTO = 120.0  # Linux: TCP_RTO_MAX; RFC 6298 2.5 wants 60 at least
RTO_AFTER_LOST_SYN = 3.0  # RFC 6298 5.7

INITIAL_WINDOW = 10  # segments; RFC 6928 2
DUPLICATES = 3  # acknowledgements of the same byte that mean a lost segment; RFC 5681 3.2
MIN_MSS = 536  # bytes; RFC 9293 3.7.1: less is never assumed


class Outgoing(NamedTuple):
    """Bytes to put into one segment; ``offset`` counts from the SYN, which is 0."""

    offset: int
    data: bytes
    fin: bool


class Sending:
    """Offsets count what takes sequence numbers: 0 is the SYN, 1 the first byte, the FIN follows the last byte.

    Attributes:
        acknowledged: offset up to which the peer has everything.
        next: offset of what is sent next; goes back when everything is repeated.
        end: offset after the last byte, which is the FIN's.
        highest: offset that was never sent so far.
        mss: bytes of data that a segment carries.
        fin: the application has said that no more follows.
        retries: repetitions since the peer last acknowledged something.
        deadline: when it is time to repeat; `math.inf` where nothing is under way.
    """

    __slots__ = (
        "_allowed",
        "_buffer",
        "_congestion",
        "_duplicates",
        "_ends",
        "_probing",
        "_recover",
        "_rto",
        "_srtt",
        "_threshold",
        "_timed",
        "_variation",
        "acknowledged",
        "deadline",
        "end",
        "fin",
        "highest",
        "mss",
        "next",
        "retries",
    )

    def __init__(self, mss: int) -> None:
        self.mss: int = mss
        self.acknowledged: int = 0
        self.next: int = 0
        self.highest: int = 0
        self.end: int = 1
        self.fin: bool = False
        self.retries: int = 0
        self.deadline: float = math.inf
        self._buffer = bytearray()  # from the first byte that is not acknowledged
        self._allowed = 1  # offset that the peer's window ends at
        self._congestion = INITIAL_WINDOW * mss  # RFC 5681: cwnd
        self._threshold = 2**30  # ssthresh
        self._recover = 0  # after a fast retransmission: offset that ends it (RFC 6582 3.2)
        self._duplicates = 0
        self._ends: deque[int] = deque()  # of segments under way, unless they are repeated
        self._probing = False
        self._rto = FIRST_RTO
        self._srtt: float | None = None
        self._variation = 0.0
        self._timed: tuple[int, float] | None = None  # what is measured: an offset, and when it left

    @property
    def room(self) -> int:
        """Bytes that `put` still takes."""
        return SEND_BUFFER - len(self._buffer)

    @property
    def newest(self) -> int:
        """Offset after everything that was sent and may have been welcome: where a reset is believed (RFC 5961 3.2)."""
        return min(self.highest, self._allowed)

    @property
    def unacknowledged(self) -> int:
        """Bytes that `put` took and that the peer has not acknowledged."""
        return len(self._buffer)

    @property
    def is_done(self) -> bool:
        """Whether the peer has everything, the FIN included."""
        return self.acknowledged > self.end

    def put(self, data: bytes) -> int:
        """Queue bytes, as many as there is room for; return their number."""
        taken = data[: self.room]
        self._buffer += taken
        self.end += len(taken)
        return len(taken)

    # ------------------------------------------------------------- what leaves

    def sent_syn(self, now: float) -> None:
        """The SYN has left, perhaps again."""
        self.next = self.highest = 1
        if not self.retries:
            self._timed = (1, now)
        self.deadline = now + self._rto

    def take(self, now: float) -> Outgoing | None:
        """The next segment that may leave; ``None`` when nothing may."""
        start, end = self.next, self.end
        if start > end or self.acknowledged == 0:
            return None
        limit = min(self._allowed, self.acknowledged + self._congestion)
        if self._probing:  # RFC 9293 3.8.6.1: a shut window is tried with one byte
            limit = max(limit, start + 1)
            self._probing = False
        stop = min(end, limit, start + self.mss)
        if start > self.acknowledged and stop < end and stop - start < self.mss:
            return None  # RFC 9293 3.8.6.2.1: no silly windows; what is under way will be acknowledged
        data = self._between(start, stop)
        fin = self.fin and start + len(data) == end
        if not data and not fin:
            if start < end and start == self.acknowledged and self.deadline == math.inf:
                self.deadline = now + self._rto  # the window is shut: the persist timer
            return None
        after = start + len(data) + fin
        if after > self.highest:
            if self._timed is None and start == self.highest:
                self._timed = (after, now)
            self.highest = after
            self._ends.append(after)
        self.next = after
        if self.deadline == math.inf:
            self.deadline = now + self._rto
        return Outgoing(start, data, fin)

    def first(self) -> Outgoing:
        """The first segment that the peer lacks, once more."""
        start = self.acknowledged
        data = self._between(start, min(self.end, start + self.mss, self.highest))
        self._timed = None  # RFC 6298 3: nobody could tell which of the two was acknowledged
        return Outgoing(start, data, self.fin and start + len(data) == self.end and self.highest > self.end)

    def _between(self, start: int, stop: int) -> bytes:
        base = self.end - len(self._buffer)
        return bytes(self._buffer[start - base : max(stop, start) - base])

    # ------------------------------------------------------------- what comes back

    def acknowledge(self, offset: int, window: int, now: float, *, bare: bool) -> bool:
        """The peer has everything before ``offset``, and room for ``window`` bytes more.

        Args:
            bare: the segment said nothing else.

        Returns:
            Whether `first` has to be repeated at once.
        """
        was_shut, opened = self._allowed <= self.acknowledged, offset + window > self._allowed
        # Our own kind never takes back what it allowed (RFC 9293 3.8.6), so that an old segment changes nothing.
        self._allowed = max(self._allowed, offset + window)
        if offset > self.acknowledged:
            return self._advance(offset, now)
        if offset < self.acknowledged:
            return False
        if self._allowed <= offset:
            self.retries = 0  # it answers the probes, and only reads too slowly
        if opened:
            self._duplicates = 0
            if was_shut:  # whatever it was tried with did not fit
                self.next = self.acknowledged
                self._rearm(now)
        elif bare and self.highest > self.acknowledged:
            self._duplicates += 1
            return self._duplicates >= self._telling_duplicates and self._begin_recovery()
        return False

    @property
    def _telling_duplicates(self) -> int:
        """How many acknowledgements of the same byte mean a lost segment; of few under way no more can come (RFC 5827 3)."""
        few = 1 < len(self._ends) <= DUPLICATES and self.highest >= self.end
        return len(self._ends) - 1 if few else DUPLICATES

    def _advance(self, offset: int, now: float) -> bool:
        if self._timed is not None and offset >= self._timed[0]:
            self._measure(now - self._timed[1])
            self._timed = None
        elif self.acknowledged == 0 and self.retries:
            self._rto = RTO_AFTER_LOST_SYN
        fresh = offset - max(self.acknowledged, 1)
        del self._buffer[:fresh]
        self.acknowledged = offset
        self.next = max(self.next, offset)
        while self._ends and self._ends[0] <= offset:
            self._ends.popleft()
        self.retries = self._duplicates = 0
        self._rearm(now)
        if offset < self._recover:
            return True  # RFC 6582 3.2: another hole behind the first
        if self._congestion < self._threshold:
            self._congestion += min(max(fresh, 0), self.mss)  # RFC 5681 3.1: slow start
        else:
            self._congestion += max(1, self.mss * self.mss // self._congestion)  # congestion avoidance
        return False

    def _rearm(self, now: float) -> None:
        self.deadline = now + self._rto if self.highest > self.acknowledged else math.inf

    def _begin_recovery(self) -> bool:
        if self.acknowledged < self._recover:
            return False
        self._recover = self.highest
        self._threshold = self._congestion = max((self.highest - self.acknowledged) // 2, 2 * self.mss)
        return True

    def _measure(self, rtt: float) -> None:
        # RFC 6298 2.2 and 2.3; the clock has no granularity.
        if self._srtt is None:
            self._srtt, self._variation = rtt, rtt / 2
        else:
            self._variation = 0.75 * self._variation + 0.25 * abs(self._srtt - rtt)
            self._srtt = 0.875 * self._srtt + 0.125 * rtt
        self._rto = min(self._srtt + max(4 * self._variation, MIN_MARGIN), MAX_RTO)

    # ------------------------------------------------------------- what is lost

    def expire(self, now: float) -> None:
        """Nothing came back in time: begin again where the peer is, slowly (RFC 6298 5.4 to 5.6, RFC 5681 3.1)."""
        self.retries += 1
        self._rto = min(2 * self._rto, MAX_RTO)
        self._timed = None
        self.deadline = math.inf
        if self.acknowledged and self._allowed <= self.acknowledged:
            self._probing = True
        else:
            self._threshold = max((self.highest - self.acknowledged) // 2, 2 * self.mss)
            self._congestion = self.mss
        self._recover = self._duplicates = 0
        self._ends.clear()
        self.next = self.acknowledged

    def shrink(self, mss: int) -> None:
        """The path carries less than was assumed: what is under way is lost (RFC 1191 6.4)."""
        self.mss = max(min(mss, self.mss), MIN_MSS)
        self._timed = None
        self._ends.clear()
        self.next = max(self.acknowledged, 1)
