"""Roles and their conflicts (RFC 8445 6.1.1, 7.3.1.1)."""

from __future__ import annotations

import enum

from sansice.stun import ICE_CONTROLLED, ICE_CONTROLLING, Message


class IceRole(enum.Enum):
    """Who nominates; the values are W3C's ``RTCIceRole``."""

    CONTROLLING = "controlling"
    CONTROLLED = "controlled"

    @property
    def opposite(self) -> IceRole:
        """The other role."""
        return IceRole.CONTROLLED if self is IceRole.CONTROLLING else IceRole.CONTROLLING


class Conflict(enum.Enum):
    """What a request demands of our role."""

    NONE = "the roles differ"
    SWITCH = "we take the other role"
    REJECT = "the peer must take the other role: 487"


def find_conflict(role: IceRole, tiebreaker: int, request: Message) -> Conflict:
    """Compare our role with that of an authenticated request (RFC 8445 7.3.1.1).

    The agent with the larger tiebreaker ends as controlling; on equality the receiver keeps or takes
    that role. A request without either attribute comes from before RFC 8445 and conflicts with nothing.

    Raises:
        DecodeError: the attribute is malformed.
    """
    theirs = request.get(ICE_CONTROLLING if role is IceRole.CONTROLLING else ICE_CONTROLLED)
    if theirs is None:
        return Conflict.NONE
    if role is IceRole.CONTROLLING:
        return Conflict.REJECT if tiebreaker >= theirs else Conflict.SWITCH
    return Conflict.SWITCH if tiebreaker >= theirs else Conflict.REJECT
