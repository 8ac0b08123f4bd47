"""Everything about NAT behaviour discovery that may be tuned."""

from __future__ import annotations

import attrs

from sansice.stun._schedule import Schedule

# 64 KiB with the headers of IPv4 and UDP, 20 + 8 (RFC 5780 7.6), of STUN, 20, and of PADDING and RESPONSE-PORT, 4 + 8.
MAX_PADDING = (0xFFFF - 60) & ~3

# Requests at 0, .5, 1.5, 3.5 and 7.5 s, and the end at 8.5 s. Silence is a result here, so the 39.5 s of RFC 8489 6.2.1
# would be paid for every NAT that filters. Where each way loses one packet in ten, all five are lost once in 4,000 times.
_SCHEDULE = Schedule(rc=5, rm=2)


def _padding(value: int) -> int:
    """Rounded up to a multiple of four (RFC 5780 7.6)."""
    return value + -value % 4


@attrs.frozen
class BehaviorConfig:
    """Times in seconds, and bounds.

    Attributes:
        schedule: retransmission of each question; "no answer" is a result only when all of it has passed.
        spread: each question lengthens the schedule by a random part of it, up to this, so that retransmissions of
            several do not stay in step (RFC 5780 5).
        pacing: from one new transaction to the next; no less than 0.1 (RFC 5780 5).
        classic: ask a server that names no second address by the rules of RFC 3489.
        classic_requests: how many requests that first question is worth: most servers ignore it.
        padding: bytes of PADDING, to be at least the MTU of the interface; rounded up to a multiple of 4 (RFC 5780 7.6).
        lifetime_first: the first silence that is tried; it is doubled until the mapping does not survive.
        lifetime_precision: how close ``alive_s`` and ``expired_s`` are to be.
        max_silences: how many silences are tried at most; a NAT that changes its mind would keep us busy for ever.
        max_targets: how many addresses of a name are tried until one answers.
        resolve_timeout: for looking up the server's name.

    Raises:
        ValueError: a value out of its range.
    """

    schedule: Schedule = _SCHEDULE
    spread: float = attrs.field(default=0.1, validator=attrs.validators.ge(0.0))
    pacing: float = attrs.field(default=0.1, validator=attrs.validators.ge(0.1))
    classic: bool = True
    classic_requests: int = attrs.field(default=3, validator=attrs.validators.ge(1))
    padding: int = attrs.field(
        default=1500, converter=_padding, validator=[attrs.validators.ge(4), attrs.validators.le(MAX_PADDING)]
    )
    lifetime_first: float = attrs.field(default=15.0, validator=attrs.validators.gt(0.0))
    lifetime_precision: float = attrs.field(default=5.0, validator=attrs.validators.gt(0.0))
    max_silences: int = attrs.field(default=32, validator=attrs.validators.ge(1))
    max_targets: int = attrs.field(default=4, validator=attrs.validators.ge(1))
    resolve_timeout: float = attrs.field(default=10.0, validator=attrs.validators.gt(0.0))
