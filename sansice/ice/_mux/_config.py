"""The bounds of an `IceMux`."""

from __future__ import annotations

import math

import attrs


@attrs.frozen(kw_only=True)
class MuxConfig:
    """Times in seconds, and bounds on what strangers and peers can make grow.

    Attributes:
        max_unknown: ufrags that nobody has and that wait for the application's decision: whoever sends checks can invent
            them. 0 offers none.
        max_unknown_per_prefix: of these, from one source prefix (/24 of IPv4, /56 of IPv6), so that one network cannot take
            them all. With ``unknown_timeout`` this is the rate at which it can make events, too.
        unknown_timeout: how long a first check waits: about as long as its sender retransmits it.
        max_refused: ufrags that were refused, and those of agents that are gone, together with their peers', for
            whose checks they are not offered again; the oldest is forgotten for a new one.
        refused_timeout: how long: until the last late check of somebody who has not noticed has come.
        declined_timeout: how long a ufrag is not offered again that was declined: not for each packet of a flood, and
            with the first retransmission of a check, which comes after 0.5 s (RFC 8445 14.3).
        max_sources: addresses of peers that one agent may have at one socket. Each has sent an authenticated check, but
            whoever knows the password can do that from many; the oldest is forgotten, but never the one in use.
        transaction_timeout: how long the answer to a check or a question is waited for: longer than the last
            retransmission's (RFC 8489 6.2.1: 39.5 s).
        max_transactions: of these, in that time; beyond it the older ones are forgotten.
        max_silent: TCP connections whose first frame, which says whose they are, is not there yet. Anybody can connect, and each
            costs a descriptor; in a flood the oldest go.
        max_silent_per_prefix: of these, from one source prefix, so that one network cannot push out all others.
        first_frame_timeout: how long they may take for it: a few losses of packets.
        receive_buffer: bytes that may wait at each UDP socket, as far as the system allows; 0 for its default.

    Raises:
        ValueError: a bound or a time that is none.
    """

    max_unknown: int = 256
    max_unknown_per_prefix: int = 8
    unknown_timeout: float = 10.0
    max_refused: int = 4096
    refused_timeout: float = 60.0
    declined_timeout: float = 0.4
    max_sources: int = 32
    transaction_timeout: float = 40.0
    max_transactions: int = 2**17
    max_silent: int = 512
    max_silent_per_prefix: int = 64
    first_frame_timeout: float = 5.0
    receive_buffer: int = 2**21

    def __attrs_post_init__(self) -> None:
        for name, least in _BOUNDS:
            if getattr(self, name) < least:
                raise ValueError(f"{name}: {getattr(self, name)!r} is below {least}")
        for name in _DURATIONS:
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name)!r} is not a number of seconds")


_BOUNDS = (
    ("max_unknown", 0),
    ("max_unknown_per_prefix", 1),
    ("max_refused", 1),
    ("max_sources", 1),
    ("max_transactions", 1),
    ("max_silent", 1),
    ("max_silent_per_prefix", 1),
    ("receive_buffer", 0),
)
_DURATIONS = ("unknown_timeout", "refused_timeout", "declined_timeout", "transaction_timeout", "first_frame_timeout")

DEFAULT_MUX_CONFIG = MuxConfig()
