"""What an adapter raises about a connection, the same in every runtime."""

from __future__ import annotations

from sansice.machine import LocalProtocolError


class IceError(Exception):
    """Base of everything that an ICE connection raises by itself."""


class IceFailed(IceError):
    """No pair of candidates connected.

    Attributes:
        explanation: what was tried and how far it got, for a person (`IceAgent.explain`).
    """

    def __init__(self, explanation: str) -> None:
        super().__init__(explanation)
        self.explanation = explanation


class NotConnected(IceError, LocalProtocolError):
    """Data cannot be sent: no pair is valid yet, or none is any more."""


class IceClosed(IceError):
    """The connection is closed."""


class ConsentLost(IceClosed):
    """The peer stopped consenting to receive (RFC 7675). Only new credentials can connect again."""


class WouldBlock(IceError):
    """Nothing to receive at this moment."""
