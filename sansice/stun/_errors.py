"""What an adapter raises about a STUN server, the same in every runtime."""

from __future__ import annotations

import enum


class LookupStep(enum.Enum):
    """How far it came."""

    RESOLVE = "resolve"
    OPEN = "open"
    REQUEST = "request"


class StunError(Exception):
    """A server was asked and gave no useful answer.

    Attributes:
        uri: whom it is about.
        step: where it failed: the name was not resolved, no socket or session could be opened, no request was answered.
        reason: words for a person, with what was tried.
    """

    def __init__(self, uri: str, step: LookupStep, reason: str) -> None:
        super().__init__(f"{uri}: {reason}")
        self.uri = uri
        self.step = step
        self.reason = reason

    def __reduce__(self) -> tuple[type[StunError], tuple[str, LookupStep, str]]:
        return type(self), (self.uri, self.step, self.reason)
