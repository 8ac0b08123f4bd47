"""Counters of the machine of mDNS."""

from __future__ import annotations

from collections import Counter

import attrs

from sansice.machine import DropReason


@attrs.define(eq=False)
class MdnsStats:
    """What has been sent, and what has not been listened to.

    Attributes:
        queries_sent: messages, on all links.
        responses_sent: messages, on all links: announcements, answers and goodbyes.
        dropped: what arrived and was dropped, by reason.
    """

    queries_sent: int = 0
    responses_sent: int = 0
    dropped: Counter[DropReason] = attrs.field(factory=Counter)
