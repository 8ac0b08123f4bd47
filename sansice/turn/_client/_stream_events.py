"""What a TURN client tells of connections with peers over TCP (RFC 6062)."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from sansice.machine import Address, Event

from ._peer_stream import PeerStreamId


@attrs.frozen
class ConnectionAttempted(Event):
    """A peer has connected to the relayed address. The relay waits for 30 seconds: `TurnClient.accept` or `TurnClient.refuse`.

    Attributes:
        id: names the connection from now on.
        peer: transport address.
    """

    id: PeerStreamId
    peer: Address


@attrs.frozen
class PeerConnected(Event):
    """A connection with a peer is open: `TurnClient.send_stream` takes bytes for it, `StreamReceived` brings the peer's.

    Attributes:
        id: as `TurnClient.connect` returned it, or of `ConnectionAttempted`.
        peer: transport address.
    """

    id: PeerStreamId
    peer: Address


@attrs.frozen
class ConnectFailed(Event):
    """There is no connection with a peer.

    Attributes:
        id: as `TurnClient.connect` returned it, or of `ConnectionAttempted`.
        peer: transport address.
        code: what the server answered: 403 for a peer that it never relays to, 446 for one that is connected already, 447 for
            one that did not answer; ``None`` where it did not answer itself, or the data connection to it failed.
        reason: words for a person.
    """

    id: PeerStreamId
    peer: Address
    code: int | None
    reason: str


class _StreamReceived(NamedTuple):
    id: PeerStreamId
    data: bytes


class StreamReceived(_StreamReceived, Event):
    """Bytes that a peer sent, or ``b""`` for its end, after which the connection is closed (RFC 6062 5.5).

    How many come is up to the reader: `TurnClient.set_stream_reading` stops them. A NamedTuple, as one is made for each read.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"StreamReceived(id={self.id}, data={self.data.hex()})"


@attrs.frozen
class StreamSent(Event):
    """The backlog of a connection moved.

    Attributes:
        id: of the connection.
        unsent: bytes that wait in this program. A writer stops at some bound, and goes on below it; beyond a bound of the
            driver the connection fails.
    """

    id: PeerStreamId
    unsent: int


@attrs.frozen
class StreamLost(Event):
    """A connection with a peer broke, or went with the allocation. Bytes may be lost in either direction.

    Attributes:
        id: of the connection.
        reason: words for a person.
    """

    id: PeerStreamId
    reason: str
