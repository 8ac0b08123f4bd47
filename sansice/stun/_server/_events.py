"""The states of a STUN server, and what it tells the application."""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple, NewType

import attrs

from sansice._enums import IdentityEnum
from sansice.machine import Address, Event, SocketError, Transport
from sansice.stun._paths import Path

from ._config import Listener

RequestId = NewType("RequestId", int)
"""Names a request whose keys the application is to find."""


class ServerState(IdentityEnum):
    """Where a server is in its life."""

    NEW = "not started"
    RUNNING = "answering"
    DRAINING = "answering what is owed"
    CLOSED = "closed"


class ServerInput(IdentityEnum):
    """What moves a server from one state to another."""

    START = "start()"
    DRAIN = "drain()"
    DRAINED = "nothing is owed, or the grace is over"
    CLOSE = "close()"


SERVER_TRANSITIONS = MappingProxyType(
    {
        ServerState.NEW: {
            ServerInput.START: ServerState.RUNNING,
            ServerInput.CLOSE: ServerState.CLOSED,
        },
        ServerState.RUNNING: {
            ServerInput.DRAIN: ServerState.DRAINING,
            ServerInput.CLOSE: ServerState.CLOSED,
        },
        ServerState.DRAINING: {
            ServerInput.DRAIN: ServerState.DRAINING,
            ServerInput.DRAINED: ServerState.CLOSED,
            ServerInput.CLOSE: ServerState.CLOSED,
        },
        ServerState.CLOSED: {
            ServerInput.CLOSE: ServerState.CLOSED,
        },
    }
)


@attrs.frozen
class ListenerOpened(Event):
    """A listener is open.

    Attributes:
        listener: as given to `StunServer.start`.
        address: where it listens: the real port where 0 was asked for.
    """

    listener: Listener
    address: Address


@attrs.frozen
class ListenerFailed(Event):
    """A listener could not be opened, or died."""

    listener: Listener
    error: SocketError


@attrs.frozen
class ServerReady(Event):
    """Every listener has been decided on. Told once.

    Attributes:
        addresses: transport and address of those that are open, in the order of `StunServer.start`. Empty: none is.
    """

    addresses: tuple[tuple[Transport, Address], ...]


@attrs.frozen
class ServerDrained(Event):
    """All that `StunServer.drain` waited for is done. The server is closed."""


class _FrameReceived(NamedTuple):
    path: Path
    data: bytes


class FrameReceived(_FrameReceived, Event):
    """ChannelData has come on a stream, between the messages before and after it (RFC 8656 12.5).

    Only a server that was made with ``channel_data`` tells it: to its parent. A NamedTuple, as one is made for each.

    Attributes:
        path: the stream.
        data: the frame with its header, without padding.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"FrameReceived(path={self.path}, data={self.data.hex()})"


@attrs.frozen
class StreamClosed(Event):
    """A client's stream is gone. Only a server that was made with ``channel_data`` tells it: to its parent.

    Attributes:
        path: the stream, whose id is never used again.
    """

    path: Path


@attrs.frozen
class CredentialRequested(Event):
    """``lookup_key`` said `PENDING`: answer with `StunServer.provide_key`.

    Attributes:
        id: of the request that waits.
        username: text, or the 32 bytes of a USERHASH.
        realm: "" for the short-term mechanism.
    """

    id: RequestId
    username: str | bytes = attrs.field(repr=lambda name: name.hex() if isinstance(name, bytes) else repr(name))
    realm: str
