"""What an adapter raises about a connection, the same in every runtime."""

from __future__ import annotations

from sansice.machine import LocalProtocolError


class IceError(Exception):
    """Base of everything that an ICE connection raises by itself."""


class IceFailed(IceError):
    """No pair of candidates connected.

    Attributes:
        explanation: what was tried and how far it got, for a person (`IceAgent.explain`).
        stream: which stream it is about.
    """

    def __init__(self, explanation: str, stream: int = 0) -> None:
        super().__init__(explanation)
        self.explanation: str = explanation
        self.stream: int = stream


class NotConnected(IceError, LocalProtocolError):
    """Data cannot be sent: no pair is valid yet, or none is any more."""


class IceClosed(IceError):
    """The connection is closed."""


class ConsentLost(IceClosed):
    """The peer stopped consenting to receive (RFC 7675). Only new credentials can connect again.

    Attributes:
        stream: which stream it is about.
    """

    def __init__(self, text: str = "", stream: int = 0) -> None:
        super().__init__(text)
        self.stream: int = stream


class WouldBlock(IceError):
    """Nothing to receive at this moment."""
