"""Which servers are to be left alone, and for how long (RFC 8656 7.3, 7.4)."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import NamedTuple

import attrs

from sansice.machine import Address
from sansice.stun import AccessToken, LongTermCredentials

from ._codes import ALLOCATION_MISMATCH, MOBILITY_FORBIDDEN, NO_CAPACITY, QUOTA_REACHED, UNAUTHENTICATED, UNSUPPORTED_FAMILY

MAX_WAITS = 256  # ours: a client with more servers than this forgets the oldest refusal, and is refused once more

_BUSY_WAIT = 60.0  # seconds; RFC 8656 7.4: after 486 and 508
_MISMATCH_WAIT = 120.0  # seconds; RFC 8656 7.4: after three 437s
# What waits how long. An operator has to do something about the others, and nobody is asked again for what he never has.
_WAITS = {
    QUOTA_REACHED: _BUSY_WAIT,
    NO_CAPACITY: _BUSY_WAIT,
    ALLOCATION_MISMATCH: _MISMATCH_WAIT,
    UNSUPPORTED_FAMILY: math.inf,
    UNAUTHENTICATED: math.inf,
    MOBILITY_FORBIDDEN: math.inf,
}


class _Scope(NamedTuple):
    server: Address
    family: int | None = None
    username: str | None = None
    mobility: bool = False


@attrs.frozen
class ServerWait:
    """Why a server is not to be asked.

    Attributes:
        until: when it may be asked again; `math.inf` for never.
        code: what it answered; ``None`` where its answer was of no use.
        reason: words for a person.
    """

    until: float
    code: int | None
    reason: str


class TurnServerMemory:
    """What refusals have taught: 486 and 508 close a server for a minute, 437 three times over for two, 440 a family, 401
    a user name and 405 mobility for good. One memory may serve all clients of a program, if they live by the same clock.
    """

    __slots__ = ("_waits",)

    def __init__(self) -> None:
        self._waits: OrderedDict[_Scope, ServerWait] = OrderedDict()

    def refused(
        self, server: Address, code: int, reason: str, *, families: tuple[int, ...], username: str | None, now: float
    ) -> None:
        """A server has refused an allocation.

        Args:
            server: who.
            code: what it answered. Codes that forbid nothing are not remembered.
            reason: its words.
            families: which ones were asked for.
            username: who asked.
        """
        seconds = _WAITS.get(code)
        if seconds is None:
            return
        wait = ServerWait(now + seconds, code, reason)
        if code == MOBILITY_FORBIDDEN:
            self._keep(_Scope(server, mobility=True), wait)
        elif code == UNSUPPORTED_FAMILY:
            for family in families:
                self._keep(_Scope(server, family=family), wait)
        else:
            self._keep(_Scope(server, username=username if code == UNAUTHENTICATED else None), wait)

    def refused_family(self, server: Address, family: int, code: int, *, now: float) -> None:
        """A server gave one family of two, and says why not the other (ADDRESS-ERROR-CODE, RFC 8656 7.3)."""
        seconds = _WAITS.get(code)
        if seconds is not None:
            self._keep(_Scope(server, family=family), ServerWait(now + seconds, code, f"it gives no IPv{family} address"))

    def misfit(self, server: Address, reason: str) -> None:
        """A server gave an address of a family that is of no use: it is not asked any more (RFC 8656 7.3)."""
        self._keep(_Scope(server), ServerWait(math.inf, None, reason))

    def wait(self, server: Address, *, families: tuple[int, ...], username: str | None, now: float) -> ServerWait | None:
        """Why this server is not to be asked now, for this; ``None`` where it may be.

        Of several ``families`` one that is not refused is enough.
        """
        for scope in (_Scope(server), *((_Scope(server, username=username),) if username is not None else ())):
            wait = self._current(scope, now)
            if wait is not None:
                return wait
        waits = [self._current(_Scope(server, family=family), now) for family in families]
        closed = [wait for wait in waits if wait is not None]
        return min(closed, key=lambda wait: wait.until) if closed and len(closed) == len(waits) else None

    def is_family_refused(self, server: Address, family: int, *, now: float) -> bool:
        """Whether this server is not to be asked for this family now."""
        return self._current(_Scope(server, family=family), now) is not None

    def is_mobility_refused(self, server: Address, *, now: float) -> bool:
        """Whether this server is not to be asked for mobility (RFC 8016 3.1.4)."""
        return self._current(_Scope(server, mobility=True), now) is not None

    def forgive(self, username: str) -> None:
        """This user has new credentials: he may ask everywhere."""
        for scope in [scope for scope in self._waits if scope.username == username]:
            del self._waits[scope]

    def forget(self, server: Address) -> None:
        """Whatever this server refused has been put right: it may be asked for everything."""
        for scope in [scope for scope in self._waits if scope.server == server]:
            del self._waits[scope]

    def _keep(self, scope: _Scope, wait: ServerWait) -> None:
        self._waits[scope] = wait
        self._waits.move_to_end(scope)
        if len(self._waits) > MAX_WAITS:
            self._waits.popitem(last=False)

    def _current(self, scope: _Scope, now: float) -> ServerWait | None:
        wait = self._waits.get(scope)
        if wait is not None and wait.until <= now:
            del self._waits[scope]
            return None
        return wait


def username_of(credentials: LongTermCredentials | AccessToken | None) -> str | None:
    """Whom a server takes the owner of these for."""
    if credentials is None:
        return None
    return credentials.kid if isinstance(credentials, AccessToken) else credentials.username
