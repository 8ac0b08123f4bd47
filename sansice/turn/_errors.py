"""What an adapter raises about a relay, the same in every runtime."""

from __future__ import annotations

import enum


class TurnStep(enum.Enum):
    """How far it came."""

    RESOLVE = "resolve"  # the server's name
    WAIT = "wait"  # the server wants to be left alone for a while (RFC 8656 7.4)
    OPEN = "open"  # a socket to the server, a TLS or DTLS session, or a listener of a server of ours
    AUTHENTICATE = "authenticate"  # name and password
    ALLOCATE = "allocate"  # a relayed address
    REFRESH = "refresh"  # the allocation, so that it lasts
    PERMIT = "permit"  # a peer
    BIND = "bind"  # a channel
    CONNECT = "connect"  # to a peer over TCP, RFC 6062
    DATA = "data"  # through the relay


class TurnError(Exception):
    """A relay could not be used, or no longer can.

    Attributes:
        uri: which server it is about.
        step: where it failed.
        reason: words for a person.
        code: what the server answered with (RFC 8656 19), 0 where it answered nothing of the kind.
    """

    def __init__(self, uri: str, step: TurnStep, reason: str, code: int = 0) -> None:
        super().__init__(f"{uri}: {_WORDS[step]}: {f'{code} ' if code else ''}{reason}")
        self.uri = uri
        self.step = step
        self.reason = reason
        self.code = code

    def __reduce__(self) -> tuple[type[TurnError], tuple[str, TurnStep, str, int]]:
        return type(self), (self.uri, self.step, self.reason, self.code)


# What of a relay it is that failed: the words before the reason.
_WORDS = {
    TurnStep.RESOLVE: "look-up",
    TurnStep.WAIT: "waiting",
    TurnStep.OPEN: "connection",
    TurnStep.AUTHENTICATE: "authentication",
    TurnStep.ALLOCATE: "allocation",
    TurnStep.REFRESH: "refresh",
    TurnStep.PERMIT: "permission",
    TurnStep.BIND: "channel",
    TurnStep.CONNECT: "connection with the peer",
    TurnStep.DATA: "data",
}


class TurnLost(TurnError):
    """The server has lost the allocation, or cannot be reached any more. A new one may be asked for."""


class TurnClosed(TurnError):
    """The connection to the relay is closed, by us."""


class TurnWouldBlock(TurnError):
    """Nothing to receive at this moment."""
