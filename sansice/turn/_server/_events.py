"""The states of a TURN server, and what it tells the application."""

from __future__ import annotations

from types import MappingProxyType

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, Event
from sansice.stun import Path

from ._allocation import AllocationId


class TurnServerState(IdentityEnum):
    """Where a TURN server is in its life."""

    NEW = "not started"
    RUNNING = "serving"
    DRAINING = "serving whom it has"
    DRAINED = "refusing everybody"
    CLOSED = "closed"


class TurnServerInput(IdentityEnum):
    """What moves a TURN server from one state to another."""

    START = "start()"
    DRAIN = "drain()"
    DRAINED = "the last allocation has ended, or the grace is over"
    EMPTIED = "the same, after drain(close=False)"
    CLOSE = "close()"


TURN_SERVER_TRANSITIONS = MappingProxyType(
    {
        TurnServerState.NEW: {
            TurnServerInput.START: TurnServerState.RUNNING,
            TurnServerInput.CLOSE: TurnServerState.CLOSED,
        },
        TurnServerState.RUNNING: {
            TurnServerInput.DRAIN: TurnServerState.DRAINING,
            TurnServerInput.CLOSE: TurnServerState.CLOSED,
        },
        TurnServerState.DRAINING: {
            TurnServerInput.DRAIN: TurnServerState.DRAINING,
            TurnServerInput.DRAINED: TurnServerState.CLOSED,
            TurnServerInput.EMPTIED: TurnServerState.DRAINED,
            TurnServerInput.CLOSE: TurnServerState.CLOSED,
        },
        TurnServerState.DRAINED: {
            TurnServerInput.DRAIN: TurnServerState.DRAINING,
            TurnServerInput.CLOSE: TurnServerState.CLOSED,
        },
        TurnServerState.CLOSED: {
            TurnServerInput.CLOSE: TurnServerState.CLOSED,
        },
    }
)


class CloseReason(IdentityEnum):
    """Why an allocation ended."""

    EXPIRED = "it was not refreshed"
    DELETED = "the client deleted it"
    STREAM_CLOSED = "the client's stream ended"
    LISTENER_FAILED = "the listener it was made through is gone"
    RELAY_FAILED = "its relayed address is gone"
    KILLED = "close_allocation()"
    DRAINED = "the grace of drain() is over"
    SERVER_CLOSED = "close()"


@attrs.frozen
class AllocationStats:
    """What an allocation has relayed.

    Attributes:
        received_packets, received_bytes: of data, from the client to peers.
        sent_packets, sent_bytes: of data, from peers to the client.
        dropped: packets of either direction that were not relayed.
    """

    received_packets: int = 0
    received_bytes: int = 0
    sent_packets: int = 0
    sent_bytes: int = 0
    dropped: int = 0


@attrs.frozen
class AllocationOpened(Event):
    """A client has been given relayed addresses.

    Attributes:
        id: names the allocation from now on.
        username: who has it; "" where nobody is asked.
        client: how the client is reached.
        protocol: between relayed address and peers: 17 for UDP, 6 for TCP.
        relayed: one address a family.
        lifetime: seconds until it ends unless it is refreshed.
    """

    id: AllocationId
    username: str
    client: Path
    protocol: int
    relayed: tuple[Address, ...]
    lifetime: float


@attrs.frozen
class AllocationClosed(Event):
    """An allocation has ended, with its permissions, channels and sockets.

    Attributes:
        id, username: as in `AllocationOpened`.
        reason: why.
        stats: what it has relayed.
    """

    id: AllocationId
    username: str
    reason: CloseReason
    stats: AllocationStats


@attrs.frozen
class AllocationMoved(Event):
    """A client has taken its allocation along to another address (RFC 8016).

    Attributes:
        id, username: as in `AllocationOpened`.
        left: how the client was reached before.
        client: how it is reached now.
    """

    id: AllocationId
    username: str
    left: Path
    client: Path


@attrs.frozen
class AllocationsDrained(Event):
    """The last allocation that `TurnServer.drain` waited for has ended, or been ended: told once for each drain.

    `sansice.stun.ServerDrained` follows when all is closed, unless the server goes on refusing newcomers.
    """


@attrs.frozen
class ResourcesExhausted(Event):
    """The system has no socket left for a relayed address: clients are told 508, and those already here are served.

    Told at most once in a while, however often it happens.

    Attributes:
        text: the system's words.
        refused: allocations refused for it since this was told last.
    """

    text: str
    refused: int


@attrs.frozen
class AllocationInfo:
    """An allocation, as `TurnServer.allocations` lists it.

    Attributes:
        id, username, client, protocol, relayed: as in `AllocationOpened`.
        lifetime: seconds left, of the address that lasts longest.
        permissions, channels: how many are valid.
        stats: what it has relayed.
    """

    id: AllocationId
    username: str
    client: Path
    protocol: int
    relayed: tuple[Address, ...]
    lifetime: float
    permissions: int
    channels: int
    stats: AllocationStats
