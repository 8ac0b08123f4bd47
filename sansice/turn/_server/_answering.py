"""Answers of a TURN server, sent by the STUN server underneath."""

from __future__ import annotations

from sansice.stun import RequestReceived, StunServer

from ._allocate_answer import Attributes
from ._refusal import Refusal

# No answer is remembered for retransmissions: every TURN request may be served twice (RFC 8656 5, 8.2).


def answer(stun: StunServer, received: RequestReceived, attributes: Attributes, now: float) -> None:
    """A success response."""
    stun.respond(received, attributes, remember=False, now=now)


def refuse(stun: StunServer, received: RequestReceived, refusal: Refusal, now: float) -> None:
    """An error response."""
    stun.respond(received, refusal.attributes, error=refusal.error, remember=False, now=now)
