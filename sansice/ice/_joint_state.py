"""The state of an agent from those of its streams."""

from __future__ import annotations

from collections.abc import Sequence

from ._events import IceState

_NEW, _CHECKING, _CONNECTED, _COMPLETED, _DISCONNECTED, _FAILED, _CLOSED = IceState


def joint_state(states: Sequence[IceState]) -> IceState:
    """What W3C makes of the states of transports for ``RTCIceConnectionState``.

    A failed stream is left out while others go on (RFC 8445 6.1.3, 8.1.2), but the agent does not complete without it.
    """
    if len(states) == 1:
        return states[0]
    going_on = [state for state in states if state not in (_FAILED, _CLOSED)]
    if not going_on:
        return states[0]
    if _DISCONNECTED in going_on:
        return _DISCONNECTED
    if _NEW in going_on or _CHECKING in going_on:
        return _CHECKING if any(state is not _NEW for state in states) else _NEW
    return _COMPLETED if all(state is _COMPLETED for state in states) else _CONNECTED
