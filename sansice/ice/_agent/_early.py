"""Checks that came before the description of who sent them (RFC 8445 7.3)."""

from __future__ import annotations

from typing import NamedTuple

import attrs

from sansice.ice._binding import Check
from sansice.ice._pair import LocalCandidate
from sansice.machine import Address


class EarlyCheck(NamedTuple):
    """A check that was answered, and waits for the description that says what to check back with."""

    local: LocalCandidate
    source: Address
    check: Check

    def is_like(self, other: EarlyCheck) -> bool:
        """Whether both took the same way, and are of the same peer."""
        return self.local is other.local and self.source == other.source and self.check.remote_ufrag == other.check.remote_ufrag


class EarlyChecks:
    """The checks that wait: one of each source and remote ufrag, and no more than a bound.

    Args:
        limit: how many.
    """

    __slots__ = ("_limit", "_waiting")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: list[EarlyCheck] = []

    def add(self, early: EarlyCheck) -> bool:
        """Keep a check; ``False`` where there is no room.

        The one nominated last comes last, for that is the one that the peer means (see `Conclusion.count_nomination`).
        """
        for index, other in enumerate(self._waiting):
            if early.is_like(other):
                nominates = early.check.use_candidate or other.check.use_candidate
                number = max(early.check.nomination, other.check.nomination)
                check = attrs.evolve(early.check, use_candidate=nominates, nomination=number)
                del self._waiting[index]
                index = len(self._waiting) if early.check.use_candidate else index
                self._waiting.insert(index, early._replace(check=check))
                return True
        if len(self._waiting) >= self._limit:
            return False
        self._waiting.append(early)
        return True

    def has(self, remote_ufrag: str) -> bool:
        """Whether a check of that peer waits."""
        return any(early.check.remote_ufrag == remote_ufrag for early in self._waiting)

    def take(self, remote_ufrag: str) -> list[EarlyCheck]:
        """The checks of that peer, in order; they wait no more."""
        taken = [early for early in self._waiting if early.check.remote_ufrag == remote_ufrag]
        self._waiting = [early for early in self._waiting if early.check.remote_ufrag != remote_ufrag]
        return taken
