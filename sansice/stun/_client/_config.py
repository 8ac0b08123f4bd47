"""Everything about a client that may be tuned, with the RFCs' values."""

from __future__ import annotations

import attrs

from sansice.stun._attributes import SOFTWARE
from sansice.stun._schedule import RTO, TI, Schedule

_SCHEDULE = Schedule()


@attrs.frozen(kw_only=True)
class StunClientConfig:
    """Options, timers in seconds, and bounds.

    Attributes:
        schedule: retransmissions and patience; its RTO is for servers that have not answered yet (RFC 8489 6.2.1).
        least_rto: a measured RTO is raised to this (but not above that of ``schedule``). The patience over UDP is 79 RTOs,
            and a server that pauses for a second is not gone.
        software: SOFTWARE in requests; ``None`` tells nobody what runs here (RFC 8489 16.1.2).
        fingerprint: messages have FINGERPRINT, and those that arrive must (RFC 8489 7).
        alternate_servers: follow a protected 300 (RFC 8489 10).
        classic: for servers of RFC 3489: Binding requests without attributes, over UDP, on sockets that carry nothing else;
            MAPPED-ADDRESS is accepted (RFC 5389 12).
        anycast: the servers' addresses may be anycast: UDP without authentication only, since each packet may reach
            another server (RFC 8489 15).
        mtu: the path MTU, where it is known, in bytes of IP packet; see `size_budget`.
        max_outstanding: transactions at a time with one server (RFC 8489 6.2).
        max_queued: requests to one server that wait for their turn, or for their socket to open.
        resends: how often a request is sent again after a 5xx (RFC 8489 6.3.4).
        resend_delay: pause before each of them.
        open_timeout: patience with a socket that does not open: connecting, TLS and DTLS handshakes.

    Raises:
        ValueError: a field out of its range, or fields that exclude each other.
    """

    schedule: Schedule = _SCHEDULE
    least_rto: float = 0.1
    software: str | None = None
    fingerprint: bool = False
    alternate_servers: bool = False
    classic: bool = False
    anycast: bool = False
    mtu: int | None = None
    max_outstanding: int = 10
    max_queued: int = 256
    resends: int = 4
    resend_delay: float = RTO
    open_timeout: float = TI

    def __attrs_post_init__(self) -> None:
        if self.classic and (self.fingerprint or self.software is not None):
            raise ValueError("a request that an RFC 3489 server understands has no attributes, no fingerprint or software either")
        if self.software is not None:
            SOFTWARE.pack(self.software, b"")
        if self.mtu is not None and not 200 <= self.mtu <= 65535:
            raise ValueError(f"an MTU of {self.mtu} bytes is outside 200..65535")
        if self.max_outstanding < 1 or self.max_queued < 1 or self.resends < 0:
            raise ValueError("max_outstanding and max_queued are at least 1, and resends at least 0")
        for name in ("least_rto", "resend_delay", "open_timeout"):
            if not 0 < getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must be positive and finite")
