"""TCP connections as a NAT or a firewall sees them go by: RFC 5382 5, by the state machine of RFC 6146 3.5.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sansice._enums import IdentityEnum
from sansice.simulation._world._packets import TcpFlags, TcpSegment

if TYPE_CHECKING:
    from ._kind import TcpTimeouts


class Side(IdentityEnum):
    """Where a segment comes from."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Control(IdentityEnum):
    """What matters of a segment's control bits."""

    SYN = "SYN"
    FIN = "FIN"
    RST = "RST"
    NONE = "none"


class TcpState(IdentityEnum):
    """How far a connection is; ``BOTH_FIN`` is the end of an orderly one, ``RESET`` of any other."""

    INSIDE_SYN = "SYN from inside"
    OUTSIDE_SYN = "SYN from outside"
    ESTABLISHED = "established"
    INSIDE_FIN = "FIN from inside"
    OUTSIDE_FIN = "FIN from outside"
    BOTH_FIN = "FIN from both sides"
    RESET = "reset"


FIRST_STATE: dict[Side, TcpState] = {Side.INSIDE: TcpState.INSIDE_SYN, Side.OUTSIDE: TcpState.OUTSIDE_SYN}

# RFC 6146 3.5.2.2. What is not listed changes nothing.
NAT_TCP_TRANSITIONS: dict[tuple[TcpState, Side, Control], TcpState] = {
    (TcpState.INSIDE_SYN, Side.OUTSIDE, Control.SYN): TcpState.ESTABLISHED,
    (TcpState.OUTSIDE_SYN, Side.INSIDE, Control.SYN): TcpState.ESTABLISHED,
    (TcpState.INSIDE_SYN, Side.OUTSIDE, Control.RST): TcpState.RESET,
    (TcpState.OUTSIDE_SYN, Side.INSIDE, Control.RST): TcpState.RESET,
    (TcpState.ESTABLISHED, Side.INSIDE, Control.FIN): TcpState.INSIDE_FIN,
    (TcpState.ESTABLISHED, Side.OUTSIDE, Control.FIN): TcpState.OUTSIDE_FIN,
    (TcpState.ESTABLISHED, Side.INSIDE, Control.RST): TcpState.RESET,
    (TcpState.ESTABLISHED, Side.OUTSIDE, Control.RST): TcpState.RESET,
    (TcpState.INSIDE_FIN, Side.OUTSIDE, Control.FIN): TcpState.BOTH_FIN,
    (TcpState.OUTSIDE_FIN, Side.INSIDE, Control.FIN): TcpState.BOTH_FIN,
    (TcpState.INSIDE_FIN, Side.INSIDE, Control.RST): TcpState.RESET,
    (TcpState.INSIDE_FIN, Side.OUTSIDE, Control.RST): TcpState.RESET,
    (TcpState.OUTSIDE_FIN, Side.INSIDE, Control.RST): TcpState.RESET,
    (TcpState.OUTSIDE_FIN, Side.OUTSIDE, Control.RST): TcpState.RESET,
    # A port may be used for the same peer again before the NAT has forgotten the last connection.
    (TcpState.BOTH_FIN, Side.INSIDE, Control.SYN): TcpState.INSIDE_SYN,
    (TcpState.BOTH_FIN, Side.OUTSIDE, Control.SYN): TcpState.OUTSIDE_SYN,
    (TcpState.RESET, Side.INSIDE, Control.SYN): TcpState.INSIDE_SYN,
    (TcpState.RESET, Side.OUTSIDE, Control.SYN): TcpState.OUTSIDE_SYN,
    # The RST may have been a forgery: the ends go on (RFC 6146 3.5.2.2, TRANS).
    (TcpState.RESET, Side.INSIDE, Control.NONE): TcpState.ESTABLISHED,
    (TcpState.RESET, Side.OUTSIDE, Control.NONE): TcpState.ESTABLISHED,
    (TcpState.RESET, Side.INSIDE, Control.FIN): TcpState.ESTABLISHED,
    (TcpState.RESET, Side.OUTSIDE, Control.FIN): TcpState.ESTABLISHED,
}

_LAST_STATES = frozenset({TcpState.BOTH_FIN, TcpState.RESET})


def control_of(segment: TcpSegment | None) -> Control:
    """The control bit that decides: RST before SYN before FIN."""
    if segment is None:
        return Control.NONE
    flags = segment.flags
    if flags & TcpFlags.RST:
        return Control.RST
    if flags & TcpFlags.SYN:
        return Control.SYN
    return Control.FIN if flags & TcpFlags.FIN else Control.NONE


def asks_to_connect(segment: TcpSegment | None) -> bool:
    """Whether it is the first segment of a connection: a SYN that acknowledges nothing."""
    return segment is not None and segment.flags & (TcpFlags.SYN | TcpFlags.ACK | TcpFlags.RST) == TcpFlags.SYN


class TcpSession:
    """One connection, with one peer.

    Attributes:
        expires: when it is forgotten unless a segment comes.
    """

    __slots__ = ("_state", "_timeouts", "expires")

    def __init__(self, side: Side, control: Control, timeouts: TcpTimeouts, now: float) -> None:
        # Picked up in the middle: there is no telling what was before.
        self._state = FIRST_STATE[side] if control is Control.SYN else TcpState.ESTABLISHED
        self._timeouts = timeouts
        self.expires: float = now + self._timeout()

    @property
    def state(self) -> TcpState:
        """How far it is."""
        return self._state

    def observe(self, side: Side, control: Control, now: float) -> None:
        """Take notice of a segment that goes by."""
        before = self._state
        self._state = NAT_TCP_TRANSITIONS.get((before, side, control), before)
        # What follows the end of a connection does not keep it in mind (RFC 6146 3.5.2.2).
        if self._state is not before or before not in _LAST_STATES:
            self.expires = now + self._timeout()

    def _timeout(self) -> float:
        match self._state:
            case TcpState.INSIDE_SYN | TcpState.OUTSIDE_SYN:
                return self._timeouts.opening
            case TcpState.BOTH_FIN:
                return self._timeouts.closing
            case TcpState.RESET:
                return self._timeouts.reset
            case _:
                return self._timeouts.established
