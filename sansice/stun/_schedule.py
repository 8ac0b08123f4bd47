"""When a request is sent again, and when it is given up (RFC 8489 6.2.1, 6.2.2)."""

from __future__ import annotations

import attrs

RTO = 0.5  # seconds; RFC 8489 6.2.1
RC = 7  # RFC 8489 6.2.1
RM = 16  # RFC 8489 6.2.1
TI = 39.5  # seconds; RFC 8489 6.2.2

_MAX_RC = 32  # ours: the 32nd request would leave 34 years after the first


@attrs.frozen
class Schedule:
    """The retransmission schedule of one request.

    Over UDP and DTLS requests leave 0, 1, 3, 7, ... RTOs after the first, and the transaction fails Rm RTOs after the
    last: with the defaults at 0, .5, 1.5, 3.5, 7.5, 15.5, 31.5 and 39.5 seconds. Over streams the one request is given
    up after Ti.

    Attributes:
        rto: initial retransmission timeout in seconds.
        rc: how many requests are sent at most.
        rm: RTOs to wait after the last request.
        ti: seconds to wait over TCP and TLS.
        minimum_rto: refuse a smaller ``rto``. RFC 8489 6.2.1 lets only a usage with a pacing rule of its own, or an RTO
            that was measured, go below half a second: such a caller says so by lowering this too.

    Raises:
        ValueError: a field out of its range.
    """

    rto: float = RTO
    rc: int = RC
    rm: float = RM
    ti: float = TI
    minimum_rto: float = attrs.field(default=RTO, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if not 0 < self.rto < float("inf") or self.rto < self.minimum_rto:
            raise ValueError(f"rto {self.rto} is below {self.minimum_rto} s; a usage with its own pacing lowers minimum_rto too")
        if not 1 <= self.rc <= _MAX_RC:
            raise ValueError(f"rc {self.rc} is outside 1..{_MAX_RC}")
        if not (0 < self.rm < float("inf") and 0 < self.ti < float("inf")):
            raise ValueError(f"rm {self.rm} and ti {self.ti} must be positive and finite")

    def send_offset(self, transmission: int) -> float:
        """Seconds from the first request to this one, counted from 0."""
        return self.rto * ((1 << transmission) - 1)

    @property
    def duration(self) -> float:
        """Seconds from the first request to the failure, over UDP and DTLS."""
        return self.send_offset(self.rc - 1) + self.rto * self.rm
