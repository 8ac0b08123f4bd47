"""A connection between a peer and a relayed TCP address, from its beginning to its end (RFC 6062 5.2 to 5.5)."""

from __future__ import annotations

from types import MappingProxyType

from sansice._enums import IdentityEnum
from sansice.machine import Address, SocketId
from sansice.stun import RequestReceived

from ._allocation import Relay


class PeerState(IdentityEnum):
    """How far a connection with a peer is."""

    CONNECTING = "being opened, for a Connect request"
    UNBOUND = "open; no data connection of the client is bound to it"
    BOUND = "relaying"
    CLOSED = "over"


class PeerInput(IdentityEnum):
    """What moves a connection from one state to another."""

    OPENED = "the peer has answered"
    BIND = "ConnectionBind"
    END = "either side closed, it failed, or it took too long"


PEER_TRANSITIONS = MappingProxyType(
    {
        PeerState.CONNECTING: {
            PeerInput.OPENED: PeerState.UNBOUND,
            PeerInput.END: PeerState.CLOSED,
        },
        PeerState.UNBOUND: {
            PeerInput.BIND: PeerState.BOUND,
            PeerInput.END: PeerState.CLOSED,
        },
        PeerState.BOUND: {
            PeerInput.END: PeerState.CLOSED,
        },
        PeerState.CLOSED: {},
    }
)


class Leg:
    """One of the two streams of a connection.

    Attributes:
        connection: what it is part of.
        socket: the stream.
        queued: bytes that wait here for a reader, as far as they are counted for the user.
        crowded: so many bytes wait that the other leg is not read.
        throttled: it is not read until its user has bandwidth again.
        is_read: whether it is read now.
    """

    __slots__ = ("connection", "crowded", "is_read", "queued", "socket", "throttled")

    def __init__(self, connection: PeerConnection, socket: SocketId) -> None:
        self.connection = connection
        self.socket = socket
        self.queued = 0
        self.crowded = False
        self.throttled = False
        self.is_read = False


class PeerConnection:
    """A connection with a peer.

    Attributes:
        id: its CONNECTION-ID.
        relay: the relayed address that it begins or ends at.
        peer: the other end.
        state: by `PEER_TRANSITIONS`.
        request: the Connect request that waits for it; ``None`` for a connection that the peer opened.
        near: the client's data connection, once it is bound.
        far: the stream to the peer.
        held: what the peer sent before it was to be read.
        is_ended: after which nothing more comes.
    """

    __slots__ = ("far", "held", "id", "is_ended", "near", "peer", "relay", "request", "state")

    def __init__(self, id: int, relay: Relay, peer: Address, socket: SocketId, request: RequestReceived | None) -> None:
        self.id = id
        self.relay = relay
        self.peer = peer
        self.state = PeerState.UNBOUND if request is None else PeerState.CONNECTING
        self.request = request
        self.near: Leg | None = None
        self.far = Leg(self, socket)
        self.held = bytearray()
        self.is_ended = False

    def move(self, step: PeerInput) -> None:
        """Change the state."""
        self.state = PEER_TRANSITIONS[self.state][step]

    def opposite(self, leg: Leg) -> Leg | None:
        """The leg that what arrives on ``leg`` leaves by; ``None`` while no client is bound."""
        return self.near if leg is self.far else self.far

    def legs(self) -> tuple[Leg, ...]:
        """The streams it has."""
        return (self.far,) if self.near is None else (self.far, self.near)
