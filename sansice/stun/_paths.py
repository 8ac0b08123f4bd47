"""Where requests leave and answers come from: a socket, whom it talks to, and how."""

from __future__ import annotations

import attrs

from sansice.machine import Address, Event, SocketError, SocketId, Transport

from ._authentication._session import Session
from ._message import Message


@attrs.frozen
class Path:
    """A way to a server.

    Attributes:
        socket: where messages leave. A UDP socket may be on several paths.
        remote: the server's transport address.
        transport: how bytes travel.
    """

    socket: SocketId
    remote: Address
    transport: Transport

    @property
    def reliable(self) -> bool:
        """Whether it is a stream, on which nothing is sent twice (RFC 8489 6.2.2)."""
        return self.transport.is_stream


@attrs.frozen
class PathOpened(Event):
    """The socket that `StunClient.open`, or a redirection, asked for is open.

    Attributes:
        path: the way to the server.
        local: what the socket is bound to.
    """

    path: Path
    local: Address


@attrs.frozen
class PathClosed(Event):
    """A socket could not be opened, or was lost; what was asked through it has failed.

    Attributes:
        path: as it was opened or adopted.
        error: why; ``None`` where the server ended the stream.
    """

    path: Path
    error: SocketError | None


@attrs.frozen
class RequestReceived(Event):
    """The other end asked something, on a socket that requests of ours use as well. Answering is the application's.

    Its transaction id says nothing about ours: the two directions number independently (RFC 8489 5).

    Attributes:
        path: how it came; an answer goes back the same way.
        message: the request, unverified unless ``username`` says who was authenticated.
        username: whom the receiver has authenticated; ``None`` for nobody.
        local: where it arrived, at a server.
        session: the access token that proved who asks (RFC 7635), at a server that takes them.
        remaining: seconds for which anything may be granted by that token; ``None`` without one.
    """

    path: Path
    message: Message
    username: str | None = None
    local: Address | None = None
    session: Session | None = None
    remaining: int | None = None


@attrs.frozen
class IndicationReceived(Event):
    """The other end told something.

    Attributes:
        path: how it came.
        message: the indication, without unknown comprehension-required attributes; unverified.
    """

    path: Path
    message: Message
