"""A connection with a peer as the client sees it, from Connect or ConnectionAttempt to its end (RFC 6062 4.3 to 4.6)."""

from __future__ import annotations

from typing import NewType

from sansice._enums import IdentityEnum
from sansice.machine import Address, DropReason
from sansice.stun import Path, StreamFramer, TransactionId

PeerStreamId = NewType("PeerStreamId", int)
"""Names a connection with a peer to the application; never used again in the life of a client."""

_BOUND = (b"\x01\x0b",)  # a success response to ConnectionBind; what follows it is the peer's (RFC 6062 4.5)


class PeerStreamState(IdentityEnum):
    """How far a connection with a peer is."""

    WAITING = "waiting for its turn"
    CONNECTING = "the relay is connecting"
    OFFERED = "the peer has connected; accept() or refuse()"
    BINDING = "a data connection is opened and bound"
    OPEN = "open"
    CLOSED = "closed"


class PeerStreamInput(IdentityEnum):
    """What moves a connection from one state to another."""

    ASK = "its turn has come"
    BIND = "the relay has connected, or accept()"
    BOUND = "the relay has bound the data connection"
    END = "refused, failed, too late, ended or closed"


PEER_STREAM_TRANSITIONS: dict[tuple[PeerStreamState, PeerStreamInput], PeerStreamState] = {
    (PeerStreamState.WAITING, PeerStreamInput.ASK): PeerStreamState.CONNECTING,
    (PeerStreamState.CONNECTING, PeerStreamInput.BIND): PeerStreamState.BINDING,
    (PeerStreamState.OFFERED, PeerStreamInput.BIND): PeerStreamState.BINDING,
    (PeerStreamState.BINDING, PeerStreamInput.BOUND): PeerStreamState.OPEN,
    (PeerStreamState.WAITING, PeerStreamInput.END): PeerStreamState.CLOSED,
    (PeerStreamState.CONNECTING, PeerStreamInput.END): PeerStreamState.CLOSED,
    (PeerStreamState.OFFERED, PeerStreamInput.END): PeerStreamState.CLOSED,
    (PeerStreamState.BINDING, PeerStreamInput.END): PeerStreamState.CLOSED,
    (PeerStreamState.OPEN, PeerStreamInput.END): PeerStreamState.CLOSED,
}


class PeerStream:
    """One of them.

    Attributes:
        id: what the application knows it by.
        peer: the other end.
        state: by `PEER_STREAM_TRANSITIONS`.
        connection: its CONNECTION-ID, once there is one.
        path: the data connection, once it is being opened.
        framer: what it is read through until it is bound.
        request: the one that is under way for it.
    """

    __slots__ = ("connection", "framer", "id", "path", "peer", "request", "state")

    def __init__(self, id: PeerStreamId, peer: Address, state: PeerStreamState, connection: int = 0) -> None:
        self.id = id
        self.peer = peer
        self.state = state
        self.connection = connection
        self.path: Path | None = None
        self.framer = StreamFramer(last=_BOUND)
        self.request: TransactionId | None = None

    @property
    def is_open(self) -> bool:
        """Whether bytes pass."""
        return self.state is PeerStreamState.OPEN

    @property
    def error(self) -> DropReason | None:
        """What is wrong with what comes before it is bound."""
        return self.framer.error if self.state is PeerStreamState.BINDING else None

    def resume(self) -> list[bytes]:
        """Messages behind an answer that bound nothing."""
        return self.framer.resume() if self.framer.halted and self.state is PeerStreamState.BINDING else []

    def move(self, step: PeerStreamInput) -> None:
        """Change the state."""
        self.state = PEER_STREAM_TRANSITIONS[self.state, step]
