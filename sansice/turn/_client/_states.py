"""The states of a client, and of what it holds at the server, in tables."""

from __future__ import annotations

from sansice._enums import IdentityEnum


class TurnClientState(IdentityEnum):
    """Where a client is."""

    IDLE = "no allocation"
    RESOLVING = "asking the name service"
    ALLOCATING = "asking servers"
    ALLOCATED = "relaying"
    CLOSING = "deleting what it has"
    CLOSED = "closed"


class TurnClientInput(IdentityEnum):
    """What moves a client from one state to another."""

    ALLOCATE = "allocate()"
    RESOLVED = "the servers are known"
    GRANTED = "a server has given an address"
    FAILED = "none has"
    LOST = "the allocation is gone"
    CLOSE = "close()"
    END = "nothing is left to delete, or no time"


TURN_CLIENT_TRANSITIONS: dict[tuple[TurnClientState, TurnClientInput], TurnClientState] = {
    (TurnClientState.IDLE, TurnClientInput.ALLOCATE): TurnClientState.RESOLVING,
    (TurnClientState.RESOLVING, TurnClientInput.RESOLVED): TurnClientState.ALLOCATING,
    (TurnClientState.RESOLVING, TurnClientInput.FAILED): TurnClientState.IDLE,
    (TurnClientState.ALLOCATING, TurnClientInput.GRANTED): TurnClientState.ALLOCATED,
    (TurnClientState.ALLOCATING, TurnClientInput.FAILED): TurnClientState.IDLE,
    (TurnClientState.ALLOCATED, TurnClientInput.LOST): TurnClientState.IDLE,
    (TurnClientState.IDLE, TurnClientInput.CLOSE): TurnClientState.CLOSING,
    (TurnClientState.RESOLVING, TurnClientInput.CLOSE): TurnClientState.CLOSING,
    (TurnClientState.ALLOCATING, TurnClientInput.CLOSE): TurnClientState.CLOSING,
    (TurnClientState.ALLOCATED, TurnClientInput.CLOSE): TurnClientState.CLOSING,
    (TurnClientState.CLOSING, TurnClientInput.END): TurnClientState.CLOSED,
}


class HoldState(IdentityEnum):
    """Where a permission or a channel is: both are asked for, last some minutes, and are asked for again in time."""

    ASKING = "asked for"
    HELD = "granted"
    RENEWING = "granted, and asked for again"
    LOST = "refused or expired"


class HoldInput(IdentityEnum):
    """What moves a permission or a channel from one state to another."""

    ASK = "the application wants it again"
    GRANT = "the server grants it"
    REFUSE = "the server refuses it, or does not answer"
    DUE = "time to renew it"
    EXPIRE = "it was not renewed in time"
    FORGET = "the application lets it go"


HOLD_TRANSITIONS: dict[tuple[HoldState, HoldInput], HoldState] = {
    (HoldState.ASKING, HoldInput.GRANT): HoldState.HELD,
    (HoldState.ASKING, HoldInput.REFUSE): HoldState.LOST,
    (HoldState.HELD, HoldInput.GRANT): HoldState.HELD,  # by a ChannelBind, which grants the permission as well
    (HoldState.HELD, HoldInput.DUE): HoldState.RENEWING,
    (HoldState.RENEWING, HoldInput.GRANT): HoldState.HELD,
    (HoldState.RENEWING, HoldInput.REFUSE): HoldState.LOST,
    (HoldState.RENEWING, HoldInput.EXPIRE): HoldState.LOST,
    (HoldState.LOST, HoldInput.ASK): HoldState.ASKING,
    (HoldState.ASKING, HoldInput.FORGET): HoldState.LOST,
    (HoldState.HELD, HoldInput.FORGET): HoldState.LOST,
    (HoldState.RENEWING, HoldInput.FORGET): HoldState.LOST,
}
