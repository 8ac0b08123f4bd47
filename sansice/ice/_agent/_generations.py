"""The peer's generations beside the present one: those that are past, and what is told of one to come (RFC 8838 11, 13)."""

from __future__ import annotations

from sansice.ice._candidate import Candidate

# A candidate that comes so many restarts late is as useless as any other, but no longer recognised.
MAX_PAST = 8


class Generations:
    """Ufrags of the peer's that were, and candidates that came before the description with their ufrag.

    Args:
        limit: how many such candidates are kept.
    """

    __slots__ = ("_ahead", "_limit", "_past")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._past: tuple[str, ...] = ()
        self._ahead: list[tuple[str, Candidate | None]] = []

    def end(self, ufrag: str) -> None:
        """A generation of the peer's is over."""
        self._past = (*self._past[1 - MAX_PAST :], ufrag)

    def is_past(self, ufrag: str) -> bool:
        """Whether a generation is over."""
        return ufrag in self._past

    def keep(self, ufrag: str, candidate: Candidate | None) -> bool:
        """Keep a candidate, or the end of candidates, for a description to come; ``False`` where there is no room."""
        if (ufrag, candidate) in self._ahead:
            return True
        if len(self._ahead) >= self._limit:
            return False
        self._ahead.append((ufrag, candidate))
        return True

    def take(self, ufrag: str) -> list[Candidate | None]:
        """What was kept for a generation, in order; what was kept for others is of no use any more."""
        taken = [candidate for other, candidate in self._ahead if other == ufrag]
        self._ahead.clear()
        return taken


def ufrag_of(candidate: Candidate) -> str | None:
    """The generation that a candidate names itself, as browsers write it, if it does."""
    return next((value for name, value in candidate.extensions if name == "ufrag"), None)
