"""Allocations that nobody needs any more: deleted, also those of which it is not known yet that they exist (RFC 8656 8)."""

from __future__ import annotations

from functools import partial

from sansice.machine import LocalProtocolError
from sansice.stun import LIFETIME, Method, Path, StunClient, TransactionId, TransactionSucceeded

from ._requests import Outcome, Requests


class Farewells:
    """Deletes allocations and lets the sockets go that they were made through.

    An allocation that cannot be deleted dies of age at the server, so nothing is done about a failure; 437 to a deletion
    is a success: an earlier copy of the request has arrived (RFC 8656 8.2).

    Args:
        stun: sends the requests.
    """

    __slots__ = ("_stun", "requests")

    def __init__(self, stun: StunClient) -> None:
        self.requests = Requests(stun)
        self._stun = stun

    def delete(self, path: Path, now: float) -> None:
        """Delete the allocation that was made through ``path``."""
        try:
            self.requests.ask(Method.REFRESH, [(LIFETIME, 0)], path, partial(self._deleted, path), now=now)
        except LocalProtocolError:  # the socket is gone
            self._stun.release(path, now=now)

    def abandon(self, transaction_id: TransactionId, path: Path, now: float) -> None:
        """Nobody wants the allocation any more that an Allocate request is about: should it be made, delete it.

        A server that wants credentials is not told them: it has allocated nothing, and that is the end of it.
        """
        if self._stun.conclude(transaction_id, now=now):
            self.requests.adopt(transaction_id, partial(self._abandoned, path))
        else:
            self._stun.release(path, now=now)

    def __bool__(self) -> bool:
        return len(self.requests) > 0

    def _abandoned(self, path: Path, outcome: Outcome, now: float) -> None:
        if isinstance(outcome, TransactionSucceeded):
            self.delete(path, now)
        else:
            self._stun.release(path, now=now)

    def _deleted(self, path: Path, outcome: Outcome, now: float) -> None:
        self._stun.release(path, now=now)
