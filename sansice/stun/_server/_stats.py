"""Counters of a server."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason


@attrs.define(eq=False)
class StunServerStats:
    """Counters of a server, from its start on.

    Attributes:
        requests: requests that were looked at; what was dropped before that is in ``dropped`` alone.
        responses: success responses.
        errors: error responses, by code.
        indications: indications that were well-formed, and need no answer.
        classic: how many of the requests were of RFC 3489.
        retransmissions: requests that came again while they waited for the application, or were answered from memory.
        dropped: what arrived and was not served, by reason: not answered at all, or with an error for that reason.
        connections: streams open now.
        accepted: streams accepted so far.
        timed_out: streams closed by a deadline.
    """

    requests: int = 0
    responses: int = 0
    errors: Counter[int] = attrs.field(factory=Counter)
    indications: int = 0
    classic: int = 0
    retransmissions: int = 0
    dropped: Counter[DropReason] = attrs.field(factory=Counter)
    connections: int = 0
    accepted: int = 0
    timed_out: int = 0

    @property
    def rate_limited(self) -> int:
        """Requests that the rate limit left unanswered."""
        return self.dropped[DropReason.RATE_LIMITED]

    def drop(self, reason: DropReason, count: int = 1) -> None:
        """Count what was dropped."""
        self.dropped[reason] += count
